//! Takes what comes with the log and is too much to be held: rows go to their files, deviations to a spool that is read
//! again when the account is closed.

mod exemptions;
mod sink;
mod spool;
mod tables;

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use jiff::Timestamp;
use serde_json::Value;

use self::{exemptions::Exemptions, tables::Tables};
use super::{
    csv::Table,
    pack::{Pack, ReportError, Spool, failed},
    people::{Responses, decision, spec, text},
    timeline::Timeline,
};
use crate::{
    evidence::{
        Body, Entry,
        body::{Content, Drill, Name, ObjectChange},
    },
    period::{Deviation, EntryId, Frame, LogCount},
};

const SPOOL: &str = "deviations.unfinished";

/// Deviations that a page shows; all of them are in `deviations.csv`.
const MOST_DEVIATIONS: usize = 500;

/// A control in a policy.
pub(super) type Key = (Name, Name);

/// Writes rows while the log is read.
pub struct Collector<'a> {
    pack: &'a Pack<'a>,
    frame: Frame,
    spool: Spool,
    populations: BTreeMap<String, Table>,
    tables: Tables,
    exemptions: Exemptions,
    count: LogCount,
    /// The entry that is taken in.
    id: EntryId,
    found: Found,
    /// The first error: a sink can't return one.
    failed: Option<ReportError>,
}

/// What is held of all that.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) responses: Responses,
    pub(super) deviations: u64,
    /// What the page of each control shows.
    pub(super) pages: HashMap<Key, Shown, FixedState>,
}

/// What the page of a control shows beside its numbers.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) timeline: Timeline,
    /// The first ones.
    pub(super) deviations: Vec<Deviation>,
}

impl<'a> Collector<'a> {
    /// Begins the files.
    pub fn new(pack: &'a Pack<'a>, frame: &Frame) -> Result<Self, ReportError> {
        Ok(Self {
            pack,
            frame: frame.clone(),
            spool: pack.spool(SPOOL)?,
            populations: BTreeMap::new(),
            tables: Tables::new(pack)?,
            exemptions: Exemptions::new(pack)?,
            count: LogCount::default(),
            id: EntryId::default(),
            found: Found::default(),
            failed: None,
        })
    }

    /// The entries that follow are of a replica with this number.
    pub const fn turn_to(&mut self, replica: usize) {
        self.count.turn_to(replica);
    }

    /// Takes note of an entry, before the account does.
    pub fn note(&mut self, entry: &Entry) {
        self.id = self.count.next(entry);
        let noted = match &entry.body {
            Body::Response(said) => {
                self.found.responses.note(said, entry.time, self.id);
                self.change(entry, said)
            }
            Body::Attestation(said) => self
                .change(entry, said)
                .and_then(|()| self.attestation(entry, said)),
            Body::Review(said) => self
                .change(entry, said)
                .and_then(|()| self.review(entry, said)),
            Body::Exception(said) => {
                self.exemptions.note(said, entry.time, self.id);
                self.change(entry, said)
            }
            Body::Period(said) => self.change(entry, said),
            Body::PolicyChange(said) => self.row_of_change(
                entry,
                &["ControlPolicy", "", &said.policy],
                said.change.as_str(),
                said.who.as_deref(),
                (said.old_hash.as_deref(), said.new_hash.as_deref()),
                None,
                "",
            ),
            Body::EncryptionConfig(said) => self.row_of_change(
                entry,
                &["EncryptionConfiguration", "", &said.server],
                said.from.as_ref().map_or("Seen", |_| "Updated"),
                None,
                (said.from.as_deref(), Some(&said.to)),
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
        self.tables.changes.row(&[
            &self.id.to_string(),
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
        self.tables.attestations.row(&[
            self.id.to_string(),
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
        self.tables.reviews.row(&[
            self.id.to_string(),
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
        self.tables.restores.row(&[
            &self.id.to_string(),
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
        self.tables.restores.row(&[
            &*self.id.to_string(),
            &*entry.time.to_string(),
            &*said.control,
            &*format!("Namespace {}", said.namespace),
            &*said.to.to_string(),
            &*format!("restore drill {} {result}: {}", said.restore, said.message),
        ])
    }

    /// The page of a control.
    fn page(&mut self, control: &Name, policy: &Name) -> &mut Shown {
        let key = (control.clone(), policy.clone());
        let (from, to) = (self.frame.from, self.frame.to);
        self.found.pages.entry(key).or_insert_with(|| Shown {
            timeline: Timeline::new(from, to),
            deviations: Vec::new(),
        })
    }

    /// Removes what was written: it is to be collected anew.
    pub fn abandon(self) -> Result<(), ReportError> {
        let tables = self.populations.into_values().chain(self.tables.all());
        let spools = [self.spool, self.exemptions.into_spool()];
        let files = tables.map(Table::into_spool).chain(spools);
        for file in files {
            self.pack.abandon(file)?;
        }
        Ok(())
    }

    /// Ends the files.
    pub(super) fn close(mut self) -> Result<Found, ReportError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let pack = self.pack;
        for table in self.populations.into_values().chain(self.tables.all()) {
            table.close(pack)?;
        }
        self.exemptions.close(pack)?;
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
        let mut records = pack.records(SPOOL)?;
        Ok(std::iter::from_fn(move || {
            let record = records.next().transpose()?;
            Some(
                record.and_then(|record| spool::read(record).map_err(|error| failed(SPOOL, error))),
            )
        }))
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
