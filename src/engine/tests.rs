//! The engine as a whole, driven without a cluster.

use serde_json::{Value, json};

use super::*;
use crate::{
    evidence::{
        Entry,
        words::{Cause as Why, End},
    },
    inventory::Availability,
};

/// From, to, cause and end of a transition.
type Said = (Option<Outcome>, Option<Outcome>, Why, Option<End>);

/// An engine, its time, and all that it has said.
struct Drive {
    engine: Engine,
    wall: Timestamp,
    mono: Duration,
    versions: u64,
    said: Vec<Record>,
    actions: Vec<Action>,
    statuses: BTreeMap<String, ControlPolicyStatus>,
    objects: BTreeMap<(Kind, String, String), Value>,
}

impl Drive {
    fn with_memory(memory: Memory) -> Self {
        let config = Config {
            own_namespace: "probity-system".into(),
            log: "probity-0".into(),
            owner_label: OWNER_LABEL.into(),
        };
        let mut drive = Self {
            engine: Engine::new(config, memory),
            wall: "2026-06-01T12:00:00Z".parse().unwrap(),
            mono: Duration::from_secs(1),
            versions: 100,
            said: Vec::new(),
            actions: Vec::new(),
            statuses: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        for kind in Kind::ALL {
            drive.apply(Event::ListBegan(*kind));
            drive.apply(Event::ListEnded(*kind));
        }
        drive
    }

    fn new() -> Self {
        let mut drive = Self::with_memory(Memory::default());
        drive.lead(1);
        drive
    }

    fn lead(&mut self, epoch: u64) {
        let term = body::Term {
            holder: "probity-0".into(),
            epoch,
            predecessor: None,
        };
        self.apply(Event::Leading(term));
        self.round();
    }

    fn now(&self) -> Now {
        Now {
            wall: self.wall,
            mono: self.mono,
            received: self.mono,
        }
    }

    fn apply(&mut self, event: Event) {
        let now = self.now();
        self.engine.apply(event, now);
    }

    fn round(&mut self) {
        let now = self.now();
        let round = self.engine.round(now);
        self.said.extend(round.records);
        self.actions.extend(round.actions);
        for (name, status) in round.statuses {
            self.statuses.insert(name.to_string(), status);
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.wall += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.mono += Duration::from_secs(seconds);
        for kind in Kind::ALL {
            self.apply(Event::Alive(*kind));
        }
        self.round();
    }

    fn policy(&mut self, generation: i64, spec: impl Into<Value>) {
        let spec: Value = spec.into();
        let policy = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
            "metadata": { "name": "soc2", "uid": "p-1", "generation": generation },
            "spec": spec,
        });
        self.apply(Event::Policy(Box::new(
            serde_json::from_value(policy).unwrap(),
        )));
        self.round();
    }

    /// An object is there, or is as given from now on.
    fn put(&mut self, kind: Kind, mut object: Value) {
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

    fn namespace(&mut self, name: &str) {
        self.put(Kind::Namespace, json!({ "metadata": { "name": name } }));
    }

    fn deny(&mut self, namespace: &str) {
        let meta = json!({ "name": "deny", "namespace": namespace });
        self.put(
            Kind::NetworkPolicy,
            json!({ "metadata": meta, "spec": { "podSelector": {} } }),
        );
    }

    fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let object = self.objects.remove(&key).unwrap();
        let line = json!({ "type": "DELETED", "object": object }).to_string();
        self.apply(Event::Line(kind, line.into()));
        self.round();
    }

    /// Plays an API server that accepts everything: all actions, until nothing is left to do.
    fn serve(&mut self) -> usize {
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
                crate::controls::Remedy::Create { manifest, .. } => object = Some(manifest.clone()),
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

    fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.said.iter().map(|record| &record.body)
    }

    fn transitions(&self) -> Vec<Said> {
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
    fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for (seq, record) in self.said.iter().enumerate() {
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

    fn status(&mut self) -> ControlPolicyStatus {
        self.wait(3);
        self.statuses["soc2"].clone()
    }
}

fn merge(object: &mut Value, patch: &Value) {
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

fn enforce() -> Value {
    json!({ "mode": "Enforce", "controls": { "netNamespaceDefaultDeny": {} } })
}

fn observe() -> Value {
    json!({ "controls": { "netNamespaceDefaultDeny": {} } })
}

const FAIL: Option<Outcome> = Some(Outcome::Fail);
const PASS: Option<Outcome> = Some(Outcome::Pass);

#[test]
fn drift_is_put_back_and_recorded() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
    assert_eq!(
        drive.transitions(),
        [
            (PASS, FAIL, Why::Object, None),
            (FAIL, PASS, Why::Object, Some(End::PutBack))
        ]
    );
    assert_eq!((drive.count("intent"), drive.count("outcome")), (1, 1));
    let status = drive.status();
    assert_eq!(status.summary.passing, "1/1");
    assert_eq!(
        status.controls[0].last_drift_ended.as_deref(),
        Some("PutBack")
    );
    assert_eq!(status.enforcement.unwrap().written, 1);
}

#[test]
fn a_deleted_object_of_ours_comes_back_without_a_dry_run() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.serve();
    drive.wait(5);
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.actions.len(), 1);
    assert_eq!(drive.actions[0].step, Step::Write);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn observe_writes_nothing() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    drive.wait(600);
    assert!(drive.actions.is_empty());
    assert_eq!(drive.count("intent"), 0);
    assert_eq!(drive.status().summary.failing, 1);
}

#[test]
fn what_failed_before_enforce_stays_a_proposal() {
    let mut drive = Drive::new();
    drive.namespace("old");
    drive.policy(1, enforce());
    assert!(drive.actions.is_empty());
    assert_eq!(drive.status().enforcement.unwrap().proposed_existing, 1);
    // A namespace that is created afterwards is not old.
    let created = drive.wall.to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "new", "creationTimestamp": created } }),
    );
    assert!(drive.actions.is_empty(), "it gets a moment of grace");
    drive.wait(4);
    assert_eq!(drive.serve(), 1);
    // And a person may ask for the old ones too.
    let mut spec = enforce();
    spec["existing"] = json!("Remediate");
    drive.policy(2, spec);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn a_kind_that_cannot_be_read_makes_everything_unknown() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Availability(
        Kind::NetworkPolicy,
        Availability::Forbidden("no right to list".into()),
    ));
    drive.round();
    let status = drive.status();
    assert_eq!(status.controls[0].outcome, Outcome::Unknown);
    assert!(
        status.controls[0].violations[0]
            .message
            .contains("no right to list")
    );
    assert!(drive.actions.is_empty());
    assert_eq!(drive.count("gap"), 1);
}

#[test]
fn drift_that_nobody_saw_is_drift_all_the_same() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let kind = Kind::NetworkPolicy;
    drive.apply(Event::Availability(
        kind,
        Availability::Forbidden("no".into()),
    ));
    drive.round();
    // The right comes back, and with it a list in which the policy is missing.
    drive.objects.clear();
    drive.apply(Event::ListBegan(kind));
    drive.apply(Event::ListEnded(kind));
    drive.round();
    assert_eq!(drive.transitions(), [(PASS, FAIL, Why::Object, None)]);
    assert_eq!(drive.actions.len(), 1);
    assert_eq!(drive.count("gap"), 2);
}

#[test]
fn editing_a_policy_never_looks_like_a_fix() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    let narrower =
        json!({ "scope": { "exclude": ["shop"] }, "controls": { "netNamespaceDefaultDeny": {} } });
    drive.policy(2, narrower);
    let ended: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|t| t.3)
        .collect();
    assert_eq!(ended, [End::ScopeChanged]);
}

#[test]
fn a_restart_repeats_neither_entries_nor_writes() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.namespace("bare");
    drive.deny("shop");
    drive.policy(1, enforce());
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.namespace("bare");
    again.objects = drive.objects.clone();
    let deny = drive.objects[&(Kind::NetworkPolicy, "shop".into(), "deny".into())].clone();
    again.put(Kind::NetworkPolicy, deny);
    again.policy(1, enforce());
    again.lead(2);
    assert_eq!(again.transitions(), []);
    assert_eq!(
        (again.count("population"), again.count("policyChange")),
        (0, 0)
    );
    assert_eq!(again.count("gap"), 1);
    assert!(again.actions.is_empty());
}

#[test]
fn what_drifted_while_nobody_ran_is_put_back_after_the_restart() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("shop");
    again.policy(1, enforce());
    again.lead(2);
    assert_eq!(again.transitions(), [(PASS, FAIL, Why::Object, None)]);
    assert_eq!(again.serve(), 1);
    let name = again
        .objects
        .keys()
        .find(|key| key.0 == Kind::NetworkPolicy)
        .unwrap();
    assert_eq!(name.2, "deny", "it comes back as it was kept");
}

#[test]
fn what_a_follower_saw_is_kept_in_the_log_once_it_leads() {
    let mut drive = Drive::with_memory(Memory::default());
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    assert!(drive.said.is_empty(), "a follower says nothing");
    drive.lead(1);
    assert_eq!(drive.count("kept"), 1);
}

#[test]
fn an_open_intent_is_resolved_at_the_restart() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    while drive.count("intent") == 0 {
        let action = drive.actions.pop().unwrap();
        let mut object = action.remedy.content().clone();
        object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
        drive.apply(Event::Action(action.id, ActionResult::Accepted(object)));
        drive.round();
    }
    // The process dies here.
    let mut again = Drive::with_memory(drive.memory());
    again.policy(1, enforce());
    again.lead(2);
    let resolved = again.bodies().any(|body| {
        matches!(body, Body::Outcome(said) if said.result == crate::evidence::words::ActionResult::Unresolved)
    });
    assert!(resolved);
}

#[test]
fn the_brake_latches_until_a_person_releases_it() {
    let mut drive = Drive::new();
    for n in 0..10 {
        drive.namespace(&format!("ns-{n}"));
        drive.deny(&format!("ns-{n}"));
    }
    drive.policy(1, enforce());
    for n in 0..10 {
        drive.delete(Kind::NetworkPolicy, &format!("ns-{n}"), "deny");
        drive.serve();
    }
    assert_eq!(drive.count("intent"), 5);
    drive.wait(3600);
    drive.serve();
    assert_eq!(drive.count("intent"), 5, "time alone does not release it");
    let status = drive.status();
    let enforcing = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Enforcing")
        .unwrap();
    assert_eq!(enforcing.reason, "BrakeLatched");
    assert_eq!(status.enforcement.unwrap().held_back, 5);
    let mut spec = enforce();
    spec["limits"] = json!({ "release": "looked at it" });
    drive.policy(2, spec);
    drive.serve();
    assert_eq!(drive.count("intent"), 10);
}

#[test]
fn a_paused_namespace_is_left_alone_but_judged() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let until = (drive.wall + SignedDuration::from_hours(1)).to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "annotations": { PAUSE: until } } }),
    );
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    let status = drive.status();
    assert_eq!(
        (status.summary.failing, status.enforcement.unwrap().paused),
        (1, 1)
    );
    assert_eq!(drive.count("pause"), 1);
    drive.wait(3600);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn a_pause_of_more_than_a_day_is_not_heeded() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let until = (drive.wall + SignedDuration::from_hours(25)).to_string();
    drive.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "annotations": { PAUSE: until } } }),
    );
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
}

#[test]
fn what_a_tool_owned_is_proposed_unless_owners_are_overridden() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    let meta = json!({ "name": "deny", "namespace": "shop", "annotations": { "argocd.argoproj.io/tracking-id": "x" } });
    drive.put(
        Kind::NetworkPolicy,
        json!({ "metadata": meta, "spec": { "podSelector": {} } }),
    );
    drive.policy(1, enforce());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    assert_eq!(drive.status().enforcement.unwrap().proposed_owner, 1);
    let mut spec = enforce();
    spec["overrideOwners"] = json!(true);
    drive.policy(2, spec);
    assert_eq!(drive.serve(), 1);
    let restored = &drive.objects[&(Kind::NetworkPolicy, "shop".into(), "deny".into())];
    assert!(
        restored["metadata"]["annotations"].is_null(),
        "no tracking metadata comes back"
    );
}

#[test]
fn a_failing_log_stops_writes_but_not_verdicts() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Log(Err("no space left on device".into())));
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert!(drive.actions.is_empty());
    let status = drive.status();
    assert_eq!(status.summary.failing, 1);
    let ready = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "EvidenceLogFailing")
    );
    drive.apply(Event::Log(Ok(())));
    drive.round();
    assert_eq!(drive.serve(), 1);
}

#[test]
fn someone_who_keeps_writing_back_is_left_alone_and_named() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let weak = |manager: &str| {
        json!({
            "metadata": { "name": "deny", "namespace": "shop", "managedFields": [
                { "manager": manager, "time": "2026-06-01T12:00:00Z", "fieldsV1": { "f:spec": {} } } ] },
            "spec": { "podSelector": {}, "ingress": [{}] },
        })
    };
    for _ in 0..2 {
        drive.put(Kind::NetworkPolicy, weak("kubectl-edit"));
        assert_eq!(drive.serve(), 1);
        drive.wait(5);
    }
    drive.put(Kind::NetworkPolicy, weak("kubectl-edit"));
    assert_eq!(drive.serve(), 0);
    let rival = drive.bodies().find_map(|body| match body {
        Body::Contended(said) => Some(said.manager.clone()),
        _ => None,
    });
    assert_eq!(rival.as_deref(), Some("kubectl-edit"));
    let status = drive.status();
    let contended = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Contended")
        .unwrap();
    assert_eq!(contended.status, "True");
    assert!(
        contended.message.contains("kubectl-edit"),
        "{}",
        contended.message
    );
    drive.wait(3601);
    assert_eq!(drive.serve(), 1, "after the truce it is tried again");
}

#[test]
fn two_policies_judge_each_for_itself_and_write_once() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    let second = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
        "metadata": { "name": "other", "uid": "p-2", "generation": 1 },
        "spec": { "mode": "Enforce", "scope": { "include": ["shop"] }, "controls": { "netNamespaceDefaultDeny": {} } },
    });
    drive.apply(Event::Policy(Box::new(
        serde_json::from_value(second).unwrap(),
    )));
    drive.round();
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1);
    assert_eq!(drive.transitions().len(), 4, "each policy has its own pair");
}

#[test]
fn a_converged_cluster_is_quiet() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.wait(400);
    let (said, statuses) = (drive.said.len(), drive.statuses.len());
    drive.statuses.clear();
    drive.wait(600);
    drive.wait(600);
    assert!(
        drive.statuses.is_empty() && statuses == 1,
        "no status is written"
    );
    assert!(drive.actions.is_empty());
    let beats = drive.said[said..]
        .iter()
        .all(|record| record.body.kind() == "heartbeat");
    assert!(beats, "only heartbeats are logged");
}

#[test]
fn a_status_stays_within_its_bound() {
    let mut drive = Drive::new();
    for n in 0..500 {
        drive.namespace(&format!("{}-{n}", "n".repeat(50)));
    }
    drive.policy(1, observe());
    let status = drive.status();
    assert_eq!(status.controls[0].violations.len(), 10);
    assert_eq!(status.controls[0].omitted, 490);
    assert!(serde_json::to_vec(&status).unwrap().len() <= 64 * 1024);
}

#[test]
fn suspended_time_is_a_gap_and_ends_deviations_as_suspended() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    let mut spec = observe();
    spec["suspend"] = json!(true);
    drive.policy(2, spec);
    let ended: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|t| t.3)
        .collect();
    assert_eq!(ended, [End::PolicySuspended]);
    drive.wait(60);
    drive.policy(3, observe());
    assert_eq!(drive.count("gap"), 2);
}
