//! Where the parts of a log lie below its folder or URL, and how entries are bundled: C2SP tlog-tiles. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::frame::MAX_ENTRY;
use super::merkle::{Hash, TILE_WIDTH, hashes_in_level};

/// Entries in a whole bundle.
pub const BUNDLE: u64 = TILE_WIDTH as u64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Entries, in order.
    Entries,
    /// Hashes of this level of tiles.
    Hashes(u8),
}

/// A tile or bundle: up to 256 hashes or entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub of: Of,
    /// Its place among those.
    pub index: u64,
    /// How many it holds, from 1 to 256.
    pub width: u16,
}

impl Tile {
    /// A tile that holds 256.
    pub const fn whole(of: Of, index: u64) -> Self {
        Self {
            of,
            index,
            width: 256,
        }
    }

    /// Whether it will never change again.
    pub const fn is_whole(&self) -> bool {
        self.width as usize == TILE_WIDTH
    }

    /// Its path, with slashes, such as `tile/0/x001/234` or `tile/entries/067.p/12`.
    pub fn path(&self) -> String {
        let of = match self.of {
            Of::Entries => "entries".to_owned(),
            Of::Hashes(level) => level.to_string(),
        };
        let mut index = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            index = format!("x{:03}/{index}", rest % 1000);
            rest /= 1000;
        }
        if self.is_whole() {
            format!("tile/{of}/{index}")
        } else {
            format!("tile/{of}/{index}.p/{}", self.width)
        }
    }
}

/// The tiles at the right edge of a tree of `size` entries that are not whole: the bundle first, then hashes by level.
pub fn partial(size: u64) -> Vec<Tile> {
    let of = |of, hashes: u64| {
        let width = u16::try_from(hashes % BUNDLE).unwrap_or(0);
        (width > 0).then_some(Tile {
            of,
            index: hashes / BUNDLE,
            width,
        })
    };
    let levels = (0u8..).map_while(|level| {
        let hashes = hashes_in_level(size, level);
        (hashes > 0).then(|| of(Of::Hashes(level), hashes))
    });
    of(Of::Entries, size)
        .into_iter()
        .chain(levels.flatten())
        .collect()
}

/// Entries as they lie in a bundle: each behind its length, as two bytes, most significant first.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        debug_assert!(entry.len() <= MAX_ENTRY);
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a bundle. Ends with an error where the bytes end inside an entry.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], Torn>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let offset = bundle.len() - rest.len();
        let entry = rest.split_first_chunk().and_then(|(length, after)| {
            let length = usize::from(u16::from_be_bytes(*length));
            after.split_at_checked(length)
        });
        if let Some((entry, after)) = entry {
            rest = after;
            return Some(Ok(entry));
        }
        rest = &[];
        Some(Err(Torn { offset }))
    })
}

/// A bundle that ends inside of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where that entry begins.
    pub offset: usize,
}

/// Hashes as they lie in a tile.
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// The hashes of a tile. `None` if its bytes are no such row.
pub fn decode_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |of, index, width| Tile { of, index, width }.path();
        assert_eq!(tile(Of::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(Of::Hashes(3), 0, 12), "tile/3/000.p/12");
        assert_eq!(tile(Of::Entries, 999, 256), "tile/entries/999");
        assert_eq!(tile(Of::Entries, 1000, 1), "tile/entries/x001/000.p/1");
    }

    #[test]
    fn the_edge_of_a_tree_has_these_tiles() {
        let paths = |size| partial(size).iter().map(Tile::path).collect::<Vec<_>>();
        assert_eq!(paths(0), Vec::<String>::new());
        assert_eq!(paths(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(paths(256), ["tile/1/000.p/1"]);
        assert_eq!(
            paths(70_000),
            [
                "tile/entries/273.p/112",
                "tile/0/273.p/112",
                "tile/1/001.p/17",
                "tile/2/000.p/1"
            ]
        );
    }

    proptest! {
        #[test]
        fn bundles_give_back_their_entries(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20), cut in 0usize..40) {
            let bytes = bundle(list.iter().map(Vec::as_slice));
            let read: Result<Vec<_>, _> = entries(&bytes).collect();
            prop_assert_eq!(read.unwrap(), list.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let short = &bytes[..bytes.len().saturating_sub(cut)];
            // Cut anywhere, it gives whole entries and at most one error, at the end.
            let read: Vec<_> = entries(short).collect();
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
        }
    }
}
