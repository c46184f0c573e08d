//! Attestations, reviews and responses, driven without a cluster.

use super::*;

/// A policy with the controls that rest on what people say.
pub(super) fn said() -> Value {
    json!({ "controls": {
        "attestVendorReview": {}, "assuranceExceptionsApproved": {}, "rbacAccessReviewCurrent": {},
    } })
}

pub(super) fn listed(drive: &mut Drive) {
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

pub(super) fn kinds_and_steps(drive: &Drive) -> Vec<(&'static str, Step)> {
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
fn the_log_says_of_a_decision_that_it_does_not_count() {
    let mut drive = failing();
    drive.apply(Event::PeopleListed(PeopleKind::Attestation));
    put(
        &mut drive,
        &attestation(&decided("Approved", "system:node:a")),
    );
    let reasons = drive.bodies().filter_map(|body| match body {
        Body::Attestation(said) if said.step == Step::Approved => Some(said.reason.clone()),
        _ => None,
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons, [Some(INVALID.into())]);
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

pub(super) fn review(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AccessReview",
        "metadata": { "name": "shop-q2", "uid": "r-1", "generation": 1,
            "creationTimestamp": "2026-06-01T12:00:00Z" },
        "spec": { "namespace": "shop", "due": "2026-06-08T12:00:00Z" },
    });
    crate::engine::tests::merge(&mut object, more);
    object
}

pub(super) fn bind(drive: &mut Drive, name: &str, user: &str) {
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
pub(super) fn rows(drive: &Drive) -> std::collections::BTreeMap<String, String> {
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
pub(super) fn reviewing() -> Drive {
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
    let in_grace = Some(Outcome::NotApplicable);
    assert_eq!(last, (in_grace, FAIL, Cause::Time, None));
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
