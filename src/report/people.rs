//! What people decided, as far as a pack prints it. Specs are read leniently: a field that is not there stays empty.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    evidence::body::{Content, ObjectChange},
    period::EntryId,
};

/// A version of management's response to a deviation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Response {
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) cause: String,
    pub(super) impact: String,
    pub(super) action: String,
    pub(super) owner: String,
    pub(super) ticket: String,
    pub(super) risk: String,
    pub(super) entry: EntryId,
}

/// Management's responses, every version of each, by deviation.
#[derive(Debug, Default)]
pub(super) struct Responses(BTreeMap<String, Vec<Response>>);

impl Responses {
    /// Takes note of a `DeviationResponse`.
    pub(super) fn note(&mut self, said: &ObjectChange, at: Timestamp, entry: EntryId) {
        let Some(Content::Inline(spec)) = &said.spec else {
            return;
        };
        let id = ["deviation", "deviationId"]
            .iter()
            .find_map(|field| spec.get(field)?.as_str());
        let Some(id) = id else { return };
        let text = |field: &str| text(spec, field);
        let response = Response {
            at,
            who: said.who.clone().unwrap_or_default(),
            cause: text("cause"),
            impact: text("impact"),
            action: text("action"),
            owner: text("owner"),
            ticket: text("ticket"),
            risk: text("risk"),
            entry,
        };
        self.0.entry(id.to_owned()).or_default().push(response);
    }

    /// Every version of the response to a deviation, oldest first.
    pub(super) fn of(&self, deviation: &str) -> &[Response] {
        self.0.get(deviation).map_or(&[], Vec::as_slice)
    }
}

/// A field of a spec as text.
pub(super) fn text(spec: &Value, field: &str) -> String {
    match spec.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The spec of an object, if it is in the entry.
pub(super) fn spec(said: &ObjectChange) -> Value {
    match &said.spec {
        Some(Content::Inline(spec)) => spec.clone(),
        _ => Value::Null,
    }
}

/// The decision about an object, as text.
pub(super) fn decision(said: &ObjectChange) -> String {
    match &said.decision {
        Some(Content::Inline(decision)) => decision.to_string(),
        _ => String::new(),
    }
}
