//! Reads transitions as the program writes them: fields in order, texts without escapes. So no field is looked for by its
//! name, and nothing is copied to look at it. Whatever stands there otherwise is left to others.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;
use memchr::memchr;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error};

use super::time::utc;
use crate::evidence::body::{SubjectRef, Transition, usual_cause, usual_strength};
use crate::evidence::entry::{Entry, VERSION};
use crate::evidence::words::{Cause, End};
use crate::verdict::{Outcome, Severity, Strength};

/// A transition of the latest version, in the text of its entry.
pub(in crate::evidence) struct Spoken<'a> {
    pub(in crate::evidence) seq: u64,
    pub(in crate::evidence) time: Timestamp,
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
    policies: Text<'a>,
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
    let mut at = Text::new(bytes)?;
    at.passes("{").then_some(())?;
    // In the order of the alphabet, which is that of the text.
    let said = Spoken {
        cause: at.if_named("\"cause\":", Text::word)?,
        control: at.named("\"control\":", Text::text)?,
        deviation: at.if_named("\"deviation\":", Text::text)?,
        ended: at.if_named("\"ended\":", Text::word)?,
        from: at.if_named("\"from\":", Text::word)?,
        message: at.if_named("\"message\":", Text::text)?,
        opened: at.if_named("\"opened\":", Text::time)?,
        owner: at.if_named("\"owner\":", Text::text)?,
        params_hash: at.if_named("\"paramsHash\":", Text::text)?,
        policies: at.named("\"policies\":", Text::texts)?,
        reason: at.named("\"reason\":", Text::text)?,
        rule_version: at.if_named("\"ruleVersion\":", |at| at.number()?.try_into().ok())?,
        scope_hash: at.if_named("\"scopeHash\":", Text::text)?,
        seq: at.named("\"seq\":", Text::number)?,
        severity: at.named("\"severity\":", Text::word)?,
        strength: at.if_named("\"strength\":", Text::word)?,
        subject: at.named("\"subject\":", subject)?,
        time: at.named("\"time\":", Text::time)?,
        to: at.if_named("\"to\":", Text::word)?,
    };
    at.passes("\"type\":\"transition\",\"v\":").then_some(())?;
    let is_latest = at.number()? == u64::from(VERSION);
    (is_latest && at.passes("}") && at.0.is_empty()).then_some(said)
}

fn subject<'a>(at: &mut Text<'a>) -> Option<Subject<'a>> {
    at.passes("{").then_some(())?;
    let group = at.named("\"group\":", Text::text)?;
    let kind = at.named("\"kind\":", Text::text)?;
    let name = at.named("\"name\":", Text::text)?;
    let namespace = at.if_named("\"namespace\":", Text::text)?;
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
        };
        Some(Entry {
            v: VERSION,
            seq: self.seq,
            time: self.time,
            body: said.into(),
        })
    }
}

/// What of the text of an entry is still to be read. Nothing in it is escaped.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// `None` where something is escaped, or must not be there at all.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        // Without a way out, so that it looks at many bytes at a time.
        let is_odd = |byte: &u8| *byte == b'\\' || *byte < 0x20;
        let odd = bytes.iter().fold(false, |odd, byte| odd | is_odd(byte));
        (!odd).then_some(())?;
        std::str::from_utf8(bytes).ok().map(Self)
    }

    /// Whether this comes next: then it is passed.
    fn passes(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The value of a field that must come next, and the comma behind it.
    fn named<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.passes(name).then_some(())?;
        let value = read(self)?;
        self.passes(",").then_some(value)
    }

    /// The same of one that may be left out. The outer `None`: it stands there otherwise.
    #[allow(clippy::option_option, reason = "the two mean different things")]
    fn if_named<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if !self.passes(name) {
            return Some(None);
        }
        let value = read(self)?;
        self.passes(",").then_some(Some(value))
    }

    fn text(&mut self) -> Option<&'a str> {
        let rest = self.0.strip_prefix('"')?;
        let (text, rest) = rest.split_at_checked(memchr(b'"', rest.as_bytes())?)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A list of texts. Returned is where the first one begins.
    fn texts(&mut self) -> Option<Self> {
        self.passes("[").then_some(())?;
        let begin = *self;
        let mut first = true;
        while !self.passes("]") {
            (std::mem::take(&mut first) || self.passes(",")).then_some(())?;
            self.text()?;
        }
        Some(begin)
    }

    /// One of the words of a closed set.
    fn word<T: Deserialize<'a>>(&mut self) -> Option<T> {
        T::deserialize(BorrowedStrDeserializer::<Error>::new(self.text()?)).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        utc(self.text()?)
    }

    /// A number without sign, fraction and exponent.
    fn number(&mut self) -> Option<u64> {
        let length = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(length)?;
        (length == 1 || !digits.starts_with('0')).then_some(())?;
        self.0 = rest;
        digits.parse().ok()
    }
}
