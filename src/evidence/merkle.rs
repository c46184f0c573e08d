//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, and the proofs of RFC 9162 with their checks. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use ring::digest::{Context, SHA256, digest};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Hashes in a whole tile: a tile is eight levels of the tree (C2SP tlog-tiles).
pub const TILE_WIDTH: usize = 256;

/// The hash of an entry.
pub fn leaf(entry: &[u8]) -> Hash {
    let mut hash = Context::new(&SHA256);
    hash.update(&[0]);
    hash.update(entry);
    of(&hash.finish())
}

/// The hash of two neighbours.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut joined = [1; 65];
    joined[1..33].copy_from_slice(left);
    joined[33..].copy_from_slice(right);
    of(&digest(&SHA256, &joined))
}

/// The root of a tree without entries.
pub fn empty() -> Hash {
    of(&digest(&SHA256, &[]))
}

fn of(digest: &ring::digest::Digest) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// The root over hashes whose number is a power of two.
pub fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty(),
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node(&perfect(left), &perfect(right))
        }
    }
}

/// A tile that has just become whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeTile {
    /// Level of tiles, from 0: each holds hashes of `256^level` entries.
    pub level: u8,
    /// Place in the level.
    pub index: u64,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

/// The right edge of a tree that grows: all that must be known to append to it. At most 255 hashes a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The hashes of the incomplete tile of each level.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` entries, from its incomplete tiles, lowest level first.
    ///
    /// Returns `None` if the tiles don't have the widths of such a tree.
    pub fn from_tiles(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let widths = (0..).map_while(|level| {
            let hashes = hashes_in_level(size, level);
            (hashes > 0).then_some(hashes % TILE_WIDTH as u64)
        });
        let found = levels.iter().map(|hashes| hashes.len() as u64);
        widths.eq(found).then_some(Self { size, levels })
    }

    /// Entries in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the incomplete tile of each level, lowest first.
    pub fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Appends a leaf. Returns the tiles that have become whole, lowest first.
    pub fn push(&mut self, leaf: Hash) -> Vec<WholeTile> {
        self.size += 1;
        let mut whole = Vec::new();
        let mut carried = leaf;
        for level in 0u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(carried);
            if self.levels[at].len() < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[at]);
            carried = perfect(&hashes);
            whole.push(WholeTile {
                level,
                index: hashes_in_level(self.size, level) / TILE_WIDTH as u64 - 1,
                hashes,
            });
        }
        whole
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            // From the right: perfect subtrees, smallest first.
            let mut end = hashes.len();
            while end > 0 {
                let start = end - (1 << end.trailing_zeros());
                let left = perfect(&hashes[start..end]);
                root = Some(root.map_or(left, |right| node(&left, &right)));
                end = start;
            }
        }
        root.unwrap_or_else(empty)
    }
}

/// Whole hashes at a level of tiles in a tree of `size` entries.
pub fn hashes_in_level(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// Where the hashes of a tree are kept.
pub trait Hashes {
    /// What reading may fail with.
    type Error;
    /// The hash of the entries from `index * 256^level` on, `256^level` of them.
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// The root over the entries `start..end`, where `start` is a multiple of the smallest power of two that is not less than
/// their number: a node of the tree.
pub fn range<H: Hashes>(hashes: &mut H, start: u64, end: u64) -> Result<Hash, H::Error> {
    let count = end - start;
    if count == 0 {
        return Ok(empty());
    }
    if count.is_power_of_two() && count.trailing_zeros().is_multiple_of(8) {
        let level = count.trailing_zeros() / 8;
        return hashes.hash(u8::try_from(level).unwrap_or(u8::MAX), start / count);
    }
    let middle = start + split(count);
    Ok(node(
        &range(hashes, start, middle)?,
        &range(hashes, middle, end)?,
    ))
}

/// The largest power of two that is less than `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The proof that entry `index` is in the tree of `size` entries: RFC 6962, section 2.1.1. `index < size`.
pub fn inclusion<H: Hashes>(hashes: &mut H, index: u64, size: u64) -> Result<Vec<Hash>, H::Error> {
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(hashes, middle, end)?);
            end = middle;
        } else {
            path.push(range(hashes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` entries is the beginning of that of `new`: RFC 6962, section 2.1.2. `0 < old <= new`.
pub fn consistency<H: Hashes>(hashes: &mut H, old: u64, new: u64) -> Result<Vec<Hash>, H::Error> {
    let mut path = Vec::new();
    let (mut start, mut end) = (0, new);
    while old < end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range(hashes, middle, end)?);
            end = middle;
        } else {
            path.push(range(hashes, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        path.push(range(hashes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// The root that an inclusion proof leads to: RFC 9162, section 2.1.3.2. `None` if the proof can't be one.
pub fn root_of_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut root = leaf;
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = node(sibling, &root);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            root = node(&root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// Whether a proof shows that one tree is the beginning of another: RFC 9162, section 2.1.4.2.
pub fn is_consistent(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        return old == 0 && proof.is_empty() && *old_root == empty();
    }
    let whole;
    let mut path = proof;
    if old.is_power_of_two() {
        whole = *old_root;
    } else {
        let Some((first, rest)) = proof.split_first() else {
            return false;
        };
        (whole, path) = (*first, rest);
    }
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (whole, whole);
    for hash in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = node(hash, &from_old);
            from_new = node(hash, &from_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node(&from_new, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node(&naive(&leaves[..k]), &naive(&leaves[k..]))
            }
        }
    }

    struct Leaves(Vec<Hash>);

    impl Hashes for Leaves {
        type Error = Infallible;
        fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
            let width = 256usize.pow(u32::from(level));
            let start = usize::try_from(index).unwrap() * width;
            Ok(naive(&self.0[start..start + width]))
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(n.to_string().as_bytes())).collect()
    }

    #[test]
    fn the_hashes_are_those_of_the_rfc() {
        // Test vectors of Certificate Transparency's reference implementation.
        let hex = |hash: Hash| crate::evidence::blob::hex(&hash);
        assert_eq!(
            hex(empty()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(leaf(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut edge = Edge::default();
        for input in inputs {
            edge.push(leaf(input));
        }
        assert_eq!(
            hex(edge.root()),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    #[test]
    fn an_edge_that_is_read_back_goes_on() {
        let all = leaves(70_000);
        let mut edge = Edge::default();
        for (n, leaf) in all.iter().enumerate() {
            if [0, 1, 255, 256, 257, 65_535, 65_536, 65_537].contains(&n) {
                assert_eq!(edge.root(), naive(&all[..n]), "{n}");
                let read = Edge::from_tiles(n as u64, edge.levels().to_vec()).unwrap();
                assert_eq!(read, edge);
            }
            let whole = edge.push(*leaf);
            for tile in whole {
                let width = 256usize.pow(u32::from(tile.level));
                let start = usize::try_from(tile.index).unwrap() * width * TILE_WIDTH;
                assert_eq!(start + width * TILE_WIDTH, n + 1);
                assert_eq!(tile.hashes[0], naive(&all[start..start + width]));
            }
        }
        assert!(Edge::from_tiles(3, vec![all[..2].to_vec()]).is_none());
    }

    proptest! {
        #[test]
        fn proofs_hold_and_only_for_what_they_prove(size in 1usize..700, a in 0usize..700, b in 1usize..700, flip in 0usize..32) {
            let all = leaves(size);
            let mut hashes = Leaves(all.clone());
            let root = naive(&all);
            let index = a % size;
            let Ok(proof) = inclusion(&mut hashes, index as u64, size as u64);
            prop_assert_eq!(root_of_inclusion(all[index], index as u64, size as u64, &proof), Some(root));
            let mut wrong = all[index];
            wrong[flip] ^= 1;
            prop_assert_ne!(root_of_inclusion(wrong, index as u64, size as u64, &proof), Some(root));
            if size > 1 {
                let other = (index + 1) % size;
                prop_assert_ne!(root_of_inclusion(all[index], other as u64, size as u64, &proof), Some(root));
            }

            let old = 1 + b % size;
            let old_root = naive(&all[..old]);
            let Ok(proof) = consistency(&mut hashes, old as u64, size as u64);
            prop_assert!(is_consistent((old as u64, &old_root), (size as u64, &root), &proof));
            let mut forked = old_root;
            forked[flip] ^= 1;
            prop_assert!(!is_consistent((old as u64, &forked), (size as u64, &root), &proof));
            let mut longer = proof.clone();
            longer.push(root);
            prop_assert!(!is_consistent((old as u64, &old_root), (size as u64, &root), &longer));
        }

        #[test]
        fn checking_never_panics(index: u64, size: u64, old: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let _ = root_of_inclusion([0; 32], index, size, &proof);
            let _ = is_consistent((old, &[0; 32]), (size, &[1; 32]), &proof);
        }
    }
}
