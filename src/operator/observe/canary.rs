//! When the encryption canary runs, and over which API servers.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::canary::{self, CanaryConfig},
    engine::Finding,
};

/// The canary writes a Secret: no policy has it run more often by itself.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);
/// Without parameters that can be read.
const LONGEST_INTERVAL: Duration = Duration::from_hours(6);

/// Runs the canary where it is due.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("enc-secrets-at-rest-active");
    let (config, interval) = config(turn.namespace, &settings);
    let connection = turn.connection.clone();
    probe.turn(turn, Value::Array(settings), interval, async move {
        Finding::Canary(canary::run(&connection.client, &connection.config, &config).await)
    });
}

/// One run for all policies: every endpoint that one of them names, as often as the one that asks
/// most often.
fn config(namespace: &str, settings: &[Value]) -> (CanaryConfig, Duration) {
    let parameters = super::api_servers::parameters(settings);
    let interval = parameters
        .iter()
        .map(|control| control.interval.duration())
        .min();
    let config = CanaryConfig {
        namespace: namespace.to_owned(),
        name: canary::SECRET.to_owned(),
        which: super::api_servers::which(&parameters),
    };
    let interval = interval.unwrap_or(LONGEST_INTERVAL);
    (config, interval.max(SHORTEST_INTERVAL))
}
