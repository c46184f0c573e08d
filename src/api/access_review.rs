//! `AccessReview`: somebody looks at who may do what, row by row.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct inside a function body"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type of its own"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An `AccessReview` is one look at the effective rights in one namespace, in the namespaces of one
/// owner, or in the cluster as a whole. The operator freezes the listing in the evidence log; a
/// person decides about each row; and the operator sees whether what was to be revoked is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "AccessReview",
    plural = "accessreviews",
    shortname = "arev",
    category = "probity",
    status = "AccessReviewStatus",
    derive = "PartialEq",
    validation = review_stands(),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.namespace"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.observed.rows"),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.observed.phase"
    ),
    printcolumn(name = "Reviewer", type_ = "string", json_path = ".status.review.by"),
    printcolumn(name = "Due", type_ = "string", json_path = ".spec.due"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    validation = Rule::new("self == oldSelf")
        .message("what is reviewed is frozen: make another review"),
    validation = Rule::new("!has(self.namespace) || !has(self.owner)")
        .message("a review is of one namespace, of one owner's, or with neither of the cluster")
)]
#[serde(rename_all = "camelCase")]
pub struct AccessReviewSpec {
    /// The namespace whose bindings are reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// The owner, by the label of namespaces, whose namespaces' bindings are reviewed. With
    /// neither namespace nor owner it is the bindings of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub owner: Option<String>,

    /// Which part of a listing of more than 1,000 rows.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    #[schemars(range(min = 1, max = 1000))]
    pub part: u32,

    /// When it must be done.
    pub due: Time,
}

const fn first() -> u32 {
    1
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_first(part: &u32) -> bool {
    *part == 1
}

/// Status of a review: what somebody decided, and what the operator sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessReviewStatus {
    /// What somebody decided about every row; see `probity review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// What the operator sees; nobody else may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedReview>,
}

/// What a person decided about every row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Who decided: the user as the API server knows them. Admission compares it.
    #[schemars(length(min = 1, max = 512))]
    pub by: String,
    /// SHA-256 of the listing that was decided about.
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// What was decided, by the id of the row.
    #[schemars(extend("maxProperties" = 1000))]
    pub rows: BTreeMap<String, RowDecision>,
}

/// What is to become of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RowDecision {
    /// It is needed.
    Keep,
    /// It has to go.
    Revoke,
}

/// What the operator sees of a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedReview {
    /// Where it stands.
    pub phase: ReviewPhase,
    /// Since when, by the operator's observation.
    pub since: Time,
    /// SHA-256 of the frozen listing.
    pub sha256: Option<String>,
    /// Rows of the frozen listing.
    pub rows: i64,
    /// Rows of all parts.
    pub all_rows: i64,
    /// When the listing was frozen.
    pub frozen_at: Option<Time>,
    /// When the decisions were first seen.
    pub decided_at: Option<Time>,
    /// Rows to be revoked that are still there.
    pub remaining: i64,
    /// Where it stands, in a sentence.
    pub message: String,
}

/// Where a review stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ReviewPhase {
    /// The listing is not frozen yet.
    Pending,
    /// It waits for a person.
    Open,
    /// All is decided, and something is still to be revoked.
    Decided,
    /// All is decided, and what was to be revoked is gone.
    Done,
    /// It can't count; the message says why.
    Invalid,
}

fn review_stands() -> Rule {
    Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.review) || \
         has(self.status) && has(self.status.review) && \
         self.status.review == oldSelf.status.review",
    )
    .message("it is reviewed, and what was decided stands: make another review")
}
