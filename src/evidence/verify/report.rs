//! What was found: what is proved, what is not, and what is wrong, in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::Trust;
use crate::evidence::epochs;
use crate::evidence::error::LogError;
use crate::evidence::note::VerifierKey;
use crate::words::{either, many};

/// Something that is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The entry, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The file, below the folder that was checked.
    pub file: PathBuf,
    /// The byte in it, where one is to be named: for bundles, of what is unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Somebody who says that a head existed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voucher {
    /// Who.
    pub who: String,
    /// When, by their clock.
    pub time: Timestamp,
    /// Entries that the head covers.
    pub size: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What was found of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// Its name, as its checkpoint says.
    pub origin: String,
    /// Entries that the checkpoint covers.
    pub size: u64,
    /// The root over them, in base64.
    pub root: String,
    /// The key that signed it.
    pub key: String,
    /// Number of the first entry that retention has left.
    pub first: u64,
    /// Entries behind the checkpoint, which nothing signs yet.
    pub unsigned: u64,
    /// Heads that lie on this log: checkpoints that it kept itself.
    pub kept_heads: u64,
    /// Heads that lie on this log and are known from elsewhere, with where.
    pub anchors: Vec<String>,
    /// Largest size that is known from elsewhere.
    pub anchored: u64,
    /// Who else saw heads that lie on this log, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<Voucher>,
    /// Timestamps that were not checked, as nobody said whom to trust.
    #[serde(skip_serializing_if = "is_none")]
    pub unchecked_timestamps: u64,
    /// Intents whose outcome the log does not know.
    pub open_intents: u64,
    #[serde(skip)]
    pub(super) left_open: BTreeSet<u64>,
    /// The key that its last entry names as that of the next log.
    #[serde(skip)]
    pub(super) next_key: Option<VerifierKey>,
    /// What is not wrong and should be known.
    pub remarks: Vec<String>,
    /// What is wrong. At most a hundred; `omitted` counts the others.
    pub problems: Vec<Problem>,
    /// Problems that are not listed.
    pub omitted: u64,
}

impl LogReport {
    /// Adds a problem.
    pub(super) fn add(&mut self, problem: Problem) {
        // Several checks read the same file.
        if self.problems.contains(&problem) {
            return;
        }
        if self.problems.len() < 100 {
            self.problems.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// What is said of a data folder without any log.
    pub(super) fn none() -> Self {
        let problem = Problem {
            entry: None,
            file: PathBuf::from(epochs::EPOCHS),
            byte: None,
            what: "this folder holds no log: none was begun, or they were removed".to_owned(),
        };
        Self {
            problems: vec![problem],
            ..Self::default()
        }
    }

    /// The last word of each who vouches.
    fn last_vouchers(&self) -> impl Iterator<Item = &Voucher> {
        let mut last: BTreeMap<&str, &Voucher> = BTreeMap::new();
        for voucher in &self.vouchers {
            let known = last.entry(&voucher.who).or_insert(voucher);
            if voucher.size > known.size {
                *known = voucher;
            }
        }
        last.into_values()
    }

    /// Adds what a reader of files has met.
    pub(super) fn add_error(&mut self, error: &LogError, data: &std::path::Path) {
        let (file, byte, what) = match error {
            LogError::Corrupt {
                path,
                offset,
                reason,
            } => (
                path.clone(),
                (*offset > 0).then_some(*offset),
                reason.clone(),
            ),
            LogError::Blob { name, path, reason } => {
                (path.clone(), None, format!("the blob {name} {reason}"))
            }
            other => (data.to_owned(), None, other.to_string()),
        };
        let file = file.strip_prefix(data).map(PathBuf::from).unwrap_or(file);
        self.add(Problem {
            entry: None,
            file,
            byte,
            what,
        });
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is wrong.
    pub verified: bool,
    /// The logs, oldest first.
    pub logs: Vec<LogReport>,
    /// What is proved.
    pub proved: Vec<String>,
    /// What is not.
    pub not_proved: Vec<String>,
    /// What should be known of how the log was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Report {
    /// All problems.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.logs.iter().flat_map(|log| &log.problems)
    }

    /// Heads of logs that are not here: somebody has removed them, or this is another folder.
    pub(super) fn compare_missing(&mut self, trust: &Trust) {
        let is_here = |origin: &str| self.logs.iter().any(|log| log.origin == origin);
        let missing: Vec<Problem> = trust
            .anchors
            .iter()
            .filter(|anchor| !is_here(&anchor.origin))
            .map(|anchor| Problem {
                entry: None,
                file: PathBuf::from(&anchor.source),
                byte: None,
                what: format!(
                    "it knows {} of {}, which is not here",
                    many(anchor.size, "entry"),
                    anchor.origin
                ),
            })
            .collect();
        if let Some(last) = self.logs.last_mut() {
            for problem in missing {
                last.add(problem);
            }
        }
    }

    /// Says what follows from what was found.
    pub(super) fn conclude(&mut self, trust: &Trust) {
        self.verified = !self.logs.is_empty() && self.problems().next().is_none();
        if self.verified {
            self.say_proved(trust);
        }
        self.say_not_proved(trust);
    }

    fn say_proved(&mut self, trust: &Trust) {
        for log in &self.logs {
            let by = if trust.keys.is_empty() {
                "the key that the log itself names"
            } else {
                "a key that you trust"
            };
            self.proved.push(format!(
                "{}: entries {} to {} are whole, in order and unchanged since {by} signed their root",
                log.origin,
                log.first,
                log.size.saturating_sub(1)
            ));
            if log.anchored > 0 {
                self.proved.push(format!(
                    "{}: its first {} entries are those that {} had seen",
                    log.origin,
                    log.anchored,
                    log.anchors.join(", ")
                ));
            }
            for Voucher { who, time, size } in log.last_vouchers() {
                self.proved.push(format!(
                    "{}: its first {size} entries are those that {who} had seen at {time}, by its clock",
                    log.origin
                ));
            }
        }
    }

    fn say_not_proved(&mut self, trust: &Trust) {
        let mut say = |what: &str| self.not_proved.push(what.to_owned());
        say(
            "that what the entries say was true, or that nothing was left out before it was logged",
        );
        if trust.keys.is_empty() {
            say("whose key signed the log: give the key that you were told with --key");
        }
        if trust.anchors.is_empty() {
            say("that nothing was cut off at the end, which needs no key");
            say(
                "that the holder of the signing key has not rewritten the whole log: give a checkpoint that was kept elsewhere with --anchor",
            );
        } else {
            say("that nothing was cut off behind the last anchor, which needs no key");
            say(
                "that the holder of the signing key has not rewritten what is behind the last anchor",
            );
        }
        let unchecked: u64 = self.logs.iter().map(|log| log.unchecked_timestamps).sum();
        if unchecked > 0 {
            say(&format!(
                "what {} {}: give the certificates of the authority with --timestamp-ca",
                many(unchecked, "timestamp"),
                either(unchecked, "says", "say")
            ));
        }
        let unsigned: u64 = self.logs.iter().map(|log| log.unsigned).sum();
        if unsigned > 0 {
            say(&format!(
                "the {} behind the last checkpoint, which nothing signs yet",
                many(unsigned, "entry")
            ));
        }
        if self.logs.iter().any(|log| log.first > 0) {
            say("the entries that retention has removed, of which only the hashes are left");
        }
    }
}
