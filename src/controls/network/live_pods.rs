//! Workloads are judged by their live pods as well where these look unlike the template.

use serde_json::{Value, json};

use super::{
    cross_namespace_explicit::CrossNamespaceExplicit,
    egress_internet_restricted::EgressInternetRestricted,
    exposure_inventory::ExposureInventory,
    fixtures::{cilium, deployment, egress, ingress, live, live_pod, namespace, policy, shop},
    host_network::{AllowedWorkload, HostNetwork},
    metadata_endpoint_blocked::MetadataEndpointBlocked,
    no_allow_all::NoAllowAll,
    pod_egress_isolated::PodEgressIsolated,
    pod_ingress_isolated::PodIngressIsolated,
};
use crate::controls::{labels::LabelSelector, prelude::*, testing::World};

/// Policies under which the Deployment's own pods pass everything, and that open those labelled
/// `debug=on` to everything.
fn world() -> World {
    let debug = json!({ "matchLabels": { "debug": "on" } });
    let open = json!({
        "podSelector": debug, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}],
    });
    let near = json!([{ "from": [{ "podSelector": {} }] }]);
    let private = json!([{ "to": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }] }]);
    let confidential = json!({ "probity.dev/data": "confidential" });
    shop()
        .with(Kind::Namespace, namespace("shop", &confidential))
        .with(Kind::NetworkPolicy, ingress(&near))
        .with(Kind::NetworkPolicy, egress(&private))
        .with(Kind::NetworkPolicy, policy("open", &open))
}

fn labels(debug: bool) -> Value {
    let mut labels = json!({ "app": "web", "pod-template-hash": "1" });
    if debug {
        labels["debug"] = json!("on");
    }
    labels
}

/// What the controls of what policies let through say, in this order of reasons of failures.
fn judged(world: &mut World) -> [Verdict; 4] {
    [
        world.only(&NoAllowAll::default()),
        world.only(&CrossNamespaceExplicit::default()),
        world.only(&EgressInternetRestricted::default()),
        world.only(&MetadataEndpointBlocked::default()),
    ]
}

const REASONS: [&str; 4] = [
    "AllowAll",
    "PeersNotNamed",
    "EgressToInternet",
    "MetadataEndpointReachable",
];

fn all_pass(world: &mut World) -> bool {
    let verdicts = judged(world);
    verdicts
        .iter()
        .all(|verdict| verdict.outcome == Outcome::Pass)
}

#[test]
fn a_label_on_a_live_pod_opens_the_workload() {
    let mut world = world();
    assert!(all_pass(&mut world));
    live(&mut world, &labels(false));
    assert!(all_pass(&mut world));
    live(&mut world, &labels(true));
    for (verdict, reason) in judged(&mut world).iter().zip(REASONS) {
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Fail, reason));
        let whose = "live pods labelled app=web,debug=on: ";
        assert!(verdict.message.starts_with(whose), "{}", verdict.message);
    }
    world.delete(Kind::Pod, "shop", "web-1-x");
    assert!(all_pass(&mut world));
}

#[test]
fn pods_that_ended_and_those_of_others_say_nothing() {
    let mut world = world();
    live(&mut world, &labels(false));
    let meta = |owner: &str| {
        let owner = json!([
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": true },
        ]);
        json!({ "name": "y", "namespace": "shop", "labels": labels(true), "ownerReferences": owner })
    };
    let ended = json!({
        "metadata": meta("web-1"), "spec": {}, "status": { "phase": "Succeeded" },
    });
    world.put(Kind::Pod, ended);
    assert!(all_pass(&mut world));
    world.put(Kind::Pod, json!({ "metadata": meta("other"), "spec": {} }));
    assert!(all_pass(&mut world));
}

#[test]
fn what_can_not_be_judged_of_a_live_pod_is_unknown() {
    let mut unclear = cilium(
        &json!({ "ingress": [{ "fromEndpoints": [{ "matchLabels": { "reserved:host": "x" } }] }] }),
    );
    unclear["spec"]["endpointSelector"] = json!({ "matchLabels": { "odd": "yes" } });
    let mut world = world().with(Kind::CiliumNetworkPolicy, unclear);
    assert_eq!(world.only(&NoAllowAll::default()).outcome, Outcome::Pass);
    live(&mut world, &json!({ "app": "web", "odd": "yes" }));
    assert_eq!(world.only(&NoAllowAll::default()).outcome, Outcome::Unknown);
    live(
        &mut world,
        &json!({ "app": "web", "odd": "yes", "debug": "on" }),
    );
    assert_eq!(world.only(&NoAllowAll::default()).outcome, Outcome::Fail);
}

#[test]
fn a_template_in_the_nodes_network_does_not_hide_pods_that_are_not() {
    let host = deployment(&json!({ "hostNetwork": true }));
    let mut world = shop().with(Kind::Deployment, host);
    let controls: [&dyn Control; 2] = [
        &PodIngressIsolated::default(),
        &PodEgressIsolated::default(),
    ];
    for control in controls {
        assert_eq!(world.only(control).reason, "HostNetwork");
    }
    live(&mut world, &labels(false));
    for control in controls {
        assert_eq!(world.only(control).reason, "LivePodsNotIsolated");
    }
    live_pod(&mut world, &labels(false), &json!({ "hostNetwork": true }));
    for control in controls {
        assert_eq!(world.only(control).reason, "HostNetwork");
    }
}

#[test]
fn exempt_are_the_pods_that_the_selector_selects() {
    let control = PodIngressIsolated {
        exempt_selector: Some(
            LabelSelector::parse(json!({ "matchLabels": { "debug": "on" } })).unwrap(),
        ),
        ..PodIngressIsolated::default()
    };
    let mut exempt = deployment(&json!({}));
    exempt["spec"]["template"]["metadata"]["labels"]["debug"] = json!("on");
    let mut world = shop().with(Kind::Deployment, exempt);
    live(&mut world, &labels(true));
    assert_eq!(world.only(&control).reason, "ExemptBySelector");
    live(&mut world, &labels(false));
    assert_eq!(world.only(&control).reason, "LivePodsNotIsolated");
}

#[test]
fn the_worst_of_the_live_pods_counts() {
    // One is not isolated for certain, of the other it can't be told.
    let one =
        json!({ "matchLabels": { "app": "other", "statefulset.kubernetes.io/pod-name": "x" } });
    let mut world = shop().with(Kind::NetworkPolicy, ingress(&json!([]))).with(
        Kind::NetworkPolicy,
        policy("one", &json!({ "podSelector": one })),
    );
    live(&mut world, &json!({ "app": "other" }));
    let control = PodIngressIsolated::default();
    assert_eq!(world.only(&control).outcome, Outcome::Unknown);
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "controller": true }]);
    let meta = json!({
        "name": "a", "namespace": "shop", "labels": { "app": "zz" }, "ownerReferences": owner,
    });
    world.put(Kind::Pod, json!({ "metadata": meta, "spec": {} }));
    assert_eq!(world.only(&control).reason, "LivePodsNotIsolated");
}

fn port(host: bool) -> Value {
    let mut port = json!({ "name": "web", "containerPort": 8080 });
    if host {
        port["hostPort"] = json!(80);
    }
    json!({ "containers": [{ "name": "c", "ports": [port] }] })
}

#[test]
fn live_pods_on_the_node_are_found_whatever_the_template_says() {
    let control = HostNetwork::default();
    let mut world = shop();
    live_pod(&mut world, &labels(false), &port(false));
    assert_eq!(world.only(&control).reason, "OwnNetwork");
    live_pod(&mut world, &labels(false), &json!({ "hostNetwork": true }));
    assert_eq!(world.only(&control).reason, "HostNetwork");
    live_pod(&mut world, &labels(false), &port(true));
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "HostPort")
    );
    assert_eq!(
        verdict.message,
        "container port 8080 is open on the node (hostPort), as a live pod shows: its template does \
         not say so"
    );
    let allowing = HostNetwork {
        allowed: vec![AllowedWorkload {
            namespace: "shop".into(),
            name: "web".into(),
            kind: None,
            reason: None,
        }],
    };
    assert_eq!(world.only(&allowing).reason, "Allowed");
    world.delete(Kind::Pod, "shop", "web-1-x");
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
}

#[test]
fn a_hostport_of_a_live_pod_is_an_entry_point() {
    let control = ExposureInventory::default();
    let mut world = shop();
    live_pod(&mut world, &labels(false), &port(false));
    assert!(world.judge(&control).is_empty());
    live_pod(&mut world, &labels(false), &port(true));
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "NodePortNotApproved")
    );
    // In the node's network, each declared port is one of the node, also before the server says so.
    let host = deployment(&json!({ "hostNetwork": true }));
    let mut world = shop().with(Kind::Deployment, host);
    assert_eq!(world.only(&control).outcome, Outcome::Fail);
}
