//! What is remembered of looks at the API servers.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::{KmsReading, LegacyToken, Look, Looks, Operation, Reading};
use crate::inventory::Sym;

/// Changes of the configuration, or of a key, that are remembered.
const CHANGES: usize = 32;
/// Points of a curve of calls that are remembered.
const POINTS: usize = 25;
/// Time between two such points.
const POINT: SignedDuration = SignedDuration::from_hours(1);
/// A server that was not met at its address for so long was replaced.
const REPLACED: SignedDuration = SignedDuration::from_hours(24);
/// A process that started so long after the last look at its predecessor leaves no gap.
const GAP: SignedDuration = SignedDuration::from_mins(15);

/// When a counter last rose: between these two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rise {
    /// It had not risen yet.
    pub from: Timestamp,
    /// It had.
    pub to: Timestamp,
}

/// A counter over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// What it shows.
    pub value: f64,
    /// When it last rose, as far as that was seen.
    pub rise: Option<Rise>,
}

/// What became different: the configuration's hash, or a key of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it was in use at the latest.
    pub at: Timestamp,
    /// What is in use since then, as a hash.
    pub hash: String,
}

/// The key that a KMS provider encrypts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id, as a hash.
    pub hash: String,
    /// In use since then at the latest.
    pub since: Timestamp,
    /// Whether it was not in use before: otherwise it may be much older.
    pub start_seen: bool,
}

/// A KMS provider over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kms {
    /// When it last named its key.
    pub status: Option<Timestamp>,
    /// The key that it encrypts with.
    pub key: Option<Key>,
    /// Key ids that were not valid.
    pub invalid: Option<Counter>,
    /// Calls in all, at most so many points: time, those that succeeded, those that failed.
    calls: VecDeque<(Timestamp, f64, f64)>,
    /// Keys that it changed to.
    changes: Vec<Change>,
}

/// An API server over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// The last look.
    pub look: Look,
    /// The last metrics that could be read, and when.
    pub reading: Option<(Timestamp, Reading)>,
    /// Since when nothing was missed.
    pub since: Timestamp,
    /// Operations over time.
    pub operations: BTreeMap<Operation, Counter>,
    /// Configurations over time; the first was found and is no change.
    configs: Vec<Change>,
    /// KMS providers over time.
    pub kms: BTreeMap<String, Kms>,
    /// Uses of tokens from Secrets over time.
    pub legacy: BTreeMap<LegacyToken, Counter>,
    /// Ids by which whoever answers called itself, with the last time.
    ids: BTreeMap<String, Timestamp>,
}

/// The API servers over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiServers {
    /// When they were last looked at; `None` until then.
    pub at: Option<Timestamp>,
    /// Whether the addresses of all replicas are known, and behind each is one.
    pub all_known: bool,
    /// Version of the server that we talk to.
    pub version: Option<String>,
    /// What `OpenShift` is to encrypt with; see [`Looks::openshift`].
    pub openshift: Option<String>,
    /// Each of them, by address.
    pub replicas: BTreeMap<Sym, Replica>,
}

impl ApiServers {
    /// Takes in a look at all of them.
    pub fn take(&mut self, looks: Looks) {
        let Looks {
            at,
            all_known,
            version,
            openshift,
            replicas,
        } = looks;
        self.openshift = openshift;
        self.at = Some(at);
        self.version = version.or(self.version.take());
        self.replicas
            .retain(|address, _| replicas.contains_key(address));
        for (address, look) in replicas {
            match self.replicas.get_mut(&address) {
                Some(replica) => replica.take(look, at),
                None => {
                    self.replicas.insert(address, Replica::new(look, at));
                }
            }
        }
        let mut replicas = self.replicas.values();
        self.all_known = all_known && replicas.all(|replica| replica.ids.len() <= 1);
    }
}

impl Replica {
    fn new(look: Look, at: Timestamp) -> Self {
        let mut replica = Self {
            look: look.clone(),
            reading: None,
            since: at,
            operations: BTreeMap::new(),
            configs: Vec::new(),
            kms: BTreeMap::new(),
            legacy: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        replica.take(look, at);
        replica
    }

    fn take(&mut self, look: Look, at: Timestamp) {
        if let Ok(reading) = &look.metrics {
            self.read(reading.clone(), at);
        }
        let tls = look.tls.clone().or_else(|| self.look.tls.take());
        self.look = Look { tls, ..look };
    }

    fn read(&mut self, reading: Reading, at: Timestamp) {
        self.meet(&reading, at);
        let before = self.reading.take();
        let same_process = before
            .as_ref()
            .is_some_and(|(_, known)| known.start == reading.start);
        // What a counter shows for the first time rose since the process started, or since the
        // last look.
        let from = match (&before, reading.start) {
            (Some((last, _)), _) if same_process => *last,
            (_, Some(start)) => start,
            (Some((last, _)), None) => *last,
            (None, None) => Timestamp::MIN,
        };
        if let Some((last, _)) = &before
            && !same_process
        {
            let missed = from.duration_since(*last) > GAP;
            if missed {
                self.since = from;
            }
        }
        for (operation, value) in &reading.operations {
            let counter = self.operations.entry(operation.clone());
            count(
                counter.or_insert_with(Counter::none),
                *value,
                same_process,
                from,
                at,
            );
        }
        for (token, uses) in &reading.legacy {
            let counter = self.legacy.entry(*token).or_insert_with(Counter::none);
            count(counter, *uses, same_process, from, at);
        }
        if !same_process {
            // Series that are not there any more begin again from nothing.
            self.operations.retain(|operation, counter| {
                let there = reading.operations.contains_key(operation);
                if !there {
                    counter.value = 0.0;
                }
                there || counter.rise.is_some()
            });
        }
        self.configure(before.as_ref(), &reading, at);
        for (provider, kms) in &reading.kms {
            let known = self.kms.entry(provider.clone()).or_default();
            known.take(kms, same_process, from, at);
        }
        self.reading = Some((at, reading));
    }

    /// Notes who answered. Several at one address are behind a load balancer, which shows one at a
    /// time; or one took the place of another, and then the other is not met again.
    fn meet(&mut self, reading: &Reading, at: Timestamp) {
        let met = reading.ids.iter().map(|id| (id.clone(), at));
        self.ids.extend(met);
        self.ids
            .retain(|_, last| at.duration_since(*last) < REPLACED);
    }

    fn configure(
        &mut self,
        before: Option<&(Timestamp, Reading)>,
        reading: &Reading,
        at: Timestamp,
    ) {
        let Some(hash) = &reading.config else { return };
        if self.configs.last().is_some_and(|last| last.hash == *hash) {
            return;
        }
        let last = before.map_or(Timestamp::MIN, |(last, _)| *last);
        let told = [reading.reloaded, reading.start].into_iter().flatten();
        let changed = told.filter(|moment| *moment > last && *moment <= at).max();
        if self.configs.is_empty() && before.is_some_and(|(_, reading)| reading.config.is_none()) {
            // Encryption was switched on while we looked: that is a change like any other.
            self.configs.push(Change {
                at: last,
                hash: String::new(),
            });
        }
        push(
            &mut self.configs,
            Change {
                at: changed.unwrap_or(at),
                hash: hash.clone(),
            },
        );
    }

    /// Changes of the configuration that were seen.
    pub fn config_changes(&self) -> &[Change] {
        self.configs.get(1..).unwrap_or_default()
    }

    /// Since when the configuration is in use that is: where no change was seen, since we looked.
    pub fn configured(&self) -> Option<Timestamp> {
        let last = self.configs.last()?;
        Some(if self.configs.len() > 1 {
            last.at
        } else {
            self.since
        })
    }

    /// When a counter last rose between two moments that both lie after `baseline`.
    pub fn rose_after(&self, operation: &Operation, baseline: Timestamp) -> Option<Rise> {
        let rise = self.operations.get(operation)?.rise?;
        (rise.from >= baseline).then_some(rise)
    }
}

impl Counter {
    const fn none() -> Self {
        Self {
            value: 0.0,
            rise: None,
        }
    }
}

fn count(counter: &mut Counter, value: f64, same_process: bool, from: Timestamp, at: Timestamp) {
    // A counter that fell began anew, whatever the process says.
    let before = if same_process && value >= counter.value {
        counter.value
    } else {
        0.0
    };
    if value > before {
        counter.rise = Some(Rise { from, to: at });
    }
    counter.value = value;
}

/// Adds a change; of too many, the first that were seen stay, and the last.
fn push(changes: &mut Vec<Change>, change: Change) {
    if changes.len() >= CHANGES {
        changes.pop();
    }
    changes.push(change);
}

impl Kms {
    fn take(&mut self, reading: &KmsReading, same_process: bool, from: Timestamp, at: Timestamp) {
        self.status = reading.named.values().max().copied().or(self.status);
        if let Some(invalid) = reading.invalid {
            let counter = self.invalid.get_or_insert_with(Counter::none);
            count(counter, invalid, same_process, from, at);
        }
        let dropped = self
            .calls
            .back()
            .is_some_and(|(_, ok, failed)| reading.ok < *ok || reading.failed < *failed);
        if !same_process || dropped || self.calls.is_empty() {
            self.calls.clear();
            // Everything that the process counts, it counted since it started.
            self.calls.push_back((from, 0.0, 0.0));
        }
        // The newest point moves until it is an hour away from the one before it.
        let before = self.calls.iter().rev().nth(1).map(|(moment, ..)| *moment);
        if before.is_some_and(|moment| at.duration_since(moment) < POINT) {
            self.calls.pop_back();
        }
        self.calls.push_back((at, reading.ok, reading.failed));
        while self.calls.len() > POINTS {
            self.calls.pop_front();
        }
        self.choose_key(reading, at);
    }

    fn choose_key(&mut self, reading: &KmsReading, at: Timestamp) {
        // What was written last tells the key; before the first write, what the provider names.
        let newest = |keys: &BTreeMap<String, Timestamp>| {
            let newest = keys.iter().max_by_key(|(_, time)| **time);
            newest.map(|(hash, _)| hash.clone())
        };
        let Some(hash) = newest(&reading.used).or_else(|| newest(&reading.named)) else {
            return;
        };
        match &self.key {
            Some(key) if key.hash == hash => {}
            Some(_) => {
                push(
                    &mut self.changes,
                    Change {
                        at,
                        hash: hash.clone(),
                    },
                );
                self.key = Some(Key {
                    hash,
                    since: at,
                    start_seen: true,
                });
            }
            None => {
                // The last use of the key before it is when this one came.
                let older = reading.used.iter().filter(|(known, _)| **known != hash);
                let ended = older.map(|(_, time)| *time).max();
                self.key = Some(Key {
                    hash,
                    since: ended.unwrap_or(at),
                    start_seen: ended.is_some(),
                });
            }
        }
    }

    /// Changes of the key that were seen.
    pub fn key_changes(&self) -> &[Change] {
        &self.changes
    }

    /// Calls of the last day or so: how many succeeded, and how many failed.
    pub fn recent_calls(&self) -> Option<(f64, f64)> {
        let ((_, ok, failed), (_, ok_now, failed_now)) = (self.calls.front()?, self.calls.back()?);
        (self.calls.len() > 1).then_some((ok_now - ok, failed_now - failed))
    }
}
