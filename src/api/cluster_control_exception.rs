//! `ClusterControlException`: failures that are accepted anywhere in the cluster.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct inside a function body"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type of its own"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    decision,
    exception::{self, ExceptionStatus, Exemption},
};

/// A subject anywhere in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedSubject {
    /// Kind, as violations name it, such as `ClusterRoleBinding`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Namespace; absent for what is in none, such as a namespace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
}

/// A `ClusterControlException` accepts failures of one control anywhere in the cluster. It does
/// nothing before somebody else has approved it, and it ends by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "ClusterControlException",
    plural = "clustercontrolexceptions",
    shortname = "cctlx",
    category = "probity",
    status = "ExceptionStatus",
    derive = "PartialEq",
    validation = decision::stands(),
    validation = decision::settles_spec(),
    printcolumn(name = "Control", type_ = "string", json_path = ".spec.control"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.observed.phase"
    ),
    printcolumn(
        name = "Subjects",
        type_ = "integer",
        json_path = ".status.observed.subjects"
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(
        name = "Decided By",
        type_ = "string",
        json_path = ".status.decision.by"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    validation = exception::names_subjects(),
    validation = exception::names_rule_version(),
    validation = exception::keeps_bounds(),
    validation = exception::keeps_broken_glass(),
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterControlExceptionSpec {
    /// What is accepted, why, and until when.
    #[serde(flatten)]
    pub exemption: Exemption,

    /// The subjects that may fail, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub subjects: Vec<PlacedSubject>,

    /// Namespaces in which `selector` selects; everywhere where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 63)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub namespaces: Vec<String>,
}
