use serde_json::json;

use super::super::{
    IdentityKind,
    allowed::tests::allowed,
    testing::{bind, give, grant, verdict_on},
};
use super::*;
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    verdict::Outcome,
};

fn control() -> EscalationPaths {
    EscalationPaths::default()
}

fn account(world: &mut World, namespace: &str, name: &str) {
    let meta = json!({ "namespace": namespace, "name": name });
    world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
}

/// A cluster with an operator `ops/boss` that is cluster administrator.
fn world() -> World {
    let mut world = fresh_cluster(37).namespace("ops").namespace("shop");
    account(&mut world, "ops", "boss");
    account(&mut world, "shop", "web");
    account(
        &mut world,
        "kube-system",
        "clusterrole-aggregation-controller",
    );
    bind(
        &mut world,
        "",
        "boss",
        "cluster-admin",
        &["ServiceAccount ops/boss"],
    );
    world
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
    for minor in [33, 34, 35, 36, 37] {
        let mut world = fresh_cluster(minor);
        account(
            &mut world,
            "kube-system",
            "clusterrole-aggregation-controller",
        );
        assert!(world.outcomes(&control()).is_empty(), "{minor}");
    }
}

#[test]
fn whoever_has_a_path_fails_and_the_message_tells_it() {
    let mut world = world();
    give(&mut world, "ops", "create  pods", "User dev");
    let verdict = verdict_on(&mut world, &control(), "User dev");
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "EscalationPath")
    );
    assert_eq!(
        verdict.message,
        "in one step: may create pods in namespace ops, and so act as ServiceAccount ops/boss, \
         who is cluster-admin"
    );
    assert!(verdict.remedy.is_none() && verdict.proposal.is_some());
    // Holding cluster-admin is no path.
    let verdict = verdict_on(&mut world, &control(), "ServiceAccount ops/boss");
    assert_eq!(verdict.reason, "NoEscalationPath");
}

#[test]
fn longer_paths_than_are_wanted_pass() {
    let mut world = world();
    grant(&mut world, "shop", "a", &["create  pods"], &["User dev"]);
    grant(
        &mut world,
        "ops",
        "b",
        &["create  pods"],
        &["ServiceAccount shop/web"],
    );
    for (max_hops, outcome) in [(1, Outcome::Pass), (2, Outcome::Fail)] {
        let control = EscalationPaths {
            max_hops,
            ..control()
        };
        assert_eq!(
            verdict_on(&mut world, &control, "User dev").outcome,
            outcome
        );
    }
}

#[test]
fn node_paths_count_only_where_that_is_wanted() {
    let mut world = world();
    world.put(
        Kind::Pod,
        json!({
            "metadata": { "namespace": "ops", "name": "boss" },
            "spec": { "serviceAccountName": "boss", "containers": [] },
        }),
    );
    give(&mut world, "shop", "create  pods", "User dev");
    let verdict = verdict_on(&mut world, &control(), "User dev");
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert!(
        verdict.message.starts_with("only through a node"),
        "{}",
        verdict.message
    );
    let strict = EscalationPaths {
        include_node_paths: true,
        ..control()
    };
    assert_eq!(
        verdict_on(&mut world, &strict, "User dev").outcome,
        Outcome::Fail
    );
}

#[test]
fn reading_secrets_where_tokens_may_lie_is_told() {
    let mut world = world();
    give(&mut world, "ops", "get  secrets", "User dev");
    let verdict = verdict_on(&mut world, &control(), "User dev");
    let told = "reads Secrets in privileged namespace ops: a token among them would be a path";
    assert_eq!((verdict.outcome, &*verdict.message), (Outcome::Pass, told));
}

#[test]
fn who_is_allowed_passes_until_the_review() {
    let mut world = world();
    give(&mut world, "ops", "create  pods", "User dev");
    let mut entry = allowed(IdentityKind::User, None, "dev");
    entry.review_by = Some("2026-06-01".to_owned());
    let control = EscalationPaths {
        allowed_subjects: vec![entry],
        ..control()
    };
    let verdict = verdict_on(&mut world, &control, "User dev");
    assert_eq!(verdict.reason, "AllowedSubject");
    world.now = verdict.recheck_at.unwrap();
    assert_eq!(
        verdict_on(&mut world, &control, "User dev").reason,
        "ReviewOverdue"
    );
}

#[test]
fn what_kubernetes_gives_is_no_path_unless_somebody_added_to_it() {
    let mut world = world();
    let manager = "User system:kube-controller-manager";
    give(&mut world, "shop", "get  pods", manager);
    assert_eq!(
        verdict_on(&mut world, &control(), manager).outcome,
        Outcome::Pass
    );
    // A binding of one's own that carries the label is none of Kubernetes'.
    world.put(
        Kind::ClusterRoleBinding,
        json!({
            "metadata": { "name": "mine", "labels": { BOOTSTRAPPING: "rbac-defaults" } },
            "roleRef": { "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "kind": "User", "name": "eve" }],
        }),
    );
    assert_eq!(
        verdict_on(&mut world, &control(), "User eve").outcome,
        Outcome::Fail
    );
    world.observed.server_minor = Some(99);
    assert_eq!(
        verdict_on(&mut world, &control(), manager).outcome,
        Outcome::Fail
    );
    // What it holds by what looks like Kubernetes' own is a path, if it is not.
    let new = json!({ "name": "system:new", "labels": { BOOTSTRAPPING: "rbac-defaults" } });
    world.put(
        Kind::ClusterRoleBinding,
        json!({
            "metadata": new, "roleRef": { "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "kind": "User", "name": "new" }],
        }),
    );
    let verdict = verdict_on(&mut world, &control(), "User new");
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "ServerVersionNotPinned")
    );
}

/// What is proposed for a user of many.
fn proposal(world: &mut World, subject: &str) -> String {
    let verdict = verdict_on(world, &control(), subject);
    assert_eq!(verdict.reason, "EscalationPath", "{}", verdict.message);
    verdict.proposal.unwrap().to_string()
}

#[test]
fn nobody_else_loses_what_is_taken_from_one() {
    let mut world = world();
    let both = ["User breakglass", "User bot"];
    grant(&mut world, "", "helpers", &["create  pods"], &both);
    let found = proposal(&mut world, "User bot");
    let patch = concat!(
        r#"[{"op":"test","path":"/subjects/1/name","value":"bot"},"#,
        r#"{"op":"remove","path":"/subjects/1"}]"#
    );
    let command = format!("kubectl patch --type=json -p '{patch}' clusterrolebinding helpers");
    assert!(found.ends_with(&command), "{found}");
    // Where nobody else is in it, it can go as a whole.
    grant(&mut world, "", "helpers", &["create  pods"], &["User bot"]);
    let found = proposal(&mut world, "User bot");
    let command = "kubectl delete clusterrolebinding helpers";
    assert!(found.ends_with(command), "{found}");
}

#[test]
fn only_bindings_that_give_the_first_step_are_named() {
    for (right, other) in [
        ("create  pods", "get  pods"),
        ("create apps deployments", "create apps deployments/scale"),
        ("create  serviceaccounts/token", "get  serviceaccounts"),
        ("create  pods/exec", "get  pods/log"),
    ] {
        let mut world = world();
        world.put(
            Kind::Pod,
            json!({
                "metadata": { "namespace": "ops", "name": "boss" },
                "spec": { "serviceAccountName": "boss", "containers": [] },
            }),
        );
        grant(&mut world, "ops", "step", &[right], &["User dev"]);
        grant(&mut world, "", "look", &[other], &["User dev"]);
        grant(&mut world, "shop", "elsewhere", &[right], &["User dev"]);
        let found = proposal(&mut world, "User dev");
        let command = "kubectl delete rolebinding -n ops step";
        assert!(found.ends_with(command), "{right}: {found}");
    }
}

#[test]
fn a_step_of_two_rights_ends_with_the_one_that_makes_it_one() {
    let mut world = world();
    let rbac = "rbac.authorization.k8s.io";
    let bind = format!("bind {rbac} clusterroles cluster-admin");
    let write = format!("create {rbac} clusterrolebindings");
    grant(&mut world, "", "binds", &[&bind], &["User dev"]);
    grant(&mut world, "", "writes", &[&write], &["User dev"]);
    let found = proposal(&mut world, "User dev");
    let command = "kubectl delete clusterrolebinding binds";
    assert!(found.ends_with(command), "{found}");
}

#[test]
fn several_bindings_of_the_same_right_are_named_in_words() {
    let mut world = world();
    for name in ["one", "two"] {
        grant(&mut world, "ops", name, &["create  pods"], &["User dev"]);
    }
    let found = proposal(&mut world, "User dev");
    assert!(!found.contains("kubectl"), "{found}");
    assert!(
        found.ends_with("RoleBinding ops/one, RoleBinding ops/two"),
        "{found}"
    );
}
