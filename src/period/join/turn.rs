//! Transitions that no entry holds as they are: what follows from two logs together.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::table::{Key, Row, named};
use crate::{
    evidence::{
        blob::hex,
        body::Transition,
        words::{Cause, End},
    },
    period::SubjectId,
    verdict::{Outcome, Severity, Strength},
};

/// Why an outcome is another one than the replica that led before had said.
const FOUND: &str = "FoundByNextLeader";

/// That a subject is found otherwise than the replica before had said.
pub(super) fn turn(key: &Key, subject: &SubjectId, known: Option<&Row>, row: &Row) -> Transition {
    let mut told = [Some(row), known].into_iter().flatten();
    let told = told.find_map(|row| row.said.as_deref());
    let base = Transition {
        policies: vec![key.0.clone()],
        control: key.1.to_string().into(),
        rule_version: None,
        params_hash: None,
        scope_hash: None,
        subject: named(subject),
        owner: told.and_then(|told| told.owner.clone()),
        from: known.map(|known| known.outcome),
        to: Some(row.outcome),
        strength: told.map_or(Strength::Declared, |told| told.strength),
        reason: FOUND.into(),
        message: String::new(),
        severity: told.map_or(Severity::Medium, |told| told.severity),
        cause: Cause::Object,
        ended: None,
        opened: None,
        deviation: row.deviation.clone(),
        accepted: None,
    };
    match row.said.as_deref() {
        Some(said) => Transition {
            reason: said.reason.clone(),
            message: said.message.clone(),
            accepted: said.accepted.clone(),
            ..base
        },
        None => base,
    }
}

/// The id of a deviation that opens while the log that tells of it has known it under `id` since before.
pub(super) fn another(id: &str, opened: Timestamp) -> String {
    let digest = Sha256::digest(format!("{id} {opened}"));
    hex(&digest[..8])
}

/// How a deviation ended of which the log that says what is so now knew nothing.
pub(super) const fn end(to: Option<Outcome>) -> End {
    match to {
        Some(Outcome::Excepted) => End::Excepted,
        None => End::SubjectGone,
        _ => End::FixedByOthers,
    }
}

/// Why an outcome changed that a log has found when it first looked, where others had looked before.
pub(super) fn cause(before: Outcome, said: &Transition) -> Cause {
    match before {
        Outcome::Excepted => Cause::Exception,
        _ if said.to == Some(Outcome::Excepted) => Cause::Exception,
        Outcome::Fail if said.to == Some(Outcome::Fail) => said.cause,
        _ => Cause::Object,
    }
}
