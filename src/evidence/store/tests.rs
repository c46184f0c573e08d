//! What disks do to a log, and that the store either keeps every durable entry or says what is damaged.
#![allow(clippy::cast_possible_truncation, reason = "small numbers of entries")]

mod ahead;

use std::io::Write;

use proptest::prelude::*;

use super::super::storage::faulty::Faulty;
use super::*;

fn entry(index: u64) -> Vec<u8> {
    format!(
        "{{\"entry\":{index},\"text\":\"{}\"}}",
        "x".repeat((index as usize * 37) % 90)
    )
    .into_bytes()
}

fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}

fn read(dir: &Path) -> Result<Vec<Vec<u8>>, LogError> {
    Frames::open(dir, 0)?
        .map(|entry| entry.map(|entry| entry.bytes))
        .collect()
}

/// A log of `groups` groups of two entries, cut off exactly after the last one.
fn written(dir: &Path, groups: u64) -> PathBuf {
    let (mut store, _) = Store::open(dir).unwrap();
    for group in 0..groups {
        store.append(&entries(group * 2..group * 2 + 2)).unwrap();
        store.sync().unwrap();
    }
    store.segment.cut_off().unwrap();
    segment::path(dir, 0)
}

fn faulty(dir: &Path, limit: u64) -> (Store, Faulty) {
    let storage = Faulty::default();
    let (store, _) = Store::open_on(dir, Box::new(storage.clone()), limit).unwrap();
    (store, storage)
}

#[test]
fn entries_come_back_in_order_over_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let (mut store, scan) = Store::open_on(dir.path(), Box::new(Disk), 700).unwrap();
        assert_eq!(store.next_seq(), round * 3);
        assert_eq!(
            scan.last.map(|last| last.bytes),
            round.checked_sub(1).map(|round| entry(round * 3 + 2))
        );
        assert_eq!(scan.torn, None);
        assert_eq!(
            store.append(&entries(round * 3..round * 3 + 3)).unwrap(),
            round * 3
        );
        store.sync().unwrap();
    }
    assert_eq!(read(dir.path()).unwrap(), entries(0..60));
    assert!(segment::list(dir.path()).unwrap().len() > 5);
    let tail: Result<Vec<_>, _> = Frames::open(dir.path(), 41).unwrap().collect();
    assert_eq!(tail.unwrap().first().map(|entry| entry.seq), Some(41));
}

#[test]
fn two_writers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(LogError::Locked { .. })
    ));
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn entries_that_no_tile_could_hold_are_refused_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    for bad in [vec![], vec![b'x'; MAX_ENTRY + 1], b"a\0b".to_vec()] {
        assert!(matches!(
            store.append(&[entry(0), bad]),
            Err(LogError::Size(_))
        ));
    }
    assert!(matches!(
        store.append(&vec![vec![b'x'; MAX_ENTRY]; 40]),
        Err(LogError::Group(_))
    ));
    assert_eq!(store.append(&[vec![b'x'; MAX_ENTRY]]).unwrap(), 0);
    store.sync().unwrap();
    assert_eq!(read(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_torn_last_record_is_cut_off_at_every_byte() {
    for zeros in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), 3);
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - HEADER - entry(5).len();
        for keep in last..whole.len() {
            let mut bytes = whole[..keep].to_vec();
            if zeros {
                bytes.resize(8192, 0);
            }
            fs::write(&path, &bytes).unwrap();
            assert_eq!(
                read(dir.path()).unwrap(),
                entries(0..5),
                "kept {keep}, zeros {zeros}"
            );

            let (mut store, scan) = Store::open(dir.path()).unwrap();
            assert_eq!(store.next_seq(), 5);
            assert_eq!(scan.torn.is_some(), keep > last);
            assert!(scan.torn.is_none_or(
                |torn| torn.offset == last as u64 && torn.bytes <= (keep - last) as u64
            ));
            store.append(&[entry(5)]).unwrap();
            store.sync().unwrap();
            drop(store);
            assert_eq!(read(dir.path()).unwrap(), entries(0..6));
        }
    }
}

#[test]
fn every_flipped_bit_is_detected_and_located() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    let mut starts = vec![0];
    for index in 0..4 {
        starts.push(starts[index] + HEADER + entry(index as u64).len());
    }
    for zeros in [0, 70_000] {
        bytes.resize(starts[4] + zeros, 0);
        for at in 0..starts[4] {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                let start = starts.iter().rposition(|start| *start <= at).unwrap();
                match Store::open(dir.path()) {
                    Err(LogError::Corrupt {
                        path: damaged,
                        offset,
                        ..
                    }) => assert_eq!((damaged, offset), (path.clone(), starts[start] as u64)),
                    Err(other) => panic!("byte {at} bit {bit}: {other}"),
                    Ok((store, scan)) => panic!(
                        "byte {at} bit {bit}: taken, next {} {scan:?}",
                        store.next_seq()
                    ),
                }
                bytes[at] ^= 1 << bit;
                assert_eq!(
                    fs::read(&path).unwrap().len(),
                    bytes.len(),
                    "nothing is cut off"
                );
            }
        }
    }
}

#[test]
fn damage_in_an_older_segment_is_never_taken_for_a_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_on(dir.path(), Box::new(Disk), 200).unwrap();
    for index in 0..12 {
        store.append(&[entry(index)]).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let segments = segment::list(dir.path()).unwrap();
    let (_, first) = &segments[0];
    let whole = fs::read(first).unwrap();
    for keep in 0..whole.len() {
        fs::write(first, &whole[..keep]).unwrap();
        assert!(
            matches!(Store::open(dir.path()), Err(LogError::Corrupt { path, .. }) if path == *first),
            "{keep}"
        );
    }
    fs::write(first, &whole).unwrap();
    let (_, middle) = &segments[1];
    fs::rename(middle, middle.with_extension("lost")).unwrap();
    assert!(
        matches!(Store::open(dir.path()), Err(LogError::Corrupt { path, .. }) if path == *first)
    );
}

#[test]
fn no_space_at_any_write_loses_nothing_durable_and_goes_on_afterwards() {
    for nth in 1..12 {
        for partial in [0, 150] {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, storage) = faulty(dir.path(), 400);
            storage.0.lock().unwrap().no_space = Some((nth, partial));
            let mut next = 0;
            while next < 12 {
                let batch = entries(next..next + 2);
                if store.append(&batch).and_then(|_| store.sync()).is_ok() {
                    next += 2;
                    continue;
                }
                assert!(matches!(store.append(&batch), Err(LogError::Poisoned)));
                assert!(matches!(store.sync(), Err(LogError::Poisoned)));
                while store.recover().is_err() {}
                assert_eq!(store.next_seq(), next);
            }
            assert_eq!(read(dir.path()).unwrap(), entries(0..12));
            drop(store);
            assert_eq!(Store::open(dir.path()).unwrap().1.torn, None);
        }
    }
}

#[test]
fn a_failed_sync_is_never_repeated_on_the_same_file() {
    for nth in 1..8 {
        for dir_error in [None, Some(1), Some(2)] {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, storage) = faulty(dir.path(), 300);
            {
                let mut plan = storage.0.lock().unwrap();
                (plan.sync_error, plan.dir_error) = (Some(nth), dir_error);
            }
            let mut next = 0;
            while next < 10 {
                let before = store.segment.path.clone();
                let syncs = storage.0.lock().unwrap().syncs;
                if store
                    .append(&[entry(next)])
                    .and_then(|_| store.sync())
                    .is_ok()
                {
                    next += 1;
                    continue;
                }
                assert!(store.sync().is_err());
                assert!(
                    storage.0.lock().unwrap().syncs <= syncs + 1,
                    "nothing was synced after the failure"
                );
                let empty = store.segment.durable == 0;
                while store.recover().is_err() {}
                assert!(
                    empty || store.segment.path != before || store.segment.end == 0,
                    "goes on in a new segment"
                );
                assert_eq!(store.next_seq(), next, "what failed is forgotten");
            }
            assert_eq!(read(dir.path()).unwrap(), entries(0..10));
        }
    }
}

#[test]
fn a_reader_follows_a_live_log_over_a_roll() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_on(dir.path(), Box::new(Disk), 200).unwrap();
    store.append(&[entry(0)]).unwrap();
    let mut frames = Frames::open(dir.path(), 0).unwrap();
    for index in 1..9 {
        store.append(&[entry(index)]).unwrap();
        store.sync().unwrap();
    }
    let seen: Vec<u64> = frames.by_ref().map(|entry| entry.unwrap().seq).collect();
    assert_eq!(seen, (0..9).collect::<Vec<_>>());
}

#[test]
fn zeros_end_an_older_segment_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_on(dir.path(), Box::new(Disk), 200).unwrap();
    for index in 0..6 {
        store.append(&[entry(index)]).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    // As a machine leaves it that loses power before a cut reaches the disk.
    let (_, first) = &segment::list(dir.path()).unwrap()[0];
    let mut bytes = fs::read(first).unwrap();
    bytes.resize(bytes.len() + 5000, 0);
    fs::write(first, &bytes).unwrap();
    assert_eq!(read(dir.path()).unwrap(), entries(0..6));
    assert_eq!(Store::open(dir.path()).unwrap().0.next_seq(), 6);
}

#[test]
fn a_log_that_does_not_exist_reads_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        read(&dir.path().join("none")).unwrap(),
        Vec::<Vec<u8>>::new()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A machine that dies during a sync leaves any subset of the sectors of the group that was being written.
    #[test]
    fn any_subset_of_sectors_of_the_last_group_leaves_what_was_durable(
        durable in 0u64..8, lost in 1u64..30, sizes in prop::collection::vec(1usize..1500, 38), arrived in prop::collection::vec(any::<bool>(), 100),
        old_length: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = segment::path(dir.path(), 0);
        let texts: Vec<Vec<u8>> = sizes.iter().map(|size| format!("{{\"t\":\"{}\"}}", "y".repeat(*size)).into_bytes()).collect();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        for text in &texts[..durable as usize] {
            store.append(std::slice::from_ref(text)).unwrap();
            store.sync().unwrap();
        }
        let mut before = fs::read(&path).unwrap();
        store.append(&texts[durable as usize..(durable + lost) as usize]).unwrap();
        let after = fs::read(&path).unwrap();
        drop(store);

        let length = if old_length { before.len() } else { after.len() };
        before.resize(after.len(), 0);
        let mut crashed = before.clone();
        let first = (0..after.len()).find(|at| after[*at] != before[*at]).unwrap() / 512;
        for (at, byte) in crashed.iter_mut().enumerate() {
            if arrived.get((at / 512).saturating_sub(first)).is_some_and(|arrived| *arrived) {
                *byte = after[at];
            }
        }
        crashed.truncate(length);
        fs::File::create(&path).unwrap().write_all(&crashed).unwrap();

        let (mut store, _) = Store::open(dir.path()).unwrap();
        let kept = store.next_seq();
        prop_assert!((durable..=durable + lost).contains(&kept));
        store.append(&[b"{}"]).unwrap();
        store.sync().unwrap();
        let mut expected = texts[..kept as usize].to_vec();
        expected.push(b"{}".to_vec());
        prop_assert_eq!(read(dir.path()).unwrap(), expected);
    }
}
