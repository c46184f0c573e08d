//! What the operator tells of itself while it runs: lines of its own log, spans and metrics.

use clap::ValueEnum;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::Failure;
use crate::telemetry::{Settings, Telemetry};

/// Format of the operator's own log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON, one object a line.
    Json,
}

/// Tells from now on: in lines, and to the collector at `endpoint` if there is one. What goes there carries the name of
/// this replica, with its namespace where that is known yet.
pub(super) fn start(
    format: LogFormat,
    endpoint: Option<&str>,
    namespace: Option<&str>,
    replica: &str,
) -> Result<Telemetry, Failure> {
    let instance = namespace.map_or_else(
        || replica.to_owned(),
        |namespace| format!("{namespace}.{replica}"),
    );
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
    let telemetry = match Settings::read(endpoint, &|name| std::env::var(name).ok())? {
        Some(settings) => Telemetry::new(settings, &instance)?,
        None => Telemetry::default(),
    };
    trace(format, &telemetry);
    Ok(telemetry)
}

fn trace(format: LogFormat, telemetry: &Telemetry) {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_from_env("PROBITY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("probity=info,warn"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(telemetry.layer())
        .init();
}
