//! Objects for the tests of backups: a claim `shop/data` on an EBS volume, mounted by a pod, and
//! Velero with a schedule and a location.

use serde_json::{Value, json};

use crate::{controls::testing::World, inventory::Kind};

/// Uid of the claim.
pub(super) const UID: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// `object` with what `change` says instead, all the way down; `null` removes.
pub(super) fn with(mut object: Value, change: &Value) -> Value {
    let Value::Object(change) = change else {
        return change.clone();
    };
    for (key, value) in change {
        let old = object[key.as_str()].take();
        object[key.as_str()] = match (&old, value) {
            (Value::Object(_), Value::Object(_)) => with(old, value),
            _ => value.clone(),
        };
    }
    object
}

pub(super) fn claim(change: &Value) -> Value {
    let claim = json!({
        "metadata": { "name": "data", "namespace": "shop", "uid": UID, "labels": { "app": "db" } },
        "spec": {
            "storageClassName": "fast", "volumeName": "pv-1", "accessModes": ["ReadWriteOnce"],
        },
        "status": { "phase": "Bound" },
    });
    with(claim, change)
}

pub(super) fn volume(change: &Value) -> Value {
    let volume = json!({
        "metadata": { "name": "pv-1" },
        "spec": {
            "capacity": { "storage": "10Gi" }, "storageClassName": "fast",
            "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1" },
            "claimRef": { "namespace": "shop", "name": "data" },
        },
    });
    with(volume, change)
}

pub(super) fn pod(change: &Value) -> Value {
    let pod = json!({
        "metadata": { "name": "db-0", "namespace": "shop", "labels": { "app": "db" } },
        "spec": {
            "containers": [{ "name": "db" }],
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "tmp", "emptyDir": {} },
            ],
        },
        "status": { "phase": "Running" },
    });
    with(pod, change)
}

/// A Schedule that last ran at one o'clock of the day of the test.
pub(super) fn schedule(change: &Value) -> Value {
    let schedule = json!({
        "metadata": { "name": "nightly", "namespace": "velero" },
        "spec": { "schedule": "0 1 * * *", "template": { "ttl": "720h0m0s" } },
        "status": { "phase": "Enabled", "lastBackup": "2026-06-01T01:00:20Z" },
    });
    with(schedule, change)
}

pub(super) fn location(change: &Value) -> Value {
    let location = json!({
        "metadata": { "name": "default", "namespace": "velero" },
        "spec": {
            "provider": "aws", "default": true,
            "objectStorage": { "bucket": "backups" }, "config": { "region": "eu-west-1" },
        },
        "status": { "phase": "Available", "lastValidationTime": "2026-06-01T11:59:00Z" },
    });
    with(location, change)
}

pub(super) fn snapshot_class(name: &str, change: &Value) -> Value {
    let class = json!({
        "metadata": { "name": name }, "driver": "ebs.csi.aws.com", "deletionPolicy": "Delete",
    });
    with(class, change)
}

/// Velero's Deployment with these arguments.
pub(super) fn server(arguments: &[&str]) -> Value {
    let mut words = vec!["server"];
    words.extend(arguments);
    json!({
        "metadata": { "name": "velero", "namespace": "velero" },
        "spec": { "template": { "spec": { "containers": [
            { "name": "velero", "command": ["/velero"], "args": words },
        ] } } },
    })
}

/// A Backup of the night before noon of the first of June.
pub(super) fn backup(change: &Value) -> Value {
    let backup = json!({
        "metadata": {
            "name": "nightly-1", "namespace": "velero",
            "labels": { "velero.io/schedule-name": "nightly" },
        },
        "spec": { "storageLocation": "default" },
        "status": {
            "phase": "Completed", "startTimestamp": "2026-06-01T01:00:00Z",
            "completionTimestamp": "2026-06-01T01:30:00Z", "expiration": "2026-07-01T01:00:00Z",
        },
    });
    with(backup, change)
}

/// A database cluster `shop/pg`.
pub(super) fn database(change: &Value) -> Value {
    let database = json!({
        "metadata": { "name": "pg", "namespace": "shop" },
        "spec": {
            "instances": 3, "storage": { "size": "10Gi", "storageClass": "fast" },
            "backup": { "barmanObjectStore": { "destinationPath": "s3://pg/" } },
        },
        "status": { "conditions": [] },
    });
    with(database, change)
}

pub(super) fn scheduled_backup(change: &Value) -> Value {
    let scheduled = json!({
        "metadata": { "name": "pg-daily", "namespace": "shop" },
        "spec": {
            "schedule": "0 0 1 * * *", "cluster": { "name": "pg" }, "method": "barmanObjectStore",
        },
        "status": { "lastScheduleTime": "2026-06-01T01:00:00Z" },
    });
    with(scheduled, change)
}

/// The claim, its volume and pod, and Velero with a location and a snapshot class; no schedule.
pub(super) fn world() -> World {
    World::new()
        .namespace("shop")
        .with(Kind::Claim, claim(&json!({})))
        .with(Kind::Volume, volume(&json!({})))
        .with(Kind::Pod, pod(&json!({})))
        .with(Kind::VeleroLocation, location(&json!({})))
        .with(Kind::SnapshotClass, snapshot_class("ebs", &json!({})))
}

pub(super) fn restore(change: &Value) -> Value {
    let restore = json!({
        "metadata": { "name": "drill", "namespace": "velero" },
        "spec": { "backupName": "nightly-0", "namespaceMapping": { "shop": "shop-test" } },
        "status": {
            "phase": "Completed", "startTimestamp": "2026-05-30T10:00:00Z",
            "completionTimestamp": "2026-05-30T11:00:00Z",
        },
    });
    with(restore, change)
}

pub(super) fn verify_job(ended: &str) -> Value {
    json!({
        "metadata": {
            "name": "verify", "namespace": "shop-test",
            "labels": { "probity.dev/restore-test": "fast" },
        },
        "spec": { "template": { "spec": { "volumes": [
            { "name": "copy", "persistentVolumeClaim": { "claimName": "copy" } },
            { "name": "tmp", "emptyDir": {} },
        ] } } },
        "status": {
            "startTime": "2026-05-30T11:00:10Z", "completionTime": ended,
            "conditions": [{ "type": "Complete", "status": "True" }],
        },
    })
}

/// A backup of 1000 bytes of the claim, restored aside and verified.
pub(super) fn restored() -> World {
    let part = json!({
        "metadata": {
            "name": "nightly-0-data", "namespace": "velero",
            "labels": { "velero.io/backup-name": "nightly-0", "velero.io/pvc-uid": UID },
        },
        "status": { "phase": "Completed", "progress": { "totalBytes": 1000 } },
    });
    let old = backup(&json!({
        "metadata": { "name": "nightly-0" },
        "status": { "startTimestamp": "2026-05-30T01:00:00Z" },
    }));
    world()
        .with(Kind::VeleroBackup, old)
        .with(Kind::PodVolumeBackup, part)
        .with(Kind::VeleroRestore, restore(&json!({})))
        .with(Kind::Job, verify_job("2026-05-30T11:30:00Z"))
}
