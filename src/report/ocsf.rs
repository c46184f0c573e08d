//! Deviations as OCSF compliance findings: one when it opens, one when it closes.
//!
//! A year may have a million of them, so they are types, not values; their fields are in the order of the alphabet, as
//! those of all other JSON in a pack.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    collect::Found,
    pack::{Pack, PackFile, ReportError, failed},
};
use crate::{
    evidence::words::End,
    period::{Deviation, EntryId, criteria_of},
    verdict::Severity,
};

/// The standard by the name that OCSF consumers know.
const STANDARD: &str = "AICPA TSC 2017 (POF 2022)";

#[derive(Serialize)]
struct Finding<'a> {
    activity_id: u32,
    category_uid: u32,
    class_uid: u32,
    compliance: Compliance<'a>,
    #[serde(rename = "finding_info")]
    info: &'a RawValue,
    message: &'a RawValue,
    metadata: Metadata,
    resources: &'a RawValue,
    severity_id: u32,
    status_id: u32,
    time: i64,
    type_uid: u32,
}

#[derive(Serialize)]
struct Compliance<'a> {
    control: &'a str,
    requirements: &'a [&'static str],
    standards: [&'static str; 1],
    status: &'static str,
    status_id: u32,
}

#[derive(Serialize)]
struct Info<'a> {
    created_time: i64,
    first_seen_time: i64,
    last_seen_time: i64,
    title: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
struct Metadata {
    product: Product,
    uid: String,
    version: &'static str,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Resource<'a> {
    name: &'a str,
    r#type: &'a str,
    uid: &'a str,
}

/// What both findings of a deviation say, as it stands there.
struct Common {
    criteria: Vec<&'static str>,
    info: Box<RawValue>,
    message: Box<RawValue>,
    resources: Box<RawValue>,
}

impl Common {
    fn of(deviation: &Deviation) -> serde_json::Result<Self> {
        let said = deviation.subject.subject();
        let resource = crate::period::item_id(said);
        let last = deviation.closed.unwrap_or(deviation.opened);
        Ok(Self {
            criteria: criteria_of(&deviation.control),
            info: to_raw_value(&Info {
                created_time: deviation.opened.as_millisecond(),
                first_seen_time: deviation.opened.as_millisecond(),
                last_seen_time: last.as_millisecond(),
                title: &format!("{}: {}", deviation.control, deviation.reason),
                uid: &deviation.id,
            })?,
            message: to_raw_value(&deviation.message)?,
            resources: to_raw_value(&[Resource {
                name: &resource,
                r#type: &format!("{}/{}", said.group, said.kind),
                uid: if said.uid.is_empty() {
                    &resource
                } else {
                    &said.uid
                },
            }])?,
        })
    }
}

const FINDINGS: &str = "ocsf/findings.jsonl";

/// Writes the findings of all deviations.
pub(super) fn write(pack: &Pack<'_>, found: &Found) -> Result<(), ReportError> {
    let mut file = pack.file(FINDINGS)?;
    for deviation in found.deviations(pack)? {
        findings(&deviation?, &mut file)?;
    }
    pack.keep(file)
}

/// Writes the findings of a deviation, one a line.
fn findings(deviation: &Deviation, file: &mut PackFile) -> Result<(), ReportError> {
    let common = Common::of(deviation).map_err(|error| failed(FINDINGS, error.into()))?;
    let mut line = |activity, at, entry| {
        file.put_json(&finding(deviation, &common, activity, at, entry))?;
        file.put(b"\n")
    };
    line(1, deviation.opened, deviation.opened_by)?;
    match deviation.closed.zip(deviation.closed_by) {
        Some((at, entry)) => line(3, at, entry),
        None => Ok(()),
    }
}

fn finding<'a>(
    deviation: &'a Deviation,
    common: &'a Common,
    activity: u32,
    at: Timestamp,
    entry: EntryId,
) -> Finding<'a> {
    let (status, compliance, word) = match (activity, deviation.ended) {
        (1, _) => (1, 3, "Fail"),
        // Suppressed: it fails still, and management has accepted that.
        (_, Some(End::Excepted)) => (3, 99, "Exempted"),
        (_, Some(End::PutBack | End::FixedByOthers)) => (4, 1, "Pass"),
        _ => (5, 0, "Unknown"),
    };
    Finding {
        activity_id: activity,
        category_uid: 2,
        class_uid: 2003,
        compliance: Compliance {
            control: &deviation.control,
            requirements: &common.criteria,
            standards: [STANDARD],
            status: word,
            status_id: compliance,
        },
        info: &common.info,
        message: &common.message,
        metadata: Metadata {
            product: Product {
                name: "Probity",
                version: env!("CARGO_PKG_VERSION"),
            },
            uid: format!("entry {entry}"),
            version: "1.8.0",
        },
        resources: &common.resources,
        severity_id: match deviation.severity {
            Severity::Low => 2,
            Severity::Medium => 3,
            Severity::High => 4,
            Severity::Critical => 5,
        },
        status_id: status,
        time: at.as_millisecond(),
        type_uid: 200_300 + activity,
    }
}
