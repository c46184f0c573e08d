//! How enforcement is switched on, step by step, and what it then does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::program::{Replica, output};
use super::world::{
    BINDINGS, POLICIES, World, admin_binding, after_the_second_of, backup_job, cron_jobs, deny,
    eventually, namespace_path, network_policies, turn,
};

const LEVEL: &str = "pod-security.kubernetes.io/enforce";

fn level(namespace: &Value) -> &Value {
    &namespace["metadata"]["labels"][LEVEL]
}

/// Changes the spec of a policy.
fn edit(world: &World, policy: &str, spec: &Value) {
    world.patch(&format!("{POLICIES}/{policy}"), &json!({ "spec": spec }));
}

#[test]
fn what_failed_before_is_put_right_only_when_the_policy_says_so() {
    let world = turn();
    let namespace = world.namespace("old");
    let path = namespace_path(&namespace);
    after_the_second_of(&world.get(&path).unwrap());
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [namespace] },
        "controls": { "workloadPsaEnforced": {} },
    }));
    let status = world.status(&policy, "a proposal", |status| {
        status["enforcement"]["proposedExisting"] == 1
    });
    let message = &status["controls"][0]["violations"][0]["message"];
    assert!(
        message.as_str().unwrap().contains("existing: Remediate"),
        "{message}"
    );
    assert!(level(&world.get(&path).unwrap()).is_null());
    edit(&world, &policy, &json!({ "existing": "Remediate" }));
    world.becomes(&path, |namespace| level(namespace) == "baseline");
    world.status(&policy, "a remedy", |status| {
        status["enforcement"]["written"] == 1 && status["summary"]["failing"] == 0
    });
    assert!(program.stop().success());
}

#[test]
fn a_staged_roll_out_narrows_writes_and_not_the_population() {
    let world = turn();
    let (first, first_path) = world.denying_namespace();
    let (second, second_path) = world.denying_namespace();
    let label = json!({ "metadata": { "labels": { "wave": "one" } } });
    world.patch(&namespace_path(&first), &label);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [first, second] },
        "enforceSelector": { "matchLabels": { "wave": "one" } },
        "controls": { "netNamespaceDefaultDeny": {} },
    }));
    let status = world.settled(&policy);
    assert_eq!(status["controls"][0]["population"], 2);
    world.delete(&second_path);
    world.delete(&first_path);
    world.appears(&first_path);
    let status = world.status(&policy, "one failing namespace", |status| {
        status["enforcement"]["written"] == 1 && status["summary"]["failing"] == 1
    });
    assert_eq!(status["controls"][0]["population"], 2);
    let violation = &status["controls"][0]["violations"][0];
    assert_eq!(violation["name"], second.as_str());
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("enforceSelector"), "{message}");
    assert!(world.get(&second_path).is_none());
    world.patch(&namespace_path(&second), &label);
    world.appears(&second_path);
    assert!(program.stop().success());
}

#[test]
fn policies_over_one_subject_have_their_own_verdicts_and_write_once() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let enforcing: BTreeSet<String> = (0..2)
        .map(|_| world.default_deny("Enforce", &namespace))
        .collect();
    let observing = world.default_deny("Observe", &namespace);
    let all = || enforcing.iter().chain([&observing]);
    for policy in all() {
        world.settled(policy);
    }
    world.delete(&path);
    world.appears(&path);
    for policy in all() {
        let status = world.status(policy, "an ended drift", |status| {
            status["controls"][0]["lastDriftEnded"] == "PutBack"
        });
        assert_eq!(status["summary"]["passing"], "1/1");
        let written = &status["enforcement"]["written"];
        if *policy == observing {
            assert!(written.is_null(), "{status:#}");
        } else {
            assert_eq!(*written, 1, "{status:#}");
        }
        program.metric_becomes("drift_total", &[("policy", policy)], 1.0);
    }
    assert!(program.stop().success());
    let intents = replica.said("intent");
    let [intent] = &intents[..] else {
        panic!("{intents:#?}")
    };
    let carriers: BTreeSet<String> = serde_json::from_value(intent["policies"].clone()).unwrap();
    assert_eq!(carriers, enforcing);
    for entry in replica.said("transition") {
        assert_eq!(entry["policies"].as_array().unwrap().len(), 3, "{entry:#}");
    }
}

/// What `probity diff` says, and the objects that would be written, as `Kind namespace/name`.
fn diff(world: &World, replica: &Replica) -> (String, BTreeSet<String>) {
    let kubeconfig = world.cluster.kubeconfig().display().to_string();
    let output = output(&[
        "diff",
        "--kubeconfig",
        &kubeconfig,
        "--probity-namespace",
        replica.namespace(),
    ]);
    let files = output.stdout.lines();
    let files = files.filter_map(|line| line.strip_prefix("+++ merged/"));
    let would: BTreeSet<String> = files
        .map(|file| {
            let mut parts = file.rsplitn(4, '.');
            let mut next = || parts.next().unwrap();
            let (name, namespace, kind) = (next(), next(), next());
            format!("{kind} {namespace}/{name}")
        })
        .collect();
    let differs = i32::from(!would.is_empty());
    assert_eq!(output.code, Some(differs), "{}", output.stderr);
    (output.stdout + &output.stderr, would)
}

#[test]
fn diff_says_beforehand_what_enforcing_then_does() {
    let world = turn();
    let empty = world.namespace("empty");
    let paused = world.namespace("paused");
    let until = jiff::Timestamp::now() + std::time::Duration::from_hours(2);
    let annotation = json!({ "probity.dev/pause-until": until.to_string() });
    world.patch(
        &namespace_path(&paused),
        &json!({ "metadata": { "annotations": annotation } }),
    );
    let (denied, _) = world.denying_namespace();
    let labelled = world.namespace("labelled");
    world.create(&network_policies(&labelled), &deny());
    world.patch(
        &namespace_path(&labelled),
        &json!({ "metadata": { "labels": { LEVEL: "baseline" } } }),
    );
    // A schedule that never ran is nobody's to switch on.
    world.create(&cron_jobs(&denied), &backup_job("never-ran", true));
    let all = [&empty, &paused, &denied, &labelled];
    for namespace in all {
        after_the_second_of(&world.get(&namespace_path(namespace)).unwrap());
    }
    let replica = Replica::new(&world);
    let policy = world.policy(&json!({
        "mode": "Enforce", "existing": "Remediate", "scope": { "include": all },
        "controls": {
            "netNamespaceDefaultDeny": {}, "workloadPsaEnforced": {}, "backupScheduleActive": {},
        },
    }));
    // New objects are left alone for a moment, by both.
    let expected = BTreeSet::from([
        format!("NetworkPolicy {empty}/probity-default-deny"),
        format!("Namespace /{empty}"),
        format!("Namespace /{denied}"),
    ]);
    let said = eventually("complete diff", || {
        let (said, would) = diff(&world, &replica);
        (would == expected).then_some(said.clone()).ok_or(said)
    });
    assert!(
        said.contains("2 remedies are held back: paused until"),
        "{said}"
    );
    assert!(
        world.list(&network_policies(&empty)).is_empty(),
        "diff wrote something"
    );

    let program = replica.start();
    world.status(&policy, "three remedies", |status| {
        status["enforcement"]["written"] == 3 && status["enforcement"]["paused"] == 2
    });
    assert!(program.stop().success());
    let written: BTreeSet<String> = replica
        .said("intent")
        .iter()
        .map(|intent| {
            let target = &intent["target"];
            let of = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}/{}", of("kind"), of("namespace"), of("name"))
        })
        .collect();
    assert_eq!(written, expected);
    let (said, would) = diff(&world, &replica);
    assert!(would.is_empty(), "{said}");
}

#[test]
fn diff_promises_nothing_in_the_name_of_a_policy_that_observes() {
    let world = turn();
    let namespace = world.namespace("empty");
    after_the_second_of(&world.get(&namespace_path(&namespace)).unwrap());
    let replica = Replica::new(&world);
    let spec = |mode: &str| {
        json!({
            "mode": mode, "existing": "Remediate", "scope": { "include": [namespace] },
            "controls": { "netNamespaceDefaultDeny": {} },
        })
    };
    world.policy(&spec("Observe"));
    world.policy(&spec("Enforce"));
    let denied = format!("NetworkPolicy {namespace}/probity-default-deny");
    eventually("diff of two policies", || {
        let (said, would) = diff(&world, &replica);
        let right = said.contains("1 remedy is held back: the policy observes")
            && would == BTreeSet::from([denied.clone()]);
        right.then_some(()).ok_or(said)
    });
}

fn allowlist(mode: &str) -> Value {
    json!({ "mode": mode, "allowedSubjects": [{ "kind": "User", "name": "alice" }] })
}

/// Binds cluster-admin to the one who may have it: the last one who does is never removed. The
/// path.
fn alice(world: &World) -> String {
    let name = world.name("alice");
    world.create(BINDINGS, &admin_binding(&name, "alice"));
    format!("{BINDINGS}/{name}")
}

/// Binds cluster-admin to a stranger; the path.
fn stranger(world: &World) -> String {
    let name = world.name("stranger");
    let binding = world.create(BINDINGS, &admin_binding(&name, &name));
    after_the_second_of(&binding);
    format!("{BINDINGS}/{name}")
}

/// Waits until a binding is only proposed for deletion, and takes it away.
fn only_proposed(world: &World, policy: &str, path: &str) {
    let decided = world.status(policy, "a proposal or a deletion", |status| {
        let done = &status["enforcement"];
        done["proposedExisting"] == 1 || done["written"] == 1
    });
    assert!(world.get(path).is_some(), "it was deleted: {decided:#}");
    world.delete(path);
}

#[test]
fn a_control_that_joins_later_enforces_from_then_on() {
    let world = turn();
    let (namespace, _) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    let allowed = alice(&world);
    let path = stranger(&world);
    edit(
        &world,
        &policy,
        &json!({ "controls": { "rbacClusterAdminAllowlist": allowlist("Enforce") } }),
    );
    only_proposed(&world, &policy, &path);
    world.delete(&allowed);
    assert!(program.stop().success());
}

#[test]
fn enforcement_that_was_off_for_a_while_begins_anew() {
    let world = turn();
    let allowed = alice(&world);
    let replica = Replica::new(&world);
    let policy = world.policy(&json!({
        "controls": { "rbacClusterAdminAllowlist": allowlist("Enforce") },
    }));
    // The second start remembers since when the first one enforced.
    let program = replica.start();
    world.settled(&policy);
    assert!(program.stop().success());
    let program = replica.start();
    program.metric_becomes("leader", &[], 1.0);
    edit(
        &world,
        &policy,
        &json!({ "controls": { "rbacClusterAdminAllowlist": allowlist("Observe") } }),
    );
    world.settled(&policy);
    let path = stranger(&world);
    world.status(&policy, "a stranger", |status| {
        status["summary"]["failing"] == 1
    });
    edit(
        &world,
        &policy,
        &json!({ "controls": { "rbacClusterAdminAllowlist": allowlist("Enforce") } }),
    );
    only_proposed(&world, &policy, &path);
    world.delete(&allowed);
    assert!(program.stop().success());
}
