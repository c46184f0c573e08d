//! A field over which we and somebody else don't agree.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{POLICIES, World, backup_job, condition, cron_jobs, eventually, turn};

const RIVAL: &str = "rival-operator";

/// A cron job that runs, and its path.
fn nightly(world: &World) -> (String, String) {
    let namespace = world.namespace("backup");
    let jobs = cron_jobs(&namespace);
    world.create(&jobs, &backup_job("nightly", false));
    (namespace, format!("{jobs}/nightly"))
}

fn suspend(world: &World, path: &str) {
    world.patch_as(RIVAL, path, &json!({ "spec": { "suspend": true } }));
}

fn runs(job: &Value) -> bool {
    job["spec"]["suspend"] == false
}

/// That nobody wrote the field since the rival did.
fn left_alone(world: &World, path: &str) {
    assert!(!runs(&world.get(path).unwrap()), "it was put back again");
}

fn contended(status: &Value) -> bool {
    status["enforcement"]["contended"] == 1 && condition(status, "Contended")["status"] == "True"
}

#[test]
fn a_field_that_is_taken_back_twice_is_left_to_whoever_did_and_they_are_named() {
    let world = turn();
    let (namespace, path) = nightly(&world);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "overrideOwners": true, "scope": { "include": [namespace] },
        "controls": { "backupScheduleActive": {} },
    }));
    world.settled(&policy);
    for _ in 0..2 {
        suspend(&world, &path);
        world.becomes(&path, runs);
    }
    suspend(&world, &path);
    let status = world.status(&policy, "a contended field", contended);
    let told = condition(&status, "Contended");
    assert_eq!(told["reason"], "FieldsContended");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains(RIVAL), "{message}");
    let event = world.event(&namespace, "nightly", "Contended");
    assert!(event["note"].as_str().unwrap().contains(RIVAL), "{event:#}");
    program.metric_becomes("contended_total", &[("policy", &policy)], 1.0);
    left_alone(&world, &path);
    assert_eq!(replica.said("intent").len(), 2);
    let said = replica.said("contended");
    let [entry] = &said[..] else {
        panic!("{said:#?}")
    };
    assert_eq!(entry["manager"], RIVAL);
    assert_eq!(entry["subject"]["name"], "nightly");

    // It lasts over a crash, and ends when a person changes the policy.
    program.kill();
    let program = replica.start();
    program.metric_becomes("leader", &[], 1.0);
    program.metric_becomes("subjects", &[("policy", &policy), ("outcome", "Fail")], 1.0);
    eventually("judged again", || {
        let starts = replica.said("heartbeat").len() + replica.said("term").len();
        (starts >= 2)
            .then_some(())
            .ok_or_else(|| format!("{starts} terms"))
    });
    world.status(&policy, "a contended field", contended);
    left_alone(&world, &path);
    assert_eq!(replica.said("intent").len(), 2);
    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "limits": { "writesPerMinute": 30 } } }),
    );
    world.becomes(&path, runs);
    world.status(&policy, "no contention", |status| {
        condition(status, "Contended")["status"] == "False"
    });
    assert!(program.stop().success());
}
