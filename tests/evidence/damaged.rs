//! Commands that print something else than an account say which part of a log they could not read.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use probity::evidence::key::PrivateKey;
use probity::evidence::{Identity, Record, body, epochs};

use crate::operator::program::output;

/// Appends an entry to the log in a data folder, and closes it.
fn append(data: &Path, at: Timestamp) {
    let key = PrivateKey::of_data(data).unwrap();
    let identity = Identity {
        cluster: "c-1",
        replica: "probity-0",
    };
    let log = epochs::open(data, identity, &key, &[], at).unwrap().log;
    let stop = body::Stop {
        reason: "the end of the test".into(),
    };
    log.append(vec![Record::new(at, stop)]).wait().unwrap();
    log.close().unwrap();
}

#[test]
fn what_is_damaged_of_an_earlier_log_is_said_beside_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    append(data, begin);
    let whole = output(&["undo", "--data-dir", &data.display().to_string()]);
    assert_eq!((whole.code, &*whole.stderr), (Some(0), ""));

    let log = epochs::list(data).unwrap().remove(0);
    let segment = log.join("wal/000000000000000000.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    append(data, begin + SignedDuration::from_hours(1));
    assert_eq!(epochs::list(data).unwrap().len(), 2, "another log began");

    let name = data.display().to_string();
    let undone = output(&["undo", "--data-dir", &name]);
    assert_eq!(undone.code, Some(2), "not all: {}", undone.stderr);
    let printed = output(&["log", "--data-dir", &name]);
    assert_eq!(printed.code, Some(2), "not all: {}", printed.stderr);
    let later = printed.stdout.contains("the end of the test");
    assert!(later, "the later log is read on in: {}", printed.stdout);
    let asked = output(&["period", "2026-h1", "--log", &name]);
    assert_eq!(asked.code, Some(2), "the log knows no such period");
    let place = "wal/000000000000000000.log at byte";
    for said in [&undone, &printed, &asked] {
        assert!(said.stderr.contains(place), "{}", said.stderr);
    }
    // The later log says in its first entry why it began; that is a part of it.
    for said in [&undone, &asked] {
        assert!(!said.stdout.contains(place), "{}", said.stdout);
    }
}
