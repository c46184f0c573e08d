//! HTTP to servers in other trust domains: buckets, timestamp authorities, witnesses. Every exchange has a deadline and
//! reads a bounded answer; nothing is retried or redirected here.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use object_store::client::{
    HttpClient, HttpConnector as StoreConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpService,
};
use tokio_rustls::rustls::{ClientConfig, crypto::ring};

use super::client::{chain, deadline};
use super::tls::authorities;

/// How long an exchange may take, first byte to last.
const EXCHANGE: Duration = Duration::from_secs(20);

/// More is no answer that we asked for.
const MOST: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// No connection.
    #[error("can't connect: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer within {} s", EXCHANGE.as_secs())]
    Late,
    /// The connection broke, or what came was no HTTP or too much.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// A client. Cloning it is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Web(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Web {
    /// A client that trusts the authorities that browsers trust, and those in a file (PEM).
    pub fn new(authorities_file: Option<&Path>) -> Result<Self, String> {
        let more = authorities_file.map(read_authorities).transpose()?;
        let roots = authorities(more.as_slice());
        let provider = std::sync::Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(deadline::CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(Duration::from_secs(30))
                .build(connector),
        ))
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, WebError> {
        let exchange = async {
            let answer = self.0.request(request.map(Full::new)).await;
            let answer = answer.map_err(|error| {
                if error.is_connect() {
                    WebError::Connect(chain(&error))
                } else {
                    WebError::Broken(chain(&error))
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MOST).collect().await;
            let body = body.map_err(|error| WebError::Broken(chain(&*error)))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(EXCHANGE, exchange)
            .await
            .unwrap_or(Err(WebError::Late))
    }
}

fn read_authorities(path: &Path) -> Result<String, String> {
    let explain = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
    if text.contains("BEGIN CERTIFICATE") {
        Ok(text)
    } else {
        Err(explain(&"it holds no certificate in PEM"))
    }
}

#[async_trait::async_trait]
impl HttpService for Web {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        match self.send(Request::from_parts(head, body)).await {
            Ok(answer) => Ok(answer.map(Into::into)),
            Err(error) => {
                let kind = match error {
                    WebError::Connect(_) => HttpErrorKind::Connect,
                    WebError::Late => HttpErrorKind::Timeout,
                    WebError::Broken(_) => HttpErrorKind::Interrupted,
                };
                Err(HttpError::new(kind, error))
            }
        }
    }
}

impl StoreConnector for Web {
    fn connect(&self, _: &object_store::ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
