//! Which of Calico's policies apply to the pods of a template.
//!
//! Those of the default tier are evaluated together with `NetworkPolicies`: where one selects a pod,
//! nothing passes but what one of them allows. Their order is not worked out: what some allow is the
//! most that can pass, and what some deny may be less.

use super::{Applying, Direction, Doubt, Grant, Policy, gather::of};
use crate::inventory::{
    Inventory, Kind, Object, Table,
    calico::{CalicoPolicy, CalicoSide, Expression, Label},
    meta::Labels,
    template::{Template, is_pod_only_label},
};

/// Calico's kinds of policies: what its API server serves is kept in the first two.
pub const KINDS: [Kind; 4] = [
    Kind::CalicoNetworkPolicy,
    Kind::CalicoGlobalNetworkPolicy,
    Kind::CalicoV3NetworkPolicy,
    Kind::CalicoV3GlobalNetworkPolicy,
];

type Policies = Table<CalicoPolicy>;

/// What a policy of this name is kept as: in which of two tables it is found first.
fn once<'a>(
    kept: &'a Policies,
    served: &'a Policies,
    kinds: [Kind; 2],
    namespace: Option<&'a str>,
) -> impl Iterator<Item = (Kind, &'a Object<CalicoPolicy>)> {
    let [first, second] = kinds;
    let here = move |object: &&Object<CalicoPolicy>| {
        namespace.is_none_or(|namespace| *object.meta.namespace == *namespace)
    };
    let served = served.iter().filter(move |object| {
        let (namespace, name) = (&object.meta.namespace, &object.meta.name);
        kept.get(namespace, name).is_none()
    });
    let kept = kept.iter().map(move |object| (first, object));
    let all = kept.chain(served.map(move |object| (second, object)));
    all.filter(move |(_, object)| here(object))
}

fn own<'a>(
    inventory: &'a Inventory,
    namespace: &'a str,
) -> impl Iterator<Item = (Kind, &'a Object<CalicoPolicy>)> {
    let tables = &inventory.tables;
    let kinds = [Kind::CalicoNetworkPolicy, Kind::CalicoV3NetworkPolicy];
    let (kept, served) = (
        &tables.calico_network_policies,
        &tables.calico_v3_network_policies,
    );
    once(kept, served, kinds, Some(namespace))
}

/// The policies of the cluster, each once.
pub fn global(inventory: &Inventory) -> impl Iterator<Item = (Kind, &Object<CalicoPolicy>)> {
    let tables = &inventory.tables;
    let kinds = [
        Kind::CalicoGlobalNetworkPolicy,
        Kind::CalicoV3GlobalNetworkPolicy,
    ];
    let (kept, served) = (
        &tables.calico_global_network_policies,
        &tables.calico_v3_global_network_policies,
    );
    once(kept, served, kinds, None)
}

/// Whether a policy selects pods by nothing that a pod says of itself.
pub(super) fn selects_every_pod(
    inventory: &Inventory,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> bool {
    let tables = &inventory.tables;
    let policy = match kind {
        Kind::CalicoNetworkPolicy => tables.calico_network_policies.get(namespace, name),
        Kind::CalicoV3NetworkPolicy => tables.calico_v3_network_policies.get(namespace, name),
        Kind::CalicoGlobalNetworkPolicy => tables.calico_global_network_policies.get("", name),
        _ => tables.calico_v3_global_network_policies.get("", name),
    };
    let everything = Some(Expression::All);
    policy.is_some_and(|policy| {
        // Of any pod nothing more is known than where it is.
        let place = |key: &str| match key {
            NAMESPACE => Label::Is(namespace),
            _ => Label::Unseen,
        };
        let pods = &policy.spec.pods;
        let by_place = pods.as_ref().and_then(|pods| pods.selects(&place)) == Some(true);
        *pods == everything || (!namespace.is_empty() && by_place)
    })
}

/// The label by which a pod shows its namespace to selectors.
const NAMESPACE: &str = "projectcalico.org/namespace";

/// Labels of a pod as selectors see them: beside its own, those that Calico adds (projectcalico/calico,
/// `libcalico-go/lib/backend/k8s/conversion`).
fn of_pod<'a>(
    key: &str,
    namespace: &'a str,
    space: Option<&'a Labels>,
    template: &'a Template,
) -> Label<'a> {
    let found = |value: Option<&'a str>| value.map_or(Label::Absent, Label::Is);
    match key {
        NAMESPACE => Label::Is(namespace),
        "projectcalico.org/orchestrator" => Label::Is("k8s"),
        "projectcalico.org/serviceaccount" => Label::Is(template.account()),
        _ if is_pod_only_label(key) || key.starts_with("pcsa.") => Label::Unseen,
        _ => match key.strip_prefix("pcns.") {
            Some(key) => space.map_or(Label::Unseen, |labels| found(labels.get(key))),
            None => found(template.labels.get(key)),
        },
    }
}

impl<'a> Applying<'a> {
    /// Takes in Calico's policies. (What can't be decoded is the engine's business: it makes every
    /// verdict that might rest on it `Unknown`.)
    pub(super) fn calico(&mut self, inventory: &'a Inventory, template: &Template) {
        for (kind, object) in own(inventory, self.namespace) {
            self.calico_policy(inventory, of(kind, object), &object.spec, template);
        }
        for (kind, object) in global(inventory) {
            self.calico_policy(inventory, of(kind, object), &object.spec, template);
        }
    }

    fn calico_policy(
        &mut self,
        inventory: &Inventory,
        policy: Policy<'a>,
        spec: &'a CalicoPolicy,
        template: &Template,
    ) {
        let side = match self.direction {
            Direction::Ingress => &spec.ingress,
            Direction::Egress => &spec.egress,
        };
        let Some(side) = side.as_ref().filter(|_| !spec.hosts_only) else {
            return;
        };
        let space = inventory.meta(Kind::Namespace, "", self.namespace);
        let space = space.map(|meta| &*meta.labels);
        let pod = |key: &str| of_pod(key, self.namespace, space, template);
        let here = |key: &str| match (key, space) {
            ("projectcalico.org/name" | "kubernetes.io/metadata.name", _) => {
                Label::Is(self.namespace)
            }
            (key, Some(labels)) => labels.get(key).map_or(Label::Absent, Label::Is),
            (_, None) => Label::Unseen,
        };
        let is_global = policy.meta.namespace.is_empty();
        let placed = match &spec.namespaces {
            _ if !is_global => Some(true),
            Some(namespaces) => namespaces.selects(&here),
            None => None,
        };
        let selected = match (placed, &spec.pods) {
            (Some(false), _) => Some(false),
            (_, Some(pods)) if pods.selects(&pod) == Some(false) => Some(false),
            (Some(true), Some(pods)) => pods.selects(&pod),
            _ => None,
        };
        self.calico_side(policy, side, selected, spec.default_tier);
    }

    fn calico_side(
        &mut self,
        policy: Policy<'a>,
        side: &'a CalicoSide,
        selected: Option<bool>,
        default_tier: bool,
    ) {
        let opens = side.unclear || !side.rules.is_empty();
        let (what, isolates, opens, denies) = match selected {
            Some(false) => return,
            None => ("selects pods by what is not seen", true, opens, true),
            Some(true) if !default_tier => (
                "is of a tier of its own, and what that does at its end is not read",
                true,
                opens,
                true,
            ),
            Some(true) => {
                self.isolating.push(policy);
                let grants = side.rules.iter().map(|rule| Grant { policy, rule });
                self.grants.extend(grants);
                if !side.unclear && !side.denies {
                    return;
                }
                let what = "has rules that only Calico can judge";
                (what, false, side.unclear, side.denies)
            }
        };
        self.doubts.push(Doubt {
            kind: policy.kind,
            what: format!("{policy} {what}"),
            isolates,
            opens,
            denies,
        });
    }
}

#[cfg(test)]
mod tests;
