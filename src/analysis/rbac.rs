//! Effective RBAC: who holds what, through which binding.
//!
//! The stored rules of an aggregated role lag behind its sources: a role counts as holding what its
//! sources hold from the moment that they match, because nobody has to do anything more to get it.

use std::collections::BTreeSet;

use crate::{
    controls::{Subject, SubjectKind},
    inventory::{
        Inventory, Kind, Object, Sym,
        rbac::{Binding, Holder, Role, Rule},
    },
};

/// What a user name begins with that is a service account.
const ACCOUNT: &str = "system:serviceaccount:";
/// What the group of a namespace's service accounts begins with.
const ACCOUNTS: &str = "system:serviceaccounts:";

/// Whom a binding of a namespace names. The authorizer looks for an account without a namespace
/// in that of the binding.
pub fn identity_in(namespace: &Sym, holder: &Holder) -> Option<Subject> {
    if &*holder.kind == "ServiceAccount" && holder.namespace.is_empty() && !namespace.is_empty() {
        let account = Subject::object(Kind::ServiceAccount, namespace, &holder.name);
        return Some(account);
    }
    identity(holder)
}

/// Whom a binding names. `None` for what the authorizer can't match either.
pub fn identity(holder: &Holder) -> Option<Subject> {
    match &*holder.kind {
        // A user name that spells a service account is that account.
        "User" => Some(match account(&holder.name) {
            Some((namespace, name)) => {
                Subject::object(Kind::ServiceAccount, &namespace.into(), &name.into())
            }
            None => Subject::named(SubjectKind::User, holder.name.clone()),
        }),
        "Group" => Some(Subject::named(SubjectKind::Group, holder.name.clone())),
        "ServiceAccount" if !holder.namespace.is_empty() => Some(Subject::object(
            Kind::ServiceAccount,
            &holder.namespace,
            &holder.name,
        )),
        _ => None,
    }
}

/// Namespace and name of the service account that a user name spells.
pub fn account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty()).then_some((namespace, name))
}

/// Whether `holder` is `subject`, without allocating: asked once for each subject of each binding.
pub fn is(holder: &Holder, subject: &Subject) -> bool {
    match (&subject.kind, &*holder.kind) {
        (SubjectKind::User, "User") | (SubjectKind::Group, "Group") => holder.name == subject.name,
        (SubjectKind::Object(Kind::ServiceAccount), "ServiceAccount") => {
            holder.name == subject.name && holder.namespace == subject.namespace
        }
        (SubjectKind::Object(Kind::ServiceAccount), "User") => {
            account(&holder.name) == Some((&subject.namespace, &subject.name))
        }
        _ => false,
    }
}

/// The namespace whose service accounts the group is, if it is such a group.
pub fn accounts_of(subject: &Subject) -> Option<&str> {
    matches!(subject.kind, SubjectKind::Group)
        .then(|| subject.name.strip_prefix(ACCOUNTS))
        .flatten()
}

/// Whether one rule allows every verb on every resource of every group.
pub fn is_everything(rule: &Rule) -> bool {
    let star = |list: &[crate::inventory::Sym]| list.iter().any(|item| &**item == "*");
    star(&rule.verbs) && star(&rule.groups) && star(&rule.resources) && rule.names.is_empty()
}

/// Whether a `ClusterRole` holds everything, by its own rules or by those that it aggregates.
pub fn holds_everything(inventory: &Inventory, name: &str) -> bool {
    let roles = &inventory.tables.cluster_roles;
    let Some(role) = roles.get("", name) else {
        return false;
    };
    // Most roles aggregate nothing: no set is built for them.
    if role.spec.rules.iter().any(is_everything) {
        return true;
    }
    role.spec.aggregates.is_some()
        && sources(inventory, role).any(|source| source.spec.rules.iter().any(is_everything))
}

/// The roles that a role aggregates, directly or through others; never itself.
pub fn sources<'a>(
    inventory: &'a Inventory,
    role: &'a Object<Role>,
) -> impl Iterator<Item = &'a Object<Role>> {
    let mut seen = BTreeSet::from([&*role.meta.name]);
    let mut todo = vec![role];
    let mut found = Vec::new();
    while let Some(role) = todo.pop() {
        let Some(selectors) = &role.spec.aggregates else {
            continue;
        };
        for source in inventory.tables.cluster_roles.iter() {
            let matches = selectors.iter().any(|s| s.matches(&source.meta.labels));
            if matches && seen.insert(&source.meta.name) {
                found.push(source);
                todo.push(source);
            }
        }
    }
    found.into_iter()
}

/// The bindings that give everything at cluster scope, by name.
pub fn cluster_admin_bindings(inventory: &Inventory) -> impl Iterator<Item = &Object<Binding>> {
    let bindings = inventory.tables.cluster_role_bindings.iter();
    bindings.filter(|binding| gives_everything(inventory, &binding.spec))
}

/// Whether a `ClusterRoleBinding` gives everything.
pub fn gives_everything(inventory: &Inventory, binding: &Binding) -> bool {
    &*binding.role_kind == "ClusterRole" && holds_everything(inventory, &binding.role)
}

/// A binding by which a role is in use, directly or because a role that is bound aggregates it.
pub fn bound_by(inventory: &Inventory, kind: Kind, role: &Object<Role>) -> Option<Subject> {
    if kind == Kind::Role {
        let refers = |b: &&Object<Binding>| refers(&b.spec, kind, &role.meta.name);
        let tables = &inventory.tables.role_bindings;
        let binding = tables.in_namespace(&role.meta.namespace).find(refers)?;
        return Some(Subject::of(Kind::RoleBinding, &binding.meta));
    }
    directly(inventory, &role.meta.name).or_else(|| {
        let roles = inventory.tables.cluster_roles.iter();
        roles
            .filter(|wider| wider.spec.aggregates.is_some() && wider.meta.name != role.meta.name)
            .filter(|wider| sources(inventory, wider).any(|s| s.meta.name == role.meta.name))
            .find_map(|wider| directly(inventory, &wider.meta.name))
    })
}

fn directly(inventory: &Inventory, cluster_role: &str) -> Option<Subject> {
    let refers = |b: &&Object<Binding>| refers(&b.spec, Kind::ClusterRole, cluster_role);
    let tables = &inventory.tables;
    let wide = tables.cluster_role_bindings.iter().find(refers);
    let narrow = || tables.role_bindings.iter().find(refers);
    wide.map(|binding| Subject::of(Kind::ClusterRoleBinding, &binding.meta))
        .or_else(|| narrow().map(|binding| Subject::of(Kind::RoleBinding, &binding.meta)))
}

fn refers(binding: &Binding, kind: Kind, role: &str) -> bool {
    *binding.role_kind == *kind.info().kind && &*binding.role == role
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::testing::World;

    fn holder(kind: &str, namespace: &str, name: &str) -> Holder {
        Holder {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_user_name_that_spells_an_account_is_that_account() {
        for (holder, expected) in [
            (holder("User", "", "alice"), Some("User alice")),
            (
                holder("User", "", "system:serviceaccount:shop:web"),
                Some("ServiceAccount shop/web"),
            ),
            (
                holder("User", "", "system:serviceaccount:shop"),
                Some("User system:serviceaccount:shop"),
            ),
            (
                holder("ServiceAccount", "shop", "web"),
                Some("ServiceAccount shop/web"),
            ),
            (holder("ServiceAccount", "", "web"), None),
            (holder("Robot", "", "web"), None),
        ] {
            let subject = identity(&holder);
            assert_eq!(
                subject.as_ref().map(Subject::to_string).as_deref(),
                expected
            );
            assert!(subject.is_none_or(|subject| is(&holder, &subject)));
        }
    }

    /// A role of the model: whether it holds everything itself, its label, what it aggregates.
    type ModelRole = (bool, u8, Option<u8>);

    fn role(index: usize, (everything, label, aggregates): ModelRole) -> Value {
        let verb = if everything { "*" } else { "get" };
        let mut role = json!({
            "metadata": { "name": format!("r{index}"), "labels": { "l": label.to_string() } },
            "rules": [{ "verbs": [verb], "apiGroups": ["*"], "resources": ["*"] }],
        });
        if let Some(label) = aggregates {
            let selector = json!({ "matchLabels": { "l": label.to_string() } });
            role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
        }
        role
    }

    /// What the aggregation controller would arrive at, by repeating its step until nothing
    /// changes.
    fn naive(roles: &[ModelRole]) -> Vec<bool> {
        let mut all: Vec<bool> = roles.iter().map(|role| role.0).collect();
        for _ in roles {
            for i in 0..roles.len() {
                let gets = |label| (0..roles.len()).any(|j| roles[j].1 == label && all[j]);
                all[i] = all[i] || roles[i].2.is_some_and(gets);
            }
        }
        all
    }

    proptest! {
        #[test]
        fn cluster_admin_is_what_the_aggregation_controller_would_arrive_at(
            roles in prop::collection::vec(
                (prop::bool::weighted(0.2), 0..4u8, prop::option::of(0..4u8)), 1..8),
            bindings in prop::collection::vec((0..8usize, 0..4u8), 0..8),
        ) {
            let mut world = World::new();
            for (index, spec) in roles.iter().enumerate() {
                world.put(Kind::ClusterRole, role(index, *spec));
            }
            let mut expected = BTreeSet::new();
            let all = naive(&roles);
            for (index, (target, user)) in bindings.iter().enumerate() {
                world.put(Kind::ClusterRoleBinding, json!({
                    "metadata": { "name": format!("b{index}") },
                    "roleRef": { "kind": "ClusterRole", "name": format!("r{target}") },
                    "subjects": [{ "kind": "User", "name": format!("u{user}") }],
                }));
                if all.get(*target) == Some(&true) {
                    expected.insert(format!("u{user}"));
                }
            }
            let found: BTreeSet<_> = cluster_admin_bindings(&world.inventory)
                .flat_map(|binding| binding.spec.subjects.iter())
                .map(|holder| holder.name.to_string())
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn only_an_unlimited_rule_is_everything() {
        let rule = |rule: Value| {
            let object = json!({ "metadata": { "name": "r" }, "rules": [rule] });
            let world = World::new().with(Kind::ClusterRole, object);
            holds_everything(&world.inventory, "r")
        };
        let star = json!(["*"]);
        let all = json!({ "verbs": star, "apiGroups": star, "resources": star });
        assert!(rule(all.clone()));
        for (field, value) in [
            ("verbs", json!(["get", "create"])),
            ("apiGroups", json!(["apps"])),
            ("resources", json!(["*/*"])),
            ("resourceNames", json!(["x"])),
        ] {
            let mut narrower = all.clone();
            narrower[field] = value;
            assert!(!rule(narrower), "{field}");
        }
    }
}
