use serde_json::Value;

use super::*;
use crate::controls::{
    network::fixtures::{calico, cilium, deployment, egress, proposed, shop, tier},
    testing::World,
};

fn open(to: &Value) -> World {
    shop().with(Kind::NetworkPolicy, egress(&json!([{ "to": to }])))
}

fn block(cidr: &str) -> Value {
    json!([{ "ipBlock": { "cidr": cidr } }])
}

#[test]
fn public_addresses_are_what_counts() {
    for (to, outcome) in [
        (json!([]), Outcome::Fail),
        (block("0.0.0.0/0"), Outcome::Fail),
        (block("203.0.114.7/32"), Outcome::Fail),
        (block("2600::/12"), Outcome::Fail),
        // The public IPv4 addresses by another name.
        (block("64:ff9b::/96"), Outcome::Fail),
        (block("64:ff9b::10.0.0.0/104"), Outcome::Pass),
        (block("::ffff:0:0/96"), Outcome::Fail),
        (block("10.0.0.0/8"), Outcome::Pass),
        (block("100.64.0.0/10"), Outcome::Pass),
        (block("fd00::/8"), Outcome::Pass),
        // Neither public nor private: ignored.
        (block("169.254.0.0/16"), Outcome::Pass),
        (block("203.0.113.0/24"), Outcome::Pass),
        (json!([{ "namespaceSelector": {} }]), Outcome::Pass),
    ] {
        let verdict = open(&to).only(&EgressInternetRestricted::default());
        assert_eq!(verdict.outcome, outcome, "{to}: {}", verdict.message);
    }
}

#[test]
fn the_failure_says_what_is_reached_and_by_which_policy() {
    let rule = json!([{ "to": block("198.51.0.0/16"), "ports": [{ "port": 443 }] }]);
    let mut world = shop().with(Kind::NetworkPolicy, egress(&rule));
    let verdict = world.only(&EgressInternetRestricted::default());
    assert_eq!(
        verdict.message,
        "NetworkPolicy shop/out lets its pods reach public addresses, such as 198.51.0.0, at TCP \
         port 443"
    );
    let verdict = shop().only(&EgressInternetRestricted::default());
    assert!(
        verdict
            .message
            .ends_with("every TCP port: nothing isolates them for egress"),
        "{}",
        verdict.message
    );
}

#[test]
fn listed_addresses_are_fine() {
    let control = EgressInternetRestricted {
        allowed_cidrs: vec!["198.51.0.0/16".to_owned()],
        private_ranges: vec!["9.0.0.0/8".to_owned()],
        ..EgressInternetRestricted::default()
    };
    for (cidr, outcome) in [
        ("198.51.7.0/24", Outcome::Pass),
        ("9.1.0.0/16", Outcome::Pass),
        ("64:ff9b::198.51.7.0/120", Outcome::Pass),
        ("198.0.0.0/8", Outcome::Fail),
    ] {
        assert_eq!(open(&block(cidr)).only(&control).outcome, outcome, "{cidr}");
    }
    let bad = EgressInternetRestricted {
        allowed_cidrs: vec!["example.com".to_owned()],
        ..EgressInternetRestricted::default()
    };
    assert!(bad.check().is_err());
}

#[test]
fn only_selected_namespaces_have_subjects() {
    let control = EgressInternetRestricted {
        selector: Some(LabelSelector::parse(json!({ "matchLabels": { "a": "b" } })).unwrap()),
        ..EgressInternetRestricted::default()
    };
    assert!(shop().judge(&control).is_empty());
}

#[test]
fn a_tier_may_close_what_policies_open() {
    let rule = |action: &str, networks: &[&str]| json!([{ "action": action, "to": [{ "networks": networks }] }]);
    let judge = |mut world: World| world.only(&EgressInternetRestricted::default()).outcome;
    let all = ["0.0.0.0/0", "::/0"];
    let with = |kind: &str, rules: &Value| {
        let tier = tier("t", kind, &json!([]), rules);
        open(&json!([])).with(Kind::ClusterNetworkPolicy, tier)
    };
    assert_eq!(judge(with("Admin", &rule("Deny", &all))), Outcome::Pass);
    // A policy of the namespace comes before the Baseline tier.
    assert_eq!(judge(with("Baseline", &rule("Deny", &all))), Outcome::Fail);
    assert_eq!(
        judge(with("Admin", &rule("Deny", &["0.0.0.0/0"]))),
        Outcome::Fail
    );
    let tier = tier("t", "Baseline", &json!([]), &rule("Deny", &all));
    assert_eq!(
        judge(shop().with(Kind::ClusterNetworkPolicy, tier)),
        Outcome::Pass
    );
    let tier = self::tier("t", "Admin", &json!([]), &rule("Accept", &["93.0.0.0/8"]));
    let mut world = shop()
        .with(Kind::NetworkPolicy, egress(&json!([])))
        .with(Kind::ClusterNetworkPolicy, tier);
    let verdict = world.only(&EgressInternetRestricted::default());
    assert!(
        verdict.message.starts_with("ClusterNetworkPolicy t lets"),
        "{}",
        verdict.message
    );
}

#[test]
fn equal_priorities_leave_the_order_open() {
    let rule =
        |action: &str| json!([{ "action": action, "to": [{ "networks": ["0.0.0.0/0", "::/0"] }] }]);
    let mut world = open(&json!([]))
        .with(
            Kind::ClusterNetworkPolicy,
            tier("a", "Admin", &json!([]), &rule("Deny")),
        )
        .with(
            Kind::ClusterNetworkPolicy,
            tier("b", "Admin", &json!([]), &rule("Accept")),
        );
    assert_eq!(
        world.only(&EgressInternetRestricted::default()).outcome,
        Outcome::Unknown
    );
}

#[test]
fn domain_names_are_explicit_and_other_rules_of_cilium_are_not_judged() {
    let names = json!({ "egress": [{ "toFQDNs": [{ "matchName": "example.com" }] }] });
    let every = |pattern: &str| json!({ "egress": [{ "toFQDNs": [{ "matchPattern": pattern }] }] });
    let some = json!({ "egress": [{ "toFQDNs": [
        { "matchPattern": "*.example.com" }, { "matchName": "metadata.google.internal" },
    ] }] });
    let nothing = json!({ "egress": [{ "toFQDNs": [{}] }] });
    let denied = json!({ "egress": [{ "toEntities": ["world"] }], "egressDeny": [
        { "toCIDR": ["2000::/3", "64:ff9b::/96"] },
        { "toCIDRSet": [{ "cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] }] },
    ] });
    let in_part = json!({ "egress": [{ "toEntities": ["world"] }], "egressDeny": [
        { "toCIDR": ["2000::/3"] },
    ] });
    let world = json!({ "egress": [{ "toEntities": ["world"] }] });
    let group = json!({ "egress": [{ "toCIDRSet": [{ "cidrGroupRef": "g" }] }] });
    let deny = json!({ "egress": [{ "toEntities": ["world"] }], "egressDeny": [{}] });
    for (extra, outcome) in [
        (names, Outcome::Pass),
        (some, Outcome::Pass),
        (every("*"), Outcome::Fail),
        (every("*.*"), Outcome::Fail),
        (nothing, Outcome::Unknown),
        (denied, Outcome::Pass),
        (in_part, Outcome::Fail),
        (world, Outcome::Fail),
        (group, Outcome::Unknown),
        (deny, Outcome::Unknown),
    ] {
        let mut world = shop().with(Kind::CiliumNetworkPolicy, cilium(&extra));
        let verdict = world.only(&EgressInternetRestricted::default());
        assert_eq!(verdict.outcome, outcome, "{extra}: {}", verdict.message);
    }
    let mut world = shop().with(Kind::CalicoGlobalNetworkPolicy, calico());
    assert_eq!(
        world.only(&EgressInternetRestricted::default()).outcome,
        Outcome::Unknown
    );
}

#[test]
fn the_nodes_network_is_not_judged() {
    let host = deployment(&json!({ "hostNetwork": true }));
    let mut world = shop().with(Kind::Deployment, host);
    assert_eq!(
        world.only(&EgressInternetRestricted::default()).reason,
        "HostNetwork"
    );
}

/// What is proposed for the one workload, of this kind.
fn proposal(kind: Kind, object: Value) -> String {
    let mut world = World::new().namespace("shop").with(kind, object);
    let verdict = world.only(&EgressInternetRestricted::default());
    verdict.proposal.unwrap().to_string()
}

#[test]
fn the_proposed_policy_selects_every_run_of_a_job() {
    let meta = json!({ "namespace": "shop", "name": "report" });
    let job =
        |labels: &Value| json!({ "template": { "metadata": { "labels": labels }, "spec": {} } });
    let cron = |labels: &Value| {
        let template = json!({ "spec": job(labels) });
        json!({ "metadata": meta, "spec": { "schedule": "@daily", "jobTemplate": template } })
    };
    let plain = |labels: &Value| json!({ "metadata": meta, "spec": job(labels) });
    let own = json!({ "app": "report" });
    let mut run = own.clone();
    for key in ["batch.kubernetes.io/controller-uid", "controller-uid"] {
        run[key] = json!("1-2");
    }
    for (kind, object) in [(Kind::CronJob, cron(&own)), (Kind::Job, plain(&run))] {
        let manifest = proposed(&proposal(kind, object));
        assert_eq!(manifest["spec"]["podSelector"]["matchLabels"], own);
    }
    for (kind, object) in [
        (Kind::CronJob, cron(&json!({}))),
        (Kind::Job, plain(&json!({ "job-name": "report" }))),
    ] {
        let proposal = proposal(kind, object);
        assert!(
            proposal.contains("a label of their own first"),
            "{proposal}"
        );
        assert!(!proposal.contains("kubectl"), "{proposal}");
    }
}

#[test]
fn the_proposed_policy_takes_the_place_of_no_other() {
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": {} });
    let long = format!("{}.b", "a".repeat(41));
    for (kind, name, wanted) in [
        (
            Kind::Deployment,
            "web",
            "deployment-web-only-dns".to_owned(),
        ),
        (
            Kind::StatefulSet,
            "web",
            "statefulset-web-only-dns".to_owned(),
        ),
        // Cut at its dot, where no name may end.
        (
            Kind::StatefulSet,
            &*long,
            format!("statefulset-{}-only-dns", "a".repeat(41)),
        ),
    ] {
        let meta = json!({ "namespace": "shop", "name": name });
        let proposal = proposal(
            kind,
            json!({ "metadata": meta, "spec": { "template": template } }),
        );
        assert!(proposal.contains("kubectl create -f - "), "{proposal}");
        let name = proposed(&proposal)["metadata"]["name"].to_string();
        assert_eq!(name, format!("\"{wanted}\""));
        assert!(wanted.len() <= 63, "{wanted}");
    }
}
