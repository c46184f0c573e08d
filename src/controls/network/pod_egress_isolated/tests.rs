use serde_json::json;

use super::*;
use crate::controls::network::fixtures::{calico, deployment, egress, policy, shop, tier};

#[test]
fn only_a_policy_for_egress_isolates() {
    for (spec, reason) in [
        (json!({ "podSelector": {} }), "WorkloadNotIsolated"),
        (
            json!({ "podSelector": {}, "egress": [] }),
            "WorkloadNotIsolated",
        ),
        (json!({ "podSelector": {}, "egress": [{}] }), "Isolated"),
        (
            json!({ "podSelector": {}, "policyTypes": ["Egress"] }),
            "Isolated",
        ),
    ] {
        let mut world = shop().with(Kind::NetworkPolicy, policy("p", &spec));
        assert_eq!(
            world.only(&PodEgressIsolated::default()).reason,
            reason,
            "{spec}"
        );
    }
}

#[test]
fn a_tier_isolates_by_denying_every_address() {
    let deny = |networks: &[&str]| json!([{ "action": "Deny", "to": [{ "networks": networks }] }]);
    for (networks, outcome) in [
        (&["0.0.0.0/0", "::/0"][..], Outcome::Pass),
        (&["0.0.0.0/0"], Outcome::Fail),
        (&["10.0.0.0/8"], Outcome::Fail),
    ] {
        for kind in ["Admin", "Baseline"] {
            let tier = tier("deny", kind, &json!([]), &deny(networks));
            let mut world = shop().with(Kind::ClusterNetworkPolicy, tier);
            let verdict = world.only(&PodEgressIsolated::default());
            assert_eq!(verdict.outcome, outcome, "{kind} {networks:?}");
        }
    }
}

#[test]
fn what_policies_say_nothing_about_or_nobody_reads_is_not_judged() {
    let mut world = shop().with(Kind::CalicoGlobalNetworkPolicy, calico());
    let verdict = world.only(&PodEgressIsolated::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "PoliciesNotJudged")
    );
    world.put(
        Kind::Deployment,
        deployment(&json!({ "hostNetwork": true })),
    );
    let verdict = world.only(&PodEgressIsolated::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "HostNetwork")
    );
}

#[test]
fn the_created_policy_leaves_dns_open() {
    let control = PodEgressIsolated::default();
    let mut world = shop();
    let verdict = world.only(&control);
    let Some(Remedy::Create { manifest, .. }) = verdict.remedy.as_deref() else {
        panic!("{verdict:?}");
    };
    assert_eq!(manifest["metadata"]["name"], "probity-default-deny-egress");
    assert_eq!(manifest["spec"]["policyTypes"], json!(["Egress"]));
    assert_eq!(manifest["spec"]["egress"][0]["ports"][0]["port"], 53);
    assert_eq!(world.mend(&control)["Deployment shop/web"].0, Outcome::Pass);
}

#[test]
fn what_passed_comes_back() {
    let control = PodEgressIsolated::default();
    let mut world = shop().with(Kind::NetworkPolicy, egress(&json!([])));
    world.only(&control);
    world.delete(Kind::NetworkPolicy, "shop", "out");
    world.mend(&control);
    assert!(
        world
            .inventory
            .meta(Kind::NetworkPolicy, "shop", "out")
            .is_some()
    );
}
