//! The encryption canary: writes a Secret through each API server and reads that server's
//! counters before and after.
//!
//! Rights: `get` on the non-resource URL `/metrics` (role `system:monitoring`); in Probity's
//! namespace `create` on Secrets, and `get` and `update` on the one named [`SECRET`]; `list` on
//! `EndpointSlice`s in namespace `default`.

use std::{collections::BTreeMap, time::Duration};

use futures::{AsyncBufReadExt, AsyncReadExt};
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Secret, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Config,
    api::{ListParams, ObjectMeta, PostParams},
};

use crate::{
    analysis::canary::{Scrape, compare, platform},
    engine::{Canary, CanaryRun},
    inventory::meta::{MANAGED_BY, MANAGER},
};

/// Name of the Secret.
pub const SECRET: &str = "probity-canary";

/// For every call but a scrape.
const DEADLINE: Duration = Duration::from_secs(5);
/// A scrape of a large cluster's server is tens of megabytes, made on the spot.
const SCRAPE_DEADLINE: Duration = Duration::from_secs(20);
/// No scrape is larger; a server that sends more is not listened to any longer.
const SCRAPE_LIMIT: u64 = 512 << 20;
/// A write is counted after it is answered: how long to wait for that before the second try.
const PAUSE: Duration = Duration::from_millis(250);
/// The name that every API server's certificate holds.
const SERVER_NAME: &str = "kubernetes.default.svc";

/// What to do in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryConfig {
    /// Namespace of the Secret: the operator's own.
    pub namespace: String,
    /// Name of the Secret: [`SECRET`].
    pub name: String,
    /// URLs of all API servers, used where `EndpointSlice`s don't list them.
    pub endpoints: Vec<String>,
    /// API servers that are probed at most.
    pub max_replicas: usize,
}

/// Where the API servers are.
#[derive(Debug, PartialEq, Eq)]
struct Servers {
    /// URLs.
    urls: Vec<String>,
    /// Whether these are all.
    all: bool,
}

/// Probes every API server, one after the other: the Secret is one.
///
/// `config` is what `client` was made of: each server is reached with the same credentials and
/// trust, under its own address.
pub async fn run(client: &Client, config: &Config, canary: &CanaryConfig) -> CanaryRun {
    let own = config.cluster_url.to_string();
    let servers = servers(client, canary).await;
    let mut replicas = BTreeMap::new();
    let (all, urls) = servers.map_or((false, Vec::new()), |s| (s.all, s.urls));
    for url in &urls {
        replicas.insert(address(url).into(), replica(config, url, canary).await);
    }
    if urls.is_empty() {
        replicas.insert(address(&own).into(), probe_twice(client, canary).await);
    }
    let version = within(client.apiserver_version()).await;
    let version = version.map(|info| info.git_version).unwrap_or_default();
    CanaryRun {
        at: Timestamp::now(),
        all_replicas_known: all,
        platform: platform(&version, config.cluster_url.host().unwrap_or_default()).map(Into::into),
        replicas,
    }
}

/// The addresses of all API servers; `None` where only our own is known.
async fn servers(client: &Client, canary: &CanaryConfig) -> Option<Servers> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let of_kubernetes = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let mut urls = match within(slices.list(&of_kubernetes)).await {
        Ok(slices) => slices.items.iter().flat_map(addresses).collect(),
        Err(error) => {
            tracing::warn!(%error, "can't list the API servers: list on endpointslices in namespace default");
            Vec::new()
        }
    };
    if urls.is_empty() {
        urls.clone_from(&canary.endpoints);
    }
    (!urls.is_empty()).then(|| limited(urls, canary.max_replicas))
}

/// At most so many, without duplicates.
fn limited(mut urls: Vec<String>, most: usize) -> Servers {
    urls.sort();
    urls.dedup();
    let all = urls.len() <= most;
    urls.truncate(most.max(1));
    Servers { urls, all }
}

/// The URLs that a slice lists.
fn addresses(slice: &EndpointSlice) -> Vec<String> {
    let ports = slice.ports.iter().flatten();
    let https = ports
        .clone()
        .find(|port| port.name.as_deref() == Some("https"));
    let port = https
        .or(ports.clone().next())
        .and_then(|port| port.port)
        .unwrap_or(443);
    let hosts = slice
        .endpoints
        .iter()
        .flatten()
        .flat_map(|endpoint| &endpoint.addresses);
    hosts
        .map(|host| {
            if host.contains(':') {
                format!("https://[{host}]:{port}")
            } else {
                format!("https://{host}:{port}")
            }
        })
        .collect()
}

/// Host and port of a URL: how a replica is called.
fn address(url: &str) -> &str {
    url.trim_start_matches("https://").trim_end_matches('/')
}

/// Probes one server under its own address.
async fn replica(config: &Config, url: &str, canary: &CanaryConfig) -> Canary {
    match direct(config, url) {
        Ok(client) => probe_twice(&client, canary).await,
        Err(why) => Canary::Unclear(why),
    }
}

/// A client for one server, with the trust and credentials of `config`.
fn direct(config: &Config, url: &str) -> Result<Client, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("can't talk to {url}: {error}");
    let mut config = config.clone();
    config.cluster_url = url.parse().map_err(|error| wrong(&error))?;
    // Never by address: kubelets may hold certificates of the same authority for addresses, and
    // must not get our token. Besides, few API servers' certificates hold their address.
    config.tls_server_name = Some(SERVER_NAME.to_owned());
    config.connect_timeout = Some(DEADLINE);
    // A hidden retry would be a write that nobody counts on; a proxy would hide the server.
    config.default_retry = false;
    config.proxy_url = None;
    Client::try_from(config).map_err(|error| wrong(&error))
}

/// Probes a server, again where it was unclear: a counter may lag, a configuration be reloading.
async fn probe_twice(client: &Client, canary: &CanaryConfig) -> Canary {
    match probe(client, canary).await {
        Ok(Canary::Unclear(_)) => {
            tokio::time::sleep(PAUSE).await;
            probe(client, canary).await.unwrap_or_else(Canary::Unclear)
        }
        other => other.unwrap_or_else(Canary::Unclear),
    }
}

async fn probe(client: &Client, canary: &CanaryConfig) -> Result<Canary, String> {
    let before = scrape(client).await?;
    write(client, canary).await?;
    let after = scrape(client).await?;
    let seen = compare(&before, &after);
    if !matches!(seen, Canary::Unclear(_)) {
        return Ok(seen);
    }
    // The answer to a write may overtake its counter.
    tokio::time::sleep(PAUSE).await;
    Ok(compare(&before, &scrape(client).await?))
}

/// Reads the counters.
async fn scrape(client: &Client) -> Result<Scrape, String> {
    let reading = async {
        let request = http::Request::get("/metrics").body(Vec::new());
        let request = request.map_err(|error| Failure::Answer(error.to_string()))?;
        let body = client.request_stream(request).await?;
        let mut lines = body.take(SCRAPE_LIMIT).lines();
        let mut scrape = Scrape::default();
        while let Some(line) = futures::StreamExt::next(&mut lines).await {
            scrape.line(&line.map_err(|error| Failure::Silence(error.to_string()))?);
        }
        Ok(scrape)
    };
    let read: Result<Scrape, Failure> = match tokio::time::timeout(SCRAPE_DEADLINE, reading).await {
        Ok(read) => read,
        Err(_) => Err(Failure::Silence("no answer in time".to_owned())),
    };
    read.map_err(|error| match error {
        Failure::Answer(_) => {
            format!("/metrics can't be read: {error}; bind ClusterRole system:monitoring")
        }
        Failure::Silence(_) => format!("/metrics can't be read: {error}"),
    })
}

/// Writes the Secret, then reads it back from storage.
async fn write(client: &Client, canary: &CanaryConfig) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &canary.namespace);
    let missing = |verb: &str, error: Failure| {
        format!(
            "can't {verb} Secret {}/{}: {error}",
            canary.namespace, canary.name
        )
    };
    let known = within(secrets.get_opt(&canary.name)).await;
    let known = known.map_err(|error| missing("get", error))?;
    let fresh = content(canary, known.as_ref());
    let post = PostParams::default();
    let written = match known {
        Some(_) => within(secrets.replace(&canary.name, &post, &fresh))
            .await
            .map_err(|e| missing("update", e))?,
        None => within(secrets.create(&post, &fresh))
            .await
            .map_err(|e| missing("create", e))?,
    };
    // Without a resource version the answer comes from storage, not from a cache.
    let stored = within(secrets.get(&canary.name))
        .await
        .map_err(|error| missing("get", error))?;
    if stored.metadata.uid != written.metadata.uid || stored.data != written.data {
        return Err(format!(
            "Secret {} was changed by someone else meanwhile",
            canary.name
        ));
    }
    Ok(())
}

/// The Secret with content that differs each time: an update that changes nothing stores nothing.
fn content(canary: &CanaryConfig, known: Option<&Secret>) -> Secret {
    let note = "Written by Probity to see whether API servers encrypt Secrets. Holds no secret.";
    let data = [
        ("note", note.to_owned()),
        ("written", Timestamp::now().to_string()),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(canary.name.clone()),
            namespace: Some(canary.namespace.clone()),
            labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
            resource_version: known.and_then(|known| known.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        string_data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        ..Secret::default()
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The server answered.
    #[error("{0}")]
    Answer(String),
    /// It did not, or its certificate is not trusted.
    #[error("{0}")]
    Silence(String),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Answer(status.message.clone()),
            other => Self::Silence(chain(&other)),
        }
    }
}

/// An error with its causes: the outermost alone says nothing of the certificate.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Silence("no answer in time".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_become_urls() {
        let slice = serde_json::json!({
            "metadata": { "name": "kubernetes" }, "addressType": "IPv4",
            "ports": [{ "name": "other", "port": 1 }, { "name": "https", "port": 6443 }],
            "endpoints": [{ "addresses": ["10.0.0.2"] }, { "addresses": ["fd00::1"] }],
        });
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        assert_eq!(
            addresses(&slice),
            ["https://10.0.0.2:6443", "https://[fd00::1]:6443"]
        );
    }

    #[test]
    fn more_servers_than_are_probed_are_not_all() {
        let urls = |n: u8| {
            (0..n)
                .map(|i| format!("https://10.0.0.{i}:6443"))
                .collect::<Vec<_>>()
        };
        assert!(limited(urls(9), 9).all);
        let servers = limited(urls(10), 9);
        assert_eq!((servers.urls.len(), servers.all), (9, false));
    }
}
