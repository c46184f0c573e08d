//! What the log knows of the objects with which people take part: so that nothing is told twice,
//! and what happened while nobody looked is told at all.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Facts, ObjectKey, digest, glasses::Glasses, reviews::holders, steps::News};
use crate::{
    api::PeopleKind,
    evidence::{
        body::{Body, Content, ObjectChange},
        words::Step,
    },
};

/// Every object of which the log has not heard that it is gone.
#[derive(Debug, Default)]
pub(in crate::engine) struct Known {
    objects: BTreeMap<ObjectKey, KnownObject>,
    /// Exceptions that worked without approval, also those that are gone.
    pub(super) glasses: Glasses,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct KnownObject {
    pub(super) uid: String,
    pub(super) generation: u64,
    pub(super) hash: Option<String>,
    decision: Option<String>,
    ended: Option<String>,
    /// The listing of a review.
    frozen: Option<Listing>,
}

/// What is remembered of the listing of a review.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Its hash.
    pub(super) sha256: String,
    /// Who holds the right of each row, by id.
    pub(super) holders: BTreeMap<String, String>,
}

impl Known {
    /// Takes note of what was said at a time before this start.
    pub(in crate::engine) fn recall(&mut self, body: &Body, at: Timestamp) {
        self.note(body);
        let Body::Exception(said) = body else { return };
        if let Some(Content::Inline(spec)) = &said.spec {
            let namespace = said.namespace.as_deref().unwrap_or_default();
            self.glasses.note(&said.uid, at, namespace, spec, None);
        }
        if said.step == Step::Approved {
            self.glasses.approved(&said.uid);
        }
    }

    /// All is recalled.
    pub(in crate::engine) fn recalled(&mut self, unapproved: SignedDuration) {
        self.glasses.settle(unapproved);
    }

    /// Takes note of what is said, or was.
    pub(in crate::engine) fn note(&mut self, body: &Body) {
        match body {
            Body::Exception(said)
            | Body::Attestation(said)
            | Body::Review(said)
            | Body::Response(said)
            | Body::Period(said) => self.note_change(said),
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
            self.objects.remove(&key);
            return;
        }
        let known = self.objects.entry(key).or_default();
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
                    Some(Content::Inline(rows)) => Some(Listing {
                        sha256: digest(rows),
                        holders: holders(rows),
                    }),
                    Some(Content::Blob(_)) | None => None,
                };
            }
            Step::Created | Step::Changed | Step::Deleted => {}
        }
    }

    /// What is known of an object.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&KnownObject> {
        self.objects.get(key)
    }

    /// The hash of the last spec that the log has of an object.
    pub(in crate::engine) fn hash(&self, key: &ObjectKey) -> Option<&str> {
        self.objects.get(key)?.hash.as_deref()
    }

    /// The frozen listing of a review, if this log has it.
    pub(super) fn frozen(&self, key: &ObjectKey) -> Option<&Listing> {
        self.objects.get(key)?.frozen.as_ref()
    }

    /// The known objects of a kind.
    pub(super) fn keys(&self, kind: PeopleKind) -> Vec<ObjectKey> {
        let keys = self.objects.keys().filter(|key| key.kind == kind);
        keys.cloned().collect()
    }

    /// What has happened to an object since the log last heard of it, in order.
    pub(super) fn steps(&self, key: &ObjectKey, facts: &Facts) -> Vec<News> {
        let known = self.objects.get(key).filter(|known| known.uid == facts.uid);
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
