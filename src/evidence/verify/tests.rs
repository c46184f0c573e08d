//! Attacks on a log: each is found and named.

use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::evidence::body::{Body, Gap, Stop, Term};
use crate::evidence::entry::{Record, encode};
use crate::evidence::key::PrivateKey;
use crate::evidence::publisher::Publisher;
use crate::evidence::storage::Disk;
use crate::evidence::store::Store;
use crate::evidence::{Identity, Log, RawEntries, samples};

mod attacks;
mod keys;
mod live;
mod proofs;
mod pruned;
mod replicas;
mod strays;

const IDENTITY: Identity<'_> = Identity {
    cluster: "c-1",
    replica: "probity-0",
};

fn at(second: i64) -> Timestamp {
    samples::time(second)
}

/// A data folder with a log of its own, and what is known of it.
struct Made {
    folder: tempfile::TempDir,
    trust: Trust,
}

impl Made {
    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        epochs::list(self.data()).unwrap().pop().unwrap()
    }

    fn key(&self) -> PrivateKey {
        PrivateKey::read(&self.data().join("key")).unwrap().unwrap()
    }

    fn report(&self) -> Report {
        verify(self.data(), &self.trust, &|_, _| {}).unwrap()
    }

    /// The head of the latest log, as if it had been kept elsewhere.
    fn anchor(&self) -> Anchored {
        let report = verify(self.data(), &Trust::default(), &|_, _| {}).unwrap();
        let log = report.logs.last().unwrap();
        Anchored {
            origin: log.origin.clone(),
            size: log.size,
            root: log.root.clone(),
            source: "EvidenceLog/probity-0".to_owned(),
        }
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        RawEntries::open(&self.log(), 0)
            .unwrap()
            .map(|entry| entry.unwrap().bytes)
            .collect()
    }

    /// Replaces the log by one of these entries, signed with its own key, as who has stolen it can.
    fn rebuild(&self, entries: &[Vec<u8>]) {
        let dir = self.log();
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir_all(&dir).unwrap();
        let (mut store, _) = Store::open(&dir).unwrap();
        store.append(entries).unwrap();
        store.sync().unwrap();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let origin = format!("probity.dev/c-1/probity-0/{name}");
        let signer = self.key().signer(&origin).unwrap();
        let mut publisher = Publisher::open(&dir, Box::new(Disk), signer).unwrap();
        publisher.publish(store.next_seq()).unwrap();
    }
}

fn open(data: &Path, second: i64) -> Log {
    let path = data.join("key");
    let key = PrivateKey::read(&path).unwrap();
    let key = key.unwrap_or_else(|| PrivateKey::create(&path).unwrap());
    epochs::open(data, IDENTITY, &key, &[], at(second))
        .unwrap()
        .log
}

fn term() -> Body {
    Body::Term(Term {
        holder: "probity-0".into(),
        epoch: 1,
        predecessor: None,
        before: None,
    })
}

/// What a leader says in some minutes.
fn said(minutes: i64) -> Vec<Record> {
    let mut records = vec![Record::new(at(0), term())];
    for minute in 0..minutes {
        let time = at(60 * minute);
        let id = u64::try_from(minute).unwrap();
        records.push(Record::new(time, samples::heartbeat()));
        records.push(Record::new(time, samples::transition()));
        records.push(Record::new(time, samples::intent(id)));
        records.push(Record::new(time, samples::outcome(id)));
    }
    records
}

fn made(minutes: i64) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 0);
    log.append(said(minutes)).wait().unwrap();
    log.close().unwrap();
    let mut made = Made {
        folder,
        trust: Trust::default(),
    };
    made.trust.keys = vec![made.key().signer("any").unwrap().verifier().clone()];
    made.trust.anchors = vec![made.anchor()];
    made
}

/// Everything that was found, as text.
fn problems(report: &Report) -> String {
    let lines: Vec<String> = report.problems().map(ToString::to_string).collect();
    lines.join("\n")
}

fn assert_found(made: &Made, words: &[&str]) {
    let report = made.report();
    let found = problems(&report);
    assert!(!report.verified, "nothing was found");
    assert!(report.proved.is_empty());
    for word in words {
        assert!(found.contains(word), "{word:?} is not in:\n{found}");
    }
}

#[test]
fn an_untouched_log_verifies_and_says_what_is_proved() {
    let made = made(200);
    let report = made.report();
    assert_eq!(problems(&report), "");
    assert!(report.verified);
    let log = &report.logs[0];
    assert_eq!((log.size, log.unsigned, log.kept_heads), (802, 0, 1));
    assert_eq!(log.anchored, 802);
    assert_eq!(report.proved.len(), 2, "{:?}", report.proved);
    // Without key and anchor less is proved.
    let report = verify(made.data(), &Trust::default(), &|_, _| {}).unwrap();
    assert!(report.verified);
    assert_eq!(report.proved.len(), 1);
    assert!(report.not_proved.iter().any(|said| said.contains("--key")));
    assert!(
        report
            .not_proved
            .iter()
            .any(|said| said.contains("--anchor"))
    );
}

#[test]
fn every_flipped_byte_is_found_in_its_file() {
    let made = made(4);
    let mut tried = 0;
    for file in files(&made.log()) {
        let name = file.strip_prefix(made.data()).unwrap().to_owned();
        let name = name.to_str().unwrap();
        let whole = fs::read(&file).unwrap();
        // Zeros are laid out behind the last frame, and a torn write there is none of the log's business.
        let segment = name.contains("wal");
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let end = if segment { end } else { whole.len() };
        let whole = &whole[..end];
        let step = if segment { 13 } else { 1 };
        // Without the newline at its end the last line counts as torn.
        let end = end - usize::from(name.ends_with("jsonl"));
        for byte in (0..end).step_by(step) {
            let mut changed = whole.to_vec();
            changed[byte] ^= 0xff;
            fs::write(&file, &changed).unwrap();
            let report = made.report();
            let found = problems(&report);
            assert!(!report.verified, "byte {byte} of {name}");
            let named = found.contains(name) || name.ends_with("checkpoint");
            assert!(named, "byte {byte} of {name}:\n{found}");
            tried += 1;
        }
        fs::write(&file, whole).unwrap();
    }
    assert!(tried > 1000, "{tried}");
    assert!(made.report().verified);
}

#[test]
fn files_that_are_cut_anywhere_are_found() {
    let made = made(3);
    for file in files(&made.log()) {
        let whole = fs::read(&file).unwrap();
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for length in (0..end).step_by(5) {
            fs::write(&file, &whole[..length]).unwrap();
            let kept = file.ends_with("checkpoints.jsonl");
            // A line that a crash has torn is none; the file is only what the log kept for its own use.
            assert!(
                !made.report().verified || kept,
                "{} at {length}",
                file.display()
            );
        }
        fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn missing_files_are_named() {
    let made = made(200);
    for file in files(&made.log()) {
        if file.ends_with("checkpoints.jsonl") {
            continue; // anchors do its work
        }
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "log") {
            // Bundles hold everything that the segments held.
            assert!(made.report().verified);
        } else {
            let name = file.strip_prefix(made.data()).unwrap().to_str().unwrap();
            assert!(!made.report().verified, "{name}");
            assert_found(&made, &[name]);
        }
        fs::write(&file, &whole).unwrap();
    }
}

/// The same entries, each saying the number of its place.
fn renumbered(entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    (0u64..)
        .zip(entries)
        .map(|(seq, entry)| {
            let mut value: serde_json::Value = serde_json::from_slice(entry).unwrap();
            value["seq"] = serde_json::Value::from(seq);
            crate::evidence::canonical::value_to_vec(&value).unwrap()
        })
        .collect()
}

/// All files of a log but its lock.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}
