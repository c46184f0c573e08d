use serde_json::json;

use super::super::testing::{bind, holder};
use super::*;
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    engine::Leavers,
};

fn control() -> StaleBindings {
    StaleBindings::default()
}

/// A cluster with an account `shop/web`, and a month old binding to `role`.
fn world(role: &str, subjects: &[&str]) -> World {
    let mut world = fresh_cluster(37).namespace("shop");
    account(&mut world, "web");
    bind(&mut world, "shop", "b", role, subjects);
    world
}

fn account(world: &mut World, name: &str) {
    let meta = json!({ "namespace": "shop", "name": name });
    world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
    for minor in [33, 34, 35, 36, 37] {
        let mut world = fresh_cluster(minor);
        assert!(world.outcomes(&control()).is_empty(), "{minor}");
        // Nothing of it is taken for stale where its version is not known.
        world.observed.server_minor = Some(99);
        assert!(world.outcomes(&control()).is_empty(), "{minor}");
    }
}

#[test]
fn what_is_missing_is_found() {
    for (role, subjects, reason, whole) in [
        (
            "view",
            &["ServiceAccount shop/web"][..],
            "BindingInUse",
            false,
        ),
        ("view", &["Group devs"], "BindingInUse", false),
        ("missing", &["Group devs"], "RoleMissing", true),
        ("view", &[], "NoSubjects", true),
        (
            "view",
            &["ServiceAccount shop/gone"],
            "SubjectMissing",
            true,
        ),
        (
            "view",
            &["User system:serviceaccount:shop:gone"],
            "SubjectMissing",
            true,
        ),
        (
            "view",
            &["User system:serviceaccount:shop:web"],
            "BindingInUse",
            false,
        ),
        (
            "view",
            &["ServiceAccount shop/gone", "Group devs"],
            "SubjectMissing",
            false,
        ),
        (
            "view",
            &["Group system:serviceaccounts:gone"],
            "SubjectMissing",
            true,
        ),
        (
            "view",
            &["Group system:serviceaccounts:shop"],
            "BindingInUse",
            false,
        ),
        ("view", &["User alice"], "DirectUser", false),
        (
            "view",
            &["User system:kube-scheduler"],
            "BindingInUse",
            false,
        ),
        ("view", &["User system:node:n1"], "BindingInUse", false),
        // The prefix alone makes nobody a part of Kubernetes.
        ("view", &["User system:alice"], "DirectUser", false),
    ] {
        let verdict = world(role, subjects).only(&control());
        assert_eq!(verdict.reason, reason, "{role} {subjects:?}");
        assert_eq!(verdict.remedy.is_some(), whole, "{role} {subjects:?}");
        assert_eq!(verdict.proposal.is_some(), verdict.outcome == Outcome::Fail);
    }
}

#[test]
fn an_allowed_user_may_be_named() {
    let control = StaleBindings {
        allowed_users: vec!["alice".to_owned()],
        ..control()
    };
    assert_eq!(
        world("view", &["User alice"]).only(&control).outcome,
        Outcome::Pass
    );
    // Names are case-sensitive.
    assert_eq!(
        world("view", &["User Alice"]).only(&control).reason,
        "DirectUser"
    );
}

#[test]
fn a_new_binding_is_given_time() {
    let mut world = world("missing", &["Group devs"]);
    world.now = "2026-05-01T18:00:00Z".parse().unwrap();
    let verdict = world.only(&control());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "InGrace")
    );
    let end = verdict.recheck_at.unwrap();
    assert_eq!(end, "2026-05-02T12:00:00Z".parse().unwrap());
    world.now = end;
    assert_eq!(world.only(&control()).reason, "RoleMissing");
    assert_eq!(world.only(&control()).reason, "RoleMissing");
}

#[test]
fn a_user_that_is_named_is_given_no_time() {
    let subjects = ["User alice", "ServiceAccount shop/gone"];
    let mut world = world("view", &subjects);
    world.now = "2026-05-01T18:00:00Z".parse().unwrap();
    for _ in 0..2 {
        let verdict = world.only(&control());
        assert_eq!(verdict.reason, "DirectUser");
        // The account that is missing keeps its grace, and it does not begin anew.
        assert_eq!(
            verdict.recheck_at,
            Some("2026-05-02T12:00:00Z".parse().unwrap())
        );
        world.now = "2026-05-02T11:00:00Z".parse().unwrap();
    }
    world.now = "2026-05-02T12:00:00Z".parse().unwrap();
    assert_eq!(world.only(&control()).reason, "SubjectMissing");
}

#[test]
fn what_goes_missing_later_is_given_time_from_when_it_is_seen() {
    let mut world = world("view", &["ServiceAccount shop/web"]);
    assert_eq!(world.only(&control()).reason, "BindingInUse");
    world.delete(Kind::ServiceAccount, "shop", "web");
    let end = world.only(&control()).recheck_at.unwrap();
    assert_eq!(end, "2026-06-02T12:00:00Z".parse().unwrap());
    world.now = "2026-06-02T11:59:59Z".parse().unwrap();
    // Looking again does not begin it anew.
    assert_eq!(world.only(&control()).recheck_at, Some(end));
    world.now = end;
    assert_eq!(world.only(&control()).reason, "SubjectMissing");
    account(&mut world, "web");
    assert_eq!(world.only(&control()).reason, "BindingInUse");
}

#[test]
fn a_dangling_binding_is_deleted() {
    let mut world = world("missing", &["Group devs"]);
    assert!(world.mend(&control()).is_empty());
}

#[test]
fn some_bindings_are_never_deleted() {
    for (labels, subject) in [
        (
            json!({ "app.kubernetes.io/managed-by": "probity" }),
            "Group devs",
        ),
        (json!({ BOOTSTRAPPING: "rbac-defaults" }), "Group devs"),
        (json!({}), "Group system:masters"),
    ] {
        let mut world = world("view", &["Group devs"]);
        world.put(
            Kind::RoleBinding,
            json!({
                "metadata": { "namespace": "shop", "name": "b", "labels": labels },
                "roleRef": { "kind": "ClusterRole", "name": "missing" },
                "subjects": [holder(subject)],
            }),
        );
        let verdict = world.only(&control());
        assert_eq!(
            (verdict.outcome, verdict.remedy),
            (Outcome::Fail, None),
            "{labels}"
        );
    }
}

#[test]
fn of_a_default_binding_only_what_was_added_is_judged() {
    let mut world = fresh_cluster(37);
    world.put(Kind::ClusterRoleBinding, json!({
        "metadata": { "name": "system:kube-scheduler", "labels": { BOOTSTRAPPING: "rbac-defaults" } },
        "roleRef": { "kind": "ClusterRole", "name": "system:kube-scheduler" },
        "subjects": [{ "kind": "User", "name": "system:kube-scheduler" }, { "kind": "User", "name": "eve" }],
    }));
    let verdict = world.only(&control());
    assert_eq!(
        (verdict.reason, &*verdict.message),
        ("DirectUser", "names 1 user directly: eve")
    );
}

#[test]
fn a_default_role_that_is_frozen_fails() {
    for (name, found) in [("view", true), ("mine", false)] {
        let mut world = World::new();
        world.observed.server_minor = Some(37);
        world.put(
            Kind::ClusterRole,
            json!({
                "metadata": { "name": name, "annotations": { AUTOUPDATE: "false" } },
            }),
        );
        let outcomes = world.outcomes(&control());
        assert_eq!(outcomes.contains_key(&format!("ClusterRole {name}")), found);
        assert!(
            outcomes
                .values()
                .all(|o| *o == (Outcome::Fail, "DefaultRoleFrozen"))
        );
    }
}

fn with_list() -> StaleBindings {
    StaleBindings {
        leavers_config_map: Some(LeaversConfigMap {
            namespace: "hr".to_owned(),
            name: "leavers".to_owned(),
            user_prefix: "oidc:".to_owned(),
        }),
        allowed_users: ["alice", "oidc:Bob@Example.com", "carol"]
            .map(str::to_owned)
            .into(),
        ..control()
    }
}

#[test]
fn whoever_has_left_may_not_be_bound_even_if_allowed() {
    for (subjects, reason, command) in [
        (
            &["User alice"][..],
            "LeaverBound",
            Some("kubectl delete rolebinding"),
        ),
        (
            &["User oidc:Bob@Example.com"],
            "LeaverBound",
            Some("kubectl delete rolebinding"),
        ),
        (
            &["User alice", "User carol"],
            "LeaverBound",
            Some("kubectl patch"),
        ),
        (&["User carol"], "BindingInUse", None),
        // A group of that name is nobody who left, and no account is.
        (&["Group alice"], "BindingInUse", None),
        (&["ServiceAccount shop/web"], "BindingInUse", None),
        // Somebody who may be named by nobody is still found by that.
        (&["User dave"], "DirectUser", Some("bind a group")),
    ] {
        let mut world = world("view", subjects);
        let names = ["alice", "bob@example.com", "secret-name"].map(Sym::from);
        let list = Leavers::Listed {
            at: world.now,
            names: names.into(),
        };
        let map = ("hr".to_owned(), "leavers".to_owned());
        world.observed.leavers.insert(map, list);
        let verdict = world.only(&with_list());
        assert_eq!(verdict.reason, reason, "{subjects:?}");
        assert_eq!(verdict.remedy, None);
        let proposal = verdict.proposal.unwrap_or_default();
        assert!(
            proposal.starts_with(command.unwrap_or_default()),
            "{proposal}"
        );
        assert!(
            !verdict.message.contains("secret-name"),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn a_list_that_is_not_seen_makes_bindings_of_users_unknown() {
    let not_seen = Leavers::NotSeen("it does not exist".to_owned());
    for seen in [None, Some(not_seen)] {
        for (subject, outcome) in [
            ("User carol", Outcome::Unknown),
            ("User dave", Outcome::Fail),
            ("Group devs", Outcome::Pass),
        ] {
            let mut world = world("view", &[subject]);
            let map = ("hr".to_owned(), "leavers".to_owned());
            world
                .observed
                .leavers
                .extend(seen.clone().map(|seen| (map, seen)));
            assert_eq!(world.only(&with_list()).outcome, outcome, "{subject}");
        }
    }
}

#[test]
fn a_list_that_nobody_reads_any_more_is_not_seen() {
    for (minutes, subject, reason) in [
        (9, "User alice", "LeaverBound"),
        (9, "User carol", "BindingInUse"),
        (10, "User alice", "LeaversNotSeen"),
        (10, "User carol", "LeaversNotSeen"),
        (10, "Group devs", "BindingInUse"),
    ] {
        let mut world = world("view", &[subject]);
        let at = world.now - jiff::SignedDuration::from_mins(minutes);
        let names = [Sym::from("alice")].into();
        let map = ("hr".to_owned(), "leavers".to_owned());
        world
            .observed
            .leavers
            .insert(map, Leavers::Listed { at, names });
        let verdict = world.only(&with_list());
        assert_eq!(verdict.reason, reason, "{subject} {minutes}");
        let until = at + jiff::SignedDuration::from_mins(10);
        assert_eq!(verdict.recheck_at, (minutes == 9).then_some(until));
    }
}

#[test]
fn what_goes_missing_while_the_list_is_not_seen_is_given_time_too() {
    let mut world = world("view", &["User carol", "ServiceAccount shop/web"]);
    assert_eq!(world.only(&with_list()).reason, "LeaversNotSeen");
    world.delete(Kind::ServiceAccount, "shop", "web");
    assert_eq!(world.only(&with_list()).reason, "InGrace");
}
