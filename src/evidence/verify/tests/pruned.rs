//! What retention removes, and what must not be missing.

use super::*;
use crate::evidence::body::Pruned;
use crate::evidence::raw::{self, PrunedFile};
use crate::evidence::storage::faulty::Faulty;
use crate::evidence::{LogError, Reader, prove, prune};

/// A log of some hours, in small segments that are sealed, and in which some entries are still to matter.
fn long() -> Made {
    let mut made = made(400);
    let early = made.anchor();
    made.trust.anchors.clear();
    let entries = made.entries();
    let dir = made.log();
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir_all(&dir).unwrap();
    let mut written = Written::open(&made);
    for group in entries.chunks(20) {
        written.append(group);
    }
    drop(written);
    assert_eq!(made.anchor().root, early.root);
    made.trust.anchors.push(early);
    made
}

/// A writer of small segments, that publishes.
struct Written {
    store: Store,
    publisher: Publisher,
}

impl Written {
    fn open(made: &Made) -> Self {
        let dir = made.log();
        let name = dir.file_name().unwrap().to_str().unwrap();
        let signer = made
            .key()
            .signer(&format!("probity.dev/c-1/probity-0/{name}"));
        let (store, _) = Store::open_on(&dir, Box::new(Disk), 20_000).unwrap();
        let publisher = Publisher::open(&dir, Box::new(Disk), signer.unwrap()).unwrap();
        Self { store, publisher }
    }

    fn append(&mut self, entries: &[Vec<u8>]) {
        self.store.append(entries).unwrap();
        self.store.sync().unwrap();
        self.publisher.publish(self.store.next_seq()).unwrap();
    }

    fn say(&mut self, second: i64, body: impl Into<Body>) {
        let seq = self.store.next_seq();
        let bytes = encode(&Record::new(at(second), body), seq).unwrap().bytes;
        self.append(&[bytes]);
    }
}

/// Says what is to be removed, without removing it.
fn planned(made: &Made, minute: i64) -> Pruned {
    let pruned = prune::plan(&made.log(), at(60 * minute), "400 days").unwrap();
    let pruned = pruned.expect("something to remove");
    Written::open(made).say(60 * 399, pruned.clone());
    pruned
}

#[test]
fn what_is_removed_as_said_is_not_missed() {
    let made = long();
    let dir = made.log();
    let all = made.entries();
    let pruned = planned(&made, 200);
    assert_eq!(pruned.before, 768);
    assert_eq!(prune::said(&dir).unwrap(), Some(pruned.clone()));
    assert_eq!(problems(&made.report()), "");
    prune::carry_out(&dir, &pruned).unwrap();
    assert_eq!(prune::said(&dir).unwrap(), None);

    let report = made.report();
    assert_eq!(problems(&report), "");
    let log = &report.logs[0];
    // Heads of what was removed can still be compared: its hashes are there.
    assert_eq!((log.first, log.anchored), (768, 1602));
    assert!(!dir.join("tile/entries/002.gz").exists());
    assert!(dir.join("tile/entries/003.gz").exists());
    assert!(dir.join("tile/0/000").exists());

    // A reader gets what still matters, as it was, and then the rest.
    let left = made.entries();
    let carried = left.len() - (all.len() - 768) - 1;
    // Its one subject fails all the time, and each time that this is said matters as long as it does.
    assert!((2..200).contains(&carried), "{carried}");
    assert_eq!(left[0], all[0]);
    assert_eq!(left[carried..left.len() - 1], all[768..]);
    assert!(left[..carried].iter().all(|entry| all.contains(entry)));
    assert!(
        Reader::open(made.data())
            .unwrap()
            .all(|entry| entry.is_ok())
    );
    assert_eq!(prove(&dir, 0).unwrap().entry, all[0]);
    let gone = prove(&dir, 100).unwrap_err();
    assert!(matches!(gone, LogError::Unprovable { .. }), "{gone}");

    // Again, later: what was carried and no longer matters goes too.
    let pruned_again = planned(&made, 300);
    prune::carry_out(&dir, &pruned_again).unwrap();
    assert_eq!(problems(&made.report()), "");
    let old = pruned.carried.unwrap().path(&dir);
    assert!(!old.exists());
    let nothing = prune::plan(&dir, at(60 * 300), "400 days").unwrap();
    assert_eq!(nothing, None);
}

#[test]
fn what_does_not_say_what_still_matters_removes_nothing() {
    let made = long();
    let mut pruned = planned(&made, 200);
    pruned.carried = None;
    let refused = prune::carry_out(&made.log(), &pruned).unwrap_err();
    assert!(
        matches!(refused, LogError::Unsaid { before: 768 }),
        "{refused}"
    );
    assert_eq!(raw::first_kept(&made.log()).unwrap(), 0);
}

#[test]
fn nothing_else_may_be_missing_or_changed() {
    let made = long();
    let dir = made.log();
    let pruned = planned(&made, 200);
    prune::carry_out(&dir, &pruned).unwrap();
    let carried = pruned.carried.clone().unwrap();
    let attack = |path: PathBuf, content: Option<&[u8]>, words: &[&str]| {
        let whole = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert_found(&made, words);
        fs::write(&path, whole).unwrap();
        assert_eq!(problems(&made.report()), "");
    };
    // One bundle more.
    let bundle = dir.join("tile/entries/003.gz");
    attack(bundle, None, &["entries from 768 on is missing"]);
    // What is carried.
    let blob = carried.path(&dir);
    attack(blob.clone(), None, &["is missing"]);
    attack(blob.clone(), Some(b""), &["other content than was logged"]);
    // The file that says what was removed.
    let file = dir.join("pruned");
    attack(file.clone(), None, &["entries from 0 on is missing"]);
    attack(
        file.clone(),
        Some(b"{}"),
        &["it does not say what was removed"],
    );
    let text = fs::read_to_string(&file).unwrap();
    let more = text.replace("768", "1024");
    attack(file.clone(), Some(more.as_bytes()), &["no entry says that"]);
    // Less is carried than was said, or something else.
    let lines = fs::read_to_string(&blob).unwrap();
    let fewer: String = lines.split_inclusive('\n').skip(1).collect();
    let other = lines.replacen("\"cluster\"", "\"clusters\"", 1);
    let other = if other == lines {
        lines.replacen("2026-01-01T00", "2026-01-01T01", 1)
    } else {
        other
    };
    for (content, word) in [
        (fewer, "carries just these"),
        (other, "hash is in the tree"),
    ] {
        let changed = crate::evidence::blob::Blob::new(content.into_bytes());
        changed.store(&dir, &Disk).unwrap();
        let forged = PrunedFile {
            before: 768,
            carried: changed.reference(),
        };
        let forged = crate::evidence::canonical::to_vec(&forged).unwrap();
        attack(file.clone(), Some(&forged), &[word]);
    }
}

#[test]
fn a_kill_at_any_step_of_removing_leaves_a_log_that_verifies() {
    let made = long();
    let dir = made.log();
    let pruned = planned(&made, 200);
    let mut steps = 0;
    loop {
        let storage = Faulty::default();
        storage.0.lock().unwrap().steps = Some(steps);
        let done = prune::carry_out_on(&dir, &storage, &pruned);
        assert_eq!(problems(&made.report()), "", "killed at step {steps}");
        assert!(
            RawEntries::open(&dir, 0)
                .unwrap()
                .all(|entry| entry.is_ok())
        );
        if done.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(raw::first_kept(&dir).unwrap(), 768);
}
