use serde_json::Value;

use super::*;
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::{
        rbac::testing::{bind, grant},
        testing::World,
    },
    verdict::Outcome,
};

pub(super) fn control() -> ServiceAccountsHygiene {
    ServiceAccountsHygiene::default()
}

pub(super) fn account(world: &mut World, name: &str, automount: Option<bool>) {
    let meta = json!({ "namespace": "shop", "name": name });
    let object = json!({ "metadata": meta, "automountServiceAccountToken": automount });
    world.put(Kind::ServiceAccount, object);
}

fn deployment(world: &mut World, spec: &Value) {
    let template = json!({ "spec": spec });
    world.put(
        Kind::Deployment,
        json!({
            "metadata": { "namespace": "shop", "name": "web" }, "spec": { "template": template },
        }),
    );
}

fn cluster() -> World {
    let mut world = fresh_cluster(37).namespace("shop");
    account(&mut world, "default", None);
    account(&mut world, "web", None);
    world
}

/// The verdict on a Deployment with this pod spec.
fn on(world: &mut World, spec: &Value) -> Verdict {
    deployment(world, spec);
    world
        .judge(&control())
        .remove("Deployment shop/web")
        .unwrap()
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_failing_subject() {
    for minor in [33, 34, 35, 36, 37] {
        let mut world = fresh_cluster(minor);
        account(&mut world, "default", None);
        let outcomes = world.outcomes(&control());
        // The account, and the API servers that nobody looked at yet.
        assert_eq!(outcomes.len(), 2);
        assert_eq!(outcomes["ServiceAccount shop/default"].0, Outcome::Pass);
    }
}

#[test]
fn mounting_is_decided_by_the_template_then_the_account_and_is_the_default() {
    let token = |audience: Value| json!({ "projected": { "sources": [{ "serviceAccountToken": { "audience": audience } }] } });
    for (of_account, spec, reason) in [
        (None, json!({}), "DefaultAccountMounted"),
        (Some(true), json!({}), "DefaultAccountMounted"),
        (Some(false), json!({}), "TokenNotMounted"),
        (
            Some(false),
            json!({ "automountServiceAccountToken": true }),
            "DefaultAccountMounted",
        ),
        (
            None,
            json!({ "automountServiceAccountToken": false }),
            "TokenNotMounted",
        ),
        (
            Some(false),
            json!({ "volumes": [token(Value::Null)] }),
            "DefaultAccountMounted",
        ),
        (
            Some(false),
            json!({ "volumes": [token(json!("vault"))] }),
            "TokenNotMounted",
        ),
        (
            None,
            json!({ "serviceAccountName": "web" }),
            "TokenWithoutRights",
        ),
        (
            None,
            json!({ "serviceAccount": "web" }),
            "TokenWithoutRights",
        ),
    ] {
        let mut world = cluster();
        account(&mut world, "default", of_account);
        assert_eq!(
            on(&mut world, &spec).reason,
            reason,
            "{of_account:?} {spec}"
        );
    }
}

#[test]
fn an_account_with_rights_may_mount_unless_it_is_the_default_one() {
    let web = json!({ "serviceAccountName": "web" });
    for subject in [
        "ServiceAccount shop/web",
        "Group system:serviceaccounts:shop",
        "Group system:serviceaccounts",
        "User system:serviceaccount:shop:web",
    ] {
        let mut world = cluster();
        grant(&mut world, "shop", "r", &["get  pods"], &[subject]);
        assert_eq!(on(&mut world, &web).reason, "AccountHasRights", "{subject}");
    }
    // A binding of a role that gives nothing gives no rights.
    let mut world = cluster();
    bind(
        &mut world,
        "shop",
        "r",
        "missing",
        &["ServiceAccount shop/web"],
    );
    assert_eq!(on(&mut world, &web).reason, "TokenWithoutRights");
    grant(
        &mut world,
        "shop",
        "d",
        &["get  pods"],
        &["ServiceAccount shop/default"],
    );
    let verdict = on(&mut world, &json!({}));
    // Whatever uses the rights would break.
    assert_eq!(
        (verdict.reason, verdict.remedy),
        ("DefaultAccountMounted", None)
    );
}

#[test]
fn what_binds_the_default_account_on_an_unknown_version_nobody_can_tell() {
    let mut world = cluster();
    world.observed.server_minor = Some(99);
    world.put(
        Kind::ClusterRoleBinding,
        json!({
            "metadata": {
                "name": "system:new", "labels": { BOOTSTRAPPING: "rbac-defaults" },
            },
            "roleRef": { "kind": "ClusterRole", "name": "view" },
            "subjects": [{ "kind": "ServiceAccount", "namespace": "shop", "name": "default" }],
        }),
    );
    assert_eq!(
        world.outcomes(&control())["ServiceAccount shop/default"],
        (Outcome::Unknown, "ServerVersionNotPinned")
    );
}

#[test]
fn the_default_account_must_not_be_bound() {
    let mut world = cluster();
    grant(
        &mut world,
        "shop",
        "d",
        &["get  pods"],
        &["ServiceAccount shop/default", "User x"],
    );
    let verdict = world
        .judge(&control())
        .remove("ServiceAccount shop/default")
        .unwrap();
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "DefaultAccountBound")
    );
    assert_eq!(verdict.message, "is bound by RoleBinding shop/d");
    assert!(verdict.proposal.unwrap().contains("kubectl patch"));
    assert!(verdict.remedy.is_none());
    // Other accounts are bound as a matter of course.
    grant(
        &mut world,
        "shop",
        "d",
        &["get  pods"],
        &["ServiceAccount shop/web"],
    );
    assert_eq!(
        world.outcomes(&control())["ServiceAccount shop/default"].0,
        Outcome::Pass
    );
}

#[test]
fn an_unused_default_token_is_switched_off_at_the_account() {
    let mut world = cluster();
    deployment(&mut world, &json!({}));
    let left = world.mend(&control());
    assert_eq!(
        left["Deployment shop/web"],
        (Outcome::Pass, "TokenNotMounted")
    );
    let account = world
        .inventory
        .tables
        .service_accounts
        .get("shop", "default")
        .unwrap();
    assert_eq!(account.spec.automount, Some(false));
}

#[test]
fn what_would_not_heed_the_account_is_only_proposed() {
    for spec in [
        json!({ "automountServiceAccountToken": true }),
        json!({ "volumes": [{ "projected": { "sources": [{ "serviceAccountToken": {} }] } }] }),
        json!({ "serviceAccountName": "web" }),
    ] {
        let verdict = on(&mut cluster(), &spec);
        assert_eq!(
            (verdict.outcome, verdict.remedy),
            (Outcome::Fail, None),
            "{spec}"
        );
        assert!(verdict.proposal.is_some());
    }
}

#[test]
fn a_policy_may_accept_the_default_account() {
    let mut world = cluster();
    deployment(&mut world, &json!({}));
    let lenient = ServiceAccountsHygiene {
        default_sa_may_mount: true,
        ..control()
    };
    let outcome = world.outcomes(&lenient)["Deployment shop/web"];
    assert_eq!(outcome, (Outcome::Pass, "DefaultAccountMayMount"));
}

#[test]
fn mirrors_of_static_pods_have_no_token() {
    for (owner, outcome) in [("Node", Outcome::Pass), ("Widget", Outcome::Fail)] {
        let mut world = cluster();
        let owners =
            json!([{ "apiVersion": "v1", "kind": owner, "name": "n", "controller": true }]);
        world.put(
            Kind::Pod,
            json!({
                "metadata": { "namespace": "shop", "name": "p", "ownerReferences": owners },
                "spec": { "containers": [] },
            }),
        );
        assert_eq!(
            world.outcomes(&control())["Pod shop/p"].0,
            outcome,
            "{owner}"
        );
    }
}
