//! Signed notes (C2SP signed-note) with Ed25519 keys. Pure.
//!
//! ```text
//! text, one or more lines
//!
//! — <key name> base64(4 bytes of key id, signature)
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};

/// The type byte of Ed25519 keys.
const ED25519_TYPE: u8 = 1;

/// What begins a line of a signature: an em dash and a blank.
const DASH: &str = "— ";

/// More signatures than any note has: what a reader looks at is bounded.
const MOST_SIGNATURES: usize = 100;

/// Why a note, or a key for notes, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not written as the specification says.
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    /// It is well written, and says something else than it should.
    #[error("{0}")]
    Wrong(&'static str),
    /// The key that was given has not signed it.
    #[error("it is not signed with the key {0}")]
    Unsigned(String),
    /// There is a signature of the key's id, and it is false.
    #[error(
        "the signature of {0} is false: the text was changed, or another key of the same id signed it"
    )]
    Forged(String),
    /// A verifier key can't be read.
    #[error("this is no verifier key, which looks like name+1234abcd+AbCd…: {0}")]
    Key(&'static str),
}

/// A key to check signatures with: a *vkey*.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: [u8; 32],
}

impl VerifierKey {
    /// The key under a name, which for a log is its origin.
    ///
    /// Fails for names that a note can't carry: empty ones, and those with blanks or a plus sign.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        if name.is_empty() || name.contains(char::is_whitespace) || name.contains('+') {
            return Err(NoteError::Key(
                "its name is empty or has a blank or a plus sign",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// Reads a key as [`fmt::Display`] writes it.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has no three parts"));
        };
        let bytes = STANDARD
            .decode(key)
            .map_err(|_| NoteError::Key("its last part is no base64"))?;
        let [ED25519_TYPE, key @ ..] = &*bytes else {
            return Err(NoteError::Key("it is not of type Ed25519"));
        };
        let key =
            <[u8; 32]>::try_from(key).map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let read = Self::new(name, key)?;
        if super::blob::hex(&read.id()) != id {
            return Err(NoteError::Key("its id does not belong to its name and key"));
        }
        Ok(read)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The same key under another name.
    pub fn named(&self, name: &str) -> Result<Self, NoteError> {
        Self::new(name, self.key)
    }

    /// What a signature line names the key by.
    pub fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update([b'\n', ED25519_TYPE]);
        hash.update(self.key);
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = super::blob::hex(&self.id());
        let key = STANDARD.encode([&[ED25519_TYPE], self.key.as_slice()].concat());
        write!(f, "{}+{id}+{key}", self.name)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signs notes. Its private half is never shown.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Signer {
    /// A signer with a private key of 32 bytes, under a name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| NoteError::Key("a private Ed25519 key has 32 bytes"))?;
        let key = <[u8; 32]>::try_from(pair.public_key().as_ref())
            .map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        Ok(Self {
            verifier: VerifierKey::new(name, key)?,
            pair,
        })
    }

    /// The key that checks what this signs.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A note with one signature. `text` ends with a newline.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(text))
    }

    /// The bare Ed25519 signature of some bytes, for formats other than notes.
    pub fn signature(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }

    /// The line of a signature, with its newline.
    fn line(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let payload = [&self.verifier.id(), signature.as_ref()].concat();
        format!(
            "{DASH}{} {}\n",
            self.verifier.name,
            STANDARD.encode(payload)
        )
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

/// One signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub id: [u8; 4],
    /// What follows the id: for Ed25519 keys the signature.
    pub payload: Vec<u8>,
}

/// A text with signatures, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text, with its last newline.
    pub text: &'a str,
    /// Its signatures.
    pub signatures: Vec<Signature>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        let malformed = |reason| Err(NoteError::Malformed(reason));
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return malformed("it has control characters");
        }
        let Some(end) = note.rfind("\n\n") else {
            return malformed("no empty line separates text and signatures");
        };
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        if !lines.ends_with('\n') {
            return malformed("its last line is not complete");
        }
        let lines: Vec<&str> = lines.lines().collect();
        if lines.is_empty() || lines.len() > MOST_SIGNATURES {
            return malformed("it has no signature, or too many");
        }
        let signatures: Option<Vec<_>> = lines.into_iter().map(signature).collect();
        match signatures {
            Some(signatures) => Ok(Self { text, signatures }),
            None => malformed("a line below the text is no signature"),
        }
    }

    /// Checks that a key has signed it. Signatures of others are ignored.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let id = key.id();
        let ours = self
            .signatures
            .iter()
            .find(|signature| signature.name == key.name && signature.id == id)
            .ok_or_else(|| NoteError::Unsigned(key.to_string()))?;
        UnparsedPublicKey::new(&ED25519, key.key)
            .verify(self.text.as_bytes(), &ours.payload)
            .map_err(|_| NoteError::Forged(key.to_string()))
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, payload) = line.strip_prefix(DASH)?.split_once(' ')?;
    let payload = STANDARD.decode(payload).ok()?;
    let (id, payload) = payload.split_first_chunk()?;
    (!name.is_empty() && !payload.is_empty()).then(|| Signature {
        name: name.to_owned(),
        id: *id,
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer() -> Signer {
        Signer::new("example.com/log", &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_of_go_is_read_and_written_as_it_was() {
        // From the documentation of Go's golang.org/x/mod/sumdb/note.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\
                    \n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        Note::parse(note).unwrap().verify(&key).unwrap();
    }

    #[test]
    fn what_is_signed_can_be_checked_and_nothing_else() {
        let signer = signer();
        let note = signer.sign("origin\n1\nAA==\n");
        let parsed = Note::parse(&note).unwrap();
        assert_eq!(parsed.text, "origin\n1\nAA==\n");
        parsed.verify(signer.verifier()).unwrap();
        let changed = note.replace("\n1\n", "\n2\n");
        assert!(matches!(
            Note::parse(&changed).unwrap().verify(signer.verifier()),
            Err(NoteError::Forged(_))
        ));
        let other = Signer::new("example.com/log", &[8; 32]).unwrap();
        assert!(matches!(
            parsed.verify(other.verifier()),
            Err(NoteError::Unsigned(_))
        ));
        assert!(!format!("{signer:?}").contains("0707"));
    }

    #[test]
    fn other_signatures_do_no_harm() {
        let signer = signer();
        let text = "origin\n1\nAA==\n";
        let witness = Signer::new("witness", &[9; 32]).unwrap();
        let note = format!("{}{}", signer.sign(text), witness.line(text));
        let note = Note::parse(&note).unwrap();
        note.verify(signer.verifier()).unwrap();
        note.verify(witness.verifier()).unwrap();
    }

    #[test]
    fn bad_keys_say_what_is_wrong() {
        let good = signer().verifier().to_string();
        for bad in [
            "",
            "a+b",
            "a b+00000000+AQ==",
            &good.replace("log", "lag"),
            "x+00000000+Ag==",
        ] {
            assert!(
                matches!(VerifierKey::parse(bad), Err(NoteError::Key(_))),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[\\n— a-zA-Z0-9+/=]{0,200}") {
            if let Ok(note) = Note::parse(&text) {
                prop_assert!(note.verify(signer().verifier()).is_err());
            }
        }
    }
}
