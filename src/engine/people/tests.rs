//! Exceptions, driven without a cluster.

use serde_json::{Value, json};

use crate::{
    api::{ExceptionKind, PeopleKind},
    engine::{
        Event,
        tests::{Drive, FAIL, PASS, enforce, observe},
    },
    evidence::{
        body::{Body, ObjectChange},
        words::{Cause, End, Step},
    },
    inventory::Kind,
    verdict::Outcome,
};

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
    let opened = drive.bodies().filter_map(|body| match body {
        Body::Transition(said) => said.opened,
        _ => None,
    });
    assert_eq!(opened.last(), Some(drive.wall));
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

/// A policy with the controls that rest on what people say.
fn said() -> Value {
    json!({ "controls": {
        "attestVendorReview": {}, "assuranceExceptionsApproved": {}, "rbacAccessReviewCurrent": {},
    } })
}

fn listed(drive: &mut Drive) {
    for kind in PeopleKind::ALL {
        drive.apply(Event::PeopleListed(kind));
    }
    drive.round();
}

/// Outcome of a control of the policy.
fn outcome(drive: &mut Drive, id: &str) -> Outcome {
    let controls = drive.status().controls;
    controls
        .iter()
        .find(|control| control.id == id)
        .unwrap()
        .outcome
}

fn attestation(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "Attestation",
        "metadata": { "name": "vendors", "uid": "a-1", "generation": 1,
            "creationTimestamp": "2026-06-01T12:00:00Z" },
        "spec": {
            "control": "attest-vendor-review", "statement": "all were reviewed",
            "from": "2026-01-01T00:00:00Z", "to": "2026-05-31T00:00:00Z",
            "attestedBy": "alice", "validUntil": "2026-06-11T12:00:00Z",
            "evidence": [{ "uri": "https://files/vendors.pdf", "sha256": "0".repeat(64) }],
        },
    });
    crate::engine::tests::merge(&mut object, more);
    object
}

fn kinds_and_steps(drive: &Drive) -> Vec<(&'static str, Step)> {
    let said = drive.bodies().filter_map(|body| match body {
        Body::Exception(said)
        | Body::Attestation(said)
        | Body::Review(said)
        | Body::Response(said) => Some((body.kind(), said.step)),
        _ => None,
    });
    said.collect()
}

#[test]
fn an_attestation_counts_when_approved_and_until_it_ends() {
    let id = "attest-vendor-review";
    let mut drive = Drive::new();
    drive.policy(1, said());
    assert_eq!(
        outcome(&mut drive, id),
        Outcome::Unknown,
        "nothing was read yet"
    );
    listed(&mut drive);
    assert_eq!(outcome(&mut drive, id), Outcome::Fail);
    put(&mut drive, &attestation(&json!({})));
    assert_eq!(outcome(&mut drive, id), Outcome::Fail);
    put(&mut drive, &attestation(&decided("Approved", "alice")));
    assert_eq!(
        outcome(&mut drive, id),
        Outcome::Fail,
        "who attests can't approve"
    );
    put(&mut drive, &attestation(&decided("Approved", "bob")));
    assert_eq!(outcome(&mut drive, id), Outcome::Pass);
    assert_eq!(observed(&mut drive)["phase"], "Valid");
    drive.wait(10 * 24 * HOUR);
    assert_eq!(outcome(&mut drive, id), Outcome::Fail);
    assert_eq!(observed(&mut drive)["phase"], "Expired");
    let last = drive.transitions().pop().unwrap();
    assert_eq!(last, (PASS, FAIL, Cause::Time, None));
    let steps = kinds_and_steps(&drive);
    let of = |step| ("attestation", step);
    assert_eq!(
        steps,
        [Step::Created, Step::Approved, Step::Approved, Step::Expired].map(of)
    );
}

#[test]
fn an_emergency_that_nobody_approves_is_a_deviation_of_its_own() {
    let id = "assurance-exceptions-approved";
    let mut drive = Drive::new();
    listed(&mut drive);
    drive.policy(1, said());
    put(
        &mut drive,
        &exception(&json!({ "spec": { "breakGlass": true } })),
    );
    assert_eq!(outcome(&mut drive, id), Outcome::Pass);
    drive.wait(72 * HOUR);
    assert_eq!(outcome(&mut drive, id), Outcome::Fail);
    let last = drive.transitions().pop().unwrap();
    assert_eq!(last, (PASS, FAIL, Cause::Time, None));
    let deviations = drive.bodies().filter_map(|body| match body {
        Body::Transition(said) if said.control == id => said.deviation.clone(),
        _ => None,
    });
    assert_eq!(deviations.count(), 1);
}

#[test]
fn every_version_of_a_response_is_in_the_log() {
    let mut drive = Drive::new();
    listed(&mut drive);
    let response = |generation: i64, cause: &str| {
        json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "DeviationResponse",
            "metadata": { "name": "d", "uid": "d-1", "generation": generation },
            "spec": {
                "deviation": "0123456789abcdef", "cause": cause, "impact": "none",
                "action": "put back", "owner": "platform", "ticket": "OPS-2", "risk": "low",
                "author": "alice",
            },
        })
    };
    put(&mut drive, &response(1, "a mistake"));
    put(&mut drive, &response(2, "a migration"));
    let said = drive.bodies().filter_map(|body| match body {
        Body::Response(said) => Some((said.step, said.who.clone(), said.spec.clone())),
        _ => None,
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), 2);
    assert_eq!(
        (said[1].0, said[1].1.as_deref()),
        (Step::Changed, Some("alice"))
    );
    let spec = serde_json::to_value(&said[1].2).unwrap();
    assert_eq!(spec["cause"], "a migration");
    assert!(drive.remarks.is_empty(), "it has no status");
}

fn review(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AccessReview",
        "metadata": { "name": "shop-q2", "uid": "r-1", "generation": 1,
            "creationTimestamp": "2026-06-01T12:00:00Z" },
        "spec": { "namespace": "shop", "due": "2026-06-08T12:00:00Z" },
    });
    crate::engine::tests::merge(&mut object, more);
    object
}

fn bind(drive: &mut Drive, name: &str, user: &str) {
    let group = "rbac.authorization.k8s.io";
    drive.put(
        Kind::RoleBinding,
        json!({
            "metadata": { "name": name, "namespace": "shop" },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
        }),
    );
}

/// The frozen rows, by who holds the right.
fn rows(drive: &Drive) -> std::collections::BTreeMap<String, String> {
    let frozen = drive.bodies().filter_map(|body| match body {
        Body::Review(said) if said.step == Step::Frozen => said.decision.clone(),
        _ => None,
    });
    let rows = serde_json::to_value(frozen.last().unwrap()).unwrap();
    let rows = rows.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.map(|row| (text(&row["who"]), text(&row["id"])))
        .collect()
}

/// A namespace with rights of three users, and a review whose listing is frozen.
fn reviewing() -> Drive {
    let mut drive = Drive::new();
    listed(&mut drive);
    drive.namespace("shop");
    for user in ["alice", "bob", "carol"] {
        bind(&mut drive, user, user);
    }
    drive.policy(1, said());
    put(&mut drive, &review(&json!({})));
    drive.wait(3);
    drive
}

fn reviewed(drive: &mut Drive, by: &str, rows: &Value) -> Value {
    let seen = observed(drive);
    let sha256 = seen["sha256"].clone();
    let status = json!({ "observed": seen,
        "review": { "by": by, "sha256": sha256, "rows": rows } });
    put(drive, &review(&json!({ "status": status })));
    observed(drive)
}

#[test]
fn a_listing_is_frozen_decided_row_by_row_and_what_is_revoked_is_seen_to_go() {
    let mut drive = reviewing();
    let open = observed(&mut drive);
    assert_eq!((&open["phase"], &open["rows"]), (&json!("Open"), &json!(3)));
    let rows = rows(&drive);
    let decided = json!({
        rows["User alice"].clone(): "Keep", rows["User bob"].clone(): "Revoke",
        rows["User carol"].clone(): "Keep",
    });
    let seen = reviewed(&mut drive, "dave", &decided);
    assert_eq!(
        (&seen["phase"], &seen["remaining"]),
        (&json!("Decided"), &json!(1))
    );
    assert_eq!(
        outcome(&mut drive, "rbac-access-review-current"),
        Outcome::Fail,
        "the cluster"
    );
    drive.delete(Kind::RoleBinding, "shop", "bob");
    assert_eq!(observed(&mut drive)["phase"], "Done");
    assert_eq!(
        kinds_and_steps(&drive),
        [Step::Created, Step::Frozen, Step::Decided, Step::Verified].map(|step| ("review", step))
    );
    // What comes back is for the next review.
    bind(&mut drive, "bob", "bob");
    drive.wait(60);
    let subjects = drive.bodies().filter_map(|body| match body {
        Body::Transition(said) => Some((said.subject.name.to_string(), said.to)),
        _ => None,
    });
    let failing = subjects.filter(|(name, to)| name == "shop-q2" && *to == FAIL);
    assert_eq!(failing.count(), 0);
}

#[test]
fn a_right_that_is_not_revoked_in_time_is_a_deviation() {
    let mut drive = reviewing();
    let ids = rows(&drive).into_values().map(|id| (id, json!("Revoke")));
    let decided = Value::Object(ids.collect());
    assert_eq!(reviewed(&mut drive, "dave", &decided)["remaining"], 3);
    drive.wait(8 * 24 * HOUR);
    let last = drive.transitions().pop().unwrap();
    assert_eq!(last, (PASS, FAIL, Cause::Time, None));
}

#[test]
fn decisions_about_something_else_or_about_ones_own_rights_do_not_count() {
    let drive = reviewing();
    let rows = rows(&drive);
    let all = |decision: &str| {
        let rows = rows.values().map(|id| (id.clone(), json!(decision)));
        Value::Object(rows.collect())
    };
    let mut few = all("Keep");
    few.as_object_mut().unwrap().remove(&rows["User bob"]);
    let mut other = few.clone();
    other["r-0000000000000000"] = json!("Keep");
    let mut own = all("Keep");
    own[&rows["User alice"]] = json!("Revoke");
    for (by, decided, phase) in [
        ("dave", few, "Invalid"),
        ("dave", other, "Invalid"),
        ("alice", all("Keep"), "Invalid"),
        ("alice", own, "Decided"),
        ("dave", all("Keep"), "Done"),
    ] {
        let mut drive = reviewing();
        let seen = reviewed(&mut drive, by, &decided);
        assert_eq!(seen["phase"], phase, "{by} {decided}: {}", seen["message"]);
    }
}

#[test]
fn a_restart_keeps_what_was_frozen() {
    let mut drive = reviewing();
    let seen = observed(&mut drive);
    let mut again = Drive::with_memory(drive.memory());
    listed(&mut again);
    again.namespace("shop");
    bind(&mut again, "mallory", "mallory");
    again.policy(1, said());
    let object = review(&json!({ "status": { "observed": seen } }));
    put(&mut again, &object);
    again.lead(2);
    again.wait(70);
    assert_eq!(kinds_and_steps(&again), [], "nothing is frozen anew");
    let rows = rows(&drive);
    let mut strange: Vec<(String, Value)> =
        rows.into_values().map(|id| (id, json!("Keep"))).collect();
    strange[0].0 = "r-ffffffffffffffff".to_owned();
    let decided = Value::Object(strange.into_iter().collect());
    let status = json!({ "observed": object["status"]["observed"],
        "review": { "by": "dave", "sha256": object["status"]["observed"]["sha256"], "rows": decided } });
    put(&mut again, &review(&json!({ "status": status })));
    assert_eq!(
        observed(&mut again)["phase"],
        "Invalid",
        "its rows are known from the log"
    );
}
