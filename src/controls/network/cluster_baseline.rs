//! `net-cluster-baseline`

use super::common::list;
use crate::{
    analysis::network::calico_globals,
    controls::{prelude::*, restricted::command},
    inventory::{
        calico::Expression,
        network_policy::{Peer, Rule},
        selector::Selector,
        tiers::{Act, TierPolicy, TierRule},
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
        rule_version: 3,
        reads: &[
            Kind::Crd,
            Kind::ClusterNetworkPolicy,
            Kind::AdminNetworkPolicy,
            Kind::BaselineAdminNetworkPolicy,
            Kind::CiliumClusterwideNetworkPolicy,
            Kind::CalicoGlobalNetworkPolicy,
            Kind::CalicoV3GlobalNetworkPolicy,
        ],
        subjects: &[],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Where a CRD for policies of the whole cluster is installed (ClusterNetworkPolicy, \
               AdminNetworkPolicy, BaselineAdminNetworkPolicy, \
               CiliumClusterwideNetworkPolicy or Calico's GlobalNetworkPolicy), or there is one, one such policy denies in one \
               direction: a rule of a tier whose subject is all pods of all namespaces denies every \
               port to all namespaces, to all addresses, or to all namespaces but those that it \
               excludes by label (other tenants), and no rule before it accepts them; or a section \
               of Cilium that selects all pods isolates them, and none allows everyone every port; or a \
               GlobalNetworkPolicy of Calico's default tier does. \
               It must not be refused by its controller: condition `Accepted`, where there is one, \
               is not `False`.",
        why: "Policies of namespaces are made and unmade by those who own them. Only a policy of \
              the cluster's administrators holds in a namespace whose owner forgot.",
        fix: "Proposed: a Baseline ClusterNetworkPolicy that denies traffic between namespaces, \
              to begin with.",
        by_hand: "Write a ClusterNetworkPolicy in the Baseline tier that denies ingress from all \
                  namespaces, after each namespace allows what it needs.",
        prevention: "None: that something is missing is nothing that admission sees.",
        limits: "NotApplicable without such a CRD: the feature is optional. A policy that leaves \
                 system namespaces out of its subject is not one for all: write the deny for all, \
                 and before it what those need. What other policies of a tier accept first is judged \
                 by the other controls. What a CiliumClusterwideNetworkPolicy allows in ways that \
                 are not judged makes it Unknown, and so does a GlobalNetworkPolicy of Calico that \
                 selects pods or namespaces, is of another tier, or allows by selectors, where no \
                 other policy passes.",
    };
}

/// Plural and group of the CRDs of such policies.
const CRDS: [&str; 6] = [
    "clusternetworkpolicies.policy.networking.k8s.io",
    "adminnetworkpolicies.policy.networking.k8s.io",
    "baselineadminnetworkpolicies.policy.networking.k8s.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "globalnetworkpolicies.crd.projectcalico.org",
    "globalnetworkpolicies.projectcalico.org",
];

fn has_policies(inventory: &Inventory) -> bool {
    let tables = &inventory.tables;
    !(tables.cluster_network_policies.is_empty()
        && tables.admin_network_policies.is_empty()
        && tables.baseline_admin_network_policies.is_empty()
        && tables.cilium_clusterwide_network_policies.is_empty()
        && calico_globals(inventory).next().is_none())
}

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
        found.cilium(inventory);
        found.calico(inventory);
        found
    }

    /// Calico's policies of the default tier for all pods: what those allow they allow together.
    fn calico(&mut self, inventory: &Inventory) {
        let mut denying: [Vec<String>; 2] = Default::default();
        let mut open = [false, false];
        for (kind, object) in calico_globals(inventory) {
            let spec = &object.spec;
            let name = format!("{} {}", kind.info().kind, object.meta.name);
            let everything = Some(Expression::All);
            let everyone = spec.pods == everything && spec.namespaces == everything;
            if !everyone || !spec.default_tier {
                let what = format!("whom {name} denies what is not worked out");
                self.unclear.get_or_insert(what);
                continue;
            }
            for (place, side) in [&spec.ingress, &spec.egress].into_iter().enumerate() {
                let Some(side) = side.as_ref().filter(|_| !spec.hosts_only) else {
                    continue;
                };
                open[place] |= side.rules.iter().any(|rule| is_whole(rule, false));
                if side.unclear {
                    let what = format!("not all that {name} allows can be judged");
                    self.unclear.get_or_insert(what);
                } else {
                    denying[place].push(name.clone());
                }
            }
        }
        self.add(denying, open);
    }

    /// Cilium's policies for all pods: what they allow they allow together.
    fn cilium(&mut self, inventory: &Inventory) {
        let mut denying: [Vec<String>; 2] = Default::default();
        let mut open = [false, false];
        for object in inventory.tables.cilium_clusterwide_network_policies.iter() {
            let name = format!("CiliumClusterwideNetworkPolicy {}", object.meta.name);
            for section in &object.spec.sections {
                let pods = section.pods.as_ref();
                if !pods.is_some_and(|(spaces, pods)| spaces.is_empty() && pods.is_empty()) {
                    continue;
                }
                for (place, side) in [&section.ingress, &section.egress].into_iter().enumerate() {
                    open[place] |= side.rules.iter().any(|rule| is_whole(rule, false));
                    if side.isolates != Some(true) {
                        continue;
                    }
                    if side.unclear {
                        let what = format!("not all that {name} allows can be judged");
                        self.unclear.get_or_insert(what);
                    } else if !denying[place].contains(&name) {
                        denying[place].push(name.clone());
                    }
                }
            }
        }
        self.add(denying, open);
    }

    fn add(&mut self, denying: [Vec<String>; 2], open: [bool; 2]) {
        for (names, open) in denying.into_iter().zip(open) {
            let names = names.into_iter().filter(|_| !open);
            let new: Vec<_> = names.filter(|name| !self.denying.contains(name)).collect();
            self.denying.extend(new);
        }
    }
}

/// Whether a policy denies, in one direction, traffic of every pod of every namespace with all
/// others, at every port. Of the rules that a pod meets, the first that matches decides.
fn denies(policy: &TierPolicy) -> bool {
    let decides = |rules: &[TierRule]| {
        let first = rules
            .iter()
            .find(|rule| is_whole(&rule.rule, rule.act == Act::Deny));
        first.is_some_and(|rule| rule.act == Act::Deny)
    };
    let everyone = policy.namespaces.is_empty() && policy.pods.is_empty();
    everyone && (decides(&policy.ingress) || decides(&policy.egress))
}

/// Whether a rule is about every port, and about all namespaces or all addresses; for one that
/// denies, all namespaces but some that are told apart by their labels will do: other tenants.
fn is_whole(rule: &Rule, tenants: bool) -> bool {
    let broad = |peer: &Peer| match peer {
        Peer::Pods { namespaces, pods } => {
            let all = |selector: &Selector| {
                selector.is_empty() || (tenants && selector.is_by_difference())
            };
            namespaces.as_ref().is_some_and(all) && pods.as_ref().is_none_or(Selector::is_empty)
        }
        Peer::Block { cidr, except } => cidr.prefix == 0 && except.is_empty(),
        Peer::Other(_) => false,
    };
    rule.is_every_port() && (rule.peers.is_empty() || rule.peers.iter().any(broad))
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
        let installed = |name: &&str| inventory.meta(Kind::Crd, "", name).is_some();
        // A dump may hold the objects without their definitions.
        if !CRDS.iter().any(installed) && !has_policies(inventory) {
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
        let example = command::apply(&serde_json::json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
            "metadata": { "name": "default-deny" },
            "spec": {
                "tier": "Baseline", "priority": 1000, "subject": { "namespaces": {} },
                "ingress": [{ "name": "all", "action": "Deny", "from": [{ "namespaces": {} }] }],
            },
        }));
        Some(
            Verdict::fail(Strength::Declared, reason, message).propose(format!(
                "begin with a ClusterNetworkPolicy, after each namespace has policies for what it \
                 needs: {example}"
            )),
        )
    }
}

#[cfg(test)]
mod tests;
