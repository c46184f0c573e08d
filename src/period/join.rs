//! Several replicas' logs as if one had led all the time.
//!
//! Whoever begins to lead says what has changed since it last led itself: what others did meanwhile is not in its log. Read
//! one after the other, such logs repeat what is known and leave out what one of them has known all along. Here each entry
//! is set against what all logs before it say:
//!
//! ```text
//! entry of a replica ─► its own table ─┐ at its first heartbeat of a term: what differs is said
//!                       joint table ◄──┘ else: only what is new, with the state before as all know it
//! ```
//!
//! A deviation that goes on from one term to the next keeps the id under which it opened.

mod objects;
mod table;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use self::{
    objects::Objects,
    table::{Key, Known, Table, named},
    turn::{another, cause, end, turn},
};
use super::{
    SubjectId,
    definition::{Policy, is_suspended},
    subjects::Subjects,
};
use crate::{
    api::PeopleKind,
    evidence::{
        Entry,
        body::{
            Body, Content, EncryptionConfig, Gap, Heartbeat, Name, ObjectChange, PolicyChange,
            Population, Transition,
        },
        words::{Cause, Change},
    },
    verdict::Outcome,
};

/// Makes one log of several, entry by entry.
#[derive(Debug, Default)]
pub struct Joiner {
    subjects: Subjects,
    /// What each replica's own logs say.
    own: BTreeMap<usize, State>,
    /// What all of them say.
    joint: State,
    /// Ids of deviations that are called otherwise by all.
    same: BTreeMap<String, String>,
    leader: Option<usize>,
    /// When the replica that led before last said something.
    handed_over: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Controls of which the present leader has said what differs.
    settled: BTreeSet<Key>,
    beaten: bool,
}

/// What is so, as far as a log says.
#[derive(Debug, Default)]
struct State {
    table: Table,
    objects: Objects,
    /// Gaps that have not ended, by scope.
    gaps: BTreeMap<String, Gap>,
    /// Hash of the encryption configuration of each API server.
    configs: BTreeMap<Name, String>,
}

impl State {
    fn gap(&mut self, said: &Gap) {
        if said.to.is_some() {
            self.gaps.remove(&said.scope);
        } else {
            self.gaps.insert(said.scope.clone(), said.clone());
        }
    }
}

impl Joiner {
    /// What the next entry, of a replica with this number, adds to what is known, as entries with its time and number. There
    /// may be several; where it adds nothing, it is one in which nobody joins or leaves anything.
    pub fn take(&mut self, source: usize, entry: Entry) -> Vec<Entry> {
        let Entry { v, seq, time, body } = entry;
        let said = match body {
            Body::Term(said) => {
                let mut bodies = vec![Body::Term(said)];
                if self.leader != Some(source) {
                    self.hand_over(source, time, &mut bodies);
                }
                bodies
            }
            Body::Transition(said) => self.transition(source, &said),
            Body::Population(said) => self.population(source, &said),
            Body::PolicyChange(said) => self.policy(source, said),
            Body::Heartbeat(said) => self.heartbeat(source, time, said),
            Body::Gap(said) => self.gap(source, said),
            Body::EncryptionConfig(said) => self.config(said),
            Body::Exception(said) => self.object(source, &said, Body::Exception),
            Body::Attestation(said) => self.object(source, &said, Body::Attestation),
            Body::Review(said) => self.object(source, &said, Body::Review),
            Body::Response(said) => {
                let said = self.response(said);
                self.object(source, &said, Body::Response)
            }
            Body::Period(said) => self.object(source, &said, Body::Period),
            other => vec![other],
        };
        self.last = Some(time);
        let said = if said.is_empty() {
            vec![nothing()]
        } else {
            said
        };
        let entries = said.into_iter();
        entries.map(|body| Entry { v, seq, time, body }).collect()
    }

    /// Another replica leads: gaps of which it knows nothing are over, as far as anybody can tell.
    fn hand_over(&mut self, source: usize, time: Timestamp, bodies: &mut Vec<Body>) {
        self.leader = Some(source);
        self.handed_over = self.last.map(|last| last.min(time));
        self.settled.clear();
        self.beaten = false;
        let own = self.own.entry(source).or_default();
        for gap in std::mem::take(&mut self.joint.gaps).into_values() {
            bodies.push(Body::Gap(Gap {
                to: Some(time),
                ..gap
            }));
        }
        for gap in own.gaps.values() {
            let gap = Gap {
                from: time,
                ..gap.clone()
            };
            self.joint.gap(&gap);
            bodies.push(Body::Gap(gap));
        }
    }

    fn transition(&mut self, source: usize, said: &Transition) -> Vec<Body> {
        let subject = self.subjects.id(&said.subject);
        let mut told: Vec<Transition> = Vec::new();
        for policy in &said.policies {
            let key: Key = (policy.clone(), said.control.as_ref().into());
            let own = self.own.entry(source).or_default();
            own.table.transition(key.clone(), subject.clone(), said);
            let Some(news) = self.against(&key, &subject, said) else {
                continue;
            };
            self.joint.table.transition(key, subject.clone(), &news);
            let alike = told.iter_mut().find(|other| {
                (other.from, &other.deviation, other.ended, other.cause)
                    == (news.from, &news.deviation, news.ended, news.cause)
            });
            match alike {
                Some(other) => other.policies.push(policy.clone()),
                None => told.push(Transition {
                    policies: vec![policy.clone()],
                    ..news
                }),
            }
        }
        told.into_iter().map(Body::Transition).collect()
    }

    /// A transition, set against what all know of its subject.
    fn against(&mut self, key: &Key, subject: &SubjectId, said: &Transition) -> Option<Transition> {
        let known = self.joint.table.row(key, subject);
        if known.is_none() && said.to.is_none() {
            return None;
        }
        let mut news = Transition {
            from: known.map(|row| row.outcome),
            ..said.clone()
        };
        let lasts = matches!(said.to, Some(Outcome::Fail | Outcome::Unknown));
        match known.and_then(|row| row.deviation.clone()) {
            Some(open) => {
                if let Some(other) = said.deviation.as_ref().filter(|other| **other != open) {
                    self.same.insert(other.clone(), open.clone());
                }
                news.deviation = Some(open);
                if !lasts && news.ended.is_none() {
                    news.ended = Some(end(said.to));
                }
            }
            // What it ends has ended before.
            None if !lasts => (news.deviation, news.ended) = (None, None),
            None => {}
        }
        // It is new to this log only.
        if let (Some(row), None, Cause::Policy) = (known, said.from, said.cause) {
            news.cause = cause(row.outcome, said);
        }
        Some(news)
    }

    fn population(&mut self, source: usize, said: &Population) -> Vec<Body> {
        let own = self.own.entry(source).or_default();
        own.table.population(said, &mut self.subjects);
        let mut told: Vec<Population> = Vec::new();
        for policy in &said.policies {
            let key: Key = (policy.clone(), said.control.as_ref().into());
            let mut is_in = |subject: &_| {
                let subject = self.subjects.id(subject);
                self.joint.table.row(&key, &subject).is_some()
            };
            let joined = said.joined.iter().filter(|subject| !is_in(subject));
            let joined = joined.cloned().collect();
            let left = said.left.iter().filter(|subject| is_in(subject));
            let news = Population {
                policies: vec![policy.clone()],
                control: said.control.clone(),
                joined,
                left: left.cloned().collect(),
            };
            if news.joined.is_empty() && news.left.is_empty() {
                continue;
            }
            self.joint.table.population(&news, &mut self.subjects);
            let alike = told
                .iter_mut()
                .find(|other| (&other.joined, &other.left) == (&news.joined, &news.left));
            match alike {
                Some(other) => other.policies.push(policy.clone()),
                None => told.push(news),
            }
        }
        told.into_iter().map(Body::Population).collect()
    }

    fn policy(&mut self, source: usize, mut said: PolicyChange) -> Vec<Body> {
        let own = self.own.entry(source).or_default();
        own.table.policy(&said);
        let known = self.joint.table.policies.get(&said.policy);
        if said.change == Change::Deleted {
            if known.is_none() {
                return Vec::new();
            }
        } else {
            let suspended = is_suspended(&said, Policy::read(&said).as_ref());
            match known.filter(|known| known.uid == said.uid) {
                Some(known) if known.hash == said.new_hash && known.suspended == suspended => {
                    return Vec::new();
                }
                Some(known) => {
                    said.old_hash.clone_from(&known.hash);
                    said.change = match (known.suspended, suspended) {
                        (false, true) => Change::Suspended,
                        (true, false) => Change::Resumed,
                        _ => Change::Updated,
                    };
                }
                None => (said.old_hash, said.change) = (None, Change::Created),
            }
        }
        self.joint.table.policy(&said);
        vec![Body::PolicyChange(said)]
    }

    fn object(
        &mut self,
        source: usize,
        said: &ObjectChange,
        body: fn(ObjectChange) -> Body,
    ) -> Vec<Body> {
        self.own.entry(source).or_default().objects.take(said);
        let news = self.joint.objects.news(said);
        if let Some(news) = &news {
            self.joint.objects.take(news);
        }
        news.into_iter().map(body).collect()
    }

    /// A response names the deviation as all do.
    fn response(&self, mut said: ObjectChange) -> ObjectChange {
        if let Some(Content::Inline(Value::Object(spec))) = &mut said.spec {
            for value in spec.values_mut() {
                if let Some(id) = value.as_str().and_then(|id| self.same.get(id)) {
                    *value = Value::from(id.as_str());
                }
            }
        }
        said
    }

    /// While others led, they looked: what this replica did not see then is no gap.
    fn gap(&mut self, source: usize, mut said: Gap) -> Vec<Body> {
        self.own.entry(source).or_default().gap(&said);
        if let Some(since) = self.handed_over {
            said.from = said.from.max(since);
        }
        let empty = said.to.is_some_and(|to| to <= said.from);
        if empty && !self.joint.gaps.contains_key(&said.scope) {
            return Vec::new();
        }
        self.joint.gap(&said);
        vec![Body::Gap(said)]
    }

    fn config(&mut self, mut said: EncryptionConfig) -> Vec<Body> {
        let known = self
            .joint
            .configs
            .insert(said.server.clone(), said.to.clone());
        if known.as_ref() == Some(&said.to) {
            return Vec::new();
        }
        said.from = known;
        vec![Body::EncryptionConfig(said)]
    }

    /// With the first heartbeat that lists a control, its log has told all that it had to tell of it.
    fn heartbeat(&mut self, source: usize, time: Timestamp, said: Heartbeat) -> Vec<Body> {
        let mut bodies = Vec::new();
        if !std::mem::replace(&mut self.beaten, true) {
            self.settle_objects(source, &mut bodies);
        }
        for row in &said.controls {
            let key: Key = (row.policy.clone(), row.control.as_ref().into());
            if !self.settled.contains(&key) {
                self.settle(source, &key, time, &mut bodies);
                self.settled.insert(key);
            }
        }
        bodies.push(Body::Heartbeat(said));
        bodies
    }

    /// What was deleted while nobody led, and new to nobody.
    fn settle_objects(&mut self, source: usize, bodies: &mut Vec<Body>) {
        let own = self.own.entry(source).or_default();
        let joint = &self.joint.table.policies;
        let gone = joint
            .iter()
            .filter(|(name, _)| !own.table.policies.contains_key(*name));
        let mut ends: Vec<Body> = gone
            .map(|(name, known)| deleted(name, known).into())
            .collect();
        for gone in self.joint.objects.gone_from(&own.objects) {
            let kind = PeopleKind::find(&gone.kind);
            ends.extend(kind.map(|kind| Body::of_people(kind, gone)));
        }
        for end in &ends {
            match end {
                Body::PolicyChange(said) => self.joint.table.policy(said),
                Body::Exception(said)
                | Body::Attestation(said)
                | Body::Review(said)
                | Body::Response(said)
                | Body::Period(said) => self.joint.objects.take(said),
                _ => {}
            }
        }
        bodies.append(&mut ends);
    }

    /// What differs between what all know of a control and what this replica does.
    fn settle(&mut self, source: usize, key: &Key, time: Timestamp, bodies: &mut Vec<Body>) {
        let own = self.own.entry(source).or_default();
        let (mut joined, mut left, mut turns) = (Vec::new(), Vec::new(), Vec::new());
        for (subject, row) in own.table.of(key) {
            let known = self.joint.table.row(key, subject);
            if known.is_none() {
                joined.push(named(subject));
            }
            let before = known.map_or(Outcome::Pass, |known| known.outcome);
            if before != row.outcome {
                let mut said = turn(key, subject, known, row);
                // What this log has held open all along had ended for all: that it fails again is another deviation.
                if let Some(own) = &mut said.deviation {
                    let again = another(own, time);
                    self.same
                        .insert(std::mem::replace(own, again.clone()), again);
                }
                turns.push((subject.clone(), said));
            } else if let (Some(open), Some(other)) = (
                known.and_then(|known| known.deviation.as_ref()),
                &row.deviation,
            ) && open != other
            {
                self.same.insert(other.clone(), open.clone());
            }
        }
        for (subject, _) in self.joint.table.of(key) {
            if own.table.row(key, subject).is_none() {
                left.push(named(subject));
            }
        }
        // Those that are new are told of by what is found of them, as every log does.
        for (subject, said) in turns {
            let Some(news) = self.against(key, &subject, &said) else {
                continue;
            };
            self.joint.table.transition(key.clone(), subject, &news);
            bodies.push(news.into());
        }
        if joined.is_empty() && left.is_empty() {
            return;
        }
        let moved = Population {
            policies: vec![key.0.clone()],
            control: key.1.to_string().into(),
            joined,
            left,
        };
        self.joint.table.population(&moved, &mut self.subjects);
        bodies.push(moved.into());
    }
}

fn deleted(name: &Name, known: &Known) -> PolicyChange {
    PolicyChange {
        policy: name.clone(),
        uid: known.uid.clone(),
        generation: known.generation,
        change: Change::Deleted,
        who: None,
        old_hash: known.hash.clone(),
        new_hash: None,
        spec: None,
        enforcing_since: BTreeMap::new(),
        limits_release: None,
    }
}

/// What is said where an entry says nothing new.
fn nothing() -> Body {
    Body::Population(Population {
        policies: Vec::new(),
        control: "".into(),
        joined: Vec::new(),
        left: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
