//! Evidence: an append-only log of what was observed, decided and done.

pub mod canonical;
pub mod frame;
