//! Reading the frames of a log's segments in order, checking all of them. Needs no lock: a live log of another process
//! reads the same, up to its tail.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{At, LogError};
use super::frame::{self, Decoded, MAX_FRAME, Tail};
use super::plain;

/// The folder of segments inside that of the log.
pub(super) const WAL: &str = "wal";

/// More bytes than a segment has, with what is laid out ahead.
const MOST: u64 = 128 << 20;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// The file of the segment that starts with entry `first`.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(WAL).join(format!("{first:018}.log"))
}

/// All segments of the log in `dir`, in order. A log that was never written has none.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let wal = dir.join(WAL);
    if !wal.try_exists().at("look for", &wal)? {
        return Ok(Vec::new());
    }
    let mut segments = Vec::new();
    for file in fs::read_dir(&wal).at("list", &wal)? {
        let path = file.at("list", &wal)?.path();
        let extension = path.extension();
        if extension.is_none_or(|extension| extension != "log") || plain::is_shadow(&path) {
            continue;
        }
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .filter(|stem| stem.len() == 18);
        let Some(first) = stem.and_then(|stem| stem.parse().ok()) else {
            let reason =
                "this is not the name of a segment, such as 000000000000000000.log".to_owned();
            return Err(LogError::Corrupt {
                path,
                offset: 0,
                reason,
            });
        };
        segments.push((first, path));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// An entry as it lies in the log: what a Merkle leaf is computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Position in the log.
    pub seq: u64,
    /// Canonical JSON.
    pub bytes: Vec<u8>,
}

/// Where the frames of the last segment end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    /// Bytes of an interrupted write that follow.
    pub(super) torn: u64,
}

/// The checked frames of a log, in order. After an error it ends.
#[derive(Debug)]
pub struct Frames {
    dir: PathBuf,
    segments: Vec<(u64, PathBuf)>,
    /// Index of the segment that `file` reads.
    index: usize,
    file: Option<SegmentFile>,
    due: u64,
    /// Entries before this one are checked but not yielded.
    from: u64,
    end: Option<End>,
    done: bool,
}

impl Frames {
    /// The entries from number `from` on (or from the oldest that was kept). Starts at the segment that holds it.
    pub fn open(dir: &Path, from: u64) -> Result<Self, LogError> {
        let segments = list(dir)?;
        let index = segments
            .partition_point(|(first, _)| *first <= from)
            .saturating_sub(1);
        let due = segments.get(index).map_or(0, |(first, _)| *first);
        Ok(Self {
            dir: dir.to_owned(),
            done: segments.is_empty(),
            segments,
            index,
            file: None,
            due,
            from,
            end: None,
        })
    }

    /// Where the log ended, once all frames were read without an error.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The number that the next entry will have.
    pub fn due(&self) -> u64 {
        self.due
    }

    fn step(&mut self) -> Result<Option<RawEntry>, LogError> {
        loop {
            let Some((first, path)) = self.segments.get(self.index) else {
                return Ok(None);
            };
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(SegmentFile::open(path, 0)?),
            };
            let at = file.offset;
            match file.next(self.due)? {
                Step::Frame(seq, _) if seq != self.due => {
                    let reason = format!("entry {seq} stands where entry {} is due", self.due);
                    return Err(LogError::Corrupt {
                        path: path.clone(),
                        offset: at,
                        reason,
                    });
                }
                Step::Frame(seq, bytes) => {
                    self.due += 1;
                    if seq >= self.from {
                        return Ok(Some(RawEntry { seq, bytes }));
                    }
                }
                Step::Stop { torn } => {
                    if self.index + 1 == self.segments.len() {
                        self.end = Some(End {
                            first: *first,
                            path: path.clone(),
                            offset: at,
                            torn,
                        });
                        // A live writer may have rolled since the list was made; then this segment has grown to its end.
                        let segments = list(&self.dir)?;
                        if segments.last().is_none_or(|(last, _)| last == first) {
                            return Ok(None);
                        }
                        self.file = Some(SegmentFile::open(path, at)?);
                        self.index = segments
                            .iter()
                            .position(|(other, _)| other == first)
                            .unwrap_or(0);
                        self.segments = segments;
                    } else if torn > 0 {
                        let reason = "the frame is incomplete, and a later segment proves that it had been whole".to_owned();
                        return Err(LogError::Corrupt {
                            path: path.clone(),
                            offset: at,
                            reason,
                        });
                    } else {
                        self.advance(at)?;
                    }
                }
                Step::Corrupt(reason) => {
                    return Err(LogError::Corrupt {
                        path: path.clone(),
                        offset: at,
                        reason: reason.to_owned(),
                    });
                }
            }
        }
    }

    fn advance(&mut self, at: u64) -> Result<(), LogError> {
        let path = &self.segments[self.index].1;
        let next = self.segments[self.index + 1].0;
        if next != self.due {
            let reason = format!(
                "the segment ends before entry {}, the next one starts with entry {next}",
                self.due
            );
            return Err(LogError::Corrupt {
                path: path.clone(),
                offset: at,
                reason,
            });
        }
        self.index += 1;
        self.file = None;
        Ok(())
    }
}

impl Iterator for Frames {
    type Item = Result<RawEntry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

enum Step {
    Frame(u64, Vec<u8>),
    Stop { torn: u64 },
    Corrupt(&'static str),
}

/// One segment, read in chunks: 64 MiB at a time would be a sixth of the operator's memory limit.
#[derive(Debug)]
struct SegmentFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
}

impl SegmentFile {
    fn open(path: &Path, offset: u64) -> Result<Self, LogError> {
        let Some(mut file) = plain::open(path, MOST)? else {
            return Err(std::io::ErrorKind::NotFound.into()).at("open", path);
        };
        file.seek(SeekFrom::Start(offset)).at("read", path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            buffer: Vec::new(),
            start: 0,
            offset,
        })
    }

    fn next(&mut self, due: u64) -> Result<Step, LogError> {
        if self.buffer.len() - self.start < MAX_FRAME {
            self.fill(CHUNK)?;
        }
        if let Decoded::Frame(frame) = frame::decode(&self.buffer[self.start..]) {
            let step = Step::Frame(frame.seq, frame.bytes.to_vec());
            self.start += frame.size();
            self.offset += frame.size() as u64;
            return Ok(step);
        }
        // Rare: only here is the rest needed as a whole.
        self.fill(usize::MAX)?;
        let rest = &self.buffer[self.start..];
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else {
            return Ok(Step::Stop { torn: 0 });
        };
        Ok(match frame::judge_tail(rest, self.offset, due) {
            Tail::Torn => Step::Stop {
                torn: last as u64 + 1,
            },
            Tail::Corrupt { reason } => Step::Corrupt(reason),
        })
    }

    fn fill(&mut self, limit: usize) -> Result<(), LogError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        (&mut self.file)
            .take(limit as u64)
            .read_to_end(&mut self.buffer)
            .at("read", &self.path)?;
        Ok(())
    }
}
