//! Ways of several steps, and what is said of them.

use super::*;

#[test]
fn a_certificate_makes_anyone_whom_a_binding_names_but_masters() {
    let rules = [
        "update certificates.k8s.io certificatesigningrequests/approval",
        "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client",
    ];
    let mut world = fresh_cluster(37);
    account(
        &mut world,
        "kube-system",
        "clusterrole-aggregation-controller",
    );
    give(&mut world, "", "User dev", &rules);
    // The users of the control plane are there by default.
    assert!(
        path(&mut world, "User dev")
            .unwrap()
            .contains("act as User system:kube-controller-manager")
    );
    bind(&mut world, "", "ops", "cluster-admin", "Group ops");
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some("1 may approve certificates of users, and so act as Group ops, who is cluster-admin")
    );
    let mut world = self::world();
    give(&mut world, "", "User dev", &rules[..1]);
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn a_path_is_told_step_by_step() {
    let mut world = world();
    account(&mut world, "shop", "deployer");
    give(&mut world, "shop", "User dev", &["create  pods"]);
    give(
        &mut world,
        "ops",
        "ServiceAccount shop/deployer",
        &["get  pods/exec"],
    );
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some(
            "2 may create pods in namespace shop, and so act as ServiceAccount shop/deployer, who \
             may run commands in pods (pods/exec) in namespace ops, and so act as ServiceAccount \
             ops/boss, who is cluster-admin"
        )
    );
    // It ends with the pod.
    pod(&mut world, "ops", "boss", "Succeeded");
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn paths_run_through_the_groups_that_accounts_are_in() {
    let mut world = world();
    give(
        &mut world,
        "ops",
        "Group system:serviceaccounts:shop",
        &["create  pods"],
    );
    give(
        &mut world,
        "shop",
        "User dev",
        &["create  serviceaccounts/token"],
    );
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some(
            "2 may request tokens of service accounts in namespace shop, and so act as \
             ServiceAccount shop/web (a member of Group system:serviceaccounts:shop), who may \
             create pods in namespace ops, and so act as ServiceAccount ops/boss, who is \
             cluster-admin"
        )
    );
    // The account itself is named by no binding: the grant to the group is the finding.
    assert_eq!(path(&mut world, "ServiceAccount shop/web"), None);
    let escalation = settled(&mut world);
    assert!(escalation.reaches(&subject("ServiceAccount shop/web")));
    assert!(escalation.is_privileged("shop") && escalation.is_privileged("ops"));
    assert!(path(&mut world, "Group system:serviceaccounts:shop").is_some());
}

#[test]
fn whoever_is_impersonated_can_not_impersonate_in_turn() {
    let mut world = world();
    account(&mut world, "shop", "deployer");
    let deployer = "ServiceAccount shop/deployer";
    give(
        &mut world,
        "ops",
        deployer,
        &["impersonate  serviceaccounts"],
    );
    give(
        &mut world,
        "shop",
        "User dev",
        &["impersonate  serviceaccounts"],
    );
    assert!(path(&mut world, deployer).is_some());
    assert_eq!(path(&mut world, "User dev"), None);
    // With a token it is the account.
    give(
        &mut world,
        "shop",
        "User ops",
        &["create  serviceaccounts/token"],
    );
    assert!(path(&mut world, "User ops").unwrap().starts_with("2 "));
    // Anything but impersonation it can do.
    give(
        &mut world,
        "ops",
        deployer,
        &["create  serviceaccounts/token"],
    );
    assert!(path(&mut world, "User dev").unwrap().starts_with("2 "));
}

#[test]
fn privileged_namespaces_are_those_that_hold_a_way() {
    let mut world = world();
    let names = |world: &mut World| {
        settled(world)
            .privileged()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&mut world), ["kube-system", "ops"]);
    world.delete(Kind::ServiceAccount, "ops", "boss");
    // Whoever creates it again gets the rights; until then the namespace holds nobody who has.
    assert_eq!(names(&mut world), ["kube-system"]);
}

#[test]
fn ways_through_nodes_are_a_class_of_their_own() {
    for (labels, rules, found) in [
        (json!({}), vec!["create  pods"], true),
        (
            json!({ "pod-security.kubernetes.io/enforce": "privileged" }),
            vec!["create  pods"],
            true,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "baseline" }),
            vec!["create  pods"],
            false,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "restricted" }),
            vec!["create  pods", "patch  namespaces"],
            true,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "restricted" }),
            vec!["create  pods", "patch  namespaces other"],
            false,
        ),
    ] {
        let mut world = world();
        world.put(
            Kind::Namespace,
            json!({ "metadata": { "name": "shop", "labels": labels } }),
        );
        give(&mut world, "shop", "User dev", &rules);
        let escalation = settled(&mut world);
        let through = Ways {
            through_nodes: true,
            ..DIRECT
        };
        assert_eq!(escalation.path(&subject("User dev"), DIRECT), None);
        assert_eq!(
            escalation.path(&subject("User dev"), through).is_some(),
            found,
            "{labels} {rules:?}"
        );
        assert!(!escalation.reaches(&subject("User dev")));
    }
    let mut world = world();
    world.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop",
        "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }),
    );
    give(&mut world, "shop", "User dev", &["create  pods"]);
    give(&mut world, "", "User dev", &["create  persistentvolumes"]);
    let through = Ways {
        through_nodes: true,
        ..DIRECT
    };
    assert!(
        settled(&mut world)
            .path(&subject("User dev"), through)
            .is_some()
    );
}

#[test]
fn roles_that_may_be_bound_by_name_are_followed() {
    let mut world = world();
    let step = |verbs: &str| format!("{verbs} {RBAC} clusterroles");
    let binder = format!("create {RBAC} clusterrolebindings");
    for (role, next) in [("first", "second"), ("second", "third")] {
        let rules = [rule(&format!("{} {next}", step("bind"))), rule(&binder)];
        world.put(
            Kind::ClusterRole,
            json!({ "metadata": { "name": role }, "rules": rules }),
        );
    }
    give(
        &mut world,
        "",
        "User dev",
        &[&format!("{} first", step("bind")), &binder],
    );
    assert_eq!(path(&mut world, "User dev"), None);
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": "third" }, "rules": [rule("* * *")] }),
    );
    let found = path(&mut world, "User dev").unwrap();
    assert!(
        found.starts_with("3 ") && found.ends_with("ClusterRole third, which is cluster-admin"),
        "{found}"
    );
}

#[test]
fn what_kubernetes_gives_by_default_can_be_left_out() {
    let mut world = fresh_cluster(37);
    let manager = "User system:kube-controller-manager";
    account(
        &mut world,
        "kube-system",
        "clusterrole-aggregation-controller",
    );
    let without = Ways {
        through_nodes: false,
        defaults: false,
    };
    let escalation = settled(&mut world);
    assert!(escalation.path(&subject(manager), DIRECT).is_some());
    assert_eq!(escalation.path(&subject(manager), without), None);
    give(&mut world, "", manager, &["create  pods"]);
    assert!(
        settled(&mut world)
            .path(&subject(manager), without)
            .is_some()
    );
}
