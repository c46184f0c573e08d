//! The API servers, each under its own address: where they are, how to talk to one alone, and how
//! to read its counters.

use std::time::Duration;

use futures::{AsyncBufReadExt, AsyncReadExt};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client, Config, api::ListParams};

/// For every call but a scrape.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// A scrape of a large cluster's server is tens of megabytes, made on the spot.
const SCRAPE_DEADLINE: Duration = Duration::from_secs(20);
/// No scrape is larger; a server that sends more is not listened to any longer.
const SCRAPE_LIMIT: u64 = 512 << 20;
/// The name that every API server's certificate holds.
pub(super) const SERVER_NAME: &str = "kubernetes.default.svc";

/// Which API servers to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// URLs of all of them, used where `EndpointSlice`s don't list them.
    pub endpoints: Vec<String>,
    /// How many at most.
    pub most: usize,
}

/// Where the API servers are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Servers {
    /// URLs; empty where only our own is known.
    pub(super) urls: Vec<String>,
    /// Whether these are all.
    pub(super) all: bool,
}

/// The addresses of all API servers.
pub(super) async fn find(client: &Client, which: &Which) -> Servers {
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
        urls.clone_from(&which.endpoints);
    }
    if urls.is_empty() {
        return Servers::default();
    }
    limited(urls, which.most)
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
pub(super) fn address(url: &str) -> &str {
    url.trim_start_matches("https://").trim_end_matches('/')
}

/// A client for one server, with the trust and credentials of `config`.
pub(super) fn direct(config: &Config, url: &str) -> Result<Client, String> {
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

/// Reads the counters, line by line.
pub(super) async fn scrape(client: &Client, mut line: impl FnMut(&str)) -> Result<(), String> {
    let reading = async {
        let request = http::Request::get("/metrics").body(Vec::new());
        let request = request.map_err(|error| Failure::Answer(error.to_string()))?;
        let body = client.request_stream(request).await?;
        let mut lines = body.take(SCRAPE_LIMIT).lines();
        while let Some(text) = futures::StreamExt::next(&mut lines).await {
            line(&text.map_err(|error| Failure::Silence(error.to_string()))?);
        }
        Ok(())
    };
    let read: Result<(), Failure> = match tokio::time::timeout(SCRAPE_DEADLINE, reading).await {
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

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
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
            other => Self::Silence(super::client::chain(&other)),
        }
    }
}

pub(super) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
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
