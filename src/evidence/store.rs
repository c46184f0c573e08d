//! The log's folder: segments that only ever grow, one writer, and recovery from what disks do.
//!
//! ```text
//! <folder>/lock                          held by the one writer
//! <folder>/wal/000000000000000000.log    frames (see `frame`); named after its first entry
//! <folder>/wal/next.unfinished           zeros: what will be the next of them
//! <folder>/blobs/<sha256>                what is too large for an entry
//! ```
//!
//! After a failed sync nobody knows what is on the disk, and a second sync of the same file would lie: the kernel has
//! dropped the pages. So the store refuses everything until it was reopened, which cuts the segment back to what was
//! durable and goes on in a new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{At, LogError};
use super::frame::{self, HEADER, MAX_ENTRY, MAX_FRAME};
use super::segment::{self, End, Frames, RawEntry};
use super::spare::{self, Spare};
use super::storage::{Disk, Storage, StoredFile};

/// Size at which a new segment is started. Segments are kept until all of their entries are in whole bundles: small ones are
/// sealed soon.
pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// Zeros are laid out this far ahead, so that most syncs have no file size to write.
const AHEAD: u64 = 1024 * 1024;

/// Most bytes that wait for a sync: the bound of what an interrupted write can tear.
pub(super) const MAX_UNSYNCED: usize = 2 * 1024 * 1024;

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The last entry, if there is any.
    pub last: Option<RawEntry>,
    /// The interrupted write that was cut off, if there was one.
    pub torn: Option<Torn>,
}

/// An interrupted write. Nothing in it was ever reported as durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub path: PathBuf,
    /// Where it began.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The one writer of a log.
pub struct Store {
    dir: PathBuf,
    storage: Box<dyn Storage>,
    limit: u64,
    segment: Segment,
    /// The segment after that one, once half of it is written.
    spare: Option<Spare>,
    /// Holds the lock until all of that is dropped.
    _lock: File,
    next: u64,
    poisoned: bool,
}

struct Segment {
    first: u64,
    path: PathBuf,
    file: Box<dyn StoredFile>,
    /// Where the next frame goes.
    end: u64,
    /// How far zeros are laid out.
    laid_out: u64,
    /// No zeros are laid out beyond this.
    limit: u64,
    /// What the last sync covered.
    durable: u64,
    /// The next entry at the last sync.
    durable_next: u64,
}

impl Store {
    /// Opens the log in a folder, creates it if there is none, and checks every frame.
    pub fn open(dir: &Path) -> Result<(Self, Scan), LogError> {
        Self::open_on(dir, Box::new(Disk), SEGMENT_BYTES)
    }

    pub(super) fn open_on(
        dir: &Path,
        storage: Box<dyn Storage>,
        limit: u64,
    ) -> Result<(Self, Scan), LogError> {
        let wal = dir.join(segment::WAL);
        fs::create_dir_all(&wal).at("create", &wal)?;
        let lock = lock(dir)?;
        storage.sync_dir(dir).at("sync", dir)?;
        spare::clear(&*storage, dir, limit.max(SEGMENT_BYTES))?;
        // A process that was killed may have named a segment without making that durable.
        storage.sync_dir(&wal).at("sync", &wal)?;

        let mut frames = Frames::open(dir, 0)?;
        let mut last = None;
        for entry in frames.by_ref() {
            last = Some(entry?);
        }
        let next = frames.due();
        let (segment, torn) = match frames.end() {
            None => (create(&*storage, dir, next, limit)?, None),
            Some(end) => {
                let segment = Segment::reopen(&*storage, end, next, limit)?;
                let torn = (end.torn > 0).then(|| Torn {
                    path: end.path.clone(),
                    offset: end.offset,
                    bytes: end.torn,
                });
                (segment, torn)
            }
        };
        Ok((
            Self {
                dir: dir.to_owned(),
                storage,
                limit,
                _lock: lock,
                segment,
                spare: None,
                next,
                poisoned: false,
            },
            Scan { last, torn },
        ))
    }

    /// The number of the next entry.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Appends entries, at most 2 MiB at once, and returns the number of the first. They are durable after the next
    /// [`Store::sync`], all in one segment.
    pub fn append(&mut self, entries: &[impl AsRef<[u8]>]) -> Result<u64, LogError> {
        self.check_healthy()?;
        for entry in entries.iter().map(AsRef::as_ref) {
            if entry.is_empty() || entry.len() > MAX_ENTRY || entry.contains(&0) {
                return Err(LogError::Size(entry.len()));
            }
        }
        let size = entries
            .iter()
            .map(|entry| HEADER + entry.as_ref().len())
            .sum();
        if size > MAX_UNSYNCED {
            return Err(LogError::Group(size));
        }
        let first = self.next;
        let result = self.append_frames(entries, size);
        self.poisoned |= result.is_err();
        result.map(|()| first)
    }

    /// Makes durable what was appended.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check_healthy()?;
        let result = self.segment.sync(self.next);
        self.poisoned |= result.is_err();
        result
    }

    /// After a failure: forgets what was not durable and goes on in a new segment. May fail again, and be called again.
    pub fn recover(&mut self) -> Result<(), LogError> {
        self.poisoned = true;
        // Where there is no room left, this is some.
        self.spare = None;
        self.next = self.segment.durable_next;
        let Segment {
            first,
            path,
            durable,
            ..
        } = &self.segment;
        let (first, path, durable) = (*first, path.clone(), *durable);
        if durable == 0 {
            // Nothing in it was durable: a new file of the same name takes its place.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).at("remove", &path);
                }
                _ => {}
            }
        } else {
            // A new handle: the old one has reported its error and would report success next.
            let end = End {
                first,
                path,
                offset: durable,
                torn: 0,
            };
            Segment::reopen(&*self.storage, &end, self.next, self.limit)?;
        }
        self.segment = create(&*self.storage, &self.dir, self.next, self.limit)?;
        self.poisoned = false;
        Ok(())
    }

    fn check_healthy(&self) -> Result<(), LogError> {
        if self.poisoned {
            Err(LogError::Poisoned)
        } else {
            Ok(())
        }
    }

    fn append_frames(&mut self, entries: &[impl AsRef<[u8]>], size: usize) -> Result<(), LogError> {
        let unsynced = self.segment.end - self.segment.durable;
        if unsynced > 0 && unsynced + size as u64 > MAX_UNSYNCED as u64 {
            self.segment.sync(self.next)?;
        }
        if self.segment.end > 0 && self.segment.end + size as u64 > self.limit {
            self.roll()?;
        }
        let mut group = Vec::with_capacity(size);
        for entry in entries {
            let starts_group = group.is_empty() && self.segment.durable == self.segment.end;
            frame::encode(&mut group, self.next, starts_group, entry.as_ref());
            self.next += 1;
        }
        self.segment.write(&group)?;
        // A segment that is laid out in one go needs none.
        let has_room_for_one = self.limit > AHEAD && self.segment.end > self.limit / 2;
        if has_room_for_one && self.spare.is_none() {
            self.spare = Spare::begin(&*self.storage, &self.dir, self.limit);
        }
        Ok(())
    }

    /// Ends the segment exactly after its last frame and starts the next one.
    fn roll(&mut self) -> Result<(), LogError> {
        // If that is lost zeros are left, which end a segment too: it needs no sync.
        self.segment.cut_off()?;
        if self.segment.durable < self.segment.end {
            self.segment.sync(self.next)?;
        }
        let path = segment::path(&self.dir, self.next);
        let ready = self.spare.take_if(|spare| spare.is_ready());
        let (storage, limit) = (&*self.storage, self.limit);
        self.segment = match ready.and_then(|spare| spare.take(&path)) {
            Some(file) => begin(storage, (self.next, path), file, limit, limit)?,
            None => create(storage, &self.dir, self.next, limit)?,
        };
        Ok(())
    }
}

impl Segment {
    /// Opens a segment for appending at its `end`, and makes sure that what is before it is on the disk: the process before us
    /// may have died of a failed sync, and then the page cache shows bytes that the disk never got. Writing them again
    /// makes the kernel try again.
    fn reopen(storage: &dyn Storage, end: &End, next: u64, limit: u64) -> Result<Self, LogError> {
        let (path, end, first) = (end.path.clone(), end.offset, end.first);
        let start = end.saturating_sub((MAX_UNSYNCED + MAX_FRAME) as u64);
        let mut unsure = Vec::new();
        let mut reader = File::open(&path).at("open", &path)?;
        reader.seek(SeekFrom::Start(start)).at("read", &path)?;
        reader
            .take(end - start)
            .read_to_end(&mut unsure)
            .at("read", &path)?;

        let file = storage.open(&path).at("open", &path)?;
        let mut segment = Self {
            first,
            path,
            file,
            end,
            laid_out: end,
            limit,
            durable: end,
            durable_next: next,
        };
        segment.cut_off()?;
        segment
            .file
            .write_at(start, &unsure)
            .at("write to", &segment.path)?;
        segment.sync(next)?;
        Ok(segment)
    }

    fn write(&mut self, group: &[u8]) -> Result<(), LogError> {
        if group.is_empty() {
            return Ok(());
        }
        let end = self.end + group.len() as u64;
        if end > self.laid_out {
            let laid_out = end.next_multiple_of(AHEAD).min(self.limit).max(end);
            let zeros = vec![0; usize::try_from(laid_out - self.laid_out).unwrap_or_default()];
            self.file
                .write_at(self.laid_out, &zeros)
                .at("lay out", &self.path)?;
            self.laid_out = laid_out;
        }
        self.file
            .write_at(self.end, group)
            .at("write to", &self.path)?;
        self.end = end;
        Ok(())
    }

    fn cut_off(&mut self) -> Result<(), LogError> {
        self.laid_out = self.end;
        self.file.truncate(self.end).at("truncate", &self.path)
    }

    fn sync(&mut self, next: u64) -> Result<(), LogError> {
        self.file.sync().at("sync", &self.path)?;
        (self.durable, self.durable_next) = (self.end, next);
        Ok(())
    }
}

fn create(storage: &dyn Storage, dir: &Path, first: u64, limit: u64) -> Result<Segment, LogError> {
    let path = segment::path(dir, first);
    let file = match storage.create(&path) {
        // Left by an attempt that failed between the file and its folder. Anything but nothing is not ours to touch.
        Err(error)
            if error.kind() == std::io::ErrorKind::AlreadyExists
                && spare::is_blank(&path, limit) =>
        {
            storage.open(&path).and_then(|mut file| {
                file.truncate(0)?;
                Ok(file)
            })
        }
        result => result,
    };
    let file = file.at("create", &path)?;
    begin(storage, (first, path), file, 0, limit)
}

/// Makes the name of a file durable, which then is a segment: with the number of its first entry, and zeros up to `laid_out`.
fn begin(
    storage: &dyn Storage,
    (first, path): (u64, PathBuf),
    file: Box<dyn StoredFile>,
    laid_out: u64,
    limit: u64,
) -> Result<Segment, LogError> {
    let wal = path.parent().unwrap_or(&path);
    storage.sync_dir(wal).at("sync", wal)?;
    Ok(Segment {
        first,
        path,
        file,
        end: 0,
        laid_out,
        limit,
        durable: 0,
        durable_next: first,
    })
}

/// The file that the one writer holds locked.
pub(super) const LOCK: &str = "lock";

pub(super) fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .at("open", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked {
            path: dir.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(error).at("lock", &path),
    }
}

/// Whether a log could be opened in a data folder: no other process writes to it, and it can be written, or made. Nothing is
/// changed: a folder that isn't there yet still isn't.
pub fn can_open(data: &Path) -> Result<(), LogError> {
    let there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
    let folder = data.ancestors().find(there).unwrap_or(data);
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access)
        .map_err(std::io::Error::from)
        .at("write to", folder)?;
    if data.join(LOCK).try_exists().at("open", data)? {
        lock(data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
