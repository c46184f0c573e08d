//! `backup-rpo-met`

mod trigger;

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::common::{
    PROTECTABLE, affected, allowed, beyond, day, exempt, exempt_command, later, objective,
    protectables, run_now, say, touched, without_reason, yes,
};
use crate::{
    analysis::{
        Derived,
        backup::{Protectable, coverage::Covers, points::Point},
    },
    api::Period,
    controls::prelude::*,
};
use trigger::Next;

/// Every volume claim and database cluster has a recovery point that is young enough, proven for
/// that very one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RpoMet {
    /// Recovery point objective where no annotation `probity.dev/rpo` says otherwise (of the
    /// claim or cluster, else of its namespace, else of its storage class), nor `classes`.
    #[serde(default = "day")]
    pub default_rpo: Period,

    /// Recovery point objectives by backup class: the label `probity.dev/backup-class`, else the
    /// `StorageClass`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub classes: BTreeMap<String, Period>,

    /// Whether the label `probity.dev/backup: exempt` with the annotation
    /// `probity.dev/backup-exempt-reason` excepts.
    #[serde(default = "yes")]
    pub allow_exempt_label: bool,

    /// Whether, where this control enforces, a Backup is made of the Velero Schedule that covers a
    /// claim whose recovery point is too old.
    #[serde(default)]
    pub trigger_backups: bool,

    /// So long after a Backup that was made so, none is made of the same Schedule, whatever became
    /// of it.
    #[serde(default = "retry")]
    pub retry_after: Period,
}

fn retry() -> Period {
    Period::hours(6)
}

/// The least that `retryAfter` may be: a backup may take long, and costs much.
const LEAST_RETRY: Duration = Duration::from_mins(10);

impl Default for RpoMet {
    fn default() -> Self {
        Self {
            default_rpo: day(),
            classes: BTreeMap::new(),
            allow_exempt_label: yes(),
            trigger_backups: false,
            retry_after: retry(),
        }
    }
}

impl RpoMet {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-rpo-met",
        field: "backupRpoMet",
        title: "Every volume claim and database has a recovery point within its objective",
        family: Family::Backup,
        criteria: &["A1.2", "CC7.5"],
        severity: Severity::Critical,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[
            Kind::Claim,
            Kind::Database,
            Kind::Namespace,
            Kind::StorageClass,
        ],
        subjects: PROTECTABLE,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[Write::create(Kind::VeleroBackup)],
        scope: ScopeUse::BySubject,
        what: "Each bound PersistentVolumeClaim and each CloudNativePG Cluster in scope has a \
               recovery point whose age is at most its objective plus min(2 h, a quarter of it). \
               The age counts from the start of the backup. A point counts with proof for that \
               claim or cluster: a completed PodVolumeBackup or DataUpload of a Velero Backup that \
               is Completed or PartiallyFailed, a VolumeSnapshot that is ready, a completed Backup \
               of CloudNativePG or Longhorn, a Snapshot of K8up, what an ObjectStore of the Barman \
               plugin says, or the last success of a CronJob with the annotation \
               `probity.dev/backs-up: claim[,claim]`. A Completed Velero Backup all of whose \
               volume snapshots succeeded counts for all claims that it selects. New claims get as \
               long as the objective and its allowance.",
        why: "What was written since the newest recovery point is lost with the volume.",
        fix: "With `triggerBackups`, a Backup is made of the active Velero Schedule that covers the \
              claim: its template, under a name `probity-…` and with the Schedule's label, as \
              `velero backup create --from-schedule` does, but without the Schedule's own labels \
              and annotations. One Backup serves all claims of the Schedule; none is made while a \
              run of it is under way, nor within `retryAfter` of the last that was made so. It is \
              made only if the claim would pass once the Backup that the server would store is \
              Completed. A template with hooks is left to people: its commands would be copied \
              into the log. Otherwise nothing is written, and the proposal is the command that \
              starts a backup now, where a plan covers it.",
        by_hand: "Start a backup (`velero backup create --from-schedule …`, a VolumeSnapshot, the \
                  CronJob), and mend the schedule that should have made one. What needs no backup \
                  gets the label `probity.dev/backup: exempt` and the annotation \
                  `probity.dev/backup-exempt-reason`.",
        prevention: "None: a missing backup is no request that admission could refuse.",
        limits: "A CronJob's word is taken for it; its point is the start of the job that succeeded \
                 last, or its end where that job is gone. A Backup whose snapshots are only counted \
                 proves nothing about a single one of them: it counts as Declared. Points in a \
                 location that is unavailable or gone, points that are older than the claim, \
                 expired, or from the future don't count. Whether anything can be restored is not \
                 seen. Proofs of Velero Backups with names longer than 63 bytes are not found. \
                 Archived write-ahead logs of a database may reach further than its last backup, \
                 and are not counted. An annotation on the claim itself may set a long objective: \
                 who may edit claims may do that. Claims that are not bound, that end with their \
                 pod, or that belong to a database cluster are not applicable.",
    };

    fn judge_age(&self, context: &Context<'_>, what: Protectable<'_>) -> Verdict {
        let (inventory, meta) = (context.inventory, what.meta());
        let objective = objective(inventory, what.kind(), &meta.namespace, &meta.name);
        let recovery = context.analyses.recovery();
        let point = recovery.newest(inventory, context.now, what);
        // What can't be read must not hide that there is no backup at all.
        let rpo = match (objective, &point) {
            (Err(error), Some(_)) => return Verdict::unknown("InvalidRpo", error),
            (Ok(Some(rpo)), _) => rpo,
            (Ok(None) | Err(_), _) => self
                .classes
                .get(what.backup_class())
                .unwrap_or(&self.default_rpo)
                .duration(),
        };
        match point {
            Some(point) => self.judge_point(context, what, &point, allowed(rpo)),
            None => self.judge_none(context, what, allowed(rpo)),
        }
    }

    /// A claim with a recovery point.
    fn judge_point(
        &self,
        context: &Context<'_>,
        what: Protectable<'_>,
        point: &Point<'_>,
        allowed: Duration,
    ) -> Verdict {
        // No age in the message: it would be another one at every look.
        let until = later(point.at, allowed);
        let (at, source, allowed) = (point.at, &point.source, say(allowed));
        let newest = format!("the newest recovery point is of {at}, by {source}");
        if context.now > until {
            let message = format!("{newest}: older than {allowed} since {until}");
            let verdict = Verdict::fail(point.source.strength(), "RpoExceeded", message);
            return self.with_remedy(context, what, verdict);
        }
        let message = format!("{newest}: it may be {allowed} old");
        let gone = point.expires.unwrap_or(Timestamp::MAX);
        Verdict::pass(point.source.strength(), "RpoMet", message).recheck(gone.min(beyond(until)))
    }

    /// A claim without any.
    fn judge_none(
        &self,
        context: &Context<'_>,
        what: Protectable<'_>,
        allowed: Duration,
    ) -> Verdict {
        let until = later(what.meta().created_at(), allowed);
        if context.now <= until {
            let message = format!("it is new: it needs a recovery point by {until}");
            return Verdict::not_applicable("InGrace", message).recheck(beyond(until));
        }
        let message = "no recovery point is known: no completed backup that holds it, in a \
                       location that can be reached";
        let verdict = Verdict::fail(Strength::Effective, "NoRecoveryPoint", message);
        self.with_remedy(context, what, verdict)
    }

    /// A failure, with what can be done now: a Backup that is made, or what a person can do.
    fn with_remedy(
        &self,
        context: &Context<'_>,
        what: Protectable<'_>,
        verdict: Verdict,
    ) -> Verdict {
        let next = match what {
            Protectable::Claim(_) if self.trigger_backups => {
                trigger::next(context, what, self.retry_after.duration())
            }
            _ => Next::Propose,
        };
        match next {
            Next::Propose => verdict.propose(proposal(context, what)),
            Next::Start(remedy) => verdict.propose(proposal(context, what)).remedy(remedy),
            Next::UnderWay(backup) => verdict.propose(format!("Backup {backup} is under way")),
            Next::Rest(backup, until) => verdict.recheck(until).propose(format!(
                "Backup {backup}, which was made for this, did not help: see why (velero backup \
                 describe); the next is made after {until}"
            )),
        }
    }
}

/// What a person can do now.
fn proposal(context: &Context<'_>, what: Protectable<'_>) -> String {
    let recovery = context.analyses.recovery();
    let mut coverage = recovery.coverage(context.inventory, what);
    let covering = coverage.find_map(|(plan, covers)| {
        let usable = matches!(
            covers,
            Covers::Yes(_) | Covers::Unclear(_) | Covers::Inactive(_)
        );
        usable.then_some(plan)
    });
    let plan = covering.and_then(|plan| {
        let kind = plan.object_kind()?;
        Some((
            kind,
            context.inventory.meta(kind, &plan.namespace, &plan.name)?,
        ))
    });
    match plan {
        Some((kind, meta)) => run_now(kind, meta),
        None => format!(
            "schedule a backup of namespace {}, or exempt it: {}",
            what.meta().namespace,
            exempt_command(what)
        ),
    }
}

impl Control for RpoMet {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let mut all = self.classes.values().chain([&self.default_rpo]);
        if all.any(|rpo| rpo.duration().is_zero()) {
            return Err("an objective is zero: write the longest time that may be lost".into());
        }
        if self.retry_after.duration() < LEAST_RETRY {
            let least = say(LEAST_RETRY);
            return Err(format!("retryAfter is too short: write at least {least}"));
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        touched(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        if self.trigger_backups && subject.object_kind() == Some(Kind::VeleroSchedule) {
            return Touched::All; // a run of it has begun or ended
        }
        affected(PROTECTABLE, subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        protectables(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let what = Protectable::of(context.inventory, subject)?;
        Some(match exempt(context, what, self.allow_exempt_label) {
            Err(verdict) => verdict,
            Ok(labelled) => without_reason(self.judge_age(context, what), labelled),
        })
    }

    fn foresee(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        stored: &Value,
    ) -> Result<Vec<(Kind, Value)>, String> {
        trigger::foresee(context, subject, stored)
    }
}

#[cfg(test)]
mod tests;
