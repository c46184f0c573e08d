//! `rbac-no-escalate-bind-impersonate`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
    secrets_read_restricted::{is_default_edit, may_be_default_edit},
};
use crate::{
    analysis::{
        Derived,
        escalation::{Place, RoleAt},
        rights::{Powers, Thing, Verbs},
    },
    controls::prelude::*,
};

/// Only listed identities hold the verbs by which one gets rights that one does not have:
/// `escalate`, `bind` and `impersonate`.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoEscalateBindImpersonate {
    /// Identities that may hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// Count the right to impersonate service accounts that Kubernetes' own roles `edit` and
    /// `admin` give in every namespace, not only in privileged ones.
    #[serde(default)]
    pub strict_edit: bool,
}

const IMPERSONATE: Verbs = Verbs::IMPERSONATE;
const GRANT: Verbs = Verbs::ESCALATE.or(Verbs::BIND);

impl NoEscalateBindImpersonate {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-no-escalate-bind-impersonate",
        field: "rbacNoEscalateBindImpersonate",
        title: "Only listed identities hold escalate, bind or impersonate",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3"],
        severity: Severity::Critical,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
        ],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights, Derived::Escalation],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `escalate` or `bind` on roles or cluster roles, `impersonate` on users, \
               groups, service accounts, uids or extras, or a constrained verb (`impersonate:…`, \
               `impersonate-on:…`). A right that is limited to names counts if a role that it \
               names can become cluster-admin or holds what the controls of this family forbid, \
               or an identity that it names can become cluster administrator.",
        why: "Each of these verbs lifts a guard of the API server: with them one gets rights that \
              nobody gave.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Take the verbs out of the role or limit them to names of harmless roles and \
                  identities; list role managers and proxies that need them in `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name these verbs; those \
                     that give them by `*` are found by rbac-no-wildcard-verbs.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. `escalate` on cluster roles and \
                 `impersonate` on users, groups, uids and extras have no effect by a RoleBinding \
                 and don't count there. The default roles `edit` and `admin` impersonate service \
                 accounts: that counts in privileged namespaces, by a ClusterRoleBinding, and \
                 everywhere with `strictEdit`; in other namespaces it is Unknown on a server version \
                 without pins. A namespace is privileged if it is kube-system or \
                 holds an account that can become cluster administrator; the message says so. \
                 Names of uids and extras tell nothing and count. Holders of cluster-admin are \
                 NotApplicable here: rbac-cluster-admin-allowlist judges them.",
    };
}

/// Powers that controls of this family forbid at cluster scope.
const FORBIDDEN: &[(Thing, Verbs)] = &[
    (Thing::Secrets, Verbs::ANY),
    (Thing::Pods, MAKE),
    (Thing::Deployments, MAKE),
    (Thing::DaemonSets, MAKE),
    (Thing::StatefulSets, MAKE),
    (Thing::ReplicaSets, MAKE),
    (Thing::Jobs, MAKE),
    (Thing::CronJobs, MAKE),
    (Thing::ReplicationControllers, MAKE),
    (Thing::Tokens, Verbs::CREATE),
    (Thing::NodesProxy, Verbs::ANY),
    (Thing::PodsExec, Verbs::CREATE.or(Verbs::GET)),
    (Thing::PodsAttach, Verbs::CREATE.or(Verbs::GET)),
    (Thing::PodsPortForward, Verbs::CREATE.or(Verbs::GET)),
    (Thing::PodsProxy, Verbs::CREATE.or(Verbs::GET)),
    (Thing::ServicesProxy, Verbs::CREATE.or(Verbs::GET)),
    (Thing::EphemeralContainers, Verbs::UPDATE.or(Verbs::PATCH)),
    (Thing::Roles, GRANT),
    (Thing::ClusterRoles, GRANT),
    (Thing::Users, IMPERSONATE),
    (Thing::Groups, IMPERSONATE),
    (Thing::ServiceAccounts, IMPERSONATE),
    (Thing::Signers, Verbs::APPROVE.or(Verbs::SIGN)),
    (Thing::PersistentVolumes, Verbs::CREATE),
    (Thing::ValidatingWebhooks, WRITE),
    (Thing::MutatingWebhooks, WRITE),
    (Thing::ValidatingPolicies, WRITE),
    (Thing::ValidatingPolicyBindings, WRITE),
    (Thing::MutatingPolicies, WRITE),
    (Thing::MutatingPolicyBindings, WRITE),
    (Thing::ControlPolicies, WRITE),
];
const MAKE: Verbs = Verbs::CREATE.or(Verbs::UPDATE).or(Verbs::PATCH);
const WRITE: Verbs = MAKE.or(Verbs::DELETE).or(Verbs::DELETE_ALL);

fn holds_forbidden(powers: &Powers) -> bool {
    FORBIDDEN.iter().any(|(thing, verbs)| {
        let mut held = powers.on(*thing);
        held.any(|power| power.verbs(|| true).has(*verbs))
    })
}

/// Whether a role that a right names gives more than its holder should get.
fn is_strong(context: &Context<'_>, held: &Held<'_>, name: &Sym) -> bool {
    let (rights, escalation) = (context.analyses.rights(), context.analyses.escalation());
    let namespace = held.grant.namespace;
    let place = if namespace.is_empty() {
        Place::Cluster
    } else {
        Place::In(namespace.clone())
    };
    let strong = |home: Sym| {
        let name = name.clone();
        let powers = rights.role(&home, &name);
        let role = RoleAt {
            place: if home.is_empty() {
                place.clone()
            } else {
                Place::In(home.clone())
            },
            home,
            name,
        };
        powers.is_some_and(holds_forbidden)
            || escalation.role_reaches(context.inventory, rights, &role)
    };
    if held.thing == Thing::ClusterRoles {
        return strong("".into());
    }
    if !namespace.is_empty() {
        return strong(namespace.clone());
    }
    let roles = context.inventory.tables.roles.iter();
    let mut homes = roles.filter(|role| role.meta.name == *name);
    homes.any(|role| strong(role.meta.namespace.clone()))
}

/// Whether an identity that a right names can become cluster administrator.
fn is_privileged(context: &Context<'_>, held: &Held<'_>, name: &Sym) -> bool {
    let escalation = context.analyses.escalation();
    let reaches = |subject: &Subject| escalation.reaches(subject);
    match held.thing {
        Thing::Users => reaches(&Subject::named(SubjectKind::User, name.clone())),
        Thing::Groups => reaches(&Subject::named(SubjectKind::Group, name.clone())),
        Thing::ServiceAccounts => {
            let account = |home| Subject::object(Kind::ServiceAccount, home, name);
            if held.grant.namespace.is_empty() {
                let accounts = context.inventory.tables.service_accounts.iter();
                let mut named = accounts.filter(|account| account.meta.name == *name);
                let mut bound = context.analyses.rights().identities();
                named.any(|found| reaches(&account(&found.meta.namespace)))
                    || bound.any(|subject| {
                        subject.object_kind().is_some() && subject.name == *name && reaches(subject)
                    })
            } else {
                reaches(&account(held.grant.namespace))
            }
        }
        // The values of uids and extras say nothing about whose they are.
        _ => true,
    }
}

impl Restricted for NoEscalateBindImpersonate {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::Roles, GRANT),
        (Thing::ClusterRoles, GRANT),
        (Thing::Users, IMPERSONATE),
        (Thing::Groups, IMPERSONATE),
        (Thing::ServiceAccounts, IMPERSONATE),
        (Thing::Uids, IMPERSONATE),
        (Thing::UserExtras, IMPERSONATE),
        (Thing::ConstrainedImpersonation, Verbs::CONSTRAINED),
    ];
    const REASON: &'static str = "EscalationVerbsGranted";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn changed(&self, _: &Change) -> Touched {
        // A role that some right names may hold something else.
        Touched::All
    }

    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        // Whom a right names may have become privileged, and any namespace too.
        if derived == Derived::Escalation {
            return Touched::All;
        }
        Touched::Subject(subject.clone())
    }

    fn is_unpinned(&self, context: &Context<'_>, held: &Held<'_>) -> bool {
        let namespace = &**held.grant.namespace;
        held.thing == Thing::ServiceAccounts
            && !self.strict_edit
            && !namespace.is_empty()
            && !context.analyses.escalation().is_privileged(namespace)
            && may_be_default_edit(context, &held.grant)
    }

    fn counts(
        &self,
        context: &Context<'_>,
        _: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let namespace = &**held.grant.namespace;
        let escalation = context.analyses.escalation();
        let privileged = !namespace.is_empty() && escalation.is_privileged(namespace);
        let local = !namespace.is_empty();
        if local && held.thing == Thing::ClusterRoles && !held.verbs.has(Verbs::BIND) {
            return None;
        }
        if local
            && !privileged
            && !self.strict_edit
            && held.thing == Thing::ServiceAccounts
            && is_default_edit(context, &held.grant, held.thing)
        {
            return None;
        }
        let counts = |name: &Sym| match held.thing {
            Thing::Roles | Thing::ClusterRoles => is_strong(context, held, name),
            Thing::ConstrainedImpersonation => true,
            _ => is_privileged(context, held, name),
        };
        if !held.names.is_empty() && !held.names.iter().any(counts) {
            return None;
        }
        Some(if privileged {
            Cow::Owned(format!(" in privileged namespace {namespace}"))
        } else {
            held.place()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{
        Expect, bind, check, check_fresh_cluster, give, grant, verdict_on,
    };
    use super::*;
    use crate::{
        analysis::rbac_defaults::tests::fresh_cluster, controls::testing::World, verdict::Outcome,
    };

    const RBAC: &str = "rbac.authorization.k8s.io";

    fn control() -> NoEscalateBindImpersonate {
        NoEscalateBindImpersonate::default()
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        check_fresh_cluster(&control());
    }

    #[test]
    fn the_verbs_count_where_they_have_an_effect() {
        use Expect::{Admin, Fail, Pass};
        for (rule, wide, narrow) in [
            (format!("escalate {RBAC} clusterroles"), Fail, Pass),
            (format!("escalate {RBAC} roles"), Fail, Fail),
            (format!("bind {RBAC} clusterroles"), Fail, Fail),
            (format!("bind {RBAC} roles"), Fail, Fail),
            (format!("* {RBAC} *"), Fail, Fail),
            ("impersonate  users".to_owned(), Fail, Pass),
            ("impersonate  groups".to_owned(), Fail, Pass),
            ("impersonate  serviceaccounts".to_owned(), Fail, Fail),
            (
                "impersonate authentication.k8s.io uids".to_owned(),
                Fail,
                Pass,
            ),
            (
                "impersonate authentication.k8s.io userextras/scopes".to_owned(),
                Fail,
                Pass,
            ),
            (
                "impersonate authentication.k8s.io userextras/scopes view".to_owned(),
                Fail,
                Pass,
            ),
            (
                "impersonate:user-info authentication.k8s.io users".to_owned(),
                Fail,
                Fail,
            ),
            ("impersonate-on:user-info:get  pods".to_owned(), Fail, Fail),
            (
                format!("create,update,patch,delete {RBAC} roles,rolebindings"),
                Pass,
                Pass,
            ),
            ("impersonate apps users".to_owned(), Pass, Pass),
            ("* * *".to_owned(), Admin, Fail),
        ] {
            check(&control(), "", &rule, wide);
            check(&control(), "shop", &rule, narrow);
        }
    }

    #[test]
    fn what_a_right_names_decides() {
        let mut world = fresh_cluster(37).namespace("shop");
        bind(
            &mut world,
            "",
            "boss",
            "cluster-admin",
            &["User boss", "ServiceAccount ops/boss", "Group bosses"],
        );
        grant(
            &mut world,
            "shop",
            "reader",
            &["get  configmaps"],
            &["Group readers"],
        );
        grant(
            &mut world,
            "shop",
            "secrets",
            &["get  secrets"],
            &["Group secrets"],
        );
        for (rule, reason) in [
            (format!("bind {RBAC} clusterroles view"), "RightNotHeld"),
            (format!("bind {RBAC} clusterroles reader"), "RightNotHeld"),
            (
                format!("bind {RBAC} clusterroles reader,cluster-admin"),
                "EscalationVerbsGranted",
            ),
            (
                format!("bind {RBAC} clusterroles secrets"),
                "EscalationVerbsGranted",
            ),
            (
                format!("escalate {RBAC} clusterroles edit"),
                "EscalationVerbsGranted",
            ),
            (format!("bind {RBAC} clusterroles missing"), "RightNotHeld"),
            (
                "impersonate  users boss".to_owned(),
                "EscalationVerbsGranted",
            ),
            ("impersonate  users nobody".to_owned(), "RightNotHeld"),
            (
                "impersonate  groups bosses".to_owned(),
                "EscalationVerbsGranted",
            ),
            (
                "impersonate  groups system:masters".to_owned(),
                "EscalationVerbsGranted",
            ),
            ("impersonate  groups readers".to_owned(), "RightNotHeld"),
            (
                "impersonate  serviceaccounts boss".to_owned(),
                "EscalationVerbsGranted",
            ),
            (
                "impersonate  serviceaccounts web".to_owned(),
                "RightNotHeld",
            ),
        ] {
            give(&mut world, "", &rule, "User dev");
            let verdict = verdict_on(&mut world, &control(), "User dev");
            assert_eq!(verdict.reason, reason, "{rule}: {verdict:?}");
        }
    }

    #[test]
    fn edit_counts_where_it_makes_somebody_privileged() {
        let strict = NoEscalateBindImpersonate {
            strict_edit: true,
            ..control()
        };
        let account = |world: &mut World, namespace: &str| {
            let meta = json!({ "namespace": namespace, "name": "deployer" });
            world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
        };
        for role in ["edit", "admin"] {
            let mut world = fresh_cluster(37);
            for namespace in ["shop", "ops"] {
                account(&mut world, namespace);
            }
            bind(
                &mut world,
                "",
                "x",
                "cluster-admin",
                &["ServiceAccount ops/deployer"],
            );
            for (place, loose, strictly) in [
                ("shop", Outcome::Pass, Outcome::Fail),
                ("ops", Outcome::Fail, Outcome::Fail),
                ("kube-system", Outcome::Fail, Outcome::Fail),
            ] {
                let group = format!("Group {place}");
                bind(&mut world, place, "devs", role, &[&group]);
                let verdict = verdict_on(&mut world, &control(), &group);
                assert_eq!(verdict.outcome, loose, "{role} in {place}: {verdict:?}");
                assert!(loose == Outcome::Pass || verdict.message.contains("privileged namespace"));
                assert_eq!(verdict_on(&mut world, &strict, &group).outcome, strictly);
            }
            bind(&mut world, "", "wide", role, &["Group wide"]);
            assert_eq!(
                verdict_on(&mut world, &control(), "Group wide").outcome,
                Outcome::Fail
            );
        }
    }

    #[test]
    fn what_edit_gives_on_an_unknown_version_nobody_can_tell() {
        let mut world = fresh_cluster(37).namespace("shop");
        bind(&mut world, "shop", "devs", "edit", &["Group devs"]);
        world.observed.server_minor = Some(99);
        let verdict = verdict_on(&mut world, &control(), "Group devs");
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "ServerVersionNotPinned")
        );
        // In every namespace it counts whatever it gives by default.
        bind(&mut world, "", "wide", "edit", &["Group wide"]);
        let verdict = verdict_on(&mut world, &control(), "Group wide");
        assert_eq!(verdict.outcome, Outcome::Fail);
    }

    #[test]
    fn a_binding_of_strangers_only_is_deleted() {
        let mut world = fresh_cluster(37);
        give(
            &mut world,
            "shop",
            "impersonate  serviceaccounts",
            "User dev",
        );
        let left = world.mend(&control());
        assert!(left.is_empty(), "{left:?}");
    }
}
