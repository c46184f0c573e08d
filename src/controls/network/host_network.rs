//! `net-host-network`

use crate::{
    analysis::Derived,
    controls::{
        prelude::*,
        scope::SYSTEM,
        workloads::{self, Held},
    },
    inventory::template::Template,
};

/// Only listed workloads share the network of their node, or open a port on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostNetwork {
    /// Workloads that may, beside those of `kube-system`, `kube-public` and `kube-node-lease`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub allowed: Vec<AllowedWorkload>,
}

/// A workload that may use the network of its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedWorkload {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,

    /// Its name; a trailing `*` matches any rest.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Its kind, such as `DaemonSet`; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,

    /// Why it needs that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reason: Option<String>,
}

impl AllowedWorkload {
    fn is(&self, held: &Held<'_>) -> bool {
        let name = match self.name.strip_suffix('*') {
            Some(prefix) => held.meta.name.starts_with(prefix),
            None => *held.meta.name == *self.name,
        };
        let kind = held.kind.info().kind;
        let kind = self.kind.as_deref().is_none_or(|wanted| wanted == kind);
        name && kind && *held.meta.namespace == *self.namespace
    }
}

impl HostNetwork {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-host-network",
        field: "netHostNetwork",
        title: "Only listed workloads use the network of their node",
        family: Family::Network,
        criteria: &["CC6.1", "CC6.6"],
        severity: Severity::Medium,
        strength: Strength::Declared,
        rule_version: 2,
        reads: &workloads::KINDS,
        subjects: &workloads::KINDS,
        derives: &[Derived::OnNode],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "A workload has `hostNetwork: true` or a `hostPort` only if `allowed` lists it, or \
               if it lies in a system namespace.",
        why: "In the network of its node a pod listens on every address of the node, reaches its \
              loopback and the cloud's metadata endpoint, and no network policy applies to it. A \
              hostPort is an entry point that no Service shows.",
        fix: "Proposed: what to remove, or the entry to add to `allowed`. Pod templates are never \
              changed.",
        by_hand: "Remove `hostNetwork` and `hostPort` from the pod template; expose the pods by a \
                  Service.",
        prevention: "Pod Security admission at level `baseline` refuses both.",
        limits: "Judged by the template and by live pods, once for each workload. `kube-system`, \
                 `kube-public` and `kube-node-lease` are out of scope by default; where a policy includes them, \
                 their workloads may use the node's network. Pods that the kubelet makes of files \
                 show as Pods, named after their node.",
    };
}

/// What pods that look so use of their node: a reason, and words.
fn used(template: &Template) -> Option<(&'static str, String)> {
    if template.host_network {
        let what = "its pods share the network of their node".to_owned();
        return Some(("HostNetwork", what));
    }
    let port = template.ports.iter().find(|port| port.host)?;
    let what = format!(
        "container port {} is open on the node (hostPort)",
        port.number
    );
    Some(("HostPort", what))
}

impl Control for HostNetwork {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        Touched::Subject(Subject::object(
            change.kind,
            &change.namespace,
            &change.name,
        ))
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        Touched::Subject(subject.clone())
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
        let held = workloads::find(context.inventory, subject)?;
        let live = || {
            let (reason, what) = context.analyses.on_node().pods(subject).find_map(used)?;
            let seen = "as a live pod shows: its template does not say so";
            Some((reason, format!("{what}, {seen}")))
        };
        let Some((reason, what)) = used(held.template).or_else(live) else {
            return Some(Verdict::pass(Strength::Declared, "OwnNetwork", ""));
        };
        let namespace = &*held.meta.namespace;
        if SYSTEM.contains(&namespace) || self.allowed.iter().any(|allowed| allowed.is(&held)) {
            let message = format!("{what}, and it may");
            return Some(Verdict::pass(Strength::Declared, "Allowed", message));
        }
        let entry = serde_json::json!({
            "namespace": namespace, "name": held.meta.name, "kind": held.kind.info().kind,
            "reason": "…",
        });
        Some(
            Verdict::fail(Strength::Declared, reason, what).propose(format!(
                "remove hostNetwork and hostPort, and expose the pods by a Service; or list the \
                 workload in the parameter allowed: `{entry}`"
            )),
        )
    }
}

#[cfg(test)]
mod tests;
