//! `net-cluster-baseline`

use super::common::list;
use crate::{
    controls::prelude::*,
    inventory::{
        meta::Labels,
        network_policy::Peer,
        tiers::{Act, TierPolicy},
    },
};

/// Where the cluster has policies for all namespaces, one of them denies by default or keeps
/// tenants apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBaseline {}

impl ClusterBaseline {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-cluster-baseline",
        field: "netClusterBaseline",
        title: "A policy of the cluster's administrators denies by default",
        family: Family::Network,
        criteria: &["CC6.1"],
        severity: Severity::Low,
        strength: Strength::Declared,
        rule_version: 1,
        reads: &[
            Kind::Crd,
            Kind::ClusterNetworkPolicy,
            Kind::AdminNetworkPolicy,
            Kind::BaselineAdminNetworkPolicy,
            Kind::CiliumClusterwideNetworkPolicy,
            Kind::CalicoGlobalNetworkPolicy,
        ],
        subjects: &[],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Where a CRD for policies of the whole cluster is installed (ClusterNetworkPolicy, \
               AdminNetworkPolicy, BaselineAdminNetworkPolicy or \
               CiliumClusterwideNetworkPolicy), one such policy denies: a rule of a tier denies \
               pods that its selectors reach although they have no labels, or a section of Cilium \
               that selects all pods isolates them. It must not be refused by its controller: \
               condition `Accepted`, where there is one, is not `False`.",
        why: "Policies of namespaces are made and unmade by those who own them. Only a policy of \
              the cluster's administrators holds in a namespace whose owner forgot.",
        fix: "Proposed: a Baseline ClusterNetworkPolicy that denies traffic between namespaces, \
              to begin with.",
        by_hand: "Write a ClusterNetworkPolicy in the Baseline tier that denies ingress from all \
                  namespaces, after each namespace allows what it needs.",
        prevention: "None: that something is missing is nothing that admission sees.",
        limits: "NotApplicable without such a CRD: the feature is optional. That a policy denies \
                 something is all that is asked; which pods it isolates is judged by the other \
                 controls. Calico's GlobalNetworkPolicies are not judged: with them and without \
                 another policy that passes, the verdict is Unknown.",
    };
}

/// Plural and group of the CRDs of such policies.
const CRDS: [&str; 5] = [
    "clusternetworkpolicies.policy.networking.k8s.io",
    "adminnetworkpolicies.policy.networking.k8s.io",
    "baselineadminnetworkpolicies.policy.networking.k8s.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "globalnetworkpolicies.crd.projectcalico.org",
];

/// What there is.
#[derive(Default)]
struct Found {
    denying: Vec<String>,
    refused: Vec<String>,
    unclear: Option<String>,
}

impl Found {
    fn look(inventory: &Inventory) -> Self {
        let tables = &inventory.tables;
        let mut found = Self::default();
        for (kind, table) in [
            (Kind::ClusterNetworkPolicy, &tables.cluster_network_policies),
            (Kind::AdminNetworkPolicy, &tables.admin_network_policies),
            (
                Kind::BaselineAdminNetworkPolicy,
                &tables.baseline_admin_network_policies,
            ),
        ] {
            for object in table.iter().filter(|object| denies(&object.spec)) {
                let name = format!("{} {}", kind.info().kind, object.meta.name);
                if object.spec.accepted == Some(false) {
                    found.refused.push(name);
                } else {
                    found.denying.push(name);
                }
            }
        }
        for object in tables.cilium_clusterwide_network_policies.iter() {
            let name = format!("CiliumClusterwideNetworkPolicy {}", object.meta.name);
            let mut sections = object.spec.sections.iter();
            let all = sections.any(|section| {
                let pods = section.pods.as_ref();
                let sides = [&section.ingress, &section.egress];
                pods.is_some_and(|(_, pods)| pods.is_empty())
                    && sides.iter().any(|side| side.isolates == Some(true))
            });
            if all {
                found.denying.push(name);
            }
        }
        if !tables.calico_global_network_policies.is_empty() {
            found.unclear = Some("Calico's GlobalNetworkPolicies are not judged".to_owned());
        }
        found
    }
}

/// Whether some rule denies pods that don't say anything of themselves.
fn denies(policy: &TierPolicy) -> bool {
    let nobody = Labels::default();
    let broad = |peer: &Peer| match peer {
        Peer::Pods { pods, .. } => pods.as_ref().is_none_or(|pods| pods.matches(&nobody)),
        Peer::Block { .. } => true,
        Peer::Other(_) => false,
    };
    let mut rules = policy.ingress.iter().chain(&policy.egress);
    policy.pods.matches(&nobody)
        && rules.any(|rule| {
            let peers = &rule.rule.peers;
            rule.act == Act::Deny && (peers.is_empty() || peers.iter().any(broad))
        })
}

impl Control for ClusterBaseline {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        let ours = change.kind != Kind::Crd || CRDS.contains(&&*change.name);
        if ours { Touched::All } else { Touched::Nothing }
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, found: &mut dyn FnMut(Subject)) {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }

    fn judge(&self, context: &Context<'_>, _: &Subject) -> Option<Verdict> {
        let inventory = context.inventory;
        let installed = |name: &&&str| inventory.meta(Kind::Crd, "", name).is_some();
        if !CRDS.iter().any(|name| installed(&name)) {
            return Some(Verdict::not_applicable(
                "NoClusterPolicies",
                "no CRD for policies of the whole cluster is installed",
            ));
        }
        let found = Found::look(inventory);
        if !found.denying.is_empty() {
            let names = list(&found.denying, " and ");
            let message = format!("{names} denies");
            return Some(Verdict::pass(Strength::Declared, "ClusterDenies", message));
        }
        if let Some(what) = found.unclear {
            return Some(Verdict::unknown("PoliciesNotJudged", what));
        }
        let (reason, message) = if found.refused.is_empty() {
            let message = "no policy of the cluster's administrators denies anything by default";
            ("NoClusterDenial", message.to_owned())
        } else {
            let names = list(&found.refused, " and ");
            (
                "PolicyNotAccepted",
                format!("{names}: its controller does not accept it"),
            )
        };
        let example = serde_json::json!({
            "tier": "Baseline", "priority": 1000, "subject": { "namespaces": {} },
            "ingress": [{ "action": "Deny", "from": [{ "namespaces": {} }] }],
        });
        Some(
            Verdict::fail(Strength::Declared, reason, message).propose(format!(
                "begin with a ClusterNetworkPolicy with this spec, after each namespace has \
                 policies for what it needs: {example}"
            )),
        )
    }
}

#[cfg(test)]
mod tests;
