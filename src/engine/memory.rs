//! What the log remembers of the time before: the state with which a term begins.

mod policies;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{changes::Ledger, instance::Deviation, lasting::Lasting, people::Known as KnownPeople};
use crate::{
    controls::{Kept, Subject, Target},
    evidence::{
        Entry,
        body::{Body, Content, SubjectRef},
        words::{self, BrakeState, End},
    },
    inventory::{
        Interner, Kind, Sym, Uid,
        meta::{Manager, Owners},
    },
    verdict::Outcome,
};

/// A subject as the log knew it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) outcome: Outcome,
    pub(super) deviation: Option<Deviation>,
    pub(super) reference: SubjectRef,
    /// Its policy was suspended since, which the log was not told: it is a subject still, and nothing that it does is drift.
    pub(super) lapsed: bool,
}

/// A row by policy, control and subject.
type RowKey = (Sym, String, String);

/// What the log remembers.
#[derive(Debug, Default)]
pub struct Memory {
    rows: BTreeMap<RowKey, Known>,
    /// Rows of controls that the last edit of their policy switched off.
    dropped: BTreeMap<RowKey, Known>,
    /// Deviations that ended because a policy was edited.
    left: BTreeMap<RowKey, (words::Cause, Timestamp)>,
    kept: BTreeMap<(String, String), Value>,
    enforce_since: BTreeMap<(Sym, String), Timestamp>,
    /// Hash of each policy's spec, and whether it was suspended.
    policies: BTreeMap<Sym, (String, bool)>,
    policy_uids: BTreeMap<Sym, Sym>,
    latched: BTreeMap<(Sym, String), Option<String>>,
    releases: BTreeMap<Sym, Option<String>>,
    intents: BTreeMap<u64, SubjectRef>,
    /// The newest intent's id; 0 before the first.
    pub(super) last_intent: u64,
    truces: Vec<(SubjectRef, Timestamp, String)>,
    /// The last restore drill of each namespace: when it ended, and what happened.
    drills: BTreeMap<Sym, (Timestamp, String)>,
    pub(super) lasting: Lasting,
    pub(super) people: KnownPeople,
    /// What is known of the last change of each policy.
    pub(super) ledger: Ledger,
    last: Option<Timestamp>,
    epoch: Option<u64>,
    stopped: bool,
}

impl Memory {
    /// Takes in the next entry of the log, oldest first.
    pub fn recall(&mut self, entry: Entry) {
        // A new log begins with an entry that was written before anything was looked at.
        if !matches!(entry.body, Body::Epoch(_)) {
            self.last = Some(entry.time);
            self.stopped = matches!(entry.body, Body::Stop(_));
        }
        self.lasting.note(&entry.body);
        self.people.recall(&entry.body, entry.time);
        match entry.body {
            Body::Population(population) => {
                for policy in &population.policies {
                    for subject in &population.left {
                        let key = (
                            policy.clone(),
                            population.control.to_string(),
                            name_of(subject),
                        );
                        self.rows.remove(&key);
                    }
                    for subject in &population.joined {
                        let key = (
                            policy.clone(),
                            population.control.to_string(),
                            name_of(subject),
                        );
                        let reference = subject.clone();
                        let known = Known {
                            outcome: Outcome::Pass,
                            deviation: None,
                            reference,
                            lapsed: false,
                        };
                        self.rows.entry(key).or_insert(known);
                    }
                }
            }
            Body::Transition(said) => self.recall_transition(entry.time, &said),
            Body::PolicyChange(said) => self.recall_policy(said),
            Body::Kept(said) => {
                if let Content::Inline(value) = said.value {
                    let key = (said.control.to_string(), name_of(&said.subject));
                    self.kept.insert(key, value);
                }
            }
            Body::Brake(said) => {
                let key = (said.policy.clone(), said.control.to_string());
                match said.state {
                    BrakeState::Latched if said.control != "budget" => {
                        let release = self.releases.get(&said.policy).cloned().flatten();
                        self.latched.insert(key, release);
                    }
                    _ => {
                        self.latched.remove(&key);
                    }
                }
            }
            Body::Intent(said) => {
                self.last_intent = self.last_intent.max(said.id);
                self.intents.insert(said.id, said.target);
            }
            Body::Outcome(said) => {
                self.intents.remove(&said.intent);
            }
            Body::Term(said) => self.epoch = self.epoch.max(Some(said.epoch)),
            Body::Contended(said) => {
                self.truces.push((said.subject, said.until, said.manager));
            }
            Body::Drill(said) => {
                self.drills.insert(said.namespace, (said.to, said.message));
            }
            Body::Start(_)
            | Body::Stop(_)
            | Body::Heartbeat(_)
            | Body::Gap(_)
            | Body::Pause(_)
            | Body::EncryptionConfig(_)
            | Body::Exception(_)
            | Body::Attestation(_)
            | Body::Review(_)
            | Body::Response(_)
            | Body::Period(_)
            | Body::Scope(_)
            | Body::Export(_)
            | Body::Epoch(_)
            | Body::KeyChange(_)
            | Body::Pruned(_)
            | Body::Spilled(_) => {}
        }
    }

    /// The cause of a deviation that is known already: what is said of it later has causes of its own.
    fn cause_of(&self, key: &RowKey, deviation: &str) -> Option<words::Cause> {
        let known = self.rows.get(key)?.deviation.as_ref()?;
        (known.id == deviation).then_some(known.cause)
    }

    fn recall_transition(&mut self, at: Timestamp, said: &crate::evidence::body::Transition) {
        for policy in &said.policies {
            let key = (
                policy.clone(),
                said.control.to_string(),
                name_of(&said.subject),
            );
            let known = self.rows.get(&key).or_else(|| self.dropped.get(&key));
            let known = known.and_then(|row| row.deviation.as_ref());
            let edited = matches!(said.ended, Some(End::DefinitionChanged | End::ScopeChanged));
            if edited && let Some(first) = known.map(Deviation::first) {
                self.left.insert(key.clone(), first);
            }
            let left = match known {
                Some(open) if Some(&open.id) == said.deviation.as_ref() => open.before,
                // What an edit ended is what the same edit opens anew, or it is over.
                _ if !edited => self
                    .left
                    .remove(&key)
                    .filter(|_| said.cause == words::Cause::Policy),
                _ => None,
            };
            let Some(to) = said.to else {
                self.rows.remove(&key);
                continue;
            };
            let open = matches!(to, Outcome::Fail | Outcome::Unknown) && said.ended.is_none();
            let deviation = said
                .deviation
                .as_ref()
                .filter(|_| open)
                .map(|id| Deviation {
                    id: id.clone(),
                    opened: said.opened.unwrap_or(at),
                    cause: self.cause_of(&key, id).unwrap_or(said.cause),
                    mended: false,
                    before: left,
                });
            let reference = said.subject.clone();
            let known = Known {
                outcome: to,
                deviation,
                reference,
                lapsed: false,
            };
            self.rows.insert(key, known);
        }
    }

    /// How many failures that an edit ended are kept in mind.
    #[cfg(test)]
    pub(super) fn left_by_edits(&self) -> usize {
        self.left.len()
    }

    /// Takes what failed under a policy: control, and what was known of each subject.
    pub(super) fn take_failing(&mut self, policy: &str) -> Vec<(String, Known)> {
        let ours =
            |(of, ..): &RowKey, known: &mut Known| &**of == policy && known.deviation.is_some();
        let taken = self.rows.extract_if(.., ours);
        taken
            .map(|((_, control, _), known)| (control, known))
            .collect()
    }

    /// When the last entry was written, and whether that was a stop in good order.
    pub fn end(&self) -> Option<(Timestamp, bool)> {
        self.last.map(|last| (last, self.stopped))
    }

    /// The latest term of this log.
    pub const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Notes when the last entry of a term was said that ended without a stop.
    pub(super) fn ended(&mut self, last: Timestamp) {
        self.last = Some(last);
        self.stopped = false;
    }

    /// Notes an intent whose outcome this term will not hear of.
    pub(super) fn remember_intent(&mut self, id: u64, target: SubjectRef) {
        self.intents.insert(id, target);
    }

    /// Intents without outcome: what a crash left open.
    pub fn open_intents(&self) -> impl Iterator<Item = (u64, &SubjectRef)> {
        self.intents.iter().map(|(id, target)| (*id, target))
    }

    pub(super) fn take_intents(&mut self) -> Vec<(u64, SubjectRef)> {
        std::mem::take(&mut self.intents).into_iter().collect()
    }

    /// The last restore drill of each namespace: when it ended, and what happened.
    pub(super) fn take_drills(&mut self) -> BTreeMap<Sym, (Timestamp, String)> {
        std::mem::take(&mut self.drills)
    }

    /// Truces that last beyond `now`: the object that each is about, until when, and with whom.
    pub(super) fn take_truces(&mut self, now: Timestamp) -> Vec<(Target, Timestamp, String)> {
        let truces = std::mem::take(&mut self.truces).into_iter();
        truces
            .filter(|(_, until, _)| *until > now)
            .filter_map(|(subject, until, manager)| Some((target(&subject)?, until, manager)))
            .collect()
    }

    pub(super) fn row(&self, policies: &[Sym], control: &str, subject: &Subject) -> Option<Known> {
        if self.rows.is_empty() {
            return None;
        }
        let name = name_of_subject(subject);
        policies.iter().find_map(|policy| {
            let key = (policy.clone(), control.to_owned(), name.clone());
            self.rows.get(&key).cloned()
        })
    }

    /// Forgets the rows of a control, and returns those that [`Self::taken`] has not taken: they
    /// left while nobody looked.
    pub(super) fn forget(&mut self, policies: &[Sym], control: &str) -> Vec<SubjectRef> {
        let mut gone = Vec::new();
        self.rows.retain(|(policy, of, _), known| {
            let ours = of == control && policies.contains(policy);
            if ours && !gone.contains(&known.reference) {
                gone.push(known.reference.clone());
            }
            !ours
        });
        gone
    }

    pub(super) fn kept(&self, control: &str, subject: &Subject) -> Option<Kept> {
        let value = self
            .kept
            .get(&(control.to_owned(), name_of_subject(subject)))?;
        kept_from(value)
    }

    /// Notes what is being kept. `false` where the log holds just that already.
    pub(super) fn remember_kept(&mut self, control: &str, subject: &Subject, kept: &Kept) -> bool {
        let key = (control.to_owned(), name_of_subject(subject));
        let value = kept_value(kept);
        if self.kept.get(&key) == Some(&value) {
            return false;
        }
        self.kept.insert(key, value);
        true
    }

    pub(super) fn enforce_since(&self, uid: &Sym, control: &str) -> Option<Timestamp> {
        let key = (uid.clone(), control.to_owned());
        self.enforce_since.get(&key).copied()
    }

    /// The hash of a policy's spec as the log has it, and whether it was suspended.
    pub(super) fn policy(&self, uid: &Sym) -> Option<(String, bool)> {
        self.policies.get(uid).cloned()
    }

    pub(super) fn remember_policy(&mut self, uid: &Sym, hash: &str, suspended: bool) {
        self.policies
            .insert(uid.clone(), (hash.to_owned(), suspended));
    }

    /// Brakes that were latched, with the `release` value in force at that time.
    pub(super) fn take_latched(&mut self) -> Vec<(Sym, String, Option<String>)> {
        let latched = std::mem::take(&mut self.latched).into_iter();
        latched
            .map(|((policy, control), release)| (policy, control, release))
            .collect()
    }

    /// Notes a row when leadership is lost, so that the next term begins from it.
    pub(super) fn remember_row(
        &mut self,
        policies: &[Sym],
        control: &str,
        subject: &Subject,
        reference: &SubjectRef,
        outcome: Outcome,
        deviation: Option<&Deviation>,
    ) {
        for policy in policies {
            let key = (policy.clone(), control.to_owned(), name_of_subject(subject));
            let (deviation, reference) = (deviation.cloned(), reference.clone());
            self.rows.insert(
                key,
                Known {
                    outcome,
                    deviation,
                    reference,
                    lapsed: false,
                },
            );
        }
    }

    /// Takes a row out once its instance has been introduced.
    pub(super) fn taken(&mut self, policies: &[Sym], control: &str, subject: &Subject) {
        if self.rows.is_empty() {
            return;
        }
        let name = name_of_subject(subject);
        for policy in policies {
            self.rows
                .remove(&(policy.clone(), control.to_owned(), name.clone()));
        }
    }
}

fn target(subject: &SubjectRef) -> Option<Target> {
    let mut kinds = Kind::ALL.iter().copied();
    let kind = kinds
        .find(|kind| kind.info().group == &*subject.group && kind.info().kind == &*subject.kind)?;
    Some(Target {
        kind,
        namespace: subject.namespace.clone().unwrap_or_else(|| "".into()),
        name: subject.name.clone(),
    })
}

fn name_of(subject: &SubjectRef) -> String {
    let namespace = subject.namespace.as_deref().unwrap_or_default();
    format!(
        "{}/{}/{namespace}/{}",
        subject.group, subject.kind, subject.name
    )
}

fn name_of_subject(subject: &Subject) -> String {
    let (group, kind) = (subject.group(), subject.kind_name());
    format!(
        "{group}/{kind}/{}/{}",
        subject.object_namespace(),
        subject.name
    )
}

/// A kept value as the log holds it.
pub(super) fn kept_value(kept: &Kept) -> Value {
    let owners = &kept.owners;
    let managers = owners.managers.iter();
    let managers = managers
        .map(|m| json!([m.name, m.time, m.paths]))
        .collect::<Vec<_>>();
    json!({
        "uid": kept.uid.to_string(),
        "value": kept.value,
        "controller": owners.controller,
        "tool": owners.tool,
        "ours": owners.ours,
        "managers": managers,
    })
}

fn kept_from(value: &Value) -> Option<Kept> {
    const TOOLS: [&str; 3] = ["Argo CD", "Flux", "Helm"];
    let mut interner = Interner::default();
    let managers = value["managers"].as_array()?.iter().filter_map(|manager| {
        Some(Manager {
            name: interner.string(manager[0].as_str()?),
            time: manager[1].as_i64()?,
            paths: u8::try_from(manager[2].as_u64()?).ok()?,
        })
    });
    let owners = Owners {
        managers: managers.collect(),
        controller: value["controller"].as_str().map(Into::into),
        tool: TOOLS.into_iter().find(|tool| value["tool"] == *tool),
        ours: value["ours"] == true,
    };
    Some(Kept {
        uid: Uid::parse(value["uid"].as_str()?)?,
        value: value["value"].clone(),
        owners: Arc::new(owners),
    })
}

/// The result to record for an intent that a crash left open: nobody can tell any more.
pub(super) const UNRESOLVED: words::ActionResult = words::ActionResult::Unresolved;
