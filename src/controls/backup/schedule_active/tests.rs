#![allow(
    clippy::needless_pass_by_value,
    reason = "json!({}) as an argument reads best"
)]

mod put_back;

use serde_json::Value;

use super::*;
use crate::{
    controls::{backup::fixtures, testing::World},
    verdict::Outcome,
};

/// A Velero Schedule that last ran at one o'clock of the day of the test.
fn schedule(change: &Value) -> Value {
    let mut object = json!({
        "metadata": { "name": "nightly", "namespace": "velero" },
        "spec": { "schedule": "0 1 * * *" },
        "status": { "phase": "Enabled", "lastBackup": "2026-06-01T01:00:20Z" },
    });
    for part in ["spec", "status", "metadata"] {
        for (key, value) in change[part].as_object().into_iter().flatten() {
            object[part][key] = value.clone();
        }
    }
    object
}

/// A claim on a snapshotted volume, and the schedule, which holds it.
fn velero(change: Value) -> World {
    fixtures::world().with(Kind::VeleroSchedule, schedule(&change))
}

fn job(spec: Value, last: &str) -> Value {
    json!({
        "metadata": {
            "name": "dump", "namespace": "shop",
            "annotations": { "probity.dev/backs-up": "data, logs" },
        },
        "spec": spec,
        "status": { "lastScheduleTime": last },
    })
}

fn claim(name: &str, annotations: Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
        "spec": { "storageClassName": "fast" },
        "status": { "phase": "Bound" },
    })
}

/// A claim on a volume of Longhorn.
fn longhorn() -> World {
    let driver = json!({ "spec": { "csi": { "driver": "driver.longhorn.io" } } });
    let known = json!({ "metadata": { "name": "vol-1", "namespace": "longhorn-system" } });
    let target = json!({
        "metadata": { "name": "default", "namespace": "longhorn-system" },
        "spec": { "backupTargetURL": "s3://b@eu/" }, "status": { "available": true },
    });
    fixtures::world()
        .with(Kind::Volume, fixtures::volume(&driver))
        .with(Kind::LonghornVolume, known)
        .with(Kind::BackupTarget, target)
}

const RPO_KEY: &str = "probity.dev/rpo";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_schedule_passes_only_where_everything_holds() {
    use Outcome::{Fail, NotApplicable, Pass};
    for (change, outcome, reason) in [
        (json!({}), Pass, "ScheduleActive"),
        (
            json!({ "spec": { "paused": true } }),
            Fail,
            "SchedulePaused",
        ),
        (
            json!({ "status": { "phase": "FailedValidation" } }),
            Fail,
            "ScheduleRefused",
        ),
        (
            json!({ "status": { "phase": "" } }),
            Fail,
            "ScheduleIgnored",
        ),
        (
            json!({ "status": { "phase": "New" } }),
            Fail,
            "ScheduleIgnored",
        ),
        (
            json!({ "status": null, "metadata": { "creationTimestamp": "2026-06-01T11:58:00Z" },
                    "status": { "phase": null } }),
            NotApplicable,
            "InGrace",
        ),
        (
            json!({ "spec": { "schedule": "soon" } }),
            Fail,
            "ScheduleUnreadable",
        ),
        (
            json!({ "spec": { "schedule": "" } }),
            Fail,
            "ScheduleUnreadable",
        ),
        (
            json!({ "spec": { "schedule": "0 0 30 2 *" } }),
            Fail,
            "NeverDue",
        ),
        (
            json!({ "spec": { "schedule": "0 1 * * 1-5" } }),
            Fail,
            "IntervalTooLong",
        ),
        (
            json!({ "spec": { "schedule": "@every 24h" } }),
            Pass,
            "ScheduleActive",
        ),
        (
            json!({ "spec": { "schedule": "@every 25h" } }),
            Fail,
            "IntervalTooLong",
        ),
        (
            json!({ "spec": { "schedule": "CRON_TZ=Europe/Berlin 30 2 * * *" } }),
            Pass,
            "ScheduleActive",
        ),
        (
            json!({ "status": { "lastBackup": "2026-05-11T01:00:20Z" } }),
            Fail,
            "RunsMissed",
        ),
        // Without any run, its creation a month ago counts.
        (
            json!({ "status": { "lastBackup": null } }),
            Fail,
            "RunsMissed",
        ),
        (
            json!({ "status": { "lastBackup": null, "lastSkipped": "2026-06-01T00:00:00Z" } }),
            Pass,
            "ScheduleActive",
        ),
    ] {
        let verdict = velero(change.clone()).only(&ScheduleActive::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (outcome, reason),
            "{change}"
        );
    }
}

#[test]
fn a_missed_run_is_found_on_the_second() {
    let control = ScheduleActive::default();
    let mut world = velero(json!({}));
    let recheck = world.only(&control).recheck_at;
    // Due at 01:00 of the second, half a day late at 13:00.
    assert_eq!(recheck, Some(at("2026-06-02T13:00:01Z")));
    world.now = at("2026-06-02T13:00:00Z");
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
    world.now = at("2026-06-02T13:00:01Z");
    let verdict = world.only(&control);
    assert_eq!(verdict.reason, "RunsMissed");
    assert_eq!(
        verdict.message,
        "no run since 2026-06-01T01:00:20Z: one was due at 2026-06-02T01:00:00Z and may be 12h late"
    );
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("velero backup create --from-schedule nightly --namespace velero")
    );
}

#[test]
fn the_worse_of_two_readings_counts() {
    let control = ScheduleActive {
        rpo: Period::days(10),
        ..Default::default()
    };
    let judge = |cron: &str| {
        let verdict = velero(json!({ "spec": { "schedule": cron } })).only(&control);
        (verdict.reason, verdict.message.into_owned())
    };
    assert_eq!(judge("0 1 * * 1").0, "ScheduleActive");
    // Either day: weekly. Both days: more than a year.
    let (reason, message) = judge("0 1 1 * 1");
    assert_eq!(reason, "IntervalTooLong");
    assert!(
        message.contains("427d") && message.contains("1.18.3"),
        "{message}"
    );
    let (reason, message) = judge("0 1 * * 7");
    assert_eq!(reason, "ScheduleUnreadable");
    assert!(
        message.contains("Velero before 1.18.3 refuses it"),
        "{message}"
    );
    let (_, message) = judge("*/60 1 * * *");
    assert!(
        message.contains("Velero from 1.18.3 on refuses it"),
        "{message}"
    );
}

#[test]
fn cron_jobs_are_subjects_by_annotation_only() {
    let control = ScheduleActive::default();
    let nightly = json!({ "schedule": "0 1 * * *" });
    let mut world = World::new().with(Kind::CronJob, job(nightly, "2026-06-01T01:00:00Z"));
    let plain = json!({
        "metadata": { "name": "report", "namespace": "shop" },
        "spec": { "schedule": "@yearly", "suspend": true },
    });
    world.put(Kind::CronJob, plain);
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
}

#[test]
fn the_time_zone_of_a_cron_job_counts() {
    let tokyo = json!({ "schedule": "0 1 * * *", "timeZone": "Asia/Tokyo" });
    let mut world = World::new().with(Kind::CronJob, job(tokyo, "2026-05-31T16:00:00Z"));
    let verdict = world.only(&ScheduleActive::default());
    assert_eq!(verdict.recheck_at, Some(at("2026-06-02T04:00:01Z")));
    let nowhere = json!({ "schedule": "0 1 * * *", "timeZone": "Asia/Nowhere" });
    world.put(Kind::CronJob, job(nowhere, "2026-05-31T16:00:00Z"));
    let verdict = world.only(&ScheduleActive::default());
    assert_eq!(verdict.reason, "ScheduleUnreadable");
}

#[test]
fn the_strictest_objective_of_its_claims_counts_and_the_nearest_goes_first() {
    let control = ScheduleActive::default();
    let nightly = json!({ "schedule": "0 1 * * *" });
    let mut world = World::new()
        .with(Kind::CronJob, job(nightly, "2026-06-01T01:00:00Z"))
        .with(Kind::Claim, claim("data", json!({})))
        .with(Kind::Claim, claim("logs", json!({})));
    let rpo = |value: &str| json!({ RPO_KEY: value });
    let class = |value: &str| json!({ "metadata": { "name": "fast", "annotations": rpo(value) } });
    let namespace = |value| json!({ "metadata": { "name": "shop", "annotations": rpo(value) } });
    let mut reason = |kind, object| {
        world.put(kind, object);
        world.only(&control).reason
    };
    assert_eq!(reason(Kind::StorageClass, class("12h")), "IntervalTooLong");
    assert_eq!(reason(Kind::Namespace, namespace("2d")), "ScheduleActive");
    assert_eq!(
        reason(Kind::Claim, claim("logs", rpo("1h"))),
        "IntervalTooLong"
    );
    assert_eq!(
        reason(Kind::Claim, claim("logs", rpo("weekly"))),
        "InvalidRpo"
    );
    assert_eq!(
        reason(Kind::Claim, claim("logs", rpo("7d"))),
        "ScheduleActive"
    );
}

#[test]
fn a_change_touches_no_more_than_it_must() {
    let control = ScheduleActive::default();
    let change = |kind, namespace: &str, name: &str| Change {
        kind,
        namespace: namespace.into(),
        name: name.into(),
        effect: crate::inventory::Effect::Modified,
        manager: None,
    };
    let touched = control.touched(&change(Kind::CronJob, "shop", "dump"));
    let subject = Subject::object(Kind::CronJob, &"shop".into(), &"dump".into());
    assert_eq!(touched, Touched::Subject(subject));
    let touched = control.touched(&change(Kind::Claim, "shop", "data"));
    assert_eq!(touched, Touched::All);
    let touched = control.touched(&change(Kind::Database, "shop", "pg"));
    assert_eq!(touched, Touched::Namespace("shop".into()));
}

#[test]
fn nonsense_parameters_are_refused() {
    for (rpo, slack, fine) in [
        (Period::hours(24), 150, true),
        (Period::hours(0), 150, false),
        (Period::hours(24), 100, false),
        (Period::hours(24), 1001, false),
        (Period::hours(24), 101, true),
        (Period::hours(24), 1000, true),
    ] {
        let slack = Ratio::hundredths(slack);
        let control = ScheduleActive { rpo, slack };
        assert_eq!(control.check().is_ok(), fine, "{control:?}");
    }
}

#[test]
fn other_tools_have_plans_too() {
    use crate::controls::backup::fixtures::{database, scheduled_backup};
    let reason = |world: World| { world }.only(&ScheduleActive::default()).reason;
    let of_database =
        |change: Value| reason(World::new().with(Kind::ScheduledBackup, scheduled_backup(&change)));
    assert_eq!(of_database(json!({})), "ScheduleActive");
    assert_eq!(
        of_database(json!({ "spec": { "suspend": true } })),
        "SchedulePaused"
    );
    // Its fields begin with the second: this is due every hour, and was missed.
    assert_eq!(
        of_database(json!({ "spec": { "schedule": "0 0 * * *" } })),
        "RunsMissed"
    );
    let strict = World::new()
        .with(Kind::ScheduledBackup, scheduled_backup(&json!({})))
        .with(
            Kind::Database,
            database(&json!({ "metadata": { "annotations": { RPO_KEY: "1h" } } })),
        );
    assert_eq!(reason(strict), "IntervalTooLong");
    let k8up = |cron: &str, runs: &[&str]| {
        let schedule = json!({
            "metadata": { "name": "daily", "namespace": "shop" },
            "spec": {
                "backup": { "schedule": cron }, "backend": { "s3": { "bucket": "b" } },
            },
        });
        let mut world = fixtures::world().with(Kind::K8upSchedule, schedule);
        for (number, created) in runs.iter().enumerate() {
            let run = json!({
                "metadata": {
                    "name": format!("daily-{number}"), "namespace": "shop",
                    "creationTimestamp": created,
                    "ownerReferences": [
                        { "apiVersion": "k8up.io/v1", "kind": "Schedule", "name": "daily",
                          "uid": "u", "controller": true },
                    ],
                },
            });
            world.put(Kind::K8upBackup, run);
        }
        reason(world)
    };
    let today = "2026-06-01T01:00:00Z";
    assert_eq!(
        k8up("0 1 * * *", &["2026-05-20T01:00:00Z", today]),
        "ScheduleActive"
    );
    assert_eq!(k8up("@daily-random", &[today]), "ScheduleActive");
    assert_eq!(k8up("@weekly-random", &[today]), "IntervalTooLong");
    assert_eq!(k8up("0 1 * * *", &[]), "RunsMissed");
    let job = |task: &str| {
        let job = json!({
            "metadata": { "name": "j", "namespace": "longhorn-system" },
            "spec": { "cron": "0 1 * * *", "task": task, "groups": ["default"] },
        });
        longhorn().with(Kind::RecurringJob, job)
    };
    assert_eq!(reason(job("backup")), "ScheduleActive");
    assert!(job("snapshot").judge(&ScheduleActive::default()).is_empty());
}

#[test]
fn the_strictest_objective_of_what_a_schedule_holds_counts() {
    let control = ScheduleActive::default();
    let strict = |labels: Value| {
        fixtures::claim(&json!({ "metadata": {
            "name": "orders", "uid": null, "annotations": { RPO_KEY: "1h" }, "labels": labels,
        } }))
    };
    let judge = |mut world: World, labels: Value| {
        let before = world.only(&control).reason;
        world.put(Kind::Claim, strict(labels));
        (before, world.only(&control).reason)
    };
    let both = ("ScheduleActive", "IntervalTooLong");
    assert_eq!(judge(velero(json!({})), json!({})), both);
    // Left out of the schedule, or exempt, it asks for nothing.
    let left_out = json!({ "velero.io/exclude-from-backup": "true" });
    let same = ("ScheduleActive", "ScheduleActive");
    assert_eq!(judge(velero(json!({})), left_out), same);
    let mut world = velero(json!({}));
    let mut exempt = strict(json!({ "probity.dev/backup": "exempt" }));
    exempt["metadata"]["annotations"]["probity.dev/backup-exempt-reason"] = json!("a cache");
    world.put(Kind::Claim, exempt);
    assert_eq!(world.only(&control).reason, "ScheduleActive");
    let k8up = json!({
        "metadata": { "name": "daily", "namespace": "shop",
                      "creationTimestamp": "2026-06-01T00:30:00Z" },
        "spec": { "backup": { "schedule": "0 1 * * *" }, "backend": { "s3": { "bucket": "b" } } },
    });
    let world = fixtures::world().with(Kind::K8upSchedule, k8up);
    assert_eq!(judge(world, json!({})), both);
    let recurring = json!({
        "metadata": { "name": "nightly", "namespace": "longhorn-system" },
        "spec": { "cron": "0 1 * * *", "task": "backup", "groups": ["default"] },
    });
    let mut world = longhorn().with(Kind::RecurringJob, recurring);
    assert_eq!(world.only(&control).reason, "ScheduleActive");
    let objective = json!({ "metadata": { "annotations": { RPO_KEY: "1h" } } });
    world.put(Kind::Claim, fixtures::claim(&objective));
    assert_eq!(world.only(&control).reason, "IntervalTooLong");
}

#[test]
fn a_schedule_that_holds_nothing_is_not_judged() {
    let control = ScheduleActive::default();
    let paused = json!({ "spec": { "paused": true } });
    let mut world = World::new().with(Kind::VeleroSchedule, schedule(&paused));
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "CoversNothing")
    );
    assert_eq!(velero(paused).only(&control).reason, "SchedulePaused");
}

#[test]
fn a_schedule_of_claims_that_may_be_bound_fails_only_if_it_would_without_them() {
    use Outcome::{Fail, Pass, Unknown};
    let unsaid = |rpo: &str| {
        fixtures::claim(&json!({
            "metadata": { "annotations": { RPO_KEY: rpo } }, "status": { "phase": null },
        }))
    };
    let bound = || fixtures::claim(&json!({ "metadata": { "name": "orders", "uid": null } }));
    let paused = json!({ "spec": { "paused": true } });
    for (change, rpo, beside, outcome, reason) in [
        (paused.clone(), "24h", false, Unknown, "BindingNotSaid"),
        (paused, "24h", true, Fail, "SchedulePaused"),
        (json!({}), "24h", false, Pass, "ScheduleActive"),
        (json!({}), "1h", true, Unknown, "BindingNotSaid"),
    ] {
        let mut world = velero(change.clone());
        world.put(Kind::Claim, unsaid(rpo));
        if beside {
            world.put(Kind::Claim, bound());
        }
        let verdict = world.only(&ScheduleActive::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (outcome, reason),
            "{change} {rpo} {beside}"
        );
    }
}

#[test]
fn a_schedule_holds_claims_of_the_namespaces_that_it_names_by_name_or_by_pattern() {
    let control = ScheduleActive::default();
    for (included, reason) in [
        (json!(["bank", "shop"]), "ScheduleActive"),
        (json!(["sho?", "bank"]), "ScheduleActive"),
        (json!(["bank"]), "CoversNothing"),
        (json!(["ban?"]), "CoversNothing"),
    ] {
        let template = json!({ "includedNamespaces": included });
        let mut world = velero(json!({ "spec": { "template": template } }));
        assert_eq!(world.only(&control).reason, reason, "{included}");
    }
}
