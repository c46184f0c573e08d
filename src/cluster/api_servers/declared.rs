//! What is declared of API servers elsewhere than in themselves: in the mirrors of their static pods,
//! by kubeadm, and by `OpenShift`.
//!
//! Rights: `list` on pods, and `get` on the `ConfigMap` `kubeadm-config`, in `kube-system`; `get` on
//! `apiservers.config.openshift.io`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::Deserialize;

use super::within;
use crate::{
    analysis::apiserver::{FlagSource, Flags, Look},
    inventory::{Interner, Sym, component},
};

/// Servers whose static pods are looked at.
const MOST_PODS: u32 = 64;

/// Gives those that don't tell their flags what is declared of them.
pub(super) async fn complete(client: &Client, replicas: &mut BTreeMap<Sym, Look>) {
    if replicas.values().all(|look| look.flags.is_ok()) {
        return;
    }
    let pods = static_pods(client).await;
    let kubeadm = kubeadm(client).await;
    for (address, look) in replicas {
        if look.flags.is_err()
            && let Some(flags) = of(address, &pods).or(kubeadm.as_ref())
        {
            look.flags = Ok(flags.clone());
        }
    }
}

/// The flags of the server at an address: those of the pod on the node of that address. Behind
/// another address any of them may be: there they count if all have the same.
fn of<'a>(address: &str, pods: &'a [(String, Flags)]) -> Option<&'a Flags> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    let own = pods.iter().find(|(node, _)| node == host);
    let (_, first) = own.or(pods.first())?;
    let same = || pods.iter().all(|(_, flags)| flags == first);
    (own.is_some() || same()).then_some(first)
}

/// The flags of each static pod that runs an API server, by the address of its node.
async fn static_pods(client: &Client) -> Vec<(String, Flags)> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let wanted = ListParams::default()
        .labels("component=kube-apiserver")
        .limit(MOST_PODS);
    match within(pods.list(&wanted)).await {
        Ok(pods) => pods.items.iter().filter_map(of_pod).collect(),
        Err(error) => {
            tracing::debug!(%error, "the static pods of API servers can't be listed");
            Vec::new()
        }
    }
}

fn of_pod(pod: &Pod) -> Option<(String, Flags)> {
    let node = pod.status.as_ref()?.host_ip.clone()?;
    let container = pod.spec.as_ref()?.containers.first()?;
    // Some distributions have everything in the arguments.
    let words = [&container.command, &container.args];
    let words = words.into_iter().flatten().flatten().map(String::as_str);
    let mut interner = Interner::default();
    let flags = component::flags("kube-apiserver", words, std::iter::empty(), &mut interner);
    let values = flags.iter();
    let flags = Flags {
        values: values
            .map(|(flag, value)| (flag.to_owned(), value.to_owned()))
            .collect(),
        source: FlagSource::StaticPod,
    };
    Some((node, flags))
}

/// What kubeadm keeps of how it was told to set the cluster up.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterConfiguration {
    api_server: ApiServer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ApiServer {
    extra_args: Args,
}

/// A map until `kubeadm.k8s.io/v1beta3`, a list since `v1beta4`, where a flag may stand twice
/// (kubernetes/kubernetes, `cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go`).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Args {
    List(Vec<Arg>),
    Map(BTreeMap<String, String>),
}

#[derive(Debug, Deserialize)]
struct Arg {
    name: String,
    value: String,
}

impl Default for Args {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

async fn kubeadm(client: &Client) -> Option<Flags> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    match within(maps.get_opt("kubeadm-config")).await {
        Ok(map) => of_kubeadm(&map?),
        Err(error) => {
            tracing::debug!(%error, "ConfigMap kube-system/kubeadm-config can't be read");
            None
        }
    }
}

fn of_kubeadm(map: &ConfigMap) -> Option<Flags> {
    let text = map.data.as_ref()?.get("ClusterConfiguration")?;
    let config: ClusterConfiguration = match serde_saphyr::from_str(text) {
        Ok(config) => config,
        Err(error) => {
            tracing::debug!(%error, "kubeadm's ClusterConfiguration can't be understood");
            return None;
        }
    };
    let args: Vec<(String, String)> = match config.api_server.extra_args {
        Args::List(list) => list.into_iter().map(|arg| (arg.name, arg.value)).collect(),
        Args::Map(map) => map.into_iter().collect(),
    };
    let args = args.into_iter().filter(|(name, _)| component::reads(name));
    Some(Flags {
        values: args.collect(),
        source: FlagSource::Kubeadm,
    })
}

/// What `OpenShift` is to encrypt with, where it is `OpenShift`.
pub(super) async fn openshift(client: &Client) -> Option<String> {
    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "APIServer");
    let resource = ApiResource::from_gvk_with_plural(&kind, "apiservers");
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match within(all.get_opt("cluster")).await {
        Ok(object) => {
            let object = object?;
            let declared = object.data.pointer("/spec/encryption/type");
            let declared = declared.and_then(|declared| declared.as_str());
            Some(declared.unwrap_or_default().to_owned())
        }
        Err(error) => {
            tracing::debug!(%error, "apiservers.config.openshift.io/cluster can't be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(node: &str, flag: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "kube-apiserver" },
            "spec": { "containers": [{
                "name": "kube-apiserver", "command": ["kube-apiserver"],
                "args": [flag, "--service-account-issuer=x"],
            }] },
            "status": { "hostIP": node },
        }))
        .unwrap()
    }

    fn told(flags: Option<&Flags>) -> Option<&str> {
        flags?.values.get("tls-min-version").map(String::as_str)
    }

    #[test]
    fn a_server_has_the_flags_of_the_pod_on_its_node_or_those_that_all_have() {
        let (old, new) = (
            "--tls-min-version=VersionTLS11",
            "--tls-min-version=VersionTLS13",
        );
        let of_all =
            |pods: &[Pod]| -> Vec<(String, Flags)> { pods.iter().filter_map(of_pod).collect() };
        let mixed = of_all(&[pod("10.0.0.1", old), pod("fd00::2", new)]);
        assert_eq!(told(of("10.0.0.1:6443", &mixed)), Some("VersionTLS11"));
        assert_eq!(told(of("[fd00::2]:6443", &mixed)), Some("VersionTLS13"));
        assert_eq!(of("10.9.9.9:443", &mixed), None);
        let alike = of_all(&[pod("10.0.0.1", new), pod("10.0.0.2", new)]);
        let flags = of("10.9.9.9:443", &alike);
        assert_eq!(told(flags), Some("VersionTLS13"));
        // Only what a control reads is kept.
        assert_eq!(flags.unwrap().values.len(), 1);
        assert_eq!(of("10.0.0.1:6443", &[]), None);
    }

    #[test]
    fn what_kubeadm_was_told_is_read_in_both_of_its_forms() {
        for text in [
            "apiServer:\n  extraArgs:\n    tls-min-version: VersionTLS13\n    audit-log-path: \"-\"\n",
            "apiServer:\n  extraArgs:\n  - name: tls-min-version\n    value: VersionTLS13\n",
        ] {
            let map = json!({ "data": { "ClusterConfiguration": text } });
            let flags = of_kubeadm(&serde_json::from_value(map).unwrap()).unwrap();
            assert_eq!(told(Some(&flags)), Some("VersionTLS13"), "{text}");
            assert_eq!(flags.values.len(), 1, "{text}");
            // A hand may have added it since.
            assert!(!flags.is_unset("encryption-provider-config"));
        }
        for text in ["", "apiServer: {}", "networking: { podSubnet: 10.0.0.0/8 }"] {
            let map = json!({ "data": { "ClusterConfiguration": text } });
            let flags = of_kubeadm(&serde_json::from_value(map).unwrap());
            assert!(flags.is_none_or(|flags| flags.values.is_empty()), "{text}");
        }
    }
}
