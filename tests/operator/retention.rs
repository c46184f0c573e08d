//! What no audit period needs any more is removed by a running operator, and only that.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use probity::evidence::{
    Body, Identity, Record,
    body::{ObjectChange, Stop},
    epochs,
    key::PrivateKey,
    words::Step,
};
use serde_json::{Value, json};

use super::program::{Replica, output};
use super::world::{eventually, turn};

/// Entries that were written two years ago: more than two bundles of them.
const OLD: usize = 600;

/// Writes a log as the replica had begun it two years ago.
fn write_old_log(data: &Path, cluster: &str, replica: &str) {
    std::fs::create_dir_all(data).unwrap();
    let key = PrivateKey::create(&data.join("key")).unwrap();
    let identity = Identity { cluster, replica };
    let then = Timestamp::now() - SignedDuration::from_hours(2 * 365 * 24);
    let opened = epochs::open(data, identity, &key, &[], then).unwrap();
    // What still lies in the segment that is written is not removed: these fill two of them.
    let record = |number| {
        let stop = Stop {
            reason: format!("entry {number}{}", "x".repeat(20_000)).into(),
        };
        Record::new(then, stop)
    };
    let told = ObjectChange {
        kind: "AuditPeriod".into(),
        namespace: None,
        name: "old".into(),
        uid: "00000000-0000-4000-8000-000000000001".into(),
        generation: 1,
        step: Step::Created,
        who: None,
        old_hash: None,
        new_hash: None,
        spec: Some(period("old", &ago(800), &ago(700))["spec"].clone().into()),
        decision: None,
        all_rows: None,
        reason: None,
        expires: None,
    };
    let told = Record::new(then, Body::Period(told));
    let records: Vec<Record> = std::iter::once(told).chain((0..OLD).map(record)).collect();
    for group in records.chunks(50) {
        opened.log.append(group.to_vec()).wait().unwrap();
    }
    opened.log.close().unwrap();
}

fn period(name: &str, start: &str, end: &str) -> Value {
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": name },
        "spec": { "start": start, "end": end, "timeZone": "UTC", "criteria": ["CC6.1"] },
    })
}

/// The day so many days ago.
fn ago(days: i64) -> String {
    let then = Timestamp::now() - SignedDuration::from_hours(24 * days);
    then.to_string()[..10].to_owned()
}

#[test]
fn entries_that_no_period_needs_are_removed_and_the_log_stays_whole() {
    let world = turn();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let system = world.get("/api/v1/namespaces/kube-system").unwrap();
    let cluster = system["metadata"]["uid"].as_str().unwrap();
    let replica = Replica::new(&world)
        .logging_to(&data)
        .with_args(&["--prune-after=30", "--prune-first=1"]);
    write_old_log(
        &data,
        cluster,
        &format!("{}.probity-0", replica.namespace()),
    );
    let periods = "/apis/probity.dev/v1alpha1/auditperiods";
    // One is long over and gone, but the log has told of it; one goes on.
    let going_on = world.name("new");
    world.create(periods, &period(&going_on, &ago(20), &ago(-20)));
    let log = epochs::list(&data).unwrap().remove(0);
    let program = replica.start();
    eventually("removed entries", || {
        let pruned = std::fs::read_to_string(log.join("pruned"));
        pruned.map_err(|error| format!("{error}: {}", replica.output()))
    });
    assert!(program.stop().success());
    let path = data.display().to_string();
    let found = output(&["verify", &path]);
    assert_eq!(found.code, Some(0), "{}", found.stdout);
    assert!(
        found.stdout.contains("retention has removed"),
        "{}",
        found.stdout
    );
    let left = replica.log();
    let old = left.iter().filter(|entry| entry["type"] == "stop");
    assert!(old.count() <= OLD - 200, "{}", left.len());
    let said = replica.said("pruned");
    // What the last segment holds stays.
    assert_eq!(said[0]["before"], 256);
    let rule = said[0]["rule"].as_str().unwrap();
    assert!(rule.contains("AuditPeriod/old"), "{rule}");
    // Nothing is left to remove: the next start removes nothing that the period that goes on needs.
    let mut again = replica.start();
    again.ready();
    assert!(again.stop().success());
    assert_eq!(replica.said("pruned").len(), 1);
    world.delete(&format!("{periods}/{going_on}"));
}
