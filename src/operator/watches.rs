//! Which watches run: one per kind that some policy needs, and one for each kind of our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::feed::OwnKind;
use crate::{
    cluster::watch::{self, LostReason, Resource, WatchItem, WatchOptions},
    engine::Event,
    inventory::{Availability, Kind},
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

/// When kinds are listed anew of which something could not be understood.
///
/// Who always sends the same can't make us list for ever: each time waits twice as long, and a
/// list that takes long is not cut off again and again.
#[derive(Debug, Default)]
pub(super) struct Rereads {
    kinds: BTreeMap<Kind, Reread>,
}

#[derive(Debug)]
struct Reread {
    at: Duration,
    wait: Duration,
}

/// Wait before a kind is listed anew, and the longest one.
const FIRST_REREAD: Duration = Duration::from_secs(5);
const GREATEST_REREAD: Duration = Duration::from_mins(10);

impl Rereads {
    /// Which of the kinds that can't be read now are to be listed anew; `now` is monotonic.
    pub(super) fn due(&mut self, broken: &BTreeSet<Kind>, now: Duration) -> Vec<Kind> {
        // What was read for as long as it waits next may break anew like any other.
        self.kinds
            .retain(|kind, reread| broken.contains(kind) || now < reread.at + reread.wait);
        let mut due = Vec::new();
        for kind in broken {
            let reread = self.kinds.entry(*kind).or_insert(Reread {
                at: now + FIRST_REREAD,
                wait: FIRST_REREAD,
            });
            if now >= reread.at {
                reread.wait = (reread.wait * 2).min(GREATEST_REREAD);
                reread.at = now + reread.wait;
                due.push(*kind);
            }
        }
        due
    }
}

/// What it means that a watch lost its server; `None` where time will tell.
pub(super) fn lost(kind: Kind, reason: LostReason) -> Option<Event> {
    match reason {
        LostReason::Forbidden { message } => {
            Some(Event::Availability(kind, Availability::Forbidden(message)))
        }
        LostReason::Missing => Some(Event::Missing(kind)),
        // Short breaks cost nothing; a long one makes the kind stale.
        LostReason::Disconnected { .. } | LostReason::Expired => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The seconds at which the kind is listed anew.
    fn listed(rereads: &mut Rereads, from: u64, to: u64, broken: bool) -> Vec<u64> {
        let broken = BTreeSet::from_iter(broken.then_some(Kind::Pod));
        let due = |at: &u64| rereads.due(&broken, seconds(*at)) == [Kind::Pod];
        (from..to).filter(due).collect()
    }

    #[test]
    fn what_cannot_be_read_is_listed_anew_and_ever_more_rarely() {
        let mut rereads = Rereads::default();
        assert_eq!(listed(&mut rereads, 0, 100, true), [5, 15, 35, 75]);
        let later = listed(&mut rereads, 100, 10_000, true);
        assert!(later.windows(2).all(|two| two[1] - two[0] <= 600));
        assert_eq!(later.last().map(|last| 10_000 - last <= 600), Some(true));
    }

    #[test]
    fn what_breaks_again_at_once_waits_on_and_what_was_read_for_long_does_not() {
        let mut rereads = Rereads::default();
        assert_eq!(listed(&mut rereads, 0, 16, true), [5, 15]);
        assert!(listed(&mut rereads, 16, 30, false).is_empty());
        assert_eq!(listed(&mut rereads, 30, 60, true), [35]);
        assert!(listed(&mut rereads, 60, 200, false).is_empty());
        assert_eq!(listed(&mut rereads, 200, 210, true), [205]);
    }
}
