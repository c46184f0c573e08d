//! The engine.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod observed;

pub use observed::{Canary, CanaryRun, Observed};
