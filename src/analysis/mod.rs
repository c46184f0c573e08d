//! What follows from many objects together: pure functions over the inventory.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod rbac;
pub mod rbac_defaults;
