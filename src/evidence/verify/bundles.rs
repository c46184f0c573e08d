//! Reads all bundles on every processor and gives them back in order.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::facts::{self, Fact, Read};
use super::report::Problem;
use crate::evidence::decode::{Beats, Decoder};
use crate::evidence::merkle::{Hash, leaf};
use crate::evidence::sealed::{self, TileFiles};
use crate::evidence::tile::{self, Of, Tile};
use crate::words::many;

/// Bundles that wait to be taken, for each thread: what bounds the memory.
const AHEAD: usize = 4;

/// A bundle that was read.
pub(super) struct Checked {
    /// Leaf hashes: of its entries, or where it can't be read, those that its tile claims.
    pub(super) leaves: Vec<Hash>,
    pub(super) facts: Vec<Fact>,
    pub(super) problems: Vec<Problem>,
    /// The entries themselves, where somebody wants to hear them.
    pub(super) heard: Option<Heard>,
}

/// The entries of a bundle, for somebody to hear.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) bytes: Vec<u8>,
    /// Those that were read already, by their place. A heartbeat is told from the one before it in the same bundle.
    pub(super) read: Vec<Option<Read>>,
}

/// What to read.
pub(super) struct Span<'a> {
    pub(super) dir: &'a Path,
    /// The folder below which problems name files.
    pub(super) data: &'a Path,
    /// Bundles `first..end`, then the partial one at the edge of `size`.
    pub(super) first: u64,
    pub(super) size: u64,
    /// Whether somebody wants to hear the entries.
    pub(super) heard: bool,
}

impl Span<'_> {
    /// The bundles, in order.
    fn tiles(&self) -> impl Iterator<Item = Tile> + Clone {
        let whole =
            (self.first..self.size / tile::BUNDLE).map(|index| Tile::whole(Of::Entries, index));
        let width = u16::try_from(self.size % tile::BUNDLE).unwrap_or(0);
        let partial = Tile {
            of: Of::Entries,
            index: self.size / tile::BUNDLE,
            width,
        };
        whole.chain((width > 0).then_some(partial))
    }

    /// Reads all of them and hands each to `sink`, in order.
    pub(super) fn read(&self, mut sink: impl FnMut(Checked)) {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let mut lanes = Vec::new();
            for lane in 0..threads {
                let (sender, receiver) = sync_channel(AHEAD);
                let mine = self.tiles().skip(lane).step_by(threads);
                scope.spawn(move || {
                    let mut decoder = Decoder::default();
                    for tile in mine {
                        if sender.send(self.check(tile, &mut decoder)).is_err() {
                            return; // nobody wants more
                        }
                    }
                });
                lanes.push(receiver);
            }
            for lane in (0..threads).cycle() {
                match lanes.get(lane).and_then(|lane| lane.recv().ok()) {
                    Some(checked) => sink(checked),
                    None => return,
                }
            }
        });
    }

    fn problem(&self, entry: Option<u64>, file: &Path, byte: Option<u64>, what: String) -> Problem {
        Problem {
            entry,
            file: below(self.data, file),
            byte,
            what,
        }
    }

    /// Reads one bundle and the tile of its leaf hashes.
    fn check(&self, tile: Tile, decoder: &mut Decoder) -> Checked {
        let mut problems = Vec::new();
        let tiles = TileFiles::new(self.dir, self.size);
        let claimed = tiles.tile(0, tile.index, usize::from(tile.width));
        let claimed = claimed.map_err(|error| problems.push(self.damage(&error)));
        let claimed = claimed.unwrap_or_default();
        let mut checked = match sealed::read_beginning(self.dir, tile) {
            Ok(Some(bundle)) => {
                let mut checked = self.entries(tile, &bundle, &claimed, decoder);
                if let Some(heard) = &mut checked.heard {
                    heard.bytes = bundle.bytes;
                }
                checked
            }
            Ok(None) => {
                let what = format!(
                    "the bundle with the entries from {} on is missing",
                    tile.index * tile::BUNDLE
                );
                let path = sealed::bundle_path(self.dir, tile);
                unread(claimed, self.problem(None, &path, None, what))
            }
            Err(error) => unread(claimed, self.damage(&error)),
        };
        checked.problems.extend(problems);
        checked
    }

    fn damage(&self, error: &crate::evidence::LogError) -> Problem {
        let mut report = super::LogReport::default();
        report.add_error(error, self.data);
        report.problems.remove(0)
    }

    fn entries(
        &self,
        tile: Tile,
        bundle: &sealed::Bundle,
        claimed: &[Hash],
        decoder: &mut Decoder,
    ) -> Checked {
        let width = usize::from(tile.width);
        let mut checked = Checked {
            leaves: Vec::with_capacity(width),
            facts: Vec::with_capacity(width),
            problems: Vec::new(),
            heard: self.heard.then(Heard::default),
        };
        let mut beats = Beats::default();
        let (mut seq, mut offset) = (tile.index * tile::BUNDLE, 0);
        for entry in tile::entries(&bundle.bytes) {
            let Ok(bytes) = entry else {
                let what = "the bundle ends inside of this entry".to_owned();
                let problem = self.problem(Some(seq), &bundle.path, Some(offset), what);
                checked.problems.push(problem);
                break;
            };
            let hash = leaf(bytes);
            let signed = claimed.get(checked.leaves.len());
            if signed.is_some_and(|signed| *signed != hash) {
                let what = "this entry is not the one whose hash is in the tree".to_owned();
                let problem = self.problem(Some(seq), &bundle.path, Some(offset), what);
                checked.problems.push(problem);
            }
            let heard = checked.heard.as_ref();
            let (fact, whole) = match heard.and_then(|_| facts::whole(&mut beats, seq, bytes)) {
                Some((fact, read)) => (Ok(fact), Some(read)),
                None => (facts::read_with(decoder, seq, bytes), None),
            };
            match fact {
                Ok(fact) => checked.facts.push(fact),
                Err(what) => {
                    let problem = self.problem(Some(seq), &bundle.path, Some(offset), what);
                    checked.problems.push(problem);
                }
            }
            if let Some(heard) = &mut checked.heard {
                heard.read.push(whole);
            }
            checked.leaves.push(hash);
            seq += 1;
            offset += 2 + bytes.len() as u64;
        }
        if checked.leaves.len() != width {
            let what = format!(
                "it has {}, not {width}",
                many(checked.leaves.len(), "entry")
            );
            let problem = self.problem(None, &bundle.path, None, what);
            checked.problems.push(problem);
            // The rest of the tree is judged by what the tiles claim.
            if claimed.len() == width {
                checked.leaves = claimed.to_vec();
            }
        }
        checked
    }
}

/// A bundle that can't be read: the rest of the tree is judged by what its tile claims.
fn unread(leaves: Vec<Hash>, problem: Problem) -> Checked {
    Checked {
        leaves,
        facts: Vec::new(),
        problems: vec![problem],
        heard: None,
    }
}

/// A path below the folder that is checked.
pub(super) fn below(data: &Path, file: &Path) -> PathBuf {
    file.strip_prefix(data).unwrap_or(file).to_owned()
}
