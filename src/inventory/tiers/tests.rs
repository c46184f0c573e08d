use serde_json::{Value, json};

use super::*;

fn project(spec: &Value) -> Result<TierPolicy, String> {
    let uid = "00000000-0000-4000-8000-000000000001";
    let meta = json!({ "name": "p", "uid": uid, "resourceVersion": "1" });
    let object = json!({ "metadata": meta, "spec": spec }).to_string();
    let wire: Wire<'_> = serde_json::from_str(&object).map_err(|error| error.to_string())?;
    let projected = TierPolicy::project(wire, &mut Interner::default());
    projected.map(|(_, policy)| policy).map_err(str::to_owned)
}

#[test]
fn the_older_kinds_are_told_apart_by_their_priority() {
    let subject = json!({ "namespaces": {} });
    for (spec, tier) in [
        (json!({ "subject": subject, "priority": 5 }), Tier::Admin),
        (json!({ "subject": subject }), Tier::Baseline),
        (
            json!({ "subject": subject, "tier": "Baseline", "priority": 5 }),
            Tier::Baseline,
        ),
    ] {
        assert_eq!(project(&spec).unwrap().tier, tier, "{spec}");
    }
    assert!(project(&json!({ "subject": {}, "tier": "Admin" })).is_err());
}

#[test]
fn a_peer_of_a_later_version_fails_closed() {
    let spec = |action: &str| {
        let peers = json!([{ "somethingNew": {} }]);
        let rule = json!({ "action": action, "from": peers });
        json!({ "subject": { "namespaces": {} }, "priority": 1, "ingress": [rule] })
    };
    assert_eq!(project(&spec("Accept")).unwrap().ingress.len(), 0);
    for action in ["Deny", "Pass"] {
        let policy = project(&spec(action)).unwrap();
        assert_eq!(policy.ingress[0].act, Act::Deny);
        assert!(policy.ingress[0].rule.peers.is_empty(), "everyone");
    }
    assert!(project(&spec("Log")).is_err());
}

#[test]
fn ports_of_both_versions_mean_the_same() {
    let ports = |rule: Value| {
        let mut rule = rule;
        rule["action"] = json!("Deny");
        rule["to"] = json!([{ "networks": ["10.0.0.0/8"] }]);
        let spec = json!({ "subject": { "namespaces": {} }, "priority": 1, "egress": [rule] });
        let policy = project(&spec).unwrap();
        format!("{:?}", policy.egress[0].rule.ports)
    };
    for (new, old) in [
        (
            json!([{ "tcp": { "destinationPort": { "number": 80 } } }]),
            json!([{ "portNumber": { "protocol": "TCP", "port": 80 } }]),
        ),
        (
            json!([{ "udp": { "destinationPort": { "range": { "start": 5, "end": 9 } } } }]),
            json!([{ "portRange": { "protocol": "UDP", "start": 5, "end": 9 } }]),
        ),
        (
            json!([{ "destinationNamedPort": "web" }]),
            json!([{ "namedPort": "web" }]),
        ),
    ] {
        assert_eq!(
            ports(json!({ "protocols": new })),
            ports(json!({ "ports": old }))
        );
    }
}
