//! What a term begins with: what the log remembers.

use super::*;
use crate::evidence::words::Change;

#[test]
fn drift_that_nobody_saw_is_drift_all_the_same() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let kind = Kind::NetworkPolicy;
    drive.apply(Event::Availability(
        kind,
        Availability::Forbidden("no".into()),
    ));
    drive.round();
    // The right comes back, and with it a list in which the policy is missing.
    drive.objects.clear();
    drive.apply(Event::ListBegan(kind));
    drive.apply(Event::ListEnded(kind));
    drive.round();
    assert_eq!(drive.transitions(), [(PASS, FAIL, Why::Object, None)]);
    assert_eq!(drive.actions.len(), 1);
    assert_eq!(drive.count("gap"), 2);
}

#[test]
fn a_restart_repeats_neither_entries_nor_writes() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.namespace("bare");
    drive.deny("shop");
    drive.policy(1, enforce());
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.namespace("bare");
    again.objects = drive.objects.clone();
    let deny = drive.objects[&(Kind::NetworkPolicy, "shop".into(), "deny".into())].clone();
    again.put(Kind::NetworkPolicy, deny);
    again.policy(1, enforce());
    again.lead(2);
    assert_eq!(again.transitions(), []);
    assert_eq!(
        (again.count("population"), again.count("policyChange")),
        (0, 0)
    );
    assert_eq!(again.count("gap"), 1);
    assert!(again.actions.is_empty());
}

#[test]
fn what_drifted_while_nobody_ran_is_put_back_after_the_restart() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.policy(1, enforce());
    again.lead(2);
    assert_eq!(again.transitions(), [(PASS, FAIL, Why::Object, None)]);
    assert_eq!(again.serve(), 1);
    let name = again
        .objects
        .keys()
        .find(|key| key.0 == Kind::NetworkPolicy)
        .unwrap();
    assert_eq!(name.2, "deny", "it comes back as it was kept");
}

#[test]
fn what_began_while_nobody_led_is_said_when_somebody_does() {
    let mut drive = Drive::with_memory(Memory::default());
    drive.namespace("shop");
    drive.policy(1, observe());
    let mut suspended = observe();
    suspended["suspend"] = json!(true);
    drive.policy_named("other", 1, suspended);
    let until = json!({ PAUSE: "2026-06-01T13:00:00Z" });
    let paused = json!({ "metadata": { "name": "shop", "annotations": until } });
    drive.put(Kind::Namespace, paused);
    let forbidden = Availability::Forbidden("no".into());
    drive.apply(Event::Availability(Kind::NetworkPolicy, forbidden));
    drive.round();
    assert!(drive.said.is_empty(), "a follower says nothing");
    drive.lead(1);
    let gaps = drive.bodies().filter_map(|body| match body {
        Body::Gap(gap) => Some((gap.scope.as_str(), gap.to)),
        _ => None,
    });
    let gaps: Vec<_> = gaps.collect();
    assert_eq!(
        gaps,
        [("policy other", None), ("net-namespace-default-deny", None)]
    );
    assert_eq!(drive.count("pause"), 1);
}

#[test]
fn what_fails_while_suspended_is_no_drift_after_a_restart_either() {
    let mut suspended = enforce();
    suspended["suspend"] = json!(true);
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.policy(2, suspended.clone());
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.policy(2, suspended);
    again.lead(2);
    again.wait(60);
    again.policy(3, enforce());
    assert!(again.actions.is_empty());
    assert_eq!(again.status().enforcement.unwrap().proposed_existing, 1);
    let memory = again.memory();
    assert!(
        memory.lasting.gap("policy soc2").is_none(),
        "the gap has ended"
    );
    let gaps = again.bodies().filter_map(|body| match body {
        Body::Gap(gap) if gap.scope == "policy soc2" => Some((gap.from, gap.to)),
        _ => None,
    });
    let began = "2026-06-01T12:00:00Z".parse().unwrap();
    let ended = Some("2026-06-01T12:01:00Z".parse().unwrap());
    assert_eq!(gaps.collect::<Vec<_>>(), [(began, ended)]);
}

#[test]
fn a_suspension_that_nobody_led_through_ends_failures_all_the_same() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Following);
    let mut suspended = enforce();
    suspended["suspend"] = json!(true);
    drive.policy(2, suspended);
    drive.lead(2);
    let last = drive.transitions().pop().unwrap();
    assert_eq!(
        (last.0, last.1, last.3),
        (FAIL, None, Some(End::PolicySuspended))
    );
    drive.policy(3, enforce());
    assert_eq!(drive.count("gap"), 3, "nobody led, and the suspension");
    let changes: Vec<_> = drive
        .bodies()
        .filter_map(|body| match body {
            Body::PolicyChange(said) => Some(said.change),
            _ => None,
        })
        .collect();
    assert_eq!(
        changes,
        [Change::Created, Change::Suspended, Change::Resumed]
    );
}

#[test]
fn a_control_that_was_dropped_while_nobody_led_begins_anew_when_it_is_used_again() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    drive.apply(Event::Following);
    drive.policy(2, json!({ "controls": { "netNoAllowAll": {} } }));
    drive.lead(2);
    drive.policy(3, observe());
    let last = drive.transitions().pop().unwrap();
    assert_eq!((last.0, last.1), (None, FAIL));
}

#[test]
fn who_left_while_a_policy_was_suspended_and_nobody_led_has_left() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    drive.apply(Event::Following);
    let mut suspended = observe();
    suspended["suspend"] = json!(true);
    drive.policy(2, suspended);
    drive.policy(3, observe());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.delete(Kind::Namespace, "", "shop");
    drive.lead(2);
    let left = drive.bodies().filter_map(|body| match body {
        Body::Population(said) => Some(said.left.len()),
        _ => None,
    });
    assert_eq!(left.sum::<usize>(), 1);
}

#[test]
fn what_failed_under_a_suspension_that_the_log_never_knew_is_no_drift() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Following);
    let mut suspended = enforce();
    suspended["suspend"] = json!(true);
    drive.policy(2, suspended);
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.policy(3, enforce());
    drive.lead(2);
    assert_eq!(drive.transitions(), [(None, FAIL, Why::Policy, None)]);
    assert!(drive.actions.is_empty());
}

#[test]
fn what_was_excepted_before_a_suspension_that_the_log_never_knew_passes_again() {
    let mut before = Drive::new();
    before.namespace("shop");
    before.deny("shop");
    before.policy(1, observe());
    let mut memory = before.memory();
    let excepted = json!({
        "v": 2, "seq": 9, "time": before.wall, "type": "transition", "policies": ["soc2"],
        "control": "net-namespace-default-deny", "from": "Pass", "to": "Excepted", "reason": "R", "severity": "High",
        "subject": { "group": "", "kind": "Namespace", "name": "shop", "uid": "" },
    });
    memory.recall(serde_json::from_value(excepted).unwrap());
    let mut drive = Drive::with_memory(memory);
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    let mut suspended = observe();
    suspended["suspend"] = json!(true);
    drive.policy(2, suspended);
    drive.policy(3, observe());
    drive.lead(2);
    assert_eq!(drive.transitions(), [(None, PASS, Why::Policy, None)]);
}

#[test]
fn a_control_that_another_replica_dropped_and_used_again_begins_anew_after_a_restart() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    drive.apply(Event::Following);
    let other = json!({ "controls": { "netNoAllowAll": {} } });
    drive.policy(2, other.clone());
    // It tells of the edit, and not of what ended with it before.
    drive.lead(3);
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.policy(2, other);
    again.policy(3, observe());
    again.lead(5);
    let last = again.transitions().pop().unwrap();
    assert_eq!((last.0, last.1), (None, FAIL));
}

#[test]
fn what_a_follower_saw_is_kept_in_the_log_once_it_leads() {
    let mut drive = Drive::with_memory(Memory::default());
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    assert!(drive.said.is_empty(), "a follower says nothing");
    drive.lead(1);
    assert_eq!(drive.count("kept"), 1);
}

#[test]
fn an_open_intent_is_resolved_at_the_restart() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    while drive.count("intent") == 0 {
        let action = drive.actions.pop().unwrap();
        let mut object = action.remedy.content().clone();
        object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
        drive.apply(Event::Action(action.id, ActionResult::Accepted(object)));
        drive.round();
    }
    // The process dies here.
    let mut again = Drive::with_memory(drive.memory());
    again.policy(1, enforce());
    again.lead(2);
    let resolved = again.bodies().any(|body| {
        matches!(body, Body::Outcome(said) if said.result == crate::evidence::words::ActionResult::Unresolved)
    });
    assert!(resolved);
}

#[test]
fn a_process_that_did_not_run_has_a_gap() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, enforce());
    for _ in 0..5 {
        drive.wait(60);
    }
    assert_eq!(drive.count("gap"), 0);
    drive.wait(600);
    assert_eq!(drive.count("gap"), 1);
    let Some(Body::Gap(gap)) = drive
        .said
        .iter()
        .rev()
        .map(|record| &record.body)
        .find(|body| body.kind() == "gap")
    else {
        panic!("no gap");
    };
    assert_eq!(
        gap.to.map(|to| to.duration_since(gap.from).as_secs()),
        Some(600)
    );
}
