//! What has to happen again and again, and by when: a control of this kind that does not operate inside the period can't be
//! tested, so it must be known while there is time.

mod reviews;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use self::reviews::Reviews;
use super::{subjects::SubjectId, track::Track};
use crate::{
    api::period::parse_duration,
    controls::Family,
    evidence::{
        body::{Content, INVALID, Kept, Name, ObjectChange},
        words::Step,
    },
};

/// The control that rights are reviewed.
const REVIEW: &str = "rbac-access-review-current";

/// Controls that need something to happen again and again, with the parameters that say how often: their sum.
const RECURRING: [(&str, &[&str]); 2] = [
    ("backup-restore-test-current", &["maxAge"]),
    (REVIEW, &["cadence", "grace"]),
];

/// What has to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum DueKind {
    /// Something is restored from a backup.
    RestoreTest,
    /// Rights are reviewed.
    AccessReview,
    /// A review that has begun is decided.
    ReviewDecision,
    /// Somebody attests something, and somebody else approves it.
    Attestation,
}

impl DueKind {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RestoreTest => "RestoreTest",
            Self::AccessReview => "AccessReview",
            Self::ReviewDecision => "ReviewDecision",
            Self::Attestation => "Attestation",
        }
    }
}

/// Something that has to happen before the period ends, or the control will be missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    /// By when it has to happen.
    pub by: Timestamp,
    /// What has to.
    pub kind: DueKind,
    /// Of what: the subject, if there is one.
    pub what: String,
    /// When it last happened, as far as the log tells.
    pub last: Option<Timestamp>,
    /// Whether it had not happened when the account was made, and was due.
    pub overdue: bool,
}

/// When things last happened.
#[derive(Debug, Default, Clone)]
pub(super) struct Occurrences {
    /// By control and subject, with what an entry of its own tells.
    told: BTreeMap<(String, SubjectId), Timestamp>,
    /// By control and subject: when it began to pass.
    passed: BTreeMap<(String, SubjectId), Timestamp>,
    /// Access reviews.
    pub(super) reviews: Reviews,
    /// Which control an attestation is about and when it was made, by namespace and name.
    says: BTreeMap<(Option<Name>, Name), (String, Timestamp)>,
    /// Attestations by control: when the one that is valid longest ends.
    attested: BTreeMap<(String, Option<Name>, Name), Attested>,
}

#[derive(Debug, Clone)]
struct Attested {
    made: Timestamp,
    approved: Timestamp,
    until: Option<Timestamp>,
}

impl Attested {
    /// When it counts no longer, where one may be so old.
    fn ends(&self, max_age: Option<SignedDuration>) -> Timestamp {
        let old = max_age.map_or(Timestamp::MAX, |age| after(self.made, age));
        self.until.unwrap_or(Timestamp::MAX).min(old)
    }
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
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

    /// A person attested something.
    pub(super) fn attestation(&mut self, said: &ObjectChange, at: Timestamp) {
        let name = (said.namespace.clone(), said.name.clone());
        if let Some(Content::Inline(spec)) = &said.spec
            && let Some(control) = spec.get("control").and_then(Value::as_str)
        {
            // A decision names the object alone. One that is changed is as old as before.
            let known = self.says.get(&name).filter(|_| said.step == Step::Changed);
            let made = known.map_or(at, |(_, made)| *made);
            self.says.insert(name.clone(), (control.to_owned(), made));
        }
        let Some((control, made)) = self.says.get(&name).cloned() else {
            return;
        };
        let key = (control, name.0, name.1);
        match said.step {
            Step::Approved if said.reason.as_deref() != Some(INVALID) => {
                let until = said.expires;
                let approved = at;
                self.attested.insert(
                    key,
                    Attested {
                        made,
                        approved,
                        until,
                    },
                );
            }
            // One that was changed, or whose approval does not count, has to be approved again.
            Step::Approved | Step::Deleted | Step::Rejected | Step::Changed => {
                self.attested.remove(&key);
            }
            Step::Created | Step::Decided | Step::Frozen | Step::Verified | Step::Expired => {}
        }
    }

    /// What has to happen before `end` for a control in force not to be missing, as of `until`.
    pub(super) fn due(&self, track: &Track, until: Timestamp, end: Timestamp) -> Vec<Due> {
        let known = crate::controls::registry::find(&track.control);
        if known.is_some_and(|known| known.info.family == Family::Attested) {
            let due = self.attestation_due(track, until, end);
            return due.into_iter().collect();
        }
        let Some(every) = interval(track) else {
            return Vec::new();
        };
        let due = |last: Option<Timestamp>, kind, what: String| {
            // What never happened has to before the end, and is late already where that is over.
            let by = last.map_or(end, |last| after(last, every));
            let overdue = by < until || (last.is_none() && until >= end);
            (by <= end).then_some(Due {
                by,
                kind,
                what,
                last,
                overdue,
            })
        };
        let members = track.members().filter_map(|subject| {
            let said = subject.subject();
            if *track.control == *REVIEW {
                if &*said.kind == "AccessReview" {
                    return self.reviews.open(&said.name, until, end);
                }
                let last = self.reviews.last(said);
                let what = format!("access review of {} {}", said.kind, said.name);
                return due(last, DueKind::AccessReview, what);
            }
            let key = (track.control.to_string(), subject.clone());
            let last = self.told.get(&key).or_else(|| self.passed.get(&key));
            let what = format!("{} {}", said.kind, said.name);
            due(last.copied(), DueKind::RestoreTest, what)
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

    fn attestation_due(&self, track: &Track, until: Timestamp, end: Timestamp) -> Option<Due> {
        let max_age = parameter(track, "maxAge");
        let ours = self.attested.iter();
        let ours = ours.filter(|((of, ..), _)| **of == *track.control);
        let longest = ours
            .map(|(_, attested)| (attested.ends(max_age), attested.approved))
            .max();
        let by = longest.map_or(end, |(ends, _)| ends);
        let due = Due {
            by,
            kind: DueKind::Attestation,
            what: "an approved attestation".to_owned(),
            last: longest.map(|(_, approved)| approved),
            overdue: by < until || (longest.is_none() && until >= end),
        };
        (by <= end).then_some(due)
    }
}

fn is_recurring(control: &str) -> bool {
    RECURRING.iter().any(|(id, _)| *id == control)
}

/// How often it has to happen, by the parameters in force.
fn interval(track: &Track) -> Option<SignedDuration> {
    let (_, fields) = RECURRING.iter().find(|(id, _)| *id == &*track.control)?;
    let mut sum = SignedDuration::ZERO;
    for field in *fields {
        sum = sum.checked_add(parameter(track, field)?)?;
    }
    Some(sum)
}

/// A duration among the parameters in force.
fn parameter(track: &Track, field: &str) -> Option<SignedDuration> {
    let parameters = track.definition.parameters.as_ref()?;
    let text = parameters.get(field).and_then(Value::as_str)?;
    SignedDuration::try_from(parse_duration(text).ok()?).ok()
}
