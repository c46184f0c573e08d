//! What is done beside watching: the encryption canary and the anti-entropy lists.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::{Input, watches::Source};
use crate::{
    cluster::{
        canary::{self, CanaryConfig},
        client::Connection,
        watch::list_metadata,
    },
    controls::{Observation, encryption::SecretsAtRestActive},
    engine::{Engine, Now},
    inventory::{Availability, Kind, Sym, entropy::Listed},
};

/// After a kind was listed, the watch gets so long to deliver before a difference counts.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// At the start, the first anti-entropy list waits so long.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// The canary writes a Secret: it doesn't run more often, whatever a policy asks for.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);
/// Without parameters that can be read.
const LONGEST_INTERVAL: Duration = Duration::from_hours(6);

/// When what was done last.
#[derive(Debug, Default)]
pub(super) struct Observers {
    canary: Option<JoinHandle<()>>,
    canary_due: Duration,
    canary_settings: Option<serde_json::Value>,
    listed: BTreeMap<Kind, (Duration, Timestamp)>,
    listing: Option<JoinHandle<()>>,
    second: Duration,
}

/// What a turn works with.
pub(super) struct Turn<'a> {
    pub(super) engine: &'a Engine,
    pub(super) connection: &'a Connection,
    pub(super) namespace: &'a str,
    pub(super) sender: &'a Sender<Input>,
    pub(super) verify_every: Duration,
    pub(super) leads: bool,
    pub(super) now: Now,
}

impl Observers {
    /// Starts what is due.
    pub(super) fn turn(&mut self, turn: &Turn<'_>) {
        let wanted = turn.engine.needed_observations();
        if turn.leads && wanted.contains(&Observation::EncryptionCanary) {
            self.canary(turn);
        }
        self.anti_entropy(turn);
    }

    /// Whether a second has passed since this last said so.
    pub(super) fn second_passed(&mut self, now: Duration) -> bool {
        let passed = now >= self.second + Duration::from_secs(1);
        if passed {
            self.second = now;
        }
        passed
    }

    fn canary(&mut self, turn: &Turn<'_>) {
        if self.canary.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let settings = turn.engine.parameters_of("enc-secrets-at-rest-active");
        let settings = serde_json::Value::Array(settings);
        let changed = self.canary_settings.as_ref() != Some(&settings);
        if !changed && turn.now.mono < self.canary_due {
            return;
        }
        let (config, interval) = canary_config(turn.namespace, &settings);
        self.canary_settings = Some(settings);
        self.canary_due = turn.now.mono + interval;
        let (connection, sender) = (turn.connection.clone(), turn.sender.clone());
        self.canary = Some(tokio::spawn(async move {
            let run = canary::run(&connection.client, &connection.config, &config).await;
            let _ = sender.send(Input::Canary(run)).await; // the operator may be stopping
        }));
    }

    /// Lists one kind at a time, the one that was listed longest ago.
    fn anti_entropy(&mut self, turn: &Turn<'_>) {
        if self
            .listing
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return;
        }
        let first = (FIRST_LOOK, turn.now.wall);
        let kinds = turn.engine.needed_kinds();
        self.listed.retain(|kind, _| kinds.contains(kind));
        for kind in kinds {
            let due = self
                .listed
                .entry(kind)
                .or_insert((turn.now.mono + first.0.min(turn.verify_every), first.1));
            let synced = *turn.engine.inventory().freshness.of(kind) == Availability::Synced;
            if !synced || turn.now.mono < due.0 {
                continue;
            }
            let since =
                std::mem::replace(due, (turn.now.mono + turn.verify_every, turn.now.wall)).1;
            self.listing = Some(tokio::spawn(list(
                kind,
                since,
                turn.connection.client.clone(),
                turn.sender.clone(),
            )));
            return;
        }
    }

    /// Has the same list compared again a little later.
    #[allow(clippy::unused_self, reason = "it belongs to the observers")]
    pub(super) fn look_again(
        &self,
        kind: Kind,
        listed: Listed,
        suspects: Vec<(Sym, Sym)>,
        since: Timestamp,
        sender: &Sender<Input>,
    ) {
        let sender = sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SECOND_LOOK).await;
            let suspects = Some(suspects);
            let _ = sender
                .send(Input::Listed {
                    kind,
                    listed,
                    suspects,
                    since,
                })
                .await;
        });
    }
}

/// One run for all policies: every endpoint that one of them names, as often as the one that asks
/// most often.
fn canary_config(namespace: &str, settings: &serde_json::Value) -> (CanaryConfig, Duration) {
    let parameters = settings.as_array().into_iter().flatten();
    let parameters: Vec<SecretsAtRestActive> = parameters
        .filter_map(|value| serde_json::from_value(value.clone()).ok())
        .collect();
    let interval = parameters
        .iter()
        .map(|control| control.interval.duration())
        .min();
    let replicas = parameters
        .iter()
        .map(|control| usize::from(control.max_replicas))
        .max();
    let config = CanaryConfig {
        namespace: namespace.to_owned(),
        name: canary::SECRET.to_owned(),
        endpoints: parameters
            .iter()
            .flat_map(|control| control.endpoints.clone())
            .collect(),
        max_replicas: replicas.unwrap_or(1),
    };
    (
        config,
        interval.unwrap_or(LONGEST_INTERVAL).max(SHORTEST_INTERVAL),
    )
}

async fn list(kind: Kind, since: Timestamp, client: kube::Client, sender: Sender<Input>) {
    let resource = Source::Kind(kind).resource();
    match list_metadata(&client, &resource).await {
        Ok((rv, objects)) => {
            if let Some(listed) = Listed::new(&rv, objects) {
                let _ = sender
                    .send(Input::Listed {
                        kind,
                        listed,
                        suspects: None,
                        since,
                    })
                    .await;
            } else {
                tracing::warn!(
                    kind = kind.info().kind,
                    "A list has versions that are no numbers"
                );
            }
        }
        Err(error) => {
            tracing::debug!(kind = kind.info().kind, %error, "An anti-entropy list failed");
        }
    }
}
