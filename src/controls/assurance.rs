//! Controls over the tool itself: that what it says can be relied on.

mod clock;
mod coverage;
mod exceptions_approved;
mod log_verified;
mod permissions;

pub use self::{
    clock::ClockRight, coverage::CoverageSufficient, exceptions_approved::ExceptionsApproved,
    log_verified::LogVerified, permissions::Permissions,
};
