//! Counts everything by brute force from the whole list of entries: minute by minute, subject by subject.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    evidence::{
        body::{Content, SubjectRef, Transition},
        words::{ActionResult, Cause, Change, End, Freshness},
    },
    verdict::{Outcome, Severity},
};

pub(super) type Key = (String, String);

/// What an entry means for one control in one policy.
enum Fact<'a> {
    Enter,
    Leave(End),
    Define([Option<String>; 3]),
    Join(String),
    Gone(String),
    Turn(&'a Transition),
    Beat,
    End,
    Cut,
    Remedy(ActionResult),
}

struct Dated<'a> {
    index: usize,
    at: i64,
    fact: Fact<'a>,
}

/// Between two entries, and the minutes at which that is.
#[derive(Clone, Copy)]
struct Window {
    first: usize,
    after: usize,
    from: i64,
    to: i64,
}

pub(super) struct Expected {
    pub(super) numbers: Numbers,
    pub(super) observed: SignedDuration,
}

struct Failure {
    opened: (usize, i64),
    closed: Option<(usize, i64, End)>,
    severities: Vec<(usize, Severity)>,
    before_observation: bool,
    drift: bool,
    detection: Option<i64>,
}

struct Stay {
    kind: SpanKind,
    since: (usize, i64),
    after: Option<i64>,
    ended: Option<(usize, i64)>,
}

pub(super) struct Oracle<'a> {
    entries: &'a [Entry],
    whole: Window,
}

fn in_minutes(at: Timestamp) -> i64 {
    at.duration_since(minute(0)).as_mins()
}

fn name(subject: &SubjectRef) -> String {
    format!(
        "{}/{}/{:?}/{}",
        subject.group, subject.kind, subject.namespace, subject.name
    )
}

impl<'a> Oracle<'a> {
    pub(super) fn new(entries: &'a [Entry], frame: &Frame) -> Self {
        let first = |at: Timestamp| {
            entries
                .iter()
                .position(|entry| entry.time >= at)
                .unwrap_or(entries.len())
        };
        let whole = Window {
            first: first(frame.from),
            after: first(frame.to),
            from: in_minutes(frame.from),
            to: in_minutes(frame.to),
        };
        Self { entries, whole }
    }

    /// Every control in a policy that the log names before the period ends.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys = BTreeSet::new();
        for entry in &self.entries[..self.whole.after] {
            match &entry.body {
                Body::Heartbeat(said) => keys.extend(
                    said.controls
                        .iter()
                        .map(|row| (row.policy.to_string(), row.control.to_string())),
                ),
                Body::Transition(said) => keys.extend(
                    said.policies
                        .iter()
                        .map(|policy| (policy.to_string(), said.control.to_string())),
                ),
                Body::Population(said) => keys.extend(
                    said.policies
                        .iter()
                        .map(|policy| (policy.to_string(), said.control.to_string())),
                ),
                Body::Intent(said) => keys.extend(
                    said.policies
                        .iter()
                        .map(|policy| (policy.to_string(), said.control.to_string())),
                ),
                Body::PolicyChange(said) => {
                    for control in ["net-namespace-default-deny", "rbac-no-wildcard-verbs"] {
                        if switched(said, control).is_some() {
                            keys.insert((said.policy.to_string(), control.to_owned()));
                        }
                    }
                }
                _ => {}
            }
        }
        keys.into_iter().collect()
    }

    fn facts(&self, key: &Key) -> Vec<Dated<'a>> {
        let (policy, control) = (&*key.0, &*key.1);
        let mut facts: Vec<Dated<'a>> = Vec::new();
        let mut inside = false;
        let mut intents: BTreeMap<u64, bool> = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let at = in_minutes(entry.time);
            let mut say = |fact| facts.push(Dated { index, at, fact });
            let mut enter = |say: &mut dyn FnMut(Fact<'a>)| {
                if !std::mem::replace(&mut inside, true) {
                    say(Fact::Enter);
                }
            };
            match &entry.body {
                Body::Start(_) | Body::Term(_) => say(Fact::Cut),
                Body::Stop(_) => say(Fact::End),
                Body::PolicyChange(said) if *said.policy == *policy => {
                    let spec = match &said.spec {
                        Some(Content::Inline(spec)) => spec.clone(),
                        _ => json!({}),
                    };
                    let end = if said.change == Change::Deleted {
                        Some(End::PolicyDeleted)
                    } else if spec["controls"][field(control)].is_null() {
                        Some(End::DefinitionChanged)
                    } else if spec["suspend"] == true {
                        Some(End::PolicySuspended)
                    } else {
                        None
                    };
                    if let Some(end) = end {
                        if std::mem::replace(&mut inside, false) {
                            say(Fact::Leave(end));
                        }
                    } else {
                        enter(&mut say);
                        say(Fact::Define(switched(said, control).unwrap()));
                    }
                }
                Body::Heartbeat(said) => {
                    let listed = said
                        .controls
                        .iter()
                        .any(|row| *row.policy == *policy && *row.control == *control);
                    if !listed {
                        continue;
                    }
                    enter(&mut say);
                    let forbidden = said
                        .kinds
                        .iter()
                        .any(|kind| kind.state == Freshness::Forbidden);
                    let blind = forbidden && control == "net-namespace-default-deny";
                    say(if blind { Fact::Cut } else { Fact::Beat });
                }
                Body::Population(said)
                    if said.policies.iter().any(|p| **p == *policy)
                        && *said.control == *control =>
                {
                    if !said.joined.is_empty() {
                        enter(&mut say);
                    }
                    said.joined
                        .iter()
                        .for_each(|subject| say(Fact::Join(name(subject))));
                    said.left
                        .iter()
                        .for_each(|subject| say(Fact::Gone(name(subject))));
                }
                Body::Transition(said)
                    if said.policies.iter().any(|p| **p == *policy)
                        && *said.control == *control =>
                {
                    if said.to.is_some() {
                        enter(&mut say);
                        say(Fact::Define([
                            Some(said.rule_version.to_string()),
                            Some(said.params_hash.clone()),
                            Some(said.scope_hash.clone()),
                        ]));
                    }
                    say(Fact::Turn(said));
                }
                Body::Intent(said) => {
                    intents.insert(
                        said.id,
                        *said.policies[0] == *policy && *said.control == *control,
                    );
                }
                Body::Outcome(said) => {
                    let ours = intents.remove(&said.intent) == Some(true);
                    ours.then(|| say(Fact::Remedy(said.result)));
                }
                _ => {}
            }
        }
        facts
    }

    pub(super) fn whole(&self, key: &Key) -> Expected {
        self.window(key, &self.facts(key), self.whole)
    }

    /// The segments: from, to, and their numbers.
    pub(super) fn parts(&self, key: &Key) -> Vec<(Timestamp, Timestamp, Expected)> {
        let facts = self.facts(key);
        let mut windows = Vec::new();
        let mut open: Option<(usize, i64)> = None;
        let mut inside = false;
        let mut known: [Option<String>; 3] = Default::default();
        let mut begun = false;
        let end = (self.whole.after, self.whole.to);
        for dated in &facts {
            if dated.index >= self.whole.after {
                break;
            }
            if !begun && dated.index >= self.whole.first {
                begun = true;
                open = inside.then_some((self.whole.first, self.whole.from));
            }
            let here = (dated.index, dated.at);
            let mut cut = |open: &mut Option<(usize, i64)>| {
                if let Some(open) = open.take() {
                    windows.push((open, here));
                }
            };
            match &dated.fact {
                Fact::Enter => {
                    inside = true;
                    open = begun.then_some(here);
                }
                Fact::Leave(_) => {
                    inside = false;
                    cut(&mut open);
                }
                Fact::Define(said) => {
                    let other = known
                        .iter()
                        .zip(said)
                        .any(|(known, said)| known.is_some() && said.is_some() && known != said);
                    for (known, said) in known.iter_mut().zip(said) {
                        if said.is_some() {
                            known.clone_from(said);
                        }
                    }
                    if other {
                        cut(&mut open);
                        open = begun.then_some(here);
                    }
                }
                _ => {}
            }
        }
        if !begun && inside {
            open = Some((self.whole.first, self.whole.from));
        }
        windows.extend(open.map(|open| (open, end)));
        let windows = windows.into_iter().filter(|(from, to)| from.1 < to.1);
        windows
            .map(|((first, from), (after, to))| {
                let window = Window {
                    first,
                    after,
                    from,
                    to,
                };
                (minute(from), minute(to), self.window(key, &facts, window))
            })
            .collect()
    }

    fn window(&self, key: &Key, facts: &[Dated<'a>], window: Window) -> Expected {
        let mut numbers = Numbers::default();
        let subjects: BTreeSet<&str> = facts
            .iter()
            .filter_map(|dated| match &dated.fact {
                Fact::Join(subject) | Fact::Gone(subject) => Some(&**subject),
                _ => None,
            })
            .collect();
        let turned: BTreeSet<String> = facts
            .iter()
            .filter_map(|dated| match &dated.fact {
                Fact::Turn(said) => Some(name(&said.subject)),
                _ => None,
            })
            .collect();
        let subjects: BTreeSet<&str> = subjects
            .into_iter()
            .chain(turned.iter().map(|name| &**name))
            .collect();
        let mut failing = BTreeSet::new();
        for subject in subjects {
            self.subject(key, facts, subject, window, &mut numbers, &mut failing);
        }
        numbers.deviations.failing = minutes(i64::try_from(failing.len()).unwrap());
        for dated in facts
            .iter()
            .filter(|dated| (window.first..window.after).contains(&dated.index))
        {
            if let Fact::Remedy(result) = dated.fact {
                *numbers.remedies.entry(result).or_default() += 1;
            }
        }
        let observed = self.observed(key, facts).into_iter();
        let observed = observed
            .filter(|minute| (window.from..window.to).contains(minute))
            .count();
        Expected {
            numbers,
            observed: minutes(i64::try_from(observed).unwrap()),
        }
    }

    fn subject(
        &self,
        key: &Key,
        facts: &[Dated<'a>],
        subject: &str,
        window: Window,
        numbers: &mut Numbers,
        failing: &mut BTreeSet<i64>,
    ) {
        let mut member = false;
        let mut moves = Vec::new();
        for dated in facts {
            let now = match &dated.fact {
                Fact::Join(other) if other == subject => true,
                Fact::Gone(other) if other == subject => false,
                Fact::Turn(said) if name(&said.subject) == subject => said.to.is_some(),
                Fact::Leave(_) => false,
                _ => member,
            };
            if now != member {
                moves.push((dated.index, now));
            }
            member = now;
        }
        let before = |index: usize| {
            moves
                .iter()
                .rev()
                .find(|(at, _)| *at < index)
                .is_some_and(|(_, now)| *now)
        };
        let population = &mut numbers.population;
        population.opening += u64::from(before(window.first));
        population.closing += u64::from(before(window.after));
        for (index, joined) in &moves {
            if (window.first..window.after).contains(index) {
                if *joined {
                    population.added += 1;
                } else {
                    population.removed += 1;
                }
            }
        }
        let (failures, stays) = self.lives(key, facts, subject);
        for failure in &failures {
            count(failure, window, numbers, failing);
        }
        for stay in &stays {
            let ended = stay.ended.filter(|(index, _)| *index < window.after);
            if !touches(stay.since, stay.ended, window) {
                continue;
            }
            let spans = match stay.kind {
                SpanKind::Excepted => &mut numbers.excepted,
                SpanKind::Unknown => &mut numbers.unknown,
            };
            let until = ended.map_or(window.to, |(_, at)| at);
            add(&mut spans.times, until - stay.since.1.max(window.from));
            spans.open += u64::from(ended.is_none());
        }
    }

    /// When a subject failed, and when it was excepted or unknown.
    #[allow(clippy::too_many_lines, reason = "it is to be read from top to bottom")]
    fn lives(&self, key: &Key, facts: &[Dated<'a>], subject: &str) -> (Vec<Failure>, Vec<Stay>) {
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
                    let lasts = stays
                        .last()
                        .is_some_and(|stay| stay.ended.is_none() && Some(stay.kind) == kind);
                    if !lasts {
                        leave(&mut stays);
                        stays.extend(kind.map(|kind| Stay {
                            kind,
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
        let beats: Vec<&Dated<'a>> = facts
            .iter()
            .filter(|dated| {
                dated.index < index
                    && matches!(
                        dated.fact,
                        Fact::Beat | Fact::End | Fact::Cut | Fact::Leave(_)
                    )
            })
            .collect();
        let mut seen = None;
        for (position, dated) in beats.iter().enumerate() {
            match dated.fact {
                Fact::Beat => seen = Some(dated.at),
                Fact::End | Fact::Leave(_) => {
                    let before = position.checked_sub(1).map(|before| beats[before]);
                    if before.is_some_and(|before| {
                        matches!(before.fact, Fact::Beat) && dated.at - before.at <= 3
                    }) {
                        seen = Some(dated.at);
                    }
                }
                _ => {}
            }
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
        for entry in &self.entries[..before] {
            let Body::Gap(gap) = &entry.body else {
                continue;
            };
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
    fn observed(&self, key: &Key, facts: &[Dated<'a>]) -> BTreeSet<i64> {
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
fn touches(since: (usize, i64), ended: Option<(usize, i64)>, window: Window) -> bool {
    let ended = ended.filter(|(index, _)| *index < window.after);
    let not_over = ended.is_none_or(|(index, at)| {
        index >= window.first && (at > window.from || since.1 >= window.from)
    });
    since.0 < window.after && not_over
}

fn add(times: &mut Times, took: i64) {
    times.count += 1;
    times.total += minutes(took);
    times.longest = times.longest.max(minutes(took));
}

fn count(failure: &Failure, window: Window, numbers: &mut Numbers, failing: &mut BTreeSet<i64>) {
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

fn field(control: &str) -> &'static str {
    match control {
        "net-namespace-default-deny" => "netNamespaceDefaultDeny",
        _ => "rbacNoWildcardVerbs",
    }
}

/// What a policy says of the definition of a control that it switches on and does not suspend.
fn switched(said: &body::PolicyChange, control: &str) -> Option<[Option<String>; 3]> {
    let Some(Content::Inline(spec)) = &said.spec else {
        return None;
    };
    let setting = &spec["controls"][field(control)];
    if setting.is_null() || spec["suspend"] == true || said.change == Change::Deleted {
        return None;
    }
    let parameters = json!({ "version": setting["version"] });
    let digest = crate::engine::digest;
    Some([
        None,
        Some(digest(&parameters)),
        Some(digest(&spec["scope"])),
    ])
}
