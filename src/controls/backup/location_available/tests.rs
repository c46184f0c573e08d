use serde_json::{Value, json};

use super::*;
use crate::controls::{
    backup::fixtures::{backup, database, location, schedule, with},
    testing::World,
};

fn reason(world: &mut World) -> &'static str {
    let verdicts = world.judge(&LocationAvailable::default());
    verdicts["BackupStorageLocation velero/default"].reason
}

#[test]
fn a_location_in_use_is_available_and_looked_at() {
    for (change, wanted) in [
        (json!({}), "LocationAvailable"),
        (
            json!({ "status": { "phase": "Unavailable" } }),
            "LocationUnavailable",
        ),
        (json!({ "status": { "phase": null } }), "LocationIgnored"),
        (
            json!({ "status": { "phase": null },
                    "metadata": { "creationTimestamp": "2026-06-01T11:30:00Z" } }),
            "InGrace",
        ),
        (
            json!({ "spec": { "validationFrequency": "0s" } }),
            "NotValidated",
        ),
        (
            json!({ "status": { "lastValidationTime": null } }),
            "NotValidated",
        ),
        (
            json!({ "status": { "lastValidationTime": "2026-06-01T09:00:00Z" } }),
            "ValidationStale",
        ),
        (
            json!({ "spec": { "accessMode": "ReadOnly" } }),
            "LocationReadOnly",
        ),
    ] {
        let mut world = World::new()
            .with(Kind::VeleroSchedule, schedule(&json!({})))
            .with(Kind::VeleroLocation, location(&change));
        assert_eq!(reason(&mut world), wanted, "{change}");
    }
}

#[test]
fn a_location_is_stale_when_nobody_has_looked_for_long_enough() {
    let control = LocationAvailable::default();
    let mut world = World::new().with(Kind::VeleroLocation, location(&json!({})));
    let recheck = world.only(&control).recheck_at.unwrap();
    assert_eq!(recheck, "2026-06-01T13:50:01Z".parse().unwrap());
    world.now = recheck;
    assert_eq!(world.only(&control).reason, "ValidationStale");
}

#[test]
fn a_location_nobody_uses_is_not_applicable() {
    let idle = json!({ "spec": { "default": false }, "metadata": { "name": "dr" },
                       "status": { "phase": "Unavailable" } });
    let reason = |world: &mut World| world.only(&LocationAvailable::default()).reason;
    let mut world = World::new().with(Kind::VeleroLocation, location(&idle));
    assert_eq!(reason(&mut world), "NotInUse");
    let held = json!({ "spec": { "storageLocation": "dr" } });
    world.put(Kind::VeleroBackup, backup(&held));
    assert_eq!(
        reason(&mut world),
        "LocationUnavailable",
        "a backup lies there"
    );
    let expired = json!({ "status": { "expiration": "2026-05-01T00:00:00Z" } });
    world.put(Kind::VeleroBackup, backup(&with(held, &expired)));
    assert_eq!(reason(&mut world), "NotInUse", "it has expired");
    let to = |paused: bool| {
        schedule(&json!({ "spec": {
            "paused": paused, "template": { "storageLocation": "dr" },
        } }))
    };
    world.put(Kind::VeleroSchedule, to(true));
    assert_eq!(reason(&mut world), "NotInUse", "the schedule is paused");
    world.put(Kind::VeleroSchedule, to(false));
    assert_eq!(reason(&mut world), "LocationUnavailable");
    let read_only = json!({ "spec": { "default": true, "accessMode": "ReadOnly" } });
    let mut world = World::new().with(Kind::VeleroLocation, location(&read_only));
    assert_eq!(
        reason(&mut world),
        "LocationAvailable",
        "for recovery it may be read-only"
    );
}

#[test]
fn repositories_are_ready_and_maintained() {
    let repository = |change: &Value| {
        let repository = json!({
            "metadata": { "name": "shop-default-kopia", "namespace": "velero" },
            "spec": {
                "volumeNamespace": "shop", "backupStorageLocation": "default",
                "repositoryType": "kopia", "maintenanceFrequency": "1h0m0s",
            },
            "status": { "phase": "Ready", "lastMaintenanceTime": "2026-06-01T11:00:00Z" },
        });
        with(repository, change)
    };
    let attempts = |results: &[&str]| {
        let attempts = results.iter().enumerate().map(|(number, result)| {
            json!({ "result": result, "startTimestamp": format!("2026-06-01T0{number}:00:00Z") })
        });
        json!({ "status": { "recentMaintenance": attempts.collect::<Vec<_>>() } })
    };
    for (change, wanted) in [
        (json!({}), "RepositoryReady"),
        (
            json!({ "status": { "phase": "NotReady" } }),
            "RepositoryNotReady",
        ),
        (
            json!({ "status": { "phase": "New" } }),
            "RepositoryNotReady",
        ),
        (
            json!({ "status": { "phase": "New" },
                    "metadata": { "creationTimestamp": "2026-06-01T11:30:00Z" } }),
            "InGrace",
        ),
        (attempts(&["Failed", "Succeeded"]), "RepositoryReady"),
        (attempts(&["Succeeded", "Failed"]), "MaintenanceFailed"),
        (
            json!({ "status": { "lastMaintenanceTime": "2026-05-28T11:00:00Z" } }),
            "MaintenanceStale",
        ),
        (
            json!({ "spec": { "backupStorageLocation": "gone" } }),
            "NotInUse",
        ),
    ] {
        let mut world = World::new()
            .with(Kind::VeleroLocation, location(&json!({})))
            .with(Kind::VeleroRepository, repository(&change));
        let verdicts = world.judge(&LocationAvailable::default());
        let verdict = &verdicts["BackupRepository velero/shop-default-kopia"];
        assert_eq!(verdict.reason, wanted, "{change}");
    }
}

#[test]
fn databases_archive_and_back_up() {
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
    let strict = LocationAvailable {
        pitr_required: vec!["fast".into()],
        ..LocationAvailable::default()
    };
    let usual = LocationAvailable::default();
    for (control, conditions, wanted) in [
        (&usual, vec![], "NotBackedUp"),
        (&strict, vec![], "LogNotArchived"),
        (
            &usual,
            vec![condition("ContinuousArchiving", "True")],
            "LocationAvailable",
        ),
        (
            &usual,
            vec![condition("ContinuousArchiving", "False")],
            "ArchivingFails",
        ),
        (
            &usual,
            vec![condition("LastBackupSucceeded", "False")],
            "LastBackupFailed",
        ),
        (
            &usual,
            vec![condition("LastBackupSucceeded", "True")],
            "LocationAvailable",
        ),
        (
            &strict,
            vec![condition("LastBackupSucceeded", "True")],
            "LogNotArchived",
        ),
    ] {
        let database = database(&json!({ "status": { "conditions": conditions } }));
        let mut world = World::new().with(Kind::Database, database);
        assert_eq!(world.only(control).reason, wanted, "{conditions:?}");
    }
}

#[test]
fn backup_targets_can_be_reached() {
    for (url, available, wanted) in [
        ("", false, "NotInUse"),
        ("s3://b@r/", false, "LocationUnavailable"),
        ("s3://b@r/", true, "LocationAvailable"),
    ] {
        let target = json!({
            "metadata": { "name": "default", "namespace": "longhorn-system" },
            "spec": { "backupTargetURL": url }, "status": { "available": available },
        });
        let mut world = World::new().with(Kind::BackupTarget, target);
        assert_eq!(
            world.only(&LocationAvailable::default()).reason,
            wanted,
            "{url}"
        );
    }
}

#[test]
fn a_freshness_that_nobody_can_meet_is_refused() {
    let control = LocationAvailable {
        freshness: Period::minutes(5),
        ..Default::default()
    };
    assert!(control.check().is_err());
    assert!(LocationAvailable::default().check().is_ok());
}
