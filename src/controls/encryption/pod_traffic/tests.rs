mod linkerd;
mod proposals;

use serde_json::{Value, json};

use super::*;
use crate::{controls::testing::World, engine::Cilium};

fn control() -> PodTraffic {
    PodTraffic::default()
}

/// A workload `web` with a Service, and one pod with these containers.
fn world(labels: &Value, containers: &[&str]) -> World {
    let mut world = World::new();
    world.observed.cilium = Some(Cilium::NotThere);
    world.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "labels": labels } }),
    );
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "ports": [{ "containerPort": 8080, "name": "http" }] }] },
    });
    world.put(
        Kind::Deployment,
        json!({
            "metadata": { "name": "web", "namespace": "shop" }, "spec": { "template": template },
        }),
    );
    world.put(
        Kind::ReplicaSet,
        json!({
            "metadata": {
                "name": "web-1", "namespace": "shop",
                "ownerReferences": [owner("Deployment", "web")],
            },
            "spec": { "template": template },
        }),
    );
    world.put(
        Kind::Service,
        json!({
            "metadata": { "name": "front", "namespace": "shop" },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
        }),
    );
    if !containers.is_empty() {
        pod(&mut world, "web-1-a", containers, &Value::Null);
    }
    world
}

fn owner(kind: &str, name: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true })
}

fn pod(world: &mut World, name: &str, containers: &[&str], annotations: &Value) {
    let containers: Vec<Value> = containers
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    world.put(
        Kind::Pod,
        json!({
            "metadata": {
                "name": name, "namespace": "shop", "labels": { "app": "web" },
                "annotations": annotations, "ownerReferences": [owner("ReplicaSet", "web-1")],
            },
            "spec": { "containers": containers },
        }),
    );
}

fn peer(world: &mut World, namespace: &str, name: &str, spec: &Value) {
    world.put(
        Kind::PeerAuthentication,
        json!({ "metadata": { "name": name, "namespace": namespace }, "spec": spec }),
    );
}

fn mode(mode: &str) -> Value {
    json!({ "mtls": { "mode": mode } })
}

fn of_web(extra: &Value) -> Value {
    let mut spec = json!({ "selector": { "matchLabels": { "app": "web" } } });
    spec.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    spec
}

const SIDECAR: [&str; 2] = ["web", "istio-proxy"];

fn in_istio() -> World {
    world(&json!({ "istio-injection": "enabled" }), &SIDECAR)
}

fn judged(world: &mut World) -> (Outcome, &'static str) {
    let verdict = world.only(&control());
    (verdict.outcome, verdict.reason)
}

const STRICT: (Outcome, &str) = (Outcome::Pass, "IstioStrict");
const NOT_STRICT: (Outcome, &str) = (Outcome::Fail, "IstioNotStrict");

#[test]
fn the_most_specific_mode_that_is_set_counts() {
    type Policies = Vec<(&'static str, Value)>;
    let unset = || json!({});
    let cases: Vec<(Policies, (Outcome, &str))> = vec![
        (vec![], NOT_STRICT),
        (vec![("istio-system", mode("STRICT"))], STRICT),
        (
            vec![
                ("istio-system", mode("STRICT")),
                ("shop", mode("PERMISSIVE")),
            ],
            NOT_STRICT,
        ),
        (
            vec![("istio-system", mode("DISABLE")), ("shop", mode("STRICT"))],
            STRICT,
        ),
        (
            vec![("istio-system", mode("STRICT")), ("shop", unset())],
            STRICT,
        ),
        (
            vec![("shop", mode("STRICT")), ("shop", of_web(&mode("DISABLE")))],
            NOT_STRICT,
        ),
        (
            vec![
                ("shop", mode("PERMISSIVE")),
                ("shop", of_web(&mode("STRICT"))),
            ],
            STRICT,
        ),
        (
            vec![("shop", mode("STRICT")), ("shop", of_web(&mode("UNSET")))],
            STRICT,
        ),
        // A selector in the root namespace is about nobody.
        (vec![("istio-system", of_web(&mode("STRICT")))], NOT_STRICT),
        (vec![("other", mode("STRICT"))], NOT_STRICT),
    ];
    for (policies, wanted) in cases {
        let mut world = in_istio();
        for (i, (namespace, spec)) in policies.iter().enumerate() {
            peer(&mut world, namespace, &format!("p{i}"), spec);
        }
        assert_eq!(judged(&mut world), wanted, "{policies:?}");
    }
}

#[test]
fn of_several_policies_the_oldest_counts() {
    let mut world = in_istio();
    for (name, made, spec) in [
        ("a", "2026-05-02T00:00:00Z", mode("STRICT")),
        ("b", "2026-05-01T00:00:00Z", mode("PERMISSIVE")),
    ] {
        let meta = json!({ "name": name, "namespace": "shop", "creationTimestamp": made });
        world.put(
            Kind::PeerAuthentication,
            json!({ "metadata": meta, "spec": spec }),
        );
    }
    assert_eq!(judged(&mut world), NOT_STRICT);
}

#[test]
fn a_port_that_is_left_open_fails() {
    let ports = |mode: &str| {
        of_web(&json!({
            "mtls": { "mode": "STRICT" }, "portLevelMtls": { "8080": { "mode": mode } },
        }))
    };
    for (mode, wanted) in [
        ("DISABLE", NOT_STRICT),
        ("PERMISSIVE", NOT_STRICT),
        ("STRICT", STRICT),
        ("UNSET", STRICT),
    ] {
        let mut world = in_istio();
        peer(&mut world, "shop", "web", &ports(mode));
        assert_eq!(judged(&mut world), wanted, "{mode}");
    }
}

#[test]
fn a_label_is_no_sidecar() {
    let mut world = world(&json!({ "istio-injection": "enabled" }), &["web"]);
    peer(&mut world, "shop", "default", &mode("STRICT"));
    assert_eq!(judged(&mut world), (Outcome::Fail, "PodsOutsideMesh"));
    pod(&mut world, "web-1-a", &SIDECAR, &Value::Null);
    assert_eq!(judged(&mut world), STRICT);
    pod(&mut world, "web-1-b", &["web"], &Value::Null);
    let verdict = world.only(&control());
    assert_eq!(verdict.reason, "PodsOutsideMesh");
    assert!(
        verdict.message.contains("1 of 2 pods runs"),
        "{}",
        verdict.message
    );
}

#[test]
fn a_workload_without_pods_is_judged_by_what_it_asks_for() {
    for (labels, wanted) in [
        (json!({ "istio-injection": "enabled" }), STRICT),
        (json!({ "istio.io/rev": "stable" }), STRICT),
        (json!({ "istio.io/dataplane-mode": "ambient" }), STRICT),
        (json!({}), (Outcome::Fail, "PodTrafficNotEncrypted")),
        (
            json!({ "istio-injection": "disabled", "istio.io/rev": "stable" }),
            (Outcome::Fail, "PodTrafficNotEncrypted"),
        ),
    ] {
        let mut world = world(&labels, &[]);
        peer(&mut world, "shop", "default", &mode("STRICT"));
        assert_eq!(judged(&mut world), wanted, "{labels}");
    }
}

#[test]
fn of_a_workload_without_pods_istios_injector_says_which_get_a_proxy() {
    let outside = (Outcome::Fail, "PodTrafficNotEncrypted");
    let (on, off) = ("enabled", "disabled");
    for (namespace, label, annotation, wanted) in [
        (Some(on), None, Some("false"), outside),
        (Some(on), None, Some("no"), outside),
        (Some(on), None, Some("True"), STRICT),
        (Some(on), None, Some(""), STRICT),
        // The label comes before the annotation.
        (Some(on), Some("true"), Some("false"), STRICT),
        (Some(on), Some("false"), Some("true"), outside),
        // No annotation brings a pod to the injector, and what is disabled it never sees.
        (None, None, Some("true"), outside),
        (None, Some("true"), None, STRICT),
        (Some(off), Some("true"), None, outside),
    ] {
        let said = |key: &str, value: Option<&str>| {
            value.map_or_else(|| json!({}), |value| json!({ key: value }))
        };
        let mut world = world(&said("istio-injection", namespace), &[]);
        peer(&mut world, "shop", "default", &mode("STRICT"));
        let metadata = json!({
            "labels": said("sidecar.istio.io/inject", label),
            "annotations": said("sidecar.istio.io/inject", annotation),
        });
        world.put(
            Kind::Deployment,
            json!({
                "metadata": { "name": "web", "namespace": "shop" },
                "spec": { "template": { "metadata": metadata } },
            }),
        );
        assert_eq!(
            judged(&mut world),
            wanted,
            "{namespace:?} {label:?} {annotation:?}"
        );
    }
}

#[test]
fn ambient_needs_strict_too() {
    let mut world = world(&json!({ "istio.io/dataplane-mode": "ambient" }), &[]);
    let annotation = json!({ "ambient.istio.io/redirection": "enabled" });
    pod(&mut world, "web-1-a", &["web"], &annotation);
    assert_eq!(judged(&mut world), NOT_STRICT);
    peer(&mut world, "shop", "default", &mode("STRICT"));
    assert_eq!(judged(&mut world), STRICT);
    pod(&mut world, "web-1-b", &["web"], &Value::Null);
    assert_eq!(judged(&mut world), (Outcome::Fail, "PodsOutsideMesh"));
}

#[test]
fn a_rule_that_switches_tls_off_fails_the_workloads_of_its_host() {
    let off = json!({ "tls": { "mode": "DISABLE" } });
    let rule = |host: &str, namespace: &str, extra: Value| {
        let mut object = json!({
            "metadata": { "name": "r", "namespace": namespace }, "spec": { "host": host },
        });
        let spec = object["spec"].as_object_mut().unwrap();
        spec.extend(extra.as_object().unwrap().clone());
        object
    };
    let policy = || json!({ "trafficPolicy": off });
    let plain = (Outcome::Fail, "DestinationRuleDisablesTls");
    for (object, wanted) in [
        (rule("front", "shop", policy()), plain),
        (rule("front.shop", "other", policy()), plain),
        (
            rule("front.shop.svc.cluster.local", "other", policy()),
            plain,
        ),
        (rule("*.shop.svc.cluster.local", "other", policy()), plain),
        (rule("*", "istio-system", policy()), plain),
        (
            rule(
                "front",
                "shop",
                json!({ "subsets": [{ "trafficPolicy": off }] }),
            ),
            plain,
        ),
        (
            rule(
                "front",
                "shop",
                json!({ "trafficPolicy": { "portLevelSettings": [off] } }),
            ),
            plain,
        ),
        (rule("front", "other", policy()), STRICT),
        (rule("back", "shop", policy()), STRICT),
        (
            rule(
                "front",
                "shop",
                json!({ "trafficPolicy": { "tls": { "mode": "ISTIO_MUTUAL" } } }),
            ),
            STRICT,
        ),
    ] {
        let mut world = in_istio();
        peer(&mut world, "shop", "default", &mode("STRICT"));
        world.put(Kind::DestinationRule, object.clone());
        assert_eq!(judged(&mut world), wanted, "{object}");
    }
}

#[test]
fn a_strict_policy_that_was_weakened_is_put_back() {
    let control = control();
    for (spec, weaker) in [
        (mode("STRICT"), mode("PERMISSIVE")),
        (mode("STRICT"), json!({})),
        (
            of_web(&mode("STRICT")),
            of_web(
                &json!({ "mtls": { "mode": "STRICT" }, "portLevelMtls": { "8080": { "mode": "DISABLE" } } }),
            ),
        ),
        (
            of_web(&mode("STRICT")),
            of_web(
                &json!({ "mtls": { "mode": "DISABLE" }, "portLevelMtls": { "8080": { "mode": "DISABLE" } } }),
            ),
        ),
    ] {
        let mut world = in_istio();
        peer(&mut world, "shop", "default", &spec);
        assert_eq!(judged(&mut world), STRICT);
        peer(&mut world, "shop", "default", &weaker);
        assert_eq!(judged(&mut world), NOT_STRICT, "{weaker}");
        let outcomes = world.mend(&control);
        assert_eq!(outcomes["Deployment shop/web"], STRICT, "{weaker}");
    }
}

#[test]
fn a_policy_that_never_was_strict_or_is_another_one_is_left_alone() {
    let mut world = in_istio();
    peer(&mut world, "shop", "default", &mode("PERMISSIVE"));
    let verdict = world.only(&control());
    assert!(verdict.remedy.is_none() && verdict.proposal.is_some());
    peer(&mut world, "shop", "default", &mode("STRICT"));
    assert_eq!(judged(&mut world), STRICT);
    world.delete(Kind::PeerAuthentication, "shop", "default");
    assert!(world.only(&control()).remedy.is_none());
    peer(&mut world, "shop", "default", &mode("PERMISSIVE"));
    let verdict = world.only(&control());
    assert!(verdict.remedy.is_none(), "another uid");
}

#[test]
fn a_network_that_encrypts_counts() {
    let encrypts = (Outcome::Pass, "NetworkEncrypts");
    let plain = (Outcome::Fail, "PodTrafficNotEncrypted");
    for (cilium, wanted) in [
        (Some(Cilium::Encrypts("WireGuard")), encrypts),
        (Some(Cilium::Encrypts("IPsec")), encrypts),
        (Some(Cilium::Plain), plain),
        (
            Some(Cilium::NotSeen("no".to_owned())),
            (Outcome::Unknown, "NetworkNotSeen"),
        ),
        (None, (Outcome::Unknown, "NetworkNotSeen")),
    ] {
        let mut world = world(&json!({}), &["web"]);
        world.observed.cilium = cilium.clone();
        assert_eq!(judged(&mut world), wanted, "{cilium:?}");
    }
    let felix = |name: &str, on: bool| json!({ "metadata": { "name": name }, "spec": { "wireguardEnabled": on } });
    let mut world = world(&json!({}), &["web"]);
    world.put(Kind::FelixConfiguration, felix("default", true));
    assert_eq!(judged(&mut world), encrypts);
    world.put(Kind::FelixConfiguration, felix("node.a", false));
    assert_eq!(judged(&mut world), plain);
}

#[test]
fn only_what_is_accepted_counts() {
    let strict = PodTraffic {
        accept: vec![Encryption::IstioStrict],
        ..control()
    };
    let mut world = world(&json!({}), &["web"]);
    world.observed.cilium = Some(Cilium::Encrypts("WireGuard"));
    assert_eq!(world.only(&strict).reason, "PodTrafficNotEncrypted");
    let exempt = PodTraffic {
        exempt_namespaces: vec!["shop".to_owned()],
        ..control()
    };
    assert!(world.judge(&exempt).is_empty());
}

#[test]
fn the_network_of_the_node_is_not_judged() {
    let mut world = World::new().namespace("shop");
    world.put(
        Kind::DaemonSet,
        json!({
            "metadata": { "name": "agent", "namespace": "shop" },
            "spec": { "template": { "spec": { "hostNetwork": true, "containers": [] } } },
        }),
    );
    assert_eq!(judged(&mut world), (Outcome::NotApplicable, "HostNetwork"));
}
