//! The list-watch of one kind, as raw bytes.
//!
//! ```text
//!        ┌────────── 410, oversize line, resource version went back ───────────┐
//!        ▼                                                                      │
//!     List ── Restart, Page…, Synced ──► Watch ── Event…, Alive ──► clean end ──┤
//!        ▲                                 ▲                                    │
//!        └── 403, 404 (Lost, slow retry)   └──── broken (Lost, quick retry) ────┘
//! ```
//!
//! The task only drains: the server closes a watch whose reader falls behind by some hundred events, so nothing may be
//! evaluated or decoded here. In return the receiver learns what kube's `watcher` hides: bookmarks, clean ends and
//! reconnects, without which staleness can't be measured.
//!
//! The receiver sees, per key: `Restart`, `Page` (at least one), `Synced`, then `Event`s and `Alive`s. A `Restart` may
//! come again before `Synced`: what was listed before is then void. After `Lost` by `Forbidden`, `Missing` or `Expired`
//! a new list follows; after `Disconnected` events go on where they stopped, with nothing missed, or a list follows.

mod list;
mod reader;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use super::wire;
pub use list::{MetadataList, list_metadata};
use reader::Reader;

/// A kind as the API server names it in paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version, such as `v1`.
    pub version: Cow<'static, str>,
    /// Plural in lower case, such as `networkpolicies`.
    pub plural: Cow<'static, str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// A resource that is known when compiling.
    pub const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            namespaced,
        }
    }

    /// The path of all objects of this kind, in all namespaces.
    pub fn list_path(&self) -> String {
        let Self {
            group,
            version,
            plural,
            namespaced: _,
        } = self;
        if group.is_empty() {
            format!("/api/{version}/{plural}")
        } else {
            format!("/apis/{group}/{version}/{plural}")
        }
    }
}

/// Times and sizes of a list-watch. The defaults are right; tests shorten them.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Objects per list page, to begin with.
    pub page_size: u32,
    /// How long the server keeps a watch open; up to a tenth is added at random.
    pub timeout: Duration,
    /// How long the first watch after a break is kept open, if shorter. The server sends a bookmark shortly before a
    /// watch ends, so this is how soon it is proven that nothing was missed.
    pub first_timeout: Duration,
    /// How much longer than `timeout` a watch may take before it counts as hung.
    pub grace: Duration,
    /// How long a watch may take to begin.
    pub open: Duration,
    /// A watch that lasted this long worked: the next failure waits `first_retry` again.
    pub healthy_after: Duration,
    /// Wait after a first failure.
    pub first_retry: Duration,
    /// Longest wait between attempts.
    pub greatest_retry: Duration,
    /// Longest wait between attempts while forbidden.
    pub forbidden_retry: Duration,
    /// Wait between attempts while the kind does not exist.
    pub missing_retry: Duration,
    /// Longest watch line, in bytes.
    pub max_line: usize,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            page_size: 500,
            timeout: Duration::from_secs(45),
            first_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            open: Duration::from_secs(15),
            healthy_after: Duration::from_secs(1),
            first_retry: Duration::from_millis(5),
            greatest_retry: Duration::from_secs(10),
            forbidden_retry: Duration::from_secs(30),
            missing_retry: Duration::from_secs(5),
            max_line: wire::MAX_LINE,
        }
    }
}

/// What a list-watch tells of the kind that `key` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchItem<K> {
    /// A list begins: objects that don't occur before [`Self::Synced`] are gone.
    Restart {
        /// The kind.
        key: K,
    },
    /// A page of that list; take it apart with [`wire::split_list`].
    Page {
        /// The kind.
        key: K,
        /// The body of the answer.
        bytes: Bytes,
    },
    /// The list is complete.
    Synced {
        /// The kind.
        key: K,
        /// The state of the cluster that the list shows. May be lower than before, after a restore of etcd.
        resource_version: String,
    },
    /// `ADDED`, `MODIFIED` or `DELETED`; take it apart with [`wire::envelope`].
    Event {
        /// The kind.
        key: K,
        /// The line, without newline.
        line: Bytes,
    },
    /// Nothing was missed up to now: a bookmark came, or the watch ended as it should.
    Alive {
        /// The kind.
        key: K,
    },
    /// Nothing is seen at the moment. Told once per reason until it works again.
    Lost {
        /// The kind.
        key: K,
        /// Why.
        reason: LostReason,
    },
}

impl<K: Copy> WatchItem<K> {
    /// The kind that this tells of.
    pub fn key(&self) -> K {
        match self {
            Self::Restart { key }
            | Self::Page { key, .. }
            | Self::Synced { key, .. }
            | Self::Event { key, .. }
            | Self::Alive { key }
            | Self::Lost { key, .. } => *key,
        }
    }
}

/// Why a kind is not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostReason {
    /// Our rights don't cover listing or watching it.
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// The server doesn't have this kind: its CRD is absent.
    Missing,
    /// The connection broke, hung, or was refused, or the server failed.
    Disconnected {
        /// What went wrong.
        message: String,
    },
    /// The server can't tell what happened since the last event: all is listed again.
    Expired,
}

impl LostReason {
    /// A name for metric labels; one of a closed set.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "forbidden",
            Self::Missing => "missing",
            Self::Disconnected { .. } => "disconnected",
            Self::Expired => "expired",
        }
    }
}

/// Lists and watches `resource` until the receiver of `sink` is gone or the future is dropped. Never gives up.
///
/// `key` is handed back with each item.
pub async fn run<K: Copy + Send>(
    client: kube::Client,
    resource: Resource,
    options: WatchOptions,
    sink: Sender<WatchItem<K>>,
    key: K,
) {
    let closed = sink.clone();
    let reader = Reader::new(client, resource, options, sink, key);
    tokio::select! {
        () = closed.closed() => {}
        () = reader.run() => {}
    }
}
