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

#[test]
fn who_has_stolen_the_key_is_found_by_any_earlier_anchor() {
    let made = made(20);
    let entries = made.entries();
    let cases: [(&str, Vec<Vec<u8>>); 4] = [
        ("changed", {
            let mut changed = entries.clone();
            let text = String::from_utf8(changed[3].clone()).unwrap();
            changed[3] = text
                .replace("\"to\":\"Fail\"", "\"to\":\"Pass\"")
                .into_bytes();
            assert_ne!(changed[3], entries[3]);
            changed
        }),
        (
            "removed",
            renumbered(&[&entries[..5], &entries[6..]].concat()),
        ),
        ("swapped", {
            let mut swapped = entries.clone();
            swapped.swap(3, 7);
            renumbered(&swapped)
        }),
        ("more", {
            let mut more = entries.clone();
            more.insert(8, entries[3].clone());
            renumbered(&more)
        }),
    ];
    for (name, attacked) in cases {
        made.rebuild(&attacked);
        let report = made.report();
        assert!(!report.verified, "{name}");
        assert!(
            problems(&report).contains("EvidenceLog/probity-0"),
            "{name}"
        );
    }
    // Without the anchor nobody can know.
    made.rebuild(&entries);
    assert!(made.report().verified);
}

#[test]
fn a_cut_off_end_is_found_by_the_anchor() {
    let made = made(20);
    let entries = made.entries();
    made.rebuild(&entries[..60]);
    assert_found(&made, &["it knows 82 entries, and this log has 60"]);
}

#[test]
fn swapped_and_replayed_entries_are_found_without_any_anchor() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let entries = made.entries();
    let mut swapped = entries.clone();
    swapped.swap(3, 7);
    made.rebuild(&swapped);
    assert_found(&made, &["entry 3: it says that it is entry 7", "entry 7"]);
    // An intent once more, with a number of its own.
    let intent = entries
        .iter()
        .find(|entry| String::from_utf8_lossy(entry).contains("\"type\":\"intent\""))
        .unwrap();
    made.rebuild(&renumbered(
        &[&entries[..], std::slice::from_ref(intent)].concat(),
    ));
    assert_found(&made, &["entry 82", "it was replayed"]);
    let outcomes_only: Vec<_> = entries
        .iter()
        .filter(|entry| !String::from_utf8_lossy(entry).contains("\"type\":\"intent\""))
        .cloned()
        .collect();
    made.rebuild(&renumbered(&outcomes_only));
    assert_found(&made, &["which the log does not hold"]);
}

#[test]
fn heartbeats_that_are_left_out_are_found_and_explained_silence_is_not() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let entries = made.entries();
    let silent = [&entries[..10], &entries[40..]].concat();
    made.rebuild(&renumbered(&silent));
    assert_found(
        &made,
        &["nothing was logged from", "heartbeats are missing"],
    );

    let gap = Gap {
        scope: "all".to_owned(),
        from: at(0) + SignedDuration::from_secs(60),
        to: Some(at(60 * 10)),
        cause: "the node slept".to_owned(),
    };
    let gap = encode(&Record::new(at(60 * 10), gap), 0).unwrap().bytes;
    let explained = [&entries[..10], &[gap], &entries[40..]].concat();
    made.rebuild(&renumbered(&explained));
    assert_eq!(problems(&made.report()), "");
}

#[test]
fn a_stop_in_good_order_is_no_silence() {
    let made = made(3);
    let log = open(made.data(), 1000);
    let stop = Stop {
        reason: "SIGTERM".into(),
    };
    log.append(vec![Record::new(at(200), stop)]).wait().unwrap();
    log.append(vec![Record::new(at(9000), term())])
        .wait()
        .unwrap();
    log.close().unwrap();
    assert_eq!(problems(&made.report()), "");
}

#[test]
fn a_foreign_key_is_refused() {
    let mut made = made(3);
    let folder = tempfile::tempdir().unwrap();
    let other = PrivateKey::create(&folder.path().join("key")).unwrap();
    made.trust.keys = vec![other.signer("any").unwrap().verifier().clone()];
    assert_found(&made, &["is not signed with the key"]);
}

#[test]
fn a_rolled_back_volume_shows_as_lost_entries() {
    let made = made(20);
    let late = made.anchor();
    let entries = made.entries();
    made.rebuild(&entries[..40]);
    let key = made.key();
    let opened = epochs::open(
        made.data(),
        IDENTITY,
        &key,
        std::slice::from_ref(&late),
        at(5000),
    );
    drop(opened.unwrap());
    let report = made.report();
    assert_eq!(report.logs.len(), 2);
    assert!(!report.verified, "the first log lacks its end");
    let remark = &report.logs[1].remarks[0];
    assert!(remark.contains("entries 40 to 81"), "{remark}");
}

#[test]
fn a_log_that_was_removed_as_a_whole_is_found_by_its_anchor() {
    let mut made = made(3);
    let mut other = made.anchor();
    other.origin = other.origin.replace("2026", "2027");
    made.trust.anchors.push(other);
    assert_found(&made, &["which is not here"]);
}

#[test]
fn an_unsigned_entry_explains_nothing() {
    let mut made = made(200);
    made.trust.anchors.clear();
    let dir = made.log();
    // Who has no key removes the oldest bundles, and appends an entry that would allow that.
    fs::remove_file(dir.join("tile/entries/000.gz")).unwrap();
    let pruned = crate::evidence::body::Pruned {
        before: 256,
        until: at(0),
        rule: "400 days".to_owned(),
    };
    let (mut store, _) = Store::open(&dir).unwrap();
    let seq = store.next_seq();
    let entry = encode(&Record::new(at(12_000), pruned), seq).unwrap();
    store.append(&[entry.bytes]).unwrap();
    store.sync().unwrap();
    drop(store);
    assert_found(&made, &["no entry says that retention has removed them"]);
}

#[test]
fn absurd_times_are_no_panic() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let mut entries = made.entries();
    let late = String::from_utf8(entries[40].clone()).unwrap();
    let late = late.replacen("2026-01-01T00:09:00Z", "9999-12-30T22:00:00.999999999Z", 1);
    assert_ne!(late.as_bytes(), entries[40]);
    entries[40] = late.into_bytes();
    made.rebuild(&entries);
    assert_found(&made, &["heartbeats are missing"]);
}

#[test]
fn an_earlier_log_that_was_rewritten_is_found_by_the_next_one() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let entries = made.entries();
    let first = made.log();
    // Another key begins another log, which commits to the head of the first.
    fs::rename(made.data().join("key"), made.data().join("old-key")).unwrap();
    open(made.data(), 5000).close().unwrap();
    made.trust
        .keys
        .push(made.key().signer("any").unwrap().verifier().clone());
    assert_eq!(problems(&made.report()), "");
    let second = made.log();
    // Whoever holds the first key rewrites the first log at the same size.
    let aside = made.data().join("aside");
    fs::rename(&second, &aside).unwrap();
    fs::rename(made.data().join("key"), made.data().join("new-key")).unwrap();
    fs::rename(made.data().join("old-key"), made.data().join("key")).unwrap();
    assert_eq!(made.log(), first);
    let mut changed = entries;
    let text = String::from_utf8(changed[3].clone()).unwrap();
    changed[3] = text
        .replace("\"to\":\"Fail\"", "\"to\":\"Pass\"")
        .into_bytes();
    made.rebuild(&changed);
    fs::rename(&aside, &second).unwrap();
    assert_found(
        &made,
        &["the first entry of the next log", "were rewritten"],
    );
}

#[test]
fn a_folder_that_is_no_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let report = verify(folder.path(), &Trust::default(), &|_, _| {}).unwrap();
    assert!(problems(&report).contains("this is no log"));
    assert!(!report.verified);
    let missing = verify(&folder.path().join("x"), &Trust::default(), &|_, _| {});
    assert!(missing.unwrap_err().to_string().contains("can't read"));
}

#[test]
fn a_blob_that_is_missing_or_changed_is_found() {
    let made = made(2);
    let log = open(made.data(), 1000);
    let mut intent = samples::intent(1_000_000);
    intent.before = Some(serde_json::json!("x".repeat(40_000)).into());
    let records = vec![
        Record::new(at(120), intent),
        Record::new(at(120), samples::outcome(1_000_000)),
    ];
    log.append(records).wait().unwrap();
    log.close().unwrap();
    assert!(made.report().verified, "{}", problems(&made.report()));
    let blobs = made.log().join("blobs");
    let blob = fs::read_dir(&blobs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(&blob, "else").unwrap();
    assert_found(&made, &["entry 10", "has other content than was logged"]);
    fs::remove_file(&blob).unwrap();
    assert_found(&made, &["entry 10", "is missing"]);
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
