//! What is done beside watching: probes, and anti-entropy lists.

mod access_checks;
mod api_servers;
mod canary;
mod cilium;
mod clock;
mod entropy;
mod guardrails;
mod handshakes;
mod leavers;
mod network_probe;
mod repository_password;
mod self_audit;

use std::{path::Path, time::Duration};

use serde_json::Value;
use tokio::{sync::mpsc::Sender, task::JoinHandle};

pub(super) use self::entropy::look_again;
use super::{Input, ProbePlace, watches::Source};
use crate::{
    cluster::{client::Connection, guardrails::ReleaseManifest},
    controls::Observation,
    engine::{Engine, Finding, Now},
};

/// Everything that is done beside watching.
#[derive(Debug, Default)]
pub(super) struct Observers {
    canary: Repeated,
    api_servers: api_servers::ApiServers,
    handshakes: handshakes::Handshakes,
    cilium: Repeated,
    leavers: Repeated,
    network_probe: Repeated,
    repository_password: Repeated,
    clock: Repeated,
    self_audit: Repeated,
    guardrails: Repeated,
    access_checks: Repeated,
    entropy: entropy::Entropy,
    second: Duration,
}

/// What a turn works with.
pub(super) struct Turn<'a> {
    pub(super) engine: &'a Engine,
    pub(super) connection: &'a Connection,
    pub(super) namespace: &'a str,
    /// The data folder.
    pub(super) data: &'a Path,
    pub(super) probe: Option<&'a ProbePlace>,
    pub(super) release: Option<&'a ReleaseManifest>,
    pub(super) sender: &'a Sender<Input>,
    pub(super) verify_every: Duration,
    pub(super) leads: bool,
    pub(super) now: Now,
}

impl Observers {
    /// Starts what is due.
    pub(super) fn turn(&mut self, turn: &Turn<'_>) {
        for observation in turn.engine.needed_observations() {
            match observation {
                // It writes, and only the leader does.
                Observation::EncryptionCanary if turn.leads => canary::turn(&mut self.canary, turn),
                // What followers have seen, they need when they take over.
                Observation::ApiServerFacts => self.api_servers.turn(turn),
                // Every client can do this; followers need what they have seen as well.
                Observation::TlsHandshakes => self.handshakes.turn(turn),
                Observation::CiliumConfig => cilium::turn(&mut self.cilium, turn),
                Observation::LeaverList => leavers::turn(&mut self.leavers, turn),
                Observation::NetworkProbe if turn.leads => {
                    network_probe::turn(&mut self.network_probe, turn);
                }
                Observation::RepositoryPassword => {
                    repository_password::turn(&mut self.repository_password, turn);
                }
                Observation::ServerClock => clock::turn(&mut self.clock, turn),
                Observation::Guardrails => guardrails::turn(&mut self.guardrails, turn),
                // It asks the same of everybody's server: once is enough.
                Observation::AccessChecks if turn.leads => {
                    access_checks::turn(&mut self.access_checks, turn);
                }
                // A follower's log says nothing of what the leader's does.
                Observation::SelfAudit if turn.leads => {
                    self_audit::turn(&mut self.self_audit, turn);
                }
                // The engine runs drills, each of whose writes has an intent in the log, and hears
                // of what people say as it changes.
                Observation::RestoreDrill
                | Observation::Exceptions
                | Observation::Attestations
                | Observation::AccessReviews
                | Observation::AuditPeriods
                | Observation::Changes
                | Observation::OwnRights
                | Observation::SelfAudit
                | Observation::AccessChecks
                | Observation::EncryptionCanary
                | Observation::NetworkProbe => {}
            }
        }
        self.entropy.turn(turn);
    }

    /// Whether a second has passed since this last said so.
    pub(super) fn second_passed(&mut self, now: Duration) -> bool {
        let passed = now >= self.second + Duration::from_secs(1);
        if passed {
            self.second = now;
        }
        passed
    }
}

/// Two runs of a probe are at least so far apart, however often a policy is edited.
const APART: Duration = Duration::from_secs(10);

/// A probe that runs every so often, and soon when it is asked for something else.
#[derive(Debug, Default)]
struct Repeated {
    task: Option<JoinHandle<()>>,
    due: Duration,
    not_before: Duration,
    settings: Option<Value>,
}

impl Repeated {
    /// Starts `probe` if it is due or its settings have changed, unless it still runs; whether it
    /// was started.
    fn turn(
        &mut self,
        turn: &Turn<'_>,
        settings: Value,
        interval: Duration,
        probe: impl Future<Output = Finding> + Send + 'static,
    ) -> bool {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return false;
        }
        let changed = self.settings.as_ref() != Some(&settings);
        let now = turn.now.mono;
        if now < self.not_before || (!changed && now < self.due) {
            return false;
        }
        self.not_before = now + APART;
        self.settings = Some(settings);
        self.due = turn.now.mono + interval;
        let sender = turn.sender.clone();
        self.task = Some(tokio::spawn(async move {
            let _ = sender.send(Input::Found(probe.await)).await; // the operator may be stopping
        }));
        true
    }
}
