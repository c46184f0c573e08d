//! Checks what retention has removed: only what a signed entry says, and what is carried of it.

use super::Log;
use crate::evidence::body::Pruned;
use crate::evidence::error::LogError;
use crate::evidence::merkle::{self, TILE_WIDTH};
use crate::evidence::raw::Lines;
use crate::evidence::sealed::{self, TileFiles};
use crate::evidence::segment::RawEntry;
use crate::evidence::tile::{BUNDLE, Of, Tile};
use crate::evidence::verify::facts::{self, Fact};

impl Log<'_, '_> {
    /// Takes the hashes of what retention has removed from the tiles, and compares with them the entries that are carried.
    pub(super) fn pruned(&mut self) -> Result<(), LogError> {
        let Some(pruned) = &self.removed else {
            return Ok(());
        };
        let blob = pruned.carried.path(self.dir);
        let mut lines = match Lines::open(self.dir, pruned) {
            Ok(lines) => Some(lines),
            Err(error) => {
                self.report.add_error(&error, self.data);
                None
            }
        };
        let mut carried = self.next_carried(&mut lines, 0);
        let tiles = TileFiles::new(self.dir, self.size);
        for index in 0..self.report.first / BUNDLE {
            let hashes = match tiles.tile(0, index, TILE_WIDTH) {
                Ok(hashes) => hashes,
                Err(error) if error.is_damage() => {
                    self.report.add_error(&error, self.data);
                    break;
                }
                Err(error) => return Err(error),
            };
            while let Some(entry) = carried.take_if(|entry| entry.seq / BUNDLE <= index) {
                let at = usize::try_from(entry.seq % BUNDLE).unwrap_or(0);
                let is_in_tree = entry.seq / BUNDLE == index
                    && hashes.get(at) == Some(&merkle::leaf(&entry.bytes));
                match facts::read(entry.seq, &entry.bytes) {
                    Ok(fact) if is_in_tree => {
                        self.recall(&fact);
                        self.hearing.tell(self.dir, entry.seq, &entry.bytes, None);
                    }
                    Ok(_) => {
                        let what = "this entry, which is carried, is not the one whose hash is in the tree";
                        self.problem(Some(entry.seq), &blob, what.to_owned());
                    }
                    Err(what) => self.problem(Some(entry.seq), &blob, what),
                }
                carried = self.next_carried(&mut lines, entry.seq + 1);
            }
            for leaf in hashes {
                let whole = self.edge.push(leaf);
                self.compare_tiles(whole.get(1..).unwrap_or_default());
                self.heads.compare(&self.edge, &mut self.report);
            }
        }
        if let Some(entry) = carried {
            let what = "this entry is carried, and was not removed".to_owned();
            self.problem(Some(entry.seq), &blob, what);
        }
        Ok(())
    }

    pub(super) fn next_carried(
        &mut self,
        lines: &mut Option<Lines>,
        from: u64,
    ) -> Option<RawEntry> {
        match lines.as_mut()?.next(from) {
            Ok(entry) => entry,
            Err(error) => {
                self.report.add_error(&error, self.data);
                *lines = None;
                None
            }
        }
    }

    pub(super) fn recall(&mut self, fact: &Fact) {
        let odd = self.story.recall(fact);
        self.said(fact, odd);
    }

    /// Only what a signed entry says may be missing, and what it says that is carried must be.
    pub(super) fn compare_removed(&mut self, said: &[Pruned]) {
        let Some(removed) = &self.removed else {
            return;
        };
        let is_said = |said: &Pruned| {
            said.before == removed.before && said.carried.as_ref() == Some(&removed.carried)
        };
        if !said.iter().any(is_said) {
            let file = sealed::bundle_path(self.dir, Tile::whole(Of::Entries, 0));
            let what = format!(
                "the entries before {} are missing, and no entry says that retention has removed them, and carries just these",
                removed.before
            );
            self.problem(Some(0), &file, what);
        }
    }
}
