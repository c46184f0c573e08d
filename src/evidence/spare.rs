//! The segment after the one that is being written: a file of zeros that a thread lays out meanwhile, so that going over to
//! it costs a name. To lay out and sync as much when it is needed would keep whoever waits for an answer for milliseconds.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::segment::WAL;
use super::storage::{Storage, StoredFile};

/// Its name until it is a segment.
pub(super) const NAME: &str = "next.unfinished";

/// Zeros are written so many at a time.
const PIECE: u64 = 256 * 1024;

/// A file that will be a segment. Dropping it waits for the thread and removes the file.
pub(super) struct Spare {
    path: PathBuf,
    storage: Box<dyn Storage>,
    laying: Option<JoinHandle<io::Result<Box<dyn StoredFile>>>>,
}

impl Spare {
    /// Begins to lay out `size` bytes for the log in `dir`. Without a thread there is no spare, and no harm in that.
    pub(super) fn begin(storage: &dyn Storage, dir: &Path, size: u64) -> Option<Self> {
        let path = dir.join(WAL).join(NAME);
        let (own, at) = (storage.another(), path.clone());
        let laying = thread::Builder::new()
            .name("spare segment".to_owned())
            .spawn(move || lay_out(&*own, &at, size));
        Some(Self {
            path,
            storage: storage.another(),
            laying: Some(laying.ok()?),
        })
    }

    /// Whether nobody would have to wait for it.
    pub(super) fn is_ready(&self) -> bool {
        self.laying.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Gives it the name of a segment, which is durable once the folder is synced. `None` where it could not be laid out:
    /// a full disk is told of when there is no other way.
    pub(super) fn take(mut self, segment: &Path) -> Option<io::Result<Box<dyn StoredFile>>> {
        let file = self.laying.take()?.join().ok()?.ok()?;
        let renamed = self.storage.rename(&self.path, segment);
        Some(renamed.map(|()| file))
    }

    #[cfg(test)]
    pub(super) fn wait(&self) {
        while !self.is_ready() {
            thread::yield_now();
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(laying) = self.laying.take() {
            // What it says doesn't matter any more.
            let _ = laying.join();
            remove(&*self.storage, &self.path);
        }
    }
}

/// Removes what a process that was killed has left.
pub(super) fn clear(storage: &dyn Storage, dir: &Path) {
    let path = dir.join(WAL).join(NAME);
    if path.exists() {
        remove(storage, &path);
    }
}

/// It takes room, and is no part of the log: the next one that is laid out takes its place anyway.
fn remove(storage: &dyn Storage, path: &Path) {
    if let Err(error) = storage.remove(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "An unused file could not be removed");
    }
}

fn lay_out(storage: &dyn Storage, path: &Path, size: u64) -> io::Result<Box<dyn StoredFile>> {
    let laid_out = || {
        let mut file = storage.open(path)?;
        file.truncate(0)?;
        let zeros = vec![0; usize::try_from(PIECE.min(size)).unwrap_or_default()];
        for at in (0..size).step_by(zeros.len().max(1)) {
            let piece =
                usize::try_from(size - at).map_or(zeros.len(), |left| left.min(zeros.len()));
            file.write_at(at, &zeros[..piece])?;
        }
        file.sync()?;
        Ok(file)
    };
    // Half a file would only take the room that the log needs.
    laid_out().inspect_err(|_| remove(storage, path))
}
