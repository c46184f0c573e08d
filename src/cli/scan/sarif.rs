//! A scan as SARIF 2.1.0: one rule for each control, one result for each subject that fails, is
//! excepted (suppressed) or that nobody can tell of (`open`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    manifests::Place,
    report::{Finding, Judged, Report, Source},
};
use crate::{
    controls::Info,
    engine::hex,
    verdict::{Outcome, Severity},
};

/// Where the schema of the format is, as every reader knows it.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log file.
pub(super) fn render(report: &Report) -> Value {
    let mut rules: BTreeMap<&str, (&'static Info, Severity)> = BTreeMap::new();
    for judged in &report.controls {
        rules.insert(judged.info.id, (judged.info, judged.severity));
    }
    let order: Vec<&str> = rules.keys().copied().collect();
    let results = report.controls.iter().flat_map(|judged| {
        let index = order.iter().position(|id| *id == judged.info.id);
        results(judged, index)
    });
    let results: Vec<Value> = results.collect();
    let notes = report.notes.iter();
    let notes = notes.map(|note| json!({ "level": "note", "message": { "text": note } }));
    let unread = report.unread.iter().map(|unread| {
        json!({
            "level": "error",
            "message": { "text": format!("{} is not read: {}", unread.what, unread.why) },
            "locations": [{ "physicalLocation": physical(&unread.place) }],
        })
    });
    let notes: Vec<Value> = unread.chain(notes).collect();
    let source = match &report.source {
        Source::Cluster { url, version } => json!({ "cluster": url, "version": version }),
        Source::Files { files, objects } => json!({ "files": files, "objects": objects }),
    };
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Probity",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://probity.dev",
                "rules": rules.values().map(|(info, severity)| rule(info, *severity)).collect::<Vec<_>>(),
            }},
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notes }],
            "columnKind": "unicodeCodePoints",
            "properties": { "source": source, "unread": report.unread.len() },
            "results": results,
        }],
    })
}

fn rule(info: &Info, severity: Severity) -> Value {
    let mut tags = vec!["security".to_owned(), info.family.as_str().to_owned()];
    tags.extend(info.criteria.iter().map(|id| format!("SOC2/{id}")));
    json!({
        "id": info.id,
        "shortDescription": { "text": format!("{}.", info.title) },
        "fullDescription": { "text": plain(info.what) },
        "help": { "text": plain(info.by_hand) },
        "defaultConfiguration": { "level": level(severity) },
        "properties": { "tags": tags, "security-severity": score(severity) },
    })
}

fn results(judged: &Judged, index: Option<usize>) -> Vec<Value> {
    if judged.outcome == Outcome::Unknown
        && let Some(why) = &judged.why
    {
        let mut result = result(judged, index, "Cluster cluster", why);
        result["kind"] = "open".into();
        result["level"] = "none".into();
        return vec![result];
    }
    let shown = [Outcome::Fail, Outcome::Excepted, Outcome::Unknown];
    let findings = shown.into_iter().flat_map(|outcome| judged.with(outcome));
    findings.map(|finding| of(judged, index, finding)).collect()
}

fn of(judged: &Judged, index: Option<usize>, finding: &Finding) -> Value {
    let subject = finding.subject.to_string();
    let text = match finding.fix.as_str() {
        "" => format!("{subject}: {}", finding.message),
        fix => format!("{subject}: {}\n\n{fix}", finding.message),
    };
    let mut result = result(judged, index, &subject, &text);
    if let Some(place) = &finding.place {
        result["locations"][0]["physicalLocation"] = physical(place);
    }
    match finding.outcome {
        Outcome::Unknown => {
            result["kind"] = "open".into();
            result["level"] = "none".into();
        }
        Outcome::Excepted => {
            let why = json!({ "kind": "external", "status": "accepted", "justification": finding.message });
            result["suppressions"] = json!([why]);
        }
        _ => {}
    }
    result
}

/// A line of a file.
fn physical(place: &Place) -> Value {
    json!({
        "artifactLocation": { "uri": uri(&place.file) },
        "region": { "startLine": place.line },
    })
}

fn result(judged: &Judged, index: Option<usize>, subject: &str, text: &str) -> Value {
    // The same failure of the same subject is the same result in every run.
    let print = Sha256::digest(format!("{}\n{}\n{subject}", judged.policy, judged.info.id));
    json!({
        "ruleId": judged.info.id,
        "ruleIndex": index,
        "kind": "fail",
        "level": level(judged.severity),
        "message": { "text": text },
        "locations": [{ "logicalLocations": [{ "fullyQualifiedName": subject, "kind": "resource" }] }],
        "partialFingerprints": { "probity/v1": hex(&print) },
        "properties": { "policy": judged.policy },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// What code scanning sorts by; it knows critical from 9.0, high from 7.0, medium from 4.0.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let bytes = path.bytes().map(|byte| {
        if keep(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}
