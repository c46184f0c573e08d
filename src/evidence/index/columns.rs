//! The columns of the index, and how an entry becomes a row. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use serde_json::Value;

use crate::evidence::body::{usual_cause, usual_strength};
use crate::evidence::error::LogError;
use crate::evidence::merkle;

/// A value. Small, for tens of thousands of rows are held at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    /// Microseconds since 1970.
    Time(i64),
    Hash(Box<[u8; 32]>),
    Word(Arc<str>),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Time,
    Hash,
    Word,
}

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Where its value is in an entry, in the order in which it is looked for. Columns without are never null.
    from: &'static [&'static str],
    /// The type of entry that has it; empty where any may.
    of: &'static str,
}

const fn column(
    name: &'static str,
    kind: Kind,
    of: &'static str,
    from: &'static [&'static str],
) -> Column {
    Column {
        name,
        kind,
        from,
        of,
    }
}

/// All columns. New ones are added at the end, and none is renamed: files are read for years.
pub(super) const COLUMNS: [Column; 27] = [
    column("seq", Kind::Number, "", &[]),
    column("leaf", Kind::Hash, "", &[]),
    column("log", Kind::Word, "", &[]),
    column("time", Kind::Time, "", &[]),
    column("type", Kind::Word, "", &[]),
    column("control", Kind::Word, "", &["/control"]),
    column("policies", Kind::Word, "", &["/policies", "/policy"]),
    column(
        "subject_group",
        Kind::Word,
        "",
        &["/subject/group", "/target/group"],
    ),
    column(
        "subject_kind",
        Kind::Word,
        "",
        &["/subject/kind", "/target/kind"],
    ),
    column(
        "subject_namespace",
        Kind::Word,
        "",
        &["/subject/namespace", "/target/namespace"],
    ),
    column(
        "subject_name",
        Kind::Word,
        "",
        &["/subject/name", "/target/name"],
    ),
    column(
        "subject_uid",
        Kind::Word,
        "",
        &["/subject/uid", "/target/uid"],
    ),
    column("owner", Kind::Word, "transition", &["/owner"]),
    column("outcome_before", Kind::Word, "transition", &["/from"]),
    column("outcome", Kind::Word, "transition", &["/to"]),
    column("strength", Kind::Word, "transition", &["/strength"]),
    column("severity", Kind::Word, "transition", &["/severity"]),
    column("reason", Kind::Word, "", &["/reason"]),
    column("cause", Kind::Word, "", &["/cause"]),
    column("ended", Kind::Word, "transition", &["/ended"]),
    column("deviation", Kind::Word, "transition", &["/deviation"]),
    column("action", Kind::Word, "intent", &["/action"]),
    column("result", Kind::Word, "outcome", &["/result"]),
    column("gap_scope", Kind::Word, "gap", &["/scope"]),
    column("gap_from", Kind::Time, "gap", &["/from"]),
    column("gap_to", Kind::Time, "gap", &["/to"]),
    column("subjects", Kind::Number, "heartbeat", &["/subjects"]),
];

impl Column {
    /// Whether it has no value in some rows.
    pub(super) const fn is_optional(&self) -> bool {
        !self.from.is_empty()
    }

    fn value(&self, entry: &Value, kind: &str) -> Cell {
        if !self.of.is_empty() && self.of != kind {
            return Cell::Null;
        }
        let found = self.from.iter().find_map(|path| entry.pointer(path));
        let Some(found) = found.filter(|found| !found.is_null()) else {
            return match (kind, self.name) {
                ("transition", "strength") => Cell::Word(usual_strength().as_str().into()),
                ("transition", "cause") => Cell::Word(usual_cause().as_str().into()),
                _ => Cell::Null,
            };
        };
        match self.kind {
            Kind::Number => found.as_i64().map_or(Cell::Null, Cell::Number),
            Kind::Time => time(found).map_or(Cell::Null, |time| Cell::Time(time.as_microsecond())),
            Kind::Word => Cell::Word(word(found).into()),
            Kind::Hash => Cell::Null,
        }
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A value as text: lists of words with spaces between them, anything else as JSON.
fn word(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(" ")
        }
        other => other.to_string(),
    }
}

/// The schema of the files.
pub(super) fn schema() -> Result<Arc<Type>, parquet::errors::ParquetError> {
    let fields: Vec<String> = COLUMNS
        .iter()
        .map(|column| {
            let repetition = if column.is_optional() {
                "OPTIONAL"
            } else {
                "REQUIRED"
            };
            let (physical, logical) = match column.kind {
                Kind::Number => ("INT64", ""),
                Kind::Time => ("INT64", " (TIMESTAMP(MICROS,true))"),
                Kind::Hash => ("FIXED_LEN_BYTE_ARRAY (32)", ""),
                Kind::Word => ("BYTE_ARRAY", " (STRING)"),
            };
            format!("{repetition} {physical} {}{logical};", column.name)
        })
        .collect();
    parse_message_type(&format!("message entry {{ {} }}", fields.join(" "))).map(Arc::new)
}

/// An entry as a row.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    /// A cell for each column.
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// The row of an entry of a log.
    pub(super) fn of(log: &str, seq: u64, entry: &[u8]) -> Result<Self, LogError> {
        let wrong = |reason: String| LogError::Entry { seq, reason };
        let value: Value =
            serde_json::from_slice(entry).map_err(|error| wrong(error.to_string()))?;
        let time = value.get("time").and_then(time);
        let time = time.ok_or_else(|| wrong("it has no time".to_owned()))?;
        let kind = value.get("type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| wrong("it has no type".to_owned()))?;
        let cells = COLUMNS.iter().map(|column| match column.name {
            "seq" => Cell::Number(i64::try_from(seq).unwrap_or(i64::MAX)),
            "leaf" => Cell::Hash(Box::new(merkle::leaf(entry))),
            "log" => Cell::Word(log.into()),
            "time" => Cell::Time(time.as_microsecond()),
            "type" => Cell::Word(kind.into()),
            _ => column.value(&value, kind),
        });
        let cells = cells.collect();
        Ok(Self { seq, time, cells })
    }

    /// The word in a column.
    pub(super) fn word(&self, name: &str) -> &str {
        let at = COLUMNS.iter().position(|column| column.name == name);
        match at.and_then(|at| self.cells.get(at)) {
            Some(Cell::Word(word)) => word,
            _ => "",
        }
    }
}
