//! What is put back, and what holds it back.

use super::*;

#[test]
fn what_a_write_mends_beside_its_own_subject_was_put_back_by_us() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    let pod = json!({
        "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "web" }] },
    });
    drive.put(Kind::Pod, pod);
    drive.policy(1, enforce());
    drive.policy_named(
        "watching",
        1,
        json!({ "controls": { "netPodIngressIsolated": {} } }),
    );
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
    let ends: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|said| said.3)
        .collect();
    assert_eq!(ends, [End::PutBack, End::PutBack]);
    // The same, mended by somebody else.
    drive.apply(Event::Log(Err("the disk is full".to_owned())));
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.deny("shop");
    let ends: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|said| said.3)
        .collect();
    assert_eq!(ends[2..], [End::FixedByOthers, End::FixedByOthers]);
}

#[test]
fn drift_is_put_back_and_recorded() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
    assert_eq!(
        drive.transitions(),
        [
            (PASS, FAIL, Why::Object, None),
            (FAIL, PASS, Why::Object, Some(End::PutBack))
        ]
    );
    assert_eq!((drive.count("intent"), drive.count("outcome")), (1, 1));
    let status = drive.status();
    assert_eq!(status.summary.passing, "1/1");
    assert_eq!(
        status.controls[0].last_drift_ended.as_deref(),
        Some("PutBack")
    );
    assert_eq!(status.enforcement.unwrap().written, 1);
}

#[test]
fn how_the_last_drift_ended_is_said_by_no_other_deviation() {
    let mut drive = Drive::new();
    for name in ["books", "shop"] {
        drive.namespace(name);
    }
    drive.deny("shop");
    drive.policy(1, observe());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    let ended = |drive: &mut Drive| drive.status().controls[0].last_drift_ended.clone();
    assert_eq!(ended(&mut drive).as_deref(), Some("Open"));
    drive.deny("books");
    assert_eq!(
        ended(&mut drive).as_deref(),
        Some("Open"),
        "what failed from the beginning is no drift, and its end is not that of the drift"
    );
    drive.delete(Kind::Namespace, "", "shop");
    assert_eq!(ended(&mut drive).as_deref(), Some("SubjectGone"));
}

#[test]
fn intents_are_numbered_in_the_order_of_the_log_whatever_the_server_answers_first() {
    let intents = |drive: &Drive| -> Vec<u64> {
        let bodies = drive.bodies().filter_map(|body| match body {
            Body::Intent(said) => Some(said.id),
            _ => None,
        });
        bodies.collect()
    };
    let mut drive = Drive::new();
    let names = ["books", "shop", "tea"].map(str::to_owned);
    for name in &names {
        drive.namespace(name);
        drive.deny(name);
    }
    drive.policy(1, enforce());
    drive.delete_at_once(Kind::NetworkPolicy, &names, "deny");
    let tried = drive.actions.iter().map(|action| action.id);
    assert!(
        tried.is_sorted(),
        "and the server answers the last one first"
    );
    assert_eq!(drive.serve(), 3);
    let before = intents(&drive);
    assert_eq!(before.len(), 3);
    assert!(before.is_sorted_by(|one, next| one < next), "{before:?}");
    // Nor are they numbered anew when the clock is set back while nothing runs.
    drive.wait(3600);
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.serve();
    let newest = *intents(&drive).last().unwrap();
    let mut after = Drive::with_memory(drive.memory());
    after.lead(2);
    for name in &names {
        after.namespace(name);
    }
    after.policy(1, enforce());
    after.deny("shop");
    after.delete(Kind::NetworkPolicy, "shop", "deny");
    after.serve();
    let after = intents(&after);
    assert!(after.iter().all(|id| *id > newest), "{after:?} > {newest}");
    assert!(!after.is_empty());
}

#[test]
fn a_deleted_object_of_ours_comes_back_without_a_dry_run() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.serve();
    drive.wait(5);
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.actions.len(), 1);
    assert_eq!(drive.actions[0].step, Step::Write);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn observe_writes_nothing() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.wait(600);
    assert!(drive.actions.is_empty());
    assert_eq!(drive.count("intent"), 0);
    assert_eq!(drive.status().summary.failing, 1);
}

#[test]
fn what_failed_before_enforce_stays_a_proposal() {
    let mut drive = Drive::new();
    drive.namespace("old");
    drive.policy(1, enforce());
    assert!(drive.actions.is_empty());
    assert_eq!(drive.status().enforcement.unwrap().proposed_existing, 1);
    // A namespace that is created afterwards is not old.
    let created = drive.wall.to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "new", "creationTimestamp": created } }),
    );
    assert!(drive.actions.is_empty(), "it gets a moment of grace");
    drive.wait(4);
    assert_eq!(drive.serve(), 1);
    // And a person may ask for the old ones too.
    let mut spec = enforce();
    spec["existing"] = json!("Remediate");
    drive.policy(2, spec);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn the_brake_latches_until_a_person_releases_it() {
    let mut drive = Drive::new();
    for n in 0..10 {
        drive.namespace(&format!("ns-{n}"));
        drive.deny(&format!("ns-{n}"));
    }
    drive.policy(1, enforce());
    for n in 0..10 {
        drive.delete(Kind::NetworkPolicy, &format!("ns-{n}"), "deny");
        drive.serve();
    }
    assert_eq!(drive.count("intent"), 5);
    drive.wait(3600);
    drive.serve();
    assert_eq!(drive.count("intent"), 5, "time alone does not release it");
    let status = drive.status();
    let enforcing = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Enforcing")
        .unwrap();
    assert_eq!(enforcing.reason, "BrakeLatched");
    // Whoever lost the lease for a moment shows it all the same.
    drive.measures.clear();
    drive.apply(Event::Following);
    drive.lead(2);
    let latched = |measure: &Measure| matches!(measure, Measure::Brake { latched: true, .. });
    assert_eq!(drive.measures.iter().filter(|m| latched(m)).count(), 1);
    let mut again = Drive::with_memory(drive.memory());
    again.policy(1, enforce());
    again.lead(3);
    assert_eq!(again.measures.iter().filter(|m| latched(m)).count(), 1);
    assert_eq!(status.enforcement.unwrap().held_back, 5);
    let mut spec = enforce();
    spec["limits"] = json!({ "release": "looked at it" });
    drive.policy(2, spec);
    drive.serve();
    assert_eq!(drive.count("intent"), 10);
}

#[test]
fn what_drifts_in_one_batch_passes_neither_brake_nor_budget() {
    for (limits, most) in [
        (json!({}), 5),
        (json!({ "writesPerMinute": 2, "maxShareOfKind": 100 }), 2),
    ] {
        let mut drive = Drive::new();
        for n in 0..10 {
            drive.namespace(&format!("ns-{n}"));
            drive.deny(&format!("ns-{n}"));
        }
        let mut spec = enforce();
        spec["limits"] = limits;
        drive.policy(1, spec);
        let gone: Vec<String> = (0..10).map(|n| format!("ns-{n}")).collect();
        drive.delete_at_once(Kind::NetworkPolicy, &gone, "deny");
        drive.serve();
        assert_eq!(drive.count("intent"), most);
    }
}

#[test]
fn each_policy_of_a_row_has_its_own_standing() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let mut other = observe();
    other["existing"] = json!("Remediate");
    drive.policy_named("watching", 1, other);
    drive.apply(Event::Log(Err("disk full".to_owned())));
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    let proposals = drive.engine.proposals();
    let standings: Vec<_> = proposals
        .iter()
        .map(|p| (&*p.policy, p.standing.clone()))
        .collect();
    assert_eq!(
        standings,
        [
            ("soc2", Standing::Held(Hold::Log)),
            ("watching", Standing::Held(Hold::Observe)),
        ]
    );
}

#[test]
fn what_is_no_longer_asked_for_is_not_written_after_its_dry_run() {
    let changes: [fn(&mut Drive); 4] = [
        |drive| drive.policy(2, observe()),
        |drive| drive.apply(Event::PolicyDeleted("soc2".to_owned())),
        |drive| drive.apply(Event::Log(Err("disk full".to_owned()))),
        |drive| {
            let forbidden = Availability::Forbidden("no".to_owned());
            drive.apply(Event::Availability(Kind::NetworkPolicy, forbidden));
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut drive = Drive::new();
        drive.namespace("shop");
        drive.deny("shop");
        drive.policy(1, enforce());
        drive.delete(Kind::NetworkPolicy, "shop", "deny");
        let tried = drive.actions.pop().unwrap();
        assert_eq!(tried.step, Step::DryRun);
        change(&mut drive);
        let mut object = tried.remedy.content().clone();
        object["metadata"]["uid"] = "00000000-0000-4000-8000-000000000001".into();
        drive.apply(Event::Action(tried.id, ActionResult::Accepted(object)));
        drive.round();
        assert!(drive.actions.is_empty(), "change {number}");
        assert_eq!(drive.count("intent"), 0, "change {number}");
    }
}

#[test]
fn a_paused_namespace_is_left_alone_but_judged() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let until = (drive.wall + SignedDuration::from_hours(1)).to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "annotations": { PAUSE: until } } }),
    );
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    let status = drive.status();
    assert_eq!(
        (status.summary.failing, status.enforcement.unwrap().paused),
        (1, 1)
    );
    assert_eq!(drive.count("pause"), 1);
    drive.wait(3600);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn a_pause_of_more_than_a_day_is_not_heeded() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let until = (drive.wall + SignedDuration::from_hours(25)).to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "annotations": { PAUSE: until } } }),
    );
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
}

#[test]
fn a_pause_that_is_not_heeded_is_told_on_its_object_once() {
    let told = |drive: &Drive| -> Vec<String> {
        let notices = drive.notices.iter();
        let told = notices.filter(|notice| notice.reason == "PauseNotHeeded");
        told.map(|notice| format!("{}: {}", notice.subject.as_ref().unwrap(), notice.note))
            .collect()
    };
    let paused =
        |until: &str| json!({ "metadata": { "name": "shop", "annotations": { PAUSE: until } } });
    let mut drive = Drive::with_memory(Memory::default());
    drive.put(Kind::Namespace, paused("tomorrow"));
    assert!(told(&drive).is_empty(), "whoever leads tells it");
    drive.lead(1);
    drive.policy(1, enforce());
    drive.put(Kind::Namespace, paused("tomorrow"));
    let no_time = "Namespace shop: probity.dev/pause-until is \"tomorrow\", which is no time such as \
                   2026-12-01T12:00:00Z: nothing is paused";
    assert_eq!(told(&drive), [no_time]);
    drive.put(Kind::Namespace, paused("2026-06-01T13:00:00Z"));
    assert_eq!(told(&drive).len(), 1, "that one is heeded");
    drive.put(Kind::Namespace, paused("2026-06-03T12:00:00Z"));
    let too_long = "Namespace shop: probity.dev/pause-until is 2026-06-03T12:00:00Z, and a pause lasts 24 hours at \
                    the most: nothing is paused before 2026-06-02T12:00:00Z";
    assert_eq!(told(&drive), [no_time, too_long]);
    let pod = json!({ "metadata": { "name": "web-1", "namespace": "shop", "annotations": { PAUSE: "tomorrow" } } });
    drive.put(Kind::Pod, pod);
    assert_eq!(told(&drive).len(), 2, "there would be no end of them");
    drive.apply(Event::Following);
    drive.wait(25 * 3600);
    drive.lead(2);
    assert_eq!(told(&drive).len(), 2, "by now it is heeded");
}

#[test]
fn what_a_tool_owned_is_proposed_unless_owners_are_overridden() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    let meta = json!({ "name": "deny", "namespace": "shop", "annotations": { "argocd.argoproj.io/tracking-id": "x" } });
    drive.put(
        Kind::NetworkPolicy,
        json!({ "metadata": meta, "spec": { "podSelector": {} } }),
    );
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    assert_eq!(drive.status().enforcement.unwrap().proposed_owner, 1);
    let mut spec = enforce();
    spec["overrideOwners"] = json!(true);
    drive.policy(2, spec);
    assert_eq!(drive.serve(), 1);
    let restored = &drive.objects[&(Kind::NetworkPolicy, "shop".into(), "deny".into())];
    assert!(
        restored["metadata"]["annotations"].is_null(),
        "no tracking metadata comes back"
    );
}

#[test]
fn a_failing_log_stops_writes_but_not_verdicts() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Log(Err("no space left on device".into())));
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    let status = drive.status();
    assert_eq!(status.summary.failing, 1);
    let ready = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "EvidenceLogFailing")
    );
    drive.apply(Event::Log(Ok(())));
    drive.round();
    assert_eq!(drive.serve(), 1);
}

#[test]
fn someone_who_keeps_writing_back_is_left_alone_and_named() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let weak = |manager: &str| {
        json!({
            "metadata": { "name": "deny", "namespace": "shop", "managedFields": [
                { "manager": manager, "time": "2026-06-01T12:00:00Z", "fieldsV1": { "f:spec": {} } } ] },
            "spec": { "podSelector": {}, "ingress": [{}] },
        })
    };
    for _ in 0..2 {
        drive.put(Kind::NetworkPolicy, weak("kubectl-edit"));
        assert_eq!(drive.serve(), 1);
        drive.wait(5);
    }
    drive.put(Kind::NetworkPolicy, weak("kubectl-edit"));
    assert_eq!(drive.serve(), 0);
    let rival = drive.bodies().find_map(|body| match body {
        Body::Contended(said) => Some(said.manager.clone()),
        _ => None,
    });
    assert_eq!(rival.as_deref(), Some("kubectl-edit"));
    let status = drive.status();
    let contended = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Contended")
        .unwrap();
    assert_eq!(contended.status, "True");
    assert!(
        contended.message.contains("kubectl-edit"),
        "{}",
        contended.message
    );
    let said = &status.controls[0].violations[0].message;
    let why = not_put_back(said).unwrap();
    assert!(
        why.starts_with("field manager kubectl-edit keeps writing back, so it is left alone until 2026-06-01T13:"),
        "{said}"
    );
    let calm = drive.statuses.clone();
    drive.wait(60);
    assert_eq!(drive.statuses, calm, "nothing changed, and nothing is said");
    drive.wait(3601);
    assert_eq!(drive.serve(), 1, "after the truce it is tried again");
}

#[test]
fn two_policies_judge_each_for_itself_and_write_once() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let second = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
        "metadata": { "name": "other", "uid": "p-2", "generation": 1 },
        "spec": { "mode": "Enforce", "scope": { "include": ["shop"] }, "controls": { "netNamespaceDefaultDeny": {} } },
    });
    drive.apply(Event::Policy(Box::new(
        serde_json::from_value(second).unwrap(),
    )));
    drive.round();
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
    assert_eq!(drive.transitions().len(), 4, "each policy has its own pair");
}
