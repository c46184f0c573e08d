//! The program as the image holds it: alone in a root file system that can't be written, as a user without a name, with what
//! a pod gives it.
//!
//! The root is that of the image in `PROBITY_IMAGE` (an OCI archive, as `make image` writes it). Without one it is made of
//! the program that the tests are built with, and of the libraries that it loads: that shows all but that it is static.

mod root;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use self::root::{Root, USER, denied};
use crate::harness::{Process, Signal, free_port};
use crate::operator::world::{World, eventually, turn};

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_image_runs_as_the_user_that_the_chart_names() {
    let chart = text("charts/probity/templates/statefulset.yaml");
    let image = text("image/Containerfile");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert!(chart.contains(&format!("{field}: {USER}\n")), "{field}");
    }
    assert!(image.contains(&format!("USER {USER}:{USER}\n")), "{image}");
    assert!(chart.contains("readOnlyRootFilesystem: true"));
}

#[test]
fn the_image_holds_the_program_alone() {
    let Some(image) = root::Image::given() else {
        return root::skipped(
            "its files",
            "PROBITY_IMAGE names no image; make image makes one",
        );
    };
    let config = image.config();
    assert_eq!(config["config"]["User"], format!("{USER}:{USER}"));
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/usr/local/bin/probity"])
    );
    assert_eq!(config["config"]["Cmd"], Value::Null);
    let labels = &config["config"]["Labels"];
    assert_eq!(
        labels["org.opencontainers.image.version"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(image.files(), ["usr/local/bin/probity"]);
}

#[test]
fn the_program_needs_nothing_but_itself() {
    if let Some(why) = denied() {
        return root::skipped("the program in the image", &why);
    }
    let root = Root::new();
    let version = root.run(&["--version"]);
    assert_eq!(
        version.stdout.trim(),
        format!("probity {}", env!("CARGO_PKG_VERSION"))
    );
    assert!(
        root.run(&["controls"])
            .stdout
            .contains("net-namespace-default-deny")
    );
    assert!(
        root.run(&["crds"])
            .stdout
            .contains("kind: CustomResourceDefinition")
    );
}

#[test]
fn the_operator_runs_in_the_image_and_writes_its_log_alone() {
    if let Some(why) = denied() {
        return root::skipped("the operator in the image", &why);
    }
    let world = turn();
    let root = Root::new();
    let before = root.files();
    let (host, port, namespace) = pod(&world, &root);
    let metrics = free_port().unwrap();
    let (program, mut args) = root.command(&[
        "run",
        "--data-dir=/data",
        &format!("--metrics-address=127.0.0.1:{metrics}"),
        &format!("--namespace={namespace}"),
    ]);
    // What the kubelet sets.
    let mut with_env = vec![
        format!("KUBERNETES_SERVICE_HOST={host}"),
        format!("KUBERNETES_SERVICE_PORT={port}"),
        program,
    ];
    with_env.append(&mut args);
    let log = root.beside("output.log");
    let mut process = Process::spawn("image", Path::new("env"), &with_env, &log).unwrap();
    let judged = world.namespace("judged");
    let policy = world.policy(&json!({
        "scope": { "include": [judged] }, "controls": { "netNamespaceDefaultDeny": {} },
    }));
    let failing = |status: &Value| status["controls"][0]["outcome"] == "Fail";
    world.status(&policy, "a verdict", failing);
    process.check().unwrap();

    let said = root.run(&["log", "--json", "--type", "transition"]).stdout;
    assert!(said.contains("NamespaceWithoutDefaultDeny"), "{said}");
    process.signal(Signal::Terminate).unwrap();
    let ended = eventually("end after SIGTERM", || {
        process.exited().ok_or_else(|| process.tail())
    });
    assert!(ended.success(), "{}", process.tail());
    let verified = root.run(&["verify", "/data"]);
    assert_eq!(
        verified.code,
        Some(0),
        "{}{}",
        verified.stdout,
        verified.stderr
    );
    assert_eq!(root.files(), before, "nothing but its data was written");
    root.all_data_is_its_own();
}

/// Gives the root what a pod has of its service account; returns host and port of the API server, and the namespace.
fn pod(world: &World, root: &Root) -> (String, String, String) {
    let namespace = world.namespace("image");
    let cluster = &world.cluster;
    cluster.kubectl_ok(
        &["create", "serviceaccount", "probity", "-n", &namespace],
        None,
    );
    let account = format!("--serviceaccount={namespace}:probity");
    let role = [
        "create",
        "clusterrolebinding",
        &namespace,
        "--clusterrole=cluster-admin",
    ];
    cluster.kubectl_ok(&[&role[..], &[&account]].concat(), None);
    let token = cluster.kubectl_ok(&["create", "token", "probity", "-n", &namespace], None);
    let config: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig()).unwrap()).unwrap();
    let config = &config["clusters"][0]["cluster"];
    let authority = fs::read(config["certificate-authority"].as_str().unwrap()).unwrap();
    root.give("token", token.trim().as_bytes());
    root.give("ca.crt", &authority);
    root.give("namespace", namespace.as_bytes());
    let server = config["server"].as_str().unwrap();
    let (host, port) = server
        .trim_start_matches("https://")
        .rsplit_once(':')
        .unwrap();
    (host.to_owned(), port.to_owned(), namespace)
}
