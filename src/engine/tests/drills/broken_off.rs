//! Drills that don't come to a result: refused, withdrawn, left behind.

use super::*;

#[test]
fn a_write_that_is_refused_ends_the_drill_and_says_why() {
    for (kind, written, words) in [
        (FailureKind::Forbidden, 0, "set drill.enabled in the chart"),
        (FailureKind::Forbidden, 3, "forbids to create Restore"),
        (FailureKind::Superseded, 0, "is there already"),
        (FailureKind::Ambiguous, 1, "could not be created"),
    ] {
        let mut drive = drive(Memory::default(), &json!({}));
        drive.begin(written);
        let write = drive.write();
        drive.refuse(&write, kind);
        drive.clean_up();
        assert_eq!(drive.there(Kind::Namespace), 0, "{words}");
        let said = drive.said_of_drills();
        assert!(said[0].message.contains(words), "{said:?}");
        assert!(drive.verdict_of_fast().contains(words));
        assert_eq!(drive.count("intent"), drive.count("outcome"));
        // It is tried again, but not at once.
        drive.wait(1800);
        assert!(drive.drills.is_empty());
        drive.wait(1800);
        drive.wait(3);
        assert_eq!(drive.write().spot.kind, "Namespace");
    }
}

#[test]
fn a_namespace_of_that_name_that_no_drill_made_is_left_alone() {
    let mut drive = staged(Memory::default());
    let labels = json!({ "team": "shop" });
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": SANDBOX, "labels": labels } }),
    );
    drive.policy(1, asks(&json!({})));
    drive.lead(1);
    drive.wait(120);
    drive.wait(3);
    assert!(drive.drills.is_empty());
    assert!(drive.verdict_of_fast().contains("that no drill made"));
    drive.delete(Kind::Namespace, "", SANDBOX);
    drive.wait(61);
    drive.wait(3);
    assert_eq!(drive.write().spot.kind, "Namespace");
}

#[test]
fn a_policy_that_is_gone_or_suspended_ends_the_drill() {
    for suspended in [false, true] {
        let mut drive = drive(Memory::default(), &json!({}));
        drive.begin(4);
        if suspended {
            let mut spec = asks(&json!({}));
            spec["suspend"] = json!(true);
            drive.policy(2, spec);
        } else {
            drive.apply(Event::PolicyDeleted("soc2".into()));
        }
        drive.wait(3);
        let done = drive.clean_up();
        let kinds: Vec<&str> = done.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, ["Restore", "Namespace"]);
        assert!(drive.said_of_drills()[0].message.contains("no policy asks"));
        assert!(drive.engine.needed_kinds().is_empty() != suspended);
    }
}

#[test]
fn what_a_crash_leaves_behind_is_cleaned_up_whatever_policies_say() {
    for written in 1..=4 {
        for asked in [false, true] {
            let mut drive = drive(Memory::default(), &json!({}));
            drive.begin(written);
            let mut again = Drive::with_memory(drive.memory());
            for ((kind, ..), object) in &drive.objects {
                again.put(*kind, object.clone());
            }
            if asked {
                again.policy(1, asks(&json!({})));
            }
            again.lead(2);
            assert!(again.engine.needed_kinds().contains(&Kind::Namespace));
            let done = again.clean_up();
            let kinds: Vec<&str> = done.iter().map(|(kind, _)| *kind).collect();
            let wanted: &[&str] = if written == 4 {
                &["Restore", "Namespace"]
            } else {
                &["Namespace"]
            };
            assert_eq!(kinds, wanted, "after {written} writes, asked: {asked}");
            let said = again.said_of_drills();
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].message.contains("in the middle"));
            assert_eq!(&*said[0].namespace, "shop");
            assert_eq!(again.there(Kind::Namespace), 0);
            if !asked {
                assert!(again.engine.needed_kinds().is_empty());
            }
        }
    }
}

#[test]
fn the_end_of_a_term_ends_the_drill_and_the_next_one_cleans_up() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(2);
    let open = drive.write();
    drive.apply(Event::Following);
    drive.round();
    drive.apply(Event::Action(open.id, ActionResult::Written(Some(7))));
    drive.wait(60);
    assert!(drive.drills.is_empty(), "a follower writes nothing");
    drive.lead(2);
    drive.wait(3);
    let unresolved = drive.bodies().any(|body| {
        matches!(body, Body::Outcome(said) if said.intent == open.id
            && said.result == crate::evidence::words::ActionResult::Unresolved)
    });
    assert!(unresolved);
    let done = drive.clean_up();
    assert!(
        matches!(&done[..], [("Namespace", DrillCall::Delete(_))]),
        "{done:?}"
    );
    assert_eq!(drive.said_of_drills().len(), 1);
}

#[test]
fn a_clean_up_that_fails_is_tried_until_it_works() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(2);
    let write = drive.write();
    drive.refuse(&write, FailureKind::Rejected);
    for _ in 0..5 {
        let write = drive.write();
        assert!(matches!(write.call, DrillCall::Delete(_)), "{write:?}");
        drive.refuse(&write, FailureKind::Transient);
        drive.wait(100);
    }
    drive.clean_up();
    assert_eq!(drive.there(Kind::Namespace), 0);
    assert_eq!(drive.said_of_drills().len(), 1);
    assert_eq!(drive.count("intent"), drive.count("outcome"));
}

#[test]
fn two_namespaces_take_turns() {
    let both = json!({ "drill": { "namespaces": ["shop", "bank"] } });
    let mut drive = drive(Memory::default(), &both);
    drive.begin(1);
    drive.wait(600);
    let write = drive.write();
    assert_eq!(write.spot.kind, "ResourceQuota");
    drive.refuse(&write, FailureKind::Rejected);
    drive.clean_up();
    // The other one has no backup, which is said; it does not stand in the way.
    let drills = &drive.engine.observed_mut().drills;
    assert!(
        drills["bank"].said.contains("no complete Velero Backup"),
        "{drills:?}"
    );
}
