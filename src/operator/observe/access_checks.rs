//! When the API server is asked whether somebody may do something, to compare it with RBAC.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{cluster::access_checks, engine::Finding};

const INTERVAL: Duration = Duration::from_hours(24);

/// Asks where it is due, once rights are known.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let questions = turn.engine.access_questions();
    if questions.is_empty() {
        return;
    }
    let client = turn.connection.client.clone();
    probe.turn(turn, Value::Null, INTERVAL, async move {
        Finding::Access(access_checks::look(&client, questions).await)
    });
}
