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
    api::Period,
    controls::{encryption::servers, prelude::*, workloads},
};

mod legacy;

/// Accounts named `default` get no rights, pods mount the token of an account only where that
/// account has rights, and nobody uses tokens that never end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountsHygiene {
    /// Accept workloads that run as `default` and mount its token.
    #[serde(default)]
    pub default_sa_may_mount: bool,

    /// How long nobody must have used a token from a Secret.
    #[serde(default = "a_day")]
    pub legacy_token_window: Period,
}

fn a_day() -> Period {
    Period::hours(24)
}

impl Default for ServiceAccountsHygiene {
    fn default() -> Self {
        Self {
            default_sa_may_mount: false,
            legacy_token_window: a_day(),
        }
    }
}

impl ServiceAccountsHygiene {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-service-accounts-hygiene",
        field: "rbacServiceAccountsHygiene",
        title: "Default accounts have no rights, and no token is mounted or used that need not be",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3"],
        severity: Severity::Medium,
        strength: Strength::Operating,
        rule_version: 3,
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
        observes: &[Observation::ApiServerFacts],
        writes: &[Write::patch(Kind::ServiceAccount)],
        scope: ScopeUse::Ignored,
        what: "No binding but Kubernetes' own names a service account `default`. No workload \
               runs as `default` with a mounted token, unless `defaultSaMayMount`, and no workload \
               mounts the token of an account that has no rights beyond those that Kubernetes' own \
               bindings give to all accounts. A token is mounted by default; \
               `automountServiceAccountToken: false` on the account or in the pod template, which \
               wins, prevents that; a projected token for the API server is mounted anyhow. And no API \
               server counted within `legacyTokenWindow` that somebody used a token from a Secret, \
               by `serviceaccount_legacy_tokens_total`, `…_manual_token_uses_total` and \
               `…_auto_token_uses_total`.",
        why: "A token that nobody needs helps only who breaks into the container, and rights of \
              `default` belong to every pod whose author did not think of accounts. A token in a \
              Secret never ends, and works from anywhere.",
        fix: "`automountServiceAccountToken: false` is set on the account `default` of a workload \
              that mounts its token by default, if that account has no rights. Pods that run keep \
              their token until they are replaced. Bindings and pod templates are never changed: \
              the command or the field is proposed.",
        by_hand: "Set `automountServiceAccountToken: false` in the pod template, or give the \
                  workload an account of its own with just the rights that it needs. Secrets with \
                  tokens that are used carry the label `kubernetes.io/legacy-token-last-used`: \
                  give their users tokens by TokenRequest, and delete them.",
        prevention: "A ValidatingAdmissionPolicy can refuse pods that run as `default` with a \
                     token, and bindings that name `default`.",
        limits: "Subjects are workloads, judged by their template (also at zero replicas), bare \
                 pods, the accounts named `default`, and the API servers. A template that mounts a token by a \
                 Secret of its own is not seen, nor is a sidecar that a webhook adds later. \
                 Projected tokens for other audiences, as meshes use, don't count. The mirror \
                 pods of static pods have no token. Whether a workload really uses its token is \
                 not visible: some prove by it who they are to something else than the API server. \
                 Whose token from a Secret was used, the counters don't tell; uses before Probity \
                 first looked fail only where the server started within the window, and are \
                 Unknown else, as is a server whose metrics can't be read. API servers are found \
                 as enc-secrets-at-rest-active finds them.",
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

    fn noticed(&self, _: Observation) -> Touched {
        // Servers are in no namespace; no workload is another for what they tell.
        Touched::Namespace("".into())
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
        if namespace.is_none_or(str::is_empty) {
            servers::population(context, None, found);
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match subject.kind {
            SubjectKind::Object(Kind::ServiceAccount) => Self::judge_account(context, subject),
            SubjectKind::Object(_) => self.judge_workload(context, subject),
            _ => servers::judge(context, subject, |replica| {
                self.judge_server(context, replica)
            }),
        }
    }
}

#[cfg(test)]
mod tests;
