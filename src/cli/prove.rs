//! `probity prove`: the proof that one entry is in the log; and its check, for `probity verify --proof`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{
    Failure,
    evidence::pretty,
    log,
    output::{
        style::{Style, When},
        wrap::fit,
    },
    verify::{list, verdict},
};
use crate::evidence::{
    Body, Entry, LogError, RawEntries, epochs,
    note::VerifierKey,
    proof::Proof,
    prove,
    verify::{Trust, unpacked},
};
use crate::words::many;

/// Characters in the id of a deviation.
const ID_LENGTH: usize = 16;

/// Arguments of `probity prove`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Number of an entry, or id of a deviation: then it is the entry that opened it.
    entry: String,
    /// Data folder with the evidence log, an auditor pack, or a tar archive of one.
    #[arg(
        long = "log",
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    log: PathBuf,
    /// The log that the number counts in, as its folder is named, such as 20260101T000000Z; else
    /// the latest.
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// File for the proof; else it is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the proof.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let explain = |error: &dyn std::fmt::Display| {
        format!(
            "the evidence log in {} can't be read: {error}",
            arguments.log.display()
        )
    };
    let found = unpacked(&arguments.log).map_err(|error| explain(&error))?;
    let folders = found.paths().iter().map(|folder| epochs::list(folder));
    let logs: Result<Vec<Vec<PathBuf>>, LogError> = folders.collect();
    let mut logs = logs.map_err(|error| explain(&error))?.concat();
    if let Some(name) = &arguments.of {
        logs.retain(|dir| dir.ends_with(name));
    }
    let wanted = &arguments.entry;
    // An id may happen to have no letter.
    let number = wanted.parse().ok().filter(|_| wanted.len() != ID_LENGTH);
    let (dir, seq) = match (number, logs.last()) {
        (_, None) => return Err(explain(&"it holds no such log")),
        (Some(_), Some(_)) if found.paths().len() > 1 && logs.len() > 1 => {
            return Err(format!(
                "{} holds the logs of several replicas, and each has an entry of this number: name the folder of one",
                arguments.log.display()
            ));
        }
        (Some(seq), Some(latest)) => (latest.clone(), seq),
        (None, Some(_)) => opened(&logs, wanted)
            .map_err(|error| explain(&error))?
            .ok_or_else(|| {
                format!(
                    "{wanted} is no number of an entry, and no deviation in {}: `probity log --type transition --json` lists them",
                    arguments.log.display()
                )
            })?,
    };
    let proof = prove(&dir, seq).map_err(|error| error.to_string())?;
    let Some(out) = &arguments.out else {
        print!("{proof}");
        return Ok(());
    };
    fs::write(out, proof.to_string()).map_err(|error| format!("--out {}: {error}", out.display()))
}

/// The entry that opened a deviation: the folder of its log, and its number. `None` if no log knows of it.
fn opened(logs: &[PathBuf], deviation: &str) -> Result<Option<(PathBuf, u64)>, LogError> {
    for dir in logs {
        for raw in RawEntries::open(dir, 0)? {
            let raw = raw?;
            if let Body::Transition(said) = Entry::decode(raw.seq, &raw.bytes)?.body
                && said.deviation.as_deref() == Some(deviation)
            {
                return Ok(Some((dir.clone(), raw.seq)));
            }
        }
    }
    Ok(None)
}

/// What a proof shows.
#[derive(Debug, Serialize)]
struct Shown {
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Name of the log.
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
    proved: Vec<String>,
    not_proved: Vec<String>,
}

/// Checks a proof. Returns whether it proves what it says.
pub(super) fn check(path: &Path, trust: &Trust, json: bool) -> Result<bool, Failure> {
    let explain = |error: &dyn std::fmt::Display| format!("--proof {}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| explain(&error))?;
    let proof = Proof::parse(&text).map_err(|error| explain(&error))?;
    let origin = proof.origin().map_err(|error| explain(&error))?;
    if trust.keys.is_empty() {
        return Err(explain(
            &"a proof needs the key that you were told: give it with --key",
        ));
    }
    let shown = show(&proof, origin, trust);
    if json {
        println!("{}", pretty(&shown)?);
    } else {
        let style = Style::of_stdout(When::Never);
        print!("{}", fit(&told(&shown), style.width));
    }
    Ok(shown.verified)
}

fn show(proof: &Proof, origin: String, trust: &Trust) -> Shown {
    let mut shown = Shown {
        verified: false,
        problem: None,
        origin,
        entry: None,
        proved: Vec::new(),
        not_proved: Vec::new(),
    };
    match prove_with(proof, &shown.origin, trust) {
        Ok((entry, proved, not_proved)) => {
            shown.verified = true;
            (shown.entry, shown.proved, shown.not_proved) = (Some(entry), proved, not_proved);
        }
        Err(problem) => shown.problem = Some(problem),
    }
    shown
}

/// The entry, what is proved of it, and what is not.
type Proved = (Entry, Vec<String>, Vec<String>);

fn prove_with(proof: &Proof, origin: &str, trust: &Trust) -> Result<Proved, String> {
    let mut refused = String::new();
    let check = |key: &VerifierKey| key.named(origin).and_then(|key| proof.verify(&key));
    let head = trust
        .keys
        .iter()
        .find_map(|key| check(key).map_err(|error| refused = error.to_string()).ok());
    let head = head.ok_or(refused)?;
    let entry = Entry::decode(proof.index, &proof.entry).map_err(|error| error.to_string())?;
    let (seq, size) = (proof.index, head.size);
    let mut proved = vec![format!(
        "entry {seq} of {origin} says just this, and a key that you trust signed the root of {} with it",
        many(size, "entry")
    )];
    let mut not_proved = vec![
        "that what the entry says was true".to_owned(),
        "what the other entries say: that needs the whole log".to_owned(),
    ];
    for anchor in trust
        .anchors
        .iter()
        .filter(|anchor| anchor.origin == origin)
    {
        if anchor.size != size {
            not_proved.push(format!(
                "that {} saw the same log: it knows {}, and only the whole log can be compared with that",
                anchor.source,
                many(anchor.size, "entry")
            ));
        } else if anchor.root == head.root_text() {
            proved.push(format!(
                "{} had seen the same {}",
                anchor.source,
                many(size, "entry")
            ));
        } else {
            return Err(format!(
                "{} knows another root of {}: the log was rewritten",
                anchor.source,
                many(size, "entry")
            ));
        }
    }
    Ok((entry, proved, not_proved))
}

/// What a proof shows, a line each.
fn told(shown: &Shown) -> String {
    let mut lines = vec![shown.origin.clone()];
    lines.extend(shown.entry.as_ref().map(log::text));
    lines.extend(
        shown
            .problem
            .iter()
            .map(|problem| format!("  WRONG: {problem}")),
    );
    list(&mut lines, "Proved:", &shown.proved);
    list(&mut lines, "Not proved:", &shown.not_proved);
    lines.push(verdict(shown.verified, "proof"));
    lines.join("\n")
}
