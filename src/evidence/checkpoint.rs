//! Tree heads: C2SP tlog-checkpoint; and proofs that stand alone: C2SP tlog-proof. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::merkle::{self, Hash};
use super::note::{Note, NoteError, Signer, VerifierKey};

/// First line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

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
            Err(NoteError::Malformed("it is of another log than the key"))
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

/// That an entry is in a log: one file that can be checked with nothing but the log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Position of the entry.
    pub index: u64,
    /// Sibling hashes, from the leaf up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

impl Proof {
    /// Reads a proof.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(malformed(
            "the proof has no empty line before the checkpoint",
        ))?;
        let mut lines = head.lines();
        if lines.next() != Some(PROOF) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let mut lines = lines.skip_while(|line| line.starts_with("extra "));
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|index| index.parse().ok())
            .ok_or(malformed("the proof has no index"))?;
        let hashes = lines
            .map(|line| STANDARD.decode(line).ok()?.try_into().ok())
            .collect::<Option<Vec<Hash>>>()
            .ok_or(malformed("a line of the proof is no hash"))?;
        Ok(Self {
            index,
            hashes,
            note: note.to_owned(),
        })
    }

    /// Checks that the log of `key` has this entry here. Returns the checkpoint.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::open(&self.note, key)?;
        let leaf = merkle::leaf(entry);
        let root = merkle::root_of_inclusion(leaf, self.index, checkpoint.size, &self.hashes);
        if root == Some(checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(NoteError::Malformed(
                "the proof does not lead from this entry to the root of the checkpoint",
            ))
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF}\nindex {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.note)
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

    #[test]
    fn a_proof_stands_alone() {
        let signer = signer();
        let entries: [&[u8]; 3] = [b"a", b"b", b"c"];
        let leaves = entries.map(merkle::leaf);
        let left = merkle::node(&leaves[0], &leaves[1]);
        let note = checkpoint(3, merkle::node(&left, &leaves[2])).sign(&signer);
        let proof = Proof {
            index: 1,
            hashes: vec![leaves[0], leaves[2]],
            note,
        };
        let read = Proof::parse(&proof.to_string()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(b"b", signer.verifier()).unwrap().size, 3);
        assert!(read.verify(b"c", signer.verifier()).is_err());
        let moved = Proof { index: 2, ..proof };
        assert!(moved.verify(b"b", signer.verifier()).is_err());
    }
}
