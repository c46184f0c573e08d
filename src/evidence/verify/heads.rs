//! Heads that must lie on a log: its own checkpoints, and those that were kept elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::bundles::below;
use super::{LogReport, Problem};
use crate::evidence::body::Anchored;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::error::LogError;
use crate::evidence::history::{self, Kept};
use crate::evidence::merkle::Edge;
use crate::evidence::note::VerifierKey;

/// Roots that a log must have had, by size.
pub(super) struct Heads<'a> {
    data: &'a Path,
    wanted: BTreeMap<u64, Vec<Wanted>>,
}

struct Wanted {
    root: String,
    from: From,
}

enum From {
    /// A checkpoint that the log kept, by its line.
    Kept(u64),
    Anchor(String),
    /// What the next log commits to.
    Next,
}

impl<'a> Heads<'a> {
    /// Those of the log of this origin, from its own history, as it was read before the checkpoint, and from elsewhere.
    pub(super) fn gather(
        dir: &Path,
        data: &'a Path,
        key: &VerifierKey,
        anchors: &[Anchored],
        kept: Result<Vec<Kept>, LogError>,
        report: &mut LogReport,
    ) -> Result<Self, LogError> {
        let mut heads = Self {
            data,
            wanted: BTreeMap::new(),
        };
        let file = dir.join(history::FILE);
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) if error.is_damage() => {
                report.add_error(&error, data);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        for (line, kept) in (1..).zip(kept) {
            match Checkpoint::open(&kept.note, key) {
                Ok(head) => heads.want(&head, From::Kept(line)),
                Err(error) => report.add(Problem {
                    entry: None,
                    file: below(data, &file),
                    byte: None,
                    what: format!("line {line}: {error}"),
                }),
            }
        }
        for anchor in anchors.iter().filter(|anchor| anchor.origin == key.name()) {
            heads.wanted.entry(anchor.size).or_default().push(Wanted {
                root: anchor.root.clone(),
                from: From::Anchor(anchor.source.clone()),
            });
        }
        Ok(heads)
    }

    /// Adds the head to which the next log commits.
    pub(super) fn want_committed(&mut self, committed: &Anchored) {
        self.wanted.entry(committed.size).or_default().push(Wanted {
            root: committed.root.clone(),
            from: From::Next,
        });
    }

    fn want(&mut self, head: &Checkpoint, from: From) {
        let root = head.root_text();
        self.wanted
            .entry(head.size)
            .or_default()
            .push(Wanted { root, from });
    }

    /// Compares what is due at this size.
    pub(super) fn compare(&mut self, edge: &Edge, report: &mut LogReport) {
        let Some(due) = self.wanted.remove(&edge.size()) else {
            return;
        };
        let head = Checkpoint {
            origin: String::new(),
            size: edge.size(),
            root: edge.root(),
        };
        let root = head.root_text();
        for wanted in due {
            let same = wanted.root == root;
            match wanted.from {
                From::Next if same => {}
                From::Kept(_) if same => report.kept_heads += 1,
                From::Anchor(source) if same => {
                    report.anchored = report.anchored.max(edge.size());
                    if !report.anchors.contains(&source) {
                        report.anchors.push(source);
                    }
                }
                from => report.add(self.problem(&from, format!(
                    "it knows the root {} of {} entries, and this log has {root}: its entries before {} were rewritten",
                    wanted.root, edge.size(), edge.size()
                ))),
            }
        }
    }

    /// What lies beyond the end of the log.
    pub(super) fn finish(self, size: u64, report: &mut LogReport) {
        for (at, wanted) in &self.wanted {
            for wanted in wanted {
                if *at > size && matches!(wanted.from, From::Next) {
                    continue; // lost entries: the next log says so
                }
                if *at > size {
                    report.add(self.problem(
                        &wanted.from,
                        format!("it knows {at} entries, and this log has {size}: its end was cut off, or the volume was rolled back"),
                    ));
                }
            }
        }
    }

    fn problem(&self, from: &From, what: String) -> Problem {
        let file = match from {
            From::Kept(line) => format!("{} line {line}", history::FILE),
            From::Anchor(source) => source.clone(),
            From::Next => "the first entry of the next log".to_owned(),
        };
        Problem {
            entry: None,
            file: below(self.data, Path::new(&file)),
            byte: None,
            what,
        }
    }
}
