//! Takes in the log, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    EntryId, Frame, LogCount, Sink,
    changes::PeriodChanges,
    clock::Clock,
    definition::{Policy, Said, definitions},
    due::Occurrences,
    people::{Elsewhere, LogBegin, PolicyStep, Run},
    scopes::LeftOut,
    subjects::Subjects,
    summary::{LogPart, LogRange},
    track::{Moment, Track},
    watch::{Blindness, Cause},
};
use crate::evidence::{
    Entry,
    body::{self, Body, Heartbeat, Intent, Name, PolicyChange, Population, Transition},
    words::{Change, End, Freshness},
};

/// Where the log is with regard to the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    Within,
    After,
}

/// The account of an audit period, in the making.
#[derive(Debug, Clone)]
pub struct Account {
    pub(super) frame: Frame,
    pub(super) phase: Phase,
    pub(super) tracks: Vec<Track>,
    /// Position in `tracks` by policy and control.
    index: BTreeMap<Name, BTreeMap<Name, usize>>,
    /// The tracks of the rows of the last heartbeat: the next one mostly has the same.
    layout: Vec<Option<usize>>,
    subjects: Subjects,
    pub(super) blind: Blindness,
    /// Times between terms, as the log itself shows them.
    pub(super) interruptions: Vec<Cause>,
    /// The last term that these logs have.
    last_term: Option<u64>,
    /// Terms that they lack.
    pub(super) elsewhere: Vec<Elsewhere>,
    intents: BTreeMap<u64, (Timestamp, Intent)>,
    pub(super) occurrences: Occurrences,
    pub(super) range: LogRange,
    /// The part of each log that lies in the period.
    pub(super) parts: Vec<LogPart>,
    pub(super) clock: Clock,
    log_count: LogCount,
    pub(super) changes: Vec<PolicyStep>,
    pub(super) period_changes: PeriodChanges,
    pub(super) runs: Vec<Run>,
    pub(super) logs: Vec<LogBegin>,
    /// Namespaces out of scope, by track.
    pub(super) excluded: BTreeMap<usize, LeftOut>,
    /// Parts of logs that could not be read.
    pub(super) damaged: Vec<String>,
    /// Whether the last thing that the operator said was that it stops.
    stopped: bool,
    /// Whether anybody has led so far.
    led: bool,
    whole: BTreeMap<usize, super::numbers::Tally>,
}

impl Account {
    /// Begins with an empty log.
    pub fn new(frame: Frame) -> Self {
        Self {
            frame,
            phase: Phase::Before,
            tracks: Vec::new(),
            index: BTreeMap::new(),
            layout: Vec::new(),
            subjects: Subjects::default(),
            blind: Blindness::default(),
            interruptions: Vec::new(),
            last_term: None,
            elsewhere: Vec::new(),
            intents: BTreeMap::new(),
            occurrences: Occurrences::default(),
            range: LogRange::default(),
            parts: Vec::new(),
            clock: Clock::default(),
            log_count: LogCount::default(),
            changes: Vec::new(),
            period_changes: PeriodChanges::default(),
            runs: Vec::new(),
            logs: Vec::new(),
            excluded: BTreeMap::new(),
            damaged: Vec::new(),
            stopped: false,
            led: false,
            whole: BTreeMap::new(),
        }
    }

    /// Takes in the next entry, oldest first.
    pub fn take(&mut self, entry: &Entry, sink: &mut dyn Sink) {
        if self.clock.passes(entry) {
            self.dated(entry, entry.time, None, sink);
            return;
        }
        for known in self.clock.hold(entry) {
            self.dated(&known.entry, known.at, known.ahead, sink);
        }
    }

    /// Notes which parts of the logs could not be read: what they say counts for nothing.
    pub fn damaged(&mut self, parts: &[String]) {
        self.damaged = parts.to_vec();
    }

    /// Takes in what is held back because its time was in doubt.
    pub(super) fn settle(&mut self, sink: &mut dyn Sink) {
        for known in self.clock.release() {
            self.dated(&known.entry, known.at, known.ahead, sink);
        }
    }

    fn dated(&mut self, entry: &Entry, time: Timestamp, ahead: Option<i64>, sink: &mut dyn Sink) {
        let last = self.range.last;
        let moment = self.moment(entry, time, ahead);
        self.advance(moment.at, sink);
        self.belongs(moment.id);
        match &entry.body {
            Body::Start(said) => {
                self.tracks.iter_mut().for_each(|track| track.watch.cut());
                self.runs.push(Run::new(moment.id, moment.at, said));
            }
            Body::Epoch(said) => {
                self.tracks.iter_mut().for_each(|track| track.watch.cut());
                self.logs.push(LogBegin {
                    log: moment.id.log,
                    at: moment.at,
                    origin: said.origin.clone(),
                    key: said.key.clone(),
                    cause: said.cause.clone(),
                });
            }
            Body::Stop(_) => self
                .tracks
                .iter_mut()
                .for_each(|track| track.watch.end(moment.at)),
            Body::Term(said) => self.term(said, last, moment),
            Body::PolicyChange(said) => self.policy(said, moment, sink),
            Body::Transition(said) => self.transition(said, moment, sink),
            Body::Population(said) => self.population(said, moment, sink),
            Body::Heartbeat(said) => self.heartbeat(said, moment.at),
            Body::Intent(said) => self.intent(said, moment),
            Body::Outcome(said) => self.outcome(said, moment.at, sink),
            Body::Gap(said) => self.gap(said, moment.at),
            Body::Scope(said) => self.scope(said, moment),
            // What happens after the end belongs to the next period.
            Body::Kept(said) if self.phase != Phase::After => {
                let subject = self.subjects.id(&said.subject);
                self.occurrences.kept(said, &subject);
            }
            Body::Attestation(said) if self.phase != Phase::After => {
                self.occurrences.attestation(said, moment.at);
            }
            Body::Review(said) if self.phase != Phase::After => {
                self.occurrences.reviews.take(said, moment.at);
            }
            Body::Period(said) if *said.name == *self.frame.name => {
                self.period_changes
                    .take(moment.id, moment.at, said, &self.frame);
            }
            // What of them still matters came before.
            Body::Pruned(said) => self.range.removed = self.range.removed.max(said.before),
            Body::Kept(_)
            | Body::Attestation(_)
            | Body::Review(_)
            | Body::Period(_)
            | Body::Exception(_)
            | Body::Response(_)
            | Body::Brake(_)
            | Body::Contended(_)
            | Body::Pause(_)
            | Body::Export(_)
            | Body::Drill(_)
            | Body::EncryptionConfig(_)
            | Body::KeyChange(_)
            | Body::Spilled(_) => {}
        }
        self.stopped = matches!(entry.body, Body::Stop(_));
    }

    /// When an entry was written, and which one it is.
    fn moment(&mut self, entry: &Entry, time: Timestamp, ahead: Option<i64>) -> Moment {
        let id = self.log_count.next(entry);
        let at = self.clock.date(id, time, ahead);
        if self.range.first.is_none() {
            self.range.first = Some(at);
            self.range.removed = entry.seq;
        }
        self.range.last = Some(at);
        self.range.entries += 1;
        Moment { at, id }
    }

    /// Notes which part of the log lies in the period.
    fn belongs(&mut self, id: EntryId) {
        if self.phase != Phase::Within {
            return;
        }
        match self.parts.last_mut() {
            Some(part) if part.log == id.log => part.last = id.seq,
            _ => self.parts.push(LogPart {
                log: id.log,
                first: id.seq,
                last: id.seq,
            }),
        }
    }

    /// Begins and ends the period, as far as time has come.
    fn advance(&mut self, at: Timestamp, sink: &mut dyn Sink) {
        if self.phase == Phase::Before && at >= self.frame.from {
            self.phase = Phase::Within;
            let from = self.frame.from;
            self.tracks.iter_mut().for_each(|track| track.begin(from));
        }
        if self.phase == Phase::Within && at >= self.frame.to {
            self.freeze(self.frame.to, sink);
        }
    }

    /// Ends the period: nothing is counted after it.
    pub(super) fn freeze(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        self.phase = Phase::After;
        for (position, track) in self.tracks.iter_mut().enumerate() {
            if let Some(tally) = track.freeze(until, sink) {
                self.whole.insert(position, tally);
            }
        }
    }

    /// The numbers of the whole period of a track.
    pub(super) fn whole(&mut self, position: usize) -> Option<super::numbers::Tally> {
        self.whole.remove(&position)
    }

    fn position(&self, policy: &str, control: &str) -> Option<usize> {
        self.index.get(policy)?.get(control).copied()
    }

    /// The track of a control in a policy, if the period is about it.
    fn track(&mut self, policy: &Name, control: &str, moment: Moment) -> Option<usize> {
        let known = self.position(policy, control);
        if known.is_some() || self.phase == Phase::After || !self.frame.covers(policy) {
            return known;
        }
        let mut track = Track::new(policy, control, moment, &self.blind);
        if self.phase == Phase::Within {
            track.begin(self.frame.from);
        }
        let position = self.tracks.len();
        let control = track.control.clone();
        self.index
            .entry(policy.clone())
            .or_default()
            .insert(control, position);
        self.tracks.push(track);
        Some(position)
    }

    fn term(&mut self, said: &body::Term, last: Option<Timestamp>, moment: Moment) {
        self.tracks.iter_mut().for_each(|track| track.watch.cut());
        let is_first = !std::mem::replace(&mut self.led, true);
        let known = self.last_term.zip(last);
        // Terms of which retention has removed the entries were here.
        let whole = known.is_some() || self.range.removed == 0;
        let elsewhere = Elsewhere::before(said, known, moment.at).filter(|_| whole);
        self.last_term = self.last_term.max(Some(said.epoch));
        if elsewhere.is_some() {
            self.elsewhere.extend(elsewhere);
            return;
        }
        let Some(from) = last else { return };
        let why = if is_first {
            "before the first heartbeat: the log had begun, and nobody led yet"
        } else if self.stopped {
            "nobody led after a stop in good order"
        } else {
            "nobody led: the operator had ended without a word, or another replica led"
        };
        self.interruptions.push(Cause {
            from,
            to: moment.at,
            why: why.to_owned(),
        });
    }

    fn gap(&mut self, said: &body::Gap, at: Timestamp) {
        let Some(closed) = self.blind.note(said, at) else {
            return;
        };
        for track in self
            .tracks
            .iter_mut()
            .filter(|track| track.concern.is(&said.scope))
        {
            track.hide(closed.from, closed.to);
        }
    }

    fn policy(&mut self, said: &PolicyChange, moment: Moment, sink: &mut dyn Sink) {
        if !self.frame.covers(&said.policy) {
            return;
        }
        if self.phase != Phase::After {
            let step = PolicyStep::new(moment.id, moment.at, said);
            if self.phase == Phase::Within {
                self.changes.push(step);
            }
        }
        let policy = Policy::read(said);
        let suspended = said.change == Change::Suspended
            || policy.as_ref().is_some_and(|policy| policy.suspended);
        let known: Vec<usize> = self
            .index
            .get(&said.policy)
            .into_iter()
            .flatten()
            .map(|(_, at)| *at)
            .collect();
        let mut leave = |positions: &[usize], why: &str, end| {
            for position in positions {
                self.tracks[*position].leave(why, end, moment, &self.blind, sink);
            }
        };
        if said.change == Change::Created {
            // The log knows nothing of the one before: what lasted there is not known to last.
            leave(&known, "the log before it was lost", End::Unobservable);
        }
        if said.change == Change::Deleted {
            leave(&known, "the policy was deleted", End::PolicyDeleted);
            return;
        }
        let Some(policy) = policy else {
            if suspended {
                leave(&known, "the policy was suspended", End::PolicySuspended);
            }
            return;
        };
        let is_on = |track: &Track| {
            policy
                .controls
                .iter()
                .any(|(id, ..)| **id == *track.control)
        };
        let (used, dropped): (Vec<usize>, Vec<usize>) = known
            .iter()
            .partition(|position| is_on(&self.tracks[**position]));
        let mut leave = |positions: &[usize], why: &str, end| {
            for position in positions {
                self.tracks[*position].leave(why, end, moment, &self.blind, sink);
            }
        };
        leave(
            &dropped,
            "no longer switched on in the policy",
            End::DefinitionChanged,
        );
        if suspended {
            leave(&used, "the policy was suspended", End::PolicySuspended);
            return;
        }
        for (control, parameters, params_hash) in policy.controls {
            let Some(position) = self.track(&said.policy, &control, moment) else {
                continue;
            };
            let track = &mut self.tracks[position];
            let defined = Said {
                rule_version: None,
                params_hash: Some(&params_hash),
                scope_hash: Some(&policy.scope_hash),
            };
            track.define(&defined, moment);
            if self.phase != Phase::After {
                track.definition.parameters = Some(parameters);
                track.definition.scope = Some(policy.scope.clone());
            }
        }
    }

    fn transition(&mut self, said: &Transition, moment: Moment, sink: &mut dyn Sink) {
        for policy in &said.policies {
            let Some(position) = self.track(policy, &said.control, moment) else {
                continue;
            };
            let subject = self.subjects.id(&said.subject);
            let track = &mut self.tracks[position];
            if said.to.is_some() {
                track.define(&said.into(), moment);
            }
            track.transition(said, &subject, moment, &self.blind, sink);
            if said.to == Some(crate::verdict::Outcome::Pass) && self.phase != Phase::After {
                self.occurrences.passed(&said.control, &subject, moment.at);
            }
        }
    }

    fn population(&mut self, said: &Population, moment: Moment, sink: &mut dyn Sink) {
        for policy in &said.policies {
            let Some(position) = self.track(policy, &said.control, moment) else {
                continue;
            };
            let track = &mut self.tracks[position];
            if !said.joined.is_empty() {
                track.enter(moment);
            }
            let seen = track.seen(&self.blind);
            for subject in &said.joined {
                track.joined(&self.subjects.id(subject), moment);
            }
            for subject in &said.left {
                track.left(&self.subjects.id(subject), moment, seen, sink);
            }
        }
    }

    fn heartbeat(&mut self, said: &Heartbeat, at: Timestamp) {
        let unusable: BTreeSet<(&str, Freshness)> = said
            .kinds
            .iter()
            .filter(|kind| !matches!(kind.state, Freshness::Synced | Freshness::Absent))
            .map(|kind| (&*kind.kind, kind.state))
            .collect();
        let mut layout = std::mem::take(&mut self.layout);
        layout.resize(said.controls.len(), None);
        for (row, known) in said.controls.iter().zip(&mut layout) {
            let fits =
                |track: &Track| *track.policy == *row.policy && *track.control == *row.control;
            if !known.is_some_and(|position| fits(&self.tracks[position])) {
                let moment = Moment::of_none(at);
                *known = self.track(&row.policy, &row.control, moment);
            }
            let Some(position) = *known else { continue };
            let track = &mut self.tracks[position];
            track.enter(Moment::of_none(at));
            let hidden = unusable.iter().find(|(kind, _)| track.concern.reads(kind));
            if let Some((kind, state)) = hidden {
                track.hidden(kind, *state, at);
                continue;
            }
            track.watch.beat(at);
            track.reconcile(&row.by_outcome, at);
        }
        self.layout = layout;
    }

    fn intent(&mut self, said: &Intent, moment: Moment) {
        for policy in &said.policies {
            self.track(policy, &said.control, moment);
        }
        // What would be put back is in the log; the account needs only what was done.
        let (before, after) = (None, None);
        self.intents.insert(
            said.id,
            (
                moment.at,
                Intent {
                    before,
                    after,
                    ..said.clone()
                },
            ),
        );
    }

    fn outcome(&mut self, said: &body::ActionOutcome, at: Timestamp, sink: &mut dyn Sink) {
        let Some((began, intent)) = self.intents.remove(&said.intent) else {
            return;
        };
        let mut concerns = false;
        for policy in &intent.policies {
            if let Some(position) = self.position(policy, &intent.control) {
                self.tracks[position].remedied(said.result);
                concerns = true;
            }
        }
        if concerns && self.phase == Phase::Within {
            sink.remedy(began, &intent, at, said);
        }
    }

    fn scope(&mut self, said: &body::Scope, moment: Moment) {
        for policy in &said.policies {
            for (control, defined) in definitions(said) {
                let Some(position) = self.track(policy, control, moment) else {
                    continue;
                };
                self.tracks[position].define(&defined, moment);
                if self.phase == Phase::After {
                    continue;
                }
                self.tracks[position].included = Some(said.included);
                let left_out = self.excluded.entry(position).or_default();
                left_out.take(&said.excluded, moment.at, self.frame.from);
            }
        }
    }
}
