//! Network policies of the cluster's administrators, as the real API server serves them.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::World;
use crate::harness::crds;

const CLUSTER_POLICIES: &str = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";

/// A policy that says what it can in every way there is, and then denies every address.
fn cluster_policy() -> Value {
    let pods = json!({ "pods": {
        "namespaceSelector": { "matchLabels": { "team": "a" } },
        "podSelector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] },
    } });
    let ports = json!([
        { "tcp": { "destinationPort": { "number": 53 } } },
        { "udp": { "destinationPort": { "range": { "start": 53, "end": 54 } } } },
        { "destinationNamedPort": "dns" },
    ]);
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": { "name": "closed" },
        "spec": {
            "tier": "Admin", "priority": 10, "subject": { "namespaces": {} },
            "ingress": [{ "action": "Pass", "from": [pods, { "namespaces": {} }] }],
            "egress": [
                { "action": "Accept", "to": [pods], "protocols": ports },
                { "action": "Deny", "to": [{ "networks": ["0.0.0.0/0", "::/0"] }] },
            ],
        },
    })
}

fn deployment() -> Value {
    let labels = json!({ "app": "web" });
    let container = json!({ "name": "c", "image": "i", "ports": [{ "containerPort": 80 }] });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    })
}

#[test]
fn a_cluster_network_policy_closes_what_nothing_else_does() {
    let world = World::start();
    let namespace = world.namespace("shop");
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    world.create(&path, &deployment());
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "scope": { "include": [namespace] },
        "controls": {
            "netClusterBaseline": {}, "netEgressInternetRestricted": {},
            "netMetadataEndpointBlocked": {}, "netPodEgressIsolated": {},
            "netPodIngressIsolated": {},
        },
    }));
    let outcomes = |status: &Value| -> Vec<String> {
        let controls = status["controls"].as_array().into_iter().flatten();
        controls
            .map(|control| control["outcome"].as_str().unwrap().to_owned())
            .collect()
    };
    world.status(&policy, "nothing is closed", |status| {
        outcomes(status) == ["NotApplicable", "Fail", "Fail", "Fail", "Fail"]
    });

    let folder = crds("network-policy").unwrap();
    let folder = folder.display().to_string();
    world
        .cluster
        .kubectl_ok(&["apply", "--server-side", "-f", &folder], None);
    let crd = "crd/clusternetworkpolicies.policy.networking.k8s.io";
    world
        .cluster
        .kubectl_ok(&["wait", "--for=condition=Established", crd], None);
    world.create(CLUSTER_POLICIES, &cluster_policy());
    world.status(
        &policy,
        "egress is closed, ingress is open from outside",
        |status| outcomes(status) == ["Pass", "Pass", "Pass", "Pass", "Fail"],
    );
    assert!(program.stop().success());
}
