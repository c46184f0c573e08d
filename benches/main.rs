//! The figures that Probity promises, measured on this machine: `make bench`.
//!
//! A slow machine is no error: a figure beyond its limit is marked, and only what can't be
//! measured at all fails. What can be compared is compared within one run.

mod idle;
mod large;
mod log;
mod network;
mod operator;
mod parquet;
mod pods;
mod processing;
mod putback;
mod rbac;
mod report;
mod scale;
mod stats;
mod verdicts;

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a figure can't be measured.
type Result<T, E = String> = std::result::Result<T, E>;

/// One line of the table.
struct Figure {
    what: &'static str,
    measured: String,
    limit: &'static str,
    /// Whether the limit is kept; `None` where there is none.
    kept: Option<bool>,
}

/// A name for `BENCH=`, and what it measures.
type Bench = (&'static str, fn() -> Result<Vec<Figure>>);

const BENCHES: [Bench; 11] = [
    ("pods", pods::measure),
    ("verdicts", verdicts::measure),
    ("scale", scale::measure),
    ("network", network::measure),
    ("rbac", rbac::measure),
    ("processing", processing::measure),
    ("putback", putback::measure),
    ("idle", idle::measure),
    ("parquet", parquet::measure),
    ("log", log::measure),
    ("report", report::measure),
];

fn main() -> ExitCode {
    let child = |name| std::env::args().any(|argument| argument == name);
    let outcome = if child(pods::CHILD) {
        pods::child().map(|said| say(&said))
    } else if child(scale::CHILD) {
        scale::child().map(|said| say(&said))
    } else if child(log::CHILD) {
        log::child().map(|said| say(&said))
    } else {
        run()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let wanted = std::env::var("BENCH").unwrap_or_default();
    let chosen: Vec<&Bench> = BENCHES
        .iter()
        .filter(|(name, _)| wanted.is_empty() || *name == wanted)
        .collect();
    if chosen.is_empty() {
        let names = BENCHES.map(|(name, _)| name).join(" ");
        return Err(format!("there is no BENCH={wanted}; there are: {names}"));
    }
    let mut figures = Vec::new();
    for (name, measure) in chosen {
        say(&format!("measuring {name}"));
        figures.extend(measure().map_err(|error| format!("{name}: {error}"))?);
    }
    say("\n| figure | measured | limit | |\n|---|---|---|---|");
    for figure in figures {
        let kept = match figure.kept {
            Some(true) => "kept",
            Some(false) => "MISSED",
            None => "",
        };
        let Figure {
            what,
            measured,
            limit,
            ..
        } = figure;
        say(&format!("| {what} | {measured} | {limit} | {kept} |"));
    }
    Ok(())
}

fn say(text: &str) {
    // Nobody may be reading any more; clusters still have to end in order.
    let _ = writeln!(io::stdout(), "{text}");
}
