//! Makes the proof that one entry is in a log, from the files of that log.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::merkle;
use super::note::Note;
use super::proof::Proof;
use super::raw::RawEntries;
use super::sealed::{self, CHECKPOINT, TileFiles, corrupt};
use crate::words::many;

/// Proves that entry `seq` is in the log of a folder, under its last checkpoint.
///
/// The signature of that is left to whoever has the key. Takes no lock: the log may be written meanwhile.
pub fn prove(dir: &Path, seq: u64) -> Result<Proof, LogError> {
    let unprovable = |reason: String| LogError::Unprovable { seq, reason };
    let path = dir.join(CHECKPOINT);
    let note = sealed::read(&path)?
        .ok_or_else(|| corrupt(&path, 0, "there is no checkpoint".to_owned()))?;
    let note = String::from_utf8_lossy(&note).into_owned();
    let head = Note::parse(&note)
        .and_then(|note| Checkpoint::parse(note.text))
        .map_err(|error| corrupt(&path, 0, error.to_string()))?;
    if seq >= head.size {
        return Err(unprovable(format!(
            "the checkpoint covers {}; a new entry is covered within ten seconds",
            many(head.size, "entry")
        )));
    }
    let found = RawEntries::open(dir, seq)?.next().transpose()?;
    let Some(found) = found.filter(|found| found.seq == seq) else {
        let reason = "retention has removed it: only its hash is left".to_owned();
        return Err(unprovable(reason));
    };
    let mut tiles = TileFiles::new(dir, head.size);
    let proof = Proof {
        entry: found.bytes,
        index: seq,
        hashes: merkle::inclusion(&mut tiles, seq, head.size)?,
        note,
    };
    if proof.leads_to(&head) {
        Ok(proof)
    } else {
        let reason = format!("entry {seq} and the tiles do not lead to the root that it says");
        Err(corrupt(&path, 0, reason))
    }
}
