//! Requests to a collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use super::settings::Target;
use crate::cluster::web::Web;

/// Sends one kind of data to a collector. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(super) struct Sender(Arc<Way>);

#[derive(Debug)]
struct Way {
    what: &'static str,
    web: Web,
    target: Target,
    /// Batches come from a thread that has no runtime.
    runtime: Handle,
    failing: AtomicBool,
}

impl Sender {
    /// Sends through the runtime in which it was made.
    pub(super) fn new(what: &'static str, web: Web, target: Target) -> Self {
        Self(Arc::new(Way {
            what,
            web,
            target,
            runtime: Handle::current(),
            failing: AtomicBool::new(false),
        }))
    }

    /// Sends an encoded request. What fails is said, and lost.
    pub(super) async fn post(&self, body: Vec<u8>) {
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.0.target.uri.clone();
        let kind = http::HeaderValue::from_static("application/x-protobuf");
        request
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        // The reason has been said.
        let _ = self.send(request).await;
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        for (name, value) in &self.0.target.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let exchange = tokio::time::timeout(self.0.target.timeout, self.0.web.send(request));
        let answer = match exchange.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "no answer within {} ms",
                self.0.target.timeout.as_millis()
            )),
        };
        let problem = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(why) => Some(why.clone()),
        };
        self.tell(problem);
        answer
    }

    /// Says that sending fails, or that it works again: once each.
    fn tell(&self, problem: Option<String>) {
        let failed = self.0.failing.swap(problem.is_some(), Ordering::Relaxed);
        let (what, collector) = (self.0.what, self.0.target.server());
        match problem {
            Some(why) if !failed => {
                tracing::warn!(
                    collector,
                    why,
                    "{what} don't reach the collector and are dropped until they do"
                );
            }
            None if failed => tracing::info!(collector, "{what} reach the collector again"),
            _ => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sender = self.clone();
        let sending = async move { sender.send(request).await };
        Ok(self.0.runtime.spawn(sending).await??)
    }
}
