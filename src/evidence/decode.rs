//! Reads entries from their bytes, as fast as a log of millions needs it.
//!
//! An entry is one flat object: head and body side by side. Read as such it would be buffered whole, to look for its type.
//! But keys are in order, so the bytes tell the type of the frequent entries by how they end, and their fields can be read as
//! they come. Whatever looks otherwise is left to the plain way, which also says what is wrong.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod heartbeat;
mod text;
mod time;
mod transition;

use std::borrow::Cow;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};

pub(super) use self::heartbeat::{Beat, Beats};
use self::transition::Spoken;
pub(super) use self::transition::said;
use super::body::{Body, Heartbeat, Population, Transition};
use super::entry::{Entry, VERSION};
use super::error::LogError;

/// How the bytes of a transition end, before the version.
pub(super) const TRANSITION: &[u8] = b"\"type\":\"transition\",\"v\":";
const HEARTBEAT: &[u8] = b"\"type\":\"heartbeat\",\"v\":";
const POPULATION: &[u8] = b"\"type\":\"population\",\"v\":";

/// The version of an entry whose bytes end so; `None` for other types, and versions that nobody knows.
pub(super) fn version_of(bytes: &[u8], end: &[u8]) -> Option<u32> {
    const { assert!(VERSION < 10, "a version is one digit") };
    let [before @ .., digit, b'}'] = bytes else {
        return None;
    };
    let version = u32::from(digit.checked_sub(b'0')?);
    ((1..=VERSION).contains(&version) && before.ends_with(end)).then_some(version)
}

/// Reads an entry of one of the frequent types; `None` if it is none, or anything is wrong with it.
pub(super) fn direct(bytes: &[u8]) -> Option<Entry> {
    if version_of(bytes, TRANSITION).is_some() {
        let said = said(bytes).and_then(Spoken::entry);
        said.or_else(|| read::<Transition>(bytes, "transition"))
    } else if version_of(bytes, HEARTBEAT).is_some() {
        read::<Heartbeat>(bytes, "heartbeat")
    } else if version_of(bytes, POPULATION).is_some() {
        read::<Population>(bytes, "population")
    } else {
        None
    }
}

fn read<T: DeserializeOwned + Into<Body>>(bytes: &[u8], kind: &str) -> Option<Entry> {
    let mut head = Head::default();
    let said = Said {
        head: &mut head,
        body: PhantomData::<T>,
    };
    // What is skipped, such as the value of a field that nobody knows, is no better for that.
    let text = std::str::from_utf8(bytes).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let body = said.deserialize(&mut json).ok()?.into();
    json.end().ok()?;
    (head.kind?.0 == kind).then_some(())?;
    Some(Entry {
        v: head.v?,
        seq: head.seq?,
        time: head.time?,
        body,
    })
}

/// What an entry says beside its body.
#[derive(Default)]
struct Head<'de> {
    v: Option<u32>,
    seq: Option<u64>,
    time: Option<Timestamp>,
    kind: Option<Text<'de>>,
}

/// A text that is copied only where it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a body and puts the head aside.
struct Said<'h, 'de, T> {
    head: &'h mut Head<'de>,
    body: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Said<'_, 'de, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Said<'_, 'de, T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        let head = self.head;
        T::deserialize(MapAccessDeserializer::new(Apart { fields, head }))
    }
}

/// The fields of an entry without those of its head.
struct Apart<'h, 'de, A> {
    fields: A,
    head: &'h mut Head<'de>,
}

impl<'de, A: MapAccess<'de>> Apart<'_, 'de, A> {
    /// Whether a field is of the head: then it was taken.
    fn takes(&mut self, key: &str) -> Result<bool, A::Error> {
        fn once<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
            match field.replace(value) {
                None => Ok(()),
                Some(_) => Err(E::custom("a field is there twice")),
            }
        }
        match key {
            "v" => once(&mut self.head.v, self.fields.next_value()?)?,
            "seq" => once(&mut self.head.seq, self.fields.next_value()?)?,
            "time" => once(&mut self.head.time, self.fields.next_value()?)?,
            "type" => once(&mut self.head.kind, self.fields.next_value()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Apart<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(Text(key)) = self.fields.next_key()? {
            if !self.takes(&key)? {
                return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

/// Reads entries one after another. A heartbeat mostly says what the one before said: only its rows that differ are read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    beats: Beats,
    /// The last heartbeat.
    heartbeat: Option<Entry>,
    /// The last entry that was something else.
    other: Option<Entry>,
}

impl Decoder {
    /// Reads the entry that stands at position `seq`, as [`Entry::decode`] does.
    pub(super) fn read(&mut self, seq: u64, bytes: &[u8]) -> Result<&Entry, LogError> {
        if let Some(beat) = self.beats.read(seq, bytes)
            && let Some(entry) = beat.after(self.heartbeat.take())
        {
            return Ok(self.heartbeat.insert(entry));
        }
        let entry = Entry::decode(seq, bytes)?;
        Ok(self.other.insert(entry))
    }

    /// Takes a heartbeat that somebody else has read, who has handed over all before it in the same way; `None` if that is
    /// not so.
    pub(super) fn take(&mut self, beat: Beat) -> Option<&Entry> {
        // What is read next is compared with no text: there was none.
        self.beats = Beats::default();
        let entry = beat.after(self.heartbeat.take())?;
        Some(self.heartbeat.insert(entry))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::body::{ControlCounts, Counts, SubjectRef};
    use super::super::{canonical, entry, samples};
    use super::*;
    use crate::evidence::Record;
    use crate::verdict::Outcome;

    /// The plain way: what serde makes of the types, and nothing else.
    fn plain(bytes: &[u8]) -> Option<Entry> {
        serde_json::from_slice(bytes).ok()
    }

    fn frequent() -> Vec<Vec<u8>> {
        let all = samples::bodies().into_iter().map(|body| {
            let record = Record::new(samples::time(3), body);
            entry::encode(&record, 9).unwrap().bytes
        });
        all.filter(|bytes| direct(bytes).is_some()).collect()
    }

    #[test]
    fn frequent_types_are_read_directly_and_as_the_plain_way_reads_them() {
        let kinds: Vec<&str> = frequent()
            .iter()
            .map(|bytes| {
                let entry = direct(bytes).unwrap();
                assert_eq!(Some(&entry), plain(bytes).as_ref());
                entry.body.kind()
            })
            .collect();
        for kind in ["transition", "population", "heartbeat"] {
            assert!(kinds.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn transitions_are_read_in_the_order_in_which_they_are_written() {
        let plainly = Transition {
            message: "\u{1f512} has no TLS".to_owned(),
            ..samples::transition()
        };
        let usual = Transition {
            owner: None,
            from: None,
            deviation: None,
            strength: crate::evidence::body::usual_strength(),
            message: String::new(),
            policies: Vec::new(),
            ..samples::transition()
        };
        let all = [
            plainly.clone(),
            Transition {
                policies: vec!["a".into(), "\u{e9}\u{1f600}".into()],
                opened: Some(samples::time(1)),
                owner: Some("team".into()),
                subject: SubjectRef {
                    namespace: None,
                    ..samples::subject("x")
                },
                ..plainly
            },
            usual,
        ];
        for transition in all {
            let record = Record::new(samples::time(3), transition);
            let bytes = entry::encode(&record, 9).unwrap().bytes;
            let read = said(&bytes).and_then(Spoken::entry);
            assert_eq!(read, plain(&bytes), "{}", String::from_utf8_lossy(&bytes));
            for end in 0..bytes.len() {
                assert!(said(&bytes[..end]).is_none());
            }
        }
        let escaped = Transition {
            message: "a \"b\"".to_owned(),
            ..samples::transition()
        };
        let bytes = entry::encode(&Record::new(samples::time(3), escaped), 9)
            .unwrap()
            .bytes;
        assert!(said(&bytes).is_none() && direct(&bytes) == plain(&bytes));
    }

    fn heartbeat() -> impl Strategy<Value = Heartbeat> {
        let outcome = prop::sample::select(vec![Outcome::Pass, Outcome::Fail, Outcome::Unknown]);
        let row = (0..3_u8, prop::collection::vec((outcome, 0..3_u64), 0..3));
        let row = row.prop_map(|(control, counted)| ControlCounts {
            policy: "soc2".into(),
            control: format!("c-{control}").into(),
            by_outcome: counted.into_iter().collect(),
        });
        let rows = prop::collection::vec(row, 0..4);
        (rows, 0..2_usize).prop_map(|(controls, kinds)| Heartbeat {
            subjects: 3,
            by_outcome: Counts::default(),
            controls,
            table_digest: "d".to_owned(),
            kinds: samples::heartbeat().kinds.into_iter().take(kinds).collect(),
        })
    }

    proptest! {
        /// Whatever was read before: each entry is read as if it were the only one.
        #[test]
        fn a_heartbeat_is_read_as_if_there_was_none_before(
            beats in prop::collection::vec((heartbeat(), any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut decoder = Decoder::default();
            for (seq, (beat, damaged, at, byte)) in (0..).zip(beats) {
                let record = Record::new(samples::time(3), beat);
                let mut bytes = entry::encode(&record, seq).unwrap().bytes;
                if damaged {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                let read = decoder.read(seq, &bytes).cloned();
                let known = |entry: &Entry| entry.seq == seq && (1..=VERSION).contains(&entry.v);
                let alone = plain(&bytes).filter(known);
                prop_assert_eq!(read.ok(), alone);
            }
        }

        /// Whatever bytes are changed: what is read directly is what the plain way reads.
        #[test]
        fn damage_is_read_as_the_plain_way_reads_it(
            of in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let all = frequent();
            let mut bytes = all[of.index(all.len())].clone();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(entry) = direct(&bytes) {
                prop_assert_eq!(Some(entry), plain(&bytes));
            }
        }

        /// Fields that change places, are there twice, are missing, or are new.
        #[test]
        fn the_direct_way_takes_nothing_that_the_plain_way_refuses(
            of in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
            twice: bool,
        ) {
            let all = frequent();
            let bytes = &all[of.index(all.len())];
            let Value::Object(fields) = serde_json::from_slice(bytes).unwrap() else { unreachable!() };
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| {
                    let value = canonical::value_to_vec(value).unwrap();
                    format!("\"{key}\":{}", String::from_utf8(value).unwrap())
                })
                .collect();
            let from = from.index(fields.len());
            let moved = if twice { fields[from].clone() } else { fields.remove(from) };
            fields.insert(to.index(fields.len() + 1), moved);
            let text = format!("{{{}}}", fields.join(","));
            if let Some(entry) = direct(text.as_bytes()) {
                prop_assert_eq!(Some(entry), plain(text.as_bytes()));
            }
            let decoded = Decoder::default().read(9, text.as_bytes()).cloned();
            prop_assert_eq!(decoded.ok(), plain(text.as_bytes()));
        }
    }
}
