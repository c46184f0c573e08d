//! When the clock of the API server is looked at.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{cluster::clock, engine::Finding};

const INTERVAL: Duration = Duration::from_mins(10);

/// Looks where it is due.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let client = turn.connection.client.clone();
    probe.turn(turn, Value::Null, INTERVAL, async move {
        Finding::Clock(clock::look(&client).await)
    });
}
