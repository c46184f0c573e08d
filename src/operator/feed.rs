//! From watch items of our own kinds to events, and from notices to Kubernetes Events.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::watches::Source;
use crate::{
    api::PeopleKind,
    cluster::{
        client::CallError,
        events::Publisher,
        watch::{LostReason, WatchItem},
    },
    engine::{Event, Notice},
    metrics::Metrics,
};

/// Events wait so long: one that is sent at the moment of a failure stands before the put-back in
/// etcd's queue, and costs it a sync of etcd's disk.
const BEHIND_WRITES: Duration = Duration::from_millis(100);
/// Notices that may wait.
const NOTICES: usize = 1024;

/// A notice with the uids of its subject and its policy.
pub(super) type Addressed = (Notice, Option<String>, Option<String>);

/// One of our own kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnKind {
    /// Policies.
    Policy,
    /// Objects with which people take part.
    People(PeopleKind),
}

impl OwnKind {
    /// Every kind. Policies come last: nothing is judged before what else matters is known.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let people = PeopleKind::ALL.into_iter().map(Self::People);
        people.chain([Self::Policy])
    }

    /// The resource, and whether it is in namespaces.
    pub(super) const fn resource(self) -> (&'static str, bool) {
        match self {
            Self::Policy => ("controlpolicies", false),
            Self::People(kind) => (kind.plural(), kind.is_namespaced()),
        }
    }

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Policy => "ControlPolicy",
            Self::People(kind) => kind.kind(),
        }
    }

    /// The event that an object is there as it is.
    fn put(self, object: &RawValue) -> serde_json::Result<Event> {
        Ok(match self {
            Self::Policy => Event::Policy(Box::new(serde_json::from_str(object.get())?)),
            Self::People(kind) => Event::People(kind.parse(object.get())?),
        })
    }

    /// The event that an object is gone.
    fn gone(self, (namespace, name): Name) -> Event {
        match self {
            Self::Policy => Event::PolicyDeleted(name),
            Self::People(kind) => Event::PeopleGone(kind, namespace, name),
        }
    }

    /// The event that all objects have been read, where somebody waits for it.
    fn listed(self) -> Option<Event> {
        match self {
            Self::Policy => None,
            Self::People(kind) => Some(Event::PeopleListed(kind)),
        }
    }
}

/// Namespace (empty where there is none) and name.
type Name = (String, String);

/// Follows one of our own kinds.
#[derive(Debug)]
struct Feed {
    kind: OwnKind,
    known: BTreeSet<Name>,
    listed: BTreeSet<Name>,
    synced: bool,
    /// Whether it was tried at all: then a kind that is not served holds up nothing.
    tried: bool,
    /// Whether it is not served now, or may not be read.
    lost: bool,
}

/// Follows all of our own kinds.
#[derive(Debug)]
pub(super) struct Feeds(BTreeMap<OwnKind, Feed>);

impl Default for Feeds {
    fn default() -> Self {
        Self(OwnKind::all().map(|kind| (kind, Feed::new(kind))).collect())
    }
}

impl Feeds {
    /// The events that follow from a watch item.
    pub(super) fn take(&mut self, kind: OwnKind, item: WatchItem<Source>) -> Vec<Event> {
        let feed = self.0.entry(kind).or_insert_with(|| Feed::new(kind));
        feed.take(item)
    }

    /// Whether all objects of a kind have been read once.
    pub(super) fn is_synced(&self, kind: OwnKind) -> bool {
        self.0.get(&kind).is_some_and(|feed| feed.synced)
    }

    /// Whether all that people say has been read once, or can't be.
    pub(super) fn people_settled(&self) -> bool {
        let people = self.0.values().filter(|feed| feed.kind != OwnKind::Policy);
        people.into_iter().all(|feed| feed.synced || feed.tried)
    }

    /// Whether each kind can be read; without its CRD, or the right to read it, it can't. Those that nobody has tried yet
    /// are left out.
    pub(super) fn readable(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let feeds = self.0.values().filter(|feed| feed.synced || feed.tried);
        feeds.map(|feed| (feed.kind.name(), !feed.lost))
    }

    /// How many objects of a kind there are.
    pub(super) fn len(&self, kind: OwnKind) -> usize {
        self.0.get(&kind).map_or(0, |feed| feed.known.len())
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Named {
    metadata: NamedMeta,
}

#[derive(Deserialize)]
struct NamedMeta {
    #[serde(default)]
    namespace: String,
    name: String,
}

fn name_of(object: &RawValue) -> Option<Name> {
    let named: Named = serde_json::from_str(object.get()).ok()?;
    Some((named.metadata.namespace, named.metadata.name))
}

impl Feed {
    const fn new(kind: OwnKind) -> Self {
        Self {
            kind,
            known: BTreeSet::new(),
            listed: BTreeSet::new(),
            synced: false,
            tried: false,
            lost: false,
        }
    }

    fn take(&mut self, item: WatchItem<Source>) -> Vec<Event> {
        match item {
            WatchItem::Restart { .. } => {
                self.listed.clear();
                Vec::new()
            }
            WatchItem::Page { bytes, .. } => match serde_json::from_slice::<Page<'_>>(&bytes) {
                Ok(page) => page
                    .items
                    .into_iter()
                    .flatten()
                    .filter_map(|item| self.put(item))
                    .collect(),
                Err(error) => {
                    tracing::error!(%error, kind = self.kind.resource().0, "A list can't be read");
                    Vec::new()
                }
            },
            WatchItem::Synced { .. } => {
                (self.synced, self.lost) = (true, false);
                let gone: Vec<Name> = self.known.difference(&self.listed).cloned().collect();
                self.known.clone_from(&self.listed);
                let gone = gone.into_iter().map(|name| self.kind.gone(name));
                gone.chain(self.kind.listed()).collect()
            }
            WatchItem::Event { line, .. } => self.line(&line),
            WatchItem::Alive { .. } => Vec::new(),
            WatchItem::Lost { reason, .. } => {
                self.complain(&reason);
                Vec::new()
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Vec<Event> {
        let line: Line<'_> = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, kind = self.kind.resource().0, "An event can't be read");
                return Vec::new();
            }
        };
        match line.kind.as_str() {
            "ADDED" | "MODIFIED" => self.put(line.object).into_iter().collect(),
            "DELETED" => {
                let gone = name_of(line.object).map(|name| {
                    self.known.remove(&name);
                    self.kind.gone(name)
                });
                gone.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn put(&mut self, object: &RawValue) -> Option<Event> {
        let name = name_of(object)?;
        let event = self.kind.put(object);
        self.listed.insert(name.clone());
        match event {
            Ok(event) => {
                self.known.insert(name);
                Some(event)
            }
            Err(error) => {
                // The API server checks the schema, so this is an object of another version. What
                // it said before stays in force.
                let kind = self.kind.resource().0;
                let (namespace, name) = name;
                tracing::error!(kind, namespace, name, %error, "An object can't be read; its last readable version stays in force");
                None
            }
        }
    }

    fn complain(&mut self, reason: &LostReason) {
        let kind = self.kind.resource().0;
        match reason {
            LostReason::Missing => {
                tracing::warn!(
                    kind,
                    "A CRD of Probity is not installed: install the chart, or apply the files in crds/; waiting"
                );
                (self.tried, self.lost) = (true, true);
            }
            LostReason::Forbidden { message } => {
                tracing::warn!(%message, kind, "Objects can't be read; waiting for the right");
                (self.tried, self.lost) = (true, true);
            }
            LostReason::Disconnected { .. } | LostReason::Expired => {}
        }
    }
}

/// Publishes notices one after the other, beside the loop.
pub(super) fn publish(
    client: kube::Client,
    mut publisher: Publisher,
    metrics: Metrics,
) -> mpsc::Sender<Addressed> {
    let (sender, mut receiver) = mpsc::channel::<Addressed>(NOTICES);
    let origin = Instant::now();
    tokio::spawn(async move {
        while let Some(first) = receiver.recv().await {
            tokio::time::sleep(BEHIND_WRITES).await;
            let mut next = Some(first);
            while let Some((notice, subject, policy)) = next {
                let (mono, wall) = (origin.elapsed(), Timestamp::now());
                let sent = publisher.publish(&client, &notice, subject, policy, mono, wall);
                let sent = sent.await;
                let result = sent.as_ref().map_or_else(CallError::category, |()| "Ok");
                metrics.request("event", result);
                if let Err(error) = sent {
                    tracing::debug!(%error, "An Event was not published");
                }
                next = receiver.try_recv().ok();
            }
        }
    });
    sender
}
