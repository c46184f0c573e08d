//! The engine as a whole, driven without a cluster.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    evidence::{
        Entry, Record, body,
        words::{Cause as Why, End},
    },
    inventory::Availability,
};

mod backups;
mod baselines;
mod carried;
mod configs;
mod definitions;
mod drills;
mod enforcing;
mod periods;
mod policies;
mod replicas;
mod scopes;
mod terms;

/// From, to, cause and end of a transition.
pub(super) type Said = (Option<Outcome>, Option<Outcome>, Why, Option<End>);

/// An engine, its time, and all that it has said.
pub(super) struct Drive {
    pub(super) engine: Engine,
    pub(super) wall: Timestamp,
    pub(super) mono: Duration,
    versions: u64,
    pub(super) said: Vec<Record>,
    pub(super) actions: Vec<Action>,
    drills: Vec<DrillWrite>,
    pub(super) measures: Vec<Measure>,
    notices: Vec<Notice>,
    statuses: BTreeMap<String, ControlPolicyStatus>,
    pub(super) remarks: Vec<Remark>,
    objects: BTreeMap<(Kind, String, String), Value>,
}

impl Drive {
    pub(super) fn with_memory(memory: Memory) -> Self {
        let config = Config {
            own_namespace: "probity-system".into(),
            log: "probity-0".into(),
            owner_label: OWNER_LABEL.into(),
            exceptions: ExceptionBounds::default(),
            sandbox: Some("probity-drill".into()),
            drill_owner: Some("probity-drill".into()),
        };
        let mut drive = Self {
            engine: Engine::new(config, memory),
            wall: "2026-06-01T12:00:00Z".parse().unwrap(),
            mono: Duration::from_secs(1),
            versions: 100,
            said: Vec::new(),
            actions: Vec::new(),
            drills: Vec::new(),
            measures: Vec::new(),
            notices: Vec::new(),
            statuses: BTreeMap::new(),
            remarks: Vec::new(),
            objects: BTreeMap::new(),
        };
        for kind in Kind::ALL {
            drive.apply(Event::ListBegan(*kind));
            drive.apply(Event::ListEnded(*kind));
        }
        drive
    }

    pub(super) fn new() -> Self {
        let mut drive = Self::with_memory(Memory::default());
        drive.lead(1);
        drive
    }

    pub(super) fn lead(&mut self, epoch: u64) {
        let term = body::Term {
            holder: "probity-0".into(),
            epoch,
            predecessor: None,
            before: None,
        };
        self.apply(Event::Leading(term));
        self.round();
    }

    pub(super) fn now(&self) -> Now {
        Now {
            wall: self.wall,
            mono: self.mono,
            received: self.mono,
        }
    }

    pub(super) fn apply(&mut self, event: Event) {
        let now = self.now();
        self.engine.apply(event, now);
    }

    pub(super) fn round(&mut self) {
        let now = self.now();
        let round = self.engine.round(now);
        self.said.extend(round.records);
        self.actions.extend(round.actions);
        self.remarks.extend(round.remarks);
        self.drills.extend(round.drills);
        self.measures.extend(round.measures);
        self.notices.extend(round.notices);
        for (name, status) in round.statuses {
            self.statuses.insert(name.to_string(), status);
        }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.wall += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.mono += Duration::from_secs(seconds);
        for kind in Kind::ALL {
            self.apply(Event::Alive(*kind));
        }
        self.round();
    }

    pub(super) fn policy(&mut self, generation: i64, spec: impl Into<Value>) {
        self.policy_named("soc2", generation, spec);
    }

    fn policy_named(&mut self, name: &str, generation: i64, spec: impl Into<Value>) {
        let spec: Value = spec.into();
        let policy = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
            "metadata": { "name": name, "uid": format!("uid-{name}"), "generation": generation },
            "spec": spec,
        });
        self.apply(Event::Policy(Box::new(
            serde_json::from_value(policy).unwrap(),
        )));
        self.round();
    }

    /// An object is there, or is as given from now on.
    pub(super) fn put(&mut self, kind: Kind, mut object: Value) {
        self.versions += 1;
        let meta = &mut object["metadata"];
        let key = (
            kind,
            meta["namespace"].as_str().unwrap_or_default().to_owned(),
            meta["name"].as_str().unwrap().to_owned(),
        );
        let known = self
            .objects
            .get(&key)
            .map(|known| known["metadata"].clone());
        let fresh = format!("00000000-0000-4000-8000-{:012x}", self.versions);
        if meta["uid"].is_null() {
            meta["uid"] = known
                .as_ref()
                .map_or_else(|| json!(fresh), |known| known["uid"].clone());
        }
        if meta["creationTimestamp"].is_null() {
            meta["creationTimestamp"] = known.map_or_else(
                || json!("2026-05-01T12:00:00Z"),
                |known| known["creationTimestamp"].clone(),
            );
        }
        meta["resourceVersion"] = json!(self.versions.to_string());
        let line = json!({ "type": "MODIFIED", "object": object }).to_string();
        self.objects.insert(key, object);
        self.apply(Event::Line(kind, line.into()));
        self.round();
    }

    pub(super) fn namespace(&mut self, name: &str) {
        self.put(Kind::Namespace, json!({ "metadata": { "name": name } }));
    }

    pub(super) fn deny(&mut self, namespace: &str) {
        let meta = json!({ "name": "deny", "namespace": namespace });
        self.put(
            Kind::NetworkPolicy,
            json!({ "metadata": meta, "spec": { "podSelector": {} } }),
        );
    }

    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        self.delete_at_once(kind, &[namespace.to_owned()], name);
    }

    /// An object of each of these namespaces is gone before the next round.
    fn delete_at_once(&mut self, kind: Kind, namespaces: &[String], name: &str) {
        for namespace in namespaces {
            let key = (kind, namespace.clone(), name.to_owned());
            let object = self.objects.remove(&key).unwrap();
            let line = json!({ "type": "DELETED", "object": object }).to_string();
            self.apply(Event::Line(kind, line.into()));
        }
        self.round();
    }

    /// Plays an API server that accepts everything: all actions, until nothing is left to do.
    pub(super) fn serve(&mut self) -> usize {
        let mut writes = 0;
        while let Some(action) = self.actions.pop() {
            let target = action.remedy.target().clone();
            let key = (
                target.kind,
                target.namespace.to_string(),
                target.name.to_string(),
            );
            let mut object = self.objects.get(&key).cloned();
            match &*action.remedy {
                crate::controls::Remedy::Create { manifest, .. }
                | crate::controls::Remedy::Start { manifest, .. } => {
                    object = Some(manifest.clone());
                }
                crate::controls::Remedy::Delete { .. } => {}
                crate::controls::Remedy::PutBack { patch, .. }
                | crate::controls::Remedy::Set { patch, .. } => {
                    merge(object.as_mut().unwrap(), patch);
                }
            }
            let result = match action.step {
                Step::Archive => ActionResult::Archived(object.unwrap()),
                Step::DryRun => {
                    let mut object = object.unwrap();
                    let meta = object["metadata"].as_object_mut().unwrap();
                    meta.entry("uid")
                        .or_insert(json!("00000000-0000-4000-8000-000000000000"));
                    ActionResult::Accepted(object)
                }
                Step::Write => {
                    writes += 1;
                    if matches!(*action.remedy, crate::controls::Remedy::Delete { .. }) {
                        self.delete(target.kind, &key.1, &key.2);
                        ActionResult::Written(None)
                    } else {
                        let mut object = object.unwrap();
                        if !self.objects.contains_key(&key) {
                            object["metadata"]["creationTimestamp"] = json!(self.wall.to_string());
                        }
                        self.put(target.kind, object);
                        ActionResult::Written(Some(self.versions))
                    }
                }
            };
            self.apply(Event::Action(action.id, result));
            self.round();
        }
        writes
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.said.iter().map(|record| &record.body)
    }

    pub(super) fn transitions(&self) -> Vec<Said> {
        let bodies = self.bodies().filter_map(|body| match body {
            Body::Transition(said) => Some((said.from, said.to, said.cause, said.ended)),
            _ => None,
        });
        bodies.collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.bodies().filter(|body| body.kind() == kind).count()
    }

    /// What the log would remember of what was said.
    pub(super) fn memory(&self) -> Memory {
        Self::remembered(&self.said)
    }

    /// The same, when `before` had said its part before it.
    pub(super) fn memory_after(&self, before: &Self) -> Memory {
        Self::remembered(before.said.iter().chain(&self.said))
    }

    fn remembered<'a>(said: impl IntoIterator<Item = &'a Record>) -> Memory {
        let mut memory = Memory::default();
        for (seq, record) in said.into_iter().enumerate() {
            let seq = u64::try_from(seq).unwrap();
            memory.recall(Entry {
                v: 1,
                seq,
                time: record.time,
                body: record.body.clone(),
            });
        }
        memory
    }

    pub(super) fn status(&mut self) -> ControlPolicyStatus {
        self.wait(3);
        self.statuses["soc2"].clone()
    }
}

pub(super) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key.as_str()], value);
        }
    }
}

pub(super) fn enforce() -> Value {
    json!({ "mode": "Enforce", "controls": { "netNamespaceDefaultDeny": {} } })
}

pub(super) fn observe() -> Value {
    json!({ "controls": { "netNamespaceDefaultDeny": {} } })
}

pub(super) const FAIL: Option<Outcome> = Some(Outcome::Fail);
pub(super) const PASS: Option<Outcome> = Some(Outcome::Pass);
