//! The API `probity.dev/v1alpha1`: inert data, from which the CRDs are generated.

pub mod controls;
pub mod definition;
pub mod period;
pub mod policy;
pub mod status;

pub use self::{
    controls::{Controls, Setting},
    definition::definitions,
    period::Period,
    policy::{Change, ControlPolicy, ControlPolicySpec, Existing, Limits, Mode, ScopeSpec},
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
