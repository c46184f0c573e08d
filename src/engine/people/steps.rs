//! What the log is told of the objects with which people take part: each step once.

use super::{Held, ObjectKey, Stand};
use crate::{
    api::PeopleKind,
    engine::Engine,
    evidence::{
        body::{Body, INVALID, ObjectChange, Word},
        words::Step,
    },
};

impl Engine {
    /// Tells the log what it does not know of an object yet.
    pub(super) fn say_steps(&mut self, key: &ObjectKey) {
        if !self.leading {
            return;
        }
        let Some(held) = self.people.objects.get(key) else {
            return;
        };
        let known = self.memory.people.get(key);
        if known.is_some_and(|known| known.uid != held.facts.uid) {
            self.say_object_gone(key); // another object of this name, of whose end nobody knew
        }
        let Some(held) = self.people.objects.get(key) else {
            return;
        };
        let steps = self.memory.people.steps(key, &held.facts);
        let said: Vec<Body> = steps
            .into_iter()
            .map(|step| Body::of_people(key.kind, change(key, held, &step)))
            .collect();
        for said in said {
            self.say(said);
        }
    }

    pub(super) fn say_objects_gone(&mut self, kind: PeopleKind) {
        if !self.leading {
            return;
        }
        let known = self.memory.people.keys(kind);
        for key in known {
            if !self.people.objects.contains_key(&key) {
                self.say_object_gone(&key);
            }
        }
    }

    pub(super) fn say_object_gone(&mut self, key: &ObjectKey) {
        let Some(known) = self.memory.people.get(key).filter(|_| self.leading) else {
            return;
        };
        let said = ObjectChange {
            step: Step::Deleted,
            old_hash: known.hash.clone(),
            uid: known.uid.as_str().into(),
            generation: known.generation,
            ..nothing(key)
        };
        self.say(Body::of_people(key.kind, said));
    }
}

/// One step of an object, and what the log knew before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) step: Step,
    pub(super) old_hash: Option<String>,
}

fn change(key: &ObjectKey, held: &Held, news: &News) -> ObjectChange {
    let facts = &held.facts;
    let mut said = ObjectChange {
        uid: facts.uid.as_str().into(),
        generation: facts.generation,
        step: news.step,
        old_hash: news.old_hash.clone(),
        new_hash: Some(facts.hash.clone()),
        expires: facts.expires,
        ..nothing(key)
    };
    match news.step {
        Step::Created | Step::Changed => {
            said.who.clone_from(&facts.who);
            said.spec = Some(held.object.spec().into());
        }
        Step::Expired | Step::Verified => said.reason = facts.ended.map(Word::from),
        Step::Approved | Step::Rejected | Step::Decided => {
            let decision = facts.decision.as_ref();
            said.who = decision.and_then(|decision| decision.by.clone());
            said.decision = decision.map(|decision| decision.content.clone().into());
            let invalid = held.stand.as_ref().is_some_and(Stand::is_invalid);
            said.reason = invalid.then(|| Word::from(INVALID));
        }
        Step::Frozen | Step::Deleted => {}
    }
    said
}

pub(super) fn nothing(key: &ObjectKey) -> ObjectChange {
    ObjectChange {
        kind: key.kind.kind().into(),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.clone()),
        name: key.name.clone(),
        uid: "".into(),
        generation: 0,
        step: Step::Created,
        who: None,
        old_hash: None,
        new_hash: None,
        spec: None,
        decision: None,
        all_rows: None,
        reason: None,
        expires: None,
    }
}
