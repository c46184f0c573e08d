//! `net-pod-ingress-isolated`

use super::{
    common,
    isolated::{self, Engine},
};
use crate::{
    analysis::{Derived, network::Direction},
    controls::{labels::LabelSelector, prelude::*, workloads},
};

/// Every workload is isolated for ingress: some policy selects its pods, so that only what a policy
/// allows reaches them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodIngressIsolated {
    /// Pods, by label, that need not be isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt_selector: Option<LabelSelector>,

    /// Create a default-deny policy also in namespaces with running pods that never had one.
    /// Traffic that no policy allows stops at once, for every pod of the namespace.
    #[serde(default)]
    pub accept_default_deny: bool,

    /// Whose policies count; all of which the cluster has some, where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub engines: Vec<Engine>,

    /// Let `AuthorizationPolicies` of Istio isolate, where all live pods run its proxy. They hold at
    /// the proxy, not in the network: who gets around it is not stopped. What Linkerd's proxies
    /// authorize is not judged, and Unknown.
    #[serde(default)]
    pub accept_mesh_authz: bool,

    /// The root namespace of Istio, whose `AuthorizationPolicies` are about all namespaces.
    #[serde(default = "istio_system")]
    #[schemars(length(min = 1, max = 63))]
    pub istio_root_namespace: String,
}

fn istio_system() -> String {
    "istio-system".to_owned()
}

impl Default for PodIngressIsolated {
    fn default() -> Self {
        Self {
            exempt_selector: None,
            accept_default_deny: false,
            engines: Vec::new(),
            accept_mesh_authz: false,
            istio_root_namespace: istio_system(),
        }
    }
}

impl PodIngressIsolated {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-pod-ingress-isolated",
        field: "netPodIngressIsolated",
        title: "Policies isolate every pod for ingress",
        family: Family::Network,
        criteria: &["CC6.1", "CC6.6"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 4,
        reads: &[
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
            Kind::Namespace,
            Kind::IstioAuthorization,
        ],
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation, Derived::Meshed],
        observes: &[],
        writes: &[
            Write::create(Kind::NetworkPolicy),
            Write::patch(Kind::NetworkPolicy),
        ],
        scope: ScopeUse::BySubject,
        what: "For each workload, some policy selects its pods for ingress, so that only what a \
               policy allows reaches them.",
        why: "Where nothing isolates a pod, everything in the cluster that can route to it reaches \
              each of its ports: one compromised workload is enough to attack all others.",
        fix: "The policy that isolated the workload at its last pass comes back as it was. Else \
              `probity-default-deny-ingress` (all pods, no ingress) is created if the namespace \
              has no running pods, if it carries the label `probity.dev/default-deny: accepted`, \
              or if `acceptDefaultDeny` is set. A policy to begin with, made of the ports that the \
              workload declares, is proposed.",
        by_hand: "Write the policies that let in what the workload needs, then one with \
                  `podSelector: {}` and `policyTypes: [Ingress]` and no rules in its namespace.",
        prevention: "None: which pods a policy selects is a matter of two objects, and admission \
                     sees one at a time.",
        limits: "A workload is judged by its template, also at zero replicas, and by the labels of \
                 its live pods; labels that only tell pods of one workload apart (such as \
                 `statefulset.kubernetes.io/pod-name`) are not kept, and a policy that selects by \
                 them makes the verdict Unknown unless another isolates the pods. Pods that share \
                 the network of their node are NotApplicable: see `net-host-network`. Cilium \
                 isolates by a section with a rule, even an empty one; `enableDefaultDeny` without \
                 one is Unknown, and so is a workload that only a policy of Calico may isolate which \
                 is of a tier of its own, or selects pods by what is not seen. \
                 The Admin and Baseline tiers know only pods as sources of ingress: what they deny \
                 leaves a pod open from outside the cluster, and does not isolate it. Where the \
                 CRDs of an engine are there that does not run, name those that do in `engines`. Rules of a \
                 service mesh are not counted, but for AuthorizationPolicies of Istio with \
                 `acceptMeshAuthz`: one that allows selects the pods, none that does allows \
                 everything, and all live pods run its proxy. Ports that annotations keep from the \
                 proxy are not seen. With `acceptMeshAuthz`, a workload whose live pods all run \
                 Linkerd's proxy is Unknown unless pods or namespace say that their inbound policy \
                 is another than `deny`: whom Servers, authorizations and Linkerd's own default let \
                 in is not judged, and `linkerd authz` tells.",
    };
}

impl Control for PodIngressIsolated {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let mut selector = self.exempt_selector.iter();
        selector.try_for_each(|selector| selector.check("exemptSelector"))
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::IstioAuthorization | Kind::Namespace if !self.accept_mesh_authz => {
                Touched::Nothing
            }
            // Its annotation says whom Linkerd's proxies let in.
            Kind::Namespace => Touched::Namespace(change.name.clone()),
            Kind::IstioAuthorization if *change.namespace == *self.istio_root_namespace => {
                Touched::All
            }
            Kind::IstioAuthorization => Touched::Namespace(change.namespace.clone()),
            _ => common::touched(change),
        }
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        common::affected(subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        workloads::each(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let rule = isolated::Rule {
            engines: &self.engines,
            mesh_root: self
                .accept_mesh_authz
                .then_some(&*self.istio_root_namespace),
            direction: Direction::Ingress,
            exempt: self.exempt_selector.as_ref(),
            accept_default_deny: self.accept_default_deny,
            policy: "probity-default-deny-ingress",
        };
        rule.judge(context, subject)
    }
}

#[cfg(test)]
mod tests;
