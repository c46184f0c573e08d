//! Everything that talks to the Kubernetes API server.

pub mod canary;
