//! An entry of the log: what is said, when, and at which position; as canonical bytes and back.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod in_order;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blob::{Blob, BlobRef, MAX_INLINE};
use super::body::{Body, Content, Population, Spilled, SubjectRef};
use super::canonical;
use super::decode;
use super::error::LogError;
use super::frame::MAX_ENTRY;

/// Version of the format of entries that are written. All up to it are read.
///
/// 2 leaves out of transitions what is so most of the time, or was said before.
pub const VERSION: u32 = 2;

/// Subjects per population entry: about 200 bytes each, well below the limit of a frame.
const SUBJECTS_PER_ENTRY: usize = 200;

/// What is to be logged. The log gives it its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was observed.
    pub time: Timestamp,
    /// What it says.
    pub body: Body,
}

impl Record {
    /// Says something at a time.
    pub fn new(time: Timestamp, body: impl Into<Body>) -> Self {
        Self {
            time,
            body: body.into(),
        }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the format.
    pub v: u32,
    /// Position in the log, from 0.
    pub seq: u64,
    /// When it was observed.
    pub time: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

impl Entry {
    /// Reads an entry from its canonical bytes.
    pub fn decode(seq: u64, bytes: &[u8]) -> Result<Self, LogError> {
        let entry = match decode::direct(bytes) {
            Some(entry) => entry,
            None => serde_json::from_slice(bytes).map_err(|error| LogError::Entry {
                seq,
                reason: error.to_string(),
            })?,
        };
        if !(1..=VERSION).contains(&entry.v) {
            return Err(LogError::Entry {
                seq,
                reason: format!(
                    "its format has version {}, known are those up to {VERSION}",
                    entry.v
                ),
            });
        }
        if entry.seq != seq {
            return Err(LogError::Entry {
                seq,
                reason: format!("it says that it is entry {}", entry.seq),
            });
        }
        Ok(entry)
    }

    /// Puts back what was spilled, from the bytes of its blob.
    pub(super) fn unspill(self, spilled: &Spilled, content: &[u8]) -> Result<Self, LogError> {
        let body: Body = serde_json::from_slice(content).map_err(|error| LogError::Entry {
            seq: self.seq,
            reason: error.to_string(),
        })?;
        if body.kind() != spilled.of {
            return Err(LogError::Entry {
                seq: self.seq,
                reason: format!("its blob holds a {}, not a {}", body.kind(), spilled.of),
            });
        }
        Ok(Self { body, ..self })
    }
}

/// The bytes of an entry, and the blobs that have to be durable before it.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) blobs: Vec<Blob>,
}

/// Writes a record as the entry at a position.
pub(super) fn encode(record: &Record, seq: u64) -> Result<Encoded, LogError> {
    #[derive(Serialize)]
    struct Written<'a> {
        v: u32,
        seq: u64,
        time: Timestamp,
        #[serde(flatten)]
        body: &'a Body,
    }
    let write = |body: &Body| {
        canonical::to_vec(&Written {
            v: VERSION,
            seq,
            time: record.time,
            body,
        })
    };

    let (body, mut blobs) = spill_contents(&record.body)?;
    let mut bytes = in_order::write(record, seq).unwrap_or_else(|| write(&body))?;
    if bytes.len() > MAX_ENTRY {
        let blob = Blob::new(canonical::to_vec(&*body)?);
        bytes = write(&Body::Spilled(Spilled {
            of: body.kind().to_owned(),
            content: blob.reference(),
        }))?;
        blobs.push(blob);
    }
    Ok(Encoded { bytes, blobs })
}

/// Replaces values that don't belong into an entry by references.
fn spill_contents(body: &Body) -> Result<(Cow<'_, Body>, Vec<Blob>), LogError> {
    let mut blobs = Vec::new();
    let mut body = Cow::Borrowed(body);
    if !body.has_contents() {
        return Ok((body, blobs));
    }
    for content in body.to_mut().contents_mut() {
        let Content::Inline(value) = content else {
            continue;
        };
        let bytes = match canonical::value_to_vec(value) {
            Ok(bytes) if bytes.len() <= MAX_INLINE && !looks_like_reference(value) => continue,
            Ok(bytes) => bytes,
            // A fraction or a very large integer in somebody's object must not keep us from logging: its digits are kept
            // exactly, only not in canonical form.
            Err(_) => serde_json::to_vec(value).map_err(canonical::CanonicalError::from)?,
        };
        let blob = Blob::new(bytes);
        *content = Content::Blob(blob.reference());
        blobs.push(blob);
    }
    Ok((body, blobs))
}

fn looks_like_reference(value: &Value) -> bool {
    // Any object of these two keys, so that no reader has to look closer.
    value.as_object().is_some_and(|fields| {
        fields.len() == 2 && fields.contains_key("blob") && fields.contains_key("size")
    }) || serde_json::from_value::<BlobRef>(value.clone()).is_ok()
}

impl Population {
    /// The entries for a change of any size: large ones are split, joins first.
    pub fn batches(&self) -> Vec<Self> {
        let empty = || Self {
            policies: self.policies.clone(),
            control: self.control.clone(),
            joined: Vec::new(),
            left: Vec::new(),
        };
        let split = |subjects: &[SubjectRef]| {
            subjects
                .chunks(SUBJECTS_PER_ENTRY)
                .map(<[_]>::to_vec)
                .collect::<Vec<_>>()
        };
        if self.joined.len() + self.left.len() <= SUBJECTS_PER_ENTRY {
            return vec![self.clone()];
        }
        let joined = split(&self.joined)
            .into_iter()
            .map(|joined| Self { joined, ..empty() });
        let left = split(&self.left)
            .into_iter()
            .map(|left| Self { left, ..empty() });
        joined.chain(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples;
    use super::*;
    use crate::verdict::Strength;

    fn round_trip(record: &Record) -> Entry {
        let encoded = encode(record, 5).unwrap();
        assert!(encoded.blobs.is_empty());
        let entry = Entry::decode(5, &encoded.bytes).unwrap();
        assert_eq!(
            canonical::to_vec(&entry).unwrap(),
            encoded.bytes,
            "reading and writing gives the same bytes"
        );
        entry
    }

    #[test]
    fn every_kind_of_entry_comes_back_as_it_was_written() {
        for body in samples::bodies() {
            let record = Record {
                time: samples::time(1),
                body,
            };
            let entry = round_trip(&record);
            assert_eq!(
                entry,
                Entry {
                    v: VERSION,
                    seq: 5,
                    time: record.time,
                    body: record.body.clone()
                }
            );
            let value = serde_json::to_value(&entry).unwrap();
            assert_eq!(value["type"], record.body.kind());
            assert!(Body::KINDS.contains(&record.body.kind()));
        }
    }

    #[test]
    fn the_bytes_are_fixed() {
        let record = Record::new(samples::time(0), samples::intent(7));
        let bytes = encode(&record, 2).unwrap().bytes;
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"action\":\"PutBack\",\"after\":{\"a\":1},\"contentHash\":\"00\",\"control\":\"net-namespace-default-deny\",\"id\":7,\"policies\":[\"soc2\"],\
             \"seq\":2,\"target\":{\"group\":\"apps\",\"kind\":\"Deployment\",\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"u-1\"},\
             \"time\":\"2026-01-01T00:00:00Z\",\"type\":\"intent\",\"v\":2}"
        );
    }

    #[test]
    fn what_is_so_most_of_the_time_is_left_out_and_read_as_such() {
        let mut usual = samples::transition();
        usual.strength = Strength::Declared;
        usual.message = String::new();
        (usual.rule_version, usual.params_hash, usual.scope_hash) = (None, None, None);
        usual.opened = None;
        let record = Record::new(samples::time(0), usual.clone());
        let text = String::from_utf8(encode(&record, 5).unwrap().bytes).unwrap();
        for field in [
            "strength",
            "cause",
            "message",
            "Hash",
            "ruleVersion",
            "opened",
        ] {
            assert!(!text.contains(field), "{text}");
        }
        assert_eq!(round_trip(&record).body, usual.into());
        // Version 1 wrote them, and they are read as they stand there.
        let written = text
            .replace("\"control\"", "\"cause\":\"Object\",\"control\"")
            .replace("\"subject\"", "\"strength\":\"Declared\",\"subject\"")
            .replace("\"v\":2", "\"message\":\"\",\"v\":1");
        assert_ne!(written.len(), text.len());
        assert_eq!(
            Entry::decode(5, written.as_bytes()).unwrap().body,
            record.body
        );
    }

    #[test]
    fn large_odd_and_ambiguous_values_become_blobs() {
        let ambiguous = json!({"blob": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "size": 3});
        for value in [
            json!("x".repeat(MAX_INLINE)),
            json!({"share": 0.25}),
            json!(u64::MAX),
            ambiguous,
        ] {
            let mut intent = samples::intent(1);
            intent.before = Some(value.clone().into());
            let encoded = encode(&Record::new(samples::time(0), intent), 0).unwrap();
            assert!(encoded.bytes.len() < 1000);
            let Body::Intent(intent) = Entry::decode(0, &encoded.bytes).unwrap().body else {
                panic!()
            };
            let expected = if value.is_string() {
                canonical::to_vec(&value).unwrap()
            } else {
                serde_json::to_vec(&value).unwrap()
            };
            let blob = Blob::new(expected);
            assert_eq!(intent.before, Some(Content::Blob(blob.reference())));
            assert_eq!(encoded.blobs, [blob]);
        }
        let mut intent = samples::intent(1);
        intent.before = Some(json!("x".repeat(MAX_INLINE - 2)).into());
        round_trip(&Record::new(samples::time(0), intent));
    }

    #[test]
    fn an_entry_that_is_too_large_is_spilled_whole() {
        let mut heartbeat = samples::heartbeat();
        let row = heartbeat.controls[0].clone();
        heartbeat.controls = vec![row; 2000];
        let record = Record::new(samples::time(0), heartbeat);
        let encoded = encode(&record, 0).unwrap();
        assert!(encoded.bytes.len() < 300);
        let entry = Entry::decode(0, &encoded.bytes).unwrap();
        let Body::Spilled(spilled) = entry.body.clone() else {
            panic!()
        };
        assert_eq!(
            (spilled.of.as_str(), &spilled.content),
            ("heartbeat", &encoded.blobs[0].reference())
        );
        assert_eq!(
            entry
                .unspill(&spilled, &canonical::to_vec(&record.body).unwrap())
                .unwrap()
                .body,
            record.body
        );
    }

    #[test]
    fn entries_of_another_version_or_place_are_refused() {
        let bytes = encode(&Record::new(samples::time(0), samples::intent(1)), 3)
            .unwrap()
            .bytes;
        assert!(matches!(
            Entry::decode(4, &bytes),
            Err(LogError::Entry { seq: 4, .. })
        ));
        let newer = String::from_utf8(bytes)
            .unwrap()
            .replace("\"v\":2", "\"v\":3");
        assert!(
            Entry::decode(3, newer.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("version 3")
        );
    }

    #[test]
    fn populations_of_any_size_fit() {
        let subject = samples::subject("web");
        let population = Population {
            policies: vec!["soc2".into()],
            control: "c".into(),
            joined: vec![subject.clone(); 450],
            left: vec![subject; 10],
        };
        let batches = population.batches();
        assert_eq!(
            batches
                .iter()
                .map(|batch| (batch.joined.len(), batch.left.len()))
                .collect::<Vec<_>>(),
            [(200, 0), (200, 0), (50, 0), (0, 10)]
        );
    }
}
