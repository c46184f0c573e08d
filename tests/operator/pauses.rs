//! How people stop writes: verdicts go on.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::program::Replica;
use super::world::{
    POLICIES, World, backup_job, condition, cron_jobs, eventually, namespace_path, turn,
};

const PAUSE: &str = "probity.dev/pause-until";

/// Asks for a pause of an object that is so long, or takes it back.
fn pause(world: &World, path: &str, length: Option<Duration>) {
    let until = length.map(|length| (Timestamp::now() + length).to_string());
    world.patch(
        path,
        &json!({ "metadata": { "annotations": { PAUSE: until } } }),
    );
}

fn paused(status: &Value, count: i64) -> bool {
    status["enforcement"]["paused"] == count && status["summary"]["failing"] == count
}

/// What the log says of pauses of a namespace, or of a job in it. Other tests have left pauses.
fn pauses(replica: &Replica, namespace: &str) -> Vec<Value> {
    let (itself, inside) = (
        format!("Namespace /{namespace}"),
        format!("CronJob {namespace}/"),
    );
    let mut said = replica.said("pause");
    said.retain(|pause| {
        let target = pause["target"].as_str().unwrap();
        target == itself || target.starts_with(&inside)
    });
    said
}

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_paused_namespace_or_object_is_judged_but_not_written_to() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    world.create(&cron_jobs(&namespace), &backup_job("nightly", false));
    let job = format!("{}/nightly", cron_jobs(&namespace));
    // Its namespace isn't paused, but it is itself.
    let (other, _) = world.denying_namespace();
    world.create(&cron_jobs(&other), &backup_job("weekly", false));
    let weekly = format!("{}/weekly", cron_jobs(&other));
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [namespace, other] },
        "controls": { "netNamespaceDefaultDeny": {}, "backupScheduleActive": {} },
    }));
    world.status(&policy, "four passing subjects", |status| {
        status["summary"]["subjects"]["pass"] == 4
    });
    pause(&world, &namespace_path(&namespace), Some(HOUR));
    pause(&world, &weekly, Some(HOUR));
    eventually("two pauses in the log", || {
        let said = pauses(&replica, &namespace).len() + pauses(&replica, &other).len();
        (said == 2).then_some(()).ok_or_else(|| said.to_string())
    });
    world.delete(&path);
    for job in [&job, &weekly] {
        world.patch(job, &json!({ "spec": { "suspend": true } }));
    }
    let status = world.status(&policy, "three paused subjects", |status| {
        status["enforcement"]["paused"] == 3
    });
    let violations = status["controls"].to_string();
    assert!(violations.contains("paused until"), "{violations}");
    assert!(world.get(&path).is_none());
    assert_eq!(pauses(&replica, &namespace)[0]["who"], "kubectl-test");
    assert!(replica.said("intent").is_empty());

    pause(&world, &namespace_path(&namespace), None);
    world.appears(&path);
    world.becomes(&job, |job| job["spec"]["suspend"] == false);
    // A pause ends by itself.
    pause(&world, &weekly, Some(Duration::from_secs(3)));
    world.becomes(&weekly, |job| job["spec"]["suspend"] == false);
    assert!(program.stop().success());
    let said = pauses(&replica, &namespace);
    assert_eq!(said.len(), 2, "begun and taken back");
    // Whoever takes an annotation away manages none of the fields that are left.
    assert_eq!(said[1]["who"], Value::Null);
    assert_eq!(pauses(&replica, &other).len(), 2, "begun and cut short");
    assert_eq!(replica.said("intent").len(), 3);
}

#[test]
fn a_pause_of_more_than_a_day_is_logged_and_not_heeded() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    pause(&world, &namespace_path(&namespace), Some(48 * HOUR));
    eventually("a pause in the log", || {
        let said = pauses(&replica, &namespace).len();
        (said == 1).then_some(()).ok_or_else(|| said.to_string())
    });
    world.delete(&path);
    world.appears(&path);
    let status = world.status(&policy, "a remedy", |status| {
        status["enforcement"]["written"] == 1
    });
    assert!(paused(&status, 0), "{status:#}");
    assert!(program.stop().success());
}

#[test]
fn a_suspended_policy_writes_nothing_and_the_time_is_a_gap() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    let policy_path = format!("{POLICIES}/{policy}");
    let suspend = |suspend| {
        world.patch(&policy_path, &json!({ "spec": { "suspend": suspend } }));
    };
    suspend(true);
    let status = world.status(&policy, "a suspended policy", |status| {
        condition(status, "Ready")["reason"] == "Suspended"
    });
    assert_eq!(
        condition(&status, "Compliant")["status"],
        "True",
        "{status:#}"
    );
    assert_eq!(condition(&status, "Enforcing")["status"], "False");
    world.delete(&path);
    // Nothing is written, but everyone sees how it is.
    world.status(&policy, "a verdict", |status| {
        condition(status, "Compliant")["status"] == "False"
    });
    suspend(false);
    // What happened meanwhile was there before enforcement began again.
    world.status(&policy, "a proposal", |status| {
        status["enforcement"]["proposedExisting"] == 1
    });
    assert!(world.get(&path).is_none());
    let gaps = replica.said("gap");
    let about = format!("policy {policy}");
    let ours: Vec<&Value> = gaps.iter().filter(|gap| gap["scope"] == *about).collect();
    assert_eq!(ours.len(), 2, "{gaps:#?}");
    assert!(ours[0]["to"].is_null() && !ours[1]["to"].is_null());
    assert_eq!(ours[0]["from"], ours[1]["from"]);
    let changes: Vec<Value> = replica
        .said("policyChange")
        .iter()
        .map(|entry| entry["change"].clone())
        .collect();
    assert_eq!(changes[changes.len() - 2..], ["Suspended", "Resumed"]);
    assert!(replica.said("intent").is_empty());
    assert!(program.stop().success());
}
