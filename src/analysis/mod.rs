//! What follows from many objects together: pure functions over the inventory.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod addresses;
pub mod canary;
pub mod exposure;
pub mod network;
pub mod rbac;
pub mod rbac_defaults;
pub mod schedule;
