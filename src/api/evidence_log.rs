//! `EvidenceLog`: where a replica's log stands, kept by the API server, apart from the log's volume.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct inside a function body"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type of its own"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Annotation with which a person says that they have looked into why a new log began: its value is
/// the origin of that log.
pub const ACKNOWLEDGED: &str = "probity.dev/acknowledged";

/// An `EvidenceLog` tells where the evidence log of one replica stands: its size, root and signed
/// checkpoint. A log that is later shorter than this, or different, is found out. Probity writes
/// it; nobody else should.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "EvidenceLog",
    plural = "evidencelogs",
    shortname = "evl",
    category = "probity",
    status = "EvidenceLogStatus",
    derive = "PartialEq",
    printcolumn(name = "Size", type_ = "integer", json_path = ".status.size"),
    printcolumn(
        name = "Intact",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Intact')].status"
    ),
    printcolumn(
        name = "Anchored",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='ExternallyAnchored')].status"
    ),
    printcolumn(name = "Log", type_ = "string", json_path = ".status.origin"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLogSpec {
    /// Namespace in which the replica runs.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// Where a log stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLogStatus {
    /// Name of the log: the first line of its checkpoints.
    #[schemars(length(max = 512))]
    pub origin: String,
    /// Key that checks its signatures, as C2SP signed notes write it. Auditors should get it from
    /// here, or from a person, and not with the log.
    #[schemars(length(max = 1024))]
    pub key: String,
    /// Entries.
    #[schemars(range(min = 0))]
    pub size: i64,
    /// RFC 6962 root hash over them, in base64.
    #[schemars(length(max = 64))]
    pub root: String,
    /// The signed checkpoint that says so.
    #[schemars(length(max = 4096))]
    pub checkpoint: String,
    /// Where else the checkpoint is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub anchors: Vec<AnchorStatus>,
    /// `Intact`: the log is the one that was anchored before. `Published`: its tree can be written.
    /// `ExternallyAnchored`: a checkpoint is kept where this cluster's administrators can't change
    /// it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// A place where checkpoints are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnchorStatus {
    /// Where, such as `ConfigMap/audit/probity-0`.
    #[schemars(length(max = 512))]
    pub target: String,
    /// The last size that it has taken.
    #[schemars(range(min = 0))]
    pub size: i64,
    /// When it took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it takes no more, if it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub problem: Option<String>,
}
