//! `probity log`: print the evidence log.

use std::{
    io::{BufWriter, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::{Args, builder::PossibleValuesParser};

use super::{
    Failure,
    evidence::{must_hold_log, warn_of_damage},
    exit::Ending,
    output::{
        style::{Style, When},
        wrap::hanging,
    },
};
use crate::evidence::{
    Body, Entry, LogError, Reader,
    body::{ObjectChange, SubjectRef},
    copy,
};
use crate::words::{many, one_line};

/// Arguments of `probity log`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of the evidence log.
    #[arg(
        long,
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    data_dir: PathBuf,
    /// JSON lines instead of text.
    #[arg(long)]
    json: bool,
    /// Only entries of this type, such as transition or intent.
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_parser = PossibleValuesParser::new(Body::KINDS)
    )]
    kind: Option<String>,
    /// Begin with this entry of the latest log; else with the oldest log.
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Write a tar archive of all logs to standard output, which `probity verify` reads. It holds no key.
    #[arg(long, conflicts_with_all = ["json", "kind", "from"])]
    archive: bool,
}

/// Prints the entries, as they stand there: `verify` says whether the log is whole. Where a log is damaged and a later one
/// followed it, that is read on in.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, Failure> {
    let explain = |error: &dyn std::fmt::Display| {
        format!(
            "the evidence log in {} can't be read: {error}",
            arguments.data_dir.display()
        )
    };
    // What is there is what is printed: of a folder that holds no log, nothing would look as if nothing had happened.
    must_hold_log(&arguments.data_dir)?;
    if arguments.archive {
        return archive(&arguments.data_dir, &explain).map(|()| Ending::Well);
    }
    let reader = match arguments.from {
        Some(seq) => Reader::open_from(&arguments.data_dir, seq),
        None => Reader::open(&arguments.data_dir),
    };
    let mut reader = reader.map_err(|error| explain(&error))?.past_damage();
    let width = Style::of_stdout(When::Never).columns;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for entry in reader.by_ref() {
        let entry = entry.map_err(|error| explain(&error))?;
        let wanted = arguments.kind.as_deref();
        if wanted.is_some_and(|kind| kind != entry.body.kind()) {
            continue;
        }
        let lines = if arguments.json {
            serde_json::to_string(&entry).map_err(|error| explain(&error))? + "\n"
        } else {
            fitted(&text(&entry), width)
        };
        match out.write_all(lines.as_bytes()) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Ending::Well),
            written => written.map_err(|error| explain(&error))?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(explain(&error)),
        _ => {}
    }
    warn_of_damage(reader.damaged());
    Ok(if reader.damaged().is_empty() {
        Ending::Well
    } else {
        Ending::Incomplete
    })
}

/// An entry on a terminal, where it takes more than a line if it must: numbers stay in their column.
fn fitted(entry: &str, width: Option<usize>) -> String {
    let bare = entry.trim_start();
    let (number, said) = bare.split_once(' ').unwrap_or((bare, ""));
    hanging(said, width, &format!("{number:>6} "), "       ")
}

/// Writes a copy of the logs to standard output.
fn archive(data: &Path, explain: &dyn Fn(&dyn std::fmt::Display) -> String) -> Result<(), Failure> {
    let out = std::io::stdout();
    if out.is_terminal() {
        return Err("an archive is not for a terminal: add > log.tar".to_owned());
    }
    let mut out = BufWriter::new(out.lock());
    let written = copy::archive(data, &mut out);
    let closed = |error: &std::io::Error| error.kind() == ErrorKind::BrokenPipe;
    let cut = "the archive is not whole: whatever reads it has closed the pipe";
    match (written, out.flush()) {
        (Err(LogError::Io { source, .. }), _) if closed(&source) => Err(cut.to_owned()),
        (Err(error), _) => Err(explain(&error)),
        (Ok(()), Err(error)) if closed(&error) => Err(cut.to_owned()),
        (Ok(()), Err(error)) => Err(format!("the archive can't be written: {error}")),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// What happened to an object with which people take part.
fn object_change(said: &ObjectChange) -> String {
    let namespace = said
        .namespace
        .as_deref()
        .map_or_else(String::new, |namespace| format!("{namespace}/"));
    format!(
        "{} {namespace}{} {} by {}",
        said.kind,
        said.name,
        said.step,
        said.who.as_deref().unwrap_or("?")
    )
}

/// One entry in one line.
#[allow(clippy::too_many_lines, reason = "one arm for each kind of entry")]
pub(super) fn text(entry: &Entry) -> String {
    let said = match &entry.body {
        Body::Start(said) => format!(
            "version {} as {} on cluster {}",
            said.version, said.identity, said.cluster
        ),
        Body::Stop(said) => said.reason.to_string(),
        Body::Term(said) => format!("{} leads, term {}", said.holder, said.epoch),
        Body::PolicyChange(said) => format!(
            "{} {} generation {}",
            said.policy, said.change, said.generation
        ),
        Body::Transition(said) => {
            let ended = said
                .ended
                .map_or_else(String::new, |end| format!(", ended: {end}"));
            format!(
                "{} {} → {} {}: {}{} (cause: {}{ended})",
                said.control,
                said.from.map_or("new", |outcome| outcome.as_str()),
                said.to.map_or("gone", |outcome| outcome.as_str()),
                subject(&said.subject),
                said.reason,
                after_colon(&said.message),
                said.cause
            )
        }
        Body::Population(said) => format!(
            "{} +{} -{}",
            said.control,
            said.joined.len(),
            said.left.len()
        ),
        Body::Heartbeat(said) => format!(
            "{}, table {}",
            many(said.subjects, "subject"),
            said.table_digest.get(..12).unwrap_or_default()
        ),
        Body::Intent(said) => format!(
            "#{} {} {} {}",
            said.id,
            said.control,
            said.action,
            subject(&said.target)
        ),
        Body::Outcome(said) => {
            format!(
                "#{} {}{}",
                said.intent,
                said.result,
                after_colon(&said.message)
            )
        }
        Body::Gap(said) => {
            let to = said
                .to
                .map_or_else(|| "now on".to_owned(), |to| format!("to {to:.3}"));
            format!("{} from {:.3} {to}: {}", said.scope, said.from, said.cause)
        }
        Body::Kept(said) => format!("{} {}", said.control, subject(&said.subject)),
        Body::Brake(said) => format!(
            "{} {} {}: {}",
            said.policy, said.control, said.state, said.reason
        ),
        Body::Contended(said) => format!(
            "{} {} by {} until {:.0}",
            said.control,
            subject(&said.subject),
            said.manager,
            said.until
        ),
        Body::Pause(said) => {
            let until = said
                .until
                .map_or_else(|| "ended".to_owned(), |until| format!("until {until:.0}"));
            format!(
                "{} {until} by {}",
                said.target,
                said.who.as_deref().unwrap_or("?")
            )
        }
        Body::Drill(said) => format!(
            "{} of namespace {} {}{}",
            said.restore,
            said.namespace,
            if said.passed { "passed" } else { "failed" },
            after_colon(&said.message)
        ),
        Body::EncryptionConfig(said) => format!(
            "API server {} encrypts by {} instead of {}, since {:.0} at the latest",
            said.server,
            said.to,
            said.from.as_deref().unwrap_or("what was not known"),
            said.since
        ),
        Body::Exception(said)
        | Body::Attestation(said)
        | Body::Review(said)
        | Body::Response(said)
        | Body::Period(said) => object_change(said),
        Body::Scope(said) => format!(
            "{} {}, {} left out",
            said.control,
            many(said.included, "namespace"),
            said.excluded.len()
        ),
        Body::Export(said) => format!("{} {}", said.of, said.digest),
        Body::Epoch(said) => format!("{}: {}", said.origin, said.cause),
        Body::KeyChange(said) => format!("{} instead of {}", said.new, said.old),
        Body::Pruned(said) => format!("entries before {}: {}", said.before, said.rule),
        Body::Spilled(said) => format!("a large {}", said.of),
    };
    // Names and messages come from the cluster: none may look like an entry of its own.
    format!(
        "{:>6} {:.3} {:<12} {}",
        entry.seq,
        entry.time,
        entry.body.kind(),
        one_line(&said)
    )
}

/// The sentence that explains a word, if there is one.
fn after_colon(sentence: &str) -> String {
    if sentence.is_empty() {
        String::new()
    } else {
        format!(": {sentence}")
    }
}

fn subject(subject: &SubjectRef) -> String {
    match &subject.namespace {
        Some(namespace) => format!("{} {namespace}/{}", subject.kind, subject.name),
        None => format!("{} {}", subject.kind, subject.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_in_a_pipe_and_as_many_as_it_needs_on_a_terminal() {
        let entry = "    12 2026-01-01T00:00:00.000Z gap          all controls: no operator ran";
        assert_eq!(fitted(entry, None), format!("{entry}\n"));
        assert_eq!(fitted(entry, Some(80)), format!("{entry}\n"));
        assert_eq!(
            fitted(entry, Some(40)),
            "    12 2026-01-01T00:00:00.000Z gap all\n       controls: no operator ran\n"
        );
    }

    #[test]
    fn a_folder_that_is_missing_or_holds_no_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |data_dir: PathBuf| {
            run(&Arguments {
                data_dir,
                json: false,
                kind: None,
                from: None,
                archive: false,
            })
            .unwrap_err()
        };
        let said = refused(folder.path().to_owned());
        assert!(said.contains("holds no evidence log"), "{said}");
        let said = refused(folder.path().join("nope"));
        assert!(said.contains("is no folder"), "{said}");
    }
}
