//! Which entries still matter when the beginning of a log is removed. Pure.
//!
//! Whoever reads a log folds it: rows by subject, policies by name, what was kept, what is open. What is carried leads to the
//! same as all that it stands for, for everything that comes behind it; and each entry of it is as it was, so that its hash
//! is still in the tree.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::body::{Body, Population, SubjectRef, Transition};
use crate::verdict::Outcome;

/// Names something for which the last word counts. A hash: there are many, and their names are long.
type Key = [u8; 16];

fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]); // no part has one
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut key = Key::default();
    key.copy_from_slice(&hash[..16]);
    key
}

fn row_key(policy: &str, control: &str, subject: &SubjectRef) -> Key {
    let namespace = subject.namespace.as_deref().unwrap_or_default();
    let SubjectRef {
        group,
        kind,
        name,
        uid,
        ..
    } = subject;
    key(&["row", policy, control, group, kind, namespace, name, uid])
}

/// What is known of a subject that is there.
#[derive(Debug, Default)]
struct Row {
    /// It was there before the first entry: only the log before tells how it came.
    older: bool,
    /// Where it joined, once for each definition of its policy.
    joined: Vec<u64>,
    /// Since it last did not fail.
    said: Vec<u64>,
}

/// Finds out which of the entries that it is told of still matter.
#[derive(Debug, Default)]
pub struct Carried {
    always: BTreeSet<u64>,
    rows: HashMap<Key, Row>,
    last: HashMap<Key, u64>,
    /// When each policy last changed.
    changed: HashMap<Key, u64>,
    intents: BTreeMap<u64, u64>,
}

impl Carried {
    /// Takes in the next entry, oldest first.
    pub fn note(&mut self, seq: u64, body: &Body) {
        match body {
            // Said once a minute, about that minute.
            Body::Heartbeat(_) | Body::Spilled(_) => {}
            Body::Population(said) => self.population(seq, said),
            Body::Transition(said) => self.transition(seq, said),
            Body::Intent(said) => {
                self.intents.insert(said.id, seq);
            }
            Body::Outcome(said) => {
                if self.intents.remove(&said.intent).is_none() {
                    self.always.insert(seq);
                }
            }
            Body::PolicyChange(said) => {
                self.changed.insert(key(&["policy", &said.policy]), seq);
                self.always.insert(seq);
            }
            Body::Start(_) | Body::Stop(_) | Body::Term(_) => self.last(seq, &[body.kind()]),
            Body::Gap(said) => self.last(seq, &["gap", &said.scope]),
            Body::Kept(said) => {
                let subject = &said.subject;
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                let SubjectRef {
                    group, kind, name, ..
                } = subject;
                self.last(seq, &["kept", &said.control, group, kind, namespace, name]);
            }
            Body::EncryptionConfig(said) => self.last(seq, &["encryptionConfig", &said.server]),
            Body::Drill(said) => self.last(seq, &["drill", &said.control, &said.namespace]),
            Body::Scope(said) => {
                // One entry tells of many controls, of which each may be told of anew by itself.
                let policies = said.policies.join(" ");
                let also = said.also.iter().map(|other| &other.control);
                for control in std::iter::once(&said.control).chain(also) {
                    self.last(seq, &["scope", &policies, control]);
                }
            }
            // What people and the log itself say is rare.
            Body::Brake(_)
            | Body::Contended(_)
            | Body::Pause(_)
            | Body::Exception(_)
            | Body::Attestation(_)
            | Body::Review(_)
            | Body::Response(_)
            | Body::Period(_)
            | Body::Export(_)
            | Body::Epoch(_)
            | Body::KeyChange(_)
            | Body::Pruned(_) => {
                self.always.insert(seq);
            }
        }
    }

    fn last(&mut self, seq: u64, of: &[&str]) {
        self.last.insert(key(of), seq);
    }

    fn population(&mut self, seq: u64, said: &Population) {
        for policy in &said.policies {
            let changed = self.changed.get(&key(&["policy", policy])).copied();
            for subject in &said.left {
                self.gone(seq, &row_key(policy, &said.control, subject));
            }
            for subject in &said.joined {
                let row = self.rows.entry(row_key(policy, &said.control, subject));
                let row = row.or_default();
                // A policy that changed may have forgotten who had joined before.
                let known = row.joined.last().copied();
                if known.is_none_or(|known| changed.is_some_and(|changed| changed > known)) {
                    row.joined.push(seq);
                }
            }
        }
    }

    fn transition(&mut self, seq: u64, said: &Transition) {
        for policy in &said.policies {
            let key = row_key(policy, &said.control, &said.subject);
            let Some(to) = said.to else {
                self.gone(seq, &key);
                continue;
            };
            let row = self.rows.entry(key).or_insert_with(|| Row {
                older: said.from.is_some(),
                ..Row::default()
            });
            if !matches!(to, Outcome::Fail | Outcome::Unknown | Outcome::Excepted) {
                row.said.clear();
            }
            row.said.push(seq);
        }
    }

    /// A subject left. Nothing of it matters, unless the log before still has it.
    fn gone(&mut self, seq: u64, key: &Key) {
        if self.rows.remove(key).is_none_or(|row| row.older) {
            self.always.insert(seq);
        }
    }

    /// The numbers of the entries that matter, but for [`Leaves`].
    pub fn needed(&self) -> BTreeSet<u64> {
        let rows = self.rows.values();
        let rows = rows.flat_map(|row| row.joined.iter().chain(&row.said));
        let last = self.last.values().chain(self.intents.values());
        self.always
            .iter()
            .chain(rows)
            .chain(last)
            .copied()
            .collect()
    }
}

/// An entry that matters may also tell of subjects that left later: then that matters too.
#[derive(Debug, Default)]
pub struct Leaves {
    joined: HashSet<Key>,
}

impl Leaves {
    /// Takes in the next entry, and whether it matters so far. Returns whether it does now.
    pub fn note(&mut self, body: &Body, matters: bool) -> bool {
        let (policies, control, left): (_, _, &[SubjectRef]) = match body {
            Body::Population(said) => (&said.policies, &said.control, &said.left),
            Body::Transition(said) if said.to.is_none() => {
                let left = std::slice::from_ref(&said.subject);
                (&said.policies, &said.control, left)
            }
            _ => return matters,
        };
        let keys = |subjects: &[SubjectRef]| -> Vec<Key> {
            let of = |policy| {
                let subjects = subjects.iter();
                subjects.map(move |subject| row_key(policy, control, subject))
            };
            policies.iter().flat_map(|policy| of(policy)).collect()
        };
        let matters = matters || keys(left).iter().any(|key| self.joined.contains(key));
        if matters && let Body::Population(said) = body {
            self.joined.extend(keys(&said.joined));
        }
        matters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::body::{Scope, Scoped};

    fn scope(control: &'static str, also: &[&'static str]) -> Body {
        Body::Scope(Scope {
            policies: vec!["soc2".into()],
            control: control.into(),
            rule_version: Some(1),
            params_hash: Some("00".to_owned()),
            scope_hash: "01".to_owned(),
            included: 3,
            excluded: Vec::new(),
            also: also
                .iter()
                .map(|&control| Scoped {
                    control: control.into(),
                    rule_version: Some(1),
                    params_hash: Some("00".to_owned()),
                })
                .collect(),
        })
    }

    #[test]
    fn a_scope_matters_as_long_as_it_is_the_last_word_on_one_of_its_controls() {
        let mut carried = Carried::default();
        carried.note(0, &scope("a", &["b", "c"]));
        carried.note(1, &scope("a", &[]));
        carried.note(2, &scope("c", &["b"]));
        assert_eq!(carried.needed(), BTreeSet::from([1, 2]));
        carried.note(3, &scope("b", &[]));
        assert_eq!(
            carried.needed(),
            BTreeSet::from([1, 2, 3]),
            "c is told of nowhere else"
        );
    }
}
