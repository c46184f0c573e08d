//! Proves the rows of a file against the log that it was made from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::columns::{COLUMNS, Cell, Row};
use super::write::RUN;
use super::{Seen, day, path};
use crate::evidence::error::{At, LogError};
use crate::evidence::raw::RawEntries;

/// The log of a file, and what of it the file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Name of the log.
    pub origin: String,
    /// The first entry.
    pub first: u64,
    /// The entry behind the last one.
    pub end: u64,
}

/// A log that was verified.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its folder.
    pub dir: PathBuf,
    /// The first entry that retention has left.
    pub first: u64,
    /// How many of its entries are signed.
    pub size: u64,
}

/// A file whose rows are those of the log, as far as the log still has their entries.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it has.
    pub span: Span,
    /// How many of its first rows nothing proves: retention has removed their entries.
    pub unproved: u64,
    /// Its day, unless nothing proves any of its rows.
    pub day: Option<Date>,
    /// What the rows say that are proved.
    pub seen: Seen,
}

/// Checks a file of an index in `folder`. `find` gives a log that was verified, by its name.
///
/// The inner error says which row is wrong.
pub fn check(
    folder: &Path,
    file: &Path,
    find: &dyn Fn(&str) -> Option<Signed>,
) -> Result<Result<Checked, String>, LogError> {
    let opened = fs::File::open(file).at("open", file)?;
    let rows = match Rows::open(opened) {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(format!("it can't be read: {error}"))),
    };
    let origin = match rows.origin() {
        Ok(origin) => origin,
        Err(why) => return Ok(Err(why)),
    };
    let Some(log) = find(&origin) else {
        return Ok(Err(format!(
            "its log {origin} is not here, or was not verified"
        )));
    };
    // What the name claims is compared with the rows at the end.
    let Some(first) = first_of(file) else {
        return Ok(Err(format!(
            "its name is not that of entries of {origin}: rows or the file were moved"
        )));
    };
    let mut proof = Proof {
        entries: RawEntries::open(&log.dir, first.max(log.first))?,
        log: &log,
        origin: &origin,
        end: first,
        day: None,
        seen: Seen::default(),
    };
    if let Err(why) = proof.all(&rows)? {
        return Ok(Err(why));
    }
    let Proof { end, day, seen, .. } = proof;
    if end == first {
        return Ok(Err("it has no rows".to_owned()));
    }
    let span = Span { origin, first, end };
    if !is_named(&span, day, folder, file) {
        let day = day.map_or_else(String::new, |day| format!(" on {day}"));
        return Ok(Err(format!(
            "its name is not that of entries {first} to {} of {}{day}: rows or the file were moved",
            end - 1,
            span.origin
        )));
    }
    Ok(Ok(Checked {
        unproved: end.min(log.first).saturating_sub(first),
        span,
        day,
        seen,
    }))
}

/// The first entry of a file, as its name says it.
fn first_of(file: &Path) -> Option<u64> {
    let (_, span) = file.file_stem()?.to_str()?.rsplit_once('.')?;
    span.split_once('-')?.0.parse().ok()
}

/// Rows that are compared with the entries of their log, one after the other.
struct Proof<'a> {
    log: &'a Signed,
    origin: &'a str,
    entries: RawEntries,
    /// The entry whose row is next.
    end: u64,
    day: Option<Date>,
    seen: Seen,
}

impl Proof<'_> {
    /// Compares all rows of a file. They come in runs, each in an order of its own: a row waits until it is its turn.
    fn all(&mut self, rows: &Rows) -> Result<Result<(), String>, LogError> {
        let mut waiting = BTreeMap::new();
        for (at, found) in rows.cells().enumerate() {
            let found = match found {
                Ok(found) => found,
                Err(error) => return Ok(Err(format!("row {at} can't be read: {error}"))),
            };
            let Some(seq) = seq_of(&found) else {
                return Ok(Err(format!("row {at}: its seq is no number of an entry")));
            };
            if seq < self.end || waiting.insert(seq, (at, found)).is_some() {
                return Ok(Err(format!(
                    "row {at}: its seq is that of entry {seq}, which has another row or is none of this file"
                )));
            }
            while let Some((at, found)) = waiting.remove(&self.end) {
                if let Err(why) = self.one(at, &found)? {
                    return Ok(Err(why));
                }
            }
            if waiting.len() > RUN {
                break;
            }
        }
        Ok(match waiting.keys().next() {
            Some(_) => Err(format!("no row has the seq of entry {}", self.end)),
            None => Ok(()),
        })
    }

    /// Compares the row of the next entry.
    fn one(&mut self, at: usize, found: &[Cell]) -> Result<Result<(), String>, LogError> {
        let seq = self.end;
        self.end += 1;
        if seq < self.log.first {
            return Ok(Ok(()));
        }
        let entry = self
            .entries
            .next()
            .transpose()?
            .filter(|entry| entry.seq == seq && seq < self.log.size);
        let Some(entry) = entry else {
            return Ok(Err(format!("row {at}: the log has no signed entry {seq}")));
        };
        let row = Row::of(self.origin, entry.seq, &entry.bytes)?;
        if let Some(why) = difference(&row, found) {
            return Ok(Err(format!("row {at}, entry {seq}: {why}")));
        }
        if *self.day.get_or_insert(day(row.time)) != day(row.time) {
            return Ok(Err(format!("row {at}, entry {seq}: it is of another day")));
        }
        count(&row, &mut self.seen);
        Ok(Ok(()))
    }
}

/// The number of the entry that a row is of.
fn seq_of(row: &[Cell]) -> Option<u64> {
    let at = COLUMNS.iter().position(|column| column.name == "seq")?;
    match row.get(at)? {
        Cell::Number(seq) => u64::try_from(*seq).ok(),
        _ => None,
    }
}

/// Whether a file has the name that follows from what it has. Of a day that nothing proves, any will do.
fn is_named(span: &Span, of: Option<Date>, folder: &Path, file: &Path) -> bool {
    let name = |day| path(&span.origin, day, span.first, span.end);
    match of {
        Some(day) => name(day).is_some_and(|path| folder.join(path) == file),
        None => {
            name(Date::ZERO).is_some_and(|path| Path::new(&path).file_name() == file.file_name())
        }
    }
}

fn difference(row: &Row, found: &[Cell]) -> Option<String> {
    if found.len() != row.cells.len() {
        return Some("it has other columns".to_owned());
    }
    let differing = COLUMNS.iter().zip(&row.cells).zip(found);
    let mut differing = differing.filter(|((_, said), found)| said != found);
    differing
        .next()
        .map(|((column, _), _)| format!("{} is not what the log says", column.name))
}

fn count(row: &Row, seen: &mut Seen) {
    seen.entries += 1;
    if row.word("type") == "heartbeat" {
        seen.heartbeat(row.time);
    }
    if row.word("outcome") == "Fail" {
        seen.failures += 1;
    }
}

/// The rows of a file.
struct Rows(SerializedFileReader<fs::File>);

impl Rows {
    fn open(file: fs::File) -> Result<Self, ParquetError> {
        SerializedFileReader::new(file).map(Self)
    }

    /// The log of the first row: each row is compared with an entry of that.
    fn origin(&self) -> Result<String, String> {
        let first = self.cells().next();
        let first = first
            .ok_or("it has no rows")?
            .map_err(|error| error.to_string())?;
        let at = COLUMNS.iter().position(|column| column.name == "log");
        match at.and_then(|at| first.get(at)) {
            Some(Cell::Word(origin)) => Ok(origin.to_string()),
            _ => Err("it has other columns".to_owned()),
        }
    }

    fn cells(&self) -> impl Iterator<Item = Result<Vec<Cell>, ParquetError>> {
        let rows = self.0.get_row_iter(None);
        let (rows, failed) = match rows {
            Ok(rows) => (Some(rows), None),
            Err(error) => (None, Some(Err(error))),
        };
        let cells = rows.into_iter().flatten().map(|row| {
            let row = row?;
            let odd = || ParquetError::General("it has other columns".to_owned());
            if row.len() != COLUMNS.len() {
                return Err(odd());
            }
            row.get_column_iter()
                .zip(&COLUMNS)
                .map(|((name, field), column)| {
                    let ours = name == column.name;
                    cell(field).filter(|_| ours).ok_or_else(odd)
                })
                .collect()
        });
        cells.chain(failed)
    }
}

/// `None` for what no column of ours holds: it was not compared, so it is not proved.
fn cell(field: &Field) -> Option<Cell> {
    Some(match field {
        Field::Null => Cell::Null,
        Field::Long(value) => Cell::Number(*value),
        Field::TimestampMicros(value) => Cell::Time(*value),
        Field::Str(word) => Cell::Word(word.as_str().into()),
        Field::Bytes(bytes) => Cell::Hash(Box::new(bytes.data().try_into().ok()?)),
        _ => return None,
    })
}
