//! Probity keeps SOC 2 controls operating on Kubernetes, and proves that they did.
//!
//! `ARCHITECTURE.md` has the map. In short: `inventory`, `controls`, `analysis` and `engine`
//! decide and do no IO; `cluster`, `evidence`, `server` and `cli` do the IO and decide nothing.

pub mod analysis;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod controls;
pub mod criteria;
pub mod engine;
pub mod evidence;
pub mod generate;
pub mod guardrails;
pub mod inventory;
pub mod metrics;
pub mod monitoring;
pub mod operator;
pub mod period;
pub mod report;
pub mod server;
pub mod telemetry;
pub mod verdict;
pub mod words;
