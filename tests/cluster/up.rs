//! Runs a Kubernetes control plane with fake nodes until Ctrl-C: `make cluster`.

use std::io::{self, Write as _};
use std::process::ExitCode;

#[path = "../harness/mod.rs"]
mod harness;

use harness::{Cluster, Options, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    say("Starting a control plane with 3 fake nodes.");
    let cluster = Cluster::start(Options {
        kwok_nodes: 3,
        ..Options::default()
    })?;
    let kubeconfig = cluster.kubeconfig().display();
    say(&format!(
        "Ready: {kubeconfig}\n\n  export KUBECONFIG={kubeconfig}\n\nLogs are beside it. Ctrl-C ends it."
    ));
    let outcome = wait_for_signal().await;
    drop(cluster);
    say("Ended.");
    outcome
}

/// Waits for Ctrl-C or a polite request to end.
async fn wait_for_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.map_err(|e| e.to_string()),
        _ = terminate.recv() => Ok(()),
    }
}

fn say(text: &str) {
    // Nobody may be reading any more; the cluster still has to end in order.
    let _ = writeln!(io::stdout(), "{text}");
}
