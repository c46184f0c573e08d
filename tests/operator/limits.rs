//! How much is written at most, and who sees that it was too much.

use serde_json::{Value, json};

use super::program::{Program, Replica};
use super::world::{POLICIES, World, condition, eventually, turn};

const CONTROL: &str = "net-namespace-default-deny";

/// Namespaces with a network policy that denies, and the paths of the latter.
fn denying(world: &World, count: usize) -> (Vec<String>, Vec<String>) {
    (0..count).map(|_| world.denying_namespace()).unzip()
}

fn enforcing(world: &World, namespaces: &[String], limits: &Value) -> String {
    world.policy(&json!({
        "mode": "Enforce", "scope": { "include": namespaces }, "limits": limits,
        "controls": { "netNamespaceDefaultDeny": {} },
    }))
}

fn there(world: &World, paths: &[String]) -> usize {
    paths
        .iter()
        .filter(|path| world.get(path).is_some())
        .count()
}

fn all_there(world: &World, paths: &[String]) {
    eventually("policies put back", || match there(world, paths) {
        count if count == paths.len() => Ok(()),
        count => Err(format!("{count} of {} are there", paths.len())),
    });
}

fn held(status: &Value, count: i64, reason: &str) -> bool {
    status["enforcement"]["heldBack"] == count && condition(status, "Enforcing")["reason"] == reason
}

/// The entries about limits, as what and state.
fn said(replica: &Replica) -> Vec<(Value, Value)> {
    let entries = replica.said("brake").into_iter();
    entries
        .map(|entry| (entry["control"].clone(), entry["state"].clone()))
        .collect()
}

#[test]
fn no_more_is_written_in_a_minute_than_the_policy_allows() {
    let world = turn();
    let (namespaces, paths) = denying(&world, 3);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = enforcing(&world, &namespaces, &json!({ "writesPerMinute": 1 }));
    world.settled(&policy);
    world.delete(&paths[0]);
    world.appears(&paths[0]);
    for path in &paths[1..] {
        world.delete(path);
    }
    let status = world.status(&policy, "two held back", |status| {
        held(status, 2, "BudgetReached")
    });
    assert_eq!(status["enforcement"]["written"], 1, "{status:#}");
    assert_eq!(status["summary"]["failing"], 2);
    assert_eq!(there(&world, &paths), 1);
    let message = status["controls"][0]["violations"][0]["message"].to_string();
    assert!(message.contains("budget"), "{message}");
    world.event("default", &policy, "BudgetReached");
    program.metric_becomes("budget_reached_total", &[("policy", &policy)], 1.0);
    assert_eq!(said(&replica), [(json!("budget"), json!("Latched"))]);
    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "limits": { "writesPerMinute": 60 } } }),
    );
    all_there(&world, &paths);
    world.status(&policy, "nothing held back", |status| {
        held(status, 0, "Enforcing")
    });
    assert!(program.stop().success());
    assert_eq!(replica.said("intent").len(), 3);
}

/// A policy whose brake has latched after five of seven deletions were put back.
fn braked(world: &World, replica: &Replica, program: &Program) -> (String, Vec<String>) {
    let (namespaces, paths) = denying(world, 7);
    let policy = enforcing(world, &namespaces, &json!({}));
    world.settled(&policy);
    for path in &paths[..5] {
        world.delete(path);
        world.appears(path);
    }
    for path in &paths[5..] {
        world.delete(path);
    }
    latched(world, &policy);
    program.metric_becomes("brake_latched", &[("policy", &policy)], 1.0);
    assert_eq!(said(replica), [(json!(CONTROL), json!("Latched"))]);
    assert_eq!(there(world, &paths), 5);
    (policy, paths)
}

fn latched(world: &World, policy: &str) -> Value {
    world.status(policy, "a latched brake", |status| {
        held(status, 2, "BrakeLatched")
    })
}

fn release(world: &World, policy: &str, word: &str) {
    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "limits": { "release": word } } }),
    );
}

#[test]
fn the_brake_holds_over_a_crash_until_a_person_releases_it() {
    let world = turn();
    let replica = Replica::new(&world);
    let program = replica.start();
    let (policy, paths) = braked(&world, &replica, &program);
    let status = latched(&world, &policy);
    let message = condition(&status, "Enforcing")["message"].to_string();
    assert!(
        message.contains(CONTROL) && message.contains("limits.release"),
        "{message}"
    );
    world.event("default", &policy, "BrakeLatched");
    program.kill();

    let program = replica.start();
    program.metric_becomes("leader", &[], 1.0);
    let failing = [("policy", policy.as_str()), ("outcome", "Fail")];
    program.metric_becomes("subjects", &failing, 2.0);
    // Another change of the policy is no release.
    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "limits": { "writesPerMinute": 90 } } }),
    );
    latched(&world, &policy);
    assert_eq!(there(&world, &paths), 5);
    release(&world, &policy, "looked-at-it");
    all_there(&world, &paths);
    program.metric_becomes("brake_latched", &[("policy", &policy)], 0.0);
    world.event("default", &policy, "BrakeReleased");
    assert!(program.stop().success());
    let states = [
        (json!(CONTROL), json!("Latched")),
        (json!(CONTROL), json!("Released")),
    ];
    assert_eq!(said(&replica), states);
    assert_eq!(replica.said("intent").len(), 7);
}

#[test]
fn a_brake_that_is_latched_still_shows_in_the_metrics_after_a_crash() {
    let world = turn();
    let replica = Replica::new(&world);
    let program = replica.start();
    let (policy, _) = braked(&world, &replica, &program);
    program.kill();
    let program = replica.start();
    program.metric_becomes("brake_latched", &[("policy", &policy)], 1.0);
    assert!(program.stop().success());
}

#[test]
fn a_brake_can_be_released_while_nobody_runs() {
    let world = turn();
    let replica = Replica::new(&world);
    let program = replica.start();
    let (policy, paths) = braked(&world, &replica, &program);
    program.kill();
    release(&world, &policy, "looked-at-it");
    let program = replica.start();
    all_there(&world, &paths);
    assert!(program.stop().success());
}

/// Has everything deleted before the operator sees any of it.
fn delete_at_once(world: &World, program: &Program, paths: &[String]) {
    program.freeze();
    for path in paths {
        world.delete(path);
    }
    program.thaw();
}

#[test]
fn what_drifts_all_at_once_does_not_get_past_the_brake() {
    let world = turn();
    let replica = Replica::new(&world);
    let program = replica.start();
    let (namespaces, paths) = denying(&world, 9);
    let policy = enforcing(&world, &namespaces, &json!({}));
    world.settled(&policy);
    delete_at_once(&world, &program, &paths);
    world.status(&policy, "a latched brake", |status| {
        condition(status, "Enforcing")["reason"] == "BrakeLatched"
    });
    let status = world.status(&policy, "the end of what was under way", |status| {
        status["enforcement"]["written"] == 5
    });
    assert_eq!(status["enforcement"]["heldBack"], 4, "{status:#}");
    assert_eq!(there(&world, &paths), 5);
    assert!(program.stop().success());
    assert_eq!(replica.said("intent").len(), 5);
}

#[test]
fn what_drifts_all_at_once_stays_within_the_budget() {
    let world = turn();
    let replica = Replica::new(&world);
    let program = replica.start();
    let (namespaces, paths) = denying(&world, 4);
    let policy = enforcing(&world, &namespaces, &json!({ "writesPerMinute": 2 }));
    world.settled(&policy);
    delete_at_once(&world, &program, &paths);
    world.status(&policy, "two held back", |status| {
        held(status, 2, "BudgetReached")
    });
    assert_eq!(there(&world, &paths), 2);
    assert!(program.stop().success());
    assert_eq!(replica.said("intent").len(), 2);
}
