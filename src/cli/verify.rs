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
        cosignature::WitnessKey,
        folder_anchor,
        heads::{self, Found},
        note::VerifierKey,
        timestamp::Authorities,
        verify::{Report, Trust, unpacked, verify},
    },
    words::many,
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
    /// Key of a witness, or a file with it: its signatures on checkpoints are checked. May be given
    /// again.
    #[arg(long = "witness-key", value_name = "KEY")]
    witnesses: Vec<String>,
    /// File with the certificates (PEM) of the timestamp authority, root first: timestamps beside
    /// checkpoints are checked.
    #[arg(long, value_name = "FILE")]
    timestamp_ca: Option<PathBuf>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies. Returns whether the log is what it claims to be.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let (anchors, files) = read_anchors(&arguments.anchors)?;
    let witness = |given: &String| {
        let text =
            text_or_file(given).map_err(|error| format!("--witness-key {given}: {error}"))?;
        WitnessKey::parse(&text).map_err(|error| format!("--witness-key {given}: {error}"))
    };
    let trust = Trust {
        witnesses: arguments
            .witnesses
            .iter()
            .map(witness)
            .collect::<Result<_, _>>()?,
        authorities: arguments
            .timestamp_ca
            .as_deref()
            .map(read_authorities)
            .transpose()?,
        files,
        keys: arguments
            .keys
            .iter()
            .map(|key| read_key(key))
            .collect::<Result<_, _>>()?,
        anchors,
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

pub(super) fn read_key(given: &str) -> Result<VerifierKey, Failure> {
    let explain = |error: &dyn std::fmt::Display| format!("--key {given}: {error}");
    let text = text_or_file(given).map_err(|error| explain(&error))?;
    VerifierKey::parse(&text).map_err(|error| explain(&error))
}

/// What was given, or what is in the file that was named.
fn text_or_file(given: &str) -> std::io::Result<String> {
    let path = Path::new(given);
    if path.is_file() {
        std::fs::read_to_string(path)
    } else {
        Ok(given.to_owned())
    }
}

fn read_authorities(path: &Path) -> Result<Authorities, Failure> {
    let explain = |why: &dyn std::fmt::Display| format!("--timestamp-ca {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
    Authorities::read(&text).map_err(|error| explain(&error))
}

fn read_anchors(paths: &[PathBuf]) -> Result<(Vec<Anchored>, Vec<Found>), Failure> {
    let (mut anchors, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        let explain = |why: &dyn std::fmt::Display| format!("--anchor {}: {why}", path.display());
        if path.is_dir() {
            let found = folder_anchor::all(path).map_err(|error| explain(&error))?;
            if found.is_empty() {
                return Err(explain(&"this folder holds no checkpoints"));
            }
            anchors.extend(found);
            files.extend(folder_anchor::files(path).map_err(|error| explain(&error))?);
            continue;
        }
        let mut file = heads::read(path).map_err(|error| explain(&error))?;
        if let Some(note) = of_object(&file.note) {
            file.note = note;
        }
        let source = path.display().to_string();
        let found = folder_anchor::of_note(&file.note, &source);
        anchors.push(found.ok_or_else(|| {
            explain(&"this is neither a signed checkpoint nor an EvidenceLog as JSON with a status")
        })?);
        files.push(file);
    }
    Ok((anchors, files))
}

/// The checkpoint in the status of an `EvidenceLog`.
fn of_object(text: &str) -> Option<String> {
    let log: EvidenceLog = serde_json::from_str(text).ok()?;
    Some(log.status?.checkpoint)
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
            "\r[{:<25}] {share:>3} % of {}",
            "#".repeat(filled),
            many(all, "entry")
        );
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
