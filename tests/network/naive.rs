//! A slow evaluator written from the documentation of `NetworkPolicy` and `ClusterNetworkPolicy`: it
//! reads JSON, asks every rule about every connection, and shares nothing with the analysis.

use serde_json::Value;

use super::generate::{Cluster, Connection, End};

/// Whether a connection is allowed: by what is about its destination, and about its source.
pub(super) fn allows(cluster: &Cluster, connection: &Connection) -> bool {
    let Connection { from, to, .. } = connection;
    passes(cluster, connection, *to, *from, "Ingress")
        && passes(cluster, connection, *from, *to, "Egress")
}

/// Whether the policies about `own` let the traffic with `other` through.
fn passes(cluster: &Cluster, connection: &Connection, own: End, other: End, way: &str) -> bool {
    // Nobody's policies are about an address outside.
    let End::Pod(own) = own else { return true };
    let (section, peers) = match way {
        "Ingress" => ("ingress", "from"),
        _ => ("egress", "to"),
    };
    if let Some(decided) = tier(cluster, connection, own, other, ("Admin", section, peers)) {
        return decided;
    }
    let pod = &cluster.pods[own];
    let home = format!("n{}", pod.namespace);
    let mut isolated = false;
    for policy in &cluster.policies {
        let spec = &policy["spec"];
        let here = policy["metadata"]["namespace"] == *home;
        if !here || !selects(&spec["podSelector"], &pod.labels) || !has_type(spec, way) {
            continue;
        }
        isolated = true;
        for rule in list(&spec[section]) {
            let everyone = list(&rule[peers]).is_empty();
            let mut named = list(&rule[peers]).iter();
            let peer = everyone || named.any(|peer| is_peer(cluster, peer, pod.namespace, other));
            if peer && is_port(cluster, &rule["ports"], connection) {
                return true;
            }
        }
    }
    if isolated {
        return false;
    }
    tier(
        cluster,
        connection,
        own,
        other,
        ("Baseline", section, peers),
    )
    .unwrap_or(true)
}

/// What a tier decides, if it does.
fn tier(
    cluster: &Cluster,
    connection: &Connection,
    own: usize,
    other: End,
    (name, section, peers): (&str, &str, &str),
) -> Option<bool> {
    let policies = cluster
        .tiers
        .iter()
        .filter(|tier| tier["spec"]["tier"] == name);
    for policy in policies {
        let spec = &policy["spec"];
        if !tier_selects(cluster, &spec["subject"], End::Pod(own)) {
            continue;
        }
        for rule in list(&spec[section]) {
            let mut named = list(&rule[peers]).iter();
            let protocols = list(&rule["protocols"]);
            let port = protocols.is_empty()
                || protocols
                    .iter()
                    .any(|p| is_protocol(cluster, p, connection));
            if port && named.any(|peer| tier_selects(cluster, peer, other)) {
                match rule["action"].as_str().unwrap() {
                    "Accept" => return Some(true),
                    "Deny" => return Some(false),
                    _ => return None, // on to the next tier
                }
            }
        }
    }
    None
}

fn tier_selects(cluster: &Cluster, peer: &Value, end: End) -> bool {
    match end {
        End::Pod(n) => {
            let pod = &cluster.pods[n];
            let space = &cluster.namespaces[pod.namespace];
            if let Some(networks) = peer["networks"].as_array() {
                // Pods have addresses too, unknown ones: the whole of a family holds them.
                return networks
                    .iter()
                    .any(|cidr| cidr.as_str().unwrap().ends_with("/0"));
            }
            if peer["pods"].is_null() {
                selects(&peer["namespaces"], space)
            } else {
                selects(&peer["pods"]["namespaceSelector"], space)
                    && selects(&peer["pods"]["podSelector"], &pod.labels)
            }
        }
        End::Address(address) => {
            let mut networks = list(&peer["networks"]).iter();
            networks.any(|cidr| holds(cidr.as_str().unwrap(), address))
        }
    }
}

fn is_protocol(cluster: &Cluster, protocol: &Value, connection: &Connection) -> bool {
    if let Some(name) = protocol["destinationNamedPort"].as_str() {
        return names(cluster, name, connection);
    }
    let own = &protocol[connection.protocol.to_lowercase().as_str()];
    if own.is_null() {
        return false;
    }
    let port = u64::from(connection.port);
    let wanted = &own["destinationPort"];
    let range = &wanted["range"];
    wanted.is_null()
        || wanted["number"].as_u64() == Some(port)
        || (!range.is_null()
            && range["start"].as_u64().unwrap() <= port
            && port <= range["end"].as_u64().unwrap())
}

/// Absent types mean Ingress, and Egress too where there is an egress rule.
fn has_type(spec: &Value, way: &str) -> bool {
    let types = list(&spec["policyTypes"]);
    if types.is_empty() {
        way == "Ingress" || !list(&spec["egress"]).is_empty()
    } else {
        types.iter().any(|name| name == way)
    }
}

fn is_peer(cluster: &Cluster, peer: &Value, home: usize, other: End) -> bool {
    match other {
        End::Address(address) => {
            let block = &peer["ipBlock"];
            block["cidr"]
                .as_str()
                .is_some_and(|cidr| holds(cidr, address))
                && !list(&block["except"])
                    .iter()
                    .any(|cidr| holds(cidr.as_str().unwrap(), address))
        }
        End::Pod(n) => {
            let pod = &cluster.pods[n];
            let space = match &peer["namespaceSelector"] {
                Value::Null => pod.namespace == home,
                selector => selects(selector, &cluster.namespaces[pod.namespace]),
            };
            let selector = &peer["podSelector"];
            peer["ipBlock"].is_null()
                && space
                && (selector.is_null() || selects(selector, &pod.labels))
        }
    }
}

fn is_port(cluster: &Cluster, ports: &Value, connection: &Connection) -> bool {
    let ports = list(ports);
    ports.is_empty()
        || ports.iter().any(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let number = u64::from(connection.port);
            protocol == connection.protocol
                && match &port["port"] {
                    Value::Null => true,
                    Value::String(name) => names(cluster, name, connection),
                    first => {
                        let first = first.as_u64().unwrap();
                        let last = port["endPort"].as_u64().unwrap_or(first);
                        first <= number && number <= last
                    }
                }
        })
}

/// Whether the destination calls the port by this name.
fn names(cluster: &Cluster, name: &str, connection: &Connection) -> bool {
    let End::Pod(to) = connection.to else {
        return false;
    };
    let door = (name, connection.port, connection.protocol);
    cluster.pods[to].ports.contains(&door)
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = pairs
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    equal
        && list(&selector["matchExpressions"]).iter().all(|term| {
            let own = labels.get(term["key"].as_str().unwrap());
            let listed = || own.is_some_and(|own| list(&term["values"]).contains(own));
            match term["operator"].as_str().unwrap() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => own.is_some(),
                _ => own.is_none(),
            }
        })
}

/// Whether a network holds an address: the bits of its prefix are those of the address.
fn holds(cidr: &str, address: std::net::IpAddr) -> bool {
    let (network, prefix) = cidr.split_once('/').unwrap();
    let bits = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let (network, own) = (bits(network.parse().unwrap()), bits(address));
    let prefix: usize = prefix.parse().unwrap();
    let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
    network.len() == own.len() && (0..prefix).all(|n| bit(&network, n) == bit(&own, n))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| list)
}
