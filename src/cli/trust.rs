//! What a person knows of a log from elsewhere, as arguments.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::{
    api::EvidenceLog,
    evidence::{
        body::Anchored,
        cosignature::WitnessKey,
        folder_anchor,
        heads::{self, Found},
        note::VerifierKey,
        timestamp::Authorities,
        verify::Trust,
    },
};

/// Keys, checkpoints that were kept elsewhere, and others who vouch.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TrustArguments {
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
}

impl TrustArguments {
    /// What is in the files that they name.
    pub(super) fn read(&self) -> Result<Trust, Failure> {
        let (anchors, files) = read_anchors(&self.anchors)?;
        let witness = |given: &String| {
            let text =
                text_or_file(given).map_err(|error| format!("--witness-key {given}: {error}"))?;
            WitnessKey::parse(&text).map_err(|error| format!("--witness-key {given}: {error}"))
        };
        let authorities = self.timestamp_ca.as_deref().map(read_authorities);
        Ok(Trust {
            witnesses: self
                .witnesses
                .iter()
                .map(witness)
                .collect::<Result<_, _>>()?,
            authorities: authorities.transpose()?,
            files,
            keys: self
                .keys
                .iter()
                .map(|key| read_key(key))
                .collect::<Result<_, _>>()?,
            anchors,
        })
    }
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
