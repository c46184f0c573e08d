//! When the lists of those who have left are looked at.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::leavers,
    controls::rbac::StaleBindings,
    engine::{Finding, MapName},
};

const INTERVAL: Duration = Duration::from_mins(1);

/// Looks where it is due, at the lists of all policies.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("rbac-stale-bindings");
    let parameters = settings
        .iter()
        .filter_map(|value| serde_json::from_value::<StaleBindings>(value.clone()).ok());
    let maps: BTreeSet<MapName> = parameters
        .filter_map(|control| Some(control.leavers_config_map?.name()))
        .collect();
    if maps.is_empty() {
        return;
    }
    let client = turn.connection.client.clone();
    probe.turn(turn, Value::Array(settings), INTERVAL, async move {
        Finding::Leavers(leavers::look(&client, maps).await)
    });
}
