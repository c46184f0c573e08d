//! How fast a query engine answers over a year of rows: DuckDB, two threads, one file a day.
//!
//! The program writes the files of a week, which lie in the folders of each week of the year: what a query opens and reads is
//! as much as in a year, and is there in seconds. Only the times in the rows repeat.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use probity::evidence::{Body, Identity, Record, epochs, index, key::PrivateKey};
use serde_json::{Value, json};

use crate::Figure;
use crate::harness::{Result, duckdb};

const DAYS: i64 = 365;
/// Days that are written; the others are copies.
const WEEK: i64 = 7;
const A_DAY: i64 = 30_000;
const RUNS: usize = 5;

/// Writes a year and asks for a quarter of it.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let data = folder.path().join("data");
    fs::create_dir(&data).map_err(|error| error.to_string())?;
    let dir = write_log(&data)?;
    let rows = folder.path().join("parquet");
    let began = Instant::now();
    let today = Date::constant(2027, 1, 2);
    let files = index::bring_up(&dir, &rows, today).map_err(|error| error.to_string())?;
    let took = began.elapsed();
    let bytes: u64 = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|file| file.len())
        .sum();
    let entries = u64::try_from(WEEK * A_DAY).unwrap_or(u64::MAX);
    repeat(&rows)?;
    let answered = ask(&rows)?;
    Ok(vec![
        Figure {
            what: "one control, one quarter, in DuckDB over a year's Parquet (10.95 million rows)",
            measured: format!("{:.0} ms", answered * 1000.0),
            limit: "100 ms",
            kept: Some(answered <= 0.1),
        },
        Figure {
            what: "Parquet, a row",
            measured: format!("{} bytes", bytes / entries),
            limit: "",
            kept: None,
        },
        Figure {
            what: "writing Parquet",
            measured: format!(
                "{:.0} rows/s",
                f64::from(u32::try_from(entries).unwrap_or(u32::MAX)) / took.as_secs_f64()
            ),
            limit: "",
            kept: None,
        },
    ])
}

/// Lays the files of the week into the folders of all later weeks.
fn repeat(rows: &Path) -> Result<()> {
    let explain = |error: &dyn std::fmt::Display| error.to_string();
    let first = Date::constant(2026, 1, 1);
    let folder = |day: i64| -> Result<PathBuf> {
        let day = first.checked_add(SignedDuration::from_hours(24 * day));
        let day = day.map_err(|error| explain(&error))?;
        Ok(rows.join("cluster=c-1").join(format!("day={day}")))
    };
    for day in WEEK..DAYS {
        let (from, to) = (folder(day % WEEK)?, folder(day)?);
        fs::create_dir(&to).map_err(|error| explain(&error))?;
        for file in fs::read_dir(&from).map_err(|error| explain(&error))? {
            let file = file.map_err(|error| explain(&error))?;
            fs::copy(file.path(), to.join(file.file_name())).map_err(|error| explain(&error))?;
        }
    }
    Ok(())
}

fn write_log(data: &Path) -> Result<std::path::PathBuf> {
    let explain = |error: &dyn std::fmt::Display| error.to_string();
    let key = PrivateKey::create(&data.join("key")).map_err(|error| explain(&error))?;
    let first = Date::constant(2026, 1, 1)
        .to_zoned(TimeZone::UTC)
        .map_err(|error| explain(&error))?;
    let first = first.timestamp();
    let identity = Identity {
        cluster: "c-1",
        replica: "probity-system.probity-0",
    };
    let opened = epochs::open(data, identity, &key, &[], first).map_err(|error| explain(&error))?;
    for batch in 0..WEEK * A_DAY / 500 {
        let records = (batch * 500..(batch + 1) * 500)
            .map(|n| record(first, n))
            .collect::<Result<_>>()?;
        opened
            .log
            .append(records)
            .wait()
            .map_err(|failed| explain(&failed.cause))?;
    }
    opened.log.close().map_err(|error| explain(&error))?;
    Ok(opened.dir)
}

/// One transition every 2.88 s, of fifty controls and 20,000 subjects.
fn record(first: Timestamp, n: i64) -> Result<Record> {
    let subject = n * 7919 % 20_000;
    // Each control in turn, once failing and once passing.
    let fails = n / 50 % 2 == 0;
    let body: Value = json!({
        "type": "transition", "policies": ["soc2"], "control": format!("control-{:02}", n * 31 % 50),
        "ruleVersion": 1, "paramsHash": "p", "scopeHash": "s",
        "subject": { "group": "apps", "kind": "Deployment", "namespace": format!("ns-{}", subject % 200),
                     "name": format!("app-{subject}"), "uid": format!("00000000-0000-4000-8000-{subject:012}") },
        "from": if fails { "Pass" } else { "Fail" }, "to": if fails { "Fail" } else { "Pass" },
        "strength": "Declared", "reason": "Test", "message": "a field says so", "severity": "High",
        "cause": "Object", "deviation": format!("{:032x}", n / 2),
    });
    let body: Body = serde_json::from_value(body).map_err(|error| error.to_string())?;
    let time = first + SignedDuration::from_millis(n * 86_400_000 / A_DAY);
    Ok(Record::new(time, body))
}

/// Seconds until DuckDB holds the whole answer, the median of some runs in a process that has read the files before. What
/// Python then takes to make objects of 27,000 rows is not in it.
fn ask(rows: &Path) -> Result<f64> {
    let text = include_str!("../docs/fleet.md");
    let query = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        let (_, rest) = rest.split_once("```sql\n")?;
        Some(rest.split_once("```")?.0)
    };
    let (Some(view), Some(control)) = (query("## Queries"), query("<!-- query: control -->"))
    else {
        return Err("docs/fleet.md lacks its queries".to_owned());
    };
    let view = view.replace("FLEET/parquet", &rows.display().to_string());
    let control = control.replace("net-namespace-default-deny", "control-07");
    let sql = format!(
        "{view}CREATE TEMP TABLE once AS {control}CREATE TEMP TABLE answer AS {control}SELECT * FROM answer"
    );
    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(run(&sql)?);
    }
    times.sort_by(f64::total_cmp);
    times
        .get(RUNS / 2)
        .copied()
        .ok_or_else(|| "nothing was measured".to_owned())
}

/// Runs statements; how long the last but one took, whose rows the last one shows.
fn run(sql: &str) -> Result<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/query.py");
    let mut child = Command::new(duckdb()?.join("bin/python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("python: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(sql.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let answer: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let rows = answer["rows"].as_array().map_or(0, Vec::len);
    if rows < 10_000 {
        return Err(format!("the query found only {rows} rows"));
    }
    let seconds = answer["seconds"].as_array();
    let took = seconds.and_then(|all| all.iter().nth_back(1)?.as_f64());
    took.ok_or_else(|| "no time".to_owned())
}
