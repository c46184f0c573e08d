//! The segment after the one that is being written: a file of zeros that a thread lays out meanwhile, so that going over to
//! it costs a name. To lay out and sync as much when it is needed would keep whoever waits for an answer for milliseconds.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::error::{At, LogError};
use super::sealed::corrupt;
use super::segment::WAL;
use super::storage::{Storage, StoredFile};

/// Its name until it is a segment.
pub(super) const NAME: &str = "next.unfinished";

/// Zeros are written and read so many at a time.
const PIECE: usize = 256 * 1024;

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

    /// Gives it the name of a segment, which is durable once the folder is synced. `None` where that can't be done: then a
    /// segment is made in the plain way, which tells of what is really in the way.
    pub(super) fn take(mut self, segment: &Path) -> Option<Box<dyn StoredFile>> {
        let laid_out = self.laying.take()?.join().ok()?;
        let file = laid_out.map_err(|error| self.give_up(&error)).ok()?;
        // A name is taken from nobody: renaming would replace what has it.
        let renamed = match segment.try_exists() {
            Ok(false) => self.storage.rename(&self.path, segment),
            Ok(true) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) => Err(error),
        };
        renamed.map_err(|error| self.give_up(&error)).ok()?;
        Some(file)
    }

    fn give_up(&self, error: &io::Error) {
        tracing::warn!(%error, path = %self.path.display(), "The next segment could not be laid out ahead");
        remove(&*self.storage, &self.path);
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

/// Removes what a process that was killed has left. Fails where that holds more than zeros: then it was a segment, and the
/// disk has lost its name.
pub(super) fn clear(storage: &dyn Storage, dir: &Path, most: u64) -> Result<(), LogError> {
    let path = dir.join(WAL).join(NAME);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("look at", &path),
        Ok(_) if !is_blank(&path, most) => {
            let reason = "there should be nothing but zeros in it: the disk may have lost the name of a segment";
            Err(corrupt(&path, 0, reason.to_owned()))
        }
        Ok(_) => storage.remove(&path).at("remove", &path),
    }
}

/// Whether this is a file with at most so many bytes, all of them zeros.
pub(super) fn is_blank(path: &Path, most: u64) -> bool {
    let plain = fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() <= most);
    plain && fs::File::open(path).is_ok_and(|file| is_zeros(file).unwrap_or(false))
}

fn is_zeros(mut file: fs::File) -> io::Result<bool> {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(true),
            read if piece[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Ok(false),
        }
    }
}

fn remove(storage: &dyn Storage, path: &Path) {
    if let Err(error) = storage.remove(path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "An unused file could not be removed");
    }
}

fn lay_out(storage: &dyn Storage, path: &Path, size: u64) -> io::Result<Box<dyn StoredFile>> {
    let laid_out = || {
        let mut file = storage.create(path)?;
        let zeros = vec![0; PIECE];
        for at in (0..size).step_by(PIECE) {
            let piece = usize::try_from(size - at).map_or(PIECE, |left| left.min(PIECE));
            file.write_at(at, &zeros[..piece])?;
        }
        file.sync()?;
        Ok(file)
    };
    // Half a file would only take the room that the log needs.
    laid_out().inspect_err(|_| remove(storage, path))
}
