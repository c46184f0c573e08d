//! What the commands for auditors share: the entries of a log, and the period that is asked for.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{Failure, output::tell};
use crate::{
    api::{AuditPeriod, AuditPeriodSpec},
    evidence::{Body, Entry, LogError, Reader, body::Content, epochs, words::Step},
    period::Frame,
};

/// The entries of a log as JSON lines, as `probity log --json` prints them.
pub(super) fn json_lines(lines: impl BufRead) -> impl Iterator<Item = Result<Entry, Failure>> {
    lines.lines().map(|line| {
        let line = line.map_err(|error| format!("the log can't be read: {error}"))?;
        serde_json::from_str(&line).map_err(|error| {
            format!("that is no log: give the output of `probity log --json` ({error})")
        })
    })
}

/// Which log, and which period of it.
#[derive(Debug, Clone, Args)]
pub(super) struct Asked {
    /// An `AuditPeriod` by the name under which the log knows it, or a file that holds one.
    #[arg(value_name = "NAME|FILE")]
    pub(super) period: String,
    /// Folder of the evidence log.
    #[arg(
        long = "log",
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    pub(super) log: PathBuf,
}

/// A period as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) frame: Frame,
    pub(super) spec: AuditPeriodSpec,
}

impl Asked {
    /// The period.
    pub(super) fn wanted(&self) -> Result<Wanted, Failure> {
        let path = Path::new(&self.period);
        let (name, spec) = if path.is_file() {
            from_file(path)?
        } else {
            let spec = from_log(&self.log, &self.period)?;
            (self.period.clone(), spec)
        };
        let frame = Frame::of(&name, &spec)
            .map_err(|error| format!("the period {name} can't be used: {error}"))?;
        Ok(Wanted { frame, spec })
    }
}

impl Wanted {
    /// The time since the period ended, for the roll-forward to the date of the report.
    pub(super) fn since_its_end(mut self, now: Timestamp) -> Result<Self, Failure> {
        let Frame { name, end, .. } = &self.frame;
        let after = self.frame.since_its_end(now);
        let frame = after.ok_or_else(|| {
            format!("{name} ends on {end} and is not over: there is nothing after it yet")
        })?;
        self.spec.start = frame.start.to_string();
        self.spec.end = frame.end.to_string();
        Ok(Self { frame, ..self })
    }
}

fn from_file(path: &Path) -> Result<(String, AuditPeriodSpec), Failure> {
    let problem = |error: &dyn std::fmt::Display| {
        // The reader of YAML draws where it stopped, over several lines.
        let error = error.to_string();
        format!(
            "{} holds no AuditPeriod that can be read: {}",
            path.display(),
            error.lines().next().unwrap_or_default()
        )
    };
    let text = fs::read_to_string(path).map_err(|error| problem(&error))?;
    let period: AuditPeriod = serde_saphyr::from_str(&text).map_err(|error| problem(&error))?;
    let name = period
        .metadata
        .name
        .ok_or_else(|| problem(&"metadata.name is missing"))?;
    Ok((name, period.spec))
}

/// The last spec of a period that the log knows. One that was deleted is still known.
fn from_log(log: &Path, name: &str) -> Result<AuditPeriodSpec, Failure> {
    let mut found = None;
    let mut entries = entries(log)?;
    for entry in entries.by_ref() {
        if let Body::Period(said) = entry?.body
            && *said.name == *name
            && said.step != Step::Deleted
        {
            found = said.spec.or(found);
        }
    }
    entries.warn();
    let Some(Content::Inline(spec)) = found else {
        return Err(format!(
            "{name} is no file, and the log in {} knows no AuditPeriod of this name: write one into a file and name that",
            log.display()
        ));
    };
    serde_json::from_value(spec).map_err(|error| {
        format!("the AuditPeriod {name} in the log can't be read by this version: {error}")
    })
}

/// What a log consists of, by one of which it is known.
const PARTS: [&str; 3] = ["wal", "tile", "checkpoint"];

/// The entries of a log, with what they keep in blobs as far as an account needs it.
pub(super) struct Entries {
    /// The folder of which is spoken, and the one that is read.
    folder: PathBuf,
    from: PathBuf,
    reader: Reader,
}

impl Entries {
    /// What could not be read, and is in none of the entries.
    pub(super) fn damaged(&self) -> &[String] {
        self.reader.damaged()
    }

    /// Says on standard error what could not be read: whoever reads no account would not hear of it.
    pub(super) fn warn(&self) {
        for damage in self.damaged() {
            tell(&format!(
                "a log is damaged, and nothing behind that place was read of it: {damage}"
            ));
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.reader.next_whole()?;
        let named = |error: LogError| {
            let [from, folder] = [&self.from, &self.folder].map(|path| path.display().to_string());
            unreadable(&self.folder, &error.to_string().replace(&from, &folder))
        };
        Some(entry.map_err(named))
    }
}

fn unreadable(folder: &Path, error: &dyn std::fmt::Display) -> Failure {
    let folder = folder.display();
    format!("the evidence log in {folder} can't be read: {error}")
}

/// Opens a log.
pub(super) fn entries(log: &Path) -> Result<Entries, Failure> {
    if !log.is_dir() {
        return Err(format!(
            "{} is no folder: name the folder of an evidence log",
            log.display()
        ));
    }
    let explain = |error: &dyn std::fmt::Display| unreadable(log, error);
    // Of a folder of something else it would be said that nothing is known of the period: that is not what was asked.
    let logs = epochs::list(log).map_err(|error| explain(&error))?;
    let is_log = |dir: &PathBuf| PARTS.iter().any(|part| dir.join(part).exists());
    if !logs.iter().any(is_log) {
        return Err(format!(
            "{} holds no evidence log: name the data folder of Probity, or the folder of a log in a pack",
            log.display()
        ));
    }
    copied_entries(log, log)
}

/// The entries of a copy of the log in `folder`. What is wrong is said of the original: the copy may be gone by then.
pub(super) fn copied_entries(copy: &Path, folder: &Path) -> Result<Entries, Failure> {
    let reader = Reader::open(copy).map_err(|error| unreadable(folder, &error))?;
    Ok(Entries {
        folder: folder.to_owned(),
        from: copy.to_owned(),
        reader: reader.past_damage(),
    })
}

/// A value as lines of JSON for people and programs.
pub(super) fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    let value: Value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    serde_json::to_string_pretty(&value).map_err(|error| error.to_string())
}
