//! What a log says is so, entry by entry: the subjects of each control with their outcomes, and the policies.

use std::collections::BTreeMap;

use crate::{
    evidence::{
        body::{Name, PolicyChange, Population, SubjectRef, Transition},
        words::Change,
    },
    period::{
        SubjectId,
        definition::{Policy, is_suspended},
        subjects::Subjects,
    },
    verdict::Outcome,
};

/// A control in a policy.
pub(super) type Key = (Name, Name);

/// What is so of a subject.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) outcome: Outcome,
    /// Id of the deviation that is open.
    pub(super) deviation: Option<String>,
    /// What said so last, unless the subject passes.
    pub(super) said: Option<Box<Transition>>,
}

impl Row {
    /// What is so of a subject of which nothing was said but that it joined.
    const PASSES: Self = Self {
        outcome: Outcome::Pass,
        deviation: None,
        said: None,
    };
}

/// A policy as its last entry left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) uid: Name,
    pub(super) generation: u64,
    pub(super) hash: Option<String>,
    pub(super) suspended: bool,
}

/// What a log says is so. Follows its entries just as an account does.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<Key, BTreeMap<SubjectId, Row>>,
    pub(super) policies: BTreeMap<Name, Known>,
}

impl Table {
    /// The subjects of a control in a policy.
    pub(super) fn of(&self, key: &Key) -> impl Iterator<Item = (&SubjectId, &Row)> {
        self.rows.get(key).into_iter().flatten()
    }

    /// What is so of a subject; `None` if it is none.
    pub(super) fn row(&self, key: &Key, subject: &SubjectId) -> Option<&Row> {
        self.rows.get(key)?.get(subject)
    }

    /// Takes in a transition, for one policy.
    pub(super) fn transition(&mut self, key: Key, subject: SubjectId, said: &Transition) {
        let rows = self.rows.entry(key).or_default();
        let Some(outcome) = said.to else {
            rows.remove(&subject);
            return;
        };
        let known = rows.get(&subject).and_then(|row| row.deviation.clone());
        let deviation = match outcome {
            Outcome::Fail => said.deviation.clone(),
            // What can't be seen has not ended.
            Outcome::Unknown if said.ended.is_none() => said.deviation.clone().or(known),
            _ => None,
        };
        let said = (outcome != Outcome::Pass).then(|| Box::new(said.clone()));
        let row = Row {
            outcome,
            deviation,
            said,
        };
        // Another object of this name is another subject.
        rows.remove(&subject);
        rows.insert(subject, row);
    }

    /// Takes in who joined and left.
    pub(super) fn population(&mut self, said: &Population, subjects: &mut Subjects) {
        for policy in &said.policies {
            let key = (policy.clone(), said.control.as_ref().into());
            let rows = self.rows.entry(key).or_default();
            for subject in &said.joined {
                rows.entry(subjects.id(subject)).or_insert(Row::PASSES);
            }
            for subject in &said.left {
                rows.remove(&subjects.id(subject));
            }
        }
    }

    /// Takes in a change of a policy, and what follows from it for its subjects.
    pub(super) fn policy(&mut self, said: &PolicyChange) {
        if said.change == Change::Deleted {
            self.policies.remove(&said.policy);
            self.keep_rows(&said.policy, |_| false);
            return;
        }
        let policy = Policy::read(said);
        let suspended = is_suspended(said, policy.as_ref());
        let known = Known {
            uid: said.uid.clone(),
            generation: said.generation,
            hash: said.new_hash.clone(),
            suspended,
        };
        self.policies.insert(said.policy.clone(), known);
        if suspended || said.change == Change::Created {
            self.keep_rows(&said.policy, |_| false);
        } else if let Some(policy) = policy {
            self.keep_rows(&said.policy, |control| {
                policy.controls.iter().any(|(id, ..)| id == control)
            });
        }
    }

    fn keep_rows(&mut self, policy: &Name, keeps: impl Fn(&str) -> bool) {
        self.rows
            .retain(|(of, control), _| of != policy || keeps(control));
    }
}

/// The subject as an entry names it.
pub(super) fn named(subject: &SubjectId) -> SubjectRef {
    subject.subject().clone()
}
