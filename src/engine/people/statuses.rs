//! What the operator writes into the statuses of the objects with which people take part.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use serde_json::Value;

use super::{ObjectKey, Stand};
use crate::{
    api::{ObservedAttestation, ObservedException, ObservedReview, PeopleObject},
    engine::{Engine, Now, STATUS_SOON, status},
    verdict::Outcome,
};

/// Counts of subjects are brought up to date so often at most.
const COUNTS_EVERY: Duration = Duration::from_mins(1);
/// A status that could not be written is tried again so much later.
const RETRY: Duration = Duration::from_secs(5);

/// What the operator writes below `status.observed` of an object with which people take part.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// The object.
    pub key: ObjectKey,
    /// What is seen of it. Fields without a value are null, so that a merge takes them out.
    pub observed: Value,
}

impl Engine {
    /// Has the status of an object written soon.
    pub(super) fn remark_soon(&mut self, key: &ObjectKey, now: Now) {
        self.remark_by(key, now.mono + STATUS_SOON);
    }

    fn remark_by(&mut self, key: &ObjectKey, at: Duration) {
        if self.leading && self.people.objects.contains_key(key) {
            let due = self.people.due.entry(key.clone()).or_insert(at);
            *due = (*due).min(at);
        }
    }

    /// Notes that other subjects of a control are excepted now.
    pub(in crate::engine) fn excepted_changed(&mut self, control: &str, now: Now) {
        let keys: Vec<ObjectKey> = self.people.exceptions.of(control).cloned().collect();
        for key in keys {
            let first = self
                .people
                .objects
                .get(&key)
                .is_some_and(|held| held.sent.is_none());
            let wait = if first { STATUS_SOON } else { COUNTS_EVERY };
            self.remark_by(&key, now.mono + wait);
        }
    }

    /// A status could not be written: it is due again.
    pub(in crate::engine) fn remark_failed(&mut self, key: &ObjectKey, now: Now) {
        if let Some(held) = self.people.objects.get_mut(key) {
            held.sent = None;
            self.remark_by(key, now.mono + RETRY);
        }
    }

    /// The statuses that are due and differ from what is there.
    pub(in crate::engine) fn remarks(&mut self, now: Now) -> Vec<Remark> {
        let due: Vec<ObjectKey> = {
            let due = self.people.due.iter().filter(|(_, at)| **at <= now.mono);
            due.map(|(key, _)| key.clone()).collect()
        };
        let mut written = Vec::new();
        for key in due {
            self.people.due.remove(&key);
            if !self.leading {
                continue;
            }
            let Some(observed) = self.observed_of(&key, now) else {
                continue;
            };
            let Some(held) = self.people.objects.get_mut(&key) else {
                continue;
            };
            if held.sent.as_ref() == Some(&observed)
                || there(&held.object) == Some(observed.clone())
            {
                continue; // quiet when nothing changed
            }
            held.sent = Some(observed.clone());
            written.push(Remark { key, observed });
        }
        written
    }

    fn observed_of(&self, key: &ObjectKey, now: Now) -> Option<Value> {
        let held = self.people.objects.get(key)?;
        let stand = held.stand.as_ref()?;
        let time = |at| Time(status::whole_seconds(at));
        let before = there(&held.object).unwrap_or_default();
        let known = |field: &str| serde_json::from_value(before[field].clone()).ok();
        let since = |phase: &str| match known("since") {
            Some(since) if before["phase"] == phase => since,
            _ => time(now.wall),
        };
        let decided = held.object.decision();
        let decided_at = decided.map(|_| known("decidedAt").unwrap_or_else(|| time(now.wall)));
        let observed = match stand {
            Stand::Period(state) => {
                let before = serde_json::from_value(before.clone()).ok();
                serde_json::to_value(state.observed(before.as_ref(), now.wall)?)
            }
            Stand::Exception(state) => serde_json::to_value(ObservedException {
                phase: state.phase,
                since: since(state.phase.as_str()),
                decided_at,
                subjects: count(self.excepted_by(key)),
                message: state.message.clone(),
            }),
            Stand::Attestation(state) => serde_json::to_value(ObservedAttestation {
                phase: state.phase,
                since: since(&word(state.phase)),
                decided_at,
                message: state.message.clone(),
            }),
            Stand::Review(state) => {
                let frozen = held.frozen.as_ref();
                serde_json::to_value(ObservedReview {
                    phase: state.phase,
                    since: since(&word(state.phase)),
                    sha256: frozen.map(|frozen| frozen.sha256.clone()),
                    rows: frozen.map_or(0, |frozen| count(frozen.rows)),
                    all_rows: frozen.map_or(0, |frozen| count(frozen.all_rows)),
                    frozen_at: frozen.map(|frozen| time(frozen.at)),
                    decided_at: held.decided_at.map(time),
                    remaining: count(state.remaining),
                    message: state.message.clone(),
                })
            }
        };
        observed.ok()
    }

    /// How many subjects fail and are accepted because of an exception: each once, however many
    /// policies ask.
    fn excepted_by(&self, key: &ObjectKey) -> usize {
        let Some((exception, state)) = self.people.exceptions.get(key) else {
            return 0;
        };
        if !state.in_force {
            return 0;
        }
        let instances = self.instances.values();
        let instances = instances.filter(|i| i.key.control == exception.control);
        let rows = instances.flat_map(|instance| &instance.rows);
        let covered = rows.filter(|(subject, row)| {
            row.verdict.outcome == Outcome::Excepted && exception.covers(&self.inventory, subject)
        });
        let subjects: std::collections::BTreeSet<_> = covered.map(|(subject, _)| subject).collect();
        subjects.len()
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The name of a phase in the API.
fn word(phase: impl Serialize) -> String {
    let name = serde_json::to_value(phase).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

/// What its status says already.
fn there(object: &PeopleObject) -> Option<Value> {
    let observed = match object {
        PeopleObject::Exception(object) => {
            serde_json::to_value(object.status.as_ref()?.observed.as_ref()?)
        }
        PeopleObject::ClusterException(object) => {
            serde_json::to_value(object.status.as_ref()?.observed.as_ref()?)
        }
        PeopleObject::Attestation(object) => {
            serde_json::to_value(object.status.as_ref()?.observed.as_ref()?)
        }
        PeopleObject::Review(object) => {
            serde_json::to_value(object.status.as_ref()?.observed.as_ref()?)
        }
        PeopleObject::Period(object) => {
            serde_json::to_value(object.status.as_ref()?.observed.as_ref()?)
        }
        PeopleObject::Response(_) => return None,
    };
    observed.ok()
}
