//! Candidates racing in a simulated cluster: slow and lost requests, requests carried out long after they were given
//! up, frozen candidates, clocks that differ and run unequally fast, deleted leases.
//!
//! Time is true time in milliseconds; each candidate has a clock of its own.

use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::tests::lease;
use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Happening {
    Wake,
    Commit {
        call: u64,
        sent: Duration,
        action: Option<LeaseAction>,
        answer_after: u64,
    },
    Answer {
        call: u64,
        sent: Duration,
        action: Option<LeaseAction>,
        result: Result<Option<LeaseView>, ()>,
    },
    GiveUp {
        call: u64,
    },
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    at: u64,
    order: u64,
    who: usize,
    what: Happening,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

struct Runner {
    election: Election,
    offset: u64,
    /// Local milliseconds per 1000 true ones.
    rate: u64,
    call: u64,
    last: Option<LeaseView>,
    /// True time until which it would act.
    acts_until: u64,
    /// It is frozen in these true times.
    pauses: Vec<(u64, u64)>,
}

impl Runner {
    fn clock(&self, at: u64) -> Duration {
        Duration::from_millis(self.offset + at * self.rate / 1000)
    }
}

struct World {
    queue: BinaryHeap<Due>,
    order: u64,
    seed: u64,
    /// Faults happen before this true time.
    calm: u64,
    lease: Option<LeaseView>,
    version: u64,
    runners: Vec<Runner>,
    terms: Vec<u64>,
}

impl World {
    fn new(seed: u64, calm: u64, pauses: &[(usize, u64, u64)], deletions: &[u64]) -> Self {
        let mut world = Self {
            queue: BinaryHeap::new(),
            order: 0,
            seed,
            calm,
            lease: None,
            version: 0,
            runners: Vec::new(),
            terms: Vec::new(),
        };
        for who in 0..3 {
            let (offset, rate) = (world.random(100_000_000), 970 + world.random(61));
            let pauses = pauses
                .iter()
                .filter(|pause| pause.0 == who)
                .map(|pause| (pause.1, pause.1 + pause.2));
            let election = Election::new(format!("r{who}"), LeaseTiming::default(), 0);
            let pauses = pauses.collect();
            world.runners.push(Runner {
                election,
                offset,
                rate,
                call: 0,
                last: None,
                acts_until: 0,
                pauses,
            });
            let first = world.random(2000);
            world.plan(first, who, Happening::Wake);
        }
        for &at in deletions {
            world.plan(at, 0, Happening::Delete);
        }
        world
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn plan(&mut self, at: u64, who: usize, what: Happening) {
        self.order += 1;
        self.queue.push(Due {
            at,
            order: self.order,
            who,
            what,
        });
    }

    fn delay(&mut self, at: u64) -> u64 {
        // Mostly quick; sometimes so slow that the caller has given up long before.
        if at < self.calm && self.random(5) == 0 {
            self.random(9000)
        } else {
            self.random(30)
        }
    }

    fn run(&mut self, until: u64) {
        while let Some(due) = self.queue.pop().filter(|due| due.at < until) {
            let mine = !matches!(due.what, Happening::Commit { .. } | Happening::Delete);
            let frozen = self.runners[due.who]
                .pauses
                .iter()
                .find(|pause| mine && (pause.0..pause.1).contains(&due.at));
            if let Some((_, end)) = frozen {
                let end = *end;
                self.plan(end, due.who, due.what);
                continue;
            }
            self.handle(due);
        }
    }

    fn handle(&mut self, Due { at, who, what, .. }: Due) {
        match what {
            Happening::Delete => self.lease = None,
            Happening::Wake => self.wake(at, who),
            Happening::Commit {
                call,
                sent,
                action,
                answer_after,
            } => {
                let result = self.commit(who, action.as_ref());
                self.plan(
                    at + answer_after,
                    who,
                    Happening::Answer {
                        call,
                        sent,
                        action,
                        result,
                    },
                );
            }
            Happening::GiveUp { call } if self.runners[who].call == call => {
                self.runners[who].last = None;
                self.next(at, who, 250);
            }
            Happening::Answer {
                call,
                sent,
                action,
                result,
            } if self.runners[who].call == call => {
                self.answer(at, who, sent, action, result);
            }
            Happening::GiveUp { .. } | Happening::Answer { .. } => {}
        }
    }

    fn commit(
        &mut self,
        who: usize,
        action: Option<&LeaseAction>,
    ) -> Result<Option<LeaseView>, ()> {
        let me = format!("r{who}");
        let (expected, holder, term) = match action {
            None | Some(LeaseAction::Wait) => return Ok(self.lease.clone()),
            Some(LeaseAction::Found { transitions }) => (None, NEWBORN, *transitions),
            Some(LeaseAction::Write(write)) => (write.expected.as_ref(), me.as_str(), write.term),
        };
        if self.lease.as_ref().map(|lease| &lease.resource_version) != expected {
            return Err(());
        }
        self.version += 1;
        self.lease = Some(lease(Some(holder), term, &self.version.to_string()));
        Ok(self.lease.clone())
    }

    fn next(&mut self, at: u64, who: usize, wait: u64) {
        self.runners[who].call += 1;
        let jitter = self.random(50);
        self.plan(at + wait + jitter, who, Happening::Wake);
    }

    fn wake(&mut self, at: u64, who: usize) {
        let runner = &mut self.runners[who];
        let now = runner.clock(at);
        match runner
            .last
            .take()
            .filter(|_| runner.election.held(now).is_some())
        {
            Some(view) => self.decide(at, who, Some(view)),
            None => self.call(at, who, None),
        }
    }

    fn call(&mut self, at: u64, who: usize, action: Option<LeaseAction>) {
        let (there, back) = (self.delay(at), self.delay(at));
        let runner = &mut self.runners[who];
        runner.call += 1;
        let (call, sent) = (runner.call, runner.clock(at));
        self.plan(
            at + there,
            who,
            Happening::Commit {
                call,
                sent,
                action,
                answer_after: back,
            },
        );
        self.plan(at + 1750, who, Happening::GiveUp { call });
    }

    fn answer(
        &mut self,
        at: u64,
        who: usize,
        sent: Duration,
        action: Option<LeaseAction>,
        result: Result<Option<LeaseView>, ()>,
    ) {
        match (action, result) {
            (None, Ok(view)) => self.decide(at, who, view),
            (Some(LeaseAction::Write(write)), Ok(view)) => {
                let runner = &mut self.runners[who];
                let now = runner.clock(at);
                runner.last = view;
                runner.election.written(&write, sent, now);
                let held = runner.election.held(now).cloned();
                self.acting(at, who, held);
                self.next(at, who, 1000);
            }
            _ => {
                self.runners[who].last = None;
                self.next(at, who, 100);
            }
        }
    }

    fn decide(&mut self, at: u64, who: usize, view: Option<LeaseView>) {
        let runner = &mut self.runners[who];
        let now = runner.clock(at);
        let action = runner.election.step(view, now);
        let held = runner.election.held(now).cloned();
        if held.is_none() {
            runner.acts_until = 0;
        }
        match action {
            LeaseAction::Wait => self.next(at, who, 1000),
            action => self.call(at, who, Some(action)),
        }
    }

    fn acting(&mut self, at: u64, who: usize, held: Option<Held>) {
        let Some(held) = held else { return };
        let runner = &mut self.runners[who];
        let local = u64::try_from(held.valid_until.as_millis()).unwrap();
        // The first true time at which its clock has reached the end, rounded up: the stricter claim.
        runner.acts_until = (local - runner.offset) * 1000 / runner.rate + 2;
        for (other, runner) in self.runners.iter().enumerate() {
            assert!(
                other == who || runner.acts_until <= at,
                "r{other} and r{who} both act at {at}"
            );
        }
        if self.terms.last() != Some(&held.term) {
            self.terms.push(held.term);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn never_two_act_at_once_and_somebody_does_once_it_is_calm(
        seed in any::<u64>(),
        pauses in proptest::collection::vec((0_usize..3, 0_u64..60_000, 0_u64..20_000), 0..8),
        deletions in proptest::collection::vec(0_u64..60_000, 0..4),
    ) {
        let deleted = !deletions.is_empty();
        let mut world = World::new(seed, 60_000, &pauses, &deletions);
        world.run(120_000);
        let leaders = world.runners.iter().filter(|runner| runner.acts_until > 119_000).count();
        prop_assert_eq!(leaders, 1);
        // A candidate that slept through a term can't know its number once the lease is gone.
        prop_assert!(deleted || world.terms.is_sorted(), "terms go back: {:?}", world.terms);
    }
}
