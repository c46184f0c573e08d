use serde_json::Value;

use super::*;
use crate::controls::{
    network::fixtures::{calico, cilium, deployment, ingress, namespace, shop, tier},
    testing::World,
};

fn confidential_shop() -> World {
    let labels = json!({ "probity.dev/data": "confidential" });
    shop().with(Kind::Namespace, namespace("shop", &labels))
}

fn judge(from: &Value, control: &CrossNamespaceExplicit) -> Verdict {
    let rules = json!([{ "from": from }]);
    let mut world = confidential_shop().with(Kind::NetworkPolicy, ingress(&rules));
    world.only(control)
}

fn names(operator: &str, values: &[&str]) -> Value {
    json!({ "matchExpressions": [{ "key": NAME, "operator": operator, "values": values }] })
}

#[test]
fn only_confidential_namespaces_have_subjects() {
    let control = CrossNamespaceExplicit::default();
    assert!(shop().judge(&control).is_empty());
    assert_eq!(confidential_shop().only(&control).reason, "NotIsolated");
}

#[test]
fn a_peer_names_namespaces_and_pods() {
    let db = json!({ "matchLabels": { "app": "db" } });
    let team = json!({ "matchLabels": { "team": "ops" } });
    for (from, outcome) in [
        (json!([{ "podSelector": {} }]), Outcome::Pass),
        (
            json!([{ "namespaceSelector": names("In", &["ops"]), "podSelector": db }]),
            Outcome::Pass,
        ),
        (
            json!([{ "namespaceSelector": team, "podSelector": db }]),
            Outcome::Pass,
        ),
        (
            json!([{ "namespaceSelector": names("In", &["shop"]) }]),
            Outcome::Pass,
        ),
        (json!([]), Outcome::Fail),
        (json!([{ "namespaceSelector": {} }]), Outcome::Fail),
        (
            json!([{ "namespaceSelector": {}, "podSelector": db }]),
            Outcome::Fail,
        ),
        (
            json!([{ "namespaceSelector": names("In", &["ops"]) }]),
            Outcome::Fail,
        ),
        (
            json!([{ "namespaceSelector": names("In", &["ops"]), "podSelector": {} }]),
            Outcome::Fail,
        ),
        (
            json!([{ "namespaceSelector": names("NotIn", &["dev"]), "podSelector": db }]),
            Outcome::Fail,
        ),
        (
            json!([{ "namespaceSelector": names("Exists", &[]), "podSelector": db }]),
            Outcome::Fail,
        ),
        (
            json!([{ "namespaceSelector": names("In", &["ops"]), "podSelector": {
                "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] } }]),
            Outcome::Fail,
        ),
    ] {
        let verdict = judge(&from, &CrossNamespaceExplicit::default());
        assert_eq!(verdict.outcome, outcome, "{from}: {}", verdict.message);
    }
    let strict = CrossNamespaceExplicit {
        require_name_label: true,
        ..CrossNamespaceExplicit::default()
    };
    let verdict = judge(
        &json!([{ "namespaceSelector": team, "podSelector": db }]),
        &strict,
    );
    assert_eq!(verdict.reason, "PeersNotNamed");
}

#[test]
fn a_block_is_explicit_unless_it_may_hold_pods() {
    let known = CrossNamespaceExplicit {
        pod_cidrs: vec!["10.244.0.0/16".to_owned()],
        ..CrossNamespaceExplicit::default()
    };
    let usual = CrossNamespaceExplicit::default();
    for (cidr, control, outcome) in [
        ("203.0.113.0/24", &usual, Outcome::Pass),
        ("10.3.0.0/16", &usual, Outcome::Unknown),
        ("10.0.0.0/8", &usual, Outcome::Fail),
        ("0.0.0.0/0", &usual, Outcome::Fail),
        ("10.3.0.0/16", &known, Outcome::Pass),
        ("10.244.7.0/24", &known, Outcome::Fail),
        ("10.0.0.0/8", &known, Outcome::Fail),
    ] {
        let verdict = judge(&json!([{ "ipBlock": { "cidr": cidr } }]), control);
        assert_eq!(verdict.outcome, outcome, "{cidr}: {}", verdict.message);
    }
    let bad = CrossNamespaceExplicit {
        pod_cidrs: vec!["pods".to_owned()],
        ..CrossNamespaceExplicit::default()
    };
    assert!(bad.check().is_err());
}

#[test]
fn the_policy_and_the_peer_are_named() {
    let verdict = judge(
        &json!([{ "namespaceSelector": {} }]),
        &CrossNamespaceExplicit::default(),
    );
    assert_eq!(
        verdict.message,
        "NetworkPolicy shop/in lets pods of namespaces that are not named (namespaceSelector: \
         everything) in"
    );
    assert!(verdict.proposal.is_some());
}

#[test]
fn an_accepting_tier_counts() {
    let accept = json!([{ "action": "Accept", "from": [{ "namespaces": {} }] }]);
    let mut world = confidential_shop()
        .with(Kind::NetworkPolicy, ingress(&json!([])))
        .with(
            Kind::ClusterNetworkPolicy,
            tier("open", "Admin", &accept, &json!([])),
        );
    let verdict = world.only(&CrossNamespaceExplicit::default());
    assert!(
        verdict.message.starts_with("ClusterNetworkPolicy open"),
        "{}",
        verdict.message
    );
}

#[test]
fn what_cannot_be_judged_is_unknown() {
    let control = CrossNamespaceExplicit::default();
    let requires = json!({ "ingress": [{ "fromRequires": [{}], "toPorts": [] }] });
    for (kind, object) in [
        (Kind::CiliumNetworkPolicy, cilium(&requires)),
        (Kind::CalicoGlobalNetworkPolicy, calico()),
    ] {
        let mut world = confidential_shop()
            .with(Kind::NetworkPolicy, ingress(&json!([])))
            .with(kind, object);
        assert_eq!(world.only(&control).outcome, Outcome::Unknown, "{kind:?}");
    }
    let host = deployment(&json!({ "hostNetwork": true }));
    let mut world = confidential_shop().with(Kind::Deployment, host);
    assert_eq!(world.only(&control).reason, "HostNetwork");
}
