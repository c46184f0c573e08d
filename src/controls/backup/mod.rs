//! Controls of the family `backup`.

mod common;
mod rpo_met;
mod schedule_active;

pub use self::{rpo_met::RpoMet, schedule_active::ScheduleActive};
