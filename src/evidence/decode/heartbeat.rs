//! Reads heartbeats one after the other. Each says of dozens of controls how many subjects passed and failed, mostly what the
//! one before it said: only rows with another text are read.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;

use super::text::Plain;
use super::{HEARTBEAT, version_of};
use crate::evidence::body::{Body, ControlCounts, Counts, Heartbeat, KindFreshness};
use crate::evidence::entry::{Entry, VERSION};

/// A heartbeat, by what is new in it.
#[derive(Debug)]
pub(in crate::evidence) struct Beat {
    v: u32,
    seq: u64,
    time: Timestamp,
    subjects: u64,
    by_outcome: Counts,
    /// How many rows it has.
    count: usize,
    /// The rows that are not as in the one before, by their place.
    changed: Vec<(usize, ControlCounts)>,
    table_digest: String,
    kinds: Vec<KindFreshness>,
}

impl Beat {
    /// When it was observed.
    pub(in crate::evidence) const fn time(&self) -> Timestamp {
        self.time
    }

    /// The entry that it is, after the one before it; `None` if that one can't have been before it.
    pub(super) fn after(self, before: Option<Entry>) -> Option<Entry> {
        let mut controls = match before {
            Some(Entry {
                body: Body::Heartbeat(before),
                ..
            }) => before.controls,
            _ => Vec::new(),
        };
        controls.truncate(self.count);
        for (at, row) in self.changed {
            (at <= controls.len()).then_some(())?;
            put(&mut controls, at, row);
        }
        (controls.len() == self.count).then_some(Entry {
            v: self.v,
            seq: self.seq,
            time: self.time,
            body: Body::Heartbeat(Heartbeat {
                subjects: self.subjects,
                by_outcome: self.by_outcome,
                controls,
                table_digest: self.table_digest,
                kinds: self.kinds,
            }),
        })
    }
}

/// The text of the last heartbeat.
#[derive(Debug, Default)]
pub(in crate::evidence) struct Beats {
    text: Vec<u8>,
    /// The part of it that each row is; none where it could not be read.
    rows: Vec<Range<usize>>,
}

impl Beats {
    /// Reads the heartbeat that stands at position `seq`. `None` of all others, and of one that does not look as it is
    /// written: the next one is read as if there was none before it.
    pub(in crate::evidence) fn read(&mut self, seq: u64, bytes: &[u8]) -> Option<Beat> {
        version_of(bytes, HEARTBEAT)?;
        let read = self.differing(seq, bytes);
        if read.is_some() {
            self.text.clear();
            self.text.extend_from_slice(bytes);
        } else {
            self.rows.clear();
        }
        read
    }

    fn differing(&mut self, seq: u64, bytes: &[u8]) -> Option<Beat> {
        let mut at = Cursor { bytes, at: 0 };
        at.passes(b"{\"byOutcome\":").then_some(())?;
        let by_outcome: Counts = at.value()?;
        at.passes(b",\"controls\":[").then_some(())?;
        let (mut count, mut changed) = (0, Vec::new());
        while !at.passes(b"]") {
            (count == 0 || at.passes(b",")).then_some(())?;
            let begin = at.at;
            let known = self.rows.get(count).and_then(|row| {
                let text = self.text.get(row.clone())?;
                at.passes(text).then_some(())
            });
            if known.is_none() {
                changed.push((count, at.value()?));
            }
            put(&mut self.rows, count, begin..at.at);
            count += 1;
        }
        self.rows.truncate(count);
        let rest = at.rest()?;
        let v = u32::try_from(rest.v).ok()?;
        ((1..=VERSION).contains(&v) && rest.seq == seq).then_some(())?;
        Some(Beat {
            v,
            seq,
            time: rest.time,
            subjects: rest.subjects,
            by_outcome,
            count,
            changed,
            table_digest: rest.table_digest.to_owned(),
            kinds: rest.kinds,
        })
    }
}

fn put<T>(list: &mut Vec<T>, at: usize, item: T) {
    match list.get_mut(at) {
        Some(place) => *place = item,
        None => list.push(item),
    }
}

/// What follows the rows of a heartbeat. With anything else it is read the plain way.
struct Rest<'a> {
    kinds: Vec<KindFreshness>,
    seq: u64,
    subjects: u64,
    table_digest: &'a str,
    time: Timestamp,
    v: u64,
}

/// A place in the text of an entry.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Whether this comes next: then it is passed.
    fn passes(&mut self, text: &[u8]) -> bool {
        let next = self.bytes.get(self.at..).unwrap_or_default();
        let comes = next.starts_with(text);
        self.at += if comes { text.len() } else { 0 };
        comes
    }

    fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let next = self.bytes.get(self.at..)?;
        let mut values = serde_json::Deserializer::from_slice(next).into_iter();
        let value = values.next()?.ok()?;
        let length = values.byte_offset();
        // Of what it skips, the reader does not see whether it is text.
        std::str::from_utf8(next.get(..length)?).ok()?;
        self.at += length;
        Some(value)
    }

    /// The fields that follow.
    fn rest(&mut self) -> Option<Rest<'a>> {
        self.passes(b",\"kinds\":").then_some(())?;
        let kinds = if self.passes(b"[]") {
            Vec::new()
        } else {
            self.value()?
        };
        let mut at = Plain::new(self.bytes.get(self.at..)?)?;
        at.passes(",").then_some(())?;
        let seq = at.named("\"seq\":", Plain::number)?;
        let subjects = at.named("\"subjects\":", Plain::number)?;
        let table_digest = at.named("\"tableDigest\":", Plain::text)?;
        let time = at.named("\"time\":", Plain::time)?;
        at.passes("\"type\":\"heartbeat\",\"v\":").then_some(())?;
        let v = at.number()?;
        (at.passes("}") && at.is_read()).then_some(Rest {
            kinds,
            seq,
            subjects,
            table_digest,
            time,
            v,
        })
    }
}
