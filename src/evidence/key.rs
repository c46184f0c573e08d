//! The private key that signs checkpoints: a PKCS#8 file, as `openssl genpkey -algorithm ed25519` writes it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::{At, LogError};
use super::note::Signer;
use super::plain;
use super::storage::{Disk, Storage};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// What precedes the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, section 7).
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key in a data folder.
const FILE: &str = "key";

/// The key that is to replace it.
const NEXT: &str = "key.next";

/// A private key. It is never shown.
pub struct PrivateKey {
    seed: [u8; 32],
    /// The one that it replaces, which signs that.
    replaced: Option<Box<Self>>,
}

impl PrivateKey {
    /// Reads the key in a file; `None` if there is no file.
    pub fn read(path: &Path) -> Result<Option<Self>, LogError> {
        let Some(bytes) = plain::read_named(path)? else {
            return Ok(None);
        };
        let key = parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| LogError::Key {
            path: path.to_owned(),
            reason: "it is no Ed25519 key in PKCS#8 PEM; make one with: openssl genpkey -algorithm ed25519"
                .to_owned(),
        })?;
        Ok(Some(key))
    }

    /// Makes a key and keeps it in a new file that only its owner can read.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| LogError::Key {
                path: path.to_owned(),
                reason: "the system gives no random numbers".to_owned(),
            })?;
        let key = Self::of(seed);
        // Aside first: a half-written key would look like a damaged one for ever.
        let unfinished = path.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_file(&unfinished).at("remove", &unfinished)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .at("create", &unfinished)?;
        file.write_all(key.pem().as_bytes())
            .at("write to", &unfinished)?;
        file.sync_all().at("sync", &unfinished)?;
        fs::rename(&unfinished, path).at("rename", &unfinished)?;
        let folder = path.parent().unwrap_or(path);
        Disk.sync_dir(folder).at("sync", folder)?;
        Ok(key)
    }

    /// The key in a data folder, which is made if need be; or the one that was made to replace it.
    pub fn of_data(data: &Path) -> Result<Self, LogError> {
        let path = data.join(FILE);
        let current = if let Some(key) = Self::read(&path)? {
            key
        } else {
            fs::create_dir_all(data).at("create", data)?;
            Self::create(&path)?
        };
        Ok(match Self::read(&data.join(NEXT))? {
            Some(next) => next.replacing(current),
            None => current,
        })
    }

    /// Makes the key that replaces the one in a data folder when the log is opened next. Returns its file.
    pub fn create_next(data: &Path) -> Result<PathBuf, LogError> {
        let refuse = |path: PathBuf, reason: &str| {
            let reason = reason.to_owned();
            Err(LogError::Key { path, reason })
        };
        let (path, next) = (data.join(FILE), data.join(NEXT));
        if Self::read(&path)?.is_none() {
            return refuse(path, "there is none yet, so there is nothing to replace");
        }
        if next.exists() {
            let reason = "it is there already and waits for Probity to be started again";
            return refuse(next, reason);
        }
        Self::create(&next)?;
        Ok(next)
    }

    /// Once a log is open that is signed with it, the next key takes the place of the one before, which is gone then: what
    /// nobody has nobody steals.
    pub fn settle(&self, data: &Path) -> Result<(), LogError> {
        let (path, next) = (data.join(FILE), data.join(NEXT));
        if Self::read(&next)?.is_none_or(|next| next.seed != self.seed) {
            return Ok(());
        }
        Disk.rename(&next, &path).at("rename", &next)?;
        Disk.sync_dir(data).at("sync", data)
    }

    /// The same key, in place of another one.
    #[must_use]
    pub fn replacing(self, before: Self) -> Self {
        Self {
            replaced: Some(Box::new(before)),
            ..self
        }
    }

    /// The key that it replaces.
    pub(super) fn replaced(&self) -> Option<&Self> {
        self.replaced.as_deref()
    }

    /// A signer for the log of this name.
    pub fn signer(&self, origin: &str) -> Result<Signer, LogError> {
        Signer::new(origin, &self.seed).map_err(LogError::Note)
    }

    const fn of(seed: [u8; 32]) -> Self {
        let replaced = None;
        Self { seed, replaced }
    }

    fn pem(&self) -> String {
        let der = [PREFIX.as_slice(), &self.seed].concat();
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

fn parse(pem: &str) -> Option<PrivateKey> {
    let (_, body) = pem.split_once(BEGIN)?;
    let (body, _) = body.split_once(END)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let seed = der.strip_prefix(&PREFIX)?;
    Some(PrivateKey::of(seed.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(PrivateKey::read(&path).unwrap().is_none());
        let key = PrivateKey::create(&path).unwrap();
        let read = PrivateKey::read(&path).unwrap().unwrap();
        let verifier = |key: &PrivateKey| key.signer("o").unwrap().verifier().clone();
        assert_eq!(verifier(&key), verifier(&read));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = PrivateKey::create(&folder.path().join("other")).unwrap();
        assert_ne!(verifier(&key), verifier(&other));
    }

    #[test]
    fn keys_of_openssl_are_read() {
        // openssl genpkey -algorithm ed25519; the public half by openssl pkey -pubout.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                   -----END PRIVATE KEY-----\n";
        let key = parse(pem).unwrap();
        let public = key.signer("o").unwrap().verifier().key().to_owned();
        assert_eq!(
            super::super::blob::hex(&public),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn other_keys_are_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\n").unwrap();
        let error = PrivateKey::read(&path).unwrap_err().to_string();
        assert!(error.contains("openssl genpkey"), "{error}");
    }
}
