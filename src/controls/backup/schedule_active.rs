//! `backup-schedule-active`

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::common::{backs_up, later, objective, run_now, say};
use crate::{
    analysis::schedule::{Dialect, Schedule},
    api::Period,
    controls::prelude::*,
};

/// Every backup schedule is switched on, is accepted by its tool, is due often enough, and runs
/// when it is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleActive {
    /// Recovery point objective: the longest time that may lie between two due runs. For a
    /// `CronJob`, the annotation `probity.dev/rpo` of the claims that it backs up, of their
    /// namespace or of their storage class goes first.
    #[serde(default = "day")]
    pub rpo: Period,

    /// How late a run may be: per cent of the longest time between two due runs, counted from the
    /// due time before. With 150, a daily run is missed twelve hours after it was due.
    #[serde(default = "one_and_a_half")]
    #[schemars(range(min = 101, max = 1000))]
    pub slack_percent: u32,
}

fn day() -> Period {
    Period::hours(24)
}

const fn one_and_a_half() -> u32 {
    150
}

impl Default for ScheduleActive {
    fn default() -> Self {
        Self {
            rpo: day(),
            slack_percent: one_and_a_half(),
        }
    }
}

/// Velero looks at a new schedule within a minute.
const ACCEPTED_WITHIN: Duration = Duration::from_mins(5);

/// What Velero Schedules and `CronJob`s have in common.
struct Plan<'a> {
    kind: Kind,
    meta: &'a Meta,
    cron: &'a str,
    zone: Option<&'a str>,
    /// The field that stops it, and whether it does.
    stop: (&'static str, bool),
    /// `None` where its tool has not looked at it; `CronJob`s are accepted by the API server.
    accepted: Option<Result<(), &'a str>>,
    /// The last run; its creation where there was none.
    last: Timestamp,
}

impl ScheduleActive {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-schedule-active",
        field: "backupScheduleActive",
        title: "Every backup schedule is active, frequent enough, and runs when it is due",
        family: Family::Backup,
        criteria: &["A1.2"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 1,
        reads: &[
            Kind::VeleroSchedule,
            Kind::CronJob,
            Kind::Claim,
            Kind::Namespace,
            Kind::StorageClass,
        ],
        subjects: &[Kind::VeleroSchedule, Kind::CronJob],
        derives: &[],
        observes: &[],
        writes: &[
            Write::patch(Kind::VeleroSchedule),
            Write::patch(Kind::CronJob),
        ],
        scope: ScopeUse::BySubject,
        what: "Each Velero Schedule, and each CronJob with the annotation `probity.dev/backs-up: \
               claim[,claim]`, is not paused or suspended, is accepted by its tool, has a cron \
               expression that can be read, leaves at most the recovery point objective between \
               two due runs, and has not missed a run: no more than (`slackPercent` − 100) per \
               cent of that time has passed since the first due time after its last run.",
        why: "A schedule that somebody paused for an afternoon, or that stalled weeks ago, is \
              found out on the day when its backup is needed.",
        fix: "A schedule that passed before and is paused or suspended is switched on again. One \
              that never passed is a proposal: nobody said that it should run. Cron expressions \
              are not changed.",
        by_hand: "Unpause the schedule (`spec.paused: false`, `spec.suspend: false`), or write a \
               cron expression that leaves no more than the objective between two runs.",
        prevention: "A ValidatingAdmissionPolicy can refuse `paused` and `suspend` on schedules in \
               scope; what a cron expression amounts to it can't tell.",
        limits: "Only Velero and annotated CronJobs are known. The longest time between runs is \
                 computed without clock changes. An expression without time zone is read as UTC, \
                 as nearly every kube-controller-manager and Velero server does. Velero before \
                 1.18.3 reads expressions as robfig/cron does; from 1.18.3 on both day fields \
                 must match, and 7 is Sunday: where the two differ, the worse reading counts. A \
                 run counts when it starts; whether it succeeded is `backup-rpo-met`. A run that \
                 Velero was told to skip is not missed. After the expression of a schedule is \
                 changed, a run that the new one would have had is missed until the next starts.",
    };

    fn judge_plan(&self, context: &Context<'_>, plan: &Plan<'_>) -> Verdict {
        let declared = Strength::Declared;
        if plan.stop.1 {
            return plan.stopped(context);
        }
        let readings = match plan.readings() {
            Ok(readings) => readings,
            Err(error) => {
                let message = format!("the cron expression {:?} can't be used: {error}", plan.cron);
                return Verdict::fail(declared, "ScheduleUnreadable", message);
            }
        };
        if let Some(verdict) = plan.not_accepted(context.now) {
            return verdict;
        }
        let rpo = match self.objective(context.inventory, plan) {
            Ok(rpo) => rpo,
            Err(error) => return Verdict::unknown("InvalidRpo", error),
        };
        self.judge_runs(context, plan, &readings, rpo)
    }

    /// Whether it is due often enough, and ran when it was.
    fn judge_runs(
        &self,
        context: &Context<'_>,
        plan: &Plan<'_>,
        readings: &[Schedule],
        rpo: Duration,
    ) -> Verdict {
        let note = if readings.len() > 1 {
            " (Velero before 1.18.3 and from 1.18.3 on read the expression differently; the worse \
             reading counts)"
        } else {
            ""
        };
        let mut missed_at = Timestamp::MAX;
        let mut message = String::new();
        for reading in readings {
            let interval = reading.worst_interval().filter(|interval| *interval <= rpo);
            let (Some(interval), Some(due)) = (interval, reading.next_after(plan.last)) else {
                return too_rare(plan, reading, rpo, note);
            };
            let late = interval.saturating_mul(self.slack_percent.saturating_sub(100)) / 100;
            if later(due, late) < missed_at {
                missed_at = later(due, late);
                let (last, late) = (plan.last, say(late));
                message = format!(
                    "no run since {last}: one was due at {due} and may be {late} late{note}"
                );
            }
        }
        if context.now > missed_at {
            return Verdict::fail(Strength::Declared, "RunsMissed", message)
                .propose(run_now(plan.kind, plan.meta));
        }
        Verdict::pass(Strength::Declared, "ScheduleActive", "")
            .recheck(later(missed_at, Duration::from_secs(1)))
            .keeping(Kept {
                uid: plan.meta.uid,
                value: json!({ plan.stop.0: false }),
                owners: Arc::clone(&plan.meta.owners),
            })
    }

    /// The strictest objective of the claims that a `CronJob` names; the parameter for others.
    fn objective(&self, inventory: &Inventory, plan: &Plan<'_>) -> Result<Duration, String> {
        let claims = backs_up(plan.meta).filter(|_| plan.kind == Kind::CronJob);
        let mut strictest: Option<Duration> = None;
        for claim in claims.into_iter().flatten() {
            let rpo = objective(inventory, &plan.meta.namespace, claim)?;
            let rpo = rpo.unwrap_or_else(|| self.rpo.duration());
            strictest = Some(strictest.map_or(rpo, |known| known.min(rpo)));
        }
        Ok(strictest.unwrap_or_else(|| self.rpo.duration()))
    }
}

fn too_rare(plan: &Plan<'_>, reading: &Schedule, rpo: Duration, note: &str) -> Verdict {
    let (reason, what) = match reading.worst_interval() {
        Some(interval) if interval > rpo => (
            "IntervalTooLong",
            format!(
                "leaves up to {} between two runs, and the recovery point objective is {}",
                say(interval),
                say(rpo)
            ),
        ),
        _ => ("NeverDue", "is never due".to_owned()),
    };
    let message = format!("the cron expression {:?} {what}{note}", plan.cron);
    Verdict::fail(Strength::Declared, reason, message)
}

impl<'a> Plan<'a> {
    fn of(inventory: &'a Inventory, subject: &'a Subject) -> Option<Self> {
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        match subject.object_kind()? {
            Kind::VeleroSchedule => {
                let object = inventory.tables.velero_schedules.get(namespace, name)?;
                let schedule = &object.spec;
                let last = schedule.last_backup.max(schedule.last_skipped);
                Some(Self {
                    kind: Kind::VeleroSchedule,
                    meta: &object.meta,
                    cron: &schedule.cron,
                    zone: None,
                    stop: ("paused", schedule.paused),
                    accepted: match schedule.phase.as_deref() {
                        None | Some("" | "New") => None,
                        Some("Enabled") => Some(Ok(())),
                        Some(other) => Some(Err(other)),
                    },
                    last: last.unwrap_or_else(|| object.meta.created_at()),
                })
            }
            Kind::CronJob => {
                let object = inventory.tables.cron_jobs.get(namespace, name)?;
                let last = object.spec.last_schedule;
                backs_up(&object.meta).is_some().then(|| Self {
                    kind: Kind::CronJob,
                    meta: &object.meta,
                    cron: &object.spec.schedule,
                    zone: object.spec.time_zone.as_deref(),
                    stop: ("suspend", object.spec.suspended),
                    accepted: Some(Ok(())),
                    last: last.unwrap_or_else(|| object.meta.created_at()),
                })
            }
            _ => None,
        }
    }

    /// The expression as each program reads it that may run it, without repetition.
    fn readings(&self) -> Result<Vec<Schedule>, String> {
        let read = |dialect| Schedule::parse(self.cron, self.zone, dialect);
        if self.kind == Kind::CronJob {
            return read(Dialect::Robfig).map(|reading| vec![reading]);
        }
        match (read(Dialect::Robfig), read(Dialect::Netresearch)) {
            (Ok(old), Ok(new)) if old == new => Ok(vec![old]),
            (Ok(old), Ok(new)) => Ok(vec![old, new]),
            (Err(error), Err(_)) => Err(error),
            (Err(error), Ok(_)) => Err(format!("Velero before 1.18.3 refuses it: {error}")),
            (Ok(_), Err(error)) => Err(format!("Velero from 1.18.3 on refuses it: {error}")),
        }
    }

    fn stopped(&self, context: &Context<'_>) -> Verdict {
        let (field, kind) = (self.stop.0, self.kind.info());
        let (namespace, name) = (&self.meta.namespace, &self.meta.name);
        let verdict = Verdict::fail(
            Strength::Declared,
            "SchedulePaused",
            format!("spec.{field} is true: no backup is started"),
        );
        match context.kept {
            // A schedule of the same name that was created anew may be meant to be paused.
            Some(kept) if kept.uid == self.meta.uid => verdict.remedy(Remedy::PutBack {
                target: Target {
                    kind: self.kind,
                    namespace: namespace.clone(),
                    name: name.clone(),
                },
                patch: json!({ "spec": kept.value }),
                path: 0,
            }),
            _ => verdict.propose(format!(
                "kubectl patch {}.{} {name} --namespace {namespace} --type merge --patch '{}'",
                kind.plural,
                kind.group,
                json!({ "spec": { field: false } })
            )),
        }
    }

    fn not_accepted(&self, now: Timestamp) -> Option<Verdict> {
        match self.accepted {
            Some(Ok(())) => None,
            Some(Err(phase)) => Some(Verdict::fail(
                Strength::Declared,
                "ScheduleRefused",
                format!("Velero refuses the schedule: its phase is {phase}"),
            )),
            None => {
                let until = later(self.meta.created_at(), ACCEPTED_WITHIN);
                Some(if now <= until {
                    Verdict::not_applicable("InGrace", "Velero has not looked at the schedule yet")
                        .recheck(later(until, Duration::from_secs(1)))
                } else {
                    let message = format!(
                        "Velero has not looked at the schedule within {}: is it running?",
                        say(ACCEPTED_WITHIN)
                    );
                    Verdict::fail(Strength::Declared, "ScheduleIgnored", message)
                })
            }
        }
    }
}

impl Control for ScheduleActive {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.rpo.duration().is_zero() {
            return Err("rpo is zero: write the longest time between two backups".into());
        }
        // The schema says so too; policies also come from files.
        if !(101..=1000).contains(&self.slack_percent) {
            return Err("slackPercent must be 101 to 1000; 150 is half an interval late".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::VeleroSchedule | Kind::CronJob => Touched::Subject(Subject::object(
                change.kind,
                &change.namespace,
                &change.name,
            )),
            Kind::Claim => Touched::Namespace(change.namespace.clone()),
            Kind::Namespace => Touched::Namespace(change.name.clone()),
            _ => Touched::All,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let tables = &context.inventory.tables;
        let schedules = &tables.velero_schedules;
        subject::objects(Kind::VeleroSchedule, schedules, namespace, found);
        tables.cron_jobs.within(namespace, |object| {
            if backs_up(&object.meta).is_some() {
                found(Subject::of(Kind::CronJob, &object.meta));
            }
        });
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let plan = Plan::of(context.inventory, subject)?;
        Some(self.judge_plan(context, &plan))
    }
}

#[cfg(test)]
mod tests;
