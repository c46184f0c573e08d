//! `net-policy-dead`

use super::common::list;
use crate::{
    analysis::{Derived, isolation::Dead},
    api::Period,
    controls::prelude::*,
};

/// Every network policy selects some pod, and so does each of its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDead {
    /// How long a policy may select nothing.
    #[serde(default = "week")]
    pub grace: Period,
}

fn week() -> Period {
    Period::days(7)
}

impl Default for PolicyDead {
    fn default() -> Self {
        Self { grace: week() }
    }
}

/// Reason while the grace runs; since when shows in the verdict's `recheck_at`.
const IN_GRACE: &str = "InGrace";

impl PolicyDead {
    /// Reason where a peer selects nothing, whose pods may be of any namespace.
    pub const PEER: &'static str = "PeerSelectsNothing";

    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-policy-dead",
        field: "netPolicyDead",
        title: "Every network policy selects something",
        family: Family::Network,
        criteria: &["CC7.1"],
        severity: Severity::Low,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::NetworkPolicy],
        subjects: &[Kind::NetworkPolicy],
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Each NetworkPolicy selects a pod, or the template of a workload, also at zero \
               replicas; and so does each podSelector and namespaceSelector of its rules. It \
               fails once that has not been so for `grace`.",
        why: "A policy that selects nothing protects nothing: a label was renamed, or a typo was \
              never noticed. A peer that selects nothing hides that the traffic which it was \
              written for flows by another rule, or not at all.",
        fix: "Proposed: which selector to correct, or the policy to delete.",
        by_hand: "Compare the selector with the labels of pods and of workloads' templates \
                  (`kubectl get pods --show-labels`), and correct or delete it.",
        prevention: "None: at admission the pods may not be there yet.",
        limits: "An empty podSelector speaks of pods to come, and is never dead; nor is a \
                 namespaceSelector without podSelector as long as one namespace fits. Labels that \
                 only live pods have count as if some pod could have them. Workloads of custom \
                 resources are seen only while they have pods. The grace begins when Probity first \
                 sees that nothing is selected, and begins anew after a restart.",
    };
}

/// What is selected in vain, in words.
fn words(dead: &Dead<'_>, namespace: &str) -> String {
    if dead.itself {
        return format!("its podSelector selects no pod and no template in namespace {namespace}");
    }
    let peers: Vec<_> = dead.peers.iter().map(ToString::to_string).collect();
    format!(
        "nothing is selected by the peer {}",
        list(&peers, ", nor by ")
    )
}

impl Control for PolicyDead {
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
        match subject.object_kind() {
            Some(Kind::NetworkPolicy) => Touched::Subject(subject.clone()),
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let table = &context.inventory.tables.network_policies;
        subject::objects(Kind::NetworkPolicy, table, namespace, found);
    }

    fn wants_pods(&self) -> bool {
        true
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let namespace = &subject.namespace;
        let table = &context.inventory.tables.network_policies;
        table.get(namespace, &subject.name)?;
        let Some(dead) = context.analyses.isolation().dead(namespace, &subject.name) else {
            return Some(Verdict::pass(Strength::Effective, "SelectsSomething", ""));
        };
        let what = words(&dead, namespace);
        let (reason, selector) = if dead.itself {
            ("PolicySelectsNothing", "its podSelector")
        } else {
            (Self::PEER, "that peer")
        };
        let failed = Verdict::fail(Strength::Effective, reason, what.clone()).propose(format!(
            "correct the labels in {selector}, or delete the policy if nothing is to come of it"
        ));
        // A failure stays one: only what is alive again begins a new grace.
        let before = context.before.map(|before| before.outcome);
        if before == Some(Outcome::Fail) {
            return Some(failed);
        }
        let ends = context.grace_ends(IN_GRACE, self.grace.duration());
        if context.now >= ends {
            return Some(failed);
        }
        let message = format!("{what}; it fails at {ends}");
        Some(Verdict::not_applicable(IN_GRACE, message).recheck(ends))
    }
}

#[cfg(test)]
mod tests;
