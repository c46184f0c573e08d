//! A log that comes as an archive, or with other things around it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::evidence::epochs::EPOCHS;
use crate::evidence::error::{At, LogError};
use crate::evidence::plain;

/// How deep below what was given a log is looked for.
const DEPTH: usize = 4;

/// Folders with the logs of one replica each, or what an archive of them was unpacked to, which goes with this.
#[derive(Debug)]
pub struct Unpacked {
    paths: Vec<PathBuf>,
    remarks: Vec<String>,
    _folder: Option<tempfile::TempDir>,
}

impl Unpacked {
    /// The folders: one at least.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What should be known of how they were found: where, and what of an archive was left out.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

/// Unpacks an archive, gzipped or not; a folder stays where it is. Logs are looked for in what is given, so that a whole
/// pack can be given too, or a folder with what several replicas have written.
pub fn unpacked(path: &Path) -> Result<Unpacked, LogError> {
    if path.is_file() {
        return of_archive(path);
    }
    if !path.is_dir() {
        fs::read_dir(path).at("read", path)?;
    }
    let paths = find(path, path)?;
    let found = |found: &&PathBuf| **found != path;
    let remarks = paths.iter().filter(found);
    let remarks = remarks.map(|found| format!("the log was found in {}", found.display()));
    Ok(Unpacked {
        remarks: remarks.collect(),
        paths,
        _folder: None,
    })
}

fn of_archive(path: &Path) -> Result<Unpacked, LogError> {
    let mut magic = [0; 2];
    let read = File::open(path)
        .and_then(|mut file| file.read(&mut magic))
        .at("read", path)?;
    let file = File::open(path).at("open", path)?;
    let content: Box<dyn Read> = if read == 2 && magic == [0x1f, 0x8b] {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let folder = tempfile::tempdir().at("make a folder to unpack", path)?;
    let skipped = unpack(content, folder.path()).map_err(|error| LogError::NoLog {
        path: path.to_owned(),
        reason: format!("is no tar archive of a log that can be read to its end: {error}"),
    })?;
    let mut remarks = Vec::new();
    if !skipped.is_empty() {
        let more = skipped.len().saturating_sub(5);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let named: Vec<&str> = skipped.iter().take(5).map(String::as_str).collect();
        remarks.push(format!(
            "these members of the archive are links, devices or lead out of it, and were not unpacked: {}{more}",
            named.join(", ")
        ));
    }
    Ok(Unpacked {
        paths: find(folder.path(), path)?,
        remarks,
        _folder: Some(folder),
    })
}

/// Unpacks files and folders; returns which members were skipped.
fn unpack(content: impl Read, to: &Path) -> std::io::Result<Vec<String>> {
    let mut skipped = Vec::new();
    for member in Archive::new(content).entries()? {
        let mut member = member?;
        let name = member.path()?.display().to_string();
        let kind = member.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let is_plain = kind.is_file() || kind.is_dir() || kind == EntryType::GNUSparse;
        // Paths that lead out of the folder are skipped by the library.
        if !is_plain || !member.unpack_in(to)? {
            skipped.push(name);
        }
    }
    Ok(skipped)
}

/// The folders with logs that are `folder`, or lie below it beside each other. Of `given` is spoken.
fn find(folder: &Path, given: &Path) -> Result<Vec<PathBuf>, LogError> {
    if folder.join(EPOCHS).is_dir() || super::is_log(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    // Of a data folder, the folder of logs was named.
    if folder.ends_with(EPOCHS)
        && let Some(data) = folder.canonicalize().ok().and_then(|whole| {
            let data = whole.parent()?;
            Some(data.to_owned())
        })
    {
        return Ok(vec![data]);
    }
    let (mut level, mut logs) = (vec![folder.to_owned()], Vec::new());
    for _ in 0..DEPTH {
        level = level.iter().flat_map(|folder| inside(folder)).collect();
        logs.extend(level.extract_if(.., |folder| holds_log(folder)));
    }
    if !logs.is_empty() {
        return Ok(logs);
    }
    Err(LogError::NoLog {
        path: given.to_owned(),
        reason: "holds no evidence log: name the data folder of Probity, a pack, or an archive of one of them".to_owned(),
    })
}

/// Whether a folder is a data folder, or the copy of one log.
fn holds_log(folder: &Path) -> bool {
    let is_copy = folder.join("tile").is_dir()
        && (folder.join("checkpoint").exists() || folder.join("checkpoints").is_dir());
    folder.join(EPOCHS).is_dir() || is_copy
}

/// Folders in a folder, but for links and what is hidden. What can't be listed holds none that could be checked.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).into_iter().flatten();
    let mut folders: Vec<PathBuf> = listed
        .filter_map(Result::ok)
        .filter(|file| file.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|file| file.path())
        .filter(|path| !plain::is_shadow(path))
        .collect();
    folders.sort_unstable();
    folders
}
