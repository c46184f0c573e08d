//! What an account comes to: for each control, how it operated.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Frame, Sink,
    account::{Account, Phase},
    clock::ClockStep,
    definition::Definition,
    due::Due,
    intervals::Intervals,
    numbers::{Numbers, seconds},
    people::{Elsewhere, Excluded, LogBegin, ObjectStep, PolicyStep, Run},
    track::{Reconciliation, Track},
    watch::{Cause, Unobserved, explain},
};
use crate::evidence::body::Name;
use crate::words::many;

/// Gaps that are held for one control in one policy; the sink gets all of them.
const MOST_GAPS: usize = 200;

/// How far a log goes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct LogRange {
    /// Time of the first entry.
    pub first: Option<Timestamp>,
    /// Time of the last entry.
    pub last: Option<Timestamp>,
    /// Entries.
    pub entries: u64,
    /// Entries that retention has removed from its begin.
    pub removed: u64,
}

/// The part of a log that lies in the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogPart {
    /// The log, by its number in this account.
    pub log: u32,
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last one, so far.
    pub last: u64,
}

/// Whether a control operated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Operated {
    /// It was looked at, and there were subjects.
    Operated,
    /// It was looked at, and none of its subjects could ever be judged.
    NotJudged,
    /// It was looked at, and there was nothing for it to judge.
    NoOccurrence,
    /// Nobody looked.
    NotOperated,
}

impl Operated {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Operated,
        Self::NotJudged,
        Self::NoOccurrence,
        Self::NotOperated,
    ];

    /// Its name in statuses and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operated => "Operated",
            Self::NotJudged => "NotJudged",
            Self::NoOccurrence => "NoOccurrence",
            Self::NotOperated => "NotOperated",
        }
    }

    /// The same in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operated => "operated",
            Self::NotJudged => "not judged",
            Self::NoOccurrence => "no occurrence",
            Self::NotOperated => "not operated",
        }
    }
}

/// How much of some time was observed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// In seconds.
    #[serde(rename = "observedSeconds", serialize_with = "seconds")]
    pub observed: SignedDuration,
    /// Of so much, in seconds.
    #[serde(rename = "ofSeconds", serialize_with = "seconds")]
    pub of: SignedDuration,
}

impl Coverage {
    fn of(observed: &Intervals, from: Timestamp, to: Timestamp) -> Self {
        Self {
            observed: observed.within(from, to).length(),
            of: to.duration_since(from),
        }
    }

    /// Observed time by all time, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        if self.of.is_zero() {
            return 0.0;
        }
        self.observed.as_secs_f64() / self.of.as_secs_f64()
    }
}

/// A time in which a control had the same definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Since when, inside the period.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Its definition.
    pub definition: Definition,
    /// How much of it was observed.
    pub coverage: Coverage,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// How one control operated in one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The control.
    pub control: Name,
    /// The policy.
    pub policy: Name,
    /// Whether it operated.
    pub operated: Operated,
    /// How much of the period was observed.
    pub coverage: Coverage,
    /// Its numbers over the whole period.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// The same for each definition that it had.
    pub segments: Vec<Segment>,
    /// How the population agrees with the counts of heartbeats.
    pub reconciliation: Reconciliation,
    /// Namespaces that were in scope, as the log last told.
    pub included: Option<u64>,
    /// Namespaces that were left out.
    pub excluded: Vec<Excluded>,
    /// How many gaps there were.
    pub gap_count: u64,
    /// The first of them.
    pub gaps: Vec<Unobserved>,
    /// What has to happen before the period ends.
    pub due: Vec<Due>,
}

/// An audit period, as the log shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The period.
    pub period: Frame,
    /// Until when it was judged: its end, or the end of the log while it goes on.
    pub until: Timestamp,
    /// Whether it has ended.
    pub over: bool,
    /// The log.
    pub log: LogRange,
    /// How each control operated, by control and policy.
    pub controls: Vec<Operation>,
    /// Attested controls for which an attestation was approved and valid.
    pub attested: Vec<String>,
    /// Changes of policies in the period.
    pub policy_changes: Vec<PolicyStep>,
    /// Changes of the period itself after it had begun.
    pub period_changes: Vec<ObjectStep>,
    /// The logs that the entries are of.
    pub logs: Vec<LogBegin>,
    /// Programs that ran.
    pub runs: Vec<Run>,
    /// The part of each log that lies in the period.
    pub parts: Vec<LogPart>,
    /// Terms that touch the period and of which no entry is here.
    pub elsewhere: Vec<Elsewhere>,
    /// When the clock was set: the first hundred times.
    pub clock_steps: Vec<ClockStep>,
    /// How often it was.
    pub clock_step_count: u64,
    /// What a reader must know before anything else, in sentences.
    pub warnings: Vec<String>,
}

impl Summary {
    /// Whether nothing of it lies before the time until which was judged: it has not begun, or the log ends before it.
    pub fn is_ahead(&self) -> bool {
        self.until <= self.period.from
    }

    /// Why there is nothing to report.
    pub(super) fn nothing(&self) -> String {
        nothing(&self.period)
    }
}

fn nothing(frame: &Frame) -> String {
    if frame.policies.is_empty() {
        return "no policy was in force: there is nothing to report".to_owned();
    }
    let named: Vec<&str> = frame.policies.iter().map(|name| &**name).collect();
    format!("the log knows no policy of this name: {}", named.join(", "))
}

impl Account {
    /// Closes the account. `now` only tells whether the period is over.
    pub fn finish(mut self, now: Timestamp, sink: &mut dyn Sink) -> Summary {
        self.settle(sink);
        let (from, to) = (self.frame.from, self.frame.to);
        let over = now >= to || self.phase == Phase::After;
        let last = self.range.last.unwrap_or(from);
        let until = if over { to } else { last.clamp(from, to) };
        if self.phase == Phase::Before {
            self.tracks.iter_mut().for_each(|track| track.begin(from));
        }
        if self.phase != Phase::After {
            self.freeze(until, sink);
        }
        let mut positions: Vec<usize> = (0..self.tracks.len()).collect();
        positions.sort_by(|a, b| {
            let key = |at: &usize| (&self.tracks[*at].control, &self.tracks[*at].policy);
            key(a).cmp(&key(b))
        });
        let controls = positions
            .into_iter()
            .map(|position| self.operation(position, until, sink))
            .collect();
        for track in &mut self.tracks {
            track.finish(sink);
        }
        // Terms whose entries retention has removed may have been in these logs.
        let pruned = self.pruned.filter(|_| self.logs.len() > 1);
        self.elsewhere
            .retain(|led| pruned.is_none_or(|pruned| led.to > pruned));
        self.elsewhere
            .retain(|led| led.to > from && led.from.is_none_or(|begin| begin < to));
        let mut warnings = self.warnings(over);
        if now < from {
            let not_begun = format!(
                "the period has not begun, it starts at {from}: nothing of it can be judged yet"
            );
            warnings = vec![not_begun];
        }
        Summary {
            until,
            over,
            controls,
            warnings,
            period: self.frame,
            log: self.range,
            attested: self.occurrences.attested(from),
            policy_changes: self.changes,
            period_changes: self.period_changes.steps,
            logs: self.logs,
            runs: self.runs,
            parts: self.parts,
            elsewhere: self.elsewhere,
            clock_step_count: self.clock.step_count,
            clock_steps: self.clock.steps,
        }
    }

    fn operation(&mut self, position: usize, until: Timestamp, sink: &mut dyn Sink) -> Operation {
        let (from, to) = (self.frame.from, self.frame.to);
        let numbers = self
            .whole(position)
            .map(|tally| tally.numbers)
            .unwrap_or_default();
        let excluded = self.excluded.remove(&position).unwrap_or_default().all();
        let track = &self.tracks[position];
        let observed = track.observed(&self.blind, from, until);
        let gaps = explain(&observed.missing(from, until), self.causes(track));
        for gap in &gaps {
            sink.gap(&track.policy, &track.control, gap);
        }
        let population = &numbers.population;
        let operated = if observed.length().is_zero() {
            Operated::NotOperated
        } else if population.opening + population.added == 0 {
            Operated::NoOccurrence
        } else if !track.judged {
            Operated::NotJudged
        } else {
            Operated::Operated
        };
        let due = if track.is_in_force() {
            self.occurrences.due(track, until, to)
        } else {
            Vec::new()
        };
        let segments = track.parts.iter().map(|part| Segment {
            from: part.tally.from,
            to: part.to,
            coverage: Coverage::of(&observed, part.tally.from, part.to),
            definition: part.definition.clone(),
            numbers: part.tally.numbers.clone(),
        });
        Operation {
            control: track.control.clone(),
            policy: track.policy.clone(),
            operated,
            coverage: Coverage::of(&observed, from, until),
            segments: segments.collect(),
            reconciliation: track.reconciliation.clone(),
            included: track.included,
            excluded,
            gap_count: gaps.len() as u64,
            gaps: gaps.into_iter().take(MOST_GAPS).collect(),
            due,
            numbers,
        }
    }

    /// Everything that the log tells of why a control was not observed.
    fn causes(&self, track: &Track) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.blind.causes(&track.concern).collect();
        let whole = |scope: &Cause| {
            causes
                .iter()
                .any(|known| known.from <= scope.from && known.to >= scope.to)
        };
        // The engine says the same of most of them, in its own words.
        let own = self.interruptions.iter().filter(|own| !whole(own));
        let own: Vec<Cause> = own.cloned().collect();
        causes.extend(own);
        causes.extend(self.elsewhere.iter().map(Elsewhere::cause));
        causes.extend(track.causes.iter().cloned());
        causes.extend(track.absence().filter(|absence| !absence.why.is_empty()));
        let edge = |from, to, why: &str| Cause {
            from,
            to,
            why: why.to_owned(),
        };
        let first = self.range.first.unwrap_or(Timestamp::MAX);
        causes.push(edge(Timestamp::MIN, first, "the log had not begun"));
        if let Some(last) = self.range.last {
            causes.push(edge(last, Timestamp::MAX, "the log ends"));
        }
        if let Some(entered) = track.first_in_force().filter(|entered| *entered > first) {
            causes.push(edge(first, entered, "no policy had switched it on"));
        }
        causes
    }

    fn warnings(&self, over: bool) -> Vec<String> {
        let (from, to) = (self.frame.from, self.frame.to);
        let mut warnings = Vec::new();
        match (self.range.first, self.range.last) {
            (Some(first), Some(last)) => {
                if first > from {
                    warnings.push(format!(
                        "the period starts before the log: nothing is known of {from} to {first}"
                    ));
                }
                if over && last < to {
                    warnings.push(format!(
                        "the log ends before the period: nothing is known of {last} to {to}"
                    ));
                }
            }
            _ => warnings.push("the log is empty: nothing is known of the period".to_owned()),
        }
        if self.tracks.is_empty() && self.range.first.is_some() {
            warnings.push(nothing(&self.frame));
        }
        if self.range.removed > 0 {
            let removed = self.range.removed;
            warnings.push(format!(
                "retention has removed the first {} of the log, but for those that still matter: of that time only what lasts is known",
                many(removed, "entry")
            ));
        }
        for led in &self.elsewhere {
            let from = led
                .from
                .map_or_else(String::new, |from| format!("between {from:.0} and "));
            warnings.push(format!(
                "{}; what it saw {from}until {:.0} counts for nothing here",
                led.in_words(),
                led.to
            ));
        }
        for part in &self.damaged {
            warnings.push(format!(
                "a part of the evidence is damaged and was not read, what it says counts for nothing: {part}"
            ));
        }
        if self.logs.len() > 1 {
            let logs = self.logs.len();
            warnings.push(format!(
                "the evidence is in {logs} logs, one after the other: see logs"
            ));
        }
        if self.clock.step_count > 0 {
            let steps = self.clock.step_count;
            warnings.push(format!(
                "the clock was set {}: see clockSteps",
                many(steps, "time")
            ));
        }
        warnings
    }
}
