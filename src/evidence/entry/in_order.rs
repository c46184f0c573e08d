//! Writes transitions with their fields in the order of canonical bytes, so that nothing has to be put in order: most of a log
//! is transitions.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;
use serde::Serialize;

use super::{Record, VERSION};
use crate::evidence::body::{
    Accepted, Body, Name, SubjectRef, Transition, Word, is_usual_cause, is_usual_strength,
};
use crate::evidence::canonical::{CanonicalError, MAX_INTEGER};
use crate::evidence::words::{Cause, End};
use crate::verdict::{Outcome, Severity, Strength};

/// The canonical bytes of the entry that a record is at a position; `None` of all but transitions.
pub(super) fn write(record: &Record, seq: u64) -> Option<Result<Vec<u8>, CanonicalError>> {
    let Body::Transition(said) = &record.body else {
        return None;
    };
    // Larger ones have no canonical form: the plain way says so.
    (seq <= MAX_INTEGER).then_some(())?;
    let mut bytes = Vec::with_capacity(512);
    let written = serde_json::to_writer(&mut bytes, &Fields::of(said, record.time, seq));
    Some(written.map(|()| bytes).map_err(CanonicalError::from))
}

/// What is left out, and when, is as in [`Transition`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<&'a Accepted>,
    #[serde(skip_serializing_if = "is_usual_cause")]
    cause: Cause,
    control: &'a Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<End>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Outcome>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params_hash: Option<&'a str>,
    policies: &'a [Name],
    reason: &'a Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_hash: Option<&'a str>,
    seq: u64,
    severity: Severity,
    #[serde(skip_serializing_if = "is_usual_strength")]
    strength: Strength,
    subject: Subject<'a>,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Outcome>,
    r#type: &'static str,
    v: u32,
}

#[derive(Serialize)]
struct Subject<'a> {
    group: &'a Name,
    kind: &'a Name,
    name: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a Name>,
    uid: &'a Name,
}

impl<'a> Fields<'a> {
    fn of(said: &'a Transition, time: Timestamp, seq: u64) -> Self {
        // Without a rest: a field that is new must not be forgotten.
        let Transition {
            policies,
            control,
            rule_version,
            params_hash,
            scope_hash,
            subject,
            owner,
            from,
            to,
            strength,
            reason,
            message,
            severity,
            cause,
            ended,
            opened,
            deviation,
            accepted,
        } = said;
        let SubjectRef {
            group,
            kind,
            namespace,
            name,
            uid,
        } = subject;
        Self {
            accepted: accepted.as_ref(),
            cause: *cause,
            control,
            deviation: deviation.as_deref(),
            ended: *ended,
            from: *from,
            message,
            opened: *opened,
            owner: owner.as_ref(),
            params_hash: params_hash.as_deref(),
            policies,
            reason,
            rule_version: *rule_version,
            scope_hash: scope_hash.as_deref(),
            seq,
            severity: *severity,
            strength: *strength,
            subject: Subject {
                group,
                kind,
                name,
                namespace: namespace.as_ref(),
                uid,
            },
            time,
            to: *to,
            r#type: "transition",
            v: VERSION,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::evidence::entry::Entry;
    use crate::evidence::{canonical, samples};

    /// Names and texts of all sorts: what is escaped, and what is not ASCII.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z-]{0,12}", any::<String>()]
    }

    fn transition() -> impl Strategy<Value = Transition> {
        let subject = (text(), text(), prop::option::of(text()), text(), text());
        let said = (text(), text(), text(), prop::collection::vec(text(), 0..3));
        let maybe = (
            prop::option::of(text()),
            prop::option::of(text()),
            prop::option::of(text()),
            prop::option::of(text()),
            prop::option::of(any::<u32>()),
        );
        let words = (
            select(Cause::ALL),
            prop::option::of(select(End::ALL)),
            any::<(bool, bool, bool)>(),
            prop::option::of(text()),
        );
        (subject, said, maybe, words).prop_map(|(subject, said, maybe, words)| {
            let (group, kind, namespace, name, uid) = subject;
            let (control, reason, message, policies) = said;
            let (params_hash, scope_hash, owner, deviation, rule_version) = maybe;
            let (cause, ended, (usual, from, opened), by) = words;
            Transition {
                policies: policies.into_iter().map(Name::from).collect(),
                control: control.into(),
                rule_version,
                params_hash,
                scope_hash,
                subject: SubjectRef {
                    group: group.into(),
                    kind: kind.into(),
                    namespace: namespace.map(Name::from),
                    name: name.into(),
                    uid: uid.into(),
                },
                owner: owner.map(Name::from),
                from: from.then_some(Outcome::Unknown),
                to: (!from).then_some(Outcome::NotApplicable),
                strength: if usual {
                    Strength::Declared
                } else {
                    Strength::Operating
                },
                reason: reason.into(),
                message,
                severity: Severity::High,
                cause,
                ended,
                opened: opened.then(|| samples::time(7)),
                deviation,
                accepted: by.map(|by| Accepted {
                    approved: usual,
                    by: by.into(),
                }),
            }
        })
    }

    proptest! {
        #[test]
        fn the_bytes_are_the_canonical_ones(said in transition(), seq in 0..=MAX_INTEGER) {
            let record = Record::new(samples::time(3), said);
            let entry = Entry { v: VERSION, seq, time: record.time, body: record.body.clone() };
            let written = write(&record, seq).map(Result::unwrap);
            prop_assert_eq!(written, Some(canonical::to_vec(&entry).unwrap()));
        }
    }
}
