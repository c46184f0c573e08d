//! No value of a Secret, no credential and nothing that looks like one gets into anything that Probity writes.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::program::Replica;
use super::world::{World, eventually, turn};

/// What is planted, each with what names it.
const PLANTED: [(&str, &str); 6] = [
    ("a value of a Secret", "planted-4b1d-secret-value"),
    ("what kubectl has last applied", "planted-9c2e-last-applied"),
    ("a private key of TLS", "planted-77aa-tls-key"),
    (
        "a token in a ConfigMap",
        "ghp_planted0e5fTokenInAConfigMap00000000",
    ),
    ("a password in an environment", "planted-c03d-environment"),
    ("a password in a command line", "planted-5f19-argument"),
];

fn planted(index: usize) -> &'static str {
    PLANTED[index].1
}

fn plant(world: &World, namespace: &str) {
    let core = format!("/api/v1/namespaces/{namespace}");
    world.create(
        &format!("{core}/secrets"),
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "password",
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": planted(1) },
            },
            "stringData": { "password": planted(0) },
        }),
    );
    world.create(
        &format!("{core}/secrets"),
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": "certificate" },
            "stringData": { "tls.crt": "none", "tls.key": planted(2) },
        }),
    );
    world.create(
        &format!("{core}/configmaps"),
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
            "data": { "token": planted(3) },
        }),
    );
    world.create(
        &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{
                        "name": "web", "image": "registry.example/web",
                        "args": [format!("--password={}", planted(5))],
                        "env": [{ "name": "DB_PASSWORD", "value": planted(4) }],
                    }] },
                },
            },
        }),
    );
    world.create(
        &format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"),
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web" },
            "spec": {
                "tls": [{ "hosts": ["web.example"], "secretName": "certificate" }],
                "rules": [{ "host": "web.example" }, { "host": "bare.example" }],
            },
        }),
    );
}

/// All files of a folder, unpacked, one after the other.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut unpacked = Vec::new();
            GzDecoder::new(&bytes[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            bytes = unpacked;
        }
        found.push((path.display().to_string(), bytes));
    }
    found
}

/// The keys and tokens with which the operator meets the API server.
fn credentials(kubeconfig: &Path) -> Vec<String> {
    let text = fs::read_to_string(kubeconfig).unwrap();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    let user = &config["users"][0]["user"];
    let mut found = Vec::new();
    for field in ["client-key-data", "client-certificate-data", "token"] {
        found.extend(user[field].as_str().map(str::to_owned));
    }
    if let Some(file) = user["client-key"].as_str() {
        let pem = fs::read_to_string(file).unwrap();
        found.extend(pem.lines().nth(1).map(str::to_owned));
    }
    found
}

#[test]
fn planted_secrets_are_nowhere_in_what_probity_writes() {
    let world = turn();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let namespace = world.namespace("planted");
    plant(&world, &namespace);
    let kubeconfig = world.administrator("secretive");
    let replica = Replica::new(&world)
        .acting_as(kubeconfig.clone())
        .logging_to(&data);
    let mut program = replica.start();
    program.ready();
    let baseline = include_str!("../../examples/policies/soc2-baseline.yaml");
    let baseline: Value = serde_saphyr::from_str(baseline).unwrap();
    world.policy(&baseline["spec"]);
    // Something is said of just these objects.
    eventually("findings about what was planted", || {
        let about = |entry: &Value| {
            entry["subject"]["namespace"] == namespace.as_str() && entry["to"] == "Fail"
        };
        let found = replica
            .said("transition")
            .iter()
            .filter(|e| about(e))
            .count();
        if found > 2 {
            Ok(())
        } else {
            Err(format!("{found}\n{}", program.tail()))
        }
    });
    let metrics = program.metrics();
    assert!(metrics.contains("probity_"));
    assert!(program.stop().success());

    let mut written = content(&data);
    written.retain(|(path, _)| !path.ends_with("/data/key"));
    written.push(("its output".to_owned(), replica.output().into_bytes()));
    written.push(("its metrics".to_owned(), metrics.into_bytes()));
    for path in [
        "/apis/probity.dev/v1alpha1/controlpolicies",
        "/apis/probity.dev/v1alpha1/evidencelogs",
        "/apis/events.k8s.io/v1/events",
    ] {
        let objects = world.get(path).unwrap().to_string();
        written.push((path.to_owned(), objects.into_bytes()));
    }
    assert!(written.len() > 8, "{} places", written.len());
    let secrets = PLANTED
        .iter()
        .map(|(what, secret)| ((*what), (*secret).to_owned()));
    let own = credentials(&kubeconfig);
    assert!(!own.is_empty());
    let own = own.into_iter().map(|secret| ("its own credential", secret));
    let key = fs::read_to_string(data.join("key")).unwrap();
    let key = key.lines().nth(1).unwrap().to_owned();
    for (what, secret) in secrets.chain(own).chain([("its signing key", key)]) {
        for form in [secret.clone(), STANDARD.encode(&secret)] {
            for (place, bytes) in &written {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.contains(&form), "{what} is in {place}");
            }
        }
    }
}
