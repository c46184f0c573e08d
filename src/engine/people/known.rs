//! What the log knows of the objects with which people take part: so that nothing is told twice,
//! and what happened while nobody looked is told at all.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Facts, ObjectKey, digest, steps::News};
use crate::{
    api::PeopleKind,
    evidence::{
        body::{Body, Content, ObjectChange},
        words::Step,
    },
};

/// Every object of which the log has not heard that it is gone.
#[derive(Debug, Default)]
pub(in crate::engine) struct Known(BTreeMap<ObjectKey, KnownObject>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct KnownObject {
    pub(super) uid: String,
    pub(super) generation: u64,
    pub(super) hash: Option<String>,
    decision: Option<String>,
    ended: Option<String>,
    /// The listing of a review, where its entry holds it.
    frozen: Option<Value>,
}

impl Known {
    /// Takes note of what is said, or was.
    pub(in crate::engine) fn note(&mut self, body: &Body) {
        match body {
            Body::Exception(said)
            | Body::Attestation(said)
            | Body::Review(said)
            | Body::Response(said) => self.note_change(said),
            _ => {}
        }
    }

    fn note_change(&mut self, said: &ObjectChange) {
        let Some(kind) = PeopleKind::find(&said.kind) else {
            return; // a newer program knew it
        };
        let key = ObjectKey {
            kind,
            namespace: said.namespace.clone().unwrap_or_else(|| "".into()),
            name: said.name.clone(),
        };
        if said.step == Step::Deleted {
            self.0.remove(&key);
            return;
        }
        let known = self.0.entry(key).or_default();
        if *known.uid != *said.uid {
            *known = KnownObject::default();
            known.uid = said.uid.to_string();
        }
        known.generation = said.generation;
        if said.new_hash.is_some() {
            known.hash.clone_from(&said.new_hash);
        }
        match said.step {
            Step::Approved | Step::Rejected | Step::Decided => {
                known.decision = said.decision.as_ref().map(hash);
                known.ended = None;
            }
            Step::Expired | Step::Verified => {
                known.ended = said.reason.as_ref().map(ToString::to_string);
            }
            Step::Frozen => {
                known.frozen = match &said.decision {
                    Some(Content::Inline(rows)) => Some(rows.clone()),
                    Some(Content::Blob(_)) | None => None,
                };
            }
            Step::Created | Step::Changed | Step::Deleted => {}
        }
    }

    /// What is known of an object.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&KnownObject> {
        self.0.get(key)
    }

    /// The frozen listing of a review, as far as the log holds it in an entry.
    pub(super) fn frozen(&self, key: &ObjectKey) -> Option<Value> {
        self.0.get(key)?.frozen.clone()
    }

    /// The known objects of a kind.
    pub(super) fn keys(&self, kind: PeopleKind) -> Vec<ObjectKey> {
        let keys = self.0.keys().filter(|key| key.kind == kind);
        keys.cloned().collect()
    }

    /// What has happened to an object since the log last heard of it, in order.
    pub(super) fn steps(&self, key: &ObjectKey, facts: &Facts) -> Vec<News> {
        let known = self.0.get(key).filter(|known| known.uid == facts.uid);
        let mut news = Vec::new();
        let mut add = |step, old_hash| news.push(News { step, old_hash });
        match known {
            None => add(Step::Created, None),
            Some(known) if known.hash.as_ref() != Some(&facts.hash) => {
                add(Step::Changed, known.hash.clone());
            }
            Some(_) => {}
        }
        let decided = known.and_then(|known| known.decision.as_ref());
        let mut ended = known.and_then(|known| known.ended.as_deref());
        if let Some(decision) = &facts.decision
            && decided != Some(&decision.hash)
        {
            add(decision.step, None);
            ended = None;
        }
        if facts.ended.is_some() && facts.ended != ended {
            let done = facts.ended == Some("Done");
            add(if done { Step::Verified } else { Step::Expired }, None);
        }
        news
    }
}

fn hash(content: &Content) -> String {
    match content {
        Content::Inline(value) => digest(value),
        // The name of a blob is the hash of what it holds.
        Content::Blob(blob) => blob.blob.clone(),
    }
}
