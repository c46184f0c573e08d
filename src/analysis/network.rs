//! What network policies together let through, by the semantics of the API.
//!
//! A pod is isolated where some policy of its namespace selects it for that direction; what is
//! allowed is then the union of the rules of all policies that select it.

use super::addresses::Addresses;
use crate::inventory::{
    Inventory, Object,
    meta::Labels,
    network_policy::{NetworkPolicy, Peer, Ports, Rule},
    selector::Selector,
    template::Template,
};

/// Protocols that a policy can tell apart.
pub const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// The policies of `namespace` that isolate pods with `labels` for ingress.
pub fn isolating_ingress<'a>(
    inventory: &'a Inventory,
    namespace: &'a str,
    labels: &'a Labels,
) -> impl Iterator<Item = &'a Object<NetworkPolicy>> {
    let policies = inventory.tables.network_policies.in_namespace(namespace);
    policies.filter(|p| p.spec.ingress.is_some() && p.spec.pods.matches(labels))
}

/// A rule that lets something in, and the policy that it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The policy.
    pub policy: &'a Object<NetworkPolicy>,
    /// The rule.
    pub rule: &'a Rule,
}

/// Neighbouring ports of one protocol to which the same rules apply.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// The protocol.
    pub protocol: &'static str,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// The rules.
    pub grants: Vec<Grant<'a>>,
}

/// Effective ingress of a template, by port, or `None` where nothing isolates it. Segments also
/// begin and end at each port of `cuts`; ports that nothing is allowed to reach are left out.
pub fn ingress<'a>(
    inventory: &'a Inventory,
    namespace: &'a str,
    template: &'a Template,
    cuts: &[u16],
) -> Option<Vec<Segment<'a>>> {
    let mut isolating = isolating_ingress(inventory, namespace, &template.labels).peekable();
    isolating.peek()?;
    let grants: Vec<Grant<'a>> = isolating
        .flat_map(|policy| {
            let rules = policy.spec.ingress.iter().flat_map(|rules| rules.iter());
            rules.map(move |rule| Grant { policy, rule })
        })
        .collect();
    let segments = PROTOCOLS
        .into_iter()
        .flat_map(|protocol| segments(protocol, &grants, template, cuts));
    Some(segments.collect())
}

fn segments<'a>(
    protocol: &'static str,
    grants: &[Grant<'a>],
    template: &Template,
    cuts: &[u16],
) -> Vec<Segment<'a>> {
    let ranges: Vec<_> = grants
        .iter()
        .flat_map(|grant| {
            let ranges = ranges(grant.rule, template, protocol).into_iter();
            ranges.map(move |range| (*grant, range))
        })
        .collect();
    // u32: one past the last port is no port.
    let mut starts: Vec<u32> = cuts
        .iter()
        .map(|&port| (port, port))
        .chain(ranges.iter().map(|(_, range)| *range))
        .flat_map(|(first, last)| [u32::from(first), u32::from(last) + 1])
        .collect();
    starts.sort_unstable();
    starts.dedup();
    let spans = starts.windows(2).filter_map(|pair| {
        let first = u16::try_from(pair[0]).ok()?;
        let last = u16::try_from(pair[1] - 1).ok()?;
        let covers = |(grant, (from, to)): &(Grant<'a>, (u16, u16))| {
            (*from <= first && last <= *to).then_some(*grant)
        };
        let grants: Vec<_> = ranges.iter().filter_map(covers).collect();
        (!grants.is_empty()).then_some(Segment {
            protocol,
            first,
            last,
            grants,
        })
    });
    spans.collect()
}

/// The ports of one protocol that a rule speaks of.
fn ranges(rule: &Rule, template: &Template, protocol: &str) -> Vec<(u16, u16)> {
    if rule.ports.is_empty() {
        return vec![(1, u16::MAX)];
    }
    let ports = rule.ports.iter().filter(|port| &*port.protocol == protocol);
    let ranges = ports.flat_map(|port| match &port.ports {
        Ports::All => vec![(1, u16::MAX)],
        Ports::Range(first, last) => vec![((*first).max(1), *last)],
        // A name that no container port has stands for nothing.
        Ports::Named(name) => {
            let named = template.ports.iter();
            let named = named.filter(|p| p.name.as_ref() == Some(name) && &*p.protocol == protocol);
            named.map(|p| (p.number, p.number)).collect()
        }
    });
    ranges.filter(|(first, last)| first <= last).collect()
}

/// Who may come in, as far as it is everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Everyone {
    /// Any source: a rule without peers.
    Anyone,
    /// A quarter or more of the public address space.
    Internet,
    /// All pods of all namespaces.
    Cluster,
}

/// The widest everyone that the peers of `grants` together stand for. `namespace` is the
/// policies' own.
pub fn everyone(inventory: &Inventory, namespace: &str, grants: &[Grant<'_>]) -> Option<Everyone> {
    if grants.iter().any(|grant| grant.rule.peers.is_empty()) {
        return Some(Everyone::Anyone);
    }
    let peers = || grants.iter().flat_map(|grant| grant.rule.peers.iter());
    if addresses(peers()).is_internet() {
        return Some(Everyone::Internet);
    }
    all_namespaces(inventory, namespace, peers()).then_some(Everyone::Cluster)
}

/// Union of the address blocks of `peers`.
pub fn addresses<'a>(peers: impl Iterator<Item = &'a Peer>) -> Addresses {
    let mut union = Addresses::default();
    for peer in peers {
        if let Peer::Block { cidr, except } = peer {
            let mut block = Addresses::default();
            block.add(*cidr);
            except.iter().for_each(|cidr| block.remove(*cidr));
            union.join(&block);
        }
    }
    union
}

/// Whether `peers` together let all pods of every namespace in.
fn all_namespaces<'a>(
    inventory: &Inventory,
    own: &str,
    peers: impl Iterator<Item = &'a Peer>,
) -> bool {
    let nobody = Labels::default();
    // A pod selector that a pod without labels satisfies (none, empty, or only NotIn and
    // DoesNotExist) keeps nobody out who does not want to be kept out.
    let selectors: Vec<Option<&Selector>> = peers
        .filter_map(|peer| match peer {
            Peer::Pods { namespaces, pods } => pods
                .as_ref()
                .is_none_or(|pods| pods.matches(&nobody))
                .then_some(namespaces.as_ref()),
            Peer::Block { .. } => None,
        })
        .collect();
    if selectors.iter().all(Option::is_none) {
        return false; // the policies' own namespace at most
    }
    inventory.tables.namespaces.iter().all(|namespace| {
        selectors.iter().any(|selector| match selector {
            Some(selector) => selector.matches(&namespace.meta.labels),
            None => &*namespace.meta.name == own,
        })
    })
}

#[cfg(test)]
mod tests;
