//! `rbac-token-request-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
    workload_create_restricted::privileged_place,
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
};

/// Only listed identities get tokens of accounts in privileged namespaces, by asking for one or by
/// a Secret that is filled with one.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequestRestricted {
    /// Identities that may get such tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

impl TokenRequestRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-token-request-restricted",
        field: "rbacTokenRequestRestricted",
        title: "Only listed identities get tokens of accounts in privileged namespaces",
        family: Family::Rbac,
        criteria: &["CC6.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &restricted::READS,
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights, Derived::Escalation],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `create` on `serviceaccounts/token`, or `create`, `update` or `patch` on \
               Secrets, at cluster scope or in a privileged namespace: kube-system, and every \
               namespace with a service account that can become cluster administrator. Token \
               requests that are limited to names pass if none of these accounts can, and so do \
               updates and patches of named Secrets.",
        why: "A token is the account. Whoever can have one made acts as it from anywhere, and a \
              token in a Secret never expires.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Limit the right to the names of the accounts that are needed, or move it to a \
                  namespace that is not privileged.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name these rights, and on \
                     CREATE of `serviceaccounts/token` tokens that are bound to no pod or last \
                     long.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. Kubelets ask for tokens by \
                 another authorizer, which gives each only those of its own pods. Vault and \
                 external-secrets need no more than names. Privileged namespaces are computed, \
                 not listed. Holders of cluster-admin are NotApplicable here: \
                 rbac-cluster-admin-allowlist judges them.",
    };
}

/// Whether an account that a right names can become cluster administrator.
fn names_privileged(context: &Context<'_>, held: &Held<'_>) -> bool {
    let escalation = context.analyses.escalation();
    let accounts = &context.inventory.tables.service_accounts;
    let home = &**held.grant.namespace;
    let mut found = false;
    accounts.within((!home.is_empty()).then_some(home), |account| {
        found = found
            || (held.names.contains(&account.meta.name)
                && escalation.reaches(&Subject::of(Kind::ServiceAccount, &account.meta)));
    });
    found
}

impl Restricted for TokenRequestRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::Tokens, Verbs::CREATE),
        (
            Thing::Secrets,
            Verbs::CREATE.or(Verbs::UPDATE).or(Verbs::PATCH),
        ),
    ];
    const REASON: &'static str = "PrivilegedTokensObtainable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        // An account that a right names may have become privileged.
        if derived == Derived::Escalation {
            return Touched::All;
        }
        Touched::Subject(subject.clone())
    }

    fn counts(
        &self,
        context: &Context<'_>,
        _: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let counts = held.names.is_empty()
            || match held.thing {
                Thing::Tokens => names_privileged(context, held),
                // A Secret of a name can be created by whoever may apply it.
                _ => held.verbs.has(Verbs::CREATE),
            };
        privileged_place(context, held).filter(|_| counts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Expect, bind, check, check_fresh_cluster, give, verdict_on};
    use super::*;
    use crate::analysis::rbac_defaults::tests::fresh_cluster;

    fn control() -> TokenRequestRestricted {
        TokenRequestRestricted::default()
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        check_fresh_cluster(&control());
    }

    #[test]
    fn tokens_and_secrets_that_hold_them_count() {
        for (rule, expect) in [
            ("create  serviceaccounts/token", Expect::Fail),
            ("create  */token", Expect::Fail),
            ("create  serviceaccounts/token web", Expect::Pass),
            ("create  secrets", Expect::Fail),
            ("update  secrets", Expect::Fail),
            ("patch  secrets", Expect::Fail),
            ("update,patch  secrets config", Expect::Pass),
            ("create  secrets config", Expect::Pass),
            ("create,patch  secrets config", Expect::Fail),
            ("get,list,delete  secrets", Expect::Pass),
            ("create  serviceaccounts", Expect::Pass),
        ] {
            check(&control(), "", rule, expect);
            check(&control(), "kube-system", rule, expect);
            check(&control(), "shop", rule, Expect::Pass);
        }
    }

    #[test]
    fn a_name_is_a_limit_unless_it_is_that_of_an_administrator() {
        let mut world = fresh_cluster(37).namespace("ops");
        for name in ["boss", "web"] {
            let meta = json!({ "namespace": "ops", "name": name });
            world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
        }
        bind(
            &mut world,
            "",
            "boss",
            "cluster-admin",
            &["ServiceAccount ops/boss"],
        );
        for (place, names, reason) in [
            ("ops", "web", "RightNotHeld"),
            ("ops", "web,boss", "PrivilegedTokensObtainable"),
            ("", "boss", "PrivilegedTokensObtainable"),
            ("", "web", "RightNotHeld"),
        ] {
            let rule = format!("create  serviceaccounts/token {names}");
            give(&mut world, place, &rule, "User dev");
            let verdict = verdict_on(&mut world, &control(), "User dev");
            assert_eq!(verdict.reason, reason, "{names} in {place:?}");
            if !place.is_empty() {
                world.delete(Kind::RoleBinding, place, "given");
            }
        }
    }
}
