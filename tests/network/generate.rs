//! Random small clusters, and all connections in them.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

/// What a cluster may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// All that is judged.
    Everything,
    /// What cyclonus judges as Kubernetes does: no tiers, no `NotIn`, no empty values, types of
    /// policies spelt out, and blocks that hold no pod.
    Cyclonus,
}

/// A cluster, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// Labels by number: namespace `n0`, `n1` and so on.
    pub(super) namespaces: Vec<Value>,
    pub(super) pods: Vec<Pod>,
    /// `NetworkPolicies`.
    pub(super) policies: Vec<Value>,
    /// `ClusterNetworkPolicies`, in order of precedence within their tier.
    pub(super) tiers: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) namespace: usize,
    pub(super) labels: Value,
    /// Container ports: name, number, protocol.
    pub(super) ports: Vec<(&'static str, u16, &'static str)>,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Pod(usize),
    Address(IpAddr),
}

#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) from: End,
    pub(super) to: End,
    pub(super) protocol: &'static str,
    pub(super) port: u16,
}

/// Addresses outside of the cluster.
const OUTSIDE: [&str; 4] = ["10.1.2.3", "10.200.0.1", "93.184.216.34", "2606:2800::1"];

const DOORS: [(&str, u16); 5] = [
    ("TCP", 80),
    ("TCP", 81),
    ("UDP", 80),
    ("TCP", 443),
    ("SCTP", 80),
];

impl Cluster {
    /// Every connection between any two ends of which one is a pod.
    pub(super) fn connections(&self) -> Vec<Connection> {
        let pods = (0..self.pods.len()).map(End::Pod);
        let outside = OUTSIDE
            .iter()
            .map(|address| End::Address(address.parse().unwrap()));
        let ends: Vec<End> = pods.chain(outside).collect();
        let mut connections = Vec::new();
        for (from, to) in ends
            .iter()
            .flat_map(|from| ends.iter().map(move |to| (*from, *to)))
        {
            let inside = |end| matches!(end, End::Pod(_));
            // A pod always reaches itself, whatever policies say: nobody asks them.
            if from == to || !(inside(from) || inside(to)) {
                continue;
            }
            connections.extend(DOORS.map(|(protocol, port)| Connection {
                from,
                to,
                protocol,
                port,
            }));
        }
        connections
    }

    pub(super) fn words(&self, connection: &Connection) -> String {
        let Connection {
            from,
            to,
            protocol,
            port,
        } = connection;
        let end = |end: &End| match end {
            End::Pod(n) => format!("{:?}", self.pods[*n]),
            End::Address(address) => address.to_string(),
        };
        format!("{} to {} at {protocol} {port}", end(from), end(to))
    }
}

pub(super) fn cluster(flavour: Flavour) -> impl Strategy<Value = Cluster> {
    let tiers = match flavour {
        Flavour::Everything => 0..4usize,
        Flavour::Cyclonus => 0..1,
    };
    let namespaces = vec(labels(flavour), 1..4);
    (
        namespaces,
        vec(pod(flavour), 1..5),
        vec(policy(flavour), 0..6),
        vec(tier(flavour), tiers),
    )
        .prop_map(|(mut namespaces, mut pods, mut policies, mut tiers)| {
            let count = namespaces.len();
            for (n, labels) in namespaces.iter_mut().enumerate() {
                labels["kubernetes.io/metadata.name"] = format!("n{n}").into();
            }
            for pod in &mut pods {
                pod.namespace %= count;
            }
            for (n, policy) in policies.iter_mut().enumerate() {
                let namespace = policy["metadata"]["namespace"].as_u64().unwrap();
                let namespace = usize::try_from(namespace).unwrap() % count;
                policy["metadata"] =
                    json!({ "name": format!("p{n}"), "namespace": format!("n{namespace}") });
            }
            for (n, tier) in tiers.iter_mut().enumerate() {
                tier["metadata"] = json!({ "name": format!("t{n}") });
                // Equal priorities leave the order open: nobody can judge that.
                tier["spec"]["priority"] = n.into();
            }
            Cluster {
                namespaces,
                pods,
                policies,
                tiers,
            }
        })
}

fn values(flavour: Flavour) -> Vec<&'static str> {
    match flavour {
        Flavour::Everything => vec!["x", "y", ""],
        Flavour::Cyclonus => vec!["x", "y"],
    }
}

fn labels(flavour: Flavour) -> impl Strategy<Value = Value> {
    let value = || proptest::option::of(select(values(flavour)));
    (value(), value()).prop_map(|(a, b)| {
        let mut labels = json!({});
        for (key, value) in [("a", a), ("b", b)] {
            if let Some(value) = value {
                labels[key] = value.into();
            }
        }
        labels
    })
}

fn pod(flavour: Flavour) -> impl Strategy<Value = Pod> {
    let ports = select(vec![
        vec![],
        vec![("web", 80, "TCP")],
        vec![("web", 81, "TCP"), ("dns", 80, "UDP")],
        vec![("dns", 443, "TCP")],
    ]);
    (0..3usize, labels(flavour), ports).prop_map(|(namespace, labels, ports)| Pod {
        namespace,
        labels,
        ports,
    })
}

fn selector(flavour: Flavour) -> impl Strategy<Value = Value> {
    let key = select(vec!["a", "b"]);
    let operators = match flavour {
        Flavour::Everything => vec!["In", "NotIn", "Exists", "DoesNotExist"],
        Flavour::Cyclonus => vec!["In", "Exists", "DoesNotExist"],
    };
    let listed = vec(select(values(flavour)), 1..3);
    prop_oneof![
        2 => Just(json!({})),
        3 => (key.clone(), select(values(flavour)))
            .prop_map(|(key, value)| json!({ "matchLabels": { key: value } })),
        2 => (key, select(operators), listed).prop_map(|(key, operator, values)| {
            let values = if operator.ends_with("In") { values } else { vec![] };
            json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
        }),
    ]
}

fn block(flavour: Flavour) -> impl Strategy<Value = Value> {
    let mut cidrs = vec![
        "10.0.0.0/8",
        "10.1.0.0/16",
        "0.0.0.0/1",
        "93.184.216.0/24",
        "2606::/16",
    ];
    if flavour == Flavour::Everything {
        cidrs.extend(["0.0.0.0/0", "::/0", "10.1.2.3/32"]);
    }
    let except = select(vec![
        vec![],
        vec!["10.1.2.0/24"],
        vec!["93.184.0.0/16", "10.0.0.0/9"],
    ]);
    (select(cidrs), except).prop_map(|(cidr, except)| {
        let v4 = !cidr.contains(':');
        let except = if v4 { except } else { vec![] };
        json!({ "ipBlock": { "cidr": cidr, "except": except } })
    })
}

fn peer(flavour: Flavour) -> impl Strategy<Value = Value> {
    let selector = || selector(flavour);
    prop_oneof![
        selector().prop_map(|pods| json!({ "podSelector": pods })),
        selector().prop_map(|namespaces| json!({ "namespaceSelector": namespaces })),
        (selector(), selector()).prop_map(|(namespaces, pods)| {
            json!({ "namespaceSelector": namespaces, "podSelector": pods })
        }),
        block(flavour),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        select(vec!["TCP", "UDP", "SCTP"]).prop_map(|protocol| json!({ "protocol": protocol })),
        select(vec![80, 81, 443]).prop_map(|port| json!({ "port": port })),
        Just(json!({ "port": 80, "protocol": "UDP" })),
        select(vec![80, 81, 500]).prop_map(|last| json!({ "port": 80, "endPort": last })),
        Just(json!({ "port": "web" })),
        Just(json!({ "port": "dns", "protocol": "UDP" })),
    ]
}

fn policy(flavour: Flavour) -> impl Strategy<Value = Value> {
    let rule = |peers: &'static str| {
        (vec(peer(flavour), 0..3), vec(port(), 0..3)).prop_map(move |(list, ports)| {
            let mut rule = json!({});
            // Absent and empty lists mean the same: everyone, and every port.
            if !list.is_empty() {
                rule[peers] = list.into();
            }
            if ports.len() != 1 {
                rule["ports"] = ports.into();
            } else if ports[0] != json!({}) {
                rule["ports"] = json!([ports[0]]);
            }
            rule
        })
    };
    let mut types = vec![
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
    ];
    if flavour == Flavour::Everything {
        types.extend([json!(null), json!([])]);
    }
    (
        0..3usize,
        selector(flavour),
        select(types),
        vec(rule("from"), 0..3),
        vec(rule("to"), 0..3),
    )
        .prop_map(|(namespace, pods, types, ingress, egress)| {
            let mut spec = json!({ "podSelector": pods, "ingress": ingress, "egress": egress });
            if !types.is_null() {
                spec["policyTypes"] = types;
            }
            json!({ "metadata": { "namespace": namespace }, "spec": spec })
        })
}

fn tier(flavour: Flavour) -> impl Strategy<Value = Value> {
    let selector = || selector(flavour);
    let pods = (selector(), selector())
        .prop_map(|(n, p)| json!({ "pods": { "namespaceSelector": n, "podSelector": p } }));
    let inside = prop_oneof![selector().prop_map(|n| json!({ "namespaces": n })), pods];
    let networks = vec(
        select(vec!["10.0.0.0/8", "10.1.0.0/16", "93.0.0.0/8", "2606::/16"]),
        1..3,
    );
    let outside = prop_oneof![
        inside.clone(),
        networks.prop_map(|networks| json!({ "networks": networks })),
        Just(json!({ "networks": ["0.0.0.0/0", "::/0"] })),
    ];
    let action = || select(vec!["Accept", "Deny", "Pass"]);
    let protocol = || {
        select(vec![
            json!({ "tcp": { "destinationPort": { "number": 80 } } }),
            json!({ "tcp": { "destinationPort": { "range": { "start": 80, "end": 100 } } } }),
            json!({ "udp": {} }),
            json!({ "destinationNamedPort": "web" }),
        ])
    };
    let rule = |peers: &'static str, peer: BoxedStrategy<Value>| {
        (action(), vec(peer, 1..3), vec(protocol(), 0..3)).prop_map(
            move |(action, list, protocols)| {
                let mut rule = json!({ "action": action, peers: list });
                if !protocols.is_empty() {
                    rule["protocols"] = protocols.into();
                }
                rule
            },
        )
    };
    (
        select(vec!["Admin", "Baseline"]),
        inside.clone(),
        vec(rule("from", inside.boxed()), 0..3),
        vec(rule("to", outside.boxed()), 0..3),
    )
        .prop_map(|(tier, subject, ingress, egress)| {
            let spec = json!({
                "tier": tier, "subject": subject, "ingress": ingress, "egress": egress,
            });
            json!({ "spec": spec })
        })
}
