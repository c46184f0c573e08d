//! No fights: a field that someone else puts back twice is left alone.

use std::{collections::BTreeMap, time::Duration};

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
    truce_until: Option<Duration>,
    truces: u32,
}

impl Fights {
    /// The end of the truce over a field, if there is one.
    pub(super) fn truce(&self, field: &Field, now: Duration) -> Option<Duration> {
        self.fields
            .get(field)
            .and_then(|fight| fight.truce_until)
            .filter(|until| *until > now)
    }

    /// Asks to write a field. `Err` with the end of the truce that begins now, where our last
    /// two writes were undone within the window.
    pub(super) fn ask(&mut self, field: &Field, now: Duration) -> Result<(), Duration> {
        let Some(fight) = self.fields.get_mut(field) else {
            return Ok(());
        };
        fight.writes.retain(|at| *at + WINDOW > now);
        if fight.writes.len() < 2 {
            return Ok(());
        }
        let length = FIRST_TRUCE
            .saturating_mul(1 << fight.truces.min(5))
            .min(LONGEST_TRUCE);
        fight.truces += 1;
        fight.writes.clear();
        fight.truce_until = Some(now + length);
        Err(now + length)
    }

    /// Counts a write that succeeded.
    pub(super) fn wrote(&mut self, field: Field, now: Duration) {
        self.fields.entry(field).or_default().writes.push(now);
    }

    /// Restores a truce from the log.
    pub(super) fn restore(&mut self, field: Field, until: Duration) {
        let fight = self.fields.entry(field).or_default();
        fight.truces += 1;
        fight.truce_until = Some(until);
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

    #[test]
    fn a_third_write_within_ten_minutes_is_a_fight() {
        let mut fights = Fights::default();
        for at in [0, 10] {
            assert_eq!(fights.ask(&field(), secs(at)), Ok(()));
            fights.wrote(field(), secs(at));
        }
        assert_eq!(fights.ask(&field(), secs(20)), Err(secs(20 + 3600)));
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
            let until = fights.ask(&field(), now).unwrap_err();
            truces.push(until.checked_sub(now).unwrap().as_secs() / 3600);
            now = until;
        }
        assert_eq!(truces, [1, 2, 4, 8, 16, 24, 24]);
    }

    #[test]
    fn slow_changes_are_no_fight() {
        let mut fights = Fights::default();
        for at in [0, 700, 1400, 2100] {
            assert_eq!(fights.ask(&field(), secs(at)), Ok(()));
            fights.wrote(field(), secs(at));
        }
    }
}
