//! `rbac-exec-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::{labels::LabelSelector, prelude::*},
};

/// Only listed identities get into running containers of production: by exec, attach, port-forward,
/// proxies and ephemeral containers.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecRestricted {
    /// Identities that may, for instance those for emergencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// Labels of production namespaces; without this parameter every namespace is production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_selector: Option<LabelSelector>,
}

impl ExecRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-exec-restricted",
        field: "rbacExecRestricted",
        title: "Only listed identities get into running containers of production",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC8.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::Namespace,
        ],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `create` or `get` on `pods/exec`, `pods/attach`, `pods/portforward`, \
               `pods/proxy` or `services/proxy`, or `update` or `patch` on \
               `pods/ephemeralcontainers`, at cluster scope or in a namespace that \
               `productionSelector` selects.",
        why: "Who is inside a container reads what it processes and acts as its service account, \
              and changes production past every review.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Give a role without these subresources; list the identities for emergencies in \
                  `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy on CONNECT of `pods/exec` and its like can \
                     refuse the use itself, by user and by label of the namespace, which is the \
                     better guard.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. The default roles `edit` and \
                 `admin` include all of these rights. A WebSocket begins with `get`, which \
                 therefore counts. Limits to names of pods are ignored: names of pods are reused. \
                 Holders of cluster-admin are NotApplicable here: rbac-cluster-admin-allowlist \
                 judges them. Grants by other authorizers are not visible.",
    };
}

const ENTER: Verbs = Verbs::CREATE.or(Verbs::GET);

impl Restricted for ExecRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::PodsExec, ENTER),
        (Thing::PodsAttach, ENTER),
        (Thing::PodsPortForward, ENTER),
        (Thing::PodsProxy, ENTER),
        (Thing::ServicesProxy, ENTER),
        (Thing::EphemeralContainers, Verbs::UPDATE.or(Verbs::PATCH)),
    ];
    const REASON: &'static str = "ContainersReachable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn check_own(&self) -> Result<(), String> {
        let mut selector = self.production_selector.iter();
        selector.try_for_each(|selector| selector.check("productionSelector"))
    }

    fn namespace_changed(&self) -> Touched {
        match self.production_selector {
            Some(_) => Touched::All,
            None => Touched::Nothing,
        }
    }

    fn counts(
        &self,
        context: &Context<'_>,
        _: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let namespace = &**held.grant.namespace;
        let Some(selector) = &self.production_selector else {
            return Some(held.place());
        };
        if namespace.is_empty() {
            return Some(held.place());
        }
        let meta = context.inventory.meta(Kind::Namespace, "", namespace)?;
        let production = selector.matches(&meta.labels);
        production.then(|| Cow::Owned(format!(" in production namespace {namespace}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Expect, check, give, verdict_on};
    use super::*;
    use crate::controls::testing::World;

    #[test]
    fn every_way_into_a_container_counts() {
        let control = ExecRestricted::default();
        for (rule, expect) in [
            ("create  pods/exec", Expect::Fail),
            ("get  pods/exec", Expect::Fail),
            ("create  pods/exec web-0", Expect::Fail),
            ("get  pods/attach", Expect::Fail),
            ("create  pods/portforward", Expect::Fail),
            ("get  pods/proxy", Expect::Fail),
            ("get  services/proxy", Expect::Fail),
            ("patch  pods/ephemeralcontainers", Expect::Fail),
            ("update  */ephemeralcontainers", Expect::Fail),
            ("get  pods/ephemeralcontainers", Expect::Pass),
            ("get,list  pods", Expect::Pass),
            ("get  pods/log", Expect::Pass),
        ] {
            check(&control, "", rule, expect);
            check(&control, "shop", rule, expect);
        }
    }

    #[test]
    fn only_production_counts_where_it_is_told_apart() {
        let selector = json!({ "matchLabels": { "stage": "production" } });
        let control = ExecRestricted {
            production_selector: Some(LabelSelector::parse(selector).unwrap()),
            ..ExecRestricted::default()
        };
        for (stage, place, reason) in [
            ("production", "shop", "ContainersReachable"),
            ("test", "shop", "RightNotHeld"),
            // Production is among all namespaces.
            ("test", "", "ContainersReachable"),
        ] {
            let meta = json!({ "name": "shop", "labels": { "stage": stage } });
            let mut world = World::new().with(Kind::Namespace, json!({ "metadata": meta }));
            give(&mut world, place, "create  pods/exec", "User dev");
            assert_eq!(verdict_on(&mut world, &control, "User dev").reason, reason);
        }
    }
}
