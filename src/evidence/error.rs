//! What can go wrong with the log on disk, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::canonical::CanonicalError;
use super::frame::MAX_ENTRY;
use super::note::NoteError;

/// Why the log can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Durable bytes have changed.
    #[error("the evidence log is damaged: {} at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// What was given is no log, and holds none.
    #[error("{} {reason}", path.display())]
    NoLog {
        /// What was given.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process, or another writer in this one, has the log.
    #[error("{} is in use by another writer: two writers would fork the log. Stop the other one, or give this replica its own folder", path.display())]
    Locked {
        /// The folder of the log.
        path: PathBuf,
    },
    /// A write or sync failed earlier; the writer must be reopened before it takes more.
    #[error("the evidence log takes no entries since an earlier write failed; it must be reopened")]
    Poisoned,
    /// The log was published again and again while it was copied.
    #[error("{} was written faster than it could be copied: try again", path.display())]
    Moving {
        /// The folder of the log.
        path: PathBuf,
    },
    /// More batches wait than the queue holds: the disk doesn't keep up.
    #[error("{0} batches already wait for the evidence log: the volume is too slow or hangs")]
    Full(usize),
    /// The writer's thread is gone.
    #[error("the writer of the evidence log has stopped")]
    Stopped,
    /// An entry that no frame or tile can hold, or that is not JSON text.
    #[error(
        "an entry of {0} bytes can't be logged: entries are JSON text of at most {MAX_ENTRY} bytes"
    )]
    Size(usize),
    /// More at once than one sync may cover.
    #[error("{0} bytes of entries are too many for one sync")]
    Group(usize),
    /// An entry has no canonical form.
    #[error("an entry can't be logged: {0}")]
    Canonical(#[from] CanonicalError),
    /// An entry can't be understood.
    #[error(
        "entry {seq} can't be read: {reason}. If a newer version of probity wrote it, use that version"
    )]
    Entry {
        /// Position in the log.
        seq: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry of which nothing can be proved now.
    #[error("entry {seq} can't be proved: {reason}")]
    Unprovable {
        /// Position in the log.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// A copy would lack entries that retention has removed before it had them.
    #[error(
        "a copy that has {has} entries of this log can't go on: retention has removed those before {first}, so it would never \
         verify. Name a place that has them already, or have another log begun, of which a copy is whole: probity new-key"
    )]
    Unbegun {
        /// Entries that the copy has.
        has: u64,
        /// The first that is left here.
        first: u64,
    },
    /// An entry says that others are removed, and not which of them still matter.
    #[error(
        "the entries before {before} can't be removed: the entry about it does not name what still matters of them; another \
         program wrote it"
    )]
    Unsaid {
        /// The first that would be left.
        before: u64,
    },
    /// The private key can't be used.
    #[error("the signing key {} can't be used: {reason}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A log can't have this name, or a key is wrong.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A blob that an entry refers to is missing or changed.
    #[error("the blob {name} {reason}: restore {} from a copy", path.display())]
    Blob {
        /// SHA-256 in hex.
        name: String,
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl LogError {
    /// A static word for labels and events.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Io { .. } => "Io",
            Self::Corrupt { .. } => "Corrupt",
            Self::NoLog { .. } => "NoLog",
            Self::Locked { .. } => "Locked",
            Self::Moving { .. } => "Moving",
            Self::Poisoned => "Poisoned",
            Self::Full(_) => "Full",
            Self::Stopped => "Stopped",
            Self::Size(_) => "Size",
            Self::Group(_) => "Group",
            Self::Canonical(_) => "Canonical",
            Self::Entry { .. } => "Entry",
            Self::Unprovable { .. } => "Unprovable",
            Self::Unbegun { .. } => "Unbegun",
            Self::Unsaid { .. } => "Unsaid",
            Self::Key { .. } => "Key",
            Self::Note(_) => "Note",
            Self::Blob { .. } => "Blob",
        }
    }

    /// Whether what was durable has changed, as against a disk that fails.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    /// Whether a file is not there.
    pub(super) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the batch itself is at fault: it will never be taken, while others are.
    pub const fn is_about_the_entry(&self) -> bool {
        matches!(self, Self::Size(_) | Self::Canonical(_))
    }
}

/// Adds to an IO error what was attempted on which file.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, LogError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, LogError> {
        self.map_err(|source| LogError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
