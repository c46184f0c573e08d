//! The entries of one log as they lie on the disk: first those that are sealed in bundles, then those in segments. Takes no
//! lock: while it reads, the writer may seal.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::note::Note;
use super::sealed::{self, CHECKPOINT, corrupt};
use super::segment::{self, Frames, RawEntry, WAL};
use super::tile::{self, BUNDLE, Of, Tile};

/// How often a segment may be sealed away under a reader before this is no race but damage.
const MOST_RACES: u32 = 3;

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
    Bundle(std::vec::IntoIter<Vec<u8>>),
    Segments(Box<Frames>),
    Done,
}

impl RawEntries {
    /// The entries from number `from` on, or from the oldest that was kept.
    pub fn open(dir: &Path, from: u64) -> Result<Self, LogError> {
        let mut entries = Self {
            dir: dir.to_owned(),
            next: from,
            from: Source::Unknown,
            races: 0,
        };
        entries.next = entries.next.max(first_kept(dir)?);
        Ok(entries)
    }

    fn step(&mut self) -> Result<Option<RawEntry>, LogError> {
        loop {
            match &mut self.from {
                Source::Done => return Ok(None),
                Source::Unknown => self.find()?,
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
    let path = dir.join(CHECKPOINT);
    let Some(bytes) = sealed::read(&path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let checkpoint = Note::parse(&text).and_then(|note| Checkpoint::parse(note.text));
    checkpoint
        .map(|checkpoint| Some(checkpoint.size))
        .map_err(|error| corrupt(&path, 0, error.to_string()))
}

/// The first entry that retention has left: the start of the first bundle, or of the first segment.
pub(super) fn first_kept(dir: &Path) -> Result<u64, LogError> {
    let size = published_size(dir)?.unwrap_or(0);
    let whole = Tile::whole(Of::Entries, 0);
    let starts_at_zero = sealed::bundle_path(dir, whole).exists()
        || dir.join(whole.path()).exists()
        || size < BUNDLE;
    if starts_at_zero {
        return Ok(0);
    }
    // Bundles are pruned from the oldest on.
    let kept = |index: u64| {
        let tile = Tile::whole(Of::Entries, index);
        sealed::bundle_path(dir, tile).exists() || dir.join(tile.path()).exists()
    };
    let (mut gone, mut end) = (0, size / BUNDLE);
    while end - gone > 1 {
        let middle = gone + (end - gone) / 2;
        if kept(middle) {
            end = middle;
        } else {
            gone = middle;
        }
    }
    Ok(end * BUNDLE)
}
