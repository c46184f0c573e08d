//! Kinds of other tools, which come and go.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::World;
use crate::harness::crds;

const VELERO: &str = "/apis/velero.io/v1/namespaces";
const CRD: &str = "schedules.velero.io";

fn backups_of(world: &World, namespace: &str) -> String {
    world.policy(&json!({
        "scope": { "include": [namespace] }, "controls": { "backupScheduleActive": {} },
    }))
}

fn schedule(name: &str, cron: &Value) -> Value {
    json!({
        "apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": { "name": name },
        "spec": { "schedule": cron, "template": {} }, "status": { "phase": "Enabled" },
    })
}

#[test]
fn a_crd_that_appears_is_picked_up_and_one_that_vanishes_makes_its_control_unknown() {
    let world = World::start();
    let namespace = world.namespace("backup");
    super::drill::volume(&world, &namespace, "fast", "data");
    let replica = Replica::new(&world);
    let mut program = replica.start();
    let policy = backups_of(&world, &namespace);
    let status = world.settled(&policy);
    assert_eq!(status["controls"][0]["population"], 0, "{status:#}");
    program.ready();

    let file = crds("velero").unwrap().join("velero.io_schedules.yaml");
    world.cluster.kubectl_ok(
        &["apply", "--server-side", "-f", &file.display().to_string()],
        None,
    );
    world.cluster.serves_crds();
    let path = format!("{VELERO}/{namespace}/schedules");
    world.create(&path, &schedule("hourly", &json!("0 * * * *")));
    world.status(&policy, "a passing schedule", |status| {
        status["controls"][0]["outcome"] == "Pass" && status["summary"]["subjects"]["pass"] == 1
    });

    world
        .cluster
        .kubectl_ok(&["delete", "crd", CRD, "--wait=false"], None);
    let status = world.status(&policy, "an unknown control", |status| {
        status["controls"][0]["outcome"] == "Unknown"
    });
    let message = status["controls"][0]["violations"][0]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains(CRD) && message.contains("vanished"),
        "{message}"
    );
    assert!(program.stop().success());
}

/// A CRD under Velero's name that takes whatever it is given.
fn lax_crd() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": CRD },
        "spec": {
            "group": "velero.io", "scope": "Namespaced",
            "names": { "plural": "schedules", "singular": "schedule", "kind": "Schedule" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    })
}

#[test]
fn an_object_that_cannot_be_read_is_unknown_and_the_others_are_judged() {
    let world = World::start();
    let namespace = world.namespace("backup");
    super::drill::volume(&world, &namespace, "fast", "data");
    world.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &lax_crd(),
    );
    world.cluster.serves_crds();
    let path = format!("{VELERO}/{namespace}/schedules");
    world.create(&path, &schedule("hourly", &json!("0 * * * *")));
    world.create(&path, &schedule("number", &json!(7)));
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = backups_of(&world, &namespace);
    let one_of_each = |status: &Value| {
        let subjects = &status["summary"]["subjects"];
        subjects["pass"] == 1 && subjects["unknown"] == 1
    };
    let status = world.status(&policy, "one unknown and one passing schedule", one_of_each);
    let unknown = &status["controls"][0]["violations"][0];
    assert_eq!(
        (&unknown["name"], &unknown["reason"]),
        (&json!("number"), &json!("Undecodable"))
    );
    // One that comes by the watch.
    world.create(&path, &schedule("late", &json!({ "every": "hour" })));
    world.status(&policy, "two unknown schedules", |status| {
        status["summary"]["subjects"]["unknown"] == 2
    });
    world.patch(
        &format!("{path}/late"),
        &json!({ "spec": { "schedule": "5 * * * *" } }),
    );
    world.delete(&format!("{path}/number"));
    world.status(&policy, "two passing schedules", |status| {
        status["summary"]["passing"] == "1/1" && status["summary"]["subjects"]["pass"] == 2
    });
    assert!(program.stop().success());
}
