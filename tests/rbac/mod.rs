//! Effective RBAC and escalation paths against the only judge there is: a real API server.
//!
//! Each run has a seed, which it prints; `PROBITY_SEED` repeats it.

#![allow(
    clippy::print_stdout,
    reason = "seeds and paths are of use only to who reads them"
)]

mod climbing;
mod fresh;
mod random;
mod reviews;
mod server;
mod shrink;
mod spot;
