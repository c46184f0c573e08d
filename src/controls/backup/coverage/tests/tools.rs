//! Tools other than Velero.

use super::*;

#[test]
fn cron_jobs_cover_the_claims_that_they_name() {
    let job = |claims: &str, suspended: bool| {
        json!({
            "metadata": {
                "name": "dump", "namespace": "shop",
                "annotations": { "probity.dev/backs-up": claims },
            },
            "spec": { "schedule": "0 1 * * *", "suspend": suspended },
        })
    };
    let mut world = world().with(Kind::CronJob, job("logs,data", false));
    let verdict = world.only(&Coverage::default());
    assert_eq!(
        (verdict.reason, verdict.strength),
        ("Covered", Strength::Declared)
    );
    world.put(Kind::CronJob, job("logs,data", true));
    assert_eq!(reason(&mut world), "ScheduleInactive");
    world.put(Kind::CronJob, job("logs", false));
    assert_eq!(reason(&mut world), "NotCovered");
    world.put(Kind::CronJob, job("data", false));
    let class = {
        let claim = world.inventory.tables.claims.get("shop", "data").unwrap();
        Protectable::Claim(claim).backup_class().to_owned()
    };
    // Its own class goes first, then all that are not named; another one says nothing of it.
    let tools = |map: &[(&str, Tool)]| Coverage {
        tool_map: map
            .iter()
            .map(|(class, tool)| ((*class).to_owned(), vec![*tool]))
            .collect(),
        ..Coverage::default()
    };
    for (map, wanted) in [
        (tools(&[("*", Tool::Velero)]), "NotCovered"),
        (tools(&[(class.as_str(), Tool::Velero)]), "NotCovered"),
        (
            tools(&[("*", Tool::Velero), (class.as_str(), Tool::CronJob)]),
            "Covered",
        ),
        (
            tools(&[("*", Tool::CronJob), (class.as_str(), Tool::Velero)]),
            "NotCovered",
        ),
        (tools(&[("other", Tool::Velero)]), "Covered"),
    ] {
        assert_eq!(world.only(&map).reason, wanted, "{map:?}");
    }
}

#[test]
fn k8up_takes_the_claims_of_its_namespace() {
    let schedule = |change: &Value| {
        let schedule = json!({
            "metadata": { "name": "daily", "namespace": "shop" },
            "spec": { "backend": { "s3": { "bucket": "b" } }, "backup": { "schedule": "@daily-random" } },
        });
        crate::controls::backup::fixtures::with(schedule, change)
    };
    let wish = |wish: &str| json!({ "metadata": { "annotations": { "k8up.io/backup": wish } } });
    for (change, of_claim, wanted) in [
        (json!({}), json!({}), "Covered"),
        (json!({}), wish("false"), "LeftOut"),
        (json!({}), wish("true"), "Covered"),
        (
            json!({}),
            json!({ "spec": { "accessModes": ["ReadOnlyMany"] } }),
            "LeftOut",
        ),
        (
            json!({ "spec": { "backup": null } }),
            json!({}),
            "NotCovered",
        ),
        (
            json!({ "spec": { "backend": null } }),
            json!({}),
            "CoverageUnclear",
        ),
        (
            json!({ "metadata": { "namespace": "bank" } }),
            json!({}),
            "NotCovered",
        ),
        (
            json!({ "spec": { "backup": { "labelSelectors": [{ "matchLabels": { "app": "web" } }] } } }),
            json!({}),
            "LeftOut",
        ),
    ] {
        let mut world = world()
            .with(Kind::K8upSchedule, schedule(&change))
            .with(Kind::Claim, claim(&of_claim));
        assert_eq!(reason(&mut world), wanted, "{change} {of_claim}");
    }
    let operator = json!({
        "metadata": { "name": "k8up", "namespace": "k8up" },
        "spec": { "template": { "spec": { "containers": [{
            "name": "k8up-operator", "args": ["operator"],
            "env": [{ "name": "BACKUP_SKIP_WITHOUT_ANNOTATION", "value": "true" }],
        }] } } },
    });
    let mut world = world()
        .with(Kind::K8upSchedule, schedule(&json!({})))
        .with(Kind::Deployment, operator);
    assert_eq!(reason(&mut world), "LeftOut");
    world.put(Kind::Claim, claim(&wish("true")));
    assert_eq!(reason(&mut world), "Covered");
}

#[test]
fn longhorn_volumes_name_their_jobs_or_groups() {
    let enabled = |key: &str| json!({ key: "enabled" });
    let backup = json!({ "task": "backup", "groups": [] });
    for (labels, job, available, wanted) in [
        (json!({}), backup.clone(), true, "NotCovered"),
        (
            enabled("recurring-job.longhorn.io/nightly"),
            backup.clone(),
            true,
            "Covered",
        ),
        (
            enabled("recurring-job.longhorn.io/nightly"),
            backup.clone(),
            false,
            "LocationUnusable",
        ),
        (
            enabled("recurring-job.longhorn.io/nightly"),
            json!({ "task": "snapshot", "groups": [] }),
            true,
            "NotCovered",
        ),
        (
            enabled("recurring-job-group.longhorn.io/gold"),
            json!({ "task": "backup", "groups": ["gold"] }),
            true,
            "Covered",
        ),
        (
            json!({}),
            json!({ "task": "backup", "groups": ["default"] }),
            true,
            "Covered",
        ),
        (
            enabled("recurring-job-group.longhorn.io/gold"),
            json!({ "task": "backup", "groups": ["default"] }),
            true,
            "NotCovered",
        ),
    ] {
        let mut spec = job.clone();
        spec["cron"] = json!("0 1 * * *");
        let home = |name: &str| json!({ "name": name, "namespace": "longhorn-system" });
        let mut world = world()
            .with(
                Kind::Volume,
                volume(&json!({ "spec": { "csi": { "driver": "driver.longhorn.io", "volumeHandle": "pvc-1" } } })),
            )
            .with(
                Kind::LonghornVolume,
                json!({
                    "metadata": { "name": "pvc-1", "namespace": "longhorn-system", "labels": labels },
                    "spec": { "backupTargetName": "default" },
                }),
            )
            .with(Kind::RecurringJob, json!({ "metadata": home("nightly"), "spec": spec }))
            .with(
                Kind::BackupTarget,
                json!({
                    "metadata": home("default"), "spec": { "backupTargetURL": "s3://b@r/" },
                    "status": { "available": available },
                }),
            );
        assert_eq!(reason(&mut world), wanted, "{labels} {job}");
    }
}

#[test]
fn a_database_is_covered_by_its_own_backups_and_its_claims_with_it() {
    let part = json!({ "metadata": { "labels": { "cnpg.io/cluster": "pg" } } });
    let mut world = world()
        .with(Kind::Claim, claim(&part))
        .with(Kind::VeleroSchedule, schedule(&json!({})))
        .with(Kind::Database, database(&json!({})));
    let mut reasons = |kind, object| {
        world.put(kind, object);
        let verdicts = world.judge(&Coverage::default());
        assert_eq!(verdicts[CLAIM].reason, "PartOfDatabase");
        verdicts["Cluster shop/pg"].reason
    };
    assert_eq!(reasons(Kind::Database, database(&json!({}))), "NotCovered");
    for (change, wanted) in [
        (json!({}), "Covered"),
        (json!({ "spec": { "suspend": true } }), "ScheduleInactive"),
        (
            json!({ "spec": { "schedule": "0 1 * *" } }),
            "ScheduleInactive",
        ),
        (
            json!({ "spec": { "cluster": { "name": "other" } } }),
            "NotCovered",
        ),
        (
            json!({ "spec": { "method": "volumeSnapshot" } }),
            "LocationUnusable",
        ),
        (
            json!({ "spec": { "method": "plugin" } }),
            "LocationUnusable",
        ),
    ] {
        let scheduled = scheduled_backup(&change);
        assert_eq!(
            reasons(Kind::ScheduledBackup, scheduled),
            wanted,
            "{change}"
        );
    }
    let plugin = json!({ "spec": {
        "method": "plugin", "pluginConfiguration": { "name": "barman-cloud.cloudnative-pg.io" },
    } });
    reasons(Kind::ScheduledBackup, scheduled_backup(&plugin));
    let with_plugin = |enabled: bool| {
        database(&json!({ "spec": { "plugins": [{
            "name": "barman-cloud.cloudnative-pg.io", "enabled": enabled, "isWALArchiver": true,
            "parameters": { "barmanObjectName": "store" },
        }] } }))
    };
    assert_eq!(
        reasons(Kind::Database, with_plugin(true)),
        "LocationUnusable"
    );
    let store = json!({ "metadata": { "name": "store", "namespace": "shop" }, "spec": {} });
    assert_eq!(reasons(Kind::ObjectStore, store), "Covered");
    assert_eq!(
        reasons(Kind::Database, with_plugin(false)),
        "LocationUnusable"
    );
}
