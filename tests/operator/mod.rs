//! The operator as a process, against a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "fixtures and tests fail the test"
)]

mod anchors;
mod assurance;
pub(crate) mod chart;
mod command_line;
mod contention;
mod crashes;
mod drill;
mod encryption;
mod enforcement;
mod evidence;
mod limits;
mod neighbours;
mod network;
mod outages;
mod ownership;
mod pauses;
mod periods;
pub(crate) mod probe;
pub(crate) mod program;
mod quiet;
mod refusals;
mod remedies;
mod replicas;
mod reports;
mod retention;
mod rights;
mod rollout;
mod schema;
mod secrets;
mod seeds;
mod telemetry;
mod vouchers;
pub(crate) mod world;
