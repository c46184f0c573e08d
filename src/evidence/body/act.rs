//! What an entry says about writes to objects, and about what remedies rest on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Content, Name, SubjectRef, Word};
use crate::evidence::words::{Action, ActionResult, BrakeState};

/// We are about to write. Synced before the request is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Ties the outcome to the intent; unique in a log.
    pub id: u64,
    /// What kind of write.
    pub action: Action,
    /// The policies concerned.
    pub policies: Vec<Name>,
    /// The control.
    pub control: Word,
    /// The object.
    pub target: SubjectRef,
    /// Hash of the request's content.
    pub content_hash: String,
    /// The object or fields before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Content>,
    /// The object or fields as we want them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Content>,
    /// How to undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionOutcome {
    /// The intent's id.
    pub intent: u64,
    /// The result.
    pub result: ActionResult,
    /// What the server said.
    pub message: String,
    /// The object's version afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A field's value at a `Pass`: what a later `PutBack` may restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The control.
    pub control: Word,
    /// The subject.
    pub subject: SubjectRef,
    /// Path of the field.
    pub field: String,
    /// Its value.
    pub value: Content,
}

/// A brake latched or was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brake {
    /// The control.
    pub control: Word,
    /// The policy.
    pub policy: Name,
    /// Its state.
    pub state: BrakeState,
    /// Why.
    pub reason: String,
}

/// Someone keeps putting a field back; we leave it alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contended {
    /// The control.
    pub control: Word,
    /// The subject.
    pub subject: SubjectRef,
    /// Path of the field.
    pub field: String,
    /// The other field manager.
    pub manager: String,
    /// Until when.
    pub until: Timestamp,
}

/// A person asked us to leave something alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What: a policy, namespace or object.
    pub target: String,
    /// Until when; none when it ends now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}
