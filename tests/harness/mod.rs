//! A real Kubernetes control plane for tests, benchmarks and `make cluster`.
//!
//! [`Cluster::start`] runs etcd, a Kubernetes API server, the controller manager, the scheduler
//! and, on request, fake nodes on which pods run and finish. Everything listens on free loopback
//! ports, so several clusters run side by side; data and logs live in a fresh temporary folder
//! that goes away with the cluster. [`shared`] is one cluster for all tests of a process.
//!
//! Processes end with their [`Cluster`], also when a test panics, and die with this process,
//! however it ends. The programs are built on first use by `tests/cluster/build.sh`.

#![allow(
    dead_code,
    unused_imports,
    reason = "each includer of this module uses a part of it"
)]

mod apiserver;
mod certs;
mod cluster;
mod dice;
mod faulty;
mod kubeconfig;
mod options;
mod ports;
mod process;
mod s3;
mod scratch;
mod service;
mod tools;
mod tsa;
mod wait;

pub(crate) use apiserver::ApiServer;
pub(crate) use cluster::{Cluster, shared};
pub(crate) use dice::Dice;
pub(crate) use faulty::Faulty;
pub(crate) use options::Options;
pub(crate) use ports::free as free_port;
pub(crate) use process::{Process, Signal};
pub(crate) use s3::S3;
pub(crate) use tools::{Group, crds, cyclonus, duckdb, ensure, fsck, witness};
pub(crate) use tsa::{Authority, Kind};

/// The error of the harness: a message for the person who reads the test's output.
pub(crate) type Result<T, E = String> = std::result::Result<T, E>;
