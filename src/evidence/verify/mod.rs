//! Checks a log, without a cluster and without trust in whoever made it: a folder, a key, and heads that are known from
//! elsewhere.
//!
//! ```text
//! bundles ─► two threads: unpack, hash leaves, read each entry ─► in order: tiles, roots, heads, story ─► listener
//! segments (what is not sealed yet) ───────────────────────────►
//! ```
//!
//! Nothing is repaired and nothing is written.

mod archive;
mod bundles;
mod edge;
mod facts;
mod heads;
mod hearing;
mod log;
mod replicas;
mod report;
mod story;
mod strays;

use std::path::Path;

use super::blob::BlobRef;
use super::body::Anchored;
use super::cosignature::WitnessKey;
use super::entry::Entry;
use super::epochs;
use super::error::LogError;
use super::heads::Found;
use super::note::VerifierKey;
use super::timestamp::Authorities;

use self::hearing::Hearing;

pub use self::archive::{Unpacked, unpacked};
pub use self::replicas::{Replica, verify_replicas};
pub use self::report::{LogReport, Problem, Report, Voucher};

/// What is known from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys of which the auditor knows that they are the operator's. Without any, the log's own words are taken, which the
    /// report says.
    pub keys: Vec<VerifierKey>,
    /// Heads of these logs that were seen before, elsewhere.
    pub anchors: Vec<Anchored>,
    /// The same heads as files, where they came as files: with signatures of witnesses, and timestamps.
    pub files: Vec<Found>,
    /// Keys of witnesses.
    pub witnesses: Vec<WitnessKey>,
    /// Who is trusted to tell the time.
    pub authorities: Option<Authorities>,
}

/// Checks all logs in a data folder. `progress` hears how many of all entries are done.
///
/// Fails only if nothing can be read at all; what is wrong with a log is in the report.
pub fn verify(
    data: &Path,
    trust: &Trust,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, LogError> {
    check(data, trust, progress, &mut Hearing::new(None))
}

/// The same, while `listener` hears each entry, in order, with the specs and decisions of what people do in it even where
/// they are kept in blobs.
///
/// Returns also whether it has heard all entries. It has if nothing is wrong with the logs; otherwise it may have missed some.
pub fn verify_and_hear(
    data: &Path,
    trust: &Trust,
    progress: &(dyn Fn(u64, u64) + Sync),
    listener: &mut dyn FnMut(&Entry),
) -> Result<(Report, bool), LogError> {
    let mut hearing = Hearing::new(Some(listener));
    let report = check(data, trust, progress, &mut hearing)?;
    let all = report.verified && hearing.is_whole();
    Ok((report, all))
}

fn check(
    data: &Path,
    trust: &Trust,
    progress: &(dyn Fn(u64, u64) + Sync),
    hearing: &mut Hearing<'_>,
) -> Result<Report, LogError> {
    let mut report = Report::default();
    let logs = epochs::list(data)?;
    if logs.is_empty() {
        report.logs.push(LogReport::none());
    }
    // A log that is whole may name the key of the next one.
    let mut known = trust.clone();
    for (at, dir) in logs.iter().enumerate() {
        let around = log::Around {
            before: report.logs.last(),
            committed: logs.get(at + 1).and_then(|next| committed(next)),
        };
        let log = log::verify(dir, data, &known, &around, progress, hearing)?;
        if !log.problems.is_empty() {
            hearing.give_up();
        }
        if log.problems.is_empty() && !trust.keys.is_empty() {
            known.keys.extend(log.next_key.clone());
        }
        report.logs.push(log);
    }
    report.compare_missing(trust);
    report.conclude(trust);
    Ok(report)
}

/// What a log consists of, by one of which its folder is known.
const PARTS: [&str; 5] = [
    "wal",
    "tile",
    "checkpoint",
    "checkpoints",
    "checkpoints.jsonl",
];

/// Whether a folder is that of a log.
pub fn is_log(dir: &Path) -> bool {
    PARTS
        .iter()
        .any(|part| dir.join(part).symlink_metadata().is_ok())
}

/// The blobs to which the entry at a position refers. An error says what is wrong with the entry.
pub(super) fn blobs(seq: u64, entry: &[u8]) -> Result<Vec<BlobRef>, String> {
    facts::read(seq, entry).map(|fact| fact.blobs)
}

/// The head of the log before, to which a log commits. If its first entry can't be read, checking that log says so.
fn committed(dir: &Path) -> Option<Anchored> {
    epochs::first_entry(dir).ok()??.before
}

#[cfg(test)]
mod tests;
