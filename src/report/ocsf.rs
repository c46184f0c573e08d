//! Deviations as OCSF compliance findings: one when it opens, one when it closes.
//!
//! A year may have a million of them, so they are types, not values; their fields are in the order of the alphabet, as
//! those of all other JSON in a pack.

use jiff::Timestamp;
use serde::Serialize;

use super::pack::{PackFile, ReportError};
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
    info: Info<'a>,
    message: &'a str,
    metadata: Metadata,
    resources: [Resource<'a>; 1],
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

/// What both findings of a deviation say.
struct Common {
    title: String,
    resource: String,
    kind: String,
    criteria: Vec<&'static str>,
}

/// Writes the findings of a deviation, one a line.
pub(super) fn write(deviation: &Deviation, file: &mut PackFile) -> Result<(), ReportError> {
    let said = deviation.subject.subject();
    let common = Common {
        title: format!("{}: {}", deviation.control, deviation.reason),
        resource: crate::period::item_id(said),
        kind: format!("{}/{}", said.group, said.kind),
        criteria: criteria_of(&deviation.control),
    };
    let mut line = |finding: &Finding<'_>| {
        file.put_json(finding)?;
        file.put(b"\n")
    };
    line(&finding(
        deviation,
        &common,
        1,
        deviation.opened,
        deviation.opened_by,
    ))?;
    match deviation.closed.zip(deviation.closed_by) {
        Some((at, entry)) => line(&finding(deviation, &common, 3, at, entry)),
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
    let uid = &deviation.subject.subject().uid;
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
        info: Info {
            created_time: deviation.opened.as_millisecond(),
            first_seen_time: deviation.opened.as_millisecond(),
            last_seen_time: deviation.closed.unwrap_or(at).as_millisecond(),
            title: &common.title,
            uid: &deviation.id,
        },
        message: &deviation.message,
        metadata: Metadata {
            product: Product {
                name: "Probity",
                version: env!("CARGO_PKG_VERSION"),
            },
            uid: format!("entry {entry}"),
            version: "1.8.0",
        },
        resources: [Resource {
            name: &common.resource,
            r#type: &common.kind,
            uid: if uid.is_empty() {
                &common.resource
            } else {
                uid
            },
        }],
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
