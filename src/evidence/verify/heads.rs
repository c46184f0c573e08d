//! Heads that must lie on a log: its own checkpoints, and those that were kept elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bundles::below;
use super::{LogReport, Problem, Trust, Voucher};
use crate::evidence::body::Anchored;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::error::LogError;
use crate::evidence::heads::{self, Found};
use crate::evidence::history::{self, Kept};
use crate::evidence::merkle::Edge;
use crate::evidence::note::{Note, VerifierKey};
use crate::words::many;

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
    /// A file of its own, and who vouches for it.
    File(PathBuf, Vec<Voucher>),
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
        trust: &Trust,
        kept: Result<Vec<Kept>, LogError>,
        report: &mut LogReport,
    ) -> Result<Self, LogError> {
        let mut gathered = Self {
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
                Ok(head) => gathered.want(&head, From::Kept(line)),
                Err(error) => report.add(Problem {
                    entry: None,
                    file: below(data, &file),
                    byte: None,
                    what: format!("line {line}: {error}"),
                }),
            }
        }
        let own = match heads::list(dir) {
            Err(error) if error.is_damage() => {
                report.add_error(&error, data);
                Vec::new()
            }
            own => own?,
        };
        let files = own.iter().map(|found| (below(data, &found.path), found));
        let elsewhere = trust.files.iter().map(|found| (found.path.clone(), found));
        for (path, found) in files.chain(elsewhere) {
            gathered.file(path, found, key, trust, report);
        }
        for anchor in trust
            .anchors
            .iter()
            .filter(|anchor| anchor.origin == key.name())
        {
            gathered
                .wanted
                .entry(anchor.size)
                .or_default()
                .push(Wanted {
                    root: anchor.root.clone(),
                    from: From::Anchor(anchor.source.clone()),
                });
        }
        Ok(gathered)
    }

    /// Takes in a head that is a file, if it is one of this log: with what witnesses and authorities say of it.
    fn file(
        &mut self,
        path: PathBuf,
        found: &Found,
        key: &VerifierKey,
        trust: &Trust,
        report: &mut LogReport,
    ) {
        let mut wrong = |file: &Path, what: String| {
            report.add(Problem {
                entry: None,
                file: file.to_owned(),
                byte: None,
                what,
            });
        };
        let parsed = Note::parse(&found.note);
        let opened = parsed.and_then(|note| Ok((Checkpoint::parse(note.text)?, note)));
        let (head, note) = match opened {
            Ok(opened) => opened,
            Err(error) => return wrong(&path, error.to_string()),
        };
        if head.origin != key.name() {
            return;
        }
        if let Err(error) = note.verify(key) {
            return wrong(&path, error.to_string());
        }
        let mut vouchers = Vec::new();
        let mut voucher = |who: String, time| {
            vouchers.push(Voucher {
                who,
                time,
                size: head.size,
            });
        };
        for witness in &trust.witnesses {
            match witness.check(&note) {
                Ok(Some(time)) => voucher(format!("the witness {}", witness.name()), time),
                Ok(None) => {}
                Err(error) => wrong(&path, error.to_string()),
            }
        }
        match (&found.timestamp, &trust.authorities) {
            (Some(response), Some(authorities)) => {
                match authorities.check(response, found.note.as_bytes()) {
                    Ok(time) => voucher("a timestamp authority".to_owned(), time),
                    Err(error) => wrong(&path.with_extension(heads::TIMESTAMP), error),
                }
            }
            (Some(_), None) => report.unchecked_timestamps += 1,
            (None, _) => {}
        }
        self.want(&head, From::File(path, vouchers));
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
                From::File(_, vouchers) if same => {
                    report.kept_heads += 1;
                    report.vouchers.extend(vouchers);
                }
                From::Anchor(source) if same => {
                    report.anchored = report.anchored.max(edge.size());
                    if !report.anchors.contains(&source) {
                        report.anchors.push(source);
                    }
                }
                from => report.add(self.problem(&from, format!(
                    "it knows the root {} of {}, and this log has {root}: its entries before {} were rewritten",
                    wanted.root, many(edge.size(), "entry"), edge.size()
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
                        format!("it knows {}, and this log has {size}: its end was cut off, or the volume was rolled back", many(at, "entry")),
                    ));
                }
            }
        }
    }

    fn problem(&self, from: &From, what: String) -> Problem {
        let file = match from {
            From::Kept(line) => format!("{} line {line}", history::FILE),
            From::File(path, _) => path.display().to_string(),
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
