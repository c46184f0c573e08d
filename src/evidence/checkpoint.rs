//! Tree heads: C2SP tlog-checkpoint. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::merkle::Hash;
use super::note::{Note, NoteError, Signer, VerifierKey};

/// How many entries a log has, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root hash.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let mut lines = text.lines();
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().unwrap_or_default();
        let root = lines.next().unwrap_or_default();
        if origin.is_empty() {
            return Err(malformed("its first line, the origin, is empty"));
        }
        let number: u64 = size
            .parse()
            .map_err(|_| malformed("its second line is no number of entries"))?;
        if number.to_string() != size {
            return Err(malformed(
                "the number of entries is not written as it should be",
            ));
        }
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok())
            .ok_or(malformed("its third line is no hash"))?;
        Ok(Self {
            origin: origin.to_owned(),
            size: number,
            root,
        })
    }

    /// Reads a signed checkpoint and checks its signature and that it names the log that the key stands for.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Self::parse(note.text)?;
        note.verify(&key.named(&checkpoint.origin)?)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NoteError::Wrong("it is of another log than the key"))
        }
    }

    /// Its root as it is written.
    pub fn root_text(&self) -> String {
        STANDARD.encode(self.root)
    }

    /// Signs it.
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.to_string())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, .. } = self;
        write!(f, "{origin}\n{size}\n{}\n", self.root_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("probity.dev/a", &[7; 32]).unwrap()
    }

    fn checkpoint(size: u64, root: Hash) -> Checkpoint {
        Checkpoint {
            origin: "probity.dev/a".to_owned(),
            size,
            root,
        }
    }

    #[test]
    fn a_checkpoint_comes_back() {
        let signer = signer();
        let head = checkpoint(7, [3; 32]);
        let note = head.sign(&signer);
        assert_eq!(Checkpoint::open(&note, signer.verifier()), Ok(head));
        let other = signer.verifier().named("probity.dev/b").unwrap();
        assert!(Checkpoint::open(&note, &other).is_err());
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        for text in [
            "",
            "o\n",
            "o\n01\nAA==\n",
            "o\n-1\nAA==\n",
            "o\n1\nAA==\n",
            "\n1\nAA==\n",
        ] {
            assert!(Checkpoint::parse(text).is_err(), "{text:?}");
        }
    }
}
