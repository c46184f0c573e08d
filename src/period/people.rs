//! What people did that an account has to tell: changes of policies and of the period itself, and which program ran.

use jiff::Timestamp;
use serde::Serialize;

use super::{EntryId, watch::Cause};
use crate::evidence::{
    body::{Name, ObjectChange, PolicyChange, Start, Term, Word},
    words::{Change, Step},
};

/// A policy changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStep {
    /// The entry.
    pub entry: EntryId,
    /// When.
    pub at: Timestamp,
    /// The policy.
    pub policy: Name,
    /// Its generation.
    pub generation: u64,
    /// What happened.
    pub change: Change,
    /// Who did it.
    pub who: Option<String>,
    /// Hash of the spec before.
    pub old_hash: Option<String>,
    /// Hash of the spec after.
    pub new_hash: Option<String>,
}

impl PolicyStep {
    pub(super) fn new(entry: EntryId, at: Timestamp, said: &PolicyChange) -> Self {
        Self {
            entry,
            at,
            policy: said.policy.clone(),
            generation: said.generation,
            change: said.change,
            who: said.who.clone(),
            old_hash: said.old_hash.clone(),
            new_hash: said.new_hash.clone(),
        }
    }
}

/// An object with which people take part was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStep {
    /// The entry.
    pub entry: EntryId,
    /// When.
    pub at: Timestamp,
    /// Its kind.
    pub kind: Word,
    /// Its namespace.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// What happened.
    pub step: Step,
    /// Who did it.
    pub who: Option<String>,
    /// Hash of the spec before.
    pub old_hash: Option<String>,
    /// Hash of the spec after.
    pub new_hash: Option<String>,
    /// What is different, in words.
    pub what: String,
}

impl ObjectStep {
    pub(super) fn new(entry: EntryId, at: Timestamp, said: &ObjectChange) -> Self {
        Self {
            entry,
            at,
            kind: said.kind.clone(),
            namespace: said.namespace.clone(),
            name: said.name.clone(),
            step: said.step,
            who: said.who.clone(),
            old_hash: said.old_hash.clone(),
            new_hash: said.new_hash.clone(),
            what: String::new(),
        }
    }
}

/// The operator was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The entry.
    pub entry: EntryId,
    /// When.
    pub at: Timestamp,
    /// Version of the program.
    pub version: Word,
    /// SHA-256 of the program file.
    pub binary_digest: String,
    /// The cluster.
    pub cluster: Name,
    /// The user that the API server saw.
    pub identity: Name,
}

impl Run {
    pub(super) fn new(entry: EntryId, at: Timestamp, said: &Start) -> Self {
        Self {
            entry,
            at,
            version: said.version.clone(),
            binary_digest: said.binary_digest.clone(),
            cluster: said.cluster.clone(),
            identity: said.identity.clone(),
        }
    }
}

/// A log begins: the first one, or one after another was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogBegin {
    /// Its number in this account: what entries are named with.
    pub log: u32,
    /// When.
    pub at: Timestamp,
    /// Name of the log: the first line of its checkpoints. Entries are numbered anew in each.
    pub origin: String,
    /// Verifier key of the signer, by its own account.
    pub key: String,
    /// Why a new log began.
    pub cause: Word,
}

/// Terms of which no entry is in these logs: another replica led, and has a log of its own, or one of ours was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Elsewhere {
    /// Since when, at the earliest; none where no entry is older.
    pub from: Option<Timestamp>,
    /// Until when, at the latest.
    pub to: Timestamp,
    /// The first of the terms.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The replica that led the last of them, as far as is known.
    pub replica: Option<String>,
}

impl Elsewhere {
    /// What lies before a term, if that is not here. `known` is the last term that is, with its last entry.
    pub(super) fn before(
        said: &Term,
        known: Option<(u64, Timestamp)>,
        at: Timestamp,
    ) -> Option<Self> {
        let first = known.map_or(1, |(term, _)| term.saturating_add(1));
        let last = said.epoch.checked_sub(1)?;
        (first <= last).then(|| Self {
            from: known.map(|(_, last)| last),
            to: at,
            first,
            last,
            replica: said.other().map(str::to_owned),
        })
    }

    /// Why nothing was seen then, as far as these logs tell.
    pub(super) fn cause(&self) -> Cause {
        Cause {
            from: self.from.unwrap_or(Timestamp::MIN),
            to: self.to,
            why: self.in_words(),
        }
    }

    /// The same in words.
    pub(super) fn in_words(&self) -> String {
        let Self { first, last, .. } = self;
        let terms = if first == last {
            format!("term {first}")
        } else {
            format!("terms {first} to {last}")
        };
        match &self.replica {
            Some(who) => {
                format!("another replica led, at last {who}, and its log is not here: {terms}")
            }
            None => format!(
                "another replica led, or a log of this one was lost: nothing is here of {terms}"
            ),
        }
    }
}

/// A namespace that was out of scope at some time of the period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Excluded {
    /// Since when, as far as the log tells.
    pub from: Timestamp,
    /// Until when; none if it was so when the period ended.
    pub to: Option<Timestamp>,
    /// Its name.
    pub namespace: Name,
    /// Why.
    pub reason: Word,
}
