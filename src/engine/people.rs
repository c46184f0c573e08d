//! The objects with which people take part, as the engine holds them: what the log is told of
//! them, what follows from them for verdicts, and what their statuses say.
//!
//! ```text
//! PeopleObject ─► Held ─┬─► steps: created, changed, approved, expired, deleted ─► log
//!                       ├─► exceptions: which failures are accepted             ─► rules
//!                       └─► statuses: where it stands                           ─► API server
//! ```

mod attestations;
mod exceptions;
mod glasses;
mod known;
mod periods;
mod reviews;
mod said;
mod statuses;
mod steps;
mod tell;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use self::{
    attestations::AttestationState,
    exceptions::{Exception, State},
    periods::PeriodState,
    reviews::{Frozen, ReviewState},
};
pub(super) use self::{exceptions::Exceptions, known::Known};
pub use self::{
    periods::{PeriodAsked, PeriodSeries, PeriodTold},
    reviews::listed_in,
    said::{Area, Attested, Decided as DecidedRows, Emergency, PeopleSaid, Reviewed},
    statuses::Remark,
};
use super::{Engine, Now, changes, digest};
use crate::{
    api::{
        AttestationPhase, DecisionVerdict, ExceptionKind, ExceptionPhase, PeopleKind, PeopleObject,
        ReviewPhase,
    },
    controls::Observation,
    evidence::words::{Cause, Step},
    inventory::Sym,
};

/// What names an object: its kind, its namespace (empty outside of namespaces) and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Kind.
    pub kind: PeopleKind,
    /// Namespace; empty where it is in none.
    pub namespace: Sym,
    /// Name.
    pub name: Sym,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct People {
    objects: BTreeMap<ObjectKey, Held>,
    /// Kinds that have been read whole: of these an object that is not there is gone.
    listed: BTreeSet<PeopleKind>,
    pub(super) exceptions: Exceptions,
    /// When an object changes by itself.
    wakes: BTreeSet<(Timestamp, ObjectKey)>,
    wake_of: BTreeMap<ObjectKey, Timestamp>,
    /// Kinds of which controls don't know the latest.
    untold: BTreeSet<PeopleKind>,
    /// Whether rights have changed since reviews were looked at.
    pub(super) rights_changed: bool,
    /// What the log says of audit periods.
    periods: BTreeMap<ObjectKey, PeriodTold>,
    /// Whether controls don't know the latest of policies.
    pub(super) policies_untold: bool,
    /// Objects whose status is due, and when.
    due: BTreeMap<ObjectKey, Duration>,
}

/// One of them.
#[derive(Debug)]
struct Held {
    object: PeopleObject,
    facts: Facts,
    /// Where it stands; nothing is said of a response.
    stand: Option<Stand>,
    /// The listing, if it is a review that has one.
    frozen: Option<Frozen>,
    /// When its decisions were first seen, if it is a review that has any.
    decided_at: Option<Timestamp>,
    /// What was last asked to be written into its status.
    sent: Option<Value>,
}

/// Where an object stands.
#[derive(Debug, Clone, PartialEq)]
enum Stand {
    Exception(State),
    Attestation(AttestationState),
    Review(ReviewState),
    Period(Box<PeriodState>),
}

impl Stand {
    /// Whether what was decided does not count, such as by the one who asked.
    fn is_invalid(&self) -> bool {
        match self {
            Self::Exception(state) => state.phase == ExceptionPhase::Invalid,
            Self::Attestation(state) => state.phase == AttestationPhase::Invalid,
            Self::Review(state) => state.phase == ReviewPhase::Invalid,
            Self::Period(_) => false,
        }
    }
}

/// What the log is told of an object.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    uid: String,
    generation: u64,
    hash: String,
    who: Option<String>,
    expires: Option<Timestamp>,
    decision: Option<Decided>,
    /// Why it has ended by itself.
    ended: Option<&'static str>,
}

/// A decision, as the log is told of it.
#[derive(Debug, Clone, PartialEq)]
struct Decided {
    step: Step,
    by: Option<String>,
    content: Value,
    hash: String,
}

impl People {
    /// What somebody has to approve, with the hash of its spec.
    pub(super) fn asked_for(&self) -> impl Iterator<Item = (&ObjectKey, &PeopleObject, &str)> {
        let objects = self.objects.iter();
        let asked = objects.filter(|(key, _)| changes::KINDS.contains(&key.kind));
        asked.map(|(key, held)| (key, &held.object, &*held.facts.hash))
    }

    /// Sets or clears the time at which an object changes by itself.
    fn wake(&mut self, key: &ObjectKey, at: Option<Timestamp>) {
        if let Some(old) = self.wake_of.remove(key) {
            self.wakes.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.wake_of.insert(key.clone(), at);
            self.wakes.insert((at, key.clone()));
        }
    }
}

impl Facts {
    fn of(object: &PeopleObject) -> Self {
        let meta = object.meta();
        let approval = object.decision().map(|decision| {
            let content = serde_json::to_value(decision).unwrap_or_default();
            Decided {
                step: match decision.verdict {
                    DecisionVerdict::Approved => Step::Approved,
                    DecisionVerdict::Rejected => Step::Rejected,
                },
                by: Some(decision.by.clone()),
                hash: digest(&content),
                content,
            }
        });
        let review = object.review().map(|review| {
            let content = serde_json::to_value(review).unwrap_or_default();
            Decided {
                step: Step::Decided,
                by: Some(review.by.clone()),
                hash: digest(&content),
                content,
            }
        });
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta
                .generation
                .and_then(|generation| u64::try_from(generation).ok())
                .unwrap_or_default(),
            hash: digest(&object.spec()),
            who: object
                .requester()
                .map(str::to_owned)
                .or_else(|| manager(object)),
            expires: object.expires(),
            decision: approval.or(review),
            ended: None,
        }
    }
}

/// The field manager that last changed the spec, where nobody put down who did.
fn manager(object: &PeopleObject) -> Option<String> {
    let managers = object.meta().managed_fields.as_ref()?;
    let managers = managers
        .iter()
        .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty));
    managers
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
}

impl Engine {
    /// Takes in an object that is new or changed.
    pub(super) fn person_acted(&mut self, object: PeopleObject, now: Now) {
        let meta = object.meta();
        let Some(name) = meta.name.as_deref() else {
            return;
        };
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let key = ObjectKey {
            kind: object.kind(),
            namespace: self.inventory.interner.string(namespace),
            name: self.inventory.interner.string(name),
        };
        let facts = Facts::of(&object);
        let old = self.people.objects.remove(&key);
        if let Some(old) = &old
            && old.facts.uid != facts.uid
        {
            self.say_object_gone(&key);
        }
        let old = old.filter(|old| old.facts.uid == facts.uid);
        let before = old.as_ref().map(|old| old.facts.hash.clone());
        let (sent, frozen, decided_at) = old.map_or((None, None, None), |old| {
            (old.sent, old.frozen, old.decided_at)
        });
        let held = Held {
            sent,
            frozen,
            decided_at,
            stand: None,
            object,
            facts,
        };
        let approved = self.note_glass(&held, now);
        let another = held.facts.hash != before.unwrap_or_default();
        self.people.objects.insert(key.clone(), held);
        self.object_changed(&key, now);
        if key.kind == PeopleKind::Period && another {
            self.periods_changed(now);
        }
        if approved {
            let others = self.people.exceptions.like(&key);
            for other in &others {
                self.object_changed(other, now);
            }
        }
    }

    /// Remembers an exception that works without approval, longer than it is there. Whether it is news that somebody has
    /// approved it.
    fn note_glass(&mut self, held: &Held, now: Now) -> bool {
        let (meta, uid) = (held.object.meta(), &held.facts.uid);
        if !matches!(
            held.object.kind(),
            PeopleKind::Exception | PeopleKind::ClusterException
        ) {
            return false;
        }
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let glasses = &mut self.memory.people.glasses;
        let long_ago = now
            .wall
            .saturating_sub(self.config.exceptions.unapproved * 2);
        glasses.forget(long_ago.unwrap_or(Timestamp::MIN));
        glasses.note(
            uid,
            created.unwrap_or(now.wall),
            namespace,
            &held.object.spec(),
            Some(false),
        );
        let decided = held.object.decision();
        let approved = decided.is_some_and(|of| of.verdict == DecisionVerdict::Approved);
        approved && glasses.approved(uid)
    }

    /// Judges anew where an object stands, tells the log, and has its status written.
    fn object_changed(&mut self, key: &ObjectKey, now: Now) {
        self.people.untold.insert(key.kind);
        match key.kind {
            PeopleKind::Exception | PeopleKind::ClusterException => {
                self.exception_changed(key, now);
            }
            PeopleKind::Attestation => self.attestation_changed(key, now),
            PeopleKind::Review => self.review_changed(key, now),
            PeopleKind::Period => self.period_changed(key, now),
            PeopleKind::Response => {}
        }
        self.say_steps(key);
        self.remark_soon(key, now);
    }

    /// Takes in that an object is gone.
    pub(super) fn person_withdrew(
        &mut self,
        kind: PeopleKind,
        namespace: &str,
        name: &str,
        now: Now,
    ) {
        let key = ObjectKey {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        };
        if self.people.objects.remove(&key).is_none() {
            return;
        }
        self.people.due.remove(&key);
        self.people.periods.remove(&key);
        self.people.wake(&key, None);
        self.people.untold.insert(kind);
        self.exception_changed(&key, now);
        self.say_object_gone(&key);
        if kind == PeopleKind::Period {
            self.observed.periods.remove(&key.name);
            self.wake_observers(Observation::AuditPeriods);
            self.periods_changed(now);
        }
    }

    /// Takes in that all objects of a kind have been read: what the log knows beside them is gone.
    pub(super) fn people_listed(&mut self, kind: PeopleKind) {
        if self.people.listed.insert(kind) {
            self.people.untold.insert(kind);
        }
        self.say_objects_gone(kind);
    }

    /// Says at the begin of a term what is news to the log.
    pub(super) fn introduce_people(&mut self, now: Now) {
        let keys: Vec<ObjectKey> = self.people.objects.keys().cloned().collect();
        for key in &keys {
            self.say_steps(key);
            self.remark_soon(key, now);
        }
        for kind in self.people.listed.clone() {
            self.say_objects_gone(kind);
        }
    }

    /// Marks what changes by itself.
    pub(super) fn people_due(&mut self, now: Now) {
        while let Some((at, _)) = self.people.wakes.first()
            && *at <= now.wall
            && let Some((_, key)) = self.people.wakes.pop_first()
        {
            self.people.wake_of.remove(&key);
            self.object_changed(&key, now);
        }
    }

    /// Takes note that the label of a namespace's owner may be another one.
    pub(super) fn owners_changed(&mut self) {
        let owner = |held: &Held| {
            let review = match &held.object {
                PeopleObject::Review(object) => object.spec.owner.as_ref(),
                _ => None,
            };
            review.is_some()
        };
        if self.people.objects.values().any(owner) {
            self.people.untold.insert(PeopleKind::Review);
        }
    }

    /// When something is due by itself: on the wall clock, and on the monotonic one.
    pub(super) fn people_next(&self) -> (Option<Timestamp>, Option<Duration>) {
        let wake = self.people.wakes.first().map(|(at, _)| *at);
        let status = self.people.due.values().min().copied();
        (wake, status.filter(|_| self.leading))
    }

    /// How many exceptions of a kind accept failures now.
    pub fn exceptions_in_force(&self, kind: ExceptionKind) -> usize {
        self.people.exceptions.in_force(kind)
    }

    /// How many exceptions that are in force end within a week.
    pub fn exceptions_ending(&self, now: Now) -> usize {
        const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
        let soon = now.wall.saturating_add(WEEK).unwrap_or(Timestamp::MAX);
        self.people.exceptions.ending(soon)
    }

    /// How many attestations that count end within a month.
    pub fn attestations_ending(&self, now: Now) -> usize {
        const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);
        let soon = now.wall.saturating_add(MONTH).unwrap_or(Timestamp::MAX);
        let held = self.people.objects.values();
        let ending = held.filter(|held| {
            let counts = matches!(&held.stand, Some(Stand::Attestation(state))
                if state.phase == AttestationPhase::Valid);
            counts && held.facts.expires.is_some_and(|ends| ends <= soon)
        });
        ending.count()
    }

    /// Judges an exception anew, and has what it covers or covered judged again.
    fn exception_changed(&mut self, key: &ObjectKey, now: Now) {
        let before = self.people.exceptions.remove(key);
        if let Some((
            _,
            State {
                until: Some(at), ..
            },
        )) = &before
        {
            self.people.wakes.remove(&(*at, key.clone()));
        }
        let mut after = None;
        if let Some(held) = self.people.objects.get_mut(key)
            && let Some(exception) = Exception::of(key, &held.object, &mut self.inventory.interner)
        {
            let window = self.config.exceptions.unapproved;
            let earlier = self.memory.people.glasses.earlier(&held.facts.uid, window);
            let state = exception.state(&self.config.exceptions, now.wall, earlier);
            if state.phase == ExceptionPhase::BreakGlass {
                self.memory.people.glasses.works(&held.facts.uid);
            }
            held.facts.ended = state.ended();
            held.stand = Some(Stand::Exception(state.clone()));
            self.people.wake(key, state.until);
            after = Some((exception, state));
        }
        let in_force = |of: &&(Exception, State)| of.1.in_force;
        let was = before.as_ref().filter(in_force).map(|of| &of.0);
        let is = after.as_ref().filter(in_force).map(|of| &of.0);
        if was != is {
            let concerned = was.into_iter().chain(is).cloned();
            for exception in concerned.collect::<Vec<_>>() {
                self.judge_covered(&exception);
            }
        }
        if let Some((exception, state)) = after {
            self.people.exceptions.insert(key.clone(), exception, state);
        }
    }

    /// Judges anew where an attestation stands.
    fn attestation_changed(&mut self, key: &ObjectKey, now: Now) {
        let Some(held) = self.people.objects.get_mut(key) else {
            return;
        };
        let PeopleObject::Attestation(object) = &held.object else {
            return;
        };
        let state = attestations::state(object, now.wall);
        let over = state.phase == AttestationPhase::Expired;
        let until = (!over).then_some(object.spec.valid_until.0);
        held.facts.ended = over.then_some("Expired");
        held.stand = Some(Stand::Attestation(state));
        self.people.wake(key, until);
    }

    /// Has the subjects judged again that an exception is about.
    fn judge_covered(&mut self, exception: &Exception) {
        let Self {
            rules,
            uncertain,
            inventory,
            ..
        } = self;
        for (id, rule) in rules.iter_mut() {
            if rule.key.control != exception.control {
                continue;
            }
            let table = rule.table.keys();
            let covered = table.filter(|subject| exception.covers(inventory, subject));
            for subject in covered.cloned().collect::<Vec<_>>() {
                let touched = crate::controls::Touched::Subject(subject);
                rule.dirty.mark(touched, Cause::Exception);
                uncertain.insert(*id);
            }
        }
    }
}
