//! Reading a log's entries: of our own log at start, of a live one, or of an auditor's copy. Takes no lock.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::body::{Body, Content, ObjectChange};
use super::entry::Entry;
use super::epochs;
use super::error::LogError;
use super::raw::RawEntries;
use super::segment::RawEntry;

/// The entries of a data folder, log after log, up to the durable tail. Numbers start again with each log, whose first entry
/// says which it is. After an error it ends.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    entries: RawEntries,
    later: std::vec::IntoIter<PathBuf>,
    failed: bool,
    /// Whether a later log is read on where this one is damaged, and what was not read.
    past_damage: bool,
    damaged: Vec<String>,
}

impl Reader {
    /// All entries in a data folder, or in the folder of one log.
    pub fn open(data: &Path) -> Result<Self, LogError> {
        let mut logs = epochs::list(data)?.into_iter();
        let dir = logs.next().unwrap_or_else(|| data.to_owned());
        Ok(Self {
            entries: RawEntries::open(&dir, 0)?,
            dir,
            later: logs,
            failed: false,
            past_damage: false,
            damaged: Vec::new(),
        })
    }

    /// The entries of the latest log, from number `seq` on. What is before is not read.
    pub fn open_from(data: &Path, seq: u64) -> Result<Self, LogError> {
        let dir = epochs::list(data)?.pop().unwrap_or_else(|| data.to_owned());
        Ok(Self {
            entries: RawEntries::open(&dir, seq)?,
            dir,
            later: Vec::new().into_iter(),
            failed: false,
            past_damage: false,
            damaged: Vec::new(),
        })
    }

    /// The entries of the log in the folder `log` from number `seq` on, and those of later logs. If there is no such log any
    /// more, there are none.
    pub fn open_at(data: &Path, log: &Path, seq: u64) -> Result<Self, LogError> {
        let logs = epochs::list(data)?;
        let after = logs.iter().position(|dir| dir == log);
        let later = after.map_or_else(Vec::new, |at| logs[at + 1..].to_vec());
        Ok(Self {
            entries: RawEntries::open(log, seq)?,
            dir: log.to_owned(),
            later: later.into_iter(),
            failed: false,
            past_damage: false,
            damaged: Vec::new(),
        })
    }

    /// The next entry, with the specs and decisions of what people do in it even where they are kept in blobs. Objects of the
    /// cluster stay where they are.
    pub fn next_whole(&mut self) -> Option<Result<Entry, LogError>> {
        let entry = self.next()?.and_then(|mut entry| {
            for content in kept_apart(&mut entry.body) {
                if matches!(content, Content::Blob(_)) {
                    *content = Content::Inline(content.load(&self.dir)?);
                }
            }
            Ok(entry)
        });
        Some(entry)
    }

    /// Reads on in the next log where one is damaged and a later one followed it: what the operator itself does. What was
    /// not read is in [`Self::damaged`].
    #[must_use]
    pub fn past_damage(mut self) -> Self {
        self.past_damage = true;
        self
    }

    /// What was not read so far because it is damaged: log, file and byte of each.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// The folder of the log that the last entry is of: its blobs are there.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    fn step(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            let raw = self.entries.next().transpose();
            match raw.and_then(|raw| raw.map(|raw| decode(&self.dir, &raw)).transpose()) {
                Ok(None) => {}
                Err(LogError::Corrupt {
                    path,
                    offset,
                    reason,
                }) if self.past_damage && !self.later.as_slice().is_empty() => {
                    let file = path.strip_prefix(&self.dir).unwrap_or(&path);
                    let log = self.dir.file_name().unwrap_or_default();
                    let (file, log) = (file.display(), log.display());
                    self.damaged
                        .push(format!("{log}/{file} at byte {offset}: {reason}"));
                }
                entry => return entry,
            }
            let Some(dir) = self.later.next() else {
                return Ok(None);
            };
            self.entries = RawEntries::open(&dir, 0)?;
            self.dir = dir;
        }
    }
}

/// What an entry says, with what was spilled from it.
pub(super) fn decode(dir: &Path, raw: &RawEntry) -> Result<Entry, LogError> {
    let entry = Entry::decode(raw.seq, &raw.bytes)?;
    match entry.body.clone() {
        Body::Spilled(spilled) => {
            let content = spilled.content.load(dir)?;
            entry.unspill(&spilled, &content)
        }
        _ => Ok(entry),
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.step().transpose();
        self.failed = matches!(entry, Some(Err(_)));
        entry
    }
}

/// Contents that an account reads: specs and decisions, not objects.
fn kept_apart(body: &mut Body) -> Vec<&mut Content> {
    match body {
        Body::PolicyChange(said) => said.spec.iter_mut().collect(),
        Body::Kept(said) => vec![&mut said.value],
        Body::Exception(said)
        | Body::Attestation(said)
        | Body::Review(said)
        | Body::Response(said)
        | Body::Period(said) => {
            let ObjectChange { spec, decision, .. } = said;
            spec.iter_mut().chain(decision.iter_mut()).collect()
        }
        _ => Vec::new(),
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
