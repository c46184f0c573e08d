//! The auditor pack: what an account comes to, as files that people and programs read.
//!
//! Responsible for what stands in the files. Must do no IO of its own: where they lie is the [`Folder`]'s business, and the
//! command that made it moves the whole pack into place when it is complete.
//!
//! ```text
//! entries ─► Collector (a Sink) ─► rows, written as they come; deviations to a spool
//! end     ─► Summary + spool ─► csv, html, oscal, ocsf, in-toto ─► SHA256SUMS
//! ```
//!
//! Words: auditors say "exception" for what we call a deviation. So the pack calls what a `ControlException` grants a
//! "management-approved exemption", and draws no conclusion: it holds results of management's automated evaluation.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod collect;
mod csv;
mod html;
mod mold;
mod ocsf;
pub mod open_reports;
mod oscal;
mod pack;
mod people;
mod statement;
mod tables;
#[cfg(test)]
mod tests;
mod texts;
mod timeline;

pub use self::{
    collect::Collector,
    pack::{Folder, Pack, ReportError},
};

use std::{panic::resume_unwind, sync::Arc, thread};

use serde::Serialize;

use crate::{
    api::AuditPeriodSpec,
    evidence::{note::Signer, verify},
    period::Summary,
};

/// What was found of the log in the pack, while or after it was copied there: the account does not wait for it. The first page
/// shows it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether nothing is wrong.
    pub whole: bool,
    /// What is wrong, and where; the first ones.
    pub problems: Vec<String>,
    /// What is proved.
    pub proved: Vec<String>,
    /// What is not, such as that nobody was there who knew the log from elsewhere.
    pub not_proved: Vec<String>,
}

/// Problems of a log that the first page lists; `probity verify` lists all.
const MOST_PROBLEMS: usize = 10;

impl From<&verify::Report> for Verified {
    fn from(found: &verify::Report) -> Self {
        let problems = found.problems().take(MOST_PROBLEMS);
        Self {
            whole: found.verified,
            problems: problems.map(ToString::to_string).collect(),
            proved: found.proved.clone(),
            not_proved: found.not_proved.clone(),
        }
    }
}

/// What a pack is made of, beside the log.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The period as it was asked for.
    pub spec: AuditPeriodSpec,
    /// Version of this program.
    pub version: &'static str,
    /// SHA-256 of this program's file, if it could be read.
    pub binary_digest: Option<String>,
    /// What was found of the log in the pack.
    pub verified: Verified,
    /// Signs the statement over the pack, where whoever makes it has a key.
    pub signer: Option<Arc<Signer>>,
}

/// Writes everything that needs the whole account, and the sums. The collector has written the rest.
pub fn finish(
    pack: &Pack<'_>,
    collector: Collector<'_>,
    summary: &Summary,
    facts: &Facts,
) -> Result<(), ReportError> {
    let found = collector.close()?;
    // Nearly all of a large pack is written by these three, and each reads the deviations by itself.
    let written = thread::scope(|scope| {
        let results = scope.spawn(|| oscal::write(pack, summary, facts, &found));
        let findings = scope.spawn(|| ocsf::write(pack, &found));
        let tables = tables::write(pack, summary, facts, &found)
            .and_then(|()| tables::deviations(pack, &found))
            .and_then(|()| html::write(pack, summary, facts, &found));
        [Ok(tables), results.join(), findings.join()]
    });
    for written in written {
        written.unwrap_or_else(|panic| resume_unwind(panic))?;
    }
    texts::write(pack, summary, facts)?;
    found.discard(pack)?;
    statement::write(pack, summary, facts)?;
    pack.sums()
}
