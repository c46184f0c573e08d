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
            "0 errors and 1 warning",
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

/// A database that was recovered at ten, with the condition `Ready` since then.
fn recovered(ready: &str, since: &str) -> World {
    let copy = database(&json!({
        "metadata": { "name": "pg-test", "creationTimestamp": "2026-05-30T10:00:00Z" },
        "spec": { "bootstrap": { "recovery": { "backup": { "name": "pg-1" } } } },
        "status": { "conditions": [{
            "type": "Ready", "status": ready, "lastTransitionTime": since,
        }] },
    }));
    World::new()
        .with(Kind::Database, database(&json!({})))
        .with(Kind::Database, copy)
}

#[test]
fn a_recovered_database_that_is_ready_is_a_test() {
    for (ready, since, wanted) in [
        ("True", "2026-05-30T10:20:00Z", "RestoreTested"),
        ("False", "2026-05-30T10:20:00Z", "NoRestoreTest"),
        ("True", "2026-05-31T10:00:00Z", "RestoreTested"),
        // A cluster that once was recovered, after its last failover.
        ("True", "2026-05-31T10:00:01Z", "NoRestoreTest"),
    ] {
        let verdict = judge(&mut recovered(ready, since));
        assert_eq!(verdict.reason, wanted, "{ready} {since}");
    }
}

#[test]
fn a_failover_renews_no_test() {
    let ended = "until 2026-05-30T10:20:00Z";
    let mut world = recovered("True", "2026-05-30T10:20:00Z");
    assert!(judge(&mut world).message.contains(ended));
    for failover in ["2026-05-30T18:00:00Z", "2026-06-01T11:00:00Z"] {
        let later = recovered("True", failover);
        world.inventory = later.inventory;
        world.analyses = later.analyses;
        let verdict = judge(&mut world);
        assert_eq!(verdict.reason, "RestoreTested", "{failover}");
        assert!(verdict.message.contains(ended), "{}", verdict.message);
    }
}

/// A claim in the sandbox, made at eleven of an object of this kind.
fn copy(source: &str) -> Value {
    claim(&json!({
        "metadata": {
            "name": "copy", "namespace": "shop-test", "uid": null,
            "creationTimestamp": "2026-05-30T11:00:00Z",
        },
        "spec": { "dataSource": { "kind": source, "name": "s" } },
    }))
}

/// A K8up Restore to the claim of that name, at eleven.
fn k8up(claim: &str) -> Value {
    json!({
        "metadata": { "name": "r", "namespace": "shop-test",
                      "creationTimestamp": "2026-05-30T11:00:00Z" },
        "spec": { "restoreMethod": { "folder": { "claimName": claim } } },
        "status": { "conditions": [{
            "type": "Completed", "status": "True", "reason": "Succeeded",
            "lastTransitionTime": "2026-05-30T11:10:00Z",
        }] },
    })
}

#[test]
fn a_job_that_mounts_what_was_restored_is_a_test() {
    let (early, late) = ("2026-05-30T11:05:00Z", "2026-05-31T11:00:01Z");
    let soon = "2026-05-30T11:30:00Z";
    let other = with(
        copy("VolumeSnapshot"),
        &json!({ "metadata": { "name": "other" } }),
    );
    for (kind, restored, ended, wanted) in [
        (Kind::Claim, copy("VolumeSnapshot"), soon, "RestoreTested"),
        (Kind::Claim, copy("VolumeSnapshot"), late, "NoRestoreTest"),
        (
            Kind::Claim,
            copy("PersistentVolumeClaim"),
            soon,
            "NoRestoreTest",
        ),
        (Kind::Claim, other, soon, "NoRestoreTest"),
        (Kind::K8upRestore, k8up("copy"), soon, "RestoreTested"),
        (Kind::K8upRestore, k8up("copy"), early, "NoRestoreTest"),
        (Kind::K8upRestore, k8up("copy"), late, "NoRestoreTest"),
        (Kind::K8upRestore, k8up("other"), soon, "NoRestoreTest"),
    ] {
        let mut world = world()
            .with(kind, restored.clone())
            .with(Kind::Job, verify_job(ended));
        assert_eq!(judge(&mut world).reason, wanted, "{restored} {ended}");
    }
}

#[test]
fn a_claim_that_a_failed_restore_made_passes_through_no_job() {
    for (change, wanted) in [
        (json!({}), "RestoreTested"),
        (
            json!({ "status": { "phase": "PartiallyFailed" } }),
            "NoRestoreTest",
        ),
        (json!({ "status": { "warnings": 1 } }), "NoRestoreTest"),
        (
            json!({ "status": { "phase": "InProgress", "completionTimestamp": null } }),
            "NoRestoreTest",
        ),
        // It was over when the claim was made, or into another namespace.
        (
            json!({ "status": {
                "phase": "PartiallyFailed", "completionTimestamp": "2026-05-30T10:30:00Z",
            } }),
            "RestoreTested",
        ),
        (
            json!({
                "spec": { "namespaceMapping": { "shop": "else" } },
                "status": { "phase": "PartiallyFailed" },
            }),
            "RestoreTested",
        ),
    ] {
        let mut world = world()
            .with(Kind::Claim, copy("VolumeSnapshot"))
            .with(Kind::VeleroRestore, restore(&change))
            .with(Kind::Job, verify_job("2026-05-30T11:30:00Z"));
        assert_eq!(judge(&mut world).reason, wanted, "{change}");
    }
}
