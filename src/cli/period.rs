//! `probity period`: how each control operated over an audit period, from the log alone.

use clap::Args;
use jiff::Timestamp;

use super::{
    Failure,
    evidence::{Asked, distrust_of, pretty, wanted, warn},
    logs::Accounted,
    output::{
        style::{Style, When},
        wrap::{fit, wrap},
    },
};
use crate::evidence::verify::Trust;
use crate::period::{Account, NumbersOnly, Operation, Readiness, Summary, readiness};
use crate::words::many;

/// Arguments of `probity period`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// List the criteria: which are automated, attested or unaddressed, and what is tested against.
    #[arg(long)]
    readiness: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Computes the account and prints it. Returns whether the log is what it claims to be.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let (wanted, logs) = wanted(&arguments.asked.period, &arguments.asked.logs)?;
    let (found, mut taken) = logs.take(&Trust::default(), || {
        Ok(Accounted {
            account: Account::new(wanted.frame.clone()),
            sink: NumbersOnly,
        })
    })?;
    let distrust = distrust_of(&found);
    let mut summary = taken.account.finish(Timestamp::now(), &mut taken.sink);
    summary.warnings.extend(wanted.notes.clone());
    summary.warnings.splice(..0, distrust.clone());
    if arguments.readiness {
        let readiness = readiness(&summary, &wanted.spec.criteria);
        if arguments.json {
            println!("{}", pretty(&readiness)?);
        } else {
            let style = Style::of_stdout(When::Never);
            print!("{}", fit(&criteria(&readiness), style.columns));
        }
        warn(distrust.as_deref());
        return Ok(distrust.is_none());
    }
    if arguments.json {
        println!("{}", pretty(&summary)?);
    } else {
        let style = Style::of_stdout(When::Never);
        print!("{}", fit(&table(&summary, style.columns), style.columns));
    }
    warn(distrust.as_deref());
    Ok(distrust.is_none())
}

/// The account as a table, with what is to be done below it.
fn table(summary: &Summary, width: Option<usize>) -> String {
    let mut lines = vec![head(summary)];
    lines.extend(
        summary
            .warnings
            .iter()
            .map(|warning| format!("Note: {warning}.")),
    );
    lines.push(String::new());
    lines.extend(rows(&summary.controls, width));
    let due = summary.controls.iter().flat_map(|operation| {
        operation.due.iter().map(|due| {
            let last = due
                .last
                .map_or_else(|| "never".to_owned(), |last| format!("{last:.0}"));
            let late = if due.overdue { ", and is overdue" } else { "" };
            let Operation {
                control, policy, ..
            } = operation;
            format!(
                "  {control} ({policy}): {}: last {last}, due by {:.0}{late}",
                due.what, due.by
            )
        })
    });
    let due: Vec<String> = due.collect();
    if !due.is_empty() {
        lines.push(String::new());
        lines.push(format!(
            "To happen before the period ends on {}:",
            summary.period.end
        ));
        lines.extend(due);
    }
    let changed = summary
        .controls
        .iter()
        .filter(|operation| operation.segments.len() > 1);
    for Operation {
        control,
        policy,
        segments,
        ..
    } in changed
    {
        lines.push(String::new());
        lines.push(format!(
            "{control} ({policy}) changed its definition; by definition:"
        ));
        lines.extend(segments.iter().map(|segment| {
            let deviations = &segment.numbers.deviations.times;
            format!(
                "  {:.0} to {:.0}: coverage {}, {}",
                segment.from,
                segment.to,
                percent(segment.coverage.ratio()),
                many(deviations.count, "deviation")
            )
        }));
    }
    if !summary.period_changes.is_empty() {
        lines.push(String::new());
        lines.push("The period was changed after it had begun:".to_owned());
        lines.extend(summary.period_changes.iter().map(|step| {
            let what = if step.what.is_empty() {
                String::new()
            } else {
                format!(": {}", step.what)
            };
            format!(
                "  {:.0} {} by {}{what}",
                step.at,
                step.step,
                step.who.as_deref().unwrap_or("?")
            )
        }));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn head(summary: &Summary) -> String {
    let period = &summary.period;
    let state = if summary.over {
        "over".to_owned()
    } else if summary.is_ahead() {
        "not begun as far as the log goes".to_owned()
    } else {
        format!("judged until {:.0}", summary.until)
    };
    format!(
        "Period {}: {} to {} ({}), {state}. Results of management's automated evaluation.",
        period.name, period.start, period.end, period.time_zone
    )
}

/// What is told of each control beside its id.
const COLUMNS: [&str; 9] = [
    "POLICY",
    "OPERATED",
    "COVERAGE",
    "GAPS",
    "POPULATION",
    "DEVIATIONS",
    "LONGEST",
    "DETECT",
    "FIX",
];

/// Columns that a table of them takes.
const TABLE: usize = 155;

/// The controls as a table; where that does not fit, each in lines of its own.
fn rows(controls: &[Operation], width: Option<usize>) -> Vec<String> {
    if width.is_some_and(|width| width < TABLE) {
        let blocks = controls.iter().map(|operation| {
            let cells = COLUMNS.iter().zip(cells(operation));
            let cells: Vec<String> = cells.map(|(name, cell)| format!("{name} {cell}")).collect();
            let said = wrap(&cells.join(", "), width, "  ");
            format!("{}\n{}", operation.control, said.trim_end())
        });
        return blocks.collect();
    }
    let head = line("CONTROL", &COLUMNS.map(str::to_owned));
    let rows = controls.iter();
    let rows = rows.map(|operation| line(&operation.control, &cells(operation)));
    std::iter::once(head).chain(rows).collect()
}

fn line(control: &str, cells: &[String; 9]) -> String {
    let [
        policy,
        operated,
        coverage,
        gaps,
        population,
        found,
        longest,
        detect,
        fix,
    ] = cells;
    format!(
        "{control:<42} {policy:<16} {operated:<13} {coverage:>9} {gaps:>6} {population:>22} {found:>11} {longest:>9} {detect:>9} {fix:>9}"
    )
}

fn cells(operation: &Operation) -> [String; 9] {
    let Operation {
        policy, numbers, ..
    } = operation;
    let moved = &numbers.population;
    let deviations = &numbers.deviations;
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), short);
    let longest = (deviations.times.count > 0).then(|| deviations.times.longest.as_secs_f64());
    let found = if deviations.open > 0 {
        format!("{} ({} open)", deviations.times.count, deviations.open)
    } else {
        deviations.times.count.to_string()
    };
    [
        policy.to_string(),
        operation.operated.as_str().to_owned(),
        percent(operation.coverage.ratio()),
        operation.gap_count.to_string(),
        format!(
            "{}+{}-{}={}",
            moved.opening, moved.added, moved.removed, moved.closing
        ),
        found,
        time(longest),
        time(numbers.detection.mean()),
        time(numbers.remediation.mean()),
    ]
}

/// A share as the pages of a pack show it.
fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

/// A time in its largest fitting unit.
fn short(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m")];
    let unit = units.into_iter().find(|(size, _)| seconds >= *size);
    let (size, unit) = unit.unwrap_or((1.0, "s"));
    format!("{:.1}{unit}", seconds / size)
}

fn criteria(readiness: &Readiness) -> String {
    let mut lines = vec![format!("{:<6} {:<12} BY", "ID", "SHOWN")];
    for criterion in &readiness.criteria {
        let mut by: Vec<&str> = criterion.controls.iter().map(String::as_str).collect();
        by.extend(criterion.attestations.iter().map(String::as_str));
        let by = match (by.is_empty(), criterion.possible.is_empty()) {
            (false, _) => by.join(", "),
            (true, false) => format!("possible by {}", criterion.possible.join(", ")),
            (true, true) => "nothing in a cluster shows it".to_owned(),
        };
        lines.push(format!(
            "{:<6} {:<12} {by}",
            criterion.id,
            criterion.shown.as_str()
        ));
    }
    lines.push(String::new());
    lines.push("Commitments that are tested against:".to_owned());
    if readiness.commitments.is_empty() {
        lines.push("  none: no policy sets an objective".to_owned());
    }
    lines.extend(readiness.commitments.iter().map(|commitment| {
        let crate::period::Commitment {
            name,
            control,
            policy,
            value,
        } = commitment;
        format!("  {name}: {value} ({control} in {policy})")
    }));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_shown_in_percent() {
        assert_eq!(percent(0.0), "0.00 %");
        assert_eq!(percent(0.174_41), "17.44 %");
        assert_eq!(percent(1.0), "100.00 %");
    }
}
