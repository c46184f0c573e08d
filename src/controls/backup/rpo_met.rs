//! `backup-rpo-met`

mod point;

use std::time::Duration;

use self::point::{Point, newest};
use super::common::{backs_up, covers, later, objective, run_now, say};
use crate::{api::Period, controls::prelude::*, inventory::core::Claim};

/// Every volume claim has a recovery point that is young enough, proven for that very claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RpoMet {
    /// Recovery point objective of claims for which no annotation `probity.dev/rpo` says
    /// otherwise: of the claim, else of its namespace, else of its storage class.
    #[serde(default = "day")]
    pub default_rpo: Period,

    /// Whether a claim with the label `probity.dev/backup: exempt` and the annotation
    /// `probity.dev/backup-exempt-reason` is excepted.
    #[serde(default = "yes")]
    pub allow_exempt_label: bool,
}

fn day() -> Period {
    Period::hours(24)
}

const fn yes() -> bool {
    true
}

impl Default for RpoMet {
    fn default() -> Self {
        Self {
            default_rpo: day(),
            allow_exempt_label: yes(),
        }
    }
}

/// Label of a claim that needs no backup, with the value `exempt`.
const BACKUP: &str = "probity.dev/backup";
/// Annotation that says why a claim needs none.
const REASON: &str = "probity.dev/backup-exempt-reason";
/// The most that a backup may take beyond the objective, so that a daily run is late only when
/// it is late.
const MOST_ALLOWED: Duration = Duration::from_hours(2);

impl RpoMet {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-rpo-met",
        field: "backupRpoMet",
        title: "Every volume claim has a recovery point within its objective",
        family: Family::Backup,
        criteria: &["A1.2", "CC7.5"],
        severity: Severity::Critical,
        strength: Strength::Declared,
        rule_version: 1,
        reads: &[
            Kind::Claim,
            Kind::Namespace,
            Kind::StorageClass,
            Kind::CronJob,
            Kind::VolumeSnapshot,
            Kind::VeleroSchedule,
            Kind::VeleroBackup,
            Kind::PodVolumeBackup,
            Kind::DataUpload,
        ],
        subjects: &[Kind::Claim],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Each bound PersistentVolumeClaim in scope has a recovery point whose age is at \
               most its objective plus min(2 h, a quarter of it). The age counts from the start \
               of the backup. A point counts with proof for that claim: a completed \
               PodVolumeBackup or DataUpload of a Velero Backup that is Completed or \
               PartiallyFailed, a VolumeSnapshot that is ready, or the last success of a CronJob \
               with the annotation `probity.dev/backs-up: claim[,claim]`. A Completed Velero \
               Backup of the namespace all of whose volume snapshots succeeded counts for all of \
               its claims. New claims get as long as the objective and its allowance.",
        why: "What was written since the newest recovery point is lost with the volume.",
        fix: "Nothing is written. The proposal is the command that starts a backup now, where a \
              schedule covers the claim.",
        by_hand: "Start a backup of the claim (`velero backup create --from-schedule …`, a \
               VolumeSnapshot, the CronJob), and mend the schedule that should have made one. A \
               claim that needs no backup gets the label `probity.dev/backup: exempt` and the \
               annotation `probity.dev/backup-exempt-reason`.",
        prevention: "None: a missing backup is no request that admission could refuse.",
        limits: "Only Velero, VolumeSnapshots and annotated CronJobs are known. A CronJob's word \
                 is taken for it, and counts from the end of its job. A Backup whose snapshots \
                 are only counted may have left a claim out by label, resource or policy. Whether \
                 the storage location is available, and whether anything can be restored, is not \
                 seen. Proofs of Velero Backups with names longer than 63 bytes are not found. \
                 Points older than the claim, expired, or from the future don't count. An \
                 annotation on the claim itself may set a long objective: who may edit claims may \
                 do that. Claims that are not bound are not applicable.",
    };

    fn judge_claim(&self, context: &Context<'_>, claim: &Object<Claim>) -> Verdict {
        if !claim.spec.bound {
            let message = "the claim is not bound to a volume: there is nothing to back up";
            return Verdict::not_applicable("NotBound", message);
        }
        let exempt = self.allow_exempt_label && claim.meta.labels.get(BACKUP) == Some("exempt");
        let reason = claim
            .meta
            .annotations
            .get(REASON)
            .unwrap_or_default()
            .trim();
        if exempt && !reason.is_empty() {
            let message = format!("exempt from backup: {reason}");
            return Verdict::new(Outcome::Excepted, Strength::Declared, "Exempt", message);
        }
        let mut verdict = self.judge_age(context, claim);
        if exempt && verdict.outcome == Outcome::Fail {
            verdict.reason = "ExemptWithoutReason";
            verdict.message = format!(
                "the claim is labelled exempt, but annotation {REASON} gives no reason; {}",
                verdict.message
            )
            .into();
        }
        verdict
    }

    fn judge_age(&self, context: &Context<'_>, claim: &Object<Claim>) -> Verdict {
        let objective = objective(context.inventory, &claim.meta.namespace, &claim.meta.name);
        let point = newest(context.inventory, context.now, claim);
        // What can't be read must not hide that there is no backup at all.
        let rpo = match (objective, &point) {
            (Err(error), Some(_)) => return Verdict::unknown("InvalidRpo", error),
            (Ok(Some(rpo)), _) => rpo,
            (Ok(None) | Err(_), _) => self.default_rpo.duration(),
        };
        let allowed = rpo.saturating_add(MOST_ALLOWED.min(rpo / 4));
        match point {
            Some(point) => judge_point(context, claim, &point, allowed),
            None => judge_none(context, claim, allowed),
        }
    }
}

/// The moment from which on something has lasted longer than until `end`.
fn beyond(end: Timestamp) -> Timestamp {
    later(end, Duration::from_secs(1))
}

/// A claim with a recovery point.
fn judge_point(
    context: &Context<'_>,
    claim: &Object<Claim>,
    point: &Point<'_>,
    allowed: Duration,
) -> Verdict {
    // No age in the message: it would be another one at every look.
    let until = later(point.at, allowed);
    let (at, source, allowed) = (point.at, &point.source, say(allowed));
    let newest = format!("the newest recovery point is of {at}, by {source}");
    if context.now > until {
        let message = format!("{newest}: older than {allowed} since {until}");
        return Verdict::fail(point.source.strength(), "RpoExceeded", message)
            .propose(proposal(context.inventory, claim));
    }
    let message = format!("{newest}: it may be {allowed} old");
    let gone = point.expires.unwrap_or(Timestamp::MAX);
    Verdict::pass(point.source.strength(), "RpoMet", message).recheck(gone.min(beyond(until)))
}

/// A claim without any.
fn judge_none(context: &Context<'_>, claim: &Object<Claim>, allowed: Duration) -> Verdict {
    let until = later(claim.meta.created_at(), allowed);
    if context.now <= until {
        let message = format!("the claim is new: it needs a recovery point by {until}");
        return Verdict::not_applicable("InGrace", message).recheck(beyond(until));
    }
    let message = "no recovery point of the claim is known: no completed Velero backup of its \
                   volume, no ready VolumeSnapshot, no successful CronJob that names it";
    Verdict::fail(Strength::Effective, "NoRecoveryPoint", message)
        .propose(proposal(context.inventory, claim))
}

/// What a person can do now.
fn proposal(inventory: &Inventory, claim: &Object<Claim>) -> String {
    let (namespace, name) = (&claim.meta.namespace, &claim.meta.name);
    let tables = &inventory.tables;
    let mut jobs = tables.cron_jobs.in_namespace(namespace);
    if let Some(job) = jobs.find(|job| named(job, claim)) {
        return run_now(Kind::CronJob, &job.meta);
    }
    let mut schedules = tables.velero_schedules.iter();
    let covering = schedules.find(|s| covers(&s.spec.included, &s.spec.excluded, namespace));
    if let Some(schedule) = covering {
        return run_now(Kind::VeleroSchedule, &schedule.meta);
    }
    format!(
        "schedule a backup of namespace {namespace}, or exempt the claim: kubectl annotate \
         persistentvolumeclaim {name} --namespace {namespace} {REASON}='…' && kubectl label \
         persistentvolumeclaim {name} --namespace {namespace} {BACKUP}=exempt"
    )
}

fn named<P>(job: &Object<P>, claim: &Object<Claim>) -> bool {
    backs_up(&job.meta).is_some_and(|mut claims| claims.any(|name| *name == *claim.meta.name))
}

impl Control for RpoMet {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.default_rpo.duration().is_zero() {
            return Err("defaultRpo is zero: write how old the newest backup may be".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        let namespace = &change.namespace;
        match change.kind {
            Kind::Claim => Touched::Subject(Subject::object(change.kind, namespace, &change.name)),
            Kind::CronJob | Kind::VolumeSnapshot => Touched::Namespace(namespace.clone()),
            Kind::Namespace => Touched::Namespace(change.name.clone()),
            // Velero's objects lie in its own namespace and may tell of claims in any other.
            _ => Touched::All,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        subject::objects(
            Kind::Claim,
            &context.inventory.tables.claims,
            namespace,
            found,
        );
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let claims = &context.inventory.tables.claims;
        let claim = claims.get(&subject.namespace, &subject.name)?;
        Some(self.judge_claim(context, claim))
    }
}

#[cfg(test)]
mod tests;
