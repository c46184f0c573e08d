//! Takes in the log, entry by entry.

mod said;

use std::{collections::BTreeMap, sync::Arc};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use jiff::Timestamp;

use super::{
    EntryId, Frame, LogCount, Sink,
    changes::PeriodChanges,
    clock::Clock,
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
    body::{self, Body, Intent, Name},
};

/// Where the log is with regard to the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    Within,
    After,
}

/// The track of a row of heartbeats, and the names that it was found by. The next heartbeat mostly holds the very same ones.
#[derive(Debug, Clone)]
struct Place {
    policy: Name,
    control: Name,
    track: Option<usize>,
}

impl Place {
    /// Whether it was found by these very names. Equal ones are looked up: there are few.
    fn is_by(&self, policy: &Name, control: &Name) -> bool {
        Arc::ptr_eq(&self.policy, policy) && Arc::ptr_eq(&self.control, control)
    }
}

/// The account of an audit period, in the making.
#[derive(Debug, Clone)]
pub struct Account {
    pub(super) frame: Frame,
    pub(super) phase: Phase,
    pub(super) tracks: Vec<Track>,
    /// Position in `tracks` by policy and control.
    index: HashMap<Name, HashMap<Name, usize, FixedState>, FixedState>,
    /// The tracks of the rows of the last heartbeat: the next one mostly has the same.
    layout: Vec<Place>,
    subjects: Subjects,
    pub(super) blind: Blindness,
    /// Times between terms, as the log itself shows them.
    pub(super) interruptions: Vec<Cause>,
    /// The last term that these logs have.
    last_term: Option<u64>,
    /// Terms that they lack.
    pub(super) elsewhere: Vec<Elsewhere>,
    /// Until when retention has removed entries of some log: terms before may have been in it.
    pub(super) pruned: Option<Timestamp>,
    /// By replica and id: each counts its own.
    intents: BTreeMap<(usize, u64), (Timestamp, Intent)>,
    pub(super) occurrences: Occurrences,
    pub(super) range: LogRange,
    /// The part of each log that lies in the period.
    pub(super) parts: Vec<LogPart>,
    pub(super) clock: Clock,
    log_count: LogCount,
    /// The replica that wrote what is taken in, and the last entry of it.
    replica: usize,
    entry: Option<EntryId>,
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
            index: HashMap::default(),
            layout: Vec::new(),
            subjects: Subjects::default(),
            blind: Blindness::default(),
            interruptions: Vec::new(),
            last_term: None,
            elsewhere: Vec::new(),
            pruned: None,
            intents: BTreeMap::new(),
            occurrences: Occurrences::default(),
            range: LogRange::default(),
            parts: Vec::new(),
            clock: Clock::default(),
            log_count: LogCount::default(),
            replica: 0,
            entry: None,
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

    /// The same, of a log that is joined with others: each replica has a number, and a clock of its own.
    pub fn take_of(&mut self, replica: usize, entry: &Entry, sink: &mut dyn Sink) {
        if replica != self.replica {
            for known in self.clock.change(entry.time) {
                self.dated(&known.entry, known.at, known.ahead, sink);
            }
            self.clock.changed(entry.time);
            self.replica = replica;
            self.log_count.turn_to(replica);
        }
        self.take(entry, sink);
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
            Body::Pruned(said) => {
                self.range.removed = self.range.removed.max(said.before);
                self.pruned = self.pruned.max(Some(said.until));
            }
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
        // Of an entry that is joined with other logs, several may be made.
        if self.entry.replace(id) != Some(id) {
            self.range.entries += 1;
        }
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
}
