//! `backup-runs-clean`

use super::common::{beyond, later, run_now, say};
use crate::{
    analysis::{
        Derived,
        backup::plan::{KINDS, Plan, earlier},
    },
    api::{Period, Ratio, ratio},
    controls::{prelude::*, restricted::command},
    words::many,
};

/// The runs of each backup schedule succeed, and end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsClean {
    /// How far back runs count.
    #[serde(default = "week")]
    pub window: Period,

    /// The share of the runs that may fail, or fail in part, from `"0"` to `"1"`.
    #[serde(default = "tenth")]
    pub max_failure_ratio: Ratio,

    /// How long a run may take.
    #[serde(default = "six_hours")]
    pub stuck_after: Period,
}

fn week() -> Period {
    Period::days(7)
}

fn tenth() -> Ratio {
    Ratio::hundredths(10)
}

fn six_hours() -> Period {
    Period::hours(6)
}

impl Default for RunsClean {
    fn default() -> Self {
        Self {
            window: week(),
            max_failure_ratio: tenth(),
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
               `maxFailureRatio` failed or failed in part, and none has been running for longer \
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

    fn judge_runs<'a>(
        &self,
        now: Timestamp,
        plan: &Plan<'_>,
        runs: impl Iterator<Item = Run<'a>>,
    ) -> Verdict {
        let tally = self.tally(now, runs);
        let recheck = |verdict: Verdict| match tally.next {
            Some(next) => verdict.recheck(next),
            None => verdict,
        };
        let window = say(self.window.duration());
        if let Some(name) = tally.stuck {
            let limit = say(self.stuck_after.duration());
            let message = format!("run {name} has been in progress for longer than {limit}");
            let verdict = Verdict::fail(Strength::Effective, "RunStuck", message);
            return recheck(verdict.propose(look_and_start(plan, name)));
        }
        let (ended, failed) = (tally.ended, tally.failed);
        let allowed = &self.max_failure_ratio;
        if let Some((name, why)) = tally.worst
            && failed * u64::from(ratio::ONE) > u64::from(allowed.parts()) * ended
        {
            let message = format!(
                "{failed} of {} within {window} failed, and a share of {allowed} may; \
                 the last was {name}: {why}",
                many(ended, "run")
            );
            let verdict = Verdict::fail(Strength::Effective, "RunsFailed", message);
            return recheck(verdict.propose(look_and_start(plan, name)));
        }
        if ended == 0 {
            let message = format!("no run has ended within {window}");
            return recheck(Verdict::not_applicable("NoRuns", message));
        }
        let message = format!("{failed} of {} within {window} failed", many(ended, "run"));
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

/// How to find out why a run failed, and how to start one when the cause is mended.
fn look_and_start(plan: &Plan<'_>, run: &str) -> String {
    let namespace = &plan.meta.namespace;
    let look = match plan.kind {
        Kind::VeleroSchedule => format!("velero backup logs {run} -n {namespace}"),
        Kind::CronJob => format!("kubectl logs -n {namespace} job/{run} --all-containers"),
        Kind::ScheduledBackup => command::describe(Kind::DatabaseBackup, namespace, run),
        _ => command::describe(Kind::K8upBackup, namespace, run),
    };
    let start = run_now(plan.kind, plan.meta);
    format!("find out why (`{look}`), mend that, and have another run: {start}")
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
        if self.max_failure_ratio.parts() > ratio::ONE {
            return Err("maxFailureRatio must be 0 to 1: \"0.1\" is one run in ten".into());
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
        Some(self.judge_runs(context.now, &plan, runs))
    }
}

#[cfg(test)]
mod tests;
