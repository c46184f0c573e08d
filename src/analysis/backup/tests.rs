//! The indexes follow every change, and name everything that a change concerns.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    analysis::{Derived, from_scratch},
    controls::testing::World,
};

/// An object of the model: a kind, one of a few names, and one of a few contents; or its removal.
type Step = (usize, u8, Option<u8>);

const MODEL: [Kind; 21] = [
    Kind::Job,
    Kind::Namespace,
    Kind::Claim,
    Kind::Volume,
    Kind::Pod,
    Kind::ConfigMap,
    Kind::Deployment,
    Kind::CronJob,
    Kind::VolumeSnapshot,
    Kind::SnapshotContent,
    Kind::SnapshotClass,
    Kind::VeleroSchedule,
    Kind::VeleroBackup,
    Kind::PodVolumeBackup,
    Kind::VeleroLocation,
    Kind::Database,
    Kind::ScheduledBackup,
    Kind::DatabaseBackup,
    Kind::LonghornVolume,
    Kind::LonghornBackup,
    Kind::K8upSnapshot,
];

fn uid(number: u8) -> String {
    format!("aaaaaaaa-0000-4000-8000-00000000000{number}")
}

/// Small numbers, so that objects refer to each other by chance.
#[allow(clippy::too_many_lines, reason = "a list of fixtures")]
fn object(kind: Kind, name: u8, content: u8) -> Value {
    let other = content % 2;
    let ns = |namespace: &str| json!({ "name": format!("n{name}"), "namespace": namespace });
    let cluster = json!({ "name": format!("n{name}") });
    let labelled = |key: &str, value: &str| {
        let mut meta = ns("a");
        meta["labels"] = json!({ key: value });
        meta
    };
    let night = "2026-06-01T01:00:00Z";
    match kind {
        Kind::Namespace => json!({ "metadata": {
            "name": if name == 0 { "a" } else { "b" },
            "labels": { "velero.io/exclude-from-backup": (content == 1).to_string() },
        } }),
        Kind::Claim => {
            let mut meta = labelled("cnpg.io/cluster", &format!("n{}", content / 2));
            meta["uid"] = json!(uid(name));
            json!({ "metadata": meta, "spec": { "volumeName": format!("n{other}") },
                    "status": { "phase": "Bound" } })
        }
        Kind::Volume => json!({ "metadata": cluster, "spec": {
            "csi": { "driver": "driver.longhorn.io", "volumeHandle": format!("n{other}") },
            "claimRef": { "namespace": "a", "name": format!("n{name}") },
        } }),
        Kind::Pod => json!({ "metadata": ns("a"), "spec": { "volumes": [
            { "name": "v", "persistentVolumeClaim": { "claimName": format!("n{other}") } },
        ] }, "status": { "phase": if content > 1 { "Running" } else { "Failed" } } }),
        Kind::ConfigMap => json!({ "metadata": ns("velero"), "data": { "p": if content > 1 {
            "version: v1\nvolumePolicies:\n- conditions: {}\n  action: {type: skip}\n"
        } else {
            "nothing"
        } } }),
        Kind::Deployment => json!({ "metadata": ns("velero"), "spec": { "template": { "spec": {
            "containers": [{ "name": if content == 0 { "x" } else { "velero" }, "args": [
                "server", format!("--default-volumes-to-fs-backup={}", content == 1),
            ] }],
        } } } }),
        Kind::CronJob => {
            let mut meta = ns("a");
            meta["annotations"] = json!({ "probity.dev/backs-up": format!("n{other}") });
            json!({ "metadata": meta, "spec": { "schedule": "@daily", "suspend": content > 1 },
                    "status": { "lastSuccessfulTime": night } })
        }
        Kind::Job => {
            let mut meta = labelled("probity.dev/restore-test", "x");
            meta["ownerReferences"] = json!([{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": format!("n{other}"),
                "uid": "u", "controller": true,
            }]);
            json!({ "metadata": meta, "status": {
                "startTime": format!("2026-06-01T00:0{content}:00Z"), "completionTime": night,
            } })
        }
        Kind::VolumeSnapshot => json!({ "metadata": ns("a"),
            "spec": { "source": { "persistentVolumeClaimName": format!("n{other}") } },
            "status": { "readyToUse": content > 0, "creationTime": night,
                        "boundVolumeSnapshotContentName": format!("n{other}") } }),
        Kind::SnapshotContent => json!({ "metadata": cluster, "spec": {
            "volumeSnapshotRef": { "namespace": "a", "name": format!("n{name}") },
        } }),
        Kind::SnapshotClass => json!({ "metadata": cluster, "driver": if content > 1 {
            "driver.longhorn.io"
        } else {
            "other"
        } }),
        Kind::VeleroSchedule => json!({ "metadata": ns("velero"), "spec": {
            "schedule": "@daily", "paused": content == 3,
            "template": {
                "excludedNamespaces": [if other == 0 { "b" } else { "a" }],
                "resourcePolicy": if content == 2 { json!({ "kind": "configmap", "name": "n0" }) }
                                  else { Value::Null },
            },
        }, "status": { "phase": "Enabled" } }),
        Kind::VeleroBackup => json!({ "metadata": ns("velero"),
            "spec": { "storageLocation": "n0", "snapshotVolumes": content == 3 },
            "status": {
                "phase": if content == 0 { "Failed" } else { "Completed" },
                "startTimestamp": format!("2026-06-01T0{content}:00:00Z"),
                "csiVolumeSnapshotsAttempted": other, "csiVolumeSnapshotsCompleted": other,
            } }),
        Kind::PodVolumeBackup => {
            let mut meta = ns("velero");
            meta["labels"] = json!({
                "velero.io/backup-name": format!("n{other}"), "velero.io/pvc-uid": uid(content / 2),
            });
            json!({ "metadata": meta, "spec": {}, "status": { "phase": "Completed" } })
        }
        Kind::VeleroLocation => json!({ "metadata": ns("velero"),
            "spec": { "provider": "aws", "default": true },
            "status": { "phase": if content > 1 { "Available" } else { "Unavailable" },
                        "lastValidationTime": format!("2026-06-01T0{content}:00:00Z") } }),
        Kind::Database => json!({ "metadata": ns("a"), "spec": { "backup": if content > 1 {
            json!({ "barmanObjectStore": {} })
        } else {
            Value::Null
        } } }),
        Kind::ScheduledBackup => json!({ "metadata": ns("a"), "spec": {
            "schedule": "@daily", "cluster": { "name": format!("n{other}") },
        } }),
        Kind::DatabaseBackup => json!({ "metadata": labelled("cnpg.io/scheduled-backup", "n0"),
            "spec": { "cluster": { "name": format!("n{other}") } },
            "status": { "phase": if content > 1 { "completed" } else { "failed" },
                        "startedAt": night } }),
        Kind::LonghornVolume => json!({ "metadata": ns("a"), "spec": {} }),
        Kind::LonghornBackup => json!({ "metadata": ns("a"), "status": {
            "state": "Completed", "volumeName": format!("n{other}"), "backupCreatedAt": night,
        } }),
        _ => json!({ "metadata": ns("a"), "spec": {
            "date": night, "paths": [format!("/data/n{other}")],
        } }),
    }
}

/// What is said of everything that may be lost.
fn said(world: &World) -> BTreeMap<Subject, String> {
    let (inventory, recovery) = (&world.inventory, world.analyses.recovery());
    let mut subjects = BTreeSet::new();
    super::subjects(&inventory.tables.claims, Kind::Claim, None, &mut subjects);
    super::subjects(
        &inventory.tables.databases,
        Kind::Database,
        None,
        &mut subjects,
    );
    let said = subjects.into_iter().map(|subject| {
        let what = Protectable::of(inventory, &subject).unwrap();
        let point = |point: Option<points::Point<'_>>| {
            point.map(|point| (point.at, point.expires, point.source.to_string()))
        };
        let text = format!(
            "{:?} {:?} {:?}",
            point(recovery.newest(inventory, world.now, what)),
            point(recovery.oldest(inventory, world.now, what)),
            recovery.coverage(inventory, what).collect::<Vec<_>>(),
        );
        (subject, text)
    });
    said.collect()
}

fn settle(world: &mut World) -> BTreeSet<Subject> {
    let mut affected = BTreeSet::new();
    let World {
        analyses,
        inventory,
        ..
    } = world;
    analyses.settle(inventory, &mut |_, mut subjects| {
        affected.append(&mut subjects);
    });
    affected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_change_is_followed_and_whom_it_concerns_is_named(
        steps in prop::collection::vec(
            (0..MODEL.len(), 0..2_u8, prop::option::weighted(0.8, 0..4_u8)),
            1..40,
        )
    ) {
        let steps: Vec<Step> = steps;
        let mut world = World::new();
        world.analyses.need(&BTreeSet::from([Derived::Recovery]), &world.inventory);
        let mut before = said(&world);
        let mut held = BTreeSet::new();
        for (kind, name, content) in steps {
            let kind = MODEL[kind];
            let object = object(kind, name, content.unwrap_or_default());
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let place = (kind, namespace, name);
            if content.is_some() {
                world.put(kind, object);
                held.insert(place);
            } else if held.remove(&place) {
                world.delete(kind, &place.1, &place.2);
            }
            let affected = settle(&mut world);
            let after = said(&world);
            for (subject, text) in &after {
                let same = before.get(subject) == Some(text);
                prop_assert!(same || affected.contains(subject), "{subject} after {kind:?}: {text}");
            }
            before = after;
        }
        prop_assert_eq!(world.analyses.recovery(), &from_scratch::<Recovery>(&world.inventory));
    }
}

#[test]
fn a_backup_dated_in_the_future_hides_none_before_it() {
    let mut world = World::new();
    world.put(Kind::Claim, claim_since_2020());
    let told = |world: &mut World| {
        let needed = BTreeSet::from([Derived::Recovery]);
        world.analyses.need(&needed, &world.inventory);
        world.analyses.settle(&world.inventory, &mut |_, _| {});
        let claim = world.inventory.tables.claims.get("a", "n0").unwrap();
        let (claim, recovery) = (Protectable::Claim(claim), world.analyses.recovery());
        let newest = recovery.newest(&world.inventory, world.now, claim);
        newest.map(|point| point.at.to_string())
    };
    // Now is noon, and a clock may be five minutes ahead.
    for (number, at) in [
        "2026-06-01T01:00:00Z",
        "2026-06-01T12:04:00Z",
        "2026-06-01T12:06:00Z",
    ]
    .iter()
    .enumerate()
    {
        world.put(Kind::VeleroBackup, counted(number, at));
    }
    assert_eq!(told(&mut world).as_deref(), Some("2026-06-01T12:04:00Z"));
    world.delete(Kind::VeleroBackup, "velero", "b1");
    assert_eq!(told(&mut world).as_deref(), Some("2026-06-01T01:00:00Z"));
}

fn claim_since_2020() -> Value {
    json!({
        "metadata": { "name": "n0", "namespace": "a", "uid": uid(0),
                      "creationTimestamp": "2020-01-01T00:00:00Z" },
        "status": { "phase": "Bound" },
    })
}

/// A backup that its count of snapshots proves.
fn counted(number: usize, at: &str) -> Value {
    json!({
        "metadata": { "name": format!("b{number}"), "namespace": "velero" },
        "status": {
            "phase": "Completed", "startTimestamp": at,
            "csiVolumeSnapshotsAttempted": 1, "csiVolumeSnapshotsCompleted": 1,
        },
    })
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a bound on time decides nothing")]
fn tens_of_thousands_of_backups_are_not_looked_at_for_each_claim() {
    let mut world = World::new();
    world.put(Kind::Claim, claim_since_2020());
    let start: Timestamp = "2026-05-31T00:00:00Z".parse().unwrap();
    for number in 0..20_000_usize {
        let at = plan::earlier(start, std::time::Duration::from_secs(number as u64 * 60));
        world.put(Kind::VeleroBackup, counted(number, &at.to_string()));
    }
    world
        .analyses
        .need(&BTreeSet::from([Derived::Recovery]), &world.inventory);
    let recovery = world.analyses.recovery();
    let claim = world.inventory.tables.claims.get("a", "n0").unwrap();
    let began = std::time::Instant::now();
    for _ in 0..1000 {
        let point = recovery.newest(&world.inventory, world.now, Protectable::Claim(claim));
        assert_eq!(point.unwrap().at, start);
    }
    // Looking at them all would take minutes; the bound is loose because machines differ.
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
