//! The entries of a log as rows for query engines: Parquet files, partitioned by cluster and day. A derived index: it is no
//! evidence, holds nothing that the log does not, can be made again at any time, and each of its rows is proved against the
//! entry whose number and leaf hash it has.
//!
//! ```text
//! <folder>/cluster=<uid>/day=<2026-01-31>/<replica>.<log>.<first>-<end>.parquet     created once, never changed
//! ```
//!
//! A file holds consecutive entries of one day (UTC) of one log, those of a control together, in whatever order. It is written
//! when the day is over.

mod check;
mod columns;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::checkpoint::Checkpoint;
use super::error::{At, LogError};
use super::heads;
use super::note::Note;
use super::raw::{self, RawEntries};
use super::sealed::corrupt;

pub use self::check::{Checked, Signed, Span, check};
use self::columns::Row;
use self::write::File;

/// The folder below a data folder or a bucket's prefix.
pub const FOLDER: &str = "parquet";

/// How names of files end.
const ENDING: &str = "parquet";

/// What the name of a log says: the cluster, the replica, and when it began.
fn parts(origin: &str) -> Option<(&str, &str, &str)> {
    let mut parts = origin.split('/').skip(1);
    let parts = (parts.next()?, parts.next()?, parts.next()?);
    Some(parts)
}

/// The day of a time, in UTC.
fn day(time: Timestamp) -> Date {
    Zoned::new(time, TimeZone::UTC).date()
}

/// Where the entries `first..end` of a log lie, below the folder.
fn path(origin: &str, day: Date, first: u64, end: u64) -> Option<String> {
    let (cluster, replica, log) = parts(origin)?;
    Some(format!(
        "cluster={cluster}/day={day}/{replica}.{log}.{first:012}-{end:012}.{ENDING}"
    ))
}

/// The files of an index, below its folder, in order.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, LogError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).at("list", &folder)? {
            let path = file.at("list", &folder)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == ENDING) {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The entries of a log of which there are files, by the names of those: from the first to behind the last.
fn spans(folder: &Path, origin: &str) -> Result<BTreeMap<u64, u64>, LogError> {
    let Some((cluster, replica, log)) = parts(origin) else {
        return Ok(BTreeMap::new());
    };
    let begin = format!("{replica}.{log}.");
    let files = files(&folder.join(format!("cluster={cluster}")))?;
    let spans = files.iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?;
        let (first, end) = name.strip_prefix(&begin)?.split_once('-')?;
        Some((first.parse().ok()?, end.parse().ok()?))
    });
    Ok(spans.collect())
}

/// Adds what is missing of the days before `today`, of the log in `dir`, as far as its last checkpoint covers it. Returns the
/// new files.
pub fn bring_up(dir: &Path, folder: &Path, today: Date) -> Result<Vec<PathBuf>, LogError> {
    let Some((at, note)) = heads::latest(dir)? else {
        return Ok(Vec::new());
    };
    let note = String::from_utf8_lossy(&note).into_owned();
    let head = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text));
    let head = head.map_err(|error| corrupt(&at, 0, error.to_string()))?;
    let there = spans(folder, &head.origin)?;
    let first = raw::first_kept(dir)?;
    // A file that was begun before retention removed its first entries has the others, too.
    let before = there.range(..first).map(|(_, end)| *end).max();
    let mut next = before.map_or(first, |end| end.max(first));
    let mut written = Vec::new();
    while next < head.size {
        if let Some(end) = there.get(&next).filter(|end| **end > next) {
            next = *end;
            continue;
        }
        let following = there.range(next + 1..).next();
        let end = following.map_or(head.size, |(first, _)| head.size.min(*first));
        let of = Part {
            dir,
            folder,
            origin: &head.origin,
            today,
        };
        written.extend(of.write(next, end)?);
        next = end;
    }
    Ok(written)
}

/// When the entry of a log with this number was written, if it is there.
pub fn time_of(dir: &Path, origin: &str, seq: u64) -> Result<Option<Timestamp>, LogError> {
    let entry = RawEntries::open(dir, seq)?.next().transpose()?;
    let entry = entry.filter(|entry| entry.seq == seq);
    let row = entry.map(|entry| Row::of(origin, seq, &entry.bytes));
    Ok(row.transpose()?.map(|row| row.time))
}

/// A log whose rows are written.
struct Part<'a> {
    dir: &'a Path,
    folder: &'a Path,
    origin: &'a str,
    today: Date,
}

impl Part<'_> {
    /// Writes some entries, a file for each day that is over.
    fn write(&self, first: u64, end: u64) -> Result<Vec<PathBuf>, LogError> {
        let mut file: Option<File> = None;
        let mut written = Vec::new();
        for entry in RawEntries::open(self.dir, first)? {
            let entry = entry?;
            if entry.seq >= end {
                break;
            }
            let row = Row::of(self.origin, entry.seq, &entry.bytes)?;
            let day = day(row.time);
            if let Some(done) = file.take_if(|file| file.day != day) {
                written.push(done.finish()?);
            }
            if day >= self.today {
                break;
            }
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(File::begin(self.folder, self.origin, day, entry.seq)?),
            };
            file.push(row)?;
        }
        if let Some(done) = file {
            written.push(done.finish()?);
        }
        Ok(written)
    }
}

/// What was seen of a cluster on a day, by rows that are proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Entries.
    pub entries: u64,
    /// Transitions to `Fail`.
    pub failures: u64,
    /// Minutes of the day with a heartbeat.
    minutes: [u64; 23],
}

impl Seen {
    /// How many minutes of the day have a heartbeat.
    pub fn minutes(&self) -> u32 {
        self.minutes
            .iter()
            .map(|minutes| minutes.count_ones())
            .sum()
    }

    /// Adds what another replica's rows say.
    pub fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.failures += other.failures;
        for (ours, theirs) in self.minutes.iter_mut().zip(other.minutes) {
            *ours |= theirs;
        }
    }

    fn heartbeat(&mut self, time: Timestamp) {
        let time = Zoned::new(time, TimeZone::UTC);
        let minute =
            usize::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0);
        if let Some(minutes) = self.minutes.get_mut(minute / 64) {
            *minutes |= 1 << (minute % 64);
        }
    }
}

/// By cluster and day.
pub type Days = BTreeMap<(String, Date), Seen>;

#[cfg(test)]
mod tests;
