//! Probity.

pub mod cluster;
