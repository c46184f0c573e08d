//! Publishes the log as a tree: what is durable in the segments becomes bundles, tiles and a signed checkpoint. Segments whose
//! entries are all in whole bundles are removed: sealed.
//!
//! Order, each step durable before the next: bundles and tiles, the checkpoint over them, the removal of what they replace.
//! So a crash anywhere leaves the last checkpoint with all that it covers, and publishing starts from there again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::checkpoint::Checkpoint;
use super::error::{At, LogError};
use super::history;
use super::merkle::{Edge, WholeTile, hashes_in_level, leaf};
use super::note::{Signer, VerifierKey};
use super::sealed::{self, CHECKPOINT, TileFiles, corrupt};
use super::segment::{self, Frames};
use super::storage::{self, Storage};
use super::tile::{self, BUNDLE, Of, Tile};

/// A checkpoint, and the note that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The tree head.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: String,
}

/// Publishes one log.
pub(super) struct Publisher {
    dir: PathBuf,
    storage: Box<dyn Storage>,
    signer: Signer,
    edge: Edge,
    /// The entries of the bundle that is not whole.
    bundle: Vec<Vec<u8>>,
    latest: Option<Published>,
    /// Folders with names that are not durable yet.
    touched: BTreeSet<PathBuf>,
}

impl Publisher {
    /// Takes up where the last checkpoint in the folder stands, which the signer's key must have signed.
    pub(super) fn open(
        dir: &Path,
        storage: Box<dyn Storage>,
        signer: Signer,
    ) -> Result<Self, LogError> {
        let mut publisher = Self {
            dir: dir.to_owned(),
            storage,
            signer,
            edge: Edge::default(),
            bundle: Vec::new(),
            latest: None,
            touched: BTreeSet::new(),
        };
        publisher.take_up()?;
        Ok(publisher)
    }

    /// The key that checks what this signs.
    pub(super) fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// The last checkpoint.
    pub(super) fn latest(&self) -> Option<&Published> {
        self.latest.as_ref()
    }

    /// Publishes the entries before number `end`, which are durable. Safe to repeat, also after a failure.
    pub(super) fn publish(&mut self, end: u64) -> Result<(), LogError> {
        let result = self.try_publish(end);
        if result.is_err() {
            // What was gathered is not what is on the disk.
            self.take_up()?;
        }
        result
    }

    /// Keeps the last checkpoint for ever: it is one that others may have been shown.
    pub(super) fn keep(&self, now: Timestamp) -> Result<(), LogError> {
        match &self.latest {
            Some(published) => history::append(&self.dir, &*self.storage, &published.note, now),
            None => Ok(()),
        }
    }

    fn take_up(&mut self) -> Result<(), LogError> {
        (self.edge, self.bundle, self.latest) = (Edge::default(), Vec::new(), None);
        let path = self.dir.join(CHECKPOINT);
        let Some(bytes) = sealed::read(&path)? else {
            return Ok(());
        };
        let invalid = |reason: String| corrupt(&path, 0, reason);
        let note = String::from_utf8(bytes).map_err(|_| invalid("it is no text".to_owned()))?;
        let checkpoint = Checkpoint::open(&note, self.signer.verifier())
            .map_err(|error| invalid(error.to_string()))?;
        let size = checkpoint.size;
        let tiles = TileFiles::new(&self.dir, size);
        let mut levels = Vec::new();
        for level in 0u8.. {
            let hashes = hashes_in_level(size, level);
            if hashes == 0 {
                break;
            }
            let width = usize::try_from(hashes % BUNDLE).unwrap_or(0);
            levels.push(match width {
                0 => Vec::new(),
                width => tiles.tile(level, hashes / BUNDLE, width)?,
            });
        }
        let edge = Edge::from_tiles(size, levels).filter(|edge| edge.root() == checkpoint.root);
        self.edge = edge.ok_or_else(|| {
            invalid("the tiles beside it lead to another root than it says".to_owned())
        })?;
        self.bundle = self.entries_since(size - size % BUNDLE, size)?;
        let known = self.edge.levels().first().map_or(&[][..], Vec::as_slice);
        for (entry, hash) in self.bundle.iter().zip(known) {
            if leaf(entry) != *hash {
                let reason = "an entry at its end is not the one whose hash was signed".to_owned();
                return Err(corrupt(&self.dir.join(segment::WAL), 0, reason));
            }
        }
        self.latest = Some(Published { checkpoint, note });
        Ok(())
    }

    /// The entries `from..end`, from the segments.
    fn entries_since(&self, from: u64, end: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let mut entries = Vec::new();
        let mut frames = Frames::open(&self.dir, from)?;
        for seq in from..end {
            match frames.next().transpose()? {
                Some(entry) if entry.seq == seq => entries.push(entry.bytes),
                _ => return Err(self.cut_off(seq)),
            }
        }
        Ok(entries)
    }

    fn cut_off(&self, seq: u64) -> LogError {
        let reason =
            format!("entry {seq} is missing, which the log held when it was last published");
        corrupt(&self.dir.join(segment::WAL), 0, reason)
    }

    fn try_publish(&mut self, end: u64) -> Result<(), LogError> {
        if self.edge.size() >= end {
            return match self.latest {
                Some(_) => Ok(()),
                None => self.say(), // even an empty log has a checkpoint
            };
        }
        let from = self.edge.size();
        let mut frames = Frames::open(&self.dir, from)?;
        for seq in from..end {
            match frames.next().transpose()? {
                Some(entry) if entry.seq == seq => self.take(entry.bytes)?,
                _ => return Err(self.cut_off(seq)),
            }
        }
        self.write_partial()?;
        self.say()?;
        self.clear_away(from)
    }

    /// Takes in the next entry, and writes what has become whole.
    fn take(&mut self, entry: Vec<u8>) -> Result<(), LogError> {
        let whole = self.edge.push(leaf(&entry));
        self.bundle.push(entry);
        if self.bundle.len() as u64 == BUNDLE {
            let index = self.edge.size() / BUNDLE - 1;
            self.write_bundle(Tile::whole(Of::Entries, index))?;
            self.bundle.clear();
        }
        for WholeTile {
            level,
            index,
            hashes,
        } in whole
        {
            let tile = Tile::whole(Of::Hashes(level), index);
            self.write(&self.dir.join(tile.path()), &tile::encode_hashes(&hashes))?;
        }
        Ok(())
    }

    fn write_partial(&mut self) -> Result<(), LogError> {
        for tile in tile::partial(self.edge.size()) {
            let Of::Hashes(level) = tile.of else {
                self.write_bundle(tile)?;
                continue;
            };
            let hashes = self.edge.levels().get(usize::from(level));
            let bytes = tile::encode_hashes(hashes.map_or(&[], Vec::as_slice));
            self.write(&self.dir.join(tile.path()), &bytes)?;
        }
        Ok(())
    }

    fn write_bundle(&mut self, tile: Tile) -> Result<(), LogError> {
        let path = sealed::bundle_path(&self.dir, tile);
        let bundle = tile::bundle(self.bundle.iter().map(Vec::as_slice));
        let bytes = sealed::compress(&bundle).at("compress", &path)?;
        self.write(&path, &bytes)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let folder = path.parent().unwrap_or(&self.dir);
        storage::create_folders(&*self.storage, &self.dir, folder)?;
        storage::replace(&*self.storage, path, bytes)?;
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    /// Signs and shows the checkpoint over everything that was written.
    fn say(&mut self) -> Result<(), LogError> {
        for folder in std::mem::take(&mut self.touched) {
            self.storage.sync_dir(&folder).at("sync", &folder)?;
        }
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size: self.edge.size(),
            root: self.edge.root(),
        };
        let note = checkpoint.sign(&self.signer);
        let path = self.dir.join(CHECKPOINT);
        storage::replace(&*self.storage, &path, note.as_bytes())?;
        self.storage.sync_dir(&self.dir).at("sync", &self.dir)?;
        self.latest = Some(Published { checkpoint, note });
        Ok(())
    }

    /// Removes what whole tiles have replaced: the partial ones of the checkpoint before, and segments.
    fn clear_away(&mut self, before: u64) -> Result<(), LogError> {
        let size = self.edge.size();
        for tile in tile::partial(before) {
            let hashes = match tile.of {
                Of::Entries => size,
                Of::Hashes(level) => hashes_in_level(size, level),
            };
            if tile.index < hashes / BUNDLE {
                self.remove_partial(tile)?;
            }
        }
        let whole = size - size % BUNDLE;
        for pair in segment::list(&self.dir)?.windows(2) {
            if let [(_, path), (next, _)] = pair
                && *next <= whole
            {
                self.storage.remove(path).at("remove", path)?;
            }
        }
        Ok(())
    }

    /// Removes the partial forms of a tile that is whole.
    fn remove_partial(&self, tile: Tile) -> Result<(), LogError> {
        let whole = Tile::whole(tile.of, tile.index).path();
        let partial = self.dir.join(format!("{whole}.p"));
        if partial.is_dir() {
            self.remove_folder(&partial)?;
        }
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> Result<(), LogError> {
        for file in fs::read_dir(folder).at("list", folder)? {
            let path = file.at("list", folder)?.path();
            self.storage.remove(&path).at("remove", &path)?;
        }
        fs::remove_dir(folder).at("remove", folder)
    }
}
