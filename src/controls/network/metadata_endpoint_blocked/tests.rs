use serde_json::Value;

use super::*;
use crate::controls::{
    network::fixtures::{calico, cilium, deployment, egress, proposed, shop, tier},
    testing::World,
};

fn judge(rules: &Value) -> Verdict {
    let mut world = shop().with(Kind::NetworkPolicy, egress(rules));
    world.only(&MetadataEndpointBlocked::default())
}

#[test]
fn effective_egress_decides() {
    let endpoint = "169.254.169.254/32";
    let without = json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": [endpoint] } });
    for (rules, outcome) in [
        (json!([]), Outcome::Pass),
        (json!([{}]), Outcome::Fail),
        (
            json!([{ "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] }]),
            Outcome::Fail,
        ),
        (json!([{ "to": [without] }]), Outcome::Pass),
        // One policy's exception is another's rule.
        (
            json!([{ "to": [without] }, { "to": [{ "ipBlock": { "cidr": "169.254.0.0/16" } }] }]),
            Outcome::Fail,
        ),
        (
            json!([{ "to": [{ "ipBlock": { "cidr": "fd00::/8" } }] }]),
            Outcome::Fail,
        ),
        (
            json!([{ "to": [{ "namespaceSelector": {} }] }]),
            Outcome::Pass,
        ),
        // What listens on its other ports nobody knows.
        (json!([{ "ports": [{ "port": 443 }] }]), Outcome::Fail),
        (
            json!([{ "ports": [{ "port": 1, "endPort": 100 }] }]),
            Outcome::Fail,
        ),
        (
            json!([{ "ports": [{ "port": 80, "protocol": "UDP" }] }]),
            Outcome::Fail,
        ),
        // NodeLocal DNS is its neighbour.
        (
            json!([{ "to": [{ "ipBlock": { "cidr": "169.254.20.10/32" } }] }]),
            Outcome::Pass,
        ),
    ] {
        let verdict = judge(&rules);
        assert_eq!(verdict.outcome, outcome, "{rules}: {}", verdict.message);
    }
}

#[test]
fn rules_of_cilium_for_domains_may_name_it() {
    let names = |name: &Value| json!({ "egress": [{ "toFQDNs": [name] }] });
    for (name, outcome) in [
        (json!({ "matchName": "example.com" }), Outcome::Pass),
        (
            json!({ "matchName": "Metadata.google.internal." }),
            Outcome::Fail,
        ),
        (
            json!({ "matchPattern": "*.google.internal" }),
            Outcome::Fail,
        ),
        (json!({ "matchPattern": "*.example.com" }), Outcome::Pass),
        (json!({ "matchPattern": "*" }), Outcome::Fail),
    ] {
        let mut world = shop().with(Kind::CiliumNetworkPolicy, cilium(&names(&name)));
        let verdict = world.only(&MetadataEndpointBlocked::default());
        assert_eq!(verdict.outcome, outcome, "{name}: {}", verdict.message);
    }
}

#[test]
fn denials_of_cilium_win() {
    let deny =
        |deny: Value| json!({ "egress": [{ "toEntities": ["world"] }], "egressDeny": [deny] });
    let both = json!(["169.254.169.254/32", "fd00:ec2::254/128"]);
    let ports = json!([{ "ports": [{ "port": "443" }] }]);
    for (rule, outcome) in [
        (json!({ "toCIDR": both }), Outcome::Pass),
        (json!({ "toCIDR": ["169.254.169.254/32"] }), Outcome::Fail),
        (
            json!({ "toCIDRSet": [{ "cidr": "169.254.0.0/16" }, { "cidr": "fd00::/8" }] }),
            Outcome::Pass,
        ),
        (
            json!({ "toCIDR": both, "toPorts": ports }),
            Outcome::Unknown,
        ),
    ] {
        let mut world = shop()
            .with(Kind::CiliumNetworkPolicy, cilium(&deny(rule.clone())))
            // Whoever allows it.
            .with(Kind::NetworkPolicy, egress(&json!([{}])));
        let verdict = world.only(&MetadataEndpointBlocked::default());
        assert_eq!(verdict.outcome, outcome, "{rule}: {}", verdict.message);
    }
}

#[test]
fn what_nothing_isolates_reaches_it() {
    let verdict = shop().only(&MetadataEndpointBlocked::default());
    assert_eq!(
        verdict.message,
        "its pods reach the metadata endpoint 169.254.169.254 at every TCP port: nothing isolates \
         them for egress"
    );
}

#[test]
fn listed_ports_are_all_that_is_judged() {
    let control = MetadataEndpointBlocked {
        ports: vec![80],
        ..MetadataEndpointBlocked::default()
    };
    for (rules, outcome) in [
        (json!([{ "ports": [{ "port": 443 }] }]), Outcome::Pass),
        (
            json!([{ "ports": [{ "port": 53, "protocol": "UDP" }] }]),
            Outcome::Pass,
        ),
        (
            json!([{ "ports": [{ "port": 80, "protocol": "UDP" }] }]),
            Outcome::Fail,
        ),
        (
            json!([{ "ports": [{ "port": 1, "endPort": 100 }] }]),
            Outcome::Fail,
        ),
        (json!([{}]), Outcome::Fail),
    ] {
        let mut world = shop().with(Kind::NetworkPolicy, egress(&rules));
        assert_eq!(world.only(&control).outcome, outcome, "{rules}");
    }
}

#[test]
fn the_proposal_takes_the_endpoint_out() {
    let verdict = judge(&json!([{ "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] }]));
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains(r#""except":["169.254.169.254/32"]"#),
        "{proposal}"
    );
}

#[test]
fn the_proposed_policy_keeps_from_the_endpoint_alone() {
    for addresses in [
        &["169.254.169.254", "fd00:ec2::254"][..],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
    ] {
        let control = MetadataEndpointBlocked {
            addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
            ..MetadataEndpointBlocked::default()
        };
        let proposal = shop().only(&control).proposal.unwrap();
        let manifest = proposed(&proposal);
        assert_eq!(manifest["metadata"]["name"], "deployment-web-no-metadata");
        let peers = manifest["spec"]["egress"][0]["to"].clone();
        // Pods by their own peer: not every engine counts them among the addresses.
        assert_eq!(peers[0], json!({ "namespaceSelector": {} }));
        for (at, all, bits) in [(1, "0.0.0.0/0", "/32"), (2, "::/0", "/128")] {
            let block = &peers[at]["ipBlock"];
            assert_eq!(block["cidr"], all);
            let except = addresses.iter().map(|address| format!("{address}{bits}"));
            let except: Vec<_> = except
                .filter(|cidr| cidr.contains(':') == all.contains(':'))
                .collect();
            let wanted = (!except.is_empty()).then(|| json!(except));
            assert_eq!(block.get("except"), wanted.as_ref());
        }
        let mut world = shop().with(Kind::NetworkPolicy, manifest);
        assert_eq!(world.only(&control).outcome, Outcome::Pass);
    }
}

#[test]
fn a_tier_blocks_it_for_all() {
    let deny = json!([{ "action": "Deny", "to": [
        { "networks": ["169.254.169.254/32", "fd00:ec2::254/128"] }] }]);
    let tier = tier("metadata", "Admin", &json!([]), &deny);
    let blocked = |world: World| world.with(Kind::ClusterNetworkPolicy, tier.clone());
    for mut world in [
        blocked(shop()),
        blocked(shop().with(Kind::NetworkPolicy, egress(&json!([{}])))),
    ] {
        assert_eq!(
            world.only(&MetadataEndpointBlocked::default()).outcome,
            Outcome::Pass
        );
    }
}

#[test]
fn agents_may_and_nodes_are_judged_elsewhere() {
    let control = MetadataEndpointBlocked {
        exempt_service_accounts: vec!["shop/agent".to_owned()],
        ..MetadataEndpointBlocked::default()
    };
    let agent = deployment(&json!({ "serviceAccountName": "agent" }));
    assert_eq!(
        shop().with(Kind::Deployment, agent).only(&control).reason,
        "ExemptServiceAccount"
    );
    assert_eq!(shop().only(&control).reason, "MetadataEndpointReachable");
    let host = deployment(&json!({ "hostNetwork": true }));
    assert_eq!(
        shop().with(Kind::Deployment, host).only(&control).reason,
        "HostNetwork"
    );
    let mut calico = shop().with(Kind::CalicoGlobalNetworkPolicy, calico());
    assert_eq!(calico.only(&control).outcome, Outcome::Unknown);
}

#[test]
fn parameters_are_checked() {
    let bad = |addresses: &[&str], accounts: &[&str]| MetadataEndpointBlocked {
        addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
        exempt_service_accounts: accounts.iter().map(|&text| text.to_owned()).collect(),
        ..MetadataEndpointBlocked::default()
    };
    assert!(
        bad(&["169.254.169.254", "fd00:ec2::254"], &["a/b"])
            .check()
            .is_ok()
    );
    assert!(bad(&["metadata.google.internal"], &[]).check().is_err());
    assert!(bad(&["169.254.169.254"], &["agent"]).check().is_err());
}
