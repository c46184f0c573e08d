//! Heads that are kept in a folder, which should be on a file system that the cluster's administrators can't change.
//!
//! ```text
//! <folder>/<origin, with _ for />/<size>-<begin of SHA-256>.checkpoint     created once, never changed
//! <folder>/<origin, with _ for />/<size>-<begin of SHA-256>.tsr            a timestamp over it
//! ```

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::body::Anchored;
use super::checkpoint::Checkpoint;
use super::error::{At, LogError};
use super::heads::{self, Found};
use super::note::Note;
use super::plain;
use super::publisher::Published;
use super::sealed::corrupt;

/// Keeps a head, and a timestamp over it. Safe to repeat: the name says what is in the file.
pub fn keep(
    folder: &Path,
    published: &Published,
    timestamp: Option<&[u8]>,
) -> Result<(), LogError> {
    let dir = folder.join(published.checkpoint.origin.replace('/', "_"));
    fs::create_dir_all(&dir).at("create", &dir)?;
    let name = heads::name(published);
    if let Some(timestamp) = timestamp {
        create(&dir.join(format!("{name}.{}", heads::TIMESTAMP)), timestamp)?;
    }
    let path = dir.join(format!("{name}.{}", heads::CHECKPOINT));
    create(&path, published.note.as_bytes())
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(bytes).at("write to", path)?;
            file.sync_all().at("sync", path)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => again(path, bytes),
        Err(error) => Err(error).at("create", path),
    }
}

/// The file is there: an earlier attempt wrote it, or began to.
fn again(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let found = plain::read_named(path)?.unwrap_or_default();
    if found == bytes {
        return Ok(());
    }
    if !bytes.starts_with(&found) {
        let reason = "another file has this name".to_owned();
        return Err(corrupt(path, 0, reason));
    }
    fs::write(path, bytes).at("write to", path)
}

/// The latest head of each log in a folder. An empty or new folder has none.
pub fn known(folder: &Path) -> Result<Vec<Anchored>, LogError> {
    let mut latest: BTreeMap<String, Anchored> = BTreeMap::new();
    for head in all(folder)? {
        match latest.get(&head.origin) {
            Some(known) if known.size >= head.size => {}
            _ => {
                latest.insert(head.origin.clone(), head);
            }
        }
    }
    Ok(latest.into_values().collect())
}

/// All heads in a folder.
pub fn all(folder: &Path) -> Result<Vec<Anchored>, LogError> {
    let source = format!("folder {}", folder.display());
    // A file that a crash has cut off tells nothing.
    let head = |found: Found| of_note(&found.note, &source);
    Ok(files(folder)?.into_iter().filter_map(head).collect())
}

/// The files of all heads in a folder.
pub fn files(folder: &Path) -> Result<Vec<Found>, LogError> {
    let mut found = Vec::new();
    let logs = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        logs => logs.at("list", folder)?,
    };
    for log in logs {
        let dir = log.at("list", folder)?.path();
        if dir.is_dir() {
            found.extend(heads::files(&dir)?);
        }
    }
    Ok(found)
}

/// The head that a signed checkpoint tells, unchecked: what it says is compared, not believed.
pub fn of_note(note: &str, source: &str) -> Option<Anchored> {
    let head = Checkpoint::parse(Note::parse(note).ok()?.text).ok()?;
    Some(Anchored {
        root: head.root_text(),
        origin: head.origin,
        size: head.size,
        source: source.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::note::Signer;
    use super::*;

    fn published(size: u64) -> Published {
        let checkpoint = Checkpoint {
            origin: "probity.dev/c/r/e".to_owned(),
            size,
            root: [7; 32],
        };
        let signer = Signer::new("probity.dev/c/r/e", &[1; 32]).unwrap();
        Published {
            note: checkpoint.sign(&signer),
            checkpoint,
        }
    }

    #[test]
    fn heads_are_kept_once_and_the_latest_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("anchors");
        assert_eq!(known(&folder).unwrap(), []);
        for size in [5, 7, 7, 6] {
            keep(&folder, &published(size), Some(b"tsr")).unwrap();
        }
        let heads = known(&folder).unwrap();
        assert_eq!(heads.len(), 1);
        assert_eq!(heads[0].size, 7);
        let files = fs::read_dir(folder.join("probity.dev_c_r_e")).unwrap();
        assert_eq!(files.count(), 6);
    }

    #[test]
    fn a_file_that_was_cut_off_is_completed_and_a_changed_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let head = published(5);
        keep(folder.path(), &head, None).unwrap();
        let dir = folder.path().join("probity.dev_c_r_e");
        let path = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
        fs::write(&path, &head.note[..20]).unwrap();
        assert_eq!(known(folder.path()).unwrap(), []);
        keep(folder.path(), &head, None).unwrap();
        assert_eq!(known(folder.path()).unwrap()[0].size, 5);
        fs::write(&path, "else").unwrap();
        assert!(keep(folder.path(), &head, None).is_err());
    }
}
