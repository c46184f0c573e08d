use serde_json::json;

use super::*;
use crate::controls::{
    backup::fixtures::{claim, database, restore, restored, verify_job, with, world},
    testing::World,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn judge(world: &mut World) -> Verdict {
    world.judge(&RestoreTestCurrent::default())["BackupClass fast"].clone()
}

#[test]
fn a_verified_restore_into_another_namespace_is_a_test() {
    let verdict = judge(&mut restored());
    assert_eq!(
        (verdict.outcome, verdict.reason, verdict.strength),
        (Outcome::Pass, "RestoreTested", Strength::Operating)
    );
    assert_eq!(
        verdict.message,
        "Restore velero/drill from Backup nightly-0 took 1h30m, until 2026-05-30T11:30:00Z; its \
         data was 9h old; verified by Job shop-test/verify; 1 of 1 claims or clusters of the class"
    );
    assert_eq!(verdict.recheck_at, Some(at("2026-08-30T11:30:01Z")));
}

#[test]
fn a_restore_that_shows_nothing_is_no_test() {
    for (change, why) in [
        (
            json!({ "spec": { "namespaceMapping": null } }),
            "into the namespace that it was taken from",
        ),
        (
            json!({ "spec": { "namespaceMapping": { "shop": "shop" } } }),
            "into the namespace that it was taken from",
        ),
        (
            json!({ "spec": { "includedNamespaces": ["shop", "bank"] } }),
            "into the namespace that it was taken from",
        ),
        (
            json!({ "status": { "phase": "PartiallyFailed" } }),
            "is PartiallyFailed",
        ),
        (json!({ "status": { "phase": null } }), "is New"),
        (
            json!({ "status": { "warnings": 1 } }),
            "0 errors and 1 warnings",
        ),
        (json!({ "status": { "errors": 2 } }), "2 errors"),
        (
            json!({ "spec": { "restorePVs": false } }),
            "leaves volumes out",
        ),
    ] {
        let mut world = restored().with(Kind::VeleroRestore, restore(&change));
        let verdict = judge(&mut world);
        assert_eq!(verdict.reason, "NoRestoreTest", "{change}");
        assert!(
            verdict.message.contains(why),
            "{change}: {}",
            verdict.message
        );
    }
}

#[test]
fn a_restore_is_verified_by_a_job_unless_the_policy_says_otherwise() {
    let lax = RestoreTestCurrent {
        require_verify_job: false,
        ..RestoreTestCurrent::default()
    };
    let failed = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True" }] } });
    let early = verify_job("2026-05-30T10:59:00Z");
    let late = verify_job("2026-06-01T11:00:00Z");
    let of_other = with(
        verify_job("2026-05-30T11:30:00Z"),
        &json!({ "metadata": { "labels": { "probity.dev/restore-test": "slow" } } }),
    );
    for job in [
        with(verify_job("2026-05-30T11:30:00Z"), &failed),
        early,
        late,
        of_other,
    ] {
        let mut world = restored().with(Kind::Job, job.clone());
        let verdict = judge(&mut world);
        assert!(
            verdict.message.contains("was not verified"),
            "{job}: {}",
            verdict.message
        );
        let verdict = world.judge(&lax)["BackupClass fast"].clone();
        assert_eq!(verdict.reason, "RestoreTested", "{job}");
    }
}

#[test]
fn a_test_is_known_after_its_objects_are_gone_until_it_is_too_old() {
    let mut world = restored();
    let before = judge(&mut world);
    world.delete(Kind::VeleroRestore, "velero", "drill");
    world.delete(Kind::Job, "shop-test", "verify");
    world.delete(Kind::VeleroBackup, "velero", "nightly-0");
    let verdict = judge(&mut world);
    assert_eq!(
        (verdict.reason, &verdict.message),
        (before.reason, &before.message)
    );
    world.now = at("2026-08-30T11:30:01Z");
    assert_eq!(judge(&mut world).reason, "RestoreTestStale");
}

#[test]
fn a_label_on_the_restore_decides_its_class() {
    let labelled = |class: &str| {
        restore(&json!({ "metadata": { "labels": { "probity.dev/restore-test": class } } }))
    };
    let mut world = restored().with(Kind::VeleroRestore, labelled("slow"));
    assert_eq!(judge(&mut world).reason, "NoRestoreTest");
    let slow = claim(&json!({
        "metadata": { "name": "logs", "uid": null, "labels": { "probity.dev/backup-class": "slow" } },
    }));
    world.put(Kind::Claim, slow);
    let mut job = verify_job("2026-05-30T11:30:00Z");
    job["metadata"]["labels"]["probity.dev/restore-test"] = json!("slow");
    world.put(Kind::Job, job);
    let outcomes = world.outcomes(&RestoreTestCurrent::default());
    assert_eq!(outcomes["BackupClass slow"].1, "RestoreTested");
    assert_eq!(outcomes["BackupClass fast"].1, "NoRestoreTest");
}

#[test]
fn a_recovered_database_that_is_ready_is_a_test() {
    let recovered = |ready: &str| {
        database(&json!({
            "metadata": { "name": "pg-test", "creationTimestamp": "2026-05-30T10:00:00Z" },
            "spec": { "bootstrap": { "recovery": { "backup": { "name": "pg-1" } } } },
            "status": { "conditions": [{
                "type": "Ready", "status": ready, "lastTransitionTime": "2026-05-30T10:20:00Z",
            }] },
        }))
    };
    for (ready, wanted) in [("True", "RestoreTested"), ("False", "NoRestoreTest")] {
        let mut world = World::new()
            .with(Kind::Database, database(&json!({})))
            .with(Kind::Database, recovered(ready));
        assert_eq!(judge(&mut world).reason, wanted, "{ready}");
    }
}

#[test]
fn a_job_beside_a_claim_made_of_a_snapshot_is_a_test() {
    let sandbox = |source: &str| {
        claim(&json!({
            "metadata": {
                "name": "copy", "namespace": "shop-test", "uid": null,
                "creationTimestamp": "2026-05-30T11:00:00Z",
            },
            "spec": { "dataSource": { "kind": source, "name": "s" } },
        }))
    };
    for (source, wanted) in [
        ("VolumeSnapshot", "RestoreTested"),
        ("PersistentVolumeClaim", "NoRestoreTest"),
    ] {
        let mut world = world()
            .with(Kind::Claim, sandbox(source))
            .with(Kind::Job, verify_job("2026-05-30T11:30:00Z"));
        assert_eq!(judge(&mut world).reason, wanted, "{source}");
    }
    let k8up = json!({
        "metadata": { "name": "r", "namespace": "shop-test",
                      "creationTimestamp": "2026-05-30T11:00:00Z" },
        "status": { "conditions": [
            { "type": "Completed", "status": "True", "reason": "Succeeded" },
        ] },
    });
    let mut world = world()
        .with(Kind::K8upRestore, k8up)
        .with(Kind::Job, verify_job("2026-05-30T11:30:00Z"));
    assert_eq!(judge(&mut world).reason, "RestoreTested");
}
