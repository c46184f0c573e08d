//! The entries of one log as they lie on the disk: first those that are sealed in bundles, then those in segments. Takes no
//! lock: while it reads, the writer may seal.
//!
//! Where retention has removed the beginning, the entries of it that still matter come first.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::blob::BlobRef;
use super::canonical;
use super::checkpoint::Checkpoint;
use super::error::{At, LogError};
use super::heads;
use super::note::Note;
use super::sealed::{self, corrupt};
use super::segment::{self, Frames, RawEntry, WAL};
use super::storage::{self, Storage};
use super::tile::{self, BUNDLE, Of, Tile};

/// How often a segment may be sealed away under a reader before this is no race but damage.
pub(super) const MOST_RACES: u32 = 3;

/// The entries of a log, in order, up to its durable tail. After an error it ends.
#[derive(Debug)]
pub struct RawEntries {
    dir: PathBuf,
    next: u64,
    from: Source,
    races: u32,
}

#[derive(Debug)]
enum Source {
    /// It is not known yet where the next entry is.
    Unknown,
    Carried(Lines),
    Bundle(std::vec::IntoIter<Vec<u8>>),
    Segments(Box<Frames>),
    Done,
}

impl RawEntries {
    /// The entries from number `from` on, or from the oldest that was kept.
    pub fn open(dir: &Path, from: u64) -> Result<Self, LogError> {
        let pruned = pruned(dir)?.filter(|pruned| from < pruned.before);
        let source = match pruned {
            Some(pruned) => Source::Carried(Lines::open(dir, &pruned)?),
            None => Source::Unknown,
        };
        Ok(Self {
            dir: dir.to_owned(),
            next: from,
            from: source,
            races: 0,
        })
    }

    fn step(&mut self) -> Result<Option<RawEntry>, LogError> {
        loop {
            match &mut self.from {
                Source::Done => return Ok(None),
                Source::Unknown => self.find()?,
                Source::Carried(lines) => {
                    if let Some(entry) = lines.next(self.next)? {
                        self.next = entry.seq + 1;
                        return Ok(Some(entry));
                    }
                    self.next = self.next.max(lines.before);
                    self.from = Source::Unknown;
                }
                Source::Bundle(entries) => {
                    if let Some(bytes) = entries.next() {
                        return Ok(Some(self.found(bytes)));
                    }
                    self.from = Source::Unknown;
                }
                Source::Segments(frames) => match frames.next().transpose() {
                    Ok(Some(entry)) if entry.seq == self.next => {
                        return Ok(Some(self.found(entry.bytes)));
                    }
                    Ok(None) => return Ok(None),
                    // The segment was sealed and removed since it was listed.
                    Ok(Some(_)) => self.race(None)?,
                    Err(error) if error.is_missing_file() => self.race(Some(error))?,
                    Err(error) => return Err(error),
                },
            }
        }
    }

    fn found(&mut self, bytes: Vec<u8>) -> RawEntry {
        let seq = self.next;
        self.next += 1;
        RawEntry { seq, bytes }
    }

    fn race(&mut self, error: Option<LogError>) -> Result<(), LogError> {
        self.races += 1;
        if self.races > MOST_RACES {
            return Err(error.unwrap_or_else(|| self.missing()));
        }
        self.from = Source::Unknown;
        Ok(())
    }

    /// Finds where the next entry is.
    fn find(&mut self) -> Result<(), LogError> {
        let segments = segment::list(&self.dir)?;
        if segments
            .first()
            .is_some_and(|(first, _)| *first <= self.next)
        {
            self.from = Source::Segments(Box::new(Frames::open(&self.dir, self.next)?));
            return Ok(());
        }
        let entries =
            match sealed::read_entries(&self.dir, Tile::whole(Of::Entries, self.next / BUNDLE))? {
                Some(entries) => Some(entries),
                None if segments.is_empty() => self.last_bundle()?,
                None => None,
            };
        let skip = usize::try_from(self.next % BUNDLE).unwrap_or(0);
        self.from = match entries {
            Some(mut entries) if entries.len() > skip => {
                entries.drain(..skip);
                Source::Bundle(entries.into_iter())
            }
            _ if segments.is_empty() => Source::Done,
            _ => {
                self.race(None)?;
                Source::Unknown
            }
        };
        Ok(())
    }

    /// The bundle at the end of a copy without segments.
    fn last_bundle(&self) -> Result<Option<Vec<Vec<u8>>>, LogError> {
        let Some(size) = published_size(&self.dir)? else {
            return Ok(None);
        };
        let tile = tile::partial(size)
            .into_iter()
            .find(|tile| tile.of == Of::Entries && tile.index == self.next / BUNDLE);
        let Some(tile) = tile else {
            return if self.next < size {
                Err(self.missing())
            } else {
                Ok(None)
            };
        };
        sealed::read_entries(&self.dir, tile)?
            .map(Some)
            .ok_or_else(|| self.missing())
    }

    fn missing(&self) -> LogError {
        let reason = format!("entry {} is in no bundle and in no segment", self.next);
        corrupt(&self.dir.join(WAL), 0, reason)
    }
}

impl Iterator for RawEntries {
    type Item = Result<RawEntry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.from = Source::Done;
        }
        item
    }
}

/// Size of the last checkpoint, as it says itself.
pub(super) fn published_size(dir: &Path) -> Result<Option<u64>, LogError> {
    let Some((path, bytes)) = heads::latest(dir)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let checkpoint = Note::parse(&text).and_then(|note| Checkpoint::parse(note.text));
    checkpoint
        .map(|checkpoint| Some(checkpoint.size))
        .map_err(|error| corrupt(&path, 0, error.to_string()))
}

/// The file that says what retention has removed. It is written before anything is.
pub(super) const PRUNED: &str = "pruned";

/// What retention has removed from the beginning of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PrunedFile {
    /// All entries before this one.
    pub(super) before: u64,
    /// Those of them that still matter, as they were, one a line.
    pub(super) carried: BlobRef,
}

/// What retention has removed, if it has.
pub(super) fn pruned(dir: &Path) -> Result<Option<PrunedFile>, LogError> {
    let path = dir.join(PRUNED);
    let Some(bytes) = sealed::read(&path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        corrupt(
            &path,
            0,
            format!("it does not say what was removed: {error}"),
        )
    })
}

/// Says what retention removes, durably.
pub(super) fn say_pruned(
    dir: &Path,
    storage: &dyn Storage,
    pruned: &PrunedFile,
) -> Result<(), LogError> {
    let bytes = canonical::to_vec(pruned)?;
    storage::replace(storage, &dir.join(PRUNED), &bytes)?;
    storage.sync_dir(dir).at("sync", dir)
}

/// The first entry that retention has left.
pub(super) fn first_kept(dir: &Path) -> Result<u64, LogError> {
    Ok(pruned(dir)?.map_or(0, |pruned| pruned.before))
}

/// The entries that are carried.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    before: u64,
}

impl Lines {
    pub(super) fn open(dir: &Path, pruned: &PrunedFile) -> Result<Self, LogError> {
        Ok(Self {
            path: pruned.carried.path(dir),
            bytes: pruned.carried.load(dir)?,
            at: 0,
            before: pruned.before,
        })
    }

    /// The next entry that has at least this number.
    pub(super) fn next(&mut self, from: u64) -> Result<Option<RawEntry>, LogError> {
        #[derive(Deserialize)]
        struct Numbered {
            seq: u64,
        }
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                return Ok(None);
            };
            let line = rest.get(..length).unwrap_or_default();
            let Numbered { seq } = serde_json::from_slice(line).map_err(|error| {
                let reason = format!("a line of it is no entry: {error}");
                corrupt(&self.path, self.at as u64, reason)
            })?;
            let entry = RawEntry {
                seq,
                bytes: line.to_vec(),
            };
            self.at += length + 1;
            if seq >= from {
                return Ok(Some(entry));
            }
        }
    }
}
