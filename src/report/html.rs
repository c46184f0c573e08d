//! Pages to read: a summary by criterion, and one page for each control. They hold all that they need, and no scripts.

use jiff::{SignedDuration, Timestamp};
use minijinja::{Environment, HtmlEscape, context};
use serde_json::{Value, json};

use super::{
    Facts,
    collect::{Found, file_name},
    pack::{Pack, ReportError},
    tables::own_controls,
    timeline::Timeline,
};
use crate::period::{Deviation, Operation, Segment, Summary, criteria_of, readiness, title};
use crate::words::many;

const STYLE: &str = include_str!("templates/style.css");
const INDEX: &str = include_str!("templates/index.html");
const CONTROL: &str = include_str!("templates/control.html");

/// Gaps that a page shows; all of them are in `gaps.csv`.
const MOST_GAPS: usize = 100;

/// Writes the pages.
pub(super) fn write(
    pack: &Pack<'_>,
    summary: &Summary,
    facts: &Facts,
    found: &Found,
) -> Result<(), ReportError> {
    let mut pages = Environment::new();
    pages.add_filter("many", |count: i64, one: &str| many(count, one));
    pages.add_filter("code", code);
    for (name, text) in [("index.html", INDEX), ("control.html", CONTROL)] {
        pages
            .add_template(name, text)
            .map_err(|error| wrong(name, &error))?;
    }
    let render = |template: &str, name: &str, values: minijinja::Value| {
        let page = pages
            .get_template(template)
            .and_then(|page| page.render(values));
        page.map_err(|error| wrong(name, &error))
    };
    for operation in &summary.controls {
        let name = page_name(operation);
        let values = control(operation, summary, facts, found);
        let page = render(
            "control.html",
            &name,
            context! { style => STYLE, ..minijinja::Value::from_serialize(&values) },
        )?;
        pack.write(&name, page.as_bytes())?;
    }
    let values = index(summary, facts);
    let page = render(
        "index.html",
        "index.html",
        context! { style => STYLE, ..minijinja::Value::from_serialize(&values) },
    )?;
    pack.write("index.html", page.as_bytes())
}

/// Text of the catalogue as HTML: what is between backticks is code.
fn code(text: &str) -> minijinja::Value {
    let parts = text.split('`').enumerate().map(|(at, part)| {
        let part = HtmlEscape(part);
        if at % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            part.to_string()
        }
    });
    minijinja::Value::from_safe_string(parts.collect())
}

fn wrong(name: &str, error: &minijinja::Error) -> ReportError {
    ReportError::Page {
        name: name.to_owned(),
        reason: error.to_string(),
    }
}

fn page_name(operation: &Operation) -> String {
    format!(
        "controls/{}--{}.html",
        file_name(&operation.control),
        file_name(&operation.policy)
    )
}

fn row(deviation: &Deviation, found: &Found) -> Value {
    let said = deviation.subject.subject();
    let subject = match &said.namespace {
        Some(namespace) => format!("{} {namespace}/{}", said.kind, said.name),
        None => format!("{} {}", said.kind, said.name),
    };
    json!({
        "id": deviation.id,
        "subject": readable(&subject),
        "owner": deviation.owner,
        "severity": deviation.severity.as_str(),
        "after": deviation.opened_after.map_or_else(|| "before observation".to_owned(), time),
        "opened": time(deviation.opened),
        "closed": deviation.closed.map_or_else(|| "open".to_owned(), time),
        "lasted": deviation.closed.map(|closed| duration(closed.duration_since(deviation.opened))),
        "ended": deviation.ended.map_or_else(String::new, |end| words(end.as_str())),
        "message": readable(if deviation.message.is_empty() { &deviation.reason } else { &deviation.message }),
        "responses": found.responses.of(&deviation.id),
    })
}

fn index(summary: &Summary, facts: &Facts) -> Value {
    let readiness = readiness(summary, &facts.spec.criteria);
    let of = |id: &str| {
        let ours = summary
            .controls
            .iter()
            .filter(|op| criteria_of(&op.control).contains(&id));
        ours.map(line).collect::<Vec<_>>()
    };
    let criteria = readiness.criteria.iter().map(|criterion| {
        json!({
            "id": criterion.id,
            "shown": criterion.shown.as_str(),
            "signal": criterion.signal,
            "attestations": criterion.attestations,
            "controls": of(criterion.id),
        })
    });
    let matrix = facts.spec.control_matrix.iter().map(|own| {
        let shown = summary
            .controls
            .iter()
            .filter(|op| own.controls.iter().any(|id| **id == *op.control));
        json!({ "own": own, "controls": shown.map(line).collect::<Vec<_>>() })
    });
    json!({
        "period": summary.period,
        "until": time(summary.until),
        "over": summary.over,
        "ahead": summary.is_ahead(),
        "warnings": summary.warnings,
        "controls": summary.controls.iter().map(line).collect::<Vec<_>>(),
        "any_due": summary.controls.iter().any(|operation| !operation.due.is_empty()),
        "criteria": criteria.collect::<Vec<_>>(),
        "matrix": matrix.collect::<Vec<_>>(),
        "commitments": readiness.commitments,
        "runs": summary.runs,
        "logs": summary.logs,
        "changes": summary.policy_changes,
        "period_changes": summary.period_changes,
        "log": summary.log,
        "version": facts.version,
        "verified": facts.verified,
    })
}

/// A control as a line of a table.
fn line(operation: &Operation) -> Value {
    let Operation {
        control,
        policy,
        operated,
        coverage,
        numbers,
        gap_count,
        due,
        ..
    } = operation;
    json!({
        "id": control,
        "policy": policy,
        "title": title(control),
        "page": page_name(operation),
        "operated": operated.as_str(),
        "coverage": format!("{:.2} %", coverage.ratio() * 100.0),
        "gaps": gap_count,
        "population": numbers.population.closing,
        "deviations": numbers.deviations.times.count,
        "open": numbers.deviations.open,
        "unjudged": numbers.unknown.times.count,
        "exempted": numbers.excepted.times.count,
        "longest": duration(numbers.deviations.times.longest),
        "due": due.iter().map(|due| json!({
            "what": readable(&due.what),
            "last": due.last.map_or_else(|| "never".to_owned(), time),
            "by": time(due.by),
            "overdue": due.overdue,
        })).collect::<Vec<_>>(),
    })
}

fn control(operation: &Operation, summary: &Summary, facts: &Facts, found: &Found) -> Value {
    let key = (operation.control.clone(), operation.policy.clone());
    let info = crate::controls::registry::find(&operation.control).map(|found| found.info);
    let page = found.pages.get(&key);
    let (from, to) = (summary.period.from, summary.period.to);
    let picture = page.map(|page| page.timeline.clone());
    let picture = picture.unwrap_or_else(|| Timeline::new(from, to));
    let deviations = page.into_iter().flat_map(|page| &page.deviations);
    let deviations: Vec<Value> = deviations.map(|deviation| row(deviation, found)).collect();
    let gaps = operation.gaps.iter().take(MOST_GAPS).map(|gap| {
        json!({
            "from": time(gap.from),
            "to": time(gap.to),
            "lasted": duration(gap.to.duration_since(gap.from)),
            "causes": readable(&gap.causes.join("; ")),
        })
    });
    let mean = |mean: Option<f64>| {
        mean.map_or_else(
            || "–".to_owned(),
            |mean| duration(SignedDuration::from_secs_f64(mean)),
        )
    };
    let numbers = &operation.numbers;
    json!({
        "control": line(operation),
        "period": summary.period,
        "until": time(summary.until),
        "what": info.map(|info| info.what),
        "why": info.map(|info| info.why),
        "limits": info.map(|info| info.limits),
        "criteria": criteria_of(&operation.control),
        "own": own_controls(facts, &operation.control),
        "timeline": picture.svg(&format!("{} from {} to {}", operation.control, summary.period.start, summary.period.end), summary.until),
        "numbers": numbers,
        "failing": duration(numbers.deviations.failing),
        "detect": mean(numbers.detection.mean()),
        "fix": mean(numbers.remediation.mean()),
        "reconciliation": operation.reconciliation,
        "included": operation.included,
        "excluded": operation.excluded.iter().map(|out| json!({
            "namespace": out.namespace,
            "reason": out.reason,
            "from": time(out.from),
            "to": out.to.map(time),
        })).collect::<Vec<_>>(),
        "omitted_deviations": numbers.deviations.times.count.saturating_sub(deviations.len() as u64),
        "deviations": deviations,
        "gaps": gaps.collect::<Vec<_>>(),
        "omitted_gaps": operation.gap_count.saturating_sub(operation.gaps.len().min(MOST_GAPS) as u64),
        "segments": operation.segments.iter().map(segment).collect::<Vec<_>>(),
    })
}

fn segment(segment: &Segment) -> Value {
    let Segment {
        from,
        to,
        definition,
        coverage,
        numbers,
    } = segment;
    let parameters = definition
        .parameters
        .as_ref()
        .and_then(|value| serde_json::to_string_pretty(value).ok());
    json!({
        "from": time(*from),
        "to": time(*to),
        "rule_version": definition.rule_version,
        "params_hash": definition.params_hash,
        "scope_hash": definition.scope_hash,
        "parameters": parameters.map(|text| readable(&text)),
        "coverage": format!("{:.2} %", coverage.ratio() * 100.0),
        "deviations": numbers.deviations.times.count,
        "population": numbers.population,
    })
}

/// A word of the log as people write it: `FixedByOthers` is fixed by others.
fn words(word: &str) -> String {
    let mut words = String::new();
    for letter in word.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// A time to the second, in UTC.
fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// A time span in its two largest units.
fn duration(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let parts = units.into_iter().scan(seconds, |left, (size, unit)| {
        let count = *left / size;
        *left %= size;
        Some((count, unit))
    });
    let parts = parts
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// A text from the cluster, of a length and kind that a page can bear.
fn readable(text: &str) -> String {
    const LONGEST: usize = 2000;
    let hidden = |c: char| crate::words::is_hidden(c) && c != '\n';
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if hidden(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code_and_nothing_becomes_markup() {
        let shown = code("a `<b>` & `c`").to_string();
        assert_eq!(shown, "a <code>&lt;b&gt;</code> &amp; <code>c</code>");
    }
}
