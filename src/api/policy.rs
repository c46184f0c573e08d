//! `ControlPolicy`: which controls, on which scope, with which parameters and mode.

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

use super::{ControlPolicyStatus, Controls};

/// Whether failures are only recorded, or put right too.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Mode {
    /// Judge and record; write nothing to users' objects.
    #[default]
    Observe,
    /// Judge, record, and carry out safe remedies for what changes from now on.
    Enforce,
}

impl Mode {
    /// Name in the API and in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "Observe",
            Self::Enforce => "Enforce",
        }
    }
}

/// What to do about failures that were there before Enforce began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Existing {
    /// Propose their remedies.
    #[default]
    Propose,
    /// Carry their remedies out as well.
    Remediate,
}

/// Other tools' objects into which the status is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reports {
    /// None.
    #[default]
    None,
    /// A `ClusterReport` of `openreports.io`, and a `Report` in each namespace in which something
    /// is listed, where the cluster serves them. The chart must grant that with `openReports.enabled`.
    OpenReports,
    /// The same as `ClusterPolicyReport` and `PolicyReport` of `wgpolicyk8s.io`. The chart must grant
    /// that with `policyReports.enabled`.
    PolicyReports,
}

/// A `ControlPolicy` says which SOC 2 controls must hold, where, and whether Probity puts drift
/// back. Compliance is recorded in its status, in metrics, and in the evidence log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "ControlPolicy",
    plural = "controlpolicies",
    shortname = "ctlp",
    category = "probity",
    status = "ControlPolicyStatus",
    derive = "PartialEq",
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.mode"),
    printcolumn(
        name = "Compliant",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Compliant')].status"
    ),
    printcolumn(
        name = "Passing",
        type_ = "string",
        json_path = ".status.summary.passing"
    ),
    printcolumn(
        name = "Failing",
        type_ = "integer",
        json_path = ".status.summary.failing"
    ),
    printcolumn(name = "Last Drift", type_ = "date", json_path = ".status.lastDrift"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ControlPolicySpec {
    /// Mode of all controls that don't say otherwise.
    #[serde(default)]
    pub mode: Mode,

    /// Stops all writes in the name of this policy. It is still judged, and its status says how it
    /// is; but the suspended time is a gap in the evidence, and what fails in it is not put back
    /// later.
    #[serde(default)]
    pub suspend: bool,

    /// What to do about failures that were there before Enforce began.
    #[serde(default)]
    pub existing: Existing,

    /// Namespaces, by label, in which writes are allowed: a staged roll-out. All are judged
    /// whatever it says. Objects outside namespaces are written only where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LabelSelectorSchema>")]
    pub enforce_selector: Option<serde_json::Value>,

    /// Namespaces that are judged.
    #[serde(default)]
    pub scope: ScopeSpec,

    /// How much may be written.
    #[serde(default)]
    pub limits: Limits,

    /// Who authorised enforcement, for the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,

    /// Write also to objects that Argo CD, Flux, Helm, a controller or another field manager
    /// owns. They may write back.
    #[serde(default)]
    pub override_owners: bool,

    /// Field managers that are people at a keyboard, beside `kubectl*`, `k9s`, `Lens`,
    /// `Headlamp` and `oc`. A trailing `*` matches any rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 128)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub people: Vec<String>,

    /// Other tools' objects into which the status is copied. They hold what the status lists, and
    /// are deleted when this is taken back or the policy is deleted.
    #[serde(default)]
    pub reports: Reports,

    /// The controls, each with its parameters.
    pub controls: Controls,
}

/// Namespaces that are judged: all but `kube-system`, `kube-public`, `kube-node-lease` and
/// Probity's own, unless this says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.include) || !has(self.exclude) || !self.include.exists(n, n in self.exclude)")
        .message("a namespace is both included and excluded: name it in only one of scope.include and scope.exclude")
)]
pub struct ScopeSpec {
    /// Labels that a namespace must have. Absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LabelSelectorSchema>")]
    pub namespace_selector: Option<serde_json::Value>,

    /// If given, only these namespaces; system namespaces can be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub include: Vec<String>,

    /// Never these namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub exclude: Vec<String>,
}

/// How much Enforce may write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Writes to users' objects per minute, for all controls of the policy together.
    #[serde(default = "writes_per_minute")]
    #[schemars(range(min = 1, max = 6000))]
    pub writes_per_minute: u32,

    /// The brake: percentage of a control's population that may be changed within ten minutes
    /// (five subjects always may). Beyond it the control stops writing until `release` changes.
    #[serde(default = "max_share_of_kind")]
    #[schemars(range(min = 1, max = 100))]
    pub max_share_of_kind: u32,

    /// Change this to any other value to release latched brakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub release: Option<String>,
}

const fn writes_per_minute() -> u32 {
    60
}

const fn max_share_of_kind() -> u32 {
    10
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writes_per_minute: writes_per_minute(),
            max_share_of_kind: max_share_of_kind(),
            release: None,
        }
    }
}

/// Who authorised enforcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The person who approved it.
    #[schemars(length(min = 1, max = 128))]
    pub approved_by: String,

    /// The ticket that documents it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub ticket: Option<String>,
}

/// A label selector, with the bounds that keep its validation cheap.
#[derive(JsonSchema)]
#[allow(
    dead_code,
    reason = "only its schema is used; the value is parsed by the inventory's own selector"
)]
#[schemars(rename_all = "camelCase")]
pub(crate) struct LabelSelectorSchema {
    /// Labels that must have exactly these values.
    #[schemars(extend("maxProperties" = 32))]
    match_labels: Option<std::collections::BTreeMap<String, LabelValueSchema>>,
    /// Further requirements, all of which must hold.
    #[schemars(length(max = 32))]
    match_expressions: Option<Vec<LabelExpressionSchema>>,
}

/// The value of a label.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
#[schemars(inline)]
struct LabelValueSchema(#[schemars(length(max = 63))] String);

/// One requirement of a label selector.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
#[schemars(
    rename_all = "camelCase",
    extend("x-kubernetes-validations" = [
        {
            "rule": "self.operator in ['Exists', 'DoesNotExist'] || (has(self.values) && size(self.values) > 0)",
            "message": "In and NotIn need values: name at least one, or use Exists or DoesNotExist",
            "fieldPath": ".values",
            "reason": "FieldValueRequired"
        },
        {
            "rule": "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
            "message": "Exists and DoesNotExist take no values: remove them, or use In or NotIn",
            "fieldPath": ".values"
        }
    ])
)]
struct LabelExpressionSchema {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    key: String,
    /// How it relates to the values.
    operator: OperatorSchema,
    /// The values; none for `Exists` and `DoesNotExist`.
    #[schemars(length(max = 64), inner(length(max = 63)))]
    values: Option<Vec<String>>,
}

/// How a label relates to the values of a requirement.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
enum OperatorSchema {
    /// It has one of them.
    In,
    /// It has none of them, or is absent.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
}
