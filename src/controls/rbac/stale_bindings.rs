//! `rbac-stale-bindings`

mod leavers;

pub use self::leavers::LeaversConfigMap;
use super::{command, is_protected, revoke};
use crate::{
    analysis::{
        rbac::{self, accounts_of, identity_in},
        rbac_defaults::{self, Trust},
    },
    api::Period,
    controls::prelude::*,
    inventory::{
        Effect,
        rbac::{Binding, Holder},
    },
    words::{either, many, part_of},
};

/// Bindings lead from somebody who is there to a role that is there, and people hold rights
/// through groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaleBindings {
    /// Users that bindings may name directly. Users of the system (`system:…`) always may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 512)))]
    pub allowed_users: Vec<String>,

    /// Who has left the organisation: no binding may name them, whatever `allowedUsers` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leavers_config_map: Option<LeaversConfigMap>,

    /// How long something may be missing: objects are often applied in no particular order.
    #[serde(default = "day")]
    pub dangling_grace: Period,
}

fn day() -> Period {
    Period::hours(24)
}

impl Default for StaleBindings {
    fn default() -> Self {
        Self {
            allowed_users: Vec::new(),
            leavers_config_map: None,
            dangling_grace: day(),
        }
    }
}

/// Reasons beside `Pass` that say nothing against what a binding leads to.
const WHOLE: [&str; 3] = ["DirectUser", "LeaversNotSeen", "LeaverBound"];
/// The annotation by which a default role is kept from being repaired.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

impl StaleBindings {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-stale-bindings",
        field: "rbacStaleBindings",
        title: "Bindings lead from somebody to something, and people hold rights through groups",
        family: Family::Rbac,
        criteria: &["CC6.2", "CC6.3"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::Namespace,
        ],
        subjects: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
        ],
        derives: &[],
        observes: &[Observation::LeaverList],
        writes: &[
            Write::delete(Kind::RoleBinding),
            Write::delete(Kind::ClusterRoleBinding),
        ],
        scope: ScopeUse::Ignored,
        what: "The role of every binding exists; it has subjects; the service accounts that it \
               names exist, and so does the namespace of a group `system:serviceaccounts:…`; it \
               names no users directly but those in `allowedUsers`, and nobody whom the ConfigMap \
               `leaversConfigMap` lists. What is missing counts after \
               `danglingGrace`. No default role is kept from being repaired by \
               `rbac.authorization.kubernetes.io/autoupdate: \"false\"`.",
        why: "Whoever creates what is missing gets the rights: an account of that name, or a role \
              with other rules. A user who is named directly keeps the rights when they leave \
              the group, and nobody notices.",
        fix: "A binding that gives nothing to anybody who is there is deleted, after it was \
              archived. Subjects that are missing beside others, users, those who have left and \
              annotations are proposals.",
        by_hand: "Delete what leads nowhere, bind groups of the identity provider in place of \
                  users, and take the annotation off.",
        prevention: "A ValidatingAdmissionPolicy can refuse bindings that name users; whether a \
                     role or an account exists it can't see.",
        limits: "Subjects are the bindings that Kubernetes does not create itself, and the default \
                 roles with that annotation. The grace runs from the creation of the binding, and \
                 for what goes missing later from when it was first seen; what was missing when \
                 Probity began to look is not given a grace if the binding is older. A user whose \
                 name spells a service account is judged as that account. Names that Kubernetes itself \
                 uses, such as `system:kube-scheduler` and those of nodes, are no people. Names of users are \
                 case-sensitive and carry the prefix of the identity provider; those of who has \
                 left are compared without regard to case, because a list from elsewhere may spell \
                 them otherwise, and with `userPrefix` also without the prefix. Who has left and \
                 is not listed is not known here, nor who of a group has. A list that can't be \
                 read makes the bindings that name users Unknown.",
    };

    /// What is wrong with a binding for good: a reason, a sentence, and the places of the subjects
    /// that it is about.
    fn dangling(
        inventory: &Inventory,
        kind: Kind,
        binding: &Object<Binding>,
        judged: &[(usize, &Holder)],
    ) -> Option<(&'static str, String, Vec<usize>)> {
        let (meta, spec) = (&binding.meta, &binding.spec);
        let every = || (0..spec.subjects.len()).collect();
        let tables = &inventory.tables;
        let role = match &*spec.role_kind {
            "Role" if kind == Kind::RoleBinding => tables.roles.get(&meta.namespace, &spec.role),
            "ClusterRole" => tables.cluster_roles.get("", &spec.role),
            _ => None,
        };
        if role.is_none() {
            let message = format!("{} {} does not exist", spec.role_kind, spec.role);
            return Some(("RoleMissing", message, every()));
        }
        if spec.subjects.is_empty() {
            return Some(("NoSubjects", "names nobody".to_owned(), Vec::new()));
        }
        let gone = judged.iter().filter_map(|(place, holder)| {
            let missing = missing(inventory, &meta.namespace, holder)?;
            Some((*place, missing))
        });
        let gone: Vec<(usize, String)> = gone.collect();
        if gone.is_empty() {
            return None;
        }
        let names: Vec<&str> = gone.iter().take(4).map(|(_, name)| &**name).collect();
        let message = format!(
            "{} not exist: {}",
            part_of(gone.len(), spec.subjects.len(), "subject", "does", "do"),
            names.join(", ")
        );
        let places = gone.iter().map(|(place, _)| *place).collect();
        Some(("SubjectMissing", message, places))
    }

    /// Users that are named directly, by place.
    fn users<'a>(&self, judged: &[(usize, &'a Holder)]) -> Vec<(usize, &'a str)> {
        let users = judged.iter().filter(|(_, holder)| {
            judged_user(holder)
                .is_some_and(|name| !self.allowed_users.iter().any(|allowed| allowed == name))
        });
        users
            .map(|(place, holder)| (*place, &*holder.name))
            .collect()
    }

    /// Until when something that is missing is given time; `None` where that is over.
    fn grace(&self, context: &Context<'_>, binding: &Object<Binding>) -> Option<Timestamp> {
        let grace = self.dangling_grace.duration();
        let fresh = binding.meta.created_at().saturating_add(grace).ok()?;
        let until = match context.before {
            // Its users were the finding, while it was given time.
            Some(said) if said.reason == "DirectUser" && said.recheck_at.is_some() => {
                said.recheck_at?
            }
            // It was whole when it was looked at before: this is when it is first seen.
            Some(said) if said.outcome == Outcome::Pass || WHOLE.contains(&said.reason) => {
                context.now.saturating_add(grace).ok()?
            }
            Some(said) if said.reason == "InGrace" => said.recheck_at?,
            _ => fresh,
        };
        (context.now < until.max(fresh)).then_some(until.max(fresh))
    }

    fn judge_binding(
        &self,
        context: &Context<'_>,
        kind: Kind,
        binding: &Object<Binding>,
    ) -> Option<Verdict> {
        let judged = judged(context, kind, binding)?;
        let (meta, spec) = (&binding.meta, &binding.spec);
        let list = self.leavers_config_map.as_ref();
        let left = list.map_or(Ok((Vec::new(), None)), |list| list.among(context, &judged));
        if let Ok((places, until)) = &left
            && !places.is_empty()
        {
            return Some(known_until(has_left(kind, binding, places), *until));
        }
        let users = self.users(&judged);
        if let Some((reason, message, places)) =
            Self::dangling(context.inventory, kind, binding, &judged)
        {
            if let Some(until) = self.grace(context, binding) {
                // What is missing is given time, users that are named are not.
                let verdict = if users.is_empty() {
                    Verdict::not_applicable("InGrace", message)
                } else {
                    direct(kind, binding, &users)
                };
                return Some(verdict.recheck(until));
            }
            let verdict = Verdict::fail(Strength::Effective, reason, message);
            let whole = places.len() == spec.subjects.len()
                && !is_protected(context.own_namespace, binding);
            if !whole {
                return Some(verdict.propose(command::remove_subjects(kind, binding, &places)));
            }
            let verdict = verdict.propose(command::delete(kind, &meta.namespace, &meta.name));
            return Some(if meta.deleting {
                verdict
            } else {
                verdict.remedy(revoke::delete(kind, meta))
            });
        }
        if users.is_empty() {
            return Some(match left {
                Ok((_, until)) => {
                    let verdict = Verdict::pass(Strength::Effective, "BindingInUse", "");
                    known_until(verdict, until)
                }
                Err(why) => Verdict::unknown("LeaversNotSeen", why),
            });
        }
        Some(direct(kind, binding, &users))
    }
}

/// The verdict on a binding that names users directly.
fn direct(kind: Kind, binding: &Object<Binding>, users: &[(usize, &str)]) -> Verdict {
    let message = format!(
        "names {} directly: {}",
        many(users.len(), "user"),
        few(users)
    );
    let places: Vec<usize> = users.iter().map(|(place, _)| *place).collect();
    let command = command::remove_subjects(kind, binding, &places);
    Verdict::fail(Strength::Effective, "DirectUser", message).propose(format!(
        "bind a group of the identity provider instead, or add them to allowedUsers: {command}"
    ))
}

/// A verdict that rests on a list, which has to be read again by then.
fn known_until(verdict: Verdict, until: Option<Timestamp>) -> Verdict {
    match until {
        Some(until) => verdict.recheck(until),
        None => verdict,
    }
}

/// The user that a subject of a binding is, where it may be a person's: none that Kubernetes itself
/// uses, and no service account.
fn judged_user(holder: &Holder) -> Option<&str> {
    let name = &*holder.name;
    let person = &*holder.kind == "User" && rbac::account(name).is_none() && !is_system(name);
    person.then_some(name)
}

/// Whether Kubernetes itself uses the name of a user. The prefix alone says nothing: whoever
/// issues certificates or tokens may choose it.
fn is_system(name: &str) -> bool {
    // Anonymous requests are judged by rbac-anonymous-and-authenticated-groups.
    matches!(name, "system:anonymous" | "system:apiserver")
        || name.starts_with("system:node:")
        || rbac_defaults::names_user(name)
}

/// The first few names.
fn few(users: &[(usize, &str)]) -> String {
    let names: Vec<&str> = users.iter().take(4).map(|(_, name)| *name).collect();
    names.join(", ")
}

/// The verdict on a binding that names people who have left.
fn has_left(kind: Kind, binding: &Object<Binding>, left: &[(usize, &str)]) -> Verdict {
    let message = format!(
        "names {} who {} left: {}",
        many(left.len(), "user"),
        either(left.len(), "has", "have"),
        few(left)
    );
    let places: Vec<usize> = left.iter().map(|(place, _)| *place).collect();
    let (meta, all) = (&binding.meta, binding.spec.subjects.len());
    let command = if places.len() == all {
        command::delete(kind, &meta.namespace, &meta.name)
    } else {
        command::remove_subjects(kind, binding, &places)
    };
    Verdict::fail(Strength::Effective, "LeaverBound", message).propose(command)
}

/// What a subject of a binding refers to that is not there.
fn missing(inventory: &Inventory, namespace: &Sym, holder: &Holder) -> Option<String> {
    let subject = identity_in(namespace, holder)?;
    if subject.object_kind() == Some(Kind::ServiceAccount) {
        let account = inventory.meta(Kind::ServiceAccount, &subject.namespace, &subject.name);
        return account.is_none().then(|| subject.to_string());
    }
    let home = accounts_of(&subject)?;
    let there = inventory.meta(Kind::Namespace, "", home).is_some();
    (!there).then(|| format!("namespace {home} of {subject}"))
}

/// The subjects of a binding that Kubernetes did not put there; `None` where the binding is its
/// own and untouched.
fn judged<'a>(
    context: &Context<'_>,
    kind: Kind,
    binding: &'a Object<Binding>,
) -> Option<Vec<(usize, &'a Holder)>> {
    let minor = context.observed.server_minor;
    let default = rbac_defaults::binding(minor, kind, binding);
    let holders = binding.spec.subjects.iter().enumerate();
    let added = holders.filter(|(_, holder)| {
        default == Trust::Custom
            || rbac_defaults::grant(minor, kind, binding, holder) == Trust::Custom
    });
    let added: Vec<_> = added.collect();
    // What can't be compared with a pin is taken for Kubernetes' own: it gives nobody anything.
    (default == Trust::Custom || !added.is_empty()).then_some(added)
}

/// Whether a role is one of Kubernetes' own that nobody may repair.
fn is_frozen(context: &Context<'_>, kind: Kind, meta: &Meta) -> bool {
    let frozen = meta.annotations.get(AUTOUPDATE) == Some("false");
    let defaults = || {
        let minor = context.observed.server_minor;
        rbac_defaults::of(minor).map_or_else(
            || meta.labels.get(rbac_defaults::BOOTSTRAPPING).is_some(),
            |defaults| defaults.has_role(kind, &meta.namespace, &meta.name),
        )
    };
    frozen && defaults()
}

fn judge_role(context: &Context<'_>, kind: Kind, subject: &Subject) -> Option<Verdict> {
    let (namespace, name) = (subject.object_namespace(), &*subject.name);
    let meta = context.inventory.meta(kind, namespace, name)?;
    is_frozen(context, kind, meta).then(|| {
        let message =
            format!("annotation {AUTOUPDATE} is \"false\": the API server no longer repairs it");
        Verdict::fail(Strength::Declared, "DefaultRoleFrozen", message).propose(command::annotate(
            kind,
            namespace,
            name,
            &format!("{AUTOUPDATE}-"),
        ))
    })
}

impl Control for StaleBindings {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        let itself = Subject::object(change.kind, &change.namespace, &change.name);
        let appears = change.effect != Effect::Modified;
        match change.kind {
            // A role of a namespace is bound there; whether it is there is all that matters.
            Kind::Role if appears => Touched::Namespace(change.namespace.clone()),
            Kind::ClusterRole | Kind::ServiceAccount | Kind::Namespace if appears => Touched::All,
            Kind::ServiceAccount | Kind::Namespace => Touched::Nothing,
            _ => Touched::Subject(itself),
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let tables = &context.inventory.tables;
        for (kind, table) in [
            (Kind::RoleBinding, &tables.role_bindings),
            (Kind::ClusterRoleBinding, &tables.cluster_role_bindings),
        ] {
            table.within(namespace, |binding| {
                if judged(context, kind, binding).is_some() {
                    found(Subject::of(kind, &binding.meta));
                }
            });
        }
        for (kind, table) in [
            (Kind::Role, &tables.roles),
            (Kind::ClusterRole, &tables.cluster_roles),
        ] {
            table.within(namespace, |role| {
                if is_frozen(context, kind, &role.meta) {
                    found(Subject::of(kind, &role.meta));
                }
            });
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let kind = subject.object_kind()?;
        if matches!(kind, Kind::Role | Kind::ClusterRole) {
            return judge_role(context, kind, subject);
        }
        let binding = revoke::binding(context.inventory, kind, &subject.namespace, &subject.name)?;
        self.judge_binding(context, kind, binding)
    }
}

#[cfg(test)]
mod tests;
