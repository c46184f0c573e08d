//! Tests of the control, and of what all controls of its shape share.

use serde_json::json;

use super::{
    super::{
        IdentityKind,
        allowed::tests::allowed,
        testing::{Expect, bind, check, check_all, check_fresh_cluster, give, grant, verdict_on},
    },
    *,
};
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    verdict::Outcome,
};

fn control() -> SecretsReadRestricted {
    SecretsReadRestricted::default()
}

/// A cluster with a confidential namespace `vault` and an ordinary one `shop`.
fn world() -> World {
    let mut world = fresh_cluster(37);
    world.scope.own = "probity-system".to_owned();
    let labels = json!({ "probity.dev/data": "confidential" });
    world
        .with(
            Kind::Namespace,
            json!({ "metadata": { "name": "vault", "labels": labels } }),
        )
        .namespace("shop")
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
    check_fresh_cluster(&control());
}

#[test]
fn reading_in_the_whole_cluster_fails() {
    for (rule, expect) in [
        ("get  secrets", Expect::Fail),
        ("list  secrets", Expect::Fail),
        ("watch  secrets", Expect::Fail),
        ("*  *", Expect::Fail),
        ("get * *", Expect::Fail),
        ("* * *", Expect::Admin),
        ("get  configmaps", Expect::Pass),
        ("get apps secrets", Expect::Pass),
        // What the server answers holds the Secret.
        ("patch  secrets", Expect::Fail),
        ("deletecollection  secrets", Expect::Fail),
        ("create,update,delete  secrets", Expect::Pass),
        // No namespace is confidential, so names are those of ordinary Secrets.
        ("get  secrets tls", Expect::Pass),
    ] {
        check(&control(), "", rule, expect);
        check(&control(), "shop", rule, Expect::Pass);
    }
    check_all(
        &control(),
        "",
        &["get  pods", "list  secrets"],
        Expect::Fail,
    );
}

#[test]
fn confidential_namespaces_count_even_by_name() {
    for (place, rule, reason) in [
        ("vault", "get  secrets", "SecretsReadable"),
        ("vault", "list  secrets key", "SecretsReadable"),
        ("vault", "patch  secrets key", "SecretsReadable"),
        // The deletion of a collection carries no name.
        ("vault", "deletecollection  secrets key", "RightNotHeld"),
        ("vault", "get  configmaps", "RightNotHeld"),
        ("shop", "get  secrets", "RightNotHeld"),
        ("", "get  secrets key", "SecretsReadable"),
    ] {
        let mut world = world();
        give(&mut world, place, rule, "User dev");
        let verdict = verdict_on(&mut world, &control(), "User dev");
        assert_eq!(verdict.reason, reason, "{rule} in {place:?}: {verdict:?}");
    }
}

#[test]
fn a_selector_tells_what_is_confidential() {
    let selector = json!({ "matchExpressions": [
        { "key": "classification", "operator": "In", "values": ["restricted", "personal"] },
    ] });
    let control = SecretsReadRestricted {
        confidential_selector: Some(LabelSelector::parse(selector).unwrap()),
        ..control()
    };
    let mut world = world();
    give(&mut world, "vault", "get  secrets", "User dev");
    assert_eq!(
        verdict_on(&mut world, &control, "User dev").outcome,
        Outcome::Pass
    );
    let labels = json!({ "classification": "personal" });
    world.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "vault", "labels": labels } }),
    );
    assert_eq!(
        verdict_on(&mut world, &control, "User dev").outcome,
        Outcome::Fail
    );
}

#[test]
fn view_passes_and_edit_counts_unless_told_otherwise() {
    let lenient = SecretsReadRestricted {
        count_edit: false,
        ..control()
    };
    for (role, strict, lenience) in [
        ("view", Outcome::Pass, Outcome::Pass),
        ("edit", Outcome::Fail, Outcome::Pass),
        ("admin", Outcome::Fail, Outcome::Pass),
    ] {
        let mut world = world();
        bind(&mut world, "vault", "b", role, &["Group devs"]);
        assert_eq!(
            verdict_on(&mut world, &control(), "Group devs").outcome,
            strict,
            "{role}"
        );
        assert_eq!(
            verdict_on(&mut world, &lenient, "Group devs").outcome,
            lenience,
            "{role}"
        );
    }
    // A role that is only called so is none of Kubernetes' own.
    let mut world = World::new();
    world.observed.server_minor = Some(99);
    world = world.with(
        Kind::Namespace,
        json!({ "metadata": {
        "name": "vault", "labels": { "probity.dev/data": "confidential" } } }),
    );
    grant(
        &mut world,
        "vault",
        "edit",
        &["get  secrets"],
        &["User dev"],
    );
    assert_eq!(
        verdict_on(&mut world, &lenient, "User dev").outcome,
        Outcome::Fail
    );
}

#[test]
fn the_message_says_through_what() {
    let mut world = world();
    let group = "Group system:serviceaccounts:shop";
    grant(
        &mut world,
        "vault",
        "reader",
        &["get,list  secrets key"],
        &[group],
    );
    for name in ["a", "b"] {
        let meta = json!({ "name": name, "namespace": "shop" });
        world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
    }
    let verdict = verdict_on(&mut world, &control(), group);
    assert_eq!(
        verdict.message,
        "may get, list secrets named key in confidential namespace vault by RoleBinding \
         vault/reader (ClusterRole reader); 2 service accounts of shop get it"
    );
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("kubectl delete rolebinding -n vault reader")
    );
}

#[test]
fn rights_add_up_over_bindings_and_each_is_taken_away() {
    let mut world = world();
    grant(&mut world, "", "a", &["get  secrets"], &["User dev"]);
    grant(
        &mut world,
        "vault",
        "b",
        &["list  secrets"],
        &["User dev", "User ops"],
    );
    let control = SecretsReadRestricted {
        allowed_subjects: vec![allowed(IdentityKind::User, None, "ops")],
        ..control()
    };
    let verdict = verdict_on(&mut world, &control, "User dev");
    let proposal = verdict.proposal.as_deref().unwrap();
    assert!(
        proposal.starts_with("kubectl delete clusterrolebinding a; kubectl patch --type=json"),
        "{proposal}"
    );
    let left = world.mend(&control);
    // What names an allowed identity too is left to a person.
    assert_eq!(left["User dev"].0, Outcome::Fail);
    assert_eq!(left["User ops"], (Outcome::Pass, "AllowedSubject"));
    assert!(
        world
            .inventory
            .tables
            .cluster_role_bindings
            .get("", "a")
            .is_none()
    );
    assert!(
        world
            .inventory
            .tables
            .role_bindings
            .get("vault", "b")
            .is_some()
    );
}

#[test]
fn some_bindings_are_never_deleted() {
    let own = "ServiceAccount probity-system/probity";
    for (labels, extra) in [
        (json!({ BOOTSTRAPPING: "rbac-defaults" }), "User eve"),
        (
            json!({ "app.kubernetes.io/managed-by": "probity" }),
            "User eve",
        ),
        (json!({}), own),
    ] {
        let mut world = world();
        grant(&mut world, "", "x", &["get  secrets"], &["User dev"]);
        let subjects = ["User dev", extra].map(super::super::testing::holder);
        world.put(
            Kind::ClusterRoleBinding,
            json!({
                "metadata": { "name": "x", "labels": labels },
                "roleRef": { "kind": "ClusterRole", "name": "x" }, "subjects": subjects,
            }),
        );
        let verdict = verdict_on(&mut world, &control(), "User dev");
        assert_eq!(
            (verdict.outcome, verdict.remedy),
            (Outcome::Fail, None),
            "{labels}"
        );
        assert!(verdict.proposal.unwrap().contains("patch"));
    }
}

#[test]
fn what_kubernetes_gives_is_allowed_and_what_was_added_is_not() {
    let mut world = fresh_cluster(37);
    // One subject more in a default binding: the added one is judged.
    world.put(Kind::ClusterRoleBinding, json!({
        "metadata": { "name": "system:controller:namespace-controller",
                      "labels": { BOOTSTRAPPING: "rbac-defaults" } },
        "roleRef": { "kind": "ClusterRole", "name": "system:controller:namespace-controller" },
        "subjects": [
            { "kind": "ServiceAccount", "namespace": "kube-system", "name": "namespace-controller" },
            { "kind": "User", "name": "eve" },
        ],
    }));
    let outcomes = world.outcomes(&control());
    // The namespace controller reads Secrets by default.
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["User eve"]);
    assert_eq!(outcomes["User eve"].0, Outcome::Fail);
    // A default role that was widened: its default subjects fail for what it holds more.
    let mut world = fresh_cluster(37);
    world.put(Kind::ClusterRole, json!({
        "metadata": { "name": "system:basic-user", "labels": { BOOTSTRAPPING: "rbac-defaults" } },
        "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"] }],
    }));
    let verdict = verdict_on(&mut world, &control(), "Group system:authenticated");
    assert_eq!((verdict.outcome, &verdict.remedy), (Outcome::Fail, &None));
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("kubectl edit clusterrole system:basic-user")
    );
}

#[test]
fn on_an_unknown_version_nobody_can_tell_what_kubernetes_gives() {
    let mut world = fresh_cluster(37);
    world.observed.server_minor = Some(99);
    give(&mut world, "", "get  secrets", "User eve");
    let outcomes = world.outcomes(&control());
    assert_eq!(outcomes["User eve"].0, Outcome::Fail);
    assert_eq!(
        outcomes["ServiceAccount kube-system/namespace-controller"],
        (Outcome::Unknown, "ServerVersionNotPinned")
    );
    assert_eq!(outcomes["Group system:authenticated"].0, Outcome::Pass);
    assert!(outcomes.values().filter(|o| o.0 == Outcome::Fail).count() == 1);
}

#[test]
fn an_allowance_ends_when_its_review_is_overdue() {
    let mut entry = allowed(IdentityKind::User, None, "dev");
    entry.review_by = Some("2026-06-01".to_owned());
    let control = SecretsReadRestricted {
        allowed_subjects: vec![entry],
        ..control()
    };
    let mut world = world();
    give(&mut world, "", "get  secrets", "User dev");
    let verdict = verdict_on(&mut world, &control, "User dev");
    assert_eq!(verdict.outcome, Outcome::Pass);
    world.now = verdict.recheck_at.unwrap();
    let verdict = verdict_on(&mut world, &control, "User dev");
    assert_eq!((verdict.reason, verdict.remedy), ("ReviewOverdue", None));
}

#[test]
fn a_user_name_that_spells_an_account_is_that_account() {
    let mut world = world();
    give(
        &mut world,
        "",
        "get  secrets",
        "User system:serviceaccount:ci:bot",
    );
    let verdict = verdict_on(&mut world, &control(), "ServiceAccount ci/bot");
    assert_eq!(verdict.outcome, Outcome::Fail);
}

#[test]
fn every_identity_that_a_custom_binding_names_is_a_subject() {
    let mut world = world();
    bind(
        &mut world,
        "shop",
        "x",
        "missing",
        &["User a", "Group b", "ServiceAccount ci/c"],
    );
    let outcomes = world.outcomes(&control());
    assert_eq!(outcomes.len(), 3);
    assert!(
        outcomes
            .values()
            .all(|outcome| *outcome == (Outcome::Pass, "RightNotHeld"))
    );
}

#[test]
fn a_cluster_administrator_is_judged_for_what_else_it_holds() {
    let mut world = world();
    bind(&mut world, "", "boss", "cluster-admin", &["User olga"]);
    let verdict = verdict_on(&mut world, &control(), "User olga");
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "HoldsClusterAdmin")
    );
    give(&mut world, "", "get  secrets", "User olga");
    assert_eq!(
        verdict_on(&mut world, &control(), "User olga").outcome,
        Outcome::Fail
    );
    // By a RoleBinding it is everything in one namespace only.
    bind(
        &mut world,
        "vault",
        "local",
        "cluster-admin",
        &["User lena"],
    );
    assert_eq!(
        verdict_on(&mut world, &control(), "User lena").outcome,
        Outcome::Fail
    );
}

#[test]
fn what_edit_gives_on_an_unknown_version_nobody_can_tell() {
    let lenient = SecretsReadRestricted {
        count_edit: false,
        ..control()
    };
    let mut world = world();
    bind(&mut world, "vault", "devs", "edit", &["Group devs"]);
    world.observed.server_minor = Some(99);
    let verdict = verdict_on(&mut world, &lenient, "Group devs");
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "ServerVersionNotPinned")
    );
}
