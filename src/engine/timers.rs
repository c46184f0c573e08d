//! What is due by itself, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::rule::RuleId;
use crate::{controls::Subject, inventory::Sym};

/// Times at which something must be done although nothing changed.
#[derive(Debug, Default)]
pub(super) struct Timers {
    rechecks: BTreeSet<(Timestamp, RuleId, Subject)>,
    recheck_of: BTreeMap<(RuleId, Subject), Timestamp>,
    replans: BTreeSet<(Duration, u32, Subject)>,
    settles: BTreeSet<(Duration, u64)>,
    statuses: BTreeMap<Sym, Duration>,
}

impl Timers {
    /// Sets or clears the time at which a verdict may change by itself.
    pub(super) fn recheck(&mut self, id: RuleId, subject: &Subject, at: Option<Timestamp>) {
        if at.is_none() && self.recheck_of.is_empty() {
            return;
        }
        let key = (id, subject.clone());
        if let Some(old) = self.recheck_of.remove(&key) {
            self.rechecks.remove(&(old, id, subject.clone()));
        }
        if let Some(at) = at {
            self.recheck_of.insert(key, at);
            self.rechecks.insert((at, id, subject.clone()));
        }
    }

    /// Forgets the verdicts of a rule that is gone.
    pub(super) fn forget(&mut self, rule: RuleId) {
        self.recheck_of.retain(|(id, _), _| *id != rule);
        self.rechecks.retain(|(_, id, _)| *id != rule);
    }

    /// Verdicts that may have changed by themselves.
    pub(super) fn due_rechecks(&mut self, now: Timestamp) -> Vec<(RuleId, Subject)> {
        let mut due = Vec::new();
        while let Some((at, _, _)) = self.rechecks.first()
            && *at <= now
            && let Some((_, id, subject)) = self.rechecks.pop_first()
        {
            self.recheck_of.remove(&(id, subject.clone()));
            due.push((id, subject));
        }
        due
    }

    /// When verdicts may change by themselves, the first first.
    pub(super) fn rechecks(&self) -> impl Iterator<Item = (RuleId, &Subject, Timestamp)> {
        self.rechecks
            .iter()
            .map(|(at, rule, subject)| (*rule, subject, *at))
    }

    /// Asks again at `at` what may be done about a subject.
    pub(super) fn replan(&mut self, at: Duration, id: u32, subject: &Subject) {
        self.replans.insert((at, id, subject.clone()));
    }

    /// Subjects to plan anew.
    pub(super) fn due_replans(&mut self, now: Duration) -> Vec<(u32, Subject)> {
        let mut due = Vec::new();
        while let Some((at, _, _)) = self.replans.first()
            && *at <= now
            && let Some((_, id, subject)) = self.replans.pop_first()
        {
            due.push((id, subject));
        }
        due
    }

    /// Gives the watch until `at` to show what an action wrote.
    pub(super) fn settle(&mut self, at: Duration, action: u64) {
        self.settles.insert((at, action));
    }

    /// Actions whose result the watch should have shown.
    pub(super) fn due_settles(&mut self, now: Duration) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.settles.first()
            && *at <= now
            && let Some((_, id)) = self.settles.pop_first()
        {
            due.push(id);
        }
        due
    }

    /// Writes a policy's status at `at` or before.
    pub(super) fn status(&mut self, policy: &Sym, at: Duration) {
        let due = self.statuses.entry(policy.clone()).or_insert(at);
        *due = (*due).min(at);
    }

    /// Policies whose status is due.
    pub(super) fn due_statuses(&mut self, now: Duration) -> Vec<Sym> {
        let due = self.statuses.iter().filter(|(_, at)| **at <= now);
        let due: Vec<Sym> = due.map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.statuses.remove(name);
        }
        due
    }

    /// The earliest time that is due: wall clock, and monotonic clock.
    pub(super) fn next(&self) -> (Option<Timestamp>, Option<Duration>) {
        let wall = self.rechecks.first().map(|(at, _, _)| *at);
        let mono = [
            self.replans.first().map(|(at, _, _)| *at),
            self.settles.first().map(|(at, _)| *at),
            self.statuses.values().min().copied(),
        ];
        (wall, mono.into_iter().flatten().min())
    }
}
