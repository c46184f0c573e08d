//! Restore drills: one at a time, from the sandbox to its end.
//!
//! ```text
//! due ─► namespace ─► quota ─► deny ─► Restore ─► Velero ─► claims bound, Job ─► result
//!                                                                                  │
//!              due again ◄─ entry ◄─ sandbox gone ◄─ sandbox deleted ◄─ annotation ◄─┘
//! ```
//!
//! Every arrow that writes has an intent, and waits for its answer. Whatever goes wrong leads to the
//! clean-up; so does the end of a policy. What another term has left behind, a crash included, is
//! found by its label and cleaned up before anything else begins.

mod clean;
mod run;
mod write;

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use self::run::{End, Next, Run};
pub use self::write::{DrillCall, DrillWrite, Spot};
use super::{DrillNote, Engine, NoticeKind, Now};
use crate::{
    controls::{
        Observation,
        backup::{
            RestoreTestCurrent,
            drill::{DRILL, Drill, Owner, SOURCE, is_drill},
        },
    },
    evidence::body::{Body, SubjectRef},
    inventory::{Availability, Kind, Meta, Object, Sym, velero::Restore},
};

/// The control that asks for drills.
const CONTROL: &str = "backup-restore-test-current";
/// What policies ask for is looked up so often.
const LOOK: Duration = Duration::from_secs(2);
/// A drill that could not begin is tried again after so long.
const BLOCKED: SignedDuration = SignedDuration::from_mins(1);
/// One that was broken off, or that the server refused.
const BROKEN_OFF: SignedDuration = SignedDuration::from_hours(1);

/// Restore drills.
#[derive(Debug, Default)]
pub(super) struct Drills {
    run: Option<Run>,
    look_at: Duration,
    asked: Vec<Asked>,
    /// The last try of each namespace.
    tried: BTreeMap<Sym, Tried>,
    /// Whether it was looked, in this term, for what another one left behind.
    searched: bool,
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    policy: Sym,
    drill: Drill,
    needs_job: bool,
}

/// The last try of a namespace's drill.
#[derive(Debug, Clone, Copy)]
struct Tried {
    at: Timestamp,
    /// When to try again, where that is not an interval later.
    again: Option<Timestamp>,
}

impl Drills {
    /// Whether a write of a drill has this id.
    pub(super) fn awaits(&self, id: u64) -> bool {
        let run = self.run.as_ref();
        run.and_then(|run| run.flight.as_ref())
            .is_some_and(|flight| flight.id == id)
    }

    /// Leadership was lost: the next term finds what there is. Returns the write whose outcome is
    /// not known.
    pub(super) fn abandon(&mut self) -> Option<(u64, SubjectRef)> {
        self.searched = false;
        let flight = self.run.take()?.flight?;
        Some((flight.id, flight.target))
    }
}

impl Engine {
    /// Kinds that must be watched so that no sandbox is left behind, whatever policies say.
    pub(super) fn drill_kinds(&self) -> &'static [Kind] {
        if !self.leading || self.config.sandbox.is_none() {
            return &[];
        }
        match (&self.drills.run, self.drills.searched) {
            (Some(_), _) => &[
                Kind::Namespace,
                Kind::VeleroRestore,
                Kind::Claim,
                Kind::Job,
                Kind::Volume,
            ],
            (None, false) => &[Kind::Namespace, Kind::VeleroRestore],
            // What the next one will belong to.
            (None, true) if self.config.drill_owner.is_some() && !self.drills.asked.is_empty() => {
                &[Kind::ClusterRole]
            }
            (None, true) => &[],
        }
    }

    /// When drills are due to be looked at.
    pub(super) fn drill_due(&self, now: Now) -> Option<Duration> {
        let idle = self.drills.run.is_none() && self.drills.asked.is_empty();
        if !self.leading || (idle && self.drills.searched) {
            return None;
        }
        Some(self.drills.look_at.max(now.mono))
    }

    /// What the log says of drills before.
    pub(super) fn recall_drills(&mut self, now: Now) {
        for (namespace, (at, said)) in self.memory.take_drills() {
            let tried = Tried { at, again: None };
            self.drills.tried.insert(namespace.clone(), tried);
            self.note_drill(&namespace, at, said, now);
        }
    }

    /// Goes on with the drill that runs, or begins the one that is due.
    pub(super) fn drill(&mut self, now: Now) {
        if !self.leading {
            return;
        }
        if now.mono >= self.drills.look_at {
            self.drills.look_at = now.mono + LOOK;
            self.ask_for_drills();
            if self.drills.run.is_none() {
                self.begin_drill(now);
            }
        }
        if self
            .drills
            .run
            .as_ref()
            .is_some_and(|run| run.flight.is_none())
        {
            self.drill_on(now);
        }
    }

    /// Looks up what policies ask for. Who asks for something else is not made to wait.
    fn ask_for_drills(&mut self) {
        let mut asked = Vec::new();
        for (name, policy) in &self.policies {
            if policy.spec.suspend || policy.control(CONTROL).is_none() {
                continue;
            }
            let enabled = crate::controls::registry::find(CONTROL)
                .and_then(|registered| (registered.enabled)(&policy.spec.controls));
            let control = enabled.and_then(|enabled| {
                serde_json::from_value::<RestoreTestCurrent>(enabled.parameters).ok()
            });
            let Some(control) = control else { continue };
            if let Some(drill) = control.drill {
                asked.push(Asked {
                    policy: name.clone(),
                    drill,
                    needs_job: control.require_verify_job,
                });
            }
        }
        let before = std::mem::replace(&mut self.drills.asked, asked);
        let of = |asked: &[Asked], namespace: &str| -> Vec<Asked> {
            let asked = asked.iter();
            let of = asked.filter(|asked| asked.drill.namespaces.iter().any(|n| n == namespace));
            of.cloned().collect()
        };
        let asked = &self.drills.asked;
        self.drills.tried.retain(|namespace, tried| {
            let before = of(&before, namespace);
            tried.again.is_none() || before.is_empty() || before == of(asked, namespace)
        });
    }

    /// The policies that ask for the drill of a namespace.
    fn who_asks(&self, namespace: &str) -> Vec<Sym> {
        let asked = self.drills.asked.iter();
        asked
            .filter(|asked| asked.drill.namespaces.iter().any(|n| n == namespace))
            .map(|asked| asked.policy.clone())
            .collect()
    }

    /// Cleans up what was left behind; else begins the drill that has been due for longest.
    fn begin_drill(&mut self, now: Now) {
        if let Some(sandbox) = self.config.sandbox.clone() {
            let kinds = [Kind::Namespace, Kind::VeleroRestore];
            if !self.inventory.freshness.all_usable(&kinds) {
                return;
            }
            self.drills.searched = true;
            if let Some(run) = self.left_behind(&sandbox, now) {
                self.drills.run = Some(run);
                return;
            }
        }
        let due = self.due_drill(now);
        let Some((asked, namespace)) = due else {
            return;
        };
        match self.prepare(&asked, &namespace, now) {
            Ok(Some(run)) => {
                let said = format!(
                    "it has been running since {}, from Backup {}",
                    now.wall,
                    run.backup.as_ref().map_or("", |(_, name)| name)
                );
                self.drills.run = Some(run);
                self.note_drill(&namespace, now.wall, said, now);
            }
            Ok(None) => {}
            Err(why) => {
                let again = now.wall.checked_add(BLOCKED).ok();
                let tried = Tried {
                    at: now.wall,
                    again,
                };
                self.drills.tried.insert(namespace.clone(), tried);
                let said = format!("it could not begin: {why}");
                self.note_drill(&namespace, now.wall, said, now);
            }
        }
    }

    /// The drill that has been due for longest.
    fn due_drill(&self, now: Now) -> Option<(Asked, Sym)> {
        let asked = self.drills.asked.iter();
        let each = asked.flat_map(|asked| {
            let namespaces = asked.drill.namespaces.iter();
            namespaces.map(move |namespace| (self.next_drill(asked, namespace), asked, namespace))
        });
        let due = each.filter(|(at, ..)| *at <= now.wall);
        let (_, asked, namespace) = due.min_by_key(|(at, ..)| *at)?;
        Some((asked.clone(), namespace.as_str().into()))
    }

    /// When the next drill of a namespace is due.
    fn next_drill(&self, asked: &Asked, namespace: &str) -> Timestamp {
        let every = asked.drill.every.duration();
        let later = |at: Timestamp| at.checked_add(every).unwrap_or(Timestamp::MAX);
        let restores = self.inventory.tables.velero_restores.iter();
        let made = restores
            .filter(|restore| is_drill(&restore.meta) && is_of(restore, namespace))
            .map(|restore| later(restore.meta.created_at()));
        let tried = self.drills.tried.get(namespace);
        let tried = tried.map(|tried| tried.again.unwrap_or_else(|| later(tried.at)));
        made.chain(tried).max().unwrap_or(Timestamp::MIN)
    }

    /// A drill that may begin now; `None` where it has to wait a little, `Err` where a person has
    /// to do something first.
    fn prepare(&mut self, asked: &Asked, namespace: &Sym, now: Now) -> Result<Option<Run>, String> {
        let sandbox = self.config.sandbox.clone().ok_or(
            "the operator was not told where to: set drill.enabled in the chart, or \
             --drill-namespace",
        )?;
        let freshness = &self.inventory.freshness;
        if *freshness.of(Kind::VeleroRestore) == Availability::Absent {
            return Err("the cluster has no Velero".to_owned());
        }
        let kinds = [
            Kind::VeleroBackup,
            Kind::VeleroLocation,
            Kind::Claim,
            Kind::Job,
        ];
        if !freshness.all_usable(&kinds) || self.log.is_err() {
            return Ok(None);
        }
        if *sandbox == **namespace {
            return Err("it is the sandbox itself: name another namespace".to_owned());
        }
        if self.inventory.meta(Kind::Namespace, "", &sandbox).is_some() {
            return Err(format!(
                "a namespace {sandbox} is there that no drill made: delete it, or set \
                 drill.namespace in the chart"
            ));
        }
        let backup = asked.drill.backup(&self.inventory, namespace, now.wall)?;
        let backup = (backup.meta.namespace.clone(), backup.meta.name.clone());
        let policies = self.who_asks(namespace);
        if !self.may_spend(&policies, now) {
            return Ok(None);
        }
        let owner = match self.config.drill_owner.as_deref() {
            None => None,
            Some(_) if !self.inventory.freshness.all_usable(&[Kind::ClusterRole]) => {
                return Ok(None);
            }
            Some(name) => Some(self.drill_owner(name)?),
        };
        let source = namespace;
        Ok(Some(Run::new(
            asked, policies, source, backup, owner, now.wall,
        )))
    }

    /// What a drill's objects belong to until it is over: when the chart takes away the right to
    /// make drills, and with it the right to clean up, the cluster itself does.
    fn drill_owner(&self, name: &str) -> Result<Owner, String> {
        let role = self.inventory.meta(Kind::ClusterRole, "", name);
        let role = role.filter(|role| !role.deleting).ok_or_else(|| {
            format!(
                "there is no ClusterRole {name} with the rights: set drill.enabled in the chart"
            )
        })?;
        Ok(Owner {
            name: role.name.clone(),
            uid: role.uid,
        })
    }

    /// Whether the budgets of policies allow writes.
    fn may_spend(&mut self, policies: &[Sym], now: Now) -> bool {
        policies.iter().all(|name| {
            let Some(policy) = self.policies.get(name) else {
                return false;
            };
            let limit = policy.spec.limits.writes_per_minute;
            let budget = self.budgets.entry(name.clone()).or_default();
            budget.check(limit, now.mono).is_ok()
        })
    }

    /// What another term, or a process that died, has left behind.
    fn left_behind(&self, sandbox: &str, now: Now) -> Option<Run> {
        let ours = |meta: &&Meta| is_drill(meta);
        let namespace = self
            .inventory
            .meta(Kind::Namespace, "", sandbox)
            .filter(ours);
        let restores = self.inventory.tables.velero_restores.iter();
        let mut restores = restores.filter(|restore| {
            is_drill(&restore.meta)
                && restore.spec.mapping.iter().any(|(_, to)| &**to == sandbox)
                && !run::is_final(&restore.spec)
        });
        let meta = namespace.or_else(|| restores.next().map(|restore| &restore.meta))?;
        let id: Sym = meta.labels.get(DRILL).unwrap_or_default().into();
        let restore = self.inventory.tables.velero_restores.iter();
        let restore = restore
            .filter(|restore| is_drill(&restore.meta))
            .find(|restore| *restore.meta.name == *id);
        let source = meta.annotations.get(SOURCE).map(Into::into);
        let source = source.or_else(|| Some(restore?.spec.mapping.first()?.0.clone()));
        let policies = source.as_ref().map(|source: &Sym| self.who_asks(source));
        let policies = policies.unwrap_or_default();
        Some(Run::left_behind(id, policies, source, restore, meta, now))
    }

    /// One step of the drill that runs.
    fn drill_on(&mut self, now: Now) {
        let Some(sandbox) = self.config.sandbox.clone() else {
            return;
        };
        let Some(mut run) = self.drills.run.take() else {
            return;
        };
        if run.end.is_none() && self.who_asks(&run.source).is_empty() {
            let why = "no policy asks for it any more".to_owned();
            run.end = Some(End::broken_off(why, now));
        }
        match run.next(&self.inventory, &sandbox, now) {
            Next::Wait => {}
            Next::End(end) => {
                run.end = Some(*end);
                self.drills.look_at = now.mono;
            }
            Next::Write(call) => self.send_drill(&mut run, *call, now),
            Next::Over => return self.drill_over(&run, &sandbox, now),
        }
        self.drills.run = Some(run);
    }

    /// Everything is gone that the drill made: says how it went.
    fn drill_over(&mut self, run: &Run, sandbox: &str, now: Now) {
        let said = run.entry(&self.inventory, sandbox, now);
        let again = run
            .is_broken_off()
            .then(|| now.wall.checked_add(BROKEN_OFF));
        let tried = Tried {
            at: run.began,
            again: again.and_then(Result::ok),
        };
        self.drills.tried.insert(run.source.clone(), tried);
        let (kind, reason) = if said.passed {
            (NoticeKind::Normal, "RestoreDrillPassed")
        } else {
            (NoticeKind::Warning, "RestoreDrillFailed")
        };
        let words = if said.passed { "passed" } else { "failed" };
        let note = format!(
            "{CONTROL}: the drill of namespace {} {words}: {}",
            said.namespace, said.message
        );
        for policy in &run.policies {
            self.notice_policy(policy, kind, reason, note.clone());
        }
        let note = format!("it {words}: {}", said.message);
        self.note_drill(&run.source, said.to, note, now);
        self.say(Body::Drill(said));
    }

    /// Notes how the drill of a namespace goes, or went, for the verdicts and statuses of those who
    /// asked for it.
    fn note_drill(&mut self, namespace: &Sym, at: Timestamp, said: String, now: Now) {
        let known = self.observed.drills.get(namespace);
        if known.is_some_and(|known| known.said == said) {
            return;
        }
        let note = DrillNote { at, said };
        self.observed.drills.insert(namespace.clone(), note);
        self.wake_observers(Observation::RestoreDrill);
        for policy in self.who_asks(namespace) {
            self.status_soon(&policy, now);
        }
    }
}

/// Whether a drill's Restore is of a namespace.
fn is_of(restore: &Object<Restore>, namespace: &str) -> bool {
    let mut mapping = restore.spec.mapping.iter();
    mapping.any(|(from, _)| &**from == namespace)
}
