use serde_json::{Value, json};

use super::*;
use crate::controls::{
    backup::fixtures::{
        UID, backup, claim, database, location, schedule, scheduled_backup, server, with, world,
    },
    testing::World,
};

const CLAIM: &str = "PersistentVolumeClaim shop/data";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A backup as files of the claim, of a day.
fn night(world: &mut World, date: &str) {
    let name = format!("nightly-{date}");
    let run = backup(&json!({
        "metadata": { "name": name },
        "status": { "startTimestamp": format!("{date}T01:00:00Z"), "expiration": "2026-12-01T00:00:00Z" },
    }));
    let part = json!({
        "metadata": {
            "name": name, "namespace": "velero",
            "labels": { "velero.io/backup-name": name, "velero.io/pvc-uid": UID },
        },
        "status": { "phase": "Completed" },
    });
    world.put(Kind::VeleroBackup, run);
    world.put(Kind::PodVolumeBackup, part);
}

/// A schedule with this `ttl`, and backups as old as the objects (a month).
fn covered(ttl: &Value) -> World {
    let mut world = world().with(
        Kind::VeleroSchedule,
        schedule(&json!({ "spec": { "template": { "ttl": ttl } } })),
    );
    night(&mut world, "2026-05-02");
    night(&mut world, "2026-06-01");
    world
}

fn reason(world: &mut World) -> &'static str {
    world.judge(&RetentionMet::default())[CLAIM].reason
}

#[test]
fn a_ttl_is_declared_by_the_schedule_or_the_server() {
    for (ttl, flags, wanted) in [
        (json!("720h0m0s"), &[][..], "RetentionMet"),
        (json!("719h59m59s"), &[], "RetentionTooShort"),
        (Value::Null, &[], "RetentionMet"),
        (json!("0s"), &[], "RetentionMet"),
        (
            Value::Null,
            &["--default-backup-ttl=24h"],
            "RetentionTooShort",
        ),
        (
            json!("0s"),
            &["--default-backup-ttl", "1000h"],
            "RetentionMet",
        ),
        (
            json!("720h0m0s"),
            &["--default-backup-ttl=24h"],
            "RetentionMet",
        ),
    ] {
        let mut flags = flags.to_vec();
        flags.push("--features=EnableCSI");
        let mut world = covered(&ttl).with(Kind::Deployment, server(&flags));
        assert_eq!(reason(&mut world), wanted, "{ttl} {flags:?}");
    }
}

#[test]
fn one_of_several_schedules_suffices() {
    let mut world = covered(&json!("24h0m0s"));
    assert_eq!(reason(&mut world), "RetentionTooShort");
    let other = json!({ "metadata": { "name": "monthly" },
                        "spec": { "template": { "ttl": "8760h0m0s" } } });
    world.put(Kind::VeleroSchedule, schedule(&other));
    assert_eq!(reason(&mut world), "RetentionMet");
    let paused = with(other, &json!({ "spec": { "paused": true } }));
    world.put(Kind::VeleroSchedule, schedule(&paused));
    assert_eq!(reason(&mut world), "RetentionTooShort");
}

#[test]
fn a_ttl_that_was_shortened_is_put_back() {
    let control = RetentionMet::default();
    let mut world = covered(&json!("720h0m0s"));
    assert_eq!(world.judge(&control)[CLAIM].reason, "RetentionMet");
    let short = json!({ "spec": { "template": { "ttl": "24h0m0s" } } });
    world.put(Kind::VeleroSchedule, schedule(&short));
    let remedy = world.judge(&control)[CLAIM].remedy.clone().unwrap();
    assert_eq!(
        (remedy.content(), remedy.path()),
        (
            &json!({ "spec": { "template": { "ttl": "720h0m0s" } } }),
            Some(2)
        )
    );
    assert_eq!(world.mend(&control)[CLAIM].1, "RetentionMet");
    // One of the same name that was created anew may be meant to be short.
    let mut anew = schedule(&short);
    anew["metadata"]["uid"] = json!("cccccccc-0000-4000-8000-000000000001");
    world.put(Kind::VeleroSchedule, anew);
    let verdict = world.judge(&control)[CLAIM].clone();
    assert!(verdict.remedy.is_none());
    assert!(verdict.proposal.unwrap().contains("720h0m0s"));
}

#[test]
fn a_ttl_that_was_left_to_the_server_goes_back_there() {
    let control = RetentionMet::default();
    let mut world = covered(&Value::Null);
    assert_eq!(world.judge(&control)[CLAIM].reason, "RetentionMet");
    let short = json!({ "spec": { "template": { "ttl": "24h0m0s" } } });
    world.put(Kind::VeleroSchedule, schedule(&short));
    let remedy = world.judge(&control)[CLAIM].remedy.clone().unwrap();
    assert_eq!(
        remedy.content(),
        &json!({ "spec": { "template": { "ttl": null } } })
    );
    assert_eq!(world.mend(&control)[CLAIM].1, "RetentionMet");
}

#[test]
fn a_stricter_minimum_changes_no_schedule() {
    let mut world = covered(&json!("720h0m0s"));
    assert_eq!(reason(&mut world), "RetentionMet");
    let strict = RetentionMet {
        min_retention: Period::days(90),
        ..RetentionMet::default()
    };
    let verdict = world.judge(&strict)[CLAIM].clone();
    assert_eq!(verdict.reason, "RetentionTooShort");
    assert!(verdict.remedy.is_none());
}

#[test]
fn the_oldest_point_is_as_old_as_it_must_be_by_now() {
    let schedule_of =
        |created: &str| schedule(&json!({ "metadata": { "creationTimestamp": created } }));
    for (created, points, wanted) in [
        // A month old: minRetention less an interval and its allowance, 26 hours.
        (
            "2026-01-01T00:00:00Z",
            &["2026-05-03", "2026-06-01"][..],
            "RetentionMet",
        ),
        (
            "2026-01-01T00:00:00Z",
            &["2026-05-04", "2026-06-01"],
            "PointsMissing",
        ),
        ("2026-01-01T00:00:00Z", &[], "PointsMissing"),
        // Ten days old: the first run is the oldest.
        (
            "2026-05-22T12:00:00Z",
            &["2026-05-23", "2026-06-01"],
            "RetentionMet",
        ),
        (
            "2026-05-22T12:00:00Z",
            &["2026-05-24", "2026-06-01"],
            "PointsMissing",
        ),
        ("2026-06-01T06:00:00Z", &[], "InGrace"),
    ] {
        let old = claim(&json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" } }));
        let mut world = world()
            .with(Kind::Claim, old)
            .with(Kind::VeleroSchedule, schedule_of(created));
        for date in points {
            night(&mut world, date);
        }
        assert_eq!(reason(&mut world), wanted, "{created} {points:?}");
    }
}

#[test]
fn the_verdict_is_looked_at_when_the_oldest_point_goes() {
    let mut world = covered(&json!("720h0m0s"));
    let recheck = world.judge(&RetentionMet::default())[CLAIM].recheck_at;
    assert_eq!(recheck, Some(at("2026-12-01T00:00:00Z")));
}

#[test]
fn personal_data_is_not_kept_for_longer_than_it_may_be() {
    let control = |days: u16| RetentionMet {
        min_retention: Period::days(1),
        max_retention: Some(Period::days(days)),
        ..RetentionMet::default()
    };
    let reason = |world: &mut World, days| world.judge(&control(days))[CLAIM].reason;
    let mut world = covered(&json!("240h0m0s"));
    assert_eq!(reason(&mut world, 9), "RetentionTooLong");
    assert_eq!(
        reason(&mut world, 29),
        "PointsTooOld",
        "a point of 30 days is still there"
    );
    assert_eq!(reason(&mut world, 31), "RetentionMet");
    let next = world.judge(&control(31))[CLAIM].recheck_at;
    assert_eq!(next, Some(at("2026-06-02T01:00:01Z")));
    let backwards = RetentionMet {
        min_retention: Period::days(30),
        max_retention: Some(Period::days(7)),
        ..RetentionMet::default()
    };
    assert!(backwards.check().is_err());
}

#[test]
fn databases_keep_as_their_store_says() {
    let backup = json!({
        "metadata": { "name": "pg-1", "namespace": "shop" },
        "spec": { "cluster": { "name": "pg" } },
        "status": { "phase": "completed", "startedAt": "2026-05-02T01:00:00Z" },
    });
    let policy = |policy: &str| json!({ "spec": { "backup": { "retentionPolicy": policy } } });
    for (change, wanted) in [
        (json!({}), "RetentionMet"),
        (policy("30d"), "RetentionMet"),
        (policy("1w"), "RetentionTooShort"),
    ] {
        let mut world = World::new()
            .with(Kind::Database, database(&change))
            .with(Kind::ScheduledBackup, scheduled_backup(&json!({})))
            .with(Kind::DatabaseBackup, backup.clone());
        assert_eq!(
            world.only(&RetentionMet::default()).reason,
            wanted,
            "{change}"
        );
    }
    let plugin = json!({ "spec": { "plugins": [{
        "name": "barman-cloud.cloudnative-pg.io", "parameters": { "barmanObjectName": "store" },
    }] } });
    let by_plugin = json!({ "spec": {
        "method": "plugin", "pluginConfiguration": { "name": "barman-cloud.cloudnative-pg.io" },
    } });
    let store = |retention: &str| {
        json!({ "metadata": { "name": "store", "namespace": "shop" },
                "spec": { "retentionPolicy": retention } })
    };
    let mut world = World::new()
        .with(Kind::Database, database(&plugin))
        .with(Kind::ScheduledBackup, scheduled_backup(&by_plugin))
        .with(Kind::ObjectStore, store("30d"))
        .with(Kind::DatabaseBackup, backup);
    let control = RetentionMet::default();
    assert_eq!(world.only(&control).reason, "RetentionMet");
    world.put(Kind::ObjectStore, store("7d"));
    assert_eq!(world.only(&control).reason, "RetentionTooShort");
    assert_eq!(world.mend(&control)["Cluster shop/pg"].1, "RetentionMet");
}

#[test]
fn k8up_keeps_by_rules_and_what_was_weakened_is_put_back() {
    let schedule = |retention: Value| {
        json!({
            "metadata": { "name": "daily", "namespace": "shop" },
            "spec": {
                "backend": { "s3": {} }, "backup": { "schedule": "@daily" },
                "prune": { "retention": retention },
            },
        })
    };
    let snapshot = json!({
        "metadata": { "name": "s", "namespace": "shop" },
        "spec": { "date": "2026-05-02T01:00:00Z", "paths": ["/data/data"] },
    });
    let control = RetentionMet::default();
    let mut world = world()
        .with(Kind::K8upSnapshot, snapshot)
        .with(Kind::K8upSchedule, schedule(json!({ "keepDaily": 30 })));
    assert_eq!(reason(&mut world), "RetentionMet");
    world.put(
        Kind::K8upSchedule,
        schedule(json!({ "keepDaily": 7, "keepLast": 3 })),
    );
    assert_eq!(reason(&mut world), "RetentionTooShort");
    assert_eq!(world.mend(&control)[CLAIM].1, "RetentionMet");
}

#[test]
fn a_cron_job_says_how_long_it_keeps() {
    let job = |retention: Option<&str>| {
        let mut job = json!({
            "metadata": { "name": "dump", "namespace": "shop",
                          "annotations": { "probity.dev/backs-up": "data" } },
            "spec": { "schedule": "@daily" },
            "status": { "lastSuccessfulTime": "2026-05-02T01:00:00Z" },
        });
        if let Some(retention) = retention {
            job["metadata"]["annotations"]["probity.dev/retention"] = json!(retention);
        }
        job
    };
    for (retention, wanted) in [
        (None, "RetentionNotDeclared"),
        (Some("soon"), "RetentionNotDeclared"),
        (Some("7d"), "RetentionTooShort"),
        (Some("30d"), "RetentionMet"),
    ] {
        let mut world = world().with(Kind::CronJob, job(retention));
        assert_eq!(reason(&mut world), wanted, "{retention:?}");
    }
}

#[test]
fn what_nothing_covers_is_not_applicable() {
    assert_eq!(reason(&mut world()), "NotCovered");
    let mut world = covered(&json!("24h0m0s"));
    world.put(
        Kind::VeleroLocation,
        location(&json!({ "status": { "phase": "Unavailable" } })),
    );
    assert_eq!(reason(&mut world), "NotCovered");
}
