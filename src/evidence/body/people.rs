//! What people do: exceptions, attestations, reviews, responses, audit periods. One shape for all of them, because an
//! auditor asks the same of each: what was changed, when, by whom, and who approved it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Content, Name, Word};
use crate::evidence::words::Step;

/// The reason that an entry gives with a decision that does not count: by the one who asked, by no person, or about
/// something else.
pub const INVALID: &str = "Invalid";

/// An object with which people take part was created, changed, decided, ended or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// Its kind, such as `ControlException`.
    pub kind: Word,
    /// Its namespace, unless it is cluster-scoped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// Its UID.
    pub uid: Name,
    /// Its generation: the version of the spec.
    pub generation: u64,
    /// What happened.
    pub step: Step,
    /// Who did it: the authenticated user where admission recorded it, else the field manager.
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
    /// What was decided, from the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Content>,
    /// Rows of all parts of a review, with the listing of one part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_rows: Option<u64>,
    /// Why it ended by itself, or what was seen done, in one word; [`INVALID`] with a decision that does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Word>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A pack was made of this log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// What was exported, such as `AuditPeriod/2026-h1`.
    pub of: String,
    /// SHA-256 of its `SHA256SUMS`.
    pub digest: String,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// Namespaces that a policy leaves out of a control, whenever they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The policies concerned.
    pub policies: Vec<Name>,
    /// The control.
    pub control: Word,
    /// Version of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<u32>,
    /// Hash of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_hash: Option<String>,
    /// Hash of the scope.
    pub scope_hash: String,
    /// How many namespaces are in scope.
    pub included: u64,
    /// The others.
    pub excluded: Vec<Excluded>,
    /// More controls of the same policies of which all of this is true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Scoped>,
}

/// A control that has the same scope as another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scoped {
    /// The control.
    pub control: Word,
    /// Version of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<u32>,
    /// Hash of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_hash: Option<String>,
}

/// A namespace that is out of scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Its name.
    pub namespace: Name,
    /// Why, such as `listed in spec.scope.exclude`.
    pub reason: Word,
}
