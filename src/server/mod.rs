//! HTTP: `/metrics`, `/livez` and `/readyz`.

pub mod log;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The operator's loop must have turned within this time, or it hangs. It turns at least once a
/// second, whether or not the API server answers.
const LOOP_LIMIT: Duration = Duration::from_secs(30);

/// What the probes answer from. Never asks the API server: its outage must not restart us.
#[derive(Debug, Clone)]
pub struct Health {
    started: Instant,
    turned_millis: Arc<AtomicU64>,
    unread: Arc<Mutex<Vec<String>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            turned_millis: Arc::default(),
            unread: Arc::new(Mutex::new(vec!["policies".to_owned()])),
        }
    }
}

impl Health {
    /// Notes that the loop has turned.
    pub fn turned(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned_millis.store(millis, Ordering::Relaxed);
    }

    /// Notes what of policies and the kinds that they need has not been read yet: plural names. Where nothing is
    /// left, it is ready.
    pub fn set_unread(&self, unread: Vec<String>) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }

    /// What is not read yet, as a sentence.
    fn unread(&self) -> Option<String> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        (!unread.is_empty()).then(|| {
            format!(
                "not read completely yet: {}; the log says why, where something is wrong",
                unread.join(", ")
            )
        })
    }

    fn is_live(&self) -> bool {
        let turned = Duration::from_millis(self.turned_millis.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(turned) < LOOP_LIMIT
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    health: Health,
}

/// Takes the address, so that a port in use is noticed before anything else starts.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    listen(address).await.map_err(|error| {
        format!("can't listen on {address}: {error}; choose another --metrics-address")
    })
}

/// Listens on an address; `[::]` means every address of the host, also where IPv6 is switched off.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(&*to_try(address)).await
}

/// The addresses of which the first one that can be bound is taken: where IPv6 is switched off, its socket can't be.
fn to_try(address: SocketAddr) -> Vec<SocketAddr> {
    let every = address.ip() == Ipv6Addr::UNSPECIFIED;
    let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    std::iter::once(address)
        .chain(every.then_some(fallback))
        .collect()
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(Shared { metrics, health });
    axum::serve(listener, router).await
}

async fn scrape(State(shared): State<Shared>) -> Response {
    match shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(shared): State<Shared>) -> Response {
    let hangs = (!shared.health.is_live()).then(|| "the loop hangs".to_owned());
    answer(hangs)
}

async fn readyz(State(shared): State<Shared>) -> Response {
    answer(shared.health.unread())
}

fn answer(wrong: Option<String>) -> Response {
    match wrong {
        None => "ok".into_response(),
        Some(wrong) => (StatusCode::SERVICE_UNAVAILABLE, wrong).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_means_those_of_ipv4_where_there_are_no_others() {
        let tried = |address: &str| to_try(address.parse().unwrap());
        let every: Vec<SocketAddr> = ["[::]:8080", "0.0.0.0:8080"]
            .map(|address| address.parse().unwrap())
            .into();
        assert_eq!(tried("[::]:8080"), every);
        for only in ["0.0.0.0:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert_eq!(tried(only), [only.parse().unwrap()]);
        }
    }
}
