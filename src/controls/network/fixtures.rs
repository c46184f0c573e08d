//! A small shop for the tests of network controls.

use serde_json::{Value, json};

use crate::{controls::testing::World, inventory::Kind};

/// Namespaces `shop` and `ops`, and Deployment `shop/web` that serves 8080 (named `web`), at zero
/// replicas.
pub(super) fn shop() -> World {
    World::new()
        .with(Kind::Namespace, namespace("shop", &json!({})))
        .with(Kind::Namespace, namespace("ops", &json!({})))
        .with(Kind::Deployment, deployment(&json!({})))
}

/// A namespace with the label that the API server gives it, and others.
pub(super) fn namespace(name: &str, labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["kubernetes.io/metadata.name"] = json!(name);
    json!({ "metadata": { "name": name, "labels": labels } })
}

/// Deployment `shop/web` with `extra` fields in its pod spec.
pub(super) fn deployment(extra: &Value) -> Value {
    let ports = json!([{ "name": "web", "containerPort": 8080 }]);
    let mut pod = json!({ "containers": [{ "name": "c", "ports": ports }] });
    for (key, value) in extra.as_object().unwrap() {
        pod[key] = value.clone();
    }
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": pod });
    json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "replicas": 0, "template": template },
    })
}

/// A `ReplicaSet` of the Deployment, and a pod of that with these labels.
pub(super) fn live(world: &mut World, labels: &Value) {
    live_pod(world, labels, &json!({}));
}

/// The same, with a pod spec.
pub(super) fn live_pod(world: &mut World, labels: &Value, spec: &Value) {
    annotated_live_pod(world, labels, &Value::Null, spec);
}

/// The same, with annotations.
pub(super) fn annotated_live_pod(
    world: &mut World,
    labels: &Value,
    annotations: &Value,
    spec: &Value,
) {
    let owned = |name: &str, kind: &str, owner: &str| {
        let owner =
            json!([{ "apiVersion": "apps/v1", "kind": kind, "name": owner, "controller": true }]);
        json!({ "name": name, "namespace": "shop", "ownerReferences": owner })
    };
    let set = json!({ "metadata": owned("web-1", "Deployment", "web"), "spec": {} });
    world.put(Kind::ReplicaSet, set);
    let mut meta = owned("web-1-x", "ReplicaSet", "web-1");
    meta["labels"] = labels.clone();
    meta["annotations"] = annotations.clone();
    let pod = json!({ "metadata": meta, "spec": spec, "status": { "phase": "Running" } });
    world.put(Kind::Pod, pod);
}

/// A NetworkPolicy of namespace `shop`.
pub(super) fn policy(name: &str, spec: &Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

/// A NetworkPolicy that selects the Deployment's pods and has these egress rules.
pub(super) fn egress(rules: &Value) -> Value {
    let pods = json!({ "matchLabels": { "app": "web" } });
    let spec = json!({ "podSelector": pods, "policyTypes": ["Egress"], "egress": rules });
    policy("out", &spec)
}

/// A NetworkPolicy that selects the Deployment's pods and has these ingress rules.
pub(super) fn ingress(rules: &Value) -> Value {
    let pods = json!({ "matchLabels": { "app": "web" } });
    let spec = json!({ "podSelector": pods, "policyTypes": ["Ingress"], "ingress": rules });
    policy("in", &spec)
}

/// A `ClusterNetworkPolicy` for all namespaces, of priority 1.
pub(super) fn tier(name: &str, tier: &str, ingress: &Value, egress: &Value) -> Value {
    let subject = json!({ "namespaces": {} });
    let spec = json!({
        "tier": tier, "priority": 1, "subject": subject, "ingress": ingress, "egress": egress,
    });
    json!({ "metadata": { "name": name }, "spec": spec })
}

/// A `CiliumNetworkPolicy` of namespace `shop` for all its pods, with more fields.
pub(super) fn cilium(extra: &Value) -> Value {
    let mut spec = json!({ "endpointSelector": {} });
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({ "metadata": { "name": "c", "namespace": "shop" }, "spec": spec })
}

/// A policy of Calico for all namespaces, of a tier of which nobody knows how it ends.
pub(super) fn calico() -> Value {
    let allow = json!([{ "action": "Allow" }]);
    json!({
        "metadata": { "name": "security.all" },
        "spec": { "tier": "security", "ingress": allow, "egress": allow },
    })
}

/// The manifest in a command that a proposal names.
pub(super) fn proposed(proposal: &str) -> Value {
    let (_, manifest) = proposal.split_once("<<'EOF'\n").unwrap();
    serde_saphyr::from_str(manifest.strip_suffix("EOF").unwrap()).unwrap()
}
