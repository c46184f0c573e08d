//! `ControlException`: failures that are accepted in one namespace.

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

/// A subject in the namespace of the exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedSubject {
    /// Kind, as violations name it, such as `Deployment`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
}

/// A `ControlException` accepts failures of one control in its own namespace, so that a team may
/// ask for it. It does nothing before somebody else has approved it, and it ends by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "ControlException",
    plural = "controlexceptions",
    shortname = "ctlx",
    category = "probity",
    namespaced,
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
pub struct ControlExceptionSpec {
    /// What is accepted, why, and until when.
    #[serde(flatten)]
    pub exemption: Exemption,

    /// The subjects that may fail, at most 64, all in this namespace; the namespace itself is one
    /// of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub subjects: Vec<NamedSubject>,
}
