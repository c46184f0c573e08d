//! Whether the entries of a log, one after another, make sense: silence is explained, and every write has its intent.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::facts::{Fact, Says};
use crate::evidence::body::{Body, KeyChange, Pruned};

/// A leader writes a heartbeat a minute. So long without any entry is silence.
const SILENCE: SignedDuration = SignedDuration::from_secs(180);

/// Time may step back so far: clocks are corrected.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(5);

/// A silence that no gap has explained yet.
#[derive(Clone, Copy)]
struct Silence {
    seq: u64,
    from: Timestamp,
    to: Timestamp,
}

/// What is remembered between entries.
#[derive(Default)]
pub(super) struct Story {
    last: Option<Timestamp>,
    /// Whether this replica leads, and so must not be silent.
    leads: bool,
    silences: Vec<Silence>,
    intents: BTreeMap<u64, u64>,
    before: BTreeSet<u64>,
    last_intent: Option<u64>,
    step_backs: u64,
    /// What the log says that retention has removed.
    pruned: Vec<Pruned>,
    /// What the last entry says, if that is that another key takes over.
    key_change: Option<KeyChange>,
}

/// What is left at the end.
pub(super) struct Ending {
    /// Silences that nothing explains.
    pub(super) silences: Vec<Oddity>,
    /// Intents without an outcome.
    pub(super) open: BTreeSet<u64>,
    /// How often the clock went back.
    pub(super) steps_back: u64,
    /// What the log says that retention has removed.
    pub(super) pruned: Vec<Pruned>,
    /// What the last entry says, if that is that another key takes over.
    pub(super) key_change: Option<KeyChange>,
}

/// Something that makes no sense.
pub(super) struct Oddity {
    pub(super) entry: u64,
    pub(super) what: String,
}

impl Story {
    /// Intents that the log before has left open: this one may tell their outcome.
    pub(super) fn expects(&mut self, before: &BTreeSet<u64>) {
        self.before.clone_from(before);
    }

    /// Takes in an entry that is carried: what was between it and others is not there, which is no silence.
    pub(super) fn recall(&mut self, fact: &Fact) -> Option<Oddity> {
        self.last = None;
        let odd = self.tell(fact);
        self.last = None;
        odd
    }

    /// Takes in the next entry.
    pub(super) fn tell(&mut self, fact: &Fact) -> Option<Oddity> {
        self.key_change = None;
        let Says::Body(body) = &fact.says else {
            self.time(fact);
            return None;
        };
        // The end of a log is written at a start: the next log tells of the gap before it.
        if !matches!(**body, Body::KeyChange(_)) {
            self.time(fact);
        }
        match &**body {
            Body::Term(_) => self.leads = true,
            Body::Start(_) | Body::Stop(_) | Body::Epoch(_) => self.leads = false,
            Body::Gap(gap) => {
                let covers = |silence: &Silence| {
                    let begins = gap.from.duration_since(silence.from) <= SILENCE;
                    let ends = gap
                        .to
                        .is_none_or(|to| silence.to.duration_since(to) <= SILENCE);
                    begins && ends
                };
                if gap.scope == "all" || gap.scope == "log" {
                    self.silences.retain(|silence| !covers(silence));
                }
            }
            Body::Pruned(pruned) => self.pruned.push(pruned.clone()),
            Body::KeyChange(change) => self.key_change = Some(change.clone()),
            Body::Intent(intent) => return self.intent(fact.seq, intent.id),
            Body::Outcome(outcome)
                if self.intents.remove(&outcome.intent).is_none()
                    && !self.before.remove(&outcome.intent) =>
            {
                return Some(Oddity {
                    entry: fact.seq,
                    what: format!(
                        "it is the outcome of intent {}, which the log does not hold",
                        outcome.intent
                    ),
                });
            }
            _ => {}
        }
        None
    }

    fn time(&mut self, fact: &Fact) {
        if let Some(last) = self.last {
            if last.duration_since(fact.time) > STEP_BACK {
                self.step_backs += 1;
            }
            if self.leads && fact.time.duration_since(last) > SILENCE {
                self.silences.push(Silence {
                    seq: fact.seq,
                    from: last,
                    to: fact.time,
                });
            }
        }
        self.last = Some(fact.time);
    }

    fn intent(&mut self, seq: u64, id: u64) -> Option<Oddity> {
        let again = self.intents.insert(id, seq).is_some();
        let backwards = self.last_intent.is_some_and(|last| id <= last);
        self.last_intent = self.last_intent.max(Some(id));
        (again || backwards).then(|| Oddity {
            entry: seq,
            what: format!("intent {id} is not newer than the ones before: it was replayed"),
        })
    }

    /// What is left at the end.
    pub(super) fn finish(self) -> Ending {
        let silences = self.silences.iter().map(|silence| Oddity {
            entry: silence.seq,
            what: format!(
                "nothing was logged from {} to {}, and no gap says why: heartbeats are missing",
                silence.from, silence.to
            ),
        });
        Ending {
            silences: silences.collect(),
            open: self.intents.keys().copied().chain(self.before).collect(),
            steps_back: self.step_backs,
            pruned: self.pruned,
            key_change: self.key_change,
        }
    }
}
