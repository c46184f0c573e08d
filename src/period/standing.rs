//! How a period stands while it goes on, in a form that stays the same while nothing happens: what lasts is counted when it
//! has ended. It goes into the status of the `AuditPeriod`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Deviation, DueKind, Operated, Operation, SILENCE, Sink, Summary, Times, Unobserved};
use crate::{
    api::{ObservedPeriod, ObservedPeriodControl, PeriodEvidence},
    evidence::body::Name,
};

/// The largest status, in bytes of JSON; conditions come on top of it.
const LARGEST: usize = 56 * 1024;
/// Logs that are listed: the last ones.
const MOST_LOGS: usize = 20;
/// Things to happen that are listed for one control.
const MOST_DUE: usize = 5;
/// The longest text of one of them.
const LONGEST_DUE: usize = 300;

/// Counts what has ended, while an account is made.
#[derive(Debug, Clone)]
pub struct Standings {
    /// When the period begins: what was before does not count.
    from: Timestamp,
    of: BTreeMap<(Name, Name), Ended>,
}

/// What has ended of one control in one policy, and since when lasts what has not.
#[derive(Debug, Default, Clone)]
struct Ended {
    deviations: Times,
    open_since: Option<Timestamp>,
    gaps: Vec<Unobserved>,
}

/// How a period stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What the status says, without conditions and with no roots yet.
    pub observed: ObservedPeriod,
    /// Of which log each item of evidence is, by its number in the account.
    pub logs: Vec<u32>,
    /// The controls, those with open deviations first, then those with any: also those for which the status has no room.
    pub controls: Vec<ControlStanding>,
    /// If the log begins after the period did: when.
    pub log_begins: Option<Timestamp>,
    /// If other replicas led in it, and their logs are not here: which terms.
    pub elsewhere: Option<String>,
    /// If no control was in force: why.
    pub empty: Option<String>,
}

/// How a control of a policy stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlStanding {
    /// What the status says of it.
    pub observed: ObservedPeriodControl,
    /// Whether it operated.
    pub operated: Operated,
    /// Share of the whole period that is observed if nothing more is missed, from 0 to 1.
    pub coverage: f64,
    /// By when the next thing of each kind has to happen.
    pub due: BTreeMap<DueKind, Timestamp>,
}

impl Sink for Standings {
    fn deviation(&mut self, found: &Deviation) {
        let from = self.from;
        let ended = self.of(&found.policy, &found.control);
        if let Some(closed) = found.closed {
            let time = closed.duration_since(found.opened.max(from));
            ended.deviations.add(time);
        } else {
            let since = ended.open_since.get_or_insert(found.opened);
            *since = found.opened.min(*since);
        }
    }

    fn gap(&mut self, policy: &Name, control: &Name, gap: &Unobserved) {
        self.of(policy, control).gaps.push(gap.clone());
    }
}

impl Standings {
    /// Of a period that begins then.
    pub const fn new(from: Timestamp) -> Self {
        let of = BTreeMap::new();
        Self { from, of }
    }

    fn of(&mut self, policy: &Name, control: &Name) -> &mut Ended {
        let key = (policy.clone(), control.clone());
        self.of.entry(key).or_default()
    }

    /// What a status says, by an account that these have listened to.
    pub fn standing(&self, summary: &Summary) -> Standing {
        let mut controls: Vec<ControlStanding> = summary
            .controls
            .iter()
            .map(|operation| self.control(operation, summary))
            .collect();
        controls.sort_by_key(|control| {
            let said = &control.observed;
            (
                said.open == 0,
                said.deviations == 0,
                control.operated == Operated::Operated,
                said.id.clone(),
                said.policy.clone(),
            )
        });
        let said = || controls.iter().map(|control| &control.observed);
        let operated = summary.controls.iter();
        let operated = operated
            .filter(|of| of.operated == Operated::Operated)
            .count();
        let due = summary.controls.iter().flat_map(|of| &of.due);
        let (evidence, logs, omitted) = evidence(summary);
        let mut observed = ObservedPeriod {
            observed_generation: 0,
            over: summary.over,
            operated: Some(format!("{operated}/{}", summary.controls.len())),
            deviations: said().map(|control| control.deviations).sum(),
            open: said().map(|control| control.open).sum(),
            next_due: due.map(|due| due.by).min().map(whole),
            conditions: Vec::new(),
            evidence,
            evidence_omitted: omitted,
            controls: said().cloned().collect(),
            omitted: 0,
        };
        fit(&mut observed);
        let begun = summary.log.first.is_some() && summary.until > summary.period.from;
        Standing {
            observed,
            logs,
            controls,
            log_begins: summary
                .log
                .first
                .filter(|first| *first > summary.period.from),
            elsewhere: elsewhere(summary),
            empty: (begun && summary.controls.is_empty()).then(|| summary.nothing()),
        }
    }

    fn control(&self, operation: &Operation, summary: &Summary) -> ControlStanding {
        let Operation {
            control,
            policy,
            numbers,
            ..
        } = operation;
        let none = Ended::default();
        let ended = self.of.get(&(policy.clone(), control.clone()));
        let ended = ended.unwrap_or(&none);
        let deviations = &numbers.deviations;
        // When it is over, all is told as in the pack; until then only what has ended.
        let times = if summary.over {
            &deviations.times
        } else {
            &ended.deviations
        };
        let (over, lasting): (Vec<_>, Vec<_>) = ended
            .gaps
            .iter()
            .partition(|gap| summary.over || gap.to < summary.until);
        let length = |gap: &&Unobserved| gap.to.duration_since(gap.from);
        // Between the last heartbeat and the last entry nobody has missed anything yet.
        let lasting = lasting.iter().find(|gap| length(gap) > SILENCE);
        let unobserved: SignedDuration = over
            .iter()
            .map(length)
            .fold(SignedDuration::ZERO, |a, b| a + b);
        let whole_period = summary.period.to.duration_since(summary.period.from);
        let mean = |times: &Times| times.mean().map(seconds_of);
        let mut due = operation.due.clone();
        due.sort();
        let mut next = BTreeMap::new();
        for due in &due {
            next.entry(due.kind).or_insert(due.by); // the first is the next
        }
        let coverage = share(whole_period - unobserved, whole_period);
        let observed = ObservedPeriodControl {
            id: control.to_string(),
            policy: policy.to_string(),
            operated: operation.operated.name().to_owned(),
            coverage: format!("{coverage:.6}"),
            gaps: count(over.len() as u64),
            unobserved_seconds: unobserved.as_secs(),
            unobserved_since: lasting.map(|gap| whole(gap.from)),
            population: count(numbers.population.closing),
            deviations: count(deviations.times.count),
            open: count(deviations.open),
            open_since: ended.open_since.filter(|_| !summary.over).map(whole),
            longest_seconds: times.longest.as_secs(),
            total_seconds: times.total.as_secs(),
            detect_seconds: mean(&numbers.detection),
            remediate_seconds: mean(&numbers.remediation),
            due_omitted: count(due.len().saturating_sub(MOST_DUE) as u64),
            due: due
                .iter()
                .take(MOST_DUE)
                .map(|due| to_happen(due, summary))
                .collect(),
        };
        ControlStanding {
            observed,
            operated: operation.operated,
            coverage,
            due: next,
        }
    }
}

/// Terms of which no entry is here, in words: the last ones.
fn elsewhere(summary: &Summary) -> Option<String> {
    let led = summary.elsewhere.iter().rev().take(MOST_DUE);
    let led: Vec<String> = led.map(super::Elsewhere::in_words).collect();
    (!led.is_empty()).then(|| led.join("; "))
}

fn to_happen(due: &super::Due, summary: &Summary) -> String {
    let last = due
        .last
        .map_or_else(|| "never yet".to_owned(), |last| format!("last {last:.0}"));
    let late = if due.overdue { ", overdue" } else { "" };
    let what: String = due.what.chars().take(LONGEST_DUE).collect();
    format!(
        "{what}: {last}, next due {:.0}{late}, period ends {}",
        due.by, summary.period.end
    )
}

/// The parts of logs that hold the evidence: the last ones, with their numbers, and how many more there are.
fn evidence(summary: &Summary) -> (Vec<PeriodEvidence>, Vec<u32>, i64) {
    let omitted = summary.parts.len().saturating_sub(MOST_LOGS);
    let parts = summary.parts.iter().skip(omitted);
    let latest = summary.logs.last().map_or(1, |log| log.log);
    let listed = parts.map(|part| {
        let known = summary.logs.iter().find(|log| log.log == part.log);
        let goes_on = !summary.over && part.log == latest;
        let evidence = PeriodEvidence {
            log: known.map_or_else(String::new, |log| log.origin.clone()),
            first: count(part.first),
            last: (!goes_on).then(|| count(part.last)),
            ..PeriodEvidence::default()
        };
        (evidence, part.log)
    });
    let (evidence, logs) = listed.unzip();
    (evidence, logs, count(omitted as u64))
}

/// Leaves out controls, from the end, until it fits.
fn fit(observed: &mut ObservedPeriod) {
    let size = |what: &ObservedPeriodControl| serde_json::to_vec(what).map_or(0, |json| json.len());
    let (mut all, mut fitting) = (0, 0);
    for control in &observed.controls {
        all += size(control) + 1;
        fitting += usize::from(all <= LARGEST);
    }
    observed.omitted = count(observed.controls.len().saturating_sub(fitting) as u64);
    observed.controls.truncate(fitting);
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "no mean of times comes near 2^53 seconds"
)]
fn seconds_of(mean: f64) -> i64 {
    mean.round() as i64
}

fn share(part: SignedDuration, of: SignedDuration) -> f64 {
    part.as_secs_f64() / of.as_secs_f64().max(1.0)
}

fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
