//! Tables of the whole account: controls, deviations, parameters.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Facts,
    collect::Found,
    csv::{Row, Table},
    pack::{Pack, ReportError},
    people::Response,
};
use crate::period::{Deviation, Operation, Summary, criteria_of, readiness, title};

/// Writes the tables that need only the summary.
pub(super) fn write(
    pack: &Pack<'_>,
    summary: &Summary,
    facts: &Facts,
    _: &Found,
) -> Result<(), ReportError> {
    pack.json(
        "period.json",
        &json!({ "asked": facts.spec, "account": summary }),
    )?;
    pack.json("criteria.json", &readiness(summary, &facts.spec.criteria))?;
    controls(pack, summary, facts)?;
    matrix(pack, summary, facts)?;
    let mut parameters = pack.file("parameters.jsonl")?;
    for operation in &summary.controls {
        for segment in &operation.segments {
            parameters.put_json(&json!({
                "control": operation.control,
                "policy": operation.policy,
                "from": segment.from,
                "to": segment.to,
                "definition": segment.definition,
            }))?;
            parameters.put(b"\n")?;
        }
    }
    pack.keep(parameters)?;
    logs(pack, summary)?;
    let mut out = Table::new(
        pack,
        "excluded-namespaces.csv",
        &["control", "policy", "namespace", "reason", "from", "to"],
    )?;
    for operation in &summary.controls {
        for excluded in &operation.excluded {
            let to = excluded.to.map(|to| to.to_string()).unwrap_or_default();
            let from = excluded.from.to_string();
            out.row(&[
                &*operation.control,
                &*operation.policy,
                &*excluded.namespace,
                &*excluded.reason,
                &*from,
                &*to,
            ])?;
        }
    }
    out.close(pack)
}

/// The logs by the number with which the other tables name their entries.
fn logs(pack: &Pack<'_>, summary: &Summary) -> Result<(), ReportError> {
    let header = [
        "log",
        "origin",
        "began",
        "cause",
        "key",
        "first entry",
        "last entry",
    ];
    let mut table = Table::new(pack, "logs.csv", &header)?;
    for log in &summary.logs {
        let part = summary.parts.iter().find(|part| part.log == log.log);
        let number = |of: Option<u64>| of.map(|number| number.to_string()).unwrap_or_default();
        table.row(&[
            log.log.to_string(),
            log.origin.clone(),
            log.at.to_string(),
            log.cause.to_string(),
            log.key.clone(),
            number(part.map(|part| part.first)),
            number(part.map(|part| part.last)),
        ])?;
    }
    table.close(pack)
}

fn controls(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Result<(), ReportError> {
    let mut table = Table::new(
        pack,
        "controls.csv",
        &[
            "control",
            "policy",
            "title",
            "criteria",
            "own controls",
            "from",
            "to",
            "rule version",
            "parameters SHA-256",
            "scope SHA-256",
            "operated",
            "opening",
            "added",
            "removed",
            "closing",
            "heartbeats compared",
            "heartbeats differing",
            "coverage",
            "observed seconds",
            "period seconds",
            "gaps",
            "deviations",
            "open at end",
            "open at begin",
            "opened before observation",
            "drift",
            "longest seconds",
            "total seconds",
            "mean seconds to detect, at most",
            "mean seconds to remediate",
            "remediated",
            "exempted",
            "not judged",
        ],
    )?;
    for operation in &summary.controls {
        let whole = Part {
            from: summary.period.from,
            to: summary.until,
            is_segment: false,
            version: String::new(),
            params: String::new(),
            scope: String::new(),
        };
        table.row(&cells(
            operation,
            &whole,
            &operation.numbers,
            &operation.coverage,
            facts,
        ))?;
        if operation.segments.len() < 2 {
            continue;
        }
        for segment in &operation.segments {
            let definition = &segment.definition;
            let part = Part {
                from: segment.from,
                to: segment.to,
                is_segment: true,
                version: definition
                    .rule_version
                    .map(|version| version.to_string())
                    .unwrap_or_default(),
                params: definition.params_hash.clone().unwrap_or_default(),
                scope: definition.scope_hash.clone().unwrap_or_default(),
            };
            table.row(&cells(
                operation,
                &part,
                &segment.numbers,
                &segment.coverage,
                facts,
            ))?;
        }
    }
    table.close(pack)
}

/// The interval that a row is about.
struct Part {
    from: Timestamp,
    to: Timestamp,
    /// Whether it is a part of the period, with a definition of its own.
    is_segment: bool,
    version: String,
    params: String,
    scope: String,
}

fn cells(
    operation: &Operation,
    part: &Part,
    numbers: &crate::period::Numbers,
    coverage: &crate::period::Coverage,
    facts: &Facts,
) -> Vec<String> {
    // Known of the whole period only: in the row of a segment they would say what is not so.
    let of_all = |cell: String| if part.is_segment { String::new() } else { cell };
    let (moved, found) = (&numbers.population, &numbers.deviations);
    let seconds = |time: SignedDuration| time.as_secs().to_string();
    let mean = |mean: Option<f64>| mean.map(|mean| format!("{mean:.1}")).unwrap_or_default();
    vec![
        operation.control.to_string(),
        operation.policy.to_string(),
        title(&operation.control).to_owned(),
        criteria_of(&operation.control).join(" "),
        own_controls(facts, &operation.control).join(" "),
        part.from.to_string(),
        part.to.to_string(),
        part.version.clone(),
        part.params.clone(),
        part.scope.clone(),
        of_all(operation.operated.as_str().to_owned()),
        moved.opening.to_string(),
        moved.added.to_string(),
        moved.removed.to_string(),
        moved.closing.to_string(),
        of_all(operation.reconciliation.compared.to_string()),
        of_all(operation.reconciliation.differing.to_string()),
        format!("{:.6}", coverage.ratio()),
        seconds(coverage.observed),
        seconds(coverage.of),
        of_all(operation.gap_count.to_string()),
        found.times.count.to_string(),
        found.open.to_string(),
        found.carried.to_string(),
        found.before_observation.to_string(),
        found.drift.to_string(),
        seconds(found.times.longest),
        seconds(found.times.total),
        mean(numbers.detection.mean()),
        mean(numbers.remediation.mean()),
        numbers.remediation.count.to_string(),
        numbers.excepted.times.count.to_string(),
        numbers.unknown.times.count.to_string(),
    ]
}

/// The organisation's own controls that one of ours shows.
pub(super) fn own_controls<'a>(facts: &'a Facts, control: &str) -> Vec<&'a str> {
    let matrix = facts.spec.control_matrix.iter();
    let shown = matrix.filter(|own| own.controls.iter().any(|id| id == control));
    shown.map(|own| &*own.id).collect()
}

/// The organisation's own controls, with what shows each.
fn matrix(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Result<(), ReportError> {
    if facts.spec.control_matrix.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(
        pack,
        "control-matrix.csv",
        &[
            "own control",
            "wording",
            "owner",
            "frequency",
            "criteria",
            "control",
            "policy",
            "operated",
            "coverage",
            "deviations",
        ],
    )?;
    for own in &facts.spec.control_matrix {
        let head = [
            own.id.clone(),
            own.wording.clone(),
            own.owner.clone().unwrap_or_default(),
            own.frequency.clone().unwrap_or_default(),
            own.criteria.join(" "),
        ];
        for id in &own.controls {
            let found: Vec<&Operation> = summary
                .controls
                .iter()
                .filter(|operation| *operation.control == **id)
                .collect();
            let mut row = |rest: [String; 5]| {
                let cells: Vec<String> = head.iter().cloned().chain(rest).collect();
                table.row(&cells)
            };
            if found.is_empty() {
                let none = String::new;
                row([
                    id.clone(),
                    none(),
                    "no policy had switched it on".to_owned(),
                    none(),
                    none(),
                ])?;
            }
            for operation in found {
                row([
                    id.clone(),
                    operation.policy.to_string(),
                    operation.operated.as_str().to_owned(),
                    format!("{:.6}", operation.coverage.ratio()),
                    operation.numbers.deviations.times.count.to_string(),
                ])?;
            }
        }
    }
    table.close(pack)
}

/// Writes the deviations.
pub(super) fn deviations(pack: &Pack<'_>, found: &Found) -> Result<(), ReportError> {
    let mut table = Table::new(
        pack,
        "deviations.csv",
        &[
            "id",
            "control",
            "policy",
            "kind",
            "namespace",
            "name",
            "uid",
            "owner",
            "severity",
            "opened after",
            "opened by",
            "closed after",
            "closed by",
            "seconds",
            "detected within seconds",
            "remediated after seconds",
            "ended",
            "drift",
            "cause",
            "reason",
            "message",
            "opening entry",
            "closing entry",
            "responses",
            "response time",
            "response by",
            "response cause",
            "response impact",
            "response action",
            "response owner",
            "response ticket",
            "response risk",
        ],
    )?;
    for deviation in found.deviations(pack)? {
        let deviation = deviation?;
        let responses = found.responses.of(&deviation.id);
        table.cells(|row| cells_of(row, &deviation, responses))?;
    }
    table.close(pack)
}

fn cells_of(row: &mut Row<'_>, deviation: &Deviation, responses: &[Response]) {
    let said = deviation.subject.subject();
    let seconds = |took: Option<SignedDuration>| took.map(|took| took.as_secs());
    let lasted = deviation
        .closed
        .map(|closed| closed.duration_since(deviation.opened));
    row.text(&deviation.id);
    row.text(&deviation.control);
    row.text(&deviation.policy);
    row.text(&said.kind);
    row.text(said.namespace.as_deref().unwrap_or_default());
    row.text(&said.name);
    row.text(&said.uid);
    row.text(deviation.owner.as_deref().unwrap_or_default());
    row.shown(deviation.severity);
    match deviation.opened_after {
        Some(at) => row.shown(at),
        None => row.text("before observation"),
    }
    row.shown(deviation.opened);
    row.shown_if(deviation.closed_after);
    row.shown_if(deviation.closed);
    row.shown_if(seconds(lasted));
    row.shown_if(seconds(deviation.detection()));
    row.shown_if(seconds(deviation.remediation()));
    row.shown_if(deviation.ended);
    row.shown(deviation.is_drift());
    row.shown(deviation.cause);
    row.text(&deviation.reason);
    row.text(&deviation.message);
    row.shown(deviation.opened_by);
    row.shown_if(deviation.closed_by);
    row.shown(responses.len());
    let last = responses.last();
    row.shown_if(last.map(|last| last.at));
    let fields: [fn(&Response) -> &String; 7] = [
        |said| &said.who,
        |said| &said.cause,
        |said| &said.impact,
        |said| &said.action,
        |said| &said.owner,
        |said| &said.ticket,
        |said| &said.risk,
    ];
    for field in fields {
        row.text(last.map_or("", |last| field(last)));
    }
}
