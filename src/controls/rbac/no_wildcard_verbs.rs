//! `rbac-no-wildcard-verbs`

use super::{RoleKind, command};
use crate::{
    analysis::{
        rbac::bound_by,
        rbac_defaults::{self, Trust, rights},
    },
    controls::prelude::*,
    inventory::{
        Table,
        rbac::{Role, Rule},
    },
};

/// Roles name the verbs that they allow: `*` also allows verbs that nobody has thought of, such as
/// `escalate`, `bind` and `impersonate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoWildcardVerbs {
    /// Roles that may use `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_roles: Vec<AllowedRole>,

    /// Leave roles with `*` that no binding uses out of the count. Otherwise they pass, with a
    /// note.
    #[serde(default)]
    pub ignore_unbound: bool,

    /// Allow `*` on API groups all of whose CRDs carry the role's own label
    /// `app.kubernetes.io/instance`: an operator on its own resources.
    #[serde(default = "yes")]
    pub own_group_exception: bool,
}

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

const fn yes() -> bool {
    true
}

impl Default for NoWildcardVerbs {
    fn default() -> Self {
        Self {
            allowed_roles: Vec::new(),
            ignore_unbound: false,
            own_group_exception: yes(),
        }
    }
}

/// The verbs that every resource may have; special ones are to be added by whoever needs them.
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// The verbs of paths that are no resources.
const URL_VERBS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

impl NoWildcardVerbs {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-no-wildcard-verbs",
        field: "rbacNoWildcardVerbs",
        title: "Roles name the verbs that they allow",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::Crd,
        ],
        subjects: &[Kind::Role, Kind::ClusterRole],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "No Role or ClusterRole that is bound, directly or through an aggregated role, has \
               a rule with `*` in its verbs, unless it is in `allowedRoles`, or the rule only \
               covers API groups all of whose CRDs carry the role's own label \
               `app.kubernetes.io/instance`.",
        why: "`*` includes verbs such as `escalate`, `bind` and `impersonate`, and every verb \
              that a later version adds.",
        fix: "The rule with its verbs written out is proposed. Roles are never changed: the right \
              to take a verb away is the right to add one.",
        by_hand: "Write the verbs out: the message lists those that the API server knows for the \
               resources.",
        prevention: "A ValidatingAdmissionPolicy can refuse `*` among the verbs of a role.",
        limits: "Subjects are all roles but those that this version of Kubernetes creates itself, \
                 by name, label and rules; a default role that holds more is judged for what it \
                 holds more. On a server version without pins, roles that look like Kubernetes' \
                 own and have `*` are Unknown. A role that any binding refers to is bound, even \
                 one without subjects; an unbound one passes with a note. Groups under `k8s.io` \
                 and `kubernetes.io` are nobody's own. The proposal names the standard verbs; add \
                 special ones only where they are needed, drop those that are not.",
    };

    /// Rules with `*` that nothing excuses.
    fn offending<'a>(
        &self,
        context: &Context<'_>,
        kind: Kind,
        role: &'a Object<Role>,
    ) -> Vec<(usize, &'a Rule)> {
        let rules = role.spec.rules.iter().enumerate();
        let mut found: Vec<_> = rules.filter(|(_, rule)| has_wildcard(rule)).collect();
        if found.is_empty() {
            return found;
        }
        if self.own_group_exception {
            found.retain(|(_, rule)| !is_own(context.inventory, role, rule));
        }
        // A default role that was widened: its own wildcards are not the finding.
        if role.meta.labels.get(rbac_defaults::BOOTSTRAPPING) == Some("rbac-defaults")
            && let Some(defaults) = rbac_defaults::of(context.observed.server_minor)
            && let Some(beyond) = defaults.beyond(context.inventory, kind, role)
        {
            found.retain(|(_, rule)| rights(rule).any(|r| &*r.verb == "*" && beyond.contains(&r)));
        }
        found
    }

    fn judge_wildcards(
        &self,
        context: &Context<'_>,
        kind: Kind,
        role: &Object<Role>,
        rules: &[(usize, &Rule)],
    ) -> Verdict {
        let what = rules.iter().take(4).map(|(_, rule)| covered(rule));
        let what = what.collect::<Vec<_>>().join("; ");
        let Some(binding) = bound_by(context.inventory, kind, role) else {
            let message = format!("`*` on {what}, and no binding uses the role");
            return if self.ignore_unbound {
                Verdict::not_applicable("UnboundWildcardVerbs", message)
            } else {
                Verdict::pass(Strength::Effective, "UnboundWildcardVerbs", message)
            };
        };
        let message = format!("`*` on {what}; bound by {binding}");
        Verdict::fail(Strength::Effective, "WildcardVerbs", message)
            .propose(expanded(kind, role, rules))
    }
}

fn has_wildcard(rule: &Rule) -> bool {
    rule.verbs.iter().any(|verb| &**verb == "*")
}

/// What a rule covers, in a few words.
fn covered(rule: &Rule) -> String {
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

/// Whether a rule only covers API groups that came with the role.
fn is_own(inventory: &Inventory, owner: &Object<Role>, rule: &Rule) -> bool {
    const INSTANCE: &str = "app.kubernetes.io/instance";
    let Some(instance) = owner.meta.labels.get(INSTANCE) else {
        return false;
    };
    // Anyone who may create a CRD may put it into a group of Kubernetes' own.
    let kubernetes = |group: &str| {
        ["k8s.io", "kubernetes.io"].iter().any(|domain| {
            group
                .strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    let own = |group: &str| {
        let mut crds = inventory
            .tables
            .crds
            .iter()
            .filter(|crd| *crd.spec.group == *group)
            .peekable();
        crds.peek().is_some() && crds.all(|crd| crd.meta.labels.get(INSTANCE) == Some(instance))
    };
    rule.urls.is_empty()
        && !rule.groups.is_empty()
        && rule
            .groups
            .iter()
            .all(|group| !kubernetes(group) && own(group))
}

/// The command that writes the verbs out.
fn expanded(kind: Kind, role: &Object<Role>, rules: &[(usize, &Rule)]) -> String {
    let rows = rules.iter().take(8).map(|(index, rule)| {
        let standard: &[&str] = if rule.resources.is_empty() {
            &URL_VERBS
        } else {
            &VERBS
        };
        // Verbs that stand beside the `*` were meant.
        let named = rule.verbs.iter().map(|verb| &**verb);
        let mut verbs: Vec<&str> = named.filter(|verb| *verb != "*").collect();
        verbs.extend(standard);
        verbs.sort_unstable();
        verbs.dedup();
        (*index, *rule, verbs)
    });
    let rows: Vec<_> = rows.collect();
    let name = (&*role.meta.namespace, &*role.meta.name);
    let command = command::replace_verbs(kind, name, &rows);
    match rules.len() - rows.len() {
        0 => command,
        more => format!("{command} (and {more} further rules alike)"),
    }
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

impl Control for NoWildcardVerbs {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        self.allowed_roles.iter().try_for_each(|role| {
            let (name, inside) = (&role.name, role.namespace.is_some());
            match role.kind {
                RoleKind::Role if !inside => Err(format!(
                    "allowed role {name:?} has no namespace: write the namespace that it is in"
                )),
                RoleKind::ClusterRole if inside => Err(format!(
                    "allowed role {name:?} is in a namespace: write kind Role, or remove the \
                     namespace"
                )),
                _ => Ok(()),
            }
        })
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::Role => {
                let role = Subject::object(Kind::Role, &change.namespace, &change.name);
                Touched::Subject(role)
            }
            _ => Touched::All,
        }
    }

    fn population(
        &self,
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

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let kind = subject.object_kind()?;
        let role = table(context.inventory, kind).get(&subject.namespace, &subject.name)?;
        let trust =
            rbac_defaults::role(context.inventory, context.observed.server_minor, kind, role);
        let rules = self.offending(context, kind, role);
        Some(match trust {
            Trust::BuiltIn => return None,
            _ if rules.is_empty() => Verdict::pass(Strength::Effective, "NoWildcardVerbs", ""),
            Trust::Unpinned => Verdict::unknown(
                "ServerVersionNotPinned",
                "looks like a role of Kubernetes' own, and what this server version creates is not \
                 known",
            ),
            Trust::Custom => match self.allowed_roles.iter().find(|entry| entry.is(subject)) {
                Some(entry) => {
                    let owner = entry.owner.as_deref();
                    let message = owner.map_or(String::new(), |owner| format!("owner: {owner}"));
                    Verdict::pass(Strength::Effective, "AllowedRole", message)
                }
                None => self.judge_wildcards(context, kind, role, &rules),
            },
        })
    }
}

#[cfg(test)]
mod tests;
