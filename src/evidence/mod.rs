//! Evidence: an append-only log of what was observed, decided and done.

pub mod blob;
pub mod canonical;
mod error;
pub mod frame;
mod segment;
pub mod storage;
pub mod store;

pub use error::LogError;
pub use segment::{Frames, RawEntry};
