//! Whether Cilium encrypts what pods send each other: its own configuration says.
//!
//! Rights: `get` on the `ConfigMap` `cilium-config` in `kube-system`.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::servers::within;
use crate::engine::{CILIUM_CONFIG as CONFIG, Cilium};

/// Reads the configuration.
pub async fn look(client: &Client) -> Cilium {
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    match within(configs.get_opt(CONFIG)).await {
        Ok(None) => Cilium::NotThere,
        Ok(Some(config)) => {
            let data = config.data.unwrap_or_default();
            Cilium::configured(|key| data.get(key).map(String::as_str))
        }
        Err(error) => Cilium::NotSeen(format!("can't get ConfigMap kube-system/{CONFIG}: {error}")),
    }
}
