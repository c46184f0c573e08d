//! Exceptions, driven without a cluster.

use serde_json::{Value, json};

use crate::{
    api::{ExceptionKind, PeopleKind},
    engine::{
        Event,
        tests::{Drive, FAIL, PASS, enforce, observe},
    },
    evidence::{
        body::{Accepted, Body, INVALID, ObjectChange},
        words::{Cause, End, Step},
    },
    inventory::Kind,
    verdict::Outcome,
};

mod attacks;
mod periods;
mod said;

const EXCEPTED: Option<Outcome> = Some(Outcome::Excepted);

/// An exception for the default deny in `shop`, created at noon like everything in these tests.
fn exception(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlException",
        "metadata": {
            "name": "legacy", "namespace": "shop", "uid": "x-1", "generation": 1,
            "creationTimestamp": "2026-06-01T12:00:00Z",
        },
        "spec": {
            "control": "net-namespace-default-deny", "kind": "AcceptedRisk",
            "subjects": [{ "kind": "Namespace", "name": "shop" }],
            "reason": "being rebuilt", "ticket": "OPS-1",
            "expiresAt": "2026-06-11T12:00:00Z", "requestedBy": "alice",
        },
    });
    crate::engine::tests::merge(&mut object, more);
    object
}

fn decided(verdict: &str, by: &str) -> Value {
    json!({ "status": { "decision": { "verdict": verdict, "by": by, "generation": 1 } } })
}

fn approved() -> Value {
    exception(&decided("Approved", "bob"))
}

fn put(drive: &mut Drive, object: &Value) {
    let kind = PeopleKind::find(object["kind"].as_str().unwrap()).unwrap();
    drive.apply(Event::People(kind.parse(&object.to_string()).unwrap()));
    drive.round();
}

fn delete(drive: &mut Drive, name: &str) {
    let gone = Event::PeopleGone(PeopleKind::Exception, "shop".into(), name.into());
    drive.apply(gone);
    drive.round();
}

/// A namespace that fails, and a policy that sees it.
fn failing() -> Drive {
    let mut drive = Drive::new();
    drive.apply(Event::PeopleListed(PeopleKind::Exception));
    drive.namespace("shop");
    drive.policy(1, observe());
    drive
}

fn steps(drive: &Drive) -> Vec<Step> {
    changes(drive).iter().map(|said| said.step).collect()
}

fn changes(drive: &Drive) -> Vec<ObjectChange> {
    let said = drive.bodies().filter_map(|body| match body {
        Body::Exception(said) => Some(said.clone()),
        _ => None,
    });
    said.collect()
}

/// What the operator last wrote about the exception `legacy`.
fn observed(drive: &mut Drive) -> Value {
    drive.wait(70);
    drive.remarks.last().unwrap().observed.clone()
}

const HOUR: u64 = 3600;

#[test]
fn an_approved_exception_accepts_a_failure_until_its_second_and_the_log_has_it_all() {
    let mut drive = failing();
    put(&mut drive, &exception(&json!({})));
    assert_eq!(drive.transitions().len(), 1, "unapproved it does nothing");
    put(&mut drive, &approved());
    drive.wait(10 * 24 * HOUR - 1);
    assert_eq!(drive.status().summary.subjects.excepted, 1);
    let ended = drive.transitions();
    assert_eq!(
        ended[1..],
        [
            (FAIL, EXCEPTED, Cause::Exception, Some(End::Excepted)),
            (EXCEPTED, FAIL, Cause::Exception, None),
        ],
        "the wait of the status has passed the end"
    );
    let accepted = drive.said.iter().filter_map(|record| match &record.body {
        Body::Transition(said) if said.to == EXCEPTED => said.accepted.clone(),
        _ => None,
    });
    let by = "ControlException shop/legacy".into();
    let approved = true;
    assert_eq!(accepted.collect::<Vec<_>>(), [Accepted { approved, by }]);
    assert_eq!(
        steps(&drive),
        [Step::Created, Step::Approved, Step::Expired]
    );
    let said = changes(&drive);
    assert_eq!(said[0].who.as_deref(), Some("alice"));
    assert_eq!(said[1].who.as_deref(), Some("bob"));
    assert_eq!(said[2].reason.as_deref(), Some("Expired"));
}

#[test]
fn it_ends_on_the_second_although_nothing_happens() {
    let mut drive = failing();
    put(&mut drive, &approved());
    drive.wait(10 * 24 * HOUR - 1);
    assert_eq!(drive.transitions().len(), 2);
    let next = drive.engine.next_due(drive.now()).unwrap();
    assert!(next <= drive.mono + std::time::Duration::from_secs(1));
    drive.wait(1);
    let (from, to, ..) = drive.transitions()[2];
    assert_eq!((from, to), (EXCEPTED, FAIL));
    // The time in which it was accepted is no part of the deviation that begins.
    let mut opened = drive.said.iter().filter_map(|record| match &record.body {
        Body::Transition(said) => Some(said.opened.unwrap_or(record.time)),
        _ => None,
    });
    assert_eq!(opened.next_back(), Some(drive.wall));
}

#[test]
fn a_subject_that_is_excepted_stays_measured_and_is_not_put_back() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    put(&mut drive, &approved());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 0, "nothing is written");
    drive.deny("shop");
    assert_eq!(
        drive.transitions(),
        [
            (PASS, EXCEPTED, Cause::Object, None),
            (EXCEPTED, PASS, Cause::Object, None),
        ]
    );
    assert_eq!(observed(&mut drive)["subjects"], 0);
}

#[test]
fn what_failed_before_it_ended_is_no_drift_to_put_back() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    put(&mut drive, &approved());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    delete(&mut drive, "legacy");
    assert_eq!(drive.status().summary.failing, 1);
    assert!(drive.actions.is_empty(), "it is proposed");
    assert_eq!(drive.status().enforcement.unwrap().proposed_existing, 1);
}

#[test]
fn it_covers_what_it_names_and_nothing_else() {
    let mut drive = failing();
    drive.namespace("pay");
    put(&mut drive, &approved());
    assert_eq!(drive.status().summary.failing, 1);
    let mut foreign = approved();
    foreign["metadata"]["name"] = json!("foreign");
    foreign["metadata"]["uid"] = json!("x-2");
    foreign["spec"]["subjects"] = json!([{ "kind": "Namespace", "name": "pay" }]);
    put(&mut drive, &foreign);
    assert_eq!(drive.status().summary.failing, 1, "only its own namespace");
    let mut all = approved();
    all["kind"] = json!("ClusterControlException");
    all["metadata"] = json!({ "name": "all", "uid": "x-3", "generation": 1,
        "creationTimestamp": "2026-06-01T12:00:00Z" });
    all["spec"].as_object_mut().unwrap().remove("subjects");
    all["spec"]["selector"] = json!({ "matchLabels": { "team": "pay" } });
    put(&mut drive, &all);
    assert_eq!(drive.status().summary.failing, 1);
    let labelled = json!({ "metadata": { "name": "pay", "labels": { "team": "pay" } } });
    drive.put(Kind::Namespace, labelled);
    assert_eq!(drive.status().summary.failing, 0);
    assert_eq!(
        drive
            .engine
            .exceptions_in_force(ExceptionKind::AcceptedRisk),
        3
    );
}

#[test]
fn an_exception_of_another_control_or_that_is_refused_or_self_approved_does_nothing() {
    let mut other = approved();
    other["spec"]["control"] = json!("net-no-allow-all");
    let beyond = json!({ "spec": { "expiresAt": "2026-08-31T12:00:00Z" } });
    let mut late = approved();
    crate::engine::tests::merge(&mut late, &beyond);
    let mut edited = approved();
    edited["metadata"]["generation"] = json!(2);
    for (object, phase) in [
        (other, "Active"),
        (exception(&decided("Rejected", "bob")), "Rejected"),
        (exception(&decided("Approved", "alice")), "Invalid"),
        (late, "Invalid"),
        (edited, "Invalid"),
    ] {
        let mut drive = failing();
        put(&mut drive, &object);
        assert_eq!(drive.status().summary.failing, 1, "{object}");
        assert_eq!(observed(&mut drive)["phase"], phase, "{object}");
    }
}

#[test]
fn an_exception_whose_selector_nothing_can_satisfy_is_invalid_and_says_so() {
    for (selector, why) in [
        (
            json!({ "matchLabels": { "the team": "pay" } }),
            r#""the team" is no key of a label"#,
        ),
        (
            json!({ "matchLabels": { "team": "pay day" } }),
            r#""pay day" is no value of a label"#,
        ),
        (
            json!({ "matchExpressions": [{ "key": "team", "operator": "In", "values": [] }] }),
            "In of the label team needs values",
        ),
        (
            json!({ "matchExpressions": [{ "key": "team", "operator": "Gt", "values": ["1"] }] }),
            "unknown operator",
        ),
    ] {
        let mut object = approved();
        object["spec"].as_object_mut().unwrap().remove("subjects");
        object["spec"]["selector"] = selector;
        let mut drive = failing();
        put(&mut drive, &object);
        assert_eq!(drive.status().summary.failing, 1);
        let seen = observed(&mut drive);
        assert_eq!(seen["phase"], "Invalid");
        let message = seen["message"].as_str().unwrap();
        assert!(
            message.starts_with("spec.selector can't be used: "),
            "{message}"
        );
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_false_positive_ends_when_the_rule_has_another_version() {
    let info = crate::controls::registry::find("net-namespace-default-deny")
        .unwrap()
        .info;
    for (version, phase, failing_subjects) in [
        (info.rule_version, "Active", 0),
        (info.rule_version + 1, "RuleChanged", 1),
    ] {
        let mut drive = failing();
        let mut object = approved();
        object["spec"]["kind"] = json!("FalsePositive");
        object["spec"]["ruleVersion"] = json!(version);
        put(&mut drive, &object);
        assert_eq!(drive.status().summary.failing, failing_subjects);
        assert_eq!(observed(&mut drive)["phase"], phase);
    }
}

#[test]
fn a_broken_glass_works_for_eight_hours_and_is_unapproved_after_three_days() {
    let mut drive = failing();
    put(
        &mut drive,
        &exception(&json!({ "spec": { "breakGlass": true } })),
    );
    assert_eq!(drive.status().summary.failing, 0, "at once");
    assert_eq!(observed(&mut drive)["phase"], "BreakGlass");
    drive.wait(8 * HOUR);
    assert_eq!(drive.status().summary.failing, 1);
    assert_eq!(observed(&mut drive)["phase"], "Pending");
    assert_eq!(steps(&drive), [Step::Created, Step::Expired]);
    drive.wait(64 * HOUR);
    assert_eq!(observed(&mut drive)["phase"], "Unapproved");
    // Late is better than never.
    let late = json!({ "spec": { "breakGlass": true } });
    let mut object = approved();
    crate::engine::tests::merge(&mut object, &late);
    put(&mut drive, &object);
    assert_eq!(drive.status().summary.failing, 0);
    assert_eq!(
        steps(&drive),
        [Step::Created, Step::Expired, Step::Approved]
    );
}

#[test]
fn who_accepts_is_said_also_when_it_is_another() {
    let mut drive = failing();
    put(&mut drive, &approved());
    let mut longer = approved();
    longer["metadata"]["name"] = json!("longer");
    longer["metadata"]["uid"] = json!("x-2");
    longer["spec"]["expiresAt"] = json!("2026-06-21T12:00:00Z");
    put(&mut drive, &longer);
    let by = |drive: &Drive| {
        let said = drive.bodies().filter_map(|body| match body {
            Body::Transition(said) if said.to == EXCEPTED => Some(said.message.clone()),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    let said = by(&drive);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("shop/legacy") && said[1].contains("shop/longer"),
        "{said:?}"
    );
    // The one that ends first makes no difference any more.
    drive.wait(11 * 24 * HOUR);
    assert_eq!(by(&drive).len(), 2);
}

#[test]
fn a_restart_tells_nothing_twice_and_what_happened_meanwhile() {
    let mut drive = failing();
    put(&mut drive, &approved());
    let mut second = approved();
    second["metadata"]["name"] = json!("second");
    second["metadata"]["uid"] = json!("x-2");
    put(&mut drive, &second);
    let mut again = Drive::with_memory(drive.memory());
    again.wait(60);
    again.namespace("shop");
    put(&mut again, &approved());
    again.policy(1, observe());
    again.lead(2);
    assert_eq!(changes(&again), [], "the list is not complete");
    again.apply(Event::PeopleListed(PeopleKind::Exception));
    again.round();
    let said = changes(&again);
    assert_eq!(steps(&again), [Step::Deleted]);
    assert_eq!((&*said[0].name, &*said[0].uid), ("second", "x-2"));
    assert_eq!(again.transitions(), [], "still accepted");
}

#[test]
fn an_exception_that_began_or_ended_while_nobody_looked_is_the_cause() {
    let drive = failing();
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    put(&mut again, &approved());
    again.policy(1, observe());
    again.lead(2);
    let excepted = (FAIL, EXCEPTED, Cause::Exception, Some(End::Excepted));
    assert_eq!(again.transitions(), [excepted]);
    let mut last = Drive::with_memory(again.memory());
    last.namespace("shop");
    last.policy(1, observe());
    last.lead(3);
    assert_eq!(
        last.transitions(),
        [(EXCEPTED, FAIL, Cause::Exception, None)]
    );
}

#[test]
fn an_object_of_the_same_name_is_another_one() {
    let mut drive = failing();
    put(&mut drive, &approved());
    let mut other = exception(&json!({}));
    other["metadata"]["uid"] = json!("x-9");
    put(&mut drive, &other);
    assert_eq!(
        steps(&drive),
        [Step::Created, Step::Approved, Step::Deleted, Step::Created]
    );
    assert_eq!(drive.status().summary.failing, 1);
}

#[test]
fn a_status_is_written_when_it_changes_and_only_then() {
    let mut drive = failing();
    put(&mut drive, &exception(&json!({})));
    drive.wait(3);
    assert_eq!(drive.remarks.len(), 1);
    assert_eq!(drive.remarks[0].observed["decidedAt"], Value::Null);
    let mut object = exception(&json!({}));
    object["status"] = json!({ "observed": drive.remarks[0].observed });
    put(&mut drive, &object);
    drive.wait(700);
    assert_eq!(drive.remarks.len(), 1, "its own write is no news");
    crate::engine::tests::merge(&mut object, &decided("Approved", "bob"));
    put(&mut drive, &object);
    let active = observed(&mut drive);
    assert_eq!(
        (&active["phase"], &active["subjects"]),
        (&json!("Active"), &json!(1))
    );
    assert!(active["decidedAt"].is_string());
    let key = drive.remarks.last().unwrap().key.clone();
    let before = drive.remarks.len();
    drive.apply(Event::RemarkFailed(key));
    drive.wait(10);
    assert_eq!(
        drive.remarks.len(),
        before + 1,
        "what failed is tried again"
    );
}
