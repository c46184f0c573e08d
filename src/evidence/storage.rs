//! The few file operations whose failure the log must survive, behind a trait so that tests can make them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Where the log's files are.
pub trait Storage: Send {
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Opens a file for writing, creating it if need be, and keeps its content.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
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
}

impl StoredFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
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
        /// Syncs that succeeded.
        pub(crate) syncs: usize,
    }

    /// A disk that fails as planned.
    #[derive(Clone, Default)]
    pub(crate) struct Faulty(pub(crate) Arc<Mutex<Plan>>);

    struct FaultyFile(Box<dyn StoredFile>, Faulty);

    fn hit(count: &mut Option<usize>) -> bool {
        *count = count.map(|n| n - 1);
        count.take_if(|n| *n == 0).is_some()
    }

    impl Storage for Faulty {
        fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
            Ok(Box::new(FaultyFile(Disk.create(path)?, self.clone())))
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
            Ok(Box::new(FaultyFile(Disk.open(path)?, self.clone())))
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            if hit(&mut self.0.lock().unwrap().dir_error) {
                return Err(io::Error::other("EIO on the folder"));
            }
            Disk.sync_dir(path)
        }
    }

    impl StoredFile for FaultyFile {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
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
            self.0.truncate(length)
        }

        fn sync(&mut self) -> io::Result<()> {
            if hit(&mut self.1.0.lock().unwrap().sync_error) {
                return Err(io::Error::other("EIO"));
            }
            self.1.0.lock().unwrap().syncs += 1;
            self.0.sync()
        }
    }
}
