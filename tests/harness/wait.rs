//! Waiting for parts of the control plane.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::{Result, kubeconfig};

/// A control plane is ready within seconds, on a busy machine within tens of them.
const DEADLINE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(50);
/// One attempt: a stopped server accepts connections and never answers.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Runs async code from anywhere: on a thread and a runtime of its own.
pub(crate) fn block_on<T: Send, F: Future<Output = Result<T>>>(
    work: impl FnOnce() -> F + Send,
) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| format!("runtime: {e}"))?
                .block_on(work())
        });
        worker
            .join()
            .unwrap_or_else(|_| Err("waiting panicked".into()))
    })
}

/// Waits until `attempt` is `Ok`; gives up when `check` fails or time is up.
async fn until<F: Future<Output = Result<()>>>(
    what: &str,
    check: &(dyn Fn() -> Result<()> + Sync),
    attempt: impl Fn() -> F,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let outcome = match tokio::time::timeout(ATTEMPT, attempt()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer".into()),
        };
        let Err(error) = outcome else { return Ok(()) };
        check()?;
        if started.elapsed() > DEADLINE {
            return Err(format!("{what} after {DEADLINE:?}: {error}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the API server answers that it is ready.
pub(crate) fn for_api_server(
    kubeconfig: &Path,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<()> {
    block_on(|| async {
        let client = kubeconfig::client(kubeconfig).await?;
        until("the API server is not ready", check, || ready(&client)).await
    })
}

async fn ready(client: &Client) -> Result<()> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .map_err(|e| e.to_string())?;
    let answer = client.request_text(request).await;
    match answer.map_err(|e| e.to_string())?.as_str() {
        "ok" => Ok(()),
        other => Err(format!("/readyz answers {other}")),
    }
}

/// Waits until a namespace has its default service account: pods can't be created before.
pub(crate) fn for_service_account(
    kubeconfig: &Path,
    namespace: &str,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<()> {
    block_on(|| async {
        let client = kubeconfig::client(kubeconfig).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let accounts = &accounts;
        until("no default service account", check, || async move {
            match accounts.get_opt("default").await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("not found".into()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    })
}

/// Creates fake nodes, which kwok then plays.
pub(crate) fn create_nodes(kubeconfig: &Path, count: u32) -> Result<()> {
    block_on(|| async {
        let nodes: Api<Node> = Api::all(kubeconfig::client(kubeconfig).await?);
        for number in 1..=count {
            let name = format!("node-{number}");
            let node = serde_json::from_value(serde_json::json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": &name,
                    "annotations": { "kwok.x-k8s.io/node": "fake" },
                    "labels": {
                        "kubernetes.io/hostname": &name,
                        "kubernetes.io/os": "linux",
                        "kubernetes.io/arch": "amd64",
                    },
                },
            }))
            .map_err(|e| e.to_string())?;
            nodes
                .create(&kube::api::PostParams::default(), &node)
                .await
                .map_err(|e| format!("node {name}: {e}"))?;
        }
        Ok(())
    })
}

/// Waits until `count` nodes are ready.
pub(crate) fn for_nodes(
    kubeconfig: &Path,
    count: u32,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<()> {
    block_on(|| async {
        let nodes: Api<Node> = Api::all(kubeconfig::client(kubeconfig).await?);
        let nodes = &nodes;
        until("nodes are not ready", check, || async move {
            let list = nodes.list(&ListParams::default()).await;
            let unready: Vec<String> = list
                .map_err(|e| e.to_string())?
                .items
                .iter()
                .filter(|node| !is_ready(node))
                .map(ResourceExt::name_any)
                .collect();
            if unready.is_empty() {
                Ok(())
            } else {
                Err(format!("{} of {count}: {unready:?}", unready.len()))
            }
        })
        .await
    })
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|c| c.type_ == "Ready"));
    ready.is_some_and(|condition| condition.status == "True")
}
