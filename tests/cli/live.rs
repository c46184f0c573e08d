//! Commands that read a cluster.

use serde_json::{Value, json};

use super::{against, found, printed};
use crate::operator::{
    program::{Replica, output},
    world::{BINDINGS, POLICIES, World, admin_binding, eventually, turn},
};

/// Controls whose verdicts rest on objects that manifests hold. Without grace: what is applied now has just begun.
const FROM_FILES: &str = "
apiVersion: probity.dev/v1alpha1
kind: ControlPolicy
metadata: { name: files }
spec:
  controls:
    netPodIngressIsolated: {}
    netPodEgressIsolated: {}
    netNamespaceDefaultDeny: {}
    netNoAllowAll: {}
    netPolicyDead: { grace: 0s }
    netHostNetwork: {}
    rbacNoWildcardVerbs: {}
    rbacNoWildcardResources: {}
    workloadPsaEnforced: {}
    encIngressTls: {}
";

/// Findings of each kind, among things that are as they should be.
fn manifests(namespace: &str) -> String {
    let deployment = |name: &str, host: bool| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec: {{ hostNetwork: {host}, containers: [{{ name: main, image: i }}] }}
---
"
        )
    };
    let policy = |name: &str, app: &str, rules: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {{ podSelector: {{ matchLabels: {{ app: {app} }} }}, ingress: {rules} }}
---
"
        )
    };
    let role = |name: &str, verb: &str, resource: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: {name}, namespace: {namespace} }}
rules: [{{ apiGroups: [''], resources: ['{resource}'], verbs: ['{verb}'] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: {name}, namespace: {namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name} }}
subjects: [{{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers }}]
---
"
        )
    };
    let mut text =
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n---\n");
    text += &deployment("closed", false);
    text += &deployment("open", false);
    text += &deployment("host", true);
    text += &policy("closed", "closed", "[]");
    text += &policy("open", "open", "[{}]");
    text += &policy("dead", "nobody", "[]");
    text += &role("reader", "get", "pods");
    text += &role("all-verbs", "*", "pods");
    text += &role("all-resources", "get", "*");
    let ingress = format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: plain, namespace: {namespace} }}
spec: {{ rules: [{{ host: a.example.com }}] }}
"
    );
    text += &ingress;
    text
}

#[test]
fn manifests_are_judged_as_the_cluster_that_they_become() {
    let world = turn();
    let namespace = world.name("applied");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (files, policy) = (path("files.yaml"), path("policy.yaml"));
    std::fs::write(&files, manifests(&namespace)).unwrap();
    std::fs::write(&policy, FROM_FILES).unwrap();
    let offline = output(&[
        "scan",
        "-f",
        &files,
        "--complete",
        "-p",
        &policy,
        "-o",
        "json",
    ]);
    assert_eq!(offline.code, Some(1), "{}", offline.stderr);
    world.cluster.kubectl_ok(&["apply", "-f", &files], None);
    let kubeconfig = world.administrator("scanner");
    let live = ["scan", "-n", &namespace, "-p", &policy, "-o", "json"];
    let (live, _) = found(&printed(&kubeconfig, &live, 1));
    let (offline, _) = found(&offline.stdout);
    assert_eq!(offline, live);
    let failing = live.iter().filter(|(_, _, outcome)| outcome == "Fail");
    let controls: std::collections::BTreeSet<&str> = failing.map(|found| &*found.0).collect();
    assert!(controls.len() >= 8, "{live:#?}");
}

#[test]
fn a_scan_says_what_the_operator_says() {
    let world = turn();
    let (bare, (denying, _)) = (world.namespace("bare"), world.denying_namespace());
    let replica = Replica::new(&world);
    let program = replica.start();
    let spec = json!({
        "scope": { "include": [bare, denying] },
        "controls": { "netNamespaceDefaultDeny": {}, "rbacClusterAdminAllowlist": {} },
    });
    let policy = world.policy(&spec);
    let status = world.settled(&policy);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let object = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
        "metadata": { "name": policy }, "spec": spec,
    });
    std::fs::write(&file, object.to_string()).unwrap();
    let kubeconfig = world.administrator("scanner");
    let file = file.display().to_string();
    let report = against(&kubeconfig, &["scan", "-p", &file, "-o", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    for control in status["controls"].as_array().unwrap() {
        let scanned = report["controls"].as_array().unwrap();
        let scanned = scanned
            .iter()
            .find(|one| one["id"] == control["id"])
            .unwrap();
        assert_eq!(
            scanned["outcome"], control["outcome"],
            "{scanned:#}\n{control:#}"
        );
        assert_eq!(
            scanned["subjects"]["Fail"], control["subjects"]["fail"],
            "{scanned:#}"
        );
    }
    // What a status lists, and what is read now, are the same too.
    let told = printed(
        &kubeconfig,
        &["status", "-n", &bare, "--all", "-o", "json"],
        0,
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    let mut controls = told["policies"][0]["controls"].as_array().unwrap().iter();
    let denied = controls.find(|control| control["id"] == "net-namespace-default-deny");
    let violation = &denied.unwrap()["violations"][0];
    assert_eq!(violation["name"], json!(bare), "{told:#}");
    assert!(violation["since"].is_string(), "{told:#}");
    let table = printed(&kubeconfig, &["status"], 0);
    assert!(table.contains("net-namespace-default-deny"), "{table}");
    let explained = printed(&kubeconfig, &["explain", &format!("ns/{bare}")], 0);
    assert!(
        explained.contains("kubectl apply -f - <<'EOF'"),
        "{explained}"
    );
    mends(&world, &bare, &explained);
    assert!(program.stop().success());
}

/// Runs the commands of an explanation, after which the subject passes.
fn mends(world: &World, namespace: &str, explained: &str) {
    let manifest = explained.split_once("<<'EOF'\n").unwrap().1;
    let manifest = manifest.split_once("EOF").unwrap().0;
    world
        .cluster
        .kubectl_ok(&["apply", "-f", "-"], Some(manifest));
    let kubeconfig = world.administrator("scanner");
    eventually("mended subject", || {
        let explained = against(&kubeconfig, &["explain", &format!("namespace/{namespace}")]);
        if explained.stdout.contains("PASS") && !explained.stdout.contains("FAIL") {
            Ok(())
        } else {
            Err(explained.stdout)
        }
    });
}

#[test]
fn a_difference_is_shown_before_it_is_made_and_taken_back_afterwards() {
    let world = turn();
    let kubeconfig = world.administrator("scanner");
    let allowed = json!([{ "kind": "User", "name": "alice" }]);
    let control = json!({ "rbacClusterAdminAllowlist": { "allowedSubjects": allowed } });
    let policy = world.policy(&json!({ "controls": control }));
    let (name, other) = (world.name("intern"), world.name("alice"));
    // The last grant to a person is never taken away.
    world.create(BINDINGS, &admin_binding(&other, "alice"));
    world.create(BINDINGS, &admin_binding(&name, "intern"));
    let observed = against(&kubeconfig, &["diff"]);
    assert_eq!(
        (observed.code, &*observed.stdout),
        (Some(0), ""),
        "{}",
        observed.stderr
    );
    assert!(
        observed.stderr.contains("held back: the policy observes"),
        "{}",
        observed.stderr
    );
    // What is newer than two seconds is left alone.
    let header = format!("--- live/rbac.authorization.k8s.io.v1.ClusterRoleBinding..{name}");
    let shown = eventually("difference", || {
        let output = against(&kubeconfig, &["diff", "--enforce"]);
        if output.code == Some(1) && output.stdout.contains(&header) {
            Ok(output.stdout)
        } else {
            Err(format!("{}{}", output.stdout, output.stderr))
        }
    });
    assert!(shown.contains("\n-kind: ClusterRoleBinding\n"), "{shown}");
    let path = format!("{BINDINGS}/{name}");
    assert!(world.get(&path).is_some(), "a difference is only shown");

    let enforce = json!({ "spec": { "mode": "Enforce", "existing": "Remediate" } });
    world.patch(&format!("{POLICIES}/{policy}"), &enforce);
    let replica = Replica::new(&world);
    let program = replica.start();
    eventually("deletion", || match world.get(&path) {
        None => Ok(()),
        Some(still) => Err(format!("{still:#}")),
    });
    eventually("outcome", || {
        let done = replica.said("outcome");
        done.first()
            .map(|_| ())
            .ok_or("none")
            .map_err(str::to_owned)
    });
    let undo = undo(&replica);
    assert!(
        undo.contains("A control in Enforce does it again"),
        "{undo}"
    );
    let of_it = format!("Delete ClusterRoleBinding {name} for");
    let manifest = undo.split_once(&of_it).unwrap().1;
    let manifest = manifest.split_once("<<'EOF'\n").unwrap().1;
    let manifest = manifest.split_once("EOF").unwrap().0;
    world
        .cluster
        .kubectl_ok(&["apply", "-f", "-"], Some(manifest));
    // It carries a pause, so that it stays.
    world.status(&policy, "a paused remedy", |status| {
        status["enforcement"]["paused"].as_i64() >= Some(1)
    });
    let back = world.get(&path).unwrap();
    assert_eq!(back["subjects"][0]["name"], "intern");
    assert!(program.stop().success());
    for left in [&name, &other] {
        world.delete(&format!("{BINDINGS}/{left}"));
    }
}

#[test]
fn what_only_the_log_remembers_is_shown_where_the_log_is_given() {
    let world = turn();
    let kubeconfig = world.administrator("scanner");
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    assert!(program.stop().success());
    let opened = json!({ "spec": { "ingress": [{ "from": [{ "podSelector": {} }] }] } });
    world.patch(&path, &opened);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    std::fs::write(&log, replica.log_lines().join("\n")).unwrap();

    let header = format!("--- live/networking.k8s.io.v1.NetworkPolicy.{namespace}.deny");
    let without = against(&kubeconfig, &["diff"]);
    assert!(!without.stdout.contains(&header), "{}", without.stdout);
    let log = format!("--log={}", log.display());
    let shown = eventually("difference", || {
        let output = against(&kubeconfig, &["diff", &log]);
        if output.code == Some(1) && output.stdout.contains(&header) {
            Ok(output.stdout)
        } else {
            Err(format!("{}{}", output.stdout, output.stderr))
        }
    });
    assert!(shown.contains("\n-  ingress:"), "{shown}");
    assert!(world.get(&path).unwrap()["spec"].get("ingress").is_some());

    let wrong = against(&kubeconfig, &["diff", "--log=/dev/null"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("probity log --json"),
        "{}",
        wrong.stderr
    );
}

fn undo(replica: &Replica) -> String {
    let data = format!("--data-dir={}", replica.data().display());
    let output = output(&["undo", &data]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.stdout
}

#[test]
fn a_namespace_that_is_not_there_is_no_namespace_without_findings() {
    let world = turn();
    let kubeconfig = world.administrator("scanner");
    let scanned = against(&kubeconfig, &["scan", "-n", "shpo"]);
    assert_eq!(scanned.code, Some(2), "{}", scanned.stdout);
    let told = against(&kubeconfig, &["status", "-n", "shpo"]);
    assert_eq!(told.code, Some(2), "{}", told.stdout);
    for stderr in [scanned.stderr, told.stderr] {
        assert!(stderr.contains("there is no namespace shpo"), "{stderr}");
    }
}

#[test]
fn a_cluster_without_our_kinds_is_scanned_all_the_same() {
    let bare = crate::harness::Cluster::start(crate::harness::Options {
        controller_manager: false,
        scheduler: false,
        ..crate::harness::Options::default()
    })
    .unwrap();
    let missing = against(bare.kubeconfig(), &["status"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("probity crds | kubectl apply"),
        "{}",
        missing.stderr
    );
    let report = printed(
        bare.kubeconfig(),
        &["scan", "-o", "json", "--fail-on", "none"],
        0,
    );
    let (_, controls) = found(&report);
    let judged = controls
        .iter()
        .filter(|(_, outcome)| outcome == "Pass" || outcome == "Fail");
    assert!(judged.count() > 10, "{controls:#?}");
    let explained = printed(bare.kubeconfig(), &["explain", "namespace/default"], 0);
    assert!(
        explained.contains("this is what the baseline says"),
        "{explained}"
    );
}
