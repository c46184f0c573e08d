//! Which accounts there are, and which of them run.

use std::collections::BTreeSet;

use super::{
    Who,
    graph::{Graph, NodeId, Presence},
};
use crate::{
    controls::Subject,
    inventory::{Inventory, Kind, Sym, namespace::PSA_ENFORCE},
};

/// Takes in the accounts and pods of a namespace, and the namespace itself.
pub(super) fn populate(graph: &mut Graph, inventory: &Inventory, namespace: &Sym) {
    let tables = &inventory.tables;
    let exist: BTreeSet<&Sym> = {
        let accounts = tables.service_accounts.in_namespace(namespace);
        accounts.map(|account| &account.meta.name).collect()
    };
    let meta = inventory.meta(Kind::Namespace, "", namespace);
    let mut peopled = meta.is_some() || !exist.is_empty();
    let mut live: BTreeSet<&str> = BTreeSet::new();
    for pod in tables.pods.in_namespace(namespace) {
        peopled = true;
        if !pod.spec.ended {
            live.insert(pod.spec.template.account());
        }
    }
    let level = meta.and_then(|meta| meta.labels.get(PSA_ENFORCE));
    let open = !matches!(level, Some("baseline" | "restricted"));
    let number = graph.space(namespace);
    graph.set_space(number, peopled, open);
    for name in &exist {
        graph.node(&Subject::object(Kind::ServiceAccount, namespace, name));
    }
    let known: Vec<NodeId> = graph.accounts(number).to_vec();
    for node in known {
        let Some((Who::Identity(subject), _)) = graph.at(node) else {
            continue;
        };
        let presence = match exist.contains(&subject.name) {
            false => Presence::Absent,
            true if live.contains(&*subject.name) => Presence::Live,
            true => Presence::Idle,
        };
        graph.set_presence(node, presence);
    }
}
