//! Audit periods: how each control operated from one day to another, computed from the log alone.
//!
//! Responsible for intervals, coverage, populations, deviations, and what will be missing. Must do no IO and read no
//! clock: entries come in one by one, oldest first, and only what has not ended is held.
//!
//! ```text
//! Entry ─► Account::take ─► Track (one control in one policy) ─► Sink: deviations, members, spans, remedies
//!                             watch   when somebody looked
//!                             tally   the period, and the segment with the present definition
//! end   ─► Account::finish ─► Summary: numbers, gaps with causes, what is missing
//! ```
//!
//! What counts as observed is positive: time between two heartbeats, at most [`SILENCE`] apart, that both list the control
//! and find every kind that it reads usable, less the gaps that the log tells of.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod account;
mod changes;
mod clock;
mod definition;
mod deviation;
mod due;
mod entry_id;
mod frame;
mod intervals;
mod join;
mod numbers;
mod people;
mod readiness;
mod sample;
mod scopes;
mod standing;
mod subjects;
mod summary;
#[cfg(test)]
mod tests;
mod track;
mod watch;

pub use self::{
    account::Account,
    clock::{ClockStep, Direction},
    definition::Definition,
    deviation::{Deviation, Span, SpanKind},
    due::{Due, DueKind},
    entry_id::{EntryId, LogCount},
    frame::{Frame, FrameError},
    intervals::Intervals,
    join::Joiner,
    numbers::{DeviationNumbers, Numbers, PopulationNumbers, SpanNumbers, Times},
    people::{Elsewhere, Excluded, LogBegin, ObjectStep, PolicyStep, Run},
    readiness::{
        Commitment, Criterion, Readiness, Shown, Signal, criteria_of, readiness, signal, title,
    },
    sample::{Drawn, Item, Sample, Sampler, item_id},
    standing::{ControlStanding, Standing, Standings},
    subjects::SubjectId,
    summary::{Coverage, LogPart, LogRange, Operated, Operation, Segment, Summary},
    track::{Difference, Member, Reconciliation},
    watch::{SILENCE, Unobserved},
};

use jiff::Timestamp;

use crate::evidence::body::{ActionOutcome, Intent, Name};

/// Takes what is too much to be held: each thing once, when it has ended or the log does.
pub trait Sink {
    /// A deviation of which some part lies in the period.
    fn deviation(&mut self, _: &Deviation) {}
    /// A subject that was in the population in the period.
    fn member(&mut self, _: &Member) {}
    /// An interval in which a subject was excepted or could not be judged.
    fn span(
        &mut self,
        _policy: &Name,
        _control: &Name,
        _subject: &SubjectId,
        _span: &Span,
        _until: Option<Timestamp>,
    ) {
    }
    /// A write of ours in the period, and what became of it.
    fn remedy(&mut self, _began: Timestamp, _: &Intent, _ended: Timestamp, _: &ActionOutcome) {}
    /// A time in which a control was not observed.
    fn gap(&mut self, _policy: &Name, _control: &Name, _: &Unobserved) {}
}

/// Takes nothing: the numbers are enough.
#[derive(Debug)]
pub struct NumbersOnly;

impl Sink for NumbersOnly {}
