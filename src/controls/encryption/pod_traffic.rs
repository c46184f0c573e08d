//! `enc-pod-traffic`

mod istio;
mod linkerd;
mod network;
#[cfg(test)]
mod tests;

use self::network::Network;
use crate::{
    analysis::{Derived, meshed::Pods},
    controls::{
        prelude::*,
        restricted::command,
        workloads::{self, Held},
    },
};

/// What pods send each other is encrypted: by a service mesh that takes nothing else, or by the
/// network between nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTraffic {
    /// What counts as encryption.
    #[serde(default = "everything")]
    #[schemars(length(min = 1, max = 3))]
    pub accept: Vec<Encryption>,

    /// Namespaces whose workloads are not judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub exempt_namespaces: Vec<String>,

    /// The namespace whose policies Istio takes for the whole mesh.
    #[serde(default = "istio_system")]
    #[schemars(length(min = 1, max = 63))]
    pub istio_root_namespace: String,
}

/// A way to encrypt what pods send each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encryption {
    /// Istio takes encrypted connections only.
    #[serde(rename = "istio-strict")]
    IstioStrict,
    /// Linkerd takes connections of proven clients only.
    #[serde(rename = "linkerd-authenticated")]
    LinkerdAuthenticated,
    /// The network encrypts between nodes.
    #[serde(rename = "cni-encryption")]
    CniEncryption,
}

fn everything() -> Vec<Encryption> {
    vec![
        Encryption::IstioStrict,
        Encryption::LinkerdAuthenticated,
        Encryption::CniEncryption,
    ]
}

fn istio_system() -> String {
    "istio-system".to_owned()
}

impl Default for PodTraffic {
    fn default() -> Self {
        Self {
            accept: everything(),
            exempt_namespaces: Vec::new(),
            istio_root_namespace: istio_system(),
        }
    }
}

impl PodTraffic {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-pod-traffic",
        field: "encPodTraffic",
        title: "What pods send each other is encrypted",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC6.7"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 4,
        reads: &[
            Kind::Namespace,
            Kind::Service,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
            Kind::PeerAuthentication,
            Kind::DestinationRule,
            Kind::LinkerdServer,
            Kind::LinkerdAuthorization,
            Kind::FelixConfiguration,
            Kind::FelixV3Configuration,
        ],
        subjects: &workloads::KINDS,
        derives: &[Derived::Meshed],
        observes: &[Observation::CiliumConfig],
        writes: &[Write::patch(Kind::PeerAuthentication)],
        scope: ScopeUse::BySubject,
        what: "Every pod of each workload runs the proxy of a mesh that takes proven clients only: \
               of Istio with effective mode STRICT on every port (PeerAuthentication of the \
               workload before that of the namespace before that of the mesh; UNSET inherits, and \
               nothing set is PERMISSIVE) and without a DestinationRule that switches TLS off for \
               it, or of Linkerd with an inbound policy that authenticates. Or the network \
               encrypts between nodes: WireGuard or IPsec of Cilium, WireGuard of Calico.",
        why: "Whoever gets into one node or one pod can listen to what passes by: inside a cluster \
              as anywhere else.",
        fix: "A PeerAuthentication that was STRICT when the workload last passed, and was weakened \
              since, is set back to STRICT. None is ever created.",
        by_hand: "Create a PeerAuthentication with `mtls.mode: STRICT` in the namespace, or annotate \
                  it with `config.linkerd.io/default-inbound-policy: all-authenticated`, or switch \
                  the network's encryption on. Restart pods that lack their proxy.",
        prevention: "A ValidatingAdmissionPolicy can refuse PeerAuthentications with mode DISABLE or \
                     PERMISSIVE in the namespaces of the scope.",
        limits: "Pods on the node's own network are not judged. Encryption between nodes leaves \
                 pods of one node in the clear among themselves. The proxy is seen in the pods \
                 that run; a workload without any is judged by the labels and annotations that ask \
                 for one. \
                 Linkerd's own default, where neither pod nor namespace says anything, is not \
                 read, and taken for all-unauthenticated. Servers are read as v1beta3, which \
                 Linkerd serves since 2.16. Ports that a mesh is told to leave alone by annotation \
                 are not seen. The control plane of a mesh runs without proxies of its own: exempt \
                 its namespace. Exemptions during a migration belong into a ControlException with \
                 an end.",
    };

    fn workload(&self, context: &Context<'_>, subject: &Subject, held: &Held<'_>) -> Verdict {
        if held.template.host_network {
            let message = "its pods are on the node's own network, outside every mesh";
            return Verdict::not_applicable("HostNetwork", message);
        }
        let pods = context.analyses.meshed().pods(subject);
        let mut failures = Vec::new();
        for way in &self.accept {
            let verdict = match way {
                Encryption::IstioStrict => istio::judge(self, context, held, pods),
                Encryption::LinkerdAuthenticated => linkerd::judge(context, held, pods),
                Encryption::CniEncryption => match network::between_nodes(context) {
                    Network::Encrypts(how) => Some(Verdict::pass(
                        Strength::Declared,
                        "NetworkEncrypts",
                        format!("{how} encrypts between nodes; within a node nothing does"),
                    )),
                    Network::Plain => None,
                    Network::NotSeen(why) => Some(Verdict::unknown("NetworkNotSeen", why)),
                },
            };
            match verdict {
                Some(verdict) if verdict.outcome == Outcome::Pass => return verdict,
                Some(verdict) => failures.push(verdict),
                None => {}
            }
        }
        // A mesh that is there and too weak says more than one that is not.
        let unknown = failures.iter().position(|v| v.outcome == Outcome::Unknown);
        let chosen = unknown.unwrap_or_default();
        if chosen < failures.len() {
            return failures.swap_remove(chosen);
        }
        Verdict::fail(
            Strength::Effective,
            "PodTrafficNotEncrypted",
            "its pods are in no mesh, and the network does not encrypt",
        )
        .propose(into_a_mesh(held))
    }
}

/// How a workload that nothing encrypts for is brought to where something does.
fn into_a_mesh(held: &Held<'_>) -> String {
    let namespace = &held.meta.namespace;
    format!(
        "switch on the network's encryption (Cilium: encryption.enabled; Calico: wireguardEnabled); or \
         bring the namespace into the mesh that the cluster has, Istio by `{}` or Linkerd by `{}`, and \
         then {}",
        command::label(Kind::Namespace, "", namespace, "istio-injection=enabled"),
        command::annotate(Kind::Namespace, "", namespace, "linkerd.io/inject=enabled"),
        made_anew(held)
    )
}

/// How the pods of a workload come to be made anew: a proxy gets into new ones only.
fn made_anew(held: &Held<'_>) -> String {
    let Meta {
        namespace, name, ..
    } = held.meta;
    if let Some(command) = command::restart(held.kind, namespace, name) {
        return format!("have its pods made anew: {command}");
    }
    let words = match held.kind {
        Kind::CronJob => "wait: its next pods will be made so",
        Kind::ReplicaSet => "delete its pods: it makes new ones",
        Kind::Job => "have whoever made the job create it anew: nothing else makes its pods again",
        _ => "have whoever made the pod create it anew: nothing makes it again once it is gone",
    };
    words.to_owned()
}

/// Whether all pods of a workload are in a mesh, of which so many are; where none runs, whether
/// `asked` for.
fn all_in(pods: Pods, those: u32, asked: bool) -> Option<bool> {
    if pods.all == 0 {
        return asked.then_some(true);
    }
    match those {
        0 if !asked => None,
        _ => Some(those == pods.all),
    }
}

impl Control for PodTraffic {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // Policies of the root namespace, and rules about hosts anywhere.
            Kind::PeerAuthentication if *change.namespace == *self.istio_root_namespace => {
                Touched::All
            }
            Kind::DestinationRule | Kind::FelixConfiguration | Kind::FelixV3Configuration => {
                Touched::All
            }
            Kind::Namespace => Touched::Namespace(change.name.clone()),
            Kind::PeerAuthentication
            | Kind::Service
            | Kind::LinkerdServer
            | Kind::LinkerdAuthorization => Touched::Namespace(change.namespace.clone()),
            // Whatever else changes about a pod, the analysis tells.
            _ => Touched::Subject(Subject::object(
                change.kind,
                &change.namespace,
                &change.name,
            )),
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        workloads::each(context.inventory, namespace, &mut |subject| {
            if !self
                .exempt_namespaces
                .iter()
                .any(|exempt| *exempt == *subject.namespace)
            {
                found(subject);
            }
        });
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if self
            .exempt_namespaces
            .iter()
            .any(|exempt| *exempt == *subject.namespace)
        {
            return None;
        }
        let held = workloads::find(context.inventory, subject)?;
        Some(self.workload(context, subject, &held))
    }
}
