//! `rbac-escalation-paths`

mod cut;

use super::{AllowedSubject, restricted};
use crate::{
    analysis::{
        Derived,
        escalation::{Path, Ways},
        rbac_defaults,
        rbac_defaults::Trust,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
};

/// Nobody can become cluster administrator step by step, by acting as others or by giving rights
/// to themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EscalationPaths {
    /// Identities that may have a path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// The longest path that counts, in steps.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 32))]
    pub max_hops: u32,

    /// Count paths through nodes as well: pods that may take over their node where Pod Security
    /// enforces no level, volumes that are folders of a node, drawing pods onto a node.
    #[serde(default)]
    pub include_node_paths: bool,
}

const fn six() -> u32 {
    6
}

impl Default for EscalationPaths {
    fn default() -> Self {
        Self {
            allowed_subjects: Vec::new(),
            max_hops: six(),
            include_node_paths: false,
        }
    }
}

impl EscalationPaths {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-escalation-paths",
        field: "rbacEscalationPaths",
        title: "Nobody can become cluster administrator step by step",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3", "CC3.3"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::RoleBinding, Kind::ClusterRoleBinding],
        subjects: &[],
        derives: &[Derived::Rights, Derived::Escalation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` can become \
               cluster administrator in at most `maxHops` steps. Steps are: binding a role \
               (`bind`), editing a role that one is bound to, or one that it aggregates \
               (`escalate`), impersonation, token requests, Secrets that hold tokens, making pods \
               or changing workloads (as any account of the namespace), changing running pods, \
               exec and ephemeral containers (as the accounts of pods that have not ended), \
               `nodes/proxy` (the same in all namespaces), approving certificates of users (as any \
               user or group that a binding names, but `system:masters`), webhooks and mutating \
               admission policies, and the ConfigMap aws-auth on EKS.",
        why: "Rights that look harmless one by one add up: who may create a pod beside a powerful \
              operator is as powerful as the operator.",
        fix: "Nothing is changed. The message tells the shortest path; breaking its first step \
              breaks it.",
        by_hand: "Break the first step of the path: take that right away, limit it to names, or \
                  move what it reaches to a namespace of its own.",
        prevention: "None: a path runs through many objects, and admission sees one.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; only paths that begin with what they hold themselves count, so \
                 that a grant to a group is one finding, on the group. Who else is in a group is \
                 not visible. Holding cluster-admin is no path: rbac-cluster-admin-allowlist \
                 judges that. Writing ValidatingAdmissionPolicies refuses requests and gives no \
                 rights: rbac-admission-config-write-restricted judges it. A right that is limited \
                 to names of webhook configurations is no step for a service account that serves \
                 all of their webhooks by Services of its own namespace, as that control has it. \
                 Approving a \
                 certificate counts whoever asked for it. Reading Secrets is a finding of \
                 rbac-secrets-read-restricted: whether one holds a token can't be seen. \
                 Constrained impersonation is a finding of rbac-no-escalate-bind-impersonate. \
                 Images, custom resources of operators and grants by other authorizers are not \
                 visible. Pods need not be schedulable. Ways through nodes are shown, and count \
                 with `includeNodePaths` only.",
    };

    /// The shortest path that counts.
    fn path(&self, context: &Context<'_>, subject: &Subject, through_nodes: bool) -> Option<Path> {
        let ways = Ways {
            through_nodes,
            defaults: !is_default(context, subject),
        };
        let most = usize::try_from(self.max_hops).unwrap_or(usize::MAX);
        let path = context.analyses.escalation().path(subject, ways);
        path.filter(|path| path.hops() <= most)
    }
}

/// Whether everything that looks like Kubernetes' own grant to `subject` is one, as far as paths
/// go: nothing was added to its role.
fn is_default(context: &Context<'_>, subject: &Subject) -> bool {
    let mut grants = context.analyses.rights().grants(subject);
    grants.all(|grant| {
        let default = || {
            let defaults = rbac_defaults::of(context.observed.server_minor)?;
            let powers = defaults.powers(grant.role_kind(), grant.role_namespace, grant.role)?;
            Some(grant.powers.beyond(&powers).things() == 0)
        };
        !grant.marked
            || (restricted::trust(context, &grant, subject) == Trust::BuiltIn
                && default() == Some(true))
    })
}

impl Control for EscalationPaths {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        self.allowed_subjects
            .iter()
            .try_for_each(AllowedSubject::check)
    }

    fn touched(&self, _: &Change) -> Touched {
        // Whoever a change affects, the analyses name.
        Touched::Nothing
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match subject.kind {
            // Namespaces become privileged, and are no subjects.
            SubjectKind::Object(Kind::Namespace) => Touched::Nothing,
            _ => Touched::Subject(subject.clone()),
        }
    }

    fn fails_whatever(&self, _: &Subject, _: &str, kind: Kind) -> bool {
        restricted::adds_up(kind)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        for subject in context.analyses.rights().identities() {
            let inside = namespace.is_none_or(|namespace| *subject.namespace == *namespace);
            if inside && is_subject(context, subject) {
                found(subject.clone());
            }
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if !is_subject(context, subject) {
            return None;
        }
        let direct = self.path(context, subject, false);
        let nodes = || self.path(context, subject, true);
        let found = direct.or_else(|| self.include_node_paths.then(nodes).flatten());
        let Some(path) = found else {
            let detail =
                nodes().map(|path| format!("only through a node, which does not count: {path}"));
            let detail = detail.or_else(|| readable_secrets(context, subject));
            let detail = detail.unwrap_or_default();
            return Some(Verdict::pass(
                Strength::Effective,
                "NoEscalationPath",
                detail,
            ));
        };
        let mut entries = self.allowed_subjects.iter();
        if let Some(entry) = entries.find(|entry| entry.is(subject)) {
            let advice = || "see the first step of the path".to_owned();
            return Some(restricted::judge_allowed(context, entry, advice));
        }
        if only_unpinned(context, subject) {
            return Some(Verdict::unknown(
                "ServerVersionNotPinned",
                format!(
                    "{path}, by what looks like Kubernetes' own; what this server version creates \
                     is not known"
                ),
            ));
        }
        let members = restricted::members(context.inventory, subject);
        let message = format!("{} {path}{members}", steps(path.hops()));
        let verdict = Verdict::fail(Strength::Effective, "EscalationPath", message);
        Some(verdict.propose(cut::proposal(context, subject, &path)))
    }
}

/// Where an identity may read Secrets that may hold a token, in words: whether one does can't be
/// seen.
fn readable_secrets(context: &Context<'_>, subject: &Subject) -> Option<String> {
    let (rights, escalation) = (context.analyses.rights(), context.analyses.escalation());
    let mut grants = rights.grants(subject).filter(|grant| {
        let mut powers = grant.powers.on(Thing::Secrets);
        !grant.is_cluster_admin()
            && (grant.namespace.is_empty() || escalation.is_privileged(grant.namespace))
            && powers.any(|power| power.verbs.has(Verbs::SHOWN))
    });
    let place = match &**grants.next()?.namespace {
        "" => "in every namespace".to_owned(),
        namespace => format!("in privileged namespace {namespace}"),
    };
    Some(format!(
        "reads Secrets {place}: a token among them would be a path"
    ))
}

fn steps(hops: usize) -> String {
    match hops {
        1 => "in one step:".to_owned(),
        hops => format!("in {hops} steps:"),
    }
}

/// Whether a binding names it that Kubernetes does not create, or a default one with more than it
/// should.
fn is_subject(context: &Context<'_>, subject: &Subject) -> bool {
    let mut grants = context.analyses.rights().grants(subject).peekable();
    grants.peek().is_some()
        && (grants.any(|grant| restricted::trust(context, &grant, subject) != Trust::BuiltIn)
            || !is_default(context, subject))
}

/// Whether nothing but what can't be compared with a pin gives it anything.
fn only_unpinned(context: &Context<'_>, subject: &Subject) -> bool {
    let mut grants = context.analyses.rights().grants(subject);
    grants.all(|grant| restricted::trust(context, &grant, subject) == Trust::Unpinned)
}

#[cfg(test)]
mod tests;
