//! Another key takes over.

use super::super::super::note::VerifierKey;
use super::*;

/// The key changes of all logs in a folder, and how each log begins.
fn story(data: &Path) -> (Vec<KeyChange>, Vec<Epoch>) {
    let (mut changes, mut epochs) = (Vec::new(), Vec::new());
    for entry in Reader::open(data).unwrap() {
        match entry.unwrap().body {
            Body::KeyChange(change) => changes.push(change),
            Body::Epoch(epoch) => epochs.push(epoch),
            _ => {}
        }
    }
    (changes, epochs)
}

#[test]
fn the_old_key_signs_that_the_next_one_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (head, _) = grow(data, &[], 0, 5);
    let old = key(data).signer(&head.origin).unwrap().verifier().clone();
    PrivateKey::create_next(data).unwrap();
    assert!(PrivateKey::create_next(data).is_err(), "one at a time");

    let next = PrivateKey::of_data(data).unwrap();
    let opened = open(data, IDENTITY, &next, &[head], at(100)).unwrap();
    next.settle(data).unwrap();
    drop(opened.log);
    let begun = opened.begun.unwrap();
    assert!(begun.planned && !begun.is_break());
    let (changes, epochs) = story(data);
    assert_eq!(epochs.last(), Some(&begun));
    let named = VerifierKey::parse(&changes[0].new).unwrap();
    assert_eq!((changes.len(), &changes[0].old), (1, &old.to_string()));
    let signs = VerifierKey::parse(&begun.key).unwrap();
    assert_eq!(signs.key(), named.key());
    // It commits to all of the log before, with the change.
    let before = begun.before.unwrap();
    assert_eq!(
        (before.size, before.source.as_str()),
        (7, "the folder of the log before")
    );

    // The old key is gone, and the log goes on.
    assert_eq!(key(data).signer("o").unwrap().verifier().key(), signs.key());
    assert!(!data.join("key.next").exists());
    let (_, begun) = grow(data, &[], 200, 1);
    assert_eq!(begun, None);
}

#[test]
fn a_change_that_is_interrupted_anywhere_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    grow(data, &[], 0, 5);
    PrivateKey::create_next(data).unwrap();
    let next = PrivateKey::of_data(data).unwrap();
    // Killed behind the change.
    let dir = list(data).unwrap().pop().unwrap();
    let GoOn::With(parts) = go_on(&dir, IDENTITY, next.replaced().unwrap(), &[]).unwrap() else {
        panic!("the log is whole")
    };
    hand_over(*parts, &next, at(50)).unwrap();
    // Killed before the key took its place.
    for second in [100, 200, 300] {
        let next = PrivateKey::of_data(data).unwrap();
        let opened = open(data, IDENTITY, &next, &[], at(second)).unwrap();
        assert_eq!(opened.begun.is_some(), second == 100);
    }
    let (changes, epochs) = story(data);
    assert_eq!((changes.len(), epochs.len()), (1, 2));
    assert!(epochs[1].planned);
}

#[test]
fn a_damaged_log_is_not_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (mut head, _) = grow(data, &[], 0, 5);
    head.size += 1;
    PrivateKey::create_next(data).unwrap();
    let next = PrivateKey::of_data(data).unwrap();
    let begun = open(data, IDENTITY, &next, &[head], at(100)).unwrap().begun;
    let begun = begun.unwrap();
    assert!(
        begun.is_break() && begun.cause.contains("rolled back"),
        "{begun:?}"
    );
    assert_eq!(story(data).0, []);
}
