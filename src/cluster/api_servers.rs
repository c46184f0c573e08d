//! What each API server tells of itself: metrics, flags, the health of KMS providers, TLS.
//!
//! Rights: `get` on the non-resource URLs `/metrics`, `/flagz` and `/readyz/kms-provider…` (role
//! `system:monitoring`), `list` on `EndpointSlice`s in namespace `default`, and what
//! [`declared`] reads.

mod declared;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{Client, Config};
use serde::Deserialize;

use super::{
    servers::{self, Failure, Which, within},
    tls,
};
use crate::analysis::{
    apiserver::{FlagSource, Flags, KmsHealth, Look, Looks, Reading},
    tls::{Shown, Target},
};

/// KMS providers that are asked for one by one, where the server does not sum them up.
const PROVIDERS: usize = 8;

/// Looks at every API server, one after the other: scrapes are large. Handshakes leave lines in
/// the servers' logs, and are asked for less often.
pub async fn look(client: &Client, config: &Config, which: &Which, handshakes: bool) -> Looks {
    let servers = servers::find(client, which).await;
    let own = config.cluster_url.to_string();
    let urls = if servers.urls.is_empty() {
        vec![own.clone()]
    } else {
        servers.urls
    };
    let mut replicas = BTreeMap::new();
    for url in &urls {
        let direct = if *url == own {
            Ok(client.clone())
        } else {
            servers::direct(config, url)
        };
        let tls = if handshakes {
            Some(handshake(config, url).await)
        } else {
            None
        };
        let look = match direct {
            Ok(client) => replica(&client, tls).await,
            Err(why) => Look {
                metrics: Err(why.clone()),
                flags: Err(why.clone()),
                kms: KmsHealth::NotSeen(why),
                tls,
            },
        };
        replicas.insert(servers::address(url).into(), look);
    }
    declared::complete(client, &mut replicas).await;
    let version = within(client.apiserver_version()).await.ok();
    Looks {
        openshift: declared::openshift(client).await,
        at: Timestamp::now(),
        all_known: servers.all,
        version: version.map(|info| info.git_version),
        replicas,
    }
}

async fn replica(client: &Client, tls: Option<Result<Shown, String>>) -> Look {
    let mut reading = Reading::default();
    let metrics = servers::scrape(client, |line| reading.line(line)).await;
    Look {
        metrics: metrics.map(|()| reading),
        flags: flags(client).await,
        kms: kms(client).await,
        tls,
    }
}

async fn handshake(config: &Config, url: &str) -> Result<Shown, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let host = uri.host().ok_or_else(|| format!("{url} has no host"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let target = Target {
        // Each server is asked for the name that it has for clients in the cluster.
        name: config
            .tls_server_name
            .clone()
            .unwrap_or_else(|| servers::SERVER_NAME.to_owned()),
        port: uri.port_u16().unwrap_or(443),
        host,
    };
    tls::look(&target, None).await
}

#[derive(Deserialize)]
struct Flagz {
    flags: BTreeMap<String, String>,
}

/// The flags. The API is young: both of its versions are tried.
async fn flags(client: &Client) -> Result<Flags, String> {
    let mut why = String::new();
    for version in ["v1beta1", "v1alpha1"] {
        let accept = format!("application/json;as=Flagz;v={version};g=config.k8s.io");
        match text(client, "/flagz", &accept).await {
            Ok(text) => {
                let flagz: Result<Flagz, _> = serde_json::from_str(&text);
                return flagz
                    .map(|Flagz { flags: values }| Flags {
                        values,
                        source: FlagSource::Flagz,
                    })
                    .map_err(|error| format!("/flagz can't be decoded: {error}"));
            }
            Err(Refusal {
                code: Some(406),
                why: refused,
            }) => why = refused,
            Err(refusal) => return Err(format!("/flagz can't be read: {}", refusal.why)),
        }
    }
    Err(format!("/flagz can't be read: {why}"))
}

/// What the server says of its KMS providers: together, or one by one.
async fn kms(client: &Client) -> KmsHealth {
    match text(client, "/readyz/kms-providers", "*/*").await {
        Ok(_) => return KmsHealth::Healthy,
        Err(Refusal {
            code: Some(404), ..
        }) => {}
        Err(refusal) => return refusal.health(),
    }
    for provider in 0..PROVIDERS {
        match text(client, &format!("/readyz/kms-provider-{provider}"), "*/*").await {
            Ok(_) => {}
            Err(Refusal {
                code: Some(404), ..
            }) if provider == 0 => return KmsHealth::None,
            Err(Refusal {
                code: Some(404), ..
            }) => break,
            Err(refusal) => return refusal.health(),
        }
    }
    KmsHealth::Healthy
}

/// Why a path can't be read.
struct Refusal {
    code: Option<u16>,
    why: String,
}

impl Refusal {
    fn health(self) -> KmsHealth {
        match self.code {
            Some(500..=599) => KmsHealth::Sick(self.why),
            _ => KmsHealth::NotSeen(self.why),
        }
    }
}

async fn text(client: &Client, path: &str, accept: &str) -> Result<String, Refusal> {
    let request = http::Request::get(path).header(http::header::ACCEPT, accept);
    let request = request.body(Vec::new()).map_err(|error| Refusal {
        code: None,
        why: error.to_string(),
    })?;
    let asking = async {
        match client.request_text(request).await {
            Err(kube::Error::Api(status)) => Ok(Err(Refusal {
                code: Some(status.code),
                why: status.message.clone(),
            })),
            other => other.map(Ok),
        }
    };
    within(asking).await.unwrap_or_else(|failure: Failure| {
        Err(Refusal {
            code: None,
            why: failure.to_string(),
        })
    })
}
