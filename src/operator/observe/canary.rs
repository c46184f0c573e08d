//! When the encryption canary runs, and over which API servers.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::canary::{self, CanaryConfig},
    controls::encryption::SecretsAtRestActive,
    engine::Finding,
};

/// The canary writes a Secret: it doesn't run more often, whatever a policy asks for.
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
    let parameters: Vec<SecretsAtRestActive> = settings
        .iter()
        .filter_map(|value| serde_json::from_value(value.clone()).ok())
        .collect();
    let interval = parameters
        .iter()
        .map(|control| control.interval.duration())
        .min();
    let replicas = parameters
        .iter()
        .map(|control| usize::from(control.max_replicas))
        .max();
    let config = CanaryConfig {
        namespace: namespace.to_owned(),
        name: canary::SECRET.to_owned(),
        endpoints: parameters
            .iter()
            .flat_map(|control| control.endpoints.clone())
            .collect(),
        max_replicas: replicas.unwrap_or(1),
    };
    let interval = interval.unwrap_or(LONGEST_INTERVAL);
    (config, interval.max(SHORTEST_INTERVAL))
}
