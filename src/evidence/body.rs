//! What an entry can say: one type per kind of entry.
//!
//! Entries are read for years, by auditors' own tools too: fields may be added, never renamed or given another meaning.
//! Never a Secret's value, a credential or a matched token in here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod act;
mod drill;
mod people;
mod seen;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::act::{ActionOutcome, Brake, Contended, Intent, Kept, Pause};
pub use self::drill::{CameBack, Drill};
pub use self::people::{Excluded, Export, INVALID, ObjectChange, Scope, Scoped};
pub use self::seen::{ControlCounts, EncryptionConfig, Gap, Heartbeat, KindFreshness, Population};
pub use self::tree::{Anchored, Epoch, KeyChange, Pruned};
use super::blob::BlobRef;
use super::words::{Cause, Change, End};
use crate::api::PeopleKind;
pub use crate::verdict::Counts;
use crate::verdict::{Outcome, Severity, Strength};

/// A word of the product, such as the id of a control or a reason: known when compiling, except when read from a log.
pub type Word = Cow<'static, str>;

/// A name from the cluster, shared with whoever else holds it.
pub type Name = Arc<str>;

/// An object that a control judges or that we write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectRef {
    /// API group; empty for the core group.
    pub group: Name,
    /// Kind.
    pub kind: Name,
    /// Namespace, unless the object is cluster-scoped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Name.
    pub name: Name,
    /// UID: another object of the same name is another subject.
    pub uid: Name,
}

/// A value of an object, or where it is kept. Large values, and those without canonical form, become blobs.
///
/// A value that looks just like a [`BlobRef`] becomes a blob too, so that the two can't be confused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Kept in a blob file.
    Blob(BlobRef),
    /// Kept in the entry.
    Inline(Value),
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Inline(value)
    }
}

/// The end of a log: how many entries it had, and what the last one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The last entry.
    pub seq: u64,
    /// Its RFC 6962 leaf hash, in hex.
    pub leaf: String,
}

/// The operator starts to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// Version of the program.
    pub version: Word,
    /// SHA-256 of the program file.
    pub binary_digest: String,
    /// UID of the namespace `kube-system`, which stands for the cluster.
    pub cluster: Name,
    /// The user that the API server sees.
    pub identity: Name,
    /// Where this log ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_end: Option<Position>,
}

/// The operator stops in good order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Why.
    pub reason: Word,
}

/// This replica becomes the leader. What is between terms is a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    /// Holder named in the lease.
    pub holder: Name,
    /// `leaseTransitions` of the lease.
    pub epoch: u64,
    /// Identity of the one who held the lease before, as far as is known: its replica, `_` and what tells processes apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
    /// The head of that one's log that was last anchored, as its `EvidenceLog` says: with both logs at hand, an end that
    /// was cut off from the other one is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Anchored>,
}

impl Term {
    /// The replica that led before, if it is known and another one.
    pub fn other(&self) -> Option<&str> {
        let (replica, _) = self.predecessor.as_deref()?.rsplit_once('_')?;
        (replica != &*self.holder).then_some(replica)
    }
}

/// A policy changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyChange {
    /// The policy.
    pub policy: Name,
    /// Its UID.
    pub uid: Name,
    /// Its generation.
    pub generation: u64,
    /// What happened.
    pub change: Change,
    /// Who did it, as far as the managed fields tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Hash of the spec before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_hash: Option<String>,
    /// Hash of the spec after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_hash: Option<String>,
    /// The spec after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Content>,
    /// Since when each control may write. Empty while none may.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enforcing_since: BTreeMap<Word, Timestamp>,
    /// `spec.limits.release`, whose change releases brakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits_release: Option<String>,
}

/// The outcome of a control on a subject changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The policies concerned.
    pub policies: Vec<Name>,
    /// The control.
    pub control: Word,
    /// Version of the rule. With the next two this is the definition: it is left out where this term has said it before,
    /// here or in a [`Scope`], for all of these policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<u32>,
    /// Hash of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_hash: Option<String>,
    /// Hash of the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_hash: Option<String>,
    /// The subject.
    pub subject: SubjectRef,
    /// Who owns the subject, from labels or annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Outcome before; none for a subject that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Outcome>,
    /// Outcome after; none for a subject that left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Outcome>,
    /// What the verdict rests on: `Declared` where it is left out.
    #[serde(default = "usual_strength", skip_serializing_if = "is_usual_strength")]
    pub strength: Strength,
    /// The fact that decided, as a word.
    pub reason: Word,
    /// The same as a sentence, if there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How much a failure matters.
    pub severity: Severity,
    /// Why the outcome changed: `Object` where it is left out.
    #[serde(default = "usual_cause", skip_serializing_if = "is_usual_cause")]
    pub cause: Cause,
    /// How a failure ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
    /// When the fact began, where that is another time than that of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Timestamp>,
    /// Id of the deviation that this opens, changes or closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<String>,
    /// What accepts a failure that is `Excepted` now. Of one that is exempt by its own label, and in entries that were written
    /// before there was this field, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
}

/// The object that accepts a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Whether somebody has approved it; an emergency needs nobody.
    pub approved: bool,
    /// Its kind, and its name with its namespace, such as `ControlException shop/legacy`.
    pub by: Name,
}

/// What most verdicts rest on.
pub(super) const fn usual_strength() -> Strength {
    Strength::Declared
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_usual_strength(strength: &Strength) -> bool {
    *strength == usual_strength()
}

/// Why most outcomes change.
pub(super) const fn usual_cause() -> Cause {
    Cause::Object
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_usual_cause(cause: &Cause) -> bool {
    *cause == usual_cause()
}

/// An entry that is too large for a frame: what it says is in a blob. Readers put it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spilled {
    /// The type of the entry.
    pub of: String,
    /// Its fields.
    pub content: BlobRef,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Body {
    /// See [`Start`].
    Start(Start),
    /// See [`Stop`].
    Stop(Stop),
    /// See [`Term`].
    Term(Term),
    /// See [`PolicyChange`].
    PolicyChange(PolicyChange),
    /// See [`Transition`].
    Transition(Transition),
    /// See [`Population`].
    Population(Population),
    /// See [`Heartbeat`].
    Heartbeat(Heartbeat),
    /// See [`Intent`].
    Intent(Intent),
    /// See [`ActionOutcome`].
    Outcome(ActionOutcome),
    /// See [`Gap`].
    Gap(Gap),
    /// See [`Kept`].
    Kept(Kept),
    /// See [`Brake`].
    Brake(Brake),
    /// See [`Contended`].
    Contended(Contended),
    /// See [`Pause`].
    Pause(Pause),
    /// See [`Drill`].
    Drill(Drill),
    /// See [`EncryptionConfig`].
    EncryptionConfig(EncryptionConfig),
    /// A `ControlException` or `ClusterControlException`; see [`ObjectChange`].
    Exception(ObjectChange),
    /// An `Attestation`; see [`ObjectChange`].
    Attestation(ObjectChange),
    /// An `AccessReview`; see [`ObjectChange`].
    Review(ObjectChange),
    /// A `DeviationResponse`; see [`ObjectChange`].
    Response(ObjectChange),
    /// An `AuditPeriod`; see [`ObjectChange`].
    Period(ObjectChange),
    /// See [`Scope`].
    Scope(Scope),
    /// See [`Export`].
    Export(Export),
    /// See [`Epoch`].
    Epoch(Epoch),
    /// See [`KeyChange`].
    KeyChange(KeyChange),
    /// See [`Pruned`].
    Pruned(Pruned),
    /// See [`Spilled`].
    Spilled(Spilled),
}

impl Body {
    /// The types of entries, as [`Self::kind`] names them.
    pub const KINDS: [&str; 27] = [
        "start",
        "stop",
        "term",
        "policyChange",
        "transition",
        "population",
        "heartbeat",
        "intent",
        "outcome",
        "gap",
        "kept",
        "brake",
        "contended",
        "pause",
        "drill",
        "encryptionConfig",
        "exception",
        "attestation",
        "review",
        "response",
        "period",
        "scope",
        "export",
        "epoch",
        "keyChange",
        "pruned",
        "spilled",
    ];

    /// The entry's `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Term(_) => "term",
            Self::PolicyChange(_) => "policyChange",
            Self::Transition(_) => "transition",
            Self::Population(_) => "population",
            Self::Heartbeat(_) => "heartbeat",
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Gap(_) => "gap",
            Self::Kept(_) => "kept",
            Self::Brake(_) => "brake",
            Self::Contended(_) => "contended",
            Self::Pause(_) => "pause",
            Self::Drill(_) => "drill",
            Self::EncryptionConfig(_) => "encryptionConfig",
            Self::Exception(_) => "exception",
            Self::Attestation(_) => "attestation",
            Self::Review(_) => "review",
            Self::Response(_) => "response",
            Self::Period(_) => "period",
            Self::Scope(_) => "scope",
            Self::Export(_) => "export",
            Self::Epoch(_) => "epoch",
            Self::KeyChange(_) => "keyChange",
            Self::Pruned(_) => "pruned",
            Self::Spilled(_) => "spilled",
        }
    }

    /// That something happened to an object of a kind with which people take part.
    pub const fn of_people(kind: PeopleKind, said: ObjectChange) -> Self {
        match kind {
            PeopleKind::Exception | PeopleKind::ClusterException => Self::Exception(said),
            PeopleKind::Attestation => Self::Attestation(said),
            PeopleKind::Review => Self::Review(said),
            PeopleKind::Response => Self::Response(said),
            PeopleKind::Period => Self::Period(said),
        }
    }

    /// Whether some of its values may be kept as blobs.
    pub(super) const fn has_contents(&self) -> bool {
        matches!(
            self,
            Self::PolicyChange(_)
                | Self::Intent(_)
                | Self::Kept(_)
                | Self::Exception(_)
                | Self::Attestation(_)
                | Self::Review(_)
                | Self::Response(_)
                | Self::Period(_)
        )
    }

    /// The values in it that may be kept as blobs.
    pub fn contents(&self) -> Vec<&Content> {
        match self {
            Self::PolicyChange(change) => change.spec.iter().collect(),
            Self::Intent(intent) => intent.before.iter().chain(&intent.after).collect(),
            Self::Kept(kept) => vec![&kept.value],
            Self::Exception(said)
            | Self::Attestation(said)
            | Self::Review(said)
            | Self::Response(said)
            | Self::Period(said) => said.spec.iter().chain(&said.decision).collect(),
            _ => Vec::new(),
        }
    }

    /// The values in it that may be kept as blobs.
    pub(super) fn contents_mut(&mut self) -> Vec<&mut Content> {
        match self {
            Self::PolicyChange(change) => change.spec.iter_mut().collect(),
            Self::Intent(intent) => intent.before.iter_mut().chain(&mut intent.after).collect(),
            Self::Kept(kept) => vec![&mut kept.value],
            Self::Exception(said)
            | Self::Attestation(said)
            | Self::Review(said)
            | Self::Response(said)
            | Self::Period(said) => said.spec.iter_mut().chain(&mut said.decision).collect(),
            _ => Vec::new(),
        }
    }
}

macro_rules! into_body {
    ($($variant:ident($type:ident)),+) => {$(
        impl From<$type> for Body {
            fn from(said: $type) -> Self {
                Self::$variant(said)
            }
        }
    )+};
}
into_body!(
    Start(Start),
    Stop(Stop),
    Term(Term),
    PolicyChange(PolicyChange),
    Transition(Transition),
    Population(Population),
    Heartbeat(Heartbeat),
    Intent(Intent),
    Outcome(ActionOutcome),
    Gap(Gap),
    Kept(Kept),
    Brake(Brake),
    Contended(Contended),
    Pause(Pause),
    Drill(Drill),
    EncryptionConfig(EncryptionConfig),
    Scope(Scope),
    Export(Export),
    Epoch(Epoch),
    KeyChange(KeyChange),
    Pruned(Pruned)
);
