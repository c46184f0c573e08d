#![allow(
    clippy::needless_pass_by_value,
    reason = "json!({}) as an argument reads best"
)]

mod counts;
mod tools;
mod trigger;

use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

const UID: &str = "aaaaaaaa-0000-4000-8000-000000000001";

const RPO: &str = "probity.dev/rpo";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn claim(change: &Value) -> Value {
    let mut object = json!({
        "metadata": { "name": "data", "namespace": "shop", "uid": UID },
        "spec": { "storageClassName": "fast" },
        "status": { "phase": "Bound" },
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        object["metadata"][key] = value.clone();
    }
    object
}

fn world() -> World {
    World::new()
        .namespace("shop")
        .with(Kind::Claim, claim(&json!({})))
}

/// The backup of the night before noon of the first of June.
fn backup(spec: Value, status: &Value) -> Value {
    let mut whole = json!({
        "phase": "Completed",
        "startTimestamp": "2026-06-01T01:00:00Z",
        "expiration": "2026-07-01T01:00:00Z",
    });
    for (key, value) in status.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    json!({
        "metadata": { "name": "nightly-1", "namespace": "velero" },
        "spec": spec,
        "status": whole,
    })
}

fn volume(labels: Value, spec: Value, phase: &str) -> Value {
    let mut volume = json!({
        "metadata": { "name": "nightly-1-x", "namespace": "velero", "labels": labels },
        "spec": spec,
        "status": { "phase": phase, "startTimestamp": "2026-06-01T03:00:00Z" },
    });
    volume["metadata"]["labels"]["velero.io/backup-name"] = json!("nightly-1");
    volume
}

fn by_uid(uid: &str, phase: &str) -> Value {
    volume(
        json!({ "velero.io/pvc-uid": uid }),
        json!({ "pod": { "namespace": "shop" } }),
        phase,
    )
}

fn by_name(namespace: &str, name: &str) -> Value {
    let spec = json!({ "sourcePVC": name, "sourceNamespace": namespace });
    volume(json!({}), spec, "Completed")
}

fn snapshots(attempted: u64, completed: u64) -> Value {
    json!({ "csiVolumeSnapshotsAttempted": attempted, "csiVolumeSnapshotsCompleted": completed })
}

fn reason(world: &mut World) -> &'static str {
    world.only(&RpoMet::default()).reason
}

#[test]
fn without_any_tool_every_claim_fails() {
    let verdict = world().only(&RpoMet::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "NoRecoveryPoint")
    );
    assert!(
        verdict
            .proposal
            .unwrap()
            .starts_with("schedule a backup of namespace shop")
    );
}

#[test]
fn a_backup_counts_only_with_proof_for_the_claim() {
    use Kind::{DataUpload, PodVolumeBackup};
    let other = "bbbbbbbb-0000-4000-8000-000000000001";
    for (phase, kind, proof, reason_wanted) in [
        (
            "Completed",
            PodVolumeBackup,
            by_uid(UID, "Completed"),
            "RpoMet",
        ),
        (
            "PartiallyFailed",
            PodVolumeBackup,
            by_uid(UID, "Completed"),
            "RpoMet",
        ),
        (
            "PartiallyFailed",
            PodVolumeBackup,
            by_uid(UID, "Failed"),
            "NoRecoveryPoint",
        ),
        (
            "Completed",
            PodVolumeBackup,
            by_uid(UID, "InProgress"),
            "NoRecoveryPoint",
        ),
        (
            "Completed",
            PodVolumeBackup,
            by_uid(other, "Completed"),
            "NoRecoveryPoint",
        ),
        ("Completed", DataUpload, by_name("shop", "data"), "RpoMet"),
        (
            "Completed",
            DataUpload,
            by_name("shop", "logs"),
            "NoRecoveryPoint",
        ),
        (
            "Completed",
            DataUpload,
            by_name("bank", "data"),
            "NoRecoveryPoint",
        ),
        (
            "Failed",
            DataUpload,
            by_name("shop", "data"),
            "NoRecoveryPoint",
        ),
        (
            "InProgress",
            DataUpload,
            by_name("shop", "data"),
            "NoRecoveryPoint",
        ),
        (
            "Deleting",
            DataUpload,
            by_name("shop", "data"),
            "NoRecoveryPoint",
        ),
    ] {
        let backup = backup(json!({}), &json!({ "phase": phase }));
        let mut world = world()
            .with(Kind::VeleroBackup, backup)
            .with(kind, proof.clone());
        assert_eq!(reason(&mut world), reason_wanted, "{phase} {proof}");
    }
    // The proof alone: the backup that it is a part of is gone.
    assert_eq!(
        reason(&mut world().with(DataUpload, by_name("shop", "data"))),
        "NoRecoveryPoint"
    );
}

#[test]
fn the_age_counts_from_the_start_of_the_backup_and_ends_on_the_second() {
    let control = RpoMet::default();
    let mut world = world()
        .with(Kind::VeleroBackup, backup(json!({}), &json!({})))
        .with(Kind::PodVolumeBackup, by_uid(UID, "Completed"));
    let verdict = world.only(&control);
    assert_eq!(verdict.strength, Strength::Effective);
    assert_eq!(
        verdict.message,
        "the newest recovery point is of 2026-06-01T01:00:00Z, by PodVolumeBackup \
         velero/nightly-1-x: it may be 26h old"
    );
    assert_eq!(verdict.recheck_at, Some(at("2026-06-02T03:00:01Z")));
    world.now = at("2026-06-02T03:00:00Z");
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
    world.now = at("2026-06-02T03:00:01Z");
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "RpoExceeded")
    );
    assert!(
        verdict
            .message
            .ends_with("older than 26h since 2026-06-02T03:00:00Z"),
        "{}",
        verdict.message
    );
}

#[test]
fn an_expiring_point_is_looked_at_when_it_goes() {
    let mut status = snapshots(1, 1);
    status["expiration"] = json!("2026-06-01T18:00:00Z");
    let mut world = world().with(Kind::VeleroBackup, backup(json!({}), &status));
    let recheck = world.only(&RpoMet::default()).recheck_at;
    assert_eq!(recheck, Some(at("2026-06-01T18:00:00Z")));
    world.now = at("2026-06-01T18:00:00Z");
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
}

#[test]
fn points_of_an_earlier_claim_and_from_the_future_do_not_count() {
    let mut world = world().with(Kind::VeleroBackup, backup(json!({}), &snapshots(1, 1)));
    world.now = at("2026-06-01T00:50:00Z");
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
    world.now = at("2026-06-01T00:58:00Z");
    assert_eq!(reason(&mut world), "RpoMet");
    let anew = claim(&json!({ "creationTimestamp": "2026-06-01T02:00:00Z" }));
    world.put(Kind::Claim, anew);
    world.now = at("2026-06-03T12:00:00Z");
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
}

#[test]
fn a_new_claim_has_as_long_as_a_point_may_be_old() {
    let new = claim(&json!({ "creationTimestamp": "2026-06-01T11:00:00Z" }));
    let mut world = World::new().with(Kind::Claim, new);
    let verdict = world.only(&RpoMet::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "InGrace")
    );
    assert_eq!(verdict.recheck_at, Some(at("2026-06-02T13:00:01Z")));
    world.now = at("2026-06-02T13:00:01Z");
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
}

#[test]
fn the_newest_point_counts() {
    let snapshot = json!({
        "metadata": { "name": "snap", "namespace": "shop" },
        "spec": { "source": { "persistentVolumeClaimName": "data" } },
        "status": { "readyToUse": true, "creationTime": "2026-05-20T06:00:00Z" },
    });
    let mut world = world().with(Kind::VolumeSnapshot, snapshot);
    assert_eq!(reason(&mut world), "RpoExceeded");
    world.put(Kind::VeleroBackup, backup(json!({}), &snapshots(1, 1)));
    let verdict = world.only(&RpoMet::default());
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert!(
        verdict.message.contains("Backup velero/nightly-1"),
        "{}",
        verdict.message
    );
}

#[test]
fn the_nearest_objective_counts() {
    let rpo = |value: &str| json!({ "annotations": { RPO: value } });
    let named = |name: &str, value: &str| json!({ "metadata": { "name": name, "annotations": { RPO: value } } });
    // The point is eleven hours old.
    let mut world = world().with(Kind::VeleroBackup, backup(json!({}), &snapshots(1, 1)));
    let mut after = |kind, object| {
        world.put(kind, object);
        reason(&mut world)
    };
    assert_eq!(
        after(Kind::StorageClass, named("fast", "8h")),
        "RpoExceeded"
    );
    assert_eq!(after(Kind::StorageClass, named("fast", "9h")), "RpoMet");
    assert_eq!(after(Kind::Namespace, named("shop", "4h")), "RpoExceeded");
    assert_eq!(after(Kind::Claim, claim(&rpo("1d"))), "RpoMet");
    assert_eq!(after(Kind::Claim, claim(&rpo("daily"))), "InvalidRpo");
    // What the policy says of a class goes before its default, and after every annotation.
    let classes = |rpo: u16, default_rpo: u16| RpoMet {
        classes: [("fast".to_owned(), Period::hours(rpo))].into(),
        default_rpo: Period::hours(default_rpo),
        ..RpoMet::default()
    };
    assert_eq!(world.only(&classes(4, 24)).reason, "InvalidRpo");
    world.put(Kind::Claim, claim(&rpo("1d")));
    assert_eq!(world.only(&classes(4, 24)).reason, "RpoMet");
    for (kind, object) in [
        (Kind::Claim, claim(&json!({ "annotations": {} }))),
        (Kind::Namespace, json!({ "metadata": { "name": "shop" } })),
        (
            Kind::StorageClass,
            json!({ "metadata": { "name": "fast" } }),
        ),
    ] {
        world.put(kind, object);
    }
    assert_eq!(world.only(&classes(4, 24)).reason, "RpoExceeded");
    assert_eq!(world.only(&classes(24, 4)).reason, "RpoMet");
    assert!(classes(0, 24).check().is_err());
    world.delete(Kind::VeleroBackup, "velero", "nightly-1");
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
}

#[test]
fn exempting_a_claim_takes_a_reason_and_the_policys_consent() {
    use Outcome::{Excepted, Fail, Pass};
    let label = json!({ "probity.dev/backup": "exempt" });
    let why = json!({ "probity.dev/backup-exempt-reason": "a cache" });
    let strict = RpoMet {
        allow_exempt_label: false,
        ..Default::default()
    };
    for (control, annotations, covered, outcome, reason) in [
        (&RpoMet::default(), &why, false, Excepted, "Exempt"),
        (
            &RpoMet::default(),
            &json!({}),
            false,
            Fail,
            "ExemptWithoutReason",
        ),
        (&RpoMet::default(), &json!({}), true, Pass, "RpoMet"),
        (&strict, &why, false, Fail, "NoRecoveryPoint"),
    ] {
        let exempt = claim(&json!({ "labels": label, "annotations": annotations }));
        let mut world = World::new().with(Kind::Claim, exempt);
        if covered {
            world.put(Kind::VeleroBackup, backup(json!({}), &snapshots(1, 1)));
        }
        let verdict = world.only(control);
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (outcome, reason),
            "{annotations}"
        );
    }
}

#[test]
fn a_claim_without_volume_is_not_applicable() {
    let mut pending = claim(&json!({}));
    pending["status"]["phase"] = json!("Pending");
    let mut world = World::new().with(Kind::Claim, pending);
    let outcomes = world.outcomes(&RpoMet::default());
    assert_eq!(
        outcomes["PersistentVolumeClaim shop/data"],
        (Outcome::NotApplicable, "NotBound")
    );
}

#[test]
fn the_proposal_runs_a_schedule_that_covers_the_namespace() {
    let schedule = |name: &str, namespaces: &[&str]| {
        json!({
            "metadata": { "name": name, "namespace": "velero" },
            "spec": { "schedule": "@daily", "template": { "includedNamespaces": namespaces } },
        })
    };
    let home = |name: &str| json!({ "metadata": { "name": name, "namespace": "velero" } });
    let mut location = home("default");
    location["status"] = json!({ "phase": "Available" });
    let verdict = world()
        .with(Kind::VeleroLocation, location)
        .with(Kind::VeleroSnapshotLocation, home("aws"))
        .with(Kind::VeleroSchedule, schedule("a-bank", &["bank"]))
        .with(Kind::VeleroSchedule, schedule("shops", &["sh*"]))
        .only(&RpoMet::default());
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("velero backup create --from-schedule shops --namespace velero")
    );
}

#[test]
fn a_point_counts_only_where_its_location_can_be_reached() {
    use crate::controls::backup::fixtures::{backup, location};
    let status = json!({ "status": snapshots(1, 1) });
    let mut world = world().with(Kind::VeleroBackup, backup(&status));
    assert_eq!(
        reason(&mut world),
        "NoRecoveryPoint",
        "the location is gone"
    );
    for (change, wanted) in [
        (json!({}), "RpoMet"),
        (json!({ "spec": { "accessMode": "ReadOnly" } }), "RpoMet"),
        (
            json!({ "status": { "phase": "Unavailable" } }),
            "NoRecoveryPoint",
        ),
    ] {
        world.put(Kind::VeleroLocation, location(&change));
        assert_eq!(reason(&mut world), wanted, "{change}");
    }
}
