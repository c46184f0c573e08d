//! How much is written at most, and who sees that it was too much.

use serde_json::{Value, json};

use super::program::Replica;
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
    for path in &paths {
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

#[test]
fn the_brake_holds_over_a_crash_until_a_person_releases_it() {
    let world = turn();
    let (namespaces, paths) = denying(&world, 7);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = enforcing(&world, &namespaces, &json!({}));
    world.settled(&policy);
    for path in &paths {
        world.delete(path);
    }
    let latched = [("policy", policy.as_str()), ("control", CONTROL)];
    let status = world.status(&policy, "a latched brake", |status| {
        held(status, 2, "BrakeLatched")
    });
    let message = condition(&status, "Enforcing")["message"].to_string();
    assert!(
        message.contains(CONTROL) && message.contains("limits.release"),
        "{message}"
    );
    program.metric_becomes("brake_latched", &latched, 1.0);
    world.event("default", &policy, "BrakeLatched");
    assert_eq!(said(&replica), [(json!(CONTROL), json!("Latched"))]);
    assert_eq!(there(&world, &paths), 5);
    program.kill();

    let program = replica.start();
    program.metric_becomes("brake_latched", &latched, 1.0);
    let failing = [("policy", policy.as_str()), ("outcome", "Fail")];
    program.metric_becomes("subjects", &failing, 2.0);
    world.status(&policy, "a latched brake", |status| {
        held(status, 2, "BrakeLatched")
    });
    assert_eq!(there(&world, &paths), 5);
    // Another change of the policy is no release.
    let policy_path = format!("{POLICIES}/{policy}");
    world.patch(
        &policy_path,
        &json!({ "spec": { "limits": { "writesPerMinute": 90 } } }),
    );
    world.status(&policy, "a latched brake", |status| {
        held(status, 2, "BrakeLatched")
    });
    assert_eq!(there(&world, &paths), 5);
    world.patch(
        &policy_path,
        &json!({ "spec": { "limits": { "release": "looked-at-it" } } }),
    );
    all_there(&world, &paths);
    program.metric_becomes("brake_latched", &latched, 0.0);
    world.event("default", &policy, "BrakeReleased");
    assert!(program.stop().success());
    let states = [
        (json!(CONTROL), json!("Latched")),
        (json!(CONTROL), json!("Released")),
    ];
    assert_eq!(said(&replica), states);
    assert_eq!(replica.said("intent").len(), 7);
}
