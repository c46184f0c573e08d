//! What the analysis says of connections.

use probity::{
    analysis::network::{Applying, Direction, Who},
    inventory::{Inventory, Kind, Object, workload::Pod},
};
use serde_json::{Value, json};

use super::generate::{Cluster, Connection, End};

/// Which connections are allowed.
pub(super) fn judge(cluster: &Cluster, connections: &[Connection]) -> Vec<bool> {
    let inventory = inventory(cluster);
    let judged = connections.iter().map(|connection| {
        let Connection { from, to, .. } = connection;
        passes(
            &inventory,
            cluster,
            connection,
            (*to, *from),
            Direction::Ingress,
        ) && passes(
            &inventory,
            cluster,
            connection,
            (*from, *to),
            Direction::Egress,
        )
    });
    judged.collect()
}

fn passes(
    inventory: &Inventory,
    cluster: &Cluster,
    connection: &Connection,
    (own, other): (End, End),
    direction: Direction,
) -> bool {
    let End::Pod(own) = own else { return true };
    let own = pod(inventory, cluster, own);
    let namespace = &*own.meta.namespace;
    let applying = Applying::gather(inventory, namespace, &own.spec.template, direction);
    assert!(applying.doubts.is_empty(), "{:?}", applying.doubts);
    let named = match connection.to {
        End::Pod(to) => &pod(inventory, cluster, to).spec.template.ports[..],
        End::Address(_) => &[],
    };
    let segments = applying.segments(named, &[]);
    let segment = segments.iter().find(|segment| {
        segment.protocol == connection.protocol
            && (segment.first..=segment.last).contains(&connection.port)
    });
    let Some(segment) = segment else {
        assert!(applying.is_isolated());
        return false;
    };
    match other {
        End::Address(address) => segment.addresses().contains(address),
        End::Pod(n) => {
            let other = pod(inventory, cluster, n);
            let space = inventory
                .meta(Kind::Namespace, "", &other.meta.namespace)
                .unwrap();
            let who = Who {
                namespace: &other.meta.namespace,
                namespace_labels: &space.labels,
                labels: &other.meta.labels,
            };
            segment.admits(namespace, who)
        }
    }
}

fn pod<'a>(inventory: &'a Inventory, cluster: &Cluster, n: usize) -> &'a Object<Pod> {
    let namespace = format!("n{}", cluster.pods[n].namespace);
    inventory
        .tables
        .pods
        .get(&namespace, &format!("pod{n}"))
        .unwrap()
}

fn inventory(cluster: &Cluster) -> Inventory {
    let mut inventory = Inventory::default();
    let mut put = |kind: Kind, mut object: Value| {
        object["metadata"]["uid"] = "00000000-0000-4000-8000-000000000001".into();
        object["metadata"]["resourceVersion"] = "1".into();
        let line = json!({ "type": "ADDED", "object": object }).to_string();
        let changes = inventory.apply_line(kind, line.as_bytes()).unwrap();
        assert_eq!(changes.len(), 1);
        assert!(inventory.broken_names(kind).is_empty(), "{object}");
    };
    for (n, labels) in cluster.namespaces.iter().enumerate() {
        let meta = json!({ "name": format!("n{n}"), "labels": labels });
        put(Kind::Namespace, json!({ "metadata": meta }));
    }
    for (n, pod) in cluster.pods.iter().enumerate() {
        let ports = pod.ports.iter().map(|(name, number, protocol)| {
            json!({ "name": name, "containerPort": number, "protocol": protocol })
        });
        let ports: Vec<_> = ports.collect();
        let meta = json!({
            "name": format!("pod{n}"), "namespace": format!("n{}", pod.namespace),
            "labels": pod.labels,
        });
        let spec = json!({ "containers": [{ "name": "c", "ports": ports }] });
        put(Kind::Pod, json!({ "metadata": meta, "spec": spec }));
    }
    for policy in &cluster.policies {
        put(Kind::NetworkPolicy, policy.clone());
    }
    for tier in &cluster.tiers {
        put(Kind::ClusterNetworkPolicy, tier.clone());
    }
    inventory
}
