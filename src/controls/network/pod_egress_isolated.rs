//! `net-pod-egress-isolated`

use super::{
    common,
    isolated::{self, Engine},
};
use crate::{
    analysis::{Derived, network::Direction},
    controls::{labels::LabelSelector, prelude::*, workloads},
};

/// Every workload is isolated for egress: some policy selects its pods, so that they reach only
/// what a policy allows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodEgressIsolated {
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
}

impl PodEgressIsolated {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-pod-egress-isolated",
        field: "netPodEgressIsolated",
        title: "Policies isolate every pod for egress",
        family: Family::Network,
        criteria: &["CC6.6", "CC6.7"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &workloads::KINDS,
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[
            Write::create(Kind::NetworkPolicy),
            Write::patch(Kind::NetworkPolicy),
        ],
        scope: ScopeUse::BySubject,
        what: "For each workload, some policy selects its pods for egress, so that they reach only \
               what a policy allows.",
        why: "A compromised pod that nothing holds back fetches its tools from the internet, sends \
              data there, and tries every neighbour.",
        fix: "The policy that isolated the workload at its last pass comes back as it was. Else \
              `probity-default-deny-egress` (all pods; only DNS in `kube-system`, pods labelled \
              `k8s-app: kube-dns`, and NodeLocal DNS at 169.254.20.10) is created if the namespace \
              has no running pods, if it carries the label `probity.dev/default-deny: accepted`, \
              or if `acceptDefaultDeny` is set. A policy to begin with is proposed.",
        by_hand: "Write the policies for what the workload has to reach, DNS first, then one with \
                  `podSelector: {}` and `policyTypes: [Egress]` and no rules in its namespace.",
        prevention: "None: which pods a policy selects is a matter of two objects, and admission \
                     sees one at a time.",
        limits: "A workload is judged by its template, also at zero replicas, and by the labels of \
                 its live pods; labels that only tell pods of one workload apart (such as \
                 `statefulset.kubernetes.io/pod-name`) are not kept, and a policy that selects by \
                 them makes the verdict Unknown unless another isolates the pods. Pods that share \
                 the network of their node are NotApplicable: see `net-host-network`. Cilium \
                 isolates by a section with a rule, even an empty one; `enableDefaultDeny` without \
                 one is Unknown, and so is a workload that only a policy of Calico may isolate which \
                 is of a tier of its own, or selects pods by what is not seen. A \
                 tier isolates for egress if it denies every address (0.0.0.0/0 and ::/0) on every \
                 port. Connections to the API server, metadata, telemetry and name servers \
                 elsewhere are the first to break where egress is denied: allow them before.",
    };
}

impl Control for PodEgressIsolated {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let mut selector = self.exempt_selector.iter();
        selector.try_for_each(|selector| selector.check("exemptSelector"))
    }

    fn touched(&self, change: &Change) -> Touched {
        common::touched(change)
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
            mesh_root: None,
            direction: Direction::Egress,
            exempt: self.exempt_selector.as_ref(),
            accept_default_deny: self.accept_default_deny,
            policy: "probity-default-deny-egress",
        };
        rule.judge(context, subject)
    }
}

#[cfg(test)]
mod tests;
