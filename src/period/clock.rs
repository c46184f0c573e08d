//! What time it was. Entries carry the operator's clock, and clocks jump: an account must neither end because one ran ahead
//! for an hour, nor go back.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::evidence::Entry;

/// A longer step forward is not believed at once.
const JUMP: SignedDuration = SignedDuration::from_hours(1);
/// It is believed when so many entries have followed without the clock being set back.
const BELIEVED: usize = 1000;
/// Clocks of two nodes that differ by more are worth being told.
const APART: SignedDuration = SignedDuration::from_mins(1);
/// Steps that are listed.
const MOST_STEPS: usize = 100;

/// A clock was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClockStep {
    /// The first entry with another time.
    pub entry: super::EntryId,
    /// By so many seconds.
    pub seconds: i64,
    /// In which direction.
    pub direction: Direction,
}

/// How a clock was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// It was set back: time stands still until it is reached again.
    Back,
    /// It ran ahead and was set back: what was written meanwhile is dated by the last entry before.
    Ahead,
}

/// An entry and the time that counts.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) entry: Entry,
    pub(super) at: Timestamp,
    /// The seconds by which the clock ran ahead, for the first entry of such a time.
    pub(super) ahead: Option<i64>,
}

/// The clock of a log, entry by entry.
#[derive(Debug, Default, Clone)]
pub(super) struct Clock {
    /// The last time that counts.
    at: Option<Timestamp>,
    /// The time of the last entry, whatever it is.
    raw: Option<Timestamp>,
    /// Entries after a long step forward.
    held: Vec<Entry>,
    pub(super) steps: Vec<ClockStep>,
    pub(super) step_count: u64,
}

impl Clock {
    /// Whether the time of an entry counts at once.
    pub(super) fn passes(&self, entry: &Entry) -> bool {
        let ahead = |last| entry.time.duration_since(last) > JUMP;
        self.held.is_empty() && !self.at.is_some_and(ahead)
    }

    /// Holds an entry back, and returns those whose time is known now.
    pub(super) fn hold(&mut self, entry: &Entry) -> Vec<Dated> {
        let back = |last: &Entry| last.time.duration_since(entry.time) > JUMP;
        let mut known = if self.held.last().is_some_and(back) {
            self.wrong()
        } else if self.held.len() >= BELIEVED {
            self.release()
        } else {
            Vec::new()
        };
        let last = known.iter().map(|dated| dated.at).max();
        let fits = last.is_some_and(|last| entry.time.duration_since(last) <= JUMP);
        if fits {
            known.push(Dated {
                entry: entry.clone(),
                at: entry.time,
                ahead: None,
            });
        } else {
            self.held.push(entry.clone());
        }
        known
    }

    /// Believes all that is held.
    pub(super) fn release(&mut self) -> Vec<Dated> {
        let held = std::mem::take(&mut self.held).into_iter();
        let known = held.map(|entry| Dated {
            at: entry.time,
            entry,
            ahead: None,
        });
        known.collect()
    }

    /// The next entry, of this time, is of another clock. Returns the entries that are held: if they are far behind it, this
    /// clock had run ahead.
    pub(super) fn change(&mut self, next: Timestamp) -> Vec<Dated> {
        let ahead = |last: &Entry| last.time.duration_since(next) > JUMP;
        if self.held.last().is_some_and(ahead) {
            self.wrong()
        } else {
            self.release()
        }
    }

    /// What is held is known. Clocks of nodes differ a little; if the next one is further behind, time stands still until it
    /// is reached, as when one was set back.
    pub(super) fn changed(&mut self, next: Timestamp) {
        self.raw = self.at.filter(|at| at.duration_since(next) > APART);
    }

    /// What is held was written while the clock ran ahead.
    fn wrong(&mut self) -> Vec<Dated> {
        let before = self.at.unwrap_or(Timestamp::MIN);
        let held = std::mem::take(&mut self.held).into_iter().enumerate();
        let known = held.map(|(position, entry)| {
            let by = entry.time.duration_since(before).as_secs();
            Dated {
                entry,
                at: before,
                ahead: (position == 0).then_some(by),
            }
        });
        known.collect()
    }

    /// The time that counts for an entry, which is next. A clock that was set back is noted.
    pub(super) fn date(
        &mut self,
        id: super::EntryId,
        time: Timestamp,
        ahead: Option<i64>,
    ) -> Timestamp {
        let at = self.at.map_or(time, |last| last.max(time));
        if let Some(seconds) = ahead {
            self.step(id, seconds, Direction::Ahead);
        } else if let Some(raw) = self.raw.filter(|raw| *raw > time) {
            self.step(id, raw.duration_since(time).as_secs(), Direction::Back);
        }
        (self.at, self.raw) = (Some(at), Some(time));
        at
    }

    fn step(&mut self, entry: super::EntryId, seconds: i64, direction: Direction) {
        self.step_count += 1;
        if self.steps.len() < MOST_STEPS {
            self.steps.push(ClockStep {
                entry,
                seconds,
                direction,
            });
        }
    }
}
