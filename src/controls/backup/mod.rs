//! Controls of the family `backup`.

mod common;
mod coverage;
#[cfg(test)]
mod fixtures;
mod rpo_met;
mod schedule_active;

pub use self::{coverage::Coverage, rpo_met::RpoMet, schedule_active::ScheduleActive};
