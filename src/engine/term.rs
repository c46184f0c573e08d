//! Terms: what a replica does when it begins to lead, and when it no longer does.

use super::{Engine, Measure, Now, fights::Truce, memory, record};
use crate::{
    evidence::body::{self, Body},
    inventory::{MOST_PATHS, Sym},
};

impl Engine {
    /// A term begins: what this log knew, the gap since, and what is so now.
    pub(super) fn lead(&mut self, term: body::Term, now: Now) {
        self.leading = true;
        self.say(Body::Term(term));
        if let Some((last, stopped)) = self.memory.end() {
            self.say(Body::Gap(body::Gap {
                scope: "all".to_owned(),
                from: last,
                to: Some(now.wall),
                cause: if stopped {
                    "nobody led after a stop in good order"
                } else {
                    "nobody led, or another replica did"
                }
                .to_owned(),
            }));
        }
        for (id, target) in self.memory.take_intents() {
            self.say(Body::Outcome(body::ActionOutcome {
                intent: id,
                result: memory::UNRESOLVED,
                message: format!(
                    "the operator stopped in between; {} {} is judged anew",
                    target.kind, target.name
                ),
                resource_version: None,
            }));
        }
        self.recall_drills(now);
        for (policy, control, release) in self.memory.take_latched() {
            if let Some(registered) = crate::controls::registry::find(&control) {
                self.latch_again(policy, registered.info.id, release);
            }
        }
        // Those of the log, and those that whoever lost the lease for a while has still.
        for ((policy, control), brake) in &self.brakes {
            if brake.latched.is_some() {
                self.out.measures.push(Measure::Brake {
                    policy: policy.clone(),
                    control,
                    latched: true,
                });
            }
        }
        for (target, until, manager) in self.memory.take_truces(now.wall) {
            let truce = Truce {
                end: now.later(until),
                until,
                manager,
            };
            // The entry names the object; which of its fields was contended no longer matters.
            for path in std::iter::once(None).chain((0..MOST_PATHS).map(Some)) {
                self.fights.restore((target.clone(), path), truce.clone());
            }
        }
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in &names {
            // What a person released while nobody led.
            self.release_brakes(name);
            self.say_policy(name, None);
            self.forget_dropped(name);
            self.status_soon(name, now);
            self.out.changed.insert(name.clone());
        }
        self.out.periods = true;
        self.introduce_people(now);
        self.people.policies_untold = true;
        self.say_what_lasts(now);
        self.say_encryption_configs();
        let ids: Vec<u32> = self.instances.keys().copied().collect();
        for id in ids {
            self.introduce(id, now);
        }
        self.uncertain.extend(self.rules.keys().copied());
        self.replan_all();
    }

    /// Forgets what was known of controls that a policy no longer uses: with that they ended, and if they are used again
    /// they begin anew.
    fn forget_dropped(&mut self, name: &Sym) {
        if let Some(policy) = self.policies.get(name) {
            let uses = |control: &str| policy.control(control).is_some();
            self.memory.forget_others(name, uses);
        }
    }

    /// Says what began while nobody led and still lasts: suspensions, pauses, blindness.
    fn say_what_lasts(&mut self, now: Now) {
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in names {
            self.suspension_lasts(&name, now);
        }
        let mut said = Vec::new();
        for rule in self.rules.values_mut().filter(|rule| rule.settled) {
            let known = self.memory.lasting.gap(rule.key.control);
            match (&mut rule.blind, known) {
                (Some((_, since)), Some(known)) => *since = known.from,
                (Some((why, since)), None) => {
                    let (why, since) = (why.clone(), *since);
                    said.push(rule.gap(since, None, why));
                }
                (None, Some(known)) => {
                    let (from, to, why) = (known.from, Some(now.wall), known.cause.clone());
                    said.push(rule.gap(from, to, why));
                }
                (None, None) => {}
            }
        }
        let paused = self.pauses.iter().filter(|(target, pause)| {
            pause.until > now.wall && self.memory.lasting.paused(target) != Some(pause.until)
        });
        said.extend(paused.map(|(target, pause)| {
            Body::Pause(body::Pause {
                target: target.clone(),
                until: Some(pause.until),
                who: pause.who.clone(),
            })
        }));
        for body in said {
            self.say(body);
        }
        self.say_unheeded(now);
    }

    /// Latches a brake that the log says was latched; with all others it is measured in a moment.
    fn latch_again(&mut self, policy: Sym, control: &'static str, release: Option<String>) {
        let brake = self.brakes.entry((policy, control)).or_default();
        brake.latched = Some(release);
    }

    /// A term ends: the next one begins from what is so now.
    pub(super) fn follow(&mut self) {
        if !self.leading {
            return;
        }
        self.leading = false;
        for (id, target) in self.flights.abandon() {
            let target = self.target_ref(&target);
            self.memory.remember_intent(id, target);
        }
        if let Some((id, target)) = self.drills.abandon() {
            self.memory.remember_intent(id, target);
        }
        if let Some(last) = self.said_at {
            self.memory.ended(last);
        }
        self.out.entries.clear();
        self.out.actions.clear();
        self.out.drills.clear();
        let ids: Vec<u32> = self.instances.keys().copied().collect();
        for id in ids {
            let members = self.members(id);
            let instance = self.instances.get_mut(&id);
            // Of others the log knows what it knew.
            let Some(instance) = instance.filter(|instance| instance.introduced) else {
                continue;
            };
            instance.introduced = false;
            instance.defined.clear();
            instance.scope_said = None;
            for (subject, verdict) in members {
                let row = instance.rows.get(&subject);
                self.memory.remember_row(
                    &instance.policies,
                    instance.key.control,
                    &subject,
                    &record::subject_ref(&self.inventory, &subject),
                    verdict.outcome,
                    row.and_then(|row| row.deviation.as_ref()),
                );
            }
        }
        self.replan_all();
    }
}
