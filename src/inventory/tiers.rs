//! Network policies of the cluster's administrators: `ClusterNetworkPolicy`, and the
//! `AdminNetworkPolicy` and `BaselineAdminNetworkPolicy` that it replaces. One projection for all.

use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::Interner,
    meta::{Str, WireMeta},
    network_policy::{Cidr, PROTOCOLS, Peer, PortRange, Ports, Rule},
    selector::{Selector, WireSelector},
};

/// A policy of the tier before, or the one after, the network policies of namespaces.
#[derive(Debug, PartialEq, Eq)]
pub struct TierPolicy {
    /// Which tier.
    pub tier: Tier,
    /// Lower comes first within the tier.
    pub priority: i32,
    /// Namespaces of the pods that it applies to.
    pub namespaces: Selector,
    /// Which pods in them.
    pub pods: Selector,
    /// Ingress rules, in order.
    pub ingress: Box<[TierRule]>,
    /// Egress rules, in order.
    pub egress: Box<[TierRule]>,
    /// Condition `Accepted`, where somebody has set it.
    pub accepted: Option<bool>,
}

/// When a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Before the network policies of namespaces.
    Admin,
    /// After them, about pods that none of them selects.
    Baseline,
}

/// What a rule of a tier does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Lets it through, for good.
    Accept,
    /// Stops it, for good.
    Deny,
    /// Leaves it to the next tier.
    Pass,
}

/// A rule of a tier; no peer at all means everyone.
#[derive(Debug, PartialEq, Eq)]
pub struct TierRule {
    /// What it does.
    pub act: Act,
    /// With what.
    pub rule: Rule,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    tier: Option<Str<'a>>,
    priority: Option<i32>,
    #[serde(borrow)]
    subject: WirePeer<'a>,
    #[serde(borrow)]
    ingress: Option<Vec<WireRule<'a>>>,
    #[serde(borrow)]
    egress: Option<Vec<WireRule<'a>>>,
}

#[derive(Debug, Deserialize)]
struct WireRule<'a> {
    #[serde(borrow)]
    action: Str<'a>,
    #[serde(borrow)]
    from: Option<Vec<WirePeer<'a>>>,
    #[serde(borrow)]
    to: Option<Vec<WirePeer<'a>>>,
    #[serde(borrow)]
    protocols: Option<Vec<WireProtocol<'a>>>,
    #[serde(borrow)]
    ports: Option<Vec<OldPort<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePeer<'a> {
    #[serde(borrow)]
    namespaces: Option<WireSelector<'a>>,
    #[serde(borrow)]
    pods: Option<NamespacedPods<'a>>,
    nodes: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    networks: Option<Vec<Str<'a>>>,
    domain_names: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamespacedPods<'a> {
    #[serde(borrow)]
    namespace_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    pod_selector: Option<WireSelector<'a>>,
}

/// `v1alpha2`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProtocol<'a> {
    tcp: Option<Destination>,
    udp: Option<Destination>,
    sctp: Option<Destination>,
    #[serde(borrow)]
    destination_named_port: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    destination_port: Option<WirePort>,
}

#[derive(Debug, Deserialize)]
struct WirePort {
    number: Option<u16>,
    range: Option<Span>,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: u16,
    end: u16,
}

/// `v1alpha1`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldPort<'a> {
    #[serde(borrow)]
    port_number: Option<OldNumber<'a>>,
    #[serde(borrow)]
    named_port: Option<Str<'a>>,
    #[serde(borrow)]
    port_range: Option<OldRange<'a>>,
}

#[derive(Debug, Deserialize)]
struct OldNumber<'a> {
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
    port: u16,
}

#[derive(Debug, Deserialize)]
struct OldRange<'a> {
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
    start: u16,
    end: u16,
}

#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    status: Str<'a>,
}

impl Projection for TierPolicy {
    type Wire<'a> = Wire<'a>;

    fn project(wire: Wire<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec;
        // The older kinds have no tier: the baseline one is the one without a priority.
        let tier = match (spec.tier.as_deref(), spec.priority) {
            (Some("Admin"), _) | (None, Some(_)) => Tier::Admin,
            (Some("Baseline"), _) | (None, None) => Tier::Baseline,
            _ => return Err("spec.tier is unknown"),
        };
        let (namespaces, pods) = match spec.subject.selectors(interner)? {
            Some((namespaces, pods)) => (namespaces, pods.unwrap_or_default()),
            None => return Err("spec.subject selects by something unknown"),
        };
        let accepted = wire.status.and_then(|status| {
            let mut conditions = status.conditions.into_iter().flatten();
            let accepted = conditions.find(|condition| &*condition.kind == "Accepted")?;
            Some(&*accepted.status == "True")
        });
        let policy = Self {
            tier,
            priority: spec.priority.unwrap_or(i32::MAX),
            namespaces,
            pods,
            ingress: rules(spec.ingress, interner)?,
            egress: rules(spec.egress, interner)?,
            accepted,
        };
        Ok((meta, policy))
    }
}

impl WirePeer<'_> {
    /// Selectors of namespaces and of pods in them, where it selects pods.
    #[allow(
        clippy::type_complexity,
        reason = "one caller takes the pair apart at once"
    )]
    fn selectors(
        self,
        interner: &mut Interner,
    ) -> Result<Option<(Selector, Option<Selector>)>, &'static str> {
        if let Some(namespaces) = self.namespaces {
            return Ok(Some((namespaces.project(interner)?, None)));
        }
        let Some(pods) = self.pods else {
            return Ok(None);
        };
        let namespaces = pods.namespace_selector.unwrap_or_default();
        let pods = pods.pod_selector.unwrap_or_default();
        Ok(Some((
            namespaces.project(interner)?,
            Some(pods.project(interner)?),
        )))
    }

    /// Adds what it stands for; `false` where that is nothing that this version knows.
    fn project(self, peers: &mut Vec<Peer>, interner: &mut Interner) -> Result<bool, &'static str> {
        let known = peers.len();
        if self.nodes.is_some() {
            peers.push(Peer::Other("nodes"));
        }
        if self.domain_names.is_some() {
            peers.push(Peer::Other("domain names"));
        }
        for network in self.networks.iter().flatten() {
            peers.push(Peer::Block {
                cidr: Cidr::parse(network).ok_or("a network is not an address block")?,
                except: Box::default(),
            });
        }
        if let Some((namespaces, pods)) = self.selectors(interner)? {
            let namespaces = Some(namespaces);
            peers.push(Peer::Pods { namespaces, pods });
        }
        Ok(peers.len() > known)
    }
}

fn rules(
    rules: Option<Vec<WireRule<'_>>>,
    interner: &mut Interner,
) -> Result<Box<[TierRule]>, &'static str> {
    let rules = rules.unwrap_or_default().into_iter();
    let rules = rules.map(|rule| self::rule(rule, interner));
    let rules: Result<Vec<_>, _> = rules.collect();
    Ok(rules?.into_iter().flatten().collect())
}

/// One rule; `None` where it matches nothing.
fn rule(rule: WireRule<'_>, interner: &mut Interner) -> Result<Option<TierRule>, &'static str> {
    let act = match &*rule.action {
        "Accept" | "Allow" => Act::Accept,
        "Deny" => Act::Deny,
        "Pass" => Act::Pass,
        _ => return Err("a rule has an unknown action"),
    };
    let mut ports = Vec::new();
    for protocol in rule.protocols.into_iter().flatten() {
        protocol.project(&mut ports, interner)?;
    }
    for port in rule.ports.into_iter().flatten() {
        port.project(&mut ports, interner)?;
    }
    let (mut peers, mut all_known) = (Vec::new(), true);
    for peer in rule.from.or(rule.to).unwrap_or_default() {
        all_known &= peer.project(&mut peers, interner)?;
    }
    // The API asks to fail closed on a peer that is newer than the reader: a rule that accepts
    // matches nothing by it, any other denies everything.
    if !all_known && act != Act::Accept {
        let (peers, ports) = (Box::default(), Box::default());
        let rule = Rule { peers, ports };
        return Ok(Some(TierRule {
            act: Act::Deny,
            rule,
        }));
    }
    let rule = Rule {
        peers: peers.into(),
        ports: ports.into(),
    };
    Ok((!rule.peers.is_empty()).then_some(TierRule { act, rule }))
}

fn named(name: &str, ports: &mut Vec<PortRange>, interner: &mut Interner) {
    for protocol in PROTOCOLS {
        ports.push(PortRange {
            protocol: interner.string(protocol),
            ports: Ports::Named(interner.string(name)),
        });
    }
}

const NO_PORT: &str = "a rule has a port of an unknown kind";

impl WireProtocol<'_> {
    fn project(
        self,
        ports: &mut Vec<PortRange>,
        interner: &mut Interner,
    ) -> Result<(), &'static str> {
        let known = ports.len();
        if let Some(name) = &self.destination_named_port {
            named(name, ports, interner);
        }
        for (protocol, destination) in PROTOCOLS.into_iter().zip([self.tcp, self.udp, self.sctp]) {
            let Some(destination) = destination else {
                continue;
            };
            let range = match destination.destination_port {
                None => Ports::All,
                Some(WirePort {
                    number: Some(number),
                    ..
                }) => Ports::Range(number, number),
                Some(WirePort {
                    range: Some(Span { start, end }),
                    ..
                }) => Ports::Range(start, end),
                Some(_) => return Err(NO_PORT),
            };
            ports.push(PortRange {
                protocol: interner.string(protocol),
                ports: range,
            });
        }
        if ports.len() == known {
            return Err(NO_PORT);
        }
        Ok(())
    }
}

impl OldPort<'_> {
    fn project(
        self,
        ports: &mut Vec<PortRange>,
        interner: &mut Interner,
    ) -> Result<(), &'static str> {
        let (protocol, range) = match self {
            Self {
                named_port: Some(name),
                ..
            } => {
                named(&name, ports, interner);
                return Ok(());
            }
            Self {
                port_number: Some(OldNumber { protocol, port }),
                ..
            } => (protocol, Ports::Range(port, port)),
            Self {
                port_range:
                    Some(OldRange {
                        protocol,
                        start,
                        end,
                    }),
                ..
            } => (protocol, Ports::Range(start, end)),
            _ => return Err(NO_PORT),
        };
        ports.push(PortRange {
            protocol: interner.string(protocol.as_deref().unwrap_or("TCP")),
            ports: range,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
