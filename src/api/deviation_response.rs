//! `DeviationResponse`: what management says about one deviation.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct inside a function body"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type of its own"
)]

use kube::{CustomResource, KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

/// A `DeviationResponse` is management's response to one deviation. Every version of it is kept in
/// the evidence log, and printed beside the deviation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "DeviationResponse",
    plural = "deviationresponses",
    shortname = "devr",
    category = "probity",
    derive = "PartialEq",
    printcolumn(name = "Deviation", type_ = "string", json_path = ".spec.deviation"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Ticket", type_ = "string", json_path = ".spec.ticket"),
    printcolumn(name = "Author", type_ = "string", json_path = ".spec.author"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = keeps_deviation())]
#[serde(rename_all = "camelCase")]
pub struct DeviationResponseSpec {
    /// Id of the deviation, as the log and reports print it.
    #[schemars(length(max = 16), regex(pattern = r"^[0-9a-f]{16}$"))]
    pub deviation: String,

    /// Why it came to be.
    #[schemars(length(min = 1, max = 4096))]
    pub cause: String,

    /// What it led to, or could have.
    #[schemars(length(min = 1, max = 4096))]
    pub impact: String,

    /// What was done about it, and is done so that it does not come again.
    #[schemars(length(min = 1, max = 4096))]
    pub action: String,

    /// Who answers for the action.
    #[schemars(length(min = 1, max = 256))]
    pub owner: String,

    /// The ticket that documents it.
    #[schemars(length(min = 1, max = 256))]
    pub ticket: String,

    /// The risk that is left, or its number in the register of risks.
    #[schemars(length(min = 1, max = 2048))]
    pub risk: String,

    /// Who wrote this version: the user as the API server knows them. Admission compares it.
    #[schemars(length(min = 1, max = 512))]
    pub author: String,
}

fn keeps_deviation() -> Rule {
    Rule::new("self.deviation == oldSelf.deviation")
        .message("a response stays with its deviation: make another one")
}
