mod tools;

use serde_json::{Value, json};

use super::*;
use crate::controls::{
    backup::fixtures::{
        claim, database, location, pod, schedule, scheduled_backup, server, snapshot_class, volume,
        world,
    },
    testing::World,
};

const CLAIM: &str = "PersistentVolumeClaim shop/data";

fn reason(world: &mut World) -> &'static str {
    world.judge(&Coverage::default())[CLAIM].reason
}

/// The reason where the template of the only schedule is this one.
fn by_template(template: &Value) -> &'static str {
    let schedule = schedule(&json!({ "spec": { "template": template } }));
    reason(&mut world().with(Kind::VeleroSchedule, schedule))
}

#[test]
fn without_any_schedule_a_claim_is_not_covered() {
    let verdict = world().only(&Coverage::default());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "NotCovered")
    );
    assert!(verdict.remedy.is_none());
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains(": velero schedule create shop"),
        "{proposal}"
    );
}

#[test]
fn a_schedule_covers_the_claims_that_its_template_selects() {
    for (template, wanted) in [
        (json!({}), "Covered"),
        (json!({ "includedNamespaces": ["*"] }), "Covered"),
        (json!({ "includedNamespaces": ["sh*"] }), "Covered"),
        (json!({ "includedNamespaces": ["bank"] }), "NotCovered"),
        (json!({ "excludedNamespaces": ["s?op"] }), "NotCovered"),
        (json!({ "includedResources": ["deployments"] }), "LeftOut"),
        (json!({ "includedResources": ["pvc", "pv"] }), "Covered"),
        (
            json!({ "excludedResources": ["persistentvolumeclaims"] }),
            "LeftOut",
        ),
        (
            json!({ "excludedNamespaceScopedResources": ["persistentvolumeclaims"] }),
            "LeftOut",
        ),
        (
            json!({ "labelSelector": { "matchLabels": { "app": "db" } } }),
            "Covered",
        ),
        (
            json!({ "labelSelector": { "matchLabels": { "app": "web" } } }),
            "LeftOut",
        ),
        (
            json!({ "orLabelSelectors": [
                { "matchLabels": { "app": "web" } }, { "matchLabels": { "app": "db" } },
            ] }),
            "Covered",
        ),
        (json!({ "snapshotVolumes": true }), "Covered"),
        (json!({ "snapshotVolumes": false }), "ManifestsOnly"),
        (
            json!({ "snapshotVolumes": false, "defaultVolumesToFsBackup": true }),
            "Covered",
        ),
        (
            json!({ "snapshotVolumes": false, "defaultVolumesToRestic": true }),
            "Covered",
        ),
        (
            json!({ "defaultVolumesToFsBackup": true, "excludedResources": ["pods"] }),
            "LeftOut",
        ),
        (json!({ "storageLocation": "other" }), "LocationUnusable"),
    ] {
        assert_eq!(by_template(&template), wanted, "{template}");
    }
}

#[test]
fn a_pod_takes_its_claims_along_whatever_their_labels() {
    let mut world = world().with(
        Kind::VeleroSchedule,
        schedule(&json!({ "spec": { "template": {
            "labelSelector": { "matchLabels": { "tier": "data" } },
        } } })),
    );
    assert_eq!(reason(&mut world), "LeftOut");
    world.put(
        Kind::Pod,
        pod(&json!({ "metadata": { "labels": { "tier": "data" } } })),
    );
    assert_eq!(reason(&mut world), "Covered");
    world.put(
        Kind::Pod,
        pod(&json!({ "metadata": { "labels": { "tier": "data" } }, "status": { "phase": "Failed" } })),
    );
    assert_eq!(reason(&mut world), "LeftOut");
}

#[test]
fn the_label_that_excludes_counts_on_claims_and_namespaces() {
    let exclude = |kind: &str| json!({ "velero.io/exclude-from-backup": kind });
    let mut world = world().with(Kind::VeleroSchedule, schedule(&json!({})));
    assert_eq!(reason(&mut world), "Covered");
    let labels = json!({ "metadata": { "labels": exclude("true") } });
    world.put(Kind::Claim, claim(&labels));
    assert_eq!(reason(&mut world), "LeftOut");
    let labels = json!({ "metadata": { "labels": exclude("false") } });
    world.put(Kind::Claim, claim(&labels));
    assert_eq!(reason(&mut world), "Covered");
    let namespace = json!({ "metadata": { "name": "shop", "labels": exclude("true") } });
    world.put(Kind::Namespace, namespace);
    assert_eq!(reason(&mut world), "LeftOut");
}

#[test]
fn only_an_active_schedule_covers() {
    for (change, wanted) in [
        (json!({ "spec": { "paused": true } }), "ScheduleInactive"),
        (
            json!({ "status": { "phase": "FailedValidation" } }),
            "ScheduleInactive",
        ),
        (
            json!({ "spec": { "schedule": "soon" } }),
            "ScheduleInactive",
        ),
        (
            json!({ "spec": { "schedule": "0 0 30 2 *" } }),
            "ScheduleInactive",
        ),
        (json!({ "status": { "phase": "New" } }), "Covered"),
    ] {
        let mut world = world().with(Kind::VeleroSchedule, schedule(&change));
        assert_eq!(reason(&mut world), wanted, "{change}");
    }
}

#[test]
fn a_schedule_needs_a_location_that_can_be_written_to() {
    for (change, wanted) in [
        (
            json!({ "spec": { "accessMode": "ReadOnly" } }),
            "LocationUnusable",
        ),
        (
            json!({ "status": { "phase": "Unavailable" } }),
            "LocationUnusable",
        ),
        (json!({ "status": { "phase": null } }), "LocationUnusable"),
        (json!({ "spec": { "accessMode": "ReadWrite" } }), "Covered"),
    ] {
        let mut world = world()
            .with(Kind::VeleroSchedule, schedule(&json!({})))
            .with(Kind::VeleroLocation, location(&change));
        assert_eq!(reason(&mut world), wanted, "{change}");
    }
    // The one that is marked as default, whatever its name; else the server's.
    let mut world = world().with(Kind::VeleroSchedule, schedule(&json!({})));
    world.delete(Kind::VeleroLocation, "velero", "default");
    let named = json!({ "metadata": { "name": "main" } });
    world.put(Kind::VeleroLocation, location(&named));
    assert_eq!(reason(&mut world), "Covered");
    let unmarked = json!({ "metadata": { "name": "main" }, "spec": { "default": false } });
    world.put(Kind::VeleroLocation, location(&unmarked));
    assert_eq!(reason(&mut world), "LocationUnusable");
    let flags = [
        "--features=EnableCSI",
        "--default-backup-storage-location=main",
    ];
    world.put(Kind::Deployment, server(&flags));
    assert_eq!(reason(&mut world), "Covered");
}

#[test]
fn with_snapshots_unset_something_must_snapshot_the_volume() {
    let mut world = world().with(Kind::VeleroSchedule, schedule(&json!({})));
    assert_eq!(reason(&mut world), "Covered");
    world.put(Kind::Deployment, server(&[]));
    assert_eq!(
        reason(&mut world),
        "ManifestsOnly",
        "without the CSI feature"
    );
    world.put(Kind::Deployment, server(&["--features=EnableCSI"]));
    assert_eq!(reason(&mut world), "Covered");
    world.put(Kind::SnapshotClass, snapshot_class("ebs-2", &json!({})));
    assert_eq!(
        reason(&mut world),
        "ManifestsOnly",
        "none of several is marked"
    );
    let marked =
        json!({ "metadata": { "labels": { "velero.io/csi-volumesnapshot-class": "true" } } });
    world.put(Kind::SnapshotClass, snapshot_class("ebs-2", &marked));
    assert_eq!(reason(&mut world), "Covered");
    world.delete(Kind::SnapshotClass, "", "ebs");
    world.put(
        Kind::SnapshotClass,
        snapshot_class("ebs-2", &json!({ "driver": "other" })),
    );
    assert_eq!(reason(&mut world), "ManifestsOnly");
    let place = json!({ "metadata": { "name": "aws", "namespace": "velero" }, "spec": { "provider": "aws" } });
    world.put(Kind::VeleroSnapshotLocation, place);
    assert_eq!(
        reason(&mut world),
        "ManifestsOnly",
        "with the CSI feature, providers snapshot no volumes of CSI drivers"
    );
    world.put(Kind::Deployment, server(&[]));
    assert_eq!(reason(&mut world), "Covered", "by the provider");
    let left_out = json!({ "velero.io/exclude-from-backup": "true" });
    world.put(
        Kind::Volume,
        volume(&json!({ "metadata": { "labels": left_out } })),
    );
    assert_eq!(
        reason(&mut world),
        "ManifestsOnly",
        "the volume is left out"
    );
    world.put(
        Kind::Volume,
        volume(&json!({ "spec": { "csi": null, "nfs": { "server": "a", "path": "/" } } })),
    );
    assert_eq!(
        reason(&mut world),
        "ManifestsOnly",
        "NFS can't be snapshotted"
    );
    world.put(
        Kind::Deployment,
        server(&["--default-volumes-to-fs-backup=true"]),
    );
    assert_eq!(
        reason(&mut world),
        "Covered",
        "as files by the server's default"
    );
}

#[test]
fn pods_opt_in_and_out_of_backup_as_files() {
    let annotated = |key: &str, volumes: &str| json!({ "metadata": { "annotations": { format!("backup.velero.io/{key}"): volumes } } });
    for (files, change, wanted) in [
        (false, json!({}), "ManifestsOnly"),
        (false, annotated("backup-volumes", "tmp, data"), "Covered"),
        (false, annotated("backup-volumes", "tmp"), "ManifestsOnly"),
        (true, json!({}), "Covered"),
        (
            true,
            annotated("backup-volumes-excludes", "data"),
            "ManifestsOnly",
        ),
        (true, annotated("backup-volumes-excludes", "tmp"), "Covered"),
        (
            true,
            json!({ "status": { "phase": "Succeeded" } }),
            "ManifestsOnly",
        ),
        (
            true,
            json!({ "metadata": { "labels": { "velero.io/exclude-from-backup": "true" } } }),
            "LeftOut",
        ),
    ] {
        let template = json!({ "snapshotVolumes": false, "defaultVolumesToFsBackup": files });
        let mut world = world()
            .with(
                Kind::VeleroSchedule,
                schedule(&json!({ "spec": { "template": template } })),
            )
            .with(Kind::Pod, pod(&change));
        assert_eq!(reason(&mut world), wanted, "{files} {change}");
    }
}

#[test]
fn the_message_says_that_pods_leave_the_claim_out() {
    let template = json!({ "snapshotVolumes": false, "defaultVolumesToFsBackup": true });
    let mut world = world().with(
        Kind::VeleroSchedule,
        schedule(&json!({ "spec": { "template": template } })),
    );
    let out = json!({ "backup.velero.io/backup-volumes-excludes": "data" });
    for (pod, wanted) in [
        (
            pod(&json!({ "metadata": { "annotations": out } })),
            "leave it out",
        ),
        (
            pod(&json!({ "status": { "phase": "Failed" } })),
            "no running pod",
        ),
    ] {
        world.put(Kind::Pod, pod);
        let verdict = &world.judge(&Coverage::default())[CLAIM];
        assert!(verdict.message.contains(wanted), "{}", verdict.message);
    }
}

#[test]
fn resource_policies_decide_by_volume() {
    let policy = |conditions: &str, action: &str| {
        json!({
            "metadata": { "name": "policy", "namespace": "velero" },
            "data": { "policy.yaml": format!(
                "version: v1\nvolumePolicies:\n- conditions: {conditions}\n  action:\n    type: {action}\n"
            ) },
        })
    };
    let template = json!({ "resourcePolicy": { "kind": "configmap", "name": "policy" } });
    let schedule = schedule(&json!({ "spec": { "template": template } }));
    let mut world = world().with(Kind::VeleroSchedule, schedule);
    assert_eq!(reason(&mut world), "LeftOut", "the ConfigMap is not there");
    for (map, wanted) in [
        (policy("{storageClass: [fast]}", "skip"), "LeftOut"),
        (policy("{storageClass: [slow]}", "skip"), "Covered"),
        (policy("{csi: {}}", "fs-backup"), "Covered"),
        (policy("{csi: {}}", "snapshot"), "Covered"),
        (policy("{csi: {}}", "custom"), "CoverageUnclear"),
        (policy("{csi: {}}", "wish"), "LeftOut"),
        (
            json!({ "metadata": { "name": "policy", "namespace": "velero" }, "data": { "a": "b" } }),
            "LeftOut",
        ),
    ] {
        world.put(Kind::ConfigMap, map.clone());
        assert_eq!(reason(&mut world), wanted, "{map}");
    }
    world.put(Kind::ConfigMap, policy("{csi: {}}", "fs-backup"));
    world.delete(Kind::Pod, "shop", "db-0");
    assert_eq!(reason(&mut world), "ManifestsOnly", "no pod mounts it");
}

#[test]
fn of_a_claim_without_a_phase_nothing_is_known_unless_it_is_exempt() {
    let labels = json!({ "labels": { "probity.dev/backup": "exempt" } });
    let mut given = labels.clone();
    given["annotations"] = json!({ "probity.dev/backup-exempt-reason": "scratch" });
    for (metadata, wanted) in [
        (json!({}), (Outcome::Unknown, "BindingNotSaid")),
        (labels, (Outcome::Unknown, "BindingNotSaid")),
        (given, (Outcome::Excepted, "Exempt")),
    ] {
        let declared = claim(&json!({ "status": { "phase": null }, "metadata": metadata }));
        let verdict = world()
            .with(Kind::Claim, declared)
            .only(&Coverage::default());
        assert_eq!((verdict.outcome, verdict.reason), wanted);
    }
}

#[test]
fn what_has_nothing_to_lose_is_not_applicable() {
    let pod = json!({ "metadata": { "ownerReferences": [
        { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true },
    ] } });
    for (change, wanted) in [
        (json!({ "status": { "phase": "Pending" } }), "NotBound"),
        (pod, "Ephemeral"),
    ] {
        let verdict = world()
            .with(Kind::Claim, claim(&change))
            .only(&Coverage::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::NotApplicable, wanted)
        );
    }
}

#[test]
fn exempting_takes_a_reason_unless_the_policy_says_otherwise() {
    use Outcome::{Excepted, Fail, Pass};
    let exempt = |reason: Option<&str>| {
        let mut change = json!({ "metadata": { "labels": { "probity.dev/backup": "exempt" } } });
        if let Some(reason) = reason {
            change["metadata"]["annotations"] =
                json!({ "probity.dev/backup-exempt-reason": reason });
        }
        claim(&change)
    };
    let lax = Coverage {
        exempt_reason_required: false,
        ..Coverage::default()
    };
    let strict = Coverage {
        allow_exempt_label: false,
        ..Coverage::default()
    };
    let usual = Coverage::default();
    for (control, reason, covered, outcome, found) in [
        (&usual, Some("a cache"), false, Excepted, "Exempt"),
        (&usual, None, false, Fail, "ExemptWithoutReason"),
        (&usual, Some("  "), false, Fail, "ExemptWithoutReason"),
        (&usual, None, true, Pass, "Covered"),
        (&lax, None, false, Excepted, "Exempt"),
        (&strict, Some("a cache"), false, Fail, "NotCovered"),
    ] {
        let mut world = world().with(Kind::Claim, exempt(reason));
        if covered {
            world.put(Kind::VeleroSchedule, schedule(&json!({})));
        }
        let verdict = world.only(control);
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (outcome, found),
            "{reason:?}"
        );
    }
}

#[test]
fn one_schedule_is_created_for_a_namespace_from_the_template() {
    let control = Coverage {
        schedule: Some(Template {
            namespace: "velero".into(),
            schedule: "0 2 * * *".into(),
            ttl: Period::days(30),
            storage_location: None,
            default_volumes_to_fs_backup: true,
            snapshot_move_data: false,
        }),
        ..Coverage::default()
    };
    assert_eq!(control.check(), Ok(()));
    let other = json!({ "metadata": { "name": "logs", "uid": null } });
    let mut world = world().with(Kind::Claim, claim(&other));
    let verdicts = world.judge(&control);
    let remedy = verdicts[CLAIM].remedy.clone().unwrap();
    assert_eq!(
        remedy.content()["spec"]["template"]["includedNamespaces"],
        json!(["shop"])
    );
    assert_eq!(world.mend(&control)[CLAIM].1, "Covered");
    // A Schedule of that name that doesn't help is left alone.
    world.put(
        Kind::VeleroLocation,
        location(&json!({ "status": { "phase": "Unavailable" } })),
    );
    assert_eq!(world.mend(&control)[CLAIM].1, "LocationUnusable");
}

#[test]
fn nonsense_parameters_are_refused() {
    let template = |schedule: &str, ttl: u16| Coverage {
        schedule: Some(Template {
            namespace: "velero".into(),
            schedule: schedule.into(),
            ttl: Period::days(ttl),
            storage_location: None,
            default_volumes_to_fs_backup: false,
            snapshot_move_data: false,
        }),
        ..Coverage::default()
    };
    assert!(template("0 1 * * *", 30).check().is_ok());
    for control in [
        template("soon", 30),
        template("0 0 30 2 *", 30),
        template("0 1 * * *", 0),
        Coverage {
            tool_map: [("*".to_owned(), Vec::new())].into(),
            ..Coverage::default()
        },
    ] {
        assert!(control.check().is_err(), "{control:?}");
    }
}
