//! Tests against a real Kubernetes control plane.

mod cluster_lifecycle;
mod harness;
mod house;
mod operator;
