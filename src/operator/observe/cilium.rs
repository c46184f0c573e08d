//! When Cilium's configuration is looked at.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{cluster::cilium, engine::Finding};

const INTERVAL: Duration = Duration::from_mins(5);

/// Looks where it is due.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let client = turn.connection.client.clone();
    probe.turn(turn, Value::Null, INTERVAL, async move {
        Finding::Cilium(cilium::look(&client).await)
    });
}
