//! When somebody looked: time between heartbeats, less what the log says was not seen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::intervals::Intervals;
use crate::evidence::body::Gap;

/// Two heartbeats that are further apart have a gap between them. They are written every minute; this leaves room for two
/// that are late, and for none that is missing without anybody noticing.
pub const SILENCE: SignedDuration = SignedDuration::from_mins(3);

/// When one control was looked at: its heartbeats prove it, and nothing else does.
#[derive(Debug, Default, Clone)]
pub(super) struct Watch {
    /// The last heartbeat of this run.
    last: Option<Timestamp>,
    /// The last instant that is known to have been seen.
    seen: Option<Timestamp>,
    observed: Intervals,
    /// What goes on: it is put there when something else begins. Nearly every heartbeat only makes it longer.
    running: Option<(Timestamp, Timestamp)>,
}

impl Watch {
    /// A heartbeat lists the control.
    pub(super) fn beat(&mut self, at: Timestamp) {
        self.until(at);
        self.last = Some(at);
        self.seen = Some(at);
    }

    /// What looked at it ends in good order.
    pub(super) fn end(&mut self, at: Timestamp) {
        if self.until(at) {
            self.seen = Some(at);
        }
        self.last = None;
    }

    /// What looked at it ended, nobody knows when.
    pub(super) const fn cut(&mut self) {
        self.last = None;
    }

    /// The last instant at which it was seen, whatever gaps say.
    pub(super) const fn last_seen(&self) -> Option<Timestamp> {
        self.seen
    }

    fn until(&mut self, at: Timestamp) -> bool {
        let last = self.last.filter(|last| at.duration_since(*last) <= SILENCE);
        if let Some(last) = last {
            self.looked(last, at);
        }
        last.is_some()
    }

    fn looked(&mut self, from: Timestamp, to: Timestamp) {
        match &mut self.running {
            Some((begin, end)) if (*begin..=*end).contains(&from) => *end = to.max(*end),
            running => {
                if let Some((begin, end)) = running.replace((from, to)) {
                    self.observed.insert(begin, end);
                }
            }
        }
    }

    /// When it was looked at between two times, whatever gaps say.
    pub(super) fn observed(&self, from: Timestamp, to: Timestamp) -> Intervals {
        let mut observed = self.observed.within(from, to);
        if let Some((begin, end)) = self.running {
            observed.insert(begin.max(from), end.min(to));
        }
        observed
    }
}

/// What gaps have to be about to concern a control in a policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Concern {
    pub(super) control: String,
    /// As gaps of its policy are named.
    pub(super) policy: String,
    /// Kinds that it reads; `None` where this program doesn't know the control.
    pub(super) kinds: Option<Vec<&'static str>>,
}

impl Concern {
    /// Whether a gap of this scope hides it.
    pub(super) fn is(&self, scope: &str) -> bool {
        if scope.starts_with("policy ") {
            return scope == self.policy;
        }
        if scope.starts_with(|first: char| first.is_ascii_uppercase()) {
            return self.reads(scope);
        }
        // The id of a control has a hyphen. What nobody understands hides everything.
        !scope.contains('-') || scope == self.control
    }

    /// Whether it reads a kind.
    pub(super) fn reads(&self, kind: &str) -> bool {
        self.kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// The gaps that the log tells of, by scope.
#[derive(Debug, Default, Clone)]
pub(super) struct Blindness(BTreeMap<String, Blind>);

#[derive(Debug, Default, Clone)]
struct Blind {
    closed: Vec<Cause>,
    open: Option<(Timestamp, String)>,
}

impl Blindness {
    /// Takes note of a gap that an entry of `at` tells of. Where that is its end, returns what it was. No gap ends after
    /// it was told of, even where the clock ran ahead.
    pub(super) fn note(&mut self, gap: &Gap, at: Timestamp) -> Option<Cause> {
        let blind = self.0.entry(gap.scope.clone()).or_default();
        let open = blind.open.take();
        let began = gap.from.min(at);
        let from = open.map_or(began, |(from, _)| began.min(from));
        if let Some(to) = gap.to.map(|to| to.min(at)) {
            let closed = Cause {
                from,
                to,
                why: gap.cause.clone(),
            };
            blind.closed.push(closed.clone());
            return Some(closed);
        }
        blind.open = Some((from, gap.cause.clone()));
        None
    }

    /// Since when something hides a control.
    pub(super) fn open_since(&self, of: &Concern) -> Option<Timestamp> {
        let concerned = self.0.iter().filter(|(scope, _)| of.is(scope));
        concerned
            .filter_map(|(_, blind)| Some(blind.open.as_ref()?.0))
            .min()
    }

    /// Why a control was not seen, as far as gaps tell.
    pub(super) fn causes(&self, of: &Concern) -> impl Iterator<Item = Cause> {
        let concerned = self.0.iter().filter(|(scope, _)| of.is(scope));
        concerned.flat_map(|(_, blind)| {
            let open = blind.open.iter().map(|(from, why)| Cause {
                from: *from,
                to: Timestamp::MAX,
                why: why.clone(),
            });
            blind.closed.iter().cloned().chain(open)
        })
    }
}

/// Why nobody looked in some interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) why: String,
}

/// An interval in which a control was not observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unobserved {
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Why, as far as the log tells; several where one thing followed another.
    pub causes: Vec<String>,
}

/// Why a gap is one of which the log tells nothing.
pub(super) const SILENT: &str = "no heartbeat lists the control";

/// Gives each interval the causes that overlap it.
pub(super) fn explain(missing: &Intervals, mut causes: Vec<Cause>) -> Vec<Unobserved> {
    causes.sort_by(|a, b| (a.from, &a.why).cmp(&(b.from, &b.why)));
    let mut causes = causes.into_iter().peekable();
    let mut active: Vec<Cause> = Vec::new();
    let mut explained = Vec::new();
    for (from, to) in missing.iter() {
        while let Some(cause) = causes.next_if(|cause| cause.from < to) {
            active.push(cause);
        }
        active.retain(|cause| cause.to > from);
        let mut known = Intervals::default();
        let mut why: Vec<String> = Vec::new();
        for cause in &active {
            known.insert(cause.from, cause.to);
            if !why.contains(&cause.why) {
                why.push(cause.why.clone());
            }
        }
        // The last minutes before something is noticed belong to it.
        let unexplained = known
            .missing(from, to)
            .iter()
            .any(|(from, to)| to.duration_since(from) > SILENCE);
        if unexplained || why.is_empty() {
            why.push(SILENT.to_owned());
        }
        explained.push(Unobserved {
            from,
            to,
            causes: why,
        });
    }
    explained
}
