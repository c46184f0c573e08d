//! Controls of the family `backup`.

mod classes;
mod common;
mod coverage;
mod encrypted;
#[cfg(test)]
mod fixtures;
mod immutability;
mod location_available;
mod offsite;
mod retention_met;
mod rpo_met;
mod runs_clean;
mod schedule_active;

pub use self::{
    coverage::Coverage, encrypted::Encrypted, immutability::Immutability,
    location_available::LocationAvailable, offsite::Offsite, retention_met::RetentionMet,
    rpo_met::RpoMet, runs_clean::RunsClean, schedule_active::ScheduleActive,
};
