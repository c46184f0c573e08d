//! The encryption canary: writes a Secret through each API server and reads that server's
//! counters before and after.
//!
//! Rights: `get` on the non-resource URL `/metrics` (role `system:monitoring`); in Probity's
//! namespace `create` on Secrets, and `get` and `update` on the one named [`SECRET`]; `list` on
//! `EndpointSlice`s in namespace `default`.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
};

use super::servers::{self, Failure, Which, address, direct, within};
use crate::{
    analysis::canary::{Scrape, compare, platform},
    engine::{Canary, CanaryRun},
    inventory::meta::{MANAGED_BY, MANAGER},
};

/// Name of the Secret.
pub const SECRET: &str = "probity-canary";

/// A write is counted after it is answered: how long to wait for that before the second try.
const PAUSE: Duration = Duration::from_millis(250);

/// What to do in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryConfig {
    /// Namespace of the Secret: the operator's own.
    pub namespace: String,
    /// Name of the Secret: [`SECRET`].
    pub name: String,
    /// The API servers to probe.
    pub which: Which,
}

/// Probes every API server, one after the other: the Secret is one.
///
/// `config` is what `client` was made of: each server is reached with the same credentials and
/// trust, under its own address.
pub async fn run(client: &Client, config: &Config, canary: &CanaryConfig) -> CanaryRun {
    let own = config.cluster_url.to_string();
    let servers = servers::find(client, &canary.which).await;
    let mut replicas = BTreeMap::new();
    for url in &servers.urls {
        replicas.insert(address(url).into(), replica(config, url, canary).await);
    }
    if servers.urls.is_empty() {
        replicas.insert(address(&own).into(), probe_twice(client, canary).await);
    }
    let version = within(client.apiserver_version()).await;
    let version = version.map(|info| info.git_version).unwrap_or_default();
    CanaryRun {
        at: Timestamp::now(),
        all_replicas_known: servers.all,
        platform: platform(&version, config.cluster_url.host().unwrap_or_default()).map(Into::into),
        replicas,
    }
}

/// Probes one server under its own address.
async fn replica(config: &Config, url: &str, canary: &CanaryConfig) -> Canary {
    match direct(config, url) {
        Ok(client) => probe_twice(&client, canary).await,
        Err(why) => Canary::Unclear(why),
    }
}

/// Probes a server, again where it was unclear: a counter may lag, a configuration be reloading.
async fn probe_twice(client: &Client, canary: &CanaryConfig) -> Canary {
    match probe(client, canary).await {
        Ok(Canary::Unclear(_)) => {
            tokio::time::sleep(PAUSE).await;
            probe(client, canary).await.unwrap_or_else(Canary::Unclear)
        }
        other => other.unwrap_or_else(Canary::Unclear),
    }
}

async fn probe(client: &Client, canary: &CanaryConfig) -> Result<Canary, String> {
    let before = scrape(client).await?;
    write(client, canary).await?;
    let after = scrape(client).await?;
    let seen = compare(&before, &after);
    if !matches!(seen, Canary::Unclear(_)) {
        return Ok(seen);
    }
    // The answer to a write may overtake its counter.
    tokio::time::sleep(PAUSE).await;
    Ok(compare(&before, &scrape(client).await?))
}

async fn scrape(client: &Client) -> Result<Scrape, String> {
    let mut scrape = Scrape::default();
    servers::scrape(client, |line| scrape.line(line)).await?;
    Ok(scrape)
}

/// Writes the Secret, then reads it back from storage.
async fn write(client: &Client, canary: &CanaryConfig) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &canary.namespace);
    let missing = |verb: &str, error: Failure| {
        format!(
            "can't {verb} Secret {}/{}: {error}",
            canary.namespace, canary.name
        )
    };
    let known = within(secrets.get_opt(&canary.name)).await;
    let known = known.map_err(|error| missing("get", error))?;
    let fresh = content(canary, known.as_ref());
    let post = PostParams::default();
    let written = match known {
        Some(_) => within(secrets.replace(&canary.name, &post, &fresh))
            .await
            .map_err(|e| missing("update", e))?,
        None => within(secrets.create(&post, &fresh))
            .await
            .map_err(|e| missing("create", e))?,
    };
    // Without a resource version the answer comes from storage, not from a cache.
    let stored = within(secrets.get(&canary.name))
        .await
        .map_err(|error| missing("get", error))?;
    if stored.metadata.uid != written.metadata.uid || stored.data != written.data {
        return Err(format!(
            "Secret {} was changed by someone else meanwhile",
            canary.name
        ));
    }
    Ok(())
}

/// The Secret with content that differs each time: an update that changes nothing stores nothing.
fn content(canary: &CanaryConfig, known: Option<&Secret>) -> Secret {
    let note = "Written by Probity to see whether API servers encrypt Secrets. Holds no secret.";
    let data = [
        ("note", note.to_owned()),
        ("written", Timestamp::now().to_string()),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(canary.name.clone()),
            namespace: Some(canary.namespace.clone()),
            labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
            resource_version: known.and_then(|known| known.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        string_data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        ..Secret::default()
    }
}
