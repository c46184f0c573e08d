//! The rights of the chart: exactly what the controls declare.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource as _;
use serde::Serialize;

use crate::{
    api::{EvidenceLog, PeopleKind},
    controls::{Family, Info},
    guardrails::POLICIES,
    inventory::Kind,
};

/// What is needed to read a kind.
const READ: [&str; 3] = ["get", "list", "watch"];

/// The content of `files/rights.yaml`, from which the chart's templates make RBAC rules and the
/// policy that bounds our own writes.
#[derive(Debug, Serialize)]
pub(super) struct Rights {
    /// Our own resources.
    own: Vec<String>,
    /// Those of them that only we write.
    ours: Vec<String>,
    /// Those of them that people ask for, and other people decide about.
    people: Vec<&'static str>,
    /// Our admission policies, by what follows the name of the release.
    policies: [&'static str; 4],
    /// What is observed beside objects.
    observes: BTreeSet<&'static str>,
    /// What is read, whatever is enforced.
    reads: Vec<Rule>,
    /// What is written, by family.
    writes: BTreeMap<&'static str, Vec<Rule>>,
}

/// A rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    api_groups: Vec<&'static str>,
    resources: Vec<&'static str>,
    verbs: Vec<&'static str>,
}

impl Rights {
    /// The union over controls.
    pub(super) fn of(
        infos: &[&'static Info],
        definitions: &[(&'static str, CustomResourceDefinition)],
    ) -> Self {
        let reads = infos.iter().flat_map(|info| info.inputs());
        let writes = |family| {
            let members = infos.iter().filter(move |info| info.family == family);
            members.flat_map(|info| info.writes)
        };
        Self {
            own: definitions
                .iter()
                .map(|(_, definition)| definition.spec.names.plural.clone())
                .collect(),
            ours: vec![EvidenceLog::plural(&()).into_owned()],
            people: PeopleKind::ALL
                .into_iter()
                .filter(|kind| kind.is_asked_for())
                .map(PeopleKind::plural)
                .collect(),
            policies: POLICIES,
            observes: infos
                .iter()
                .flat_map(|info| info.observes)
                .map(|observation| observation.as_str())
                .collect(),
            reads: rules(reads.flat_map(|kind| READ.map(|verb| (kind, verb)))),
            writes: Family::MENDING
                .into_iter()
                .map(|family| {
                    let rights = writes(family).map(|write| (write.kind, write.verb));
                    (family.as_str(), rules(rights))
                })
                .collect(),
        }
    }
}

/// What is asked for beside a kind: Calico's API server lets those list policies that may read their
/// tiers, and the policies of these (Calico's guide "Configure RBAC for tiered policies").
const fn beside(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::CalicoV3NetworkPolicy => &["tiers", "tier.networkpolicies"],
        Kind::CalicoV3GlobalNetworkPolicy => &["tiers", "tier.globalnetworkpolicies"],
        _ => &[],
    }
}

/// As few rules as possible that grant these rights and no others.
pub(super) fn rules(rights: impl Iterator<Item = (Kind, &'static str)>) -> Vec<Rule> {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (kind, verb) in rights {
        let info = kind.info();
        let beside = beside(kind).iter().map(|plural| (info.group, *plural));
        for resource in std::iter::once((info.group, info.plural)).chain(beside) {
            verbs.entry(resource).or_default().insert(verb);
        }
    }
    let mut merged: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, plural), verbs) in verbs {
        let key = (group, verbs.into_iter().collect());
        merged.entry(key).or_default().push(plural);
    }
    merged
        .into_iter()
        .map(|((group, verbs), resources)| Rule {
            api_groups: vec![group],
            resources,
            verbs,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_grant_each_right_once_and_no_other() {
        let rules = rules(
            [
                (Kind::NetworkPolicy, "patch"),
                (Kind::RoleBinding, "delete"),
                (Kind::NetworkPolicy, "create"),
                (Kind::ClusterRoleBinding, "delete"),
                (Kind::NetworkPolicy, "patch"),
            ]
            .into_iter(),
        );
        let rule = |group, resources: &[&'static str], verbs: &[&'static str]| Rule {
            api_groups: vec![group],
            resources: resources.to_vec(),
            verbs: verbs.to_vec(),
        };
        assert_eq!(
            rules,
            [
                rule(
                    "networking.k8s.io",
                    &["networkpolicies"],
                    &["create", "patch"]
                ),
                rule(
                    "rbac.authorization.k8s.io",
                    &["clusterrolebindings", "rolebindings"],
                    &["delete"]
                ),
            ]
        );
    }
}
