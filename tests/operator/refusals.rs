//! What the server doesn't let us write.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{POLICIES, World, deny, eventually, namespace_path, turn};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// An admission policy under which no network policy can be created in a namespace; its path.
fn forbid(world: &World, namespace: &str) -> [String; 2] {
    let name = world.name("no-policies");
    let only = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    let rule = json!({
        "apiGroups": ["networking.k8s.io"], "apiVersions": ["*"],
        "resources": ["networkpolicies"], "operations": ["CREATE"],
    });
    let policies = format!("{ADMISSION}/validatingadmissionpolicies");
    world.create(
        &policies,
        &json!({
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [rule], "namespaceSelector": only },
                "validations": [{ "expression": "false", "message": "ask the network team first" }],
            },
        }),
    );
    let bindings = format!("{ADMISSION}/validatingadmissionpolicybindings");
    world.create(
        &bindings,
        &json!({
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        }),
    );
    [format!("{bindings}/{name}"), format!("{policies}/{name}")]
}

/// A quota under which no network policy can be created in a namespace.
fn no_quota(world: &World, namespace: &str) {
    let none = json!({ "count/networkpolicies.networking.k8s.io": "0" });
    let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    world.create(
        &quotas,
        &json!({ "metadata": { "name": "none" }, "spec": { "hard": none } }),
    );
    // No controller of quotas runs here.
    world.patch(
        &format!("{quotas}/none/status"),
        &json!({ "status": { "hard": none, "used": none } }),
    );
}

/// Waits until the server refuses to create a network policy, for a reason.
fn refuses(world: &World, namespace: &str, why: &str) {
    let mut policy = deny();
    policy["metadata"]["name"] = json!("trial");
    let file = world.cluster.folder().join(format!("{namespace}.json"));
    std::fs::write(&file, policy.to_string()).unwrap();
    let file = file.display().to_string();
    let create = ["create", "--dry-run=server", "-n", namespace, "-f", &file];
    eventually("refusal", || {
        let output = world.cluster.kubectl(&create);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.contains(why).then_some(()).ok_or(said)
    });
}

/// Requests of the operator to create network policies in a namespace, dry runs included.
fn attempts(world: &World, replica: &Replica, namespace: &str) -> usize {
    let log = std::fs::read_to_string(world.cluster.audit_log()).unwrap();
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = entries.filter(|entry| {
        entry["user"]["username"] == replica.namespace()
            && entry["objectRef"]["resource"] == "networkpolicies"
            && entry["objectRef"]["namespace"] == namespace
    });
    ours.count()
}

#[test]
fn what_admission_or_a_quota_refuses_is_told_and_not_tried_again_and_again() {
    let world = turn();
    let (fenced, fenced_path) = world.denying_namespace();
    let (full, full_path) = world.denying_namespace();
    let admission = forbid(&world, &fenced);
    no_quota(&world, &full);
    refuses(&world, &fenced, "ask the network team first");
    refuses(&world, &full, "exceeded quota");
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [fenced, full] },
        "controls": { "netNamespaceDefaultDeny": {} },
    }));
    world.settled(&policy);
    world.delete(&fenced_path);
    world.delete(&full_path);
    let status = world.status(&policy, "two refusals", |status| {
        status["enforcement"]["refused"] == 2
    });
    let violations = status["controls"][0]["violations"].to_string();
    for why in ["ask the network team first", "exceeded quota"] {
        assert!(violations.contains(why), "{violations}");
    }
    assert!(!violations.contains("lacks the right"), "{violations}");
    assert_eq!(status["summary"]["failing"], 2);
    // Its namespace is the subject, which is in none.
    let event = world.event("default", &fenced, "RemedyHeld");
    assert!(
        event["note"]
            .as_str()
            .unwrap()
            .contains("ask the network team first"),
        "{event:#}"
    );
    for namespace in [&fenced, &full] {
        assert_eq!(attempts(&world, &replica, namespace), 1);
    }
    assert!(replica.said("intent").is_empty(), "a dry run is no write");

    for path in &admission {
        world.delete(path);
    }
    world.delete(&format!("/api/v1/namespaces/{full}/resourcequotas/none"));
    for (namespace, path) in [(&fenced, &fenced_path), (&full, &full_path)] {
        let file = world.cluster.folder().join(format!("{namespace}.json"));
        let file = file.display().to_string();
        let create = ["create", "--dry-run=server", "-n", namespace, "-f", &file];
        eventually("permission", || {
            let output = world.cluster.kubectl(&create);
            output
                .status
                .success()
                .then_some(())
                .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
        });
        assert!(world.get(path).is_none());
    }
    // A person who has looked after it changes the policy: everything is tried again.
    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "limits": { "writesPerMinute": 30 } } }),
    );
    world.appears(&fenced_path);
    world.appears(&full_path);
    assert!(program.stop().success());
}

#[test]
fn nothing_is_written_to_a_namespace_that_is_ending() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let (other, other_path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": [namespace, other] },
        "controls": { "netNamespaceDefaultDeny": {} },
    }));
    world.settled(&policy);
    // No controller of namespaces runs here: it stays in this state.
    world.delete(&namespace_path(&namespace));
    world.becomes(&namespace_path(&namespace), |namespace| {
        namespace["status"]["phase"] == "Terminating"
    });
    world.delete(&path);
    // The other one shows that the operator has got that far.
    world.delete(&other_path);
    world.appears(&other_path);
    world.status(&policy, "a remedy", |status| {
        status["enforcement"]["written"] == 1
    });
    assert!(world.get(&path).is_none());
    assert_eq!(attempts(&world, &replica, &namespace), 0);
    assert!(program.stop().success());
}
