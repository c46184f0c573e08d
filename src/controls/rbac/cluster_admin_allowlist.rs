//! `rbac-cluster-admin-allowlist`

use std::collections::BTreeSet;

use super::{
    AllowedSubject, Preset, command, is_protected, presets, restricted::judge_allowed, revoke,
};
use crate::{
    analysis::{
        Derived,
        rbac::{accounts_of, cluster_admin_bindings, identity, is},
        rbac_defaults::{self, Trust},
        rights::spot::Question,
    },
    controls::prelude::*,
    inventory::rbac::{Binding, Holder},
    words::either,
};

/// Only listed identities hold cluster-admin: every verb on every resource of every group at
/// cluster scope, through whatever role and binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAdminAllowlist {
    /// Identities that may hold cluster-admin, beside `system:masters` and the presets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// How many users and groups may hold cluster-admin, allowed ones included.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_human_subjects: u32,

    /// Platforms whose own bindings are accepted, by name and subject.
    #[serde(default = "presets::defaults")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub presets: Vec<Preset>,
}

const fn three() -> u32 {
    3
}

impl Default for ClusterAdminAllowlist {
    fn default() -> Self {
        Self {
            allowed_subjects: Vec::new(),
            max_human_subjects: three(),
            presets: presets::defaults(),
        }
    }
}

/// Machine users that platforms bring under names without `system:`.
const MACHINES: [&str; 1] = ["eks:addon-manager"];

impl ClusterAdminAllowlist {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-cluster-admin-allowlist",
        field: "rbacClusterAdminAllowlist",
        title: "Only listed identities hold cluster-admin",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.2", "CC6.3"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 2,
        reads: &[
            Kind::ClusterRole,
            Kind::ClusterRoleBinding,
            Kind::RoleBinding,
            Kind::ServiceAccount,
        ],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[Observation::AccessChecks],
        writes: &[Write::delete(Kind::ClusterRoleBinding)],
        scope: ScopeUse::Ignored,
        what: "Each user, group and service account that a ClusterRoleBinding gives `*` verbs on \
               `*` resources of `*` groups, through any role name, aggregated roles included, is \
               the group `system:masters`, matches a platform preset by binding and subject, or \
               is in `allowedSubjects`, and its review is not overdue. No more than \
               `maxHumanSubjects` users and groups are so allowed. Where the API server is asked, it \
               lets nobody do what no binding gives them.",
        why: "Who holds cluster-admin can read every secret, change every workload and switch \
              every other control off.",
        fix: "A ClusterRoleBinding none of whose subjects is allowed is deleted, after it was \
              archived. Otherwise the command is proposed: for bindings that also name an allowed \
              identity, name `system:masters`, belong to Kubernetes' bootstrapping or to Probity, \
              and for the last grant to a person.",
        by_hand: "Give the identity a role with the rights that it needs, then delete its binding; \
               or list it in `allowedSubjects` with owner, reason and review date.",
        prevention: "A ValidatingAdmissionPolicy can refuse bindings to `cluster-admin` for others; \
               roles that are its equal under another name it can't see.",
        limits: "Subjects are the identities that any binding names which Kubernetes does not \
                 create itself, and `Cluster/cluster` for the number of people. Users and groups \
                 whose names begin with `system:` count as machines, every other group as one \
                 person: who is in a group, and who holds a certificate for `system:masters`, is \
                 not visible. Grants by other authorizers (EKS access entries, GKE IAM, Azure \
                 RBAC, webhooks) are not visible either, unless the API server may be asked: then a \
                 stranger, a user of no name and the account `default` of namespace `default` are \
                 asked about, and what they may do beside RBAC makes `Cluster/cluster` Unknown, or \
                 fail where it is everything. Grants to anybody else stay unseen. All rights spelt out one by one are left \
                 to the other RBAC controls. AKS binds Entra groups by their ids: list those.",
    };

    fn allowance(&self, subject: &Subject) -> Option<&AllowedSubject> {
        self.allowed_subjects.iter().find(|entry| entry.is(subject))
    }

    /// Whether a grant needs nobody's leave: the bootstrap group, or a platform's own binding.
    fn is_given(&self, binding: &Object<Binding>, holder: &Holder) -> bool {
        is_masters(holder) || presets::is_cluster_admin(&self.presets, binding, holder)
    }

    /// Whether a policy or a platform stands for one subject of a binding.
    fn is_accepted(&self, binding: &Object<Binding>, holder: &Holder) -> bool {
        self.is_given(binding, holder)
            || identity(holder).is_some_and(|subject| self.allowance(&subject).is_some())
    }

    /// Whether nobody who is accepted would lose anything with the binding.
    fn is_foreign(&self, own_namespace: &str, binding: &Object<Binding>) -> bool {
        let subjects = &binding.spec.subjects;
        !is_protected(own_namespace, binding)
            && !subjects.iter().any(|h| self.is_accepted(binding, h))
    }

    /// Whether people have another way in once the binding is gone. One that is itself to be
    /// deleted does not count, except the oldest: both might be deleted in the same round.
    fn is_dispensable(&self, inventory: &Inventory, binding: &Object<Binding>) -> bool {
        if !names_a_person(binding) {
            return true;
        }
        let for_people = || {
            let bindings = cluster_admin_bindings(inventory);
            bindings.filter(|other| !other.meta.deleting && names_a_person(other))
        };
        let stays = for_people().any(|other| {
            let mut subjects = other.spec.subjects.iter();
            other.meta.name != binding.meta.name
                && subjects.any(|h| is_person(h) && self.is_accepted(other, h))
        });
        let oldest = for_people().min_by_key(|other| (other.meta.created, &other.meta.name));
        stays || oldest.is_some_and(|oldest| oldest.meta.name != binding.meta.name)
    }

    /// Whether there is anything to judge: Kubernetes' own grants alone make nobody a subject.
    fn concerns(&self, held: &Held<'_>) -> bool {
        held.named || held.grants.iter().any(|(b, h)| !self.is_given(b, h))
    }

    fn judge_identity(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = held(context, subject);
        if !self.concerns(&held) {
            return None;
        }
        let grants = held.grants;
        if grants.is_empty() {
            return Some(Verdict::pass(Strength::Effective, "NotClusterAdmin", ""));
        }
        let open = grants.iter().filter(|(b, h)| !self.is_given(b, h));
        let open: Vec<&Object<Binding>> = open.map(|(binding, _)| *binding).collect();
        if open.is_empty() {
            let message = format!("by {}", names(&grants));
            let reason = "ClusterAdminOfThePlatform";
            return Some(Verdict::pass(Strength::Effective, reason, message));
        }
        Some(match self.allowance(subject) {
            Some(entry) => judge_allowed(context, entry, || self.commands(context, &open, subject)),
            None => self.deny(context, &open, subject),
        })
    }

    fn deny(&self, context: &Context<'_>, open: &[&Object<Binding>], subject: &Subject) -> Verdict {
        let list: Vec<_> = open.iter().map(|binding| &*binding.meta.name).collect();
        let message = format!(
            "holds cluster-admin by ClusterRoleBinding {}, and is not allowed to{}",
            list.join(", "),
            members(context.inventory, subject)
        );
        let verdict = Verdict::fail(Strength::Effective, "ClusterAdminNotAllowed", message);
        let (inventory, own) = (context.inventory, context.own_namespace);
        let foreign = open
            .iter()
            .copied()
            .filter(|b| !b.meta.deleting && self.is_foreign(own, b));
        let (spare, final_ones): (Vec<&Object<Binding>>, Vec<_>) =
            foreign.partition(|b| self.is_dispensable(inventory, b));
        let warning = if final_ones.is_empty() {
            ""
        } else {
            "this may be the last grant to a person, make sure of another way in first: "
        };
        let verdict = verdict.propose(format!(
            "{warning}{}",
            self.commands(context, open, subject)
        ));
        match spare.first() {
            Some(binding) => verdict.remedy(Remedy::Delete {
                target: Target {
                    kind: Kind::ClusterRoleBinding,
                    namespace: "".into(),
                    name: binding.meta.name.clone(),
                },
            }),
            None => verdict,
        }
    }

    /// The commands that take the grants away.
    fn commands(
        &self,
        context: &Context<'_>,
        open: &[&Object<Binding>],
        subject: &Subject,
    ) -> String {
        let kind = Kind::ClusterRoleBinding;
        let commands = open.iter().map(|binding| {
            let (role, holders) = (&binding.spec.role, &binding.spec.subjects);
            let minor = context.observed.server_minor;
            let default =
                |h: &Holder| rbac_defaults::grant(minor, kind, binding, h) == Trust::BuiltIn;
            if holders.iter().any(|h| is(h, subject) && default(h)) {
                // The binding comes back by itself; what is wrong is what its role holds.
                return command::edit(Kind::ClusterRole, "", role);
            }
            if self.is_foreign(context.own_namespace, binding) {
                return command::delete(kind, "", &binding.meta.name);
            }
            let places = holders.iter().enumerate().filter(|(_, h)| is(h, subject));
            let places: Vec<usize> = places.map(|(place, _)| place).collect();
            command::remove_subjects(kind, binding, &places)
        });
        commands.take(8).collect::<Vec<_>>().join("; ")
    }

    /// How many people are allowed to hold cluster-admin, and do.
    fn count(&self, inventory: &Inventory) -> Verdict {
        let mut people = BTreeSet::new();
        for binding in cluster_admin_bindings(inventory) {
            let holders = binding.spec.subjects.iter();
            let accepted = holders.filter(|h| is_person(h) && self.is_accepted(binding, h));
            people.extend(accepted.filter_map(identity));
        }
        let most = usize::try_from(self.max_human_subjects).unwrap_or(usize::MAX);
        if people.len() <= most {
            let message = format!("{} of at most {most} users and groups", people.len());
            return Verdict::pass(Strength::Effective, "FewHumanAdministrators", message);
        }
        let list: Vec<_> = people.iter().take(10).map(Subject::to_string).collect();
        let message = format!(
            "{} {} cluster-admin by leave, at most {most} may: {}",
            people.len(),
            either(people.len(), "user or group holds", "users and groups hold"),
            list.join(", ")
        );
        Verdict::fail(Strength::Effective, "TooManyHumanAdministrators", message).propose(
            "remove entries of users and groups from allowedSubjects, and their bindings, or \
             raise maxHumanSubjects",
        )
    }
}

fn is_masters(holder: &Holder) -> bool {
    &*holder.kind == "Group" && &*holder.name == "system:masters"
}

/// Whether a person may be behind the identity.
fn is_person(holder: &Holder) -> bool {
    matches!(&*holder.kind, "User" | "Group")
        && !holder.name.starts_with("system:")
        && !MACHINES.contains(&&*holder.name)
}

fn names_a_person(binding: &Object<Binding>) -> bool {
    binding.spec.subjects.iter().any(is_person)
}

fn names(grants: &[(&Object<Binding>, &Holder)]) -> String {
    let names: Vec<_> = grants
        .iter()
        .map(|(binding, _)| &*binding.meta.name)
        .collect();
    names.join(", ")
}

/// How many accounts a group of service accounts has.
fn members(inventory: &Inventory, subject: &Subject) -> String {
    accounts_of(subject).map_or(String::new(), |namespace| {
        let accounts = inventory.tables.service_accounts.in_namespace(namespace);
        format!(
            "; {} service accounts of {namespace} get it",
            accounts.count()
        )
    })
}

/// What an identity holds.
struct Held<'a> {
    /// Whether a binding names it that Kubernetes does not create.
    named: bool,
    /// Grants of cluster-admin.
    grants: Vec<(&'a Object<Binding>, &'a Holder)>,
}

fn held<'a>(context: &Context<'a>, subject: &Subject) -> Held<'a> {
    let mut named = false;
    let mut grants = Vec::new();
    for grant in context.analyses.rights().grants(subject) {
        let (kind, namespace, name) = (grant.kind, grant.namespace, grant.name);
        let Some(binding) = revoke::binding(context.inventory, kind, namespace, name) else {
            continue;
        };
        let mut holders = binding.spec.subjects.iter().filter(|h| is(h, subject));
        let minor = context.observed.server_minor;
        let custom = |h: &&Holder| rbac_defaults::grant(minor, kind, binding, h) != Trust::BuiltIn;
        named = named || !grant.marked || holders.clone().any(|h| custom(&h));
        if grant.is_cluster_admin()
            && let Some(holder) = holders.next()
        {
            // A default binding proves nothing once its role holds more than the default.
            named = named || !is_masters(holder);
            grants.push((binding, holder));
        }
    }
    Held { named, grants }
}

/// The verdict where the API server lets strangers do what no binding gives them.
fn beside_rbac(context: &Context<'_>) -> Option<Verdict> {
    let answers = &context.observed.access.as_ref()?.answers;
    let more = answers
        .iter()
        .filter(|answer| answer.differs() && !answer.expected);
    let more: Vec<_> = more.map(|answer| answer.question).collect();
    let words: Vec<String> = more.iter().take(4).map(ToString::to_string).collect();
    let words = words.join("; ");
    if more.iter().any(Question::is_everything) {
        let message = format!("the API server allows what no binding gives: {words}");
        let verdict = Verdict::fail(Strength::Operating, "ClusterAdminBesideRbac", message);
        return Some(verdict.propose(
            "find who grants it: a webhook, an authorization configuration, or the access \
             management of the platform",
        ));
    }
    (!more.is_empty()).then(|| {
        let message = format!(
            "another authorizer grants what no binding does, so that bindings do not tell who may \
             do what: {words}"
        );
        Verdict::unknown("RightsBesideRbac", message)
    })
}

impl Control for ClusterAdminAllowlist {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn noticed(&self, _: Observation) -> Touched {
        Touched::Subject(Subject::named(SubjectKind::Cluster, "cluster"))
    }

    fn check(&self) -> Result<(), String> {
        self.allowed_subjects
            .iter()
            .try_for_each(AllowedSubject::check)
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // Accounts are only counted, and only in the group of their namespace.
            Kind::ServiceAccount => {
                let group = format!("system:serviceaccounts:{}", change.namespace);
                Touched::Subject(Subject::named(SubjectKind::Group, group))
            }
            // It gives nobody the cluster, and whom it affects, the analysis names; unless it can't
            // be decoded.
            Kind::RoleBinding => Touched::Namespace(change.namespace.clone()),
            // Who is the last person with a grant may have changed.
            _ => Touched::All,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let inside = |s: &&Subject| namespace.is_none_or(|namespace| &*s.namespace == namespace);
        let identities = context.analyses.rights().identities().filter(inside);
        let judged = identities.filter(|subject| self.concerns(&held(context, subject)));
        judged.cloned().for_each(&mut *found);
        if namespace.is_none_or(str::is_empty) {
            found(Subject::named(SubjectKind::Cluster, "cluster"));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match subject.kind {
            SubjectKind::Cluster => {
                let count = self.count(context.inventory);
                let more = || beside_rbac(context);
                Some(if count.outcome == Outcome::Fail {
                    count
                } else {
                    more().unwrap_or(count)
                })
            }
            _ => self.judge_identity(context, subject),
        }
    }
}

#[cfg(test)]
mod tests;
