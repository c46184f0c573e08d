//! Checkpoints as files of their own, in the folder of a log or a copy of it: with the signatures of witnesses, and with
//! timestamps beside them.
//!
//! ```text
//! <log>/checkpoints/<size>-<begin of SHA-256>.checkpoint      created once, never changed
//! <log>/checkpoints/<size>-<begin of SHA-256>.tsr             RFC 3161 response over that file
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::blob::sha256_hex;
use super::checkpoint::Checkpoint;
use super::error::{At, LogError};
use super::note::Note;
use super::plain;
use super::publisher::Published;
use super::sealed;
use super::storage::{self, Disk, Storage};

/// The folder below that of the log.
pub const FOLDER: &str = "checkpoints";
/// How names of checkpoints end.
pub const CHECKPOINT: &str = "checkpoint";
/// How names of timestamps end.
pub const TIMESTAMP: &str = "tsr";

/// The name of a head without its ending: it says what is in the file, and sorts by size.
pub fn name(published: &Published) -> String {
    let digest = sha256_hex(&[published.note.as_bytes()]);
    let (begin, _) = digest.split_at(16);
    format!("{:020}-{begin}", published.checkpoint.size)
}

/// Keeps a head with its timestamp in the folder of its log, durably. Safe to repeat.
pub fn keep(dir: &Path, published: &Published, timestamp: Option<&[u8]>) -> Result<(), LogError> {
    let folder = dir.join(FOLDER);
    storage::create_folders(&Disk, dir, &folder)?;
    let name = name(published);
    let note = folder.join(format!("{name}.{CHECKPOINT}"));
    storage::replace(&Disk, &note, published.note.as_bytes())?;
    if let Some(timestamp) = timestamp {
        storage::replace(
            &Disk,
            &folder.join(format!("{name}.{TIMESTAMP}")),
            timestamp,
        )?;
    }
    Disk.sync_dir(&folder).at("sync", &folder)
}

/// A head that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// The signed note.
    pub note: String,
    /// The response of a timestamp authority over it.
    pub timestamp: Option<Vec<u8>>,
}

/// The heads in the folder of a log, by size.
pub fn list(dir: &Path) -> Result<Vec<Found>, LogError> {
    files(&dir.join(FOLDER))
}

/// The heads that are files of a folder. A folder that isn't there has none.
pub(super) fn files(folder: &Path) -> Result<Vec<Found>, LogError> {
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        files => files.at("list", folder)?,
    };
    let mut paths = Vec::new();
    for file in files {
        let path = file.at("list", folder)?.path();
        let ending = path.extension();
        if ending.is_some_and(|ending| ending == CHECKPOINT) && !plain::is_shadow(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths.iter().map(|path| found(path, sealed::read)).collect()
}

/// A head that is a file which somebody has named, with what is beside it.
pub fn read(path: &Path) -> Result<Found, LogError> {
    found(path, plain::read_named)
}

fn found(
    path: &Path,
    read: fn(&Path) -> Result<Option<Vec<u8>>, LogError>,
) -> Result<Found, LogError> {
    let note = read(path)?.unwrap_or_default();
    Ok(Found {
        note: String::from_utf8_lossy(&note).into_owned(),
        timestamp: read(&path.with_extension(TIMESTAMP))?,
        path: path.to_owned(),
    })
}

/// The latest checkpoint of a log, and its file: the one that the log shows, or in a copy, whose files are never replaced,
/// the largest of those that are kept. `None` if there is none.
pub(super) fn latest(dir: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, LogError> {
    let path = dir.join(sealed::CHECKPOINT);
    if let Some(note) = sealed::read(&path)? {
        return Ok(Some((path, note)));
    }
    let size = |found: &Found| {
        let note = Note::parse(&found.note).ok()?;
        Some(Checkpoint::parse(note.text).ok()?.size)
    };
    let found = list(dir)?.into_iter().max_by_key(size);
    Ok(found.map(|found| (found.path, found.note.into_bytes())))
}
