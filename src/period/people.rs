//! What people did that an account has to tell: changes of policies and of the period itself, and which program ran.

use jiff::Timestamp;
use serde::Serialize;

use super::EntryId;
use crate::evidence::{
    body::{Name, ObjectChange, PolicyChange, Start, Word},
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
