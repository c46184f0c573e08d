//! What runs beside the operator: metrics, probes, the log as it is served, and the room on its disk.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    cli::Failure,
    evidence::space::space,
    metrics::Metrics,
    server::{self, Health},
};

/// The addresses, taken before anything else: that one is in use is noticed at once.
pub(super) struct Listeners {
    metrics: TcpListener,
    log: Option<TcpListener>,
}

impl Listeners {
    /// Takes them: that of metrics and probes, and that of the log if it is served.
    pub(super) async fn bind(
        metrics: SocketAddr,
        log: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            metrics: server::bind(metrics).await?,
            log: match log {
                Some(address) => Some(server::log::bind(address).await?),
                None => None,
            },
        })
    }

    /// Serves the log in a folder, metrics and probes, until the tasks are aborted.
    pub(super) fn serve(
        self,
        log: PathBuf,
        metrics: &Metrics,
        health: &Health,
    ) -> Vec<AbortHandle> {
        let serving = server::serve(self.metrics, metrics.clone(), health.clone());
        let mut tasks = vec![tokio::spawn(serving).abort_handle()];
        if let Some(listener) = self.log {
            tasks.push(tokio::spawn(server::log::serve(listener, log)).abort_handle());
        }
        tasks
    }
}

/// Keeps the metrics of the log's disk up to date.
pub(super) async fn measure_disk(data: PathBuf, metrics: Metrics) {
    const EVERY: Duration = Duration::from_secs(15);
    let mut turns = tokio::time::interval(EVERY);
    loop {
        turns.tick().await;
        let data = data.clone();
        // A network file system may hang.
        match tokio::task::spawn_blocking(move || space(&data)).await {
            Ok(Ok(space)) => metrics.disk(space),
            Ok(Err(error)) => tracing::warn!(%error, "The room on the disk of the log is unknown"),
            Err(_) => return, // the process ends
        }
    }
}
