//! Which entry: numbers start again with each log, so a number alone names none.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::evidence::{Body, Entry};

/// An entry: the log, counted from 1 in the order in which they are read, and its number in it. Written as `1/52`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The log.
    pub log: u32,
    /// The number.
    pub seq: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(log, seq)| {
            Some(Self {
                log: log.parse().ok()?,
                seq: seq.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| format!("{text:?} names no entry: write LOG/NUMBER, such as 1/52"))
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Counts logs while entries come in, oldest first.
#[derive(Debug, Default, Clone)]
pub struct LogCount {
    /// How many there have been.
    count: u32,
    /// The one of which an entry of each replica is.
    of: BTreeMap<usize, u32>,
    replica: usize,
}

impl LogCount {
    /// The entries that follow are of a replica with this number.
    pub const fn turn_to(&mut self, replica: usize) {
        self.replica = replica;
    }

    /// Which entry the next one is.
    pub fn next(&mut self, entry: &Entry) -> EntryId {
        let log = self.of.entry(self.replica).or_default();
        // The first entry of a log says so; of the oldest one, retention may have removed it.
        if *log == 0 || matches!(entry.body, Body::Epoch(_)) {
            self.count += 1;
            *log = self.count;
        }
        EntryId {
            log: *log,
            seq: entry.seq,
        }
    }
}
