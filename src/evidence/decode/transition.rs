//! Reads transitions as the program writes them: fields in order, texts without escapes. So no field is looked for by its
//! name, and nothing is copied to look at it. Whatever stands there otherwise is left to others.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;

use super::text::Plain;
use crate::evidence::body::{Accepted, SubjectRef, Transition, usual_cause, usual_strength};
use crate::evidence::entry::{Entry, VERSION};
use crate::evidence::words::{Cause, End};
use crate::verdict::{Outcome, Severity, Strength};

/// A transition of the latest version, in the text of its entry.
pub(in crate::evidence) struct Spoken<'a> {
    pub(in crate::evidence) seq: u64,
    pub(in crate::evidence) time: Timestamp,
    accepted: Option<(bool, &'a str)>,
    cause: Option<Cause>,
    control: &'a str,
    deviation: Option<&'a str>,
    ended: Option<End>,
    from: Option<Outcome>,
    message: Option<&'a str>,
    opened: Option<Timestamp>,
    owner: Option<&'a str>,
    params_hash: Option<&'a str>,
    /// From the first name to the end of the list.
    policies: Plain<'a>,
    reason: &'a str,
    rule_version: Option<u32>,
    scope_hash: Option<&'a str>,
    severity: Severity,
    strength: Option<Strength>,
    subject: Subject<'a>,
    to: Option<Outcome>,
}

struct Subject<'a> {
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
    uid: &'a str,
}

/// Reads a transition; `None` if it does not look as it is written.
pub(in crate::evidence) fn said(bytes: &[u8]) -> Option<Spoken<'_>> {
    let mut at = Plain::new(bytes)?;
    at.passes("{").then_some(())?;
    // In the order of the alphabet, which is that of the text.
    let said = Spoken {
        accepted: at.if_named("\"accepted\":", accepted)?,
        cause: at.if_named("\"cause\":", Plain::word)?,
        control: at.named("\"control\":", Plain::text)?,
        deviation: at.if_named("\"deviation\":", Plain::text)?,
        ended: at.if_named("\"ended\":", Plain::word)?,
        from: at.if_named("\"from\":", Plain::word)?,
        message: at.if_named("\"message\":", Plain::text)?,
        opened: at.if_named("\"opened\":", Plain::time)?,
        owner: at.if_named("\"owner\":", Plain::text)?,
        params_hash: at.if_named("\"paramsHash\":", Plain::text)?,
        policies: at.named("\"policies\":", Plain::texts)?,
        reason: at.named("\"reason\":", Plain::text)?,
        rule_version: at.if_named("\"ruleVersion\":", |at| at.number()?.try_into().ok())?,
        scope_hash: at.if_named("\"scopeHash\":", Plain::text)?,
        seq: at.named("\"seq\":", Plain::number)?,
        severity: at.named("\"severity\":", Plain::word)?,
        strength: at.if_named("\"strength\":", Plain::word)?,
        subject: at.named("\"subject\":", subject)?,
        time: at.named("\"time\":", Plain::time)?,
        to: at.if_named("\"to\":", Plain::word)?,
    };
    at.passes("\"type\":\"transition\",\"v\":").then_some(())?;
    let is_latest = at.number()? == u64::from(VERSION);
    (is_latest && at.passes("}") && at.is_read()).then_some(said)
}

/// Whether somebody approved, and what accepts.
fn accepted<'a>(at: &mut Plain<'a>) -> Option<(bool, &'a str)> {
    at.passes("{\"approved\":").then_some(())?;
    let approved = at.passes("true");
    (approved || at.passes("false")).then_some(())?;
    at.passes(",\"by\":").then_some(())?;
    let by = at.text()?;
    at.passes("}").then_some((approved, by))
}

fn subject<'a>(at: &mut Plain<'a>) -> Option<Subject<'a>> {
    at.passes("{").then_some(())?;
    let group = at.named("\"group\":", Plain::text)?;
    let kind = at.named("\"kind\":", Plain::text)?;
    let name = at.named("\"name\":", Plain::text)?;
    let namespace = at.if_named("\"namespace\":", Plain::text)?;
    at.passes("\"uid\":").then_some(())?;
    let uid = at.text()?;
    at.passes("}").then_some(Subject {
        group,
        kind,
        name,
        namespace,
        uid,
    })
}

impl Spoken<'_> {
    /// The entry that it is.
    pub(super) fn entry(self) -> Option<Entry> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let mut names = self.policies;
        let mut policies = Vec::with_capacity(1);
        while !names.passes("]") {
            (policies.is_empty() || names.passes(",")).then_some(())?;
            policies.push(names.text()?.into());
        }
        let said = Transition {
            policies,
            control: self.control.to_owned().into(),
            rule_version: self.rule_version,
            params_hash: owned(self.params_hash),
            scope_hash: owned(self.scope_hash),
            subject: SubjectRef {
                group: self.subject.group.into(),
                kind: self.subject.kind.into(),
                namespace: self.subject.namespace.map(Into::into),
                name: self.subject.name.into(),
                uid: self.subject.uid.into(),
            },
            owner: self.owner.map(Into::into),
            from: self.from,
            to: self.to,
            strength: self.strength.unwrap_or(usual_strength()),
            reason: self.reason.to_owned().into(),
            message: self.message.unwrap_or_default().to_owned(),
            severity: self.severity,
            cause: self.cause.unwrap_or(usual_cause()),
            ended: self.ended,
            opened: self.opened,
            deviation: owned(self.deviation),
            accepted: self.accepted.map(|(approved, by)| Accepted {
                approved,
                by: by.into(),
            }),
        };
        Some(Entry {
            v: VERSION,
            seq: self.seq,
            time: self.time,
            body: said.into(),
        })
    }
}
