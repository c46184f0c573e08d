//! Controls of the family `backup`.

mod classes;
mod common;
mod control_plane_state;
mod coverage;
mod deletion_restricted;
pub mod drill;
mod encrypted;
#[cfg(test)]
mod fixtures;
mod immutability;
mod location_available;
mod offsite;
mod repo_secret_not_default;
mod restore_rto_met;
mod restore_test_current;
mod restores;
mod retention_met;
mod rpo_met;
mod runs_clean;
mod schedule_active;

pub use self::{
    control_plane_state::ControlPlaneState, coverage::Coverage,
    deletion_restricted::DeletionRestricted, encrypted::Encrypted, immutability::Immutability,
    location_available::LocationAvailable, offsite::Offsite,
    repo_secret_not_default::RepoSecretNotDefault, restore_rto_met::RestoreRtoMet,
    restore_test_current::RestoreTestCurrent, retention_met::RetentionMet, rpo_met::RpoMet,
    runs_clean::RunsClean, schedule_active::ScheduleActive,
};
