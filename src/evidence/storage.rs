//! The few file operations whose failure the log must survive, behind a trait so that tests can make them fail.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::error::{At, LogError};

/// Where the log's files are.
pub trait Storage: Send {
    /// The same storage, for another thread.
    fn another(&self) -> Box<dyn Storage>;
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Opens a file for writing, creating it if need be, and keeps its content.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// One open file.
pub trait StoredFile: Send {
    /// Writes all of `bytes` at a place in the file.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of a real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Storage for Disk {
    fn another(&self) -> Box<dyn Storage> {
        Box::new(*self)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(
            OpenOptions::new().write(true).create_new(true).open(path)?,
        ))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?,
        ))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Puts a whole file under a name, durably up to the name itself: [`Storage::sync_dir`] makes that durable. Whoever looks
/// sees the file before or after, never a part of it.
pub(super) fn replace(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    let mut file = storage.open(unfinished).at("create", unfinished)?;
    file.truncate(0).at("truncate", unfinished)?;
    file.write_at(0, bytes).at("write to", unfinished)?;
    file.sync().at("sync", unfinished)?;
    storage.rename(unfinished, path).at("rename", unfinished)
}

/// Creates the folders down to `folder` below `root`, durably.
pub(super) fn create_folders(
    storage: &dyn Storage,
    root: &Path,
    folder: &Path,
) -> Result<(), LogError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).at("create", folder)?;
    let made = folder.ancestors().skip(1);
    for parent in made.take_while(|parent| parent.starts_with(root)) {
        storage.sync_dir(parent).at("sync", parent)?;
    }
    Ok(())
}

impl StoredFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
pub(super) mod faulty {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What goes wrong. Counts are of calls from now on: 1 fails the next one. A fault happens once.
    #[derive(Debug, Default)]
    pub(crate) struct Plan {
        /// The nth write fails for lack of space after this many of its bytes were written.
        pub(crate) no_space: Option<(usize, usize)>,
        /// The nth sync fails.
        pub(crate) sync_error: Option<usize>,
        /// The nth sync of a folder fails.
        pub(crate) dir_error: Option<usize>,
        /// The nth renaming fails.
        pub(crate) rename_error: Option<usize>,
        /// Syncs that succeeded.
        pub(crate) syncs: usize,
        /// Steps that still succeed; without a number, all do.
        pub(crate) steps: Option<usize>,
    }

    impl Faulty {
        /// Takes a step, unless the process is dead.
        fn step(&self) -> io::Result<()> {
            match &mut self.0.lock().unwrap().steps {
                Some(0) => Err(io::Error::other("killed")),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }

    /// A disk that fails as planned.
    ///
    /// Once `steps` are used up, every step fails: what is on the disk then is what a killed process leaves.
    #[derive(Clone, Default)]
    pub(crate) struct Faulty(pub(crate) Arc<Mutex<Plan>>);

    struct FaultyFile(Box<dyn StoredFile>, Faulty);

    fn hit(count: &mut Option<usize>) -> bool {
        *count = count.map(|n| n - 1);
        count.take_if(|n| *n == 0).is_some()
    }

    impl Storage for Faulty {
        fn another(&self) -> Box<dyn Storage> {
            Box::new(self.clone())
        }

        fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
            self.step()?;
            Ok(Box::new(FaultyFile(Disk.create(path)?, self.clone())))
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
            self.step()?;
            Ok(Box::new(FaultyFile(Disk.open(path)?, self.clone())))
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            self.step()?;
            if hit(&mut self.0.lock().unwrap().dir_error) {
                return Err(io::Error::other("EIO on the folder"));
            }
            Disk.sync_dir(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.step()?;
            if hit(&mut self.0.lock().unwrap().rename_error) {
                return Err(io::Error::other("EIO on renaming"));
            }
            Disk.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.step()?;
            Disk.remove(path)
        }
    }

    impl StoredFile for FaultyFile {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.1.step()?;
            let planned = self.1.0.lock().unwrap().no_space.take();
            match planned {
                Some((1, partial)) => {
                    self.0
                        .write_at(offset, &bytes[..partial.min(bytes.len())])?;
                    Err(io::ErrorKind::StorageFull.into())
                }
                Some((n, partial)) => {
                    self.1.0.lock().unwrap().no_space = Some((n - 1, partial));
                    self.0.write_at(offset, bytes)
                }
                None => self.0.write_at(offset, bytes),
            }
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.1.step()?;
            self.0.truncate(length)
        }

        fn sync(&mut self) -> io::Result<()> {
            self.1.step()?;
            if hit(&mut self.1.0.lock().unwrap().sync_error) {
                return Err(io::Error::other("EIO"));
            }
            self.1.0.lock().unwrap().syncs += 1;
            self.0.sync()
        }
    }
}
