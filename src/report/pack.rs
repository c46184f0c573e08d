//! The files of a pack, and their sums.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

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
            hash: Sha256::new(),
            json: Vec::new(),
        })
    }

    /// A new file that is not to stay.
    pub(super) fn spool(&self, name: &str) -> Result<Spool, ReportError> {
        Spool::new(name, self.folder.spool(name))
    }

    /// Ends a file that belongs to the pack.
    pub fn keep(&self, file: PackFile) -> Result<(), ReportError> {
        let PackFile { file, hash, .. } = file;
        let name = file.name.clone();
        file.end()?;
        let sum = crate::engine::hex(&hash.finalize());
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

    /// The lines of a file that was written.
    pub(super) fn lines(&self, name: &str) -> Result<Lines, ReportError> {
        let file = self
            .folder
            .open(name)
            .map_err(|source| failed(name, source))?;
        let name = name.to_owned();
        Ok(Lines { file, name })
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

/// The lines of a file.
pub(super) struct Lines {
    file: Box<dyn BufRead>,
    name: String,
}

impl Lines {
    /// Reads the next line, without its end, into the place of another. Returns whether there was one.
    pub(super) fn next_into(&mut self, line: &mut Vec<u8>) -> Result<bool, ReportError> {
        line.clear();
        let read = self.file.read_until(b'\n', line);
        let length = read.map_err(|source| failed(&self.name, source))?;
        line.pop_if(|last| *last == b'\n');
        Ok(length > 0)
    }
}

/// A file of a pack.
pub struct PackFile {
    file: Spool,
    hash: Sha256,
    /// The value that is being written.
    json: Vec<u8>,
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
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        let written = serde_json::to_writer(&mut json, value);
        written.map_err(|error| failed(&self.file.name, error.into()))?;
        self.put(&json)?;
        self.json = json;
        Ok(())
    }
}

/// A file that is read again, and not to stay: nobody asks for its sum.
pub(super) struct Spool {
    name: String,
    inner: Box<dyn Write>,
    /// The value that is being written.
    json: Vec<u8>,
}

impl Spool {
    fn new(name: &str, created: io::Result<Box<dyn Write>>) -> Result<Self, ReportError> {
        Ok(Self {
            name: name.to_owned(),
            inner: created.map_err(|source| failed(name, source))?,
            json: Vec::new(),
        })
    }

    /// Writes some bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        let written = self.inner.write_all(bytes);
        written.map_err(|source| failed(&self.name, source))
    }

    /// Writes a value as JSON, with something before and after it.
    pub(super) fn put_json(
        &mut self,
        before: &[u8],
        value: &impl Serialize,
        after: &[u8],
    ) -> Result<(), ReportError> {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        json.extend_from_slice(before);
        let written = serde_json::to_writer(&mut json, value);
        written.map_err(|error| failed(&self.name, error.into()))?;
        json.extend_from_slice(after);
        self.put(&json)?;
        self.json = json;
        Ok(())
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
