//! Values that are too large for an entry: files named by the SHA-256 of their content, so that the entry commits to them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{At, LogError};
use super::plain;
use super::storage::{self, Storage};

/// Values with more canonical bytes than this become blobs.
pub const MAX_INLINE: usize = 32 * 1024;

/// The folder below that of the log.
pub(super) const FOLDER: &str = "blobs";

/// What is said of a blob that is not there.
pub(super) const MISSING: &str = "is missing";

/// More bytes than a blob has: what retention carries of the largest cluster has a tenth of it.
const MOST: u64 = 1 << 30;

/// What stands in an entry for a value that is kept as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// SHA-256 of the content, in lower-case hex; also the file's name.
    pub blob: String,
    /// Bytes of the content.
    pub size: u64,
}

/// A value on its way to a blob file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    name: String,
    bytes: Vec<u8>,
}

impl Blob {
    /// Names the content by its digest.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            name: sha256_hex(&[&bytes]),
            bytes,
        }
    }

    /// What the entry says instead of the value.
    pub fn reference(&self) -> BlobRef {
        BlobRef {
            blob: self.name.clone(),
            size: self.bytes.len() as u64,
        }
    }

    /// Puts the content into the log's folder, durably. Safe to repeat.
    pub fn store(&self, dir: &Path, storage: &dyn Storage) -> Result<(), LogError> {
        let folder = dir.join(FOLDER);
        fs::create_dir_all(&folder).at("create", &folder)?;
        storage.sync_dir(dir).at("sync", dir)?;
        let path = folder.join(&self.name);
        // A whole file under this name can only have come from the rename below; its folder may still be unsynced.
        if fs::read(&path).map_or(true, |existing| existing != self.bytes) {
            storage::replace(storage, &path, &self.bytes)?;
        }
        storage.sync_dir(&folder).at("sync", &folder)
    }
}

impl BlobRef {
    /// Where the content is.
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(FOLDER).join(&self.blob)
    }

    /// Reads the content and checks it against the digest.
    pub fn load(&self, dir: &Path) -> Result<Vec<u8>, LogError> {
        let path = self.path(dir);
        let problem = |reason| LogError::Blob {
            name: self.blob.clone(),
            path: path.clone(),
            reason,
        };
        // The name comes from a file that somebody may have edited; it must not lead out of the folder.
        if !is_digest(&self.blob) {
            return Err(problem("has a name that is no SHA-256"));
        }
        let bytes = match plain::read(&path, MOST) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(problem(MISSING)),
            Err(LogError::Corrupt { .. }) => return Err(problem("is no file, or far too large")),
            Err(error) => return Err(error),
        };
        if sha256_hex(&[&bytes]) != self.blob || bytes.len() as u64 != self.size {
            return Err(problem("has other content than was logged"));
        }
        Ok(bytes)
    }
}

/// SHA-256 of some bytes in a row, in lower-case hex.
pub(super) fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}"); // writing to a String can't fail
    }
    hex
}

/// Whether a name is a SHA-256 in lower-case hex.
pub(super) fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::super::storage::faulty::Faulty;
    use super::*;

    #[test]
    fn a_blob_is_named_by_its_digest_and_storing_it_twice_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let blob = Blob::new(b"abc".to_vec());
        let reference = blob.reference();
        assert_eq!(
            reference.blob,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(reference.size, 3);
        blob.store(dir.path(), &Disk).unwrap();
        blob.store(dir.path(), &Disk).unwrap();
        assert_eq!(reference.load(dir.path()).unwrap(), b"abc");
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn a_changed_missing_or_misnamed_blob_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let blob = Blob::new(b"abc".to_vec());
        assert!(
            blob.reference()
                .load(dir.path())
                .unwrap_err()
                .to_string()
                .contains("is missing")
        );
        blob.store(dir.path(), &Disk).unwrap();
        fs::write(blob.reference().path(dir.path()), "abd").unwrap();
        assert!(
            blob.reference()
                .load(dir.path())
                .unwrap_err()
                .to_string()
                .contains("has other content")
        );
        let outside = BlobRef {
            blob: "../lock".to_owned(),
            size: 0,
        };
        assert!(
            outside
                .load(dir.path())
                .unwrap_err()
                .to_string()
                .contains("no SHA-256")
        );
        // Storing again repairs it: the content is known.
        blob.store(dir.path(), &Disk).unwrap();
        assert_eq!(blob.reference().load(dir.path()).unwrap(), b"abc");
    }

    #[test]
    fn an_interrupted_blob_never_shows_under_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let blob = Blob::new(b"abcdef".to_vec());
        let storage = Faulty::default();
        storage.0.lock().unwrap().no_space = Some((1, 3));
        assert!(matches!(
            blob.store(dir.path(), &storage),
            Err(LogError::Io { .. })
        ));
        assert!(!blob.reference().path(dir.path()).exists());
        storage.0.lock().unwrap().sync_error = Some(1);
        assert!(blob.store(dir.path(), &storage).is_err());
        assert!(!blob.reference().path(dir.path()).exists());
        blob.store(dir.path(), &storage).unwrap();
        assert_eq!(blob.reference().load(dir.path()).unwrap(), b"abcdef");
    }
}
