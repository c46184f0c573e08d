//! `net-cross-namespace-explicit`

use serde_json::json;

use super::common;
use crate::{
    analysis::{
        Derived,
        addresses::Addresses,
        network::{Applying, Direction, Policy, addresses},
    },
    controls::{
        labels::LabelSelector,
        prelude::*,
        workloads::{self, Held},
    },
    inventory::{
        meta::Labels,
        network_policy::{Cidr, Peer, Rule},
        selector::Selector,
        tiers::Act,
    },
};

/// Workloads of confidential namespaces let pods of other namespaces in only where a policy names
/// those namespaces, and the pods in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrossNamespaceExplicit {
    /// Namespaces, by label, that are confidential.
    #[serde(default = "confidential")]
    pub confidential_selector: LabelSelector,

    /// Accept only the label `kubernetes.io/metadata.name`, which nobody can change, for naming
    /// a namespace.
    #[serde(default)]
    pub require_name_label: bool,

    /// Addresses of pods, such as `10.244.0.0/16`. Without them a block of private addresses may
    /// or may not hold pods, and is Unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub pod_cidrs: Vec<String>,
}

fn confidential() -> LabelSelector {
    let label = json!({ "matchLabels": { "probity.dev/data": "confidential" } });
    LabelSelector::parse(label).unwrap_or_default()
}

impl Default for CrossNamespaceExplicit {
    fn default() -> Self {
        Self {
            confidential_selector: confidential(),
            require_name_label: false,
            pod_cidrs: Vec::new(),
        }
    }
}

/// The label that the API server puts on each namespace, and nobody can change.
const NAME: &str = "kubernetes.io/metadata.name";

/// Address ranges that pods usually have: private, shared and unique local ones.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

impl CrossNamespaceExplicit {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-cross-namespace-explicit",
        field: "netCrossNamespaceExplicit",
        title: "Confidential namespaces name whom they let in",
        family: Family::Network,
        criteria: &["CC6.1"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &workloads::KINDS,
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "For each workload of a confidential namespace that something isolates for ingress, \
               every rule that lets pods of other namespaces in names these namespaces by label \
               (equality or `In`) and their pods by a podSelector that a pod without labels does \
               not satisfy. Rules without `from`, all namespaces, `NotIn`, and blocks that hold \
               addresses of pods are not explicit.",
        why: "Confidential data is as safe as the least careful workload that may ask for it: who \
              that is has to be written down, and must not grow with the next namespace.",
        fix: "Proposed: the policy and the peer to narrow. Nothing is changed, because only the \
              owner knows who has to come in.",
        by_hand: "Give each peer from another namespace a namespaceSelector on \
                  `kubernetes.io/metadata.name` and a podSelector in the same entry of `from`.",
        prevention: "A ValidatingAdmissionPolicy on NetworkPolicies of confidential namespaces \
                     can refuse peers without both selectors; it judges one policy at a time, not \
                     what several come to.",
        limits: "Whoever may change a namespace's labels may make it one that a policy names: \
                 `requireNameLabel` accepts only the label that holds its name. A workload that \
                 nothing isolates is a finding of `net-pod-ingress-isolated` alone. Addresses of \
                 pods are not read from the cluster: without `podCidrs`, a block that holds a whole \
                 range of private addresses fails, and one that holds a part of one is Unknown. \
                 An accepting rule of the Admin tier counts even where a rule before it denies, and what \
                 a policy lets in counts even where the Admin tier denies it.",
    };

    fn pods(&self) -> Addresses {
        union(self.pod_cidrs.iter().map(String::as_str))
    }

    /// What is wrong with a rule of a policy of `own`.
    fn flaw(&self, rule: &Rule, own: &str) -> Option<Flaw> {
        if rule.peers.is_empty() {
            return Some(Flaw::certain("any source"));
        }
        rule.peers.iter().find_map(|peer| match peer {
            Peer::Pods {
                namespaces: Some(namespaces),
                pods,
            } => self.unnamed(namespaces, pods.as_ref(), own),
            Peer::Block { .. } => self.block(peer),
            Peer::Pods { .. } | Peer::Other(_) => None,
        })
    }

    fn unnamed(&self, namespaces: &Selector, pods: Option<&Selector>, own: &str) -> Option<Flaw> {
        let names = namespaces.names(NAME);
        if names.is_some_and(|names| names.iter().all(|name| **name == *own)) {
            return None; // its own namespace, spelt out
        }
        let nobody = Labels::default();
        if !namespaces.is_explicit() {
            Some(Flaw::certain(format!(
                "pods of namespaces that are not named (namespaceSelector: {namespaces})"
            )))
        } else if self.require_name_label && names.is_none() {
            Some(Flaw::certain(format!(
                "pods of namespaces named by a label that can be changed ({namespaces})"
            )))
        } else if pods.is_none_or(|pods| pods.matches(&nobody)) {
            Some(Flaw::certain(format!(
                "all pods of namespaces {namespaces}"
            )))
        } else {
            None
        }
    }

    fn block(&self, peer: &Peer) -> Option<Flaw> {
        let block = addresses(std::iter::once(peer));
        let words = || match peer {
            Peer::Block { cidr, .. } => format!("the block {}/{}", cidr.address, cidr.prefix),
            _ => String::new(),
        };
        let shares = |other: &Addresses| {
            let mut shared = block.clone();
            shared.limit(other);
            !shared.is_empty()
        };
        if !self.pod_cidrs.is_empty() {
            let holds = shares(&self.pods());
            return holds
                .then(|| Flaw::certain(format!("{}, which holds addresses of pods", words())));
        }
        let whole = PRIVATE.iter().any(|range| {
            let mut rest = union(std::iter::once(*range));
            rest.take_out(&block);
            rest.is_empty()
        });
        if whole {
            Some(Flaw::certain(format!(
                "{}, which holds a whole range of private addresses",
                words()
            )))
        } else if shares(&union(PRIVATE.into_iter())) {
            let what = format!(
                "{}: set podCidrs, so that it can be told from pods",
                words()
            );
            Some(Flaw {
                what,
                certain: false,
            })
        } else {
            None
        }
    }

    fn rule(&self, context: &Context<'_>, held: &Held<'_>) -> Verdict {
        let namespace = &*held.meta.namespace;
        if held.template.host_network {
            return common::host_network();
        }
        let direction = Direction::Ingress;
        let applying = Applying::gather(context.inventory, namespace, held.template, direction);
        if !applying.is_isolated() {
            return Verdict::not_applicable(
                "NotIsolated",
                "no NetworkPolicy isolates the pods for ingress: see net-pod-ingress-isolated",
            );
        }
        let accepting = applying.admin.iter().filter(|step| step.act == Act::Accept);
        let grants = applying
            .grants
            .iter()
            .map(|grant| (grant.policy, grant.rule));
        let rules = grants.chain(accepting.map(|step| (step.policy, step.rule)));
        let flaws: Vec<(Policy<'_>, Flaw)> = rules
            .filter_map(|(policy, rule)| Some((policy, self.flaw(rule, namespace)?)))
            .collect();
        let worst = flaws
            .iter()
            .find(|(_, flaw)| flaw.certain)
            .or(flaws.first());
        let verdict = match worst {
            None => Verdict::pass(Strength::Effective, "PeersNamed", ""),
            Some((policy, flaw)) if flaw.certain => Verdict::fail(
                Strength::Effective,
                "PeersNotNamed",
                format!("{policy} lets {} in", flaw.what),
            )
            .propose(format!(
                "in {policy}, replace that peer by one for each namespace that has to come in: \
                 `{}`",
                json!({
                    "namespaceSelector": { "matchLabels": { NAME: "…" } },
                    "podSelector": { "matchLabels": { "app": "…" } },
                })
            )),
            Some((policy, flaw)) => Verdict::unknown(
                "PodAddressesNotKnown",
                format!("{policy} lets in {}", flaw.what),
            ),
        };
        common::unless_doubtful(verdict, &applying)
    }
}

/// Someone who is let in without being named.
struct Flaw {
    what: String,
    certain: bool,
}

impl Flaw {
    fn certain(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            certain: true,
        }
    }
}

fn union<'a>(cidrs: impl Iterator<Item = &'a str>) -> Addresses {
    let mut union = Addresses::default();
    cidrs
        .filter_map(Cidr::parse)
        .for_each(|cidr| union.add(cidr));
    union
}

impl Control for CrossNamespaceExplicit {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        self.confidential_selector.check("confidentialSelector")?;
        match self
            .pod_cidrs
            .iter()
            .find(|cidr| Cidr::parse(cidr).is_none())
        {
            Some(bad) => Err(format!(
                "podCidrs: {bad} is no address block: write 10.244.0.0/16"
            )),
            None => Ok(()),
        }
    }

    fn touched(&self, change: &Change) -> Touched {
        common::touched(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        common::affected(subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let wanted = |labels: &Labels| self.confidential_selector.matches(labels);
        common::workloads_of(context.inventory, namespace, wanted, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let namespace = &*held.meta.namespace;
        let meta = context.inventory.meta(Kind::Namespace, "", namespace)?;
        if !self.confidential_selector.matches(&meta.labels) {
            return None;
        }
        let judge = |look: &Held<'_>| self.rule(context, look);
        Some(common::worst_look(context, subject, &held, judge))
    }
}

#[cfg(test)]
mod tests;
