//! What the controls of workloads' traffic have in common.

use serde_json::{Map, Value, json};

use crate::{
    analysis::{
        exposure::Declared,
        network::{Applying, Direction, Policy},
    },
    controls::{
        prelude::*,
        restricted::command,
        workloads::{self, Held},
    },
    inventory::{
        meta::Labels,
        tiers::Act,
        workload::{JOB_LABELS, SOME_JOB},
    },
};

/// Which subjects a change of an object makes uncertain that the analysis knows nothing about.
pub(super) fn touched(change: &Change) -> Touched {
    match change.kind {
        // They tell which workload a pod belongs to.
        Kind::ReplicaSet | Kind::Job => Touched::Namespace(change.namespace.clone()),
        kind if workloads::KINDS.contains(&kind) => {
            Touched::Subject(Subject::object(kind, &change.namespace, &change.name))
        }
        _ => Touched::Nothing,
    }
}

/// Which workloads become uncertain when the isolation analysis says something else: it speaks
/// of namespaces, and of policies, which are none.
pub(super) fn affected(subject: &Subject) -> Touched {
    match subject.object_kind() {
        Some(Kind::Namespace) => Touched::Namespace(subject.name.clone()),
        Some(kind) if workloads::KINDS.contains(&kind) => Touched::Subject(subject.clone()),
        _ => Touched::Nothing,
    }
}

/// Judges a workload by its template, and by how its live pods look where that is otherwise:
/// admission may have changed them, or somebody their labels. The worst is what counts.
pub(super) fn worst_look<'a>(
    context: &Context<'a>,
    subject: &Subject,
    held: &Held<'a>,
    judge: impl Fn(&Held<'a>) -> Verdict,
) -> Verdict {
    let rank = |verdict: &Verdict| match verdict.outcome {
        Outcome::Fail => 0,
        Outcome::Unknown => 1,
        Outcome::Excepted => 2,
        Outcome::Pass => 3,
        Outcome::NotApplicable => 4,
    };
    let mut worst = judge(held);
    for look in context.analyses.isolation().looks(subject) {
        let template = &**look;
        let mut verdict = judge(&Held { template, ..*held });
        if rank(&verdict) < rank(&worst) {
            if matches!(verdict.outcome, Outcome::Fail | Outcome::Unknown) {
                let (_, labels) = pod_selector(&template.labels);
                verdict.message = format!("live pods {labels}: {}", verdict.message).into();
            }
            worst = verdict;
        }
    }
    worst
}

/// Calls `found` with each workload in `namespace`, or in all, whose namespace is `wanted`.
pub(super) fn workloads_of(
    inventory: &Inventory,
    namespace: Option<&str>,
    wanted: impl Fn(&Labels) -> bool,
    found: &mut dyn FnMut(Subject),
) {
    subject::namespaces(inventory, namespace, &mut |space| {
        let meta = inventory.meta(Kind::Namespace, "", &space.name);
        if meta.is_some_and(|meta| wanted(&meta.labels)) {
            workloads::each(inventory, Some(&space.name), found);
        }
    });
}

/// The verdict on workloads that policies say nothing about.
pub(super) fn host_network() -> Verdict {
    Verdict::not_applicable(
        "HostNetwork",
        "the pods share the node's network: policies say nothing about them",
    )
}

/// The verdict where something that can't be judged may matter.
pub(super) fn doubtful(what: &str) -> Verdict {
    Verdict::unknown("PoliciesNotJudged", what.to_owned())
}

/// Leaves a verdict as it is only where nothing that can't be judged could turn it.
pub(super) fn unless_doubtful(verdict: Verdict, applying: &Applying<'_>) -> Verdict {
    let doubt = match verdict.outcome {
        Outcome::Pass => applying.doubt(|doubt| doubt.opens),
        Outcome::Fail => applying.doubt(|doubt| doubt.denies),
        _ => None,
    };
    doubt.map_or(verdict, doubtful)
}

/// At most four items, and how many more there are.
pub(super) fn list(items: &[String], and: &str) -> String {
    let shown = items.iter().take(4).cloned().collect::<Vec<_>>().join(and);
    match items.len().saturating_sub(4) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Policies in words, and the verb `lets` in the number that fits.
pub(super) fn let_by(policies: &[Policy<'_>]) -> String {
    let verb = if policies.len() == 1 { "lets" } else { "let" };
    format!("{} {verb}", named(policies))
}

/// The command that creates a policy under which the pods of a workload reach these peers and no
/// others. `what` tells its name from those of other controls' policies.
pub(super) fn isolating(held: &Held<'_>, what: &str, egress: &Value) -> String {
    // What the API server gives the pods of a job names one run of it, or one that is not known.
    let labels = held.template.labels.iter();
    let labels: Map<String, Value> = labels
        .filter(|(key, _)| !JOB_LABELS.contains(key))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    if labels.is_empty() {
        // It would select all pods of the namespace.
        return "give the pods a label of their own first, by which a policy selects them"
            .to_owned();
    }
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "namespace": *held.meta.namespace, "name": policy_name(held, what) },
        "spec": {
            "podSelector": { "matchLabels": labels },
            "policyTypes": ["Egress"],
            "egress": egress,
        },
    });
    // A policy of that name may be there, and hold what the pods need.
    command::create(&manifest)
}

/// A name that is the workload's and the control's own, no longer than the name of a workload may
/// be: what is too long is cut where it tells least.
fn policy_name(held: &Held<'_>, what: &str) -> String {
    let kind = held.kind.info().kind.to_lowercase();
    let room = 63_usize.saturating_sub(kind.len() + what.len() + 2);
    let name = &*held.meta.name;
    let name = name.get(..room).unwrap_or(name);
    format!("{kind}-{}-{what}", name.trim_end_matches(['-', '.']))
}

/// Policies in words: `NetworkPolicies shop/a and shop/b`.
pub(super) fn named(policies: &[Policy<'_>]) -> String {
    let own = policies
        .iter()
        .all(|policy| policy.kind == Kind::NetworkPolicy);
    if policies.len() > 1 && own {
        let names = policies.iter().map(|policy| {
            let meta = policy.meta;
            format!("{}/{}", meta.namespace, meta.name)
        });
        let names: Vec<_> = names.collect();
        return format!("NetworkPolicies {}", list(&names, " and "));
    }
    let names: Vec<_> = policies.iter().map(ToString::to_string).collect();
    list(&names, " and ")
}

/// What the Admin and Baseline tiers deny of a direction that they do not deny whole.
pub(super) fn denied_in_part(applying: &Applying<'_>) -> Option<String> {
    let steps = applying.admin.iter().chain(&applying.baseline);
    let denying = steps.filter(|step| step.act == Act::Deny);
    let mut denying: Vec<_> = denying.map(|step| step.policy).collect();
    denying.sort();
    denying.dedup();
    let part = match applying.direction {
        Direction::Ingress => "only other pods, nothing from outside the cluster",
        Direction::Egress => "only a part of all destinations",
    };
    let verb = if denying.len() == 1 { "denies" } else { "deny" };
    (!denying.is_empty()).then(|| format!("{} {verb} {part}", named(&denying)))
}

/// A label set as a podSelector, and as people write it. Labels that tools put on everything
/// they install say little about one workload, but they do no harm.
pub(super) fn pod_selector(labels: &Labels) -> (Value, String) {
    // Those of one job alone say nothing of the next, unless there are no others.
    let lasting = labels.iter().filter(|(key, _)| !JOB_LABELS.contains(key));
    let mut pairs: Vec<_> = lasting.take(8).collect();
    if pairs.is_empty() {
        let named = labels.iter();
        pairs.extend(named.filter(|(key, value)| *key == JOB_LABELS[0] && *value != SOME_JOB));
    }
    let words: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let map: serde_json::Map<String, Value> = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    if map.is_empty() {
        return (json!({}), "without labels".to_owned());
    }
    (
        json!({ "matchLabels": map }),
        format!("labelled {}", words.join(",")),
    )
}

/// The `ports` of a rule for declared ports, at most sixteen.
pub(super) fn rule_ports(declared: &[Declared]) -> Vec<Value> {
    let ports = declared
        .iter()
        .map(|(protocol, port)| (protocol.unwrap_or("TCP"), *port));
    let ports: std::collections::BTreeSet<_> = ports.take(16).collect();
    ports
        .iter()
        .map(|(protocol, port)| json!({ "protocol": protocol, "port": port }))
        .collect()
}
