//! Which watches run: one per kind that some policy needs, and one for each kind of our own.

use std::collections::{BTreeMap, BTreeSet};

use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::feed::OwnKind;
use crate::{
    cluster::watch::{self, Resource, WatchItem, WatchOptions},
    inventory::Kind,
};

/// What a watch is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// One of our own kinds.
    Own(OwnKind),
    /// A kind that controls read.
    Kind(Kind),
}

impl Source {
    pub(crate) fn resource(self) -> Resource {
        match self {
            Self::Own(kind) => {
                let (plural, namespaced) = kind.resource();
                Resource::new(crate::api::GROUP, crate::api::VERSION, plural, namespaced)
            }
            Self::Kind(kind) => {
                let info = kind.info();
                Resource::new(info.group, info.version, info.plural, info.is_namespaced())
            }
        }
    }
}

/// The watches that run.
pub(super) struct Watches {
    client: kube::Client,
    inbox: Sender<WatchItem<Source>>,
    running: BTreeMap<Source, JoinHandle<()>>,
    fresh: Vec<Kind>,
}

impl Watches {
    pub(super) fn new(client: kube::Client, inbox: Sender<WatchItem<Source>>) -> Self {
        Self {
            client,
            inbox,
            running: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }

    /// Watches one of our own kinds, if it is not watched already.
    pub(super) fn watch_own(&mut self, kind: OwnKind) {
        if !self.running.contains_key(&Source::Own(kind)) {
            self.start(Source::Own(kind));
        }
    }

    /// Starts and stops watches so that just the needed kinds are watched; returns those that
    /// were stopped.
    pub(super) fn adjust(&mut self, needed: &BTreeSet<Kind>) -> Vec<Kind> {
        for kind in needed {
            if !self.is_watching(*kind) {
                self.start(Source::Kind(*kind));
                self.fresh.push(*kind);
            }
        }
        let surplus: Vec<Kind> = self
            .running
            .keys()
            .filter_map(|source| match source {
                Source::Kind(kind) if !needed.contains(kind) => Some(*kind),
                _ => None,
            })
            .collect();
        for kind in &surplus {
            self.end(Source::Kind(*kind));
        }
        surplus
    }

    /// Kinds whose watch was started since this was last asked.
    pub(super) fn started(&mut self) -> Vec<Kind> {
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn is_watching(&self, kind: Kind) -> bool {
        self.running.contains_key(&Source::Kind(kind))
    }

    /// Lists a kind anew and goes on from there.
    pub(super) fn restart(&mut self, kind: Kind) {
        self.end(Source::Kind(kind));
        self.start(Source::Kind(kind));
    }

    pub(super) fn stop(&mut self) {
        for source in self.running.keys().copied().collect::<Vec<_>>() {
            self.end(source);
        }
    }

    fn end(&mut self, source: Source) {
        if let Some(task) = self.running.remove(&source) {
            task.abort();
        }
    }

    fn start(&mut self, source: Source) {
        let (client, inbox) = (self.client.clone(), self.inbox.clone());
        let (resource, options) = (source.resource(), WatchOptions::default());
        let task = tokio::spawn(watch::run(client, resource, options, inbox, source));
        self.running.insert(source, task);
    }
}
