//! Reading a log's entries: of our own log at start, of a live one, or of an auditor's copy. Takes no lock.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::body::{Body, Content};
use super::entry::Entry;
use super::error::LogError;
use super::segment::{Frames, RawEntry};

/// The entries of a log, in order, up to its durable tail. After an error it ends.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    frames: Frames,
    failed: bool,
}

impl Reader {
    /// All entries of the log in a folder.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        Self::open_from(dir, 0)
    }

    /// The entries from number `seq` on. Segments before it are not read.
    pub fn open_from(dir: &Path, seq: u64) -> Result<Self, LogError> {
        Ok(Self {
            dir: dir.to_owned(),
            frames: Frames::open(dir, seq)?,
            failed: false,
        })
    }

    fn decode(&self, raw: &RawEntry) -> Result<Entry, LogError> {
        let entry = Entry::decode(raw.seq, &raw.bytes)?;
        match entry.body.clone() {
            Body::Spilled(spilled) => {
                let content = spilled.content.load(&self.dir)?;
                entry.unspill(&spilled, &content)
            }
            _ => Ok(entry),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.frames.next()?.and_then(|raw| self.decode(&raw));
        self.failed = entry.is_err();
        Some(entry)
    }
}

impl Content {
    /// The value, from its blob if it is kept in one.
    pub fn load(&self, dir: &Path) -> Result<Value, LogError> {
        match self {
            Self::Inline(value) => Ok(value.clone()),
            Self::Blob(blob) => {
                let bytes = blob.load(dir)?;
                let problem = |_| LogError::Blob {
                    name: blob.blob.clone(),
                    path: blob.path(dir),
                    reason: "is not JSON",
                };
                serde_json::from_slice(&bytes).map_err(problem)
            }
        }
    }
}
