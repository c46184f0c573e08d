//! The API `probity.dev/v1alpha1`: inert data, from which the CRDs are generated.

pub mod access_review;
pub mod attestation;
pub mod audit_period;
pub mod cluster_control_exception;
pub mod control_exception;
pub mod controls;
pub mod decision;
pub mod definition;
pub mod deviation_response;
pub mod evidence_log;
pub mod exception;
pub mod people;
pub mod period;
pub mod policy;
pub mod ratio;
pub mod status;

pub use self::{
    access_review::{
        AccessReview, AccessReviewSpec, AccessReviewStatus, ObservedReview, Review, ReviewPhase,
        RowDecision,
    },
    attestation::{
        Attestation, AttestationPhase, AttestationSpec, AttestationStatus, EvidenceReference,
        ObservedAttestation,
    },
    audit_period::{
        AuditPeriod, AuditPeriodSpec, AuditPeriodStatus, ObservedPeriod, ObservedPeriodControl,
        OwnControl, PeriodEvidence,
    },
    cluster_control_exception::{ClusterControlException, ClusterControlExceptionSpec},
    control_exception::{ControlException, ControlExceptionSpec},
    controls::{Controls, Setting},
    decision::{Decision, DecisionVerdict},
    definition::definitions,
    deviation_response::{DeviationResponse, DeviationResponseSpec},
    evidence_log::{AnchorStatus, EvidenceLog, EvidenceLogSpec, EvidenceLogStatus},
    exception::{ExceptionKind, ExceptionPhase, ExceptionStatus, Exemption, ObservedException},
    people::{PeopleKind, PeopleObject},
    period::Period,
    policy::{
        Change, ControlPolicy, ControlPolicySpec, Existing, Limits, Mode, Reports, ScopeSpec,
    },
    ratio::Ratio,
    status::{
        ControlPolicyStatus, ControlStatus, EnforcementStatus, EvidencePosition, Summary, Violation,
    },
};

/// API group of all our kinds.
pub const GROUP: &str = "probity.dev";
/// Version of all our kinds.
pub const VERSION: &str = "v1alpha1";

/// The `CustomResourceDefinition`s, as YAML documents by file name.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_saphyr::ser::Error> {
    definitions()
        .into_iter()
        .map(|(file, definition)| Ok((file, serde_saphyr::to_string(&definition)?)))
        .collect()
}
