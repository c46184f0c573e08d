//! Subjects as a period tells them apart: by kind and name, as the engine does, each held once.

use std::{
    cmp::Ordering,
    hash::{BuildHasher as _, Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::evidence::SubjectRef;

/// A subject. Two are the same if group, kind, namespace and name are: an entry about one that is gone has no UID.
#[derive(Debug, Clone)]
pub struct SubjectId(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// Of what tells subjects apart.
    hash: u64,
    subject: SubjectRef,
}

/// Something of each of some subjects, in no order.
pub(super) type BySubject<T> = HashMap<SubjectId, T, FixedState>;

/// The subjects of a map, in order: what is handed over must not depend on how the map is laid out.
pub(super) fn in_order<T>(map: &BySubject<T>) -> Vec<&SubjectId> {
    let mut subjects: Vec<&SubjectId> = map.keys().collect();
    subjects.sort_unstable();
    subjects
}

/// What tells subjects apart.
fn key(subject: &SubjectRef) -> (&str, &str, Option<&str>, &str) {
    let SubjectRef {
        group,
        kind,
        namespace,
        name,
        uid: _,
    } = subject;
    (group, kind, namespace.as_deref(), name)
}

impl SubjectId {
    fn key(&self) -> (&str, &str, Option<&str>, &str) {
        key(self.subject())
    }

    /// The subject as entries name it.
    pub fn subject(&self) -> &SubjectRef {
        &self.0.subject
    }
}

impl From<SubjectRef> for SubjectId {
    fn from(subject: SubjectRef) -> Self {
        let hash = hash(&subject);
        Self(Arc::new(Held { hash, subject }))
    }
}

impl PartialEq for SubjectId {
    fn eq(&self, other: &Self) -> bool {
        let same = || self.0.hash == other.0.hash && self.key() == other.key();
        Arc::ptr_eq(&self.0, &other.0) || same()
    }
}

impl Eq for SubjectId {}

impl Hash for SubjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Ord for SubjectId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for SubjectId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.subject().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SubjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SubjectRef::deserialize(deserializer).map(Self::from)
    }
}

/// How few subjects are not worth a sweep.
const FEW: usize = 1024;

/// Every subject that somebody holds, once: many controls share a population. Nothing depends on their order here.
#[derive(Debug, Default, Clone)]
pub(super) struct Subjects {
    known: HashTable<SubjectId>,
    sweep_at: usize,
}

/// The hash of what tells subjects apart; the same in every process.
fn hash(subject: &SubjectRef) -> u64 {
    FixedState::default().hash_one(key(subject))
}

impl Subjects {
    /// The subject that an entry names.
    pub(super) fn id(&mut self, subject: &SubjectRef) -> SubjectId {
        let hashed = hash(subject);
        let known = self
            .known
            .find_mut(hashed, |known| known.key() == key(subject));
        if let Some(known) = known {
            if known.subject().uid != subject.uid && !subject.uid.is_empty() {
                *known = SubjectId::from(subject.clone());
            }
            return known.clone();
        }
        if self.known.len() >= self.sweep_at {
            // Who left every population is held by nobody else.
            self.known.retain(|id| Arc::strong_count(&id.0) > 1);
            self.sweep_at = self.known.len() * 2 + FEW;
        }
        let new = SubjectId::from(subject.clone());
        let rehash = |known: &SubjectId| known.0.hash;
        self.known.insert_unique(hashed, new.clone(), rehash);
        new
    }
}
