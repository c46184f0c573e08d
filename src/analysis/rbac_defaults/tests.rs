use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

/// A cluster of that version with nothing but what Kubernetes itself creates.
pub(crate) fn fresh_cluster(minor: u32) -> World {
    let mut world = World::new();
    world.observed.server_minor = Some(minor);
    for (kind, object) in manifests(Some(minor)) {
        world.put(kind, object);
    }
    world
}

fn trust(world: &World, name: &str) -> Trust {
    let object = world.inventory.tables.cluster_roles.get("", name).unwrap();
    role(
        &world.inventory,
        world.observed.server_minor,
        Kind::ClusterRole,
        object,
    )
}

#[test]
fn every_supported_version_is_pinned() {
    assert_eq!(DATA.minors, [33, 34, 35, 36, 37]);
    assert!(DATA.roles.len() > 70 && DATA.bindings.len() > 50);
    assert_eq!((of(Some(32)), of(None)), (None, None));
}

#[test]
fn what_kubernetes_creates_is_built_in() {
    for minor in &DATA.minors {
        let world = fresh_cluster(*minor);
        let tables = &world.inventory.tables;
        for object in tables.cluster_roles.iter() {
            assert_eq!(
                trust(&world, &object.meta.name),
                Trust::BuiltIn,
                "{}",
                object.meta.name
            );
        }
        for object in tables.roles.iter() {
            let trust = role(&world.inventory, Some(*minor), Kind::Role, object);
            assert_eq!(trust, Trust::BuiltIn, "{}", object.meta.name);
        }
        for (kind, table) in [
            (Kind::RoleBinding, &tables.role_bindings),
            (Kind::ClusterRoleBinding, &tables.cluster_role_bindings),
        ] {
            for object in table.iter() {
                for holder in &object.spec.subjects {
                    let trust = grant(Some(*minor), kind, object, holder);
                    assert_eq!(trust, Trust::BuiltIn, "{}", object.meta.name);
                }
            }
        }
    }
}

#[test]
fn a_name_and_a_label_alone_are_never_trusted() {
    let mut world = fresh_cluster(37);
    let wider = |verbs: &str, label: &str| {
        json!({
            "metadata": { "name": "system:basic-user", "labels": { BOOTSTRAPPING: label } },
            "rules": [{ "verbs": [verbs], "apiGroups": ["authorization.k8s.io"],
                        "resources": ["selfsubjectaccessreviews"] }],
        })
    };
    world.put(Kind::ClusterRole, wider("create", "rbac-defaults"));
    assert_eq!(trust(&world, "system:basic-user"), Trust::BuiltIn);
    world.put(Kind::ClusterRole, wider("list", "rbac-defaults"));
    assert_eq!(trust(&world, "system:basic-user"), Trust::Custom);
    world.put(Kind::ClusterRole, wider("create", "mine"));
    assert_eq!(trust(&world, "system:basic-user"), Trust::Custom);
}

#[test]
fn an_unknown_version_is_not_trusted() {
    let mut world = fresh_cluster(37);
    world.observed.server_minor = Some(99);
    assert_eq!(trust(&world, "view"), Trust::Unpinned);
    world.observed.server_minor = None;
    assert_eq!(trust(&world, "system:basic-user"), Trust::Unpinned);
}

#[test]
fn additions_to_an_aggregate_are_not_held_against_it_unless_they_hide_a_default() {
    let mut world = fresh_cluster(37);
    let source = |name: &str, rules: Value| {
        json!({
            "metadata": { "name": name, "labels": {
                "rbac.authorization.k8s.io/aggregate-to-view": "true",
                BOOTSTRAPPING: "rbac-defaults" } },
            "rules": rules,
        })
    };
    let star = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    let mut view = source("view", star.clone());
    let selector =
        json!({ "matchLabels": { "rbac.authorization.k8s.io/aggregate-to-view": "true" } });
    view["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
    view["metadata"]["labels"] = json!({ BOOTSTRAPPING: "rbac-defaults" });
    world.put(Kind::ClusterRole, source("addon", star.clone()));
    world.put(Kind::ClusterRole, view);
    assert_eq!(trust(&world, "view"), Trust::BuiltIn);
    world.delete(Kind::ClusterRole, "", "addon");
    assert_eq!(trust(&world, "view"), Trust::Custom);
    world.put(Kind::ClusterRole, source("cluster-admin", star));
    assert_eq!(trust(&world, "view"), Trust::Custom);
}
