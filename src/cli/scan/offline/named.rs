//! What files only name: namespaces, service accounts, roles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Declared;
use crate::{
    analysis::rbac::account,
    controls::{Subject, SubjectKind},
    inventory::Kind,
};

/// The API group of roles.
const GROUP: &str = "rbac.authorization.k8s.io";

impl Declared {
    /// Puts in an object of which just the name is known, unless it is declared.
    pub(super) fn name(&mut self, kind: Kind, namespace: &str, name: &str) {
        if self.has(kind, namespace, name) {
            return;
        }
        let mut object = json!({ "metadata": {} });
        if kind == Kind::Namespace {
            object["metadata"]["labels"] = json!({ "kubernetes.io/metadata.name": name });
        } else {
            object["metadata"]["namespace"] = namespace.into();
        }
        self.put(kind, namespace.to_owned(), name.to_owned(), object);
    }

    /// Whether there is an object, declared or not.
    pub(super) fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects
            .get(&kind)
            .is_some_and(|known| known.contains_key(&key))
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

    pub(super) fn place_identities(&mut self) {
        for kind in [Kind::RoleBinding, Kind::ClusterRoleBinding] {
            for ((inside, name), binding) in self.objects.get(&kind).into_iter().flatten() {
                let place = Subject::object(kind, &inside.as_str().into(), &name.as_str().into());
                let Some(place) = self.places.get(&place) else {
                    continue;
                };
                let accounts = bound(binding, inside).into_iter().map(|(inside, name)| {
                    Subject::object(Kind::ServiceAccount, &inside.into(), &name.into())
                });
                for identity in accounts.chain(people(binding)) {
                    self.bound.entry(identity).or_insert_with(|| place.clone());
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

    /// Roles that bindings and rules name. What Kubernetes' own may do is known, unless others add
    /// to them.
    pub(super) fn name_roles(&mut self, complete: bool) {
        let mut missing = self.roles_of_bindings();
        for (key, by) in self.roles_of_rules() {
            missing.entry(key).or_insert(by);
        }
        for ((namespace, role), by) in missing {
            let (kind, of) = if namespace.is_empty() {
                (Kind::ClusterRole, String::new())
            } else {
                (Kind::Role, format!(" -n {namespace}"))
            };
            let known = self.objects.get(&kind);
            let known = known.and_then(|known| known.get(&(namespace.clone(), role.clone())));
            let name = Subject::object(kind, &namespace.as_str().into(), &role.as_str().into());
            let unclear = match known {
                _ if self.places.contains_key(&name) => false,
                Some(own) => !own["aggregationRule"].is_null(),
                None => !complete || (kind == Kind::ClusterRole && role.starts_with("system:")),
            };
            if unclear {
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

    /// Roles that bindings of the files give, each with the first of these.
    fn roles_of_bindings(&self) -> BTreeMap<(String, String), Subject> {
        let mut named = BTreeMap::new();
        for kind in [Kind::RoleBinding, Kind::ClusterRoleBinding] {
            for ((namespace, name), binding) in self.objects.get(&kind).into_iter().flatten() {
                let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
                let inside = match binding["roleRef"]["kind"].as_str() {
                    Some("ClusterRole") => "",
                    Some("Role") => namespace.as_str(),
                    _ => continue,
                };
                let by = Subject::object(kind, &namespace.as_str().into(), &name.as_str().into());
                if !role.is_empty() && self.places.contains_key(&by) {
                    let key = (inside.to_owned(), role.to_owned());
                    named.entry(key).or_insert(by);
                }
            }
        }
        named
    }

    /// Roles that rules of the files let somebody bind or widen, each with the first role that has
    /// such a rule. One of which just the name is known may be anything.
    fn roles_of_rules(&self) -> BTreeMap<(String, String), Subject> {
        let mut named = BTreeMap::new();
        let spaces = self.objects.values().flat_map(BTreeMap::keys);
        let spaces: BTreeSet<&str> = spaces
            .map(|(namespace, _)| namespace.as_str())
            .filter(|namespace| !namespace.is_empty())
            .collect();
        for kind in [Kind::Role, Kind::ClusterRole] {
            for ((namespace, name), role) in self.objects.get(&kind).into_iter().flatten() {
                let by = Subject::object(kind, &namespace.as_str().into(), &name.as_str().into());
                if !self.places.contains_key(&by) {
                    continue;
                }
                for rule in role["rules"].as_array().into_iter().flatten() {
                    let has = |field: &str, wanted: &[&str]| {
                        let mut words = words(&rule[field]);
                        words.any(|word| word == "*" || wanted.contains(&word))
                    };
                    if !has("apiGroups", &[GROUP]) || !has("verbs", &["bind", "escalate"]) {
                        continue;
                    }
                    let mut homes = BTreeSet::new();
                    if has("resources", &["clusterroles"]) {
                        homes.insert("");
                    }
                    if has("resources", &["roles"]) {
                        match kind {
                            Kind::Role => drop(homes.insert(namespace)),
                            // It may be bound anywhere.
                            _ => homes.extend(&spaces),
                        }
                    }
                    for name in words(&rule["resourceNames"]) {
                        for home in &homes {
                            let key = ((*home).to_owned(), name.to_owned());
                            named.entry(key).or_insert_with(|| by.clone());
                        }
                    }
                }
            }
        }
        named
    }

    /// Whether a role lets somebody write webhook configurations of some names only: that is no
    /// power for whoever serves these.
    pub(super) fn names_webhooks(&self) -> bool {
        let kinds = [Kind::Role, Kind::ClusterRole].into_iter();
        let tables = kinds.filter_map(|kind| self.objects.get(&kind));
        let rules = tables
            .flat_map(BTreeMap::values)
            .flat_map(|role| role["rules"].as_array().into_iter().flatten());
        let mut about = rules.filter(|rule| words(&rule["resourceNames"]).next().is_some());
        about.any(|rule| {
            let resources = [
                "*",
                "validatingwebhookconfigurations",
                "mutatingwebhookconfigurations",
            ];
            words(&rule["resources"]).any(|resource| resources.contains(&resource))
        })
    }

    /// Lets the roles of a kind of which nobody can tell what they grant, grant this.
    pub(super) fn assume(&self, kind: Kind, unclear: Grants, roles: &mut Vec<Value>) {
        let of_kind = self.roles.keys();
        let of_kind =
            of_kind.filter(|(namespace, _)| kind.info().is_namespaced() != namespace.is_empty());
        for (namespace, name) in of_kind {
            let held = self.has(kind, namespace, name);
            let known = roles.iter_mut().filter(|_| held).find(|role| {
                let metadata = &role["metadata"];
                metadata["name"] == **name
                    && metadata["namespace"].as_str().unwrap_or_default() == namespace
            });
            if let Some(role) = known {
                let subject =
                    Subject::object(kind, &namespace.as_str().into(), &name.as_str().into());
                // What Kubernetes' own hold from the start they hold in any case.
                if unclear == Grants::Everything || self.places.contains_key(&subject) {
                    role["rules"] = unclear.rules();
                }
                continue;
            }
            let uid = format!("{}/{namespace}/{name}", kind.info().plural);
            let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, uid.as_bytes()).to_string();
            let mut metadata = json!({ "name": name, "uid": uid, "resourceVersion": "1" });
            if !namespace.is_empty() {
                metadata["namespace"] = namespace.as_str().into();
            }
            roles.push(json!({ "metadata": metadata, "rules": unclear.rules() }));
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

/// The strings of a list.
fn words(list: &Value) -> impl Iterator<Item = &str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str)
}

/// The users and groups that a binding names.
fn people(binding: &Value) -> impl Iterator<Item = Subject> {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.filter_map(|subject| {
        let name = subject["name"].as_str()?;
        let kind = match subject["kind"].as_str()? {
            "User" if account(name).is_none() => SubjectKind::User,
            "Group" => SubjectKind::Group,
            _ => return None,
        };
        Some(Subject::named(kind, name))
    })
}

/// Puts service accounts that a binding names without a namespace into this one, as an object that
/// names none. Returns their names.
pub(super) fn house(binding: &mut Value, namespace: &str) -> Vec<String> {
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    let homeless = subjects.into_iter().flatten().filter(|subject| {
        let home = subject["namespace"].as_str().unwrap_or_default();
        subject["kind"] == "ServiceAccount" && home.is_empty()
    });
    let housed = homeless.map(|subject| {
        subject["namespace"] = namespace.into();
        subject["name"].as_str().unwrap_or_default().to_owned()
    });
    housed.collect()
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
