//! Keys that follow one another.

use super::*;

/// A log whose key was changed, and which goes on under the next one. Who verifies knows the first key alone.
fn changed() -> Made {
    let made = made(20);
    PrivateKey::create_next(made.data()).unwrap();
    let next = PrivateKey::of_data(made.data()).unwrap();
    let opened = epochs::open(made.data(), IDENTITY, &next, &[], at(5000)).unwrap();
    opened.log.append(said(3)).wait().unwrap();
    opened.log.close().unwrap();
    next.settle(made.data()).unwrap();
    made
}

#[test]
fn who_trusts_the_first_key_trusts_those_that_it_names() {
    let mut made = changed();
    let report = made.report();
    assert_eq!(problems(&report), "");
    assert_eq!(report.logs.len(), 2);
    assert_ne!(report.logs[0].key, report.logs[1].key);
    // Without the log that names it, nobody knows the second key.
    made.trust.anchors.clear();
    let first = epochs::list(made.data()).unwrap().remove(0);
    fs::remove_dir_all(first).unwrap();
    assert_found(&made, &["is not signed with the key"]);
}

#[test]
fn a_key_that_an_unwhole_log_names_is_not_followed() {
    let made = changed();
    let first = epochs::list(made.data()).unwrap().remove(0);
    let bundle = first.join("tile/entries/000.p/83.gz");
    let whole = fs::read(&bundle).unwrap();
    fs::write(&bundle, &whole[..whole.len() - 1]).unwrap();
    let report = made.report();
    let found = problems(&report);
    assert!(found.contains("is not signed with the key"), "{found}");
}

#[test]
fn a_log_that_claims_to_be_planned_and_was_not_is_found() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let mut entries = made.entries();
    let first = String::from_utf8(entries[0].clone()).unwrap();
    entries[0] = first
        .replace("\"seq\":0", "\"planned\":true,\"seq\":0")
        .into_bytes();
    made.rebuild(&entries);
    assert_found(&made, &["it says that the log before has named its key"]);
}

#[test]
fn a_change_of_somebody_elses_key_is_found() {
    let mut made = made(20);
    made.trust.anchors.clear();
    let change = crate::evidence::body::KeyChange {
        old: "probity.dev/other+00000000+AQ==".to_owned(),
        new: made.report().logs[0].key.clone(),
    };
    let mut entries = made.entries();
    let seq = entries.len() as u64;
    entries.push(encode(&Record::new(at(1200), change), seq).unwrap().bytes);
    made.rebuild(&entries);
    assert_found(&made, &["entry 82", "and this log has the key"]);
}
