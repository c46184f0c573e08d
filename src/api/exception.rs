//! What `ControlException` and `ClusterControlException` have in common: what is accepted, for
//! whom, why, and until when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Decision, policy::LabelSelectorSchema};

/// Why a failure is accepted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ExceptionKind {
    /// The rule is wrong about these subjects. It ends when the rule changes its version.
    FalsePositive,
    /// The risk is known, and borne.
    AcceptedRisk,
    /// Something else does what the control is for.
    CompensatingControl,
    /// It is being mended.
    Migration,
}

impl ExceptionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::FalsePositive,
        Self::AcceptedRisk,
        Self::CompensatingControl,
        Self::Migration,
    ];

    /// The name used in the API, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FalsePositive => "FalsePositive",
            Self::AcceptedRisk => "AcceptedRisk",
            Self::CompensatingControl => "CompensatingControl",
            Self::Migration => "Migration",
        }
    }
}

/// What is accepted, why, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exemption {
    /// Id of the control that may fail, such as `net-namespace-default-deny`.
    #[schemars(length(min = 1, max = 63))]
    pub control: String,

    /// Why it may: `FalsePositive` needs `ruleVersion` and ends when the rule changes;
    /// `AcceptedRisk`, `CompensatingControl` and `Migration` end at `expiresAt`.
    pub kind: ExceptionKind,

    /// Version of the rule that is wrong, for `FalsePositive`; `probity explain` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rule_version: Option<u32>,

    /// Labels of the subjects, where they are not named one by one. `{}` is every object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LabelSelectorSchema>")]
    pub selector: Option<serde_json::Value>,

    /// The reason, for those who approve and those who audit.
    #[schemars(length(min = 1, max = 2048))]
    pub reason: String,

    /// The ticket that documents it.
    #[schemars(length(min = 1, max = 256))]
    pub ticket: String,

    /// When it ends by itself: at most 90 days after its creation, unless the installation says
    /// otherwise. It can't be moved: make another exception.
    pub expires_at: Time,

    /// Who asks: the user that creates it, as the API server knows them. Admission compares it.
    /// Somebody else has to approve.
    #[schemars(length(min = 1, max = 512))]
    pub requested_by: String,

    /// It works at once and without approval, for at most eight hours. Unapproved after 72 hours
    /// it is itself a deviation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// Status of an exception: what somebody decided, and what the operator sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatus {
    /// What somebody else than the requester decided; see `probity approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What the operator sees; nobody else may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedException>,
}

/// What the operator sees of an exception.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedException {
    /// Where it stands.
    pub phase: ExceptionPhase,
    /// Since when, by the operator's observation.
    pub since: Time,
    /// When the decision was first seen.
    pub decided_at: Option<Time>,
    /// Subjects that fail, and are accepted because of it.
    pub subjects: i64,
    /// Where it stands, in a sentence.
    pub message: String,
}

/// Where an exception stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ExceptionPhase {
    /// Nobody has approved it: it does nothing.
    Pending,
    /// It works without approval, for a while.
    BreakGlass,
    /// It is approved, and works.
    Active,
    /// Somebody refused it.
    Rejected,
    /// Its time is over.
    Expired,
    /// The rule that it calls wrong has another version now.
    RuleChanged,
    /// It worked without approval, and nobody has approved it for too long.
    Unapproved,
    /// It can't be used; the message says why.
    Invalid,
}

impl ExceptionPhase {
    /// The name used in the API, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::BreakGlass => "BreakGlass",
            Self::Active => "Active",
            Self::Rejected => "Rejected",
            Self::Expired => "Expired",
            Self::RuleChanged => "RuleChanged",
            Self::Unapproved => "Unapproved",
            Self::Invalid => "Invalid",
        }
    }
}

/// The rule that subjects are named one by one or by their labels, but not both.
pub(super) fn names_subjects() -> Rule {
    Rule::new("has(self.subjects) != has(self.selector)")
        .message("name the subjects in spec.subjects, or select them by spec.selector: one of both")
}

/// The rule that what is called wrong is one version of a rule.
pub(super) fn names_rule_version() -> Rule {
    Rule::new("(self.kind == 'FalsePositive') == has(self.ruleVersion)").message(
        "a FalsePositive needs spec.ruleVersion, which `probity explain` prints; others end by \
         expiresAt alone",
    )
}

/// The rule that time and requester stay as they were asked for.
pub(super) fn keeps_bounds() -> Rule {
    Rule::new("self.expiresAt == oldSelf.expiresAt && self.requestedBy == oldSelf.requestedBy")
        .message("spec.expiresAt and spec.requestedBy can't be changed: make another exception")
}

/// The rule that what works without approval is not widened meanwhile.
pub(super) fn keeps_broken_glass() -> Rule {
    Rule::new(
        "has(self.breakGlass) == has(oldSelf.breakGlass) && \
         (!has(self.breakGlass) || self.breakGlass == oldSelf.breakGlass) && \
         (!has(self.breakGlass) || !self.breakGlass || self == oldSelf)",
    )
    .message(
        "an exception with breakGlass can't be changed, nor can another become one: make another \
         exception",
    )
}
