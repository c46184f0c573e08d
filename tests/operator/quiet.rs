//! A cluster in which nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{World, backup_job, cron_jobs, turn};

/// So long nothing may be written.
const WINDOW: Duration = Duration::from_secs(30);
/// Statuses and Events are at most so far behind.
const SETTLED: Duration = Duration::from_secs(5);

#[test]
fn on_a_converged_cluster_only_the_lease_is_written() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    world.create(&cron_jobs(&namespace), &backup_job("backup", false));
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [namespace] },
        "controls": {
            "netNamespaceDefaultDeny": {}, "netNoAllowAll": {}, "workloadPsaEnforced": {},
            "backupScheduleActive": {}, "rbacNoWildcardVerbs": {},
        },
    }));
    world.settled(&policy);
    world.delete(&path);
    world.appears(&path);
    world.status(&policy, "a remedy", |status| {
        status["enforcement"]["written"].as_i64() >= Some(1)
            && status["controls"][0]["lastDriftEnded"] != "Open"
    });
    // Where the log stands is told soon after the start, and then hourly.
    let log = format!(
        "/apis/probity.dev/v1alpha1/evidencelogs/{}.probity-0",
        replica.namespace()
    );
    world.becomes(&log, |log| log["status"]["size"].as_i64() > Some(0));
    let started = Instant::now();
    let mut before = None;
    while started.elapsed() < SETTLED + WINDOW {
        thread::sleep(Duration::from_millis(500));
        let writes = writes_of(&world, replica.namespace());
        if started.elapsed() >= SETTLED {
            let before = before.get_or_insert_with(|| writes.clone());
            assert_eq!(writes, *before, "something was written");
        }
    }
    assert!(
        before.is_some_and(|writes| !writes.is_empty()),
        "the remedy is in the audit log"
    );
    assert!(program.stop().success());
}

/// What a user wrote beside leases, as the API server's audit log tells.
fn writes_of(world: &World, user: &str) -> Vec<String> {
    let log = std::fs::read_to_string(world.cluster.audit_log()).unwrap();
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = entries.filter(|entry| {
        entry["user"]["username"] == user && entry["objectRef"]["resource"] != "leases"
    });
    ours.map(|entry| format!("{} {}", entry["verb"], entry["requestURI"]))
        .collect()
}
