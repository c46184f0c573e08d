//! What a copy of a log consists of, where files are created once and never changed: blobs, bundles and tiles, in an order
//! in which a head comes last of all that it covers.
//!
//! A folder with these files is a log that `verify` takes: only the newest checkpoint is not under a name of its own.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::heads;
use super::merkle::{self, hashes_in_level};
use super::publisher::Published;
use super::raw;
use super::sealed::{self, TileFiles, corrupt};
use super::tile::{self, BUNDLE, Of, Tile};
use super::verify;

/// A file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its path below the folder of the log, with slashes.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// Whether a file that is there under this path says the same. Compressed bytes may differ between versions.
    pub fn is_same(&self, found: &[u8]) -> bool {
        let path = Path::new(&self.path);
        let is_packed = path.extension().is_some_and(|ending| ending == "gz");
        let unpacked = |bytes| sealed::decompress(bytes, path).ok();
        found == self.bytes
            || is_packed
                && unpacked(found).is_some_and(|found| Some(found) == unpacked(&self.bytes))
    }
}

/// The files that a head covers and an earlier one, of `since` entries, does not. The head itself is not among them.
#[derive(Debug)]
pub struct Pieces {
    dir: PathBuf,
    since: u64,
    size: u64,
    tiles: std::vec::IntoIter<Tile>,
    ready: std::vec::IntoIter<Piece>,
}

impl Pieces {
    /// Those of the log in a folder. An error if some of them are gone.
    pub fn new(dir: &Path, since: u64, head: &Checkpoint) -> Result<Self, LogError> {
        let first = raw::first_kept(dir)?;
        if since < first {
            return Err(LogError::Unbegun { has: since, first });
        }
        Ok(Self {
            dir: dir.to_owned(),
            since,
            size: head.size,
            tiles: tiles(since, head.size).into_iter(),
            ready: Vec::new().into_iter(),
        })
    }

    /// How many tiles and bundles are left.
    pub fn left(&self) -> usize {
        self.tiles.len()
    }

    fn read(&self, tile: Tile) -> Result<Vec<Piece>, LogError> {
        let Of::Hashes(level) = tile.of else {
            return self.bundle(tile);
        };
        let files = TileFiles::new(&self.dir, self.size);
        let hashes = files.tile(level, tile.index, usize::from(tile.width))?;
        Ok(vec![Piece {
            path: tile.path(),
            bytes: tile::encode_hashes(&hashes),
        }])
    }

    /// A bundle, behind the blobs to which its entries refer.
    fn bundle(&self, tile: Tile) -> Result<Vec<Piece>, LogError> {
        let whole = Tile::whole(tile.of, tile.index);
        let path = sealed::bundle_path(&self.dir, tile);
        // A bundle that is whole by now has replaced those that led to it.
        let entries = match sealed::read_entries(&self.dir, whole)? {
            Some(entries) => Some(entries),
            None => sealed::read_entries(&self.dir, tile)?,
        };
        let mut entries =
            entries.ok_or_else(|| corrupt(&path, 0, "the bundle is missing".to_owned()))?;
        entries.truncate(usize::from(tile.width));
        let mut pieces = Vec::new();
        for (seq, entry) in (tile.index * BUNDLE..).zip(&entries) {
            if seq < self.since {
                continue;
            }
            let blobs =
                verify::blobs(seq, entry).map_err(|reason| LogError::Entry { seq, reason })?;
            for blob in blobs {
                pieces.push(Piece {
                    bytes: blob.load(&self.dir)?,
                    path: blob.path(Path::new("")).display().to_string(),
                });
            }
        }
        let bundle = tile::bundle(entries.iter().map(Vec::as_slice));
        let bytes = sealed::compress(&bundle).map_err(|source| LogError::Io {
            action: "compress",
            path,
            source,
        })?;
        pieces.push(Piece {
            path: format!("{}.gz", tile.path()),
            bytes,
        });
        Ok(pieces)
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.ready.next() {
                return Some(Ok(piece));
            }
            let tile = self.tiles.next()?;
            match self.read(tile) {
                Ok(pieces) => self.ready = pieces.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The tiles and bundles of a tree of `size` entries that one of `since` entries lacks.
fn tiles(since: u64, size: u64) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = (since / BUNDLE..size / BUNDLE)
        .map(|index| Tile::whole(Of::Entries, index))
        .collect();
    for level in 0u8.. {
        let (before, now) = (hashes_in_level(since, level), hashes_in_level(size, level));
        if now == 0 {
            break;
        }
        let whole = before / BUNDLE..now / BUNDLE;
        tiles.extend(whole.map(|index| Tile::whole(Of::Hashes(level), index)));
    }
    tiles.extend(tile::partial(size));
    tiles
}

/// The files that say a head: its note, and a timestamp over it.
pub fn of_head(published: &Published, timestamp: Option<&[u8]>) -> Vec<Piece> {
    let name = format!("{}/{}", heads::FOLDER, heads::name(published));
    let timestamp = timestamp.map(|bytes| Piece {
        path: format!("{name}.{}", heads::TIMESTAMP),
        bytes: bytes.to_owned(),
    });
    let note = Piece {
        path: format!("{name}.{}", heads::CHECKPOINT),
        bytes: published.note.as_bytes().to_owned(),
    };
    timestamp.into_iter().chain([note]).collect()
}

/// The proof that the first `old` entries of a log are the beginning of its first `new`, a hash in base64 a line.
pub fn consistency(dir: &Path, old: u64, new: u64) -> Result<String, LogError> {
    let hashes = merkle::consistency(&mut TileFiles::new(dir, new), old, new)?;
    let lines = hashes.iter().map(|hash| STANDARD.encode(hash) + "\n");
    Ok(lines.collect())
}

/// The root over the first `size` entries of a log of which `of` are published.
pub fn root(dir: &Path, size: u64, of: u64) -> Result<merkle::Hash, LogError> {
    merkle::range(&mut TileFiles::new(dir, of), 0, size)
}

#[cfg(test)]
mod tests {
    use super::super::samples::time;
    use super::super::verify::{Trust, verify};
    use super::super::{Body, Identity, Record, body::Stop, epochs, key::PrivateKey};
    use super::*;

    const IDENTITY: Identity<'_> = Identity {
        cluster: "c",
        replica: "ns.probity-0",
    };

    /// A log of `n` entries in a data folder; some have blobs.
    fn logged(data: &Path, n: usize) -> (PathBuf, Published) {
        logged_with(data, n, "")
    }

    /// The same, with so much more in each.
    fn logged_with(data: &Path, n: usize, more: &str) -> (PathBuf, Published) {
        let key = PrivateKey::read(&data.join("key")).unwrap();
        let key = key.unwrap_or_else(|| PrivateKey::create(&data.join("key")).unwrap());
        let opened = epochs::open(data, IDENTITY, &key, &[], time(0)).unwrap();
        let records = (0..n).map(|n| {
            let reason = if n % 100 == 7 {
                "x".repeat(70_000 + n)
            } else {
                format!("{n}{more}")
            };
            let reason = reason.into();
            Record::new(time(1), Body::Stop(Stop { reason }))
        });
        opened.log.append(records.collect()).wait().unwrap();
        let head = opened.log.close().unwrap().unwrap();
        (opened.dir, head)
    }

    fn copy(dir: &Path, to: &Path, since: u64, head: &Published) {
        let pieces = Pieces::new(dir, since, &head.checkpoint).unwrap();
        let head = of_head(head, None).into_iter().map(Ok);
        for piece in pieces.chain(head) {
            let piece = piece.unwrap();
            let path = to.join(&piece.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Ok(found) = std::fs::read(&path) {
                assert!(piece.is_same(&found), "{}", piece.path);
            }
            std::fs::write(path, piece.bytes).unwrap();
        }
    }

    #[test]
    fn a_copy_that_grew_head_by_head_is_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let copied = folder.path().join("copy");
        let mut since = 0;
        for n in [3, 200, 60, 700, 1] {
            let (dir, head) = logged(&data, n);
            let to = copied.join("epochs").join(dir.file_name().unwrap());
            copy(&dir, &to, since, &head);
            since = head.checkpoint.size;
            let report = verify(&copied, &Trust::default(), &|_, _| {}).unwrap();
            assert!(report.verified, "{report:#?}");
            assert_eq!(report.logs[0].size, since);
            assert_eq!(report.logs[0].unsigned, 0);
        }
        assert_eq!(since, 965);
        let (all, some) = (tiles(0, since), tiles(600, since));
        assert!(some.iter().all(|tile| all.contains(tile)));
    }

    #[test]
    fn a_copy_that_never_had_what_retention_removed_is_refused_and_one_that_had_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let copied = folder.path().join("copy");
        // Only what is in segments no more can be removed.
        let (dir, early) = logged_with(&data, 600, &"x".repeat(20_000));
        let to = copied.join("epochs").join(dir.file_name().unwrap());
        copy(&dir, &to, 0, &early);
        let pruned = super::super::prune::plan(&dir, time(2), "400 days").unwrap();
        let key = PrivateKey::read(&data.join("key")).unwrap().unwrap();
        let opened = epochs::open(&data, IDENTITY, &key, &[], time(3)).unwrap();
        let pruned = pruned.unwrap();
        let said = Record::new(time(3), Body::Pruned(pruned.clone()));
        opened.log.append(vec![said]).wait().unwrap();
        let head = opened.log.close().unwrap().unwrap();
        super::super::prune::carry_out(&dir, &pruned).unwrap();
        for since in [0, pruned.before - 1] {
            let refused = Pieces::new(&dir, since, &head.checkpoint).unwrap_err();
            assert!(
                matches!(refused, LogError::Unbegun { has, first } if (has, first) == (since, pruned.before)),
                "{refused}"
            );
            assert!(refused.to_string().contains("probity new-key"), "{refused}");
        }
        let since = early.checkpoint.size;
        assert!(since > pruned.before);
        copy(&dir, &to, since, &head);
        let report = verify(&copied, &Trust::default(), &|_, _| {}).unwrap();
        assert!(report.verified, "{report:#?}");
        assert_eq!(report.logs[0].size, head.checkpoint.size);
    }

    #[test]
    fn a_copy_that_lacks_a_file_or_has_another_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (dir, head) = logged(&data, 600);
        let pieces = Pieces::new(&dir, 0, &head.checkpoint).unwrap();
        let paths: Vec<String> = pieces.map(|piece| piece.unwrap().path).collect();
        for path in paths {
            let copied = tempfile::tempdir().unwrap();
            copy(&dir, copied.path(), 0, &head);
            let file = copied.path().join(&path);
            let mut bytes = std::fs::read(&file).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            let changed = verify(copied.path(), &Trust::default(), &|_, _| {}).unwrap();
            assert!(!changed.verified, "{path} was changed");
            std::fs::remove_file(&file).unwrap();
            let removed = verify(copied.path(), &Trust::default(), &|_, _| {}).unwrap();
            assert!(!removed.verified, "{path} was removed");
        }
    }
}
