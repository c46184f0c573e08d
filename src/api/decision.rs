//! Decisions of people: who approved or refused what. They are written through the status
//! subresource, so that another right is needed than to ask, and GitOps neither writes nor
//! reverts them.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a person decided about an object as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// `Approved` or `Rejected`.
    pub verdict: DecisionVerdict,
    /// Who decided: the user as the API server knows them. Admission compares it.
    #[schemars(length(min = 1, max = 512))]
    pub by: String,
    /// The generation that was decided about.
    #[schemars(range(min = 1))]
    pub generation: i64,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub comment: Option<String>,
}

/// Whether somebody agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecisionVerdict {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

impl DecisionVerdict {
    /// The name used in the API and in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
        }
    }
}

/// The rule that a decision stands.
pub(super) fn stands() -> Rule {
    Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.decision) || \
         has(self.status) && has(self.status.decision) && \
         self.status.decision == oldSelf.status.decision",
    )
    .message("it is decided, and a decision stands: delete the object and ask anew")
}

/// The rule that what was decided about stays as it was.
pub(super) fn settles_spec() -> Rule {
    Rule::new("!has(oldSelf.status) || !has(oldSelf.status.decision) || self.spec == oldSelf.spec")
        .message("it is decided, and what was decided about stays: delete the object and ask anew")
}
