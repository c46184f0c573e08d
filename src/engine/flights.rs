//! Remedies under way: from dry run to write to the watch that shows the result.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::plan::Hold;
use crate::{
    controls::{Remedy, Subject, Target},
    inventory::{Sym, Uid},
};

/// What to carry out next.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Ties the result to the action; unique in a log, where intents of writes have ascending ones.
    pub id: u64,
    /// What to do.
    pub step: Step,
    /// The remedy.
    pub remedy: Arc<Remedy>,
    /// Uid that the object must have; `None` where it must not exist.
    pub uid: Option<Uid>,
    /// Version that the object must have.
    pub resource_version: Option<u64>,
    /// When the bytes arrived that led to it, on the monotonic clock; for the metrics.
    pub caused_at: Duration,
}

/// A step of a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read the object, so that it can be archived.
    Archive,
    /// Ask the server whether it would accept the write.
    DryRun,
    /// Write. Its intent must be durable before.
    Write,
}

/// What became of a step.
#[derive(Debug, Clone)]
pub enum ActionResult {
    /// The object as it is now.
    Archived(Value),
    /// The object as the write would leave it; `Null` after a deletion.
    Accepted(Value),
    /// Written; the object's new version, if it still exists.
    Written(Option<u64>),
    /// It failed.
    Failed(Failure),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What the server said.
    pub message: String,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The object changed, exists already or is gone: judge again.
    Superseded,
    /// We lack the right.
    Forbidden,
    /// The server refuses the content.
    Rejected,
    /// It may succeed later.
    Transient,
    /// It may have been carried out.
    Ambiguous,
    /// The intent could not be made durable: nothing was sent.
    Log,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) instance: u32,
    pub(super) subject: Subject,
    pub(super) policies: Vec<Sym>,
    pub(super) remedy: Arc<Remedy>,
    pub(super) uid: Option<Uid>,
    pub(super) resource_version: Option<u64>,
    pub(super) step: Step,
    pub(super) caused_at: Duration,
    /// When the failure was noticed, which a grace or a budget may have made much earlier.
    pub(super) noticed: Duration,
    pub(super) archived: Option<Value>,
    pub(super) settling: bool,
    /// When it was counted against brake and budget.
    pub(super) reserved: Duration,
}

#[derive(Debug)]
struct Failed {
    times: u32,
    until: Duration,
    hold: Hold,
}

/// Work that a tool was given.
#[derive(Debug)]
struct Started {
    /// The object that started it.
    by: Target,
    /// Until then no more is started.
    until: Duration,
}

/// Remedies under way, and those that failed.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_id: BTreeMap<u64, Flight>,
    targets: BTreeMap<Target, u64>,
    failed: BTreeMap<Target, Failed>,
    /// Digests of target and content that this server has accepted.
    accepted: BTreeSet<String>,
    /// What was started last, by what it is a run of.
    started: BTreeMap<Target, Started>,
}

/// Accepted contents that are remembered; beyond it all are forgotten and tried again.
const MOST_ACCEPTED: usize = 10_000;
/// First wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Wait after a refusal: whoever refuses may be told to let it pass, and nothing of that is seen here.
const REFUSED_WAIT: Duration = Duration::from_mins(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

impl Flights {
    pub(super) fn start(&mut self, id: u64, flight: Flight) {
        self.targets.insert(flight.remedy.target().clone(), id);
        self.by_id.insert(id, flight);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Flight> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Flight> {
        self.by_id.get_mut(&id)
    }

    /// Goes on under another id.
    pub(super) fn renumber(&mut self, old: u64, new: u64) {
        if let Some(flight) = self.end(old) {
            self.start(new, flight);
        }
    }

    pub(super) fn end(&mut self, id: u64) -> Option<Flight> {
        let flight = self.by_id.remove(&id)?;
        self.targets.remove(flight.remedy.target());
        Some(flight)
    }

    /// Whether a remedy for this object, or one that starts a run of the same, is under way,
    /// whoever asked for it.
    pub(super) fn busy_with(&self, remedy: &Remedy) -> bool {
        let runs = |flight: &Flight| matches!((&*flight.remedy, remedy), (Remedy::Start { of: one, .. }, Remedy::Start { of: other, .. }) if one == other);
        self.targets.contains_key(remedy.target()) || self.by_id.values().any(runs)
    }

    /// Notes that work was started, after which no more of the kind is for a while.
    pub(super) fn start_resting(&mut self, remedy: &Remedy, now: Duration) {
        if let Remedy::Start {
            target, of, rest, ..
        } = remedy
        {
            let by = target.clone();
            let until = now + *rest;
            self.started.insert(of.clone(), Started { by, until });
        }
    }

    /// Whether nothing is under way, and no tool was given anything to do.
    pub(super) fn is_idle(&self) -> bool {
        self.by_id.is_empty() && self.started.is_empty()
    }

    /// Whether an object is one by which work was started.
    pub(super) fn has_started(&self, target: &Target) -> bool {
        self.started.values().any(|started| started.by == *target)
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether a write of this object has been sent, which the watch may be showing now.
    pub(super) fn is_writing(&self, target: &Target) -> bool {
        let flight = self.targets.get(target).and_then(|id| self.by_id.get(id));
        flight.is_some_and(|flight| flight.step == Step::Write)
    }

    /// The watch has shown that a row passes: its written remedies have arrived.
    pub(super) fn settle(&mut self, instance: u32, subject: &Subject) {
        if self.is_empty() {
            return;
        }
        let done: Vec<u64> = self
            .by_id
            .iter()
            .filter(|(_, f)| f.settling && f.instance == instance && f.subject == *subject)
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            if let Some(flight) = self.end(id) {
                self.failed.remove(flight.remedy.target());
            }
        }
    }

    /// What holds a remedy back after a failure, or after a run was started, and until when.
    pub(super) fn backoff(&self, remedy: &Remedy, now: Duration) -> Option<(Hold, Duration)> {
        if let Remedy::Start { of, .. } = remedy
            && let Some(started) = self.started.get(of).filter(|started| started.until > now)
        {
            let why = format!("{} was started: it is given time", started.by.name);
            return Some((Hold::Backoff(why), started.until));
        }
        let failed = self.failed.get(remedy.target());
        let failed = failed.filter(|failed| failed.until > now)?;
        Some((failed.hold.clone(), failed.until))
    }

    /// Notes a failure and returns when to try again. Waits double from half a second to five
    /// minutes; what was refused outright waits longest at once.
    pub(super) fn fail(&mut self, target: &Target, hold: Hold, now: Duration) -> Duration {
        let times = self.failed.get(target).map_or(0, |failed| failed.times);
        let wait = match hold {
            Hold::NotAllowed(_) => Duration::from_secs(30),
            Hold::Refused(_) => REFUSED_WAIT,
            _ => FIRST_WAIT
                .saturating_mul(1 << times.min(16))
                .min(LONGEST_WAIT),
        };
        let until = now + wait;
        let times = times.saturating_add(1);
        self.failed
            .insert(target.clone(), Failed { times, until, hold });
        until
    }

    /// Forgets a target's failures: it changed, so that the answer may be another now.
    pub(super) fn forgive(&mut self, target: &Target) {
        if self
            .failed
            .get(target)
            .is_some_and(|failed| matches!(failed.hold, Hold::Refused(_)))
        {
            self.failed.remove(target);
        }
    }

    pub(super) fn forgive_all(&mut self) {
        self.failed.clear();
    }

    pub(super) fn accept(&mut self, digest: String) {
        if self.accepted.len() >= MOST_ACCEPTED {
            self.accepted.clear();
        }
        self.accepted.insert(digest);
    }

    pub(super) fn is_accepted(&self, digest: &str) -> bool {
        self.accepted.contains(digest)
    }

    /// Ends everything: leadership was lost. Returns the writes whose outcome is not known.
    pub(super) fn abandon(&mut self) -> Vec<(u64, Target)> {
        self.targets.clear();
        let flights = std::mem::take(&mut self.by_id).into_iter();
        flights
            .filter(|(_, flight)| flight.step == Step::Write && !flight.settling)
            .map(|(id, flight)| (id, flight.remedy.target().clone()))
            .collect()
    }
}
