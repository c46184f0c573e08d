use serde_json::{Value, json};

use super::*;

fn project(spec: &Value) -> CalicoPolicy {
    let uid = "00000000-0000-4000-8000-000000000001";
    let meta = json!({ "name": "default.p", "uid": uid, "resourceVersion": "1" });
    let object = json!({ "metadata": meta, "spec": spec }).to_string();
    let wire: Wire<'_> = serde_json::from_str(&object).unwrap();
    CalicoPolicy::project(wire, &mut Interner::default())
        .unwrap()
        .1
}

#[test]
fn types_are_those_of_the_rules_where_none_are_named() {
    let allow = json!([{ "action": "Allow" }]);
    for (spec, sides) in [
        (json!({}), (true, false)),
        (json!({ "ingress": allow }), (true, false)),
        (json!({ "egress": allow }), (false, true)),
        (json!({ "ingress": allow, "egress": allow }), (true, true)),
        (
            json!({ "types": ["Egress"], "ingress": allow }),
            (false, true),
        ),
        (json!({ "types": ["Ingress", "Egress"] }), (true, true)),
    ] {
        let policy = project(&spec);
        let found = (policy.ingress.is_some(), policy.egress.is_some());
        assert_eq!(found, sides, "{spec}");
    }
}

/// What an ingress rule comes to: how many rules, and whether more may be allowed, or denied.
fn comes_to(rule: &Value) -> (usize, bool, bool) {
    let side = project(&json!({ "ingress": [rule] })).ingress.unwrap();
    (side.rules.len(), side.unclear, side.denies)
}

#[test]
fn rules_by_address_and_port_are_taken_and_others_are_unclear() {
    for rule in [
        json!({ "action": "Allow" }),
        json!({ "action": "Allow", "protocol": "TCP" }),
        json!({ "action": "Allow", "protocol": 6, "destination": { "ports": [80, "8000:8010", "http"] } }),
        json!({ "action": "Allow", "source": { "nets": ["10.0.0.0/8", "192.0.2.1"] } }),
        json!({ "action": "Allow", "source": { "nets": ["::/0"], "selector": "" } }),
    ] {
        assert_eq!(comes_to(&rule), (1, false, false), "{rule}");
    }
    for rule in [
        json!({ "action": "Allow", "source": { "selector": "all()" } }),
        json!({ "action": "Allow", "source": { "namespaceSelector": "all()" } }),
        json!({ "action": "Allow", "source": { "notNets": ["10.0.0.0/8"] } }),
        json!({ "action": "Allow", "source": { "serviceAccounts": { "names": ["a"] } } }),
        json!({ "action": "Allow", "source": { "ports": [53] } }),
        json!({ "action": "Allow", "source": { "nets": [] } }),
        json!({ "action": "Allow", "source": { "nets": ["here"] } }),
        json!({ "action": "Allow", "destination": { "nets": ["10.0.0.0/8"] } }),
        json!({ "action": "Allow", "notProtocol": "TCP" }),
        json!({ "action": "Allow", "protocol": "UDPLite" }),
        json!({ "action": "Allow", "http": { "methods": ["GET"] } }),
        json!({ "action": "Pass" }),
        json!({ "action": "Tomorrow" }),
    ] {
        assert_eq!(comes_to(&rule), (0, true, false), "{rule}");
    }
    for (rule, wanted) in [
        (json!({ "action": "Deny" }), (0, false, true)),
        (json!({ "action": "Log" }), (0, false, false)),
        (
            json!({ "action": "Allow", "protocol": "ICMP" }),
            (0, false, false),
        ),
    ] {
        assert_eq!(comes_to(&rule), wanted, "{rule}");
    }
}

#[test]
fn ports_and_peers_are_those_of_the_other_side() {
    let rule = json!({
        "action": "Allow", "protocol": "TCP",
        "destination": { "nets": ["192.0.2.1"], "ports": [443, "8000:8010"] },
    });
    let side = project(&json!({ "egress": [rule] })).egress.unwrap();
    let [rule] = &*side.rules else {
        panic!("one rule");
    };
    let ports: Vec<&Ports> = rule.ports.iter().map(|port| &port.ports).collect();
    assert_eq!(ports, [&Ports::Range(443, 443), &Ports::Range(8000, 8010)]);
    let cidr = Cidr::parse("192.0.2.1/32").unwrap();
    let except = Box::default();
    assert_eq!(*rule.peers, [Peer::Block { cidr, except }]);
}

#[test]
fn what_can_not_be_seen_selects_nobody_knows_whom() {
    assert_eq!(project(&json!({})).pods, Some(Expression::All));
    for spec in [
        json!({ "selector": "app ~ 'x'" }),
        json!({ "serviceAccountSelector": "a == 'b'" }),
    ] {
        assert_eq!(project(&spec).pods, None, "{spec}");
    }
    let tier = |tier: &str| project(&json!({ "tier": tier })).default_tier;
    assert!(tier("default") && tier("") && !tier("security"));
}
