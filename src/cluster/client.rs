//! The connection to the API server, configured rather than default.
//!
//! No retry happens below the caller: a hidden retry of minutes would look like a healthy, slow server, and a repeated
//! write would no longer be the write that the evidence log announced. Every call has a deadline, and every failure
//! one of a few classes.

mod call;
mod choice;

use std::path::Path;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::Config;
use tower::{BoxError, ServiceBuilder, timeout::TimeoutLayer};

pub(crate) use call::chain;
pub use call::{CallError, within};
pub use choice::Choice;

/// How long a call may take before it counts as failed.
pub mod deadline {
    use std::time::Duration;

    /// Establishing a TCP connection.
    pub const CONNECT: Duration = Duration::from_secs(5);
    /// One object read, or one small answer.
    pub const READ: Duration = Duration::from_secs(5);
    /// One object written. A write that timed out may still have been carried out: read before repeating it.
    pub const WRITE: Duration = Duration::from_secs(5);
    /// One page of a list, first byte to last.
    pub const LIST: Duration = Duration::from_mins(1);
}

/// What is sent as user agent, and so what API server audit logs show.
pub const AGENT: &str = concat!("probity/", env!("CARGO_PKG_VERSION"));

/// Silence after which TCP asks whether the peer still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered questions after which the connection is dead.
const KEEPALIVE_RETRIES: u32 = 3;
/// Time that sent bytes may stay unacknowledged. Without it the kernel resends into a dead path for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// A client together with where it leads.
#[derive(Clone)]
pub struct Connection {
    /// Sends requests. Cloning it is cheap and shares the connections.
    pub client: kube::Client,
    /// Address of the API server.
    pub cluster_url: String,
    /// Namespace of the context, or of the pod.
    pub namespace: String,
    /// What the client was made of: other addresses of the same cluster are reached with it.
    pub config: kube::Config,
}

/// Why there is no usable connection. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig is absent, unreadable or contradictory.
    #[error(
        "can't use {file}: {reason}; check it with `kubectl config view`, or pass another file with --kubeconfig"
    )]
    Kubeconfig {
        /// The file, or where it was looked for.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The context that was asked for isn't in the kubeconfig.
    #[error("there is no context {name:?} in {file}; it has: {known}")]
    Context {
        /// The context that was asked for.
        name: String,
        /// The file, or where it was looked for.
        file: String,
        /// The contexts that are there, separated by commas.
        known: String,
    },
    /// Neither a kubeconfig nor a pod's service account.
    #[error(
        "no kubeconfig found and not running in a pod ({reason}); pass --kubeconfig, or set KUBECONFIG, or mount a service account token"
    )]
    Nowhere {
        /// Why the pod's credentials could not be used.
        reason: String,
    },
    /// A part of the kubeconfig that was asked for isn't in it.
    #[error("there is no {what} {name:?} in {file}; it has: {known}")]
    Entry {
        /// `cluster` or `user`.
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// The file, or where it was looked for.
        file: String,
        /// The names that are there, separated by commas.
        known: String,
    },
    /// An argument can't be used.
    #[error("{argument} {value:?} can't be used: {reason}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// What it was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy stands between, which is not supported.
    #[error(
        "a proxy ({proxy}) is configured for {url}, and proxies are not supported; unset HTTPS_PROXY, list the server in NO_PROXY, or remove proxy-url from the kubeconfig"
    )]
    Proxy {
        /// The proxy's address.
        proxy: String,
        /// Address of the API server.
        url: String,
    },
    /// Certificates, keys, tokens or the credential plugin are not usable.
    #[error(
        "can't use the credentials for {url}: {reason}; try `kubectl version` with the same kubeconfig"
    )]
    Credentials {
        /// Address of the API server.
        url: String,
        /// What is wrong with them.
        reason: String,
    },
    /// No answer, or none that is Kubernetes.
    #[error(
        "can't reach the API server at {url}: {reason}; check that it runs and that this machine may connect to it"
    )]
    Unreachable {
        /// Address of the API server.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// For example `v1.37.2`.
    pub git_version: String,
    /// The second number of the version; 0 if it can't be read.
    pub minor: u32,
}

/// Prepares a connection: from the kubeconfig at `path`, else from `KUBECONFIG` or the home folder, else from the pod.
///
/// `context` chooses a context of the kubeconfig; without it the current one is used. Nothing is sent yet (see
/// [`probe`]), but a credential plugin may run. Must be called within a Tokio runtime.
pub fn connect(path: Option<&Path>, context: Option<&str>) -> Result<Connection, ConnectError> {
    connect_to(&Choice {
        kubeconfig: path.map(Path::to_owned),
        context: context.map(str::to_owned),
        ..Choice::default()
    })
}

/// Prepares a connection as [`connect`] does, with what was chosen instead of what the kubeconfig says.
pub fn connect_to(choice: &Choice) -> Result<Connection, ConnectError> {
    let mut config = choice.load()?;
    let url = config.cluster_url.to_string();
    if let Some(proxy) = &config.proxy_url
        && !goes_direct(config.cluster_url.host().unwrap_or_default(), &no_proxy())
    {
        return Err(ConnectError::Proxy {
            proxy: proxy.to_string(),
            url,
        });
    }
    fits_a_header(&config).map_err(|reason| ConnectError::Credentials {
        url: url.clone(),
        reason,
    })?;
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let namespace = config.default_namespace.clone();
    let client = build(&config, choice.timeout).map_err(|error| ConnectError::Credentials {
        url: url.clone(),
        reason: chain(&error),
    })?;
    Ok(Connection {
        client,
        cluster_url: url,
        config,
        namespace,
    })
}

/// Asks for the server's version, to fail early and clearly.
pub async fn probe(connection: &Connection) -> Result<ServerVersion, ConnectError> {
    let url = connection.cluster_url.clone();
    match within(deadline::READ, connection.client.apiserver_version()).await {
        Ok(info) => {
            let digits: String = info
                .minor
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            Ok(ServerVersion {
                git_version: info.git_version,
                minor: digits.parse().unwrap_or_default(),
            })
        }
        Err(error @ (CallError::Unauthorized { .. } | CallError::Forbidden { .. })) => {
            Err(ConnectError::Credentials {
                url,
                reason: error.to_string(),
            })
        }
        Err(CallError::Unreachable { message }) => Err(ConnectError::Unreachable {
            url,
            reason: message,
        }),
        Err(error) => Err(ConnectError::Unreachable {
            url,
            reason: error.to_string(),
        }),
    }
}

/// Whether the token can be sent: the layer that sends it panics over one that can't.
fn fits_a_header(config: &Config) -> Result<(), String> {
    // What is secret is read by what serialises it, or another crate would be needed for one word.
    let user = serde_json::to_value(&config.auth_info).map_err(|error| error.to_string())?;
    match user["token"].as_str().map(HeaderValue::from_str) {
        Some(Err(_)) => Err(
            "the token holds a character that no header may have, such as a line break".to_owned(),
        ),
        _ => Ok(()),
    }
}

/// kube's layers for address, credentials and headers, over a connector with our own socket options.
///
/// kube's default stack would add retries (up to 15, also of creations) and leave Nagle's algorithm on and keepalive
/// off. TLS uses ring: the only provider that is compiled in, so rustls chooses it by itself.
fn build(config: &Config, timeout: Option<Duration>) -> kube::Result<kube::Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(deadline::CONNECT));
    tcp.set_keepalive(Some(KEEPALIVE_IDLE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let http =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .option_layer(timeout.map(TimeoutLayer::new))
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

fn no_proxy() -> String {
    ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_default()
}

/// Whether the usual rules send requests to `host` past a proxy: loopback always, else by name or domain suffix.
fn goes_direct(host: &str, no_proxy: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    let listed = no_proxy
        .split(',')
        .map(|entry| entry.trim().trim_start_matches('.'))
        .filter(|entry| !entry.is_empty());
    loopback
        || host == "localhost"
        || listed.into_iter().any(|entry| {
            entry == "*"
                || host
                    .strip_suffix(entry)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "namespace": "here"}},
                     {"name": "two", "context": {"cluster": "c"}},
                     {"name": "bad", "context": {"cluster": "nowhere"}}]}"#;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn failure(text: &str, context: Option<&str>) -> String {
        connect(Some(file(text).path()), context)
            .err()
            .unwrap()
            .to_string()
    }

    #[tokio::test]
    async fn a_context_gives_address_and_namespace() {
        let file = file(TWO);
        let current = connect(Some(file.path()), None).unwrap();
        assert_eq!(
            (current.cluster_url.as_str(), current.namespace.as_str()),
            ("https://127.0.0.1:1/", "here")
        );
        assert_eq!(
            connect(Some(file.path()), Some("two")).unwrap().namespace,
            "default"
        );
    }

    #[tokio::test]
    async fn every_failure_to_connect_says_what_is_wrong_in_one_line() {
        assert!(failure(TWO, Some("three")).contains("no context \"three\""));
        assert!(failure(TWO, Some("three")).ends_with("it has: one, two, bad"));
        assert!(failure(TWO, Some("bad")).contains("cluster of context: nowhere"));
        assert!(failure("{", None).contains("YAML"));
        let absent = connect(Some(Path::new("/nonexistent/config")), None)
            .err()
            .unwrap()
            .to_string();
        assert!(
            absent.starts_with("can't use /nonexistent/config: "),
            "{absent}"
        );

        let connection = connect(Some(file(TWO).path()), None).unwrap();
        let refused = probe(&connection).await.unwrap_err().to_string();
        assert!(
            refused.starts_with("can't reach the API server at https://127.0.0.1:1/: "),
            "{refused}"
        );
        assert!(refused.contains("onnection refused"), "{refused}");
        for message in [absent, refused, failure(TWO, Some("three"))] {
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[tokio::test]
    async fn a_token_that_no_header_may_have_is_refused_in_one_line() {
        for token in ["two\nlines", "bell\u{7}"] {
            let refused = connect_to(&Choice {
                kubeconfig: Some(file(TWO).path().to_owned()),
                token: Some(token.to_owned()),
                ..Choice::default()
            });
            let said = refused.err().unwrap().to_string();
            assert!(said.contains("no header may have"), "{said}");
            assert!(!said.contains('\n') && !said.contains("two"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up_when_asked() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let kubeconfig = file(TWO);
        let connection = connect_to(&Choice {
            kubeconfig: Some(kubeconfig.path().to_owned()),
            server: Some(format!("http://{}", silent.local_addr().unwrap())),
            timeout: Some(Duration::from_millis(50)),
            ..Choice::default()
        });
        let said = probe(&connection.unwrap()).await.unwrap_err().to_string();
        assert!(said.contains("timed out"), "{said}");
    }

    #[test]
    fn loopback_and_listed_hosts_pass_the_proxy() {
        assert!(goes_direct("127.0.0.1", ""));
        assert!(goes_direct("[::1]", ""));
        assert!(goes_direct("localhost", ""));
        assert!(goes_direct("api.corp.example", "a.b, .corp.example"));
        assert!(goes_direct("anything", "*"));
        assert!(!goes_direct("10.0.0.1", ""));
        assert!(!goes_direct("evilcorp.example", "corp.example"));
    }
}
