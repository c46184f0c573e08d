//! `rbac-escalation-paths`

use super::{AllowedSubject, restricted};
use crate::{
    analysis::{
        Derived,
        escalation::{Path, Place, Ways, Who},
        rbac_defaults,
        rbac_defaults::Trust,
        rights::{Grant, Thing, Verbs},
    },
    controls::{prelude::*, restricted::command},
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
        Some(verdict.propose(cut(context, subject, &path)))
    }
}

/// What ends a path: the binding by which its first step is taken, where there is only one.
fn cut(context: &Context<'_>, subject: &Subject, path: &Path) -> String {
    let first = path.steps.first();
    let holder = match first.and_then(|hop| hop.group.as_ref()) {
        Some(Who::Identity(group)) => group,
        _ => subject,
    };
    let reaches = |grant: &Grant<'_>| match first.map(|hop| &hop.place) {
        Some(Place::In(namespace)) => grant.namespace.is_empty() || grant.namespace == namespace,
        _ => grant.namespace.is_empty(),
    };
    let grants = context.analyses.rights().grants(holder);
    let mut grants = grants.filter(|grant| {
        reaches(grant) && restricted::trust(context, grant, holder) != Trust::BuiltIn
    });
    let instead =
        "limit its role to what is needed, or move what it leads to out of its reach; else";
    match (grants.next(), grants.next()) {
        (Some(only), None) => format!(
            "{instead} take the right for the first step away: {}",
            command::delete(only.kind, only.namespace, only.name)
        ),
        (Some(one), Some(other)) => {
            let named: Vec<String> = [one, other]
                .into_iter()
                .chain(grants)
                .map(|grant| command::describe(grant.kind, grant.namespace, grant.name))
                .collect();
            format!(
                "{instead} take it out of the binding that gives the right for the first step, which is \
                 one of: {}",
                named.join("; ")
            )
        }
        (None, _) => format!("{instead} take the right for the first step away from it"),
    }
}

/// Where an identity may read Secrets that may hold a token, in words: whether one does can't be
/// seen.
fn readable_secrets(context: &Context<'_>, subject: &Subject) -> Option<String> {
    let (rights, escalation) = (context.analyses.rights(), context.analyses.escalation());
    let mut grants = rights.grants(subject).filter(|grant| {
        let read = Verbs::GET.or(Verbs::LIST).or(Verbs::WATCH);
        let mut powers = grant.powers.on(Thing::Secrets);
        !grant.is_cluster_admin()
            && (grant.namespace.is_empty() || escalation.is_privileged(grant.namespace))
            && powers.any(|power| power.verbs.has(read))
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
mod tests {
    use serde_json::json;

    use super::super::{
        IdentityKind,
        allowed::tests::allowed,
        testing::{bind, give, grant, verdict_on},
    };
    use super::*;
    use crate::{
        analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
        controls::testing::World,
        verdict::Outcome,
    };

    fn control() -> EscalationPaths {
        EscalationPaths::default()
    }

    fn account(world: &mut World, namespace: &str, name: &str) {
        let meta = json!({ "namespace": namespace, "name": name });
        world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
    }

    /// A cluster with an operator `ops/boss` that is cluster administrator.
    fn world() -> World {
        let mut world = fresh_cluster(37).namespace("ops").namespace("shop");
        account(&mut world, "ops", "boss");
        account(&mut world, "shop", "web");
        account(
            &mut world,
            "kube-system",
            "clusterrole-aggregation-controller",
        );
        bind(
            &mut world,
            "",
            "boss",
            "cluster-admin",
            &["ServiceAccount ops/boss"],
        );
        world
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        for minor in [33, 34, 35, 36, 37] {
            let mut world = fresh_cluster(minor);
            account(
                &mut world,
                "kube-system",
                "clusterrole-aggregation-controller",
            );
            assert!(world.outcomes(&control()).is_empty(), "{minor}");
        }
    }

    #[test]
    fn whoever_has_a_path_fails_and_the_message_tells_it() {
        let mut world = world();
        give(&mut world, "ops", "create  pods", "User dev");
        let verdict = verdict_on(&mut world, &control(), "User dev");
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Fail, "EscalationPath")
        );
        assert_eq!(
            verdict.message,
            "in one step: may create pods in namespace ops, and so act as ServiceAccount ops/boss, \
             who is cluster-admin"
        );
        assert!(verdict.remedy.is_none() && verdict.proposal.is_some());
        // Holding cluster-admin is no path.
        let verdict = verdict_on(&mut world, &control(), "ServiceAccount ops/boss");
        assert_eq!(verdict.reason, "NoEscalationPath");
    }

    #[test]
    fn longer_paths_than_are_wanted_pass() {
        let mut world = world();
        grant(&mut world, "shop", "a", &["create  pods"], &["User dev"]);
        grant(
            &mut world,
            "ops",
            "b",
            &["create  pods"],
            &["ServiceAccount shop/web"],
        );
        for (max_hops, outcome) in [(1, Outcome::Pass), (2, Outcome::Fail)] {
            let control = EscalationPaths {
                max_hops,
                ..control()
            };
            assert_eq!(
                verdict_on(&mut world, &control, "User dev").outcome,
                outcome
            );
        }
    }

    #[test]
    fn node_paths_count_only_where_that_is_wanted() {
        let mut world = world();
        world.put(
            Kind::Pod,
            json!({
                "metadata": { "namespace": "ops", "name": "boss" },
                "spec": { "serviceAccountName": "boss", "containers": [] },
            }),
        );
        give(&mut world, "shop", "create  pods", "User dev");
        let verdict = verdict_on(&mut world, &control(), "User dev");
        assert_eq!(verdict.outcome, Outcome::Pass);
        assert!(
            verdict.message.starts_with("only through a node"),
            "{}",
            verdict.message
        );
        let strict = EscalationPaths {
            include_node_paths: true,
            ..control()
        };
        assert_eq!(
            verdict_on(&mut world, &strict, "User dev").outcome,
            Outcome::Fail
        );
    }

    #[test]
    fn reading_secrets_where_tokens_may_lie_is_told() {
        let mut world = world();
        give(&mut world, "ops", "get  secrets", "User dev");
        let verdict = verdict_on(&mut world, &control(), "User dev");
        let told = "reads Secrets in privileged namespace ops: a token among them would be a path";
        assert_eq!((verdict.outcome, &*verdict.message), (Outcome::Pass, told));
    }

    #[test]
    fn who_is_allowed_passes_until_the_review() {
        let mut world = world();
        give(&mut world, "ops", "create  pods", "User dev");
        let mut entry = allowed(IdentityKind::User, None, "dev");
        entry.review_by = Some("2026-06-01".to_owned());
        let control = EscalationPaths {
            allowed_subjects: vec![entry],
            ..control()
        };
        let verdict = verdict_on(&mut world, &control, "User dev");
        assert_eq!(verdict.reason, "AllowedSubject");
        world.now = verdict.recheck_at.unwrap();
        assert_eq!(
            verdict_on(&mut world, &control, "User dev").reason,
            "ReviewOverdue"
        );
    }

    #[test]
    fn what_kubernetes_gives_is_no_path_unless_somebody_added_to_it() {
        let mut world = world();
        let manager = "User system:kube-controller-manager";
        give(&mut world, "shop", "get  pods", manager);
        assert_eq!(
            verdict_on(&mut world, &control(), manager).outcome,
            Outcome::Pass
        );
        // A binding of one's own that carries the label is none of Kubernetes'.
        world.put(
            Kind::ClusterRoleBinding,
            json!({
                "metadata": { "name": "mine", "labels": { BOOTSTRAPPING: "rbac-defaults" } },
                "roleRef": { "kind": "ClusterRole", "name": "edit" },
                "subjects": [{ "kind": "User", "name": "eve" }],
            }),
        );
        assert_eq!(
            verdict_on(&mut world, &control(), "User eve").outcome,
            Outcome::Fail
        );
        world.observed.server_minor = Some(99);
        assert_eq!(
            verdict_on(&mut world, &control(), manager).outcome,
            Outcome::Fail
        );
        // What it holds by what looks like Kubernetes' own is a path, if it is not.
        let new = json!({ "name": "system:new", "labels": { BOOTSTRAPPING: "rbac-defaults" } });
        world.put(
            Kind::ClusterRoleBinding,
            json!({
                "metadata": new, "roleRef": { "kind": "ClusterRole", "name": "edit" },
                "subjects": [{ "kind": "User", "name": "new" }],
            }),
        );
        let verdict = verdict_on(&mut world, &control(), "User new");
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "ServerVersionNotPinned")
        );
    }
}
