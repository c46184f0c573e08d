//! One control in one policy, followed through the log: who its subjects are, what fails, since when.

mod failing;
mod population;

use std::mem::take;

use jiff::Timestamp;

pub use self::population::{Difference, Member, Reconciliation};
use super::{
    EntryId, Sink,
    definition::{Definition, Said},
    deviation::{Deviation, Span},
    intervals::Intervals,
    numbers::Tally,
    subjects::{BySubject, SubjectId, in_order},
    watch::{Blindness, Cause, Concern, SILENCE, Watch},
};
use crate::{
    evidence::{
        body::Name,
        words::{End, Freshness},
    },
    inventory::Kind,
};

/// Which entry is taken in, and when it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) id: EntryId,
}

impl Moment {
    /// Where it does not matter which entry it was.
    pub(super) fn of_none(at: Timestamp) -> Self {
        let id = EntryId::default();
        Self { at, id }
    }
}

/// A time with one definition, inside the period.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) to: Timestamp,
    pub(super) definition: Definition,
    pub(super) tally: Tally,
}

/// What is counted while the period lasts.
#[derive(Debug, Clone)]
struct Windows {
    whole: Tally,
    /// Since the definition last changed; none while the control is not in force.
    part: Option<Tally>,
}

impl Windows {
    fn each(&mut self, count: impl Fn(&mut Tally)) {
        count(&mut self.whole);
        self.part.iter_mut().for_each(count);
    }
}

/// One control in one policy.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) policy: Name,
    pub(super) control: Name,
    pub(super) concern: Concern,
    pub(super) watch: Watch,
    /// The gaps that concern it and have ended.
    hidden: Intervals,
    pub(super) definition: Definition,
    pub(super) parts: Vec<Part>,
    pub(super) reconciliation: Reconciliation,
    /// Whether anything of it was judged in the period.
    pub(super) judged: bool,
    /// Namespaces in its scope.
    pub(super) included: Option<u64>,
    /// Why it was not in force, or what it reads not usable.
    pub(super) causes: Vec<Cause>,
    /// When it first was in force.
    entered: Option<Timestamp>,
    /// Since when and why it has not been in force.
    out: Option<(Timestamp, String)>,
    windows: Option<Windows>,
    over: bool,
    members: BySubject<Timestamp>,
    open: BySubject<Deviation>,
    spans: BySubject<Span>,
    failing_since: Option<Timestamp>,
}

/// The subjects of a map that is about to change.
fn all<T>(map: &BySubject<T>) -> Vec<SubjectId> {
    in_order(map).into_iter().cloned().collect()
}

impl Track {
    pub(super) fn new(policy: &Name, control: &str, moment: Moment, blind: &Blindness) -> Self {
        let info = crate::controls::registry::find(control).map(|found| found.info);
        let kinds = info.map(|info| {
            // The scope rests on namespaces even where the rule doesn't.
            let inputs = info.inputs().chain([Kind::Namespace]);
            inputs.map(|kind| kind.info().kind).collect()
        });
        let concern = Concern {
            control: control.to_owned(),
            policy: format!("policy {policy}"),
            kinds,
        };
        let mut hidden = Intervals::default();
        for gap in blind.causes(&concern).filter(|gap| gap.to < Timestamp::MAX) {
            hidden.insert(gap.from, gap.to);
        }
        Self {
            policy: policy.clone(),
            control: control.into(),
            concern,
            hidden,
            watch: Watch::default(),
            definition: Definition::default(),
            parts: Vec::new(),
            reconciliation: Reconciliation::default(),
            judged: false,
            included: None,
            causes: Vec::new(),
            entered: None,
            out: Some((moment.at, String::new())),
            windows: None,
            over: false,
            members: BySubject::default(),
            open: BySubject::default(),
            spans: BySubject::default(),
            failing_since: None,
        }
    }

    /// How many subjects it has now.
    fn population(&self) -> u64 {
        self.members.len() as u64
    }

    /// The subjects that it has now.
    pub(super) fn members(&self) -> impl Iterator<Item = &SubjectId> {
        in_order(&self.members).into_iter()
    }

    /// Whether it is in force now.
    pub(super) const fn is_in_force(&self) -> bool {
        self.out.is_none()
    }

    /// Notes a gap that has ended.
    pub(super) fn hide(&mut self, from: Timestamp, to: Timestamp) {
        self.hidden.insert(from, to);
    }

    /// The last instant at which it was seen: what a gap hides was not.
    pub(super) fn seen(&self, blind: &Blindness) -> Option<Timestamp> {
        let seen = self.watch.last_seen()?;
        let hidden = match blind.open_since(&self.concern) {
            Some(open) if open <= seen => {
                return Some(self.hidden.up_to(open).map_or(open, |gap| gap.0));
            }
            _ => self.hidden.around(seen),
        };
        Some(hidden.map_or(seen, |gap| gap.0))
    }

    /// When it was seen between two times.
    pub(super) fn observed(&self, blind: &Blindness, from: Timestamp, to: Timestamp) -> Intervals {
        let mut observed = self.watch.observed(from, to);
        let mut hidden = self.hidden.within(from, to);
        if let Some(open) = blind.open_since(&self.concern) {
            hidden.insert(open, to);
        }
        observed.remove_all(&hidden);
        observed
    }

    /// The period begins.
    pub(super) fn begin(&mut self, from: Timestamp) {
        let members = self.population();
        self.windows = Some(Windows {
            whole: Tally::new(from, members),
            part: self.out.is_none().then(|| Tally::new(from, members)),
        });
    }

    /// The period ends.
    pub(super) fn freeze(&mut self, until: Timestamp, sink: &mut dyn Sink) -> Option<Tally> {
        self.end_part(until);
        let mut whole = self.windows.take()?.whole;
        self.settle(&mut whole, until);
        self.over = true;
        for subject in in_order(&self.members) {
            sink.member(&self.member(subject, self.members[subject], None));
        }
        Some(whole)
    }

    /// Hands over what has not ended with the log.
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        let (open, spans) = (take(&mut self.open), take(&mut self.spans));
        for subject in in_order(&open) {
            sink.deviation(&open[subject]);
        }
        for subject in in_order(&spans) {
            sink.span(&self.policy, &self.control, subject, &spans[subject], None);
        }
    }

    /// Counts what goes on beyond the end of some time.
    fn settle(&self, tally: &mut Tally, until: Timestamp) {
        for open in self.open.values() {
            tally.deviation(open, until);
        }
        for span in self.spans.values() {
            tally.span(span, None, until);
        }
        if let Some(since) = self.failing_since {
            tally.failing(since, until);
        }
        tally.numbers.population.closing = self.population();
    }

    fn end_part(&mut self, at: Timestamp) {
        let part = self
            .windows
            .as_mut()
            .and_then(|windows| windows.part.take());
        let Some(mut tally) = part.filter(|tally| tally.from < at) else {
            return;
        };
        self.settle(&mut tally, at);
        let definition = self.definition.clone();
        self.parts.push(Part {
            to: at,
            definition,
            tally,
        });
    }

    fn begin_part(&mut self, at: Timestamp) {
        let members = self.population();
        if let Some(windows) = &mut self.windows {
            windows.part = Some(Tally::new(at, members));
        }
    }

    /// Takes what an entry says of its definition; another one begins another segment.
    pub(super) fn define(&mut self, said: &Said<'_>, moment: Moment) {
        self.enter(moment);
        if self.over {
            return;
        }
        if self.definition.contradicts(said) {
            self.end_part(moment.at);
            self.definition.take(said);
            self.begin_part(moment.at);
        } else {
            self.definition.take(said);
        }
    }

    /// It is in force from now on.
    pub(super) fn enter(&mut self, moment: Moment) {
        if let Some((since, why)) = self.out.take() {
            self.entered.get_or_insert(moment.at);
            if !why.is_empty() {
                self.causes.push(Cause {
                    from: since,
                    to: moment.at,
                    why,
                });
            }
            self.begin_part(moment.at);
        }
    }

    /// It is not in force any more: whatever was known of its subjects ends.
    pub(super) fn leave(
        &mut self,
        why: &str,
        end: End,
        moment: Moment,
        blind: &Blindness,
        sink: &mut dyn Sink,
    ) {
        if self.out.is_some() {
            return;
        }
        let seen = self.seen(blind);
        self.end_part(moment.at);
        for subject in all(&self.open) {
            self.close(&subject, end, moment, seen, sink);
        }
        for subject in all(&self.spans) {
            self.end_span(&subject, moment, sink);
        }
        for subject in all(&self.members) {
            self.left(&subject, moment, seen, sink);
        }
        self.watch.end(moment.at);
        if !self.over {
            self.out = Some((moment.at, why.to_owned()));
        }
    }

    /// Why it is not in force, if it isn't, with the time since then.
    pub(super) fn absence(&self) -> Option<Cause> {
        let (from, why) = self.out.clone()?;
        Some(Cause {
            from,
            to: Timestamp::MAX,
            why,
        })
    }

    /// When it first was in force.
    pub(super) const fn first_in_force(&self) -> Option<Timestamp> {
        self.entered
    }

    /// A heartbeat says that a kind that it reads can't be used: that it was looked at proves nothing.
    pub(super) fn hidden(&mut self, kind: &str, state: Freshness, at: Timestamp) {
        self.watch.cut();
        let why = format!("{kind} was {state}");
        match self.causes.last_mut() {
            Some(last) if last.why == why && at.duration_since(last.to) <= SILENCE => last.to = at,
            _ => {
                let from = self.watch.last_seen().unwrap_or(at);
                self.causes.push(Cause { from, to: at, why });
            }
        }
    }
}
