//! The shape of the controls of `*` in roles: which rules offend, what excuses them, and whether a
//! binding uses the role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RoleKind;
use crate::{
    analysis::{
        rbac::bound_by,
        rbac_defaults::{self, Right, Trust, rights},
    },
    controls::prelude::*,
    inventory::{
        Table,
        rbac::{Role, Rule},
    },
};

/// A role that may use `*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedRole {
    /// What it is.
    #[serde(default)]
    pub kind: RoleKind,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Namespace of a Role; absent for a `ClusterRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub owner: Option<String>,

    /// Why it needs them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reason: Option<String>,
}

impl AllowedRole {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let (name, inside) = (&self.name, self.namespace.is_some());
        match self.kind {
            RoleKind::Role if !inside => Err(format!(
                "allowed role {name:?} has no namespace: write the namespace that it is in"
            )),
            RoleKind::ClusterRole if inside => Err(format!(
                "allowed role {name:?} is in a namespace: write kind Role, or remove the namespace"
            )),
            _ => Ok(()),
        }
    }

    fn is(&self, subject: &Subject) -> bool {
        let kind = match self.kind {
            RoleKind::Role => Kind::Role,
            RoleKind::ClusterRole => Kind::ClusterRole,
        };
        subject.object_kind() == Some(kind)
            && self.name == *subject.name
            && self.namespace.as_deref().unwrap_or_default() == &*subject.namespace
    }
}

/// The facts that such a control finds.
pub(super) struct Reasons {
    /// No rule of the role offends.
    pub(super) none: &'static str,
    /// One does, and no binding uses the role.
    pub(super) unbound: &'static str,
    /// One does, and a binding uses it.
    pub(super) bound: &'static str,
}

/// What a control of this shape has of its own.
pub(super) trait Wildcard: std::fmt::Debug + Send + Sync {
    /// Documentation and facts.
    const INFO: &'static Info;
    /// The facts that it finds.
    const REASONS: Reasons;

    /// Roles that may offend.
    fn allowed_roles(&self) -> &[AllowedRole];

    /// Whether a role that no binding uses is left out of the count.
    fn ignores_unbound(&self) -> bool {
        false
    }

    /// Whether a rule has a `*` where it should have none.
    fn offends(&self, rule: &Rule) -> bool;

    /// Whether something excuses a rule that offends.
    fn excuses(&self, inventory: &Inventory, owner: &Object<Role>, rule: &Rule) -> bool {
        let _ = (inventory, owner, rule);
        false
    }

    /// Whether a single right is one of the kind that offends.
    fn is_wild(&self, right: &Right) -> bool;

    /// What a rule covers, in a few words.
    fn covered(&self, rule: &Rule) -> String;

    /// What to do instead.
    fn proposal(&self, kind: Kind, role: &Object<Role>, rules: &[(usize, &Rule)]) -> String;
}

/// What a rule covers, in a few words.
pub(super) fn covered(rule: &Rule) -> String {
    let some = |list: &[crate::inventory::Sym]| {
        let names: Vec<_> = list.iter().take(4).map(|item| &**item).collect();
        let more = if list.len() > 4 { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    };
    if rule.resources.is_empty() {
        return some(&rule.urls);
    }
    let core = |group: &crate::inventory::Sym| {
        if group.is_empty() {
            "core".into()
        } else {
            group.clone()
        }
    };
    let groups: Vec<_> = rule.groups.iter().map(core).collect();
    format!("{} of {}", some(&rule.resources), some(&groups))
}

/// Rules with a `*` that nothing excuses.
fn offending<'a, C: Wildcard>(
    control: &C,
    context: &Context<'_>,
    kind: Kind,
    role: &'a Object<Role>,
) -> Vec<(usize, &'a Rule)> {
    let rules = role.spec.rules.iter().enumerate();
    let mut found: Vec<_> = rules.filter(|(_, rule)| control.offends(rule)).collect();
    if found.is_empty() {
        return found;
    }
    found.retain(|(_, rule)| !control.excuses(context.inventory, role, rule));
    // A default role that was widened: its own wildcards are not the finding.
    if role.meta.labels.get(rbac_defaults::BOOTSTRAPPING) == Some("rbac-defaults")
        && let Some(defaults) = rbac_defaults::of(context.observed.server_minor)
        && let Some(beyond) = defaults.beyond(context.inventory, kind, role)
    {
        found.retain(|(_, rule)| {
            rights(rule).any(|right| control.is_wild(&right) && beyond.contains(&right))
        });
    }
    found
}

fn judge_rules<C: Wildcard>(
    control: &C,
    context: &Context<'_>,
    kind: Kind,
    role: &Object<Role>,
    rules: &[(usize, &Rule)],
) -> Verdict {
    let what = rules.iter().take(4).map(|(_, rule)| control.covered(rule));
    let what = what.collect::<Vec<_>>().join("; ");
    let Some(binding) = bound_by(context.inventory, kind, role) else {
        let message = format!("{what}, and no binding uses the role");
        return if control.ignores_unbound() {
            Verdict::not_applicable(C::REASONS.unbound, message)
        } else {
            Verdict::pass(Strength::Effective, C::REASONS.unbound, message)
        };
    };
    let message = format!("{what}; bound by {binding}");
    Verdict::fail(Strength::Effective, C::REASONS.bound, message)
        .propose(control.proposal(kind, role, rules))
}

fn table(inventory: &Inventory, kind: Kind) -> &Table<Role> {
    if kind == Kind::Role {
        &inventory.tables.roles
    } else {
        &inventory.tables.cluster_roles
    }
}

fn is_built_in(inventory: &Inventory, seen: &Observed, kind: Kind, role: &Object<Role>) -> bool {
    rbac_defaults::role(inventory, seen.server_minor, kind, role) == Trust::BuiltIn
}

/// Which roles a change makes uncertain.
pub(super) fn touched(change: &Change) -> Touched {
    match change.kind {
        Kind::Role => {
            let role = Subject::object(Kind::Role, &change.namespace, &change.name);
            Touched::Subject(role)
        }
        _ => Touched::All,
    }
}

/// Every role but Kubernetes' own.
pub(super) fn population(
    context: &Context<'_>,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    let (inventory, observed) = (context.inventory, context.observed);
    let mut look = |kind, role| {
        if !is_built_in(inventory, observed, kind, role) {
            found(Subject::of(kind, &role.meta));
        }
    };
    let tables = &inventory.tables;
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        let roles = tables.roles.in_namespace(namespace);
        roles.for_each(|role| look(Kind::Role, role));
        return;
    }
    let wide = tables.cluster_roles.iter();
    wide.for_each(|role| look(Kind::ClusterRole, role));
    if namespace.is_none() {
        tables.roles.iter().for_each(|role| look(Kind::Role, role));
    }
}

/// The verdict on a role.
pub(super) fn judge<C: Wildcard>(
    control: &C,
    context: &Context<'_>,
    subject: &Subject,
) -> Option<Verdict> {
    let (inventory, minor) = (context.inventory, context.observed.server_minor);
    let kind = subject.object_kind()?;
    let role = table(inventory, kind).get(&subject.namespace, &subject.name)?;
    let trust = rbac_defaults::role(inventory, minor, kind, role);
    let rules = offending(control, context, kind, role);
    let mut allowed = control.allowed_roles().iter();
    Some(match trust {
        Trust::BuiltIn => return None,
        _ if rules.is_empty() => Verdict::pass(Strength::Effective, C::REASONS.none, ""),
        Trust::Unpinned => Verdict::unknown(
            "ServerVersionNotPinned",
            "looks like a role of Kubernetes' own, and what this server version creates is not \
             known",
        ),
        Trust::Custom => match allowed.find(|entry| entry.is(subject)) {
            Some(entry) => {
                let owner = entry.owner.as_deref();
                let message = owner.map_or(String::new(), |owner| format!("owner: {owner}"));
                Verdict::pass(Strength::Effective, "AllowedRole", message)
            }
            None => judge_rules(control, context, kind, role, &rules),
        },
    })
}

/// Makes a control of this shape one: Rust allows this for all types of one trait only.
macro_rules! judged_by_rules {
    ($control:ty) => {
        impl Control for $control {
            fn info(&self) -> &'static Info {
                <Self as Wildcard>::INFO
            }

            fn check(&self) -> Result<(), String> {
                self.allowed_roles().iter().try_for_each(AllowedRole::check)
            }

            fn touched(&self, change: &Change) -> Touched {
                super::wildcards::touched(change)
            }

            fn population(
                &self,
                context: &Context<'_>,
                namespace: Option<&str>,
                found: &mut dyn FnMut(Subject),
            ) {
                super::wildcards::population(context, namespace, found);
            }

            fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
                super::wildcards::judge(self, context, subject)
            }
        }
    };
}

pub(super) use judged_by_rules;
