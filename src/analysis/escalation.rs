//! Who can become cluster administrator, by which steps.
//!
//! ```text
//! accounts, pods ─► census ─┐
//! rights ─► climb ─► wire ──┴► graph ─► search ─► paths ─► words
//!           steps    edges     kept     nearest   asked
//! ```
//!
//! A step leads to somebody that one becomes by it, or to rights that one gets. Service accounts
//! are in the groups that they are in by definition; who else is in a group is not visible. Ways
//! through nodes are a class of their own.
//!
//! All of it is kept up to date: a change touches the edges of those whose rights it changes, or
//! whose edges rest on what it changes, and the distances of those that these edges led or lead to
//! cluster-admin.

mod aims;
mod census;
mod climb;
mod graph;
mod needs;
mod paths;
mod search;
#[cfg(test)]
mod tests;
mod wire;
mod words;

use std::collections::BTreeSet;

use self::{
    aims::Ground,
    graph::{Goal, Graph, Guise, NodeId, mix},
    search::{Search, Touched},
    wire::{Changed, EKS, View, is_everybody},
};
pub use self::{
    aims::{How, Place, RoleAt},
    words::{Hop, Path},
};
use super::{Analyses, Analysis, Derived};
use crate::{
    controls::Subject,
    inventory::{Change, Inventory, Kind, Meta, Sym},
};

/// Somebody on a path, or a role that somebody on it gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A user, group or service account.
    Identity(Subject),
    /// Whoever is bound to a role. There are few: everybody else is not to be larger for it.
    Role(Box<RoleAt>),
}

/// Who can become cluster administrator.
#[derive(Debug)]
pub struct Escalation {
    graph: Graph,
    /// Namespaces in which accounts, pods or Pod Security have changed.
    pending: BTreeSet<Sym>,
    /// What edges may rest on and has changed.
    shaken: BTreeSet<Ground>,
    /// Up to where the rights are taken in.
    epoch: u64,
    direct: Search,
    through_nodes: Search,
    /// Of each node, what tells what was last said of it from anything else.
    said: Vec<u64>,
    privileged: BTreeSet<Sym>,
    /// Whether it was made of all that there is, and has not been settled yet.
    unasked: bool,
}

impl Default for Escalation {
    fn default() -> Self {
        Self {
            graph: Graph::default(),
            pending: BTreeSet::new(),
            shaken: BTreeSet::new(),
            epoch: 0,
            direct: Search::new(false),
            through_nodes: Search::new(true),
            said: Vec::new(),
            // Whatever is in it: the control plane runs there.
            privileged: BTreeSet::from(["kube-system".into()]),
            unasked: false,
        }
    }
}

/// Which ways count.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Those through nodes as well.
    pub through_nodes: bool,
    /// Those that begin with what a binding gives which is labelled as Kubernetes' own.
    pub defaults: bool,
}

impl Analysis for Escalation {
    const READS: &'static [Kind] = &[
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
        Kind::ServiceAccount,
        Kind::Namespace,
        Kind::Pod,
        Kind::ValidatingWebhook,
        Kind::MutatingWebhook,
    ];
    const RESTS_ON: &'static [Derived] = &[Derived::Rights];

    fn note(&mut self, _: &Inventory, change: &Change) {
        let namespace = &change.namespace;
        match change.kind {
            Kind::ServiceAccount | Kind::Pod => drop(self.pending.insert(namespace.clone())),
            Kind::Namespace => drop(self.pending.insert(change.name.clone())),
            // What roles allow, and what bindings give, comes with the rights.
            kind @ (Kind::ValidatingWebhook | Kind::MutatingWebhook) => {
                let webhooks = Ground::Webhooks(kind, change.name.clone());
                self.shaken.insert(webhooks);
            }
            Kind::Role => {
                self.shaken.insert(Ground::RolesIn(namespace.clone()));
                self.shaken.insert(Ground::AnyRole);
            }
            Kind::RoleBinding => {
                self.shaken.insert(Ground::BindingsIn(namespace.clone()));
                self.shaken.insert(Ground::AnyBinding);
            }
            Kind::ClusterRoleBinding => {
                self.shaken.insert(Ground::BindingsIn(namespace.clone()));
                if EKS.contains(&&*change.name) {
                    self.shaken.insert(Ground::Eks);
                }
            }
            _ => {}
        }
    }

    fn note_all(&mut self, inventory: &Inventory) {
        self.unasked = true;
        // No edge rests on anything yet: what there is to know of namespaces, accounts and pods is
        // who is there.
        let tables = &inventory.tables;
        let namespaces = tables.namespaces.iter();
        let names = namespaces.map(|namespace| namespace.meta.name.clone());
        self.pending.extend(names);
        let accounts = tables.service_accounts.iter().map(|account| &account.meta);
        let pods = tables.pods.iter().map(|pod| &pod.meta);
        let mut last = None;
        for Meta { namespace, .. } in accounts.chain(pods) {
            if last != Some(namespace) {
                self.pending.insert(namespace.clone());
            }
            last = Some(namespace);
        }
    }

    fn consult(&mut self, inventory: &Inventory, others: &Analyses) {
        let rights = others.rights();
        for namespace in std::mem::take(&mut self.pending) {
            census::populate(&mut self.graph, inventory, &namespace);
        }
        let last = rights.last();
        let mut shaken = std::mem::take(&mut self.shaken);
        let few = !last.all && !last.identities.iter().any(is_everybody);
        let changed = if last.epoch == self.epoch {
            Changed::These(BTreeSet::new())
        } else if last.epoch == self.epoch + 1 && few {
            let roles = last.roles.iter().cloned();
            shaken.extend(roles.map(|(home, name)| Ground::Role(home, name)));
            Changed::These(last.identities.clone())
        } else {
            Changed::Everyones
        };
        self.epoch = last.epoch;
        let view = View::new(inventory, rights);
        wire::rewire(&mut self.graph, &view, changed, &shaken);
    }

    fn settle(&mut self, _: &Inventory, affected: &mut BTreeSet<Subject>) {
        let mut touched = Touched::new(&self.graph);
        self.direct.follow(&self.graph, &mut touched);
        self.through_nodes.follow(&self.graph, &mut touched);
        // Nobody has asked yet what a new one says: none of it is news.
        let first = std::mem::take(&mut self.unasked);
        self.said.resize(self.graph.bound().max(self.said.len()), 0);
        for node in touched.nodes().iter().copied() {
            let now = self.signature(node);
            if std::mem::replace(&mut self.said[node as usize], now) != now
                && !first
                && let Some((Who::Identity(subject), _)) = self.graph.at(node)
            {
                affected.insert(subject.clone());
            }
        }
        for space in touched.spaces {
            let Some((name, _)) = self.graph.space_at(space) else {
                continue;
            };
            let accounts = Goal::Accounts(space);
            let reached = self.direct.goal(&self.graph, accounts, Guise::Own);
            let moved = if reached.is_reached() {
                self.privileged.insert(name.clone())
            } else {
                **name != *"kube-system" && self.privileged.remove(name)
            };
            if moved {
                affected.insert(Subject::namespace(name));
            }
        }
        self.graph.sweep();
    }
}

impl Escalation {
    /// What tells all that is said of a node from anything else.
    fn signature(&self, node: NodeId) -> u64 {
        let Some((_, entry)) = self.graph.at(node).filter(|(_, entry)| entry.is_there()) else {
            return 0;
        };
        let mut all = mix(entry.stamp, u64::from(entry.admin));
        // Whoever is in a group is in the wider ones too.
        for wider in self.graph.wider(entry.sort) {
            let reached = self.direct.node(wider, Guise::Own).is_reached();
            all = mix(all, u64::from(reached));
        }
        for search in [&self.direct, &self.through_nodes] {
            all = mix(all, search.signature(node));
            for defaults in [false, true] {
                let edge = search.own(&self.graph, entry, defaults);
                let edge = edge.map_or(0, |edge| search.edge_signature(&self.graph, edge));
                all = mix(all, edge);
            }
        }
        all
    }

    /// Whether a namespace holds what leads to cluster-admin.
    pub fn is_privileged(&self, namespace: &str) -> bool {
        self.privileged.contains(namespace)
    }

    /// The privileged namespaces: `kube-system`, and every one with an account that can become
    /// cluster administrator.
    pub const fn privileged(&self) -> &BTreeSet<Sym> {
        &self.privileged
    }
}
