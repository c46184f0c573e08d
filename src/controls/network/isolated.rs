//! Whether something isolates a workload's pods: the rule of `net-pod-ingress-isolated` and
//! `net-pod-egress-isolated`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    common::{self, denied_in_part, pod_selector, rule_ports},
    default_deny::{self, Wanted},
};
use crate::{
    analysis::{
        exposure::{declared_ports, exposed_by},
        meshed::INBOUND,
        network::{Applying, Direction, Isolated, Policy},
    },
    controls::{
        labels::LabelSelector,
        prelude::*,
        workloads::{self, Held},
    },
    inventory::{mesh::IstioAuthorization, template::Template},
};

/// Who enforces network policies, and so which kinds of them count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Engine {
    /// Whoever enforces `NetworkPolicies`.
    NetworkPolicy,
    /// Whoever enforces `ClusterNetworkPolicies` and their predecessors.
    ClusterNetworkPolicy,
    /// Cilium, with policies of its own.
    Cilium,
    /// Calico, with policies of its own.
    Calico,
}

impl Engine {
    /// Whether it enforces policies of a kind.
    const fn enforces(self, kind: Kind) -> bool {
        match kind {
            Kind::NetworkPolicy => matches!(self, Self::NetworkPolicy),
            Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy => {
                matches!(self, Self::Cilium)
            }
            Kind::CalicoNetworkPolicy
            | Kind::CalicoGlobalNetworkPolicy
            | Kind::CalicoV3NetworkPolicy
            | Kind::CalicoV3GlobalNetworkPolicy => matches!(self, Self::Calico),
            _ => matches!(self, Self::ClusterNetworkPolicy),
        }
    }
}

/// What a control of this rule asks for.
pub(super) struct Rule<'a> {
    /// Whose policies count; empty means everybody's.
    pub(super) engines: &'a [Engine],
    pub(super) direction: Direction,
    /// The root namespace of Istio, where what its proxies authorize counts.
    pub(super) mesh_root: Option<&'a str>,
    pub(super) exempt: Option<&'a LabelSelector>,
    pub(super) accept_default_deny: bool,
    /// Name of the policy that we create.
    pub(super) policy: &'static str,
}

impl Rule<'_> {
    pub(super) fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let own = self.template(context, &held);
        let verdict = if own.outcome == Outcome::Fail {
            own
        } else {
            self.stray(context, &held, subject).unwrap_or(own)
        };
        if !matches!(verdict.outcome, Outcome::Fail | Outcome::Unknown) {
            return Some(verdict);
        }
        if let Some(policy) = self.authorized(context, &held, subject) {
            let message = format!(
                "Istio's proxies let in only what policies such as {policy} allow, whatever the \
                 network lets through"
            );
            return Some(Verdict::pass(
                Strength::Effective,
                "MeshAuthorizes",
                message,
            ));
        }
        if self.may_be_denied(context, &held, subject) {
            let Meta {
                namespace, name, ..
            } = held.meta;
            let resource = held.kind.info().kind.to_lowercase();
            let message = format!(
                "Linkerd's proxies may let in only what its policies allow, which are not judged: ask linkerd authz \
                 --namespace {namespace} {resource}/{name}"
            );
            return Some(Verdict::unknown("MeshAuthorizationNotJudged", message));
        }
        Some(verdict)
    }

    /// Whether all live pods run Linkerd's proxy, and neither they nor their namespace say that it lets in what no policy
    /// allows: `deny` is the only inbound policy by which it does not (`DefaultPolicy` in linkerd/linkerd2,
    /// `policy-controller/k8s/index/src/defaults.rs`). Where nobody says anything, Linkerd's own default counts.
    fn may_be_denied(&self, context: &Context<'_>, held: &Held<'_>, subject: &Subject) -> bool {
        if self.mesh_root.is_none() {
            return false;
        }
        let pods = context.analyses.meshed().pods(subject);
        // Whoever proves who they are is not yet allowed by a policy.
        let open = pods.open + pods.authenticating - pods.denying;
        if pods.all == 0 || pods.linkerd < pods.all || open > 0 {
            return false;
        }
        let namespace = context
            .inventory
            .meta(Kind::Namespace, "", &held.meta.namespace);
        let said = namespace.and_then(|namespace| namespace.annotations.get(INBOUND));
        pods.denying == pods.all || said.is_none_or(|policy| policy == "deny")
    }

    /// The `AuthorizationPolicy` of Istio by which the proxies of all live pods deny what none
    /// allows. Policies of the root namespace are about every namespace.
    fn authorized(
        &self,
        context: &Context<'_>,
        held: &Held<'_>,
        subject: &Subject,
    ) -> Option<String> {
        let root = self.mesh_root?;
        let pods = context.analyses.meshed().pods(subject);
        if pods.all == 0 || pods.istio + pods.ambient < pods.all {
            return None;
        }
        let namespace = &*held.meta.namespace;
        let table = &context.inventory.tables.istio_authorizations;
        let own = table.in_namespace(namespace);
        let all = own.chain(table.in_namespace(root).filter(|_| namespace != root));
        let looks = context.analyses.isolation().looks(subject).iter();
        let looks: Vec<&Template> = looks.map(|look| &**look).collect();
        let selects = |policy: &IstioAuthorization, template: &Template| {
            let mut labels = policy.pods.iter();
            labels.all(|(key, value)| template.labels.get(key) == Some(value))
        };
        let allowing: Vec<_> = all
            .filter(|policy| policy.spec.allows && !policy.spec.targets)
            .filter(|policy| selects(&policy.spec, held.template))
            .collect();
        let open = allowing.iter().any(|policy| policy.spec.allows_all);
        let everywhere = allowing
            .into_iter()
            .find(|policy| looks.iter().all(|look| selects(&policy.spec, look)))?;
        let Meta {
            namespace, name, ..
        } = &everywhere.meta;
        (!open).then(|| format!("AuthorizationPolicy {namespace}/{name}"))
    }

    fn counts(&self, kind: Kind) -> bool {
        self.engines.is_empty() || self.engines.iter().any(|engine| engine.enforces(kind))
    }

    fn applying<'b>(
        &self,
        inventory: &'b Inventory,
        namespace: &'b str,
        template: &Template,
    ) -> Applying<'b> {
        let all = Applying::gather(inventory, namespace, template, self.direction);
        all.only(|kind| self.counts(kind))
    }

    fn is_exempt(&self, template: &Template) -> bool {
        self.exempt
            .is_some_and(|exempt| exempt.matches(&template.labels))
    }

    fn template(&self, context: &Context<'_>, held: &Held<'_>) -> Verdict {
        if held.template.host_network {
            return common::host_network();
        }
        if self.is_exempt(held.template) {
            let message = "exemptSelector selects its pods";
            return Verdict::not_applicable("ExemptBySelector", message);
        }
        let namespace = &*held.meta.namespace;
        let applying = self.applying(context.inventory, namespace, held.template);
        if !applying.is_isolated() {
            if let Some(what) = applying.doubt(|doubt| doubt.isolates) {
                return common::doubtful(what);
            }
            let message = self.open(&applying, held);
            return self.fail(context, held, "WorkloadNotIsolated", message);
        }
        let mut verdict = Verdict::pass(Strength::Effective, "Isolated", "");
        verdict.keep = keep(context.inventory, &applying);
        verdict
    }

    /// Live pods of the workload that lack what makes a policy select their template.
    fn stray(&self, context: &Context<'_>, held: &Held<'_>, subject: &Subject) -> Option<Verdict> {
        if !self.engines.is_empty() {
            // The analysis knows of all policies alike.
            return self.stray_look(context, held, subject);
        }
        let (inventory, namespace) = (context.inventory, &held.meta.namespace);
        let strays = context
            .analyses
            .isolation()
            .strays(namespace, self.direction);
        let stray = strays
            .filter(|stray| {
                let root = workloads::root(inventory, namespace, stray.owner);
                root.as_ref() == Some(subject) && !self.is_exempt(stray.template)
            })
            .max_by_key(|stray| stray.isolated)?;
        let unclear = stray.isolated == Isolated::Unclear;
        Some(self.not_isolated(context, held, stray.template, unclear))
    }

    /// The same by the policies of some engines alone.
    fn stray_look(
        &self,
        context: &Context<'_>,
        held: &Held<'_>,
        subject: &Subject,
    ) -> Option<Verdict> {
        let looks = context.analyses.isolation().looks(subject).iter();
        let looks = looks.filter(|look| !look.host_network && !self.is_exempt(look));
        let open = looks.filter_map(|look| {
            let applying = self.applying(context.inventory, &held.meta.namespace, look);
            let unclear = applying.doubt(|doubt| doubt.isolates).is_some();
            (!applying.is_isolated()).then_some((unclear, look))
        });
        let (unclear, look) = open.min_by_key(|(unclear, _)| *unclear)?;
        Some(self.not_isolated(context, held, look, unclear))
    }

    fn not_isolated(
        &self,
        context: &Context<'_>,
        held: &Held<'_>,
        look: &Template,
        unclear: bool,
    ) -> Verdict {
        let (_, labels) = pod_selector(&look.labels);
        if unclear {
            let what = format!("a policy may or may not select the live pods {labels}");
            return common::doubtful(&what);
        }
        let direction = self.direction.as_str();
        let message = format!(
            "no policy isolates those of its live pods that are {labels} for {direction}, which is \
             not said of its template"
        );
        self.fail(context, held, "LivePodsNotIsolated", message)
    }

    fn open(&self, applying: &Applying<'_>, held: &Held<'_>) -> String {
        let (_, labels) = pod_selector(&held.template.labels);
        let witness = match self.direction {
            Direction::Ingress => "any source reaches every port of its pods",
            Direction::Egress => "its pods reach any destination",
        };
        let namespace = applying.namespace;
        let mut message = format!(
            "{witness}: no policy of namespace {namespace} selects pods {labels} for {}",
            self.direction.as_str()
        );
        if let Some(denied) = denied_in_part(applying) {
            message = format!("{message} ({denied})");
        }
        message
    }

    fn fail(
        &self,
        context: &Context<'_>,
        held: &Held<'_>,
        reason: &'static str,
        message: String,
    ) -> Verdict {
        let wanted = Wanted {
            name: self.policy,
            directions: &[self.direction],
            accepted: self.accept_default_deny,
            allow_dns: self.direction == Direction::Egress,
            // What passed before was a policy of its own: it comes back as it was or not at all.
            replaces: false,
        };
        // What nobody enforces helps nobody.
        let remedy = self
            .counts(Kind::NetworkPolicy)
            .then(|| default_deny::remedy(context, &held.meta.namespace, &wanted))
            .flatten();
        let mut verdict = Verdict::fail(Strength::Effective, reason, message);
        verdict.remedy = remedy.map(Box::new);
        verdict.propose(self.proposal(context.inventory, held))
    }

    /// A policy to begin with, made of what the workload declares.
    fn proposal(&self, inventory: &Inventory, held: &Held<'_>) -> String {
        let namespace = &held.meta.namespace;
        let (selector, _) = pod_selector(&held.template.labels);
        let mut spec = json!({ "podSelector": selector, "policyTypes": [self.direction.as_str()] });
        let rules = match self.direction {
            Direction::Ingress => ingress_rules(inventory, held),
            Direction::Egress => vec![
                default_deny::dns(),
                json!({ "to": [{ "podSelector": {} }] }),
            ],
        };
        spec[match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }] = rules.into();
        format!(
            "begin with a NetworkPolicy in namespace {namespace} with this spec, and add what the \
             workload needs: {spec}"
        )
    }
}

/// The ports that the workload declares, from its namespace; from anywhere where it is exposed.
fn ingress_rules(inventory: &Inventory, held: &Held<'_>) -> Vec<Value> {
    let namespace = &*held.meta.namespace;
    let ports = rule_ports(&declared_ports(inventory, namespace, held.template));
    if ports.is_empty() {
        return Vec::new();
    }
    let mut rule = json!({ "ports": ports });
    if exposed_by(inventory, namespace, held.template).is_none() {
        rule["from"] = json!([{ "podSelector": {} }]);
    }
    vec![rule]
}

/// What to record: one policy that isolates the pods. A default deny is the shortest, and
/// isolates whatever else is lost.
fn keep(inventory: &Inventory, applying: &Applying<'_>) -> Option<Arc<Kept>> {
    let own = |policy: &&Policy<'_>| policy.kind == Kind::NetworkPolicy;
    let policies = applying.isolating.iter().filter(own).filter_map(|policy| {
        let table = &inventory.tables.network_policies;
        table.get(applying.namespace, &policy.meta.name)
    });
    let default = |policy: &&&Object<_>| default_deny::denies(&policy.spec, applying.direction);
    let policies: Vec<_> = policies.filter(|policy| !policy.meta.deleting).collect();
    let policy = policies.iter().find(default).or(policies.first())?;
    default_deny::keep(&[policy]).map(Arc::new)
}
