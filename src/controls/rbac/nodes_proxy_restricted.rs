//! `rbac-nodes-proxy-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
};

/// Only listed identities reach kubelets through the API server: whatever the verb, that is
/// running commands in any container, past admission and audit.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodesProxyRestricted {
    /// Identities that may hold `nodes/proxy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

impl NodesProxyRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-nodes-proxy-restricted",
        field: "rbacNodesProxyRestricted",
        title: "Only listed identities hold nodes/proxy",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC7.2"],
        severity: Severity::Critical,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &restricted::READS,
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds any verb on `nodes/proxy`, limited to names of nodes or not.",
        why: "A kubelet runs commands in the containers of its node for whoever may proxy to it. \
              `get` suffices, because a WebSocket begins with it; neither admission nor the audit \
              log of the API server sees the command.",
        fix: "Nothing is changed. The finer subresources are proposed (`nodes/metrics`, \
              `nodes/stats`, `nodes/log`, `nodes/healthz`, `nodes/pods`, `nodes/configz`), which \
              kubelets check since 1.33 by default, and the command that takes the identity out.",
        by_hand: "Put the finer subresources in place of `nodes/proxy` in the role: \
                  `nodes/metrics` is what monitoring needs.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name `nodes/proxy`.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. A RoleBinding can't give this \
                 right. Holders of cluster-admin are NotApplicable here: \
                 rbac-cluster-admin-allowlist judges them. Prometheus charts often ask for \
                 `nodes/proxy` though `nodes/metrics` suffices. Access to kubelets past the API \
                 server (their own certificates, the node) is not visible.",
    };
}

impl Restricted for NodesProxyRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[(Thing::NodesProxy, Verbs::ANY)];
    const REASON: &'static str = "NodesProxyGranted";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn advice(&self) -> &'static str {
        "replace nodes/proxy in the role by those of nodes/metrics, nodes/stats, nodes/log, \
         nodes/healthz, nodes/pods and nodes/configz that are needed, or: "
    }

    fn counts(&self, _: &Context<'_>, _: &Subject, held: &Held<'_>) -> Option<Cow<'static, str>> {
        Some(held.place())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Expect, check};
    use super::*;

    #[test]
    fn any_verb_counts_and_names_of_nodes_are_no_limit() {
        let control = NodesProxyRestricted::default();
        for (rule, expect) in [
            ("get  nodes/proxy", Expect::Fail),
            ("create  nodes/proxy n1", Expect::Fail),
            ("frobnicate  nodes/proxy", Expect::Fail),
            ("get * */proxy", Expect::Fail),
            ("get  *", Expect::Fail),
            ("get  nodes", Expect::Pass),
            ("get  nodes/metrics", Expect::Pass),
            ("get apps nodes/proxy", Expect::Pass),
        ] {
            check(&control, "", rule, expect);
            // Nodes lie in no namespace.
            check(&control, "shop", rule, Expect::Pass);
        }
    }
}
