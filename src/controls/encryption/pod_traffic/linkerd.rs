//! Linkerd: whom the proxies of a workload let in.

use serde_json::json;

use super::{all_in, made_anew};
use crate::{
    analysis::meshed::{INBOUND, INJECT, Pods},
    controls::{prelude::*, restricted::command, workloads::Held},
    inventory::mesh::{LinkerdServer, asks, authenticates},
    words::part_of,
};

/// The verdict on a workload that is in Linkerd's mesh; `None` where it is not.
pub(super) fn judge(context: &Context<'_>, held: &Held<'_>, pods: Pods) -> Option<Verdict> {
    if !all_in(pods, pods.linkerd, asked(context, held))? {
        let outside = pods.all - pods.linkerd;
        let message = format!(
            "{} without Linkerd's proxy",
            part_of(outside, pods.all, "pod", "runs", "run")
        );
        let mend = format!(
            "pods that were there before the namespace was annotated have no proxy; {}",
            made_anew(held)
        );
        return Some(Verdict::fail(Strength::Effective, "PodsOutsideMesh", message).propose(mend));
    }
    let namespace = &held.meta.namespace;
    let servers = context
        .inventory
        .tables
        .linkerd_servers
        .in_namespace(namespace);
    let servers: Vec<&Object<LinkerdServer>> = servers
        .filter(|server| {
            let pods = server.spec.pods.as_ref();
            pods.is_some_and(|pods| pods.matches(&held.template.labels))
        })
        .collect();
    if let Some(open) = servers.iter().find(|server| is_open(context, server)) {
        let message = format!(
            "Server {} lets clients in that prove nothing",
            open.meta.name
        );
        return Some(fail(held, message));
    }
    // Servers decide about the ports that they name only, and a pod may listen on others.
    if !default_authenticates(context, held, pods) {
        let message = "its inbound policy lets clients in that prove nothing".to_owned();
        return Some(fail(held, message));
    }
    let message = "Linkerd takes connections of proven clients only";
    Some(Verdict::pass(
        Strength::Effective,
        "LinkerdAuthenticated",
        message,
    ))
}

/// Whether the template, else the namespace, asks for a proxy of Linkerd.
fn asked(context: &Context<'_>, held: &Held<'_>) -> bool {
    let inject = held.template.linkerd.inject;
    inject.unwrap_or_else(|| annotation(context, held, INJECT).is_some_and(asks))
}

fn annotation<'a>(context: &Context<'a>, held: &Held<'_>, key: &str) -> Option<&'a str> {
    let namespace = &held.meta.namespace;
    let namespace = context.inventory.meta(Kind::Namespace, "", namespace)?;
    namespace.annotations.get(key)
}

fn fail(held: &Held<'_>, message: String) -> Verdict {
    Verdict::fail(Strength::Effective, "LinkerdNotAuthenticated", message).propose(format!(
        "once all clients are in the mesh, require a MeshTLSAuthentication where a Server says otherwise, \
         and let all others in by proof alone: {}",
        by_proof_alone(held)
    ))
}

/// How the inbound policy comes to ask for proof: what a template says comes before what its
/// namespace says.
fn by_proof_alone(held: &Held<'_>) -> String {
    let Meta {
        namespace, name, ..
    } = held.meta;
    let proven = format!("{INBOUND}=all-authenticated");
    if held.template.linkerd.authenticates != Some(false) {
        let annotate = command::annotate(Kind::Namespace, "", namespace, &proven);
        return format!("{annotate}\nand then {}", made_anew(held));
    }
    let template = json!({ "metadata": { "annotations": { INBOUND: "all-authenticated" } } });
    let how = match held.kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet => command::set(
            held.kind,
            namespace,
            name,
            &json!({ "spec": { "template": template } }),
        ),
        Kind::CronJob => command::set(
            held.kind,
            namespace,
            name,
            &json!({ "spec": { "jobTemplate": { "spec": { "template": template } } } }),
        ),
        _ => format!("it must be created anew with {proven}"),
    };
    // All others make new pods as soon as the template changes.
    let then = match held.kind {
        Kind::ReplicaSet | Kind::CronJob => format!("\nand then {}", made_anew(held)),
        _ => String::new(),
    };
    format!(
        "the pod template has a policy of its own, which the namespace does not change: {how}{then}"
    )
}

/// Whether a Server lets anybody in, by itself or by an authorization that asks for no proof.
fn is_open(context: &Context<'_>, server: &Object<LinkerdServer>) -> bool {
    let namespace = &server.meta.namespace;
    let table = &context.inventory.tables.linkerd_authorizations;
    let mut about = table.in_namespace(namespace).filter(|policy| {
        let target = policy.spec.server.as_ref();
        target.is_none_or(|target| *target == server.meta.name)
    });
    server.spec.lets_anybody_in || about.any(|policy| !policy.spec.authenticates)
}

/// Whether ports without a Server take proven clients only: as the pods say (as the template, where
/// there are none), else as their namespace says.
fn default_authenticates(context: &Context<'_>, held: &Held<'_>, pods: Pods) -> bool {
    let by_namespace = annotation(context, held, INBOUND).is_some_and(authenticates);
    if pods.all == 0 {
        return held.template.linkerd.authenticates.unwrap_or(by_namespace);
    }
    let silent = pods.linkerd - pods.authenticating - pods.open;
    pods.open == 0 && (silent == 0 || by_namespace)
}
