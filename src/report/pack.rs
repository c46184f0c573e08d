//! The files of a pack, and their sums.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ring::digest::{Context, SHA256};
use serde::Serialize;

/// Where the files of a pack lie. Names are relative, with `/` between folders.
pub trait Folder: Sync {
    /// A new file.
    fn create(&self, name: &str) -> io::Result<Box<dyn Write>>;
    /// A new file that is read again and removed.
    fn spool(&self, name: &str) -> io::Result<Box<dyn Write>> {
        self.create(name)
    }
    /// A file that was written.
    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Why a pack could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file.
    #[error("{name} of the pack can't be written: {source}")]
    File {
        /// Its name.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A template.
    #[error("the page {name} can't be made: {reason}")]
    Page {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// A pack in the making: files with the sums of what was written. Several threads may write files of it at a time.
pub struct Pack<'a> {
    folder: &'a dyn Folder,
    sums: Mutex<BTreeMap<String, String>>,
}

impl<'a> Pack<'a> {
    /// Nothing yet.
    pub fn new(folder: &'a dyn Folder) -> Self {
        Self {
            folder,
            sums: Mutex::default(),
        }
    }

    /// A new file, buffered.
    pub fn file(&self, name: &str) -> Result<PackFile, ReportError> {
        Ok(PackFile {
            file: Spool::new(name, self.folder.create(name))?,
            hash: Context::new(&SHA256),
        })
    }

    /// A new file that is not to stay.
    pub(super) fn spool(&self, name: &str) -> Result<Spool, ReportError> {
        Spool::new(name, self.folder.spool(name))
    }

    /// Ends a file that belongs to the pack.
    pub fn keep(&self, file: PackFile) -> Result<(), ReportError> {
        let PackFile { file, hash } = file;
        let name = file.name.clone();
        file.end()?;
        let sum = crate::engine::hex(hash.finish().as_ref());
        self.known().insert(name, sum);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Each sum goes in at once; a panic elsewhere leaves none by half.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a file that is not complete.
    pub(super) fn abandon(&self, file: Spool) -> Result<(), ReportError> {
        let name = file.name.clone();
        file.end()?;
        self.remove(&name)
    }

    /// Writes all of one that was spooled to the end of a file, and removes it.
    pub(super) fn move_into(&self, spooled: Spool, file: &mut PackFile) -> Result<(), ReportError> {
        let name = spooled.name.clone();
        spooled.end()?;
        let explain = |source| failed(&name, source);
        let mut from = self.folder.open(&name).map_err(explain)?;
        loop {
            let bytes = from.fill_buf().map_err(explain)?;
            if bytes.is_empty() {
                return self.remove(&name);
            }
            file.put(bytes)?;
            let length = bytes.len();
            from.consume(length);
        }
    }

    /// A whole file.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), ReportError> {
        let mut file = self.file(name)?;
        file.put(content)?;
        self.keep(file)
    }

    /// A whole file of JSON, made to be read.
    pub fn json(&self, name: &str, value: &impl Serialize) -> Result<(), ReportError> {
        let json = serde_json::to_vec_pretty(value).map_err(|error| failed(name, error.into()))?;
        self.write(name, &json)
    }

    /// The records of a spool that was ended.
    pub(super) fn records(&self, name: &str) -> Result<Records, ReportError> {
        let file = self
            .folder
            .open(name)
            .map_err(|source| failed(name, source))?;
        Ok(Records {
            file,
            name: name.to_owned(),
            record: Vec::new(),
        })
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), ReportError> {
        self.folder
            .remove(name)
            .map_err(|source| failed(name, source))
    }

    /// What was written so far: names and SHA-256.
    pub fn written(&self) -> BTreeMap<String, String> {
        self.known().clone()
    }

    /// Writes `SHA256SUMS`, as `sha256sum --check` reads it.
    pub(super) fn sums(&self) -> Result<(), ReportError> {
        let written = self.written();
        let lines = written.iter().map(|(name, sum)| format!("{sum}  {name}\n"));
        self.write("SHA256SUMS", lines.collect::<String>().as_bytes())
    }
}

/// What was put into a spool, one after the other.
pub(super) struct Records {
    file: Box<dyn BufRead>,
    name: String,
    record: Vec<u8>,
}

impl Records {
    /// Reads the next one into the place of the one before; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ReportError> {
        let failed = |source| failed(&self.name, source);
        if self.file.fill_buf().map_err(failed)?.is_empty() {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.file.read_exact(&mut length).map_err(failed)?;
        self.record.resize(u32::from_le_bytes(length) as usize, 0);
        self.file.read_exact(&mut self.record).map_err(failed)?;
        Ok(Some(&self.record))
    }
}

/// A file of a pack.
pub struct PackFile {
    file: Spool,
    hash: Context,
}

impl PackFile {
    /// Writes some bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        self.hash.update(bytes);
        self.file.put(bytes)
    }

    /// The file without its sum: it is not to stay.
    pub(super) fn into_spool(self) -> Spool {
        self.file
    }

    /// Writes a value as JSON.
    pub fn put_json(&mut self, value: &impl Serialize) -> Result<(), ReportError> {
        self.put_made(|json| serde_json::to_writer(json, value))
    }

    /// Writes what is made at once.
    pub(super) fn put_made(
        &mut self,
        make: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), ReportError> {
        self.file.make(make)?;
        self.hash.update(&self.file.made);
        self.file.put_what_is_made()
    }
}

/// A file that is read again, and not to stay: nobody asks for its sum.
pub(super) struct Spool {
    name: String,
    inner: Box<dyn Write>,
    /// What is being written.
    made: Vec<u8>,
}

impl Spool {
    fn new(name: &str, created: io::Result<Box<dyn Write>>) -> Result<Self, ReportError> {
        Ok(Self {
            name: name.to_owned(),
            inner: created.map_err(|source| failed(name, source))?,
            made: Vec::new(),
        })
    }

    /// Writes some bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        let written = self.inner.write_all(bytes);
        written.map_err(|source| failed(&self.name, source))
    }

    /// Writes what is made at once.
    pub(super) fn put_made(
        &mut self,
        make: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), ReportError> {
        self.make(make)?;
        self.put_what_is_made()
    }

    fn make(
        &mut self,
        make: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), ReportError> {
        self.made.clear();
        make(&mut self.made).map_err(|error| failed(&self.name, error.into()))
    }

    fn put_what_is_made(&mut self) -> Result<(), ReportError> {
        let written = self.inner.write_all(&self.made);
        written.map_err(|source| failed(&self.name, source))
    }

    /// Writes a record, which [`Pack::records`] reads.
    pub(super) fn put_record(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ReportError> {
        self.made.clear();
        self.made.extend_from_slice(&[0; 4]);
        write(&mut self.made);
        let length = u32::try_from(self.made.len() - 4);
        let length = length.map_err(|error| failed(&self.name, io::Error::other(error)))?;
        self.made[..4].copy_from_slice(&length.to_le_bytes());
        self.put_what_is_made()
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<(), ReportError> {
        let written = self.inner.flush();
        written.map_err(|source| failed(&self.name, source))
    }
}

pub(super) fn failed(name: &str, source: io::Error) -> ReportError {
    ReportError::File {
        name: name.to_owned(),
        source,
    }
}
