mod kept;
mod steps;
mod ways;

use serde_json::{Value, json};

use super::*;
use crate::{analysis::rbac_defaults::tests::fresh_cluster, controls::testing::World};

/// A rule out of `verbs group resources names`, each of them separated by commas.
fn rule(text: &str) -> Value {
    let mut parts = text.split(' ');
    let mut list = || -> Vec<&str> {
        parts
            .next()
            .map_or(vec![], |part| part.split(',').collect())
    };
    let (verbs, groups, resources, names) = (list(), list(), list(), list());
    json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names })
}

fn holder(subject: &str) -> Value {
    let (kind, name) = subject.split_once(' ').unwrap();
    match name.split_once('/') {
        Some((namespace, name)) if kind == "ServiceAccount" => {
            json!({ "kind": kind, "namespace": namespace, "name": name })
        }
        _ => json!({ "kind": kind, "name": name }),
    }
}

fn bind(world: &mut World, place: &str, name: &str, role: &str, subject: &str) {
    let mut binding = json!({
        "metadata": { "name": name },
        "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": [holder(subject)],
    });
    if place.is_empty() {
        world.put(Kind::ClusterRoleBinding, binding);
    } else {
        binding["metadata"]["namespace"] = json!(place);
        world.put(Kind::RoleBinding, binding);
    }
}

/// Gives `subject` rules by a role and a binding of their own.
fn give(world: &mut World, place: &str, subject: &str, rules: &[&str]) {
    let name = format!("{place}-{subject}")
        .replace([' ', '/', ':'], "-")
        .to_lowercase();
    let rules: Vec<Value> = rules.iter().map(|text| rule(text)).collect();
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": name }, "rules": rules }),
    );
    bind(world, place, &name, &name, subject);
}

fn account(world: &mut World, namespace: &str, name: &str) {
    let meta = json!({ "namespace": namespace, "name": name });
    world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
}

fn pod(world: &mut World, namespace: &str, account: &str, phase: &str) {
    world.put(
        Kind::Pod,
        json!({
            "metadata": { "namespace": namespace, "name": format!("pod-of-{account}") },
            "spec": { "serviceAccountName": account, "containers": [] },
            "status": { "phase": phase },
        }),
    );
}

fn subject(text: &str) -> Subject {
    crate::analysis::rbac::identity(&serde_holder(text)).unwrap()
}

fn serde_holder(text: &str) -> crate::inventory::rbac::Holder {
    let holder = holder(text);
    let part = |key: &str| holder[key].as_str().unwrap_or_default().into();
    crate::inventory::rbac::Holder {
        kind: part("kind"),
        namespace: part("namespace"),
        name: part("name"),
    }
}

fn settled(world: &mut World) -> &Escalation {
    let wanted = BTreeSet::from([Derived::Escalation]);
    world.analyses.need(&wanted, &world.inventory);
    world.analyses.settle(&world.inventory, &mut |_, _| {});
    world.analyses.escalation()
}

const DIRECT: Ways = Ways {
    through_nodes: false,
    defaults: true,
};

fn path(world: &mut World, text: &str) -> Option<String> {
    let path = settled(world).path(&subject(text), DIRECT);
    path.map(|path| format!("{} {path}", path.hops()))
}

/// A cluster in which the account `ops/boss`, whose pod runs, is cluster administrator.
fn world() -> World {
    let mut world = fresh_cluster(37)
        .namespace("shop")
        .namespace("ops")
        .namespace("kube-system");
    for (namespace, name) in [
        ("ops", "boss"),
        ("ops", "default"),
        ("shop", "web"),
        ("kube-system", "default"),
    ] {
        account(&mut world, namespace, name);
    }
    bind(
        &mut world,
        "",
        "boss",
        "cluster-admin",
        "ServiceAccount ops/boss",
    );
    pod(&mut world, "ops", "boss", "Running");
    world
}

const RBAC: &str = "rbac.authorization.k8s.io";
