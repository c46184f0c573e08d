//! Evidence: an append-only log of what was observed, decided and done. Nothing is acted upon before the entry that
//! announces it is durable.
//!
//! Responsible for the files of the log and the meaning of its entries. Must not decide anything about controls, and never
//! repairs damage by itself: an interrupted last write is cut off, everything else is reported with its place.
//!
//! ```text
//! Record ─► Log (queue) ─► writer thread: encode ─► blobs ─► Store: frames ─► one sync ─► Ticket resolves
//!                                                              │
//!                                   Reader ◄── Frames ◄── segments on disk      (no lock; live or a copy)
//! ```
//!
//! Pure: `canonical`, `frame`, `words`, `body`, `entry`, `decode`. IO: the rest.

pub mod blob;
pub mod body;
pub mod canonical;
pub mod carried;
pub mod checkpoint;
pub mod copy;
pub mod cosignature;
mod decode;
pub mod entry;
pub mod epochs;
mod error;
pub mod folder_anchor;
pub mod frame;
pub mod heads;
pub mod history;
pub mod index;
mod joined;
pub mod journal;
pub mod key;
pub mod merkle;
pub mod note;
pub mod pieces;
mod plain;
pub mod proof;
mod prove;
pub mod prune;
mod publisher;
mod publishing;
mod raw;
mod reader;
mod recovered;
#[cfg(test)]
mod samples;
mod sealed;
mod segment;
pub mod space;
mod spare;
pub mod storage;
pub mod store;
pub mod tile;
pub mod timestamp;
pub mod verify;
pub mod words;
mod writer;

pub use body::{Body, Position, SubjectRef};
pub use entry::{Entry, Record};
pub use epochs::{Identity, Opened};
pub use error::LogError;
pub use joined::Joined;
pub use journal::{Answer, Durable, Journal, News};
pub use prove::prove;
pub use publisher::Published;
pub use raw::RawEntries;
pub use reader::Reader;
pub use recovered::{OpenIntent, Recovered, open_intents};
pub use segment::{Frames, RawEntry};
pub use writer::{Failed, Log, Ticket};
