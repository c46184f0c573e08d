//! Writes files of the index, a run of rows at a time, so that a long day needs no more memory than a short one.
//!
//! Whoever asks for a control should not have to read the others: so the rows of a run are in the order of their controls,
//! and in groups of which an engine reads only those that may have what it looks for. DuckDB unpacks all pages of a group
//! that it reads (`ColumnReader::ApplyPendingSkips` in its `extension/parquet/column_reader.cpp`), so groups are small; and it
//! reads what a file says of each of its groups before any of them, so they are few.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::ColumnPath;

use super::columns::{COLUMNS, Cell, Column, Kind, Row, schema};
use crate::evidence::error::{At, LogError};
use crate::evidence::sealed::corrupt;
use crate::evidence::storage::{self, Disk, Storage};

/// Rows of a run: they are held before they are written. A day of most clusters is one run.
pub(super) const RUN: usize = 4 * GROUP;

/// Rows of a group.
const GROUP: usize = 8192;

/// Columns by which groups are left out. Of the others each group has about everything.
const SEARCHED: [&str; 5] = ["seq", "time", "type", "control", "outcome"];

/// Columns whose words are about all different: a list of them would be read first, and is as long as they are.
const VARIED: [&str; 3] = ["subject_name", "subject_uid", "deviation"];

/// A file that is written.
pub(super) struct File {
    pub(super) day: Date,
    root: PathBuf,
    origin: String,
    first: u64,
    end: u64,
    unfinished: PathBuf,
    writer: SerializedFileWriter<fs::File>,
    rows: Vec<Row>,
    /// The words in these rows: most are there many times.
    words: HashSet<Arc<str>>,
}

impl File {
    /// Begins the file of a day with the entry `first` of a log.
    pub(super) fn begin(
        root: &Path,
        origin: &str,
        day: Date,
        first: u64,
    ) -> Result<Self, LogError> {
        fs::create_dir_all(root).at("create", root)?;
        let unfinished = root.join("unfinished");
        let file = fs::File::create(&unfinished).at("create", &unfinished)?;
        let writer = schema()
            .and_then(|schema| SerializedFileWriter::new(file, schema, Arc::new(properties())));
        Ok(Self {
            day,
            root: root.to_owned(),
            origin: origin.to_owned(),
            first,
            end: first,
            writer: writer.map_err(|error| failed(&unfinished, error))?,
            unfinished,
            rows: Vec::new(),
            words: HashSet::new(),
        })
    }

    /// Adds the next row.
    pub(super) fn push(&mut self, mut row: Row) -> Result<(), LogError> {
        self.end = row.seq + 1;
        for cell in &mut row.cells {
            if let Cell::Word(word) = cell {
                match self.words.get(word) {
                    Some(known) => *word = Arc::clone(known),
                    None => {
                        self.words.insert(Arc::clone(word));
                    }
                }
            }
        }
        self.rows.push(row);
        if self.rows.len() == RUN {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), LogError> {
        let mut rows = std::mem::take(&mut self.rows);
        self.words.clear();
        rows.sort_by_cached_key(|row| {
            let [kind, control] = ["type", "control"].map(|name| row.word(name).to_owned());
            (kind, control, row.seq)
        });
        for group in rows.chunks(GROUP) {
            let written = write_group(&mut self.writer, group);
            written.map_err(|error| failed(&self.unfinished, error))?;
        }
        Ok(())
    }

    /// Puts the whole file under its name.
    pub(super) fn finish(mut self) -> Result<PathBuf, LogError> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        let file = self.writer.into_inner();
        let file = file.map_err(|error| failed(&self.unfinished, error))?;
        file.sync_all().at("sync", &self.unfinished)?;
        let path = super::path(&self.origin, self.day, self.first, self.end).ok_or_else(|| {
            let reason = format!("{} is no name of a log of this program", self.origin);
            corrupt(&self.unfinished, 0, reason)
        })?;
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        storage::create_folders(&Disk, &self.root, folder)?;
        fs::rename(&self.unfinished, &path).at("rename", &self.unfinished)?;
        Disk.sync_dir(folder).at("sync", folder)?;
        Ok(path)
    }
}

fn failed(path: &Path, error: ParquetError) -> LogError {
    LogError::Io {
        action: "write",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("probity".to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in &COLUMNS {
        let path = ColumnPath::from(column.name);
        if column.name == "leaf" {
            // Hashes are all different, and noise.
            properties = properties
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_dictionary_enabled(path, false);
            continue;
        }
        if matches!(column.kind, Kind::Number | Kind::Time) {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if VARIED.contains(&column.name) {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        if !SEARCHED.contains(&column.name) {
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    properties.build()
}

/// Writes some rows as one group.
pub(super) fn write_group(
    writer: &mut SerializedFileWriter<fs::File>,
    rows: &[Row],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for (at, column) in COLUMNS.iter().enumerate() {
        let Some(mut to) = group.next_column()? else {
            return Err(ParquetError::General(
                "the schema lacks a column".to_owned(),
            ));
        };
        let cells = rows.iter().filter_map(|row| row.cells.get(at));
        write_column(&mut to, column, cells)?;
        to.close()?;
    }
    group.close()?;
    Ok(())
}

fn write_column<'a>(
    to: &mut SerializedColumnWriter<'_>,
    column: &Column,
    cells: impl Iterator<Item = &'a Cell> + Clone,
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells
        .clone()
        .map(|cell| i16::from(*cell != Cell::Null))
        .collect();
    let levels = column.is_optional().then_some(levels.as_slice());
    match column.kind {
        Kind::Number | Kind::Time => {
            let values: Vec<i64> = cells
                .filter_map(|cell| match cell {
                    Cell::Number(value) | Cell::Time(value) => Some(*value),
                    _ => None,
                })
                .collect();
            to.typed::<Int64Type>().write_batch(&values, levels, None)?;
        }
        Kind::Hash => {
            let values: Vec<FixedLenByteArray> = cells
                .filter_map(|cell| match cell {
                    Cell::Hash(hash) => Some(ByteArray::from(hash.to_vec()).into()),
                    _ => None,
                })
                .collect();
            to.typed::<FixedLenByteArrayType>()
                .write_batch(&values, levels, None)?;
        }
        Kind::Word => {
            let values: Vec<ByteArray> = cells
                .filter_map(|cell| match cell {
                    Cell::Word(word) => Some((&**word).into()),
                    _ => None,
                })
                .collect();
            to.typed::<ByteArrayType>()
                .write_batch(&values, levels, None)?;
        }
    }
    Ok(())
}
