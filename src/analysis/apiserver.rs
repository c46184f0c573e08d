//! What the API servers tell of how they encrypt, and how that changes over time.
//!
//! ```text
//! /metrics ─► Reading ─┐
//! /flagz, /readyz ─────┼─► Look ─► ApiServers::take() ─► Replica: what rose when, what changed when
//! TLS handshake ───────┘
//! ```
//!
//! Most of these metrics are of stability ALPHA: what is absent is not known, and never zero.
//! History is bounded, and starts anew with the process of Probity.

mod history;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::history::{ApiServers, Change, Counter, Key, Kms, Replica, Rise};
use super::{exposition::Sample, tls::Shown};
use crate::inventory::Sym;

/// Counts what went to and came from storage, by resource and provider.
const OPERATIONS: &str = "apiserver_storage_transformation_operations_total";
/// When the process started.
const START: &str = "process_start_time_seconds";
const CONFIG: &str = "apiserver_encryption_config_controller_last_config_info";
const RELOADED: &str =
    "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds";
const KEY_STATUS: &str = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds";
const KEY_USED: &str = "apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds";
const KEY_INVALID: &str = "apiserver_envelope_encryption_invalid_key_id_from_status_total";
const KMS_CALLS: &str = "apiserver_envelope_encryption_kms_operations_latency_seconds_count";
/// Tokens from Secrets that were used: in all, and of those that people made and that were made for
/// each account until 1.24. Kubernetes has them in `pkg/serviceaccount/metrics.go`, without labels, so
/// that a server shows them from its start, as zero.
const LEGACY: [(&str, LegacyToken); 3] = [
    ("serviceaccount_legacy_tokens_total", LegacyToken::Any),
    (
        "serviceaccount_legacy_manual_token_uses_total",
        LegacyToken::Manual,
    ),
    (
        "serviceaccount_legacy_auto_token_uses_total",
        LegacyToken::Generated,
    ),
];
const WANTED: [&str; 11] = [
    LEGACY[0].0,
    LEGACY[1].0,
    LEGACY[2].0,
    OPERATIONS,
    START,
    CONFIG,
    RELOADED,
    KEY_STATUS,
    KEY_USED,
    KEY_INVALID,
    KMS_CALLS,
];
/// Series of one kind that are kept of a scrape: a server with more is not believed to be one.
const SERIES: usize = 512;

/// What the prefixes of providers that encrypt begin with.
pub const ENCRYPTED: &str = "k8s:enc:";
/// What `identity` is called where it reads; where it writes, it has no name.
pub const IDENTITY: &str = "identity";

/// A way to or from storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// What was written.
    ToStorage,
    /// What was read.
    FromStorage,
}

/// What a counter of operations is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Resource; empty where a cache was filled.
    pub resource: String,
    /// Whether it was written or read.
    pub direction: Direction,
    /// Prefix of the provider that did it.
    pub prefix: String,
}

/// A token of a service account that lies in a Secret and never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegacyToken {
    /// Any of them.
    Any,
    /// One for which somebody made a Secret.
    Manual,
    /// One that the cluster made for its account.
    Generated,
}

/// The numbers of one scrape that matter here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Start of the process.
    pub start: Option<Timestamp>,
    /// Successful operations.
    pub operations: BTreeMap<Operation, f64>,
    /// Whether operations are counted without a resource, as before 1.32.
    pub old: bool,
    /// Hash of the encryption configuration that is in use.
    pub config: Option<String>,
    /// When the configuration was last reloaded with success.
    pub reloaded: Option<Timestamp>,
    /// When reloading it last failed.
    pub reload_failed: Option<Timestamp>,
    /// What is told of each KMS provider, by its name.
    pub kms: BTreeMap<String, KmsReading>,
    /// Ids by which the server calls itself, as hashes: one, where it tells.
    pub ids: BTreeSet<String>,
    /// Uses of tokens from Secrets.
    pub legacy: BTreeMap<LegacyToken, f64>,
}

/// What one scrape tells of a KMS provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KmsReading {
    /// Key ids (as hashes) that the provider named, with the time at which it last did.
    pub named: BTreeMap<String, Timestamp>,
    /// Key ids (as hashes) that something was written with, with the time of the last.
    pub used: BTreeMap<String, Timestamp>,
    /// Key ids that were not valid.
    pub invalid: Option<f64>,
    /// Calls that succeeded.
    pub ok: f64,
    /// Calls that failed.
    pub failed: f64,
}

impl Reading {
    /// Reads all lines of a Prometheus text.
    pub fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        text.lines().for_each(|line| reading.line(line));
        reading
    }

    /// Takes in one line of a Prometheus text; most have nothing to say.
    pub fn line(&mut self, line: &str) {
        // A cheap look first: scrapes have hundreds of thousands of lines.
        if !line.starts_with("apiserver_e")
            && !line.starts_with("apiserver_storage_t")
            && !line.starts_with("serviceaccount_legacy_")
            && !line.starts_with(START)
        {
            return;
        }
        let Some(sample) = Sample::parse(line, |name| WANTED.contains(&name)) else {
            return;
        };
        let Some(number) = sample.number() else {
            return;
        };
        let id = sample
            .label("apiserver_id_hash")
            .filter(|id| !id.is_empty());
        if let Some(id) = id.filter(|_| self.ids.len() < SERIES) {
            self.ids.insert(id.to_owned());
        }
        match sample.name {
            START => self.start = moment(number),
            OPERATIONS => self.operation(&sample, number),
            CONFIG => {
                let hash = sample.label("hash").filter(|hash| !hash.is_empty());
                self.config = hash.map(str::to_owned);
            }
            RELOADED => match sample.label("status") {
                Some("success") => self.reloaded = moment(number),
                Some("failure") => self.reload_failed = moment(number),
                _ => {}
            },
            name => match LEGACY.iter().find(|(series, _)| *series == name) {
                Some((_, token)) => *self.legacy.entry(*token).or_default() += number,
                None => self.kms(&sample, number),
            },
        }
    }

    fn operation(&mut self, sample: &Sample<'_>, number: f64) {
        let Some(resource) = sample.label("resource") else {
            self.old = true;
            return;
        };
        let direction = match sample.label("transformation_type") {
            Some("to_storage") => Direction::ToStorage,
            Some("from_storage") => Direction::FromStorage,
            _ => return,
        };
        let (Some(prefix), Some("OK")) =
            (sample.label("transformer_prefix"), sample.label("status"))
        else {
            return;
        };
        let operation = Operation {
            resource: resource.to_owned(),
            direction,
            prefix: prefix.to_owned(),
        };
        if self.operations.len() < SERIES {
            *self.operations.entry(operation).or_default() += number;
        }
    }

    fn kms(&mut self, sample: &Sample<'_>, number: f64) {
        let Some(provider) = sample.label("provider_name") else {
            return;
        };
        if self.kms.len() >= SERIES && !self.kms.contains_key(provider) {
            return;
        }
        let kms = self.kms.entry(provider.to_owned()).or_default();
        let key = sample.label("key_id_hash").map(str::to_owned);
        match sample.name {
            KEY_STATUS => kms.named.extend(key.zip(moment(number))),
            KEY_USED if sample.label("transformation_type") == Some("to_storage") => {
                kms.used.extend(key.zip(moment(number)));
            }
            KEY_INVALID => *kms.invalid.get_or_insert_default() += number,
            KMS_CALLS if sample.label("grpc_status_code") == Some("OK") => kms.ok += number,
            KMS_CALLS => kms.failed += number,
            _ => {}
        }
    }
}

/// A moment in seconds since the epoch; zero and what can't be one is none.
fn moment(seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1000.0).round();
    if !(1.0..=253_000_000_000_000.0).contains(&millis) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the range above is within that of i64"
    )]
    Timestamp::from_millisecond(millis as i64).ok()
}

/// What `/readyz` says of KMS providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KmsHealth {
    /// There is no such check: no KMS provider is configured.
    None,
    /// All of them answer.
    Healthy,
    /// One does not; what the server says about it.
    Sick(String),
    /// The check can't be read.
    NotSeen(String),
}

/// Flags of an API server, and who told of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// By name, without dashes.
    pub values: BTreeMap<String, String>,
    /// Who told.
    pub source: FlagSource,
}

/// Who tells of flags, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagSource {
    /// The server, at `/flagz`: all of them.
    Flagz,
    /// The mirror of its static pod: all that are set.
    StaticPod,
    /// What kubeadm was told, which a hand may have changed since.
    Kubeadm,
}

impl FlagSource {
    /// In the words of a verdict.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flagz => "by /flagz",
            Self::StaticPod => "by its static pod",
            Self::Kubeadm => "by ConfigMap kube-system/kubeadm-config",
        }
    }
}

impl Flags {
    /// Whether a flag is certainly not set, or set to nothing.
    pub fn is_unset(&self, name: &str) -> bool {
        match (self.values.get(name), self.source) {
            (Some(value), FlagSource::Flagz | FlagSource::StaticPod) => value.is_empty(),
            (None, FlagSource::StaticPod) => true,
            (_, FlagSource::Kubeadm) | (None, FlagSource::Flagz) => false,
        }
    }
}

/// One look at one API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Its metrics, or why they can't be read.
    pub metrics: Result<Reading, String>,
    /// Its flags, or why they can't be read.
    pub flags: Result<Flags, String>,
    /// What it says of KMS providers.
    pub kms: KmsHealth,
    /// What it shows to TLS clients, or why there was no handshake; `None` where none was tried.
    pub tls: Option<Result<Shown, String>>,
}

/// One look at all API servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the addresses of all replicas were known, or only the one that we talk to. Behind
    /// one of them may be several.
    pub all_known: bool,
    /// Version of the server that we talk to, such as `v1.37.2+k3s1`.
    pub version: Option<String>,
    /// What `OpenShift` is to encrypt with: `spec.encryption.type` of its `APIServer`; empty means
    /// `identity`. `None` where there is no such object, or where it can't be read.
    pub openshift: Option<String>,
    /// What was seen, by address.
    pub replicas: BTreeMap<Sym, Look>,
}
