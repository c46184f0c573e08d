//! `probity verify`: checks an evidence log, or the proof of one entry, without a cluster.

use std::{
    io::{IsTerminal, Write as _},
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Failure,
    evidence::pretty,
    logs::Logs,
    output::{
        style::{Style, When},
        wrap::fit,
    },
    prove,
    trust::TrustArguments,
};
use crate::{evidence::verify::Report, words::many};

/// Arguments of `probity verify`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Data folder, folder of one log, auditor pack, or a tar archive (also gzipped) of one. Several are those of replicas that
    /// took turns in leading: they are checked together.
    #[arg(value_name = "LOG", required_unless_present = "proof")]
    logs: Vec<PathBuf>,
    /// A proof of one entry, as `probity prove` makes it, instead of a log.
    #[arg(long, value_name = "FILE", conflicts_with = "logs")]
    proof: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArguments,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies. Returns whether the log is what it claims to be.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let trust = arguments.trust.read()?;
    if let Some(proof) = &arguments.proof {
        return prove::check(proof, &trust, arguments.json);
    }
    let logs = Logs::open(&arguments.logs).map_err(|error| format!("can't verify: {error}"))?;
    let mut report = logs.verified(&trust)?;
    report.remarks.extend(logs.remarks().cloned());
    if arguments.json {
        println!("{}", pretty(&report)?);
    } else {
        let style = Style::of_stdout(When::Never);
        print!("{}", fit(&text(&report), style.width));
    }
    Ok(report.verified)
}

/// What was found, a line each.
fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for log in &report.logs {
        // One that can't be told by its head has nothing of this.
        if !log.origin.is_empty() {
            lines.push(log.origin.clone());
            lines.push(format!(
                "  entries {} to {}, root {}",
                log.first,
                log.size.saturating_sub(1),
                log.root
            ));
            lines.push(format!("  signed with {}", log.key));
        }
        lines.extend(log.remarks.iter().map(|remark| format!("  note: {remark}")));
        let problems = log.problems.iter();
        lines.extend(problems.map(|problem| format!("  WRONG: {problem}")));
        if log.omitted > 0 {
            lines.push(format!("  WRONG: and {} more", log.omitted));
        }
    }
    let remarks = report.remarks.iter();
    lines.extend(remarks.map(|remark| format!("note: {remark}")));
    list(&mut lines, "Proved:", &report.proved);
    list(&mut lines, "Not proved:", &report.not_proved);
    lines.push(verdict(report.verified, "log"));
    lines.join("\n")
}

/// Adds a list below its title.
pub(super) fn list(lines: &mut Vec<String>, title: &str, items: &[String]) {
    if !items.is_empty() {
        lines.push(title.to_owned());
    }
    lines.extend(items.iter().map(|item| format!("  - {item}")));
}

/// The last line: what it all comes to.
pub(super) fn verdict(verified: bool, of: &str) -> String {
    if verified {
        "VERIFIED".to_owned()
    } else {
        format!("NOT VERIFIED: the {of} is not what it claims to be")
    }
}

/// Progress on a terminal; silent elsewhere.
pub(super) struct Bar {
    shown: Mutex<Option<Instant>>,
    on: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            shown: Mutex::new(None),
            on: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&self, done: u64, all: u64) {
        if !self.on {
            return;
        }
        let Ok(mut shown) = self.shown.lock() else {
            return;
        };
        if shown.is_some_and(|at| at.elapsed() < Duration::from_millis(100)) {
            return;
        }
        *shown = Some(Instant::now());
        let share = done * 100 / all.max(1);
        let filled = usize::try_from(share / 4).unwrap_or(0);
        // A terminal that is gone needs no progress.
        let _ = write!(
            std::io::stderr(),
            "\r[{:<25}] {share:>3} % of {}",
            "#".repeat(filled),
            many(all, "entry")
        );
    }

    pub(super) fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
