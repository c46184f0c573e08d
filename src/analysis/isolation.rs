//! Which pods something isolates, and which policies select nothing: kept up to date.
//!
//! ```text
//! pod, template ─► class: equal templates of one owner in one namespace     (what policies see)
//! policy        ─► selects a class of its namespace?  each peer selects a class somewhere?
//! ```
//!
//! A class that looks unlike the template of the workload that its pods belong to is kept for that
//! workload, which is judged by it as well.
//!
//! Pods come and go by the thousand, classes hardly ever: a pod of a known class only counts. Each
//! peer of a policy keeps one namespace in which it was seen to select something, and is looked
//! for again only when that namespace has lost a class.

mod peers;
mod space;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{
    peers::{Peers, Selected},
    space::{Moved, Space},
};
use super::{
    Analysis,
    network::{Direction, Isolated, calico_globals},
    rights::keyed::Keyed,
};
use crate::{
    controls::Subject,
    inventory::{Change, Inventory, Kind, Sym, kind::is_workload, template::Template},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Isolation {
    spaces: Keyed<Sym, Space>,
    policies: BTreeMap<(Sym, Sym), Known>,
    peers: Peers,
    changed: Changed,
}

/// What is known of a policy.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// Whether its selector selects a pod or template.
    selects: bool,
    /// Its peers that are pods, each once.
    peers: Box<[Arc<Selected>]>,
}

/// What has to be worked out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changed {
    /// Policies that may have other peers.
    policies: BTreeSet<(Sym, Sym)>,
    /// Namespaces whose policies or classes may have changed.
    spaces: BTreeSet<Sym>,
    /// Those of them that have a class or a label more.
    grown: BTreeSet<Sym>,
    /// Those of them that have a class or a label less.
    shrunk: BTreeSet<Sym>,
    /// Namespaces that came, went or have other labels.
    labels: BTreeSet<Sym>,
    /// Namespaces with other policies of which nothing is worked out here.
    others: BTreeSet<Sym>,
    /// Whether a policy for all namespaces changed.
    everywhere: bool,
}

impl Changed {
    fn moved(&mut self, namespace: &Sym, moved: Moved) {
        if moved.grown {
            self.grown.insert(namespace.clone());
        }
        if moved.shrunk {
            self.shrunk.insert(namespace.clone());
        }
        if moved.grown || moved.shrunk || moved.turned {
            self.spaces.insert(namespace.clone());
        }
    }
}

/// What a policy selects in vain.
#[derive(Debug, PartialEq, Eq)]
pub struct Dead<'a> {
    /// Whether it selects no pod and no template itself.
    pub itself: bool,
    /// Peers that select nothing.
    pub peers: Vec<&'a Selected>,
}

/// Pods of a class that something is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray<'a> {
    /// Their controller, as `Kind/name`.
    pub owner: &'a Sym,
    /// What they look like.
    pub template: &'a Arc<Template>,
    /// Whether they are isolated after all cannot be told.
    pub isolated: Isolated,
}

impl Isolation {
    /// Live pods of `namespace` that have an owner and are not known to be isolated.
    pub fn strays<'a>(
        &'a self,
        namespace: &str,
        direction: Direction,
    ) -> impl Iterator<Item = Stray<'a>> {
        let space = self.spaces.get(namespace).into_iter();
        space.flat_map(move |space| space.strays(direction))
    }

    /// How live pods of a workload look where its template looks otherwise, each way once.
    pub fn looks(&self, workload: &Subject) -> &[Arc<Template>] {
        let space = self.spaces.get(&workload.namespace);
        space.map_or(&[], |space| space.looks(workload))
    }

    /// What the policy selects in vain; `None` where there is nothing.
    pub fn dead(&self, namespace: &Sym, name: &Sym) -> Option<Dead<'_>> {
        let known = self.policies.get(&(namespace.clone(), name.clone()))?;
        let peers = known.peers.iter().filter(|peer| !self.peers.is_alive(peer));
        let dead = Dead {
            itself: !known.selects,
            peers: peers.map(|peer| &**peer).collect(),
        };
        (dead.itself || !dead.peers.is_empty()).then_some(dead)
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.spaces.iter().map(|(_, _, space)| space.len()).sum()
    }

    fn note_held(&mut self, inventory: &Inventory, change: &Change) {
        let held = space::held(inventory, change);
        let known = self.spaces.number(&change.namespace);
        let number = match (known, held) {
            (Some(known), _) => known,
            (None, Some(_)) => self.spaces.enter(&change.namespace, Space::default),
            (None, None) => return,
        };
        let Some(space) = self.spaces.at_mut(number) else {
            return;
        };
        let moved = space.note(change.kind, &change.name, held);
        self.changed.moved(&change.namespace, moved);
        if change.kind != Kind::Pod {
            // Live pods are compared with its template, or belong to another workload now.
            self.changed.spaces.insert(change.namespace.clone());
        }
    }

    /// Takes over what policies select as peers.
    fn settle_policies(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        for key in std::mem::take(&mut self.changed.policies) {
            let (namespace, name) = &key;
            affected.insert(Subject::namespace(namespace));
            affected.insert(Subject::object(Kind::NetworkPolicy, namespace, name));
            let old = self.policies.remove(&key);
            let object = inventory.tables.network_policies.get(namespace, name);
            let peers = object.map(|object| peers::of(&object.spec, namespace));
            // First in, then out: what stays need not be looked for again.
            let peers = peers.map(|peers| self.peers.join(&key, peers));
            if let Some(old) = &old {
                let kept = peers.as_deref().unwrap_or_default();
                self.peers.leave(&key, &old.peers, kept);
            }
            if let Some(peers) = peers {
                let selects = old.is_some_and(|old| old.selects);
                self.policies.insert(key, Known { selects, peers });
            }
        }
    }

    /// Works out what isolates the classes of namespaces, and whether their policies select any.
    fn settle_spaces(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        if std::mem::take(&mut self.changed.everywhere) {
            let all = self
                .spaces
                .iter()
                .map(|(_, namespace, _)| namespace.clone());
            self.changed.spaces.extend(all);
            let all = inventory.tables.namespaces.iter();
            affected.extend(all.map(|object| Subject::namespace(&object.meta.name)));
        }
        for namespace in std::mem::take(&mut self.changed.spaces) {
            let space = self.spaces.entered(&namespace);
            if space.settle(inventory, &namespace, affected) {
                affected.insert(Subject::namespace(&namespace));
            }
            for object in inventory.tables.network_policies.in_namespace(&namespace) {
                let name = &object.meta.name;
                let Some(known) = self.policies.get_mut(&(namespace.clone(), name.clone())) else {
                    continue;
                };
                let selects = space.selects(&object.spec.pods);
                if std::mem::replace(&mut known.selects, selects) != selects {
                    affected.insert(Subject::object(Kind::NetworkPolicy, &namespace, name));
                }
            }
            if space.is_empty() {
                self.spaces.remove(&namespace);
            }
        }
    }
}

impl Analysis for Isolation {
    const READS: &'static [Kind] = &[
        Kind::Namespace,
        Kind::Pod,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::ReplicaSet,
        Kind::Job,
        Kind::CronJob,
        Kind::NetworkPolicy,
        Kind::ClusterNetworkPolicy,
        Kind::AdminNetworkPolicy,
        Kind::BaselineAdminNetworkPolicy,
        Kind::CiliumNetworkPolicy,
        Kind::CiliumClusterwideNetworkPolicy,
        Kind::CalicoNetworkPolicy,
        Kind::CalicoGlobalNetworkPolicy,
        Kind::CalicoV3NetworkPolicy,
        Kind::CalicoV3GlobalNetworkPolicy,
    ];

    fn note(&mut self, inventory: &Inventory, change: &Change) {
        match change.kind {
            // First, because there are by far the most of them.
            Kind::Pod => self.note_held(inventory, change),
            Kind::Namespace => {
                self.changed.labels.insert(change.name.clone());
                self.changed.spaces.insert(change.name.clone());
                self.changed.grown.insert(change.name.clone());
                self.changed.shrunk.insert(change.name.clone());
            }
            Kind::NetworkPolicy => {
                let key = (change.namespace.clone(), change.name.clone());
                self.changed.policies.insert(key);
                self.changed.spaces.insert(change.namespace.clone());
            }
            Kind::CiliumNetworkPolicy | Kind::CalicoNetworkPolicy | Kind::CalicoV3NetworkPolicy => {
                self.changed.others.insert(change.namespace.clone());
                self.changed.spaces.insert(change.namespace.clone());
            }
            kind if is_workload(kind.info().kind) => self.note_held(inventory, change),
            _ => self.changed.everywhere = true,
        }
    }

    fn note_all(&mut self, inventory: &Inventory) {
        for kind in Self::READS.iter().filter(|kind| **kind != Kind::Pod) {
            for change in inventory.all_as_added(*kind) {
                self.note(inventory, &change);
            }
        }
        // By far the most objects. They lie in order: none has to be looked up.
        let pods = inventory.tables.pods.iter();
        let mut pods = pods.filter(|pod| !pod.spec.ended).peekable();
        while let Some(first) = pods.peek() {
            let namespace = first.meta.namespace.clone();
            let space = self.spaces.entered(&namespace);
            while let Some(pod) = pods.next_if(|pod| pod.meta.namespace == namespace) {
                let held = (&pod.spec.template, space::owner(&pod.meta));
                let moved = space.note(Kind::Pod, &pod.meta.name, Some(held));
                self.changed.moved(&namespace, moved);
            }
        }
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        if self.changed == Changed::default() {
            return; // nearly always: a pod more or less of a class that is known
        }
        self.settle_policies(inventory, affected);
        let labels = std::mem::take(&mut self.changed.labels);
        // Their peers are not kept: any of them may speak of a namespace.
        self.changed.everywhere |= !labels.is_empty() && has_other_policies(inventory);
        // What "every namespace" means may have changed for those who speak of namespaces.
        self.peers.speak_of_namespaces(&labels, affected);
        affected.extend(labels.iter().map(Subject::namespace));
        let others = std::mem::take(&mut self.changed.others);
        affected.extend(others.iter().map(Subject::namespace));
        self.settle_spaces(inventory, affected);
        let grown = std::mem::take(&mut self.changed.grown);
        let shrunk = std::mem::take(&mut self.changed.shrunk);
        let spaces = &self.spaces;
        let selects = |peer: &Selected, namespace: &str| {
            peer.selects(inventory, namespace, spaces.get(namespace))
        };
        let turned = self.peers.settle(&grown, &shrunk, &selects, inventory);
        let policies = turned
            .into_iter()
            .map(|(namespace, name)| Subject::object(Kind::NetworkPolicy, &namespace, &name));
        affected.extend(policies);
    }
}

/// Whether there are policies beside those of Kubernetes whose rules are judged.
fn has_other_policies(inventory: &Inventory) -> bool {
    let tables = &inventory.tables;
    !(tables.cluster_network_policies.is_empty()
        && tables.admin_network_policies.is_empty()
        && tables.baseline_admin_network_policies.is_empty()
        && tables.cilium_network_policies.is_empty()
        && tables.cilium_clusterwide_network_policies.is_empty()
        && tables.calico_network_policies.is_empty()
        && tables.calico_v3_network_policies.is_empty()
        && calico_globals(inventory).next().is_none())
}

#[cfg(test)]
mod tests;
