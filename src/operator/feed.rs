//! From watch items of policies to events, and from notices to Kubernetes Events.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::watches::Source;
use crate::{
    api::ControlPolicy,
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

/// Follows the policies.
#[derive(Debug, Default)]
pub(super) struct PolicyFeed {
    known: BTreeSet<String>,
    listed: BTreeSet<String>,
    synced: bool,
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
    name: String,
}

impl PolicyFeed {
    /// The events that follow from a watch item.
    pub(super) fn take(&mut self, item: WatchItem<Source>) -> Vec<Event> {
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
                    tracing::error!(%error, "A list of policies can't be read");
                    Vec::new()
                }
            },
            WatchItem::Synced { .. } => {
                self.synced = true;
                let gone: Vec<String> = self.known.difference(&self.listed).cloned().collect();
                self.known.clone_from(&self.listed);
                gone.into_iter().map(Event::PolicyDeleted).collect()
            }
            WatchItem::Event { line, .. } => self.line(&line),
            WatchItem::Alive { .. } => Vec::new(),
            WatchItem::Lost { reason, .. } => {
                complain(&reason);
                Vec::new()
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Vec<Event> {
        let line: Line<'_> = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "An event of a policy can't be read");
                return Vec::new();
            }
        };
        match line.kind.as_str() {
            "ADDED" | "MODIFIED" => self.put(line.object).into_iter().collect(),
            "DELETED" => match serde_json::from_str::<Named>(line.object.get()) {
                Ok(Named { metadata }) => {
                    self.known.remove(&metadata.name);
                    vec![Event::PolicyDeleted(metadata.name)]
                }
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn put(&mut self, object: &RawValue) -> Option<Event> {
        match serde_json::from_str::<ControlPolicy>(object.get()) {
            Ok(policy) => {
                let name = policy.metadata.name.clone()?;
                self.known.insert(name.clone());
                self.listed.insert(name);
                Some(Event::Policy(Box::new(policy)))
            }
            Err(error) => {
                // The API server checks the schema, so this is a policy of another version. What
                // it said before stays in force.
                if let Ok(named) = serde_json::from_str::<Named>(object.get()) {
                    let name = named.metadata.name;
                    tracing::error!(policy = name, %error, "A policy can't be read; its last readable version stays in force");
                    self.listed.insert(name);
                }
                None
            }
        }
    }

    /// Whether all policies have been read once.
    pub(super) const fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

fn complain(reason: &LostReason) {
    match reason {
        LostReason::Missing => tracing::warn!(
            "The ControlPolicy CRD is not installed: install the chart, or apply the files in crds/; waiting"
        ),
        LostReason::Forbidden { message } => {
            tracing::warn!(%message, "Policies can't be read; waiting for the right");
        }
        LostReason::Disconnected { .. } | LostReason::Expired => {}
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
