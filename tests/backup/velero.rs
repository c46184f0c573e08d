//! Recovery points against a naive evaluator, on objects of all phases that a real API server
//! stored by Velero's own schemas.
//!
//! A run prints its seed; `PROBITY_SEED` repeats it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use probity::{
    analysis::{Analyses, Derived, backup::Protectable},
    inventory::{Availability, Inventory, Kind},
};
use serde_json::{Value, json};

use crate::harness::{Cluster, Dice, crds, shared};

/// All phases of Velero 1.18.
const PHASES: [&str; 13] = [
    "New",
    "Queued",
    "ReadyToStart",
    "FailedValidation",
    "InProgress",
    "WaitingForPluginOperations",
    "WaitingForPluginOperationsPartiallyFailed",
    "Finalizing",
    "FinalizingPartiallyFailed",
    "Completed",
    "PartiallyFailed",
    "Failed",
    "Deleting",
];
const BACKUPS: usize = 120;
const CLAIMS: u64 = 6;

/// The kinds that are looked at, and where they lie in `namespace`.
fn paths(namespace: &str) -> [(Kind, String); 5] {
    let velero = format!("/apis/velero.io/v1/namespaces/{namespace}");
    let moved = format!("/apis/velero.io/v2alpha1/namespaces/{namespace}");
    [
        (
            Kind::Claim,
            format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
        ),
        (Kind::VeleroBackup, format!("{velero}/backups")),
        (
            Kind::VeleroLocation,
            format!("{velero}/backupstoragelocations"),
        ),
        (Kind::PodVolumeBackup, format!("{velero}/podvolumebackups")),
        (Kind::DataUpload, format!("{moved}/datauploads")),
    ]
}

/// Velero's definitions, served.
fn serve(cluster: &Cluster) {
    let folder = crds("velero").unwrap();
    let folder = folder.display().to_string();
    cluster.kubectl_ok(&["apply", "--server-side", "-f", &folder], None);
    // Data uploads live in a folder of their own, beside it.
    let wait = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ];
    cluster.kubectl_ok(&wait, None);
}

/// A backup as Velero writes it, of any phase and age.
fn backup(dice: &mut Dice, number: usize, now: Timestamp) -> Value {
    let ago = |hours: u64| {
        let hours = i64::try_from(hours).unwrap();
        (now - SignedDuration::from_hours(hours)).to_string()
    };
    let attempted = dice.roll(3);
    let completed = attempted.min(dice.roll(3));
    let started = dice.roll(400);
    let expiration = if dice.chance(20) {
        ago(dice.roll(10) + 1)
    } else {
        (now + SignedDuration::from_hours(100)).to_string()
    };
    let excluded: &[&str] = if dice.chance(20) {
        &["persistentvolumeclaims"]
    } else {
        &[]
    };
    json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": format!("b{number}") },
        "spec": {
            "storageLocation": dice.pick(&["good", "good", "bad", "gone"]),
            "excludedResources": excluded, "ttl": "720h0m0s",
            "labelSelector": if dice.chance(20) { json!({ "matchLabels": { "a": "0" } }) }
                             else { Value::Null },
        },
        "status": {
            "version": 1, "formatVersion": "1.1.0",
            "phase": if dice.chance(60) { "Completed" } else { dice.pick(&PHASES) }, "startTimestamp": ago(started), "expiration": expiration,
            "csiVolumeSnapshotsAttempted": attempted, "csiVolumeSnapshotsCompleted": completed,
            "progress": { "itemsBackedUp": 7, "totalItems": 9 },
        },
    })
}

/// A volume's part of a backup.
fn part(dice: &mut Dice, number: usize, backup: &str, claim: &Value) -> Value {
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    json!({
        "apiVersion": "velero.io/v1", "kind": "PodVolumeBackup",
        "metadata": {
            "name": format!("p{number}"),
            "labels": { "velero.io/backup-name": backup, "velero.io/pvc-uid": uid },
        },
        "spec": {
            "node": "n", "volume": "v", "uploaderType": "kopia", "backupStorageLocation": "good",
            "repoIdentifier": "", "pod": { "kind": "Pod", "name": "p", "namespace": "x" },
        },
        "status": {
            "phase": dice.pick(&["Completed", "Completed", "Failed", "InProgress", "Canceled"]),
            "progress": { "totalBytes": 5, "bytesDone": 5 },
        },
    })
}

fn create(cluster: &Cluster, namespace: &str, objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let args = ["create", "--namespace", namespace, "-f", "-"];
    cluster.kubectl_ok(&args, Some(&list.to_string()));
}

fn list(cluster: &Cluster, path: &str) -> Value {
    serde_json::from_str(&cluster.kubectl_ok(&["get", "--raw", path], None)).unwrap()
}

/// The newest recovery point of a claim by the documentation, looking at everything.
fn naive(claim: &Value, lists: &[(Kind, Value)], now: Timestamp) -> Option<Timestamp> {
    let of = |wanted: Kind| -> &Vec<Value> {
        let (_, list) = lists.iter().find(|(kind, _)| *kind == wanted).unwrap();
        list["items"].as_array().unwrap()
    };
    let time = |value: &Value| {
        value
            .as_str()
            .map(|text| text.parse::<Timestamp>().unwrap())
    };
    let usable = |backup: &Value| {
        let at = &backup["spec"]["storageLocation"];
        let mut locations = of(Kind::VeleroLocation).iter();
        locations.any(|l| l["metadata"]["name"] == *at && l["status"]["phase"] == "Available")
            && time(&backup["status"]["expiration"]).is_none_or(|end| end > now)
    };
    let proven = |backup: &Value| {
        let mut parts = of(Kind::PodVolumeBackup).iter();
        parts.any(|part| {
            let labels = &part["metadata"]["labels"];
            labels["velero.io/backup-name"] == backup["metadata"]["name"]
                && labels["velero.io/pvc-uid"] == claim["metadata"]["uid"]
                && part["status"]["phase"] == "Completed"
        })
    };
    let counted = |backup: &Value| {
        let number = |key: &str| backup["status"][key].as_u64().unwrap_or(0);
        let (tried, done) = (
            number("csiVolumeSnapshotsAttempted"),
            number("csiVolumeSnapshotsCompleted"),
        );
        let excluded = backup["spec"]["excludedResources"].as_array();
        let wanted = &backup["spec"]["labelSelector"]["matchLabels"]["a"];
        tried > 0
            && tried == done
            && excluded.is_none_or(Vec::is_empty)
            && (wanted.is_null() || claim["metadata"]["labels"]["a"] == *wanted)
    };
    let backups = of(Kind::VeleroBackup)
        .iter()
        .filter(|backup| usable(backup));
    let proofs = backups.filter(|backup| match backup["status"]["phase"].as_str() {
        Some("Completed") => proven(backup) || counted(backup),
        Some("PartiallyFailed") => proven(backup),
        _ => false,
    });
    // Every claim is new here: only what the API server's clock allows is older than it.
    proofs
        .filter_map(|backup| time(&backup["status"]["startTimestamp"]))
        .max()
}

#[test]
fn recovery_points_are_those_of_a_naive_evaluator_on_what_the_server_stored() {
    let cluster = shared();
    serve(cluster);
    let namespace = cluster.namespace("points");
    let mut dice = Dice::seeded("velero");
    let now = Timestamp::now();
    let claims: Vec<Value> = (0..CLAIMS)
        .map(|number| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": { "name": format!("c{number}"), "labels": { "a": (number % 2).to_string() } },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            })
        })
        .collect();
    create(cluster, &namespace, &claims);
    let [(_, claims_path), ..] = paths(&namespace);
    let stored = list(cluster, &claims_path);
    let stored = stored["items"].as_array().unwrap();
    let location = |name: &str, phase: &str| {
        json!({
            "apiVersion": "velero.io/v1", "kind": "BackupStorageLocation",
            "metadata": { "name": name },
            "spec": { "provider": "aws", "objectStorage": { "bucket": "b" } },
            "status": { "phase": phase },
        })
    };
    let mut objects = vec![
        location("good", "Available"),
        location("bad", "Unavailable"),
    ];
    for number in 0..BACKUPS {
        objects.push(backup(&mut dice, number, now));
        if dice.chance(60) {
            let claim = &stored[usize::try_from(dice.roll(CLAIMS)).unwrap()];
            objects.push(part(&mut dice, number, &format!("b{number}"), claim));
        }
    }
    create(cluster, &namespace, &objects);

    let lists: Vec<(Kind, Value)> = paths(&namespace)
        .into_iter()
        .filter(|(kind, _)| *kind != Kind::DataUpload)
        .map(|(kind, path)| (kind, list(cluster, &path)))
        .collect();
    let inventory = inventory(&lists);
    let mut analyses = Analyses::default();
    analyses.need(&BTreeSet::from([Derived::Recovery]), &inventory);
    let mut found = 0;
    for claim in stored {
        let name = claim["metadata"]["name"].as_str().unwrap();
        let aged = inventory.tables.claims.get(&namespace, name).unwrap();
        let what = Protectable::Claim(aged);
        let newest = analyses.recovery().newest(&inventory, now, what);
        let expected = naive(claim, &lists, now);
        found += usize::from(expected.is_some());
        assert_eq!(newest.map(|point| point.at), expected, "{name}");
    }
    assert!(found > 0, "no claim has any point");
}

/// What the server listed, with claims as if they were a year old: they are older than backups.
fn inventory(lists: &[(Kind, Value)]) -> Inventory {
    let mut inventory = Inventory::default();
    for kind in Kind::ALL {
        inventory
            .freshness
            .set(*kind, Availability::Absent, Duration::ZERO);
    }
    for (kind, list) in lists {
        let mut list = list.clone();
        if *kind == Kind::Claim {
            for claim in list["items"].as_array_mut().unwrap() {
                claim["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
            }
        }
        inventory
            .freshness
            .set(*kind, Availability::Synced, Duration::ZERO);
        let page = list.to_string();
        inventory.apply_page(*kind, page.as_bytes()).unwrap();
        assert!(inventory.broken_names(*kind).is_empty());
    }
    inventory
}
