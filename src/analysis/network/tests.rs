//! Isolation and effective ingress against a naive reading of the JSON, over small worlds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{controls::testing::World, inventory::Kind};

const VALUES: [&str; 2] = ["x", "y"];

fn selector() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["a", "b"]);
    let value = prop::sample::select(VALUES.to_vec());
    let operator = prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    prop_oneof![
        Just(json!({})),
        (key.clone(), value.clone()).prop_map(|(k, v)| json!({ "matchLabels": { k: v } })),
        (key, operator, value).prop_map(|(k, o, v)| {
            let values = if o.ends_with("In") { vec![v] } else { vec![] };
            json!({ "matchExpressions": [{ "key": k, "operator": o, "values": values }] })
        }),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|s| json!({ "podSelector": s })),
        selector().prop_map(|s| json!({ "namespaceSelector": s })),
        (selector(), selector())
            .prop_map(|(n, p)| json!({ "namespaceSelector": n, "podSelector": p })),
        prop::sample::select(vec!["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "10.0.0.0/8"])
            .prop_map(|cidr| json!({ "ipBlock": { "cidr": cidr } })),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        (1u16..6).prop_map(|p| json!({ "port": p })),
        (1u16..6, 0u16..4).prop_map(|(p, n)| json!({ "port": p, "endPort": p + n })),
        Just(json!({ "port": "web" })),
        (1u16..6).prop_map(|p| json!({ "protocol": "UDP", "port": p })),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    let rule = (
        prop::collection::vec(peer(), 0..3),
        prop::collection::vec(port(), 0..3),
    )
        .prop_map(|(from, ports)| json!({ "from": from, "ports": ports }));
    let types = prop::sample::select(vec![json!(null), json!(["Ingress"]), json!(["Egress"])]);
    (selector(), types, prop::collection::vec(rule, 0..3)).prop_map(|(pods, types, rules)| {
        json!({ "podSelector": pods, "policyTypes": types, "ingress": rules })
    })
}

fn labels() -> impl Strategy<Value = Value> {
    let value = || prop::option::of(prop::sample::select(VALUES.to_vec()));
    (value(), value()).prop_map(|(a, b)| {
        let mut labels = json!({});
        if let Some(a) = a {
            labels["a"] = json!(a);
        }
        if let Some(b) = b {
            labels["b"] = json!(b);
        }
        labels
    })
}

/// The naive reading.
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = |(key, value): (&String, &Value)| &labels[key] == value;
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(equal)
        && expressions.into_iter().all(|e| {
            let own = &labels[e["key"].as_str().unwrap()];
            match e["operator"].as_str().unwrap() {
                "In" => !own.is_null() && e["values"].as_array().unwrap().contains(own),
                "NotIn" => own.is_null() || !e["values"].as_array().unwrap().contains(own),
                "Exists" => !own.is_null(),
                _ => own.is_null(),
            }
        })
}

fn isolates(policy: &Value, pod: &Value) -> bool {
    let types = policy["policyTypes"].as_array();
    types.is_none_or(|types| types.contains(&json!("Ingress")))
        && selects(&policy["podSelector"], pod)
}

fn allows_port(rule: &Value, protocol: &str, number: u16) -> bool {
    let ports = rule["ports"].as_array().unwrap();
    ports.is_empty()
        || ports.iter().any(|p| {
            let first = match &p["port"] {
                Value::Null => return p["protocol"].as_str().unwrap_or("TCP") == protocol,
                Value::String(_) => 3, // the only named port
                first => first.as_u64().unwrap(),
            };
            let last = p["endPort"].as_u64().unwrap_or(first);
            p["protocol"].as_str().unwrap_or("TCP") == protocol
                && (first..=last).contains(&number.into())
        })
}

/// Whether a peer lets a pod without labels in namespace number `n` in.
fn allows_nobody_of(peer: &Value, namespaces: &[Value], n: usize) -> bool {
    let namespace = match &peer["namespaceSelector"] {
        Value::Null => n == 0,
        selector => selects(selector, &namespaces[n]),
    };
    peer["ipBlock"].is_null() && namespace && selects(&peer["podSelector"], &json!({}))
}

fn naive(rules: &[&Value], namespaces: &[Value]) -> Option<Everyone> {
    let peers = || {
        rules
            .iter()
            .flat_map(|rule| rule["from"].as_array().unwrap())
    };
    if rules.iter().any(|rule| rule["from"] == json!([])) {
        return Some(Everyone::Anyone);
    }
    // Each of these holds more than a quarter of what is public.
    let wide = ["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2"];
    if peers().any(|p| wide.contains(&p["ipBlock"]["cidr"].as_str().unwrap_or_default())) {
        return Some(Everyone::Internet);
    }
    let by_namespace = peers()
        .any(|p| !p["namespaceSelector"].is_null() && selects(&p["podSelector"], &json!({})));
    let open = |n| peers().any(|p| allows_nobody_of(p, namespaces, n));
    (by_namespace && (0..namespaces.len()).all(open)).then_some(Everyone::Cluster)
}

fn world(namespaces: &[Value], policies: &[Value], pod: &Value) -> World {
    let mut world = World::new();
    for (n, labels) in namespaces.iter().enumerate() {
        let meta = json!({ "name": format!("n{n}"), "labels": labels });
        world.put(Kind::Namespace, json!({ "metadata": meta }));
    }
    for (n, spec) in policies.iter().enumerate() {
        let meta = json!({ "name": format!("p{n}"), "namespace": "n0" });
        world.put(
            Kind::NetworkPolicy,
            json!({ "metadata": meta, "spec": spec }),
        );
    }
    let ports = json!([{ "name": "web", "containerPort": 3 }]);
    let pod = json!({
        "metadata": { "name": "pod", "namespace": "n0", "labels": pod },
        "spec": { "containers": [{ "name": "c", "ports": ports }] },
    });
    world.with(Kind::Pod, pod)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ingress_is_what_the_naive_reading_says(
        namespaces in prop::collection::vec(labels(), 1..4),
        policies in prop::collection::vec(policy(), 0..4),
        pod in labels(),
        cuts in prop::collection::vec(1u16..8, 0..3),
    ) {
        let world = world(&namespaces, &policies, &pod);
        let template = &world.inventory.tables.pods.get("n0", "pod").unwrap().spec.template;
        let applying = Applying::gather(&world.inventory, "n0", template, Direction::Ingress);
        let isolating: Vec<_> = policies.iter().filter(|p| isolates(p, &pod)).collect();
        prop_assert_eq!(applying.is_isolated(), !isolating.is_empty());
        if isolating.is_empty() {
            return Ok(());
        }
        let segments = applying.segments(&template.ports, &cuts);
        for (protocol, number) in [("TCP", 1), ("TCP", 3), ("TCP", 5), ("TCP", 65535), ("UDP", 3), ("SCTP", 3)] {
            let rules = isolating.iter().flat_map(|p| p["ingress"].as_array().unwrap());
            let rules: Vec<_> = rules.filter(|r| allows_port(r, protocol, number)).collect();
            let here: Vec<_> = segments
                .iter()
                .filter(|s| s.protocol == protocol && (s.first..=s.last).contains(&number))
                .collect();
            prop_assert_eq!(here.len(), usize::from(!rules.is_empty()), "{} {}", protocol, number);
            let everyone = here.first().and_then(|s| s.everyone(&world.inventory, "n0"));
            prop_assert_eq!(everyone, naive(&rules, &namespaces), "{} {}", protocol, number);
        }
    }
}
