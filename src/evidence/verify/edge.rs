//! Compares what was computed with the checkpoint, and with the partial tiles at the edge.

use std::path::PathBuf;

use super::log::Log;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::error::LogError;
use crate::evidence::sealed::{self, CHECKPOINT};
use crate::evidence::tile::{self, Of, Tile};
use crate::words::{either, many};

impl Log<'_, '_> {
    /// Compares what the entries lead to with what was signed.
    pub(super) fn compare_root(&mut self, head: &Checkpoint) {
        let path = self.dir.join(CHECKPOINT);
        if self.edge.size() != head.size {
            let there = self.edge.size();
            let what = format!(
                "it says {}, and {there} {} there",
                many(head.size, "entry"),
                either(there, "is", "are")
            );
            self.problem(None, &path, what);
        } else if self.edge.root() != head.root {
            let what = "the entries lead to another root than was signed".to_owned();
            self.problem(None, &path, what);
        }
    }

    /// Compares the partial tiles at the edge, also those that earlier checkpoints have left there: each is a beginning of
    /// what is there now.
    pub(super) fn compare_edge(&mut self) -> Result<(), LogError> {
        for tile in tile::partial(self.size) {
            let parts = self.parts(tile);
            for width in 1..=tile.width {
                let partial = Tile { width, ..tile };
                let (path, found) = match self.file(partial) {
                    Ok((path, found)) => (path, found),
                    Err(error) if error.is_damage() => {
                        self.report.add_error(&error, self.data);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let beginning = parts.iter().take(usize::from(width)).map(Vec::as_slice);
                let expected = match tile.of {
                    Of::Entries => tile::bundle(beginning),
                    Of::Hashes(_) => beginning.collect::<Vec<_>>().concat(),
                };
                if parts.len() < usize::from(width) && found.is_some() {
                    continue; // what it must hold is not known: that was said before
                }
                let what = match found {
                    Some(found) if found == expected => continue,
                    Some(_) => "it does not hold what the entries lead to",
                    None if width < tile.width => continue, // an earlier one, which nobody needs
                    // A log that is being written: the whole one has come since, and this one went.
                    None if self.is_whole_by_now(tile) => continue,
                    None => "the tile is missing",
                };
                self.problem(None, &path, what.to_owned());
            }
        }
        Ok(())
    }

    /// What a partial tile must hold, piece by piece.
    fn parts(&self, tile: Tile) -> Vec<Vec<u8>> {
        match tile.of {
            Of::Entries => self.entries_of(tile.index),
            Of::Hashes(level) => {
                let hashes = self.edge.levels().get(usize::from(level));
                let hashes = hashes.into_iter().flatten();
                hashes.map(|hash| hash.to_vec()).collect()
            }
        }
    }

    /// Whether the whole tile is there, and this one is its beginning.
    fn is_whole_by_now(&self, tile: Tile) -> bool {
        let whole = Tile::whole(tile.of, tile.index);
        matches!(self.file(whole), Ok((_, Some(found))) if self.begins_with(tile, &found))
    }

    /// Whether a whole tile begins with what this partial one must hold.
    fn begins_with(&self, tile: Tile, found: &[u8]) -> bool {
        let parts = self.parts(tile);
        let expected = match tile.of {
            Of::Entries => tile::bundle(parts.iter().map(Vec::as_slice)),
            Of::Hashes(_) => parts.concat(),
        };
        found.starts_with(&expected)
    }

    /// The file of a tile, and what is in it.
    fn file(&self, tile: Tile) -> Result<(PathBuf, Option<Vec<u8>>), LogError> {
        if tile.of == Of::Entries {
            return Ok(match sealed::read_bundle(self.dir, tile)? {
                Some(bundle) => (bundle.path, Some(bundle.bytes)),
                None => (sealed::bundle_path(self.dir, tile), None),
            });
        }
        let path = self.dir.join(tile.path());
        let found = sealed::read(&path)?;
        Ok((path, found))
    }
}
