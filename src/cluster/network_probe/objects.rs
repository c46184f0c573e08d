//! What the network probe creates: pods that meet the restricted Pod Security level, and a policy.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use serde_json::{Value, json};

use super::{Placing, ProbeConfig};
use crate::inventory::meta::{MANAGED_BY, MANAGER};

/// Name of the pod that listens.
pub(super) const SERVER: &str = "network-probe-server";
/// Name of the pod that dials.
pub(super) const CLIENT: &str = "network-probe-client";
/// Name of the policy that denies.
pub(super) const DENY: &str = "network-probe-deny";

/// Label that tells the two pods apart.
const ROLE: &str = "probity.dev/network-probe";
/// Port that the server listens on.
const PORT: u16 = 8080;
/// No pod outlives this, whatever becomes of us.
const LIFETIME: u32 = 900;

/// What a policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// To the server.
    Ingress,
    /// From the client.
    Egress,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress to the server",
            Self::Egress => "egress from the client",
        })
    }
}

fn labels(role: &str) -> Value {
    json!({ MANAGED_BY: MANAGER, ROLE: role })
}

fn typed<T: serde::de::DeserializeOwned>(object: Value) -> Result<T, String> {
    serde_json::from_value(object).map_err(|error| error.to_string())
}

/// The pod that listens.
pub(super) fn server(
    config: &ProbeConfig,
    selector: &BTreeMap<String, String>,
) -> Result<Pod, String> {
    typed(pod(config, "server", SERVER, selector, &json!(null), None))
}

/// The pod that dials the server at `address`.
pub(super) fn client(
    config: &ProbeConfig,
    placing: Placing,
    selector: &BTreeMap<String, String>,
    address: &str,
) -> Result<Pod, String> {
    let near = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": { "matchLabels": labels("server") },
        "topologyKey": "kubernetes.io/hostname",
    }] });
    let affinity = match placing {
        Placing::OneNode => json!({ "podAffinity": near }),
        Placing::TwoNodes => json!({ "podAntiAffinity": near }),
    };
    let address: std::net::IpAddr = address
        .parse()
        .map_err(|_| format!("the server's address {address:?} is none"))?;
    let address = std::net::SocketAddr::new(address, PORT);
    typed(pod(
        config,
        "client",
        CLIENT,
        selector,
        &affinity,
        Some(address),
    ))
}

fn pod(
    config: &ProbeConfig,
    role: &str,
    name: &str,
    selector: &BTreeMap<String, String>,
    affinity: &Value,
    dials: Option<std::net::SocketAddr>,
) -> Value {
    let program = &config.program;
    // The server is ready once it listens. A kubelet reaches pods of its node whatever policies
    // say, so that the server stays ready under the policy.
    let readiness = match dials {
        Some(address) => json!({
            "exec": { "command": [program, "probe", "dial", address.to_string()] },
            "periodSeconds": 1, "timeoutSeconds": 4, "failureThreshold": 2,
        }),
        None => json!({ "tcpSocket": { "port": PORT }, "periodSeconds": 1 }),
    };
    let container = json!({
        "name": "probe",
        "image": config.image,
        "command": [program, "probe", "listen", format!("--port={PORT}")],
        "readinessProbe": readiness,
        "resources": {
            "requests": { "cpu": "5m", "memory": "8Mi" },
            "limits": { "memory": "64Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": labels(role) },
        "spec": {
            "activeDeadlineSeconds": LIFETIME,
            "affinity": affinity,
            "automountServiceAccountToken": false,
            "containers": [container],
            "enableServiceLinks": false,
            "nodeSelector": selector,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "terminationGracePeriodSeconds": 1,
        },
    })
}

/// The policy that denies.
pub(super) fn deny(denied: Denied) -> Result<NetworkPolicy, String> {
    let (role, kind) = match denied {
        Denied::Ingress => ("server", "Ingress"),
        Denied::Egress => ("client", "Egress"),
    };
    typed(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": DENY, "labels": { MANAGED_BY: MANAGER } },
        "spec": { "podSelector": { "matchLabels": labels(role) }, "policyTypes": [kind] },
    }))
}

/// Whether a pod will do nothing more.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

/// Why a pod does not run yet: the scheduler's word, or the kubelet's.
pub(super) fn why_waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let scheduled = conditions.find(|condition| condition.type_ == "PodScheduled");
    if let Some(condition) = scheduled.filter(|condition| condition.status == "False") {
        return condition.message.clone().or(condition.reason.clone());
    }
    let mut containers = status.container_statuses.iter().flatten();
    containers.find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.message.clone().or(waiting.reason.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProbeConfig {
        ProbeConfig {
            namespace: "probe".into(),
            image: "probity:1".into(),
            program: "/probity".into(),
            timeout: std::time::Duration::from_mins(1),
            patience: std::time::Duration::from_mins(1),
            node_selectors: Vec::new(),
            two_nodes: true,
        }
    }

    #[test]
    fn the_pods_meet_the_restricted_level() {
        use crate::{controls::testing::World, inventory::Kind};

        let any = BTreeMap::new();
        let server = server(&config(), &any).unwrap();
        let client = client(&config(), Placing::TwoNodes, &any, "fd00::7").unwrap();
        let dial = &client.spec.as_ref().unwrap().containers[0].readiness_probe;
        let command = dial
            .as_ref()
            .unwrap()
            .exec
            .as_ref()
            .unwrap()
            .command
            .as_ref()
            .unwrap();
        assert_eq!(command[1..], ["probe", "dial", "[fd00::7]:8080"]);
        for pod in [server, client] {
            let mut pod = serde_json::to_value(pod).unwrap();
            pod["metadata"]["namespace"] = json!("probe");
            let world = World::new().with(Kind::Pod, pod);
            let pod = world.inventory.tables.pods.iter().next().unwrap();
            let template = &pod.spec.template;
            let breaks = (&template.breaks_baseline, &template.breaks_restricted);
            assert_eq!(breaks, (&None, &None));
        }
    }

    #[test]
    fn each_selector_is_probed_on_one_node_and_between_two() {
        let mut config = config();
        let names = |config: &ProbeConfig| {
            let routes = config.routes();
            routes.into_iter().map(|route| route.0).collect::<Vec<_>>()
        };
        assert_eq!(names(&config), ["on one node", "between two nodes"]);
        config.two_nodes = false;
        config.node_selectors = vec![[("pool".to_owned(), "a".to_owned())].into()];
        assert_eq!(names(&config), ["on one node (pool=a)"]);
    }
}
