//! The objects with which people take part, as a log knows them, and which steps of another log are news to it.

use std::collections::BTreeMap;

use crate::evidence::{
    body::{Content, Name, ObjectChange, Word},
    words::Step,
};

/// Kind, namespace and name.
type Key = (Word, Option<Name>, Name);

/// What a log knows of one object.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// The last change of its spec.
    changed: ObjectChange,
    /// The last word on each other step: what was decided, why it ended.
    steps: BTreeMap<Step, (Option<Content>, Option<Word>)>,
}

/// What a log knows of them.
#[derive(Debug, Default)]
pub(super) struct Objects(BTreeMap<Key, Known>);

impl Objects {
    /// Takes in a step.
    pub(super) fn take(&mut self, said: &ObjectChange) {
        let key = key(said);
        if said.step == Step::Deleted {
            self.0.remove(&key);
            return;
        }
        let fresh = || Known {
            changed: said.clone(),
            steps: BTreeMap::new(),
        };
        let known = self.0.entry(key).or_insert_with(fresh);
        if known.changed.uid != said.uid {
            *known = fresh();
        }
        if matches!(said.step, Step::Created | Step::Changed) {
            known.changed = said.clone();
            // What was decided about it was decided about something else.
            let decisions = [Step::Approved, Step::Rejected, Step::Decided];
            known.steps.retain(|step, _| !decisions.contains(step));
        } else {
            known.steps.insert(said.step, word(said));
        }
    }

    /// What of a step another log tells this one does not know; `None` if it knows all of it.
    pub(super) fn news(&self, said: &ObjectChange) -> Option<ObjectChange> {
        let known = self.0.get(&key(said));
        let same = known.filter(|known| known.changed.uid == said.uid);
        match (said.step, same) {
            (Step::Deleted, _) => known.map(|_| said.clone()),
            (Step::Created | Step::Changed, None) => Some(ObjectChange {
                step: Step::Created,
                old_hash: None,
                ..said.clone()
            }),
            (Step::Created | Step::Changed, Some(known)) => {
                let old = &known.changed.new_hash;
                (*old != said.new_hash).then(|| ObjectChange {
                    step: Step::Changed,
                    old_hash: old.clone(),
                    ..said.clone()
                })
            }
            (_, None) => Some(said.clone()),
            (step, Some(known)) => {
                (known.steps.get(&step) != Some(&word(said))).then(|| said.clone())
            }
        }
    }

    /// The ends of those that another log does not have any more.
    pub(super) fn gone_from(&self, other: &Self) -> Vec<ObjectChange> {
        let gone = self.0.iter().filter(|(key, _)| !other.0.contains_key(*key));
        let ends = gone.map(|(_, known)| ObjectChange {
            step: Step::Deleted,
            who: None,
            old_hash: known.changed.new_hash.clone(),
            new_hash: None,
            spec: None,
            expires: None,
            ..known.changed.clone()
        });
        ends.collect()
    }
}

fn key(said: &ObjectChange) -> Key {
    (said.kind.clone(), said.namespace.clone(), said.name.clone())
}

fn word(said: &ObjectChange) -> (Option<Content>, Option<Word>) {
    (said.decision.clone(), said.reason.clone())
}
