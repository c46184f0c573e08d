//! Two replicas of one operator.

use super::evidence::evidence_log;
use super::program::{Replica, output};
use super::world::{eventually, turn};

#[test]
fn when_the_leader_dies_the_other_replica_puts_drift_back_once() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let policy = world.default_deny("Enforce", &namespace);
    let (first, second) = {
        let first = Replica::new(&world);
        let second = first.beside("probity-1");
        (first, second)
    };
    let leader = first.start();
    leader.metric_becomes("leader", &[], 1.0);
    let mut follower = second.start();
    follower.ready();
    world.settled(&policy);
    assert!(follower.metric("leader", &[]).abs() < 0.5);
    // Whoever takes over writes down what is known of the log before.
    world.becomes(&evidence_log(&first), |log| log["status"]["size"].is_u64());
    leader.kill();
    world.delete(&path);
    world.appears(&path);
    follower.metric_becomes("leader", &[], 1.0);
    world.status(&policy, "status by the new leader", |status| {
        status["summary"]["passing"] == "1/1" && status["evidence"]["log"] == "probity-1"
    });
    // The first comes back as a follower.
    let mut back = first.start();
    back.ready();
    let sum = back.metric("leader", &[]) + follower.metric("leader", &[]);
    assert!((sum - 1.0).abs() < 0.01, "{sum} leaders");
    eventually("told outcome", || {
        let outcomes = second.said("outcome");
        if outcomes.len() == 1 {
            Ok(())
        } else {
            Err(format!("{outcomes:?}"))
        }
    });
    assert!(back.stop().success());
    assert!(follower.stop().success());
    // Each log says which term it lacks.
    let period = serde_json::json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": "all" },
        "spec": { "start": "2020-01-01", "end": "2199-12-31", "timeZone": "UTC" },
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("period.yaml");
    std::fs::write(&file, period.to_string()).unwrap();
    let (file, log) = (
        file.display().to_string(),
        second.data().display().to_string(),
    );
    let told = output(&["period", &file, "--log", &log, "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["elsewhere"][0]["replica"], "probity-0", "{told:#}");
    let said = output(&["period", &file, "--log", &log]).stdout;
    assert!(said.contains("counts for nothing here"), "{said}");
    // Both together lack nothing, and fit together.
    let other = first.data().display().to_string();
    let told = output(&["period", &file, "--log", &log, "--log", &other, "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["elsewhere"], serde_json::json!([]), "{told:#}");
    assert_eq!(told["logs"].as_array().unwrap().len(), 2, "{told:#}");
    let term = &second.said("term")[0];
    assert!(
        term["before"]["origin"]
            .as_str()
            .unwrap()
            .contains("probity-0"),
        "{term:#}"
    );
    let pack = folder.path().join("pack").display().to_string();
    let logs = ["--log", &log, "--log", &other, "--out", &pack];
    let made = output(&[&["report", "--period", &file][..], &logs].concat());
    assert_eq!(made.code, Some(0), "{}{}", made.stdout, made.stderr);
    let found = output(&["verify", &pack]);
    assert!(found.stdout.ends_with("VERIFIED\n"), "{}", found.stdout);
    assert_eq!(first.said("intent").len(), 0);
    assert_eq!(second.said("intent").len(), 1);
    let ended = second
        .said("transition")
        .into_iter()
        .filter(|entry| entry["ended"] == "PutBack");
    assert_eq!(ended.count(), 1);
}

#[test]
fn an_operator_in_a_namespace_that_is_not_there_says_what_it_waits_for() {
    let world = turn();
    let anybody = world.administrator("anybody");
    let replica = Replica::with("probity-0", "no-such-namespace".to_owned(), anybody);
    let program = replica.start();
    let said = "lease not read or renewed lease=probity namespace=no-such-namespace";
    eventually("a warning", || {
        let output = replica.output();
        output.contains(said).then_some(()).ok_or(output)
    });
    assert!(program.stop().success());
}
