//! Observations and risks. A year may have half a million of each, so they are types, not values; their fields are in the
//! order of the alphabet, as those of all other JSON in a pack.

use jiff::Timestamp;
use serde::Serialize;

use super::{Ids, NAMESPACE, words};
use crate::{evidence::words::End, period::Deviation, report::collect::Found};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Observation<'a> {
    collected: Timestamp,
    description: &'a str,
    methods: [&'static str; 1],
    origins: [Origin<'a>; 1],
    props: [Property<'a>; 3],
    relevant_evidence: [Evidence; 1],
    title: String,
    uuid: &'a str,
}

#[derive(Serialize)]
struct Origin<'a> {
    actors: [Actor<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Actor<'a> {
    actor_uuid: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'static str,
    ns: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Evidence {
    description: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Risk<'a> {
    description: &'a str,
    related_observations: [Related<'a>; 1],
    #[serde(rename = "risk-log", skip_serializing_if = "Option::is_none")]
    log: Option<Entries>,
    statement: String,
    status: &'static str,
    title: String,
    uuid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Related<'a> {
    observation_uuid: &'a str,
}

#[derive(Serialize)]
struct Entries {
    entries: Vec<LogEntry>,
}

#[derive(Serialize)]
struct LogEntry {
    start: Timestamp,
    title: String,
    uuid: String,
}

/// Texts that an observation and its risk borrow.
pub(super) struct Texts {
    asset: String,
    after: String,
    observation: String,
}

impl Texts {
    pub(super) fn of(ids: &Ids, deviation: &Deviation) -> Self {
        let after = deviation.opened_after;
        Self {
            asset: crate::period::item_id(deviation.subject.subject()),
            after: after.map_or_else(|| "before observation".to_owned(), |at| at.to_string()),
            observation: ids.deviation("observation", deviation),
        }
    }
}

/// A deviation as it was seen. `operator` is the uuid of what saw it.
pub(super) fn observation<'a>(
    operator: &'a str,
    deviation: &'a Deviation,
    texts: &'a Texts,
) -> Observation<'a> {
    let property = |name, value: &'a str| Property {
        name,
        ns: NAMESPACE,
        value: words(value, "-"), // a property can't be empty
    };
    Observation {
        collected: deviation.opened,
        description: words(&deviation.message, &deviation.reason),
        methods: ["TEST"],
        origins: [Origin {
            actors: [Actor {
                actor_uuid: operator,
                r#type: "tool",
            }],
        }],
        props: [
            property("asset-id", &texts.asset),
            property("policy", &deviation.policy),
            property("opened-after", &texts.after),
        ],
        relevant_evidence: [Evidence {
            description: format!("Entry {} of the evidence log", deviation.opened_by),
        }],
        title: format!("{} failed", deviation.control),
        uuid: &texts.observation,
    }
}

/// What a deviation means, and what management said of it.
pub(super) fn risk<'a>(
    ids: &Ids,
    deviation: &'a Deviation,
    texts: &'a Texts,
    found: &Found,
) -> Risk<'a> {
    let entries = log(ids, deviation, found);
    Risk {
        description: words(&deviation.message, &deviation.reason),
        related_observations: [Related {
            observation_uuid: &texts.observation,
        }],
        log: (!entries.is_empty()).then_some(Entries { entries }),
        statement: format!(
            "{}: {}",
            deviation.control,
            words(&deviation.reason, "it failed")
        ),
        status: match deviation.ended {
            None => "open",
            Some(End::Excepted) => "deviation-approved",
            Some(_) => "closed",
        },
        title: format!("Deviation {}", words(&deviation.id, "without id")),
        uuid: ids.deviation("risk", deviation),
    }
}

fn log(ids: &Ids, deviation: &Deviation, found: &Found) -> Vec<LogEntry> {
    let Deviation { id, policy, .. } = deviation;
    let mut entries = Vec::new();
    if let (Some(closed), Some(end)) = (deviation.closed, deviation.ended) {
        entries.push(LogEntry {
            start: closed,
            title: format!("It ended: {end}"),
            uuid: ids.deviation("closing", deviation),
        });
    }
    for response in found.responses.of(id) {
        let said = words(&response.action, &response.cause);
        entries.push(LogEntry {
            start: response.at,
            title: format!("Management's response: {}", words(said, "see changes.csv")),
            uuid: ids.of("response", format_args!("{id}/{policy}/{}", response.entry)),
        });
    }
    entries
}
