//! What policies come to, by port: who gets through, and which addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Applying, Grant, PROTOCOLS, Step};
use crate::{
    analysis::addresses::Addresses,
    inventory::{
        Inventory,
        meta::Labels,
        network_policy::{Cidr, Peer, Ports, Rule},
        template::Port,
        tiers::Act,
    },
};

/// Neighbouring ports of one protocol to which the same rules apply.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// The protocol.
    pub protocol: &'static str,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// Whether nothing passes but what a grant allows.
    pub isolated: bool,
    /// What policies of the namespace allow here.
    pub grants: Vec<Grant<'a>>,
    /// Blocks that Cilium denies, whatever is allowed.
    pub denied: Vec<&'a Peer>,
    /// What the Admin tier says here.
    pub admin: Vec<Step<'a>>,
    /// What the Baseline tier says here.
    pub baseline: Vec<Step<'a>>,
}

/// A pod on the other side.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Labels of that.
    pub namespace_labels: &'a Labels,
    /// Its own labels.
    pub labels: &'a Labels,
}

/// Who gets through, as far as it is everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Everyone {
    /// Any source: a rule without peers.
    Anyone,
    /// A quarter or more of the public address space.
    Internet,
    /// All pods of all namespaces.
    Cluster,
}

impl<'a> Applying<'a> {
    /// What it comes to, by port. `named` are the container ports on the receiving side, which
    /// names in rules stand for. Segments also begin and end at each port of `cuts`; ports where
    /// the pods are isolated and no rule applies are left out.
    pub fn segments(&self, named: &[Port], cuts: &[u16]) -> Vec<Segment<'a>> {
        let segments = PROTOCOLS
            .into_iter()
            .flat_map(|protocol| self.of_protocol(protocol, named, cuts));
        segments.collect()
    }

    fn of_protocol(
        &self,
        protocol: &'static str,
        named: &[Port],
        cuts: &[u16],
    ) -> Vec<Segment<'a>> {
        let grants = spread(&self.grants, |grant| grant.rule, protocol, named);
        let admin = spread(&self.admin, |step| step.rule, protocol, named);
        let baseline = spread(&self.baseline, |step| step.rule, protocol, named);
        let spans = cuts.iter().map(|&port| (port, port));
        let spans = spans
            .chain(grants.iter().map(|(_, span)| *span))
            .chain(admin.iter().chain(&baseline).map(|(_, span)| *span));
        // u32: one past the last port is no port. Port 0 is none either.
        let mut starts: Vec<u32> = spans
            .flat_map(|(first, last)| [u32::from(first), u32::from(last) + 1])
            .chain([1, u32::from(u16::MAX) + 1])
            .filter(|start| *start > 0)
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let isolated = self.is_isolated_by_namespace();
        let segments = starts.windows(2).filter_map(|pair| {
            let first = u16::try_from(pair[0]).ok()?;
            let last = u16::try_from(pair[1] - 1).ok()?;
            let segment = Segment {
                protocol,
                first,
                last,
                isolated,
                grants: covering(&grants, first, last),
                denied: self.denied.clone(),
                admin: covering(&admin, first, last),
                baseline: covering(&baseline, first, last),
            };
            let silent = isolated && segment.grants.is_empty() && segment.admin.is_empty();
            (!silent).then_some(segment)
        });
        segments.collect()
    }

    /// Whether the Baseline tier is not asked.
    fn is_isolated_by_namespace(&self) -> bool {
        let mut isolating = self.isolating.iter();
        isolating.any(|policy| !policy.is_of_a_tier())
    }
}

impl super::Policy<'_> {
    /// Whether it is one of the tiers before and after the policies of namespaces.
    pub const fn is_of_a_tier(&self) -> bool {
        use crate::inventory::Kind;
        matches!(
            self.kind,
            Kind::ClusterNetworkPolicy
                | Kind::AdminNetworkPolicy
                | Kind::BaselineAdminNetworkPolicy
        )
    }
}

type Span = (u16, u16);

fn spread<T: Copy>(
    rules: &[T],
    rule: impl Fn(&T) -> &Rule,
    protocol: &str,
    named: &[Port],
) -> Vec<(T, Span)> {
    let each = rules.iter().flat_map(|item| {
        let ranges = ranges(rule(item), named, protocol).into_iter();
        ranges.map(|range| (*item, range))
    });
    each.collect()
}

fn covering<T: Copy>(spread: &[(T, Span)], first: u16, last: u16) -> Vec<T> {
    let covers = |(item, (from, to)): &(T, Span)| (*from <= first && last <= *to).then_some(*item);
    spread.iter().filter_map(covers).collect()
}

/// The ports of one protocol that a rule speaks of.
fn ranges(rule: &Rule, named: &[Port], protocol: &str) -> Vec<Span> {
    if rule.ports.is_empty() {
        return vec![(1, u16::MAX)];
    }
    let ports = rule.ports.iter().filter(|port| &*port.protocol == protocol);
    let ranges = ports.flat_map(|port| match &port.ports {
        Ports::All => vec![(1, u16::MAX)],
        Ports::Range(first, last) => vec![((*first).max(1), *last)],
        // A name that no container port has stands for nothing.
        Ports::Named(name) => {
            let named = named.iter();
            let named = named.filter(|p| p.name.as_ref() == Some(name) && &*p.protocol == protocol);
            named.map(|p| (p.number, p.number)).collect()
        }
    });
    ranges.filter(|(first, last)| first <= last).collect()
}

impl Segment<'_> {
    /// Whether a pod on the other side gets through. `own` is the namespace of the pods that the
    /// policies apply to.
    pub fn admits(&self, own: &str, who: Who<'_>) -> bool {
        let matches = |rule: &Rule, tier| {
            rule.peers.is_empty() || rule.peers.iter().any(|peer| is_peer(peer, own, who, tier))
        };
        let decided = |steps: &[Step<'_>]| {
            let step = steps.iter().find(|step| matches(step.rule, true))?;
            (step.act != Act::Pass).then_some(step.act == Act::Accept)
        };
        decided(&self.admin).unwrap_or_else(|| {
            if self.isolated {
                self.grants.iter().any(|grant| matches(grant.rule, false))
            } else {
                decided(&self.baseline).unwrap_or(true)
            }
        })
    }

    /// Addresses on the other side, of no pod, that get through.
    pub fn addresses(&self) -> Addresses {
        let mut left = Addresses::all();
        let mut through = Addresses::default();
        let mut passed = Addresses::default();
        decide(&self.admin, &mut left, &mut through, &mut passed);
        left.join(&passed);
        if self.isolated {
            left.limit(&granted(&self.grants));
        } else {
            let mut passed = Addresses::default();
            decide(&self.baseline, &mut left, &mut through, &mut passed);
            left.join(&passed);
        }
        through.join(&left);
        through.take_out(&addresses(self.denied.iter().copied()));
        through
    }

    /// The widest everyone that gets through. `own` is the namespace of the pods that the
    /// policies apply to.
    pub fn everyone(&self, inventory: &Inventory, own: &str) -> Option<Everyone> {
        if self.isolated && self.admin.is_empty() {
            return everyone_of(inventory, own, &self.grants);
        }
        let addresses = self.addresses();
        let cluster = self.admits_all_namespaces(inventory, own);
        if cluster && addresses == Addresses::all() {
            Some(Everyone::Anyone)
        } else if addresses.is_internet() {
            Some(Everyone::Internet)
        } else {
            cluster.then_some(Everyone::Cluster)
        }
    }

    fn admits_all_namespaces(&self, inventory: &Inventory, own: &str) -> bool {
        let nobody = Labels::default();
        inventory.tables.namespaces.iter().all(|namespace| {
            let who = Who {
                namespace: &namespace.meta.name,
                namespace_labels: &namespace.meta.labels,
                labels: &nobody,
            };
            self.admits(own, who)
        })
    }
}

/// Sorts addresses by what the first step that matches does with them.
fn decide(
    steps: &[Step<'_>],
    left: &mut Addresses,
    through: &mut Addresses,
    passed: &mut Addresses,
) {
    for step in steps {
        let mut matched = if step.rule.peers.is_empty() {
            Addresses::all()
        } else {
            addresses(step.rule.peers.iter())
        };
        matched.limit(left);
        left.take_out(&matched);
        match step.act {
            Act::Accept => through.join(&matched),
            Act::Pass => passed.join(&matched),
            Act::Deny => {}
        }
    }
}

fn granted(grants: &[Grant<'_>]) -> Addresses {
    if grants.iter().any(|grant| grant.rule.peers.is_empty()) {
        return Addresses::all();
    }
    addresses(grants.iter().flat_map(|grant| grant.rule.peers.iter()))
}

fn is_peer(peer: &Peer, own: &str, who: Who<'_>, tier: bool) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => {
            let here = match namespaces {
                Some(namespaces) => namespaces.matches(who.namespace_labels),
                None => who.namespace == own,
            };
            here && pods.as_ref().is_none_or(|pods| pods.matches(who.labels))
        }
        // Blocks are for what is outside of the cluster; but the tiers' also hold pods, of whose
        // addresses we only know that they are in the whole of all addresses.
        Peer::Block { cidr, except } => tier && cidr.prefix == 0 && except.is_empty(),
        Peer::Other(_) => false,
    }
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

/// The widest everyone that the peers of `grants` together stand for, where nothing else has a
/// say. `own` is the policies' namespace.
fn everyone_of(inventory: &Inventory, own: &str, grants: &[Grant<'_>]) -> Option<Everyone> {
    if grants.iter().any(|grant| grant.rule.peers.is_empty()) {
        return Some(Everyone::Anyone);
    }
    let peers = || grants.iter().flat_map(|grant| grant.rule.peers.iter());
    if addresses(peers()).is_internet() {
        return Some(Everyone::Internet);
    }
    all_namespaces(inventory, own, peers()).then_some(Everyone::Cluster)
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
    let open = |peer: &&Peer| match peer {
        Peer::Pods { pods, .. } => pods.as_ref().is_none_or(|pods| pods.matches(&nobody)),
        _ => false,
    };
    let peers: Vec<&Peer> = peers.filter(open).collect();
    let beyond = |peer: &&Peer| {
        matches!(
            peer,
            Peer::Pods {
                namespaces: Some(_),
                ..
            }
        )
    };
    if !peers.iter().any(beyond) {
        return false; // the policies' own namespace at most
    }
    inventory.tables.namespaces.iter().all(|namespace| {
        let who = Who {
            namespace: &namespace.meta.name,
            namespace_labels: &namespace.meta.labels,
            labels: &nobody,
        };
        peers.iter().any(|peer| is_peer(peer, own, who, false))
    })
}

impl Addresses {
    /// Every address.
    pub fn all() -> Self {
        let mut all = Self::default();
        for address in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            all.add(Cidr { address, prefix: 0 });
        }
        all
    }
}
