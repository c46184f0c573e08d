//! What keeps Probity itself in its place: its CRDs, admission policies, rights and image, as this
//! release makes them, compared with what a cluster has. Pure.
//!
//! ```text
//! CRDs of this build ─────────────┐
//! manifest that the chart renders ┴─► Manifest ─► expected object ─┐
//!                                     API server ─► found object ──┴─► Seen
//! ```
//!
//! An API server fills in defaults: those are listed here, one by one. Any other field that nobody
//! asked for is a difference, because a field may also be added in order to weaken.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;

/// The admission policies of this release, by what follows the name of the release in their names.
pub const POLICIES: [&str; 4] = ["decisions", "expiry", "own-writes", "requests"];

/// The volume of our pods that holds the manifest.
const VOLUME: &str = "release";

/// A kind of guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardKind {
    /// Our API.
    CustomResourceDefinition,
    /// What may be written into it, and by us.
    ValidatingAdmissionPolicy,
    /// Where that holds.
    ValidatingAdmissionPolicyBinding,
    /// Rights.
    ClusterRole,
    /// Who has them.
    ClusterRoleBinding,
    /// Rights in a namespace.
    Role,
    /// Who has them.
    RoleBinding,
    /// What runs.
    StatefulSet,
}

impl GuardKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::CustomResourceDefinition,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionPolicyBinding,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::Role,
        Self::RoleBinding,
        Self::StatefulSet,
    ];

    /// Its name, as objects say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomResourceDefinition => "CustomResourceDefinition",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::ValidatingAdmissionPolicyBinding => "ValidatingAdmissionPolicyBinding",
            Self::ClusterRole => "ClusterRole",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Its API group; all of them are at version `v1`.
    pub const fn group(self) -> &'static str {
        match self {
            Self::CustomResourceDefinition => "apiextensions.k8s.io",
            Self::ValidatingAdmissionPolicy | Self::ValidatingAdmissionPolicyBinding => {
                "admissionregistration.k8s.io"
            }
            Self::ClusterRole | Self::ClusterRoleBinding | Self::Role | Self::RoleBinding => {
                "rbac.authorization.k8s.io"
            }
            Self::StatefulSet => "apps",
        }
    }

    /// The name of its resource.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::CustomResourceDefinition => "customresourcedefinitions",
            Self::ValidatingAdmissionPolicy => "validatingadmissionpolicies",
            Self::ValidatingAdmissionPolicyBinding => "validatingadmissionpolicybindings",
            Self::ClusterRole => "clusterroles",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::Role => "roles",
            Self::RoleBinding => "rolebindings",
            Self::StatefulSet => "statefulsets",
        }
    }

    /// Whether its objects lie in namespaces.
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Self::Role | Self::RoleBinding | Self::StatefulSet)
    }

    /// What of an object is compared: all that decides what it allows.
    fn compared(self, object: &Value) -> Value {
        match self {
            Self::CustomResourceDefinition
            | Self::ValidatingAdmissionPolicy
            | Self::ValidatingAdmissionPolicyBinding => json!({ "spec": object["spec"] }),
            Self::ClusterRole | Self::Role => json!({
                "rules": object["rules"],
                "aggregationRule": object["aggregationRule"],
                "labels": aggregated(object),
            }),
            Self::ClusterRoleBinding | Self::RoleBinding => json!({
                "roleRef": object["roleRef"],
                "subjects": object["subjects"],
            }),
            Self::StatefulSet => {
                let pod = &object["spec"]["template"]["spec"];
                json!({
                    "containers": images(&pod["containers"]),
                    "initContainers": images(&pod["initContainers"]),
                })
            }
        }
    }
}

/// Labels that make a role part of others.
fn aggregated(object: &Value) -> Value {
    const PREFIX: &str = "rbac.authorization.k8s.io/aggregate-to-";
    let labels = object["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten();
    let such = labels.filter(|(label, _)| label.starts_with(PREFIX));
    such.map(|(label, value)| (label.clone(), value.clone()))
        .collect()
}

fn images(containers: &Value) -> Value {
    let containers = containers.as_array().into_iter().flatten();
    let images = containers.map(|one| json!({ "name": one["name"], "image": one["image"] }));
    images.collect()
}

/// A guardrail by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard {
    /// Kind.
    pub kind: GuardKind,
    /// Namespace; empty outside of namespaces.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Guard {
    fn outside(kind: GuardKind, name: String) -> Self {
        Self {
            kind,
            namespace: String::new(),
            name,
        }
    }
}

/// What the manifest says of the release: its first document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Name of its objects.
    pub name: String,
    /// Namespace that it is in.
    pub namespace: String,
    /// Version of the program that it is for.
    pub version: String,
    /// The image that it runs.
    pub image: String,
}

/// All guardrails of a release, as they have to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The release.
    pub release: Release,
    /// Name of the `ConfigMap` that holds it: it ends in the digest.
    config_map: String,
    /// What has to be there.
    expected: BTreeMap<Guard, Value>,
    /// Policies that this build has and the release does not install.
    switched_off: BTreeSet<Guard>,
}

impl Manifest {
    /// Reads the manifest that the chart rendered, whose SHA-256 in hex is `digest`, and adds what
    /// this build knows itself. The error is a sentence.
    pub fn parse(text: &str, digest: &str) -> Result<Self, String> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|error| format!("the manifest of the release is no YAML: {error}"))?;
        let mut documents = documents.into_iter().filter(|document| !document.is_null());
        let first = documents.next().unwrap_or_default();
        let release: Release = serde_json::from_value(first).map_err(|error| {
            format!("the manifest of the release does not begin with what it is of: {error}")
        })?;
        let mut expected: BTreeMap<Guard, Value> = documents
            .filter_map(|object| Some((guard(&object, &release)?, object)))
            .collect();
        for (_, definition) in api::definitions() {
            let name = definition.metadata.name.clone().unwrap_or_default();
            let object = serde_json::to_value(&definition)
                .map_err(|error| format!("CustomResourceDefinition {name}: {error}"))?;
            let guard = Guard::outside(GuardKind::CustomResourceDefinition, name);
            expected.insert(guard, object);
        }
        let own = Guard {
            kind: GuardKind::StatefulSet,
            namespace: release.namespace.clone(),
            name: release.name.clone(),
        };
        expected.insert(own, workload(&release.image));
        let policies = POLICIES.map(|which| {
            let name = format!("{}-{which}", release.name);
            Guard::outside(GuardKind::ValidatingAdmissionPolicy, name)
        });
        let missing = policies.into_iter();
        let missing = missing.filter(|policy| !expected.contains_key(policy));
        Ok(Self {
            config_map: format!(
                "{}-manifest-{}",
                release.name,
                digest.get(..8).unwrap_or_default()
            ),
            switched_off: missing.collect(),
            release,
            expected,
        })
    }

    /// What to look at. Our own workload is first: it tells whether an upgrade is under way.
    pub fn guards(&self) -> impl Iterator<Item = &Guard> {
        let workload = |guard: &&Guard| guard.kind == GuardKind::StatefulSet;
        let others = self.expected.keys().filter(move |guard| !workload(guard));
        self.expected.keys().filter(workload).chain(others)
    }

    /// What is to be said of policies that are not looked for.
    pub fn switched_off(&self) -> impl Iterator<Item = (Guard, Seen)> {
        let guards = self.switched_off.iter().cloned();
        guards.map(|guard| (guard, Seen::SwitchedOff))
    }

    /// Whether our own workload, as it was found, is that of another release: what is different
    /// then may be the next one, half installed.
    pub fn is_upgraded(&self, workload: &Value) -> bool {
        let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array();
        let mut volumes = volumes.into_iter().flatten();
        let ours = volumes.find(|volume| volume["name"] == VOLUME);
        ours.is_some_and(|volume| volume["configMap"]["name"] != *self.config_map)
    }

    /// Compares a guardrail with what was found in its place.
    pub fn compare(&self, guard: &Guard, found: Option<&Value>) -> Seen {
        let Some(expected) = self.expected.get(guard) else {
            return Seen::NotSeen("it is not part of the release".to_owned());
        };
        let Some(found) = found else {
            return Seen::Gone;
        };
        let (expected, compared) = (guard.kind.compared(expected), guard.kind.compared(found));
        match difference("", &expected, &compared) {
            Some(path) => Seen::Differs {
                path,
                writer: writer(found),
            },
            None if guard.kind == GuardKind::StatefulSet
                && !self.release.image.contains("@sha256:") =>
            {
                Seen::NotPinned(self.release.image.clone())
            }
            None => Seen::Intact,
        }
    }
}

/// Which guardrail an object of the manifest is, if it is one.
fn guard(object: &Value, release: &Release) -> Option<Guard> {
    let kind = object["kind"].as_str()?;
    let kind = GuardKind::ALL.into_iter().find(|of| of.name() == kind)?;
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str();
    Some(Guard {
        kind,
        namespace: if kind.is_namespaced() {
            namespace.unwrap_or(&release.namespace).to_owned()
        } else {
            String::new()
        },
        name: metadata["name"].as_str()?.to_owned(),
    })
}

/// What is compared of our own workload: the chart knows the rest of it, and so may others.
fn workload(image: &str) -> Value {
    let containers = json!([{ "name": "probity", "image": image }]);
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

/// What was seen of a guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is as the release makes it.
    Intact,
    /// It is not.
    Differs {
        /// The first field that differs.
        path: String,
        /// The field manager that wrote last, and when, as far as the API server keeps that.
        writer: Option<(String, Option<Timestamp>)>,
    },
    /// It is not there.
    Gone,
    /// It differs or is gone, and our own workload is that of another release.
    Upgrading,
    /// This build has it, and the release does not install it.
    SwitchedOff,
    /// The image, which is this one, is named by a tag.
    NotPinned(String),
    /// It can't be read: why.
    NotSeen(String),
}

impl Seen {
    /// Whether it is not as it should be.
    pub const fn is_broken(&self) -> bool {
        matches!(self, Self::Differs { .. } | Self::Gone)
    }
}

/// What is known of the manifest itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is that of this build.
    Ours,
    /// There is none, or it can't be read: why.
    NotThere(String),
    /// It is not what the release has put there: why.
    Altered(String),
    /// It is that of another version.
    Other(String),
}

/// A look at all guardrails.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrails {
    /// When.
    pub at: Timestamp,
    /// What it was compared with.
    pub source: Source,
    /// What was seen.
    pub seen: BTreeMap<Guard, Seen>,
}

/// Who wrote an object last, by its managed fields: what a client calls itself.
fn writer(object: &Value) -> Option<(String, Option<Timestamp>)> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let whole = entries
        .iter()
        .filter(|entry| entry["subresource"].as_str().is_none_or(str::is_empty));
    let time = |entry: &Value| -> Option<Timestamp> { entry["time"].as_str()?.parse().ok() };
    let last = whole.max_by_key(|entry| time(entry))?;
    Some((last["manager"].as_str()?.to_owned(), time(last)))
}

/// What an API server fills in where nothing is said.
fn is_default(field: &str, value: &Value) -> bool {
    match field {
        "namespaceSelector" | "objectSelector" => *value == json!({}),
        "matchPolicy" => value == "Equivalent",
        "scope" => value == "*",
        "listKind" => value.as_str().is_some_and(|kind| kind.ends_with("List")),
        "conversion" => *value == json!({ "strategy": "None" }),
        _ => value.is_null(),
    }
}

/// The first field in which two values differ, if they do.
fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(had)) => {
            let fields: BTreeSet<&String> = wanted.keys().chain(had.keys()).collect();
            fields.into_iter().find_map(|field| {
                let path = if path.is_empty() {
                    field.clone()
                } else {
                    format!("{path}.{field}")
                };
                match (wanted.get(field), had.get(field)) {
                    (Some(wanted), Some(had)) => difference(&path, wanted, had),
                    (Some(wanted), None) => (!wanted.is_null()).then_some(path),
                    (None, had) => had
                        .is_some_and(|had| !is_default(field, had))
                        .then_some(path),
                }
            })
        }
        (Value::Array(wanted), Value::Array(had)) if wanted.len() == had.len() => {
            let pairs = wanted.iter().zip(had).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (wanted, had))| difference(&format!("{path}[{at}]"), wanted, had))
        }
        // JSON has one kind of number; the schema of a CRD comes back as another of Rust's.
        (Value::Number(wanted), Value::Number(had)) if wanted.as_f64() == had.as_f64() => None,
        _ => (expected != found).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
