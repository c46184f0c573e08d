//! Failures that were accepted, each with what the log holds of the object that accepted it. Somebody may approve that after the
//! failure has ended, so the rows are put aside until the log has been read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{
        body::{Accepted, INVALID, Name, ObjectChange},
        words::Step,
    },
    period::{EntryId, Span},
    report::{
        csv::{Row, Table},
        pack::{Pack, ReportError, Spool, failed},
        people::{spec, text},
    },
};

const FILE: &str = "management-approved-exemptions.csv";

const SPOOL: &str = "exemptions.unfinished";

const HEADER: [&str; 21] = [
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
    "approval",
    "exemption",
    "exemption kind",
    "requested by",
    "approved by",
    "approved at",
    "expires",
    "exemption reason",
    "ticket",
    "exemption entry",
    "approval entry",
];

/// How many of them tell what was accepted; the others, by what.
const WHAT: usize = 10;

/// How a message begins to tell by what a failure is accepted; see `Exceptions::consider` of the engine.
const ACCEPTED: &str = " (accepted by ";

/// How it ends where that worked without approval.
const EMERGENCY: &str = ", in an emergency and without approval)";

/// The reason of what is exempt by a label of its own.
const LABELLED: &str = "Exempt";

/// Cells that tell what was accepted.
pub(super) type Cells<'a> = [&'a str; WHAT];

/// What an entry says of a failure that was accepted.
#[derive(Serialize, Deserialize)]
struct Said {
    since: Timestamp,
    entry: EntryId,
    accepted: Option<Accepted>,
}

/// What was accepted, put aside, and the objects that accepted it.
pub(super) struct Exemptions {
    spool: Spool,
    granted: Granted,
}

impl Exemptions {
    /// Nothing yet.
    pub(super) fn new(pack: &Pack<'_>) -> Result<Self, ReportError> {
        Ok(Self {
            spool: pack.spool(SPOOL)?,
            granted: Granted::default(),
        })
    }

    /// Takes note of a step of an object that accepts failures.
    pub(super) fn note(&mut self, said: &ObjectChange, at: Timestamp, entry: EntryId) {
        self.granted.note(said, at, entry);
    }

    /// Puts aside what was accepted.
    pub(super) fn put(&mut self, span: &Span, cells: &Cells<'_>) -> Result<(), ReportError> {
        let said = Said {
            since: span.since,
            entry: span.entry,
            accepted: span.accepted.clone(),
        };
        let record = serde_json::to_vec(&(said, cells));
        let record = record.map_err(|error| failed(SPOOL, error.into()))?;
        self.spool.put_record(|to| to.extend_from_slice(&record))
    }

    /// What is not to stay.
    pub(super) fn into_spool(self) -> Spool {
        self.spool
    }

    /// Writes the table.
    pub(super) fn close(self, pack: &Pack<'_>) -> Result<(), ReportError> {
        let Self { spool, granted } = self;
        spool.end()?;
        let mut table = Table::new(pack, FILE, &HEADER)?;
        let mut records = pack.records(SPOOL)?;
        while let Some(record) = records.next()? {
            let read = serde_json::from_slice(record);
            let read = read.map_err(|error| failed(SPOOL, error.into()))?;
            let (said, cells): (Said, [String; WHAT]) = read;
            table.cells(|row| {
                for cell in &cells {
                    row.text(cell);
                }
                let [control, .., reason, message, _] = &cells;
                if reason == LABELLED {
                    by_label(row);
                } else {
                    by_object(row, granted.find(control, message, &said));
                }
            })?;
        }
        table.close(pack)?;
        pack.remove(SPOOL)
    }
}

/// Cells of what is exempt by a label: whoever may write the object may set it.
fn by_label(row: &mut Row<'_>) {
    row.text("none");
    row.text("label");
    (WHAT + 2..HEADER.len()).for_each(|_| row.text(""));
}

/// Cells about the object that accepted a failure, as far as it is known.
fn by_object(row: &mut Row<'_>, found: Option<Grant<'_>>) {
    let Some(grant) = found else {
        row.text("not known");
        (WHAT + 1..HEADER.len()).for_each(|_| row.text(""));
        return;
    };
    let version = grant.version;
    let decision = version.decision.as_ref();
    let approved = decision.filter(|decision| decision.approved);
    row.text(grant.approval());
    row.text(grant.name);
    row.text(&version.kind);
    row.text(&version.requested_by);
    row.text(approved.map_or("", |decision| &*decision.by));
    row.shown_if(approved.map(|decision| decision.at));
    row.text(&version.expires);
    row.text(&version.reason);
    row.text(&version.ticket);
    row.shown(version.entry);
    row.shown_if(decision.map(|decision| decision.entry));
}

/// Every version of the objects that accept failures, by kind, namespace and name as messages have them.
#[derive(Debug, Default)]
struct Granted(BTreeMap<String, Vec<Version>>);

/// An object as it was asked for, and what became of that.
#[derive(Debug)]
struct Version {
    uid: Name,
    hash: Option<String>,
    since: Timestamp,
    entry: EntryId,
    control: String,
    kind: String,
    requested_by: String,
    expires: String,
    reason: String,
    ticket: String,
    decision: Option<Decision>,
}

/// What somebody decided about it.
#[derive(Debug)]
struct Decision {
    approved: bool,
    by: String,
    at: Timestamp,
    entry: EntryId,
}

/// What accepted a failure.
#[derive(Debug)]
struct Grant<'a> {
    name: &'a str,
    version: &'a Version,
    /// Whether it did so without approval.
    emergency: bool,
}

impl Granted {
    fn note(&mut self, said: &ObjectChange, at: Timestamp, entry: EntryId) {
        let name = match &said.namespace {
            Some(namespace) => format!("{} {namespace}/{}", said.kind, said.name),
            None => format!("{} {}", said.kind, said.name),
        };
        let versions = self.0.entry(name).or_default();
        match said.step {
            Step::Created | Step::Changed => {
                let known = versions.last();
                let same =
                    known.is_some_and(|last| last.uid == said.uid && last.hash == said.new_hash);
                if !same {
                    versions.push(Version::of(said, at, entry));
                }
            }
            // A decision that does not count is none.
            Step::Approved | Step::Rejected if said.reason.as_deref() != Some(INVALID) => {
                let asked = versions.last_mut().filter(|last| last.uid == said.uid);
                if let Some(asked) = asked {
                    asked.decision.get_or_insert(Decision {
                        approved: said.step == Step::Approved,
                        by: said.who.clone().unwrap_or_default(),
                        at,
                        entry,
                    });
                }
            }
            _ => {}
        }
    }

    /// What accepted a failure.
    fn find(&self, control: &str, message: &str, said: &Said) -> Option<Grant<'_>> {
        let Some(accepted) = &said.accepted else {
            return self.find_in(control, message, said);
        };
        let (name, version) = self.version(&accepted.by, said)?;
        (version.control == control).then_some(Grant {
            name,
            version,
            emergency: !accepted.approved,
        })
    }

    /// An object as it was when an entry named it.
    fn version(&self, name: &str, said: &Said) -> Option<(&str, &Version)> {
        let (name, versions) = self.0.get_key_value(name)?;
        let mut versions = versions.iter();
        let version = versions.rfind(|version| version.is_before(said.since, said.entry))?;
        Some((name, version))
    }

    /// What accepted a failure of which the entry does not name it, as the end of its message says. Messages and tickets hold
    /// texts of others: what one of them names must be there as it says, and where two would fit, none is taken.
    fn find_in(&self, control: &str, message: &str, said: &Said) -> Option<Grant<'_>> {
        let mut fitting = message.match_indices(ACCEPTED).filter_map(|(at, begin)| {
            let (name, rest) = message[at + begin.len()..].split_once(", ")?;
            let (name, version) = self.version(name, said)?;
            let end = rest.strip_prefix(&*format!("{}, {}", version.kind, version.ticket))?;
            let fits = version.control == control && matches!(end, ")" | EMERGENCY);
            fits.then_some(Grant {
                name,
                version,
                emergency: end == EMERGENCY,
            })
        });
        let found = fitting.next()?;
        fitting.next().is_none().then_some(found)
    }
}

impl Version {
    fn of(said: &ObjectChange, at: Timestamp, entry: EntryId) -> Self {
        let spec = spec(said);
        let expires = said.expires.map(|at| at.to_string());
        Self {
            uid: said.uid.clone(),
            hash: said.new_hash.clone(),
            since: at,
            entry,
            control: text(&spec, "control"),
            kind: text(&spec, "kind"),
            requested_by: text(&spec, "requestedBy"),
            expires: expires.unwrap_or_else(|| text(&spec, "expiresAt")),
            reason: text(&spec, "reason"),
            ticket: text(&spec, "ticket"),
            decision: None,
        }
    }

    /// Whether the log knew it when it said something else. In one log the clock may have been set meanwhile.
    fn is_before(&self, at: Timestamp, entry: EntryId) -> bool {
        if self.entry.log == entry.log {
            self.entry.seq <= entry.seq
        } else {
            self.since <= at
        }
    }
}

impl Grant<'_> {
    /// Whether somebody else has approved it, as far as the log goes.
    fn approval(&self) -> &'static str {
        match (&self.version.decision, self.emergency) {
            (Some(decision), false) if decision.approved => "approved",
            (Some(decision), true) if decision.approved => "approved later",
            (Some(_), true) => "refused",
            (None, true) => "none",
            // It was approved, or it would not have worked; by whom is not in this log.
            (_, false) => "not known",
        }
    }
}
