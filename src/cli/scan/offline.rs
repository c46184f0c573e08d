//! Manifests as if they were a cluster, and what they can't tell.
//!
//! The files stand for all there is of the kinds that they hold, and of kinds that are written
//! together with those. Of any other kind nobody can tell whether the cluster has objects: a
//! control that reads it is `Unknown`, one whose subjects are all of it has nothing to judge.
//! What files never hold (pods of controllers, nodes, volumes), and tools that no file uses, are
//! not there. What an object names and no file declares is taken to exist, and nothing else is
//! known of it: namespaces, service accounts, roles. What a role grants of which just the name is
//! known matters where a verdict is another one if it grants nothing and if it grants everything:
//! there nobody can tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::manifests::{Manifest, Manifests, Place};
use crate::{
    cli::pass::Pass,
    controls::{Info, Observation, Subject},
    engine::Event,
    inventory::{Availability, Kind},
};

/// Kinds that are written together: where there is one, the others are none.
const TOGETHER: [&[Kind]; 4] = [
    &[
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
        Kind::Pod,
        Kind::ReplicaSet,
    ],
    &[
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
        Kind::ServiceAccount,
    ],
    &[Kind::Service, Kind::Ingress, Kind::IngressClass],
    &[
        Kind::ValidatingWebhook,
        Kind::MutatingWebhook,
        Kind::ApiService,
    ],
];

/// Kinds that only a running cluster makes, or that matter only where another object names them.
const NEVER_MISSED: [Kind; 7] = [
    Kind::Namespace,
    Kind::Pod,
    Kind::ReplicaSet,
    Kind::Node,
    Kind::Volume,
    Kind::Crd,
    Kind::ConfigMap,
];

/// Kinds that say little by themselves: a control without subjects of its own needs another one.
const BESIDE: [Kind; 10] = [
    Kind::Namespace,
    Kind::ConfigMap,
    Kind::StorageClass,
    Kind::Pod,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicaSet,
    Kind::Job,
    Kind::CronJob,
];

/// What the files declare.
#[derive(Debug)]
pub(super) struct Declared {
    /// When the objects are made, where they don't say so.
    now: Timestamp,
    objects: BTreeMap<Kind, BTreeMap<(String, String), Value>>,
    places: BTreeMap<Subject, Place>,
    /// Roles of which nobody can tell what they grant, by namespace (none for those of the cluster)
    /// and name, with why.
    roles: BTreeMap<(String, String), String>,
    /// Kinds of which a file holds an object in a version that is not read.
    unread: BTreeMap<Kind, String>,
    /// Versions and kinds of objects that no control reads.
    foreign: BTreeSet<String>,
    /// What was told apart from verdicts.
    pub(super) notes: Vec<String>,
}

impl Declared {
    /// Sorts the objects. Those without a namespace go to `namespace`; `complete` is whether the
    /// files hold all that the cluster does.
    pub(super) fn new(
        manifests: Manifests,
        namespace: &str,
        complete: bool,
        now: Timestamp,
    ) -> Self {
        let mut all = Self {
            now,
            objects: BTreeMap::new(),
            places: BTreeMap::new(),
            roles: BTreeMap::new(),
            unread: BTreeMap::new(),
            foreign: BTreeSet::new(),
            notes: Vec::new(),
        };
        let (count, files) = (manifests.passed_over.len(), manifests.files);
        if count > 0 {
            all.notes.push(format!(
                "{count} documents in {files} files hold no Kubernetes object and were passed over"
            ));
        }
        for manifest in manifests.objects {
            all.take(manifest, namespace);
        }
        if !all.foreign.is_empty() {
            let kinds: Vec<&str> = all.foreign.iter().map(String::as_str).collect();
            all.notes.push(format!(
                "no control reads objects of these kinds, which were passed over: {}",
                kinds.join(", ")
            ));
        }
        all.name_namespaces();
        all.name_accounts(complete);
        all.name_roles(complete);
        all
    }

    fn take(&mut self, manifest: Manifest, namespace: &str) {
        let Manifest { place, mut object } = manifest;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, name) = (text(&object["apiVersion"]), text(&object["kind"]));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let same = |kind: &&Kind| kind.info().kind == name && kind.info().group == group;
        let exact = |kind: &&Kind| same(kind) && kind.info().api_version() == version;
        let kinds = || Kind::ALL.iter();
        let Some(kind) = kinds().find(exact).copied() else {
            if let Some(kind) = kinds().find(same) {
                let wanted = kind.info().version;
                let why = format!("{place} holds one as {version}, but {wanted} is read");
                self.unread.insert(*kind, why);
            } else {
                self.foreign.insert(format!("{version} {name}"));
            }
            return;
        };
        let mut name = text(&object["metadata"]["name"]);
        if name.is_empty() {
            name = format!("{}*", text(&object["metadata"]["generateName"]));
        }
        let mut inside = String::new();
        if kind.info().is_namespaced() {
            inside = text(&object["metadata"]["namespace"]);
            if inside.is_empty() {
                namespace.clone_into(&mut inside);
            }
            object["metadata"]["namespace"] = inside.clone().into();
        }
        let subject = Subject::object(kind, &inside.as_str().into(), &name.as_str().into());
        if let Some(before) = self.places.insert(subject.clone(), place.clone()) {
            self.notes.push(format!(
                "{subject} is declared at {before} and at {place}: the last one counts"
            ));
        }
        self.put(kind, inside, name, object);
    }

    /// Puts an object in, with what a server would add.
    fn put(&mut self, kind: Kind, namespace: String, name: String, mut object: Value) {
        let key = format!("{}/{namespace}/{name}", kind.info().plural);
        let metadata = &mut object["metadata"];
        metadata["name"] = name.clone().into();
        metadata["uid"] = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes())
            .to_string()
            .into();
        metadata["resourceVersion"] = "1".into();
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = self.now.to_string().into();
        }
        let of_kind = self.objects.entry(kind).or_default();
        of_kind.insert((namespace, name), object);
    }

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

    fn name_namespaces(&mut self) {
        let objects = self.objects.values().flat_map(BTreeMap::keys);
        let names: BTreeSet<String> = objects
            .filter(|(namespace, _)| !namespace.is_empty())
            .map(|(namespace, _)| namespace.clone())
            .collect();
        for name in names {
            self.name(Kind::Namespace, "", &name);
        }
    }

    /// Service accounts: the one that every namespace has, and those that pods and bindings name.
    fn name_accounts(&mut self, complete: bool) {
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

    /// Roles that bindings name. Everybody knows what `cluster-admin` may do.
    fn name_roles(&mut self, complete: bool) {
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
                ("ClusterRole", String::new())
            } else {
                ("Role", format!(" -n {namespace}"))
            };
            let everywhere = namespace.is_empty();
            if everywhere && role == "cluster-admin" {
                let object = json!({ "metadata": {}, "rules": Grants::Everything.rules() });
                self.put(Kind::ClusterRole, namespace, role, object);
            } else if !complete || (everywhere && is_built_in(&role)) {
                let why = format!(
                    "{by} refers to {kind} {role}, which no file holds: add it, as in \
                     `kubectl get {} {role}{of} -o yaml`",
                    kind.to_lowercase()
                );
                self.roles.insert((namespace, role), why);
            }
        }
    }

    /// Where an object is declared; `None` for one that is only named.
    pub(super) fn place(&self, subject: &Subject) -> Option<&Place> {
        self.places.get(subject)
    }

    /// Whether a subject is one that the files declare, or no object.
    pub(super) fn declares(&self, subject: &Subject) -> bool {
        subject.object_kind().is_none() || self.places.contains_key(subject)
    }

    /// How many objects are judged.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Why nobody can tell what some roles grant, if so.
    pub(super) fn unclear_roles(&self) -> Option<String> {
        let all: Vec<&str> = self.roles.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Tells an engine what there is, and has it judged. Roles of which nobody can tell what they
    /// grant, grant `unclear`.
    pub(super) fn feed(&self, pass: &mut Pass, complete: bool, unclear: Grants) {
        for kind in pass.engine.needed_kinds() {
            if let Some(why) = self.missing(kind, complete) {
                pass.apply(Event::Availability(kind, Availability::Broken(why)));
                continue;
            }
            if kind.info().is_neighbour() && !self.holds(kind) {
                pass.apply(Event::Missing(kind));
                continue;
            }
            pass.apply(Event::ListBegan(kind));
            let of_kind = self
                .objects
                .get(&kind)
                .into_iter()
                .flat_map(BTreeMap::values);
            let mut items: Vec<Value> = of_kind.cloned().collect();
            if matches!(kind, Kind::ClusterRole | Kind::Role) {
                self.assume(kind, unclear, &mut items);
            }
            let page = json!({ "items": items }).to_string();
            pass.apply(Event::Page(kind, page.into()));
            pass.apply(Event::ListEnded(kind));
        }
        pass.settle();
    }

    fn holds(&self, kind: Kind) -> bool {
        let declared = self
            .places
            .keys()
            .any(|known| known.object_kind() == Some(kind));
        let mut named = self.roles.keys();
        declared
            || (kind == Kind::ClusterRole && named.any(|(namespace, _)| namespace.is_empty()))
            || (kind == Kind::Role && named.any(|(namespace, _)| !namespace.is_empty()))
    }

    /// Whether a file has one, be it in a version that is not read.
    fn mentions(&self, kind: Kind) -> bool {
        self.holds(kind) || self.unread.contains_key(&kind)
    }

    /// Why nobody can tell whether a cluster has more of a kind than the files.
    fn missing(&self, kind: Kind, complete: bool) -> Option<String> {
        if let Some(why) = self.unread.get(&kind) {
            return Some(why.clone());
        }
        let group = TOGETHER.iter().find(|group| group.contains(&kind));
        let beside = || group.is_some_and(|group| group.iter().any(|other| self.holds(*other)));
        let known = complete
            || kind.info().is_neighbour()
            || NEVER_MISSED.contains(&kind)
            || self.holds(kind)
            || beside();
        (!known).then(|| {
            "no file holds one: add them, or say --complete where there are none".to_owned()
        })
    }

    /// Why a control has nothing to judge in the files, if so.
    pub(super) fn idle(&self, info: &Info) -> Option<String> {
        let subjects = info.subjects;
        if !subjects.is_empty() {
            let held = subjects.iter().any(|kind| self.mentions(*kind));
            return (!held).then(|| {
                let names: Vec<&str> = subjects.iter().map(|kind| kind.info().kind).collect();
                format!("no file holds a {}", names.join(", "))
            });
        }
        let people = |seen: &Observation| {
            matches!(
                seen,
                Observation::Exceptions
                    | Observation::Attestations
                    | Observation::AccessReviews
                    | Observation::Changes
            )
        };
        let beside = |kind: &Kind| BESIDE.contains(kind) && !self.unread.contains_key(kind);
        let mut inputs = info.inputs().filter(|kind| !beside(kind));
        if inputs.any(|kind| self.mentions(kind)) {
            return None;
        }
        let why = if info.observes.iter().any(people) {
            "it rests on what people say in the cluster"
        } else if info.observes.is_empty() {
            "no file holds what it judges"
        } else {
            "only a running cluster shows it"
        };
        Some(why.to_owned())
    }

    /// Lets the roles of a kind of which nobody can tell what they grant, grant this.
    fn assume(&self, kind: Kind, unclear: Grants, roles: &mut Vec<Value>) {
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
pub(super) enum Grants {
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

/// Whether every cluster has a role of this name.
fn is_built_in(role: &str) -> bool {
    role.starts_with("system:") || matches!(role, "admin" | "edit" | "view")
}

/// The service accounts that a binding names.
fn bound(binding: &Value, namespace: &str) -> Vec<(String, String)> {
    if binding["roleRef"].is_null() {
        return Vec::new();
    }
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let accounts = subjects.filter(|subject| subject["kind"] == "ServiceAccount");
    let named = accounts.filter_map(|subject| {
        let inside = subject["namespace"].as_str().unwrap_or(namespace);
        let name = subject["name"].as_str()?;
        (!inside.is_empty()).then(|| (inside.to_owned(), name.to_owned()))
    });
    named.collect()
}
