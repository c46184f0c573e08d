//! What became of one subject, and when anybody looked.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dated, Fact, Failure, Key, Oracle, Stay, Window, in_minutes, name};
use crate::{
    evidence::words::{Cause, End},
    period::{Numbers, SpanKind, Times, tests::minutes},
    verdict::Outcome,
};

impl<'a> Oracle<'a> {
    /// When a subject failed, and when it was excepted or unknown.
    #[allow(clippy::too_many_lines, reason = "it is to be read from top to bottom")]
    pub(super) fn lives(
        &self,
        key: &Key,
        facts: &[Dated<'a>],
        subject: &str,
    ) -> (Vec<Failure>, Vec<Stay>) {
        let mut failures: Vec<Failure> = Vec::new();
        let mut stays: Vec<Stay> = Vec::new();
        let mut id = String::new();
        for dated in facts {
            let here = (dated.index, dated.at);
            let close = |failures: &mut Vec<Failure>, end| {
                if let Some(open) = failures.last_mut().filter(|open| open.closed.is_none()) {
                    open.closed = Some((here.0, here.1, end));
                }
            };
            let leave = |stays: &mut Vec<Stay>| {
                if let Some(open) = stays.last_mut().filter(|open| open.ended.is_none()) {
                    open.ended = Some(here);
                }
            };
            match &dated.fact {
                Fact::Leave(end) => {
                    close(&mut failures, *end);
                    leave(&mut stays);
                }
                Fact::Gone(other) if other == subject => {
                    close(&mut failures, End::SubjectGone);
                    leave(&mut stays);
                }
                Fact::Turn(said) if name(&said.subject) == subject => {
                    let seen = self.seen(key, facts, dated.index);
                    let unknown = stays
                        .last()
                        .filter(|stay| stay.ended.is_none() && stay.kind == SpanKind::Unknown);
                    let real = matches!(said.cause, Cause::Object | Cause::Time);
                    let known = if matches!(said.cause, Cause::Policy | Cause::Catalogue)
                        || (said.from.is_none() && !real)
                    {
                        None
                    } else if said.from == Some(Outcome::Unknown) {
                        unknown.and_then(|stay| stay.after)
                    } else {
                        seen
                    };
                    match said.to {
                        Some(Outcome::Fail) => {
                            let lasts = failures.last().is_some_and(|open| open.closed.is_none());
                            let new = said.deviation.clone().unwrap();
                            if lasts && (said.from.is_some() || id == new) {
                                failures
                                    .last_mut()
                                    .unwrap()
                                    .severities
                                    .push((dated.index, said.severity));
                            } else {
                                close(&mut failures, End::DefinitionChanged);
                                id = new;
                                let began = said
                                    .opened
                                    .map(in_minutes)
                                    .filter(|began| *began < dated.at);
                                failures.push(Failure {
                                    opened: here,
                                    closed: None,
                                    severities: vec![(dated.index, said.severity)],
                                    before_observation: known.is_none(),
                                    drift: said.from == Some(Outcome::Pass) && real,
                                    detection: known.map(|known| {
                                        dated.at - began.map_or(known, |began| began.max(known))
                                    }),
                                });
                            }
                        }
                        Some(Outcome::Unknown) => {}
                        to => {
                            let changed = matches!(said.cause, Cause::Policy | Cause::Catalogue);
                            let end = said.ended.unwrap_or(match to {
                                None => End::SubjectGone,
                                Some(Outcome::Excepted) => End::Excepted,
                                Some(_) if changed => End::DefinitionChanged,
                                Some(_) => End::FixedByOthers,
                            });
                            close(&mut failures, end);
                        }
                    }
                    let kind = match said.to {
                        Some(Outcome::Excepted) => Some(SpanKind::Excepted),
                        Some(Outcome::Unknown) => Some(SpanKind::Unknown),
                        _ => None,
                    };
                    let lasts = stays.last().is_some_and(|stay| {
                        let same = stay.kind == SpanKind::Unknown || stay.message == said.message;
                        stay.ended.is_none() && Some(stay.kind) == kind && same
                    });
                    if !lasts {
                        leave(&mut stays);
                        stays.extend(kind.map(|kind| Stay {
                            kind,
                            message: said.message.clone(),
                            since: here,
                            after: known,
                            ended: None,
                        }));
                    }
                }
                _ => {}
            }
        }
        (failures, stays)
    }

    /// The last minute at which the control had been seen when an entry was written.
    fn seen(&self, key: &Key, facts: &[Dated<'a>], index: usize) -> Option<i64> {
        let after = facts.partition_point(|dated| dated.index < index);
        let mut before = facts[..after].iter().rev().filter(|dated| {
            matches!(
                dated.fact,
                Fact::Beat | Fact::End | Fact::Cut | Fact::Leave(_)
            )
        });
        let mut seen = None;
        let mut later: Option<&Dated<'a>> = before.next();
        while let Some(dated) = later {
            let earlier = before.next();
            let beaten = earlier.filter(|earlier| matches!(earlier.fact, Fact::Beat));
            let ended = matches!(dated.fact, Fact::End | Fact::Leave(_));
            if matches!(dated.fact, Fact::Beat)
                || (ended && beaten.is_some_and(|beat| dated.at - beat.at <= 3))
            {
                seen = Some(dated.at);
                break;
            }
            later = earlier;
        }
        let gaps = self.gaps(key, index);
        let hidden = |minute: i64| gaps.iter().any(|(from, to)| (*from..*to).contains(&minute));
        let mut seen = seen?;
        if hidden(seen) && hidden(seen - 1) {
            while hidden(seen - 1) {
                seen -= 1;
            }
        }
        Some(seen)
    }

    /// The gaps that concern a control, as far as the log tells before an entry.
    fn gaps(&self, key: &Key, before: usize) -> Vec<(i64, i64)> {
        let mut open: BTreeMap<&str, i64> = BTreeMap::new();
        let mut gaps = Vec::new();
        for (_, gap) in self.gaps.iter().take_while(|(index, _)| *index < before) {
            let concerns = match &*gap.scope {
                "NetworkPolicy" => key.1 == "net-namespace-default-deny",
                scope if scope.starts_with("policy ") => scope[7..] == key.0,
                scope if scope.contains('-') => scope == key.1,
                _ => true,
            };
            if !concerns {
                continue;
            }
            let known = open.remove(&*gap.scope);
            let from = in_minutes(gap.from).min(known.unwrap_or(i64::MAX));
            match gap.to {
                Some(to) => gaps.push((from, in_minutes(to))),
                None => {
                    open.insert(&gap.scope, from);
                }
            }
        }
        gaps.extend(open.into_values().map(|from| (from, i64::MAX)));
        gaps
    }

    /// The minutes in which the control was observed.
    pub(super) fn observed(&self, key: &Key, facts: &[Dated<'a>]) -> BTreeSet<i64> {
        let beats = facts.iter().filter(|dated| {
            matches!(
                dated.fact,
                Fact::Beat | Fact::End | Fact::Cut | Fact::Leave(_)
            )
        });
        let beats: Vec<&Dated<'a>> = beats.collect();
        let mut observed = BTreeSet::new();
        for two in beats.windows(2) {
            let whole = matches!(two[0].fact, Fact::Beat) && !matches!(two[1].fact, Fact::Cut);
            if whole && two[1].at - two[0].at <= 3 {
                observed.extend(two[0].at..two[1].at);
            }
        }
        for (from, to) in self.gaps(key, self.entries.len()) {
            observed.retain(|minute| !(from..to).contains(minute));
        }
        observed
    }
}

/// Whether something that lasted belongs to a window.
pub(super) fn touches(since: (usize, i64), ended: Option<(usize, i64)>, window: Window) -> bool {
    let ended = ended.filter(|(index, _)| *index < window.after);
    let not_over = ended.is_none_or(|(index, at)| {
        index >= window.first && (at > window.from || since.1 >= window.from)
    });
    since.0 < window.after && not_over
}

pub(super) fn add(times: &mut Times, took: i64) {
    times.count += 1;
    times.total += minutes(took);
    times.longest = times.longest.max(minutes(took));
}

pub(super) fn count(
    failure: &Failure,
    window: Window,
    numbers: &mut Numbers,
    failing: &mut BTreeSet<i64>,
) {
    let until = failure.closed.map_or(i64::MAX, |(_, at, _)| at);
    failing.extend(
        (failure.opened.1.max(window.from)..until.min(window.to))
            .filter(|_| failure.opened.0 < window.after),
    );
    let closed = failure.closed.map(|(index, at, _)| (index, at));
    if !touches(failure.opened, closed, window) {
        return;
    }
    let closed = failure.closed.filter(|(index, ..)| *index < window.after);
    let deviations = &mut numbers.deviations;
    let until = closed.map_or(window.to, |(_, at, _)| at);
    add(
        &mut deviations.times,
        until - failure.opened.1.max(window.from),
    );
    let carried = failure.opened.1 < window.from;
    deviations.carried += u64::from(carried);
    deviations.before_observation += u64::from(failure.before_observation);
    deviations.drift += u64::from(failure.drift);
    let last = closed.map_or(window.after, |(index, ..)| index + 1);
    let severities = failure.severities.iter().filter(|(index, _)| *index < last);
    let severity = severities.map(|(_, severity)| *severity).max().unwrap();
    *deviations.by_severity.entry(severity).or_default() += 1;
    match closed {
        Some((_, at, end)) => {
            *deviations.by_end.entry(end).or_default() += 1;
            if [End::PutBack, End::FixedByOthers].contains(&end) {
                add(&mut numbers.remediation, at - failure.opened.1);
            }
        }
        None => deviations.open += 1,
    }
    if let Some(detection) = failure.detection.filter(|_| !carried) {
        add(&mut numbers.detection, detection);
    }
}
