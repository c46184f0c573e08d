//! What was seen, and what was not: populations, heartbeats, gaps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Counts, Name, SubjectRef, Word};
use crate::evidence::words::Freshness;

/// Subjects joined or left a population. Batched, so that churn doesn't flood the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Population {
    /// The policies concerned.
    pub policies: Vec<Name>,
    /// The control.
    pub control: Word,
    /// Who joined.
    pub joined: Vec<SubjectRef>,
    /// Who left.
    pub left: Vec<SubjectRef>,
}

/// Counts of one control in one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlCounts {
    /// The policy.
    pub policy: Name,
    /// The control.
    pub control: Name,
    /// Subjects by outcome.
    pub by_outcome: Counts,
}

/// How current one kind is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindFreshness {
    /// API group.
    pub group: Name,
    /// Kind.
    pub kind: Name,
    /// Its state.
    pub state: Freshness,
    /// When the server was last heard about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
}

/// Nothing else happened, or did: the whole table in numbers, so that silence is visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// All subjects.
    pub subjects: u64,
    /// Subjects by outcome.
    pub by_outcome: Counts,
    /// The same per policy and control.
    pub controls: Vec<ControlCounts>,
    /// SHA-256 of the verdict table.
    pub table_digest: String,
    /// How current each kind is.
    pub kinds: Vec<KindFreshness>,
}

/// Something was not observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// `all`, a kind or a control.
    pub scope: String,
    /// Since when.
    pub from: Timestamp,
    /// Until when; none while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Why.
    pub cause: String,
}

/// Which encryption configuration an API server uses, where the log knew of none or of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionConfig {
    /// Address of the API server.
    pub server: Name,
    /// Hash of the configuration that it used before; none where it is seen for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Hash of the configuration that it uses, as the server itself shows it.
    pub to: String,
    /// When it was in use at the latest.
    pub since: Timestamp,
}
