//! Random histories: what an operator could have written, and some that it could not.

use super::*;
use crate::{
    evidence::{
        body::{
            ControlCounts, Gap, Heartbeat, KindFreshness, PolicyChange, Population, SubjectRef,
            Transition,
        },
        words::{ActionResult, Cause, Change, End, Freshness},
    },
    verdict::{Outcome, Severity, Strength},
};

/// What happens next.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Minutes until then, with a heartbeat in each while somebody leads.
    wait: i64,
    what: u8,
    policy: usize,
    control: usize,
    subject: usize,
    any: u8,
}

const POLICIES: [&str; 2] = ["pci", "soc2"];
const CONTROLS: [(&str, &str); 2] = [
    ("net-namespace-default-deny", "netNamespaceDefaultDeny"),
    ("rbac-no-wildcard-verbs", "rbacNoWildcardVerbs"),
];

pub(super) fn steps(count: usize, longest: i64) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..longest,
        0u8..40,
        0..2usize,
        0..2usize,
        0..4usize,
        any::<u8>(),
    );
    let step = step.prop_map(|(wait, what, policy, control, subject, any)| Step {
        // Much happens at once.
        wait: if any % 3 == 0 { 0 } else { wait },
        what,
        policy,
        control,
        subject,
        any,
    });
    prop::collection::vec(step, 1..count)
}

/// What an operator knows while it plays.
#[derive(Default)]
struct World {
    at: i64,
    said: Vec<(i64, Body)>,
    leads: bool,
    /// Whether heartbeats are kept back.
    mute: bool,
    forbidden: bool,
    /// Version of the parameters, by policy; none while it is not there.
    policies: [Option<(u8, bool, [bool; 2])>; 2],
    outcomes: std::collections::BTreeMap<(usize, usize, usize), Outcome>,
    gaps: std::collections::BTreeMap<String, i64>,
    intents: u64,
}

pub(super) fn play(steps: &[Step]) -> Vec<(i64, Body)> {
    let mut world = World::default();
    for step in steps {
        for _ in 0..step.wait {
            world.at += 1;
            world.beat();
        }
        world.step(step);
    }
    world.said
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
    fn say(&mut self, body: impl Into<Body>) {
        self.said.push((self.at, body.into()));
    }

    fn in_force(&self) -> Vec<(usize, usize)> {
        let mut rows = Vec::new();
        for (policy, state) in self.policies.iter().enumerate() {
            let Some((_, false, on)) = state else {
                continue;
            };
            rows.extend(
                (0..2)
                    .filter(|control| on[*control])
                    .map(|control| (policy, control)),
            );
        }
        rows
    }

    fn beat(&mut self) {
        if !self.leads || self.mute {
            return;
        }
        let controls = self.in_force().into_iter().map(|(policy, control)| {
            let members = self
                .outcomes
                .keys()
                .filter(|key| (key.0, key.1) == (policy, control));
            let count = members.count() as u64;
            ControlCounts {
                policy: POLICIES[policy].into(),
                control: CONTROLS[control].0.into(),
                by_outcome: [(Outcome::Pass, count)].into(),
            }
        });
        let state = if self.forbidden {
            Freshness::Forbidden
        } else {
            Freshness::Synced
        };
        let kinds = vec![KindFreshness {
            group: "networking.k8s.io".into(),
            kind: "NetworkPolicy".into(),
            state,
            heard: None,
        }];
        let heartbeat = Heartbeat {
            subjects: 0,
            by_outcome: body::Counts::default(),
            controls: controls.collect(),
            table_digest: String::new(),
            kinds,
        };
        self.say(heartbeat);
    }

    fn policy(&mut self, policy: usize, change: Change) {
        let spec = self.policies[policy].map(|(version, suspend, on)| {
            let controls: serde_json::Map<_, _> = (0..2)
                .filter(|control| on[*control])
                .map(|control| {
                    let setting = json!({ "mode": "Observe", "version": u64::from(version) + control as u64 });
                    (CONTROLS[control].1.to_owned(), setting)
                })
                .collect();
            json!({ "suspend": suspend, "scope": { "exclude": [format!("n{}", version % 2)] }, "controls": controls })
        });
        self.say(PolicyChange {
            policy: POLICIES[policy].into(),
            uid: "p".into(),
            generation: 1,
            change,
            who: None,
            old_hash: None,
            new_hash: None,
            spec: spec.map(Into::into),
            enforcing_since: std::collections::BTreeMap::new(),
            limits_release: None,
        });
        let used = self.in_force();
        self.outcomes
            .retain(|key, _| used.contains(&(key.0, key.1)));
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn step(&mut self, step: &Step) {
        let Step {
            policy,
            control,
            subject: number,
            any,
            ..
        } = *step;
        match step.what {
            0 => {
                self.say(body::Start {
                    version: "1".into(),
                    binary_digest: String::new(),
                    cluster: "c".into(),
                    identity: "i".into(),
                    previous_end: None,
                });
                self.leads = false;
            }
            1 => {
                self.say(body::Stop {
                    reason: "SIGTERM".into(),
                });
                self.leads = false;
            }
            2..=5 if !self.leads => {
                self.say(body::Term {
                    holder: "h".into(),
                    epoch: 1,
                    predecessor: None,
                    before: None,
                });
                self.leads = true;
            }
            6 => self.mute = !self.mute,
            7 => self.forbidden = !self.forbidden,
            8 => {
                let state = &mut self.policies[policy];
                let change = match (state.as_mut(), any % 6) {
                    (None, _) => {
                        *state = Some((any, false, [any & 8 != 0, any & 4 == 0]));
                        Change::Created
                    }
                    (Some(_), 0) => {
                        *state = None;
                        Change::Deleted
                    }
                    (Some((_, suspended, _)), 1 | 2) => {
                        *suspended = !*suspended;
                        if *suspended {
                            Change::Suspended
                        } else {
                            Change::Resumed
                        }
                    }
                    (Some((_, _, on)), 3) => {
                        on[control] = !on[control];
                        Change::Updated
                    }
                    (Some((version, ..)), _) => {
                        *version = version.wrapping_add(any % 3);
                        Change::Updated
                    }
                };
                self.policy(policy, change);
            }
            9..=11 => {
                let scope = match any % 5 {
                    0 => "all".to_owned(),
                    1 => CONTROLS[control].0.to_owned(),
                    2 => format!("policy {}", POLICIES[policy]),
                    3 => "NetworkPolicy".to_owned(),
                    _ => "what nobody knows".to_owned(),
                };
                let open = self.gaps.remove(&scope);
                let from = open.unwrap_or_else(|| (self.at - i64::from(any % 50)).max(0));
                let lasts = open.is_none() && any % 2 == 0;
                if lasts {
                    self.gaps.insert(scope.clone(), from);
                }
                let to = (!lasts).then(|| minute(self.at));
                self.say(Gap {
                    scope,
                    from: minute(from),
                    to,
                    cause: "because".to_owned(),
                });
            }
            12 => {
                self.intents += 1;
                self.say(body::Intent {
                    id: self.intents,
                    action: words::Action::PutBack,
                    policies: vec![POLICIES[policy].into()],
                    control: CONTROLS[control].0.into(),
                    target: subject(number),
                    content_hash: String::new(),
                    before: None,
                    after: None,
                    undo: None,
                });
            }
            13 => {
                let result = ActionResult::ALL[usize::from(any) % ActionResult::ALL.len()];
                let intent = self.intents.saturating_sub(u64::from(any % 2));
                let message = String::new();
                self.say(body::ActionOutcome {
                    intent,
                    result,
                    message,
                    resource_version: None,
                });
            }
            14..=16 => self.moves(step),
            _ => self.turn(step),
        }
    }

    /// Joins and leaves in a batch.
    fn moves(&mut self, step: &Step) {
        let rows = self.in_force();
        let Some((policy, control)) = rows.get(step.policy % rows.len().max(1)).copied() else {
            return;
        };
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for number in 0..4 {
            let key = (policy, control, number);
            match (step.any >> number) & 0x11 {
                1 | 17 if !self.outcomes.contains_key(&key) => {
                    self.outcomes.insert(key, Outcome::Pass);
                    joined.push(subject(number));
                }
                16 => {
                    left.extend(self.outcomes.remove(&key).map(|_| subject(number)));
                }
                _ => {}
            }
        }
        self.say(Population {
            policies: vec![POLICIES[policy].into()],
            control: CONTROLS[control].0.into(),
            joined,
            left,
        });
    }

    /// The outcome of a subject changes.
    fn turn(&mut self, step: &Step) {
        let rows = self.in_force();
        let Some((policy, control)) = rows.get(step.policy % rows.len().max(1)).copied() else {
            return;
        };
        let key = (policy, control, step.subject);
        let from = self.outcomes.get(&key).copied();
        let any = usize::from(step.any);
        let to = match any % 9 {
            0 if from.is_some() => None,
            1 => Some(Outcome::Excepted),
            2 => Some(Outcome::Unknown),
            3 => Some(Outcome::NotApplicable),
            4..=6 => Some(Outcome::Fail),
            _ => Some(Outcome::Pass),
        };
        match to {
            Some(outcome) => self.outcomes.insert(key, outcome),
            None => self.outcomes.remove(&key),
        };
        let (version, ..) = self.policies[policy].unwrap_or_default();
        let parameters = json!({ "version": u64::from(version) + control as u64 });
        self.say(Transition {
            policies: vec![POLICIES[policy].into()],
            control: CONTROLS[control].0.into(),
            // A program that is replaced now and then.
            rule_version: Some(u32::try_from(self.at / (3 * 24 * 60)).unwrap()),
            params_hash: Some(crate::engine::digest(&parameters)),
            scope_hash: Some(crate::engine::digest(
                &json!({ "exclude": [format!("n{}", version % 2)] }),
            )),
            subject: subject(step.subject),
            owner: None,
            from,
            to,
            strength: Strength::Declared,
            reason: "Reason".into(),
            message: String::new(),
            severity: [Severity::Low, Severity::High][any / 9 % 2],
            cause: Cause::ALL[any / 18 % Cause::ALL.len()],
            ended: (any % 4 == 1).then(|| End::ALL[any / 4 % End::ALL.len()]),
            opened: (any % 5 == 1).then(|| minute(self.at - 7)),
            deviation: Some(format!("d-{}", any % 2)),
            accepted: None,
        });
    }
}
