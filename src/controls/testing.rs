//! Fixtures for the tests of controls: a small world of objects, judged and mended in process.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, Control, Kept, Remedy, Scope, ScopeUse, Subject, Verdict};
use crate::{
    analysis::Analyses,
    engine::Observed,
    inventory::{Availability, Inventory, Kind},
    verdict::Outcome,
};

/// Objects, and what was kept of those that passed.
pub(crate) struct World {
    pub(crate) inventory: Inventory,
    pub(crate) analyses: Analyses,
    pub(crate) observed: Observed,
    pub(crate) now: Timestamp,
    pub(crate) scope: Scope,
    objects: BTreeMap<(Kind, String, String), Value>,
    kept: BTreeMap<Subject, Kept>,
    before: BTreeMap<(&'static str, Subject), Verdict>,
    versions: u64,
}

impl World {
    /// An empty cluster with all kinds synced, at noon of the first of June 2026.
    pub(crate) fn new() -> Self {
        let mut inventory = Inventory::default();
        for kind in Kind::ALL {
            let zero = std::time::Duration::ZERO;
            inventory.freshness.set(*kind, Availability::Synced, zero);
        }
        Self {
            inventory,
            analyses: Analyses::default(),
            observed: Observed::default(),
            now: "2026-06-01T12:00:00Z".parse().unwrap(),
            scope: Scope::default(),
            objects: BTreeMap::new(),
            kept: BTreeMap::new(),
            before: BTreeMap::new(),
            versions: 0,
        }
    }

    /// With a namespace.
    pub(crate) fn namespace(self, name: &str) -> Self {
        self.with(Kind::Namespace, json!({ "metadata": { "name": name } }))
    }

    /// With an object; uid, version and creation (a month ago) are filled in.
    pub(crate) fn with(mut self, kind: Kind, object: Value) -> Self {
        self.put(kind, object);
        self
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&mut self, kind: Kind, mut object: Value) {
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
            .map(|known| known["metadata"]["uid"].clone());
        if meta["uid"].is_null() {
            let fresh = format!("00000000-0000-4000-8000-{:012x}", self.versions);
            meta["uid"] = known.unwrap_or_else(|| json!(fresh));
        }
        if meta["creationTimestamp"].is_null() {
            meta["creationTimestamp"] = json!("2026-05-01T12:00:00Z");
        }
        meta["resourceVersion"] = json!(self.versions.to_string());
        let line = json!({ "type": "MODIFIED", "object": object }).to_string();
        for change in self.inventory.apply_line(kind, line.as_bytes()).unwrap() {
            self.analyses.note(&self.inventory, &change);
        }
        self.objects.insert(key, object);
    }

    /// Removes an object.
    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        self.objects
            .remove(&(kind, namespace.to_owned(), name.to_owned()))
            .unwrap();
        let change = self.inventory.remove(kind, namespace, name).unwrap();
        self.analyses.note(&self.inventory, &change);
    }

    /// Verdicts on the population in scope, by the subject's display. What passes is kept.
    pub(crate) fn judge(&mut self, control: &dyn Control) -> BTreeMap<String, Verdict> {
        // Just what it declares: a control that reads another analysis panics.
        let derives = control.info().derives.iter().copied().collect();
        self.analyses.need(&derives, &self.inventory);
        self.analyses.settle(&self.inventory, &mut |_, _| {});
        let mut subjects = Vec::new();
        let context = self.context(control, None, None);
        control.population(&context, None, &mut |subject| subjects.push(subject));
        let mut verdicts = BTreeMap::new();
        for subject in subjects {
            let in_scope = subject.namespace.is_empty()
                || !control.info().is_scoped()
                || self.scope.covers(&self.inventory, &subject.namespace);
            if !in_scope {
                continue;
            }
            let before = self.before.get(&(control.info().id, subject.clone()));
            let context = self.context(control, self.kept.get(&subject), before);
            let verdict = control
                .judge(&context, &subject)
                .expect("a subject of the population");
            if let (Outcome::Pass, Some(kept)) = (verdict.outcome, &verdict.keep) {
                self.kept.insert(subject.clone(), (**kept).clone());
            }
            let before = (control.info().id, subject.clone());
            self.before.insert(before, verdict.clone());
            verdicts.insert(subject.to_string(), verdict);
        }
        verdicts
    }

    pub(crate) fn context<'a>(
        &'a self,
        control: &dyn Control,
        kept: Option<&'a Kept>,
        before: Option<&'a Verdict>,
    ) -> Context<'a> {
        Context {
            inventory: &self.inventory,
            analyses: &self.analyses,
            observed: &self.observed,
            now: self.now,
            own_namespace: &self.scope.own,
            scope: (control.info().scope == ScopeUse::InRule).then_some(&self.scope),
            kept,
            before,
        }
    }

    /// Outcome and reason of each subject.
    pub(crate) fn outcomes(
        &mut self,
        control: &dyn Control,
    ) -> BTreeMap<String, (Outcome, &'static str)> {
        let verdicts = self.judge(control).into_iter();
        verdicts
            .map(|(subject, v)| (subject, (v.outcome, v.reason)))
            .collect()
    }

    /// The only verdict of a population of one.
    pub(crate) fn only(&mut self, control: &dyn Control) -> Verdict {
        let verdicts = self.judge(control);
        assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        verdicts.into_values().next().unwrap()
    }

    /// Carries a remedy out, as the server would.
    pub(crate) fn carry_out(&mut self, remedy: &Remedy) {
        let target = remedy.target();
        let (namespace, name) = (target.namespace.to_string(), target.name.to_string());
        match remedy {
            Remedy::Create { manifest, .. } | Remedy::Start { manifest, .. } => {
                self.put(target.kind, manifest.clone());
            }
            Remedy::Delete { .. } => self.delete(target.kind, &namespace, &name),
            Remedy::PutBack { patch, .. } | Remedy::Set { patch, .. } => {
                let key = (target.kind, namespace, name);
                let mut object = self.objects.get(&key).expect("the target exists").clone();
                merge(&mut object, patch);
                self.put(target.kind, object);
            }
        }
    }

    /// Carries out the remedy of every failing subject until nothing fails that has one; the
    /// outcomes are what is left. Panics where that takes more than three rounds.
    pub(crate) fn mend(
        &mut self,
        control: &dyn Control,
    ) -> BTreeMap<String, (Outcome, &'static str)> {
        for _ in 0..3 {
            let verdicts = self.judge(control);
            let remedies: Vec<_> = verdicts.into_values().filter_map(|v| v.remedy).collect();
            if remedies.is_empty() {
                break;
            }
            for remedy in remedies {
                self.carry_out(&remedy);
            }
        }
        let verdicts = self.judge(control);
        assert!(
            verdicts.values().all(|v| v.remedy.is_none()),
            "no fixpoint: {verdicts:?}"
        );
        verdicts
            .into_iter()
            .map(|(subject, v)| (subject, (v.outcome, v.reason)))
            .collect()
    }
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key.as_str()], value);
        }
    }
}
