//! `AuditPeriod`: the time that an examination is about, and the organisation's own controls.

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

/// An `AuditPeriod` says which days an examination is about. What happened in it is computed from
/// the evidence log alone; deleting this object changes nothing of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "probity.dev",
    version = "v1alpha1",
    kind = "AuditPeriod",
    plural = "auditperiods",
    shortname = "ctlap",
    category = "probity",
    status = "AuditPeriodStatus",
    derive = "PartialEq",
    printcolumn(name = "Start", type_ = "string", json_path = ".spec.start"),
    printcolumn(name = "End", type_ = "string", json_path = ".spec.end"),
    printcolumn(
        name = "Operated",
        type_ = "string",
        json_path = ".status.observed.operated"
    ),
    printcolumn(
        name = "Deviations",
        type_ = "integer",
        json_path = ".status.observed.deviations"
    ),
    printcolumn(name = "Open", type_ = "integer", json_path = ".status.observed.open"),
    printcolumn(
        name = "Next Due",
        type_ = "string",
        json_path = ".status.observed.nextDue"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.observed.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.start <= self.end")
        .message("the period ends before it starts: exchange spec.start and spec.end")
)]
#[x_kube(
    validation = Rule::new("timestamp(self.start + 'T00:00:00Z').getFullYear(self.timeZone) > 0 && timestamp(self.end + 'T00:00:00Z').getFullYear(self.timeZone) > 0")
        .message("spec.start and spec.end must be dates such as 2026-01-31, and spec.timeZone an IANA name such as Europe/Vienna")
)]
pub struct AuditPeriodSpec {
    /// First day, such as `2026-01-01`.
    #[schemars(
        length(min = 10, max = 10),
        regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    )]
    pub start: String,

    /// Last day; it belongs to the period.
    #[schemars(
        length(min = 10, max = 10),
        regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    )]
    pub end: String,

    /// IANA name of the time zone in which its days begin and end, such as `Europe/Vienna`.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z][A-Za-z0-9+_/-]*$")
    )]
    pub time_zone: String,

    /// Trust Services Criteria in scope, such as `CC6.1`. Absent means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 61),
        inner(length(min = 4, max = 5), regex(pattern = r"^(CC|A|PI|C|P)[1-9]\.[1-9]$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub criteria: Vec<String>,

    /// Policies in scope, by name. Absent means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub policies: Vec<String>,

    /// The organisation's own controls, mapped to Probity's: an auditor tests the former, so the
    /// pack is organised by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 200),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"])
    )]
    pub control_matrix: Vec<OwnControl>,
}

/// A control of the organisation, and what of Probity shows that it operates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnControl {
    /// The organisation's id for it, such as `LA-03`.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// Its wording, as in the description of the system.
    #[schemars(length(min = 1, max = 2048))]
    pub wording: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub owner: Option<String>,
    /// How often it operates, in the organisation's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub frequency: Option<String>,
    /// Criteria that it serves; those of Probity's controls where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 61),
        inner(length(min = 4, max = 5), regex(pattern = r"^(CC|A|PI|C|P)[1-9]\.[1-9]$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub criteria: Vec<String>,
    /// Ids of Probity's controls that show whether it operates, such as `enc-ingress-tls`.
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub controls: Vec<String>,
}

/// How the period stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPeriodStatus {
    /// What the operator sees; nobody else may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedPeriod>,
}

/// What the operator sees of a period, by its own log. Nothing in it changes while nothing happens:
/// what lasts is counted when it has ended, and until then said with its begin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedPeriod {
    /// The generation of the spec that this is about.
    pub observed_generation: i64,
    /// Whether the period is over.
    pub over: bool,
    /// Controls that operated, of all: `12/14`.
    pub operated: Option<String>,
    /// Deviations of all controls.
    pub deviations: i64,
    /// Those that are open.
    pub open: i64,
    /// By when the next thing has to happen that would be missing at the end.
    pub next_due: Option<Time>,
    /// Whether it can be judged, and what a reader must know of it first: `Ready`,
    /// `StartsBeforeLog`, `LedElsewhere`, `Overlaps`, `Empty`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The logs that hold its evidence.
    #[serde(default)]
    pub evidence: Vec<PeriodEvidence>,
    /// How many of them are not listed.
    #[serde(default)]
    pub evidence_omitted: i64,
    /// The controls: as many as fit, those with open deviations first, then those with any.
    #[serde(default)]
    pub controls: Vec<ObservedPeriodControl>,
    /// How many controls are not listed.
    #[serde(default)]
    pub omitted: i64,
}

/// The entries of a log that lie in a period, and a head of the log that covers them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodEvidence {
    /// Origin of the log.
    pub log: String,
    /// Number of the first entry in the period.
    pub first: i64,
    /// Number of the last one; absent while the period goes on in this log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// Size of the first published tree that holds all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Its root, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// How a control stands in a period.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedPeriodControl {
    /// The control.
    pub id: String,
    /// The policy.
    pub policy: String,
    /// Whether it operated: `Operated`, `NotJudged`, `NoOccurrence` (nothing to judge) or
    /// `NotOperated` (nobody looked).
    pub operated: String,
    /// Share of the whole period that is observed at its end if nothing more is missed, from 0 to 1.
    pub coverage: String,
    /// Times in which it was not observed, and have ended.
    pub gaps: i64,
    /// Seconds in them.
    pub unobserved_seconds: i64,
    /// Since when it has not been observed, if it isn't now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved_since: Option<Time>,
    /// Subjects, now or at the end.
    pub population: i64,
    /// Deviations.
    pub deviations: i64,
    /// Deviations that are open.
    pub open: i64,
    /// Since when the oldest of them has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_since: Option<Time>,
    /// Seconds of the longest deviation that has ended.
    pub longest_seconds: i64,
    /// Seconds of all that have ended.
    pub total_seconds: i64,
    /// How long nobody had noticed, at most, in seconds: the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_seconds: Option<i64>,
    /// From noticing to a real fix, in seconds: the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_seconds: Option<i64>,
    /// What has to happen before the period ends, and by when: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due: Vec<String>,
    /// How many more things have to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub due_omitted: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(count: &i64) -> bool {
    *count == 0
}
