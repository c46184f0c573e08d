//! `rbac-no-wildcard-verbs`

use super::{
    command,
    wildcards::{AllowedRole, Reasons, Wildcard, covered, judged_by_rules},
};
use crate::{
    analysis::rbac_defaults::Right,
    controls::prelude::*,
    inventory::rbac::{Role, Rule},
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
}

fn has_wildcard(rule: &Rule) -> bool {
    rule.verbs.iter().any(|verb| &**verb == "*")
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

impl Wildcard for NoWildcardVerbs {
    const INFO: &'static Info = &Self::INFO;
    const REASONS: Reasons = Reasons {
        none: "NoWildcardVerbs",
        unbound: "UnboundWildcardVerbs",
        bound: "WildcardVerbs",
    };

    fn allowed_roles(&self) -> &[AllowedRole] {
        &self.allowed_roles
    }

    fn ignores_unbound(&self) -> bool {
        self.ignore_unbound
    }

    fn offends(&self, rule: &Rule) -> bool {
        has_wildcard(rule)
    }

    fn excuses(&self, inventory: &Inventory, owner: &Object<Role>, rule: &Rule) -> bool {
        self.own_group_exception && is_own(inventory, owner, rule)
    }

    fn is_wild(&self, right: &Right) -> bool {
        &*right.verb == "*"
    }

    fn covered(&self, rule: &Rule) -> String {
        format!("`*` on {}", covered(rule))
    }

    fn proposal(&self, kind: Kind, role: &Object<Role>, rules: &[(usize, &Rule)]) -> String {
        expanded(kind, role, rules)
    }
}

judged_by_rules!(NoWildcardVerbs);

#[cfg(test)]
mod tests;
