//! Observations and risks: a year may have half a million of each.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Ids, NAMESPACE, words};
use crate::{
    evidence::words::End,
    period::Deviation,
    report::{
        collect::Found,
        mold::{Cell, Mold, hole},
    },
};

/// Makes the observation and the risk of one deviation after the other.
pub(super) struct Molds<'a> {
    ids: &'a Ids,
    found: &'a Found,
    observation: Mold,
    /// A risk without a log, as an empty one can't be, and one that has one.
    risks: [Mold; 2],
    entry: Mold,
}

/// A deviation as it was seen by the operator, with holes for the cells of [`Molds::observation`].
fn observation(operator: &str) -> Value {
    let property = |name: &str, cell| json!({ "name": name, "ns": NAMESPACE, "value": hole(cell) });
    json!({
        "collected": hole(0),
        "description": hole(1),
        "methods": ["TEST"],
        "origins": [{ "actors": [{ "actor-uuid": operator, "type": "tool" }] }],
        "props": [property("asset-id", 2), property("policy", 3), property("opened-after", 4)],
        "relevant-evidence": [{ "description": hole(5) }],
        "title": hole(6),
        "uuid": hole(7),
    })
}

/// What a deviation means, and what management said of it, with holes for the cells of [`Molds::risk`].
fn risk(has_log: bool) -> Value {
    let mut risk = json!({
        "description": hole(0),
        "related-observations": [{ "observation-uuid": hole(1) }],
        "statement": hole(2),
        "status": hole(3),
        "title": hole(4),
        "uuid": hole(5),
    });
    if has_log {
        risk["risk-log"] = json!({ "entries": hole(6) });
    }
    risk
}

impl<'a> Molds<'a> {
    pub(super) fn new(ids: &'a Ids, found: &'a Found) -> Self {
        let operator = ids.of("component", "operator");
        Self {
            ids,
            found,
            observation: Mold::new(&observation(&operator)),
            risks: [false, true].map(|has_log| Mold::new(&risk(has_log))),
            entry: Mold::new(&json!({ "start": hole(0), "title": hole(1), "uuid": hole(2) })),
        }
    }

    /// Appends the observation, which has this name.
    pub(super) fn observation(
        &self,
        name: &str,
        deviation: &Deviation,
        to: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let asset = crate::period::item_id(deviation.subject.subject());
        let cells = [
            Cell::Shown(&deviation.opened),
            Cell::Text(words(&deviation.message, &deviation.reason)),
            // A property can't be empty.
            Cell::Text(words(&asset, "-")),
            Cell::Text(words(&deviation.policy, "-")),
            match &deviation.opened_after {
                Some(at) => Cell::Shown(at),
                None => Cell::Text("before observation"),
            },
            Cell::Shown(&format_args!(
                "Entry {} of the evidence log",
                deviation.opened_by
            )),
            Cell::Shown(&format_args!("{} failed", deviation.control)),
            Cell::Text(name),
        ];
        self.observation.cast(to, &cells)
    }

    /// Appends the risk that comes of an observation.
    pub(super) fn risk(
        &self,
        observation: &str,
        deviation: &Deviation,
        to: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let log = self.log(deviation)?;
        let reason = words(&deviation.reason, "it failed");
        let cells = [
            Cell::Text(words(&deviation.message, &deviation.reason)),
            Cell::Text(observation),
            Cell::Shown(&format_args!("{}: {reason}", deviation.control)),
            Cell::Text(match deviation.ended {
                None => "open",
                Some(End::Excepted) => "deviation-approved",
                Some(_) => "closed",
            }),
            Cell::Shown(&format_args!(
                "Deviation {}",
                words(&deviation.id, "without id")
            )),
            Cell::Text(&self.ids.deviation("risk", deviation)),
            Cell::Json(&log),
        ];
        self.risks[usize::from(!log.is_empty())].cast(to, &cells)
    }

    /// The entries of its log as a list; nothing if there are none.
    fn log(&self, deviation: &Deviation) -> serde_json::Result<Vec<u8>> {
        let Deviation { id, policy, .. } = deviation;
        let mut list = Vec::new();
        let mut add = |start: Timestamp, title: fmt::Arguments<'_>, uuid: &str| {
            list.push(if list.is_empty() { b'[' } else { b',' });
            let cells = [Cell::Shown(&start), Cell::Shown(&title), Cell::Text(uuid)];
            self.entry.cast(&mut list, &cells)
        };
        if let (Some(closed), Some(end)) = (deviation.closed, deviation.ended) {
            let uuid = self.ids.deviation("closing", deviation);
            add(closed, format_args!("It ended: {end}"), &uuid)?;
        }
        for response in self.found.responses.of(id) {
            let said = words(&response.action, &response.cause);
            let said = words(said, "see changes.csv");
            let key = format_args!("{id}/{policy}/{}", response.entry);
            let uuid = self.ids.of("response", key);
            let title = format_args!("Management's response: {said}");
            add(response.at, title, &uuid)?;
        }
        if !list.is_empty() {
            list.push(b']');
        }
        Ok(list)
    }
}
