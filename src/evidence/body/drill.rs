//! Restore drills: what was tried, and what came back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Name, Word};

/// A restore drill has come to an end, and its sandbox is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// The policies that asked for it.
    pub policies: Vec<Name>,
    /// The control that it is evidence for.
    pub control: Word,
    /// The namespace whose backup was restored.
    pub namespace: Name,
    /// The Restore, by which Velero keeps its own log; its id in intents and labels.
    pub restore: Name,
    /// The backup that was restored; absent where a crash took that knowledge with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Name>,
    /// Where it was restored to.
    pub sandbox: Name,
    /// When it began.
    pub from: Timestamp,
    /// When it was clear how it ended, before the sandbox was deleted.
    pub to: Timestamp,
    /// Whether everything came back.
    pub passed: bool,
    /// What happened.
    pub message: String,
    /// What Velero counted and the sandbox held, as far as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_back: Option<CameBack>,
}

/// What came back in a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CameBack {
    /// Objects restored.
    pub items: u64,
    /// Claims restored.
    pub claims: u64,
    /// Those of them that had a volume.
    pub bound: u64,
    /// Velero's errors.
    pub errors: u64,
    /// Velero's warnings.
    pub warnings: u64,
}
