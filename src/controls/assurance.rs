//! Controls over the tool itself: that what it says can be relied on.

mod clock;
mod coverage;
mod exceptions_approved;
mod guardrails_intact;
mod log_verified;
mod permissions;
mod policy_change_control;

pub(crate) use self::{
    guardrails_intact::NOT_LOOKED, log_verified::NOT_CHECKED, policy_change_control::NOT_LOGGED,
};

pub use self::{
    clock::ClockRight,
    coverage::CoverageSufficient,
    exceptions_approved::ExceptionsApproved,
    guardrails_intact::GuardrailsIntact,
    log_verified::LogVerified,
    permissions::Permissions,
    policy_change_control::{PolicyChangeControl, WhichChanges},
};
