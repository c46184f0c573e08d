//! Takes what comes with the log and is too much to be held: rows go to their files, deviations to a spool that is read
//! again when the account is closed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    csv::Table,
    pack::{Pack, PackFile, ReportError, failed},
    people::{Responses, decision, spec, text},
    timeline::Timeline,
};
use crate::{
    evidence::{
        Body, Entry,
        body::{ActionOutcome, Content, Drill, Intent, Name, ObjectChange},
    },
    period::{Deviation, Frame, Member, Sink, Span, SpanKind, SubjectId, Unobserved},
};

const SPOOL: &str = "deviations.unfinished.jsonl";

/// A control in a policy.
pub(super) type Key = (String, String);

/// Writes rows while the log is read.
pub struct Collector<'a> {
    pack: &'a Pack<'a>,
    frame: Frame,
    spool: PackFile,
    populations: BTreeMap<String, Table>,
    unobserved: Table,
    exempted: Table,
    gaps: Table,
    remedies: Table,
    changes: Table,
    attestations: Table,
    reviews: Table,
    restores: Table,
    found: Found,
    /// The first error: a sink can't return one.
    failed: Option<ReportError>,
}

/// What is held of all that.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) responses: Responses,
    pub(super) timelines: BTreeMap<Key, Timeline>,
    pub(super) deviations: u64,
}

impl<'a> Collector<'a> {
    /// Begins the files.
    #[allow(clippy::too_many_lines, reason = "a table: one file after the other")]
    pub fn new(pack: &'a Pack<'a>, frame: &Frame) -> Result<Self, ReportError> {
        let table = |name: &str, header: &[&str]| Table::new(pack, name, header);
        Ok(Self {
            pack,
            frame: frame.clone(),
            spool: pack.file(SPOOL)?,
            populations: BTreeMap::new(),
            unobserved: table(
                "not-observable.csv",
                &[
                    "control",
                    "policy",
                    "kind",
                    "namespace",
                    "name",
                    "from",
                    "to",
                    "reason",
                    "message",
                    "entry",
                    "assumed responsible",
                ],
            )?,
            exempted: table(
                "management-approved-exemptions.csv",
                &[
                    "control",
                    "policy",
                    "kind",
                    "namespace",
                    "name",
                    "from",
                    "to",
                    "reason",
                    "message",
                    "entry",
                ],
            )?,
            gaps: table(
                "gaps.csv",
                &["control", "policy", "from", "to", "seconds", "causes"],
            )?,
            remedies: table(
                "remedies.csv",
                &[
                    "intent",
                    "control",
                    "policies",
                    "action",
                    "kind",
                    "namespace",
                    "name",
                    "began",
                    "ended",
                    "result",
                    "message",
                ],
            )?,
            changes: table(
                "changes.csv",
                &[
                    "entry",
                    "time",
                    "kind",
                    "namespace",
                    "name",
                    "step",
                    "who",
                    "old hash",
                    "new hash",
                    "expires",
                    "decision",
                ],
            )?,
            attestations: table(
                "attestations.csv",
                &[
                    "entry",
                    "time",
                    "name",
                    "step",
                    "control",
                    "who",
                    "statement",
                    "evidence",
                    "expires",
                    "decision",
                ],
            )?,
            reviews: table(
                "access-reviews/reviews.csv",
                &[
                    "entry",
                    "time",
                    "namespace",
                    "name",
                    "step",
                    "who",
                    "spec hash",
                    "decision",
                ],
            )?,
            restores: table(
                "restore-tests.csv",
                &["entry", "time", "control", "subject", "ended", "what"],
            )?,
            found: Found::default(),
            failed: None,
        })
    }

    /// Takes note of an entry, before the account does.
    pub fn note(&mut self, entry: &Entry) {
        let noted = match &entry.body {
            Body::Response(said) => {
                self.found.responses.note(said, entry.time, entry.seq);
                self.change(entry, said)
            }
            Body::Attestation(said) => self
                .change(entry, said)
                .and_then(|()| self.attestation(entry, said)),
            Body::Review(said) => self
                .change(entry, said)
                .and_then(|()| self.review(entry, said)),
            Body::Exception(said) | Body::Period(said) => self.change(entry, said),
            Body::PolicyChange(said) => self.row_of_change(
                entry,
                &["ControlPolicy", "", &said.policy],
                said.change.as_str(),
                said.who.as_deref(),
                (said.old_hash.as_deref(), said.new_hash.as_deref()),
                None,
                "",
            ),
            Body::Drill(said) => self.drill(entry, said),
            Body::Kept(said) => match &said.value {
                Content::Inline(value) => {
                    self.restore(entry, &said.control, &said.subject.name, value)
                }
                Content::Blob(_) => Ok(()),
            },
            _ => Ok(()),
        };
        self.keep(noted);
    }

    fn keep(&mut self, result: Result<(), ReportError>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    fn in_period(&self, at: Timestamp) -> bool {
        at >= self.frame.from && at < self.frame.to
    }

    fn change(&mut self, entry: &Entry, said: &ObjectChange) -> Result<(), ReportError> {
        self.row_of_change(
            entry,
            &[
                &said.kind,
                said.namespace.as_deref().unwrap_or_default(),
                &said.name,
            ],
            said.step.as_str(),
            said.who.as_deref(),
            (said.old_hash.as_deref(), said.new_hash.as_deref()),
            said.expires,
            &decision(said),
        )
    }

    #[allow(clippy::too_many_arguments, reason = "a row has this many cells")]
    fn row_of_change(
        &mut self,
        entry: &Entry,
        object: &[&str; 3],
        step: &str,
        who: Option<&str>,
        (old, new): (Option<&str>, Option<&str>),
        expires: Option<Timestamp>,
        decision: &str,
    ) -> Result<(), ReportError> {
        // What was asked for or answered after the end belongs to the period too; what was before it, does not.
        if entry.time < self.frame.from {
            return Ok(());
        }
        let [kind, namespace, name] = object;
        self.changes.row(&[
            &entry.seq.to_string(),
            &entry.time.to_string(),
            *kind,
            *namespace,
            *name,
            step,
            who.unwrap_or_default(),
            old.unwrap_or_default(),
            new.unwrap_or_default(),
            &expires.map(|at| at.to_string()).unwrap_or_default(),
            decision,
        ])
    }

    fn attestation(&mut self, entry: &Entry, said: &ObjectChange) -> Result<(), ReportError> {
        let spec = spec(said);
        self.attestations.row(&[
            entry.seq.to_string(),
            entry.time.to_string(),
            said.name.to_string(),
            said.step.to_string(),
            text(&spec, "control"),
            said.who.clone().unwrap_or_default(),
            text(&spec, "statement"),
            text(&spec, "evidence"),
            said.expires.map(|at| at.to_string()).unwrap_or_default(),
            decision(said),
        ])
    }

    fn review(&mut self, entry: &Entry, said: &ObjectChange) -> Result<(), ReportError> {
        self.reviews.row(&[
            entry.seq.to_string(),
            entry.time.to_string(),
            said.namespace.as_deref().unwrap_or_default().to_owned(),
            said.name.to_string(),
            said.step.to_string(),
            said.who.clone().unwrap_or_default(),
            said.new_hash.clone().unwrap_or_default(),
            decision(said),
        ])
    }

    fn restore(
        &mut self,
        entry: &Entry,
        control: &str,
        subject: &str,
        value: &Value,
    ) -> Result<(), ReportError> {
        let text = |field: &str| value.pointer(field).and_then(Value::as_str);
        let Some(ended) = text("/value/ended") else {
            return Ok(());
        };
        if !self.in_period(entry.time) {
            return Ok(());
        }
        let what = text("/value/message").unwrap_or_default();
        self.restores.row(&[
            &entry.seq.to_string(),
            &entry.time.to_string(),
            control,
            subject,
            ended,
            what,
        ])
    }

    fn drill(&mut self, entry: &Entry, said: &Drill) -> Result<(), ReportError> {
        if !self.in_period(entry.time) {
            return Ok(());
        }
        let result = if said.passed { "passed" } else { "failed" };
        self.restores.row(&[
            &*entry.seq.to_string(),
            &*entry.time.to_string(),
            &*said.control,
            &*format!("Namespace {}", said.namespace),
            &*said.to.to_string(),
            &*format!("restore drill {} {result}: {}", said.restore, said.message),
        ])
    }

    fn timeline(&mut self, control: &str, policy: &str) -> &mut Timeline {
        let key = (control.to_owned(), policy.to_owned());
        let (from, to) = (self.frame.from, self.frame.to);
        self.found
            .timelines
            .entry(key)
            .or_insert_with(|| Timeline::new(from, to))
    }

    /// Ends the files.
    pub(super) fn close(mut self) -> Result<Found, ReportError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let pack = self.pack;
        for (_, table) in self.populations {
            table.close(pack)?;
        }
        let tables = [
            self.unobserved,
            self.exempted,
            self.gaps,
            self.remedies,
            self.changes,
            self.attestations,
            self.reviews,
            self.restores,
        ];
        for table in tables {
            table.close(pack)?;
        }
        self.spool.end()?;
        Ok(self.found)
    }
}

impl Found {
    /// The deviations, in the order in which they ended.
    #[allow(
        clippy::unused_self,
        reason = "only who has ended the collection may read the spool"
    )]
    pub(super) fn deviations(
        &self,
        pack: &Pack<'_>,
    ) -> Result<impl Iterator<Item = Result<Deviation, ReportError>> + use<>, ReportError> {
        let lines = pack.lines(SPOOL)?;
        Ok(lines
            .map(|line| serde_json::from_str(&line?).map_err(|error| failed(SPOOL, error.into()))))
    }

    /// Removes the spool.
    #[allow(
        clippy::unused_self,
        reason = "only who has ended the collection may remove the spool"
    )]
    pub(super) fn discard(&self, pack: &Pack<'_>) -> Result<(), ReportError> {
        pack.remove(SPOOL)
    }
}

impl Sink for Collector<'_> {
    fn deviation(&mut self, deviation: &Deviation) {
        self.found.deviations += 1;
        let until = deviation.closed.unwrap_or(self.frame.to);
        self.timeline(&deviation.control, &deviation.policy)
            .failed(deviation.opened, until);
        let written = self
            .spool
            .put_json(deviation)
            .and_then(|()| self.spool.put(b"\n"));
        self.keep(written);
    }

    fn member(&mut self, member: &Member) {
        let result = self.member_row(member);
        self.keep(result);
    }

    fn span(
        &mut self,
        policy: &Name,
        control: &Name,
        subject: &SubjectId,
        span: &Span,
        until: Option<Timestamp>,
    ) {
        let said = subject.subject();
        let (entry, from) = (span.entry.to_string(), span.since.to_string());
        let to = until.map(|to| to.to_string()).unwrap_or_default();
        let namespace = said.namespace.as_deref().unwrap_or_default();
        let cells = [
            &**control,
            &**policy,
            &*said.kind,
            namespace,
            &*said.name,
            &*from,
            &*to,
            &*span.reason,
            &*span.message,
            &*entry,
        ];
        let written = match span.kind {
            SpanKind::Excepted => self.exempted.row(&cells),
            SpanKind::Unknown => {
                let mut cells = cells.to_vec();
                cells.push(responsible(control));
                self.unobserved.row(&cells)
            }
        };
        self.keep(written);
    }

    fn remedy(
        &mut self,
        began: Timestamp,
        intent: &Intent,
        ended: Timestamp,
        outcome: &ActionOutcome,
    ) {
        if outcome.result == crate::evidence::words::ActionResult::Applied {
            for policy in &intent.policies {
                self.timeline(&intent.control, policy).remedied(ended);
            }
        }
        let target = &intent.target;
        let written = self.remedies.row(&[
            &*intent.id.to_string(),
            &*intent.control,
            &*intent.policies.join(" "),
            intent.action.as_str(),
            &*target.kind,
            target.namespace.as_deref().unwrap_or_default(),
            &*target.name,
            &*began.to_string(),
            &*ended.to_string(),
            outcome.result.as_str(),
            &*outcome.message,
        ]);
        self.keep(written);
    }

    fn gap(&mut self, policy: &Name, control: &Name, gap: &Unobserved) {
        self.timeline(control, policy).gap(gap.from, gap.to);
        let seconds = gap.to.duration_since(gap.from).as_secs().to_string();
        let (from, to) = (gap.from.to_string(), gap.to.to_string());
        let written = self.gaps.row(&[
            &**control,
            &**policy,
            &*from,
            &*to,
            &*seconds,
            &*gap.causes.join("; "),
        ]);
        self.keep(written);
    }
}

impl Collector<'_> {
    fn member_row(&mut self, member: &Member) -> Result<(), ReportError> {
        let control = member.control.to_string();
        if !self.populations.contains_key(&control) {
            let name = format!("populations/{}.csv", file_name(&control));
            let header = [
                "policy",
                "group",
                "kind",
                "namespace",
                "name",
                "uid",
                "first seen",
                "left",
                "id",
            ];
            self.populations
                .insert(control.clone(), Table::new(self.pack, &name, &header)?);
        }
        let Some(table) = self.populations.get_mut(&control) else {
            return Ok(());
        };
        let said = member.subject.subject();
        let left = member.left.map(|left| left.to_string()).unwrap_or_default();
        table.row(&[
            &*member.policy,
            &*said.group,
            &*said.kind,
            said.namespace.as_deref().unwrap_or_default(),
            &*said.name,
            &*said.uid,
            &*member.joined.to_string(),
            &*left,
            &*crate::period::item_id(said),
        ])
    }
}

/// Who answers for what can't be seen from inside a cluster, as far as one may assume.
fn responsible(control: &str) -> &'static str {
    match control.split('-').next() {
        Some("enc") => "provider of the control plane or storage (CSOC)",
        Some("backup") => "provider of the storage (CSOC)",
        _ => "the organisation",
    }
}

/// A name that is a file's everywhere.
pub(super) fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(safe).take(120).collect();
    // A name that begins with a dot is hidden, or leads elsewhere.
    name.trim_start_matches('.').to_owned()
}
