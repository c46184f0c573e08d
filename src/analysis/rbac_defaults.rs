//! The RBAC objects that kube-apiserver creates by itself, pinned by its minor version.
//!
//! A name or a label proves nothing: any tenant may set them. An object is built-in only if it says
//! what the server's own bootstrap policy says. `generate_rbac_defaults.py` writes the data.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{rbac, rights::Powers};
use crate::inventory::{
    Inventory, Kind, Object, Sym,
    rbac::{Binding, Holder, Role, Rule},
};

/// The label of objects that kube-apiserver creates.
pub const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// What can be said of an object that looks like one of Kubernetes' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is what this server version creates.
    BuiltIn,
    /// It is not.
    Custom,
    /// It looks like one, and there is no pin for this server version to compare it with.
    Unpinned,
}

/// The pins of one minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    bit: u32,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    minors: Vec<u32>,
    roles: Vec<RoleRow>,
    bindings: Vec<BindingRow>,
}

/// Kind, namespace, name, labels, aggregated labels, minors, rules.
#[derive(Debug, Deserialize)]
struct RoleRow(
    String,
    String,
    String,
    Vec<String>,
    Vec<String>,
    u32,
    Vec<RuleRow>,
);

/// Verbs, groups, resources, names, URLs (each separated by blanks), minors.
#[derive(Debug, Deserialize)]
struct RuleRow(String, String, String, String, String, u32);

impl RuleRow {
    fn unpacked(&self) -> Rule {
        let words = |list: &str| list.split_whitespace().map(Sym::from).collect();
        let groups = self.1.split_whitespace();
        Rule {
            verbs: words(&self.0),
            groups: groups
                .map(|g| Sym::from(if g == "core" { "" } else { g }))
                .collect(),
            resources: words(&self.2),
            names: words(&self.3),
            urls: words(&self.4),
        }
    }

    /// The rule as a manifest holds it.
    fn manifest(&self) -> Value {
        let words = |list: &str| -> Vec<String> {
            let words = list.split_whitespace();
            words.map(str::to_owned).collect()
        };
        let groups = words(&self.1).into_iter();
        let groups: Vec<_> = groups
            .map(|group| {
                if group == "core" {
                    String::new()
                } else {
                    group
                }
            })
            .collect();
        json!({
            "verbs": words(&self.0), "apiGroups": groups, "resources": words(&self.2),
            "resourceNames": words(&self.3), "nonResourceURLs": words(&self.4),
        })
    }
}

/// Kind, namespace, name, kind and name of the role, subjects, minors.
#[derive(Debug, Deserialize)]
struct BindingRow(
    String,
    String,
    String,
    String,
    String,
    Vec<(String, String, String)>,
    u32,
);

static DATA: LazyLock<Data> = LazyLock::new(|| {
    // Without data nothing is trusted; a test proves that there is some.
    serde_json::from_str(include_str!("rbac_defaults.json")).unwrap_or_default()
});

/// The pins of a server's minor version; `None` where it is unknown or not pinned.
pub fn of(minor: Option<u32>) -> Option<Defaults> {
    let position = DATA.minors.iter().position(|known| Some(*known) == minor)?;
    Some(Defaults { bit: 1 << position })
}

/// The newest minor version that is pinned.
pub fn newest() -> Option<u32> {
    DATA.minors.iter().max().copied()
}

/// What a server of this minor version creates by itself, as manifests; nothing where it is not
/// pinned. The rules of an aggregated role are filled in, as the server does.
pub fn manifests(minor: Option<u32>) -> Vec<(Kind, Value)> {
    let Some(defaults) = of(minor) else {
        return Vec::new();
    };
    let marked = |namespace: &str, name: &str| {
        let mut meta = json!({ "name": name, "labels": { BOOTSTRAPPING: "rbac-defaults" } });
        if !namespace.is_empty() {
            meta["namespace"] = namespace.into();
        }
        json!({ "metadata": meta })
    };
    let roles = DATA.roles.iter().filter(|row| row.5 & defaults.bit != 0);
    let roles = roles.map(|row| {
        let mut role = marked(&row.1, &row.2);
        for label in &row.3 {
            role["metadata"]["labels"][label] = "true".into();
        }
        let held = defaults.rules(row).into_iter();
        role["rules"] = held.map(RuleRow::manifest).collect();
        if let Some(label) = row.4.first() {
            let selector = json!({ "matchLabels": { label: "true" } });
            role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
        }
        (kind(&row.0), role)
    });
    let bindings = DATA
        .bindings
        .iter()
        .filter(|row| row.6 & defaults.bit != 0)
        .map(|row| {
            let mut binding = marked(&row.1, &row.2);
            binding["roleRef"] = json!({ "kind": row.3, "name": row.4 });
            let subjects = row.5.iter();
            binding["subjects"] = subjects
                .map(|(kind, ns, name)| json!({ "kind": kind, "namespace": ns, "name": name }))
                .collect();
            (kind(&row.0), binding)
        });
    roles.chain(bindings).collect()
}

fn kind(name: &str) -> Kind {
    match name {
        "Role" => Kind::Role,
        "ClusterRole" => Kind::ClusterRole,
        "RoleBinding" => Kind::RoleBinding,
        _ => Kind::ClusterRoleBinding,
    }
}

/// Whether a binding of some server version names a user so.
pub fn names_user(name: &str) -> bool {
    let mut subjects = DATA.bindings.iter().flat_map(|binding| &binding.5);
    subjects.any(|(kind, _, user)| kind == "User" && user == name)
}

/// Whether any server version has a role of this name.
fn any_role(kind: Kind, namespace: &str, name: &str) -> bool {
    Defaults { bit: u32::MAX }
        .role(kind, namespace, name)
        .is_some()
}

impl Defaults {
    fn role(self, kind: Kind, namespace: &str, name: &str) -> Option<&'static RoleRow> {
        DATA.roles.iter().find(|role| {
            role.2 == name
                && role.1 == namespace
                && role.0 == kind.info().kind
                && role.5 & self.bit != 0
        })
    }

    fn binding(self, kind: Kind, binding: &Object<Binding>) -> Option<&'static BindingRow> {
        let (meta, spec) = (&binding.meta, &binding.spec);
        DATA.bindings.iter().find(|pin| {
            pin.2 == *meta.name
                && pin.1 == *meta.namespace
                && pin.0 == kind.info().kind
                && pin.3 == *spec.role_kind
                && pin.4 == *spec.role
                && pin.6 & self.bit != 0
        })
    }

    /// The rules of a default role: its own, and those of the default roles that it aggregates.
    fn rules(self, role: &'static RoleRow) -> Vec<&'static RuleRow> {
        let mut roles = vec![role];
        let mut next = 0;
        while let Some(role) = roles.get(next).copied() {
            let sources = DATA.roles.iter().filter(|source| {
                source.5 & self.bit != 0 && source.3.iter().any(|label| role.4.contains(label))
            });
            for source in sources {
                if !roles.iter().any(|known| std::ptr::eq(*known, source)) {
                    roles.push(source);
                }
            }
            next += 1;
        }
        let all = roles.iter().flat_map(|role| &role.6);
        all.filter(|rule| rule.5 & self.bit != 0).collect()
    }

    /// What a role with a default's name holds beyond that default; `None` where this version has
    /// no such default. Roles that somebody adds to `admin`, `edit` or `view` are judged
    /// themselves: what they add is not held against the aggregate.
    pub fn beyond(
        self,
        inventory: &Inventory,
        kind: Kind,
        role: &Object<Role>,
    ) -> Option<Vec<Right>> {
        let pinned = self.role(kind, &role.meta.namespace, &role.meta.name)?;
        let rules = self.rules(pinned);
        let custom: Vec<&Rule> = if pinned.4.is_empty() {
            Vec::new()
        } else {
            // A source with a default's name is no addition: `cluster-admin` that carries the label
            // would hide itself.
            rbac::sources(inventory, role)
                .filter(|s| !any_role(Kind::ClusterRole, &s.meta.namespace, &s.meta.name))
                .flat_map(|source| &source.spec.rules)
                .collect()
        };
        let rights = role.spec.rules.iter().flat_map(rights);
        Some(
            rights
                .filter(|right| !rules.iter().any(|rule| right.is_in_row(rule)))
                .filter(|right| !custom.iter().any(|rule| right.is_in(rule)))
                .collect(),
        )
    }

    /// What a default role can do; `None` where this version has no such role. The server adds to
    /// its roles and never takes away: what earlier versions gave is still there after an upgrade.
    pub fn powers(self, kind: Kind, namespace: &str, name: &str) -> Option<Powers> {
        let pinned = self.role(kind, namespace, name)?;
        let so_far = Self {
            bit: self.bit | (self.bit - 1),
        };
        let rules = so_far.rules(pinned).into_iter().map(RuleRow::unpacked);
        let rules: Vec<Rule> = rules.collect();
        Some(Powers::of(&rules))
    }

    /// Whether this version creates a role of that name, whatever it holds.
    pub fn has_role(self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.role(kind, namespace, name).is_some()
    }
}

/// One right: a verb on a resource of a group, or on a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Verb.
    pub verb: Sym,
    /// API group; empty for the core group, and for URLs.
    pub group: Sym,
    /// Resource or URL.
    pub what: Sym,
    /// Whether it is a URL.
    pub url: bool,
    names: Box<[Sym]>,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.what)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// The single rights of a rule.
pub fn rights(rule: &Rule) -> impl Iterator<Item = Right> {
    let right = |verb: &Sym, group: &Sym, what: &Sym, url| Right {
        verb: verb.clone(),
        group: group.clone(),
        what: what.clone(),
        url,
        names: rule.names.clone(),
    };
    rule.verbs.iter().flat_map(move |verb| {
        let resources = rule.groups.iter().flat_map(move |group| {
            let resources = rule.resources.iter();
            resources.map(move |resource| right(verb, group, resource, false))
        });
        let none = Sym::from("");
        resources.chain(
            rule.urls
                .iter()
                .map(move |url| right(verb, &none, url, true)),
        )
    })
}

impl Right {
    fn is_in_row(&self, rule: &RuleRow) -> bool {
        let has = |list: &str, item: &str| list.split(' ').any(|x| x == item || x == "*");
        let group = if self.group.is_empty() {
            "core"
        } else {
            &self.group
        };
        if !has(&rule.0, &self.verb) {
            return false;
        }
        if self.url {
            return has(&rule.4, &self.what);
        }
        let named = |name: &Sym| rule.3.split(' ').any(|x| x == &**name);
        has(&rule.1, group)
            && has(&rule.2, &self.what)
            && (rule.3.is_empty() || (!self.names.is_empty() && self.names.iter().all(named)))
    }

    fn is_in(&self, rule: &Rule) -> bool {
        let has = |list: &[Sym], item: &Sym| list.iter().any(|x| x == item || &**x == "*");
        if !has(&rule.verbs, &self.verb) {
            return false;
        }
        if self.url {
            return has(&rule.urls, &self.what);
        }
        let named = |name: &Sym| rule.names.contains(name);
        has(&rule.groups, &self.group)
            && has(&rule.resources, &self.what)
            && (rule.names.is_empty() || (!self.names.is_empty() && self.names.iter().all(named)))
    }
}

fn is_marked<P>(object: &Object<P>) -> bool {
    object.meta.labels.get(BOOTSTRAPPING) == Some("rbac-defaults")
}

/// Whether a role is one of Kubernetes' own: name, label, and no right beyond the default's.
pub fn role(inventory: &Inventory, minor: Option<u32>, kind: Kind, role: &Object<Role>) -> Trust {
    if !is_marked(role) {
        return Trust::Custom;
    }
    let meta = &role.meta;
    match of(minor) {
        Some(defaults) => match defaults.beyond(inventory, kind, role) {
            Some(rights) if rights.is_empty() => Trust::BuiltIn,
            _ => Trust::Custom,
        },
        None if meta.name.starts_with("system:") || any_role(kind, &meta.namespace, &meta.name) => {
            Trust::Unpinned
        }
        None => Trust::Custom,
    }
}

/// Whether a binding is one of Kubernetes' own, whoever is in it: name, label and role.
pub fn binding(minor: Option<u32>, kind: Kind, binding: &Object<Binding>) -> Trust {
    if !is_marked(binding) {
        return Trust::Custom;
    }
    let any = Defaults { bit: u32::MAX };
    match of(minor) {
        Some(defaults) if defaults.binding(kind, binding).is_some() => Trust::BuiltIn,
        None if any.binding(kind, binding).is_some()
            || binding.meta.name.starts_with("system:") =>
        {
            Trust::Unpinned
        }
        _ => Trust::Custom,
    }
}

/// Whether one subject of a binding is one that Kubernetes itself puts there.
pub fn grant(minor: Option<u32>, kind: Kind, object: &Object<Binding>, holder: &Holder) -> Trust {
    let trust = binding(minor, kind, object);
    let pin = of(minor).and_then(|defaults| defaults.binding(kind, object));
    let pinned = pin.is_some_and(|pin| {
        let mut subjects = pin.5.iter();
        subjects.any(|(kind, namespace, name)| {
            *kind == *holder.kind && *namespace == *holder.namespace && *name == *holder.name
        })
    });
    if trust == Trust::BuiltIn && !pinned {
        Trust::Custom
    } else {
        trust
    }
}

#[cfg(test)]
pub(crate) mod tests;
