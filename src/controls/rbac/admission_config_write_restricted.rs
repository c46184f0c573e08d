//! `rbac-admission-config-write-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
        webhooks,
    },
    controls::prelude::*,
};

/// Only listed identities change what guards the API server: webhooks, admission policies, and the
/// policies of Probity itself.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionConfigWriteRestricted {
    /// Identities that may change them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

const WRITE: Verbs = Verbs::CREATE
    .or(Verbs::UPDATE)
    .or(Verbs::PATCH)
    .or(Verbs::DELETE)
    .or(Verbs::DELETE_ALL);

impl AdmissionConfigWriteRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-admission-config-write-restricted",
        field: "rbacAdmissionConfigWriteRestricted",
        title: "Only listed identities change webhooks, admission policies and our policies",
        family: Family::Rbac,
        criteria: &["CC6.8", "CC7.1", "CC8.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::ValidatingWebhook,
            Kind::MutatingWebhook,
        ],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `create`, `update`, `patch`, `delete` or `deletecollection` on \
               ValidatingWebhookConfigurations, MutatingWebhookConfigurations, \
               ValidatingAdmissionPolicies, MutatingAdmissionPolicies, the bindings of either, or \
               ControlPolicies. A right that is limited to names of webhook configurations passes \
               for a service account if all webhooks in these are served by Services of its own \
               namespace.",
        why: "Admission sees and changes every write, Secrets among them, and refuses what must \
              not be. Who changes it switches guards off, or becomes anybody.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Take the verbs out of the role, or limit them to the name of the configuration \
                  that an operator brings itself; list deployers and injectors such as that of \
                  cert-manager in `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name these resources. The \
                     admission policies themselves are guarded by policies in a file of the API \
                     server only.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. A named configuration that does \
                 not exist, or that holds no webhook, counts. An operator that may patch its own \
                 configuration could send everything to its own Service: that is accepted. Holders \
                 of cluster-admin are NotApplicable here: rbac-cluster-admin-allowlist judges \
                 them. Grants by other authorizers are not visible.",
    };
}

impl Restricted for AdmissionConfigWriteRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::ValidatingWebhooks, WRITE),
        (Thing::MutatingWebhooks, WRITE),
        (Thing::ValidatingPolicies, WRITE),
        (Thing::ValidatingPolicyBindings, WRITE),
        (Thing::MutatingPolicies, WRITE),
        (Thing::MutatingPolicyBindings, WRITE),
        (Thing::ControlPolicies, WRITE),
    ];
    const REASON: &'static str = "AdmissionChangeable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn changed(&self, _: &Change) -> Touched {
        // The webhooks that some right names may be served from elsewhere now.
        Touched::All
    }

    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        // What decides here decides also which steps rbac-escalation-paths takes.
        let own = subject.object_kind() == Some(Kind::ServiceAccount)
            && webhooks::are_own(
                context.inventory,
                held.thing,
                held.names,
                &subject.namespace,
            );
        (!own).then(|| held.place())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Expect, check, check_fresh_cluster, give, verdict_on};
    use super::*;
    use crate::{
        analysis::rbac_defaults::tests::fresh_cluster, controls::testing::World, verdict::Outcome,
    };

    const GROUP: &str = "admissionregistration.k8s.io";

    fn control() -> AdmissionConfigWriteRestricted {
        AdmissionConfigWriteRestricted::default()
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        check_fresh_cluster(&control());
    }

    #[test]
    fn every_write_of_every_guard_counts() {
        for (rule, expect) in [
            (
                format!("create {GROUP} validatingwebhookconfigurations"),
                Expect::Fail,
            ),
            (
                format!("update {GROUP} mutatingwebhookconfigurations"),
                Expect::Fail,
            ),
            (
                format!("patch {GROUP} validatingadmissionpolicies"),
                Expect::Fail,
            ),
            (
                format!("delete {GROUP} validatingadmissionpolicybindings"),
                Expect::Fail,
            ),
            (
                format!("deletecollection {GROUP} mutatingadmissionpolicies"),
                Expect::Fail,
            ),
            (
                format!("patch {GROUP} mutatingadmissionpolicybindings some"),
                Expect::Fail,
            ),
            (
                "delete probity.dev controlpolicies".to_owned(),
                Expect::Fail,
            ),
            (format!("* {GROUP} *"), Expect::Fail),
            (format!("get,list,watch {GROUP} *"), Expect::Pass),
            ("get probity.dev *".to_owned(), Expect::Pass),
            (
                format!("patch {GROUP} validatingadmissionpolicies/status"),
                Expect::Pass,
            ),
        ] {
            check(&control(), "", &rule, expect);
            // None of them lies in a namespace.
            check(&control(), "shop", &rule, Expect::Pass);
        }
    }

    fn webhooks(world: &mut World, configs: &[Value]) {
        let hooks = configs
            .iter()
            .map(|config| json!({ "name": "h", "clientConfig": config }));
        let hooks: Vec<Value> = hooks.collect();
        let object = json!({ "metadata": { "name": "mine" }, "webhooks": hooks });
        world.put(Kind::MutatingWebhook, object);
    }

    #[test]
    fn an_operator_may_write_its_own_webhooks_by_name() {
        let service =
            |namespace: &str| json!({ "service": { "namespace": namespace, "name": "s" } });
        let operator = "ServiceAccount ops/operator";
        for (hooks, subject, names, outcome) in [
            (vec![service("ops")], operator, " mine", Outcome::Pass),
            (
                vec![service("ops"), service("shop")],
                operator,
                " mine",
                Outcome::Fail,
            ),
            (
                vec![json!({ "url": "https://x" })],
                operator,
                " mine",
                Outcome::Fail,
            ),
            (vec![], operator, " mine", Outcome::Fail),
            (vec![service("ops")], operator, " mine,other", Outcome::Fail),
            (vec![service("ops")], operator, "", Outcome::Fail),
            (vec![service("ops")], "User dev", " mine", Outcome::Fail),
        ] {
            let mut world = fresh_cluster(37);
            webhooks(&mut world, &hooks);
            let rule = format!("patch {GROUP} mutatingwebhookconfigurations{names}");
            give(&mut world, "", &rule, subject);
            let verdict = verdict_on(&mut world, &control(), subject);
            assert_eq!(verdict.outcome, outcome, "{hooks:?} {subject} {names}");
        }
    }
}
