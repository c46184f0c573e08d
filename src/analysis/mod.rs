//! Joins over the inventory that several controls need.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod addresses;
pub mod exposure;
pub mod network;
