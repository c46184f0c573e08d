//! `backup-rpo-met`

use std::time::Duration;

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

/// Every volume claim and database cluster has a recovery point that is young enough, proven for
/// that very one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RpoMet {
    /// Recovery point objective where no annotation `probity.dev/rpo` says otherwise: of the
    /// claim or cluster, else of its namespace, else of its storage class.
    #[serde(default = "day")]
    pub default_rpo: Period,

    /// Whether the label `probity.dev/backup: exempt` with the annotation
    /// `probity.dev/backup-exempt-reason` excepts.
    #[serde(default = "yes")]
    pub allow_exempt_label: bool,
}

impl Default for RpoMet {
    fn default() -> Self {
        Self {
            default_rpo: day(),
            allow_exempt_label: yes(),
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
        rule_version: 2,
        reads: &[
            Kind::Claim,
            Kind::Database,
            Kind::Namespace,
            Kind::StorageClass,
        ],
        subjects: PROTECTABLE,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
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
        fix: "Nothing is written. The proposal is the command that starts a backup now, where a \
              plan covers it.",
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
            (Ok(None) | Err(_), _) => self.default_rpo.duration(),
        };
        match point {
            Some(point) => judge_point(context, what, &point, allowed(rpo)),
            None => judge_none(context, what, allowed(rpo)),
        }
    }
}

/// A claim with a recovery point.
fn judge_point(
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
        return Verdict::fail(point.source.strength(), "RpoExceeded", message)
            .propose(proposal(context, what));
    }
    let message = format!("{newest}: it may be {allowed} old");
    let gone = point.expires.unwrap_or(Timestamp::MAX);
    Verdict::pass(point.source.strength(), "RpoMet", message).recheck(gone.min(beyond(until)))
}

/// A claim without any.
fn judge_none(context: &Context<'_>, what: Protectable<'_>, allowed: Duration) -> Verdict {
    let until = later(what.meta().created_at(), allowed);
    if context.now <= until {
        let message = format!("it is new: it needs a recovery point by {until}");
        return Verdict::not_applicable("InGrace", message).recheck(beyond(until));
    }
    let message = "no recovery point is known: no completed backup that holds it, in a location \
                   that can be reached";
    Verdict::fail(Strength::Effective, "NoRecoveryPoint", message).propose(proposal(context, what))
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
        if self.default_rpo.duration().is_zero() {
            return Err("defaultRpo is zero: write the longest time that may be lost".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        touched(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
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
}

#[cfg(test)]
mod tests;
