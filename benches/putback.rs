//! A managed network policy, deleted and back, against the least that anyone could do: a loop
//! that watches and creates, with the same client. Deletions alternate between the two.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use probity::cluster::client;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    Figure, Result,
    harness::{Cluster, Options},
    operator::Probity,
    stats::{Samples, show},
};

const ROUNDS: u32 = 120;
/// Between two deletions, so that each finds everything at rest.
const REST: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "deny";
const MANAGED: &str = "managed";
const BARE: &str = "bare";

/// Measures both in one run.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let cluster = Cluster::start(Options {
        etcd_fsync: true,
        ..Options::default()
    })?;
    for namespace in [MANAGED, BARE] {
        cluster.kubectl_ok(&["create", "namespace", namespace], None);
        cluster.kubectl_ok(
            &["apply", "-n", namespace, "-f", "-"],
            Some(&network_policy().to_string()),
        );
    }
    std::thread::sleep(Duration::from_secs(3)); // what is new gets a moment
    let policy = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy", "metadata": { "name": "soc2" },
        "spec": { "mode": "Enforce", "scope": { "include": [MANAGED] }, "limits": { "writesPerMinute": 6000 },
            "controls": { "netNamespaceDefaultDeny": {} } },
    });
    let mut probity = Probity::start(&cluster, &policy.to_string())?;
    let kubeconfig = cluster.kubeconfig().to_owned();
    let loop_config = kubeconfig.clone();
    std::thread::spawn(move || block_on(bare_loop(loop_config)));
    std::thread::sleep(Duration::from_secs(1));
    let measured = block_on(alternate(kubeconfig));
    probity.check()?;
    let (managed, bare) = measured.map_err(|error| format!("{error}\n{}", probity.tail()))?;
    let ratio = managed.percentile(50).as_secs_f64() / bare.percentile(50).as_secs_f64();
    Ok(vec![Figure {
        what: "a managed NetworkPolicy deleted to back, p50, against a bare watch-and-create loop",
        measured: format!(
            "{ratio:.2}× ({} against {}; p99 {} against {})",
            show(managed.percentile(50)),
            show(bare.percentile(50)),
            show(managed.percentile(99)),
            show(bare.percentile(99)),
        ),
        limit: "≤ 1.5×",
        kept: Some(ratio <= 1.5),
    }])
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(future)
}

fn network_policy() -> serde_json::Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": NAME },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    })
}

/// Creates what is deleted, and does nothing else.
async fn bare_loop(kubeconfig: PathBuf) -> Result<()> {
    let client = connect(&kubeconfig)?;
    let api: Api<NetworkPolicy> = Api::namespaced(client, BARE);
    let object: NetworkPolicy = serde_json::from_value(network_policy()).map_err(text)?;
    let version = version(&api).await?;
    let mut events = api
        .watch(&WatchParams::default().timeout(290), &version)
        .await
        .map_err(text)?
        .boxed();
    while let Some(event) = events.try_next().await.map_err(text)? {
        if let WatchEvent::Deleted(_) = event {
            api.create(&PostParams::default(), &object)
                .await
                .map_err(text)?;
        }
    }
    Err("the watch of the bare loop ended".to_owned())
}

/// Deletes here and there in turn.
async fn alternate(kubeconfig: PathBuf) -> Result<(Samples, Samples)> {
    let client = connect(&kubeconfig)?;
    let mut added = observe(client.clone()).await?;
    let mut samples: BTreeMap<&str, Samples> = BTreeMap::new();
    for round in 0..ROUNDS + 5 {
        for namespace in [MANAGED, BARE] {
            tokio::time::sleep(REST).await;
            let api: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
            api.delete(NAME, &DeleteParams::default())
                .await
                .map_err(text)?;
            let acknowledged = Instant::now();
            let back = tokio::time::timeout(PATIENCE, back_in(&mut added, namespace)).await;
            let back = back.map_err(|_| format!("nothing came back in {namespace}"))??;
            // The first ones are dry-run, and connections are still cold.
            if round >= 5 {
                let took = back.saturating_duration_since(acknowledged);
                samples.entry(namespace).or_default().push(took);
            }
        }
    }
    let mut of = |namespace| samples.remove(namespace).unwrap_or_default();
    Ok((of(MANAGED), of(BARE)))
}

/// Watches all namespaces; tells in which something appeared, and when.
async fn observe(client: kube::Client) -> Result<mpsc::UnboundedReceiver<(String, Instant)>> {
    let api: Api<NetworkPolicy> = Api::all(client);
    let version = version(&api).await?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut events = api
        .watch(&WatchParams::default().timeout(290), &version)
        .await
        .map_err(text)?
        .boxed();
    tokio::spawn(async move {
        while let Ok(Some(event)) = events.try_next().await {
            if let WatchEvent::Added(policy) = event
                && sender
                    .send((
                        policy.metadata.namespace.unwrap_or_default(),
                        Instant::now(),
                    ))
                    .is_err()
            {
                break;
            }
        }
    });
    Ok(receiver)
}

async fn back_in(
    added: &mut mpsc::UnboundedReceiver<(String, Instant)>,
    namespace: &str,
) -> Result<Instant> {
    while let Some((at, when)) = added.recv().await {
        if at == namespace {
            return Ok(when);
        }
    }
    Err("the observer's watch ended".to_owned())
}

fn connect(kubeconfig: &std::path::Path) -> Result<kube::Client> {
    client::connect(Some(kubeconfig), None)
        .map(|connection| connection.client)
        .map_err(text)
}

async fn version(api: &Api<NetworkPolicy>) -> Result<String> {
    let list = api.list(&ListParams::default()).await.map_err(text)?;
    Ok(list.metadata.resource_version.unwrap_or_default())
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
fn text(error: impl ToString) -> String {
    error.to_string()
}
