//! What people ask for and decide, on a real API server with the chart's admission policies.

mod cluster;
mod decisions;
mod exceptions;
mod periods;
mod reviews;
