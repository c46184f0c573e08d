//! `Attestation`: what a person says of something that no cluster shows.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct inside a function body"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type of its own"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Decision, decision};

/// An `Attestation` says that an attested control was operated, in a person's own name, and points
/// at the evidence. It counts when somebody else has approved it, and until it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "Attestation",
    plural = "attestations",
    shortname = "attest",
    category = "probity",
    status = "AttestationStatus",
    derive = "PartialEq",
    validation = decision::stands(),
    validation = decision::settles_spec(),
    printcolumn(name = "Control", type_ = "string", json_path = ".spec.control"),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.observed.phase"
    ),
    printcolumn(name = "Attested By", type_ = "string", json_path = ".spec.attestedBy"),
    printcolumn(
        name = "Decided By",
        type_ = "string",
        json_path = ".status.decision.by"
    ),
    printcolumn(
        name = "Valid Until",
        type_ = "string",
        json_path = ".spec.validUntil"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    validation = keeps_attester(),
    validation = Rule::new("self.to >= self.from")
        .message("spec.to lies before spec.from: the period that is covered ends after it begins")
)]
#[serde(rename_all = "camelCase")]
pub struct AttestationSpec {
    /// Id of the attested control, such as `attest-security-training`.
    #[schemars(length(min = 1, max = 63))]
    pub control: String,

    /// What is said, in sentences; the page of the control says what has to be in it.
    #[schemars(length(min = 1, max = 8192))]
    pub statement: String,

    /// Begin of the time that it is about.
    pub from: Time,

    /// End of the time that it is about.
    pub to: Time,

    /// Who says it: the user that creates it, as the API server knows them. Admission compares it.
    /// Somebody else has to approve.
    #[schemars(length(min = 1, max = 512))]
    pub attested_by: String,

    /// Until when it counts. The control may ask for another one earlier.
    pub valid_until: Time,

    /// The evidence, at most 16 documents. They stay where they are.
    #[schemars(length(min = 1, max = 16))]
    pub evidence: Vec<EvidenceReference>,
}

/// Where a document is, and what it was when it was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceReference {
    /// Its address, without credentials.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^[a-z][a-z0-9+.-]*:[^@]+$")
    )]
    pub uri: String,
    /// SHA-256 of the document, in lower-case hex.
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// Status of an attestation: what somebody decided, and what the operator sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestationStatus {
    /// What somebody else than the attester decided; see `probity approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What the operator sees; nobody else may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedAttestation>,
}

/// What the operator sees of an attestation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedAttestation {
    /// Where it stands.
    pub phase: AttestationPhase,
    /// Since when, by the operator's observation.
    pub since: Time,
    /// When the decision was first seen.
    pub decided_at: Option<Time>,
    /// Where it stands, in a sentence.
    pub message: String,
}

/// Where an attestation stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum AttestationPhase {
    /// Nobody has approved it: it does not count.
    Pending,
    /// It is approved, and counts.
    Valid,
    /// Somebody refused it.
    Rejected,
    /// Its time is over.
    Expired,
    /// It can't count; the message says why.
    Invalid,
}

fn keeps_attester() -> Rule {
    Rule::new("self.attestedBy == oldSelf.attestedBy")
        .message("spec.attestedBy can't be changed: make another attestation")
}
