//! Calico's network policies, as far as they can be judged without Calico: which pods they select,
//! and those allow rules that mean the same to every reader.
//!
//! Rules that name peers by selector are not among these: a selector may mean network sets as well,
//! which are addresses of whatever kind.

mod expression;
#[cfg(test)]
mod tests;

use serde::{Deserialize, de::IgnoredAny};

pub use self::expression::{Expression, Label};
use super::{
    Projected, Projection,
    intern::Interner,
    meta::{Str, WireMeta},
    network_policy::{Cidr, IntOrString, PROTOCOLS, Peer, PortRange, Ports, Rule},
};

/// A `NetworkPolicy` or `GlobalNetworkPolicy` of Calico.
#[derive(Debug, PartialEq, Eq)]
pub struct CalicoPolicy {
    /// Which pods; `None` where that can't be understood.
    pub pods: Option<Expression>,
    /// In which namespaces, for a policy of the cluster; `None` where that can't be understood.
    pub namespaces: Option<Expression>,
    /// Whether it is about the interfaces of nodes only, before or without tracking of connections.
    pub hosts_only: bool,
    /// Whether it is of the tier that `NetworkPolicies` are of as well: where one of these selects a
    /// pod and no rule matches, the traffic is denied. What others do at their end, their Tier says.
    pub default_tier: bool,
    /// What it says about ingress; `None` where that is nothing.
    pub ingress: Option<CalicoSide>,
    /// What it says about egress; `None` where that is nothing.
    pub egress: Option<CalicoSide>,
}

/// Rules of one direction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CalicoSide {
    /// What it allows, as far as that can be said.
    pub rules: Box<[Rule]>,
    /// Whether it may allow something beside.
    pub unclear: bool,
    /// Whether it denies something that others may allow.
    pub denies: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    tier: Option<Str<'a>>,
    #[serde(borrow)]
    selector: Option<Str<'a>>,
    #[serde(borrow)]
    namespace_selector: Option<Str<'a>>,
    #[serde(borrow)]
    service_account_selector: Option<Str<'a>>,
    #[serde(borrow)]
    types: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    ingress: Option<Vec<WireRule<'a>>>,
    #[serde(borrow)]
    egress: Option<Vec<WireRule<'a>>>,
    do_not_track: Option<bool>,
    #[serde(rename = "preDNAT")]
    pre_dnat: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRule<'a> {
    #[serde(borrow)]
    action: Str<'a>,
    #[serde(borrow)]
    protocol: Option<IntOrString<'a>>,
    not_protocol: Option<IgnoredAny>,
    ip_version: Option<IgnoredAny>,
    icmp: Option<IgnoredAny>,
    #[serde(rename = "notICMP")]
    not_icmp: Option<IgnoredAny>,
    http: Option<IgnoredAny>,
    #[serde(borrow)]
    source: Option<Entity<'a>>,
    #[serde(borrow)]
    destination: Option<Entity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity<'a> {
    #[serde(borrow)]
    nets: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    ports: Option<Vec<IntOrString<'a>>>,
    not_nets: Option<Vec<IgnoredAny>>,
    not_ports: Option<Vec<IgnoredAny>>,
    #[serde(borrow)]
    selector: Option<Str<'a>>,
    #[serde(borrow)]
    not_selector: Option<Str<'a>>,
    #[serde(borrow)]
    namespace_selector: Option<Str<'a>>,
    service_accounts: Option<IgnoredAny>,
    services: Option<IgnoredAny>,
    domains: Option<Vec<IgnoredAny>>,
}

impl Projection for CalicoPolicy {
    type Wire<'a> = Wire<'a>;

    fn keeps_label(_: &str) -> bool {
        false
    }

    fn project(wire: Wire<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let read = |text: Option<&str>, interner: &mut Interner| {
            Expression::parse(text.unwrap_or_default(), interner)
        };
        // The labels of accounts are not kept.
        let by_account = spec.service_account_selector.as_deref();
        let by_account = by_account.is_some_and(|selector| !selector.is_empty());
        let (ingress, egress) = (
            spec.ingress.unwrap_or_default(),
            spec.egress.unwrap_or_default(),
        );
        let named = |kind: &str| spec.types.as_ref().map(|t| t.iter().any(|t| **t == *kind));
        // Without types, rules decide: `defaultPolicyTypesField` of libcalico-go.
        let is_egress = named("Egress").unwrap_or(!egress.is_empty());
        let is_ingress = named("Ingress").unwrap_or(!is_egress || !ingress.is_empty());
        let policy = Self {
            pods: read(spec.selector.as_deref(), interner).filter(|_| !by_account),
            namespaces: read(spec.namespace_selector.as_deref(), interner),
            hosts_only: spec.do_not_track == Some(true) || spec.pre_dnat == Some(true),
            default_tier: matches!(spec.tier.as_deref(), None | Some("" | "default")),
            ingress: is_ingress.then(|| side(ingress, true, interner)),
            egress: is_egress.then(|| side(egress, false, interner)),
        };
        Ok((meta, policy))
    }
}

fn side(rules: Vec<WireRule<'_>>, ingress: bool, interner: &mut Interner) -> CalicoSide {
    let mut side = CalicoSide::default();
    let mut allowed = Vec::new();
    for rule in rules {
        match &*rule.action {
            "Log" => {}
            "Deny" => side.denies = true,
            "Allow" => match rule.allows(ingress, interner) {
                Ok(rule) => allowed.extend(rule),
                Err(Unclear) => side.unclear = true,
            },
            // It leaves the traffic to who comes next, which may allow it.
            _ => side.unclear = true,
        }
    }
    side.rules = allowed.into();
    side
}

/// What a rule allows can't be said.
struct Unclear;

impl WireRule<'_> {
    /// What it allows of the protocols that a network policy can tell apart: nothing where it is
    /// about others.
    fn allows(self, ingress: bool, interner: &mut Interner) -> Result<Option<Rule>, Unclear> {
        let (source, destination) = (
            self.source.unwrap_or_default(),
            self.destination.unwrap_or_default(),
        );
        let special = [
            &self.not_protocol,
            &self.ip_version,
            &self.icmp,
            &self.not_icmp,
            &self.http,
        ];
        if special.into_iter().any(Option::is_some)
            || source.is_special()
            || destination.is_special()
        {
            return Err(Unclear);
        }
        let protocols = match self.protocol {
            None => PROTOCOLS.to_vec(),
            Some(protocol) => match known(&protocol)? {
                Some(protocol) => vec![protocol],
                None => return Ok(None),
            },
        };
        let (peer, own) = if ingress {
            (&source, &destination)
        } else {
            (&destination, &source)
        };
        // Ports of the client, and addresses of the pod itself, make it narrower: how far is not
        // worked out.
        if own.nets.is_some() || source.ports.is_some() {
            return Err(Unclear);
        }
        let ports = match &destination.ports {
            None if protocols.len() == PROTOCOLS.len() => Vec::new(),
            None => ranges(&protocols, &[Ports::All], interner),
            Some(ports) => {
                let ports: Option<Vec<_>> =
                    ports.iter().map(|port| range(port, interner)).collect();
                ranges(&protocols, &ports.ok_or(Unclear)?, interner)
            }
        };
        let nets = peer.nets.as_ref();
        let peers: Option<Vec<Peer>> = nets.into_iter().flatten().map(|net| block(net)).collect();
        let peers = peers.ok_or(Unclear)?;
        // An empty list of addresses is none at all; no peer means everybody.
        if nets.is_some() && peers.is_empty() {
            return Err(Unclear);
        }
        Ok(Some(Rule {
            peers: peers.into(),
            ports: ports.into(),
        }))
    }
}

/// A protocol that a network policy can tell apart; `None` for one that carries no ports.
fn known(protocol: &IntOrString<'_>) -> Result<Option<&'static str>, Unclear> {
    let name = match protocol {
        IntOrString::Int(6) => "TCP",
        IntOrString::Int(17) => "UDP",
        IntOrString::Int(132) => "SCTP",
        IntOrString::Int(1 | 58) => "ICMP",
        IntOrString::Int(_) => return Err(Unclear),
        IntOrString::String(name) => name,
    };
    let same = |known: &&str| name.eq_ignore_ascii_case(known);
    let of_ports = PROTOCOLS.into_iter().find(same);
    if of_ports.is_none() && !["ICMP", "ICMPv6"].iter().any(same) {
        return Err(Unclear);
    }
    Ok(of_ports)
}

fn ranges(protocols: &[&str], ports: &[Ports], interner: &mut Interner) -> Vec<PortRange> {
    let mut all = Vec::new();
    for protocol in protocols {
        all.extend(ports.iter().map(|ports| PortRange {
            protocol: interner.string(protocol),
            ports: ports.clone(),
        }));
    }
    all
}

/// A port by number, a range such as `6000:6010`, or the name of one.
fn range(port: &IntOrString<'_>, interner: &mut Interner) -> Option<Ports> {
    match port {
        IntOrString::Int(number) => Some(Ports::Range(*number, *number)),
        IntOrString::String(text) => match text.split_once(':') {
            Some((first, last)) => Some(Ports::Range(first.parse().ok()?, last.parse().ok()?)),
            None => match text.parse() {
                Ok(number) => Some(Ports::Range(number, number)),
                Err(_) => Some(Ports::Named(interner.string(text))),
            },
        },
    }
}

/// A network; an address alone is one of its own.
fn block(net: &str) -> Option<Peer> {
    let whole = || {
        let address: std::net::IpAddr = net.parse().ok()?;
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Some(Cidr { address, prefix })
    };
    Some(Peer::Block {
        cidr: Cidr::parse(net).or_else(whole)?,
        except: Box::default(),
    })
}

impl Entity<'_> {
    /// Whether it speaks of more than addresses and ports.
    fn is_special(&self) -> bool {
        let texts = [&self.selector, &self.not_selector, &self.namespace_selector];
        let lists = [&self.not_nets, &self.not_ports, &self.domains];
        texts.into_iter().flatten().any(|text| !text.is_empty())
            || lists.into_iter().flatten().any(|list| !list.is_empty())
            || self.service_accounts.is_some()
            || self.services.is_some()
    }
}
