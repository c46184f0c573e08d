//! Pure analyses that several controls share.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod rbac;
pub mod rbac_defaults;
pub mod schedule;
