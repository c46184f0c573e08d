//! The tiles and bundles of a log as files: what of it has been published.
//!
//! Tiles lie under the paths of C2SP tlog-tiles. Bundles are compressed and lie under `<path>.gz`; a copy that was made to
//! be served by any server holds them plain, under the path itself.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::{
    Compression, Crc, Decompress, FlushDecompress, Status, bufread::GzDecoder, write::GzEncoder,
};

use super::error::LogError;
use super::frame::MAX_ENTRY;
use super::merkle::{Hash, Hashes, hashes_in_level};
use super::plain;
use super::tile::{self, BUNDLE, Of, Tile};
use crate::words::many;

/// The file of the latest checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// Bytes that a bundle can have at most.
const MAX_BUNDLE: u64 = BUNDLE * (2 + MAX_ENTRY as u64);

/// How a gzip file begins that has no name, no time, and comes from no known system (RFC 1952).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Where a bundle is written.
pub(super) fn bundle_path(dir: &Path, tile: Tile) -> PathBuf {
    dir.join(format!("{}.gz", tile.path()))
}

/// A bundle as it is written.
pub(super) fn compress(bundle: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    // Level 6 takes a fifth of the time of 9 for two hundredths more bytes.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bundle)?;
    encoder.finish()
}

/// A bundle as it is served.
pub(super) fn decompress(bytes: &[u8], path: &Path) -> Result<Vec<u8>, LogError> {
    // The header says nothing and is no part of what is checked: it must be the one that we write.
    if bytes.get(..GZIP_HEADER.len()) != Some(&GZIP_HEADER) {
        let reason = "its gzip header is not the one that this program writes".to_owned();
        return Err(corrupt(path, 0, reason));
    }
    if let Some(bundle) = inflate(&bytes[GZIP_HEADER.len()..]) {
        return Ok(bundle);
    }
    let mut bundle = Vec::with_capacity(bytes.len() * 8);
    let mut decoder = GzDecoder::new(bytes);
    (&mut decoder)
        .take(MAX_BUNDLE + 1)
        .read_to_end(&mut bundle)
        .map_err(|error| corrupt(path, 0, format!("what it holds can't be unpacked: {error}")))?;
    if !decoder.get_ref().is_empty() {
        let reason = "something follows the compressed entries".to_owned();
        return Err(corrupt(path, 0, reason));
    }
    if bundle.len() as u64 > MAX_BUNDLE {
        let reason = "it holds more than a bundle can".to_owned();
        return Err(corrupt(path, 0, reason));
    }
    Ok(bundle)
}

/// What follows the header of a gzip file, unpacked at once to the size that its end says; `None` if anything is wrong with it.
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let (deflated, end) = bytes.split_last_chunk::<8>()?;
    let [c0, c1, c2, c3, s0, s1, s2, s3] = *end;
    let size = u32::from_le_bytes([s0, s1, s2, s3]);
    if u64::from(size) > MAX_BUNDLE {
        return None;
    }
    let mut bundle = Vec::with_capacity(size as usize);
    let mut inflater = Decompress::new(false);
    let ended = inflater.decompress_vec(deflated, &mut bundle, FlushDecompress::Finish);
    let is_all = matches!(ended, Ok(Status::StreamEnd))
        && inflater.total_in() == deflated.len() as u64
        && bundle.len() == size as usize;
    let mut sum = Crc::new();
    sum.update(&bundle);
    (is_all && sum.sum() == u32::from_le_bytes([c0, c1, c2, c3])).then_some(bundle)
}

pub(super) fn corrupt(path: &Path, offset: u64, reason: String) -> LogError {
    LogError::Corrupt {
        path: path.to_owned(),
        offset,
        reason,
    }
}

/// The content of a file of a log; `None` if there is none. No tile, bundle or checkpoint is larger than a bundle can be.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    plain::read(path, MAX_BUNDLE)
}

/// A bundle that was read, and from which file.
pub(super) struct Bundle {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Reads a bundle, whether it is kept compressed or plain. `None` if there is none of this width.
pub(super) fn read_bundle(dir: &Path, tile: Tile) -> Result<Option<Bundle>, LogError> {
    let path = bundle_path(dir, tile);
    if let Some(bytes) = read(&path)? {
        let bytes = decompress(&bytes, &path)?;
        return Ok(Some(Bundle { path, bytes }));
    }
    let path = dir.join(tile.path());
    Ok(read(&path)?.map(|bytes| Bundle { path, bytes }))
}

/// The same, also where the whole bundle has replaced this one since: then only its beginning.
pub(super) fn read_beginning(dir: &Path, tile: Tile) -> Result<Option<Bundle>, LogError> {
    if let Some(bundle) = read_bundle(dir, tile)? {
        return Ok(Some(bundle));
    }
    let Some(Bundle { path, mut bytes }) = read_bundle(dir, Tile::whole(tile.of, tile.index))?
    else {
        return Ok(None);
    };
    let entries = tile::entries(&bytes).map_while(Result::ok);
    let length = entries
        .take(usize::from(tile.width))
        .map(|entry| 2 + entry.len())
        .sum();
    bytes.truncate(length);
    Ok(Some(Bundle { path, bytes }))
}

/// The entries of a bundle. `None` if it is not there: not published yet, or pruned.
pub(super) fn read_entries(dir: &Path, tile: Tile) -> Result<Option<Vec<Vec<u8>>>, LogError> {
    let Some(bundle) = read_bundle(dir, tile)? else {
        return Ok(None);
    };
    let entries: Result<Vec<_>, _> = tile::entries(&bundle.bytes)
        .map(|entry| entry.map(<[u8]>::to_vec))
        .collect();
    let torn = |torn: tile::Torn| {
        let reason = "the bundle ends inside of an entry".to_owned();
        corrupt(&bundle.path, torn.offset as u64, reason)
    };
    let entries = entries.map_err(torn)?;
    if entries.len() != usize::from(tile.width) {
        let reason = format!(
            "it has {} instead of {}",
            many(entries.len(), "entry"),
            tile.width
        );
        return Err(corrupt(&bundle.path, 0, reason));
    }
    Ok(Some(entries))
}

/// The hashes of a published tree, read from its tiles.
#[derive(Debug)]
pub(super) struct TileFiles {
    dir: PathBuf,
    size: u64,
    /// The last tile that was read of each level.
    read: BTreeMap<u8, (u64, Vec<Hash>)>,
}

impl TileFiles {
    /// Those of the tree of `size` entries in a folder.
    pub(super) fn new(dir: &Path, size: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            size,
            read: BTreeMap::new(),
        }
    }

    /// The first `width` hashes of a tile.
    pub(super) fn tile(&self, level: u8, index: u64, width: usize) -> Result<Vec<Hash>, LogError> {
        let whole = Tile::whole(Of::Hashes(level), index);
        let partial = Tile {
            width: u16::try_from(width).unwrap_or(256),
            ..whole
        };
        // A whole tile replaces those that led to it, and may do so between two looks.
        for tile in [whole, partial, whole] {
            let path = self.dir.join(tile.path());
            let Some(bytes) = read(&path)? else {
                continue;
            };
            let hashes = tile::decode_hashes(&bytes)
                .filter(|hashes| hashes.len() == usize::from(tile.width));
            let Some(mut hashes) = hashes else {
                let reason = format!("a tile of {} hashes has {} bytes", tile.width, bytes.len());
                return Err(corrupt(&path, 0, reason));
            };
            hashes.truncate(width);
            return Ok(hashes);
        }
        let path = self.dir.join(partial.path());
        Err(corrupt(&path, 0, "the tile is missing".to_owned()))
    }
}

impl Hashes for TileFiles {
    type Error = LogError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, LogError> {
        let (tile, at) = (index / BUNDLE, usize::try_from(index % BUNDLE).unwrap_or(0));
        if self.read.get(&level).is_none_or(|(read, _)| *read != tile) {
            let known = hashes_in_level(self.size, level).saturating_sub(tile * BUNDLE);
            let width = usize::try_from(known.min(BUNDLE)).unwrap_or(0);
            let hashes = self.tile(level, tile, width)?;
            self.read.insert(level, (tile, hashes));
        }
        let hash = self.read.get(&level).and_then(|(_, hashes)| hashes.get(at));
        hash.copied().ok_or_else(|| {
            let path = self.dir.join(Tile::whole(Of::Hashes(level), tile).path());
            let reason = format!("hash {index} of level {level} is beyond the tree");
            corrupt(&path, 0, reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is changed of a file: it is unpacked as it was, or refused.
        #[test]
        fn a_bundle_comes_back_whole_or_not_at_all(
            bundle in prop::collection::vec(0..4_u8, 1..2000), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
            more in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let packed = compress(&bundle).unwrap();
            let at_once = inflate(&packed[GZIP_HEADER.len()..]);
            prop_assert_eq!(at_once.as_ref(), Some(&bundle));
            prop_assert_eq!(&decompress(&packed, Path::new("f")).unwrap(), &bundle);
            let mut changed = packed.clone();
            changed[at.index(packed.len())] ^= flip;
            if let Ok(read) = decompress(&changed, Path::new("f")) {
                prop_assert_eq!(read, bundle);
            }
            prop_assert!(decompress(&packed[..packed.len() - 1], Path::new("f")).is_err());
            let longer = [packed, more].concat();
            let refused = decompress(&longer, Path::new("f")).unwrap_err().to_string();
            prop_assert!(refused.contains("something follows"), "{refused}");
        }
    }
}
