//! What files only name: namespaces, service accounts, roles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Declared;
use crate::{
    analysis::{rbac::account, rbac_defaults},
    controls::Subject,
    inventory::{Kind, Sym, rbac::Rule},
};

impl Declared {
    /// Puts in an object of which just the name is known, unless it is declared.
    fn name(&mut self, kind: Kind, namespace: &str, name: &str) {
        let known = self.objects.get(&kind);
        let key = (namespace.to_owned(), name.to_owned());
        if known.is_some_and(|known| known.contains_key(&key)) {
            return;
        }
        let mut object = json!({ "metadata": {} });
        if kind == Kind::Namespace {
            object["metadata"]["labels"] = json!({ "kubernetes.io/metadata.name": name });
        } else {
            object["metadata"]["namespace"] = namespace.into();
        }
        self.put(kind, key.0, key.1, object);
    }

    pub(super) fn name_namespaces(&mut self) {
        let objects = self.objects.values().flat_map(BTreeMap::keys);
        let names: BTreeSet<String> = objects
            .filter(|(namespace, _)| !namespace.is_empty())
            .map(|(namespace, _)| namespace.clone())
            .collect();
        for name in names {
            self.name(Kind::Namespace, "", &name);
        }
    }

    pub(super) fn place_accounts(&mut self) {
        for kind in [Kind::RoleBinding, Kind::ClusterRoleBinding] {
            for ((inside, name), binding) in self.objects.get(&kind).into_iter().flatten() {
                let place = Subject::object(kind, &inside.as_str().into(), &name.as_str().into());
                let Some(place) = self.places.get(&place) else {
                    continue;
                };
                for (inside, name) in bound(binding, inside) {
                    let account = Kind::ServiceAccount;
                    let account = Subject::object(account, &inside.into(), &name.into());
                    self.bound.entry(account).or_insert_with(|| place.clone());
                }
            }
        }
    }

    /// Service accounts: the one that every namespace has, and those that pods and bindings name.
    pub(super) fn name_accounts(&mut self, complete: bool) {
        // Where nothing is known of rights, an account would only look as if there were something.
        let mut named = BTreeSet::new();
        let namespaces = self.objects.get(&Kind::Namespace);
        for (_, namespace) in namespaces.into_iter().flat_map(BTreeMap::keys) {
            named.insert((namespace.clone(), "default".to_owned()));
        }
        if !complete {
            for ((namespace, _), object) in self.objects.values().flatten() {
                let templates = [
                    "/spec/serviceAccountName",
                    "/spec/template/spec/serviceAccountName",
                    "/spec/jobTemplate/spec/template/spec/serviceAccountName",
                ];
                let used = templates
                    .iter()
                    .filter_map(|at| object.pointer(at)?.as_str());
                named.extend(used.map(|name| (namespace.clone(), name.to_owned())));
                named.extend(bound(object, namespace));
            }
        }
        for (namespace, name) in named {
            self.name(Kind::Namespace, "", &namespace);
            self.name(Kind::ServiceAccount, &namespace, &name);
        }
    }

    /// Roles that bindings name. What Kubernetes' own may do is known, unless others add to them.
    pub(super) fn name_roles(&mut self, complete: bool) {
        for ((_, name), role) in self.objects.get(&Kind::ClusterRole).into_iter().flatten() {
            if !role["aggregationRule"].is_null() {
                let why = format!("ClusterRole {name} is put together from others by the cluster");
                self.roles.insert((String::new(), name.clone()), why);
            }
        }
        let mut missing = BTreeMap::new();
        for kind in [Kind::RoleBinding, Kind::ClusterRoleBinding] {
            for ((namespace, name), binding) in self.objects.get(&kind).into_iter().flatten() {
                let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
                let (table, inside) = match binding["roleRef"]["kind"].as_str() {
                    Some("ClusterRole") => (Kind::ClusterRole, ""),
                    Some("Role") => (Kind::Role, namespace.as_str()),
                    _ => continue,
                };
                let key = (inside.to_owned(), role.to_owned());
                let held = self.objects.get(&table);
                if role.is_empty() || held.is_some_and(|held| held.contains_key(&key)) {
                    continue;
                }
                let by = Subject::object(kind, &namespace.as_str().into(), &name.as_str().into());
                missing.insert(key, by.to_string());
            }
        }
        for ((namespace, role), by) in missing {
            let (kind, of) = if namespace.is_empty() {
                (Kind::ClusterRole, String::new())
            } else {
                (Kind::Role, format!(" -n {namespace}"))
            };
            if let Some((rules, true)) = rbac_defaults::newest(kind, &namespace, &role) {
                let metadata = match kind {
                    Kind::Role => json!({ "namespace": namespace }),
                    _ => json!({}),
                };
                let object = json!({ "metadata": metadata, "rules": as_json(&rules) });
                self.put(kind, namespace, role, object);
            } else if !complete || (kind == Kind::ClusterRole && is_built_in(&role)) {
                let kind = kind.info().kind;
                let why = format!(
                    "{by} refers to {kind} {role}, which no file holds: add it, as in \
                     `kubectl get {} {role}{of} -o yaml`",
                    kind.to_lowercase()
                );
                self.roles.insert((namespace, role), why);
            }
        }
    }

    /// Lets the roles of a kind of which nobody can tell what they grant, grant this.
    pub(super) fn assume(&self, kind: Kind, unclear: Grants, roles: &mut Vec<Value>) {
        let of_kind = self.roles.keys();
        let of_kind =
            of_kind.filter(|(namespace, _)| kind.info().is_namespaced() != namespace.is_empty());
        for (namespace, name) in of_kind {
            let known = roles.iter_mut().find(|role| {
                let metadata = &role["metadata"];
                metadata["name"] == **name
                    && metadata["namespace"].as_str().unwrap_or_default() == namespace
            });
            if let Some(role) = known {
                role["rules"] = unclear.rules();
                continue;
            }
            let granted = match (unclear, rbac_defaults::newest(kind, namespace, name)) {
                (Grants::Nothing, Some((known, _))) => as_json(&known),
                _ => unclear.rules(),
            };
            let uid = format!("{}/{namespace}/{name}", kind.info().plural);
            let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, uid.as_bytes()).to_string();
            let mut metadata = json!({ "name": name, "uid": uid, "resourceVersion": "1" });
            if !namespace.is_empty() {
                metadata["namespace"] = namespace.as_str().into();
            }
            roles.push(json!({ "metadata": metadata, "rules": granted }));
        }
    }
}

/// What a role grants of which just the name is known, at the least and at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::scan) enum Grants {
    Nothing,
    Everything,
}

impl Grants {
    fn rules(self) -> Value {
        match self {
            Self::Nothing => json!([]),
            Self::Everything => json!([
                { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
                { "nonResourceURLs": ["*"], "verbs": ["*"] },
            ]),
        }
    }
}

/// Rules as a manifest holds them.
fn as_json(rules: &[Rule]) -> Value {
    let words = |list: &[Sym]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
    let rules = rules.iter().map(|rule| {
        json!({
            "verbs": words(&rule.verbs), "apiGroups": words(&rule.groups),
            "resources": words(&rule.resources), "resourceNames": words(&rule.names),
            "nonResourceURLs": words(&rule.urls),
        })
    });
    rules.collect()
}

/// Whether every cluster has a role of this name.
fn is_built_in(role: &str) -> bool {
    role.starts_with("system:") || matches!(role, "admin" | "edit" | "view")
}

/// The service accounts that a binding names, by namespace and name.
fn bound(binding: &Value, namespace: &str) -> Vec<(String, String)> {
    if binding["roleRef"].is_null() {
        return Vec::new();
    }
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let named = subjects.filter_map(|subject| {
        let name = subject["name"].as_str()?;
        let (inside, name) = match subject["kind"].as_str()? {
            "ServiceAccount" => (subject["namespace"].as_str().unwrap_or(namespace), name),
            "User" => account(name)?,
            _ => return None,
        };
        (!inside.is_empty()).then(|| (inside.to_owned(), name.to_owned()))
    });
    named.collect()
}
