//! Analyses that controls share: what follows from the cluster's objects by rules that are not
//! ours, such as when a cron expression is due.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod schedule;
