//! When the API servers are looked at, and which.

use std::time::Duration;

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::{api_servers, servers::Which},
    controls::encryption::SecretsAtRestActive,
    engine::Finding,
};

/// Between two looks. A reload of the encryption configuration takes about a minute.
const INTERVAL: Duration = Duration::from_mins(5);
/// Between two handshakes: each of them leaves lines in the servers' logs.
const HANDSHAKES: Duration = Duration::from_hours(1);

/// When something was looked at.
#[derive(Debug, Default)]
pub(super) struct ApiServers {
    looks: Repeated,
    handshakes_due: Duration,
}

impl ApiServers {
    /// Looks where it is due.
    pub(super) fn turn(&mut self, turn: &Turn<'_>) {
        let settings = turn.engine.parameters_of("enc-secrets-at-rest-active");
        let which = which(&parameters(&settings));
        let connection = turn.connection.clone();
        let handshakes = turn.now.mono >= self.handshakes_due;
        let look = async move {
            let (client, config) = (&connection.client, &connection.config);
            Finding::ApiServers(api_servers::look(client, config, &which, handshakes).await)
        };
        let started = self
            .looks
            .turn(turn, Value::Array(settings), INTERVAL, look);
        if started && handshakes {
            self.handshakes_due = turn.now.mono + HANDSHAKES;
        }
    }
}

/// The parameters of the canary in all policies: they say where the API servers are.
pub(super) fn parameters(settings: &[Value]) -> Vec<SecretsAtRestActive> {
    let read = settings.iter();
    read.filter_map(|value| serde_json::from_value(value.clone()).ok())
        .collect()
}

/// Every endpoint that a policy names, and as many API servers as the one that asks for most.
pub(super) fn which(parameters: &[SecretsAtRestActive]) -> Which {
    let most = parameters.iter().map(|control| control.max_replicas).max();
    let most = most.unwrap_or(SecretsAtRestActive::default().max_replicas);
    let endpoints = parameters.iter();
    Which {
        endpoints: endpoints
            .flat_map(|control| control.endpoints.clone())
            .collect(),
        most: usize::from(most),
    }
}
