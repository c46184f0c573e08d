//! What was observed beside objects: the results of probes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{AccessLook, Changed, PeopleSaid};
use crate::{
    analysis::{
        apiserver::{ApiServers, Looks},
        tls::{Shown, Target},
    },
    controls::{Observation, Subject},
    guardrails::Guardrails,
    inventory::Sym,
};

/// Results of probes, by what was probed.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Observed {
    /// The encryption canary; `None` until it ran for the first time.
    pub canary: Option<CanaryRun>,
    /// The API servers over time.
    pub api_servers: ApiServers,
    /// What entry points show to TLS clients; `None` until somebody looked.
    pub served: Option<Served>,
    /// What Cilium's configuration says; `None` until somebody looked.
    pub cilium: Option<Cilium>,
    /// The lists of those who have left that policies name, as far as somebody looked.
    pub leavers: BTreeMap<MapName, Leavers>,
    /// The network probe; `None` until it ran for the first time.
    pub network_probe: Option<NetworkProbe>,
    /// Passwords of backup repositories, by namespace; `None` until somebody looked.
    pub repository_passwords: Option<BTreeMap<Sym, Password>>,
    /// The last restore drill of each namespace.
    pub drills: BTreeMap<Sym, DrillNote>,
    /// What people say.
    pub people: PeopleSaid,
    /// The last change of everything that somebody has to approve; `None` until all of it was read.
    pub changes: Option<BTreeMap<Subject, Changed>>,
    /// Audit periods of which the log was read, by name.
    pub periods: BTreeMap<Sym, PeriodCoverage>,
    /// The clock of the API server; `None` until somebody looked.
    pub clock: Option<ClockLook>,
    /// The last check of the evidence log; `None` until there was one.
    pub self_audit: Option<SelfAudit>,
    /// What the API server says about rights; `None` until it was asked.
    pub access: Option<AccessLook>,
    /// Our own guardrails; `None` until somebody looked.
    pub guardrails: Option<Guardrails>,
    /// Minor version of the API server, from `/version`; `None` until the shell has read it.
    pub server_minor: Option<u32>,
    /// The managed platform that runs the control plane, where its version or address gives it
    /// away.
    pub platform: Option<&'static str>,
}

impl Observed {
    /// Takes in what a probe found.
    pub fn take(&mut self, finding: Finding) {
        match finding {
            Finding::Canary(run) => self.canary = Some(run),
            Finding::ApiServers(looks) => self.api_servers.take(looks),
            Finding::Served(served) => self.served = Some(served),
            Finding::Cilium(cilium) => self.cilium = Some(cilium),
            Finding::Leavers(found) => self.leavers = found,
            Finding::NetworkProbe(run) => self.network_probe = Some(run),
            Finding::RepositoryPasswords(found) => self.repository_passwords = Some(found),
            Finding::Clock(look) => self.clock = Some(look),
            Finding::SelfAudit(audit) => self.self_audit = Some(audit),
            Finding::Access(look) => self.access = Some(look.after(self.access.as_ref())),
            Finding::Guardrails(look) => self.guardrails = Some(look),
        }
    }
}

/// How much of an audit period was observed.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodCoverage {
    /// Why its spec can't be used.
    pub problem: Option<String>,
    /// Whether it has begun.
    pub begun: bool,
    /// Control and policy, and the share of the whole period that is observed if nothing more is missed.
    /// Or why the log does not tell.
    pub controls: Result<Vec<(String, f64)>, String>,
}

/// A look at the clock of the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockLook {
    /// When.
    pub at: Timestamp,
    /// How far that clock was ahead of ours, and how much of that is uncertain; else why it was not seen.
    pub offset: Result<(SignedDuration, SignedDuration), String>,
}

/// A check of the evidence log.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfAudit {
    /// When it ended.
    pub at: Timestamp,
    /// How many entries it found whole, or what is wrong.
    pub found: Result<u64, String>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// By the encryption canary.
    Canary(CanaryRun),
    /// By a look at each API server.
    ApiServers(Looks),
    /// By handshakes with entry points.
    Served(Served),
    /// In Cilium's configuration.
    Cilium(Cilium),
    /// In the lists of those who have left.
    Leavers(BTreeMap<MapName, Leavers>),
    /// By the network probe.
    NetworkProbe(NetworkProbe),
    /// In the Secrets with the passwords of backup repositories, by namespace.
    RepositoryPasswords(BTreeMap<Sym, Password>),
    /// At the clock of the API server.
    Clock(ClockLook),
    /// In the evidence log.
    SelfAudit(SelfAudit),
    /// By asking the API server about rights.
    Access(AccessLook),
    /// In the place of our own guardrails.
    Guardrails(Guardrails),
}

impl Finding {
    /// Which observation it belongs to.
    pub const fn observation(&self) -> Observation {
        match self {
            Self::Canary(_) => Observation::EncryptionCanary,
            Self::ApiServers(_) => Observation::ApiServerFacts,
            Self::Served(_) => Observation::TlsHandshakes,
            Self::Cilium(_) => Observation::CiliumConfig,
            Self::Leavers(_) => Observation::LeaverList,
            Self::NetworkProbe(_) => Observation::NetworkProbe,
            Self::RepositoryPasswords(_) => Observation::RepositoryPassword,
            Self::Clock(_) => Observation::ServerClock,
            Self::SelfAudit(_) => Observation::SelfAudit,
            Self::Access(_) => Observation::AccessChecks,
            Self::Guardrails(_) => Observation::Guardrails,
        }
    }
}

/// What is known of a password; never the password itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It is the one that is printed in the source of the program.
    BuiltIn,
    /// It is another one.
    Own,
    /// There is none.
    Missing,
    /// It can't be read: why.
    NotSeen(String),
}

/// What Cilium's configuration says of traffic between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cilium {
    /// The cluster has no Cilium.
    NotThere,
    /// It is not encrypted.
    Plain,
    /// It is encrypted, in this way.
    Encrypts(&'static str),
    /// It can't be read.
    NotSeen(String),
}

/// The `ConfigMap` of `kube-system` that Cilium's agents read.
pub const CILIUM_CONFIG: &str = "cilium-config";

impl Cilium {
    /// What its configuration says, read by key.
    pub fn configured<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        if get("enable-wireguard") == Some("true") {
            Self::Encrypts("WireGuard")
        } else if get("enable-ipsec") == Some("true") {
            Self::Encrypts("IPsec")
        } else {
            Self::Plain
        }
    }
}

/// Namespace and name of a `ConfigMap`.
pub type MapName = (String, String);

/// Who has left the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leavers {
    /// These.
    Listed {
        /// When that was read.
        at: Timestamp,
        /// Names of users, in lower case.
        names: BTreeSet<Sym>,
    },
    /// The list can't be read: why, in a sentence about it that holds nothing of it.
    NotSeen(String),
}

/// What entry points show to TLS clients.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// When the last handshake ended.
    pub at: Timestamp,
    /// What each of them showed, or why there was no handshake.
    pub shown: BTreeMap<Target, Result<Shown, String>>,
}

/// One run of the encryption canary over all API servers.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryRun {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the addresses of all replicas were known, or only the one that we talk to.
    pub all_replicas_known: bool,
    /// The managed platform that runs the control plane, where it shows itself. Such platforms
    /// may encrypt beneath the API server, where nothing can be seen.
    pub platform: Option<Sym>,
    /// What each replica did with the canary, by address.
    pub replicas: BTreeMap<Sym, Canary>,
}

/// What one API server did with the canary Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// It was written through providers with these prefixes (`k8s:enc:…`).
    Encrypted(Vec<String>),
    /// It was written as it is: by the identity provider (`true`), or without any encryption
    /// configuration (`false`).
    Plaintext {
        /// Whether an encryption configuration with `identity` first is loaded.
        identity: bool,
    },
    /// Nobody can tell; the sentence says why and who would know.
    Unclear(String),
}

/// What is said of the last restore drill of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillNote {
    /// Since when it is so.
    pub at: Timestamp,
    /// What it does, did, or what keeps it from beginning.
    pub said: String,
}

/// One run of the network probe.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkProbe {
    /// When it ended.
    pub at: Timestamp,
    /// What was seen, by where the two pods were.
    pub routes: BTreeMap<Sym, Route>,
}

/// What became of connections between two pods under policies that deny them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// They failed under each policy, and only then.
    Enforced,
    /// They went on; the sentence says under which.
    NotEnforced(String),
    /// Nobody can tell; the sentence says why.
    Unclear(String),
}

impl NetworkProbe {
    /// A run that could not begin.
    pub fn unclear(at: Timestamp, why: String) -> Self {
        let routes = [("the probe".into(), Route::Unclear(why))].into();
        Self { at, routes }
    }
}
