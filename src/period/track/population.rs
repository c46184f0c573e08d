//! Who the subjects of a control are.

use jiff::Timestamp;
use serde::Serialize;

use super::{Moment, Track};
use crate::{
    evidence::{
        body::{self, Name},
        words::End,
    },
    period::{Sink, SubjectId},
    verdict::Outcome,
};

/// How the counts of heartbeats agree with the joins and leaves of the log.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciliation {
    /// Heartbeats that were compared.
    pub compared: u64,
    /// Those that counted something else.
    pub differing: u64,
    /// The first of them.
    pub first: Option<Difference>,
}

/// A heartbeat that counts other subjects than joined and left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// When.
    pub at: Timestamp,
    /// Subjects by joins and leaves.
    pub known: u64,
    /// Subjects that the heartbeat counts.
    pub counted: u64,
}

/// A subject of a control, as far as the period concerns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The policy.
    pub policy: Name,
    /// The control.
    pub control: Name,
    /// The subject.
    pub subject: SubjectId,
    /// When it was first seen.
    pub joined: Timestamp,
    /// When it left, if it did before the period ended.
    pub left: Option<Timestamp>,
}

impl Track {
    /// A heartbeat counts so many subjects.
    pub(in crate::period) fn reconcile(&mut self, by_outcome: &body::Counts, at: Timestamp) {
        if self.windows.is_none() {
            return;
        }
        let counted = by_outcome.total();
        self.judged |= counted > by_outcome.of(Outcome::Unknown);
        let known = self.population();
        self.reconciliation.compared += 1;
        if known != counted {
            self.reconciliation.differing += 1;
            let difference = Difference { at, known, counted };
            self.reconciliation.first.get_or_insert(difference);
        }
    }

    /// A subject joins.
    pub(in crate::period) fn joined(&mut self, subject: &SubjectId, moment: Moment) {
        if self.over || self.members.contains_key(subject) {
            return;
        }
        self.members.insert(subject.clone(), moment.at);
        if let Some(windows) = &mut self.windows {
            windows.each(|tally| tally.numbers.population.added += 1);
        }
    }

    /// A subject leaves.
    pub(in crate::period) fn left(
        &mut self,
        subject: &SubjectId,
        moment: Moment,
        seen: Option<Timestamp>,
        sink: &mut dyn Sink,
    ) {
        self.close(subject, End::SubjectGone, moment, seen, sink);
        self.end_span(subject, moment, sink);
        if self.over {
            return;
        }
        let Some(joined) = self.members.remove(subject) else {
            return;
        };
        if let Some(windows) = &mut self.windows {
            windows.each(|tally| tally.numbers.population.removed += 1);
            sink.member(&self.member(subject, joined, Some(moment.at)));
        }
    }

    pub(super) fn member(
        &self,
        subject: &SubjectId,
        joined: Timestamp,
        left: Option<Timestamp>,
    ) -> Member {
        Member {
            policy: self.policy.clone(),
            control: self.control.clone(),
            subject: subject.clone(),
            joined,
            left,
        }
    }
}
