//! What an entry says about the log itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Word;
use crate::evidence::blob::BlobRef;

/// The first entry of every log epoch: which log this is, who signs it, and what was before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// Name of the log: the first line of its checkpoints.
    pub origin: String,
    /// Verifier key of the signer, as C2SP signed notes write it.
    pub key: String,
    /// Why a new log begins.
    pub cause: Word,
    /// The last that is known of the log before: what was anchored outside of its volume, or what its folder holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Anchored>,
    /// The log before came to its end in good order: its last entry says that the key of this one takes over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub planned: bool,
}

impl Epoch {
    /// Whether the log before it could not go on, into which a person should look.
    pub const fn is_break(&self) -> bool {
        self.before.is_some() && !self.planned
    }
}

/// A tree head that is known from outside of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchored {
    /// Name of the log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root hash, in base64 as in a checkpoint.
    pub root: String,
    /// Where it was found.
    pub source: String,
}

/// Entries are about to be removed because they are older than what is kept. Their hashes stay in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// All entries before this one.
    pub before: u64,
    /// They were logged before this time.
    pub until: Timestamp,
    /// By which rule, such as `400 days after the end of AuditPeriod/2026-h1`.
    pub rule: String,
    /// Those of them that still matter, as they were, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<BlobRef>,
}

/// The end of a log: another key takes over, and signs the next one. The old key signs the checkpoint that covers this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyChange {
    /// Verifier key until now, under the name of this log.
    pub old: String,
    /// Verifier key from now on, under the name of this log. Logs have names of their own: the next one has another.
    pub new: String,
}
