//! The segment that is laid out ahead: in time, in nobody's way, and safe wherever the process dies.

use super::*;

/// Entries of 60,000 bytes, so that a segment of two mebibytes is soon full.
fn large(index: u64) -> Vec<u8> {
    format!("{{\"entry\":{index},\"text\":\"{}\"}}", "x".repeat(60_000)).into_bytes()
}

/// Twice as far as zeros are laid out: large enough for a spare.
const LARGE: u64 = 2 * AHEAD;

/// Appends entries one by one, the next segment always laid out in time; the number of the first that failed.
fn fill(store: &mut Store, numbers: std::ops::Range<u64>) -> Result<(), u64> {
    for index in numbers {
        let appended = store.append(&[large(index)]);
        if let Some(spare) = &store.spare {
            spare.wait(); // before the sync, so that what is done has one order
        }
        appended.and_then(|_| store.sync()).map_err(|_| index)?;
    }
    Ok(())
}

/// The log has just so many entries.
fn holds(dir: &tempfile::TempDir, count: u64) {
    let expected: Vec<_> = (0..count).map(large).collect();
    assert_eq!(read(dir.path()).unwrap(), expected);
}

/// Where the next segment is laid out.
fn spare_of(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("wal").join(spare::NAME)
}

#[test]
fn the_next_segment_is_laid_out_before_it_is_needed_and_gone_when_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let spare = spare_of(&dir);
    let (mut store, storage) = faulty(dir.path(), LARGE);
    fill(&mut store, 0..20).unwrap();
    assert_eq!(fs::metadata(&spare).unwrap().len(), LARGE);
    let syncs = storage.0.lock().unwrap().syncs;
    fill(&mut store, 20..40).unwrap();
    assert_eq!(
        storage.0.lock().unwrap().syncs,
        syncs + 20,
        "none but those of the entries"
    );
    assert!(!spare.exists(), "it has become a segment");
    assert_eq!(fs::metadata(&store.segment.path).unwrap().len(), LARGE);
    fill(&mut store, 40..60).unwrap();
    assert!(spare.exists());
    drop(store);
    assert!(!spare.exists());
    holds(&dir, 60);
}

#[test]
fn a_spare_that_finds_no_room_fails_nothing_and_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, storage) = faulty(dir.path(), LARGE);
    fill(&mut store, 0..17).unwrap();
    assert!(store.spare.is_none());
    // The zeros ahead of the entry, the entry, and the zeros of the spare.
    storage.0.lock().unwrap().no_space = Some((3, 100));
    fill(&mut store, 17..19).unwrap();
    assert!(storage.0.lock().unwrap().no_space.is_none(), "it happened");
    assert!(!spare_of(&dir).exists());
    fill(&mut store, 19..50).unwrap();
    holds(&dir, 50);
}

#[test]
fn killed_at_any_step_of_going_over_to_a_spare_nothing_durable_is_lost() {
    let mut died = 0;
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, storage) = faulty(dir.path(), LARGE);
        fill(&mut store, 0..17).unwrap();
        storage.0.lock().unwrap().steps = Some(steps);
        let result = fill(&mut store, 17..38);
        drop(store);
        let Err(failed) = result else {
            break;
        };
        died += 1;
        let (mut store, _) = Store::open_on(dir.path(), Box::new(Disk), LARGE).unwrap();
        // What was written before a sync that failed may be there.
        let next = store.next_seq();
        assert!(
            (failed..=failed + 1).contains(&next),
            "killed at {steps}: {failed}, {next}"
        );
        assert!(!spare_of(&dir).exists());
        fill(&mut store, next..42).unwrap();
        drop(store);
        holds(&dir, 42);
    }
    assert!(died > 50, "{died}");
}

#[test]
fn a_folder_that_fails_to_sync_after_the_spare_got_its_name_is_recovered_from() {
    for nth in 1..3 {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, storage) = faulty(dir.path(), LARGE);
        fill(&mut store, 0..20).unwrap();
        storage.0.lock().unwrap().dir_error = Some(nth);
        let mut next = 20;
        while let Err(failed) = fill(&mut store, next..90) {
            while store.recover().is_err() {}
            assert_eq!(store.next_seq(), failed);
            next = failed;
        }
        assert!(storage.0.lock().unwrap().dir_error.is_none(), "it happened");
        holds(&dir, 90);
    }
}

#[test]
fn a_spare_that_cannot_be_named_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, storage) = faulty(dir.path(), LARGE);
    fill(&mut store, 0..20).unwrap();
    storage.0.lock().unwrap().rename_error = Some(1);
    fill(&mut store, 20..40).unwrap();
    assert!(
        storage.0.lock().unwrap().rename_error.is_none(),
        "it happened"
    );
    fill(&mut store, 40..60).unwrap();
    holds(&dir, 60);
}

#[test]
fn a_full_disk_gets_the_room_of_the_spare_back() {
    let dir = tempfile::tempdir().unwrap();
    let spare = spare_of(&dir);
    let (mut store, storage) = faulty(dir.path(), LARGE);
    fill(&mut store, 0..20).unwrap();
    assert!(spare.exists());
    storage.0.lock().unwrap().no_space = Some((1, 100));
    assert_eq!(fill(&mut store, 20..21), Err(20));
    store.recover().unwrap();
    assert!(!spare.exists());
    fill(&mut store, 20..60).unwrap();
    holds(&dir, 60);
}

#[test]
fn an_unfinished_segment_with_entries_in_it_is_removed_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let left = path.with_file_name(spare::NAME);
    fs::write(&left, vec![0; 5000]).unwrap();
    drop(Store::open(dir.path()).unwrap());
    assert!(!left.exists(), "zeros are nothing");
    // As on a disk that has lost the name of a segment.
    fs::copy(&path, &left).unwrap();
    let refused = Store::open(dir.path());
    assert!(matches!(refused, Err(LogError::Corrupt { path, .. }) if path == left));
    assert!(left.exists());
}
