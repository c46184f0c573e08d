//! When our own guardrails are looked at.

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{cluster::guardrails, controls::assurance::GuardrailsIntact, engine::Finding};

/// Looks where it is due, as often as the policy that asks most often.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("assurance-guardrails-intact");
    let asked = settings.iter();
    let asked =
        asked.filter_map(|value| serde_json::from_value::<GuardrailsIntact>(value.clone()).ok());
    let every = asked.map(|control| control.every.duration()).min();
    let every = every.unwrap_or_else(|| GuardrailsIntact::default().every.duration());
    let client = turn.connection.client.clone();
    let release = turn.release.cloned();
    probe.turn(turn, Value::Array(settings), every, async move {
        Finding::Guardrails(guardrails::look(&client, release.as_ref()).await)
    });
}
