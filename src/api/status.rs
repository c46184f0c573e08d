//! Status of a `ControlPolicy`: counts, a bounded list of violations, and where the evidence is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::verdict::{Outcome, Severity, Strength};

/// What the operator found, as counts; details are in the evidence log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPolicyStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Mode of its controls: `Mixed` where some enforce and others observe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeInForce>,

    /// `Ready`, `Compliant`, `Enforcing`, `Contended`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Controls and subjects by outcome.
    #[serde(default)]
    pub summary: Summary,

    /// When a subject last went from passing to failing because an object or time changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift: Option<Time>,

    /// One element per control, in the order of the documentation.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub controls: Vec<ControlStatus>,

    /// What enforcement did and did not do since the policy's generation became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<EnforcementStatus>,

    /// How far the evidence log reaches that this status rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidencePosition>,
}

/// What the modes of a policy's controls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModeInForce {
    /// All observe.
    Observe,
    /// All enforce.
    Enforce,
    /// Some enforce, others observe.
    Mixed,
}

impl ModeInForce {
    /// What these modes come to; `otherwise` where there are none.
    pub fn of(modes: impl IntoIterator<Item = Mode>, otherwise: Mode) -> Self {
        let mut modes = modes.into_iter();
        let first = modes.next().unwrap_or(otherwise);
        match first {
            _ if modes.any(|mode| mode != first) => Self::Mixed,
            Mode::Observe => Self::Observe,
            Mode::Enforce => Self::Enforce,
        }
    }

    /// Name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => Mode::Observe.as_str(),
            Self::Enforce => Mode::Enforce.as_str(),
            Self::Mixed => "Mixed",
        }
    }
}

/// Controls and subjects by outcome.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Controls that pass, of those that apply: `12/14`.
    pub passing: String,
    /// Failing subjects, summed over controls.
    pub failing: i64,
    /// Controls by outcome.
    pub controls: OutcomeCounts,
    /// Subjects by outcome, summed over controls.
    pub subjects: OutcomeCounts,
}

/// Counts by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCounts {
    /// Satisfied.
    pub pass: i64,
    /// Not satisfied.
    pub fail: i64,
    /// Not satisfied, and accepted by an exception.
    pub excepted: i64,
    /// The rule has nothing to say.
    pub not_applicable: i64,
    /// Nobody can tell.
    pub unknown: i64,
}

/// One control of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlStatus {
    /// Id, such as `net-namespace-default-deny`.
    pub id: String,
    /// Trust Services Criteria that it supports.
    pub criteria: Vec<String>,
    /// Outcome of the control.
    pub outcome: Outcome,
    /// Severity of its failures.
    pub severity: Severity,
    /// Mode in force for it.
    pub mode: Mode,
    /// Since when it enforces, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcing_since: Option<Time>,
    /// Subjects in scope.
    pub population: i64,
    /// Subjects by outcome.
    pub subjects: OutcomeCounts,
    /// Since when the control has this outcome.
    pub since: Time,
    /// When a subject last drifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift: Option<Time>,
    /// How the last drift ended: `PutBack`, `FixedByOthers`, … or `Open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift_ended: Option<String>,
    /// The worst violations, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Violations that are not listed here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: i64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// A subject that fails or can't be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Kind of the subject.
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// `Fail` or `Unknown`.
    pub outcome: Outcome,
    /// What the verdict rests on.
    pub strength: Strength,
    /// The fact that is wrong, in one word.
    pub reason: String,
    /// The fact in a sentence.
    pub message: String,
    /// Since when.
    pub since: Time,
}

/// What enforcement did and did not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnforcementStatus {
    /// Remedies carried out.
    pub written: i64,
    /// Failing subjects with a remedy that is only proposed, because they failed before Enforce
    /// began.
    pub proposed_existing: i64,
    /// … because someone else owns the object or the field.
    pub proposed_owner: i64,
    /// … because we lack the right to write.
    pub not_allowed: i64,
    /// … because the budget or the brake holds them back.
    pub held_back: i64,
    /// … because a person paused the object or its namespace.
    pub paused: i64,
    /// … because another field manager keeps writing back.
    pub contended: i64,
    /// … because the server, the dry run or a missing condition refused it.
    pub refused: i64,
}

/// A position in the evidence log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidencePosition {
    /// The log: the replica that keeps it.
    pub log: String,
    /// Sequence number of the last entry about this policy.
    pub seq: i64,
}
