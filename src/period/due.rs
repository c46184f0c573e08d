//! What has to happen again and again, and by when: a control of this kind that does not operate inside the period can't be
//! tested, so it must be known while there is time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{subjects::SubjectId, track::Track};
use crate::{
    api::period::parse_duration,
    evidence::{
        body::{Content, Kept, Name, ObjectChange},
        words::Step,
    },
};

/// Controls that need something to happen again and again, with the parameters that say how often: their sum.
const RECURRING: [(&str, &[&str]); 2] = [
    ("backup-restore-test-current", &["maxAge"]),
    ("rbac-access-review-current", &["cadence", "grace"]),
];

/// Something that has to happen before the period ends, or the control will be missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    /// By when it has to happen.
    pub by: Timestamp,
    /// Of what: the subject, if there is one.
    pub what: String,
    /// When it last happened, as far as the log tells.
    pub last: Option<Timestamp>,
    /// Whether it had not happened when the account was made, and was due.
    pub overdue: bool,
}

/// When things last happened.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    /// By control and subject, with what an entry of its own tells.
    told: BTreeMap<(String, SubjectId), Timestamp>,
    /// By control and subject: when it began to pass.
    passed: BTreeMap<(String, SubjectId), Timestamp>,
    /// Access reviews that were completed.
    reviewed: Option<Timestamp>,
    /// Which control an attestation is about, by namespace and name.
    says: BTreeMap<(Option<Name>, Name), String>,
    /// Attestations by control: when the one that is valid longest ends.
    attested: BTreeMap<(String, Option<Name>, Name), Attested>,
}

#[derive(Debug)]
struct Attested {
    at: Timestamp,
    until: Option<Timestamp>,
}

impl Occurrences {
    /// What a control keeps of something that it saw happen.
    pub(super) fn kept(&mut self, said: &Kept, subject: &SubjectId) {
        let Content::Inline(value) = &said.value else {
            return;
        };
        if !is_recurring(&said.control) {
            return;
        }
        let ended = value.pointer("/value/ended").and_then(Value::as_str);
        if let Some(ended) = ended.and_then(|ended| ended.parse::<Timestamp>().ok()) {
            let key = (said.control.to_string(), subject.clone());
            let last = self.told.entry(key).or_insert(ended);
            *last = ended.max(*last);
        }
    }

    /// A subject begins to pass: what it needs has happened by now.
    pub(super) fn passed(&mut self, control: &str, subject: &SubjectId, at: Timestamp) {
        if is_recurring(control) {
            self.passed
                .insert((control.to_owned(), subject.clone()), at);
        }
    }

    /// A person attested or reviewed something.
    pub(super) fn person(&mut self, said: &ObjectChange, at: Timestamp) {
        if said.kind == "AccessReview" {
            if matches!(said.step, Step::Approved | Step::Decided | Step::Verified) {
                self.reviewed = Some(at);
            }
            return;
        }
        let name = (said.namespace.clone(), said.name.clone());
        if let Some(Content::Inline(spec)) = &said.spec
            && let Some(control) = spec.get("control").and_then(Value::as_str)
        {
            // A decision names the object alone.
            self.says.insert(name.clone(), control.to_owned());
        }
        let Some(control) = self.says.get(&name) else {
            return;
        };
        let key = (control.clone(), name.0, name.1);
        match said.step {
            Step::Approved => {
                let until = said.expires;
                self.attested.insert(key, Attested { at, until });
            }
            // One that was changed has to be approved again.
            Step::Deleted | Step::Rejected | Step::Changed => {
                self.attested.remove(&key);
            }
            Step::Created | Step::Decided | Step::Frozen | Step::Verified | Step::Expired => {}
        }
    }

    /// What has to happen before `end` for a control in force not to be missing, as of `until`.
    pub(super) fn due(&self, track: &Track, until: Timestamp, end: Timestamp) -> Vec<Due> {
        if let Some(attested) = self.attestation(&track.control, until, end) {
            return attested;
        }
        let Some(every) = interval(track) else {
            return Vec::new();
        };
        let due = |last: Option<Timestamp>, what: String| {
            // What never happened has to before the end, and is late already where that is over.
            let by = last.map_or(end, |last| {
                last.checked_add(every).unwrap_or(Timestamp::MAX)
            });
            let overdue = by < until || (last.is_none() && until >= end);
            (by <= end).then_some(Due {
                by,
                what,
                last,
                overdue,
            })
        };
        if *track.control == *"rbac-access-review-current" {
            return due(self.reviewed, "a completed access review".to_owned())
                .into_iter()
                .collect();
        }
        let members = track.members().filter_map(|subject| {
            let key = (track.control.to_string(), subject.clone());
            let last = self
                .told
                .get(&key)
                .or_else(|| self.passed.get(&key))
                .copied();
            let said = subject.subject();
            due(last, format!("{} {}", said.kind, said.name))
        });
        members.collect()
    }

    /// Attested controls with an approved attestation that was valid at some time after `from`.
    pub(super) fn attested(&self, from: Timestamp) -> Vec<String> {
        let valid = self
            .attested
            .iter()
            .filter(|(_, said)| said.until.is_none_or(|until| until > from));
        let mut controls: Vec<String> = valid.map(|((control, ..), _)| control.clone()).collect();
        controls.dedup();
        controls
    }

    fn attestation(&self, control: &str, until: Timestamp, end: Timestamp) -> Option<Vec<Due>> {
        if !control.starts_with("attest-") {
            return None;
        }
        let ours = self.attested.iter().filter(|((of, ..), _)| of == control);
        let longest = ours
            .map(|(_, attested)| attested)
            .max_by_key(|attested| attested.until.unwrap_or(Timestamp::MAX));
        let by = longest.map_or(end, |attested| attested.until.unwrap_or(Timestamp::MAX));
        let due = Due {
            by,
            what: "an approved attestation".to_owned(),
            last: longest.map(|attested| attested.at),
            overdue: by < until || (longest.is_none() && until >= end),
        };
        Some((by <= end).then_some(due).into_iter().collect())
    }
}

fn is_recurring(control: &str) -> bool {
    RECURRING.iter().any(|(id, _)| *id == control)
}

/// How often it has to happen, by the parameters in force.
fn interval(track: &Track) -> Option<SignedDuration> {
    let (_, fields) = RECURRING.iter().find(|(id, _)| *id == &*track.control)?;
    let parameters = track.definition.parameters.as_ref()?;
    let mut sum = SignedDuration::ZERO;
    for field in *fields {
        let text = parameters.get(field).and_then(Value::as_str)?;
        let part = SignedDuration::try_from(parse_duration(text).ok()?).ok()?;
        sum = sum.checked_add(part)?;
    }
    Some(sum)
}
