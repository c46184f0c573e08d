//! Budget and brake: how much may be written, and when a person must look first.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::controls::Subject;

/// Window of the budget.
const MINUTE: Duration = Duration::from_mins(1);
/// Window of the brake.
const BRAKE_WINDOW: Duration = Duration::from_mins(10);
/// So many subjects may change within the window whatever the population.
const ALWAYS_ALLOWED: u64 = 5;

/// Writes of one policy within the last minute.
#[derive(Debug, Default)]
pub(super) struct Budget {
    writes: VecDeque<Duration>,
}

impl Budget {
    /// `Err` with the time at which the next write is allowed.
    pub(super) fn check(&mut self, limit: u32, now: Duration) -> Result<(), Duration> {
        while self.writes.front().is_some_and(|at| *at + MINUTE <= now) {
            self.writes.pop_front();
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        match self.writes.len().checked_sub(limit) {
            None => Ok(()),
            Some(over) => Err(self.writes.get(over).map_or(now, |at| *at + MINUTE)),
        }
    }

    /// Writes within the last minute.
    pub(super) fn spent(&self, now: Duration) -> usize {
        let recent = self.writes.iter().filter(|at| **at + MINUTE > now);
        recent.count()
    }

    /// Counts a write.
    pub(super) fn spend(&mut self, now: Duration) {
        self.writes.push_back(now);
    }

    /// Takes back a write that was counted at `reserved`: it was only tried.
    pub(super) fn give_back(&mut self, reserved: Duration) {
        if let Some(place) = self.writes.iter().rposition(|at| *at == reserved) {
            self.writes.remove(place);
        }
    }
}

/// The brake of one control of one policy.
#[derive(Debug, Default)]
pub(super) struct Brake {
    changed: BTreeMap<Subject, Duration>,
    /// Latched, with the `release` value in force at that time.
    #[allow(
        clippy::option_option,
        reason = "latched or not; then with a release value or without"
    )]
    pub(super) latched: Option<Option<String>>,
}

impl Brake {
    /// Whether changing `subject` too is within the share of the population.
    pub(super) fn allows(
        &mut self,
        subject: &Subject,
        population: u64,
        share: u32,
        now: Duration,
    ) -> bool {
        self.changed.retain(|_, at| *at + BRAKE_WINDOW > now);
        let limit = (population * u64::from(share) / 100).max(ALWAYS_ALLOWED);
        let more = u64::from(!self.changed.contains_key(subject));
        let changed = u64::try_from(self.changed.len()).unwrap_or(u64::MAX);
        changed + more <= limit
    }

    /// Counts a subject that is about to be changed. One that was changed before stays counted
    /// from then.
    pub(super) fn reserve(&mut self, subject: &Subject, now: Duration) {
        self.changed.entry(subject.clone()).or_insert(now);
    }

    /// Takes back a subject that was counted at `reserved` and not changed after all.
    pub(super) fn give_back(&mut self, subject: &Subject, reserved: Duration) {
        if self.changed.get(subject) == Some(&reserved) {
            self.changed.remove(subject);
        }
    }

    /// A person released it.
    pub(super) fn release(&mut self) {
        self.changed.clear();
        self.latched = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn subject(n: u64) -> Subject {
        Subject::namespace(&format!("ns-{n}").into())
    }

    #[test]
    fn the_budget_says_when_it_allows_again() {
        let mut budget = Budget::default();
        for at in [10, 20] {
            assert_eq!(budget.check(2, secs(at)), Ok(()));
            budget.spend(secs(at));
        }
        assert_eq!(budget.check(2, secs(30)), Err(secs(70)));
        assert_eq!(budget.check(2, secs(70)), Ok(()));
    }

    #[test]
    fn five_subjects_may_always_change() {
        let mut brake = Brake::default();
        for n in 0..5 {
            assert!(brake.allows(&subject(n), 5, 10, secs(n)));
            brake.reserve(&subject(n), secs(n));
        }
        assert!(!brake.allows(&subject(5), 5, 10, secs(5)));
        // The same subject again is not one more.
        assert!(brake.allows(&subject(4), 5, 10, secs(5)));
        // The window slides.
        assert!(brake.allows(&subject(5), 5, 10, secs(601)));
    }

    #[test]
    fn a_share_of_a_large_population_may_change() {
        let mut brake = Brake::default();
        for n in 0..100 {
            assert!(brake.allows(&subject(n), 1000, 10, secs(1)), "{n}");
            brake.reserve(&subject(n), secs(1));
        }
        assert!(!brake.allows(&subject(100), 1000, 10, secs(1)));
    }
}
