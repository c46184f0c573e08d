//! What becomes of a default deny that somebody deletes.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{World, backup_job, condition, cron_jobs, network_policies, turn};

#[test]
fn a_deleted_default_deny_comes_back_as_it_was() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let before = world.get(&path).unwrap();
    let replica = Replica::new(&world);
    let mut program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    program.ready();
    world.delete(&path);
    let after = world.appears(&path);
    assert_eq!(after["spec"], before["spec"]);
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);

    let status = world.status(&policy, "status that says so", |status| {
        status["controls"][0]["lastDriftEnded"] == "PutBack"
    });
    assert_eq!(status["enforcement"]["written"], 1, "{status:#}");
    assert_eq!(status["summary"]["passing"], "1/1");
    assert_eq!(condition(&status, "Compliant")["status"], "True");
    program.metric_becomes("drift_total", &[("policy", &policy)], 1.0);
    let applied = [("policy", policy.as_str()), ("result", "Applied")];
    program.metric_becomes("remediation_total", &applied, 1.0);
    for reason in ["ControlFailed", "Remediated"] {
        world.event("default", &namespace, reason);
    }
    assert!(program.stop().success());
    check_log(&replica.log(), &namespace);
    check_text(&replica);
}

/// Has somebody weaken a default deny, and waits until it is as before.
fn weakened(change: &Value) {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let before = world.get(&path).unwrap();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    world.patch(&path, &json!({ "spec": change }));
    let after = world.becomes(&path, |found| found["spec"] == before["spec"]);
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(program.stop().success());
    assert_eq!(replica.said("intent").len(), 1);
}

#[test]
fn a_default_deny_that_is_opened_is_closed_again() {
    weakened(
        &json!({ "ingress": [{ "from": [{ "podSelector": {} }] }], "policyTypes": ["Ingress"] }),
    );
}

#[test]
fn a_default_deny_that_is_narrowed_is_for_all_pods_again() {
    weakened(&json!({ "podSelector": { "matchLabels": { "app": "web" } } }));
}

/// What people read has a line an entry, without holes where there is nothing to say.
fn check_text(replica: &Replica) {
    let text = replica.log_text();
    assert_eq!(text.lines().count(), replica.log_lines().len());
    let drift = "net-namespace-default-deny Pass → Fail Namespace";
    assert!(text.contains(drift), "{text}");
    for line in text.lines() {
        let said = line.get(48..).unwrap_or_default();
        assert!(!said.contains("  ") && said.trim_end() == said, "{line:?}");
    }
}

/// Drift, intent, outcome and return, in this order and each once.
fn check_log(log: &[Value], namespace: &str) {
    let of =
        |kind: &str| -> Vec<&Value> { log.iter().filter(|entry| entry["type"] == kind).collect() };
    let transitions = of("transition");
    let [drift, back] = transitions[..] else {
        panic!("{transitions:#?}")
    };
    assert_eq!(drift["subject"]["name"], namespace);
    assert_eq!(
        (&drift["from"], &drift["to"]),
        (&json!("Pass"), &json!("Fail"))
    );
    assert_eq!(
        (&back["from"], &back["to"]),
        (&json!("Fail"), &json!("Pass"))
    );
    assert_eq!(back["ended"], "PutBack");
    assert_eq!(drift["deviation"], back["deviation"]);
    let (intents, outcomes) = (of("intent"), of("outcome"));
    let ([intent], [outcome]) = (&intents[..], &outcomes[..]) else {
        panic!("{log:#?}")
    };
    assert_eq!(intent["id"], outcome["intent"]);
    assert_eq!(outcome["result"], "Applied");
    assert_eq!(intent["target"]["name"], "deny");
    let seq = |entry: &Value| entry["seq"].as_u64().unwrap();
    assert!(seq(drift) < seq(intent) && seq(intent) < seq(outcome));
    assert!(seq(intent) < seq(back));
    assert_eq!(log.last().unwrap()["type"], "stop");
}

#[test]
fn observe_writes_nothing_to_the_objects_of_users() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    world.create(&cron_jobs(&namespace), &backup_job("backup", false));
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "scope": { "include": [namespace] },
        "controls": {
            "netNamespaceDefaultDeny": {}, "netNoAllowAll": {},
            "workloadPsaEnforced": {}, "backupScheduleActive": {},
        },
    }));
    world.settled(&policy);
    world.delete(&path);
    let job = format!("{}/backup", cron_jobs(&namespace));
    world.patch(&job, &json!({ "spec": { "suspend": true } }));
    let before = versions(&world, &namespace);
    let status = world.status(&policy, "three failing controls", |status| {
        status["summary"]["controls"]["fail"] == 3
    });
    assert!(status["enforcement"].is_null());
    assert_eq!(condition(&status, "Enforcing")["reason"], "Observing");
    assert!(program.stop().success());
    assert_eq!(versions(&world, &namespace), before);
    assert!(replica.said("intent").is_empty());
}

/// Uids and versions of all that is in a namespace, and of itself.
fn versions(world: &World, namespace: &str) -> Vec<(Value, Value)> {
    let core = format!("/api/v1/namespaces/{namespace}");
    let paths = [
        network_policies(namespace),
        cron_jobs(namespace),
        format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        format!("{core}/configmaps"),
        format!("{core}/secrets"),
    ];
    let mut objects: Vec<Value> = paths.iter().flat_map(|path| world.list(path)).collect();
    objects.extend(world.get(&core));
    let version = |object: Value| {
        let meta = &object["metadata"];
        (meta["uid"].clone(), meta["resourceVersion"].clone())
    };
    objects.into_iter().map(version).collect()
}
