//! Workload controls.

mod psa_enforced;

pub use psa_enforced::{Level, PsaEnforced};
