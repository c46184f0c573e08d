//! Policies as the engine holds them: parsed once, with their controls tied to instances.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{Engine, NoticeKind, Now, digest, instance::Key};
use crate::{
    api::{ControlPolicy, ControlPolicySpec, ControlPolicyStatus, Mode},
    controls::{REGISTRY, Scope},
    evidence::{
        body::{self, Body, Gap},
        words::{BrakeState, Change},
    },
    inventory::{
        Sym,
        selector::{Selector, WireSelector},
    },
    verdict::Severity,
};

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) uid: Sym,
    pub(super) generation: i64,
    pub(super) spec: ControlPolicySpec,
    pub(super) spec_hash: String,
    pub(super) enforce_selector: Option<Selector>,
    pub(super) controls: Vec<PolicyControl>,
    /// What is wrong with it, in sentences. The rest of it goes on.
    pub(super) problems: Vec<String>,
    /// What its scope names and is not there, or that it covers no namespace; `None` where neither is so, or nobody knows.
    pub(super) uncovered: Option<String>,
    /// The field manager that last changed its spec.
    pub(super) manager: Option<String>,
    /// The status that was last written or read.
    pub(super) status: ControlPolicyStatus,
    pub(super) written: i64,
    pub(super) contended: Option<String>,
    pub(super) budget_said: Option<Duration>,
    pub(super) suspended_at: Option<Timestamp>,
}

/// A control of a policy.
#[derive(Debug)]
pub(super) struct PolicyControl {
    pub(super) id: &'static str,
    pub(super) mode: Mode,
    pub(super) severity: Severity,
    pub(super) instance: u32,
    /// Since when it enforces.
    pub(super) enforce_since: Option<Timestamp>,
}

impl Policy {
    /// The control with this id, if the policy switches it on.
    pub(super) fn control(&self, id: &str) -> Option<&PolicyControl> {
        self.controls.iter().find(|control| control.id == id)
    }

    fn enforcing_since(&self) -> BTreeMap<body::Word, Timestamp> {
        let controls = self.controls.iter();
        controls
            .filter_map(|control| Some((control.id.into(), control.enforce_since?)))
            .collect()
    }
}

impl Engine {
    /// Takes in a policy that is new or changed.
    pub(super) fn policy_applied(&mut self, object: &ControlPolicy, now: Now) {
        let Some(name) = object.metadata.name.as_deref() else {
            return;
        };
        let name = self.inventory.interner.string(name);
        let generation = object.metadata.generation.unwrap_or_default();
        let uid: Sym = object.metadata.uid.as_deref().unwrap_or_default().into();
        if let Some(known) = self.policies.get(&name)
            && known.uid == uid
            && known.generation == generation
        {
            return; // only its status or metadata changed
        }
        if self
            .policies
            .get(&name)
            .is_some_and(|known| known.uid != uid)
        {
            self.policy_deleted(&name);
        }
        let spec_hash = digest(&serde_json::to_value(&object.spec).unwrap_or_default());
        let old = self.policies.remove(&name);
        let policy = self.compile(&name, object, &spec_hash, old.as_ref(), now);
        self.policies.insert(name.clone(), policy);
        self.people.policies_untold = true;
        self.coverage_changed = true;
        // First what changed, then what follows from it.
        self.say_policy(&name, old.as_ref());
        if let Some(old) = &old {
            self.release_instances(&name, old);
        }
        self.need_analyses();
        for (id, policy) in std::mem::take(&mut self.newcomers) {
            self.introduce_to(id, &policy);
        }
        self.after_policy_change(&name, now);
    }

    fn compile(
        &mut self,
        name: &Sym,
        object: &ControlPolicy,
        spec_hash: &str,
        old: Option<&Policy>,
        now: Now,
    ) -> Policy {
        let spec = object.spec.clone();
        let mut problems = Vec::new();
        let mut select = |field: &str, value: &Option<Value>| {
            let text = value.as_ref()?.to_string();
            match WireSelector::parse_valid(&text, &mut self.inventory.interner) {
                Ok(selector) => Some(selector),
                Err(error) => {
                    problems.push(format!("spec.{field} can't be used: {error}"));
                    None
                }
            }
        };
        let enforce_selector = select("enforceSelector", &spec.enforce_selector);
        let selector = select("scope.namespaceSelector", &spec.scope.namespace_selector);
        let bad_selector = !problems.is_empty();
        let scope = Arc::new(Scope {
            selector: selector.unwrap_or_default(),
            include: spec.scope.include.clone(),
            exclude: spec.scope.exclude.clone(),
            own: self.config.own_namespace.clone(),
            sandbox: self.config.sandbox.clone(),
        });
        let scope_value = serde_json::to_value(&spec.scope).unwrap_or_default();
        let scope_hash: Sym = digest(&scope_value).into();
        let mut policy = Policy {
            uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
            generation: object.metadata.generation.unwrap_or_default(),
            spec_hash: spec_hash.to_owned(),
            enforce_selector,
            controls: Vec::new(),
            problems,
            uncovered: None,
            manager: manager(object),
            status: old.map_or_else(
                || object.status.clone().unwrap_or_default(),
                |old| old.status.clone(),
            ),
            written: old.map_or(0, |old| old.written),
            contended: None,
            budget_said: None,
            suspended_at: old.and_then(|old| old.suspended_at),
            spec,
        };
        if bad_selector {
            // A scope that isn't understood must not be taken for "everything".
            return policy;
        }
        self.compile_controls(name, &mut policy, &scope, &scope_hash, old, now);
        policy
    }

    /// Since when a control of a policy that is new to this process enforces: by our log, and by
    /// the status, which another replica may have written.
    fn enforcing_before(&self, policy: &Policy, control: &str) -> Option<Timestamp> {
        let mut controls = policy.status.controls.iter();
        let known = controls.find(|known| known.id == control);
        if known.is_some_and(|known| known.mode == Mode::Observe) {
            return None; // whatever our own log says: another replica has seen it end
        }
        let said = known.and_then(|known| known.enforcing_since.as_ref());
        // The later one: it acts on less.
        said.map(|time| time.0)
            .max(self.memory.enforce_since(&policy.uid, control))
    }

    fn compile_controls(
        &mut self,
        name: &Sym,
        policy: &mut Policy,
        scope: &Arc<Scope>,
        scope_hash: &Sym,
        old: Option<&Policy>,
        now: Now,
    ) {
        for registered in REGISTRY {
            let Some(enabled) = (registered.enabled)(&policy.spec.controls) else {
                continue;
            };
            let info = registered.info;
            if let Err(problem) = enabled.control.check() {
                let field = info.field;
                policy
                    .problems
                    .push(format!("spec.controls.{field}: {problem}"));
                continue;
            }
            let key = Key {
                control: info.id,
                params_hash: digest(&enabled.parameters).into(),
                scope_hash: scope_hash.clone(),
                suspended: policy.spec.suspend,
            };
            let mode = enabled.mode.unwrap_or(policy.spec.mode);
            let since = match old {
                Some(old) => old.control(info.id).and_then(|c| c.enforce_since),
                None => self.enforcing_before(policy, info.id),
            };
            // What happens while it is suspended is no drift that may be put back later.
            let enforces = mode == Mode::Enforce && !policy.spec.suspend;
            policy.controls.push(PolicyControl {
                id: info.id,
                mode,
                severity: enabled.severity.unwrap_or(info.severity),
                instance: self.instance(key, enabled.control, scope, name, now),
                enforce_since: enforces.then(|| since.unwrap_or(now.wall)),
            });
        }
    }

    /// Takes in that a policy is gone.
    pub(super) fn policy_deleted(&mut self, name: &str) {
        let Some((name, policy)) = self.policies.remove_entry(name) else {
            return;
        };
        self.release_instances(&name, &policy);
        self.need_analyses();
        self.say(Body::PolicyChange(body::PolicyChange {
            policy: name.clone(),
            uid: policy.uid.clone(),
            generation: u64::try_from(policy.generation).unwrap_or_default(),
            change: Change::Deleted,
            who: None,
            old_hash: Some(policy.spec_hash.clone()),
            new_hash: None,
            spec: None,
            enforcing_since: BTreeMap::new(),
            limits_release: None,
        }));
        self.people.policies_untold = true;
        self.budgets.remove(&name);
        self.brakes.retain(|(policy, _), _| *policy != name);
        self.out.gone.insert(name);
    }

    /// Records what happened to a policy, and with what in force.
    pub(super) fn say_policy(&mut self, name: &Sym, old: Option<&Policy>) {
        if !self.leading {
            return;
        }
        let Some(policy) = self.policies.get(name) else {
            return;
        };
        let old = old.map(|old| (old.spec_hash.clone(), old.spec.suspend));
        let (before, was_suspended) = old.or_else(|| self.memory.policy(&policy.uid)).unzip();
        if before.as_ref() == Some(&policy.spec_hash) {
            return;
        }
        let was_suspended = was_suspended == Some(true);
        let change = match (&before, was_suspended, policy.spec.suspend) {
            (None, _, _) => Change::Created,
            (Some(_), false, true) => Change::Suspended,
            (Some(_), true, false) => Change::Resumed,
            (Some(_), _, _) => Change::Updated,
        };
        let who = match (&policy.manager, &policy.spec.change) {
            (Some(manager), Some(change)) => {
                Some(format!("{manager}, approved by {}", change.approved_by))
            }
            (manager, None) => manager.clone(),
            (None, Some(change)) => Some(format!("approved by {}", change.approved_by)),
        };
        let said = body::PolicyChange {
            policy: name.clone(),
            uid: policy.uid.clone(),
            generation: u64::try_from(policy.generation).unwrap_or_default(),
            change,
            who,
            old_hash: before,
            new_hash: Some(policy.spec_hash.clone()),
            spec: serde_json::to_value(&policy.spec).ok().map(Into::into),
            enforcing_since: policy.enforcing_since(),
            limits_release: policy.spec.limits.release.clone(),
        };
        let uid = policy.uid.clone();
        let (hash, suspended) = (policy.spec_hash.clone(), policy.spec.suspend);
        self.memory.remember_policy(&uid, &hash, suspended);
        self.say(Body::PolicyChange(said));
    }

    /// What follows from a policy change: brakes, fights, gaps, kept values, standings.
    fn after_policy_change(&mut self, name: &Sym, now: Now) {
        self.fights.forgive();
        self.flights.forgive_all();
        self.release_brakes(name);
        self.suspension(name, now);
        let Some(policy) = self.policies.get(name) else {
            return;
        };
        let problems = policy.problems.clone();
        let instances: Vec<u32> = policy
            .controls
            .iter()
            .map(|control| control.instance)
            .collect();
        for problem in problems {
            self.notice_policy(name, NoticeKind::Warning, "NotReady", problem);
        }
        for id in instances {
            let Some(instance) = self.instances.get(&id) else {
                continue;
            };
            let rule = instance.rule;
            let rows: Vec<_> = instance.rows.keys().cloned().collect();
            for subject in rows {
                self.replan(id, &subject);
            }
            let table = self.rules.get(&rule).map(|rule| rule.table.iter());
            let kept = table
                .into_iter()
                .flatten()
                .filter(|(_, said)| said.kept.is_some());
            let kept: Vec<_> = kept.map(|(subject, _)| subject.clone()).collect();
            for subject in kept {
                self.say_kept(rule, &subject);
            }
        }
        self.status_soon(name, now);
        self.out.changed.insert(name.clone());
    }

    /// Releases the brakes of a policy whose `limits.release` has changed.
    pub(super) fn release_brakes(&mut self, name: &Sym) {
        let Some(policy) = self.policies.get(name) else {
            return;
        };
        let release = policy.spec.limits.release.clone();
        let mut released = Vec::new();
        for ((policy, control), brake) in &mut self.brakes {
            if policy == name && brake.latched.as_ref().is_some_and(|at| *at != release) {
                brake.release();
                released.push(*control);
            }
        }
        for control in released {
            self.say(Body::Brake(body::Brake {
                control: control.into(),
                policy: name.clone(),
                state: BrakeState::Released,
                reason: format!(
                    "limits.release is now {:?}",
                    release.as_deref().unwrap_or("")
                ),
            }));
            let note = format!("{control}: the brake is released");
            self.notice_policy(name, NoticeKind::Normal, "BrakeReleased", note);
            let policy = name.clone();
            self.out.measures.push(super::Measure::Brake {
                policy,
                control,
                latched: false,
            });
        }
    }

    /// Suspended time is a gap.
    fn suspension(&mut self, name: &Sym, now: Now) {
        let Some(policy) = self.policies.get_mut(name) else {
            return;
        };
        if policy.spec.suspend {
            if policy.suspended_at.is_none() {
                policy.suspended_at = Some(now.wall);
                if !self.leading {
                    self.memory.lapse_passing(name);
                }
                self.begin_suspension(name);
            }
        } else {
            policy.suspended_at = None;
            self.close_gap(&scope_of(name), now);
        }
    }

    /// Says at the begin of a term whether a policy is suspended, as far as that is news.
    pub(super) fn suspension_lasts(&mut self, name: &Sym, now: Now) {
        let policy = self.policies.get(name);
        if policy.is_some_and(|policy| policy.suspended_at.is_some()) {
            self.begin_suspension(name);
        } else {
            self.close_gap(&scope_of(name), now);
        }
    }

    /// Says that a policy is suspended, unless the log has it, and ends what failed under it when
    /// the log last heard of it.
    pub(super) fn begin_suspension(&mut self, name: &Sym) {
        let known = self.memory.lasting.gap(&scope_of(name)).map(|gap| gap.from);
        let policy = self.policies.get_mut(name).filter(|_| self.leading);
        let Some(began) = policy.and_then(|policy| policy.suspended_at.as_mut()) else {
            return;
        };
        if let Some(from) = known {
            *began = from;
        } else {
            let from = *began;
            self.say(gap(name, from, None));
        }
        self.memory.forget_passing(name);
        for (control, known) in self.memory.take_failing(name) {
            self.say_forgotten(name, &control, known);
        }
    }

    /// Ends a gap of the log that lasts no longer.
    pub(super) fn close_gap(&mut self, scope: &str, now: Now) {
        if let Some(open) = self.memory.lasting.gap(scope).filter(|_| self.leading) {
            let to = Some(now.wall);
            let closed = Gap { to, ..open.clone() };
            self.say(Body::Gap(closed));
        }
    }
}

fn scope_of(policy: &str) -> String {
    format!("policy {policy}")
}

/// The time in which a policy is suspended, as far as it is known.
pub(super) fn gap(policy: &str, from: Timestamp, to: Option<Timestamp>) -> Body {
    Body::Gap(Gap {
        scope: scope_of(policy),
        from,
        to,
        cause: "the policy is suspended".to_owned(),
    })
}

/// The field manager that last changed the spec: all that the API server keeps of who did it.
fn manager(object: &ControlPolicy) -> Option<String> {
    let managers = object.metadata.managed_fields.as_ref()?;
    managers
        .iter()
        .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
}
