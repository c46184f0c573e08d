//! Points of tools other than Velero.

use super::*;

#[test]
fn snapshots_and_cron_jobs_are_proof_too() {
    let snapshot = |claim: &str, ready: bool| {
        json!({
            "metadata": { "name": "snap", "namespace": "shop" },
            "spec": { "source": { "persistentVolumeClaimName": claim } },
            "status": { "readyToUse": ready, "creationTime": "2026-06-01T06:00:00Z" },
        })
    };
    for (claim, ready, reason_wanted) in [
        ("data", true, "RpoMet"),
        ("data", false, "NoRecoveryPoint"),
        ("logs", true, "NoRecoveryPoint"),
    ] {
        let mut world = world().with(Kind::VolumeSnapshot, snapshot(claim, ready));
        assert_eq!(reason(&mut world), reason_wanted, "{claim} {ready}");
    }
    let job = |claims: &str, last: Value| {
        json!({
            "metadata": {
                "name": "dump", "namespace": "shop",
                "annotations": { "probity.dev/backs-up": claims },
            },
            "spec": { "schedule": "0 1 * * *" },
            "status": { "lastSuccessfulTime": last },
        })
    };
    let night = || json!("2026-06-01T01:10:00Z");
    let mut named = world().with(Kind::CronJob, job("logs, data", night()));
    let verdict = named.only(&RpoMet::default());
    assert_eq!(
        (verdict.reason, verdict.strength),
        ("RpoMet", Strength::Declared)
    );
    let mut other = world().with(Kind::CronJob, job("database", night()));
    assert_eq!(reason(&mut other), "NoRecoveryPoint");
    let mut never = world().with(Kind::CronJob, job("data", Value::Null));
    let verdict = never.only(&RpoMet::default());
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("kubectl create job --from=cronjob/dump --namespace shop dump-now")
    );
}

#[test]
fn a_snapshot_without_content_is_no_point() {
    let snapshot = json!({
        "metadata": { "name": "snap", "namespace": "shop" },
        "spec": { "source": { "persistentVolumeClaimName": "data" } },
        "status": {
            "readyToUse": true, "creationTime": "2026-06-01T06:00:00Z",
            "boundVolumeSnapshotContentName": "content-1",
        },
    });
    let mut world = world().with(Kind::VolumeSnapshot, snapshot);
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
    let content = json!({
        "metadata": { "name": "content-1" },
        "spec": { "volumeSnapshotRef": { "namespace": "shop", "name": "snap" } },
    });
    world.put(Kind::SnapshotContent, content);
    assert_eq!(reason(&mut world), "RpoMet");
}

#[test]
fn a_cron_jobs_point_is_the_start_of_the_job_where_that_is_known() {
    let cron_job = json!({
        "metadata": {
            "name": "dump", "namespace": "shop", "annotations": { "probity.dev/backs-up": "data" },
        },
        "spec": { "schedule": "0 1 * * *" },
        "status": { "lastSuccessfulTime": "2026-06-01T03:00:00Z" },
    });
    let job = json!({
        "metadata": {
            "name": "dump-1", "namespace": "shop",
            "ownerReferences": [
                { "apiVersion": "batch/v1", "kind": "CronJob", "name": "dump", "uid": "u",
                  "controller": true },
            ],
        },
        "spec": {},
        "status": {
            "startTime": "2026-06-01T01:00:00Z", "completionTime": "2026-06-01T03:00:00Z",
            "conditions": [{ "type": "Complete", "status": "True" }],
        },
    });
    let mut world = world().with(Kind::CronJob, cron_job).with(Kind::Job, job);
    let message = world.only(&RpoMet::default()).message;
    assert!(message.contains("2026-06-01T01:00:00Z"), "{message}");
}

#[test]
fn longhorn_and_k8up_prove_points_of_claims() {
    use crate::controls::backup::fixtures;
    let csi = json!({ "driver": "driver.longhorn.io", "volumeHandle": "pvc-1" });
    let longhorn = |state: &str| {
        json!({
            "metadata": { "name": "backup-1", "namespace": "longhorn-system" },
            "status": {
                "state": state, "volumeName": "pvc-1",
                "snapshotCreatedAt": "2026-06-01T01:00:00Z",
                "backupCreatedAt": "2026-06-01T02:00:00Z",
            },
        })
    };
    for (state, wanted) in [("Completed", "RpoMet"), ("Error", "NoRecoveryPoint")] {
        let mut world = fixtures::world()
            .with(
                Kind::Volume,
                fixtures::volume(&json!({ "spec": { "csi": csi } })),
            )
            .with(Kind::LonghornBackup, longhorn(state));
        assert_eq!(reason(&mut world), wanted, "{state}");
    }
    for (path, wanted) in [
        ("/data/data", "RpoMet"),
        ("/data/logs", "NoRecoveryPoint"),
        ("/data/data/x", "NoRecoveryPoint"),
    ] {
        let snapshot = json!({
            "metadata": { "name": "s", "namespace": "shop" },
            "spec": { "id": "1", "date": "2026-06-01T01:00:00Z", "paths": [path] },
        });
        let mut world = world().with(Kind::K8upSnapshot, snapshot);
        assert_eq!(reason(&mut world), wanted, "{path}");
    }
}

#[test]
fn databases_have_points_of_their_own() {
    use crate::controls::backup::fixtures::database;
    let backup = |phase: &str, cluster: &str| {
        json!({
            "metadata": { "name": "pg-1", "namespace": "shop" },
            "spec": { "cluster": { "name": cluster } },
            "status": {
                "phase": phase, "startedAt": "2026-06-01T01:00:00Z",
                "stoppedAt": "2026-06-01T01:10:00Z",
            },
        })
    };
    for (phase, cluster, wanted) in [
        ("completed", "pg", "RpoMet"),
        ("failed", "pg", "NoRecoveryPoint"),
        ("running", "pg", "NoRecoveryPoint"),
        ("completed", "other", "NoRecoveryPoint"),
    ] {
        let mut world = World::new()
            .with(Kind::Database, database(&json!({})))
            .with(Kind::DatabaseBackup, backup(phase, cluster));
        assert_eq!(reason(&mut world), wanted, "{phase} {cluster}");
    }
    let plugin = json!({ "spec": { "plugins": [{
        "name": "barman-cloud.cloudnative-pg.io",
        "parameters": { "barmanObjectName": "store", "serverName": "pg-main" },
    }] } });
    for (server, wanted) in [("pg-main", "RpoMet"), ("pg", "NoRecoveryPoint")] {
        let store = json!({
            "metadata": { "name": "store", "namespace": "shop" },
            "spec": { "configuration": { "destinationPath": "s3://pg/" } },
            "status": { "serverRecoveryWindow": { server: {
                "firstRecoverabilityPoint": "2026-05-20T01:00:00Z",
                "lastSuccessfulBackupTime": "2026-06-01T01:00:00Z",
            } } },
        });
        let mut world = World::new()
            .with(Kind::Database, database(&plugin))
            .with(Kind::ObjectStore, store);
        assert_eq!(reason(&mut world), wanted, "{server}");
    }
}
