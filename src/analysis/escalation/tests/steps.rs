//! Each kind of step, alone.

use super::*;

/// Where somebody holds which rules, and in how many steps they are cluster administrator.
const STEPS: &[(&str, &[&str], Option<usize>)] = &[
    // By bindings.
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    ("", &["bind rbac.authorization.k8s.io clusterroles"], None),
    (
        "",
        &["create rbac.authorization.k8s.io clusterrolebindings"],
        None,
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles view",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        None,
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles cluster-admin",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings boss",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings system:discovery",
        ],
        None,
    ),
    (
        "ops",
        &["bind,create rbac.authorization.k8s.io clusterroles,rolebindings"],
        Some(1),
    ),
    (
        "shop",
        &["bind,create rbac.authorization.k8s.io clusterroles,rolebindings"],
        None,
    ),
    // By roles: without escalate a role can't be widened.
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles"],
        Some(1),
    ),
    (
        "",
        &["escalate rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "",
        &["patch,update rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "ops",
        &["escalate,patch rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles edit"],
        None,
    ),
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles system:basic-user"],
        Some(1),
    ),
    // By being somebody else.
    ("ops", &["impersonate  serviceaccounts"], Some(1)),
    ("ops", &["impersonate  serviceaccounts default"], None),
    ("ops", &["impersonate  serviceaccounts boss"], Some(1)),
    ("shop", &["impersonate  serviceaccounts"], None),
    ("", &["impersonate  groups"], None),
    ("", &["impersonate  groups,users"], Some(1)),
    (
        "",
        &[
            "impersonate  groups system:masters",
            "impersonate  users nobody",
        ],
        Some(1),
    ),
    (
        "",
        &["impersonate  groups devs", "impersonate  users nobody"],
        None,
    ),
    ("ops", &["impersonate  groups,users"], None),
    ("ops", &["create  serviceaccounts/token"], Some(1)),
    ("ops", &["create  serviceaccounts/token default"], None),
    ("ops", &["create  serviceaccounts/token boss"], Some(1)),
    ("", &["create  serviceaccounts/token boss"], Some(1)),
    ("", &["create  serviceaccounts"], None),
    ("ops", &["create  secrets"], Some(1)),
    ("ops", &["get,list  secrets"], None),
    // By pods.
    ("ops", &["create  pods"], Some(1)),
    ("ops", &["create  pods p"], None),
    ("ops", &["create,patch  pods p"], Some(1)),
    ("ops", &["patch  pods"], Some(1)),
    ("ops", &["get,delete  pods"], None),
    ("shop", &["create  pods"], None),
    ("ops", &["patch apps deployments d"], Some(1)),
    ("ops", &["update batch cronjobs"], Some(1)),
    ("ops", &["create  replicationcontrollers"], Some(1)),
    ("ops", &["patch apps deployments/scale"], None),
    ("ops", &["get  pods/exec"], Some(1)),
    ("ops", &["patch  pods/ephemeralcontainers"], Some(1)),
    ("ops", &["get  pods/log"], None),
    // By what belongs to the cluster.
    ("", &["get  nodes/proxy"], Some(1)),
    ("ops", &["get  nodes/proxy"], None),
    (
        "",
        &["patch admissionregistration.k8s.io mutatingwebhookconfigurations"],
        Some(1),
    ),
    (
        "",
        &["create admissionregistration.k8s.io validatingwebhookconfigurations"],
        Some(1),
    ),
    (
        "",
        &["get admissionregistration.k8s.io mutatingwebhookconfigurations"],
        None,
    ),
    ("", &["update  configmaps"], None),
    ("", &["get,list,watch * *"], Some(1)),
    ("ops", &["* * *"], Some(1)),
    ("shop", &["* * *"], None),
];

#[test]
fn each_kind_of_step_is_found_where_its_rights_are_held() {
    for (place, rules, hops) in STEPS {
        let mut world = world();
        give(&mut world, place, "User dev", rules);
        let escalation = settled(&mut world);
        let path = escalation.path(&subject("User dev"), DIRECT);
        let found = path.as_ref().map(Path::hops);
        assert_eq!(found, *hops, "{rules:?} in {place:?}: {path:?}");
        assert_eq!(escalation.reaches(&subject("User dev")), hops.is_some());
    }
}

#[test]
fn a_role_that_aggregates_is_widened_by_its_sources() {
    let mut world = world();
    bind(&mut world, "", "v", "view", "User dev");
    give(
        &mut world,
        "",
        "User dev",
        &["escalate,create rbac.authorization.k8s.io clusterroles"],
    );
    let found = path(&mut world, "User dev").unwrap();
    assert!(found.contains("aggregated"), "{found}");
    // Without a role that aggregates there is nothing that a new role would widen.
    world.delete(Kind::ClusterRoleBinding, "", "v");
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn a_role_that_begins_to_aggregate_can_be_widened_from_then_on() {
    let mut world = world();
    let rules = json!([rule("get example.com widgets")]);
    let meta = json!({ "name": "crd-view" });
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": meta, "rules": rules }),
    );
    bind(&mut world, "", "v", "crd-view", "User dev");
    give(
        &mut world,
        "",
        "User dev",
        &["escalate,create rbac.authorization.k8s.io clusterroles"],
    );
    assert_eq!(path(&mut world, "User dev"), None);
    // It selects nothing yet: what the role holds stays the same.
    let selectors = json!([{ "matchLabels": { "nobody": "has" } }]);
    let aggregates = json!({
        "metadata": meta, "rules": [], "aggregationRule": { "clusterRoleSelectors": selectors },
    });
    world.put(Kind::ClusterRole, aggregates);
    assert!(path(&mut world, "User dev").is_some());
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": meta, "rules": rules }),
    );
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn the_config_map_of_eks_counts_on_eks() {
    let mut world = world();
    give(
        &mut world,
        "kube-system",
        "User dev",
        &["update  configmaps aws-auth"],
    );
    assert_eq!(path(&mut world, "User dev"), None);
    bind(&mut world, "", "eks:node-bootstrapper", "view", "Group eks");
    assert!(path(&mut world, "User dev").unwrap().contains("aws-auth"));
}

#[test]
fn an_account_may_write_webhooks_that_it_serves_itself() {
    let hook = |namespace: &str| {
        json!({
            "metadata": { "name": "injector" },
            "webhooks": [{
                "name": "h", "clientConfig": { "service": { "namespace": namespace, "name": "s" } },
            }],
        })
    };
    let rights = "patch admissionregistration.k8s.io mutatingwebhookconfigurations injector";
    let mut world = world();
    world.put(Kind::MutatingWebhook, hook("shop"));
    give(&mut world, "", "ServiceAccount shop/web", &[rights]);
    give(&mut world, "", "User dev", &[rights]);
    assert_eq!(path(&mut world, "ServiceAccount shop/web"), None);
    let of_user = path(&mut world, "User dev");
    assert!(of_user.is_some(), "nobody serves a user's webhooks");
    // It moves, comes back, and goes.
    world.put(Kind::MutatingWebhook, hook("ops"));
    assert_eq!(path(&mut world, "ServiceAccount shop/web"), of_user);
    world.put(Kind::MutatingWebhook, hook("shop"));
    assert_eq!(path(&mut world, "ServiceAccount shop/web"), None);
    world.delete(Kind::MutatingWebhook, "", "injector");
    assert!(path(&mut world, "ServiceAccount shop/web").is_some());
}
