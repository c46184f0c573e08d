use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::{config, encrypted, look_at, metrics, started};
use super::*;
use crate::controls::testing::World;

const START: &str = "2026-05-01T00:00:00Z";
/// When the configuration changes in these tests, as it is seen.
const CHANGED: &str = "2026-06-01T12:05:00Z";
/// The grace after that.
const LATE: &str = "2026-06-04T12:05:01Z";

fn looks(world: &mut World, at: &str, hashes: &[&str]) {
    let looks: Vec<_> = hashes
        .iter()
        .map(|hash| metrics(&(started(START) + &config(hash))))
        .collect();
    look_at(world, at, &looks);
}

/// A world in which two API servers changed their configuration.
fn changed() -> World {
    let mut world = encrypted(2);
    looks(&mut world, "2026-06-01T12:00:00Z", &["a", "a"]);
    looks(&mut world, CHANGED, &["b", "b"]);
    world
}

fn migration(created: &str, condition: &str) -> Value {
    json!({
        "metadata": { "name": "m", "creationTimestamp": created },
        "spec": { "resource": { "group": "", "resource": "secrets" } },
        "status": { "conditions": [
            { "type": condition, "status": "True", "lastTransitionTime": created },
        ] },
    })
}

fn judged(world: &mut World) -> (Outcome, &'static str) {
    let verdict = world.only(&SecretsReencrypted::default());
    (verdict.outcome, verdict.reason)
}

#[test]
fn without_a_change_there_is_nothing_to_do() {
    let mut world = encrypted(2);
    looks(&mut world, "2026-06-01T12:00:00Z", &["a", "a"]);
    assert_eq!(judged(&mut world), (Outcome::NotApplicable, "NoChangeSeen"));
}

#[test]
fn a_migration_that_succeeded_after_the_change_passes() {
    use Outcome::{Fail, NotApplicable, Pass, Unknown};
    let after = "2026-06-01T12:05:01Z";
    for (created, condition, now, wanted) in [
        (after, "Succeeded", LATE, (Pass, "Reencrypted")),
        (after, "Succeeded", CHANGED, (Pass, "Reencrypted")),
        // Begun before, it may have written with the old key.
        (CHANGED, "Succeeded", LATE, (Fail, "NotReencrypted")),
        (CHANGED, "Succeeded", after, (Unknown, "ReencryptionDue")),
        (after, "Failed", LATE, (Fail, "MigrationFailed")),
        (after, "Failed", after, (Unknown, "ReencryptionDue")),
        (after, "Running", LATE, (NotApplicable, "MigrationUnderWay")),
        (
            after,
            "Running",
            "2026-06-04T12:05:02Z",
            (Fail, "MigrationUnfinished"),
        ),
    ] {
        let mut world = changed();
        world.put(Kind::Migration, migration(created, condition));
        looks(&mut world, now, &["b", "b"]);
        assert_eq!(judged(&mut world), wanted, "{created} {condition} {now}");
    }
}

#[test]
fn it_fails_when_the_grace_is_over() {
    let mut world = changed();
    let verdict = world.only(&SecretsReencrypted::default());
    assert_eq!(verdict.reason, "ReencryptionDue");
    // What was seen is not believed for as long as the grace.
    world.now = verdict.recheck_at.unwrap();
    assert_eq!(judged(&mut world), (Outcome::Unknown, "MetricsNotRead"));
    looks(&mut world, "2026-06-04T12:05:00Z", &["b", "b"]);
    let verdict = world.only(&SecretsReencrypted::default());
    assert_eq!(verdict.reason, "ReencryptionDue");
    world.now = verdict.recheck_at.unwrap();
    let verdict = world.only(&SecretsReencrypted::default());
    assert_eq!(verdict.reason, "NotReencrypted");
    assert!(verdict.remedy.is_none());
    assert!(
        verdict
            .proposal
            .unwrap()
            .contains("StorageVersionMigration")
    );
}

#[test]
fn only_migrations_of_the_very_resource_count() {
    let mut other = migration("2026-06-01T13:00:00Z", "Succeeded");
    other["spec"]["resource"]["group"] = json!("example.com");
    let mut world = changed();
    world.put(Kind::Migration, other.clone());
    looks(&mut world, LATE, &["b", "b"]);
    assert_eq!(judged(&mut world).0, Outcome::Fail);
    let control = SecretsReencrypted {
        resources: vec!["secrets.example.com".to_owned()],
        ..SecretsReencrypted::default()
    };
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
}

#[test]
fn a_later_change_asks_for_another_migration() {
    let mut world = changed();
    world.put(
        Kind::Migration,
        migration("2026-06-01T13:00:00Z", "Succeeded"),
    );
    assert_eq!(judged(&mut world).0, Outcome::Pass);
    looks(&mut world, "2026-06-02T12:00:00Z", &["c", "b"]);
    assert_eq!(judged(&mut world), (Outcome::Unknown, "ReencryptionDue"));
}

#[test]
fn enforce_creates_the_migration_that_is_missing() {
    let control = SecretsReencrypted {
        resources: vec!["secrets".to_owned(), "widgets.example.com".to_owned()],
        migrate: true,
        ..SecretsReencrypted::default()
    };
    let mut world = changed();
    looks(&mut world, LATE, &["b", "b"]);
    let verdicts = world.judge(&control);
    let manifests: Vec<_> = verdicts
        .values()
        .map(|verdict| verdict.remedy.as_ref().unwrap().content().clone())
        .collect();
    assert_eq!(
        manifests[0]["spec"],
        json!({ "resource": { "group": "", "resource": "secrets" } })
    );
    assert_eq!(
        manifests[1]["spec"],
        json!({ "resource": { "group": "example.com", "resource": "widgets" } })
    );
    assert_eq!(manifests[0]["apiVersion"], "storagemigration.k8s.io/v1");
    assert_ne!(
        manifests[0]["metadata"]["name"],
        manifests[1]["metadata"]["name"]
    );
    for verdict in verdicts.into_values() {
        let mut remedy = *verdict.remedy.unwrap();
        if let Remedy::Create { manifest, .. } = &mut remedy {
            manifest["metadata"]["creationTimestamp"] = json!(LATE);
        }
        world.carry_out(&remedy);
    }
    let outcomes: Vec<_> = world.outcomes(&control).into_values().collect();
    assert_eq!(outcomes, [(Outcome::NotApplicable, "MigrationUnderWay"); 2]);
}

#[test]
fn no_migration_is_created_before_all_servers_have_changed() {
    let control = SecretsReencrypted {
        migrate: true,
        ..SecretsReencrypted::default()
    };
    let mut world = encrypted(2);
    looks(&mut world, "2026-06-01T12:00:00Z", &["a", "a"]);
    looks(&mut world, CHANGED, &["b", "a"]);
    looks(&mut world, LATE, &["b", "a"]);
    let verdict = world.only(&control);
    assert_eq!(verdict.reason, "NotReencrypted");
    assert!(verdict.remedy.is_none());
}

#[test]
fn the_version_is_the_one_that_is_served() {
    let control = SecretsReencrypted {
        migrate: true,
        ..SecretsReencrypted::default()
    };
    let mut world = changed();
    looks(&mut world, LATE, &["b", "b"]);
    let freshness = &mut world.inventory.freshness;
    freshness.set(Kind::Migration, Availability::Absent, Duration::ZERO);
    let remedy = world.only(&control).remedy.unwrap();
    assert_eq!(
        remedy.content()["apiVersion"],
        "storagemigration.k8s.io/v1beta1"
    );
    let freshness = &mut world.inventory.freshness;
    freshness.set(Kind::MigrationBeta, Availability::Absent, Duration::ZERO);
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "MigrationNotVisible")
    );
    assert!(verdict.proposal.unwrap().contains("kubectl replace"));
}

#[test]
fn without_encryption_or_a_hash_nothing_is_judged() {
    let mut world = encrypted(1);
    look_at(&mut world, CHANGED, &[metrics(&started(START))]);
    assert_eq!(judged(&mut world), (Outcome::Unknown, "ChangesNotVisible"));
    let mut world = World::new();
    assert_eq!(judged(&mut world), (Outcome::Unknown, "NotLookedYet"));
    looks(&mut world, CHANGED, &["a"]);
    assert_eq!(judged(&mut world), (Outcome::Unknown, "EncryptionNotSeen"));
}
