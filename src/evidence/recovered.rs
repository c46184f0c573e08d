//! What a log says at start, so that its owner can take up where it stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::blob::sha256_hex;
use super::body::{Body, Intent, Position};
use super::entry::Entry;
use super::error::LogError;
use super::reader::Reader;
use super::segment::RawEntry;
use super::store::{Scan, Torn};

/// The state of a log that was opened for writing.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The number of the next entry.
    pub next: u64,
    /// The last entry, to be named by the next `Start`.
    pub previous_end: Option<Position>,
    /// The interrupted write that was cut off, if there was one.
    pub torn: Option<Torn>,
    dir: PathBuf,
}

impl Recovered {
    pub(super) fn new(dir: &Path, next: u64, scan: Scan) -> Self {
        let Scan { last, torn } = scan;
        Self {
            next,
            previous_end: last.as_ref().map(Position::of),
            torn,
            dir: dir.to_owned(),
        }
    }

    /// The same, in a data folder with earlier logs.
    pub(super) fn of(self, data: &Path) -> Self {
        Self {
            dir: data.to_owned(),
            ..self
        }
    }

    /// All entries, to rebuild state from.
    pub fn entries(&self) -> Result<Reader, LogError> {
        Reader::open(&self.dir)
    }

    /// The entries from number `seq` on.
    pub fn entries_from(&self, seq: u64) -> Result<Reader, LogError> {
        Reader::open_from(&self.dir, seq)
    }
}

impl Position {
    /// The position of an entry. Its leaf hash is that of RFC 6962, so that a later tree contains it.
    pub fn of(entry: &RawEntry) -> Self {
        Self {
            seq: entry.seq,
            leaf: sha256_hex(&[&[0], &entry.bytes]),
        }
    }
}

/// An intent of which no outcome is known: the write may or may not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Position of the intent.
    pub seq: u64,
    /// When it was logged.
    pub time: Timestamp,
    /// What was intended.
    pub intent: Intent,
}

/// The intents without an outcome, oldest first.
pub fn open_intents(entries: impl IntoIterator<Item = Entry>) -> Vec<OpenIntent> {
    let mut open = BTreeMap::new();
    for entry in entries {
        match entry.body {
            Body::Intent(intent) => {
                open.insert(
                    intent.id,
                    OpenIntent {
                        seq: entry.seq,
                        time: entry.time,
                        intent,
                    },
                );
            }
            Body::Outcome(outcome) => {
                open.remove(&outcome.intent);
            }
            _ => {}
        }
    }
    let mut open: Vec<OpenIntent> = open.into_values().collect();
    open.sort_unstable_by_key(|intent| intent.seq);
    open
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn intents_stay_open_until_their_outcome() {
        let bodies: Vec<Body> = vec![
            samples::intent(5).into(),
            samples::intent(3).into(),
            samples::heartbeat().into(),
            samples::outcome(3).into(),
            samples::intent(1).into(),
            samples::outcome(99).into(),
        ];
        let entries = bodies.into_iter().zip(0..).map(|(body, seq)| Entry {
            v: 1,
            seq,
            time: samples::time(0),
            body,
        });
        let open = open_intents(entries);
        assert_eq!(
            open.iter()
                .map(|open| (open.seq, open.intent.id))
                .collect::<Vec<_>>(),
            [(0, 5), (4, 1)]
        );
    }
}
