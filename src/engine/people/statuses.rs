//! What the operator writes into the statuses of the objects with which people take part.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::ObjectKey;
use crate::{
    api::{ExceptionStatus, ObservedException, PeopleObject},
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
        let state = held.state.as_ref()?;
        let before = exception_status(&held.object).and_then(|status| status.observed.as_ref());
        let time = || Time(status::whole_seconds(now.wall));
        let decided = held.object.decision();
        let observed = ObservedException {
            phase: state.phase,
            since: match before {
                Some(before) if before.phase == state.phase => before.since.clone(),
                _ => time(),
            },
            decided_at: decided.map(|_| {
                let known = before.and_then(|before| before.decided_at.clone());
                known.unwrap_or_else(time)
            }),
            subjects: i64::try_from(self.excepted_by(key)).unwrap_or(i64::MAX),
            message: state.message.clone(),
        };
        serde_json::to_value(observed).ok()
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

fn exception_status(object: &PeopleObject) -> Option<&ExceptionStatus> {
    match object {
        PeopleObject::Exception(object) => object.status.as_ref(),
        PeopleObject::ClusterException(object) => object.status.as_ref(),
    }
}

/// What its status says already.
fn there(object: &PeopleObject) -> Option<Value> {
    let observed = exception_status(object)?.observed.as_ref()?;
    serde_json::to_value(observed).ok()
}
