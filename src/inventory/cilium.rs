//! Cilium's network policies, as far as they can be judged without Cilium: which pods a section
//! puts into default deny, and those allow rules that mean the same to every reader.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Projected, Projection,
    intern::Interner,
    meta::{Str, WireMeta},
    network_policy::{Cidr, PROTOCOLS, Peer, PortRange, Ports, Rule},
    selector::{Selector, Whose, WireSelector},
};

/// A `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`.
#[derive(Debug, PartialEq, Eq)]
pub struct CiliumPolicy {
    /// Its rules for pods: those of `spec` and of each of `specs`.
    pub sections: Box<[Section]>,
}

/// Rules for some pods.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Namespaces and pods; `None` where they are selected by something that we can't see.
    pub pods: Option<(Selector, Selector)>,
    /// Towards them.
    pub ingress: Side,
    /// From them.
    pub egress: Side,
}

/// Rules of one direction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Whether it denies what no rule allows; `None` where nobody can tell.
    pub isolates: Option<bool>,
    /// What it allows, as far as that can be said.
    pub rules: Box<[Rule]>,
    /// Whether it allows something beside.
    pub unclear: bool,
    /// Blocks that it denies on every port, whatever others allow: denials win in Cilium. Of egress
    /// only.
    pub denied: Box<[Peer]>,
    /// Whether it denies something beside.
    pub denies: bool,
}

impl Side {
    /// Whether it says nothing about its direction.
    pub fn is_silent(&self) -> bool {
        self.isolates == Some(false)
            && self.rules.is_empty()
            && !self.unclear
            && self.denied.is_empty()
            && !self.denies
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
    #[serde(borrow)]
    specs: Option<Vec<Spec<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    endpoint_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    ingress: Option<Vec<WireRule<'a>>>,
    ingress_deny: Option<Vec<IgnoredAny>>,
    #[serde(borrow)]
    egress: Option<Vec<WireRule<'a>>>,
    #[serde(borrow)]
    egress_deny: Option<Vec<WireRule<'a>>>,
    enable_default_deny: Option<DefaultDeny>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct DefaultDeny {
    ingress: Option<bool>,
    egress: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRule<'a> {
    #[serde(borrow, alias = "toEndpoints")]
    from_endpoints: Option<Vec<WireSelector<'a>>>,
    #[serde(borrow, alias = "toEntities")]
    from_entities: Option<Vec<Str<'a>>>,
    #[serde(borrow, rename = "fromCIDR", alias = "toCIDR")]
    cidrs: Option<Vec<Str<'a>>>,
    #[serde(borrow, rename = "fromCIDRSet", alias = "toCIDRSet")]
    cidr_sets: Option<Vec<CidrSet<'a>>>,
    #[serde(alias = "toNodes")]
    from_nodes: Option<IgnoredAny>,
    #[serde(alias = "toGroups")]
    from_groups: Option<IgnoredAny>,
    to_services: Option<IgnoredAny>,
    #[serde(borrow, rename = "toFQDNs")]
    to_fqdns: Option<Vec<Fqdn<'a>>>,
    #[serde(alias = "toRequires")]
    from_requires: Option<IgnoredAny>,
    #[serde(borrow)]
    to_ports: Option<Vec<PortRule<'a>>>,
    icmps: Option<IgnoredAny>,
}

/// Domain names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fqdn<'a> {
    #[serde(borrow)]
    match_name: Option<Str<'a>>,
    #[serde(borrow)]
    match_pattern: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct CidrSet<'a> {
    #[serde(borrow)]
    cidr: Option<Str<'a>>,
    #[serde(borrow)]
    except: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Deserialize)]
struct PortRule<'a> {
    #[serde(borrow)]
    ports: Option<Vec<WirePort<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort<'a> {
    #[serde(borrow)]
    port: Option<Str<'a>>,
    end_port: Option<u16>,
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
}

impl Projection for CiliumPolicy {
    type Wire<'a> = Wire<'a>;

    fn keeps_label(_: &str) -> bool {
        false
    }

    fn project(wire: Wire<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let clusterwide = meta.namespace.is_empty();
        let mut sections = Vec::new();
        for spec in wire
            .spec
            .into_iter()
            .chain(wire.specs.into_iter().flatten())
        {
            // Without it the rules are for the nodes themselves.
            let Some(endpoints) = spec.endpoint_selector else {
                continue;
            };
            let deny = spec.enable_default_deny.unwrap_or_default();
            let ingress_deny = spec.ingress_deny.is_some_and(|rules| !rules.is_empty());
            let (denied, egress_deny) = denied(spec.egress_deny.unwrap_or_default())?;
            let any_denied = egress_deny || !denied.is_empty();
            let mut side = |rules, denies, asked| side(rules, denies, asked, clusterwide, interner);
            let ingress = side(spec.ingress, ingress_deny, deny.ingress)?;
            let egress = Side {
                denied,
                denies: egress_deny,
                ..side(spec.egress, any_denied, deny.egress)?
            };
            sections.push(Section {
                pods: endpoints.split(interner, whose)?,
                ingress,
                egress,
            });
        }
        let sections = sections.into();
        Ok((meta, Self { sections }))
    }
}

/// Sorts the keys of Cilium's selectors. Its labels have sources, of which `k8s` is the one that
/// objects of the cluster show.
fn whose(key: &str) -> Option<Whose<'_>> {
    let key = key
        .strip_prefix("k8s:")
        .or_else(|| key.strip_prefix("any:"))
        .unwrap_or(key);
    if key == "io.kubernetes.pod.namespace" {
        return Some(Whose::Namespace("kubernetes.io/metadata.name"));
    }
    if let Some(label) = key.strip_prefix("io.cilium.k8s.namespace.labels.") {
        return Some(Whose::Namespace(label));
    }
    let of_cilium = key.contains(':') || key.starts_with("io.cilium.");
    (!of_cilium).then_some(Whose::Pod(key))
}

fn side(
    rules: Option<Vec<WireRule<'_>>>,
    denies: bool,
    asked: Option<bool>,
    clusterwide: bool,
    interner: &mut Interner,
) -> Result<Side, &'static str> {
    let rules = rules.unwrap_or_default();
    let isolates = match (rules.is_empty() && !denies, asked) {
        (true, Some(true)) => None,
        (true, _) => Some(false),
        (false, asked) => Some(asked.unwrap_or(true)),
    };
    let mut side = Side {
        isolates,
        denies,
        ..Side::default()
    };
    let mut known = Vec::new();
    for rule in rules {
        side.unclear |= !rule.project(clusterwide, &mut known, interner)?;
    }
    side.rules = known.into();
    Ok(side)
}

/// The blocks that rules deny on every port, and whether they deny something beside.
fn denied(rules: Vec<WireRule<'_>>) -> Result<(Box<[Peer]>, bool), &'static str> {
    let (mut blocks, mut beside) = (Vec::new(), false);
    for rule in rules {
        if !rule.is_of_blocks() {
            beside = true;
            continue;
        }
        for cidr in rule.cidrs.iter().flatten() {
            blocks.push(block(cidr, &[])?);
        }
        for set in rule.cidr_sets.iter().flatten() {
            match &set.cidr {
                Some(cidr) => blocks.push(block(cidr, set.except.as_deref().unwrap_or_default())?),
                None => beside = true, // a group of blocks, kept elsewhere
            }
        }
    }
    Ok((blocks.into(), beside))
}

/// Names of clouds' metadata endpoints.
const METADATA: [&str; 5] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

impl Fqdn<'_> {
    /// Adds what it names; `false` where it can't be said. Names are explicit, but for those of
    /// the metadata endpoint, and for patterns that every name matches.
    fn project(&self, peers: &mut Vec<Peer>) -> Result<bool, &'static str> {
        let named = |text: Option<&Str<'_>>| {
            let text = text.map_or("", |text| &**text);
            text.trim().trim_end_matches('.').to_ascii_lowercase()
        };
        let (name, pattern) = (
            named(self.match_name.as_ref()),
            named(self.match_pattern.as_ref()),
        );
        if name.is_empty() && pattern.is_empty() {
            return Ok(false);
        }
        peers.push(Peer::Other("domain names"));
        if !pattern.is_empty() && pattern.chars().all(|c| matches!(c, '*' | '.')) {
            peers.extend([block("0.0.0.0/0", &[])?, block("::/0", &[])?]);
        } else if METADATA
            .iter()
            .any(|known| *known == name || is_like(known, &pattern))
        {
            peers.push(block("169.254.169.254", &[])?);
        }
        Ok(true)
    }
}

/// Whether a name matches a pattern, in which `*` stands for any characters but dots, and `**.` at
/// its beginning for one or more labels.
fn is_like(name: &str, pattern: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**.") {
        let mut dots = name.match_indices('.');
        return dots.any(|(at, _)| is_like(&name[at + 1..], rest));
    }
    let (Some((first, names)), Some((own, patterns))) =
        (name.split_once('.'), pattern.split_once('.'))
    else {
        return !name.contains('.') && !pattern.contains('.') && is_label_like(name, pattern);
    };
    is_label_like(first, own) && is_like(names, patterns)
}

fn is_label_like(label: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return label == pattern;
    };
    let Some(tail) = label.strip_prefix(start) else {
        return false;
    };
    let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    ends.any(|at| is_label_like(&tail[at..], rest))
}

impl WireRule<'_> {
    /// Whether it speaks of address blocks, of every protocol and port, and of nothing else.
    fn is_of_blocks(&self) -> bool {
        let Self {
            from_endpoints,
            from_entities,
            cidrs,
            cidr_sets,
            from_nodes,
            from_groups,
            to_services,
            to_fqdns,
            from_requires,
            to_ports,
            icmps,
        } = self;
        let others = [from_nodes, from_groups, to_services, from_requires, icmps];
        (cidrs.is_some() || cidr_sets.is_some())
            && from_endpoints.is_none()
            && from_entities.is_none()
            && to_fqdns.is_none()
            && to_ports.is_none()
            && others.iter().all(|other| other.is_none())
    }

    /// Adds what it allows; `false` where it allows something that can't be said.
    fn project(
        self,
        clusterwide: bool,
        rules: &mut Vec<Rule>,
        interner: &mut Interner,
    ) -> Result<bool, &'static str> {
        // It narrows what the rest of the rule says, by labels of Cilium's own.
        if self.from_requires.is_some() {
            return Ok(false);
        }
        let others = [
            (self.from_nodes.is_some(), "nodes"),
            (self.from_groups.is_some(), "groups of a cloud provider"),
            (self.to_services.is_some(), "services"),
        ];
        let others = others.into_iter().filter(|(there, _)| *there);
        let mut peers: Vec<_> = others.map(|(_, name)| Peer::Other(name)).collect();
        let mut clear = true;
        for fqdn in self.to_fqdns.iter().flatten() {
            clear &= fqdn.project(&mut peers)?;
        }
        let anyone = peers.is_empty()
            && self.to_fqdns.is_none()
            && self.from_endpoints.is_none()
            && self.from_entities.is_none()
            && self.cidrs.is_none()
            && self.cidr_sets.is_none();
        // A rule that says nothing selects nothing, and ICMP has no ports.
        if anyone && self.to_ports.is_none() {
            return Ok(true);
        }
        for selector in self.from_endpoints.into_iter().flatten() {
            match selector.split(interner, whose)? {
                Some((namespaces, pods)) => peers.push(Peer::Pods {
                    // Without a word about namespaces, the policy's own is meant.
                    namespaces: (clusterwide || !namespaces.is_empty()).then_some(namespaces),
                    pods: Some(pods),
                }),
                None => clear = false,
            }
        }
        let mut all = anyone;
        for entity in self.from_entities.iter().flatten() {
            match &**entity {
                "all" => all = true,
                "cluster" => peers.push(Peer::Pods {
                    namespaces: Some(Selector::default()),
                    pods: None,
                }),
                "world" => peers.extend([block("0.0.0.0/0", &[])?, block("::/0", &[])?]),
                "world-ipv4" => peers.push(block("0.0.0.0/0", &[])?),
                "world-ipv6" => peers.push(block("::/0", &[])?),
                _ => peers.push(Peer::Other("an entity of Cilium")),
            }
        }
        for cidr in self.cidrs.iter().flatten() {
            peers.push(block(cidr, &[])?);
        }
        for set in self.cidr_sets.iter().flatten() {
            match &set.cidr {
                Some(cidr) => peers.push(block(cidr, set.except.as_deref().unwrap_or_default())?),
                None => clear = false, // a group of blocks, kept elsewhere
            }
        }
        if all {
            peers.clear();
        } else if peers.is_empty() {
            return Ok(clear); // an empty list selects nobody
        }
        if let Some(ports) = ports(self.to_ports.unwrap_or_default(), interner) {
            let peers = peers.into();
            rules.push(Rule { peers, ports });
        }
        Ok(clear)
    }
}

/// A block; Cilium also takes a bare address.
fn block(cidr: &str, except: &[Str<'_>]) -> Result<Peer, &'static str> {
    let parse = |text: &str| {
        let text = match (text.contains('/'), text.contains(':')) {
            (true, _) => Cow::Borrowed(text),
            (false, true) => Cow::Owned(format!("{text}/128")),
            (false, false) => Cow::Owned(format!("{text}/32")),
        };
        Cidr::parse(&text).ok_or("a CIDR is not an address block")
    };
    Ok(Peer::Block {
        cidr: parse(cidr)?,
        except: except
            .iter()
            .map(|cidr| parse(cidr))
            .collect::<Result<_, _>>()?,
    })
}

/// `None` where no port of a protocol that has ports is meant; no range at all is every port.
fn ports(rules: Vec<PortRule<'_>>, interner: &mut Interner) -> Option<Box<[PortRange]>> {
    let mut ranges = Vec::new();
    let limited = !rules.is_empty();
    for rule in rules {
        let ports = rule.ports.unwrap_or_default();
        if ports.is_empty() {
            return Some(Box::default());
        }
        for port in ports {
            let ports = match port.port.as_deref() {
                None | Some("" | "0") => Ports::All,
                Some(text) => match text.parse() {
                    Ok(first) => Ports::Range(first, port.end_port.unwrap_or(first).max(first)),
                    Err(_) => Ports::Named(interner.string(text)),
                },
            };
            let wanted = port.protocol.as_deref().unwrap_or("ANY");
            for protocol in PROTOCOLS {
                if wanted.eq_ignore_ascii_case("ANY") || wanted.eq_ignore_ascii_case(protocol) {
                    ranges.push(PortRange {
                        protocol: interner.string(protocol),
                        ports: ports.clone(),
                    });
                }
            }
        }
    }
    (!limited || !ranges.is_empty()).then(|| ranges.into())
}

#[cfg(test)]
mod tests;
