//! `probity fleet`: the logs of many clusters side by side, in files that query engines read.

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Failure,
    output::{
        style::{Style, When},
        wrap::fit,
    },
    trust::read_key,
};
use crate::evidence::{
    LogError, epochs,
    index::{self, Days, Signed},
    note::VerifierKey,
    verify::{self, Trust},
};
use crate::words::{either, many};

/// Arguments of `probity fleet`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the days that are over of all logs in a folder as Parquet, into its folder `parquet`.
    Index {
        /// Folder with copies of data folders, such as a download of a bucket.
        fleet: PathBuf,
    },
    /// Verify all logs in a folder, prove each row of its Parquet files against them, and say which
    /// clusters and days are missing.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// Folder with copies of data folders and a folder `parquet`, such as a download of a bucket.
    fleet: PathBuf,
    /// Key that you were told of a log: the key itself or a file with it. May be given again.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// File with the clusters that must be there, one a line: the uid of its namespace kube-system,
    /// and what you call it.
    #[arg(long, value_name = "FILE", requires_all = ["from", "to"])]
    expect: Option<PathBuf>,
    /// First day, in UTC, such as 2026-01-01.
    #[arg(long, value_name = "DAY", requires = "expect")]
    from: Option<Date>,
    /// Last day.
    #[arg(long, value_name = "DAY", requires = "expect")]
    to: Option<Date>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command. Returns whether nothing is wrong and nothing is missing.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    match &arguments.command {
        Command::Index { fleet } => write_index(fleet).map(|()| true),
        Command::Verify(arguments) => {
            let report = check(arguments)?;
            if arguments.json {
                let text =
                    serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
                println!("{text}");
            } else {
                let style = Style::of_stdout(When::Never);
                print!("{}", fit(&text(&report), style.width));
            }
            Ok(report.verified && report.complete != Some(false))
        }
    }
}

/// The data folders in a fleet's folder: `<cluster>/<replica>`.
fn data_folders(fleet: &Path) -> Result<Vec<PathBuf>, Failure> {
    let explain = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let mut found = Vec::new();
    let mut folders = vec![(fleet.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.join("epochs").is_dir() {
            found.push(folder);
            continue;
        }
        if depth == 3 {
            continue;
        }
        for file in std::fs::read_dir(&folder).map_err(|error| explain(&folder, error))? {
            let path = file.map_err(|error| explain(&folder, error))?.path();
            if path.is_dir() && !path.ends_with(index::FOLDER) {
                folders.push((path, depth + 1));
            }
        }
    }
    found.sort_unstable();
    if found.is_empty() {
        return Err(format!(
            "{} holds no log: name the folder to which a bucket was downloaded",
            fleet.display()
        ));
    }
    Ok(found)
}

fn write_index(fleet: &Path) -> Result<(), Failure> {
    let explain = |error: LogError| error.to_string();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let folder = fleet.join(index::FOLDER);
    for data in data_folders(fleet)? {
        for log in epochs::list(&data).map_err(explain)? {
            for file in index::bring_up(&log, &folder, today).map_err(explain)? {
                println!("{}", file.display());
            }
        }
    }
    Ok(())
}

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether all logs are what they claim to be, and all rows theirs.
    verified: bool,
    /// Whether no cluster and no day is missing; `None` where nobody said which must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    /// Rows that are proved.
    rows: u64,
    /// What is wrong.
    problems: Vec<String>,
    /// What is not wrong and should be known.
    remarks: Vec<String>,
    clusters: Vec<Cluster>,
}

/// What was seen of a cluster.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// Whether it was to be there.
    expected: bool,
    entries: u64,
    failures: u64,
    /// Minutes with a heartbeat, of all minutes of the days.
    observed_minutes: u64,
    minutes: u64,
    /// Days without a heartbeat.
    missing_days: Vec<Date>,
}

fn check(arguments: &VerifyArguments) -> Result<Report, Failure> {
    let keys = arguments
        .keys
        .iter()
        .map(|key| read_key(key))
        .collect::<Result<_, _>>()?;
    let mut report = Report::default();
    let logs = verified_logs(&arguments.fleet, keys, &mut report)?;
    let days = prove_rows(&arguments.fleet, &logs, &mut report)?;
    match (&arguments.expect, arguments.from, arguments.to) {
        (Some(expect), Some(from), Some(to)) => {
            let expected = read_expected(expect)?;
            if to < from {
                return Err(format!("--to {to} is before --from {from}"));
            }
            report.clusters = clusters(&expected, &days, from, to);
            let mut found = report.clusters.iter();
            report.complete = Some(found.all(|cluster| cluster.missing_days.is_empty()));
        }
        _ => report.remarks.push(
            "nobody said which clusters and days must be there: give --expect, --from and --to"
                .to_owned(),
        ),
    }
    report.verified = report.problems.is_empty();
    Ok(report)
}

fn verified_logs(
    fleet: &Path,
    keys: Vec<VerifierKey>,
    report: &mut Report,
) -> Result<BTreeMap<String, Signed>, Failure> {
    if keys.is_empty() {
        report.remarks.push(
            "whose keys signed the logs was not checked: give those that you were told with --key"
                .to_owned(),
        );
    }
    let trust = Trust {
        keys,
        ..Trust::default()
    };
    let mut logs = BTreeMap::new();
    for data in data_folders(fleet)? {
        let explain = |error: LogError| format!("can't verify {}: {error}", data.display());
        let found = verify::verify(&data, &trust, &|_, _| {}).map_err(explain)?;
        let problems = found
            .problems()
            .map(|problem| format!("{}/{problem}", data.display()));
        report.problems.extend(problems);
        let dirs = epochs::list(&data).map_err(explain)?;
        for (log, dir) in found.logs.into_iter().zip(dirs) {
            if log.problems.is_empty() {
                let (first, size) = (log.first, log.size);
                logs.insert(log.origin, Signed { dir, first, size });
            }
        }
    }
    Ok(logs)
}

fn prove_rows(
    fleet: &Path,
    logs: &BTreeMap<String, Signed>,
    report: &mut Report,
) -> Result<Days, Failure> {
    let explain = |error: LogError| error.to_string();
    let folder = fleet.join(index::FOLDER);
    let find = |origin: &str| logs.get(origin).cloned();
    let (mut days, mut spans) = (Days::new(), Vec::new());
    for file in index::files(&folder).map_err(explain)? {
        match index::check(&folder, &file, &find).map_err(explain)? {
            Ok(checked) => {
                report.rows += checked.seen.entries;
                let cluster = rows::cluster_of(&checked.span.origin);
                if let Some(day) = checked.day {
                    days.entry((cluster.to_owned(), day))
                        .or_default()
                        .add(&checked.seen);
                }
                if checked.unproved > 0 {
                    report.remarks.push(format!(
                        "{}: nothing proves its first {} any more: retention has removed what {} made from",
                        file.display(),
                        many(checked.unproved, "row"),
                        either(checked.unproved, "it was", "they were")
                    ));
                }
                spans.push(checked.span);
            }
            Err(why) => report.problems.push(format!("{}: {why}", file.display())),
        }
    }
    let told = rows::missing(logs, &spans).map_err(explain)?;
    report.problems.extend(told.problems);
    report.remarks.extend(told.remarks);
    Ok(days)
}

/// The clusters that must be there, with what they are called.
fn read_expected(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let explain = |why: &dyn std::fmt::Display| format!("--expect {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let expected: BTreeMap<String, String> = lines
        .map(|line| {
            let (uid, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (uid.to_owned(), name.trim().to_owned())
        })
        .collect();
    if expected.is_empty() {
        return Err(explain(&"it names no cluster: write one a line"));
    }
    Ok(expected)
}

fn clusters(
    expected: &BTreeMap<String, String>,
    days: &Days,
    from: Date,
    to: Date,
) -> Vec<Cluster> {
    let seen = days.keys().map(|(cluster, _)| cluster);
    let all: BTreeSet<&String> = expected.keys().chain(seen).collect();
    let all = all.into_iter().map(|cluster| {
        let mut found = Cluster {
            uid: cluster.clone(),
            name: expected.get(cluster).cloned().unwrap_or_default(),
            expected: expected.contains_key(cluster),
            ..Cluster::default()
        };
        for day in from
            .series(jiff::Span::new().days(1))
            .take_while(|day| *day <= to)
        {
            let seen = days
                .get(&(cluster.clone(), day))
                .cloned()
                .unwrap_or_default();
            found.entries += seen.entries;
            found.failures += seen.failures;
            found.observed_minutes += u64::from(seen.minutes());
            found.minutes += 24 * 60;
            if seen.minutes() == 0 {
                found.missing_days.push(day);
            }
        }
        found
    });
    all.collect()
}

/// What was found, a line each.
fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for cluster in &report.clusters {
        let Cluster {
            uid,
            name,
            expected,
            entries,
            failures,
            observed_minutes,
            minutes,
            missing_days,
        } = cluster;
        let unexpected = if *expected { "" } else { " (not expected)" };
        lines.push(format!("{uid} {name}{unexpected}"));
        lines.push(format!(
            "  {}, {}, observed {observed_minutes} of {}",
            many(entries, "entry"),
            many(failures, "failure"),
            many(minutes, "minute")
        ));
        let gaps = gaps(missing_days).into_iter();
        lines.extend(gaps.map(|gap| format!("  MISSING: {gap}")));
    }
    let remarks = report.remarks.iter();
    lines.extend(remarks.map(|remark| format!("note: {remark}")));
    let problems = report.problems.iter();
    lines.extend(problems.map(|problem| format!("WRONG: {problem}")));
    lines.push(format!(
        "{} {} proved",
        many(report.rows, "row"),
        either(report.rows, "is", "are")
    ));
    let verdict = match (report.verified, report.complete) {
        (true, None) => "VERIFIED; whether anything is missing was not asked",
        (true, Some(true)) => "VERIFIED",
        (true, Some(false)) => "VERIFIED, AND INCOMPLETE: clusters or days are missing",
        (false, _) => "NOT VERIFIED: logs or rows are not what they claim to be",
    };
    lines.push(verdict.to_owned());
    lines.join("\n")
}

/// Days in a row as one.
fn gaps(days: &[Date]) -> Vec<String> {
    let mut gaps: Vec<(Date, Date)> = Vec::new();
    for day in days {
        match gaps.last_mut() {
            Some((_, last)) if last.tomorrow().is_ok_and(|next| next == *day) => *last = *day,
            _ => gaps.push((*day, *day)),
        }
    }
    let text = |(from, to): &(Date, Date)| {
        if from == to {
            from.to_string()
        } else {
            format!("{from} to {to}")
        }
    };
    gaps.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::index::Seen;

    fn date(day: i8) -> Date {
        Date::constant(2026, 1, day)
    }

    #[test]
    fn a_cluster_that_never_came_and_a_day_without_heartbeat_are_gaps() {
        let expected = BTreeMap::from([
            ("a".to_owned(), "one".to_owned()),
            ("b".to_owned(), String::new()),
        ]);
        let mut silent = Seen::default();
        silent.entries = 3;
        let days = Days::from([
            (("a".to_owned(), date(2)), silent.clone()),
            (("z".to_owned(), date(2)), silent),
        ]);
        let found = clusters(&expected, &days, date(1), date(3));
        let names: Vec<_> = found
            .iter()
            .map(|cluster| (cluster.uid.as_str(), cluster.expected))
            .collect();
        assert_eq!(names, [("a", true), ("b", true), ("z", false)]);
        assert_eq!(found[0].missing_days, [date(1), date(2), date(3)]);
        assert_eq!((found[0].entries, found[0].minutes), (3, 3 * 1440));
        assert_eq!(found[1].entries, 0);
        assert_eq!(
            gaps(&[date(1), date(2), date(5)]),
            ["2026-01-01 to 2026-01-02", "2026-01-05"]
        );
    }
}
