//! Proves the rows of a file against the log that it was made from.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::columns::{COLUMNS, Cell, Row};
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
    let (origin, first) = match rows.begin() {
        Ok(begin) => begin,
        Err(why) => return Ok(Err(why)),
    };
    let Some(log) = find(&origin) else {
        return Ok(Err(format!(
            "its log {origin} is not here, or was not verified"
        )));
    };
    let mut entries = RawEntries::open(&log.dir, first.max(log.first))?;
    let (mut seen, mut of, mut end) = (Seen::default(), None, first);
    for found in rows.cells() {
        let found = match found {
            Ok(found) => found,
            Err(error) => return Ok(Err(format!("row {} can't be read: {error}", end - first))),
        };
        if end < log.first {
            end += 1;
            continue;
        }
        let entry = entries
            .next()
            .transpose()?
            .filter(|entry| entry.seq == end && end < log.size);
        let Some(entry) = entry else {
            return Ok(Err(format!(
                "row {}: the log has no signed entry {end}",
                end - first
            )));
        };
        let row = Row::of(&origin, entry.seq, &entry.bytes)?;
        if let Some(why) = difference(&row, &found) {
            return Ok(Err(format!("row {}, entry {end}: {why}", end - first)));
        }
        if *of.get_or_insert(day(row.time)) != day(row.time) {
            return Ok(Err(format!(
                "row {}, entry {end}: it is of another day",
                end - first
            )));
        }
        count(&row, &mut seen);
        end += 1;
    }
    if end == first {
        return Ok(Err("it has no rows".to_owned()));
    }
    let span = Span { origin, first, end };
    if !is_named(&span, of, folder, file) {
        let day = of.map_or_else(String::new, |day| format!(" on {day}"));
        return Ok(Err(format!(
            "its name is not that of entries {first} to {} of {}{day}: rows or the file were moved",
            end - 1,
            span.origin
        )));
    }
    Ok(Ok(Checked {
        unproved: end.min(log.first).saturating_sub(first),
        span,
        day: of,
        seen,
    }))
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

    /// The log and number of the first row.
    fn begin(&self) -> Result<(String, u64), String> {
        let first = self.cells().next();
        let first = first
            .ok_or("it has no rows")?
            .map_err(|error| error.to_string())?;
        let at = |name: &str| {
            let at = COLUMNS.iter().position(|column| column.name == name)?;
            first.get(at).cloned()
        };
        match (at("log"), at("seq")) {
            (Some(Cell::Word(origin)), Some(Cell::Number(seq))) => {
                let seq = u64::try_from(seq).map_err(|_| "its first number is negative")?;
                Ok((origin, seq))
            }
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
        Field::Str(word) => Cell::Word(word.clone()),
        Field::Bytes(bytes) => Cell::Hash(bytes.data().try_into().ok()?),
        _ => return None,
    })
}
