//! `probity verify`: checks an evidence log, or the proof of one entry, without a cluster.

use std::{
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Args;

use super::{Failure, prove};
use crate::{
    api::EvidenceLog,
    evidence::{
        body::Anchored,
        folder_anchor,
        note::VerifierKey,
        verify::{Report, Trust, unpacked, verify},
    },
};

/// Arguments of `probity verify`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Data folder, folder of one log, or a tar archive (also gzipped) of one.
    #[arg(required_unless_present = "proof")]
    log: Option<PathBuf>,
    /// A proof of one entry, as `probity prove` makes it, instead of a log.
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    proof: Option<PathBuf>,
    /// Key that you were told, as in the status of the `EvidenceLog`: the key itself or a file with
    /// it. May be given again, for logs signed with other keys.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A checkpoint that was kept elsewhere: a file with it, a folder of `--anchor-dir`, or an
    /// `EvidenceLog` as `kubectl get -o json` prints it. May be given again.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies. Returns whether the log is what it claims to be.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let trust = Trust {
        keys: arguments
            .keys
            .iter()
            .map(|key| read_key(key))
            .collect::<Result<_, _>>()?,
        anchors: read_anchors(&arguments.anchors)?,
    };
    if let Some(proof) = &arguments.proof {
        return prove::check(proof, &trust, arguments.json);
    }
    let log = arguments.log.clone().unwrap_or_default();
    let explain =
        |error: &dyn std::fmt::Display| format!("can't verify {}: {error}", log.display());
    let unpacked = unpacked(&log).map_err(|error| explain(&error))?;
    let bar = Bar::new();
    let report = verify(unpacked.path(), &trust, &|done, all| bar.show(done, all))
        .map_err(|error| explain(&error))?;
    bar.clear();
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| explain(&error))?;
        println!("{text}");
    } else {
        print(&report);
    }
    Ok(report.verified)
}

fn read_key(given: &str) -> Result<VerifierKey, Failure> {
    let path = Path::new(given);
    let text = if path.is_file() {
        std::fs::read_to_string(path).map_err(|error| format!("--key {given}: {error}"))?
    } else {
        given.to_owned()
    };
    VerifierKey::parse(&text).map_err(|error| format!("--key {given}: {error}"))
}

fn read_anchors(paths: &[PathBuf]) -> Result<Vec<Anchored>, Failure> {
    let mut anchors = Vec::new();
    for path in paths {
        let explain = |why: &dyn std::fmt::Display| format!("--anchor {}: {why}", path.display());
        if path.is_dir() {
            let found = folder_anchor::all(path).map_err(|error| explain(&error))?;
            if found.is_empty() {
                return Err(explain(&"this folder holds no checkpoints"));
            }
            anchors.extend(found);
            continue;
        }
        let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
        let source = path.display().to_string();
        let found = folder_anchor::of_note(&text, &source).or_else(|| of_object(&text, &source));
        anchors.push(found.ok_or_else(|| {
            explain(&"this is neither a signed checkpoint nor an EvidenceLog as JSON with a status")
        })?);
    }
    Ok(anchors)
}

fn of_object(text: &str, source: &str) -> Option<Anchored> {
    let log: EvidenceLog = serde_json::from_str(text).ok()?;
    folder_anchor::of_note(&log.status?.checkpoint, source)
}

fn print(report: &Report) {
    for log in &report.logs {
        println!("{}", log.origin);
        println!(
            "  entries {} to {}, root {}",
            log.first,
            log.size.saturating_sub(1),
            log.root
        );
        println!("  signed with {}", log.key);
        for remark in &log.remarks {
            println!("  note: {remark}");
        }
        for problem in &log.problems {
            println!("  WRONG: {problem}");
        }
        if log.omitted > 0 {
            println!("  WRONG: and {} more", log.omitted);
        }
    }
    list("Proved:", &report.proved);
    list("Not proved:", &report.not_proved);
    println!("{}", verdict(report.verified, "log"));
}

pub(super) fn list(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        println!("{title}");
    }
    for line in lines {
        println!("  - {line}");
    }
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
struct Bar {
    shown: Mutex<Option<Instant>>,
    on: bool,
}

impl Bar {
    fn new() -> Self {
        Self {
            shown: Mutex::new(None),
            on: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, done: u64, all: u64) {
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
            "\r[{:<25}] {share:>3} % of {all} entries",
            "#".repeat(filled)
        );
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
