//! From nothing to drift that is put back, in one command: `make demo`.
//!
//! A control plane, workloads, the chart and the baseline policy in Enforce; then one thing is
//! broken in each family, and the time is measured until it is back. It ends by itself, or with
//! `KEEP=1` on Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "demo/breaks.rs"]
mod breaks;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "demo/operator.rs"]
mod operator;
#[path = "demo/report.rs"]
mod report;
#[path = "demo/say.rs"]
mod say;

use harness::{Cluster, Options, Result, crds};
use operator::Operator;
use say::{say, step, warn};

/// Where the chart is installed.
const NAMESPACE: &str = "probity-system";
/// Release, and service account of the operator.
const RELEASE: &str = "probity";
/// The families whose enforcement the chart is to permit.
const FAMILIES: [&str; 5] = ["encryption", "rbac", "network", "backup", "workload"];

/// Secrets are encrypted before they are stored: a control checks that.
const ENCRYPTION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox: { keys: [{ name: demo, secret: c2l4dGVlbi1ieXRlLWtleXNpeHRlZW4tYnl0ZS1rZXk= }] }
      - identity: {}
";

fn main() -> ExitCode {
    // Ctrl-C ends this process at once; the harness sees to it that all others end with it.
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    say(
        "The nodes are simulated, so nothing in a pod really runs: the chart is installed with\n\
         replicas: 0, and the real operator runs beside the cluster, with a token of the chart's\n\
         own ServiceAccount. The API server, etcd, the scheduler and the controllers are real.",
    );
    step("A control plane with 3 nodes");
    let cluster = Cluster::start(Options {
        kwok_nodes: 3,
        encryption_config: Some(ENCRYPTION.to_owned()),
        ..Options::default()
    })?;
    step("Workloads: 3 Deployments, NetworkPolicies, an Ingress with TLS, Velero's schedules");
    workloads(&cluster)?;
    step("helm install probity charts/probity, with the right to enforce every family");
    let kubeconfig = install(&cluster)?;
    step("kubectl apply -f examples/policies/soc2-baseline.yaml, with mode: Enforce");
    apply_baseline(&cluster);
    step("The operator");
    let operator = Operator::start(&cluster, &kubeconfig, NAMESPACE)?;
    operator.wait_settled(&cluster)?;

    step("One thing is broken in each family");
    let lost = breaks::run(&cluster, &operator)?;
    report::print(&cluster, &operator)?;
    if lost.is_empty() {
        if keeps() {
            stay(&cluster, &operator)?;
        }
        step("Ending");
        operator.stop()?;
        return cluster.check();
    }
    Err(format!("not put back: {}", lost.join(", ")))
}

/// Whether everything is to stay up afterwards.
fn keeps() -> bool {
    std::env::var_os("KEEP").is_some_and(|value| !value.is_empty() && value != "0")
}

/// What the project is in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workloads(cluster: &Cluster) -> Result<()> {
    let velero = crds("velero")?;
    let velero = velero.to_string_lossy();
    cluster.kubectl_ok(&["apply", "--server-side", "-f", &velero], None);
    cluster.serves_crds();
    cluster.kubectl_ok(
        &["apply", "-f", "-"],
        Some(include_str!("demo/workloads.yaml")),
    );
    let rolled_out = [
        "wait",
        "deployment",
        "--all",
        "-A",
        "--for=condition=Available",
    ];
    cluster.kubectl_ok(&rolled_out, None);
    let now = format!("{:?}", jiff::Timestamp::now().to_string());
    let backups = include_str!("demo/backups.yaml").replace(": NOW", &format!(": {now}"));
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&backups));
    Ok(())
}

/// Installs the chart and returns a kubeconfig with a token of its service account.
fn install(cluster: &Cluster) -> Result<PathBuf> {
    let chart = root().join("charts/probity");
    let mut args: Vec<String> = ["install", RELEASE, &chart.to_string_lossy(), "--namespace"]
        .map(str::to_owned)
        .into();
    args.extend([NAMESPACE, "--create-namespace", "--set", "replicas=0"].map(str::to_owned));
    for family in FAMILIES {
        args.extend(["--set".to_owned(), format!("enforcement.{family}=true")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    cluster.helm_ok(&args);
    let token = [
        "create",
        "token",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--duration=24h",
    ];
    cluster.kubeconfig_for_token(cluster.kubectl_ok(&token, None).trim())
}

/// Applies the baseline in Enforce, with what only the owner of a cluster can know: who may do
/// what, and where its API servers are.
fn apply_baseline(cluster: &Cluster) {
    let file = root().join("examples/policies/soc2-baseline.yaml");
    let file = file.to_string_lossy();
    let ours = include_str!("demo/policy.yaml").replace("API-SERVER", cluster.apiserver().url());
    let patch = [
        "patch",
        "--local",
        "-f",
        &file,
        "--type=merge",
        "-p",
        &ours,
        "-o",
        "yaml",
    ];
    let policy = cluster.kubectl_ok(&patch, None);
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&policy));
}

/// Keeps everything up until Ctrl-C.
fn stay(cluster: &Cluster, operator: &Operator) -> Result<()> {
    step("Everything stays up until Ctrl-C");
    say(&format!(
        "export KUBECONFIG={} PATH={}:$PATH\nkubectl get ctlp\n{} log --data-dir {}\ncurl {}",
        cluster.kubeconfig().display(),
        cluster.bin().display(),
        operator.program().display(),
        operator.data_dir().display(),
        operator.metrics_url(),
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome.map_err(|e| e.to_string()),
            _ = terminate.recv() => Ok(()),
        }
    })
}
