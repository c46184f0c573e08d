//! The life of a release: from the previous chart to this one, back, and gone.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{EVERYTHING, NAMESPACE, chart};
use crate::harness::{Cluster, Options, crds};

fn previous() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/chart/previous.tgz").display().to_string()
}

fn get(cluster: &Cluster, what: &[&str]) -> Value {
    let mut args = vec!["get"];
    args.extend(what);
    args.extend(["-o", "json"]);
    serde_json::from_str(&cluster.kubectl_ok(&args, None)).unwrap()
}

/// The kinds of the Prometheus operator that the chart makes.
fn monitoring(cluster: &Cluster) {
    let folder = crds("prometheus-operator").unwrap();
    for kind in ["servicemonitors", "prometheusrules"] {
        let file = folder.join(format!("monitoring.coreos.com_{kind}.yaml"));
        let file = file.display().to_string();
        cluster.kubectl_ok(&["apply", "--server-side", "-f", &file], None);
    }
    cluster.serves_crds();
}

fn release(cluster: &Cluster, verb: &str, chart: &str, values: &[&str]) {
    let mut args = vec![verb, "probity", chart, "--namespace", NAMESPACE];
    if verb == "install" {
        args.push("--create-namespace");
    }
    for value in values {
        args.extend(["--set", value]);
    }
    cluster.helm_ok(&args);
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .trim_matches(['-', '\n'])
        .to_owned()
}

#[test]
fn a_release_is_upgraded_rolled_back_and_removed_and_the_policies_stay() {
    let cluster = Cluster::start(Options::default()).unwrap();
    cluster.kubectl_ok(&["create", "namespace", "velero"], None);
    release(&cluster, "install", &previous(), &["replicas=1"]);
    cluster.serves_crds();
    let baseline = include_str!("../../examples/policies/soc2-baseline.yaml");
    let one = "apiVersion: probity.dev/v1alpha1\nkind: ControlPolicy\nmetadata: {name: kept}\nspec: {controls: {netHostNetwork: {}}}\n";
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(one));

    monitoring(&cluster);
    let mut values = EVERYTHING.to_vec();
    values.push("replicas=1");
    release(&cluster, "upgrade", &chart(), &values);
    // The CRDs have come along: they take every control that this program knows.
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(baseline));
    get(&cluster, &["controlpolicy", "kept"]);
    let rule = get(&cluster, &["prometheusrule", "probity", "-n", NAMESPACE]);
    assert!(rule["spec"]["groups"][1]["rules"].as_array().unwrap().len() > 10);
    get(&cluster, &["servicemonitor", "probity", "-n", NAMESPACE]);
    let dashboards = get(
        &cluster,
        &["configmaps", "-l", "grafana_dashboard=1", "-n", NAMESPACE],
    );
    assert_eq!(dashboards["items"].as_array().unwrap().len(), 4);
    what_is_installed_is_what_a_template_renders(&cluster, &values);

    cluster.helm_ok(&["rollback", "probity", "1", "--namespace", NAMESPACE]);
    let gone = [
        "get",
        "prometheusrule,servicemonitor",
        "-n",
        NAMESPACE,
        "-o",
        "name",
    ];
    assert_eq!(cluster.kubectl_ok(&gone, None), "");
    get(&cluster, &["controlpolicy", "kept"]);
    release(&cluster, "upgrade", &chart(), &["replicas=1"]);

    cluster.helm_ok(&["uninstall", "probity", "--namespace", NAMESPACE]);
    get(&cluster, &["controlpolicy", "kept"]);
    get(&cluster, &["controlpolicy", "soc2-baseline"]);
    let left = [
        "get",
        "statefulset,service,networkpolicy,serviceaccount,clusterrole,clusterrolebinding,validatingadmissionpolicy",
        "-A",
        "-l",
        "app.kubernetes.io/part-of=probity",
        "-o",
        "name",
    ];
    assert_eq!(cluster.kubectl_ok(&left, None), "");
    // A release of the same name takes its CRDs over again.
    release(&cluster, "install", &chart(), &["replicas=0"]);
    get(&cluster, &["controlpolicy", "kept"]);
}

/// Argo CD applies what `helm template` renders: it must be what `helm install` does.
fn what_is_installed_is_what_a_template_renders(cluster: &Cluster, values: &[&str]) {
    let installed = cluster.helm_ok(&["get", "manifest", "probity", "--namespace", NAMESPACE]);
    let chart = chart();
    let mut args = vec![
        "template",
        "probity",
        &chart,
        "--namespace",
        NAMESPACE,
        "--no-hooks",
    ];
    for value in values {
        args.extend(["--set", value]);
    }
    let rendered = cluster.helm_ok(&args);
    let (installed, rendered) = (without_comments(&installed), without_comments(&rendered));
    let differing = installed
        .lines()
        .zip(rendered.lines())
        .find(|(a, b)| a != b);
    assert_eq!(differing, None);
    assert_eq!(installed.lines().count(), rendered.lines().count());
}

/// What a cluster has that lets volumes grow: a class that allows it, and a volume that is the claim's.
const GROWS: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: grows}
provisioner: example.org/none
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: grows}
spec:
  storageClassName: grows
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /data}
  claimRef: {namespace: probity-system, name: data-probity-0}
";

/// The commands of a section of the guide to operations.
fn commands(section: &str) -> &'static str {
    let guide = include_str!("../../docs/operations.md");
    let (_, section) = guide.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}

/// Runs commands as whoever reads the guide does, from the project's folder.
fn follow(cluster: &Cluster, commands: &str) {
    let path = [
        cluster.bin().display().to_string(),
        std::env::var("PATH").unwrap(),
    ];
    let done = Command::new("bash")
        .args(["-e", "-c", commands])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.folder().join("home"))
        .env("PATH", path.join(":"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

#[test]
fn a_volume_is_enlarged_by_the_commands_of_the_guide_and_by_no_upgrade_alone() {
    let cluster = Cluster::start(Options::default()).unwrap();
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(GROWS));
    let values = ["replicas=1", "persistence.storageClass=grows"];
    release(&cluster, "install", &chart(), &values);
    let claim = ["pvc", "data-probity-0", "-n", NAMESPACE];
    let is_bound = [
        &["wait"][..],
        &claim,
        &["--for=jsonpath={.status.phase}=Bound"],
    ]
    .concat();
    let is_there = [&["wait"][..], &claim, &["--for=create"]].concat();
    cluster.kubectl_ok(&is_there, None);
    cluster.kubectl_ok(&is_bound, None);
    let before = get(&cluster, &claim);

    let chart = chart();
    let mut upgrade = vec!["upgrade", "probity", &chart, "--namespace", NAMESPACE];
    upgrade.extend(["--reuse-values", "--set", "persistence.size=20Gi"]);
    let refused = cluster.helm(&upgrade);
    let said = String::from_utf8_lossy(&refused.stderr);
    // As docs/troubleshooting.md quotes it.
    let quoted = said.contains("spec.volumeClaimTemplates: Invalid value");
    assert!(
        !refused.status.success() && quoted && said.contains("field is immutable"),
        "{said}"
    );

    follow(&cluster, commands("Enlarge the volume"));
    let after = get(&cluster, &claim);
    let size = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].clone();
    assert_eq!(
        (size(&before), size(&after)),
        ("10Gi".into(), "20Gi".into())
    );
    assert_eq!(
        before["metadata"]["uid"], after["metadata"]["uid"],
        "the same volume"
    );
    let made = get(&cluster, &["statefulset", "probity", "-n", NAMESPACE]);
    assert_eq!(size(&made["spec"]["volumeClaimTemplates"][0]), "20Gi");
}

#[test]
fn the_evidence_moves_to_another_claim_by_the_commands_of_the_guide() {
    let cluster = Cluster::start(Options::default()).unwrap();
    release(&cluster, "install", &chart(), &["replicas=1"]);
    let set = ["statefulset", "probity", "-n", NAMESPACE];
    let volumes = |set: &Value| {
        let volumes = set["spec"]["template"]["spec"]["volumes"].as_array();
        let volumes = volumes.into_iter().flatten().cloned();
        volumes
            .filter(|volume| volume["name"] == "data")
            .collect::<Vec<_>>()
    };
    let before = get(&cluster, &set);
    assert_eq!(
        volumes(&before),
        [] as [Value; 0],
        "a claim of its template"
    );
    assert!(before["spec"]["volumeClaimTemplates"].is_array());

    let guide = commands("Move the evidence to another volume");
    assert!(guide.contains("existingClaim=CLAIM"), "{guide}");
    follow(&cluster, &guide.replace("CLAIM", "elsewhere"));
    let after = get(&cluster, &set);
    let claim = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "elsewhere" } });
    assert_eq!(volumes(&after), [claim]);
    assert_eq!(after["spec"]["volumeClaimTemplates"], Value::Null);
    assert_eq!(after["spec"]["replicas"], 1, "it runs again");
}
