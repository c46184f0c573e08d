//! The control planes of these tests themselves.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ListParams};

use crate::harness::{Cluster, Options, Result, crds, shared};

/// Without the parts that a test doesn't look at.
fn bare() -> Options {
    Options {
        controller_manager: false,
        scheduler: false,
        ..Options::default()
    }
}

/// Whether a process runs; one that was killed and not waited for doesn't count.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_deployment_becomes_available_on_fake_nodes() {
    let cluster = shared();
    let namespace = cluster.namespace("lifecycle");
    let manifest = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: web }] }
";
    cluster.kubectl_ok(&["apply", "-n", &namespace, "-f", "-"], Some(manifest));
    cluster.kubectl_ok(
        &[
            "wait",
            "-n",
            &namespace,
            "--for=condition=Available",
            "deployment/web",
            "--timeout=60s",
        ],
        None,
    );
}

#[test]
fn a_job_completes() {
    let cluster = shared();
    let namespace = cluster.namespace("lifecycle");
    cluster.kubectl_ok(
        &["create", "job", "once", "--image=once", "-n", &namespace],
        None,
    );
    cluster.kubectl_ok(
        &[
            "wait",
            "-n",
            &namespace,
            "--for=condition=Complete",
            "job/once",
            "--timeout=60s",
        ],
        None,
    );
}

#[test]
fn users_are_who_their_kubeconfig_says() -> Result<()> {
    let cluster = shared();
    let namespace = cluster.namespace("users");
    let who = |kubeconfig: &Path| {
        let path = kubeconfig.display().to_string();
        cluster.kubectl_ok(
            &["auth", "whoami", "-o", "json", "--kubeconfig", &path],
            None,
        )
    };
    let user = who(&cluster.kubeconfig_for("ada", &["red", "blue"])?);
    for name in ["\"ada\"", "\"red\"", "\"blue\""] {
        assert!(user.contains(name), "{name} is missing in {user}");
    }
    let token = cluster.kubectl_ok(&["create", "token", "default", "-n", &namespace], None);
    let account = who(&cluster.kubeconfig_for_token(token.trim())?);
    let name = format!("system:serviceaccount:{namespace}:default");
    assert!(account.contains(&name), "{name} is missing in {account}");
    Ok(())
}

#[test]
fn neighbours_crds_apply() -> Result<()> {
    let cluster = shared();
    for neighbour in ["velero", "cert-manager", "snapshot"] {
        let folder = crds(neighbour)?.display().to_string();
        cluster.kubectl_ok(&["apply", "--server-side", "-f", &folder], None);
    }
    Ok(())
}

#[test]
fn helm_runs() {
    let output = shared().helm_ok(&["list", "--all-namespaces"]);
    assert!(output.contains("NAMESPACE"), "{output}");
}

#[tokio::test]
async fn clusters_run_side_by_side() -> Result<()> {
    let (one, two) = (Cluster::start(bare())?, Cluster::start(bare())?);
    one.kubectl_ok(&["create", "namespace", "only-here"], None);
    let here: Api<Namespace> = Api::all(one.client().await?);
    let there: Api<Namespace> = Api::all(two.client().await?);
    let found = |api: Api<Namespace>| async move {
        let found = api.get_opt("only-here").await;
        found.map(|n| n.is_some()).map_err(|e| e.to_string())
    };
    assert!(found(here).await?);
    assert!(!found(there).await?);
    Ok(())
}

#[tokio::test]
async fn options_reach_the_server() -> Result<()> {
    let cluster = Cluster::start(Options {
        encryption_config: Some(
            "
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: { keys: [{ name: k1, secret: c2l4dGVlbi1ieXRlLWtleXNpeHRlZW4tYnl0ZS1rZXk= }] }
"
            .to_owned(),
        ),
        audit_policy: Some(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n".to_owned(),
        ),
        etcd_fsync: true,
        ..bare()
    })?;
    cluster.kubectl_ok(
        &[
            "create",
            "secret",
            "generic",
            "canary",
            "--from-literal=a=b",
        ],
        None,
    );
    let metrics = cluster.kubectl_ok(&["get", "--raw", "/metrics"], None);
    assert!(metrics.contains("transformer_prefix=\"k8s:enc:secretbox:v1:\""));
    eventually("the write is in the audit log", || {
        std::fs::read_to_string(cluster.audit_log()).is_ok_and(|log| log.contains("canary"))
    });

    let second = cluster.second_apiserver()?;
    let secrets: Api<Secret> = Api::default_namespaced(second.client().await?);
    let list = secrets.list(&ListParams::default()).await;
    assert_eq!(list.map_err(|e| e.to_string())?.items.len(), 1);
    Ok(())
}

#[test]
fn servers_fail_and_come_back_on_demand() -> Result<()> {
    let cluster = Cluster::start(bare())?;
    let answers = |seconds: &str| {
        let timeout = format!("--request-timeout={seconds}s");
        let output = cluster.kubectl(&["get", "namespace", "default", &timeout]);
        output.status.success()
    };
    assert!(answers("30"));
    cluster.pause_apiserver()?;
    assert!(!answers("2"));
    cluster.resume_apiserver()?;
    assert!(answers("30"));
    cluster.restart_apiserver()?;
    assert!(answers("30"));
    cluster.kill_etcd();
    assert!(!answers("2"));
    cluster.restart_etcd()?;
    eventually("the server has its etcd back", || answers("5"));
    Ok(())
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let options = Options {
        apiserver_args: vec!["--no-such-flag".to_owned()],
        ..bare()
    };
    let error = Cluster::start(options).expect_err("it can't start");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let (send, receive) = channel::<(Vec<u32>, PathBuf)>();
    let holder = thread::spawn(move || {
        let cluster = Cluster::start(Options {
            kwok_nodes: 1,
            ..Options::default()
        })
        .expect("a cluster");
        // A stopped process must end as well.
        cluster.pause_apiserver().expect("the server runs");
        send.send((cluster.pids(), cluster.folder().to_owned()))
            .expect("the test waits");
        panic!("on purpose");
    });
    let (pids, folder) = receive.recv().expect("a cluster was up");
    assert_eq!(pids.len(), 6, "etcd, server, 3 clients and the remover");
    assert!(holder.join().is_err());
    for pid in pids {
        assert!(!alive(pid), "process {pid} is left");
    }
    assert!(!folder.exists(), "{} is left", folder.display());
}
