//! Proofs that stand alone: C2SP tlog-proof. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::checkpoint::Checkpoint;
use super::merkle::{self, Hash};
use super::note::{Note, NoteError, VerifierKey};

/// First line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

/// That an entry is in a log: one file that can be checked with nothing but the log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The entry. The format leaves room for what it calls extra data; the entry is proved, so it can't be another.
    pub entry: Vec<u8>,
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
        let mut lines = head.split('\n');
        if lines.next() != Some(PROOF) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let entry = lines
            .next()
            .and_then(|line| line.strip_prefix("extra "))
            .and_then(|entry| STANDARD.decode(entry).ok())
            .ok_or(malformed(
                "its second line does not hold the entry, as those of `probity prove` do",
            ))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index
            .and_then(decimal)
            .ok_or(malformed("the proof has no index"))?;
        let hashes = lines
            .map(|line| STANDARD.decode(line).ok()?.try_into().ok())
            .collect::<Option<Vec<Hash>>>()
            .ok_or(malformed("a line of the proof is no hash"))?;
        Ok(Self {
            entry,
            index,
            hashes,
            note: note.to_owned(),
        })
    }

    /// The name of the log that it is about, as it says itself.
    pub fn origin(&self) -> Result<String, NoteError> {
        Ok(Checkpoint::parse(Note::parse(&self.note)?.text)?.origin)
    }

    /// Checks that the log of `key` has this entry here. Returns the checkpoint.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::open(&self.note, key)?;
        if self.leads_to(&checkpoint) {
            Ok(checkpoint)
        } else {
            Err(NoteError::Wrong(
                "the proof does not lead from this entry to the root of the checkpoint",
            ))
        }
    }

    /// Whether its hashes lead from the entry to the root of a checkpoint.
    pub(super) fn leads_to(&self, checkpoint: &Checkpoint) -> bool {
        let leaf = merkle::leaf(&self.entry);
        let root = merkle::root_of_inclusion(leaf, self.index, checkpoint.size, &self.hashes);
        root == Some(checkpoint.root)
    }
}

/// A number as it is to be written.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = STANDARD.encode(&self.entry);
        writeln!(f, "{PROOF}\nextra {entry}\nindex {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::Signer;
    use super::*;

    fn signer() -> Signer {
        Signer::new("probity.dev/a", &[7; 32]).unwrap()
    }

    fn proof() -> Proof {
        let entries: [&[u8]; 3] = [b"a", b"b", b"c"];
        let leaves = entries.map(merkle::leaf);
        let left = merkle::node(&leaves[0], &leaves[1]);
        let head = Checkpoint {
            origin: "probity.dev/a".to_owned(),
            size: 3,
            root: merkle::node(&left, &leaves[2]),
        };
        Proof {
            entry: b"b".to_vec(),
            index: 1,
            hashes: vec![leaves[0], leaves[2]],
            note: head.sign(&signer()),
        }
    }

    #[test]
    fn a_proof_stands_alone() {
        let (proof, signer) = (proof(), signer());
        let read = Proof::parse(&proof.to_string()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.origin().unwrap(), "probity.dev/a");
        assert_eq!(read.verify(signer.verifier()).unwrap().size, 3);
        let other = Proof {
            entry: b"c".to_vec(),
            ..proof.clone()
        };
        assert!(other.verify(signer.verifier()).is_err());
        let moved = Proof { index: 2, ..proof };
        assert!(moved.verify(signer.verifier()).is_err());
    }

    #[test]
    fn no_changed_character_goes_unnoticed() {
        let (text, signer) = (proof().to_string(), signer());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue; // no text
            };
            let read = Proof::parse(&changed).and_then(|proof| proof.verify(signer.verifier()));
            assert!(read.is_err(), "{at} of {text}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_refused() {
        let text = proof().to_string();
        for (from, to) in [
            ("index 1", "index 01"),
            ("index 1", "index +1"),
            ("index 1\n", ""),
            ("extra ", "other "),
            ("@v1", "@v2"),
            ("\n\n", "\n"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(Proof::parse(&changed).is_err(), "{changed}");
        }
    }
}
