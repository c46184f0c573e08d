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
        Self::new(dir, 0, logs)
    }

    /// The entries of the latest log, from number `seq` on. What is before is not read.
    pub fn open_from(data: &Path, seq: u64) -> Result<Self, LogError> {
        let dir = epochs::list(data)?.pop().unwrap_or_else(|| data.to_owned());
        Self::new(dir, seq, Vec::new().into_iter())
    }

    /// The entries of the log in the folder `log` from number `seq` on, and those of later logs. If there is no such log any
    /// more, there are none.
    pub fn open_at(data: &Path, log: &Path, seq: u64) -> Result<Self, LogError> {
        let logs = epochs::list(data)?;
        let after = logs.iter().position(|dir| dir == log);
        let later = after.map_or_else(Vec::new, |at| logs[at + 1..].to_vec());
        Self::new(log.to_owned(), seq, later.into_iter())
    }

    fn new(dir: PathBuf, seq: u64, later: std::vec::IntoIter<PathBuf>) -> Result<Self, LogError> {
        Ok(Self {
            entries: RawEntries::open(&dir, seq)?,
            dir,
            later,
            failed: false,
            past_damage: false,
            damaged: Vec::new(),
        })
    }

    /// The next entry, with the specs and decisions of what people do in it even where they are kept in blobs. Objects of the
    /// cluster stay where they are.
    pub fn next_whole(&mut self) -> Option<Result<Entry, LogError>> {
        let entry = self.next()?.and_then(|mut entry| {
            load_kept(&self.dir, &mut entry.body)?;
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
    let Body::Spilled(spilled) = &entry.body else {
        return Ok(entry);
    };
    let spilled = spilled.clone();
    let content = spilled.content.load(dir)?;
    entry.unspill(&spilled, &content)
}

/// Puts in what is kept apart, of an entry that has been decoded; `None` if there is nothing.
pub(super) fn unspilled(dir: &Path, entry: &Entry) -> Result<Option<Entry>, LogError> {
    let is_spilled = matches!(entry.body, Body::Spilled(_));
    let is_blob = |content: &&Content| matches!(content, Content::Blob(_));
    if !is_spilled && !entry.body.contents().iter().any(is_blob) {
        return Ok(None);
    }
    let mut entry = entry.clone();
    if let Body::Spilled(spilled) = &entry.body {
        let spilled = spilled.clone();
        let content = spilled.content.load(dir)?;
        entry = entry.unspill(&spilled, &content)?;
    }
    load_kept(dir, &mut entry.body)?;
    Ok(Some(entry))
}

/// Puts in the specs and decisions that are kept in blobs.
fn load_kept(dir: &Path, body: &mut Body) -> Result<(), LogError> {
    for content in kept_apart(body) {
        if matches!(content, Content::Blob(_)) {
            *content = Content::Inline(content.load(dir)?);
        }
    }
    Ok(())
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
