//! OSCAL 1.2 assessment results: one result for the period, an observation and a risk for each deviation, a finding for
//! each criterion and control.

mod deviations;

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use self::deviations::Molds;
use super::{
    Facts,
    collect::Found,
    pack::{Pack, PackFile, ReportError},
};
use crate::{
    period::{Deviation, Operated, Operation, Summary, criteria_of, title},
    words::many,
};

/// The version of OSCAL.
const VERSION: &str = "1.2.2";
/// The namespace of our own properties.
const NAMESPACE: &str = "https://probity.dev/ns/oscal";
const PLAN: &str = "oscal/assessment-plan.json";
const RISKS: &str = "oscal/risks.unfinished";

/// Names by which things are known in every export of the same cluster and period: UUIDs of version 5 (RFC 9562). This is
/// the hash that each begins with: of the cluster and the period.
struct Ids(Sha1);

impl Ids {
    fn new(summary: &Summary) -> Self {
        let cluster = summary.runs.first().map_or("", |run| &*run.cluster);
        let of = format!(
            "{cluster}/{}/{}/{}",
            summary.period.name, summary.period.start, summary.period.end
        );
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{NAMESPACE}/{of}").as_bytes());
        Self(Sha1::new_with_prefix(namespace.as_bytes()))
    }

    fn of(&self, kind: &str, key: impl fmt::Display) -> String {
        let mut hash = Hashing(self.0.clone());
        // Only a Display that fails can fail.
        let _ = write!(hash, "{kind}\0{key}");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.0.finalize()[..16]);
        let id = uuid::Builder::from_sha1_bytes(bytes).into_uuid();
        id.hyphenated()
            .encode_lower(&mut Uuid::encode_buffer())
            .to_owned()
    }

    fn deviation(&self, kind: &str, deviation: &Deviation) -> String {
        let Deviation {
            id,
            policy,
            opened_by,
            ..
        } = deviation;
        self.of(kind, format_args!("{id}/{policy}/{opened_by}"))
    }
}

/// Text goes into the hash as it is made: a year has millions of these.
struct Hashing(Sha1);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

/// Writes the results, and the plan that they refer to.
pub(super) fn write(
    pack: &Pack<'_>,
    summary: &Summary,
    facts: &Facts,
    found: &Found,
) -> Result<(), ReportError> {
    let ids = Ids::new(summary);
    pack.json(PLAN, &plan(&ids, summary, facts))?;
    let plan_sum = pack.written().get(PLAN).cloned().unwrap_or_default();
    let mut file = pack.file("oscal/assessment-results.json")?;
    // Written in parts: there may be more deviations than fit into memory.
    let head = head(&ids, summary, facts);
    let open = |text: String| text.strip_suffix('}').map(str::to_owned).unwrap_or(text);
    file.put(b"{\"assessment-results\":")?;
    file.put(open(head.to_string()).as_bytes())?;
    file.put(b",\"results\":[")?;
    file.put(open(result(&ids, summary).to_string()).as_bytes())?;
    if found.deviations > 0 {
        // An empty list is none.
        lists(pack, &ids, found, &mut file)?;
    }
    let findings = findings(&ids, summary);
    if !findings.is_empty() {
        file.put(b",\"findings\":")?;
        file.put_json(&findings)?;
    }
    file.put(b"}],\"back-matter\":")?;
    file.put_json(&json!({ "resources": [{
        "uuid": ids.of("resource", "plan"),
        "title": "Assessment plan",
        "rlinks": [{ "href": "assessment-plan.json", "hashes": [{ "algorithm": "SHA-256", "value": plan_sum }] }],
    }] }))?;
    file.put(b"}}")?;
    pack.keep(file)
}

/// Writes an observation and a risk for each deviation. One list follows the other, and the deviations are read only once:
/// meanwhile the risks are put aside.
fn lists(
    pack: &Pack<'_>,
    ids: &Ids,
    found: &Found,
    file: &mut PackFile,
) -> Result<(), ReportError> {
    let molds = Molds::new(ids, found);
    let mut risks = pack.spool(RISKS)?;
    file.put(b",\"observations\":[")?;
    for (position, deviation) in found.deviations(pack)?.enumerate() {
        let deviation = deviation?;
        let comma: &[u8] = if position > 0 { b"," } else { b"" };
        let name = ids.deviation("observation", &deviation);
        file.put_made(|to| {
            to.extend_from_slice(comma);
            molds.observation(&name, &deviation, to)
        })?;
        risks.put_made(|to| {
            to.extend_from_slice(comma);
            molds.risk(&name, &deviation, to)
        })?;
    }
    file.put(b"],\"risks\":[")?;
    pack.move_into(risks, file)?;
    file.put(b"]")
}

fn metadata(summary: &Summary, facts: &Facts, title: &str) -> Value {
    let period = &summary.period;
    json!({
        "title": format!("{title}, {} to {}", period.start, period.end),
        // Not the time of the export: equal inputs give equal bytes.
        "last-modified": summary.until,
        "version": facts.version,
        "oscal-version": VERSION,
    })
}

fn head(ids: &Ids, summary: &Summary, facts: &Facts) -> Value {
    json!({
        "uuid": ids.of("results", ""),
        "metadata": metadata(summary, facts, "Results of management's automated evaluation"),
        "import-ap": { "href": format!("#{}", ids.of("resource", "plan")) },
    })
}

fn plan(ids: &Ids, summary: &Summary, facts: &Facts) -> Value {
    json!({ "assessment-plan": {
        "uuid": ids.of("plan", ""),
        "metadata": metadata(summary, facts, "Continuous automated evaluation"),
        "import-ssp": { "href": "https://probity.dev/ns/oscal/no-system-security-plan" },
        "reviewed-controls": reviewed(summary),
    } })
}

fn reviewed(summary: &Summary) -> Value {
    let mut criteria: Vec<&str> = summary
        .controls
        .iter()
        .flat_map(|operation| criteria_of(&operation.control))
        .collect();
    criteria.sort_unstable();
    criteria.dedup();
    let ids: Vec<Value> = criteria
        .iter()
        .map(|id| json!({ "control-id": id.to_lowercase() }))
        .collect();
    if ids.is_empty() {
        return json!({ "control-selections": [{ "description": "No control was in force" }] });
    }
    json!({ "control-selections": [{
        "description": "Trust Services Criteria that the controls in force support",
        "include-controls": ids,
    }] })
}

fn property(name: &str, value: &str) -> Value {
    // A property can't be empty.
    json!({ "name": name, "ns": NAMESPACE, "value": words(value, "-") })
}

fn result(ids: &Ids, summary: &Summary) -> Value {
    let period = &summary.period;
    let entries = summary.controls.iter().flat_map(|operation| {
        operation.gaps.iter().map(move |gap| {
            let Operation { control, policy, .. } = operation;
            json!({
                "uuid": ids.of("gap", format_args!("{control}/{policy}/{}", gap.from)),
                "title": format!("{control} ({policy}) was not observed: {}", gap.causes.join("; ")),
                "start": gap.from,
                "end": gap.to,
            })
        })
    });
    let entries: Vec<Value> = entries.collect();
    let gaps: u64 = summary
        .controls
        .iter()
        .map(|operation| operation.gap_count)
        .sum();
    let mut result = json!({
        "uuid": ids.of("result", ""),
        "title": format!("Period {} to {} ({})", period.start, period.end, period.time_zone),
        "description": "Results of management's automated evaluation over the period. They are no opinion on it.",
        "start": period.from,
        "end": summary.until,
        "props": [
            property("log-entries", &summary.log.entries.to_string()),
            property("period", &period.name),
            // The log below lists the longest list that is readable; the table has all.
            property("gaps", &gaps.to_string()),
            property("gaps-file", "gaps.csv"),
        ],
        "local-definitions": { "components": [component(ids, summary)] },
        "reviewed-controls": reviewed(summary),
    });
    if !entries.is_empty() {
        result["assessment-log"] = json!({ "entries": entries });
    }
    result
}

fn component(ids: &Ids, summary: &Summary) -> Value {
    let runs = summary.runs.iter().flat_map(|run| {
        [
            property("version", &run.version),
            property("binary-sha256", &run.binary_digest),
        ]
    });
    let mut props: Vec<Value> = runs.collect();
    props.dedup();
    let mut component = json!({
        "uuid": ids.of("component", "operator"),
        "type": "software",
        "title": "Probity",
        "description": "The operator that evaluated the controls",
        "status": { "state": "operational" },
    });
    if !props.is_empty() {
        component["props"] = props.into();
    }
    component
}

/// A text without blanks around it, or another where there is none: nothing in OSCAL may be empty.
fn words<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    let text = text.trim();
    if text.is_empty() { otherwise } else { text }
}

/// Share of a period that must have been observed: that of the control `assurance-coverage`.
const ENOUGH: f64 = 0.99;

fn findings(ids: &Ids, summary: &Summary) -> Vec<Value> {
    let mut findings = Vec::new();
    for operation in &summary.controls {
        for criterion in criteria_of(&operation.control) {
            findings.push(finding(ids, operation, criterion));
        }
    }
    findings
}

fn finding(ids: &Ids, operation: &Operation, criterion: &str) -> Value {
    let Operation {
        control,
        policy,
        operated,
        numbers,
        coverage,
        ..
    } = operation;
    let deviations = numbers.deviations.times.count;
    // Only what passed all the time is satisfied: what was exempted, could not be judged, or was not looked at, is not.
    let passed = numbers.excepted.times.count == 0
        && numbers.unknown.times.count == 0
        && coverage.ratio() >= ENOUGH;
    let status = match (operated, deviations) {
        (Operated::Operated, 0) if passed => json!({ "state": "satisfied", "reason": "pass" }),
        (Operated::Operated, 1..) => json!({ "state": "not-satisfied", "reason": "fail" }),
        _ => json!({ "state": "not-satisfied", "reason": "other" }),
    };
    json!({
        "uuid": ids.of("finding", format_args!("{criterion}/{control}/{policy}")),
        "title": format!("{criterion}: {}", title(control)),
        "description": format!(
            "{control} in policy {policy}: {}, {:.4} of the period observed, {}",
            operated.as_str(),
            coverage.ratio(),
            many(deviations, "deviation")
        ),
        "props": [property("verdict", operated.as_str()), property("coverage-ratio", &format!("{:.6}", coverage.ratio()))],
        "target": {
            "type": "objective-id",
            "target-id": format!("{}_{control}", criterion.to_lowercase()),
            "status": status,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids_of_version_5() {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"somewhere");
        let ids = Ids(Sha1::new_with_prefix(namespace.as_bytes()));
        for (kind, key) in [("risk", "0123/soc2/7"), ("", ""), ("gap", &"x".repeat(200))] {
            let expected = Uuid::new_v5(&namespace, format!("{kind}\0{key}").as_bytes());
            assert_eq!(ids.of(kind, key), expected.to_string());
        }
    }
}
