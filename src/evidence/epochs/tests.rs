//! That a log goes on where it stopped, and that a new one begins, and says why, whenever it can't.

use super::super::body::Stop;
use super::super::raw::RawEntries;
use super::super::tile::{Of, Tile};
use super::super::{Reader, merkle};
use super::*;

mod beginnings;
mod crashes;
mod keys;

const IDENTITY: Identity<'_> = Identity {
    cluster: "c-1",
    replica: "probity-0",
};

fn at(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn key(data: &Path) -> PrivateKey {
    let path = data.join("key");
    match PrivateKey::read(&path).unwrap() {
        Some(key) => key,
        None => PrivateKey::create(&path).unwrap(),
    }
}

fn opened(data: &Path, anchors: &[Anchored], second: i64) -> Opened {
    open(data, IDENTITY, &key(data), anchors, at(second)).unwrap()
}

fn append(log: &Log, count: i64) {
    let records = (0..count).map(|n| {
        let stop = Stop {
            reason: format!("entry {n}").into(),
        };
        Record::new(at(n), stop)
    });
    log.append(records.collect()).wait().unwrap();
}

/// Runs the log for some entries and returns the head that it leaves.
fn grow(data: &Path, anchors: &[Anchored], second: i64, count: i64) -> (Anchored, Option<Epoch>) {
    let Opened { log, begun, .. } = opened(data, anchors, second);
    append(&log, count);
    log.close().unwrap();
    let dir = list(data).unwrap().pop().unwrap();
    let mut head = head_of(&dir).unwrap().unwrap();
    head.source = "EvidenceLog/probity-0".to_owned();
    (head, begun)
}

/// The root over the entries as the reader gives them.
fn root_of_entries(dir: &Path) -> (u64, String) {
    let mut edge = merkle::Edge::default();
    for entry in RawEntries::open(dir, 0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.seq, edge.size());
        edge.push(merkle::leaf(&entry.bytes));
    }
    let head = Checkpoint {
        origin: "o".to_owned(),
        size: edge.size(),
        root: edge.root(),
    };
    (head.size, head.root_text())
}

#[test]
fn a_log_goes_on_over_restarts_and_its_tree_is_that_of_its_entries() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let mut heads = Vec::new();
    let mut size = 0;
    for (n, count) in [0, 1, 253, 1, 1, 300, 700, 3000].into_iter().enumerate() {
        let anchors: Vec<_> = heads.clone();
        let (head, begun) = grow(data, &anchors, i64::try_from(n).unwrap(), count);
        assert_eq!(begun.is_some(), n == 0, "{begun:?}");
        size += u64::try_from(count).unwrap() + u64::from(n == 0);
        let dir = list(data).unwrap().pop().unwrap();
        assert_eq!(root_of_entries(&dir), (size, head.root.clone()));
        heads.push(head);
    }
    assert_eq!(list(data).unwrap().len(), 1);
    let first = first_entry(&list(data).unwrap()[0]).unwrap().unwrap();
    assert_eq!(first.origin, "probity.dev/c-1/probity-0/20260101T000000Z");
    assert_eq!(first.before, None);
}

#[test]
fn segments_are_removed_once_bundles_hold_them_and_readers_notice_nothing() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    for n in 0..4 {
        // Two segments' worth, with texts that compress.
        let Opened { log, .. } = opened(data, &[], n);
        for _ in 0..40 {
            let stop = |n: usize| Stop {
                reason: format!("{n} {}", "x".repeat(4000)).into(),
            };
            let records = (0..50).map(|n| Record::new(at(0), stop(n)));
            log.append(records.collect()).wait().unwrap();
        }
        log.close().unwrap();
    }
    let dir = list(data).unwrap().pop().unwrap();
    let first = fs::read_dir(dir.join("wal")).unwrap().count();
    assert!(first <= 2, "{first} segments are left of about eight");
    let (size, root) = root_of_entries(&dir);
    assert_eq!(size, 1 + 4 * 40 * 50);
    assert_eq!(head_of(&dir).unwrap().unwrap().root, root);
    assert_eq!(Reader::open(data).unwrap().count(), 8001);
    assert_eq!(Reader::open_from(data, 7990).unwrap().count(), 11);
}

#[test]
fn only_the_partial_tiles_of_the_edge_are_left() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    for n in 0..8 {
        grow(data, &[], n, 100);
    }
    let dir = list(data).unwrap().pop().unwrap();
    assert!(!dir.join("tile/0/000.p").exists());
    assert!(!dir.join("tile/entries/001.p").exists());
    assert!(dir.join("tile/0/003.p/33").exists());
    assert!(sealed::bundle_path(&dir, Tile::whole(Of::Entries, 2)).exists());
}

#[test]
fn a_volume_that_was_rolled_back_begins_a_new_log_that_commits_to_what_was_anchored() {
    let data = tempfile::tempdir().unwrap();
    let (early, _) = grow(data.path(), &[], 0, 10);
    let copy = tempfile::tempdir().unwrap();
    copy_all(data.path(), copy.path());
    let (late, _) = grow(data.path(), &[early], 1, 10);

    let (head, begun) = grow(copy.path(), std::slice::from_ref(&late), 2, 5);
    let begun = begun.unwrap();
    assert_eq!(begun.before.as_ref(), Some(&late));
    assert!(begun.cause.contains("rolled back"), "{}", begun.cause);
    assert_eq!(list(copy.path()).unwrap().len(), 2);
    // The next start goes on with the new one, though the old anchor still stands.
    let (_, begun) = grow(copy.path(), &[late, head.clone()], 3, 5);
    assert_eq!(begun, None);

    // And a copy of before that is older than the new log begins yet another.
    let (_, begun) = grow(data.path(), std::slice::from_ref(&head), 4, 1);
    let begun = begun.unwrap();
    assert!(begun.cause.contains("later log"), "{}", begun.cause);
    assert_eq!(begun.before, Some(head));
}

#[test]
fn a_fork_of_the_same_length_is_found() {
    let data = tempfile::tempdir().unwrap();
    grow(data.path(), &[], 0, 10);
    let copy = tempfile::tempdir().unwrap();
    copy_all(data.path(), copy.path());
    let Opened { log, .. } = opened(data.path(), &[], 1);
    append(&log, 3);
    log.close().unwrap();
    let head = head_of(&list(data.path()).unwrap()[0]).unwrap().unwrap();
    let Opened { log, .. } = opened(copy.path(), &[], 1);
    let other = Stop {
        reason: "other".into(),
    };
    log.append(vec![Record::new(at(0), other); 4])
        .wait()
        .unwrap();
    log.close().unwrap();
    let (_, begun) = grow(copy.path(), &[head], 2, 1);
    assert!(begun.unwrap().cause.contains("rewritten"));
}

#[test]
fn a_lost_volume_begins_a_log_that_commits_to_what_was_anchored() {
    let data = tempfile::tempdir().unwrap();
    let (head, _) = grow(data.path(), &[], 0, 10);
    let empty = tempfile::tempdir().unwrap();
    // The clock of the new node is behind.
    let (_, begun) = grow(empty.path(), std::slice::from_ref(&head), -1000, 1);
    let begun = begun.unwrap();
    assert_eq!(begun.before, Some(head));
    assert_eq!(begun.origin, "probity.dev/c-1/probity-0/20260101T000001Z");
}

#[test]
fn damage_and_foreign_keys_begin_a_new_log_and_keep_the_old_one() {
    for damage in ["wal", "key", "checkpoint", "tile"] {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        grow(data, &[], 0, 300);
        let dir = list(data).unwrap().pop().unwrap();
        match damage {
            "wal" => flip(&dir.join("wal/000000000000000000.log"), 40),
            "key" => fs::remove_file(data.join("key")).unwrap(),
            "checkpoint" => flip(&dir.join("checkpoint"), 60),
            _ => flip(&dir.join("tile/0/001.p/45"), 7),
        }
        let (_, begun) = grow(data, &[], 1, 1);
        let begun = begun.unwrap_or_else(|| panic!("{damage}"));
        let said = if damage == "key" {
            "another key"
        } else {
            "damaged"
        };
        assert!(begun.cause.contains(said), "{damage}: {}", begun.cause);
        assert_eq!(list(data).unwrap().len(), 2);
        assert!(dir.exists());
    }
}

#[test]
fn a_reader_goes_on_behind_a_log_that_is_damaged_if_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    grow(data, &[], 100, 5);
    let dir = list(data).unwrap().remove(0);
    flip(&dir.join("wal").join("000000000000000000.log"), 40);
    let (_, begun) = grow(data, &[], 200, 3);
    assert!(begun.is_some());
    let strict: Result<Vec<_>, _> = Reader::open(data).unwrap().collect();
    assert!(strict.is_err());
    let mut reader = Reader::open(data).unwrap().past_damage();
    let entries: Result<Vec<_>, _> = reader.by_ref().collect();
    assert_eq!(
        entries.unwrap().len(),
        4,
        "the new log's first entry, and three"
    );
    let [damaged] = reader.damaged() else {
        panic!("{:?}", reader.damaged());
    };
    assert!(
        damaged.contains("wal/000000000000000000.log at byte"),
        "{damaged}"
    );
    // The latest log is never passed over.
    let dir = list(data).unwrap().remove(1);
    flip(&dir.join("wal").join("000000000000000000.log"), 40);
    let entries: Result<Vec<_>, _> = Reader::open(data).unwrap().past_damage().collect();
    assert!(entries.is_err());
}

#[test]
fn an_end_that_is_missing_and_a_missing_checkpoint_are_damage() {
    for what in ["end", "checkpoint", "entry"] {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        grow(data, &[], 0, 255);
        let dir = list(data).unwrap().pop().unwrap();
        let segment = dir.join("wal/000000000000000000.log");
        match what {
            "end" => fs::File::options()
                .write(true)
                .open(&segment)
                .unwrap()
                .set_len(0)
                .unwrap(),
            "checkpoint" => fs::remove_file(dir.join("checkpoint")).unwrap(),
            _ => {
                grow(data, &[], 0, 3);
                // The last entry, with a checksum that fits.
                let text = fs::read(&segment).unwrap();
                let mut bytes: Vec<Vec<u8>> = RawEntries::open(&dir, 0)
                    .unwrap()
                    .map(|entry| entry.unwrap().bytes)
                    .collect();
                let last = bytes.last_mut().unwrap();
                let other = String::from_utf8(last.clone())
                    .unwrap()
                    .replace("entry 2", "entry 3");
                *last = other.into_bytes();
                assert!(!text.is_empty());
                fs::remove_file(&segment).unwrap();
                let (mut store, _) = Store::open(&dir).unwrap();
                store.append(&bytes).unwrap();
                store.sync().unwrap();
            }
        }
        let (_, begun) = grow(data, &[], 1, 1);
        let begun = begun.unwrap_or_else(|| panic!("{what}"));
        assert!(begun.cause.contains("damaged"), "{what}: {}", begun.cause);
    }
}

#[test]
fn heads_of_others_are_none_of_ours() {
    let data = tempfile::tempdir().unwrap();
    let foreign = |origin: &str| Anchored {
        origin: origin.to_owned(),
        size: 7,
        root: "AA==".to_owned(),
        source: "folder /anchors".to_owned(),
    };
    let anchors = [
        foreign("probity.dev/c-1/probity-1/20270101T000000Z"),
        foreign("go.sum database tree"),
        foreign("probity.dev/c-1/probity-0/zzz"),
    ];
    let (_, begun) = grow(data.path(), &anchors, 0, 1);
    let begun = begun.unwrap();
    assert_eq!(begun.before, None);
    assert_eq!(begun.origin, "probity.dev/c-1/probity-0/20260101T000000Z");
}

#[test]
fn two_processes_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let first = opened(data.path(), &[], 0);
    let second = open(data.path(), IDENTITY, &key(data.path()), &[], at(0));
    assert!(matches!(second.err(), Some(LogError::Locked { .. })));
    drop(first);
    assert!(opened(data.path(), &[], 1).begun.is_none());
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn copy_all(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_all(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}
