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
        network::{Applying, Direction, Isolated, Policy},
    },
    controls::{
        labels::LabelSelector,
        prelude::*,
        workloads::{self, Held},
    },
    inventory::template::Template,
};

/// What a control of this rule asks for.
pub(super) struct Rule<'a> {
    pub(super) direction: Direction,
    pub(super) exempt: Option<&'a LabelSelector>,
    pub(super) accept_default_deny: bool,
    /// Name of the policy that we create.
    pub(super) policy: &'static str,
}

impl Rule<'_> {
    pub(super) fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let own = self.template(context, &held);
        if own.outcome == Outcome::Fail {
            return Some(own);
        }
        Some(self.stray(context, &held, subject).unwrap_or(own))
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
        let (namespace, direction) = (&*held.meta.namespace, self.direction);
        let applying = Applying::gather(context.inventory, namespace, held.template, direction);
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
        let (_, labels) = pod_selector(&stray.template.labels);
        let direction = self.direction.as_str();
        if stray.isolated == Isolated::Unclear {
            let what = format!("a policy may or may not select the live pods {labels}");
            return Some(common::doubtful(&what));
        }
        let message = format!(
            "no policy isolates those of its live pods that are {labels} for {direction}, which is \
             not said of its template"
        );
        Some(self.fail(context, held, "LivePodsNotIsolated", message))
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
        let remedy = default_deny::remedy(context, &held.meta.namespace, &wanted);
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
