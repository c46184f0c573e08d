use serde_json::{Value, json};

use super::*;
use crate::controls::{
    network::fixtures::{deployment, live, shop},
    testing::World,
};

fn world(extra: &Value) -> World {
    shop().with(Kind::Deployment, deployment(extra))
}

fn host_port() -> Value {
    let ports = json!([{ "containerPort": 80, "hostPort": 80 }]);
    json!({ "containers": [{ "name": "c", "ports": ports }] })
}

#[test]
fn both_ways_into_the_node_fail() {
    for (extra, reason) in [
        (json!({}), "OwnNetwork"),
        (json!({ "hostNetwork": false }), "OwnNetwork"),
        (json!({ "hostNetwork": true }), "HostNetwork"),
        (host_port(), "HostPort"),
    ] {
        let verdict = world(&extra).only(&HostNetwork::default());
        assert_eq!(verdict.reason, reason, "{extra}");
        assert_eq!(verdict.outcome == Outcome::Pass, reason == "OwnNetwork");
    }
}

#[test]
fn a_workload_is_one_subject_whatever_it_runs() {
    let mut world = world(&json!({ "hostNetwork": true }));
    live(&mut world, &json!({ "app": "web" }));
    let outcomes = world.outcomes(&HostNetwork::default());
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}

#[test]
fn listed_workloads_may() {
    let allowed = |name: &str, kind: Option<&str>| HostNetwork {
        allowed: vec![AllowedWorkload {
            namespace: "shop".into(),
            name: name.into(),
            kind: kind.map(str::to_owned),
            reason: None,
        }],
    };
    for (control, passes) in [
        (allowed("web", None), true),
        (allowed("we*", Some("Deployment")), true),
        (allowed("web", Some("DaemonSet")), false),
        (allowed("we", None), false),
    ] {
        let verdict = world(&json!({ "hostNetwork": true })).only(&control);
        assert_eq!(verdict.outcome == Outcome::Pass, passes, "{control:?}");
    }
}

#[test]
fn the_system_may() {
    let mut proxy = deployment(&json!({ "hostNetwork": true }));
    proxy["metadata"]["namespace"] = json!("kube-system");
    let mut world = World::new()
        .namespace("kube-system")
        .with(Kind::Deployment, proxy);
    assert!(
        world.judge(&HostNetwork::default()).is_empty(),
        "out of scope by default"
    );
    world.scope.include = vec!["kube-system".into()];
    assert_eq!(world.only(&HostNetwork::default()).reason, "Allowed");
}

#[test]
fn a_static_pod_is_a_subject() {
    let pod = json!({
        "metadata": { "name": "etcd-n1", "namespace": "shop", "ownerReferences": [
            { "apiVersion": "v1", "kind": "Node", "name": "n1", "controller": true }] },
        "spec": { "hostNetwork": true },
    });
    let outcomes = shop()
        .with(Kind::Pod, pod)
        .outcomes(&HostNetwork::default());
    assert_eq!(outcomes["Pod shop/etcd-n1"], (Outcome::Fail, "HostNetwork"));
}
