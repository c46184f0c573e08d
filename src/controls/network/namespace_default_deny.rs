//! `net-namespace-default-deny`

use serde_json::{Value, json};

use crate::{
    controls::prelude::*,
    inventory::{
        meta::{MANAGED_BY, MANAGER},
        network_policy::NetworkPolicy,
    },
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

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Towards the pods.
    Ingress,
    /// From the pods.
    Egress,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
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

/// Label by which the owner of a namespace accepts that a default deny is created.
const ACCEPTED: &str = "probity.dev/default-deny";
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
        strength: Strength::Declared,
        rule_version: 1,
        reads: &[Kind::Namespace, Kind::NetworkPolicy, Kind::Pod],
        subjects: &[Kind::Namespace],
        derives: &[],
        observes: &[],
        writes: &[
            Write::create(Kind::NetworkPolicy),
            Write::patch(Kind::NetworkPolicy),
        ],
        scope: ScopeUse::BySubject,
        what: "Each namespace in scope has, for each direction, a NetworkPolicy that selects all \
               pods (`podSelector: {}`) and allows nothing in that direction.",
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
                 it. `podSelector: {}` with `ingress: [{}]` is allow-all, and counts as none.",
    };

    /// The policies of a namespace that together deny all wanted directions, or the directions
    /// that are missing.
    fn denying<'a>(
        &self,
        inventory: &'a Inventory,
        namespace: &'a str,
    ) -> Result<Vec<&'a Object<NetworkPolicy>>, Vec<Direction>> {
        let policies = || inventory.tables.network_policies.in_namespace(namespace);
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for direction in &self.directions {
            match policies().find(|p| !p.meta.deleting && denies(&p.spec, *direction)) {
                Some(policy) => found.push(policy),
                None => missing.push(*direction),
            }
        }
        found.dedup_by(|a, b| a.meta.name == b.meta.name);
        if missing.is_empty() {
            Ok(found)
        } else {
            Err(missing)
        }
    }

    /// Puts back what was kept, else creates our own policy.
    fn remedy(&self, context: &Context<'_>, namespace: &Sym) -> Remedy {
        let kept = context.kept.and_then(|kept| {
            // Several policies may have denied together: mend the first that no longer does.
            kept.value
                .as_array()?
                .iter()
                .find_map(|policy| Self::put_back(context, namespace, policy, kept))
        });
        kept.unwrap_or_else(|| self.create(context, namespace))
    }

    fn put_back(
        context: &Context<'_>,
        namespace: &Sym,
        policy: &Value,
        kept: &Kept,
    ) -> Option<Remedy> {
        let (name, uid, spec) = (
            policy["name"].as_str()?,
            policy["uid"].as_str()?,
            &policy["spec"],
        );
        let target = Target {
            kind: Kind::NetworkPolicy,
            namespace: namespace.clone(),
            name: name.into(),
        };
        let table = &context.inventory.tables.network_policies;
        let Some(object) = table.get(namespace, name) else {
            return Some(Remedy::Create {
                manifest: manifest(namespace, name, spec),
                target,
                consent: Consent::IfPassedBefore,
                owners: Some(std::sync::Arc::clone(&kept.owners)),
            });
        };
        let intact = object.spec.spec.parse::<Value>().ok().as_ref() == Some(spec);
        (!intact && object.meta.uid.to_string() == uid).then(|| Remedy::PutBack {
            patch: replacing(&object.spec.spec, spec),
            target,
            path: 0,
        })
    }

    fn create(&self, context: &Context<'_>, namespace: &Sym) -> Remedy {
        let meta = context.inventory.meta(Kind::Namespace, "", namespace);
        let accepted = self.accept_default_deny
            || meta.is_some_and(|meta| meta.labels.get(ACCEPTED) == Some("accepted"));
        let mut pods = context.inventory.tables.pods.in_namespace(namespace);
        let empty = pods.all(|pod| pod.spec.ended);
        let types: Vec<_> = self.directions.iter().map(|d| d.as_str()).collect();
        Remedy::Create {
            target: Target {
                kind: Kind::NetworkPolicy,
                namespace: namespace.clone(),
                name: POLICY.into(),
            },
            manifest: manifest(
                namespace,
                POLICY,
                &json!({ "podSelector": {}, "policyTypes": types }),
            ),
            consent: if accepted || empty {
                Consent::Given
            } else {
                Consent::IfPassedBefore
            },
            owners: None,
        }
    }
}

/// Whether a policy denies everything in one direction for all pods.
fn denies(policy: &NetworkPolicy, direction: Direction) -> bool {
    let rules = match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    };
    policy.pods.is_empty() && rules.as_ref().is_some_and(|rules| rules.is_empty())
}

fn manifest(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { MANAGED_BY: MANAGER },
        },
        "spec": spec,
    })
}

/// A merge patch that makes the whole spec `wanted`: fields that are there now and not in
/// `wanted` are removed.
fn replacing(current: &str, wanted: &Value) -> Value {
    let mut spec = wanted.clone();
    if let (Ok(Value::Object(now)), Some(spec)) = (current.parse(), spec.as_object_mut()) {
        for key in now.keys() {
            spec.entry(key.clone()).or_insert(Value::Null);
        }
    }
    json!({ "spec": spec })
}

/// What to record of the policies that deny, so that they can be put back.
fn keep(policies: &[&Object<NetworkPolicy>]) -> Option<Kept> {
    let first = policies.first()?;
    let value = policies.iter().map(|policy| {
        let spec: Value = policy.spec.spec.parse().unwrap_or_default();
        json!({ "name": policy.meta.name, "uid": policy.meta.uid.to_string(), "spec": spec })
    });
    Some(Kept {
        uid: first.meta.uid,
        value: value.collect(),
        owners: std::sync::Arc::clone(&first.meta.owners),
    })
}

impl Control for NamespaceDefaultDeny {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::Namespace => Touched::Subject(Subject::namespace(&change.name)),
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
        Some(match self.denying(context.inventory, &subject.name) {
            Ok(policies) => {
                let verdict = Verdict::pass(Strength::Declared, "DefaultDeny", "");
                keep(&policies).map_or(verdict.clone(), |kept| verdict.keeping(kept))
            }
            Err(missing) => {
                let missing: Vec<_> = missing.iter().map(|d| d.as_str()).collect();
                let missing = missing.join(" and ");
                Verdict::fail(
                    Strength::Declared,
                    "NamespaceWithoutDefaultDeny",
                    format!("no NetworkPolicy denies {missing} for all pods of the namespace"),
                )
                .remedy(self.remedy(context, &subject.name))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::World, verdict::Outcome};

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
}
