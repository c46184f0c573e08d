//! What witnesses add to checkpoints: C2SP tlog-cosignature, cosignature/v1. A witness signs a checkpoint of a log only if it
//! goes on from the last one that it signed, so that nobody can be shown another history. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::note::{Note, NoteError};

/// What the key's type is in its id and text.
const TYPE: u8 = 0x04;

/// The key of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: [u8; 32],
}

impl WitnessKey {
    /// Reads `name+id+base64`, in which the key is of type cosignature/v1.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::Key;
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("a witness's key is written as name+id+base64"));
        };
        let bytes = STANDARD
            .decode(key)
            .map_err(|_| wrong("its last part is not base64"))?;
        let Some((&TYPE, key)) = bytes.split_first() else {
            return Err(wrong("it is not of type cosignature/v1 with Ed25519"));
        };
        let key = key
            .try_into()
            .map_err(|_| wrong("an Ed25519 key has 32 bytes"))?;
        let name = name.to_owned();
        let read = Self { name, key };
        if super::blob::hex(&read.id()) == id {
            Ok(read)
        } else {
            Err(wrong("its id does not belong to its name and key"))
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update([b'\n', TYPE]);
        hash.update(self.key);
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        [a, b, c, d]
    }

    /// When this witness signed a note; `None` if it did not.
    pub fn check(&self, note: &Note<'_>) -> Result<Option<Timestamp>, NoteError> {
        let id = self.id();
        let ours = note
            .signatures
            .iter()
            .find(|signature| signature.name == self.name && signature.id == id);
        let Some(ours) = ours else {
            return Ok(None);
        };
        let forged = || NoteError::Forged(self.to_string());
        let (time, signature) = ours.payload.split_first_chunk().ok_or_else(forged)?;
        let time = u64::from_be_bytes(*time);
        let signed = format!("cosignature/v1\ntime {time}\n{}", note.text);
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(signed.as_bytes(), signature)
            .map_err(|_| forged())?;
        let time = i64::try_from(time).ok();
        let time = time.and_then(|time| Timestamp::from_second(time).ok());
        time.map(Some).ok_or_else(forged)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = super::blob::hex(&self.id());
        let key = STANDARD.encode([&[TYPE], self.key.as_slice()].concat());
        write!(f, "{}+{id}+{key}", self.name)
    }
}

/// A note with the signatures that a witness answered with, line by line.
pub fn add(note: &str, lines: &str) -> String {
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.fold(note.to_owned(), |note, line| note + line + "\n")
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::super::note::Signer;
    use super::*;

    /// A witness: its key, and what it answers.
    pub(in super::super) struct Witness(Ed25519KeyPair, pub(in super::super) WitnessKey);

    impl Witness {
        pub(in super::super) fn new() -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
            let key = pair.public_key().as_ref().try_into().unwrap();
            let name = "witness.example/w".to_owned();
            Self(pair, WitnessKey { name, key })
        }

        pub(in super::super) fn cosign(&self, note: &str, time: u64) -> String {
            let text = Note::parse(note).unwrap().text;
            let signed = self
                .0
                .sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
            let payload = [&self.1.id()[..], &time.to_be_bytes(), signed.as_ref()].concat();
            format!("— {} {}\n", self.1.name, STANDARD.encode(payload))
        }
    }

    #[test]
    fn a_cosignature_says_when_and_nothing_else_passes() {
        let (witness, log) = (Witness::new(), Signer::new("l", &[7; 32]).unwrap());
        let note = log.sign("l\n1\nAA==\n");
        let check = |note: &str| witness.1.check(&Note::parse(note).unwrap());
        assert_eq!(check(&note), Ok(None));
        let cosigned = add(&note, &witness.cosign(&note, 1_767_225_600));
        let time = check(&cosigned).unwrap().unwrap();
        assert_eq!(time.to_string(), "2026-01-01T00:00:00Z");
        Note::parse(&cosigned)
            .unwrap()
            .verify(log.verifier())
            .unwrap();
        let other = cosigned.replace("\n1\n", "\n2\n");
        assert!(matches!(check(&other), Err(NoteError::Forged(_))));
    }

    #[test]
    fn keys_come_back_and_wrong_ones_are_told() {
        let key = Witness::new().1;
        let text = key.to_string();
        assert_eq!(WitnessKey::parse(&text), Ok(key));
        let log = Signer::new("l", &[7; 32]).unwrap().verifier().to_string();
        for bad in ["", "a+b", &text.replace("example", "other"), &log] {
            assert!(
                matches!(WitnessKey::parse(bad), Err(NoteError::Key(_))),
                "{bad}"
            );
        }
    }
}
