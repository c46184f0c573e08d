//! The files of a pack, and their sums.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where the files of a pack lie. Names are relative, with `/` between folders.
pub trait Folder {
    /// A new file.
    fn create(&self, name: &str) -> io::Result<Box<dyn Write>>;
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

/// A pack in the making: files with the sums of what was written.
pub struct Pack<'a> {
    folder: &'a dyn Folder,
    sums: RefCell<BTreeMap<String, String>>,
}

impl<'a> Pack<'a> {
    /// Nothing yet.
    pub fn new(folder: &'a dyn Folder) -> Self {
        Self {
            folder,
            sums: RefCell::default(),
        }
    }

    /// A new file, buffered.
    pub fn file(&self, name: &str) -> Result<PackFile, ReportError> {
        let inner = self
            .folder
            .create(name)
            .map_err(|source| failed(name, source))?;
        Ok(PackFile {
            name: name.to_owned(),
            inner,
            hash: Sha256::new(),
            json: Vec::new(),
        })
    }

    /// Ends a file that belongs to the pack.
    pub fn keep(&self, mut file: PackFile) -> Result<(), ReportError> {
        file.inner
            .flush()
            .map_err(|source| failed(&file.name, source))?;
        let sum = crate::engine::hex(&file.hash.finalize());
        self.sums.borrow_mut().insert(file.name, sum);
        Ok(())
    }

    /// Removes a file that is not complete.
    pub(super) fn abandon(&self, file: PackFile) -> Result<(), ReportError> {
        let name = file.name.clone();
        file.end()?;
        self.remove(&name)
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
        self.sums.borrow().clone()
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
    name: String,
    inner: Box<dyn Write>,
    hash: Sha256,
    /// The value that is being written.
    json: Vec<u8>,
}

impl PackFile {
    /// Writes some bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        self.hash.update(bytes);
        self.inner
            .write_all(bytes)
            .map_err(|source| failed(&self.name, source))
    }

    /// Ends a file that is not to stay.
    pub(super) fn end(mut self) -> Result<(), ReportError> {
        self.inner
            .flush()
            .map_err(|source| failed(&self.name, source))
    }

    /// Writes a value as JSON.
    pub fn put_json(&mut self, value: &impl Serialize) -> Result<(), ReportError> {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        let written = serde_json::to_writer(&mut json, value);
        written.map_err(|error| failed(&self.name, error.into()))?;
        self.put(&json)?;
        self.json = json;
        Ok(())
    }
}

pub(super) fn failed(name: &str, source: io::Error) -> ReportError {
    ReportError::File {
        name: name.to_owned(),
        source,
    }
}
