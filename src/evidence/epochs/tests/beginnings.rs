//! What a kill in the first moments of a log leaves.

use super::*;

/// A log that was damaged, with the error of that.
fn damaged(data: &Path) -> PathBuf {
    grow(data, &[], 0, 300);
    let dir = list(data).unwrap().pop().unwrap();
    flip(&segment_of(&dir), 40);
    dir
}

fn segment_of(dir: &Path) -> PathBuf {
    super::super::super::segment::list(dir).unwrap()[0]
        .1
        .clone()
}

#[test]
fn the_next_log_says_why_it_begins_also_after_a_kill_before_its_first_entry() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let dir = damaged(data);
    let head = head_of(&dir).unwrap().unwrap();
    // What is on the disk: nothing, a folder, zeros that were laid out, the beginning of a frame.
    let torn: [Option<&[u8]>; 4] = [
        None,
        Some(b""),
        Some(&[0; 64]),
        Some(b"\x30\x01\x00\x00\x07"),
    ];
    for content in torn {
        let unborn = data.join("epochs/20260101T020000Z");
        fs::create_dir_all(&unborn).unwrap();
        fs::write(unborn.join("lock"), "").unwrap();
        if let Some(content) = content {
            fs::create_dir_all(unborn.join("wal")).unwrap();
            fs::write(unborn.join("wal/000000000000000000.log"), content).unwrap();
        }
        let epoch = opened(data, &[], 9000).begun.unwrap();
        assert!(epoch.cause.contains("damaged"), "{}", epoch.cause);
        let before = epoch.before.unwrap();
        assert_eq!((before.size, before.root), (head.size, head.root.clone()));
        assert!(!unborn.exists());
        for later in list(data).unwrap().split_off(1) {
            fs::remove_dir_all(later).unwrap();
        }
    }
}

#[test]
fn a_log_that_was_killed_behind_its_first_entry_goes_on_and_keeps_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    damaged(data);
    let begun = opened(data, &[], 9000).begun.unwrap();
    let dir = list(data).unwrap().pop().unwrap();
    for file in ["checkpoint", "checkpoints.jsonl", "tile"] {
        let path = dir.join(file);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    let again = opened(data, &[], 9100);
    assert_eq!(again.begun, None);
    assert_eq!(again.first, Some(begun));
}
