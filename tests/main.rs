//! Tests against a real Kubernetes control plane.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    reason = "tests, and what helps them, fail by panicking"
)]

mod backup;
mod chart;
mod cli;
mod cluster_lifecycle;
mod docs;
mod encryption;
mod evidence;
mod examples;
mod fleet;
mod harness;
mod house;
mod image;
mod monitoring;
mod network;
mod operator;
mod people;
mod rbac;
