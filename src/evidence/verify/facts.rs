//! What is checked of each entry by itself, and what of it the story of the log needs. Nothing is copied: this runs a
//! million times a second.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::evidence::blob::BlobRef;
use crate::evidence::body::{Accepted, Body, Content};
use crate::evidence::decode::{Beat, Beats, Decoder, TRANSITION, direct, said, version_of};
use crate::evidence::entry::{Entry, VERSION};
use crate::evidence::error::LogError;
use crate::evidence::words::{Cause, End};
use crate::verdict::{Outcome, Severity, Strength};

/// What an entry adds to the story of its log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) says: Says,
    /// Blobs that it refers to.
    pub(super) blobs: Vec<BlobRef>,
}

/// The parts of bodies that matter beyond the entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Says {
    /// All that has no part in the story but its time.
    Other,
    /// Whatever is rare.
    Body(Box<Body>),
}

/// A transition, read without keeping it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "reading the fields is the check")]
struct Transition<'a> {
    seq: u64,
    time: Timestamp,
    #[serde(borrow)]
    policies: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    control: Cow<'a, str>,
    rule_version: Option<u32>,
    #[serde(borrow)]
    subject: Subject<'a>,
    #[serde(default)]
    from: Option<Outcome>,
    #[serde(default)]
    to: Option<Outcome>,
    strength: Option<Strength>,
    severity: Severity,
    cause: Option<Cause>,
    #[serde(default)]
    ended: Option<End>,
    #[serde(default)]
    opened: Option<Timestamp>,
    #[serde(default)]
    accepted: Option<Accepted>,
    message: Option<IgnoredAny>,
    reason: IgnoredAny,
    params_hash: Option<IgnoredAny>,
    scope_hash: Option<IgnoredAny>,
}

impl Transition<'_> {
    /// The first field without which no entry of version 1 was written.
    fn lacks(&self) -> Option<&'static str> {
        let fields = [
            ("strength", self.strength.is_some()),
            ("cause", self.cause.is_some()),
            ("message", self.message.is_some()),
            ("ruleVersion", self.rule_version.is_some()),
            ("paramsHash", self.params_hash.is_some()),
            ("scopeHash", self.scope_hash.is_some()),
        ];
        let absent = fields.into_iter().find(|(_, there)| !there);
        absent.map(|(field, _)| field)
    }
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "reading the fields is the check")]
struct Subject<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
}

/// Reads an entry that stands at position `seq`. An error says what is wrong with it.
pub(super) fn read(seq: u64, bytes: &[u8]) -> Result<Fact, String> {
    read_with(&mut Decoder::default(), seq, bytes)
}

/// The same, after others: of a heartbeat only what differs from the one before is read.
pub(super) fn read_with(decoder: &mut Decoder, seq: u64, bytes: &[u8]) -> Result<Fact, String> {
    if let Some(said) = said(bytes).filter(|said| said.seq == seq) {
        return Ok(quiet(seq, said.time));
    }
    if let Some(version) = version_of(bytes, TRANSITION) {
        // Of what is ignored, such as the message, the reader would not see whether it is text.
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let said: Transition<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if said.seq != seq {
            return Err(format!("it says that it is entry {}", said.seq));
        }
        if version == 1
            && let Some(field) = said.lacks()
        {
            return Err(format!("missing field `{field}`"));
        }
        return Ok(quiet(seq, said.time));
    }
    let entry = decoder.read(seq, bytes).map_err(|error| match error {
        LogError::Entry { reason, .. } => reason,
        other => other.to_string(),
    })?;
    let says = match &entry.body {
        Body::Heartbeat(_) | Body::Population(_) => Says::Other,
        body => Says::Body(Box::new(body.clone())),
    };
    Ok(Fact {
        seq,
        time: entry.time,
        blobs: blobs(&entry.body),
        says,
    })
}

/// An entry that was read for somebody who wants to hear it.
#[derive(Debug)]
pub(super) enum Read {
    /// All of it.
    Entry(Entry),
    /// What of a heartbeat is not as in the one that was read before it.
    Beat(Beat),
}

/// The same of a transition or a heartbeat with all that it says, for somebody who wants to hear it: so it is read only
/// once. `None` leaves it to [`read_with`], which also knows what is wrong.
pub(super) fn whole(beats: &mut Beats, seq: u64, bytes: &[u8]) -> Option<(Fact, Read)> {
    if let Some(beat) = beats.read(seq, bytes) {
        return Some((quiet(seq, beat.time()), Read::Beat(beat)));
    }
    // What the first version may not leave out is there by default in the types.
    let is_latest = version_of(bytes, TRANSITION)? == VERSION;
    let entry = is_latest.then(|| direct(bytes)).flatten()?;
    (entry.seq == seq).then(|| (quiet(seq, entry.time), Read::Entry(entry)))
}

/// What adds nothing but its time.
const fn quiet(seq: u64, time: Timestamp) -> Fact {
    Fact {
        seq,
        time,
        says: Says::Other,
        blobs: Vec::new(),
    }
}

/// The blobs to which a body refers.
fn blobs(body: &Body) -> Vec<BlobRef> {
    let content = |content: &Content| match content {
        Content::Blob(blob) => Some(blob.clone()),
        Content::Inline(_) => None,
    };
    match body {
        Body::Spilled(spilled) => vec![spilled.content.clone()],
        body => body.contents().into_iter().filter_map(content).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::entry::{Record, encode};
    use crate::evidence::samples;

    #[test]
    fn bytes_that_are_no_text_are_refused_wherever_they_stand() {
        for body in [
            Body::from(samples::transition()),
            samples::heartbeat().into(),
        ] {
            let bytes = encode(&Record::new(samples::time(3), body), 9)
                .unwrap()
                .bytes;
            let text: Vec<usize> = (0..bytes.len())
                .filter(|at| bytes[*at].is_ascii_alphabetic())
                .collect();
            for at in text {
                let mut damaged = bytes.clone();
                damaged[at] = 0x80;
                assert!(read(9, &damaged).is_err(), "{at}");
                assert!(whole(&mut Beats::default(), 9, &damaged).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        for body in samples::bodies() {
            let record = Record::new(samples::time(3), body.clone());
            let bytes = encode(&record, 9).unwrap().bytes;
            let fact = read(9, &bytes).unwrap();
            assert_eq!(fact.time, samples::time(3));
            let read_by = |seq| whole(&mut Beats::default(), seq, &bytes);
            if let Some((same, read)) = read_by(9) {
                let entry = match read {
                    Read::Entry(entry) => entry,
                    Read::Beat(beat) => Decoder::default().take(beat).unwrap().clone(),
                };
                assert_eq!((&same, &entry.body), (&fact, &body));
            }
            let is_frequent = ["transition", "heartbeat"].contains(&body.kind());
            assert_eq!(read_by(9).is_some(), is_frequent);
            assert!(read_by(8).is_none(), "another place");
            match fact.says {
                Says::Other => {
                    let quiet = ["transition", "heartbeat", "population"];
                    assert!(quiet.contains(&body.kind()), "{}", body.kind());
                }
                Says::Body(read) => assert_eq!(*read, body),
            }
            assert!(read(8, &bytes).unwrap_err().contains("entry 9"));
        }
    }

    #[test]
    fn an_entry_that_lacks_a_field_is_refused() {
        let mut said = samples::transition();
        said.cause = Cause::Time;
        let record = Record::new(samples::time(3), said);
        let bytes = encode(&record, 0).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        // The sample has another cause than most, so that it is there.
        let first = text.replace("\"v\":2}", "\"v\":1}");
        let always = ["control", "subject", "severity", "uid", "time", "reason"];
        let once = [
            "strength",
            "cause",
            "message",
            "ruleVersion",
            "paramsHash",
            "scopeHash",
        ];
        let lacks = |text: &str, field: &str| {
            let without = text.replace(&format!("\"{field}\":"), "\"x\":");
            assert_ne!(without, text, "{field}");
            let refused = read(0, without.as_bytes()).is_err();
            assert!(!refused || whole(&mut Beats::default(), 0, without.as_bytes()).is_none());
            refused
        };
        assert!(read(0, first.as_bytes()).is_ok());
        for field in always {
            assert!(lacks(&text, field) && lacks(&first, field), "{field}");
        }
        for field in once {
            assert!(!lacks(&text, field) && lacks(&first, field), "{field}");
        }
    }
}
