//! A large cluster as watch lines: 1,000 namespaces, 100,000 pods of 5,000 deployments, 5,000
//! network policies, 20,000 RBAC objects. Everything follows from its number, so that two runs
//! are equal.

use probity::inventory::Kind;
use serde_json::{Value, json};

pub(crate) const NAMESPACES: u32 = 1000;
pub(crate) const PODS: u32 = 100_000;
pub(crate) const DEPLOYMENTS: u32 = 5000;
pub(crate) const POLICIES: u32 = 5000;
pub(crate) const ROLES: u32 = 3000;
pub(crate) const BINDINGS: u32 = 17_000;
pub(crate) const ACCOUNTS: u32 = 20_000;

/// Calls `take` with every object of the cluster, kind by kind.
pub(crate) fn each(take: &mut dyn FnMut(Kind, Value)) {
    let mut objects = |kind, count, object: fn(u32) -> Value| {
        for number in 0..count {
            take(kind, object(number));
        }
    };
    objects(Kind::Namespace, NAMESPACES, namespace);
    objects(Kind::Deployment, DEPLOYMENTS, deployment);
    objects(Kind::Pod, PODS, pod);
    objects(Kind::NetworkPolicy, POLICIES, network_policy);
    objects(Kind::ServiceAccount, ACCOUNTS, account);
    objects(Kind::ClusterRole, ROLES / 10, cluster_role);
    objects(Kind::Role, ROLES - ROLES / 10, role);
    objects(Kind::RoleBinding, BINDINGS - 500, role_binding);
    objects(Kind::ClusterRoleBinding, 500, cluster_role_binding);
}

/// An object as a line of a watch.
pub(crate) fn line(kind: &str, object: &Value) -> bytes::Bytes {
    json!({ "type": kind, "object": object }).to_string().into()
}

fn team(number: u32) -> String {
    format!("team-{}", number % NAMESPACES)
}

fn meta(kind: u32, number: u32, namespace: Option<String>, name: &str) -> Value {
    let mut meta = json!({
        "name": name, "uid": format!("{kind:08x}-0000-4000-8000-{number:012x}"),
        "resourceVersion": (number + 1).to_string(), "creationTimestamp": "2026-05-01T12:00:00Z",
    });
    if let Some(namespace) = namespace {
        meta["namespace"] = namespace.into();
    }
    meta
}

pub(crate) fn namespace(number: u32) -> Value {
    let mut meta = meta(1, number, None, &team(number));
    meta["labels"] = json!({
        "kubernetes.io/metadata.name": team(number), "tenant": format!("t{}", number % 100),
        "tier": format!("{}", number % 3), "pod-security.kubernetes.io/enforce": "baseline",
    });
    json!({ "metadata": meta })
}

fn labels(deployment: u32) -> Value {
    json!({
        "app": format!("service-{deployment}"), "role": format!("r{}", deployment % 7),
        "team": format!("t{}", deployment % 100),
    })
}

fn spec(deployment: u32) -> Value {
    json!({
        "serviceAccountName": format!("account-{deployment}"),
        "automountServiceAccountToken": false,
        "containers": [{
            "name": "main", "image": format!("registry.example/service-{deployment}:1"),
            "ports": [{ "name": "http", "containerPort": 8080 }],
        }],
    })
}

fn deployment(number: u32) -> Value {
    let template = json!({ "metadata": { "labels": labels(number) }, "spec": spec(number) });
    json!({
        "metadata": meta(2, number, Some(team(number)), &format!("service-{number}")),
        "spec": { "replicas": 20, "template": template },
    })
}

pub(crate) fn pod(number: u32) -> Value {
    let deployment = number % DEPLOYMENTS;
    let name = format!("service-{deployment}-7d9c6f5b8-{number:05x}");
    let mut meta = meta(3, number, Some(team(deployment)), &name);
    meta["labels"] = labels(deployment);
    meta["labels"]["pod-template-hash"] = "7d9c6f5b8".into();
    meta["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true, "uid": "u",
        "name": format!("service-{deployment}-7d9c6f5b8"),
    }]);
    json!({ "metadata": meta, "spec": spec(deployment), "status": { "phase": "Running" } })
}

/// Each namespace denies by default and lets a few in.
fn network_policy(number: u32) -> Value {
    let namespace = number % NAMESPACES;
    let spec = match number / NAMESPACES {
        0 => json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
        1 => json!({
            "podSelector": { "matchLabels": { "role": format!("r{}", number % 7) } },
            "ingress": [{ "from": [{ "podSelector": {} }], "ports": [{ "port": "http" }] }],
        }),
        2 => json!({
            "podSelector": {},
            "ingress": [{ "from": [{
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": team(number + 1) } },
                "podSelector": { "matchLabels": { "role": "r1" } },
            }]}],
        }),
        3 => json!({
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [
                { "to": [{ "namespaceSelector": { "matchLabels": { "tenant": format!("t{}", namespace % 100) } } }] },
                { "ports": [{ "port": 53, "protocol": "UDP" }] },
            ],
        }),
        _ => json!({
            "podSelector": { "matchLabels": { "app": format!("service-{namespace}") } },
            "ingress": [{ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } }] }],
        }),
    };
    let name = format!("policy-{}", number / NAMESPACES);
    json!({ "metadata": meta(4, number, Some(team(namespace)), &name), "spec": spec })
}

pub(crate) fn account(number: u32) -> Value {
    let name = format!("account-{number}");
    json!({ "metadata": meta(5, number, Some(team(number)), &name) })
}

fn rules(number: u32) -> Value {
    const RESOURCES: [&str; 12] = [
        "pods",
        "configmaps",
        "services",
        "endpoints",
        "events",
        "deployments",
        "statefulsets",
        "jobs",
        "leases",
        "ingresses",
        "persistentvolumeclaims",
        "serviceaccounts",
    ];
    const VERBS: [&str; 6] = ["get", "list", "watch", "create", "update", "patch"];
    let rule = |seed: u32| {
        let resource = RESOURCES[(seed as usize) % RESOURCES.len()];
        let verbs = &VERBS[..=(seed as usize / 5) % VERBS.len()];
        let group = if seed % 12 < 5 { "" } else { "apps" };
        json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
    };
    (0..=number % 6).map(|i| rule(number * 7 + i)).collect()
}

fn cluster_role(number: u32) -> Value {
    json!({ "metadata": meta(6, number, None, &format!("wide-{number}")), "rules": rules(number) })
}

fn role(number: u32) -> Value {
    let name = format!("role-{}", number / NAMESPACES);
    json!({ "metadata": meta(7, number, Some(team(number)), &name), "rules": rules(number) })
}

fn holder(number: u32) -> Value {
    let account = number.wrapping_mul(2_654_435_761) % ACCOUNTS;
    json!({ "kind": "ServiceAccount", "namespace": team(account), "name": format!("account-{account}") })
}

pub(crate) fn role_binding(number: u32) -> Value {
    let role = if number.is_multiple_of(3) {
        json!({ "kind": "ClusterRole", "name": format!("wide-{}", number % (ROLES / 10)) })
    } else {
        json!({ "kind": "Role", "name": format!("role-{}", number % 2) })
    };
    let name = format!("binding-{}", number / NAMESPACES);
    json!({
        "metadata": meta(8, number, Some(team(number)), &name),
        "roleRef": role, "subjects": [holder(number)],
    })
}

fn cluster_role_binding(number: u32) -> Value {
    let role = json!({ "kind": "ClusterRole", "name": format!("wide-{}", number % (ROLES / 10)) });
    json!({
        "metadata": meta(9, number, None, &format!("wide-{number}")),
        "roleRef": role, "subjects": [holder(number + 7)],
    })
}
