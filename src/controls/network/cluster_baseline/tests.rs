use serde_json::{Value, json};

use super::*;
use crate::controls::{
    network::fixtures::{calico, cilium, tier},
    testing::World,
};

fn installed(name: &str) -> World {
    let (plural, group) = name.split_once('.').unwrap();
    let spec = json!({ "group": group, "names": { "plural": plural } });
    World::new().with(
        Kind::Crd,
        json!({ "metadata": { "name": name }, "spec": spec }),
    )
}

fn tiers() -> World {
    installed(CRDS[0])
}

fn deny(from: &Value) -> Value {
    let rules = json!([{ "action": "Deny", "from": [from] }]);
    tier("deny", "Baseline", &rules, &json!([]))
}

fn judge(mut world: World) -> Verdict {
    world.only(&ClusterBaseline::default())
}

#[test]
fn without_such_a_tool_there_is_nothing_to_say() {
    assert_eq!(judge(World::new()).reason, "NoClusterPolicies");
    assert_eq!(
        judge(installed("widgets.example.com")).reason,
        "NoClusterPolicies"
    );
    assert_eq!(judge(tiers()).reason, "NoClusterDenial");
}

#[test]
fn a_tier_that_denies_by_default_passes() {
    let all = json!({ "namespaces": {} });
    let labelled = json!({ "pods": {
        "namespaceSelector": {}, "podSelector": { "matchLabels": { "a": "b" } } } });
    for (policy, reason) in [
        (deny(&all), "ClusterDenies"),
        (deny(&labelled), "NoClusterDenial"),
        (
            deny(&json!({ "namespaces": { "matchLabels": { "tenant": "a" } } })),
            "NoClusterDenial",
        ),
        (
            deny(&json!({ "namespaces": { "matchExpressions": [
                { "key": "tenant", "operator": "NotIn", "values": ["a"] },
            ] } })),
            "ClusterDenies",
        ),
        (
            tier(
                "open",
                "Admin",
                &json!([{ "action": "Accept", "from": [all] }]),
                &json!([]),
            ),
            "NoClusterDenial",
        ),
    ] {
        let verdict = judge(tiers().with(Kind::ClusterNetworkPolicy, policy.clone()));
        assert_eq!(verdict.reason, reason, "{policy}");
    }
    let older = json!({
        "metadata": { "name": "default" },
        "spec": { "subject": all, "ingress": [{ "action": "Deny", "from": [all] }] },
    });
    let world = installed(CRDS[2]).with(Kind::BaselineAdminNetworkPolicy, older);
    assert_eq!(judge(world).outcome, Outcome::Pass);
}

#[test]
fn a_denial_is_for_all_pods_at_every_port_and_not_lifted_before() {
    let all = json!({ "namespaces": {} });
    let of = |direction: &str, rules: Value| {
        let (ingress, egress) = match direction {
            "in" => (rules, json!([])),
            _ => (json!([]), rules),
        };
        tier("deny", "Baseline", &ingress, &egress)
    };
    let some = with_subject(json!({ "namespaces": { "matchLabels": { "team": "a" } } }));
    let pods = with_subject(json!({ "pods": {
        "namespaceSelector": {}, "podSelector": { "matchLabels": { "app": "a" } },
    } }));
    let net = |cidr: &str| json!([{ "action": "Deny", "to": [{ "networks": [cidr] }] }]);
    let port = json!([{ "tcp": { "destinationPort": { "number": 23 } } }]);
    for (policy, reason) in [
        (some, "NoClusterDenial"),
        (pods, "NoClusterDenial"),
        (
            of(
                "in",
                json!([{ "action": "Deny", "from": [all], "protocols": port }]),
            ),
            "NoClusterDenial",
        ),
        (
            of(
                "in",
                json!([
                    { "action": "Accept", "from": [all] }, { "action": "Deny", "from": [all] },
                ]),
            ),
            "NoClusterDenial",
        ),
        (
            of(
                "in",
                json!([
                    { "action": "Accept", "from": [all], "protocols": port },
                    { "action": "Deny", "from": [all] },
                ]),
            ),
            "ClusterDenies",
        ),
        (of("out", net("203.0.113.7/32")), "NoClusterDenial"),
        (of("out", net("0.0.0.0/0")), "ClusterDenies"),
    ] {
        let verdict = judge(tiers().with(Kind::ClusterNetworkPolicy, policy.clone()));
        assert_eq!(verdict.reason, reason, "{policy}");
    }
}

fn with_subject(subject: Value) -> Value {
    let mut policy = deny(&json!({ "namespaces": {} }));
    policy["spec"]["subject"] = subject;
    policy
}

#[test]
fn policies_count_without_their_definitions() {
    let policy = deny(&json!({ "namespaces": {} }));
    let world = World::new().with(Kind::ClusterNetworkPolicy, policy);
    assert_eq!(judge(world).reason, "ClusterDenies");
}

#[test]
fn what_cilium_allows_everyone_is_no_denial() {
    let world = |extra: &[Value]| {
        let mut world = installed(CRDS[3]);
        for (number, extra) in extra.iter().enumerate() {
            let mut policy = cilium(extra);
            policy["metadata"] = json!({ "name": format!("p{number}") });
            world.put(Kind::CiliumClusterwideNetworkPolicy, policy);
        }
        judge(world).reason
    };
    let denies = json!({ "ingress": [{}] });
    let open = json!({ "ingress": [{ "fromEntities": ["all"] }] });
    let dns = json!({ "egress": [{
        "toEntities": ["all"],
        "toPorts": [{ "ports": [{ "port": "53", "protocol": "UDP" }] }],
    }] });
    assert_eq!(world(std::slice::from_ref(&open)), "NoClusterDenial");
    assert_eq!(world(&[denies.clone(), open]), "NoClusterDenial");
    assert_eq!(world(&[denies]), "ClusterDenies");
    assert_eq!(world(&[dns]), "ClusterDenies");
}

#[test]
fn a_refused_policy_is_none() {
    let mut policy = deny(&json!({ "namespaces": {} }));
    policy["status"]["conditions"] = json!([{ "type": "Accepted", "status": "False" }]);
    let mut world = tiers().with(Kind::ClusterNetworkPolicy, policy.clone());
    let verdict = world.only(&ClusterBaseline::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "PolicyNotAccepted")
    );
    policy["status"]["conditions"][0]["status"] = json!("True");
    world.put(Kind::ClusterNetworkPolicy, policy);
    assert_eq!(
        world.only(&ClusterBaseline::default()).outcome,
        Outcome::Pass
    );
}

#[test]
fn cilium_counts_and_calico_is_not_judged() {
    for (extra, reason) in [
        (json!({ "ingress": [{}] }), "ClusterDenies"),
        (json!({ "ingress": [] }), "NoClusterDenial"),
        (
            json!({ "ingress": [{}], "endpointSelector": { "matchLabels": { "a": "b" } } }),
            "NoClusterDenial",
        ),
    ] {
        let mut policy = cilium(&extra);
        policy["metadata"]["namespace"] = json!(null);
        let world = installed(CRDS[3]).with(Kind::CiliumClusterwideNetworkPolicy, policy);
        assert_eq!(judge(world).reason, reason, "{extra}");
    }
    let world = installed(CRDS[4]).with(Kind::CalicoGlobalNetworkPolicy, calico());
    assert_eq!(judge(world).outcome, Outcome::Unknown);
}

#[test]
fn a_policy_of_calico_for_all_pods_denies_what_none_allows() {
    let allow = |source: Value| json!([{ "action": "Allow", "source": source }]);
    for (spec, reason) in [
        (json!({}), "ClusterDenies"),
        (json!({ "types": ["Egress"] }), "ClusterDenies"),
        (
            json!({ "ingress": allow(json!({ "nets": ["10.0.0.0/8"] })) }),
            "ClusterDenies",
        ),
        (json!({ "ingress": allow(json!({})) }), "NoClusterDenial"),
        (
            json!({ "ingress": allow(json!({ "nets": ["0.0.0.0/0"] })) }),
            "NoClusterDenial",
        ),
        (
            json!({ "ingress": allow(json!({ "selector": "all()" })) }),
            "PoliciesNotJudged",
        ),
        (json!({ "selector": "app == 'a'" }), "PoliciesNotJudged"),
        (json!({ "preDNAT": true }), "NoClusterDenial"),
    ] {
        for kind in [
            Kind::CalicoGlobalNetworkPolicy,
            Kind::CalicoV3GlobalNetworkPolicy,
        ] {
            let policy = json!({ "metadata": { "name": "default.p" }, "spec": spec });
            let world = World::new().with(kind, policy);
            assert_eq!(judge(world).reason, reason, "{spec}");
        }
    }
}
