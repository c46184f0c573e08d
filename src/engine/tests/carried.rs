//! What is carried when the beginning of a log is removed leads to the same memory as all of it.

use std::collections::BTreeSet;

use super::*;
use crate::evidence::carried::{Carried, Leaves};

/// A memory of the entries with these numbers.
fn recalled(said: &[Record], which: impl Fn(u64) -> bool) -> String {
    let mut memory = Memory::default();
    for (seq, record) in (0..).zip(said).filter(|(seq, _)| which(*seq)) {
        memory.recall(Entry {
            v: 1,
            seq,
            time: record.time,
            body: record.body.clone(),
        });
    }
    // Numbers of intents that were removed are needed by nobody: new ones begin with the time.
    memory.last_intent = 0;
    format!("{memory:#?}")
}

fn carried(said: &[Record]) -> BTreeSet<u64> {
    let mut carried = Carried::default();
    for (seq, record) in (0..).zip(said) {
        carried.note(seq, &record.body);
    }
    let (needed, mut leaves) = (carried.needed(), Leaves::default());
    let matters = (0..)
        .zip(said)
        .filter(|(seq, record)| leaves.note(&record.body, needed.contains(seq)));
    matters.map(|(seq, _)| seq).collect()
}

#[test]
fn what_is_carried_is_remembered_as_the_whole() {
    let mut drive = Drive::new();
    for name in ["a", "b", "c", "d"] {
        drive.namespace(name);
    }
    drive.deny("a");
    drive.policy(1, enforce());
    drive.wait(30);
    drive.deny("b");
    drive.wait(30);
    drive.delete(Kind::NetworkPolicy, "a", "deny");
    drive.serve();
    drive.wait(30);
    drive.policy(
        2,
        json!({ "suspend": true, "controls": { "netNamespaceDefaultDeny": {} } }),
    );
    drive.wait(30);
    drive.deny("c");
    drive.policy(3, observe());
    drive.wait(30);
    drive.delete(Kind::NetworkPolicy, "b", "deny");
    drive.wait(30);
    drive.delete(Kind::Namespace, "", "d");
    drive.wait(30);
    drive.namespace("d");
    drive.deny("d");
    drive.wait(60);
    let said = &drive.said;
    assert!(drive.count("population") > 3 && drive.count("transition") > 5);
    let mut fewer = 0;
    for cut in 1..said.len() {
        let kept = carried(&said[..cut]);
        fewer += usize::from(kept.len() < cut);
        let cut = cut as u64;
        assert_eq!(
            recalled(said, |seq| seq >= cut || kept.contains(&seq)),
            recalled(said, |_| true),
            "cut before {cut}"
        );
    }
    assert!(fewer > 10, "{fewer}");
}
