//! Who can rewrite a log, with or without its key: what shows it.

use super::*;

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
    let blob = crate::evidence::blob::Blob::new(b"".to_vec());
    blob.store(&dir, &Disk).unwrap();
    let carried = blob.reference();
    let pruned = crate::evidence::body::Pruned {
        before: 256,
        until: at(0),
        rule: "400 days".to_owned(),
        carried: Some(carried.clone()),
    };
    let file = crate::evidence::raw::PrunedFile {
        before: 256,
        carried,
    };
    crate::evidence::raw::say_pruned(&dir, &Disk, &file).unwrap();
    let (mut store, _) = Store::open(&dir).unwrap();
    let seq = store.next_seq();
    let entry = encode(&Record::new(at(12_000), pruned), seq).unwrap();
    store.append(&[entry.bytes]).unwrap();
    store.sync().unwrap();
    drop(store);
    assert_found(&made, &["no entry says that retention has removed them"]);
    fs::remove_file(dir.join("pruned")).unwrap();
    assert_found(&made, &["the bundle with the entries from 0 on is missing"]);
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

#[test]
fn of_two_forks_each_is_found_by_who_was_shown_the_other() {
    let mut made = made(20);
    let shown = made.anchor();
    made.trust.anchors.clear();
    let entries = made.entries();
    // The same log up to entry 40, and from there on as somebody else is to see it.
    let mut fork = entries[..40].to_vec();
    fork.extend(entries[44..].iter().cloned());
    made.rebuild(&renumbered(&fork));
    assert_eq!(problems(&made.report()), "", "by itself it is whole");
    let other = made.anchor();
    made.trust.anchors = vec![other.clone()];
    assert!(made.report().verified);
    made.trust.anchors.push(shown.clone());
    assert_found(&made, &["it knows 82 entries, and this log has 78"]);
    // And with as many entries as the other has.
    fork.extend(entries[78..].iter().cloned());
    made.rebuild(&renumbered(&fork[..fork.len().min(82)]));
    made.trust.anchors = vec![shown, other];
    assert_found(&made, &["were rewritten"]);
    made.rebuild(&entries);
    assert_found(&made, &["it knows the root", "of 78 entries"]);
}
