//! A copy of the logs of a data folder, also while they are written: as one archive, or file by file. Keys stay where they
//! are.
//!
//! What is in it fits together: tiles never change and are copied first; segments, which go once their entries are in tiles,
//! are copied with a checkpoint that was the latest before and after.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use tar::{Builder, Header};

use super::epochs;
use super::error::{At, LogError};
use super::plain;
use super::sealed::{self, CHECKPOINT};
use super::segment::WAL;
use super::{heads, raw};

/// How often the end of a log is read again because a checkpoint was written meanwhile. One is written every ten seconds
/// at most, and the end is read within one.
const TRIES: usize = 5;

/// More bytes than any file of a log has.
const MOST: u64 = 1 << 30;

/// A file of a log: its path in there, and its content.
type Copied = (PathBuf, Vec<u8>);

/// How bundles are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bundles {
    /// As a log keeps them: gzip.
    #[default]
    Gzip,
    /// As tlog-tiles has them, for readers that know nothing else: twenty or more times as large.
    Plain,
}

impl Bundles {
    /// A file of a log as it is in the copy. What is no gzip stays what it is: verifying says so.
    fn copied(self, path: PathBuf, content: Vec<u8>) -> Copied {
        if self == Self::Gzip || !is_gzip(&path) {
            return (path, content);
        }
        match sealed::decompress(&content, &path) {
            Ok(plain) => (path.with_extension(""), plain),
            Err(_) => (path, content),
        }
    }
}

/// Whether a file of a log is a bundle in gzip.
fn is_gzip(path: &Path) -> bool {
    path.starts_with("tile/entries") && path.extension() == Some("gz".as_ref())
}

/// Writes the logs of a data folder as a tar archive, which `verify` reads.
pub fn archive(data: &Path, to: &mut dyn Write) -> Result<(), LogError> {
    let mut archive = Builder::new(to);
    let mut put = |path: &Path, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, content)
            .at("write to the archive", path)
    };
    for (log, folder) in logs(data)? {
        let mut done = BTreeSet::new();
        for path in lasting(&log)? {
            if let Some(content) = read(&log, &path)? {
                put(&folder.join(&path), &content)?;
                done.insert(path);
            }
        }
        for (path, content) in end(&log, &done)? {
            put(&folder.join(&path), &content)?;
        }
    }
    archive.finish().at("write to the archive", data)
}

/// Hands each file of the logs of a data folder to `put`, with its path in a folder that `verify` reads: `epochs/NAME/…`. On
/// every processor: `put` is called by several threads at a time.
pub fn each<E: From<LogError> + Send>(
    data: &Path,
    bundles: Bundles,
    put: impl Fn(&Path, &[u8]) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for (log, folder) in logs(data)? {
        let put = |path: PathBuf, content: Vec<u8>| {
            let (path, content) = bundles.copied(path, content);
            put(&folder.join(path), &content)
        };
        let some = |paths: &[PathBuf]| -> Result<Vec<PathBuf>, E> {
            let mut done = Vec::new();
            for path in paths {
                if let Some(content) = read(&log, path)? {
                    put(path.clone(), content)?;
                    done.push(path.clone());
                }
            }
            Ok(done)
        };
        let paths = lasting(&log)?;
        // Of a bundle that is there both ways, readers read the other one.
        let zipped: BTreeSet<PathBuf> =
            paths.iter().filter(|path| is_gzip(path)).cloned().collect();
        let is_double = |path: &PathBuf| zipped.contains(&path.with_added_extension("gz"));
        let (doubles, paths): (Vec<_>, Vec<_>) = paths
            .into_iter()
            .partition(|path| bundles == Bundles::Plain && is_double(path));
        let parts = paths.chunks(paths.len().div_ceil(threads).max(1));
        let done = thread::scope(|scope| -> Result<BTreeSet<PathBuf>, E> {
            let parts: Vec<_> = parts.map(|part| scope.spawn(|| some(part))).collect();
            let done = parts
                .into_iter()
                .map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)));
            let done: Vec<_> = done.collect::<Result<_, E>>()?;
            Ok(done.into_iter().flatten().chain(doubles).collect())
        })?;
        for (path, content) in end(&log, &done)? {
            put(path, content)?;
        }
    }
    Ok(())
}

/// The logs in a data folder, and where they are in a copy.
fn logs(data: &Path) -> Result<impl Iterator<Item = (PathBuf, PathBuf)>, LogError> {
    let logs = epochs::list(data)?.into_iter();
    Ok(logs.map(|log| {
        let name = log.file_name().map_or_else(|| "log".into(), PathBuf::from);
        (log, Path::new(epochs::EPOCHS).join(name))
    }))
}

/// What is left of a log once `done` is copied, with the checkpoint that all of it belongs to.
fn end(log: &Path, done: &BTreeSet<PathBuf>) -> Result<Vec<Copied>, LogError> {
    let mut copied = Vec::new();
    for _ in 0..TRIES {
        copied.clear();
        let before = state(log)?;
        for path in below(log, Path::new(WAL))? {
            let Some(content) = read(log, &path)? else {
                continue;
            };
            let is_segment = path.extension() == Some("log".as_ref());
            let content = if is_segment {
                without_zeros(content)
            } else {
                content
            };
            copied.push((path, content));
        }
        let mut paths = lasting(log)?;
        paths.retain(|path| !done.contains(path));
        paths.push("checkpoints.jsonl".into());
        paths.extend(below(log, Path::new(heads::FOLDER))?);
        for path in paths {
            let content = read(log, &path)?;
            copied.extend(content.map(|content| (path, content)));
        }
        // Retention writes no checkpoint while it removes.
        if before == state(log)? {
            let [checkpoint, pruned] = before;
            copied.extend(pruned.map(|content| (raw::PRUNED.into(), content)));
            copied.extend(checkpoint.map(|content| (CHECKPOINT.into(), content)));
            return Ok(copied);
        }
    }
    Err(LogError::Moving {
        path: log.to_owned(),
    })
}

/// A segment up to the end of its last frame: the zeros that were laid out for others say nothing.
fn without_zeros(mut segment: Vec<u8>) -> Vec<u8> {
    let end = segment.iter().rposition(|byte| *byte != 0);
    segment.truncate(end.map_or(0, |last| last + 1));
    segment
}

/// What says which entries a log has: its checkpoint, and what retention has removed.
fn state(log: &Path) -> Result<[Option<Vec<u8>>; 2], LogError> {
    Ok([
        read(log, Path::new(CHECKPOINT))?,
        read(log, Path::new(raw::PRUNED))?,
    ])
}

/// Files that never change once they are there.
fn lasting(log: &Path) -> Result<Vec<PathBuf>, LogError> {
    let mut paths = below(log, Path::new("tile"))?;
    paths.extend(below(log, Path::new("blobs"))?);
    Ok(paths)
}

/// The files in a folder of a log and below it, in order; none if it is gone.
fn below(log: &Path, folder: &Path) -> Result<Vec<PathBuf>, LogError> {
    let whole = log.join(folder);
    let entries = match fs::read_dir(&whole) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("list", &whole)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.at("list", &whole)?;
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            kind if kind.as_ref().is_ok_and(fs::FileType::is_dir) => {
                paths.extend(below(log, &path)?);
            }
            kind => {
                kind.at("look at", &whole)?;
                // What is being written has another name until it is whole.
                if path.extension() != Some("unfinished".as_ref()) {
                    paths.push(path);
                }
            }
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The content of a file, unless it is gone.
fn read(log: &Path, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    plain::read(&log.join(path), MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use jiff::Timestamp;

    use super::super::spare;
    use super::*;
    use crate::evidence::{
        Identity, Reader, Record,
        body::Stop,
        key::PrivateKey,
        prune,
        verify::{Trust, verify},
    };

    fn open(data: &Path, key: &PrivateKey) -> epochs::Opened {
        let identity = Identity {
            cluster: "c-1",
            replica: "probity-0",
        };
        epochs::open(data, identity, key, &[], Timestamp::now()).unwrap()
    }

    fn append(opened: &epochs::Opened, count: usize) {
        append_with(opened, count, "");
    }

    fn append_with(opened: &epochs::Opened, count: usize, more: &str) {
        let records = (0..count).map(|n| {
            let stop = Stop {
                reason: format!("entry {n}{more}").into(),
            };
            Record::new(Timestamp::now(), stop)
        });
        opened.log.append(records.collect()).wait().unwrap();
    }

    /// How many entries an archive holds, once it has been verified.
    fn verified(data: &Path) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.tar");
        let mut to = fs::File::create(&file).unwrap();
        archive(data, &mut to).unwrap();
        let names: Vec<_> = tar::Archive::new(fs::File::open(&file).unwrap())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert!(
            names.iter().all(|name| name.starts_with("epochs")),
            "{names:?}"
        );
        let unpacked = crate::evidence::verify::unpacked(&file).unwrap();
        let report = verify(&unpacked.paths()[0], &Trust::default(), &|_, _| {}).unwrap();
        let problems: Vec<_> = report.problems().collect();
        assert!(problems.is_empty(), "{problems:?}");
        let entries = Reader::open(&unpacked.paths()[0]).unwrap();
        entries.collect::<Result<Vec<_>, _>>().unwrap().len()
    }

    /// Adds to a log, keeps its head, and has retention remove what is in no segment any more.
    fn grow_and_prune(data: &Path, key: &PrivateKey) -> u64 {
        let opened = open(data, key);
        append_with(&opened, 300, &"x".repeat(20_000));
        let dir = opened.dir.clone();
        let head = opened.log.close().unwrap().unwrap();
        heads::keep(&dir, &head, None).unwrap();
        let pruned = prune::plan(&dir, Timestamp::now(), "at once").unwrap();
        let Some(pruned) = pruned else {
            return 0;
        };
        let opened = open(data, key);
        let said = Record::new(Timestamp::now(), pruned.clone());
        opened.log.append(vec![said]).wait().unwrap();
        let head = opened.log.close().unwrap().unwrap();
        heads::keep(&dir, &head, None).unwrap();
        prune::carry_out(&dir, &pruned).unwrap();
        pruned.before
    }

    #[test]
    fn what_is_laid_out_ahead_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = PrivateKey::create(&data.join("key")).unwrap();
        let opened = open(data, &key);
        append_with(&opened, 50, &"x".repeat(60_000));
        let wal = opened.dir.join(WAL);
        let laid_out = wal.join(spare::NAME);
        for _ in 0..1000 {
            if laid_out.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(laid_out.exists());
        let segments: Vec<_> = end(&opened.dir, &BTreeSet::new()).unwrap();
        let segments: Vec<_> = segments
            .iter()
            .filter(|(path, _)| path.starts_with(WAL))
            .collect();
        assert_eq!(segments.len(), 1, "the spare is none");
        let (path, content) = segments[0];
        let there = fs::read(opened.dir.join(path)).unwrap();
        assert!(content.len() < there.len() && there.starts_with(content));
        assert!(there[content.len()..].iter().all(|byte| *byte == 0));
        let report = verify(data, &Trust::default(), &|_, _| {}).unwrap();
        let remarks = format!("{report:?}");
        assert!(!remarks.contains(spare::NAME), "it is no stray: {remarks}");
        assert_eq!(verified(data), 51);
    }

    #[test]
    fn an_archive_made_while_retention_removes_is_whole_and_has_the_heads() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = PrivateKey::create(&data.join("key")).unwrap();
        grow_and_prune(data, &key);
        let stop = AtomicBool::new(false);
        let removed = std::thread::scope(|scope| {
            let removing = scope.spawn(|| {
                let removed: Vec<u64> = (0..5).map(|_| grow_and_prune(data, &key)).collect();
                stop.store(true, Ordering::Relaxed);
                removed
            });
            while !stop.load(Ordering::Relaxed) {
                verified(data);
            }
            removing.join().unwrap()
        });
        assert!(removed.iter().any(|before| *before > 0), "{removed:?}");
        verified(data);
        let log = epochs::list(data).unwrap().remove(0);
        let done = BTreeSet::new();
        let copied: Vec<PathBuf> = end(&log, &done)
            .unwrap()
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        let heads = copied.iter().filter(|path| path.starts_with(heads::FOLDER));
        assert!(heads.count() > 5, "{copied:?}");
        assert!(copied.contains(&PathBuf::from(raw::PRUNED)));
        assert_eq!(copied.last(), Some(&PathBuf::from(CHECKPOINT)));
    }

    #[test]
    fn an_archive_of_a_log_that_is_written_is_whole_and_holds_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = PrivateKey::create(&data.join("key")).unwrap();
        let opened = open(data, &key);
        append(&opened, 700);
        opened.log.close().unwrap();
        assert!(verified(data) >= 700);

        let opened = open(data, &key);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    append(&opened, 30);
                }
            });
            let mut least = 700;
            for _ in 0..8 {
                let held = verified(data);
                assert!(held >= least, "{held} < {least}");
                least = held;
            }
            stop.store(true, Ordering::Relaxed);
        });
        opened.log.close().unwrap();
    }
}
