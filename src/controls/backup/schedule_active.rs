//! `backup-schedule-active`

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::common::{beyond, day, later, needs_backup, objective, run_now, say};
use crate::{
    analysis::{
        Derived,
        backup::{
            Protectable, backs_up, named_namespaces,
            plan::{KINDS, Plan},
        },
        schedule::Schedule,
    },
    api::{Period, Ratio, ratio},
    controls::prelude::*,
    inventory::{Object, Projection, storage::Claim},
};

/// Every backup schedule is switched on, is accepted by its tool, is due often enough, and runs
/// when it is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleActive {
    /// Recovery point objective: the longest time that may lie between two due runs. The
    /// annotation `probity.dev/rpo` of the claims or of the database cluster that a schedule backs
    /// up, of their namespace or of their storage class goes first; the strictest counts.
    #[serde(default = "day")]
    pub rpo: Period,

    /// How late a run may be: so many of the longest times between two due runs, counted from the
    /// due time before. With `"1.5"`, a daily run is missed twelve hours after it was due.
    #[serde(default = "one_and_a_half")]
    pub slack: Ratio,
}

fn one_and_a_half() -> Ratio {
    Ratio::hundredths(150)
}

impl Default for ScheduleActive {
    fn default() -> Self {
        Self {
            rpo: day(),
            slack: one_and_a_half(),
        }
    }
}

/// Velero looks at a new schedule within a minute.
const ACCEPTED_WITHIN: Duration = Duration::from_mins(5);

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
        rule_version: 3,
        reads: &[
            Kind::VeleroSchedule,
            Kind::CronJob,
            Kind::ScheduledBackup,
            Kind::RecurringJob,
            Kind::K8upSchedule,
            Kind::Claim,
            Kind::Database,
            Kind::Namespace,
            Kind::StorageClass,
        ],
        subjects: &KINDS,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[
            Write::patch(Kind::VeleroSchedule),
            Write::patch(Kind::CronJob),
            Write::patch(Kind::ScheduledBackup),
            Write::patch(Kind::RecurringJob),
            Write::patch(Kind::K8upSchedule),
        ],
        scope: ScopeUse::BySubject,
        what: "Each Velero Schedule, CloudNativePG ScheduledBackup, Longhorn RecurringJob that \
               backs up, K8up Schedule with backups, and each CronJob with the annotation \
               `probity.dev/backs-up: claim[,claim]`, if it holds the data of anything that needs a \
               backup, is not paused or suspended, is accepted by \
               its tool, has a cron expression that can be read, leaves at most the recovery point \
               objective between two due runs, and has not missed a run: no more than \
               `slack` − 1 times that time has passed since the first due time after its last \
               run.",
        why: "A schedule that somebody paused for an afternoon, or that stalled weeks ago, is \
              found out on the day when its backup is needed.",
        fix: "A schedule that passed before and is paused or suspended is switched on again; a \
              cron expression that was changed to one that is due too rarely, never, or can't be \
              read, is put back. One that never passed is a proposal: nobody said that it should \
              run.",
        by_hand: "Unpause the schedule (`spec.paused: false`, `spec.suspend: false`), or write a \
                  cron expression that leaves no more than the objective between two runs.",
        prevention: "A ValidatingAdmissionPolicy can refuse `paused` and `suspend` on schedules in \
                     scope; what a cron expression amounts to it can't tell.",
        limits: "The longest time between runs is computed without clock changes. An expression \
                 without time zone is read as UTC, as nearly every kube-controller-manager and \
                 Velero server does. Velero before 1.18.3 reads expressions as robfig/cron does; \
                 from 1.18.3 on both day fields must match, and 7 is Sunday: where the two differ, \
                 the worse reading counts. CloudNativePG's expressions begin with the second: \
                 `0 0 * * *` is due every hour. K8up's random expressions are read as what K8up \
                 made of them. A run counts when it starts; whether it succeeded is \
                 `backup-runs-clean` and `backup-rpo-met`. A run that Velero was told to skip is \
                 not missed. Longhorn doesn't tell when a job ran last: its missed runs are found \
                 by `backup-rpo-met` only. After the expression of a schedule is changed, a run \
                 that the new one would have had is missed until the next starts. A CronJob and a \
                 ScheduledBackup name what they back up, and are judged whether it is there or not; \
                 another schedule is not applicable while it holds the data of no claim that needs \
                 a backup, and so fails nobody for being paused: `backup-coverage` tells who is not \
                 covered.",
    };

    fn judge_plan(&self, context: &Context<'_>, plan: &Plan<'_>) -> Verdict {
        let verdict = self.judge_for(context, plan, true);
        let mut claims = context.inventory.tables.claims.iter();
        if verdict.outcome != Outcome::Fail || !claims.any(|claim| claim.spec.bound.is_none()) {
            return verdict;
        }
        let known = self.judge_for(context, plan, false);
        if known.outcome == Outcome::Fail {
            return known;
        }
        let message = format!(
            "nothing says whether claims that it is meant for are bound to volumes; if they are: {}",
            verdict.message
        );
        Verdict::unknown("BindingNotSaid", message)
    }

    /// The verdict where claims of which nobody can tell whether they need a backup do so, or do not.
    fn judge_for(&self, context: &Context<'_>, plan: &Plan<'_>, unsaid: bool) -> Verdict {
        let declared = Strength::Declared;
        let rpo = match self.objective(context, plan, unsaid) {
            Ok(Some(rpo)) => Ok(rpo),
            Ok(None) => {
                let message = "it holds the data of no claim that needs a backup";
                return Verdict::not_applicable("CoversNothing", message);
            }
            Err(error) => Err(error),
        };
        if let Some((field, true)) = plan.stop {
            return stopped(context, plan, field);
        }
        let readings = match plan.readings() {
            Ok(readings) => readings,
            Err(error) => {
                let message = format!("the cron expression {:?} can't be used: {error}", plan.cron);
                let verdict = Verdict::fail(declared, "ScheduleUnreadable", message);
                return put_back(context, plan, verdict);
            }
        };
        if let Some(verdict) = not_accepted(plan, context.now) {
            return verdict;
        }
        let rpo = match rpo {
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
            let from = plan.last.unwrap_or(context.now);
            let (Some(interval), Some(due)) = (interval, reading.next_after(from)) else {
                return put_back(context, plan, too_rare(plan, reading, rpo, note));
            };
            let late =
                interval.saturating_mul(self.slack.parts().saturating_sub(ratio::ONE)) / ratio::ONE;
            if let Some(last) = plan.last
                && later(due, late) < missed_at
            {
                missed_at = later(due, late);
                let late = say(late);
                message = format!(
                    "no run since {last}: one was due at {due} and may be {late} late{note}"
                );
            }
        }
        if context.now > missed_at {
            return Verdict::fail(Strength::Declared, "RunsMissed", message)
                .propose(run_now(plan.kind, plan.meta));
        }
        let verdict = Verdict::pass(Strength::Declared, "ScheduleActive", "").keeping(Kept {
            uid: plan.meta.uid,
            value: json!({ "cron": plan.cron }),
            owners: Arc::clone(&plan.meta.owners),
        });
        if plan.last.is_some() {
            verdict.recheck(beyond(missed_at))
        } else {
            verdict
        }
    }

    /// The strictest objective of what a plan holds; `None` where it holds nothing.
    fn objective(
        &self,
        context: &Context<'_>,
        plan: &Plan<'_>,
        unsaid: bool,
    ) -> Result<Option<Duration>, String> {
        let tables = &context.inventory.tables;
        let namespace = &plan.meta.namespace;
        match plan.kind {
            Kind::CronJob => {
                let claims = backs_up(plan.meta).into_iter().flatten();
                self.of_named(context.inventory, plan, Kind::Claim, claims)
            }
            Kind::ScheduledBackup => {
                let scheduled = tables.scheduled_backups.get(namespace, &plan.meta.name);
                let clusters = scheduled.into_iter().map(|s| &*s.spec.cluster);
                self.of_named(context.inventory, plan, Kind::Database, clusters)
            }
            Kind::K8upSchedule => {
                let within = BTreeSet::from([&**namespace]);
                self.of_held(context, plan, Some(&within), unsaid)
            }
            Kind::VeleroSchedule => {
                let schedule = tables.velero_schedules.get(namespace, &plan.meta.name);
                let within = schedule
                    .and_then(|schedule| named_namespaces(&schedule.spec.template.namespaces));
                self.of_held(context, plan, within.as_ref(), unsaid)
            }
            _ => self.of_held(context, plan, None, unsaid),
        }
    }

    /// The strictest objective of what a plan names, there or not; the parameter for a plan that
    /// names nothing.
    fn of_named<'a>(
        &self,
        inventory: &Inventory,
        plan: &Plan<'_>,
        kind: Kind,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Duration>, String> {
        let mut strictest: Option<Duration> = None;
        for name in names {
            let rpo = objective(inventory, kind, &plan.meta.namespace, name)?;
            let rpo = rpo.unwrap_or_else(|| self.rpo.duration());
            strictest = Some(strictest.map_or(rpo, |known| known.min(rpo)));
        }
        Ok(Some(strictest.unwrap_or_else(|| self.rpo.duration())))
    }

    /// The strictest objective of the claims that a plan is meant for: all that there are, unless
    /// the namespaces are known in which there can be any.
    fn of_held(
        &self,
        context: &Context<'_>,
        plan: &Plan<'_>,
        within: Option<&BTreeSet<&str>>,
        unsaid: bool,
    ) -> Result<Option<Duration>, String> {
        let (inventory, recovery) = (context.inventory, context.analyses.recovery());
        let subject = plan.subject();
        let mut strictest: Result<Option<Duration>, String> = Ok(None);
        let mut look = |claim: &Object<Claim>| {
            let Ok(known) = strictest else {
                return;
            };
            let (namespace, name) = (&claim.meta.namespace, &claim.meta.name);
            let rpo = objective(inventory, Kind::Claim, namespace, name);
            let rpo = rpo.map(|rpo| rpo.unwrap_or_else(|| self.rpo.duration()));
            // Looking at objectives is cheap, at what holds a claim it is not.
            let matters = rpo
                .as_ref()
                .map_or(true, |rpo| known.is_none_or(|k| *rpo < k));
            if matters
                && needs_backup(context, Protectable::Claim(claim)).unwrap_or(unsaid)
                && recovery.is_meant_for(inventory, &subject, claim)
            {
                strictest = rpo.map(Some);
            }
        };
        let claims = &inventory.tables.claims;
        match within {
            Some(namespaces) => namespaces
                .iter()
                .flat_map(|namespace| claims.in_namespace(namespace))
                .for_each(&mut look),
            None => claims.iter().for_each(&mut look),
        }
        strictest
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

fn stopped(context: &Context<'_>, plan: &Plan<'_>, field: &'static str) -> Verdict {
    let message = format!("spec.{field} is true: no backup is started");
    let verdict = Verdict::fail(Strength::Declared, "SchedulePaused", message);
    let patch = json!({ "spec": { field: false } });
    match kept(context, plan) {
        // Where there is a field that stops, it is the first that may be put back.
        Some(_) => verdict.remedy(remedy(plan, patch, 0)),
        None => verdict.propose(patch_command(plan, &patch)),
    }
}

/// What was kept of that very object: one of the same name that was created anew may be meant to
/// be as it is.
fn kept<'a>(context: &Context<'a>, plan: &Plan<'_>) -> Option<&'a Kept> {
    context.kept.filter(|kept| kept.uid == plan.meta.uid)
}

fn remedy(plan: &Plan<'_>, patch: Value, field: usize) -> Remedy {
    Remedy::PutBack {
        target: Target {
            kind: plan.kind,
            namespace: plan.meta.namespace.clone(),
            name: plan.meta.name.clone(),
        },
        patch,
        path: field,
    }
}

fn patch_command(plan: &Plan<'_>, patch: &Value) -> String {
    let kind = plan.kind.info();
    let (namespace, name) = (&plan.meta.namespace, &plan.meta.name);
    format!(
        "kubectl patch {}.{} {name} --namespace {namespace} --type merge --patch '{patch}'",
        kind.plural, kind.group,
    )
}

/// A cadence that somebody changed goes back to what it was when it passed.
fn put_back(context: &Context<'_>, plan: &Plan<'_>, verdict: Verdict) -> Verdict {
    let before = kept(context, plan).and_then(|kept| kept.value["cron"].as_str());
    match before {
        // Unchanged: then it is the objective that became stricter.
        Some(cron) if cron != plan.cron => {
            let fields = plan.cron_field.iter().rev();
            let spec = fields.fold(json!(cron), |value, field| json!({ *field: value }));
            verdict.remedy(remedy(plan, json!({ "spec": spec }), cron_path(plan)))
        }
        _ => verdict,
    }
}

/// Which of the fields that may be put back is the cron expression.
fn cron_path(plan: &Plan<'_>) -> usize {
    use crate::inventory::{cnpg, k8up, longhorn, velero, workload};
    let paths = match plan.kind {
        Kind::CronJob => workload::CronJob::OWNED_PATHS,
        Kind::ScheduledBackup => cnpg::ScheduledBackup::OWNED_PATHS,
        Kind::RecurringJob => longhorn::RecurringJob::OWNED_PATHS,
        Kind::K8upSchedule => k8up::K8upSchedule::OWNED_PATHS,
        _ => velero::Schedule::OWNED_PATHS,
    };
    let is_cron = |path: &&[&str]| {
        let field = path.last().and_then(|last| last.strip_prefix("f:"));
        field == plan.cron_field.last().copied()
    };
    paths.iter().position(is_cron).unwrap_or_default()
}

fn not_accepted(plan: &Plan<'_>, now: Timestamp) -> Option<Verdict> {
    match plan.accepted {
        Some(Ok(())) => None,
        Some(Err(phase)) => Some(Verdict::fail(
            Strength::Declared,
            "ScheduleRefused",
            format!("Velero refuses the schedule: its phase is {phase}"),
        )),
        None => {
            let until = later(plan.meta.created_at(), ACCEPTED_WITHIN);
            Some(if now <= until {
                Verdict::not_applicable("InGrace", "Velero has not looked at the schedule yet")
                    .recheck(beyond(until))
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

impl Control for ScheduleActive {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.rpo.duration().is_zero() {
            return Err("rpo is zero: write the longest time between two backups".into());
        }
        if !(ratio::ONE + 1..=10 * ratio::ONE).contains(&self.slack.parts()) {
            return Err(
                "slack must be more than 1, and at most 10: \"1.5\" is half an interval late"
                    .into(),
            );
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // A schedule of any namespace may be meant for the claims.
            Kind::Claim | Kind::Namespace | Kind::StorageClass => Touched::All,
            Kind::Database => Touched::Namespace(change.namespace.clone()),
            kind => Touched::Subject(Subject::object(kind, &change.namespace, &change.name)),
        }
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        if subject.object_kind() == Some(Kind::Claim) {
            return Touched::All; // other schedules may be meant for it now
        }
        super::common::affected(&KINDS, subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        Plan::each(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let plan = Plan::of(context.inventory, context.analyses.recovery(), subject)?;
        Some(self.judge_plan(context, &plan))
    }
}

#[cfg(test)]
mod tests;
