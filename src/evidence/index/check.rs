//! Proves the rows of a file against the log that it was made from.

use std::fs;
use std::path::Path;

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

/// A file whose rows are those of the log.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it has.
    pub span: Span,
    /// Its day.
    pub day: jiff::civil::Date,
    /// What its rows say.
    pub seen: Seen,
}

/// Checks a file of an index in `folder`. `find` gives the folder of a log that was verified, and how many of its entries
/// are signed.
///
/// The inner error says which row is wrong.
pub fn check(
    folder: &Path,
    file: &Path,
    find: &dyn Fn(&str) -> Option<(std::path::PathBuf, u64)>,
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
    let Some((dir, size)) = find(&origin) else {
        return Ok(Err(format!(
            "its log {origin} is not here, or was not verified"
        )));
    };
    let mut entries = RawEntries::open(&dir, first)?;
    let (mut seen, mut of, mut end) = (Seen::default(), None, first);
    for found in rows.cells() {
        let found = match found {
            Ok(found) => found,
            Err(error) => return Ok(Err(format!("row {} can't be read: {error}", end - first))),
        };
        let entry = entries
            .next()
            .transpose()?
            .filter(|entry| entry.seq == end && end < size);
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
    let Some(day) = of else {
        return Ok(Err("it has no rows".to_owned()));
    };
    if path(&origin, day, first, end).is_none_or(|path| folder.join(path) != file) {
        return Ok(Err(format!(
            "its name is not that of entries {first} to {} of {origin} on {day}: rows or the file were moved",
            end - 1
        )));
    }
    let span = Span { origin, first, end };
    Ok(Ok(Checked { span, day, seen }))
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
