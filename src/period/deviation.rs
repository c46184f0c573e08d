//! Deviations: intervals in which a subject failed, with what is not known about their ends.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{EntryId, numbers::is_drift, subjects::SubjectId};
use crate::{
    evidence::{
        body::{Accepted, Name, Transition},
        words::{Cause, End},
    },
    verdict::{Outcome, Severity},
};

/// An interval in which a subject failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// Its id, by which management responds to it.
    pub id: String,
    /// The policy.
    pub policy: Name,
    /// The control.
    pub control: Name,
    /// What failed.
    pub subject: SubjectId,
    /// Who owns it.
    pub owner: Option<Name>,
    /// How much it matters.
    pub severity: Severity,
    /// The fact, as a word.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
    /// Why the outcome changed.
    pub cause: Cause,
    /// Outcome before; none for a subject that was new.
    pub from_outcome: Option<Outcome>,
    /// The last time that it was seen otherwise; none if it was failing when it was first seen.
    pub opened_after: Option<Timestamp>,
    /// When it was first seen failing.
    pub opened: Timestamp,
    /// When it began by the cluster's own account, if that is earlier.
    pub began: Option<Timestamp>,
    /// The last time that it was seen failing.
    pub closed_after: Option<Timestamp>,
    /// When it was first seen otherwise; none while it is open.
    pub closed: Option<Timestamp>,
    /// How it ended.
    pub ended: Option<End>,
    /// The entry that opened it.
    pub opened_by: EntryId,
    /// The entry that closed it.
    pub closed_by: Option<EntryId>,
}

impl Deviation {
    /// Whether it is drift: a subject that passed was changed, or time passed.
    pub fn is_drift(&self) -> bool {
        self.from_outcome == Some(Outcome::Pass) && is_drift(self.cause)
    }

    /// How long nobody had noticed, at most; unknown for one that was failing when first seen.
    pub fn detection(&self) -> Option<SignedDuration> {
        let after = self.opened_after?;
        let began = self.began.map_or(after, |began| began.max(after));
        Some(self.opened.duration_since(began))
    }

    /// From the first time that it was seen failing to a real fix; none without one.
    pub fn remediation(&self) -> Option<SignedDuration> {
        let fixed = matches!(self.ended, Some(End::PutBack | End::FixedByOthers));
        let closed = self.closed.filter(|_| fixed)?;
        Some(closed.duration_since(self.opened))
    }
}

/// What a subject was that neither passed nor failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum SpanKind {
    /// An exception held.
    Excepted,
    /// It could not be judged.
    Unknown,
}

/// An interval in which a subject was excepted, or could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Which of them.
    pub kind: SpanKind,
    /// Since when.
    pub since: Timestamp,
    /// The last time that it was seen otherwise; none if it was so when it was first seen.
    pub after: Option<Timestamp>,
    /// The fact, as a word.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
    /// What accepts it, where an object does.
    pub accepted: Option<Accepted>,
    /// The entry that says so.
    pub entry: EntryId,
}

/// The last time that a subject was seen otherwise than a transition says, if it ever was.
///
/// One that failed when it was first judged, or when the rule that judges it began to hold, may have done so for ever.
pub(super) fn known_before(
    said: &Transition,
    unknown_after: Option<Timestamp>,
    seen: Option<Timestamp>,
) -> Option<Timestamp> {
    match (said.from, said.cause) {
        (_, Cause::Policy | Cause::Catalogue) => None,
        (None, cause) if !is_drift(cause) => None,
        (Some(Outcome::Unknown), _) => unknown_after,
        _ => seen,
    }
}

/// How a failure ended of which the entry doesn't say it.
pub(super) const fn end_of(said: &Transition) -> End {
    match (said.ended, said.to, said.cause) {
        (Some(end), ..) => end,
        (None, None, _) => End::SubjectGone,
        (None, Some(Outcome::Excepted), _) => End::Excepted,
        (None, _, Cause::Policy | Cause::Catalogue) => End::DefinitionChanged,
        (None, _, _) => End::FixedByOthers,
    }
}
