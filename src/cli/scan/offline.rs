//! Manifests as if they were a cluster, and what they can't tell.
//!
//! The files stand for all there is of the kinds that they hold, and of kinds that are written
//! together with those. Of any other kind nobody can tell whether the cluster has objects. What
//! reads it is judged as if there were none, and stands where the control says that none could make
//! it otherwise; else it is `Unknown`. A control whose subjects are all of it has nothing to judge.
//! What files never hold (pods of controllers, nodes, volumes), and tools that no file uses, are
//! not there; but for controls of backups, which read claims through pods, controllers run theirs, and what fails for want of
//! pods is `Unknown` where an operator may make some of an object. What an object names and no file declares is taken to exist, and nothing else is
//! known of it: namespaces, service accounts, roles. Kubernetes' own roles, bindings and accounts
//! are in every cluster, and known. What a role grants of which just the name is
//! known matters where a verdict is another one if it grants nothing and if it grants everything:
//! there nobody can tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

mod named;
mod notes;
mod own;
mod pods;
mod versions;

pub(super) use self::named::Grants;
use self::{
    notes::{Surplus, passed_over, surplus},
    versions::reads,
};
use super::{
    manifests::{Manifest, Manifests, Place},
    report::Finding,
    unread::{Fit, Stranger, Unread, fit, stranger},
};
use crate::{
    cli::pass::Pass,
    controls::{Control, Info, Observation, Subject, SubjectKind},
    engine::Event,
    inventory::{Availability, Kind},
    verdict::Outcome,
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
    /// The minor version of the API server, as far as the files show it, else the newest that is
    /// pinned; `None` where they hold what could not be compared with that.
    minor: Option<u32>,
    /// Who is named by bindings, with the first of these: what an account holds is declared there,
    /// whether or not the account is.
    bound: BTreeMap<Subject, Place>,
    /// Roles of which nobody can tell what they grant, by namespace (none for those of the cluster)
    /// and name, with why.
    roles: BTreeMap<(String, String), String>,
    /// Kinds of which a file holds an object in a version that is not read.
    unread: BTreeMap<Kind, String>,
    /// Versions and kinds of objects that no control reads.
    foreign: BTreeSet<String>,
    /// The first of them in each namespace of which somebody may make pods; under none where it says none.
    makers: BTreeMap<String, String>,
    surplus: Surplus,
    /// Objects with a field that can't be what it is, and what is wrong. They are fed as what can't be decoded.
    misfits: BTreeMap<Subject, String>,
    /// Documents that are not read, each with why.
    pub(super) documents: Vec<Unread>,
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
            minor: None,
            bound: BTreeMap::new(),
            roles: BTreeMap::new(),
            unread: BTreeMap::new(),
            foreign: BTreeSet::new(),
            makers: BTreeMap::new(),
            surplus: Surplus::new(),
            misfits: BTreeMap::new(),
            documents: manifests.unread,
            notes: Vec::new(),
        };
        all.notes
            .extend(passed_over(&manifests.passed_over, manifests.files));
        for manifest in manifests.objects {
            all.take(manifest, namespace);
        }
        all.notes.extend(surplus(&all.surplus));
        if !all.foreign.is_empty() {
            let kinds: Vec<&str> = all.foreign.iter().map(String::as_str).collect();
            all.notes.push(format!(
                "no control reads objects of these kinds, which were passed over: {}",
                kinds.join(", ")
            ));
        }
        all.minor = all.find_minor();
        all.place_identities();
        all.name_namespaces();
        all.name_accounts(complete);
        all.add_own();
        all.name_roles(complete);
        all
    }

    fn take(&mut self, manifest: Manifest, namespace: &str) {
        let Manifest { place, mut object } = manifest;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, name) = (text(&object["apiVersion"]), text(&object["kind"]));
        let exact = |kind: &&Kind| kind.info().kind == name && reads(**kind, &version);
        let Some(kind) = Kind::ALL.iter().find(exact).copied() else {
            self.take_unread(place, &version, &name, &object);
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
        } else if let Some(metadata) = object["metadata"].as_object_mut() {
            // Charts like to write one; the API server takes it off what lies in no namespace.
            metadata.remove("namespace");
        }
        let subject = Subject::object(kind, &inside.as_str().into(), &name.as_str().into());
        self.examine(kind, &subject, &place, &version, &object);
        if let Some(before) = self.places.insert(subject.clone(), place.clone()) {
            self.notes.push(format!(
                "{subject} is declared at {before} and at {place}: the last one counts"
            ));
        }
        if matches!(kind, Kind::RoleBinding | Kind::ClusterRoleBinding) {
            let home = if inside.is_empty() {
                namespace
            } else {
                &inside
            };
            for account in named::house(&mut object, home) {
                self.notes.push(format!(
                    "{subject} at {place} names ServiceAccount {account} without its namespace, \
                     which an API server refuses: {home} is assumed"
                ));
            }
        }
        if kind == Kind::ClusterRole && !object["aggregationRule"].is_null() {
            let key = (String::new(), name.clone());
            // A cluster that was asked has filled in the rules, and said which object that is.
            let filled = object["rules"]
                .as_array()
                .is_some_and(|rules| !rules.is_empty());
            if filled && object["metadata"]["uid"].is_string() {
                self.roles.remove(&key);
            } else {
                let why = format!("ClusterRole {name} is put together from others by the cluster");
                self.roles.insert(key, why);
            }
        }
        self.put(kind, inside, name, object);
    }

    /// Notes an object of a kind, or in a version, that is not read.
    fn take_unread(&mut self, place: Place, version: &str, name: &str, object: &Value) {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let same = |kind: &&Kind| kind.info().kind == name && kind.info().group == group;
        if let Some(kind) = Kind::ALL.iter().find(same) {
            let wanted = kind.info().version;
            let why = format!("{place} holds one as {version}, but {wanted} is read");
            self.unread.insert(*kind, why);
            let why = format!("{wanted} is the version that is read");
            self.leave(place, version, name, why);
        } else if let Some(Stranger { why, meant }) = stranger(version, name) {
            if let Some(kind) = meant {
                let why = format!("{place} holds a {version} {name}: {why}");
                self.unread.insert(kind, why);
            }
            self.leave(place, version, name, why);
        } else {
            self.foreign.insert(format!("{version} {name}"));
            if pods::may_make_some(object) {
                let (inside, maker) = pods::maker(name, &object["metadata"]);
                self.makers.entry(inside).or_insert(maker);
            }
        }
    }

    /// Notes what an object has that its kind has not.
    fn examine(
        &mut self,
        kind: Kind,
        subject: &Subject,
        place: &Place,
        version: &str,
        object: &Value,
    ) {
        self.misfits.remove(subject);
        match fit(kind, object) {
            Fit::Well => {}
            Fit::Surplus(field) => {
                let known = self.surplus.entry((kind, field));
                known
                    .and_modify(|(_, more)| *more += 1)
                    .or_insert_with(|| (format!("{subject} at {place}"), 0));
            }
            Fit::Misfit(why) => {
                self.leave(place.clone(), version, &subject.to_string(), why.clone());
                self.misfits.insert(subject.clone(), why);
            }
        }
    }

    /// Notes that a document is not read.
    fn leave(&mut self, place: Place, version: &str, what: &str, why: String) {
        let what = format!("{version} {what}");
        self.documents.push(Unread { place, what, why });
    }

    /// What is wrong with an object that has a field which can't be what it is.
    pub(super) fn misfit(&self, subject: &Subject) -> Option<&str> {
        self.misfits.get(subject).map(String::as_str)
    }

    /// Puts an object in, with what a server would add.
    fn put(&mut self, kind: Kind, namespace: String, name: String, mut object: Value) {
        let key = format!("{}/{namespace}/{name}", kind.info().plural);
        let subject = Subject::object(kind, &namespace.as_str().into(), &name.as_str().into());
        let metadata = &mut object["metadata"];
        metadata["name"] = name.clone().into();
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).to_string();
        // Without one none is decoded, whatever the field that is wrong.
        let uid = (!self.misfits.contains_key(&subject)).then_some(uid);
        metadata["uid"] = uid.into();
        metadata["resourceVersion"] = "1".into();
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = self.now.to_string().into();
        }
        let of_kind = self.objects.entry(kind).or_default();
        of_kind.insert((namespace, name), object);
    }

    /// Where an object is declared, or what an account holds; `None` for one that is only named.
    pub(super) fn place(&self, subject: &Subject) -> Option<&Place> {
        let declared = self.places.get(subject);
        declared.or_else(|| self.bound.get(subject))
    }

    /// Whether a subject is one that the files declare or give rights, or neither object nor
    /// identity.
    pub(super) fn declares(&self, subject: &Subject) -> bool {
        match subject.kind {
            SubjectKind::Object(_) | SubjectKind::User | SubjectKind::Group => {
                self.place(subject).is_some()
            }
            _ => true,
        }
    }

    /// How many objects are judged.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.misfits.len()
    }

    /// Why nobody can tell what some roles grant, if so.
    pub(super) fn unclear_roles(&self) -> Option<String> {
        let all: BTreeSet<&str> = self.roles.values().map(String::as_str).collect();
        let all: Vec<&str> = all.into_iter().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Tells an engine what there is, and has it judged. Roles of which nobody can tell what they
    /// grant, grant `unclear`. The pods that controllers are to run are there where they are `made`.
    pub(super) fn feed(&self, pass: &mut Pass, complete: bool, unclear: Grants, made: bool) {
        let observed = pass.engine.observed_mut();
        observed.server_minor = self.minor;
        observed.cilium = Some(self.cilium(complete));
        for kind in pass.engine.needed_kinds() {
            if kind.info().is_neighbour() && !self.holds(kind) && !self.unread.contains_key(&kind) {
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
            if kind == Kind::Pod && made {
                items.extend(self.pods_to_be());
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

    /// Whether a file has one, be it in a version that is not read. Who a binding names is judged
    /// as an account is.
    fn mentions(&self, kind: Kind) -> bool {
        let mut bindings = [Kind::RoleBinding, Kind::ClusterRoleBinding].into_iter();
        self.holds(kind)
            || self.unread.contains_key(&kind)
            || (kind == Kind::ServiceAccount && bindings.any(|binding| self.mentions(binding)))
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

    /// The kinds that a control reads and of which nobody can tell what there is, each with why, as
    /// a sentence.
    pub(super) fn missing_of(&self, info: &Info, complete: bool) -> Vec<(Kind, String)> {
        let inputs = info.inputs();
        let missing = inputs.filter_map(|kind| {
            let why = self.missing(kind, complete)?;
            Some((kind, Availability::Broken(why).explain(kind)))
        });
        missing.collect()
    }

    /// Whether a finding stays as it is whatever objects of a kind there are that no file holds.
    pub(super) fn stands(&self, finding: &Finding, control: &dyn Control, kind: Kind) -> bool {
        let webhooks = [Kind::ValidatingWebhook, Kind::MutatingWebhook];
        control.judges_apart(kind)
            || (finding.outcome == Outcome::Fail
                && control.fails_whatever(&finding.subject, finding.reason, kind)
                && !(webhooks.contains(&kind) && self.names_webhooks()))
    }

    /// Why a control has nothing to judge in the files, if so.
    pub(super) fn idle(&self, info: &Info) -> Option<String> {
        let people = |seen: &Observation| {
            matches!(
                seen,
                Observation::Exceptions
                    | Observation::Attestations
                    | Observation::AccessReviews
                    | Observation::Changes
            )
        };
        if info.observes.iter().any(people) {
            return Some("it rests on what people say in the cluster".to_owned());
        }
        let subjects = info.subjects;
        if !subjects.is_empty() {
            let held = subjects.iter().any(|kind| self.mentions(*kind));
            return (!held).then(|| {
                let names: Vec<&str> = subjects.iter().map(|kind| kind.info().kind).collect();
                format!("no file holds {}", one_of(&names))
            });
        }
        let beside = |kind: &Kind| BESIDE.contains(kind) && !self.unread.contains_key(kind);
        let mut inputs = info.inputs().filter(|kind| !beside(kind));
        if inputs.any(|kind| self.mentions(kind)) {
            return None;
        }
        let why = if info.observes.is_empty() {
            "no file holds what it judges"
        } else {
            "only a running cluster shows it"
        };
        Some(why.to_owned())
    }
}

/// `an Ingress or Gateway`, `a Role, RoleBinding or ClusterRole`.
fn one_of(kinds: &[&str]) -> String {
    let article = match kinds.first() {
        Some(first) if first.starts_with(['A', 'E', 'I', 'O']) => "an",
        _ => "a",
    };
    match kinds {
        [first @ .., last] if !first.is_empty() => {
            format!("{article} {} or {last}", first.join(", "))
        }
        kinds => format!("{article} {}", kinds.join("")),
    }
}
