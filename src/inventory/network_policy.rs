//! Network policies.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    selector::{Selector, WireSelector},
};

/// A network policy with its defaults filled in.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Pods that the policy isolates.
    pub pods: Selector,
    /// Ingress rules; `None` where the policy says nothing about ingress.
    pub ingress: Option<Box<[Rule]>>,
    /// Egress rules; `None` where the policy says nothing about egress.
    pub egress: Option<Box<[Rule]>>,
    /// The spec as the server sent it, to put it back.
    pub spec: Box<str>,
}

/// One allow rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may talk; empty means everyone.
    pub peers: Box<[Peer]>,
    /// On which ports; empty means all.
    pub ports: Box<[PortRange]>,
}

/// One peer of a rule.
#[derive(Debug, PartialEq, Eq)]
pub enum Peer {
    /// Pods by label; `namespaces: None` means the policy's own namespace.
    Pods {
        /// Which namespaces.
        namespaces: Option<Selector>,
        /// Which pods in them; `None` means all.
        pods: Option<Selector>,
    },
    /// Addresses.
    Block {
        /// The network.
        cidr: Cidr,
        /// Networks taken out of it.
        except: Box<[Cidr]>,
    },
    /// A few named things that are neither pods nor blocks: `nodes`, `domain names` and the like.
    Other(&'static str),
}

impl Rule {
    /// Whether it speaks of every port of every protocol.
    pub fn is_every_port(&self) -> bool {
        let whole = |protocol: &str| {
            let mut ports = self.ports.iter();
            ports.any(|port| {
                let all = matches!(port.ports, Ports::All | Ports::Range(0 | 1, u16::MAX));
                &*port.protocol == protocol && all
            })
        };
        self.ports.is_empty() || PROTOCOLS.into_iter().all(whole)
    }
}

/// Protocols that a policy can tell apart.
pub const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// An address block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// Network address.
    pub address: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix = prefix.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address, prefix })
    }
}

/// Ports of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct PortRange {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Sym,
    /// Which ports of that protocol.
    pub ports: Ports,
}

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// All of the protocol.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// The container port with this name.
    Named(Sym),
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec<'a> {
    #[serde(borrow)]
    pod_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    policy_types: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    ingress: Option<Vec<WireRule<'a>>>,
    #[serde(borrow)]
    egress: Option<Vec<WireRule<'a>>>,
}

#[derive(Debug, Deserialize)]
struct WireRule<'a> {
    #[serde(borrow)]
    from: Option<Vec<WirePeer<'a>>>,
    #[serde(borrow)]
    to: Option<Vec<WirePeer<'a>>>,
    #[serde(borrow)]
    ports: Option<Vec<WirePort<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePeer<'a> {
    #[serde(borrow)]
    pod_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    namespace_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    ip_block: Option<WireBlock<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireBlock<'a> {
    #[serde(borrow)]
    cidr: Str<'a>,
    #[serde(borrow)]
    except: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort<'a> {
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
    #[serde(borrow)]
    port: Option<IntOrString<'a>>,
    end_port: Option<u16>,
}

/// A port by number or by name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum IntOrString<'a> {
    /// By number.
    Int(u16),
    /// By name.
    #[serde(borrow)]
    String(Str<'a>),
}

impl Projection for NetworkPolicy {
    type Wire<'a> = Wire<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&["f:spec"]];

    fn project(wire: Wire<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let raw = wire.spec.map_or("{}", RawValue::get);
        let spec: WireSpec<'_> =
            serde_json::from_str(raw).map_err(|_| "spec has a field of the wrong type")?;
        // Absent policyTypes mean Ingress always, and Egress where there are egress rules.
        let types = spec.policy_types.unwrap_or_default();
        let has_egress_rules = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
        let named = |direction: &str| types.iter().any(|t| &**t == direction);
        let ingress = types.is_empty() || named("Ingress");
        let egress = named("Egress") || (types.is_empty() && has_egress_rules);
        let policy = Self {
            pods: spec.pod_selector.unwrap_or_default().project(interner)?,
            ingress: ingress.then(|| rules(spec.ingress, interner)).transpose()?,
            egress: egress.then(|| rules(spec.egress, interner)).transpose()?,
            spec: raw.into(),
        };
        Ok((meta, policy))
    }
}

fn rules(
    rules: Option<Vec<WireRule<'_>>>,
    interner: &mut Interner,
) -> Result<Box<[Rule]>, &'static str> {
    let rule = |rule: WireRule<'_>| {
        let peers = rule.from.or(rule.to).unwrap_or_default();
        Ok(Rule {
            peers: peers
                .into_iter()
                .map(|peer| self::peer(peer, interner))
                .collect::<Result<_, _>>()?,
            ports: rule
                .ports
                .into_iter()
                .flatten()
                .map(|port| self::port(&port, interner))
                .collect(),
        })
    };
    rules.unwrap_or_default().into_iter().map(rule).collect()
}

fn peer(peer: WirePeer<'_>, interner: &mut Interner) -> Result<Peer, &'static str> {
    if let Some(block) = peer.ip_block {
        const BAD: &str = "an ipBlock is not an address block";
        let except = block.except.unwrap_or_default();
        return Ok(Peer::Block {
            cidr: Cidr::parse(&block.cidr).ok_or(BAD)?,
            except: except
                .iter()
                .map(|cidr| Cidr::parse(cidr).ok_or(BAD))
                .collect::<Result<_, _>>()?,
        });
    }
    let project = |s: Option<WireSelector<'_>>, interner: &mut Interner| {
        s.map(|selector| selector.project(interner)).transpose()
    };
    Ok(Peer::Pods {
        namespaces: project(peer.namespace_selector, interner)?,
        pods: project(peer.pod_selector, interner)?,
    })
}

fn port(port: &WirePort<'_>, interner: &mut Interner) -> PortRange {
    PortRange {
        protocol: interner.string(port.protocol.as_deref().unwrap_or("TCP")),
        ports: match &port.port {
            None => Ports::All,
            Some(IntOrString::Int(first)) => Ports::Range(*first, port.end_port.unwrap_or(*first)),
            Some(IntOrString::String(name)) => Ports::Named(interner.string(name)),
        },
    }
}
