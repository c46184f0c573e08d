//! Tests against a real Kubernetes control plane.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    reason = "tests, and what helps them, fail by panicking"
)]

mod backup;
mod cluster_lifecycle;
mod encryption;
mod evidence;
mod examples;
mod harness;
mod house;
mod network;
mod operator;
mod people;
mod rbac;
