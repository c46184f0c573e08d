//! When the network probe runs, and where.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::network_probe::{self, ProbeConfig},
    controls::network::PolicyEnforced,
    engine::{Finding, NetworkProbe},
};

/// The probe makes pods: no policy has it run more often by itself.
const SHORTEST_INTERVAL: Duration = Duration::from_mins(10);

/// Until a pod has to run.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the probe where a policy asks for it and it is due.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("net-policy-enforced");
    let parameters = settings
        .iter()
        .filter_map(|value| serde_json::from_value(value.clone()).ok());
    let asked: Vec<PolicyEnforced> = parameters
        .filter(|asked: &PolicyEnforced| asked.run)
        .collect();
    let Some(interval) = asked.iter().map(|asked| asked.interval.duration()).min() else {
        return;
    };
    let config = config(turn, &asked);
    let client = turn.connection.client.clone();
    let interval = interval.max(SHORTEST_INTERVAL);
    probe.turn(turn, Value::Array(settings), interval, async move {
        Finding::NetworkProbe(match config {
            Ok(config) => network_probe::run(&client, &config).await,
            Err(why) => NetworkProbe::unclear(jiff::Timestamp::now(), why),
        })
    });
}

/// One run for all policies: every node that one of them names.
fn config(turn: &Turn<'_>, asked: &[PolicyEnforced]) -> Result<ProbeConfig, String> {
    let place = turn.probe.ok_or(
        "the operator was not told where to: set networkProbe.enabled in the chart, or \
         --probe-namespace and --probe-image",
    )?;
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("can't tell the program's own path: {error}"))?;
    let images = asked.iter().filter_map(|asked| asked.image.clone());
    let mut node_selectors: Vec<_> = asked
        .iter()
        .flat_map(|asked| asked.node_selectors.iter().map(|labels| labels.0.clone()))
        .collect();
    node_selectors.sort();
    node_selectors.dedup();
    let timeout = asked.iter().map(|asked| asked.timeout.duration()).max();
    Ok(ProbeConfig {
        namespace: place.namespace.clone(),
        image: images.min().unwrap_or_else(|| place.image.clone()),
        program: program.to_string_lossy().into_owned(),
        timeout: timeout.unwrap_or_default(),
        patience: PATIENCE,
        node_selectors,
        two_nodes: asked.iter().any(|asked| asked.two_nodes),
    })
}
