//! The operator as a process, against a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "fixtures and tests fail the test"
)]

mod chart;
mod command_line;
mod crashes;
mod enforcement;
mod neighbours;
mod outages;
mod program;
mod quiet;
mod remedies;
mod replicas;
mod rights;
mod world;
