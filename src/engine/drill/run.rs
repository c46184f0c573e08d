//! A drill that runs: what it waits for, and what it does next.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{Now, status::whole_seconds},
    Asked,
    write::{DrillCall, Flight, PRIORITIES, QUOTA, Spot},
};
use crate::{
    controls::backup::drill::{self, CameBack, Drill, DrillResult, Owner, Progress},
    evidence::body,
    inventory::{Inventory, Kind, Meta, Object, Sym, velero::Restore},
    words::{either, many, part_of},
};

/// A drill that runs, or what is left of one.
#[derive(Debug)]
pub(super) struct Run {
    /// Its id, which is the name of its Restore.
    pub(super) id: Sym,
    pub(super) policies: Vec<Sym>,
    /// The namespace whose backup is restored.
    pub(super) source: Sym,
    /// Velero's namespace, and the Backup; `None` where only the sandbox is left.
    pub(super) backup: Option<(Sym, Sym)>,
    /// What was asked for; `None` of what another term began.
    asked: Option<Asked>,
    /// What its objects belong to until it is over.
    owner: Option<Owner>,
    pub(super) began: Timestamp,
    /// The write under way.
    pub(super) flight: Option<Flight>,
    /// Objects that were made, in the order of [`Run::make`].
    pub(super) made: usize,
    /// Whether the Restore was seen.
    pub(super) seen: bool,
    /// How it ended, once that is clear.
    pub(super) end: Option<End>,
    /// Failed writes since it ended, and when the next may be tried.
    pub(super) failures: u32,
    pub(super) again_at: Duration,
    /// Whether the result can't be written on the Restore.
    pub(super) unrecorded: bool,
}

/// How a drill ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) result: DrillResult,
    pub(super) came_back: Option<body::CameBack>,
    /// When, on the monotonic clock.
    pub(super) at: Duration,
    /// Whether it shows nothing about the backup.
    pub(super) broken_off: bool,
}

impl End {
    /// It ended without a result.
    pub(super) fn broken_off(why: String, now: Now) -> Self {
        Self {
            result: DrillResult {
                passed: false,
                said: why,
                ended: whole_seconds(now.wall),
                claims: std::collections::BTreeMap::new(),
                verified: std::collections::BTreeMap::new(),
            },
            came_back: None,
            at: now.mono,
            broken_off: true,
        }
    }
}

/// What to do next.
pub(super) enum Next {
    Wait,
    Write(Box<(Spot, DrillCall)>),
    End(Box<End>),
    Over,
}

/// Whether nothing more becomes of a Restore.
pub(super) fn is_final(restore: &Restore) -> bool {
    matches!(
        restore.phase.as_deref(),
        Some("Completed" | "PartiallyFailed" | "Failed" | "FailedValidation")
    )
}

impl Run {
    pub(super) fn new(
        asked: &Asked,
        policies: Vec<Sym>,
        source: &Sym,
        backup: (Sym, Sym),
        owner: Option<Owner>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: format!("probity-drill-{}", now.as_second()).into(),
            policies,
            source: source.clone(),
            backup: Some(backup),
            asked: Some(asked.clone()),
            owner,
            began: now,
            flight: None,
            made: 0,
            seen: false,
            end: None,
            failures: 0,
            again_at: Duration::ZERO,
            unrecorded: false,
        }
    }

    /// What another term began: there is nothing to do but to clean up.
    pub(super) fn left_behind(
        id: Sym,
        policies: Vec<Sym>,
        source: Option<Sym>,
        restore: Option<&Object<Restore>>,
        meta: &Meta,
        now: Now,
    ) -> Self {
        let why = "Probity stopped, or lost its leadership, in the middle of it".to_owned();
        Self {
            id,
            policies,
            source: source.unwrap_or_else(|| "".into()),
            backup: restore.and_then(|restore| {
                let backup = restore.spec.backup.clone()?;
                Some((restore.meta.namespace.clone(), backup))
            }),
            asked: None,
            owner: None,
            began: meta.created_at(),
            flight: None,
            made: 0,
            seen: restore.is_some(),
            end: Some(End::broken_off(why, now)),
            failures: 0,
            again_at: Duration::ZERO,
            unrecorded: false,
        }
    }

    /// Whether it shows nothing about the backup, so that it is worth another try soon.
    pub(super) fn is_broken_off(&self) -> bool {
        self.end.as_ref().is_none_or(|end| end.broken_off)
    }

    /// The Restore, if it is there.
    pub(super) fn restore<'a>(&self, inventory: &'a Inventory) -> Option<&'a Object<Restore>> {
        let (namespace, _) = self.backup.as_ref()?;
        let restores = &inventory.tables.velero_restores;
        let restore = restores.get(namespace, &self.id)?;
        drill::is_drill(&restore.meta).then_some(restore)
    }

    /// What to do next.
    pub(super) fn next(&mut self, inventory: &Inventory, sandbox: &str, now: Now) -> Next {
        if self.end.is_some() {
            return self.clean(inventory, sandbox, now);
        }
        let (Some(asked), Some((velero, backup))) = (self.asked.as_ref(), self.backup.as_ref())
        else {
            return Next::Over;
        };
        let (drill, needs_job) = (&asked.drill, asked.needs_job);
        let ends = self
            .began
            .checked_add(drill.ttl.duration())
            .unwrap_or(Timestamp::MAX);
        if let Some((spot, manifest)) = self.make(drill, sandbox, velero, backup, ends) {
            if now.wall >= ends {
                return self.fail(inventory, sandbox, late(drill, "to begin"), now);
            }
            return Next::Write(Box::new((spot, DrillCall::Create(manifest))));
        }
        let waits = match self.look(inventory, sandbox, needs_job) {
            Look::Waits(what) => what,
            Look::Ends(Ok(())) => return self.pass(inventory, sandbox, now),
            Look::Ends(Err(why)) => return self.fail(inventory, sandbox, why, now),
        };
        let late = (now.wall >= ends).then(|| late(drill, &waits));
        self.seen |= self.restore(inventory).is_some();
        match late {
            Some(why) => self.fail(inventory, sandbox, why, now),
            None => Next::Wait,
        }
    }

    /// The next object to make: the Restore comes last, when the sandbox is bounded.
    fn make(
        &self,
        drill: &Drill,
        sandbox: &str,
        velero: &Sym,
        backup: &str,
        ends: Timestamp,
    ) -> Option<(Spot, Value)> {
        let (id, source) = (&*self.id, &*self.source);
        let inside = || Sym::from(sandbox);
        // Where no pod may be, there is nothing more to bound.
        let place = match self.made {
            2.. if drill.pods == 0 => self.made + 2,
            place => place,
        };
        let (spot, mut manifest) = match place {
            0 => (
                Spot::namespace(sandbox),
                drill::namespace(drill, sandbox, id, source, ends),
            ),
            1 => (Spot::quota(inside(), QUOTA), drill::quota(drill, id)),
            2 => (
                Spot::quota(inside(), PRIORITIES),
                drill::priorities(drill, id),
            ),
            3 => (Spot::limits(inside()), drill::defaults(id)),
            4 => (Spot::deny(inside()), drill::deny(id)),
            5 => (
                Spot::restore(velero.clone(), self.id.clone()),
                drill::restore(drill, sandbox, id, source, backup),
            ),
            _ => return None,
        };
        // What lies in the sandbox goes with it.
        let alone = matches!(spot.kind, "Namespace" | "Restore");
        if let Some(owner) = self.owner.as_ref().filter(|_| alone) {
            manifest["metadata"]["ownerReferences"] = owner.references();
        }
        Some((spot, manifest))
    }

    /// What became of the Restore.
    fn look(&self, inventory: &Inventory, sandbox: &str, needs_job: bool) -> Look {
        let Some(restore) = self.restore(inventory) else {
            return if self.seen {
                Look::Ends(Err("somebody deleted its Restore".to_owned()))
            } else {
                Look::Waits("to be seen".to_owned())
            };
        };
        let meta = inventory.meta(Kind::Namespace, "", sandbox);
        if meta.is_none_or(|meta| meta.deleting) {
            return Look::Ends(Err("somebody deleted its sandbox".to_owned()));
        }
        let seen = CameBack::of(inventory, sandbox);
        match drill::progress(&restore.spec, &seen, needs_job) {
            Progress::Waiting(what) => Look::Waits(what),
            Progress::Passed => Look::Ends(Ok(())),
            Progress::Failed(why) => Look::Ends(Err(why)),
        }
    }

    fn pass(&self, inventory: &Inventory, sandbox: &str, now: Now) -> Next {
        let seen = CameBack::of(inventory, sandbox);
        let share = seen.total();
        let said = format!(
            "{} back and bound",
            part_of(share.bound, share.all, "claim", "is", "are")
        );
        self.ended(inventory, seen, true, said, now)
    }

    fn fail(&self, inventory: &Inventory, sandbox: &str, why: String, now: Now) -> Next {
        let seen = CameBack::of(inventory, sandbox);
        self.ended(inventory, seen, false, why, now)
    }

    fn ended(
        &self,
        inventory: &Inventory,
        seen: CameBack,
        passed: bool,
        said: String,
        now: Now,
    ) -> Next {
        let share = seen.total();
        let counted = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let came_back = self.restore(inventory).map(|restore| body::CameBack {
            items: restore.spec.items,
            claims: counted(share.all),
            bound: counted(share.bound),
            errors: restore.spec.errors,
            warnings: restore.spec.warnings,
        });
        Next::End(Box::new(End {
            result: DrillResult {
                passed,
                said,
                ended: whole_seconds(now.wall),
                claims: seen.claims,
                verified: seen.verified,
            },
            came_back,
            at: now.mono,
            broken_off: false,
        }))
    }

    /// What the log is told.
    pub(super) fn entry(&self, inventory: &Inventory, sandbox: &str, now: Now) -> body::Drill {
        let end = self.end.as_ref();
        let volumes = inventory.tables.volumes.iter();
        let left = volumes.filter(|volume| volume.spec.claimed_in.as_deref() == Some(sandbox));
        let left = match left.count() {
            0 => String::new(),
            n => format!(
                "; {} of the sandbox {} still there: see the reclaim policy",
                many(n, "volume"),
                either(n, "is", "are")
            ),
        };
        let message = end.map_or("", |end| &end.result.said);
        body::Drill {
            policies: self.policies.clone(),
            control: super::CONTROL.into(),
            namespace: self.source.clone(),
            restore: self.id.clone(),
            backup: self.backup.as_ref().map(|(_, name)| name.clone()),
            sandbox: sandbox.into(),
            from: self.began,
            to: end.map_or(now.wall, |end| end.result.ended),
            passed: end.is_some_and(|end| end.result.passed),
            message: format!("{message}{left}"),
            came_back: end.and_then(|end| end.came_back.clone()),
        }
    }
}

/// What became of the Restore.
enum Look {
    /// What it waits for.
    Waits(String),
    Ends(Result<(), String>),
}

fn late(drill: &Drill, waits: &str) -> String {
    format!(
        "it was not over within {} (ttl), and waited {waits}",
        drill.ttl
    )
}
