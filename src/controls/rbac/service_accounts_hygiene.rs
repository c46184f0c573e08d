//! `rbac-service-accounts-hygiene`

use serde_json::json;

use super::{restricted, revoke};
use crate::{
    analysis::{
        Derived,
        rbac::accounts_of,
        rbac_defaults::Trust,
        rights::{self, Grant},
    },
    controls::{prelude::*, workloads},
};

/// Accounts named `default` get no rights, and pods mount the token of an account only where that
/// account has rights.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountsHygiene {
    /// Accept workloads that run as `default` and mount its token.
    #[serde(default)]
    pub default_sa_may_mount: bool,
}

impl ServiceAccountsHygiene {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-service-accounts-hygiene",
        field: "rbacServiceAccountsHygiene",
        title: "Default accounts have no rights, and tokens without rights are not mounted",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[
            Kind::ServiceAccount,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
        ],
        subjects: &[
            Kind::ServiceAccount,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
        ],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &[Write::patch(Kind::ServiceAccount)],
        scope: ScopeUse::Ignored,
        what: "No binding but Kubernetes' own names a service account `default`. No workload \
               runs as `default` with a mounted token, unless `defaultSaMayMount`, and no workload \
               mounts the token of an account that has no rights beyond those that Kubernetes' own \
               bindings give to all accounts. A token is mounted by default; \
               `automountServiceAccountToken: false` on the account or in the pod template, which \
               wins, prevents that; a projected token for the API server is mounted anyhow.",
        why: "A token that nobody needs helps only who breaks into the container, and rights of \
              `default` belong to every pod whose author did not think of accounts.",
        fix: "`automountServiceAccountToken: false` is set on the account `default` of a workload \
              that mounts its token by default, if that account has no rights. Pods that run keep \
              their token until they are replaced. Bindings and pod templates are never changed: \
              the command or the field is proposed.",
        by_hand: "Set `automountServiceAccountToken: false` in the pod template, or give the \
                  workload an account of its own with just the rights that it needs.",
        prevention: "A ValidatingAdmissionPolicy can refuse pods that run as `default` with a \
                     token, and bindings that name `default`.",
        limits: "Subjects are workloads, judged by their template (also at zero replicas), bare \
                 pods, and the accounts named `default`. A template that mounts a token by a \
                 Secret of its own is not seen, nor is a sidecar that a webhook adds later. \
                 Projected tokens for other audiences, as meshes use, don't count. The mirror \
                 pods of static pods have no token. Whether a workload really uses its token is \
                 not visible: some prove by it who they are to something else than the API server. \
                 The use of legacy tokens (`serviceaccount_legacy_…` metrics) is not judged here.",
    };

    fn judge_account(context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let meta =
            context
                .inventory
                .meta(Kind::ServiceAccount, &subject.namespace, &subject.name)?;
        if &*meta.name != "default" {
            return None;
        }
        let given = |trust: Trust| {
            let grants = context.analyses.rights().grants(subject);
            grants.filter(move |g| restricted::trust(context, g, subject) == trust)
        };
        let custom: Vec<Grant<'_>> = given(Trust::Custom).collect();
        if custom.is_empty() && given(Trust::Unpinned).next().is_some() {
            return Some(Verdict::unknown(
                "ServerVersionNotPinned",
                "is bound by what looks like Kubernetes' own; what this server version creates is \
                 not known",
            ));
        }
        if custom.is_empty() {
            return Some(Verdict::pass(
                Strength::Effective,
                "DefaultAccountNotBound",
                "",
            ));
        }
        let given = custom.iter().filter_map(|grant| {
            let binding =
                revoke::binding(context.inventory, grant.kind, grant.namespace, grant.name)?;
            Some((grant.kind, binding))
        });
        let given: Vec<revoke::Given<'_>> = given.collect();
        let names = given
            .iter()
            .map(|(kind, b)| Subject::of(*kind, &b.meta).to_string());
        let names: Vec<String> = names.take(4).collect();
        let message = format!("is bound by {}", names.join(", "));
        let commands = revoke::commands(context, given, subject, |_| false);
        let verdict = Verdict::fail(Strength::Effective, "DefaultAccountBound", message);
        Some(verdict.propose(format!(
            "give the rights to an account that the workload names: {commands}"
        )))
    }

    fn judge_workload(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let (namespace, template) = (&held.meta.namespace, held.template);
        let name = Sym::from(template.account());
        let accounts = &context.inventory.tables.service_accounts;
        let account = accounts.get(namespace, &name);
        // Kubelets give static pods no token, whatever their mirror says.
        let mirror = held.meta.owners.controller.as_deref();
        let mirror = held.kind == Kind::Pod && mirror.is_some_and(|c| c.starts_with("Node/"));
        let automount = template
            .automount
            .or_else(|| account?.spec.automount)
            .unwrap_or(!mirror);
        if !automount && !template.projects_token {
            return Some(Verdict::pass(Strength::Declared, "TokenNotMounted", ""));
        }
        let identity = Subject::object(Kind::ServiceAccount, namespace, &name);
        let has_rights = has_rights(context, &identity);
        let by_default = &*name == "default";
        if has_rights && !by_default {
            return Some(Verdict::pass(Strength::Effective, "AccountHasRights", ""));
        }
        if by_default && self.default_sa_may_mount {
            let message = "runs as default, which may mount";
            return Some(Verdict::pass(
                Strength::Effective,
                "DefaultAccountMayMount",
                message,
            ));
        }
        let (reason, message) = if by_default {
            (
                "DefaultAccountMounted",
                "runs as `default` and mounts its token".to_owned(),
            )
        } else {
            let message = format!("mounts the token of {identity}, which has no rights");
            ("TokenWithoutRights", message)
        };
        let verdict = Verdict::fail(Strength::Effective, reason, message).propose(
            "set automountServiceAccountToken: false in the pod template, or run it as an account \
             of its own that has the rights that it needs",
        );
        // A template that says something itself would not heed its account.
        let heeds = template.automount.is_none() && !template.projects_token;
        let settable = by_default && !has_rights && heeds && held.kind != Kind::Pod;
        Some(
            match account.filter(|account| settable && !account.meta.deleting) {
                Some(account) => verdict.remedy(Remedy::Set {
                    target: Target {
                        kind: Kind::ServiceAccount,
                        namespace: account.meta.namespace.clone(),
                        name: account.meta.name.clone(),
                    },
                    patch: json!({ "automountServiceAccountToken": false }),
                    path: 0,
                }),
                None => verdict,
            },
        )
    }
}

/// Whether an account may do anything that Kubernetes does not let all accounts do.
fn has_rights(context: &Context<'_>, account: &Subject) -> bool {
    let rights = context.analyses.rights();
    let gives = |grant: &Grant<'_>| {
        let mut rules = rights.rules(context.inventory, grant.role_namespace, grant.role);
        rules.next().is_some()
    };
    let own = rights.grants(account).any(|grant| gives(&grant));
    own || rights::groups(account).any(|group| {
        let mut grants = rights.grants(&group);
        grants.any(|grant| {
            gives(&grant) && restricted::trust(context, &grant, &group) == Trust::Custom
        })
    })
}

impl Control for ServiceAccountsHygiene {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // Whoever a binding affects, the analysis names.
            Kind::RoleBinding | Kind::ClusterRoleBinding => Touched::Nothing,
            Kind::ServiceAccount => Touched::Namespace(change.namespace.clone()),
            kind => Touched::Subject(Subject::object(kind, &change.namespace, &change.name)),
        }
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match (subject.kind, accounts_of(subject)) {
            (SubjectKind::Object(_), _) => Touched::Namespace(subject.namespace.clone()),
            (_, Some(namespace)) => Touched::Namespace(namespace.into()),
            (SubjectKind::Group, None) if subject.name.starts_with("system:") => Touched::All,
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let accounts = &context.inventory.tables.service_accounts;
        accounts.within(namespace, |account| {
            if &*account.meta.name == "default" {
                found(Subject::of(Kind::ServiceAccount, &account.meta));
            }
        });
        workloads::each(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if subject.object_kind() == Some(Kind::ServiceAccount) {
            Self::judge_account(context, subject)
        } else {
            self.judge_workload(context, subject)
        }
    }
}

#[cfg(test)]
mod tests;
