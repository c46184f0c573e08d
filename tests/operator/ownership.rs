//! Objects that somebody else looks after.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::{
    POLICIES, World, backup_job, cron_jobs, deny, eventually, network_policies, turn,
};

/// A mark of an owner on a network policy, and what we call that owner.
struct Owned {
    mark: Value,
    manager: &'static str,
    owner: &'static str,
}

fn owned() -> Vec<Owned> {
    let tracking = "shop:networking.k8s.io/NetworkPolicy:shop/deny";
    let controller = json!([{
        "apiVersion": "example.com/v1", "kind": "Fence", "name": "outer", "controller": true,
        "uid": "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f10",
    }]);
    let person = "kubectl-test";
    let case = |mark, manager, owner| Owned {
        mark,
        manager,
        owner,
    };
    vec![
        case(
            json!({ "annotations": { "argocd.argoproj.io/tracking-id": tracking } }),
            person,
            "Argo CD",
        ),
        case(
            json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "apps" } }),
            person,
            "Flux",
        ),
        case(
            json!({
                "labels": { "app.kubernetes.io/managed-by": "Helm" },
                "annotations": { "meta.helm.sh/release-name": "shop" },
            }),
            person,
            "Helm",
        ),
        case(
            json!({ "ownerReferences": controller }),
            person,
            "Fence/outer",
        ),
        case(json!({}), "pipeline", "field manager pipeline"),
    ]
}

/// A namespace with a network policy that carries a mark; its path.
fn marked(world: &World, owned: &Owned) -> (String, String) {
    let namespace = world.namespace("owned");
    let mut policy = deny();
    policy["metadata"] = owned.mark.clone();
    policy["metadata"]["name"] = json!("deny");
    let path = network_policies(&namespace);
    world.create_as(owned.manager, &path, &policy);
    (namespace, format!("{path}/deny"))
}

/// What the status says of a subject that fails.
fn violation<'a>(status: &'a Value, name: &str) -> &'a str {
    let controls = status["controls"].as_array().unwrap().iter();
    let mut violations = controls.flat_map(|c| c["violations"].as_array().into_iter().flatten());
    let found = violations.find(|violation| violation["name"] == name);
    found.map_or("", |violation| violation["message"].as_str().unwrap())
}

#[test]
fn what_somebody_else_owned_is_proposed_and_restored_bare_when_the_policy_overrides_them() {
    let world = turn();
    let cases = owned();
    let (namespaces, paths): (Vec<_>, Vec<_>) =
        cases.iter().map(|owned| marked(&world, owned)).unzip();
    let (free, free_path) = world.denying_namespace();
    // A running job that a pipeline then suspends: the field is the pipeline's.
    world.create(&cron_jobs(&free), &backup_job("nightly", false));
    let job = format!("{}/nightly", cron_jobs(&free));
    let replica = Replica::new(&world);
    let program = replica.start();
    let included: Vec<&String> = namespaces.iter().chain([&free]).collect();
    let policy = world.policy(&json!({
        "mode": "Enforce", "scope": { "include": included },
        "limits": { "maxShareOfKind": 100 },
        "controls": { "netNamespaceDefaultDeny": {}, "backupScheduleActive": {} },
    }));
    world.settled(&policy);
    // The owners last seen count also for a program that starts after it.
    program.kill();
    for path in paths.iter().chain([&free_path]) {
        world.delete(path);
    }
    let program = replica.start();
    world.patch_as("pipeline", &job, &json!({ "spec": { "suspend": true } }));
    world.appears(&free_path);
    let status = world.status(&policy, "six proposals", |status| {
        status["enforcement"]["proposedOwner"] == 6 && status["enforcement"]["written"] == 1
    });
    for (namespace, owned) in namespaces.iter().zip(&cases) {
        let message = violation(&status, namespace);
        assert!(message.contains(owned.owner), "{}: {message}", owned.owner);
    }
    assert!(
        violation(&status, "nightly").contains("field manager pipeline"),
        "{status:#}"
    );
    for path in &paths {
        assert!(world.get(path).is_none(), "{path} came back");
    }
    assert_eq!(replica.said("intent").len(), 1);

    world.patch(
        &format!("{POLICIES}/{policy}"),
        &json!({ "spec": { "overrideOwners": true } }),
    );
    for path in &paths {
        let meta = world.appears(path)["metadata"].take();
        assert_eq!(
            meta["labels"],
            json!({ "app.kubernetes.io/managed-by": "probity" })
        );
        assert!(meta["annotations"].is_null(), "{meta:#}");
        assert!(meta["ownerReferences"].is_null(), "{meta:#}");
    }
    world.becomes(&job, |job| job["spec"]["suspend"] == false);
    world.status(&policy, "no proposal", |status| {
        status["enforcement"]["proposedOwner"] == 0 && status["summary"]["failing"] == 0
    });
    eventually("outcomes", || {
        let outcomes = replica.said("outcome").len();
        (outcomes == 7)
            .then_some(())
            .ok_or_else(|| format!("{outcomes} outcomes"))
    });
    assert!(program.stop().success());
}
