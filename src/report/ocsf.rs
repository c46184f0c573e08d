//! Deviations as OCSF compliance findings: one when it opens, one when it closes. A year may have a million of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    collect::Found,
    mold::{Cell, Mold, hole},
    pack::{Pack, PackFile, ReportError},
};
use crate::{
    evidence::{body::Name, words::End},
    period::{Deviation, EntryId, criteria_of},
    verdict::Severity,
};

/// The standard by the name that OCSF consumers know.
const STANDARD: &str = "AICPA TSC 2017 (POF 2022)";
const FINDINGS: &str = "ocsf/findings.jsonl";

/// A finding, with holes for the cells of [`Findings::write`].
fn finding() -> Value {
    json!({
        "activity_id": hole(0),
        "category_uid": 2,
        "class_uid": 2003,
        "compliance": {
            "control": hole(1),
            "requirements": hole(2),
            "standards": [STANDARD],
            "status": hole(3),
            "status_id": hole(4),
        },
        "finding_info": {
            "created_time": hole(5),
            "first_seen_time": hole(5),
            "last_seen_time": hole(6),
            "title": hole(7),
            "uid": hole(8),
        },
        "message": hole(9),
        "metadata": {
            "product": { "name": "Probity", "version": env!("CARGO_PKG_VERSION") },
            "uid": hole(10),
            "version": "1.8.0",
        },
        "resources": [{ "name": hole(11), "type": hole(12), "uid": hole(13) }],
        "severity_id": hole(14),
        "status_id": hole(15),
        "time": hole(16),
        "type_uid": hole(17),
    })
}

/// Writes the findings of all deviations.
pub(super) fn write(pack: &Pack<'_>, found: &Found) -> Result<(), ReportError> {
    let mut findings = Findings {
        file: pack.file(FINDINGS)?,
        mold: Mold::new(&finding()),
        criteria: BTreeMap::new(),
    };
    for deviation in found.deviations(pack)? {
        findings.of(&deviation?)?;
    }
    pack.keep(findings.file)
}

struct Findings {
    file: PackFile,
    mold: Mold,
    /// The criteria of each control, as JSON.
    criteria: BTreeMap<Name, String>,
}

impl Findings {
    /// Writes the findings of a deviation.
    fn of(&mut self, deviation: &Deviation) -> Result<(), ReportError> {
        self.write(deviation, 1, deviation.opened, deviation.opened_by)?;
        match deviation.closed.zip(deviation.closed_by) {
            Some((at, entry)) => self.write(deviation, 3, at, entry),
            None => Ok(()),
        }
    }

    /// Writes one, as a line.
    fn write(
        &mut self,
        deviation: &Deviation,
        activity: i64,
        at: Timestamp,
        entry: EntryId,
    ) -> Result<(), ReportError> {
        let Deviation {
            control, reason, ..
        } = deviation;
        let Self {
            file,
            mold,
            criteria,
        } = self;
        let criteria = criteria
            .entry(control.clone())
            .or_insert_with(|| json!(criteria_of(control)).to_string());
        let said = deviation.subject.subject();
        let resource = crate::period::item_id(said);
        let (group, kind) = (&said.group, &said.kind);
        let uid = if said.uid.is_empty() {
            &resource
        } else {
            &*said.uid
        };
        let last = deviation.closed.unwrap_or(deviation.opened);
        let (status, compliance, word) = state(activity, deviation.ended);
        let cells = [
            Cell::Number(activity),
            Cell::Text(control),
            Cell::Json(criteria.as_bytes()),
            Cell::Text(word),
            Cell::Number(compliance),
            Cell::Number(deviation.opened.as_millisecond()),
            Cell::Number(last.as_millisecond()),
            Cell::Shown(&format_args!("{control}: {reason}")),
            Cell::Text(&deviation.id),
            Cell::Text(&deviation.message),
            Cell::Shown(&format_args!("entry {entry}")),
            Cell::Text(&resource),
            Cell::Shown(&format_args!("{group}/{kind}")),
            Cell::Text(uid),
            Cell::Number(severity(deviation.severity)),
            Cell::Number(status),
            Cell::Number(at.as_millisecond()),
            Cell::Number(200_300 + activity),
        ];
        file.put_made(|line| {
            mold.cast(line, &cells)?;
            line.push(b'\n');
            Ok(())
        })
    }
}

/// The state of a finding, that of the control, and a word for that.
const fn state(activity: i64, ended: Option<End>) -> (i64, i64, &'static str) {
    match (activity, ended) {
        (1, _) => (1, 3, "Fail"),
        // Suppressed: it fails still, and management has accepted that.
        (_, Some(End::Excepted)) => (3, 99, "Exempted"),
        (_, Some(End::PutBack | End::FixedByOthers)) => (4, 1, "Pass"),
        _ => (5, 0, "Unknown"),
    }
}

const fn severity(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}
