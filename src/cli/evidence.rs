//! What the commands for auditors share: the entries of a log, and the period that is asked for.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Failure,
    logs::{LogArguments, Logs},
    output::tell,
};
use crate::{
    api::{AuditPeriod, AuditPeriodSpec},
    controls::registry,
    criteria::CRITERIA,
    evidence::verify::{Report, is_log},
    evidence::{Body, Entry, LogError, Reader, body::Content, epochs, words::Step},
    period::Frame,
    words::{many, one_line},
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
    #[command(flatten)]
    pub(super) logs: LogArguments,
}

/// A period as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) frame: Frame,
    pub(super) spec: AuditPeriodSpec,
    /// What the spec names that nobody knows, in sentences.
    pub(super) notes: Vec<String>,
}

/// The period of this name in the logs, or in a file; and the logs. What is wrong with a file is said first.
pub(super) fn wanted(period: &str, logs: &LogArguments) -> Result<(Wanted, Logs), Failure> {
    let path = Path::new(period);
    let given = path.is_file().then(|| {
        let (name, spec) = from_file(path)?;
        Wanted::of(&name, spec)
    });
    let given = given.transpose()?;
    let logs = logs.open()?;
    let wanted = match given {
        Some(wanted) => wanted,
        None => Wanted::of(period, from_log(&logs, period)?)?,
    };
    Ok((wanted, logs))
}

impl Wanted {
    fn of(name: &str, spec: AuditPeriodSpec) -> Result<Self, Failure> {
        let frame = Frame::of(name, &spec)
            .map_err(|error| format!("the period {name} can't be used: {error}"))?;
        let notes = unknown_names(&spec);
        Ok(Self { frame, spec, notes })
    }

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
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| problem(&error))?;
    documents.retain(|document| !document.is_null());
    let [given] = documents.as_slice() else {
        return Err(problem(&format!(
            "there are {} in it, and it must hold one",
            many(documents.len(), "document")
        )));
    };
    let period: AuditPeriod =
        serde_json::from_value(given.clone()).map_err(|error| problem(&error))?;
    // What is misspelt would silently be as if it were not there.
    let known = serde_json::to_value(&period.spec).map_err(|error| problem(&error))?;
    if let Some(field) = unknown_field(&given["spec"], &known) {
        return Err(problem(&format!(
            "an AuditPeriod has no field spec.{field}"
        )));
    }
    let name = period
        .metadata
        .name
        .ok_or_else(|| problem(&"metadata.name is missing"))?;
    Ok((name, period.spec))
}

/// The first field, as a path, that is given and that the type of it does not know. Whatever is empty is as good as left
/// out.
fn unknown_field(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| {
            let empty = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            };
            match known.get(name) {
                None => (!empty).then(|| name.clone()),
                Some(known) => unknown_field(value, known).map(|inside| format!("{name}.{inside}")),
            }
        }),
        (Value::Array(given), Value::Array(known)) => given
            .iter()
            .zip(known)
            .find_map(|(given, known)| unknown_field(given, known)),
        _ => None,
    }
}

/// Criteria and controls that a spec names and that there are not.
fn unknown_names(spec: &AuditPeriodSpec) -> Vec<String> {
    let criteria = spec.criteria.iter();
    let criteria = criteria
        .filter(|id| !CRITERIA.contains(&id.as_str()))
        .map(|id| format!("there is no criterion {id}: nothing can show it"));
    let own = spec.control_matrix.iter().flat_map(|own| {
        let unknown = own.controls.iter();
        unknown.filter(|id| registry::find(id).is_none()).map(|id| {
            format!(
                "{} names the control {id}, which this program does not know",
                own.id
            )
        })
    });
    criteria.chain(own).map(|note| one_line(&note)).collect()
}

/// What is wrong with a log of which numbers are told, for the first lines of them; `None` if nothing is.
pub(super) fn distrust_of(found: &Report) -> Option<String> {
    if found.verified {
        return None;
    }
    let first = found.problems().next().map(ToString::to_string);
    let problems = found.problems().count();
    Some(format!(
        "NOT VERIFIED: the log is not what it claims to be, so these numbers may not be what was logged. `probity verify` names {}, first {}",
        many(problems, "problem"),
        one_line(&first.unwrap_or_default())
    ))
}

/// Tells of it beside the output, where no pipe takes it away.
#[allow(clippy::print_stderr, reason = "it is no part of the output")]
pub(super) fn warn(distrust: Option<&str>) {
    if let Some(said) = distrust {
        eprintln!("probity: {said}");
    }
}

/// The last spec of a period that the logs know. One that was deleted is still known.
fn from_log(logs: &Logs, name: &str) -> Result<AuditPeriodSpec, Failure> {
    let mut found = None;
    let mut reading = logs.read()?;
    while let Some(read) = reading.next() {
        for entry in read?.1 {
            if let Body::Period(said) = entry.body
                && *said.name == *name
                && said.step != Step::Deleted
            {
                found = said.spec.or(found);
            }
        }
    }
    reading.warn();
    let Some(Content::Inline(spec)) = found else {
        return Err(format!(
            "{name} is no file, and the log in {} knows no AuditPeriod of this name: write one into a file and name that",
            logs.named()
        ));
    };
    serde_json::from_value(spec).map_err(|error| {
        format!("the AuditPeriod {name} in the log can't be read by this version: {error}")
    })
}

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

    /// Says what could not be read.
    pub(super) fn warn(&self) {
        warn_of_damage(self.damaged());
    }
}

/// Says on standard error what of a log could not be read: whoever reads no account would not hear of it.
pub(super) fn warn_of_damage(damaged: &[String]) {
    for damage in damaged {
        tell(&format!(
            "a log is damaged, and nothing behind that place was read of it: {damage}"
        ));
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

pub(super) fn unreadable(folder: &Path, error: &dyn std::fmt::Display) -> Failure {
    let folder = folder.display();
    format!("the evidence log in {folder} can't be read: {error}")
}

/// Opens a log.
pub(super) fn entries(log: &Path) -> Result<Entries, Failure> {
    must_hold_log(log)?;
    of_copy(log, log)
}

/// Refuses a folder of something else: of that it would be said that nothing is known, which is not what was asked.
pub(super) fn must_hold_log(log: &Path) -> Result<(), Failure> {
    if !log.is_dir() {
        return Err(format!(
            "{} is no folder: name the folder of an evidence log (unpack an archive first: tar -xf)",
            log.display()
        ));
    }
    let logs = epochs::list(log).map_err(|error| unreadable(log, &error))?;
    if !logs.iter().any(|dir| is_log(dir)) {
        return Err(format!(
            "{} holds no evidence log: name the data folder of Probity, or the folder of a log in a pack",
            log.display()
        ));
    }
    Ok(())
}

/// The entries of a copy of the log in `folder`. What is wrong is said of the original: the copy may be gone by then.
pub(super) fn of_copy(copy: &Path, folder: &Path) -> Result<Entries, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Identity, Record, body::Stop, key::PrivateKey, verify::Trust};

    fn asked(folder: &Path, text: &str) -> Result<Wanted, Failure> {
        let file = folder.join("period.yaml");
        fs::write(&file, text).unwrap();
        fs::create_dir_all(folder.join("epochs")).unwrap();
        let logs = LogArguments::of(folder);
        wanted(&file.display().to_string(), &logs).map(|(wanted, _)| wanted)
    }

    fn period(more: &str) -> String {
        format!(
            "apiVersion: probity.dev/v1alpha1\nkind: AuditPeriod\n\
             metadata: {{name: h1, creationTimestamp: null, labels: {{}}}}\n\
             spec: {{start: '2026-01-01', end: '2026-06-30', timeZone: UTC, {more}}}\n"
        )
    }

    #[test]
    fn what_is_misspelt_in_a_period_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let refused = |text: &str| asked(folder, text).map(|_| ()).unwrap_err();
        assert!(refused(&period("polices: [nope]")).contains("no field spec.polices"));
        let own = "controlMatrix: [{id: A, wording: w, control: [x], controls: [nope]}]";
        assert!(refused(&period(own)).contains("no field spec.controlMatrix.control"));
        let two = format!("{}---\n{}", period(""), period(""));
        let said = refused(&two);
        assert!(
            said.contains("2 documents") && !said.contains("from_"),
            "{said}"
        );
        let wanted = asked(folder, &format!("---\n{}---\n", period("policies: []"))).unwrap();
        assert_eq!(wanted.notes, [""; 0]);
        let own = "criteria: [CC99, CC6.1], controlMatrix: [{id: A, wording: w, controls: [nope, enc-ingress-tls]}]";
        let notes = asked(folder, &period(own)).unwrap().notes.join("\n");
        assert!(
            notes.contains("criterion CC99") && notes.contains("control nope"),
            "{notes}"
        );
        assert_eq!(notes.lines().count(), 2);
    }

    #[test]
    fn numbers_of_a_log_that_was_changed_are_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = PrivateKey::create(&data.join("key")).unwrap();
        let identity = Identity {
            cluster: "c",
            replica: "p",
        };
        let opened = epochs::open(data, identity, &key, &[], Timestamp::now()).unwrap();
        let stop = Stop {
            reason: "SIGTERM".into(),
        };
        let record = Record::new(Timestamp::now(), stop);
        opened.log.append(vec![record]).wait().unwrap();
        opened.log.close().unwrap();
        let distrust = || {
            let logs = LogArguments::of(data).open().unwrap();
            distrust_of(&logs.verified(&Trust::default()).unwrap())
        };
        assert_eq!(distrust(), None);
        let checkpoint = opened.dir.join("checkpoint");
        let text = fs::read_to_string(&checkpoint).unwrap();
        fs::write(&checkpoint, text.replacen("\n2\n", "\n3\n", 1)).unwrap();
        assert!(distrust().unwrap().contains("NOT VERIFIED"));
    }
}
