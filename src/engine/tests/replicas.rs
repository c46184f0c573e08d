//! Two replicas that take turns, joined, come to what one that leads all the time comes to.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::{
    evidence::Joined,
    period::{Account, Deviation, Frame, Joiner, Sink, Summary},
};

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Namespace(usize),
    Deny(usize),
    Undeny(usize),
    Policy(usize),
    /// The leader gives up its lease, and the other one takes it.
    Turn,
    /// The leader dies, and the other one takes its lease; it comes back with what its log remembers.
    Die,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u64..200).prop_map(Step::Wait),
        2 => (0usize..4).prop_map(Step::Namespace),
        4 => (0usize..4).prop_map(Step::Deny),
        4 => (0usize..4).prop_map(Step::Undeny),
        1 => (0usize..4).prop_map(Step::Policy),
        3 => Just(Step::Turn),
        2 => Just(Step::Die),
    ];
    proptest::collection::vec(step, 1..60)
}

fn spec(number: usize) -> Value {
    match number {
        0 => observe(),
        1 => {
            let mut suspended = observe();
            suspended["suspend"] = json!(true);
            suspended
        }
        2 => json!({ "controls": { "netNamespaceDefaultDeny": {}, "netNoAllowAll": {} } }),
        _ => json!({ "controls": { "netNoAllowAll": {} } }),
    }
}

/// One cluster, seen by two replicas that take turns and by one that leads all the time.
struct World {
    turns: Vec<Drive>,
    alone: Drive,
    leader: usize,
    term: u64,
    generation: i64,
    policy: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            turns: (0..2)
                .map(|_| Drive::with_memory(Memory::default()))
                .collect(),
            alone: Drive::with_memory(Memory::default()),
            leader: 0,
            term: 1,
            generation: 1,
            policy: 0,
        };
        world.turns[0].lead(1);
        world.alone.lead(1);
        world.each(|drive| drive.policy(1, observe()));
        world
    }

    fn each(&mut self, act: impl Fn(&mut Drive)) {
        self.turns.iter_mut().for_each(&act);
        act(&mut self.alone);
    }

    fn step(&mut self, step: &Step) {
        let key = |name: &str, namespace: &str| {
            let kind = if namespace.is_empty() {
                Kind::Namespace
            } else {
                Kind::NetworkPolicy
            };
            (kind, namespace.to_owned(), name.to_owned())
        };
        let name = |number: &usize| format!("team-{number}");
        match step {
            Step::Wait(seconds) => self.each(|drive| drive.wait(*seconds)),
            Step::Namespace(number) => {
                let name = name(number);
                let is_there = self.alone.objects.contains_key(&key(&name, ""));
                self.each(|drive| {
                    if !is_there {
                        return drive.namespace(&name);
                    }
                    if drive.objects.contains_key(&key("deny", &name)) {
                        drive.delete(Kind::NetworkPolicy, &name, "deny");
                    }
                    drive.delete(Kind::Namespace, "", &name);
                });
            }
            Step::Deny(number) => {
                let name = name(number);
                if self.alone.objects.contains_key(&key(&name, "")) {
                    self.each(|drive| drive.deny(&name));
                }
            }
            Step::Undeny(number) => {
                let name = name(number);
                if self.alone.objects.contains_key(&key("deny", &name)) {
                    self.each(|drive| drive.delete(Kind::NetworkPolicy, &name, "deny"));
                }
            }
            Step::Policy(number) => {
                self.generation += i64::from(self.policy != *number);
                self.policy = *number;
                let generation = self.generation;
                self.each(|drive| drive.policy(generation, spec(*number)));
            }
            Step::Turn => {
                self.turns[self.leader].apply(Event::Following);
                self.turns[self.leader].round();
                self.hand_over();
            }
            Step::Die => {
                let dead = self.leader;
                self.hand_over();
                self.turns[dead] = self.again(&self.turns[dead]);
            }
        }
    }

    fn hand_over(&mut self) {
        self.leader = 1 - self.leader;
        self.term += 1;
        self.turns[self.leader].lead(self.term);
    }

    /// The process that comes after a dead one.
    fn again(&self, dead: &Drive) -> Drive {
        let mut again = Drive::with_memory(dead.memory());
        (again.wall, again.mono, again.versions) = (dead.wall, dead.mono, dead.versions);
        again.said.clone_from(&dead.said);
        again.wait(0); // its watches are heard now
        again.objects.clone_from(&dead.objects);
        for ((kind, ..), object) in dead.objects.clone() {
            again.put(kind, object);
        }
        again.versions = dead.versions;
        again.policy(self.generation, spec(self.policy));
        again
    }
}

fn entries(drive: &Drive) -> Vec<Entry> {
    let said = drive.said.iter().zip(0..);
    let entries = said.map(|(record, seq)| Entry {
        v: 2,
        seq,
        time: record.time,
        body: record.body.clone(),
    });
    entries.collect()
}

/// Control, policy, subject, opened, closed and how of each deviation.
type Found = (String, String, Timestamp, Option<Timestamp>, Option<End>);

#[derive(Default)]
struct Deviations(Vec<Found>);

impl Sink for Deviations {
    fn deviation(&mut self, found: &Deviation) {
        self.0.push((
            found.control.to_string(),
            found.subject.subject().name.to_string(),
            found.opened,
            found.closed,
            found.ended,
        ));
    }
}

fn frame() -> Frame {
    Frame::new("day", "2026-06-01", "2026-06-02", "UTC").unwrap()
}

fn of_one(drive: &Drive, now: Timestamp) -> (Summary, Vec<Found>) {
    let (mut account, mut sink) = (Account::new(frame()), Deviations::default());
    for entry in entries(drive) {
        account.take(&entry, &mut sink);
    }
    let summary = account.finish(now, &mut sink);
    sink.0.sort();
    (summary, sink.0)
}

fn of_two(drives: &[Drive], now: Timestamp) -> (Summary, Vec<Found>) {
    let (mut account, mut sink) = (Account::new(frame()), Deviations::default());
    let logs = drives.iter().map(|drive| {
        let entries = entries(drive).into_iter();
        entries.map(Ok::<_, Infallible>)
    });
    let mut joiner = Joiner::default();
    for item in Joined::new(logs.collect()).unwrap() {
        let (source, entry) = item.unwrap();
        for entry in joiner.take(source, entry) {
            account.take_of(source, &entry, &mut sink);
        }
    }
    let summary = account.finish(now, &mut sink);
    sink.0.sort();
    (summary, sink.0)
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for step in steps {
        world.step(step);
    }
    // Every control has been listed by whoever leads now.
    world.each(|drive| drive.wait(61));
    world.each(|drive| drive.wait(61));
    let now = world.alone.wall;
    let (alone, found_alone) = of_one(&world.alone, now);
    let (joined, found_joined) = of_two(&world.turns, now);
    prop_assert_eq!(found_alone, found_joined);
    let numbers = |summary: &Summary| -> BTreeMap<String, _> {
        let controls = summary.controls.iter();
        controls
            .map(|of| (of.control.to_string(), of.numbers.population.clone()))
            .collect()
    };
    prop_assert_eq!(numbers(&alone), numbers(&joined));
    for of in &joined.controls {
        prop_assert_eq!(of.reconciliation.differing, 0, "{:?}", of);
    }
    prop_assert_eq!(alone.policy_changes.len(), joined.policy_changes.len());
    prop_assert!(joined.elsewhere.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn taking_turns_comes_to_the_same_as_leading_alone(steps in steps()) {
        check(&steps)?;
    }
}
