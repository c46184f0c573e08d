//! `net-namespace-default-deny`

use super::{
    common::denied_in_part,
    default_deny::{self, Wanted, denies},
};
use crate::{
    analysis::network::{Applying, Direction, Policy},
    controls::prelude::*,
    inventory::{network_policy::NetworkPolicy, template::Template},
};

/// Each namespace denies traffic that no policy allows, in the directions given, so that pods
/// created later are isolated from their first packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceDefaultDeny {
    /// Directions that must be denied by default.
    #[serde(default = "ingress")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub directions: Vec<Direction>,

    /// Create the policy also in namespaces with running pods that never had one. Traffic that
    /// no policy allows stops at once.
    #[serde(default)]
    pub accept_default_deny: bool,
}

fn ingress() -> Vec<Direction> {
    vec![Direction::Ingress]
}

impl Default for NamespaceDefaultDeny {
    fn default() -> Self {
        Self {
            directions: ingress(),
            accept_default_deny: false,
        }
    }
}

/// Name of the policies that we create.
const POLICY: &str = "probity-default-deny";

impl NamespaceDefaultDeny {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-namespace-default-deny",
        field: "netNamespaceDefaultDeny",
        title: "Every namespace denies traffic that no policy allows",
        family: Family::Network,
        criteria: &["CC6.1", "CC6.6"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[
            Kind::Namespace,
            Kind::NetworkPolicy,
            Kind::Pod,
            Kind::ClusterNetworkPolicy,
            Kind::AdminNetworkPolicy,
            Kind::BaselineAdminNetworkPolicy,
            Kind::CiliumNetworkPolicy,
            Kind::CiliumClusterwideNetworkPolicy,
            Kind::CalicoNetworkPolicy,
            Kind::CalicoGlobalNetworkPolicy,
            Kind::CalicoV3NetworkPolicy,
            Kind::CalicoV3GlobalNetworkPolicy,
        ],
        subjects: &[Kind::Namespace],
        derives: &[],
        observes: &[],
        writes: &[
            Write::create(Kind::NetworkPolicy),
            Write::patch(Kind::NetworkPolicy),
        ],
        scope: ScopeUse::BySubject,
        what: "Each namespace in scope has, for each direction, a NetworkPolicy that selects all \
               pods (`podSelector: {}`) and allows nothing in that direction; or a policy of Cilium \
               or of the cluster's administrators that isolates every pod of the namespace, however \
               it is labelled.",
        why: "Without one, a new pod is reachable by everything in the cluster until someone \
              thinks of it.",
        fix: "A policy that was there and is gone or weakened comes back as it was. Where none \
              was, `probity-default-deny` is created if the namespace has no running pods, if it \
              carries the label `probity.dev/default-deny: accepted`, or if `acceptDefaultDeny` \
              is set; otherwise it is a proposal, because it would cut traffic that works today.",
        by_hand: "Write the policies that the namespace's traffic needs, then one with \
               `podSelector: {}` and the wanted `policyTypes` and no rules.",
        prevention: "None by admission at the pod; a ValidatingAdmissionPolicy can refuse the deletion \
               of the policy by others.",
        limits: "That a policy exists does not prove that the cluster's network plugin enforces \
                 it. `podSelector: {}` with `ingress: [{}]` is allow-all, and counts as none. The \
                 Admin and Baseline tiers know only pods as sources: their denial of ingress leaves \
                 pods open from outside the cluster, and counts as none; of egress it counts if it \
                 denies every address. A policy of Calico's default tier that selects all pods of the \
                 namespace and allows nothing counts; one of another tier, or that selects by what \
                 is not seen, makes a namespace that has no other Unknown.",
    };

    /// What makes the pods of a namespace isolated by default.
    fn denying<'a>(&self, inventory: &'a Inventory, namespace: &'a str) -> Denying<'a> {
        let policies = || inventory.tables.network_policies.in_namespace(namespace);
        let mut denying = Denying::default();
        for direction in &self.directions {
            let mut own = policies();
            if let Some(policy) = own.find(|p| !p.meta.deleting && denies(&p.spec, *direction)) {
                denying.own.push(policy);
                continue;
            }
            match Other::of(inventory, namespace, *direction) {
                Other::Denies(policy) => denying
                    .other
                    .push(format!("{policy} denies {}", direction.as_str())),
                Other::Doubt(what) => denying.doubt = Some(what),
                Other::Nothing(part) => {
                    denying.missing.push(*direction);
                    denying.part.extend(part);
                }
            }
        }
        denying.own.dedup_by(|a, b| a.meta.name == b.meta.name);
        denying
    }

    fn remedy(&self, context: &Context<'_>, namespace: &Sym) -> Option<Remedy> {
        let wanted = Wanted {
            name: POLICY,
            directions: &self.directions,
            accepted: self.accept_default_deny,
            allow_dns: false,
            replaces: true,
        };
        default_deny::remedy(context, namespace, &wanted)
    }
}

/// What makes the pods of a namespace isolated by default, and what is missing for that.
#[derive(Debug, Default)]
struct Denying<'a> {
    own: Vec<&'a Object<NetworkPolicy>>,
    /// Which policies beside `NetworkPolicies` deny what, in words.
    other: Vec<String>,
    doubt: Option<String>,
    missing: Vec<Direction>,
    /// What the tiers of administrators deny of that, in words.
    part: Vec<String>,
}

/// What policies beside `NetworkPolicies` do to a pod that nobody has thought of.
enum Other {
    Denies(String),
    Doubt(String),
    Nothing(Option<String>),
}

impl Other {
    fn of(inventory: &Inventory, namespace: &str, direction: Direction) -> Self {
        // No label at all: what isolates such a pod does not depend on labels. (A selector that
        // only excludes, such as NotIn, lets labelled pods out: it is not asked about here.)
        let nobody = Template::default();
        let applying = Applying::gather(inventory, namespace, &nobody, direction);
        let allows = |policy: &Policy<'_>| {
            let mut grants = applying.grants.iter();
            // A rule that can't be judged allows something all the same.
            let about = format!("{policy} ");
            let mut doubts = applying.doubts.iter().filter(|doubt| doubt.opens);
            grants.any(|grant| grant.policy == *policy)
                || doubts.any(|doubt| doubt.what.starts_with(&about))
        };
        let mut isolating = applying.isolating.iter();
        let denies = isolating.find(|policy| {
            policy.kind != Kind::NetworkPolicy
                && !allows(policy)
                && policy.selects_every_pod(inventory)
        });
        if let Some(policy) = denies {
            return Self::Denies(policy.to_string());
        }
        match applying.doubt(|d| d.isolates && d.kind != Kind::NetworkPolicy) {
            Some(what) => Self::Doubt(what.to_owned()),
            None => Self::Nothing(denied_in_part(&applying)),
        }
    }
}

impl Control for NamespaceDefaultDeny {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::Namespace => Touched::Subject(Subject::namespace(&change.name)),
            kind if !kind.info().is_namespaced() => Touched::All,
            _ => Touched::Subject(Subject::namespace(&change.namespace)),
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        subject::namespaces(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        context.inventory.meta(Kind::Namespace, "", &subject.name)?;
        let denying = self.denying(context.inventory, &subject.name);
        if !denying.missing.is_empty() {
            let missing: Vec<_> = denying.missing.iter().map(|d| d.as_str()).collect();
            let missing = missing.join(" and ");
            let part = match denying.part.as_slice() {
                [] => String::new(),
                parts => format!(" ({})", parts.join("; ")),
            };
            let message =
                format!("no NetworkPolicy denies {missing} for all pods of the namespace{part}");
            let declared = Strength::Declared;
            let mut verdict = Verdict::fail(declared, "NamespaceWithoutDefaultDeny", message);
            verdict.remedy = self.remedy(context, &subject.name).map(Box::new);
            return Some(verdict);
        }
        if let Some(what) = denying.doubt {
            return Some(Verdict::unknown("PoliciesNotJudged", what));
        }
        let strength = if denying.other.is_empty() {
            Strength::Declared
        } else {
            Strength::Effective
        };
        let mut verdict = Verdict::pass(strength, "DefaultDeny", denying.other.join("; "));
        verdict.keep = default_deny::keep(&denying.own).map(std::sync::Arc::new);
        Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::testing::World;

    const ACCEPTED: &str = "probity.dev/default-deny";

    fn policy(name: &str, spec: &Value) -> Value {
        json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
    }

    fn world(spec: &Value) -> World {
        World::new()
            .namespace("shop")
            .with(Kind::NetworkPolicy, policy("deny", spec))
    }

    #[test]
    fn denying_nothing_by_default_fails() {
        let verdict = World::new()
            .namespace("shop")
            .only(&NamespaceDefaultDeny::default());
        assert_eq!(verdict.reason, "NamespaceWithoutDefaultDeny");
    }

    #[test]
    fn an_allow_all_rule_is_no_default_deny() {
        for (spec, outcome) in [
            (json!({ "podSelector": {} }), Outcome::Pass),
            (json!({ "podSelector": {}, "ingress": [] }), Outcome::Pass),
            (json!({ "podSelector": {}, "ingress": [{}] }), Outcome::Fail),
            (
                json!({ "podSelector": {}, "policyTypes": ["Egress"] }),
                Outcome::Fail,
            ),
            (
                json!({ "podSelector": { "matchLabels": { "a": "b" } } }),
                Outcome::Fail,
            ),
        ] {
            assert_eq!(
                world(&spec).only(&NamespaceDefaultDeny::default()).outcome,
                outcome
            );
        }
    }

    #[test]
    fn each_direction_may_be_denied_by_a_policy_of_its_own() {
        let control = NamespaceDefaultDeny {
            directions: vec![Direction::Ingress, Direction::Egress],
            ..Default::default()
        };
        let mut world = world(&json!({ "podSelector": {} }));
        assert_eq!(
            world.only(&control).message,
            "no NetworkPolicy denies Egress for all pods of the namespace"
        );
        let egress = json!({ "podSelector": {}, "policyTypes": ["Egress"] });
        world.put(Kind::NetworkPolicy, policy("egress", &egress));
        assert_eq!(world.only(&control).outcome, Outcome::Pass);
    }

    #[test]
    fn a_deleted_policy_comes_back_as_it_was() {
        let control = NamespaceDefaultDeny::default();
        let mut world = world(&json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }));
        world.judge(&control);
        world.delete(Kind::NetworkPolicy, "shop", "deny");
        let verdict = world.only(&control);
        let Some(Remedy::Create {
            manifest, consent, ..
        }) = verdict.remedy.as_deref()
        else {
            panic!("{verdict:?}");
        };
        assert_eq!(manifest["metadata"]["name"], "deny");
        assert_eq!(
            manifest["spec"]["policyTypes"],
            json!(["Ingress", "Egress"])
        );
        assert_eq!(*consent, Consent::IfPassedBefore);
        assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    }

    #[test]
    fn a_weakened_policy_is_put_back_field_by_field() {
        let control = NamespaceDefaultDeny::default();
        let mut world = world(&json!({ "podSelector": {} }));
        world.judge(&control);
        let weak = json!({ "podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"] });
        world.put(Kind::NetworkPolicy, policy("deny", &weak));
        let verdict = world.only(&control);
        assert!(
            matches!(verdict.remedy.as_deref(), Some(Remedy::PutBack { .. })),
            "{verdict:?}"
        );
        assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    }

    #[test]
    fn running_pods_need_consent() {
        let pod = json!({
            "metadata": { "name": "web", "namespace": "shop" }, "spec": {},
            "status": { "phase": "Running" },
        });
        let consent = |world: &mut World| match world
            .only(&NamespaceDefaultDeny::default())
            .remedy
            .as_deref()
        {
            Some(Remedy::Create { consent, .. }) => *consent,
            other => panic!("{other:?}"),
        };
        let mut world = World::new().namespace("shop");
        assert_eq!(consent(&mut world), Consent::Given);
        world.put(Kind::Pod, pod);
        assert_eq!(consent(&mut world), Consent::IfPassedBefore);
        let labels = json!({ "metadata": { "name": "shop", "labels": { ACCEPTED: "accepted" } } });
        world.put(Kind::Namespace, labels);
        assert_eq!(consent(&mut world), Consent::Given);
    }

    #[test]
    fn other_policies_that_isolate_every_pod_count() {
        use crate::controls::network::fixtures::{calico, cilium, tier};

        let outcome = |kind: Kind, object: Value, direction: Direction| {
            let control = NamespaceDefaultDeny {
                directions: vec![direction],
                ..Default::default()
            };
            let mut world = World::new().namespace("shop").with(kind, object);
            let verdict = world.only(&control);
            (verdict.outcome, verdict.remedy.is_some())
        };
        let deny = |peer: Value| json!([{ "action": "Deny", "to": [peer], "from": [peer] }]);
        let every = json!({ "networks": ["0.0.0.0/0", "::/0"] });
        let closed = json!({ "ingress": [{}] });
        let some = json!({ "ingress": [{}], "endpointSelector": { "matchLabels": { "a": "b" } } });
        let open = json!({ "ingress": [{ "fromEntities": ["cluster"] }] });
        let (cnp, clusterwide) = (Kind::CiliumNetworkPolicy, Kind::ClusterNetworkPolicy);
        let default_tier = |egress: Value| {
            let spec = json!({ "types": ["Egress"], "egress": egress });
            json!({ "metadata": { "name": "default.deny" }, "spec": spec })
        };
        for (kind, object, direction, outcome_wanted) in [
            (cnp, cilium(&closed), Direction::Ingress, Outcome::Pass),
            (cnp, cilium(&closed), Direction::Egress, Outcome::Fail),
            (cnp, cilium(&open), Direction::Ingress, Outcome::Fail),
            (cnp, cilium(&some), Direction::Ingress, Outcome::Fail),
            (
                clusterwide,
                tier("t", "Baseline", &json!([]), &deny(every)),
                Direction::Egress,
                Outcome::Pass,
            ),
            // It leaves pods open from outside.
            (
                clusterwide,
                tier(
                    "t",
                    "Baseline",
                    &deny(json!({ "namespaces": {} })),
                    &json!([]),
                ),
                Direction::Ingress,
                Outcome::Fail,
            ),
            (
                Kind::CalicoGlobalNetworkPolicy,
                calico(),
                Direction::Ingress,
                Outcome::Unknown,
            ),
            (
                Kind::CalicoGlobalNetworkPolicy,
                default_tier(json!([])),
                Direction::Egress,
                Outcome::Pass,
            ),
            // What a rule allows that can't be judged, it allows all the same.
            (
                Kind::CalicoGlobalNetworkPolicy,
                default_tier(
                    json!([{ "action": "Allow", "destination": { "selector": "a == 'b'" } }]),
                ),
                Direction::Egress,
                Outcome::Fail,
            ),
            (
                cnp,
                cilium(&json!({ "ingress": [
                    { "fromEndpoints": [{ "matchLabels": { "reserved:x": "" } }] },
                ] })),
                Direction::Ingress,
                Outcome::Fail,
            ),
            // A policy for one pod is no default, whatever that pod is.
            (
                Kind::NetworkPolicy,
                policy(
                    "one",
                    &json!({ "podSelector": { "matchLabels": {
                        "statefulset.kubernetes.io/pod-name": "db-0" } } }),
                ),
                Direction::Ingress,
                Outcome::Fail,
            ),
        ] {
            let shown = format!("{direction:?} {object}");
            let found = outcome(kind, object, direction);
            let failed = outcome_wanted == Outcome::Fail;
            assert_eq!(found, (outcome_wanted, failed), "{shown}");
        }
    }

    #[test]
    fn the_policies_of_tiers_are_named() {
        use crate::controls::network::fixtures::{cilium, tier};
        let deny = json!([{ "action": "Deny", "from": [{ "namespaces": {} }] }]);
        let part = tier("default", "Baseline", &deny, &json!([]));
        let world = || World::new().namespace("shop");
        let mut partly = world().with(Kind::ClusterNetworkPolicy, part);
        assert_eq!(
            partly.only(&NamespaceDefaultDeny::default()).message,
            "no NetworkPolicy denies Ingress for all pods of the namespace (ClusterNetworkPolicy \
             default denies only other pods, nothing from outside the cluster)"
        );
        let whole = cilium(&json!({ "ingress": [{}] }));
        let mut whole = world().with(Kind::CiliumNetworkPolicy, whole);
        assert_eq!(
            whole.only(&NamespaceDefaultDeny::default()).message,
            "CiliumNetworkPolicy shop/c denies Ingress"
        );
    }
}
