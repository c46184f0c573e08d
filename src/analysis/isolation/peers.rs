//! The pods that policies name as peers, and one namespace in which there are some.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::space::Space;
use crate::{
    controls::Subject,
    inventory::{
        Inventory, Kind, Sym,
        meta::Labels,
        network_policy::{NetworkPolicy, Peer},
        selector::Selector,
    },
};

/// The label that the API server puts on each namespace, and nobody can take off.
const NAME: &str = "kubernetes.io/metadata.name";

/// Pods that a peer of some policy selects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selected {
    /// The policy's own namespace, where no other is meant.
    home: Option<Sym>,
    namespaces: Selector,
    /// `None` means all.
    pods: Option<Selector>,
}

/// Namespace and name of a policy.
type Name = (Sym, Sym);

/// All peers, each once.
#[derive(Debug, Default)]
pub(super) struct Peers {
    entries: BTreeMap<Arc<Selected>, Entry>,
    /// Those that were never looked for.
    fresh: Vec<Arc<Selected>>,
}

#[derive(Debug, Default)]
struct Entry {
    users: BTreeSet<Name>,
    /// A namespace in which it selects something.
    seen_in: Option<Sym>,
}

/// The peers of a policy that are pods.
pub(super) fn of(policy: &NetworkPolicy, namespace: &Sym) -> BTreeSet<Selected> {
    let rules = policy.ingress.iter().chain(&policy.egress);
    let peers = rules
        .flat_map(|rules| rules.iter())
        .flat_map(|rule| rule.peers.iter());
    let selected = peers.filter_map(|peer| match peer {
        Peer::Pods { namespaces, pods } => Some(Selected {
            home: namespaces.is_none().then(|| namespace.clone()),
            namespaces: namespaces.clone().unwrap_or_default(),
            pods: pods.clone(),
        }),
        _ => None,
    });
    // All pods of the policy's own namespace: as with an empty podSelector, those that are yet
    // to come are meant too.
    let forward = |selected: &Selected| {
        selected.home.is_some() && selected.pods.as_ref().is_none_or(Selector::is_empty)
    };
    selected.filter(|selected| !forward(selected)).collect()
}

impl Selected {
    /// Whether it selects something in this namespace, whose classes are `space`. All pods of a
    /// namespace are something even where there are none yet.
    pub(super) fn selects(
        &self,
        inventory: &Inventory,
        namespace: &str,
        space: Option<&Space>,
    ) -> bool {
        let some = |pods: &Selector| pods.is_empty() || space.is_some_and(|s| s.selects(pods));
        self.means(inventory, namespace) && self.pods.as_ref().is_none_or(some)
    }

    fn means(&self, inventory: &Inventory, namespace: &str) -> bool {
        match &self.home {
            Some(home) => **home == *namespace,
            None => inventory
                .meta(Kind::Namespace, "", namespace)
                .is_some_and(|meta| self.namespaces.matches(&meta.labels)),
        }
    }

    /// The namespaces that it names, as by far the most do: no need to look at all others.
    fn names(&self) -> Option<&[Sym]> {
        let home = self.home.as_ref().map(std::slice::from_ref);
        home.or_else(|| self.namespaces.names(NAME))
    }

    /// Whether pods of all namespaces may be meant, by union with others.
    fn is_open(&self) -> bool {
        let nobody = Labels::default();
        self.home.is_none() && self.pods.as_ref().is_none_or(|pods| pods.matches(&nobody))
    }
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.home, &self.pods) {
            (Some(_), Some(pods)) => write!(f, "podSelector ({pods})"),
            (None, None) => write!(f, "namespaceSelector ({})", self.namespaces),
            (None, Some(pods)) => write!(
                f,
                "namespaceSelector ({}) with podSelector ({pods})",
                self.namespaces
            ),
            (Some(_), None) => f.write_str("all pods of the namespace"),
        }
    }
}

impl Peers {
    /// Notes that a policy has these peers.
    pub(super) fn join(&mut self, user: &Name, peers: BTreeSet<Selected>) -> Box<[Arc<Selected>]> {
        let joined = peers.into_iter().map(|peer| {
            let peer = match self.entries.get_key_value(&peer) {
                Some((known, _)) => Arc::clone(known),
                None => Arc::new(peer),
            };
            let entry = self.entries.entry(Arc::clone(&peer)).or_default();
            if entry.users.is_empty() {
                self.fresh.push(Arc::clone(&peer));
            }
            entry.users.insert(user.clone());
            peer
        });
        joined.collect()
    }

    /// Notes that a policy no longer has the `old` peers, but those of them that are `kept`.
    pub(super) fn leave(&mut self, user: &Name, old: &[Arc<Selected>], kept: &[Arc<Selected>]) {
        for peer in old.iter().filter(|peer| !kept.contains(peer)) {
            if let Some(entry) = self.entries.get_mut(peer) {
                entry.users.remove(user);
                if entry.users.is_empty() {
                    self.entries.remove(peer);
                }
            }
        }
    }

    /// Whether a peer selects something somewhere.
    pub(super) fn is_alive(&self, peer: &Arc<Selected>) -> bool {
        self.entries
            .get(peer)
            .is_some_and(|entry| entry.seen_in.is_some())
    }

    /// The namespaces whose policies speak of namespaces in a way that a change of these may
    /// matter to.
    pub(super) fn speak_of_namespaces(
        &self,
        changed: &BTreeSet<Sym>,
        affected: &mut BTreeSet<Subject>,
    ) {
        if changed.is_empty() {
            return;
        }
        for (peer, entry) in &self.entries {
            let named = peer.namespaces.names(NAME);
            let others = named.is_some_and(|names| !names.iter().any(|n| changed.contains(n)));
            // One that names others still is a part of a union that stood for all namespaces.
            if peer.home.is_none() && (!others || peer.is_open()) {
                let users = entry.users.iter();
                affected.extend(users.map(|(namespace, _)| Subject::namespace(namespace)));
            }
        }
    }

    /// Looks for what may have been lost or may have come. The users of peers that turned.
    pub(super) fn settle(
        &mut self,
        grown: &BTreeSet<Sym>,
        shrunk: &BTreeSet<Sym>,
        selects: &dyn Fn(&Selected, &str) -> bool,
        inventory: &Inventory,
    ) -> BTreeSet<Name> {
        let mut turned = BTreeSet::new();
        for peer in std::mem::take(&mut self.fresh) {
            if let Some(entry) = self.entries.get_mut(&peer) {
                entry.seen_in = anywhere(&peer, selects, inventory);
                turned.extend(entry.users.iter().cloned());
            }
        }
        if grown.is_empty() && shrunk.is_empty() {
            return turned;
        }
        for (peer, entry) in &mut self.entries {
            let before = entry.seen_in.is_some();
            match &entry.seen_in {
                Some(namespace) if shrunk.contains(namespace) && !selects(peer, namespace) => {
                    entry.seen_in = anywhere(peer, selects, inventory);
                }
                Some(_) => {}
                None => {
                    let found = match peer.names() {
                        Some(names) => names
                            .iter()
                            .find(|it| grown.contains(*it) && selects(peer, it)),
                        None => grown.iter().find(|namespace| selects(peer, namespace)),
                    };
                    entry.seen_in = found.cloned();
                }
            }
            if entry.seen_in.is_some() != before {
                turned.extend(entry.users.iter().cloned());
            }
        }
        turned
    }
}

/// Some namespace in which `peer` selects something.
fn anywhere(
    peer: &Selected,
    selects: &dyn Fn(&Selected, &str) -> bool,
    inventory: &Inventory,
) -> Option<Sym> {
    if let Some(names) = peer.names() {
        return names.iter().find(|name| selects(peer, name)).cloned();
    }
    let mut namespaces = inventory.tables.namespaces.iter();
    let found = namespaces.find(|namespace| selects(peer, &namespace.meta.name));
    found.map(|namespace| namespace.meta.name.clone())
}
