//! The evidence log over HTTP, as C2SP tlog-tiles says: `/checkpoint`, `/tile/…`. Bound to loopback, so that who may read it
//! is who may forward a port to the pod.

use std::{io::ErrorKind, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
/// Tiles never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Takes the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    super::listen(address).await.map_err(|error| {
        format!("can't listen on {address}: {error}; choose another --log-address")
    })
}

/// Serves the log in a folder until the task is dropped.
pub async fn serve(listener: TcpListener, dir: PathBuf) -> std::io::Result<()> {
    let router = Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .with_state(Arc::new(dir));
    axum::serve(listener, router).await
}

async fn checkpoint(State(dir): State<Arc<PathBuf>>) -> Response {
    match tokio::fs::read(dir.join("checkpoint")).await {
        Ok(note) => {
            let headers = [
                (header::CONTENT_TYPE, TEXT),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, note).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn tile(State(dir): State<Arc<PathBuf>>, Path(path): Path<String>) -> Response {
    // Digits, x and p, and the word entries: nothing that leads out of the folder.
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '/' | 'x' | '.' | 'p');
    let rest = path.strip_prefix("entries/").unwrap_or(&path);
    if !rest.chars().all(allowed) || rest.contains("..") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let file = dir.join("tile").join(&path);
    if path.starts_with("entries/") {
        let mut compressed = file.into_os_string();
        compressed.push(".gz");
        return match tokio::fs::read(compressed).await {
            Ok(bundle) => {
                let headers = [
                    (header::CONTENT_TYPE, BYTES),
                    (header::CONTENT_ENCODING, "gzip"),
                    (header::CACHE_CONTROL, FOR_EVER),
                ];
                (headers, bundle).into_response()
            }
            Err(error) => failed(&error),
        };
    }
    match tokio::fs::read(file).await {
        Ok(tile) => {
            let headers = [
                (header::CONTENT_TYPE, BYTES),
                (header::CACHE_CONTROL, FOR_EVER),
            ];
            (headers, tile).into_response()
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> Response {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            StatusCode::NOT_FOUND.into_response()
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
