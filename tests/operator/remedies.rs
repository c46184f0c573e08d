//! What Enforce does beside network policies, and what it leaves to people.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{
    BINDINGS, POLICIES, World, admin_binding, after_the_second_of, backup_job, cron_jobs,
    eventually, turn,
};
use crate::harness::crds;

#[test]
fn a_new_forbidden_admin_is_removed_and_archived_and_an_old_one_only_proposed() {
    let world = turn();
    let (allowed, old, new) = (
        world.name("allowed-admin"),
        world.name("old-admin"),
        world.name("new-admin"),
    );
    world.create(BINDINGS, &admin_binding(&allowed, "alice"));
    let binding = world.create(BINDINGS, &admin_binding(&old, "olga"));
    after_the_second_of(&binding);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce",
        "controls": { "rbacClusterAdminAllowlist": {
            "allowedSubjects": [{ "kind": "User", "name": "alice" }],
        } },
    }));
    world.settled(&policy);
    let binding = world.create(BINDINGS, &admin_binding(&new, "mallory"));
    let path = format!("{BINDINGS}/{new}");
    eventually("deletion", || match world.get(&path) {
        None => Ok(()),
        Some(_) => Err(format!("it is there\n{}", program.tail())),
    });
    let status = world.status(&policy, "status that says so", |status| {
        status["enforcement"]["written"] == 1
    });
    assert_eq!(status["enforcement"]["proposedExisting"], 1, "{status:#}");
    for left in [&allowed, &old] {
        assert!(world.get(&format!("{BINDINGS}/{left}")).is_some());
    }
    assert!(program.stop().success());
    check_archive(&replica.said("intent"), &binding);
    for left in [&allowed, &old] {
        world.delete(&format!("{BINDINGS}/{left}"));
    }
}

/// One deletion, and all that is needed to undo it.
fn check_archive(intents: &[Value], binding: &Value) {
    let [intent] = intents else {
        panic!("{intents:#?}")
    };
    assert_eq!(intent["action"], "Delete");
    assert!(intent["undo"].as_str().unwrap().contains("kubectl create"));
    let archived = &intent["before"];
    for field in ["roleRef", "subjects"] {
        assert_eq!(archived[field], binding[field]);
    }
    for field in ["name", "uid"] {
        assert_eq!(archived["metadata"][field], binding["metadata"][field]);
    }
}

fn velero_schedules(namespace: &str) -> String {
    format!("/apis/velero.io/v1/namespaces/{namespace}/schedules")
}

fn velero_schedule(name: &str, paused: bool) -> Value {
    json!({
        "apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": { "name": name },
        "spec": { "schedule": "0 * * * *", "paused": paused, "template": {} },
        "status": { "phase": "Enabled" },
    })
}

/// Velero's CRDs, which stay for the tests that come later.
fn install_velero(world: &World) {
    let folder = crds("velero").unwrap();
    let folder = folder.display().to_string();
    world
        .cluster
        .kubectl_ok(&["apply", "--server-side", "-f", &folder], None);
    world.cluster.serves_crds();
}

#[test]
fn a_paused_backup_is_switched_on_again_only_if_it_was_on_before() {
    let world = turn();
    install_velero(&world);
    let namespace = world.namespace("backup");
    // A schedule that holds nothing is not judged.
    super::drill::volume(&world, &namespace, &namespace, "data");
    for (name, stopped) in [("runs", false), ("never-ran", true)] {
        world.create(&cron_jobs(&namespace), &backup_job(name, stopped));
        world.create(
            &velero_schedules(&namespace),
            &velero_schedule(name, stopped),
        );
    }
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "existing": "Remediate", "scope": { "include": [namespace] },
        "controls": { "backupScheduleActive": {} },
    }));
    let status = world.settled(&policy);
    assert_eq!(status["summary"]["subjects"]["pass"], 2, "{status:#}");
    let places = [
        (cron_jobs(&namespace), "suspend"),
        (velero_schedules(&namespace), "paused"),
    ];
    for (path, field) in &places {
        world.patch(
            &format!("{path}/runs"),
            &json!({ "spec": { *field: true } }),
        );
    }
    // Paused is what an object is until a remedy adds to its generation.
    for (path, field) in &places {
        world.becomes(&format!("{path}/runs"), |object| {
            object["spec"][*field] != true && object["metadata"]["generation"] == 3
        });
    }
    let status = world.status(&policy, "two remedies", |status| {
        status["enforcement"]["written"] == 2 && status["summary"]["failing"] == 2
    });
    assert!(program.stop().success());
    for (path, field) in &places {
        let object = world.get(&format!("{path}/never-ran")).unwrap();
        assert_eq!(object["spec"][*field], true, "{status:#}");
        assert_eq!(object["metadata"]["generation"], 1);
    }
}

/// A deployment without pods, whose template baseline would refuse.
fn privileged_deployment() -> Value {
    let spec = json!({ "hostNetwork": true, "containers": [{ "name": "web", "image": "web" }] });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": spec },
        },
    })
}

#[test]
fn pod_security_is_enforced_only_where_it_breaks_nothing() {
    let world = turn();
    let bad = world.namespace("privileged");
    let deployments = format!("/apis/apps/v1/namespaces/{bad}/deployments");
    world.create(&deployments, &privileged_deployment());
    // A job that is not due has no pods either.
    let nightly = world.namespace("privileged-job");
    let mut job = backup_job("nightly", true);
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostPID"] = json!(true);
    world.create(&cron_jobs(&nightly), &job);
    let clean = world.name("clean");
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "existing": "Remediate", "scope": { "include": [bad, nightly, clean] },
        "controls": { "workloadPsaEnforced": {} },
    }));
    world.settled(&policy);
    world.create(
        "/api/v1/namespaces",
        &json!({ "metadata": { "name": clean } }),
    );
    let label =
        |object: &Value| object["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone();
    world.becomes(&format!("/api/v1/namespaces/{clean}"), |object| {
        label(object) == "baseline"
    });
    world.status(
        &policy,
        "one passing and two failing namespaces",
        |status| {
            let subjects = &status["summary"]["subjects"];
            subjects["pass"] == 1 && subjects["fail"] == 2
        },
    );
    // With its deployment goes what was in the way.
    let before = world.get(&format!("/api/v1/namespaces/{bad}")).unwrap();
    assert!(label(&before).is_null());
    let before = world.get(&format!("/api/v1/namespaces/{nightly}")).unwrap();
    assert!(label(&before).is_null());
    world.delete(&format!("{deployments}/web"));
    world.delete(&format!("{}/nightly", cron_jobs(&nightly)));
    for namespace in [&bad, &nightly] {
        world.becomes(&format!("/api/v1/namespaces/{namespace}"), |object| {
            label(object) == "baseline"
        });
    }
    assert!(program.stop().success());
    world.delete(&format!("{POLICIES}/{policy}"));
}
