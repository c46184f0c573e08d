//! What of a control fails, is excepted or can't be judged, and since when.

use jiff::Timestamp;

use super::{Moment, Track};
use crate::{
    evidence::{
        body::Transition,
        words::{ActionResult, End},
    },
    period::{
        Deviation, Sink, Span, SpanKind, SubjectId,
        deviation::{end_of, known_before},
        watch::Blindness,
    },
    verdict::Outcome,
};

impl Track {
    /// The outcome of a subject changes.
    pub(in crate::period) fn transition(
        &mut self,
        said: &Transition,
        subject: &SubjectId,
        moment: Moment,
        blind: &Blindness,
        sink: &mut dyn Sink,
    ) {
        let seen = self.seen(blind);
        let Some(to) = said.to else {
            self.close(subject, end_of(said), moment, seen, sink);
            self.left(subject, moment, seen, sink);
            return;
        };
        self.joined(subject, moment);
        self.judged |= self.windows.is_some() && to != Outcome::Unknown;
        let unknown = self
            .spans
            .get(subject)
            .filter(|span| span.kind == SpanKind::Unknown);
        let unknown_after = unknown.and_then(|span| span.after);
        match to {
            Outcome::Fail => {
                self.fail(
                    said,
                    subject,
                    moment,
                    known_before(said, unknown_after, seen),
                    seen,
                    sink,
                );
            }
            // What can't be seen has not ended.
            Outcome::Unknown => {}
            _ => self.close(subject, end_of(said), moment, seen, sink),
        }
        let kind = match to {
            Outcome::Excepted => Some(SpanKind::Excepted),
            Outcome::Unknown => Some(SpanKind::Unknown),
            _ => None,
        };
        let lasts = self.spans.get(subject).is_some_and(|span| {
            // Entries that were written long ago say only in the message who accepts a failure, and whether anybody approved that.
            let same = span.kind == SpanKind::Unknown
                || (&span.message, &span.accepted) == (&said.message, &said.accepted);
            Some(span.kind) == kind && same
        });
        if lasts {
            return;
        }
        self.end_span(subject, moment, sink);
        if let Some(kind) = kind.filter(|_| !self.over) {
            let span = Span {
                kind,
                since: moment.at,
                after: known_before(said, unknown_after, seen),
                reason: said.reason.to_string(),
                message: said.message.clone(),
                accepted: said.accepted.clone(),
                entry: moment.id,
            };
            self.spans.insert(subject.clone(), span);
        }
    }

    fn fail(
        &mut self,
        said: &Transition,
        subject: &SubjectId,
        moment: Moment,
        opened_after: Option<Timestamp>,
        seen: Option<Timestamp>,
        sink: &mut dyn Sink,
    ) {
        let id = said.deviation.as_deref().unwrap_or_default();
        if let Some(open) = self.open.get_mut(subject) {
            if said.from.is_some() || open.id == id {
                open.severity = open.severity.max(said.severity);
                return;
            }
            // It is judged for the first time once more: nobody said that what judged it before had ended.
            self.close(subject, End::DefinitionChanged, moment, seen, sink);
        }
        if self.over {
            return;
        }
        self.failing_since.get_or_insert(moment.at);
        let open = Deviation {
            id: id.to_owned(),
            policy: self.policy.clone(),
            control: self.control.clone(),
            subject: subject.clone(),
            owner: said.owner.clone(),
            severity: said.severity,
            reason: said.reason.to_string(),
            message: said.message.clone(),
            cause: said.cause,
            from_outcome: said.from,
            opened_after,
            opened: moment.at,
            began: said.opened.filter(|began| *began < moment.at),
            closed_after: None,
            closed: None,
            ended: None,
            opened_by: moment.id,
            closed_by: None,
        };
        self.open.insert(subject.clone(), open);
    }

    pub(super) fn close(
        &mut self,
        subject: &SubjectId,
        end: End,
        moment: Moment,
        seen: Option<Timestamp>,
        sink: &mut dyn Sink,
    ) {
        let Some(mut closed) = self.open.remove(subject) else {
            return;
        };
        closed.closed = Some(moment.at);
        closed.closed_after = Some(seen.map_or(closed.opened, |seen| seen.max(closed.opened)));
        closed.ended = Some(end);
        closed.closed_by = Some(moment.id);
        let failing_since = self.failing_since.take_if(|_| self.open.is_empty());
        if let Some(windows) = &mut self.windows {
            windows.each(|tally| {
                tally.deviation(&closed, moment.at);
                if let Some(since) = failing_since {
                    tally.failing(since, moment.at);
                }
            });
            if closed.opened >= windows.whole.from || moment.at > windows.whole.from {
                sink.deviation(&closed);
            }
        } else if self.over {
            sink.deviation(&closed);
        }
    }

    pub(super) fn end_span(&mut self, subject: &SubjectId, moment: Moment, sink: &mut dyn Sink) {
        let Some(span) = self.spans.remove(subject) else {
            return;
        };
        if let Some(windows) = &mut self.windows {
            windows.each(|tally| tally.span(&span, Some(moment.at), moment.at));
        }
        if self.windows.is_some() || self.over {
            sink.span(&self.policy, &self.control, subject, &span, Some(moment.at));
        }
    }

    /// A write of ours came to this.
    pub(in crate::period) fn remedied(&mut self, result: ActionResult) {
        if let Some(windows) = &mut self.windows {
            windows.each(|tally| *tally.numbers.remedies.entry(result).or_default() += 1);
        }
    }
}
