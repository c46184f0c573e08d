//! The numbers of a control over some time: a period, or a part of one with the same definition.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use super::deviation::{Deviation, Span};
use crate::{
    evidence::words::{ActionResult, Cause, End},
    verdict::Severity,
};

/// How a population moved: opening + added − removed = closing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct PopulationNumbers {
    /// Subjects at the begin.
    pub opening: u64,
    /// Subjects that joined; one that left and came back counts again.
    pub added: u64,
    /// Subjects that left.
    pub removed: u64,
    /// Subjects at the end.
    pub closing: u64,
}

/// How long something took.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// How many times.
    pub count: u64,
    /// All together, in seconds.
    #[serde(rename = "totalSeconds", serialize_with = "seconds")]
    pub total: SignedDuration,
    /// The longest, in seconds.
    #[serde(rename = "longestSeconds", serialize_with = "seconds")]
    pub longest: SignedDuration,
}

impl Times {
    pub(super) fn add(&mut self, time: SignedDuration) {
        self.count += 1;
        self.total = self.total.saturating_add(time);
        self.longest = self.longest.max(time);
    }

    /// The mean, in seconds; none of nothing.
    pub fn mean(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "nobody has 2^52 deviations")]
        let count = self.count as f64;
        (self.count > 0).then(|| self.total.as_secs_f64() / count)
    }
}

/// The deviations of a control. Times count as far as they lie in the period.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviationNumbers {
    /// How many there were, and how long.
    #[serde(flatten)]
    pub times: Times,
    /// Those that were open when it ended.
    pub open: u64,
    /// Those that were open when it began.
    pub carried: u64,
    /// Those first seen failing: nobody knows since when.
    pub before_observation: u64,
    /// Those that are drift: a subject that passed was changed, or time passed.
    pub drift: u64,
    /// How many of each severity.
    pub by_severity: BTreeMap<Severity, u64>,
    /// How those that ended did.
    pub by_end: BTreeMap<End, u64>,
    /// Time in which at least one was open, in seconds.
    #[serde(rename = "failingSeconds", serialize_with = "seconds")]
    pub failing: SignedDuration,
}

/// Subjects that were excepted, or that could not be judged.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct SpanNumbers {
    /// How often, and how long as far as it lies in the period.
    #[serde(flatten)]
    pub times: Times,
    /// Those that had not ended when it ended.
    pub open: u64,
}

/// The numbers of a control over some time.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Its population.
    pub population: PopulationNumbers,
    /// Its deviations.
    pub deviations: DeviationNumbers,
    /// From the last time that it was seen otherwise to the first that it was seen failing: at most so long. Of those
    /// that opened in the period, and not before observation.
    pub detection: Times,
    /// From the first time that it was seen failing to a real fix. Only put-backs and fixes by others count.
    pub remediation: Times,
    /// Where an exception held.
    pub excepted: SpanNumbers,
    /// What could not be judged.
    pub unknown: SpanNumbers,
    /// What became of our own writes.
    pub remedies: BTreeMap<ActionResult, u64>,
}

/// Numbers that are being counted since some time.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) from: Timestamp,
    pub(super) numbers: Numbers,
}

impl Tally {
    pub(super) fn new(from: Timestamp, members: u64) -> Self {
        let mut numbers = Numbers::default();
        numbers.population.opening = members;
        Self { from, numbers }
    }

    /// Counts a deviation that has ended, or goes on at `now`.
    pub(super) fn deviation(&mut self, found: &Deviation, now: Timestamp) {
        let Some(time) = self.overlap(found.opened, found.closed, now) else {
            return;
        };
        let numbers = &mut self.numbers;
        let said = &mut numbers.deviations;
        let carried = found.opened < self.from;
        said.times.add(time);
        said.carried += u64::from(carried);
        said.before_observation += u64::from(found.opened_after.is_none());
        said.drift += u64::from(found.is_drift());
        *said.by_severity.entry(found.severity).or_default() += 1;
        if let Some(delay) = found.detection().filter(|_| !carried) {
            numbers.detection.add(delay);
        }
        match (found.closed, found.ended) {
            (Some(closed), Some(end)) => {
                *said.by_end.entry(end).or_default() += 1;
                if matches!(end, End::PutBack | End::FixedByOthers) {
                    numbers.remediation.add(closed.duration_since(found.opened));
                }
            }
            _ => said.open += 1,
        }
    }

    /// Counts time in which something failed.
    pub(super) fn failing(&mut self, since: Timestamp, until: Timestamp) {
        let time = until.duration_since(since.max(self.from));
        if time.is_positive() {
            let failing = &mut self.numbers.deviations.failing;
            *failing = failing.saturating_add(time);
        }
    }

    /// Counts a span that has ended, or goes on at `now`.
    pub(super) fn span(&mut self, span: &Span, ended: Option<Timestamp>, now: Timestamp) {
        let Some(time) = self.overlap(span.since, ended, now) else {
            return;
        };
        let numbers = match span.kind {
            super::deviation::SpanKind::Excepted => &mut self.numbers.excepted,
            super::deviation::SpanKind::Unknown => &mut self.numbers.unknown,
        };
        numbers.times.add(time);
        numbers.open += u64::from(ended.is_none());
    }

    /// How much of an interval lies after the begin; none if it has nothing to do with this time.
    fn overlap(
        &self,
        since: Timestamp,
        ended: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<SignedDuration> {
        let concerns = since >= self.from || ended.is_none_or(|ended| ended > self.from);
        let until = ended.unwrap_or(now);
        concerns.then(|| until.duration_since(since.max(self.from)))
    }
}

/// Whether a change of outcome for this reason is drift.
pub(super) const fn is_drift(cause: Cause) -> bool {
    matches!(cause, Cause::Object | Cause::Time)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn seconds<S: Serializer>(
    time: &SignedDuration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
