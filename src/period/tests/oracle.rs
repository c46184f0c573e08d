//! Counts everything by brute force from the whole list of entries: minute by minute, subject by subject.

mod lives;

use std::collections::{BTreeMap, BTreeSet};

use self::lives::{add, count, touches};
use super::*;
use crate::{
    evidence::{
        body::{Content, SubjectRef, Transition},
        words::{ActionResult, Change, End, Freshness},
    },
    verdict::Severity,
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
    message: String,
    since: (usize, i64),
    after: Option<i64>,
    ended: Option<(usize, i64)>,
}

pub(super) struct Oracle<'a> {
    entries: &'a [Entry],
    gaps: Vec<(usize, &'a body::Gap)>,
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
        let gaps = entries.iter().enumerate();
        let gaps = gaps.filter_map(|(index, entry)| match &entry.body {
            Body::Gap(gap) => Some((index, gap)),
            _ => None,
        });
        Self {
            entries,
            gaps: gaps.collect(),
            whole,
        }
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
                            said.rule_version.map(|version| version.to_string()),
                            said.params_hash.clone(),
                            said.scope_hash.clone(),
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
