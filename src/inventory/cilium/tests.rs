//! What is read of Cilium's policies.

use serde_json::{Value, json};

use super::*;

fn project(namespace: &str, spec: &Value) -> CiliumPolicy {
    let uid = "00000000-0000-4000-8000-000000000001";
    let meta = json!({
        "name": "p", "namespace": namespace, "uid": uid, "resourceVersion": "1",
    });
    let object = json!({ "metadata": meta, "spec": spec }).to_string();
    let wire: Wire<'_> = serde_json::from_str(&object).unwrap();
    CiliumPolicy::project(wire, &mut Interner::default())
        .unwrap()
        .1
}

fn ingress(rules: &Value, extra: &Value) -> Side {
    let mut spec = json!({ "endpointSelector": {}, "ingress": rules });
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let mut policy = project("shop", &spec);
    std::mem::take(&mut policy.sections[0].ingress)
}

#[test]
fn a_section_that_is_not_empty_isolates() {
    let deny = |ingress: Value| json!({ "enableDefaultDeny": { "ingress": ingress } });
    for (rules, extra, isolates) in [
        (json!([{}]), json!({}), Some(true)),
        (json!([]), json!({}), Some(false)),
        (json!(null), json!({}), Some(false)),
        (json!(null), json!({ "ingressDeny": [{}] }), Some(true)),
        (json!([{}]), deny(json!(false)), Some(false)),
        (json!([]), deny(json!(true)), None),
    ] {
        let side = ingress(&rules, &extra);
        assert_eq!(side.isolates, isolates, "{rules} {extra}");
        assert!(
            side.rules.is_empty(),
            "{rules}: an empty rule allows nothing"
        );
    }
}

#[test]
fn what_cannot_be_said_exactly_is_unclear() {
    let endpoints = |key: &str| json!([{ "fromEndpoints": [{ "matchLabels": { key: "x" } }] }]);
    for (rules, unclear, peers) in [
        (endpoints("app"), false, 1),
        (endpoints("k8s:app"), false, 1),
        (endpoints("k8s:io.kubernetes.pod.namespace"), false, 1),
        (endpoints("reserved:host"), true, 0),
        (endpoints("io.cilium.k8s.policy.serviceaccount"), true, 0),
        (json!([{ "fromEntities": ["world"] }]), false, 2),
        (json!([{ "fromEntities": ["host"] }]), false, 1),
        (
            json!([{ "fromCIDRSet": [{ "cidrGroupRef": "g" }] }]),
            true,
            0,
        ),
        (json!([{ "fromCIDR": ["10.0.0.1"] }]), false, 1),
        (json!([{ "fromEndpoints": [] }]), false, 0),
        (json!([{ "icmps": [{}] }]), false, 0),
    ] {
        let side = ingress(&rules, &json!({}));
        let found: usize = side.rules.iter().map(|rule| rule.peers.len()).sum();
        assert_eq!((side.unclear, found), (unclear, peers), "{rules}");
    }
}

#[test]
fn ports_are_limited_only_by_protocols_that_have_them() {
    let ports = |list: Value| json!([{ "toPorts": [{ "ports": list }] }]);
    for (list, rules, every) in [
        (json!([]), 1, true),
        (json!([{ "port": "0" }]), 1, true),
        (json!([{ "port": "80", "protocol": "TCP" }]), 1, false),
        (json!([{ "port": "8", "protocol": "ICMP" }]), 0, false),
    ] {
        let side = ingress(&ports(list.clone()), &json!({}));
        assert_eq!(side.rules.len(), rules, "{list}");
        assert_eq!(side.rules.iter().any(Rule::is_every_port), every, "{list}");
    }
}

#[test]
fn patterns_match_names_label_by_label() {
    for (name, pattern, wanted) in [
        ("metadata.google.internal", "*.google.internal", true),
        ("metadata.google.internal", "meta*.*.internal", true),
        ("metadata.google.internal", "*.internal", false),
        ("metadata.google.internal", "**.internal", true),
        ("metadata.google.internal", "*.example.com", false),
        ("metadata", "*data", true),
        ("metadata", "*.data", false),
    ] {
        assert_eq!(is_like(name, pattern), wanted, "{name} {pattern}");
    }
}

#[test]
fn denials_of_blocks_on_every_port_are_known() {
    let denying = |rule: Value| {
        let mut policy = project(
            "shop",
            &json!({ "endpointSelector": {}, "egressDeny": [rule] }),
        );
        let side = std::mem::take(&mut policy.sections[0].egress);
        assert_eq!(side.isolates, Some(true));
        (side.denied.len(), side.denies)
    };
    let to = json!(["169.254.169.254/32", "fd00:ec2::254"]);
    assert_eq!(denying(json!({ "toCIDR": to })), (2, false));
    let ports = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }] }]);
    assert_eq!(
        denying(json!({ "toCIDR": to, "toPorts": ports })),
        (0, true)
    );
    assert_eq!(denying(json!({ "toEntities": ["world"] })), (0, true));
    assert_eq!(
        denying(json!({ "toCIDRSet": [{ "cidrGroupRef": "g" }] })),
        (0, true)
    );
    assert_eq!(denying(json!({})), (0, true));
}

#[test]
fn rules_for_nodes_are_none_for_pods() {
    let policy = project("", &json!({ "nodeSelector": {}, "ingress": [{}] }));
    assert!(policy.sections.is_empty());
}
