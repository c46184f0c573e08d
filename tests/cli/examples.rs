//! Every example in the help of every command is run as it stands there.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::operator::program::{Replica, file, output};
use crate::operator::world::{BINDINGS, Turn, admin_binding, turn};

/// Commands whose help has examples.
const WITH_EXAMPLES: [&str; 7] = [
    "scan",
    "status",
    "explain",
    "diff",
    "undo",
    "completions",
    "man",
];

/// The examples of a command: lines below `Examples:` that are no comments.
fn examples(command: &str) -> Vec<String> {
    let help = output(&[command, "--help"]).stdout;
    let (_, below) = help.split_once("Examples:\n").unwrap_or((&help, ""));
    let lines = below.lines().take_while(|line| line.starts_with("  "));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What the examples name.
fn prepare(world: &Turn, folder: &Path) -> BTreeMap<&'static str, String> {
    let cluster = &world.cluster;
    for object in [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "web" }] },
                },
            },
        }),
    ] {
        cluster.kubectl_ok(&["apply", "-f", "-"], Some(&object.to_string()));
    }
    let mut binding = admin_binding("contractors", "contractors");
    binding["subjects"][0]["kind"] = json!("Group");
    world.create(BINDINGS, &binding);
    let manifests = folder.join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { hostNetwork: true }\n";
    std::fs::write(manifests.join("pod.yaml"), pod).unwrap();
    std::fs::write(folder.join("policy.yaml"), output(&["baseline"]).stdout).unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity");
    std::os::unix::fs::symlink(chart, folder.join("chart")).unwrap();
    // A log in which something was put back.
    let replica = Replica::new(world).logging_to(&folder.join("evidence"));
    let program = replica.start();
    let (namespace, path) = world.denying_namespace();
    world.policy(&json!({
        "scope": { "include": ["shop"] },
        "controls": {
            "netNamespaceDefaultDeny": {}, "netPodIngressIsolated": {},
            "rbacClusterAdminAllowlist": {},
        },
    }));
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    world.delete(&path);
    world.appears(&path);
    assert!(program.stop().success());
    let intents = replica.said("intent");
    BTreeMap::from([("1764366000000001", intents[0]["id"].to_string())])
}

/// Takes away what the examples need, also where one of them fails: the cluster is shared.
struct Left<'a>(&'a Turn);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for path in [
            format!("{BINDINGS}/contractors"),
            "/api/v1/namespaces/shop".to_owned(),
        ] {
            // A panic within a panic would end all tests; this one is told, and goes no further.
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.delete(&path)));
        }
    }
}

#[test]
fn every_example_in_the_help_runs() {
    let world = turn();
    let _left = Left(&world);
    let folder = tempfile::tempdir().unwrap();
    let names = prepare(&world, folder.path());
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(file(), bin.join("probity")).unwrap();
    crate::harness::ensure(crate::harness::Group::Helm).unwrap();
    let path = [bin.as_path(), world.cluster.bin()].map(|path| path.display().to_string());
    let path = format!("{}:{}", path.join(":"), std::env::var("PATH").unwrap());
    let kubeconfig = world.administrator("scanner");
    for command in WITH_EXAMPLES {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{command} has no examples");
        for mut example in examples {
            if example.starts_with("exec ") {
                continue; // a line of a file
            }
            for (name, real) in &names {
                example = example.replace(name, real);
            }
            // No pod runs here: what would be executed in it is executed beside it.
            let exec = "kubectl() { while [ \"$1\" != -- ]; do shift; done; shift; PROBITY_DATA_DIR=evidence \"$@\"; }";
            let output = Command::new("bash")
                .args(["-o", "pipefail", "-c", &format!("{exec}\n{example}")])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env("KUBECONFIG", &kubeconfig)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // 1 says that something fails, which it does here.
            let well = matches!(output.status.code(), Some(0 | 1));
            assert!(
                well && !said.contains("probity: can't"),
                "{example}\n{said}"
            );
            if command != "scan" && command != "diff" {
                assert_eq!(output.status.code(), Some(0), "{example}\n{said}");
            }
        }
    }
}
