//! What the operator does without a right, and when it gets it.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{BINDINGS, World, condition, turn};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

/// What the operator itself needs to run, beside the kinds that controls read.
fn own_rules() -> Vec<Value> {
    let read = ["get", "list", "watch"];
    vec![
        rule("probity.dev", &["controlpolicies"], &read),
        rule(
            "probity.dev",
            &["controlpolicies/status"],
            &["get", "patch", "update"],
        ),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update", "patch"],
        ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

/// Gives a user a cluster role of these rules; both are called by the user's name and a purpose.
fn grant(world: &World, user: &str, purpose: &str, rules: &[Value]) {
    let group = "rbac.authorization.k8s.io";
    let name = format!("{user}-{purpose}");
    world.create(
        ROLES,
        &json!({ "metadata": { "name": name }, "rules": rules }),
    );
    let binding = json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
    });
    world.create(BINDINGS, &binding);
}

#[test]
fn without_the_right_to_write_nothing_is_written_and_with_it_all_is_put_back() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let user = world.name("reader");
    let mut rules = own_rules();
    rules.push(rule("*", &["*"], &["get", "list", "watch"]));
    grant(&world, &user, "reads", &rules);
    let kubeconfig = world.cluster.kubeconfig_for(&user, &[]).unwrap();
    let replica = Replica::new(&world).acting_as(kubeconfig);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    world.delete(&path);
    let status = world.status(&policy, "a remedy that is not allowed", |status| {
        status["enforcement"]["notAllowed"] == 1
    });
    assert_eq!(status["summary"]["failing"], 1, "{status:#}");
    assert_eq!(condition(&status, "Compliant")["status"], "False");
    let message = status["controls"][0]["violations"][0]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("lacks the right") && message.contains("networkpolicies"),
        "{message}"
    );
    assert!(world.get(&path).is_none());
    let writes = rule(
        "networking.k8s.io",
        &["networkpolicies"],
        &["create", "patch"],
    );
    grant(&world, &user, "writes", &[writes]);
    world.appears(&path);
    world.status(&policy, "a passing policy", |status| {
        status["summary"]["passing"] == "1/1" && status["enforcement"]["notAllowed"] == 0
    });
    assert!(program.stop().success());
}

#[test]
fn a_kind_that_may_not_be_read_leaves_the_other_controls_as_they_are() {
    let world = turn();
    let (namespace, _) = world.denying_namespace();
    let user = world.name("blind");
    let read = ["get", "list", "watch"];
    let mut rules = own_rules();
    rules.push(rule("", &["*"], &read));
    rules.push(rule("apps", &["*"], &read));
    rules.push(rule("batch", &["*"], &read));
    grant(&world, &user, "reads", &rules);
    let kubeconfig = world.cluster.kubeconfig_for(&user, &[]).unwrap();
    let mut program = Replica::new(&world).acting_as(kubeconfig).start();
    let label = json!({ "pod-security.kubernetes.io/enforce": "baseline" });
    let namespace_path = format!("/api/v1/namespaces/{namespace}");
    world.patch(&namespace_path, &json!({ "metadata": { "labels": label } }));
    let policy = world.policy(&json!({
        "scope": { "include": [namespace] },
        "controls": { "netNamespaceDefaultDeny": {}, "workloadPsaEnforced": {} },
    }));
    let by_id = |status: &Value, id: &str| {
        let controls = status["controls"].as_array().cloned().unwrap_or_default();
        controls
            .into_iter()
            .find(|control| control["id"] == id)
            .unwrap_or_default()
    };
    let status = world.status(&policy, "one passing and one unknown control", |status| {
        let violations = by_id(status, "net-namespace-default-deny")["violations"].to_string();
        by_id(status, "workload-psa-enforced")["outcome"] == "Pass"
            && violations.contains("lacks the right")
    });
    let blind = by_id(&status, "net-namespace-default-deny");
    assert_eq!(blind["outcome"], "Unknown");
    let message = blind["violations"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("networkpolicies.networking.k8s.io"),
        "{message}"
    );
    assert!(message.contains(&user), "{message}");
    assert_eq!(condition(&status, "Compliant")["status"], "Unknown");
    // It runs as well as it can.
    program.ready();
    program.metric_becomes("watch_available", &[("kind", "NetworkPolicy")], 0.0);
    program.metric_becomes("watch_available", &[("kind", "Namespace")], 1.0);
}
