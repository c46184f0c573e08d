//! Deviations while they are put aside: from their end until the account is closed. The same process writes and reads them, so
//! they are as they are fastest to read: a year has half a million, and each is read twice.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error};

use crate::{
    evidence::{SubjectRef, body::Name, words::End},
    period::{Deviation, EntryId},
    verdict::Outcome,
};

/// Appends a deviation.
pub(super) fn write(deviation: &Deviation, to: &mut Vec<u8>) {
    let mut to = Writer(to);
    // Without a rest: a field that is new must not be forgotten.
    let Deviation {
        id,
        policy,
        control,
        subject,
        owner,
        severity,
        reason,
        message,
        cause,
        from_outcome,
        opened_after,
        opened,
        began,
        closed_after,
        closed,
        ended,
        opened_by,
        closed_by,
    } = deviation;
    let SubjectRef {
        group,
        kind,
        namespace,
        name,
        uid,
    } = subject.subject();
    for text in [id, policy, control, group, kind, name, uid, reason, message] as [&str; 9] {
        to.text(text);
    }
    to.maybe(namespace.as_deref(), Writer::text);
    to.maybe(owner.as_deref(), Writer::text);
    to.text(severity.as_str());
    to.text(cause.as_str());
    to.maybe(from_outcome.map(Outcome::as_str), Writer::text);
    to.maybe(ended.map(End::as_str), Writer::text);
    to.time(*opened);
    for time in [opened_after, began, closed_after, closed] {
        to.maybe(*time, Writer::time);
    }
    to.entry(*opened_by);
    to.maybe(*closed_by, Writer::entry);
}

/// Reads one that was written.
///
/// # Errors
/// If it was not: somebody else has changed the file.
pub(super) fn read(bytes: &[u8]) -> io::Result<Deviation> {
    let mut from = Reader(bytes);
    let read = from.deviation().filter(|_| from.0.is_empty());
    read.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it was changed meanwhile"))
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn time(&mut self, time: Timestamp) {
        self.0
            .extend_from_slice(&time.as_nanosecond().to_le_bytes());
    }

    fn entry(&mut self, entry: EntryId) {
        self.number(entry.log.into());
        self.number(entry.seq);
    }

    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn some<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (some, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*some)
    }

    fn number(&mut self) -> Option<u64> {
        self.some().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn name(&mut self) -> Option<Name> {
        self.text().map(Name::from)
    }

    fn word<T: Deserialize<'a>>(&mut self) -> Option<T> {
        T::deserialize(BorrowedStrDeserializer::<Error>::new(self.text()?)).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        let nanoseconds = self.some().map(i128::from_le_bytes)?;
        Timestamp::from_nanosecond(nanoseconds).ok()
    }

    fn entry(&mut self) -> Option<EntryId> {
        Some(EntryId {
            log: self.number()?.try_into().ok()?,
            seq: self.number()?,
        })
    }

    /// The outer `None`: nothing that was written.
    #[allow(clippy::option_option, reason = "the two mean different things")]
    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.some()? {
            [0] => Some(None),
            [_] => read(self).map(Some),
        }
    }

    fn deviation(&mut self) -> Option<Deviation> {
        let id = self.text()?.to_owned();
        let (policy, control) = (self.name()?, self.name()?);
        let (group, kind, name, uid) = (self.name()?, self.name()?, self.name()?, self.name()?);
        let (reason, message) = (self.text()?.to_owned(), self.text()?.to_owned());
        let namespace = self.maybe(Self::name)?;
        let subject = SubjectRef {
            group,
            kind,
            namespace,
            name,
            uid,
        };
        Some(Deviation {
            id,
            policy,
            control,
            subject: subject.into(),
            owner: self.maybe(Self::name)?,
            severity: self.word()?,
            cause: self.word()?,
            from_outcome: self.maybe(Self::word)?,
            ended: self.maybe(Self::word)?,
            opened: self.time()?,
            opened_after: self.maybe(Self::time)?,
            began: self.maybe(Self::time)?,
            closed_after: self.maybe(Self::time)?,
            closed: self.maybe(Self::time)?,
            opened_by: self.entry()?,
            closed_by: self.maybe(Self::entry)?,
            reason,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::evidence::words::Cause;
    use crate::verdict::Severity;

    fn time() -> impl Strategy<Value = Timestamp> {
        (-377_705_023_201_i64..253_402_207_200, 0..1_000_000_000)
            .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
    }

    fn entry() -> impl Strategy<Value = EntryId> {
        any::<(u32, u64)>().prop_map(|(log, seq)| EntryId { log, seq })
    }

    fn deviation() -> impl Strategy<Value = Deviation> {
        let text = any::<String>;
        let subject = (text(), text(), prop::option::of(text()), text(), text());
        let texts = (text(), text(), text(), text(), text());
        let words = (
            prop::option::of(text()),
            select(Cause::ALL),
            prop::option::of(select(End::ALL)),
            prop::option::of(select(&Outcome::ALL[..])),
        );
        let maybe = prop::collection::vec(prop::option::of(time()), 4);
        let entries = (time(), entry(), prop::option::of(entry()));
        let all = (subject, texts, words, maybe, entries);
        all.prop_map(|(subject, texts, words, times, entries)| {
            let (group, kind, namespace, name, uid) = subject;
            let (id, policy, control, reason, message) = texts;
            let (owner, cause, ended, from_outcome) = words;
            let (opened, opened_by, closed_by) = entries;
            let subject = SubjectRef {
                group: group.into(),
                kind: kind.into(),
                namespace: namespace.map(Name::from),
                name: name.into(),
                uid: uid.into(),
            };
            Deviation {
                id,
                policy: policy.into(),
                control: control.into(),
                subject: subject.into(),
                owner: owner.map(Name::from),
                severity: Severity::Medium,
                reason,
                message,
                cause,
                from_outcome,
                opened_after: times[0],
                opened,
                began: times[1],
                closed_after: times[2],
                closed: times[3],
                ended,
                opened_by,
                closed_by,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_put_aside_comes_back(put in deviation()) {
            let mut bytes = Vec::new();
            write(&put, &mut bytes);
            let back = read(&bytes).unwrap();
            // Subjects are the same if all but their UIDs is.
            prop_assert_eq!(back.subject.subject(), put.subject.subject());
            prop_assert_eq!(back, put);
        }

        #[test]
        fn what_was_cut_or_goes_on_is_not_taken(put in deviation(), at in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            write(&put, &mut bytes);
            prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
            bytes.push(0);
            prop_assert!(read(&bytes).is_err());
        }
    }
}
