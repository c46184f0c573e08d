//! A proxy before the API server that refuses, tears and loses answers, as overloaded servers and load balancers do.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Dice, Result, kubeconfig};

/// What is done to an answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The server is not asked, and this is the answer.
    Refuse(StatusCode),
    /// Half of what comes first arrives, and then nothing.
    Tear,
    /// The server does what it is asked, and nobody hears of it.
    Lose,
}

const FAULTS: [Fault; 7] = [
    Fault::Refuse(StatusCode::TOO_MANY_REQUESTS),
    Fault::Refuse(StatusCode::TOO_MANY_REQUESTS),
    Fault::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::Refuse(StatusCode::SERVICE_UNAVAILABLE),
    Fault::Refuse(StatusCode::FORBIDDEN),
    Fault::Tear,
    Fault::Lose,
];

/// The proxy, for as long as this lives.
pub(crate) struct Faulty {
    chance: Arc<Chance>,
    kubeconfig: PathBuf,
    /// Ends it when it is dropped.
    _stop: oneshot::Sender<()>,
}

/// What happens to the next answer.
struct Chance {
    dice: Mutex<Dice>,
    /// How many answers of a hundred are spoilt.
    percent: AtomicU64,
    spoilt: AtomicU64,
}

impl Faulty {
    /// Begins to pass on what is asked, as the user of a kubeconfig. `folder` is for the kubeconfig of whoever asks.
    pub(crate) fn start(user: &Path, folder: &Path, seed: u64) -> Result<Self> {
        let explain = |error: std::io::Error| error.to_string();
        let listener = TcpListener::bind("127.0.0.1:0").map_err(explain)?;
        let port = listener.local_addr().map_err(explain)?.port();
        listener.set_nonblocking(true).map_err(explain)?;
        let chance = Arc::new(Chance {
            dice: Mutex::new(Dice(seed)),
            percent: AtomicU64::new(0),
            spoilt: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(explain)?;
        let (user, shared) = (user.to_owned(), Arc::clone(&chance));
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let client = kubeconfig::client(&user).await?;
                let listener = tokio::net::TcpListener::from_std(listener).map_err(explain)?;
                let app = axum::Router::new().fallback(pass);
                let serves = axum::serve(listener, app.with_state((client, shared)));
                tokio::select! {
                    ended = serves => ended.map_err(explain),
                    _ = stopped => Ok(()),
                }
            })
        });
        let path = folder.join("through-the-proxy.yaml");
        let server = format!("http://127.0.0.1:{port}");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "faulty",
            "clusters": [{ "name": "faulty", "cluster": { "server": server } }],
            "users": [{ "name": "nobody", "user": {} }],
            "contexts": [{ "name": "faulty", "context": { "cluster": "faulty", "user": "nobody" } }],
        });
        fs::write(&path, config.to_string()).map_err(explain)?;
        Ok(Self {
            chance,
            kubeconfig: path,
            _stop: stop,
        })
    }

    /// The kubeconfig of whoever goes through it.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on, so many answers of a hundred are spoilt.
    pub(crate) fn spoil(&self, percent: u64) {
        self.chance.percent.store(percent, Ordering::Relaxed);
    }

    /// How many answers were spoilt so far.
    pub(crate) fn spoilt(&self) -> u64 {
        self.chance.spoilt.load(Ordering::Relaxed)
    }
}

impl Chance {
    fn fault(&self) -> Option<Fault> {
        let percent = self.percent.load(Ordering::Relaxed);
        let mut dice = self.dice.lock().ok()?;
        let fault = dice.chance(percent).then(|| dice.pick(&FAULTS))?;
        self.spoilt.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}

async fn pass(State((client, chance)): State<(Client, Arc<Chance>)>, request: Request) -> Response {
    let fault = chance.fault();
    if let Some(Fault::Refuse(code)) = fault {
        return refusal(code);
    }
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::HOST);
    let Ok(body) = body.collect().await else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let body = kube::client::Body::from(body.to_bytes().to_vec());
    let asked = axum::http::Request::from_parts(head, body);
    let Ok(answer) = client.send(asked).await else {
        return refusal(StatusCode::BAD_GATEWAY);
    };
    let (head, mut body) = answer.into_parts();
    let body = match fault {
        None => Body::new(body),
        Some(fault) => {
            let first = match body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                _ => axum::body::Bytes::new(),
            };
            let arrives = match fault {
                Fault::Tear => first.slice(..first.len() / 2),
                _ => axum::body::Bytes::new(),
            };
            let cut = Err(std::io::Error::other("cut off"));
            Body::from_stream(stream::iter([Ok(arrives), cut]))
        }
    };
    Response::from_parts(head, body)
}

/// An answer in the server's stead.
fn refusal(code: StatusCode) -> Response {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let said = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the proxy refuses", "reason": reason, "code": code.as_u16(),
    });
    let is_json = [(header::CONTENT_TYPE, "application/json")];
    let mut answer = (code, is_json, said.to_string()).into_response();
    let asks_to_wait = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if asks_to_wait.contains(&code) {
        let second = HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, second);
    }
    answer
}
