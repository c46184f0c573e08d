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
