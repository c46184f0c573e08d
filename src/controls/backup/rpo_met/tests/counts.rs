//! Backups that tell how many snapshots they made, and not of what.

use super::*;

#[test]
fn a_count_of_snapshots_proves_all_or_none() {
    for (spec, status, reason_wanted) in [
        (json!({}), snapshots(3, 3), "RpoMet"),
        (json!({}), snapshots(3, 2), "NoRecoveryPoint"),
        (json!({}), snapshots(0, 0), "NoRecoveryPoint"),
        (
            json!({ "includedNamespaces": ["shop"] }),
            snapshots(1, 1),
            "RpoMet",
        ),
        (
            json!({ "includedNamespaces": ["bank"] }),
            snapshots(1, 1),
            "NoRecoveryPoint",
        ),
        (
            json!({ "excludedNamespaces": ["shop"] }),
            snapshots(1, 1),
            "NoRecoveryPoint",
        ),
    ] {
        let mut world = world().with(Kind::VeleroBackup, backup(spec.clone(), &status));
        assert_eq!(reason(&mut world), reason_wanted, "{spec} {status}");
    }
    let mut partial = snapshots(3, 3);
    partial["phase"] = json!("PartiallyFailed");
    let mut world = world().with(Kind::VeleroBackup, backup(json!({}), &partial));
    assert_eq!(reason(&mut world), "NoRecoveryPoint");
}

#[test]
fn a_counted_backup_proves_only_what_it_selects() {
    let labels = |app: &str| json!({ "labelSelector": { "matchLabels": { "app": app } } });
    let labelled = claim(&json!({ "labels": { "app": "db" } }));
    for (spec, wanted) in [
        (labels("db"), "RpoMet"),
        (labels("web"), "NoRecoveryPoint"),
        (json!({ "snapshotVolumes": false }), "NoRecoveryPoint"),
        (
            json!({ "excludedResources": ["persistentvolumeclaims"] }),
            "NoRecoveryPoint",
        ),
    ] {
        let mut world = world()
            .with(Kind::Claim, labelled.clone())
            .with(Kind::VeleroBackup, backup(spec.clone(), &snapshots(1, 1)));
        assert_eq!(reason(&mut world), wanted, "{spec}");
    }
}

#[test]
fn a_count_of_snapshots_proves_nothing_for_a_volume_that_has_none() {
    use crate::controls::backup::fixtures::{claim, location, pod, server, snapshot_class, volume};
    let judge = |source: Value, class: &str, pods: Value, arguments: &[&str]| {
        let mut spec = json!({
            "claimRef": { "namespace": "shop", "name": "data" }, "storageClassName": "fast",
        });
        for (key, value) in source.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut pv = volume(&json!({}));
        pv["spec"] = spec;
        let counted = backup(json!({}), &snapshots(3, 3));
        let mut world = World::new()
            .namespace("shop")
            .with(Kind::Claim, claim(&json!({})))
            .with(Kind::Volume, pv)
            .with(Kind::Pod, pod(&pods))
            .with(Kind::Deployment, server(arguments))
            .with(Kind::VeleroLocation, location(&json!({})))
            .with(
                Kind::SnapshotClass,
                snapshot_class(class, &json!({ "driver": class })),
            )
            .with(Kind::VeleroBackup, counted);
        reason(&mut world)
    };
    let csi = || json!({ "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1" } });
    let (ebs, none) = ("ebs.csi.aws.com", json!({}));
    let features = "--features=EnableCSI";
    assert_eq!(judge(csi(), ebs, none.clone(), &[features]), "RpoMet");
    for source in [
        json!({ "nfs": { "server": "s", "path": "/" } }),
        json!({ "hostPath": { "path": "/data" } }),
        json!({ "local": { "path": "/data" } }),
    ] {
        let said = judge(source.clone(), ebs, none.clone(), &[features]);
        assert_eq!(said, "NoRecoveryPoint", "{source}");
    }
    // No class for its driver, no CSI at all, or as files.
    let others = judge(csi(), "pd.csi.storage.gke.io", none.clone(), &[features]);
    assert_eq!(others, "NoRecoveryPoint");
    assert_eq!(judge(csi(), ebs, none.clone(), &[]), "NoRecoveryPoint");
    let as_files = [features, "--default-volumes-to-fs-backup"];
    assert_eq!(judge(csi(), ebs, none, &as_files), "NoRecoveryPoint");
    let annotated = json!({ "metadata": { "annotations": {
        "backup.velero.io/backup-volumes": "data",
    } } });
    assert_eq!(judge(csi(), ebs, annotated, &[features]), "NoRecoveryPoint");
}
