//! Every example in the help of every command is run as it stands there.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::free_port;
use crate::operator::program::{Replica, file, output};
use crate::operator::world::{BINDINGS, Turn, admin_binding, turn};

/// All commands, in an order in which what one makes is there for the next.
pub(super) const COMMANDS: [&str; 22] = [
    "scan",
    "status",
    "explain",
    "diff",
    "undo",
    "approve",
    "reject",
    "review",
    "log",
    "prove",
    "verify",
    "fleet",
    "period",
    "report",
    "sample",
    "new-key",
    "controls",
    "crds",
    "baseline",
    "completions",
    "man",
    "run",
];

#[test]
fn every_command_that_people_see_has_examples() {
    let commands = probity::cli::arguments();
    let seen = commands.get_subcommands().filter(|one| !one.is_hide_set());
    let mut seen: Vec<&str> = seen.map(clap::Command::get_name).collect();
    seen.retain(|name| *name != "help");
    let mut known = COMMANDS;
    seen.sort_unstable();
    known.sort_unstable();
    assert_eq!(seen, known);
}

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
    asked_for(world);
    // A log in which something was put back.
    let replica = Replica::new(world).logging_to(&folder.join("evidence"));
    let program = replica.start();
    let (namespace, path) = world.denying_namespace();
    world.policy(&json!({
        "scope": { "include": ["shop"] },
        "controls": {
            "netNamespaceDefaultDeny": {}, "netPodIngressIsolated": {},
            "rbacClusterAdminAllowlist": {}, "rbacAccessReviewCurrent": {},
        },
    }));
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    world.delete(&path);
    world.appears(&path);
    let review = |object: &Value| object["status"]["observed"]["phase"] == "Open";
    world.becomes(&format!("{OURS}/accessreviews/{REVIEW}"), review);
    assert!(program.stop().success());
    for_auditors(world, folder, &replica);
    let intents = replica.said("intent");
    let transitions = replica.said("transition");
    let deviation = transitions
        .iter()
        .find_map(|said| said["deviation"].as_str());
    BTreeMap::from([
        ("1764366000000001", intents[0]["id"].to_string()),
        ("0123456789abcdef", deviation.unwrap().to_owned()),
    ])
}

const OURS: &str = "/apis/probity.dev/v1alpha1";
const REVIEW: &str = "shop-q2";

/// What people have asked for, so that others can decide.
fn asked_for(world: &Turn) {
    for name in ["rebuild", "for-ever"] {
        let exception = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlException",
            "metadata": { "name": name },
            "spec": {
                "control": "net-namespace-default-deny", "kind": "AcceptedRisk",
                "subjects": [{ "kind": "Namespace", "name": "shop" }],
                "reason": "it is being rebuilt", "ticket": "OPS-1",
                "expiresAt": in_days(30), "requestedBy": "alice",
            },
        });
        world.create(
            &format!("{OURS}/namespaces/shop/controlexceptions"),
            &exception,
        );
    }
    let bind = [
        "create",
        "rolebinding",
        "edit-erin",
        "--clusterrole=edit",
        "--user=erin",
        "-nshop",
    ];
    world.cluster.kubectl_ok(&bind, None);
    let review = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AccessReview",
        "metadata": { "name": REVIEW },
        "spec": { "namespace": "shop", "due": in_days(7) },
    });
    world.create(&format!("{OURS}/accessreviews"), &review);
}

fn in_days(days: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    format!("{at:.0}")
}

/// What an auditor holds beside the log: its key, a checkpoint from elsewhere, a period; and a fleet of one cluster.
fn for_auditors(world: &Turn, folder: &Path, replica: &Replica) {
    let name = format!("{}.probity-0", replica.namespace());
    let log = world.get(&format!("{OURS}/evidencelogs/{name}")).unwrap();
    let key = log["status"]["key"].as_str().unwrap();
    std::fs::write(folder.join("probity.pub"), key).unwrap();
    std::fs::write(folder.join("probity-0.json"), log.to_string()).unwrap();
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let period = format!(
        "apiVersion: probity.dev/v1alpha1\nkind: AuditPeriod\nmetadata: {{ name: day }}\n\
         spec: {{ start: \"{today}\", end: \"{today}\", timeZone: UTC }}\n"
    );
    std::fs::write(folder.join("period.yaml"), period).unwrap();
    let fleet = folder.join("fleet");
    std::fs::create_dir(&fleet).unwrap();
    std::os::unix::fs::symlink(folder.join("evidence"), fleet.join("one")).unwrap();
}

/// What the examples call, where there is no cluster that runs pods. `run` ends after a while, as when it is told to.
fn stand_ins() -> String {
    let port = free_port().unwrap();
    format!(
        "kubectl() {{
            if [ \"$1\" != exec ]; then command kubectl \"$@\"; return; fi
            while [ \"$1\" != -- ]; do shift; done; shift; \"$@\"
        }}
        probity() {{
            if [ \"$1\" != run ]; then command probity \"$@\"; return; fi
            timeout --preserve-status -s TERM 8 probity \"$@\" --data-dir=running --metrics-address=127.0.0.1:{port}
        }}"
    )
}

/// Takes away what the examples need, also where one of them fails: the cluster is shared.
struct Left<'a>(&'a Turn);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for path in [
            format!("{BINDINGS}/contractors"),
            format!("{OURS}/accessreviews/{REVIEW}"),
            format!("{OURS}/controlpolicies/soc2-baseline"),
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
    let stand_ins = stand_ins();
    for command in COMMANDS {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{command} has no examples");
        for mut example in examples {
            if example.starts_with("exec ") {
                continue; // a line of a file
            }
            for (name, real) in &names {
                example = example.replace(name, real);
            }
            let example = example.replace("run --data-dir evidence", "run");
            let output = Command::new("bash")
                .args(["-o", "pipefail", "-c", &format!("{stand_ins}\n{example}")])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env("KUBECONFIG", &kubeconfig)
                .env("PROBITY_DATA_DIR", "evidence")
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
                let out = String::from_utf8_lossy(&output.stdout);
                assert_eq!(output.status.code(), Some(0), "{example}\n{said}\n{out}");
            }
        }
    }
}
