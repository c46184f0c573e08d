//! No fights: a field that someone else puts back twice is left alone.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::Now;
use crate::controls::Target;

/// Writes of a field that are undone within this time count as a fight.
const WINDOW: Duration = Duration::from_mins(10);
/// First truce; each further one is twice as long.
const FIRST_TRUCE: Duration = Duration::from_hours(1);
/// Longest truce.
const LONGEST_TRUCE: Duration = Duration::from_hours(24);

/// A field of an object, by its index among the kind's owned paths; `None` is the whole object.
pub(super) type Field = (Target, Option<usize>);

/// Who fights over which fields.
#[derive(Debug, Default)]
pub(super) struct Fights {
    fields: BTreeMap<Field, Fight>,
}

#[derive(Debug, Default)]
struct Fight {
    writes: Vec<Duration>,
    truce: Option<Truce>,
    truces: u32,
}

/// For how long a field is left to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truce {
    /// On the monotonic clock.
    pub(super) end: Duration,
    /// The same on the wall clock, as it was told: computed anew, it would differ each time.
    pub(super) until: Timestamp,
    /// The field manager that keeps writing back.
    pub(super) manager: String,
}

impl Fights {
    /// The truce over a field, if there is one.
    pub(super) fn truce(&self, field: &Field, now: Duration) -> Option<&Truce> {
        let fight = self.fields.get(field)?;
        fight.truce.as_ref().filter(|truce| truce.end > now)
    }

    /// Asks to write a field that `manager` wrote last. `Err` with the truce that begins now, where our last
    /// two writes were undone within the window.
    pub(super) fn ask(&mut self, field: &Field, manager: &str, now: Now) -> Result<(), Truce> {
        let Some(fight) = self.fields.get_mut(field) else {
            return Ok(());
        };
        fight.writes.retain(|at| *at + WINDOW > now.mono);
        if fight.writes.len() < 2 {
            return Ok(());
        }
        let length = FIRST_TRUCE
            .saturating_mul(1 << fight.truces.min(5))
            .min(LONGEST_TRUCE);
        fight.truces += 1;
        fight.writes.clear();
        let end = now.mono + length;
        let truce = Truce {
            end,
            until: now.wall_at(end),
            manager: manager.to_owned(),
        };
        fight.truce = Some(truce.clone());
        Err(truce)
    }

    /// Counts a write that succeeded.
    pub(super) fn wrote(&mut self, field: Field, now: Duration) {
        self.fields.entry(field).or_default().writes.push(now);
    }

    /// Restores a truce from the log.
    pub(super) fn restore(&mut self, field: Field, truce: Truce) {
        let fight = self.fields.entry(field).or_default();
        fight.truces += 1;
        fight.truce = Some(truce);
    }

    /// A new generation of a policy: people have looked, everything may be tried again.
    pub(super) fn forgive(&mut self) {
        self.fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Kind;

    fn field() -> Field {
        let target = Target {
            kind: Kind::Ingress,
            namespace: "shop".into(),
            name: "web".into(),
        };
        (target, Some(0))
    }

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Asks, and returns the end of the truce that begins.
    fn ask(fights: &mut Fights, mono: Duration) -> Result<(), Duration> {
        let now = Now {
            wall: Timestamp::UNIX_EPOCH,
            mono,
            received: mono,
        };
        let asked = fights.ask(&field(), "rival", now);
        asked.map_err(|truce| truce.end)
    }

    #[test]
    fn a_third_write_within_ten_minutes_is_a_fight() {
        let mut fights = Fights::default();
        for at in [0, 10] {
            assert_eq!(ask(&mut fights, secs(at)), Ok(()));
            fights.wrote(field(), secs(at));
        }
        assert_eq!(ask(&mut fights, secs(20)), Err(secs(20 + 3600)));
        assert!(fights.truce(&field(), secs(3600)).is_some());
        assert!(fights.truce(&field(), secs(3620)).is_none());
    }

    #[test]
    fn truces_double_up_to_a_day() {
        let mut fights = Fights::default();
        let mut now = Duration::ZERO;
        let mut truces = Vec::new();
        for _ in 0..7 {
            for _ in 0..2 {
                fights.wrote(field(), now);
            }
            let until = ask(&mut fights, now).unwrap_err();
            truces.push(until.checked_sub(now).unwrap().as_secs() / 3600);
            now = until;
        }
        assert_eq!(truces, [1, 2, 4, 8, 16, 24, 24]);
    }

    #[test]
    fn slow_changes_are_no_fight() {
        let mut fights = Fights::default();
        for at in [0, 700, 1400, 2100] {
            assert_eq!(ask(&mut fights, secs(at)), Ok(()));
            fights.wrote(field(), secs(at));
        }
    }
}
