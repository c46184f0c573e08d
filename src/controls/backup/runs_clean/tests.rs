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
        "1 of 9 runs within 30d failed, and a share of 0.1 may; the last was nightly-2: reason 2"
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
            max_failure_ratio: Ratio::hundredths(101),
            ..usual()
        },
    ] {
        assert!(control.check().is_err(), "{control:?}");
    }
}

#[test]
fn longhorn_does_not_tell_what_a_job_ran() {
    let job = json!({
        "metadata": { "name": "nightly", "namespace": "longhorn-system" },
        "spec": { "cron": "0 1 * * *", "task": "backup" },
    });
    let verdict = World::new()
        .with(Kind::RecurringJob, job)
        .only(&RunsClean::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "RunsNotTold")
    );
}
