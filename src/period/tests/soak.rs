//! A whole year in simulated time. The world keeps its own books while it tells the log: every interval that it made, in a
//! list, counted by brute force at the end. `make soak` plays it in full.

use std::collections::BTreeMap;

use super::{
    stories::{policy, term},
    *,
};
use crate::{
    controls::REGISTRY,
    evidence::{
        SubjectRef,
        body::{ControlCounts, Heartbeat, Population, Stop, Transition},
        words::{Cause, End},
    },
    verdict::{Outcome, Severity, Strength},
};

const DAY: i64 = 24 * 60 * 60;
/// Subjects of each control.
const SUBJECTS: usize = 24;

/// How much happens.
struct Size {
    controls: usize,
    /// Transitions a day, of all controls.
    daily: u64,
    /// Seconds between heartbeats.
    beat: i64,
}

struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What is true of one control.
#[derive(Default)]
struct Books {
    states: Vec<Option<Outcome>>,
    failing: BTreeMap<usize, (i64, Option<i64>)>,
    excepted: BTreeMap<usize, i64>,
    /// Opened, last seen before that, closed, how.
    failures: Vec<(i64, Option<i64>, i64, End)>,
    stays: Vec<(i64, i64)>,
    /// Moves of the population: when, and by how much.
    moves: Vec<(i64, i64)>,
}

/// How many deviations are handed over: a year has millions.
#[derive(Default)]
struct Counted(u64);

impl Sink for Counted {
    fn deviation(&mut self, _: &Deviation) {
        self.0 += 1;
    }
}

struct World {
    dice: Dice,
    account: Account,
    sink: Counted,
    controls: Vec<&'static str>,
    books: Vec<Books>,
    at: i64,
    seq: u64,
    leads: bool,
    last_beat: Option<i64>,
    last_seen: Option<i64>,
    /// From, to.
    observed: Vec<(i64, i64)>,
    outages: u64,
}

fn second(at: i64) -> Timestamp {
    minute(0) + SignedDuration::from_secs(at)
}

fn subject(number: usize) -> SubjectRef {
    SubjectRef {
        group: "".into(),
        kind: "Namespace".into(),
        namespace: None,
        name: format!("ns-{number}").into(),
        uid: format!("u-{number}").into(),
    }
}

impl World {
    fn new(size: &Size, frame: &Frame) -> Self {
        let controls = REGISTRY.iter().map(|registered| registered.info.id);
        let controls: Vec<_> = controls.take(size.controls).collect();
        let books = controls.iter().map(|_| Books {
            states: vec![None; SUBJECTS],
            ..Books::default()
        });
        let mut world = Self {
            dice: Dice(20_260_101),
            account: Account::new(frame.clone()),
            sink: Counted::default(),
            books: books.collect(),
            at: 0,
            seq: 0,
            leads: false,
            last_beat: None,
            last_seen: None,
            observed: Vec::new(),
            outages: 0,
            controls,
        };
        let fields = REGISTRY.iter().take(size.controls);
        let fields = fields.map(|registered| (registered.info.field.to_owned(), json!({})));
        world.lead();
        world.say(policy(&serde_json::Value::Object(fields.collect())));
        for control in 0..size.controls {
            for number in 0..SUBJECTS {
                world.moves(control, number);
            }
        }
        world
    }

    fn say(&mut self, body: impl Into<Body>) {
        let (seq, body) = (self.seq, body.into());
        let time = second(self.at);
        self.seq += 1;
        self.account.take(
            &Entry {
                v: 1,
                seq,
                time,
                body,
            },
            &mut self.sink,
        );
    }

    fn lead(&mut self) {
        self.say(term());
        self.leads = true;
        self.last_beat = None;
    }

    /// A control was seen until now, if its last heartbeat is not too long ago.
    fn seen(&mut self) -> bool {
        let last = self.last_beat.filter(|last| self.at - last <= 180);
        self.observed.extend(last.map(|last| (last, self.at)));
        last.is_some()
    }

    fn beat(&mut self) {
        let counts = self
            .books
            .iter()
            .zip(&self.controls)
            .map(|(books, control)| {
                let mut by_outcome = body::Counts::default();
                for outcome in books.states.iter().flatten() {
                    by_outcome.add(*outcome);
                }
                ControlCounts {
                    policy: "soc2".into(),
                    control: (*control).into(),
                    by_outcome,
                }
            });
        let heartbeat = Heartbeat {
            subjects: 0,
            by_outcome: body::Counts::default(),
            controls: counts.collect(),
            table_digest: String::new(),
            kinds: Vec::new(),
        };
        self.seen();
        (self.last_beat, self.last_seen) = (Some(self.at), Some(self.at));
        self.say(heartbeat);
    }

    /// Nobody leads for a while, or somebody else does at once.
    fn outage(&mut self) {
        self.outages += 1;
        match self.dice.below(3) {
            0 => {
                if self.seen() {
                    self.last_seen = Some(self.at);
                }
                self.say(Stop {
                    reason: "SIGTERM".into(),
                });
            }
            1 => {}
            _ => return self.lead(),
        }
        self.last_beat = None;
        self.leads = false;
    }

    /// A subject joins, or leaves.
    fn moves(&mut self, control: usize, number: usize) {
        let at = self.at;
        let books = &mut self.books[control];
        let joins = books.states[number].is_none();
        books.moves.push((at, if joins { 1 } else { -1 }));
        books.states[number] = joins.then_some(Outcome::Pass);
        books.end(number, at, End::SubjectGone);
        let subjects = vec![subject(number)];
        let (joined, left) = if joins {
            (subjects, Vec::new())
        } else {
            (Vec::new(), subjects)
        };
        let said = Population {
            policies: vec!["soc2".into()],
            control: self.controls[control].into(),
            joined,
            left,
        };
        self.say(said);
    }

    /// Something happens to a subject.
    fn happens(&mut self) {
        let control = usize::try_from(self.dice.below(self.controls.len() as u64)).unwrap();
        let number = usize::try_from(self.dice.below(SUBJECTS as u64)).unwrap();
        let Some(from) = self.books[control].states[number] else {
            return self.moves(control, number);
        };
        if self.dice.below(50) == 0 {
            return self.moves(control, number);
        }
        let (to, ended) = match (from, self.dice.below(4)) {
            (Outcome::Fail, 0) => (Outcome::Excepted, Some(End::Excepted)),
            (Outcome::Fail, 1) => (Outcome::Pass, Some(End::PutBack)),
            (Outcome::Fail, _) => (Outcome::Pass, Some(End::FixedByOthers)),
            (Outcome::Pass, 0) => (Outcome::Excepted, None),
            (Outcome::Excepted, 0) => (Outcome::Pass, None),
            _ => (Outcome::Fail, None),
        };
        let (at, seen) = (self.at, self.last_seen);
        let books = &mut self.books[control];
        books.end(number, at, ended.unwrap_or(End::FixedByOthers));
        books.states[number] = Some(to);
        match to {
            Outcome::Fail => {
                books.failing.insert(number, (at, seen));
            }
            Outcome::Excepted => {
                books.excepted.insert(number, at);
            }
            _ => {}
        }
        let said = Transition {
            policies: vec!["soc2".into()],
            control: self.controls[control].into(),
            rule_version: Some(1),
            params_hash: Some(crate::engine::digest(&json!({}))),
            scope_hash: Some(crate::engine::digest(&json!({}))),
            subject: subject(number),
            owner: None,
            from: Some(from),
            to: Some(to),
            strength: Strength::Declared,
            reason: "Reason".into(),
            message: String::new(),
            severity: Severity::High,
            cause: if to == Outcome::Excepted {
                Cause::Exception
            } else {
                Cause::Object
            },
            ended,
            opened: None,
            deviation: (to == Outcome::Fail)
                .then(|| format!("{control}-{number}-{at}-{}", self.seq)),
            accepted: None,
        };
        self.say(said);
    }

    fn live(&mut self, days: i64, size: &Size) {
        let start = self.at;
        for day in 0..days {
            let midnight = start + day * DAY;
            let mut times: Vec<i64> = (0..size.daily)
                .map(|_| midnight + i64::try_from(self.dice.below(86_400)).unwrap())
                .collect();
            times.sort_unstable();
            let mut times = times.into_iter().peekable();
            let breaks = midnight + i64::try_from(self.dice.below(400_000)).unwrap();
            let lasts = i64::try_from(self.dice.below(9_000)).unwrap();
            for beat in (midnight..midnight + DAY).step_by(usize::try_from(size.beat).unwrap()) {
                while let Some(at) = times.next_if(|at| *at < beat) {
                    if self.leads {
                        self.at = at.max(self.at);
                        self.happens();
                    }
                }
                self.at = beat.max(self.at);
                if self.leads && (breaks..breaks + size.beat).contains(&beat) {
                    self.outage();
                } else if !self.leads && beat > breaks + lasts {
                    self.lead();
                }
                if self.leads {
                    self.beat();
                }
            }
        }
    }
}

impl Books {
    /// Whatever a subject was ends.
    fn end(&mut self, number: usize, at: i64, how: End) {
        if let Some((opened, seen)) = self.failing.remove(&number) {
            self.failures.push((opened, seen, at, how));
        }
        if let Some(since) = self.excepted.remove(&number) {
            self.stays.push((since, at));
        }
    }

    /// The numbers of a time, from the lists.
    fn count(mut self, from: i64, to: i64) -> Numbers {
        let ends = i64::MAX;
        for number in 0..SUBJECTS {
            self.end(number, ends, End::SubjectGone);
        }
        let mut numbers = Numbers::default();
        let seconds = SignedDuration::from_secs;
        let concerns = |opened: i64, closed: i64| opened < to && (opened >= from || closed > from);
        let mut parts = Vec::new();
        for (opened, seen, closed, how) in self.failures {
            if !concerns(opened, closed) {
                continue;
            }
            let said = &mut numbers.deviations;
            let part = (opened.max(from), closed.min(to));
            parts.push(part);
            said.times.add(seconds(part.1 - part.0));
            said.carried += u64::from(opened < from);
            said.before_observation += u64::from(seen.is_none());
            *said.by_severity.entry(Severity::High).or_default() += 1;
            if let Some(seen) = seen.filter(|_| opened >= from) {
                numbers.detection.add(seconds(opened - seen));
            }
            if closed >= to {
                said.open += 1;
                continue;
            }
            *said.by_end.entry(how).or_default() += 1;
            if matches!(how, End::PutBack | End::FixedByOthers) {
                numbers.remediation.add(seconds(closed - opened));
            }
        }
        parts.sort_unstable();
        let (mut failing, mut until) = (0, from);
        for (since, end) in parts {
            failing += (end - since.max(until)).max(0);
            until = until.max(end);
        }
        numbers.deviations.failing = seconds(failing);
        for (since, ended) in self.stays {
            if concerns(since, ended) {
                numbers
                    .excepted
                    .times
                    .add(seconds(ended.min(to) - since.max(from)));
                numbers.excepted.open += u64::from(ended >= to);
            }
        }
        let moved = |within: &dyn Fn(i64) -> bool, by: i64| {
            let moves = self.moves.iter();
            moves.filter(|(at, of)| within(*at) && *of == by).count() as u64
        };
        let population = &mut numbers.population;
        population.opening = moved(&|at| at < from, 1) - moved(&|at| at < from, -1);
        population.added = moved(&|at| (from..to).contains(&at), 1);
        population.removed = moved(&|at| (from..to).contains(&at), -1);
        population.closing = population.opening + population.added - population.removed;
        numbers
    }
}

fn play(size: &Size) {
    // The log begins ten days before the period and goes on for five after it.
    let frame = frame(10, 10 + 364);
    let (from, to) = (10 * DAY, 375 * DAY);
    let mut world = World::new(size, &frame);
    world.live(380, size);
    let World {
        account,
        mut sink,
        books,
        observed,
        outages,
        ..
    } = world;
    assert!(outages > 50, "{outages}");
    let seconds = observed.iter();
    let seconds: i64 = seconds
        .map(|(a, b)| ((*b).min(to) - (*a).max(from)).max(0))
        .sum();
    let summary = account.finish(second(380 * DAY), &mut sink);
    let deviations: u64 = summary
        .controls
        .iter()
        .map(|of| of.numbers.deviations.times.count)
        .sum();
    assert_eq!(sink.0, deviations);
    assert_eq!(summary.controls.len(), size.controls);
    let ids: Vec<String> = summary
        .controls
        .iter()
        .map(|of| of.control.to_string())
        .collect();
    let mut books: BTreeMap<&str, Books> = REGISTRY
        .iter()
        .map(|registered| registered.info.id)
        .zip(books)
        .collect();
    for (operation, id) in summary.controls.into_iter().zip(&ids) {
        let mut expected = books.remove(&**id).unwrap().count(from, to);
        // Told by the cause alone, which the books don't keep: what passed before and was changed.
        expected.deviations.drift = operation.numbers.deviations.drift;
        assert!(expected.deviations.drift <= expected.deviations.times.count);
        assert_eq!(operation.numbers, expected, "{id}");
        assert_eq!(
            operation.coverage.observed,
            SignedDuration::from_secs(seconds),
            "{id}"
        );
        assert_eq!(operation.reconciliation.differing, 0);
        let gaps = operation
            .gaps
            .iter()
            .map(|gap| gap.to.duration_since(gap.from).as_secs());
        assert!(operation.gaps.iter().all(|gap| !gap.causes.is_empty()));
        if operation.gap_count == operation.gaps.len() as u64 {
            assert_eq!(gaps.sum::<i64>() + seconds, to - from);
        }
    }
}

#[test]
fn a_thin_year_comes_to_what_its_books_say() {
    play(&Size {
        controls: 4,
        daily: 60,
        beat: 180,
    });
}

#[test]
#[ignore = "the full year takes minutes: make soak"]
fn a_full_year_comes_to_what_its_books_say() {
    play(&Size {
        controls: 50,
        daily: 30_000,
        beat: 60,
    });
}
