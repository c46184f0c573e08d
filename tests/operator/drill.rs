//! Restore drills on a real API server with the real CRDs of Velero, and with just the rights that
//! the chart gives. No Velero runs here: the test plays it, and writes the statuses that it would.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    program::{Program, Replica},
    world::{POLICIES, World, eventually, namespace_path},
};
use crate::harness::{Options, crds};

const RELEASE: &str = "probity-system";
const SANDBOX: &str = "probity-drill";
const RESTORES: &str = "/apis/velero.io/v1/namespaces/velero/restores";

/// A cluster with Velero's CRDs, and the kubeconfig of the chart's account.
struct Stage {
    world: World,
    operator: PathBuf,
}

impl Stage {
    fn set() -> Self {
        let world = World::start_with(Options {
            scheduler: false,
            ..Options::default()
        });
        let folder = crds("velero").unwrap().display().to_string();
        let apply = ["apply", "--server-side", "-f", &folder];
        world.cluster.kubectl_ok(&apply, None);
        world.cluster.serves_crds();
        for name in ["velero", RELEASE] {
            world.create(
                "/api/v1/namespaces",
                &json!({ "metadata": { "name": name } }),
            );
        }
        helm(&world, "install", true);
        let token = ["create", "token", "probity", "--namespace", RELEASE];
        let token = world.cluster.kubectl_ok(&token, None);
        let operator = world.cluster.kubeconfig_for_token(token.trim()).unwrap();
        Self { world, operator }
    }

    fn replica(&self) -> Replica {
        // The chart's ClusterRole.
        self.without_owner()
            .with_args(&["--drill-owner=probity-drill"])
    }

    /// One of which nothing tells whose its drills are.
    fn without_owner(&self) -> Replica {
        let replica = Replica::with("probity-0", RELEASE.to_owned(), self.operator.clone());
        replica.with_args(&[&format!("--drill-namespace={SANDBOX}")])
    }

    /// A namespace with a claim and a backup of it, and a policy that asks for its drill.
    fn drill_of(&self, change: &Value) -> (String, String) {
        let world = &self.world;
        let source = world.namespace("shop");
        volume(world, &source, &source, "data");
        let now = jiff::Timestamp::now().to_string();
        world.create(
            "/apis/velero.io/v1/namespaces/velero/backups",
            &json!({
                "apiVersion": "velero.io/v1", "kind": "Backup",
                "metadata": { "name": format!("nightly-{source}") },
                "spec": { "includedNamespaces": [source] },
                "status": { "phase": "Completed", "startTimestamp": now },
            }),
        );
        let mut drill = json!({ "namespaces": [source] });
        drill
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let policy = world.policy(&json!({
            "scope": { "include": [source] },
            "controls": { "backupRestoreTestCurrent": { "requireVerifyJob": false, "drill": drill } },
        }));
        (source, policy)
    }

    /// The Restore of a namespace's drill, as soon as it is there.
    fn restore_of(&self, source: &str, program: &Program) -> Value {
        eventually("Restore", || {
            let restores = self.world.list(RESTORES);
            let mut restores = restores.into_iter();
            restores
                .find(|restore| restore["spec"]["namespaceMapping"][source] == SANDBOX)
                .ok_or_else(|| program.tail())
        })
    }

    /// The sandbox is gone, and nothing that Velero could still work on is left.
    fn is_clean(&self, replica: &Replica) {
        let sandbox = namespace_path(SANDBOX);
        eventually("end of the sandbox", || match self.world.get(&sandbox) {
            None => Ok(()),
            Some(namespace) => Err(format!("{namespace:#}\n{}", replica.log_text())),
        });
        for restore in self.world.list(RESTORES) {
            let phase = restore["status"]["phase"].as_str().unwrap_or_default();
            assert!(
                ["Completed", "PartiallyFailed"].contains(&phase),
                "{restore:#}"
            );
        }
    }

    /// The message of the only class of a policy, once it is as wanted.
    fn message(&self, policy: &str, words: &str) {
        self.world.status(policy, words, |status| {
            status["controls"].to_string().contains(words)
        });
    }
}

fn helm(world: &World, verb: &str, enabled: bool) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity");
    let enabled = format!("drill.enabled={enabled}");
    let mut args = vec![
        verb,
        "probity",
        chart.to_str().unwrap(),
        "--namespace",
        RELEASE,
    ];
    args.extend(["--set", "replicas=0,crds.install=false", "--set", &enabled]);
    world.cluster.helm_ok(&args);
}

/// A claim of a class, bound to a volume made for it, as the cluster would where a controller ran.
pub(super) fn volume(world: &World, namespace: &str, class: &str, what: &str) {
    let name = format!("{class}-{what}");
    let size = json!({ "storage": "1Gi" });
    let spec = json!({
        "capacity": size, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Delete",
        "hostPath": { "path": "/nowhere" },
        "claimRef": { "namespace": namespace, "name": "data" },
    });
    world.create(
        "/api/v1/persistentvolumes",
        &json!({ "metadata": { "name": name }, "spec": spec }),
    );
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let spec = json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeName": name,
        "resources": { "requests": { "storage": "1Gi" } },
    });
    world.create(
        &claims,
        &json!({ "metadata": { "name": "data" }, "spec": spec }),
    );
    let bound = json!({ "status": { "phase": "Bound" } });
    world.patch(&format!("{claims}/data/status"), &bound);
}

fn velero_says(world: &World, restore: &Value, status: &Value) {
    let name = restore["metadata"]["name"].as_str().unwrap();
    world.patch(&format!("{RESTORES}/{name}"), &json!({ "status": status }));
}

fn completed() -> Value {
    let now = jiff::Timestamp::now().to_string();
    json!({
        "phase": "Completed", "startTimestamp": now, "completionTimestamp": now,
        "progress": { "itemsRestored": 1, "totalItems": 1 },
    })
}

/// Every intent has one outcome, and the log says once how the drill went.
fn check(replica: &Replica, words: &str, passed: bool) {
    eventually("whole log", || {
        let (intents, outcomes) = (replica.said("intent"), replica.said("outcome"));
        if intents.len() == outcomes.len() {
            Ok(())
        } else {
            Err(format!("{intents:#?} {outcomes:#?}"))
        }
    });
    let said = replica.said("drill");
    let [said] = &said[..] else {
        panic!("{said:#?}")
    };
    assert_eq!(said["passed"], passed, "{said:#}");
    assert!(
        said["message"].as_str().unwrap().contains(words),
        "{said:#}"
    );
}

#[test]
fn a_drill_restores_into_a_bounded_sandbox_and_leaves_nothing_behind() {
    let stage = Stage::set();
    passes(&stage);
    fails(&stage);
    never_answers(&stage);
    killed_in_the_middle(&stage);
    policy_withdrawn(&stage);
    name_taken(&stage);
    only_what_a_drill_makes(&stage);
    switched_off_in_the_middle(&stage);
    without_rights(&stage);
}

fn passes(stage: &Stage) {
    let (world, replica) = (&stage.world, stage.replica());
    let program = replica.start();
    let (source, policy) = stage.drill_of(&json!({ "pods": 1 }));
    let restore = stage.restore_of(&source, &program);
    // All of it was there before.
    let sandbox = world.get(&namespace_path(SANDBOX)).unwrap();
    let labels = &sandbox["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
    let quota = format!("/api/v1/namespaces/{SANDBOX}/resourcequotas/restore-drill");
    assert_eq!(world.get(&quota).unwrap()["spec"]["hard"]["pods"], "1");
    assert!(world.get(&format!("{quota}-priorities")).is_some());
    let defaults = quota.replace("resourcequotas", "limitranges");
    assert!(world.get(&defaults).is_some());
    let deny = super::world::network_policies(SANDBOX) + "/restore-drill";
    assert_eq!(world.get(&deny).unwrap()["spec"]["podSelector"], json!({}));
    assert_eq!(restore["spec"]["includeClusterResources"], false);
    volume(world, SANDBOX, &source, "restored");
    velero_says(world, &restore, &completed());
    stage.is_clean(&replica);
    let status = world.status(&policy, "a passing policy", |status| {
        status["summary"]["passing"] == "1/1"
    });
    assert_eq!(status["controls"][0]["outcome"], "Pass", "{status:#}");
    let transitions = eventually("log of it", || {
        let said = replica.said("transition");
        let of_pass = said.iter().filter(|said| said["to"] == "Pass").cloned();
        let of_pass: Vec<Value> = of_pass.collect();
        if of_pass.is_empty() {
            Err(format!("{said:#?}"))
        } else {
            Ok(of_pass)
        }
    });
    assert_eq!(transitions[0]["strength"], "Operating");
    world.delete(POLICIES);
    check(&replica, "1 of 1 claim", true);
    assert!(program.stop().success());
}

fn fails(stage: &Stage) {
    let (world, replica) = (&stage.world, stage.replica());
    let program = replica.start();
    let (source, policy) = stage.drill_of(&json!({}));
    let restore = stage.restore_of(&source, &program);
    velero_says(
        world,
        &restore,
        &json!({ "phase": "PartiallyFailed", "errors": 3, "warnings": 1 }),
    );
    stage.is_clean(&replica);
    stage.message(
        &policy,
        "is PartiallyFailed, 0 items restored, 3 errors and 1 warning",
    );
    world.delete(POLICIES);
    check(&replica, "PartiallyFailed", false);
    assert!(program.stop().success());
}

fn never_answers(stage: &Stage) {
    let replica = stage.replica();
    let program = replica.start();
    let (source, policy) = stage.drill_of(&json!({ "ttl": "30s" }));
    stage.restore_of(&source, &program);
    stage.is_clean(&replica);
    stage.message(&policy, "was not over within 30s");
    stage.world.delete(POLICIES);
    check(&replica, "which is New", false);
    assert!(program.stop().success());
}

fn killed_in_the_middle(stage: &Stage) {
    let replica = stage.replica();
    let mut program = replica.start();
    let (source, policy) = stage.drill_of(&json!({}));
    stage.restore_of(&source, &program);
    program.kill();
    assert!(stage.world.get(&namespace_path(SANDBOX)).is_some());
    program = replica.start();
    stage.is_clean(&replica);
    stage.message(&policy, "in the middle of it");
    stage.world.delete(POLICIES);
    check(&replica, "in the middle of it", false);
    assert!(program.stop().success());
}

fn policy_withdrawn(stage: &Stage) {
    let replica = stage.replica();
    let program = replica.start();
    let (source, _) = stage.drill_of(&json!({}));
    stage.restore_of(&source, &program);
    stage.world.delete(POLICIES);
    stage.is_clean(&replica);
    check_when_over(&replica, "no policy asks for it");
    assert!(program.stop().success());
}

fn check_when_over(replica: &Replica, words: &str) {
    eventually("end of the drill", || {
        if replica.said("drill").is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    });
    check(replica, words, false);
}

fn name_taken(stage: &Stage) {
    let (world, replica) = (&stage.world, stage.replica());
    let labels = json!({ "team": "shop" });
    let taken = json!({ "metadata": { "name": SANDBOX, "labels": labels } });
    world.create("/api/v1/namespaces", &taken);
    let program = replica.start();
    let (_, policy) = stage.drill_of(&json!({}));
    stage.message(&policy, "that no drill made");
    assert!(replica.said("intent").is_empty());
    world.delete(POLICIES);
    assert!(program.stop().success());
    world.delete(&namespace_path(SANDBOX));
    eventually("end of that namespace", || {
        match world.get(&namespace_path(SANDBOX)) {
            None => Ok(()),
            Some(_) => Err("it is there".to_owned()),
        }
    });
}

/// Nobody is left who may clean up but the cluster itself.
fn switched_off_in_the_middle(stage: &Stage) {
    let replica = stage.replica();
    let program = replica.start();
    let (source, _) = stage.drill_of(&json!({}));
    let restore = stage.restore_of(&source, &program);
    program.kill();
    helm(&stage.world, "upgrade", false);
    let name = restore["metadata"]["name"].as_str().unwrap();
    for path in [namespace_path(SANDBOX), format!("{RESTORES}/{name}")] {
        eventually("end of what a drill made", || {
            let left = stage.world.get(&path);
            left.map_or(Ok(()), |left| Err(format!("{left:#}")))
        });
    }
    stage.world.delete(POLICIES);
}

fn without_rights(stage: &Stage) {
    helm(&stage.world, "upgrade", false);
    let replica = stage.without_owner();
    let program = replica.start();
    let (_, policy) = stage.drill_of(&json!({}));
    stage.message(&policy, "set drill.enabled in the chart");
    stage.world.delete(POLICIES);
    check_when_over(&replica, "forbids to create Namespace");
    assert!(program.stop().success());
}

/// The chart's rights reach no other namespace, and restore nothing else.
fn only_what_a_drill_makes(stage: &Stage) {
    let label = json!({ "probity.dev/restore-drill": "x" });
    let namespace = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": label },
        })
    };
    let quota = |namespace: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "name": "q", "namespace": namespace, "labels": label },
            "spec": { "hard": { "pods": "0" } },
        })
    };
    let restore = |change: Value| {
        let mut spec = json!({
            "backupName": "b", "includedNamespaces": ["shop"],
            "namespaceMapping": { "shop": SANDBOX },
            "includedResources": ["persistentvolumeclaims"],
        });
        spec.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({
            "apiVersion": "velero.io/v1", "kind": "Restore",
            "metadata": { "name": "r", "namespace": "velero", "labels": label }, "spec": spec,
        })
    };
    let hook = json!({ "name": "h", "postHooks": [] });
    for (object, allowed) in [
        (namespace(SANDBOX), true),
        (namespace("another"), false),
        (quota("default"), false),
        (restore(json!({})), true),
        (
            restore(json!({ "namespaceMapping": { "shop": "shop" } })),
            false,
        ),
        (
            restore(json!({ "namespaceMapping": { "shop": SANDBOX, "bank": "bank" } })),
            false,
        ),
        (
            restore(json!({ "includedNamespaces": ["shop", "bank"] })),
            false,
        ),
        (restore(json!({ "includedNamespaces": ["*"] })), false),
        (restore(json!({ "includedResources": ["*"] })), false),
        (
            restore(json!({ "includedResources": ["rolebindings"] })),
            false,
        ),
        (restore(json!({ "includeClusterResources": true })), false),
        (restore(json!({ "hooks": { "resources": [hook] } })), false),
    ] {
        let created = as_operator(stage, &["create", "--dry-run=server", "-f"], &object);
        assert_eq!(created.0, allowed, "{object:#}: {}", created.1);
    }
    for namespace in ["default", "velero"] {
        let kubeconfig = format!("--kubeconfig={}", stage.operator.display());
        let delete = [
            "delete",
            "namespace",
            namespace,
            "--dry-run=server",
            &kubeconfig,
        ];
        assert!(!stage.world.cluster.kubectl(&delete).status.success());
    }
}

/// Whether the operator's account may do this, and what the server said.
fn as_operator(stage: &Stage, verb: &[&str], object: &Value) -> (bool, String) {
    let cluster = &stage.world.cluster;
    let kubeconfig = format!("--kubeconfig={}", stage.operator.display());
    let file = cluster.folder().join("object.json");
    std::fs::write(&file, object.to_string()).unwrap();
    let mut args = verb.to_vec();
    args.extend([file.to_str().unwrap(), &kubeconfig]);
    let output = cluster.kubectl(&args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}
