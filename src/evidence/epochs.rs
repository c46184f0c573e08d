//! The data folder: one log after another. A log goes on for as long as nothing shows that it was lost, rolled back or
//! damaged; then the next one begins, says why, and commits to what is known of the one before. Never silently.
//!
//! ```text
//! <data>/key                          private key (see `key`)
//! <data>/lock                         held by the one process that writes
//! <data>/epochs/20260101T000000Z/     one log: wal, blobs, tile, checkpoint
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::body::{Anchored, Body, Epoch, KeyChange};
use super::checkpoint::Checkpoint;
use super::entry::{self, Entry, Record};
use super::error::{At, LogError};
use super::key::PrivateKey;
use super::merkle;
use super::note::Note;
use super::publisher::Publisher;
use super::raw::RawEntries;
use super::recovered::Recovered;
use super::sealed::{self, CHECKPOINT, TileFiles};
use super::segment::Frames;
use super::storage::{Disk, Storage, create_folders};
use super::store::{self, Store};
use super::writer::Log;
use crate::words::many;

/// The folder of the logs in a data folder.
pub(super) const EPOCHS: &str = "epochs";

/// How logs are named: the time at which they begin.
const NAME: &str = "%Y%m%dT%H%M%SZ";

/// What begins the name of every log.
const PREFIX: &str = "probity.dev";

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// UID of the namespace `kube-system`, which stands for the cluster.
    pub cluster: &'a str,
    /// This replica.
    pub replica: &'a str,
}

impl Identity<'_> {
    /// How the names of its logs begin.
    pub fn logs(&self) -> String {
        self.origin("")
    }

    /// Name of the log that begins at a time.
    fn origin(&self, epoch: &str) -> String {
        let word = |text: &str| match text {
            "" => "unknown".to_owned(),
            text => text.replace(|c: char| c.is_whitespace() || c == '+' || c == '/', "-"),
        };
        format!(
            "{PREFIX}/{}/{}/{epoch}",
            word(self.cluster),
            word(self.replica)
        )
    }
}

/// A log that is open for writing.
pub struct Opened {
    /// The writer.
    pub log: Log,
    /// What the log says.
    pub recovered: Recovered,
    /// The log that begins now, if one does.
    pub begun: Option<Epoch>,
    /// How the log begins, unless retention has removed that.
    pub first: Option<Epoch>,
    /// Its folder.
    pub dir: PathBuf,
}

/// The logs in a data folder, oldest first. A folder that is a log itself is the only one.
pub fn list(data: &Path) -> Result<Vec<PathBuf>, LogError> {
    let folder = data.join(EPOCHS);
    if !folder.try_exists().at("look for", &folder)? {
        return Ok(vec![data.to_owned()]);
    }
    let mut logs = Vec::new();
    for file in fs::read_dir(&folder).at("list", &folder)? {
        let path = file.at("list", &folder)?.path();
        if path.is_dir() {
            logs.push(path);
        }
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Opens the latest log of a data folder, or begins one: if there is none, or if `anchors`, heads that are known from
/// elsewhere, show that it is not what it was.
pub fn open(
    data: &Path,
    identity: Identity<'_>,
    key: &PrivateKey,
    anchors: &[Anchored],
    now: Timestamp,
) -> Result<Opened, LogError> {
    open_unless(data, identity, key, anchors, now, None)
}

/// The same, where reading the latest log has already met this damage: then the next one begins.
pub fn open_unless(
    data: &Path,
    identity: Identity<'_>,
    key: &PrivateKey,
    anchors: &[Anchored],
    now: Timestamp,
    damage: Option<LogError>,
) -> Result<Opened, LogError> {
    let anchors = &of_this_replica(anchors, identity);
    fs::create_dir_all(data).at("create", data)?;
    let lock = store::lock(data)?;
    let folder = data.join(EPOCHS);
    create_folders(&Disk, data, &folder)?;
    let latest = latest_born(data)?;
    let begin = |before: Option<&Path>, cause: Cause| {
        begin(&folder, identity, key, before, &cause, anchors, now)
    };
    let (parts, new) = match latest {
        None => begin(None, Cause::Empty)?,
        Some(dir) => {
            let signs = signed_by(&dir, identity, key)?;
            let judged = match damage {
                Some(error) => GoOn::Not(Cause::Damaged(error)),
                None => go_on(&dir, identity, signs, anchors)?,
            };
            match judged {
                GoOn::With(parts) if std::ptr::eq(signs, key) => (*parts, None),
                GoOn::With(parts) => {
                    hand_over(*parts, key, now)?;
                    begin(Some(&dir), Cause::NextKey)?
                }
                GoOn::Not(cause) => begin(Some(&dir), cause)?,
            }
        }
    };
    let (store, scan, publisher) = parts;
    let dir = store.dir().to_owned();
    let (log, recovered) = Log::start(store, scan, Some(publisher), Some(lock))?;
    Ok(Opened {
        log,
        recovered: recovered.of(data),
        begun: new,
        first: first_entry(&dir)?,
        dir,
    })
}

/// The latest log with anything in it. Those that were interrupted before their first entry hold nothing and are removed:
/// why they were to begin is found again.
fn latest_born(data: &Path) -> Result<Option<PathBuf>, LogError> {
    for dir in list(data)?.into_iter().rev() {
        let first = || Frames::open(&dir, 0).map(|mut frames| frames.next());
        let is_unborn = !dir.join(CHECKPOINT).exists() && matches!(first(), Ok(None));
        if !is_unborn {
            return Ok(Some(dir));
        }
        fs::remove_dir_all(&dir).at("remove", &dir)?;
    }
    Ok(None)
}

/// The heads of this replica's logs: a folder may hold those of others.
fn of_this_replica(anchors: &[Anchored], identity: Identity<'_>) -> Vec<Anchored> {
    let ours = identity.logs();
    let is_ours = |anchor: &&Anchored| {
        let epoch = anchor.origin.strip_prefix(&ours);
        epoch.is_some_and(|epoch| jiff::fmt::strtime::parse(NAME, epoch).is_ok())
    };
    anchors.iter().filter(is_ours).cloned().collect()
}

type Parts = (Store, store::Scan, Publisher);

/// Why a log does not go on.
enum Cause {
    Empty,
    Shorter(Anchored),
    Different(Anchored),
    /// There is a later one elsewhere.
    Later(Anchored),
    Damaged(LogError),
    Unsigned,
    NextKey,
}

impl Cause {
    fn text(&self) -> String {
        match self {
            Self::Empty => "there was no log on this volume".to_owned(),
            Self::Shorter(anchor) => format!(
                "the volume was rolled back: {} knows {}",
                anchor.source,
                many(anchor.size, "entry")
            ),
            Self::Different(anchor) => format!(
                "the log was rewritten: {} knows another root of {}",
                anchor.source,
                many(anchor.size, "entry")
            ),
            Self::Later(anchor) => format!(
                "the volume was rolled back: {} knows a later log",
                anchor.source
            ),
            Self::Damaged(error) => format!("the log before is damaged: {error}"),
            Self::NextKey => "another key takes over, as the log before says".to_owned(),
            Self::Unsigned => "the log before was signed with another key, or is that of another replica or cluster".to_owned(),
        }
    }
}

enum GoOn {
    With(Box<Parts>),
    Not(Cause),
}

/// Opens a log to go on with it, unless it is not what it was.
fn go_on(
    dir: &Path,
    identity: Identity<'_>,
    key: &PrivateKey,
    anchors: &[Anchored],
) -> Result<GoOn, LogError> {
    let origin = identity.origin(&name(dir));
    let later = anchors
        .iter()
        .find(|anchor| is_later(&anchor.origin, &origin));
    if let Some(anchor) = later {
        return Ok(GoOn::Not(Cause::Later(anchor.clone())));
    }
    let damaged = |error: LogError| {
        if error.is_damage() {
            Ok(GoOn::Not(Cause::Damaged(error)))
        } else {
            Err(error)
        }
    };
    let (mut store, scan) = match Store::open(dir) {
        Ok(opened) => opened,
        Err(error) => return damaged(error),
    };
    if store.next_seq() > 1 && !dir.join(CHECKPOINT).exists() {
        let reason = "there is no checkpoint beside its entries".to_owned();
        return damaged(sealed::corrupt(&dir.join(CHECKPOINT), 0, reason));
    }
    if !is_signed_with(dir, key, &origin)? {
        return Ok(GoOn::Not(Cause::Unsigned));
    }
    let up_to_date = Publisher::open(dir, Box::new(Disk), key.signer(&origin)?)
        .and_then(|mut tree| tree.publish(store.next_seq()).map(|()| tree));
    let publisher = match up_to_date {
        Ok(tree) => tree,
        Err(error) => return damaged(error),
    };
    let covered = publisher.latest().map_or(0, |head| head.checkpoint.size);
    if covered > store.next_seq() {
        let reason = format!(
            "it ends before entry {}, and its checkpoint covers {covered}",
            store.next_seq()
        );
        return damaged(sealed::corrupt(&dir.join("wal"), 0, reason));
    }
    for anchor in anchors.iter().filter(|anchor| anchor.origin == origin) {
        if anchor.size > store.next_seq() {
            return Ok(GoOn::Not(Cause::Shorter(anchor.clone())));
        }
        match has_root(dir, store.next_seq(), anchor) {
            Ok(true) => {}
            Ok(false) => return Ok(GoOn::Not(Cause::Different(anchor.clone()))),
            Err(error) => return damaged(error),
        }
    }
    store.sync()?;
    Ok(GoOn::With(Box::new((store, scan, publisher))))
}

/// Whether the first entries of a log, of `size` in all, have the root of a head that has no more.
pub(super) fn has_root(dir: &Path, size: u64, head: &Anchored) -> Result<bool, LogError> {
    let root = merkle::range(&mut TileFiles::new(dir, size), 0, head.size)?;
    let ours = Checkpoint {
        origin: head.origin.clone(),
        size: head.size,
        root,
    };
    Ok(ours.root_text() == head.root)
}

/// The key that a log goes on with: the one that signs from now on, unless that replaces another which has signed this log.
fn signed_by<'a>(
    dir: &Path,
    identity: Identity<'_>,
    key: &'a PrivateKey,
) -> Result<&'a PrivateKey, LogError> {
    let origin = identity.origin(&name(dir));
    match key.replaced() {
        Some(before)
            if !is_signed_with(dir, key, &origin)? && is_signed_with(dir, before, &origin)? =>
        {
            Ok(before)
        }
        _ => Ok(key),
    }
}

/// Ends a log in good order: its last entry, which the old key signs, says that another one takes over. Safe to repeat.
fn hand_over(parts: Parts, key: &PrivateKey, now: Timestamp) -> Result<(), LogError> {
    let (mut store, scan, mut publisher) = parts;
    let old = publisher.verifier().clone();
    let change = Body::KeyChange(KeyChange {
        old: old.to_string(),
        new: key.signer(old.name())?.verifier().to_string(),
    });
    let last = scan.last.map(|last| Entry::decode(last.seq, &last.bytes));
    // A start that was interrupted here has said so already.
    if last.transpose()?.is_none_or(|last| last.body != change) {
        let seq = store.next_seq();
        store.append(&[entry::encode(&Record::new(now, change), seq)?.bytes])?;
        store.sync()?;
    }
    publisher.publish(store.next_seq())?;
    publisher.keep(now)
}

/// Whether the checkpoint in a folder, if there is one, was signed with this key.
fn is_signed_with(dir: &Path, key: &PrivateKey, origin: &str) -> Result<bool, LogError> {
    let Some(bytes) = sealed::read(&dir.join(CHECKPOINT))? else {
        return Ok(true);
    };
    let signer = key.signer(origin)?;
    let text = String::from_utf8_lossy(&bytes);
    // A note that can't be read is damage, which opening it says.
    Ok(Note::parse(&text).map_or(true, |note| {
        let id = signer.verifier().id();
        note.signatures.iter().any(|signature| signature.id == id)
    }))
}

fn begin(
    folder: &Path,
    identity: Identity<'_>,
    key: &PrivateKey,
    before: Option<&Path>,
    cause: &Cause,
    anchors: &[Anchored],
    now: Timestamp,
) -> Result<(Parts, Option<Epoch>), LogError> {
    let dir = folder.join(name_after(before, anchors, now));
    create_folders(&Disk, folder, &dir)?;
    Disk.sync_dir(folder).at("sync", folder)?;
    let origin = identity.origin(&name(&dir));
    let signer = key.signer(&origin)?;
    let epoch = Epoch {
        origin,
        key: signer.verifier().to_string(),
        before: known_before(before, cause, anchors)?,
        planned: matches!(cause, Cause::NextKey),
        cause: cause.text().into(),
    };
    let (mut store, _) = Store::open(&dir)?;
    let record = Record::new(now, Body::Epoch(epoch.clone()));
    let encoded = entry::encode(&record, 0)?;
    store.append(&[encoded.bytes])?;
    store.sync()?;
    drop(store);
    let (store, scan) = Store::open(&dir)?;
    let mut publisher = Publisher::open(&dir, Box::new(Disk), signer)?;
    publisher.publish(store.next_seq())?;
    Ok(((store, scan, publisher), Some(epoch)))
}

/// The head to which a new log commits: the anchor that told of the damage, or the largest that is known, or what the folder
/// of the log before says of itself.
fn known_before(
    before: Option<&Path>,
    cause: &Cause,
    anchors: &[Anchored],
) -> Result<Option<Anchored>, LogError> {
    if let Cause::Shorter(anchor) | Cause::Different(anchor) | Cause::Later(anchor) = cause {
        return Ok(Some(anchor.clone()));
    }
    let anchored = anchors
        .iter()
        .max_by_key(|anchor| (epoch_of(&anchor.origin), anchor.size))
        .cloned();
    let own = match before {
        Some(dir) => head_of(dir)?,
        None => None,
    };
    Ok([anchored, own]
        .into_iter()
        .flatten()
        .max_by_key(|head| (epoch_of(&head.origin).to_owned(), head.size)))
}

/// What the folder of a log says of itself.
fn head_of(dir: &Path) -> Result<Option<Anchored>, LogError> {
    let Some(bytes) = sealed::read(&dir.join(CHECKPOINT))? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let head = Note::parse(&text).and_then(|note| Checkpoint::parse(note.text));
    // What can't be read is not known; that it is damaged is what the new log says.
    Ok(head.ok().map(|head| Anchored {
        root: head.root_text(),
        origin: head.origin,
        size: head.size,
        source: "the folder of the log before".to_owned(),
    }))
}

/// Name of the log in a folder, by its checkpoint or else its first entry.
pub fn origin(dir: &Path) -> Result<Option<String>, LogError> {
    if let Some(head) = head_of(dir)? {
        return Ok(Some(head.origin));
    }
    Ok(first_entry(dir)?.map(|epoch| epoch.origin))
}

/// The entry with which a log begins.
pub fn first_entry(dir: &Path) -> Result<Option<Epoch>, LogError> {
    let Some(raw) = RawEntries::open(dir, 0)?.next().transpose()? else {
        return Ok(None);
    };
    match Entry::decode(raw.seq, &raw.bytes)?.body {
        Body::Epoch(epoch) => Ok(Some(epoch)),
        _ => Ok(None),
    }
}

fn name(dir: &Path) -> String {
    dir.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A name that sorts behind those of all logs that are known, even if the clock went back.
fn name_after(before: Option<&Path>, anchors: &[Anchored], now: Timestamp) -> String {
    let known = before.map(name);
    let known = known
        .iter()
        .map(String::as_str)
        .chain(anchors.iter().map(|anchor| epoch_of(&anchor.origin)))
        .max()
        .unwrap_or_default();
    let mut at = now;
    if *compact(at) <= *known {
        let read = |text: &str| jiff::fmt::strtime::parse(NAME, text).ok();
        let latest = read(known).and_then(|time| time.to_datetime().ok());
        let latest = latest.and_then(|time| time.to_zoned(TimeZone::UTC).ok());
        at = latest.map_or(at, |latest| latest.timestamp());
    }
    while *compact(at) <= *known {
        let Ok(next) = at.checked_add(SignedDuration::from_secs(1)) else {
            break;
        };
        at = next;
    }
    compact(at)
}

fn compact(at: Timestamp) -> String {
    at.strftime(NAME).to_string()
}

fn epoch_of(origin: &str) -> &str {
    origin.rsplit('/').next().unwrap_or_default()
}

/// Whether `other` is a later log of the same replica.
fn is_later(other: &str, origin: &str) -> bool {
    let log = |origin: &str| origin.rsplit_once('/').map(|(log, _)| log.to_owned());
    log(other) == log(origin) && epoch_of(other) > epoch_of(origin)
}

#[cfg(test)]
mod tests;
