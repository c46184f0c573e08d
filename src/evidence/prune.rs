//! Removes the beginning of a log that nobody needs any more: the bundles of entries, and only those. Tiles and checkpoints
//! stay, so that every proof and every later root can still be checked; so do entries that still matter for what comes later.
//!
//! In three steps, each safe to repeat: [`plan`] keeps those entries in a blob; an entry says what is about to be removed, and
//! a checkpoint covers that; [`carry_out`] removes it.

use std::path::Path;

use jiff::Timestamp;

use super::blob::Blob;
use super::body::{Body, Pruned};
use super::carried::{Carried, Leaves};
use super::entry::Entry;
use super::error::{At, LogError};
use super::raw::{self, PrunedFile, RawEntries};
use super::reader::decode;
use super::sealed;
use super::segment;
use super::storage::{Disk, Storage};
use super::tile::{BUNDLE, Of, Tile};

/// What can be removed of the log in a folder so that everything from `until` on stays. `None` if that is nothing.
///
/// Keeps the entries of it that still matter in a blob.
pub fn plan(dir: &Path, until: Timestamp, rule: &str) -> Result<Option<Pruned>, LogError> {
    // What is in segments too would not go.
    let sealed = segment::list(dir)?.first().map_or(0, |(first, _)| *first);
    let (mut carried, mut end) = (Carried::default(), 0);
    for raw in RawEntries::open(dir, 0)? {
        let entry = decode(dir, &raw?)?;
        if entry.time >= until || entry.seq >= sealed {
            break;
        }
        end = entry.seq + 1;
    }
    let before = end - end % BUNDLE;
    if before <= raw::first_kept(dir)? {
        return Ok(None);
    }
    each(dir, before, |entry, _| carried.note(entry.seq, &entry.body))?;
    let needed = carried.needed();
    drop(carried);
    let (mut leaves, mut lines) = (Leaves::default(), Vec::new());
    each(dir, before, |entry, bytes| {
        if leaves.note(&entry.body, needed.contains(&entry.seq)) {
            lines.extend_from_slice(bytes);
            lines.push(b'\n');
        }
    })?;
    let blob = Blob::new(lines);
    blob.store(dir, &Disk)?;
    Ok(Some(Pruned {
        before,
        until,
        rule: rule.to_owned(),
        carried: Some(blob.reference()),
    }))
}

/// Reads the entries before a number.
fn each(dir: &Path, before: u64, mut take: impl FnMut(&Entry, &[u8])) -> Result<(), LogError> {
    for raw in RawEntries::open(dir, 0)? {
        let raw = raw?;
        if raw.seq >= before {
            break;
        }
        take(&decode(dir, &raw)?, &raw.bytes);
    }
    Ok(())
}

/// What the signed part of a log says that is to be removed, and is not yet: a crash came in between.
pub fn said(dir: &Path) -> Result<Option<Pruned>, LogError> {
    let (size, first) = (
        raw::published_size(dir)?.unwrap_or(0),
        raw::first_kept(dir)?,
    );
    let mut said = None;
    each(dir, size, |entry, _| {
        if let Body::Pruned(pruned) = &entry.body
            && pruned.before > first
        {
            said = Some(pruned.clone());
        }
    })?;
    Ok(said)
}

/// Removes what an entry under the published checkpoint says.
pub fn carry_out(dir: &Path, said: &Pruned) -> Result<(), LogError> {
    carry_out_on(dir, &Disk, said)
}

pub(super) fn carry_out_on(
    dir: &Path,
    storage: &dyn Storage,
    said: &Pruned,
) -> Result<(), LogError> {
    let Some(carried) = said.carried.clone() else {
        // Whatever it removed, nobody could tell any more what still matters.
        return Err(LogError::Unsaid {
            before: said.before,
        });
    };
    let earlier = raw::pruned(dir)?;
    let now = PrunedFile {
        before: said.before,
        carried,
    };
    raw::say_pruned(dir, storage, &now)?;
    for index in 0..said.before / BUNDLE {
        let tile = Tile::whole(Of::Entries, index);
        for path in [sealed::bundle_path(dir, tile), dir.join(tile.path())] {
            if path.exists() {
                storage.remove(&path).at("remove", &path)?;
            }
        }
    }
    match earlier {
        Some(earlier) if earlier.carried != now.carried => {
            let path = earlier.carried.path(dir);
            if path.exists() {
                storage.remove(&path).at("remove", &path)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
