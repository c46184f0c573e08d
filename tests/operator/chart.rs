//! The chart, installed by the real helm, and the operator with just the rights that it grants.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use probity::api::definitions;
use probity::controls::{Family, Info, REGISTRY};
use probity::inventory::Kind;
use serde_json::Value;

use super::program::Replica;
use super::world::eventually;
use crate::harness::{Cluster, Options};

const NAMESPACE: &str = "probity-system";

const DENY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}}
";

fn helm(cluster: &Cluster, verb: &str, families: &[Family]) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity");
    let mut args: Vec<String> = [verb, "probity", &chart.to_string_lossy()]
        .map(str::to_owned)
        .into();
    args.extend(["--namespace", NAMESPACE, "--set", "replicas=0"].map(str::to_owned));
    if verb == "install" {
        args.push("--create-namespace".to_owned());
    }
    for family in families {
        args.extend([
            "--set".to_owned(),
            format!("enforcement.{}=true", family.as_str()),
        ]);
    }
    cluster.helm_ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Arguments with which the operator knows the manifest of the release in a namespace: what its pods have mounted.
pub(crate) fn release_manifest(cluster: &Cluster, namespace: &str) -> [String; 2] {
    let path = "jsonpath={.spec.template.spec.volumes[?(@.name=='release')].configMap.name}";
    let map = ["get", "statefulset", "probity", "-n", namespace, "-o", path];
    let map = cluster.kubectl_ok(&map, None);
    let text = ["get", "configmap", map.trim(), "-n", namespace, "-o"];
    let path = r"jsonpath={.data.manifest\.yaml}";
    let text = cluster.kubectl_ok(&[&text[..], &[path]].concat(), None);
    let path = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='PROBITY_RELEASE_DIGEST')].value}";
    let digest = ["get", "statefulset", "probity", "-n", namespace, "-o", path];
    let digest = cluster.kubectl_ok(&digest, None);
    let file = cluster.folder().join("manifest.yaml");
    std::fs::write(&file, text).unwrap();
    [
        format!("--release-manifest={}", file.display()),
        format!("--release-digest={}", digest.trim()),
    ]
}

/// The rights of the chart's roles whose name has this ending, as `verb group/resource`.
fn granted(cluster: &Cluster, enforcing: bool) -> BTreeSet<String> {
    let roles = cluster.kubectl_ok(&["get", "clusterroles", "-o", "json"], None);
    let roles: Value = serde_json::from_str(&roles).unwrap();
    let mut rights = BTreeSet::new();
    for role in roles["items"].as_array().unwrap() {
        let name = role["metadata"]["name"].as_str().unwrap();
        if name.starts_with("probity-enforce-") != enforcing || !(enforcing || name == "probity") {
            continue;
        }
        for rule in role["rules"].as_array().unwrap() {
            let list = |field: &str| -> Vec<String> {
                let values = rule[field].as_array().into_iter().flatten();
                values
                    .map(|value| value.as_str().unwrap().to_owned())
                    .collect()
            };
            for verb in list("verbs") {
                for group in list("apiGroups") {
                    for resource in list("resources") {
                        rights.insert(format!("{verb} {group}/{resource}"));
                    }
                }
            }
        }
    }
    rights
}

fn declared_writes() -> BTreeSet<String> {
    let controls = REGISTRY.iter().map(|registered| registered.info);
    let writes = controls.flat_map(|info| info.writes);
    writes
        .map(|write| {
            let kind = write.kind.info();
            format!("{} {}/{}", write.verb, kind.group, kind.plural)
        })
        .collect()
}

fn declared_reads() -> BTreeSet<String> {
    let controls = REGISTRY.iter().map(|registered| registered.info);
    let kinds = controls.flat_map(Info::inputs).map(Kind::info);
    let rights = kinds.flat_map(|kind| {
        ["get", "list", "watch"].map(|verb| format!("{verb} {}/{}", kind.group, kind.plural))
    });
    // Our own API, and Events about subjects.
    let own = definitions().into_iter().flat_map(|(_, definition)| {
        let plural = definition.spec.names.plural;
        let read = ["get", "list", "watch"].map(|verb| format!("{verb} probity.dev/{plural}"));
        [format!("patch probity.dev/{plural}/status")]
            .into_iter()
            .chain(read)
    });
    let events = ["create", "patch"].map(|verb| format!("{verb} events.k8s.io/events"));
    // Our own API and policies: by name, which `granted` does not tell.
    let guards = [
        "apiextensions.k8s.io/customresourcedefinitions",
        "admissionregistration.k8s.io/validatingadmissionpolicies",
        "admissionregistration.k8s.io/validatingadmissionpolicybindings",
    ];
    // What OpenShift is to encrypt with, by name as well.
    let guards = guards
        .into_iter()
        .chain(["config.openshift.io/apiservers"])
        .map(|resource| format!("get {resource}"));
    let logs = ["create probity.dev/evidencelogs".to_owned()];
    // Calico's API server lists policies to those who may read their tiers.
    let tiers = [
        "tiers",
        "tier.networkpolicies",
        "tier.globalnetworkpolicies",
    ];
    let tiers = tiers.into_iter().flat_map(|resource| {
        ["get", "list", "watch"].map(|verb| format!("{verb} projectcalico.org/{resource}"))
    });
    rights
        .chain(tiers)
        .chain(own)
        .chain(events)
        .chain(logs)
        .chain(guards)
        .collect()
}

#[test]
fn the_chart_grants_what_controls_declare_and_no_more() {
    let cluster = Cluster::start(Options::default()).unwrap();
    helm(&cluster, "install", &[]);
    assert_eq!(granted(&cluster, false), declared_reads());
    assert_eq!(
        granted(&cluster, true),
        BTreeSet::new(),
        "read-only by default"
    );
    helm(&cluster, "upgrade", &Family::MENDING);
    assert_eq!(granted(&cluster, true), declared_writes());
    drift_is_put_back_with_these_rights(&cluster);
    what_cron_jobs_run_stays(&cluster);
    cluster.helm_ok(&["uninstall", "probity", "--namespace", NAMESPACE]);
    cluster.kubectl_ok(&["get", "controlpolicies", "soc2-baseline"], None);
}

/// A kubeconfig of the service account that the chart makes.
fn as_installed(cluster: &Cluster) -> PathBuf {
    let token = ["create", "token", "probity", "--namespace", NAMESPACE];
    let token = cluster.kubectl_ok(&token, None);
    cluster.kubeconfig_for_token(token.trim()).unwrap()
}

/// Schedules may be resumed, and no more.
fn what_cron_jobs_run_stays(cluster: &Cluster) {
    let create = [
        "create",
        "cronjob",
        "nightly",
        "--image=backup",
        "--schedule=0 1 * * *",
        "-n",
        "shop",
    ];
    cluster.kubectl_ok(&create, None);
    let kubeconfig = as_installed(cluster);
    let patch = |change: &str| {
        let output = Command::new(cluster.bin().join("kubectl"))
            .args(["patch", "cronjob", "nightly", "-n", "shop", "-p", change])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let (done, said) = patch(r#"{"spec":{"suspend":true}}"#);
    assert!(done, "{said}");
    let image = r#"{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"nightly","image":"mine"}]}}}}}}"#;
    let (done, said) = patch(image);
    assert!(
        !done && said.contains("nothing of what a CronJob runs"),
        "{said}"
    );
}

fn drift_is_put_back_with_these_rights(cluster: &Cluster) {
    let mut operator =
        Replica::with("probity-0", NAMESPACE.to_owned(), as_installed(cluster)).start();
    cluster.kubectl_ok(&["create", "namespace", "shop"], None);
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(DENY));
    let baseline = include_str!("../../examples/policies/soc2-baseline.yaml");
    let enforced = baseline.replace("mode: Observe", "mode: Enforce");
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&enforced));
    operator.ready();
    let read = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        cluster.kubectl_ok(&["get", "ctlp", "soc2-baseline", "-o", &path], None)
    };
    eventually("every kind can be read", || {
        let blind = read(".status.controls[*].violations[?(@.reason=='InputUnavailable')].message");
        let seen = read(".status.observedGeneration");
        if seen == "1" && blind.is_empty() {
            Ok(())
        } else {
            Err(format!("{seen} {blind}"))
        }
    });
    cluster.kubectl_ok(&["delete", "networkpolicy", "deny", "-n", "shop"], None);
    eventually("the policy comes back", || {
        let names = cluster.kubectl_ok(&["get", "networkpolicy", "-n", "shop", "-o", "name"], None);
        if names.contains("deny") {
            Ok(())
        } else {
            Err(operator.tail())
        }
    });
    assert!(operator.stop().success());
}
