//! Checks one log.

mod chain;
mod removed;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use super::bundles::{Checked, Heard, Span, below};
use super::facts::{self, Fact};
use super::heads::Heads;
use super::hearing::Hearing;
use super::story::{Oddity, Story};
use super::strays;
use super::{LogReport, Problem, Trust};
use crate::evidence::blob::BlobRef;
use crate::evidence::body::Anchored;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::epochs;
use crate::evidence::error::{At, LogError};
use crate::evidence::heads;
use crate::evidence::history;
use crate::evidence::merkle::{Edge, WholeTile};
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::raw::{self, MOST_RACES, PrunedFile};
use crate::evidence::sealed::{self, CHECKPOINT, TileFiles};
use crate::evidence::segment::{self, Frames};
use crate::evidence::tile::{self, BUNDLE, Of, Tile};
use crate::words::{either, many};

/// A start writes fewer entries than this before it has told of the gap before it.
const JUST_BEGUN: u64 = 16;

/// What the logs beside one say.
pub(super) struct Around<'a> {
    /// What was found of the one before.
    pub(super) before: Option<&'a LogReport>,
    /// The head of this log to which the next one commits.
    pub(super) committed: Option<Anchored>,
}

/// Checks the log in `dir`.
pub(super) fn verify(
    dir: &Path,
    data: &Path,
    trust: &Trust,
    around: &Around<'_>,
    progress: &(dyn Fn(u64, u64) + Sync),
    hearing: &mut Hearing<'_>,
) -> Result<LogReport, LogError> {
    let mut report = LogReport::default();
    hearing.begin();
    if !dir.is_dir() {
        fs::read_dir(dir).at("read", dir)?;
    }
    // Before the checkpoint: what a log that is being written keeps meanwhile would look like more than it has.
    let kept = history::read(dir);
    let Some((head, key)) = open_head(dir, data, trust, &mut report)? else {
        return Ok(report);
    };
    let mut log = Log {
        dir,
        data,
        heads: Heads::gather(dir, data, &key, trust, kept, &mut report)?,
        report,
        edge: Edge::default(),
        story: Story::default(),
        size: head.size,
        removed: None,
        blobs: HashSet::new(),
        hearing,
    };
    if let Some(committed) = around
        .committed
        .as_ref()
        .filter(|head| head.origin == key.name())
    {
        log.heads.want_committed(committed);
    }
    let before = around.before;
    log.removed = match raw::pruned(dir) {
        Ok(removed) => removed,
        Err(error) if error.is_damage() => {
            log.report.add_error(&error, data);
            None
        }
        Err(error) => return Err(error),
    };
    // Whole bundles only: whatever that file says.
    log.report.first = log.removed.as_ref().map_or(0, |removed| {
        let before = removed.before.min(head.size);
        before - before % BUNDLE
    });
    log.story
        .expects(&before.map_or_else(BTreeSet::new, |before| before.left_open.clone()));
    log.pruned()?;
    log.sealed(progress);
    log.compare_root(&head);
    log.compare_edge()?;
    log.segments_of_now()?;
    log.first_entry(&key, before);
    strays::look(dir, data, &log.blobs, &mut log.report)?;
    Ok(log.finish())
}

pub(super) struct Log<'a, 'l> {
    pub(super) dir: &'a Path,
    pub(super) data: &'a Path,
    heads: Heads<'a>,
    pub(super) report: LogReport,
    pub(super) edge: Edge,
    story: Story,
    pub(super) size: u64,
    /// What the log's own file says that retention has removed.
    removed: Option<PrunedFile>,
    /// Names of the blobs that entries refer to: each was looked at.
    blobs: HashSet<String>,
    hearing: &'a mut Hearing<'l>,
}

/// Reads the checkpoint and finds the key that signed it.
fn open_head(
    dir: &Path,
    data: &Path,
    trust: &Trust,
    report: &mut LogReport,
) -> Result<Option<(Checkpoint, VerifierKey)>, LogError> {
    let found = match heads::latest(dir) {
        Err(error) if error.is_damage() => {
            report.add_error(&error, data);
            return Ok(None);
        }
        found => found?,
    };
    let path = found
        .as_ref()
        .map_or_else(|| dir.join(CHECKPOINT), |(path, _)| path.clone());
    let mut wrong = |what: String| {
        report.add(Problem {
            entry: None,
            file: below(data, &path),
            byte: None,
            what,
        });
        Ok(None)
    };
    let Some((_, bytes)) = found else {
        return wrong("there is no checkpoint: this is no log, or its head was removed".to_owned());
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let claimed = Note::parse(&text).and_then(|note| Checkpoint::parse(note.text));
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(error) => return wrong(error.to_string()),
    };
    let keys = if trust.keys.is_empty() {
        // Whoever brings no key gets the log's own: then it is consistent, not more.
        match epochs::first_entry(dir) {
            Ok(Some(epoch)) => VerifierKey::parse(&epoch.key).into_iter().collect(),
            Ok(None) | Err(_) => Vec::new(),
        }
    } else {
        trust.keys.clone()
    };
    let mut refused =
        "its first entry, which names its key, can't be read: give the key with --key".to_owned();
    for key in keys {
        let opened = key
            .named(&claimed.origin)
            .and_then(|key| Checkpoint::open(&text, &key).map(|head| (head, key)));
        match opened {
            Ok((head, key)) => {
                report.origin.clone_from(&head.origin);
                report.size = head.size;
                report.root = head.root_text();
                report.key = key.to_string();
                return Ok(Some((head, key)));
            }
            Err(error) => refused = error.to_string(),
        }
    }
    wrong(refused)
}

impl Log<'_, '_> {
    pub(super) fn problem(&mut self, entry: Option<u64>, file: &Path, what: String) {
        self.report.add(Problem {
            entry,
            file: below(self.data, file),
            byte: None,
            what,
        });
    }

    /// Checks what is in bundles.
    fn sealed(&mut self, progress: &(dyn Fn(u64, u64) + Sync)) {
        let span = Span {
            dir: self.dir,
            data: self.data,
            first: self.report.first / BUNDLE,
            size: self.size,
            heard: self.hearing.is_whole(),
        };
        let size = self.size;
        span.read(|checked| {
            self.take(checked);
            progress(self.edge.size(), size);
        });
    }

    fn take(&mut self, checked: Checked) {
        let first = self.edge.size();
        for problem in checked.problems {
            self.hearing.give_up();
            self.report.add(problem);
        }
        for leaf in checked.leaves {
            let whole = self.edge.push(leaf);
            // Whoever read the bundle has compared the lowest tile.
            self.compare_tiles(whole.get(1..).unwrap_or_default());
            self.heads.compare(&self.edge, &mut self.report);
        }
        for fact in &checked.facts {
            self.tell(fact);
        }
        let Some(Heard { bytes, read }) = checked.heard else {
            return;
        };
        let entries = tile::entries(&bytes).map_while(Result::ok);
        for (seq, (entry, read)) in (first..).zip(entries.zip(read)) {
            self.hearing.tell(self.dir, seq, entry, read);
        }
    }

    fn tell(&mut self, fact: &Fact) {
        let odd = self.story.tell(fact);
        self.said(fact, odd);
    }

    fn said(&mut self, fact: &Fact, odd: Option<Oddity>) {
        if let Some(Oddity { entry, what }) = odd {
            let file = sealed::bundle_path(self.dir, Tile::whole(Of::Entries, entry / BUNDLE));
            self.problem(Some(entry), &file, what);
        }
        for blob in &fact.blobs {
            self.blob(fact.seq, blob);
        }
    }

    fn blob(&mut self, seq: u64, blob: &BlobRef) {
        self.blobs.insert(blob.blob.clone());
        if let Err(error) = blob.load(self.dir) {
            let what = match &error {
                LogError::Blob { name, reason, .. } => format!("its blob {name} {reason}"),
                other => other.to_string(),
            };
            self.problem(Some(seq), &blob.path(self.dir), what);
        }
    }

    fn compare_tiles(&mut self, whole: &[WholeTile]) {
        for WholeTile {
            level,
            index,
            hashes,
        } in whole
        {
            let tiles = TileFiles::new(self.dir, self.size);
            match tiles.tile(*level, *index, hashes.len()) {
                Ok(found) if found == *hashes => {}
                Ok(_) => {
                    let path = self
                        .dir
                        .join(Tile::whole(Of::Hashes(*level), *index).path());
                    let what = "its hashes are not those of the tiles below it".to_owned();
                    self.problem(None, &path, what);
                }
                Err(error) => self.report.add_error(&error, self.data),
            }
        }
    }

    /// Checks the segments. One that is sealed and removed meanwhile is no reason to give up.
    fn segments_of_now(&mut self) -> Result<(), LogError> {
        let mut races = 0;
        loop {
            match self.segments() {
                Err(error) if error.is_missing_file() && races < MOST_RACES => {
                    races += 1;
                    self.report.unsigned = 0;
                }
                Err(error) if error.is_damage() => {
                    self.report.add_error(&error, self.data);
                    return Ok(());
                }
                result => return result,
            }
        }
    }

    /// Checks the segments: that they say the same as the bundles, and what comes behind those.
    fn segments(&mut self) -> Result<(), LogError> {
        let Some((first, _)) = segment::list(self.dir)?.into_iter().next() else {
            return Ok(());
        };
        let mut bundle: Option<(u64, Vec<Vec<u8>>)> = None;
        let mut end = first;
        let mut frames = Frames::open(self.dir, first)?;
        for entry in frames.by_ref() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.is_damage() => {
                    self.report.add_error(&error, self.data);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            end = entry.seq + 1;
            if entry.seq >= self.size {
                self.unsigned(entry.seq, &entry.bytes);
                continue;
            }
            let index = entry.seq / BUNDLE;
            if bundle.as_ref().is_none_or(|(read, _)| *read != index) {
                bundle = Some((index, self.entries_of(index)));
            }
            let at = usize::try_from(entry.seq % BUNDLE).unwrap_or(0);
            let sealed = bundle.as_ref().and_then(|(_, entries)| entries.get(at));
            if sealed.is_some_and(|sealed| *sealed != entry.bytes) {
                let what = "the segment has another entry here than the bundle".to_owned();
                self.problem(Some(entry.seq), &self.dir.join(segment::WAL), what);
            }
        }
        let (torn, last) = frames
            .end()
            .map_or((0, self.dir.join(segment::WAL)), |end| {
                (end.torn, end.path.clone())
            });
        if torn > 0 {
            self.report.remarks.push(format!(
                "{} of an interrupted write {} the last entry",
                many(torn, "byte"),
                either(torn, "follows", "follow")
            ));
        }
        if end < self.size {
            let what = format!(
                "the segments end before entry {end}, and the checkpoint covers {}: the end was cut off",
                self.size
            );
            self.problem(Some(end), &last, what);
        }
        Ok(())
    }

    /// The entries of a bundle; none of one that can't be read, which was said before.
    pub(super) fn entries_of(&self, index: u64) -> Vec<Vec<u8>> {
        let width = (self.size - index * BUNDLE).min(BUNDLE);
        let tile = Tile {
            of: Of::Entries,
            index,
            width: u16::try_from(width).unwrap_or(256),
        };
        let Ok(Some(bundle)) = sealed::read_beginning(self.dir, tile) else {
            return Vec::new();
        };
        tile::entries(&bundle.bytes)
            .map_while(|entry| entry.ok().map(<[u8]>::to_vec))
            .collect()
    }

    fn unsigned(&mut self, seq: u64, bytes: &[u8]) {
        self.report.unsigned += 1;
        match facts::read(seq, bytes) {
            // What nothing signs explains nothing of what is signed.
            Ok(_) => self.hearing.tell(self.dir, seq, bytes, None),
            Err(what) => self.problem(Some(seq), &self.dir.join(segment::WAL), what),
        }
    }

    fn finish(mut self) -> LogReport {
        let ending = std::mem::take(&mut self.story).finish();
        // A start tells of the gap right after: where that is not signed yet, it is too early to judge.
        let judged = if self.report.unsigned > 0 {
            self.size.saturating_sub(JUST_BEGUN)
        } else {
            self.size
        };
        for Oddity { entry, what } in ending.silences {
            if entry >= judged {
                continue;
            }
            let file = sealed::bundle_path(self.dir, Tile::whole(Of::Entries, entry / BUNDLE));
            self.problem(Some(entry), &file, what);
        }
        self.report.open_intents = ending.open.len() as u64;
        if !ending.open.is_empty() {
            let open = ending.open.len();
            self.report.remarks.push(format!(
                "{} {} announced whose outcome the log does not know yet",
                many(open, "write"),
                either(open, "was", "were")
            ));
        }
        if ending.steps_back > 0 {
            let steps_back = ending.steps_back;
            self.report.remarks.push(format!(
                "the clock went back by more than five seconds {}",
                many(steps_back, "time")
            ));
        }
        self.compare_removed(&ending.pruned);
        self.report.left_open = ending.open;
        if let Some(change) = &ending.key_change {
            self.next_key(change);
        }
        let size = self.size;
        self.heads.finish(size, &mut self.report);
        self.report
    }
}
