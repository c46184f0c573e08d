//! Default-deny policies: what is recorded of those that hold, put back, or created.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    analysis::network::Direction,
    controls::prelude::*,
    controls::remedy::merge_patch,
    inventory::{
        meta::{MANAGED_BY, MANAGER},
        network_policy::NetworkPolicy,
    },
};

/// Label by which the owner of a namespace accepts that a default deny is created.
const ACCEPTED: &str = "probity.dev/default-deny";
/// Value of [`ACCEPTED`].
const ACCEPTS: &str = "accepted";

/// The policy that we would create.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What it denies.
    pub(super) directions: &'a [Direction],
    /// Whether the control's parameters consent to it everywhere.
    pub(super) accepted: bool,
    /// Whether it leaves the way to the cluster's name servers open.
    pub(super) allow_dns: bool,
    /// Whether it stands for what passed before, so that it may come without anybody's consent
    /// where something did.
    pub(super) replaces: bool,
}

/// Puts back what was kept, else creates our own policy.
pub(super) fn remedy(
    context: &Context<'_>,
    namespace: &Sym,
    wanted: &Wanted<'_>,
) -> Option<Remedy> {
    let kept = context.kept.and_then(|kept| {
        // Several policies may have denied together: mend the first that no longer does.
        let mut policies = kept.value.as_array()?.iter();
        policies.find_map(|policy| put_back(context, namespace, policy, kept))
    });
    kept.or_else(|| create(context, namespace, wanted))
}

fn put_back(context: &Context<'_>, namespace: &Sym, policy: &Value, kept: &Kept) -> Option<Remedy> {
    let (name, uid) = (policy["name"].as_str()?, policy["uid"].as_str()?);
    let spec: Value = policy["spec"].as_str()?.parse().ok()?;
    let target = target(namespace, name);
    let table = &context.inventory.tables.network_policies;
    let Some(object) = table.get(namespace, name) else {
        return Some(Remedy::Create {
            manifest: manifest(namespace, name, &spec),
            target,
            consent: Consent::IfPassedBefore,
            owners: Some(Arc::clone(&kept.owners)),
        });
    };
    let now: Value = object.spec.spec.parse().ok()?;
    (now != spec && object.meta.uid.to_string() == uid).then(|| Remedy::PutBack {
        patch: json!({ "spec": merge_patch(&now, &spec) }),
        target,
        path: 0,
    })
}

fn create(context: &Context<'_>, namespace: &Sym, wanted: &Wanted<'_>) -> Option<Remedy> {
    let meta = context.inventory.meta(Kind::Namespace, "", namespace);
    let label = meta.and_then(|meta| meta.labels.get(ACCEPTED));
    let accepted = wanted.accepted || label == Some(ACCEPTS);
    let mut pods = context.inventory.tables.pods.in_namespace(namespace);
    let consent = if accepted || pods.all(|pod| pod.spec.ended) {
        Consent::Given
    } else if wanted.replaces {
        Consent::IfPassedBefore
    } else {
        return None;
    };
    let types: Vec<_> = wanted.directions.iter().map(|d| d.as_str()).collect();
    let mut spec = json!({ "podSelector": {}, "policyTypes": types });
    if wanted.allow_dns {
        spec["egress"] = json!([dns()]);
    }
    Some(Remedy::Create {
        target: target(namespace, wanted.name),
        manifest: manifest(namespace, wanted.name, &spec),
        consent,
        owners: None,
    })
}

/// The way to the cluster's name servers: without it hardly any pod works.
pub(super) fn dns() -> Value {
    let servers = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    });
    let node_local = json!({ "ipBlock": { "cidr": "169.254.20.10/32" } });
    let port = |protocol: &str| json!({ "protocol": protocol, "port": 53 });
    json!({ "to": [servers, node_local], "ports": [port("UDP"), port("TCP")] })
}

/// Whether a policy denies everything in one direction for all pods.
pub(super) fn denies(policy: &NetworkPolicy, direction: Direction) -> bool {
    let rules = match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    };
    policy.pods.is_empty() && rules.as_ref().is_some_and(|rules| rules.is_empty())
}

fn target(namespace: &Sym, name: &str) -> Target {
    Target {
        kind: Kind::NetworkPolicy,
        namespace: namespace.clone(),
        name: name.into(),
    }
}

fn manifest(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { MANAGED_BY: MANAGER },
        },
        "spec": spec,
    })
}

/// What to record of policies that hold, so that they can be put back: a row each, with the spec
/// as text, because there may be one for each of very many subjects.
pub(super) fn keep(policies: &[&Object<NetworkPolicy>]) -> Option<Kept> {
    let first = policies.first()?;
    let value = policies.iter().map(|policy| {
        let Meta { name, uid, .. } = &policy.meta;
        json!({ "name": name, "uid": uid.to_string(), "spec": policy.spec.spec })
    });
    Some(Kept {
        uid: first.meta.uid,
        value: value.collect(),
        owners: Arc::clone(&first.meta.owners),
    })
}
