//! Hands the entries of a log to somebody while it is verified, so that nobody has to read it twice.

use std::path::Path;

use super::facts::Read;
use crate::evidence::decode::Decoder;
use crate::evidence::entry::Entry;
use crate::evidence::error::LogError;
use crate::evidence::reader;

/// Whoever wants to hear each entry, in order.
pub(super) type Listener<'a> = &'a mut dyn FnMut(&Entry);

/// Tells a listener.
pub(super) struct Hearing<'a> {
    listener: Option<Listener<'a>>,
    decoder: Decoder,
    /// The number of the next entry that was not told yet.
    next: u64,
}

impl<'a> Hearing<'a> {
    /// With nobody there, nothing is told.
    pub(super) fn new(listener: Option<Listener<'a>>) -> Self {
        Self {
            listener,
            decoder: Decoder::default(),
            next: 0,
        }
    }

    /// Whether somebody listens, and has missed nothing so far.
    pub(super) const fn is_whole(&self) -> bool {
        self.listener.is_some()
    }

    /// Another log begins.
    pub(super) const fn begin(&mut self) {
        self.next = 0;
    }

    /// Something is wrong: what follows would not be what the log says.
    pub(super) fn give_up(&mut self) {
        self.listener = None;
    }

    /// Tells an entry, unless it was told before. Whoever has read it gives it too; it refers to no blob.
    pub(super) fn tell(&mut self, dir: &Path, seq: u64, bytes: &[u8], read: Option<Read>) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        if seq < self.next {
            return;
        }
        self.next = seq + 1;
        match read {
            Some(Read::Entry(entry)) => listener(&entry),
            Some(Read::Beat(beat)) => match self.decoder.take(beat) {
                Some(entry) => listener(entry),
                None => self.give_up(),
            },
            None if whole(&mut self.decoder, dir, seq, bytes, listener).is_err() => {
                self.give_up(); // verifying says what is wrong
            }
            None => {}
        }
    }
}

fn whole(
    decoder: &mut Decoder,
    dir: &Path,
    seq: u64,
    bytes: &[u8],
    listener: &mut dyn FnMut(&Entry),
) -> Result<(), LogError> {
    let entry = decoder.read(seq, bytes)?;
    match reader::unspilled(dir, entry)? {
        Some(entry) => listener(&entry),
        None => listener(entry),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Trust, verify_and_hear};
    use super::*;
    use crate::evidence::body::{Content, ControlCounts, Heartbeat, PolicyChange};
    use crate::evidence::key::PrivateKey;
    use crate::evidence::{Body, Identity, Reader, Record, epochs, samples, words::Change};
    use crate::verdict::Outcome;

    /// A policy whose spec is too large for an entry.
    fn large_policy() -> PolicyChange {
        PolicyChange {
            policy: "soc2".into(),
            uid: "p".into(),
            generation: 1,
            change: Change::Created,
            who: None,
            old_hash: None,
            new_hash: None,
            spec: Some(json!({ "controls": { "a": "x".repeat(40_000) } }).into()),
            enforcing_since: std::collections::BTreeMap::new(),
            limits_release: None,
        }
    }

    /// Heartbeats of which some rows differ from those before, come, go, or are not written as most are.
    fn heartbeat(second: i64) -> Heartbeat {
        let beat = samples::heartbeat();
        let usual = beat.controls[0].clone();
        let rows = (0..second / 9 % 6).map(|n| ControlCounts {
            control: format!("control-{n}").into(),
            by_outcome: [(Outcome::Pass, second.unsigned_abs() / 30 + n.unsigned_abs())].into(),
            ..usual.clone()
        });
        let odd = (second % 37 == 0).then(|| ControlCounts {
            control: "with \"marks\"".into(),
            ..usual.clone()
        });
        Heartbeat {
            controls: rows.chain(odd).collect(),
            ..beat
        }
    }

    fn heard(data: &Path) -> (Vec<Entry>, bool) {
        let mut entries = Vec::new();
        let (_, all) = verify_and_hear(data, &Trust::default(), &|_, _| {}, &mut |entry| {
            entries.push(entry.clone());
        })
        .unwrap();
        (entries, all)
    }

    #[test]
    fn who_listens_hears_what_a_reader_reads_and_is_told_when_not_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = PrivateKey::create(&data.join("key")).unwrap();
        let identity = Identity {
            cluster: "c-1",
            replica: "probity-0",
        };
        let mut dirs = Vec::new();
        for begin in [0, 5000] {
            let opened = epochs::open(data, identity, &key, &[], samples::time(begin)).unwrap();
            let mut records = vec![Record::new(samples::time(begin), large_policy())];
            for second in begin..begin + 300 {
                let body: Body = match second % 3 {
                    0 => heartbeat(second).into(),
                    _ => samples::transition().into(),
                };
                records.push(Record::new(samples::time(second), body));
            }
            opened.log.append(records).wait().unwrap();
            opened.log.close().unwrap();
            dirs.push(opened.dir);
        }
        let mut reader = Reader::open(data).unwrap();
        let read: Vec<Entry> = std::iter::from_fn(|| reader.next_whole())
            .map(Result::unwrap)
            .collect();
        let is_inline = |entry: &Entry| matches!(&entry.body, Body::PolicyChange(said) if matches!(said.spec, Some(Content::Inline(_))));
        assert!(read.len() > 600 && read.iter().any(is_inline));
        assert_eq!(heard(data), (read.clone(), true));

        let blobs = dirs[0].join("blobs");
        let moved = folder.path().join("moved");
        std::fs::rename(&blobs, &moved).unwrap();
        assert!(!heard(data).1, "a blob is missing");
        std::fs::rename(&moved, &blobs).unwrap();
        assert_eq!(heard(data), (read, true));
        let bundle = dirs[0].join("tile/entries/000.gz");
        std::fs::remove_file(bundle).unwrap();
        assert!(!heard(data).1, "a bundle is missing");
    }
}
