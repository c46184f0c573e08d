//! A scan for programs.

use serde_json::{Map, Value, json};

use super::{
    report::{Finding, Judged, Report, Source},
    unread::Unread,
};
use crate::{
    controls::Subject,
    verdict::{Counts, Outcome},
};

/// The report as one object. Subjects that pass, or of which there is nothing to say, are counted
/// and not listed.
pub(super) fn render(report: &Report) -> Value {
    let source = match &report.source {
        Source::Cluster { url, version } => json!({ "cluster": url, "version": version }),
        Source::Files { files, objects } => json!({ "files": files, "objects": objects }),
    };
    let controls: Vec<Value> = report.controls.iter().map(control).collect();
    json!({
        "format": "probity.dev/scan/v1",
        "version": env!("CARGO_PKG_VERSION"),
        "source": source,
        "summary": {
            "controls": counts(&report.controls_by_outcome()),
            "subjects": counts(&report.subjects_by_outcome()),
            "unread": report.unread.len(),
        },
        "controls": controls,
        "unread": report.unread.iter().map(unread).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

/// A document that is not read.
fn unread(unread: &Unread) -> Value {
    let place = &unread.place;
    json!({
        "place": { "file": place.file, "line": place.line },
        "what": unread.what,
        "why": unread.why,
    })
}

fn control(judged: &Judged) -> Value {
    let bad = [Outcome::Fail, Outcome::Unknown, Outcome::Excepted];
    let findings = bad.into_iter().flat_map(|outcome| judged.with(outcome));
    let findings: Vec<Value> = findings.map(finding).collect();
    json!({
        "id": judged.info.id,
        "policy": judged.policy,
        "title": judged.info.title,
        "family": judged.info.family.as_str(),
        "criteria": judged.info.criteria,
        "severity": judged.severity,
        "outcome": judged.outcome,
        "why": judged.why,
        "subjects": counts(&judged.counts),
        "findings": findings,
    })
}

fn finding(finding: &Finding) -> Value {
    let place = finding.place.as_ref();
    let place = place.map(|place| json!({ "file": place.file, "line": place.line }));
    json!({
        "subject": subject(&finding.subject),
        "outcome": finding.outcome,
        "strength": finding.strength,
        "reason": finding.reason,
        "message": finding.message,
        "fix": finding.fix,
        "place": place,
    })
}

/// A subject in the parts of its name.
fn subject(subject: &Subject) -> Value {
    json!({
        "group": subject.group(),
        "kind": subject.kind_name(),
        "namespace": subject.object_namespace(),
        "name": &*subject.name,
    })
}

fn counts(counts: &Counts) -> Value {
    let of = Outcome::ALL.map(|outcome| (outcome.as_str().to_owned(), counts.of(outcome).into()));
    Value::Object(Map::from_iter(of))
}
