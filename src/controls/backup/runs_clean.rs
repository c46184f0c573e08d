//! `backup-runs-clean`

use super::common::{beyond, later, say};
use crate::{
    analysis::{
        Derived,
        backup::plan::{KINDS, Plan, earlier},
    },
    api::Period,
    controls::prelude::*,
};

/// The runs of each backup schedule succeed, and end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsClean {
    /// How far back runs count.
    #[serde(default = "week")]
    pub window: Period,

    /// Per cent of the runs that may fail, or fail in part.
    #[serde(default = "tenth")]
    #[schemars(range(max = 100))]
    pub max_failure_percent: u32,

    /// How long a run may take.
    #[serde(default = "six_hours")]
    pub stuck_after: Period,
}

fn week() -> Period {
    Period::days(7)
}

const fn tenth() -> u32 {
    10
}

fn six_hours() -> Period {
    Period::hours(6)
}

impl Default for RunsClean {
    fn default() -> Self {
        Self {
            window: week(),
            max_failure_percent: tenth(),
            stuck_after: six_hours(),
        }
    }
}

/// A run of a plan.
#[derive(Debug)]
struct Run<'a> {
    name: &'a str,
    began: Timestamp,
    state: State<'a>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State<'a> {
    Succeeded,
    /// It failed, or failed in part: how.
    Failed(&'a str),
    /// It has not ended.
    Running,
}

/// What the runs of a window add up to.
#[derive(Debug, Default)]
struct Tally<'a> {
    ended: u64,
    failed: u64,
    worst: Option<(&'a str, &'a str)>,
    stuck: Option<&'a str>,
    /// When the sum changes by itself.
    next: Option<Timestamp>,
}

impl RunsClean {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-runs-clean",
        field: "backupRunsClean",
        title: "The runs of every backup schedule succeed, and end",
        family: Family::Backup,
        criteria: &["A1.2", "CC7.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::VeleroSchedule,
            Kind::CronJob,
            Kind::ScheduledBackup,
            Kind::RecurringJob,
            Kind::K8upSchedule,
        ],
        subjects: &KINDS,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Of the runs of each schedule that began within `window` and have ended, at most \
               `maxFailurePercent` failed or failed in part, and none has been running for longer \
               than `stuckAfter`. Runs are Velero Backups with the label \
               velero.io/schedule-name, CloudNativePG Backups with the label \
               cnpg.io/scheduled-backup, K8up Backups that the Schedule owns, and Jobs of a \
               CronJob with the annotation `probity.dev/backs-up`. A single failed run of one \
               fails.",
        why: "Backups that fail now and then are the ones that are missing when they are needed, \
              and a run that never ends holds up all that follow.",
        fix: "Nothing is written. The message names a failed run and what its tool says about it.",
        by_hand: "Read the log of the run that the message names (`velero backup logs …`), mend the \
                  cause, and start a run now.",
        prevention: "None: a failure is no request that admission could refuse.",
        limits: "Tools delete their runs: Velero expired Backups, Kubernetes old Jobs (the last \
                 three that succeeded, the last one that failed). A window longer than that sees \
                 what is left; every failure that was seen stays in the log. A run counts from its \
                 start, or from its creation where it has none. A Velero run that has failed in \
                 part counts as failed before it ends. Runs of Longhorn's recurring jobs are not \
                 told apart: they are not applicable.",
    };

    fn judge_runs<'a>(&self, now: Timestamp, runs: impl Iterator<Item = Run<'a>>) -> Verdict {
        let tally = self.tally(now, runs);
        let recheck = |verdict: Verdict| match tally.next {
            Some(next) => verdict.recheck(next),
            None => verdict,
        };
        let window = say(self.window.duration());
        if let Some(name) = tally.stuck {
            let limit = say(self.stuck_after.duration());
            let message = format!("run {name} has been in progress for longer than {limit}");
            return recheck(Verdict::fail(Strength::Effective, "RunStuck", message));
        }
        let (ended, failed) = (tally.ended, tally.failed);
        let allowed = u64::from(self.max_failure_percent);
        if let Some((name, why)) = tally.worst
            && failed * 100 > allowed * ended
        {
            let message = format!(
                "{failed} of {ended} runs within {window} failed, and {allowed} % may; the last \
                 was {name}: {why}"
            );
            return recheck(Verdict::fail(Strength::Effective, "RunsFailed", message));
        }
        if ended == 0 {
            let message = format!("no run has ended within {window}");
            return recheck(Verdict::not_applicable("NoRuns", message));
        }
        let message = format!("{failed} of {ended} runs within {window} failed");
        recheck(Verdict::pass(Strength::Effective, "RunsClean", message))
    }

    fn tally<'a>(&self, now: Timestamp, runs: impl Iterator<Item = Run<'a>>) -> Tally<'a> {
        let since = earlier(now, self.window.duration());
        let mut tally = Tally::default();
        let mut last_failure = Timestamp::MIN;
        let at = |next: &mut Option<Timestamp>, time: Timestamp| {
            *next = Some(next.map_or(time, |known| known.min(time)));
        };
        for run in runs {
            if run.state == State::Running {
                let limit = later(run.began, self.stuck_after.duration());
                if now > limit {
                    tally.stuck = Some(run.name);
                } else {
                    at(&mut tally.next, beyond(limit));
                }
                continue;
            }
            if run.began < since {
                continue;
            }
            tally.ended += 1;
            at(
                &mut tally.next,
                beyond(later(run.began, self.window.duration())),
            );
            if let State::Failed(why) = run.state {
                tally.failed += 1;
                if run.began >= last_failure {
                    last_failure = run.began;
                    tally.worst = Some((run.name, why));
                }
            }
        }
        tally
    }
}

fn run<'a>(inventory: &'a Inventory, kind: Kind, namespace: &str, name: &str) -> Option<Run<'a>> {
    let tables = &inventory.tables;
    match kind {
        Kind::VeleroBackup => {
            let backup = tables.velero_backups.get(namespace, name)?;
            let phase = backup.spec.phase.as_deref().unwrap_or("New");
            let state = match phase {
                "Completed" => State::Succeeded,
                // What is being deleted was judged before.
                "Deleting" => return None,
                _ if phase.contains("Failed") => {
                    State::Failed(backup.spec.failure.as_deref().unwrap_or(phase))
                }
                _ => State::Running,
            };
            Some(Run {
                name: &backup.meta.name,
                began: backup.spec.started.unwrap_or(backup.meta.created_at()),
                state,
            })
        }
        Kind::DatabaseBackup => {
            let backup = tables.database_backups.get(namespace, name)?;
            let phase = backup.spec.phase.as_deref().unwrap_or("pending");
            let state = match phase {
                "completed" => State::Succeeded,
                "failed" | "walArchivingFailing" => {
                    State::Failed(backup.spec.error.as_deref().unwrap_or(phase))
                }
                _ => State::Running,
            };
            Some(Run {
                name: &backup.meta.name,
                began: backup.spec.started.unwrap_or(backup.meta.created_at()),
                state,
            })
        }
        Kind::K8upBackup => {
            let backup = tables.k8up_backups.get(namespace, name)?;
            Some(Run {
                name: &backup.meta.name,
                began: backup.meta.created_at(),
                state: state_of(backup.spec.succeeded),
            })
        }
        Kind::Job => {
            let job = tables.jobs.get(namespace, name)?;
            Some(Run {
                name: &job.meta.name,
                began: job.spec.started.unwrap_or(job.meta.created_at()),
                state: state_of(job.spec.succeeded),
            })
        }
        _ => None,
    }
}

const fn state_of(succeeded: Option<bool>) -> State<'static> {
    match succeeded {
        Some(true) => State::Succeeded,
        Some(false) => State::Failed("failed"),
        None => State::Running,
    }
}

impl Control for RunsClean {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.window.duration().is_zero() || self.stuck_after.duration().is_zero() {
            return Err("window and stuckAfter must be longer than zero".into());
        }
        // The schema says so too; policies also come from files.
        if self.max_failure_percent > 100 {
            return Err("maxFailurePercent must be 0 to 100".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        Touched::Subject(Subject::object(
            change.kind,
            &change.namespace,
            &change.name,
        ))
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
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
        let recovery = context.analyses.recovery();
        let plan = Plan::of(context.inventory, recovery, subject)?;
        if plan.kind == Kind::RecurringJob {
            let message = "Longhorn doesn't tell which job a backup is of";
            return Some(Verdict::not_applicable("RunsNotTold", message));
        }
        let runs = recovery
            .runs(subject)
            .filter_map(|(kind, namespace, name)| run(context.inventory, *kind, namespace, name));
        Some(self.judge_runs(context.now, runs))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::{
        backup::fixtures::{backup, schedule, scheduled_backup},
        testing::World,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A schedule with a Backup for each phase, one a day, the last on the first of June.
    fn world(phases: &[&str]) -> World {
        let mut world = World::new().with(Kind::VeleroSchedule, schedule(&json!({})));
        for (number, phase) in phases.iter().enumerate() {
            let day = 33 - phases.len() + number;
            let date = if day > 31 {
                "2026-06-01".to_owned()
            } else {
                format!("2026-05-{day:02}")
            };
            let run = backup(&json!({
                "metadata": { "name": format!("nightly-{number}") },
                "status": {
                    "phase": phase, "startTimestamp": format!("{date}T01:00:00Z"),
                    "failureReason": format!("reason {number}"),
                },
            }));
            world.put(Kind::VeleroBackup, run);
        }
        world
    }

    fn reason(phases: &[&str]) -> &'static str {
        world(phases).only(&RunsClean::default()).reason
    }

    #[test]
    fn every_phase_of_velero_is_known() {
        for (phase, wanted) in [
            ("Completed", "RunsClean"),
            ("PartiallyFailed", "RunsFailed"),
            ("Failed", "RunsFailed"),
            ("FailedValidation", "RunsFailed"),
            ("FinalizingPartiallyFailed", "RunsFailed"),
            ("WaitingForPluginOperationsPartiallyFailed", "RunsFailed"),
            ("New", "RunStuck"),
            ("Queued", "RunStuck"),
            ("ReadyToStart", "RunStuck"),
            ("InProgress", "RunStuck"),
            ("WaitingForPluginOperations", "RunStuck"),
            ("Finalizing", "RunStuck"),
            ("Deleting", "NoRuns"),
        ] {
            assert_eq!(reason(&[phase]), wanted, "{phase}");
        }
    }

    #[test]
    fn one_in_ten_may_fail() {
        let ok = "Completed";
        let control = RunsClean {
            window: Period::days(30),
            ..RunsClean::default()
        };
        let mut ten = [ok; 10];
        ten[3] = "PartiallyFailed";
        assert_eq!(world(&ten).only(&control).reason, "RunsClean");
        let verdict = world(&ten[1..]).only(&control);
        assert_eq!(verdict.reason, "RunsFailed");
        assert_eq!(
            verdict.message,
            "1 of 9 runs within 30d failed, and 10 % may; the last was nightly-2: reason 2"
        );
    }

    #[test]
    fn only_runs_within_the_window_count_and_it_moves_on() {
        let mut world = world(&["Failed", "Completed", "Completed"]);
        let control = RunsClean::default();
        let verdict = world.only(&control);
        assert_eq!(verdict.reason, "RunsFailed");
        assert_eq!(verdict.recheck_at, Some(at("2026-06-06T01:00:01Z")));
        world.now = at("2026-06-06T01:00:01Z");
        assert_eq!(world.only(&control).reason, "RunsClean");
        world.now = at("2026-06-20T00:00:00Z");
        assert_eq!(world.only(&control).reason, "NoRuns");
    }

    #[test]
    fn a_run_is_stuck_on_the_second() {
        let mut world = world(&["InProgress"]);
        let control = RunsClean {
            stuck_after: Period::hours(12),
            ..RunsClean::default()
        };
        let verdict = world.only(&control);
        assert_eq!(verdict.reason, "NoRuns");
        assert_eq!(verdict.recheck_at, Some(at("2026-06-01T13:00:01Z")));
        world.now = at("2026-06-01T13:00:00Z");
        assert_eq!(world.only(&control).reason, "NoRuns");
        world.now = at("2026-06-01T13:00:01Z");
        assert_eq!(world.only(&control).reason, "RunStuck");
    }

    #[test]
    fn runs_of_others_do_not_count() {
        let mut world = world(&["Completed"]);
        for (name, labels) in [
            ("manual", json!({ "velero.io/schedule-name": null })),
            ("other-1", json!({ "velero.io/schedule-name": "other" })),
        ] {
            let run = backup(&json!({
                "metadata": { "name": name, "labels": labels }, "status": { "phase": "Failed" },
            }));
            world.put(Kind::VeleroBackup, run);
        }
        assert_eq!(world.only(&RunsClean::default()).reason, "RunsClean");
    }

    fn reason_of(world: World) -> &'static str {
        { world }.only(&RunsClean::default()).reason
    }

    #[test]
    fn runs_of_other_tools_are_judged_alike() {
        let started = "2026-06-01T01:00:00Z";
        for (phase, wanted) in [
            ("completed", "RunsClean"),
            ("failed", "RunsFailed"),
            ("walArchivingFailing", "RunsFailed"),
            ("running", "RunStuck"),
        ] {
            let run = json!({
                "metadata": {
                    "name": "pg-1", "namespace": "shop",
                    "labels": { "cnpg.io/scheduled-backup": "pg-daily" },
                },
                "spec": { "cluster": { "name": "pg" } },
                "status": { "phase": phase, "startedAt": started },
            });
            let world = World::new()
                .with(Kind::ScheduledBackup, scheduled_backup(&json!({})))
                .with(Kind::DatabaseBackup, run);
            assert_eq!(reason_of(world), wanted, "{phase}");
        }
        let owner = |kind: &str, name: &str| json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true }]);
        for (reason, wanted) in [("Succeeded", "RunsClean"), ("Failed", "RunsFailed")] {
            let schedule = json!({
                "metadata": { "name": "daily", "namespace": "shop" },
                "spec": { "backup": { "schedule": "@daily" } },
            });
            let run = json!({
                "metadata": {
                    "name": "daily-1", "namespace": "shop", "creationTimestamp": started,
                    "ownerReferences": [{ "apiVersion": "k8up.io/v1", "kind": "Schedule",
                                          "name": "daily", "uid": "u", "controller": true }],
                },
                "status": { "conditions": [
                    { "type": "Completed", "status": "True", "reason": reason },
                ] },
            });
            let world = World::new()
                .with(Kind::K8upSchedule, schedule)
                .with(Kind::K8upBackup, run);
            assert_eq!(reason_of(world), wanted, "{reason}");
        }
        for (condition, wanted) in [("Complete", "RunsClean"), ("Failed", "RunsFailed")] {
            let cron_job = json!({
                "metadata": { "name": "dump", "namespace": "shop",
                              "annotations": { "probity.dev/backs-up": "data" } },
                "spec": { "schedule": "@daily" },
            });
            let job = |name: &str, owner: Value| {
                json!({
                    "metadata": { "name": name, "namespace": "shop", "ownerReferences": owner },
                    "status": {
                        "startTime": started, "conditions": [{ "type": condition, "status": "True" }],
                    },
                })
            };
            let world = World::new()
                .with(Kind::CronJob, cron_job)
                .with(Kind::Job, job("dump-1", owner("CronJob", "dump")))
                .with(Kind::Job, job("other-1", owner("CronJob", "other")));
            assert_eq!(reason_of(world), wanted, "{condition}");
        }
    }

    #[test]
    fn nonsense_parameters_are_refused() {
        let usual = RunsClean::default;
        assert!(usual().check().is_ok());
        for control in [
            RunsClean {
                window: Period::days(0),
                ..usual()
            },
            RunsClean {
                stuck_after: Period::days(0),
                ..usual()
            },
            RunsClean {
                max_failure_percent: 101,
                ..usual()
            },
        ] {
            assert!(control.check().is_err(), "{control:?}");
        }
    }
}
