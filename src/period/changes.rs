//! Changes of the period itself after it has begun: an auditor has to know that the goal was moved.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{EntryId, Frame, people::ObjectStep};
use crate::evidence::body::{Content, ObjectChange};

/// Changes of one period.
#[derive(Debug, Default, Clone)]
pub(super) struct PeriodChanges {
    /// When it began by the earliest of its versions.
    began: Option<Timestamp>,
    spec: Map<String, Value>,
    pub(super) steps: Vec<ObjectStep>,
}

impl PeriodChanges {
    /// Takes note of a change, if the period had begun by any version of it: the one before, the one after, or the one that
    /// is reported on.
    pub(super) fn take(
        &mut self,
        entry: EntryId,
        at: Timestamp,
        said: &ObjectChange,
        frame: &Frame,
    ) {
        let mut step = ObjectStep::new(entry, at, said);
        let begins = match &said.spec {
            Some(Content::Inline(Value::Object(spec))) => {
                step.what = differences(&self.spec, spec);
                self.spec.clone_from(spec);
                begin(spec)
            }
            _ => None,
        };
        self.began = self.began.into_iter().chain(begins).min();
        let began = self.began.map_or(frame.from, |began| began.min(frame.from));
        if at >= began {
            self.steps.push(step);
        }
    }
}

fn begin(spec: &Map<String, Value>) -> Option<Timestamp> {
    let text = |field: &str| spec.get(field).and_then(Value::as_str);
    let frame = Frame::new("", text("start")?, text("end")?, text("timeZone")?);
    Some(frame.ok()?.from)
}

/// What differs between two specs, in words. Nothing where there was none before.
fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> String {
    if old.is_empty() {
        return String::new();
    }
    let fields = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    let changed = fields.filter(|field| old.get(*field) != new.get(*field));
    let words = changed.map(|field| match (old.get(field), new.get(field)) {
        (Some(Value::String(old)), Some(Value::String(new))) => format!("{field} {old} → {new}"),
        (None, _) => format!("{field} added"),
        (_, None) => format!("{field} removed"),
        _ => format!("{field} changed"),
    });
    words.collect::<Vec<_>>().join("; ")
}
