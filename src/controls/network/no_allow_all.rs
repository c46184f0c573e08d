//! `net-no-allow-all`

use std::collections::BTreeSet;

use serde_json::json;

use super::common::{self, let_by, list, rule_ports};
use crate::{
    analysis::{
        Derived,
        exposure::{Declared, declared_ports, exposed_by},
        network::{Applying, Direction, Everyone, Policy, Segment},
    },
    controls::prelude::*,
    controls::workloads::{self, Held},
    inventory::tiers::Act,
};

/// No workload that network policies isolate is opened to everyone again by the rules of those
/// policies taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoAllowAll {
    /// Let workloads that are exposed (by an Ingress, a route of a Gateway, a Service of type
    /// `LoadBalancer` or `NodePort` or with external addresses, or a hostPort) be reached from
    /// anywhere on the ports that they declare.
    #[serde(default = "yes")]
    pub allow_for_exposed: bool,
}

const fn yes() -> bool {
    true
}

impl Default for NoAllowAll {
    fn default() -> Self {
        Self {
            allow_for_exposed: true,
        }
    }
}

impl NoAllowAll {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-no-allow-all",
        field: "netNoAllowAll",
        title: "No network policy opens a workload to everyone",
        family: Family::Network,
        criteria: &["CC6.1", "CC6.6"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 4,
        reads: &[
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
            Kind::Service,
            Kind::Ingress,
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::TlsRoute,
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::XListenerSet,
        ],
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "For each workload that a NetworkPolicy isolates, all policies that select its pods \
               together must not let everyone in. Everyone means any source (a rule without \
               `from`), a quarter or more of the public IPv4 or IPv6 addresses by union of the \
               blocks (the IPv6 addresses by which NAT64 reaches IPv4 ones, 64:ff9b::/96, count as \
               those), or all pods of all namespaces, however these are selected. On declared \
               ports (of a container, or the target of a Service) all namespaces are fine, and \
               anywhere is fine for an exposed workload.",
        why: "Policies add up: one rule that lets everyone in makes all others of the same pods \
              moot, and an isolated workload is open all the same.",
        fix: "Proposed: the policy to narrow and the rule to write instead. Nothing is changed, \
              because only the owner knows who has to come in.",
        by_hand: "Replace the rule that lets everyone in by one that names who has to come in, by \
               namespace and pod labels and port.",
        prevention: "A ValidatingAdmissionPolicy can refuse a single policy with an empty `from`; what \
               several together allow it can't see.",
        limits: "Judged by the template, also at zero replicas, and by how live pods look where \
                 that is otherwise; labels that only tell pods of one workload apart are not \
                 kept. A workload that nothing isolates is not judged here but by \
                 `net-pod-ingress-isolated`; nor is one in the node's network. Namespaces count as \
                 they are now. A podSelector that pods without labels satisfy selects all. \
                 Private address blocks are not taken for the pods of the cluster. A workload is \
                 exposed as a whole: the port in question need not be the exposed one; an Ingress \
                 counts whether a controller serves it or not, an HTTPRoute if its Gateway \
                 (or ListenerSet) exists. ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy \
                 count, accepted or not; so do the rules of Cilium that mean the same to every reader. \
                 Where other rules of Cilium may matter, or rules of Calico by selectors or of tiers \
                 of their own, the verdict is Unknown.",
    };

    fn rule(&self, context: &Context<'_>, held: &Held<'_>) -> Verdict {
        let (inventory, namespace) = (context.inventory, &*held.meta.namespace);
        if held.template.host_network {
            return common::host_network();
        }
        let declared = declared_ports(inventory, namespace, held.template);
        let cuts: Vec<u16> = declared.iter().map(|(_, port)| *port).collect();
        let applying = Applying::gather(inventory, namespace, held.template, Direction::Ingress);
        if !applying.is_isolated() {
            return Verdict::not_applicable(
                "NotIsolated",
                "no NetworkPolicy isolates the pods for ingress: see net-pod-ingress-isolated",
            );
        }
        let segments = applying.segments(&held.template.ports, &cuts);
        let open: Vec<_> = segments
            .iter()
            .filter_map(|segment| Opening::of(inventory, namespace, segment, &declared))
            .collect();
        let by = exposed_by(inventory, namespace, held.template);
        let exposed = self.allow_for_exposed && by.is_some();
        let worst = open.iter().filter(|opening| !opening.is_fine(exposed));
        // Undeclared ports first, then the widest sources: the plainest witness.
        let Some(worst) = worst.min_by_key(|opening| (opening.declared, opening.source)) else {
            let verdict = Verdict::pass(Strength::Effective, "NoAllowAll", "");
            return common::unless_doubtful(verdict, &applying);
        };
        // All that the guilty policies let the same sources reach, declared or not.
        let witness = segments.iter().filter(|segment| {
            let own = only(segment, &worst.policies);
            let everyone = own.everyone(inventory, namespace);
            everyone.is_some_and(|source| source <= worst.source)
        });
        let ports = ports(witness);
        let policies: Vec<_> = worst.policies.iter().copied().collect();
        let message = message(worst, &policies, &ports, by.is_none());
        let keeps_peers = worst.source == Everyone::Cluster || exposed;
        let names: Vec<_> = policies.iter().map(|policy| policy_name(*policy)).collect();
        let proposal = proposal(&list(&names, " and "), keeps_peers, &declared);
        let verdict = Verdict::fail(Strength::Effective, reason(worst, &ports), message);
        common::unless_doubtful(verdict.propose(proposal), &applying)
    }
}

fn policy_name(policy: Policy<'_>) -> String {
    let meta = policy.meta;
    if meta.namespace.is_empty() {
        meta.name.to_string()
    } else {
        format!("{}/{}", meta.namespace, meta.name)
    }
}

/// Everyone may reach every port.
const ALL: &str = "AllowAll";

fn reason(worst: &Opening<'_>, ports: &str) -> &'static str {
    match worst.declared {
        false if ports == EVERY_PORT => ALL,
        false => "AllowAllOnUndeclaredPorts",
        true => "AllowAnywhere",
    }
}

/// The segment if only these policies let anything in.
fn only<'a>(segment: &Segment<'a>, policies: &BTreeSet<Policy<'a>>) -> Segment<'a> {
    let mut own = segment.clone();
    own.grants.retain(|grant| policies.contains(&grant.policy));
    own.admin
        .retain(|step| step.act != Act::Accept || policies.contains(&step.policy));
    own
}

/// Ports that everyone may reach.
struct Opening<'a> {
    source: Everyone,
    declared: bool,
    policies: BTreeSet<Policy<'a>>,
}

impl<'a> Opening<'a> {
    fn of(
        inventory: &Inventory,
        namespace: &str,
        segment: &Segment<'a>,
        declared: &[Declared],
    ) -> Option<Self> {
        let source = segment.everyone(inventory, namespace)?;
        // Segments are cut at declared ports: one that is longer holds undeclared ones.
        let declared = segment.first == segment.last
            && declared.iter().any(|(protocol, port)| {
                *port == segment.first && protocol.is_none_or(|p| p == segment.protocol)
            });
        let opens = |policies: &BTreeSet<Policy<'a>>| {
            let own = only(segment, policies).everyone(inventory, namespace);
            own.is_some_and(|own| own <= source)
        };
        let accepting = segment.admin.iter().filter(|step| step.act == Act::Accept);
        let granting = segment.grants.iter().map(|grant| grant.policy);
        let mut all: BTreeSet<_> = granting.chain(accepting.map(|step| step.policy)).collect();
        // Policies that do it alone are the guilty ones; else those that it takes together.
        let alone = all
            .iter()
            .copied()
            .filter(|policy| opens(&[*policy].into()));
        let alone: BTreeSet<_> = alone.collect();
        if alone.is_empty() {
            for policy in all.clone() {
                all.remove(&policy);
                if !opens(&all) {
                    all.insert(policy);
                }
            }
        }
        Some(Self {
            source,
            declared,
            policies: if alone.is_empty() { all } else { alone },
        })
    }

    /// Whether the rule allows it.
    fn is_fine(&self, exposed: bool) -> bool {
        self.declared && (self.source == Everyone::Cluster || exposed)
    }
}

/// The failure in words: from where, to which ports, by which policy.
fn message(worst: &Opening<'_>, policies: &[Policy<'_>], ports: &str, unexposed: bool) -> String {
    let source = match worst.source {
        Everyone::Anyone => "any source",
        Everyone::Internet => "a quarter or more of the public addresses",
        Everyone::Cluster => "all pods of all namespaces",
    };
    let because = match worst.declared {
        false if ports != EVERY_PORT => ", not all of which a container or Service declares",
        true if unexposed => ", and nothing exposes the workload",
        _ => "",
    };
    format!("{} {source} reach {ports}{because}", let_by(policies))
}

const EVERY_PORT: &str = "every port";

/// The ports of neighbouring segments in words.
fn ports<'a>(segments: impl Iterator<Item = &'a Segment<'a>>) -> String {
    let mut ranges: Vec<(&str, u16, u16)> = Vec::new();
    for segment in segments {
        match ranges.last_mut() {
            Some((protocol, _, last))
                if *protocol == segment.protocol && *last + 1 == segment.first =>
            {
                *last = segment.last;
            }
            _ => ranges.push((segment.protocol, segment.first, segment.last)),
        }
    }
    let all = |(_, first, last): &(&str, u16, u16)| *first == 1 && *last == u16::MAX;
    if ranges.len() == 3 && ranges.iter().all(all) {
        return EVERY_PORT.to_owned();
    }
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| match range {
            (protocol, 1, u16::MAX) => format!("every {protocol} port"),
            (protocol, first, last) if first == last => format!("{protocol} port {first}"),
            (protocol, first, last) => format!("{protocol} ports {first}–{last}"),
        })
        .collect();
    list(&ranges, ", ")
}

/// A rule to write instead: the declared ports, and, where peers have to be narrowed, the pods of
/// the namespace to begin with.
fn proposal(policies: &str, keeps_peers: bool, declared: &[Declared]) -> String {
    let ports = rule_ports(declared);
    let mut rule = json!({ "ports": ports });
    if keeps_peers && ports.is_empty() {
        return format!(
            "in {policies}, narrow `from` to the namespaces and pods that need it, or declare the \
             ports that the workload serves and name them in the rule"
        );
    }
    if keeps_peers {
        return format!(
            "in {policies}, limit the rule to the declared ports, `{rule}`; better, narrow `from` \
             to those who need it as well"
        );
    }
    rule["from"] = json!([{ "podSelector": {} }]);
    format!(
        "in {policies}, replace the rule by `{rule}`, and add to `from` the namespaces and pods \
         that have to come in"
    )
}

impl Control for NoAllowAll {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // Routes and Gateways reach Services across namespaces.
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::Gateway
            | Kind::ListenerSet
            | Kind::XListenerSet => Touched::All,
            Kind::Service | Kind::Ingress => Touched::Namespace(change.namespace.clone()),
            _ => common::touched(change),
        }
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        common::affected(subject)
    }

    fn fails_whatever(&self, _: &Subject, reason: &str, kind: Kind) -> bool {
        // Services excuse the ports that they declare; nobody declares every port there is.
        reason == ALL && matches!(kind, Kind::Service | Kind::Ingress)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        workloads::each(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let verdict = common::worst_look(context, subject, &held, |look| self.rule(context, look));
        // Nothing that an unread policy says could close what others open.
        let certain = verdict.outcome == Outcome::Fail || verdict.reason == "HostNetwork";
        let mut broken = context.inventory.tables.network_policies.broken();
        let unread = broken.find(|((namespace, _), _)| **namespace == *subject.namespace);
        Some(match unread {
            Some(((namespace, name), _)) if !certain => Verdict::unknown(
                "PolicyNotReadable",
                format!("NetworkPolicy {namespace}/{name} can't be decoded"),
            ),
            _ => verdict,
        })
    }
}

#[cfg(test)]
mod tests;
