use serde_json::{Value, json};

use super::super::testing::check_fresh_cluster;
use super::*;
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    verdict::Outcome,
};

#[allow(clippy::needless_pass_by_value, reason = "called with literals only")]
fn role(name: &str, labels: Value, rules: Value) -> Value {
    json!({ "metadata": { "name": name, "labels": labels }, "rules": rules })
}

fn all(group: &str) -> Value {
    json!([{ "verbs": ["*"], "apiGroups": [group], "resources": ["*"] }])
}

fn bind(world: &mut World, role: &str) {
    world.put(
        Kind::ClusterRoleBinding,
        json!({
            "metadata": { "name": format!("bind-{role}") },
            "roleRef": { "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "User", "name": "eve" }],
        }),
    );
}

fn bound(object: Value) -> World {
    let mut world = fresh_cluster(37);
    bind(&mut world, object["metadata"]["name"].as_str().unwrap());
    world.put(Kind::ClusterRole, object);
    world
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
    check_fresh_cluster(&NoWildcardVerbs::default());
}

#[test]
fn a_bound_role_with_any_wildcard_verb_fails() {
    for (rules, outcome) in [
        (all("apps"), Outcome::Fail),
        (
            json!([{ "verbs": ["get", "*"], "nonResourceURLs": ["/metrics"] }]),
            Outcome::Fail,
        ),
        (
            json!([{ "verbs": ["get"], "apiGroups": ["*"], "resources": ["*"] }]),
            Outcome::Pass,
        ),
        (json!(null), Outcome::Pass),
    ] {
        let mut world = bound(role("app", json!({}), rules.clone()));
        assert_eq!(
            world.only(&NoWildcardVerbs::default()).outcome,
            outcome,
            "{rules}"
        );
    }
}

#[test]
fn an_unbound_role_passes_with_a_note() {
    let mut world = fresh_cluster(37);
    world.put(Kind::ClusterRole, role("app", json!({}), all("apps")));
    let mut control = NoWildcardVerbs::default();
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Pass, "UnboundWildcardVerbs")
    );
    assert_eq!(
        verdict.message,
        "`*` on * of apps, and no binding uses the role"
    );
    control.ignore_unbound = true;
    assert_eq!(world.only(&control).outcome, Outcome::NotApplicable);
}

#[test]
fn a_role_is_bound_in_its_own_namespace_only() {
    let mut world = fresh_cluster(37);
    let mut object = role("app", json!({}), all("apps"));
    object["metadata"]["namespace"] = json!("shop");
    world.put(Kind::Role, object);
    for (namespace, kind, outcome) in [
        ("other", "Role", Outcome::Pass),
        ("shop", "ClusterRole", Outcome::Pass),
        ("shop", "Role", Outcome::Fail),
    ] {
        world.put(
            Kind::RoleBinding,
            json!({
                "metadata": { "name": "x", "namespace": namespace },
                "roleRef": { "kind": kind, "name": "app" },
            }),
        );
        let verdict = world.only(&NoWildcardVerbs::default());
        assert_eq!(verdict.outcome, outcome, "{namespace} {kind}");
    }
}

#[test]
fn a_source_of_a_bound_aggregate_is_bound_and_the_default_aggregate_is_no_subject() {
    let labels = json!({ "rbac.authorization.k8s.io/aggregate-to-view": "true" });
    let mut world = fresh_cluster(37);
    world.put(Kind::ClusterRole, role("addon", labels, all("apps")));
    bind(&mut world, "admin");
    let verdict = world.only(&NoWildcardVerbs::default());
    assert_eq!(verdict.reason, "WildcardVerbs");
    assert!(
        verdict
            .message
            .ends_with("bound by ClusterRoleBinding bind-admin"),
        "{verdict:?}"
    );
}

#[test]
fn a_default_role_is_judged_for_what_it_holds_beyond_its_default() {
    let labels = json!({ BOOTSTRAPPING: "rbac-defaults" });
    let nodes = json!({ "verbs": ["*"], "apiGroups": [""], "resources": ["nodes/log"] });
    let extra = |rule: Value| {
        let rules = json!([nodes, rule]);
        let mut world = bound(role("system:kubelet-api-admin", labels.clone(), rules));
        world.only(&NoWildcardVerbs::default())
    };
    let read = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    assert_eq!(extra(read).outcome, Outcome::Pass);
    let wild = json!({ "verbs": ["*"], "apiGroups": [""], "resources": ["pods"] });
    let verdict = extra(wild);
    assert!(
        verdict.message.starts_with("`*` on pods of core; "),
        "{verdict:?}"
    );
}

#[test]
fn a_name_or_a_label_alone_makes_no_role_built_in() {
    for (name, labels) in [
        ("system:mine", json!({ BOOTSTRAPPING: "rbac-defaults" })),
        ("cluster-admin", json!({})),
    ] {
        let mut world = bound(role(name, labels, all("*")));
        assert_eq!(
            world.only(&NoWildcardVerbs::default()).outcome,
            Outcome::Fail,
            "{name}"
        );
    }
}

#[test]
fn an_unknown_version_is_not_trusted() {
    let mut world = bound(role("app", json!({}), all("apps")));
    world.observed.server_minor = Some(99);
    let outcomes = world.outcomes(&NoWildcardVerbs::default());
    assert_eq!(outcomes["ClusterRole app"].0, Outcome::Fail);
    let unknown = |(_, (outcome, _)): &(&String, &(Outcome, &str))| *outcome == Outcome::Unknown;
    let unknown: Vec<_> = outcomes
        .iter()
        .filter(unknown)
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(
        unknown,
        [
            "ClusterRole cluster-admin",
            "ClusterRole system:kubelet-api-admin"
        ]
    );
}

#[test]
fn an_operator_may_do_everything_to_its_own_resources() {
    let labels = json!({ "app.kubernetes.io/instance": "shop-db" });
    let crd = |name: &str, group: &str, labels: &Value| {
        json!({
            "metadata": { "name": format!("{name}.{group}"), "labels": labels },
            "spec": { "group": group, "names": { "plural": name } },
        })
    };
    let judge = |group: &str, crds: &[Value], control: &NoWildcardVerbs| {
        let mut world = bound(role("operator", labels.clone(), all(group)));
        for crd in crds {
            world.put(Kind::Crd, crd.clone());
        }
        world.only(control).outcome
    };
    let control = NoWildcardVerbs::default();
    let own = crd("databases", "db.example.com", &labels);
    let foreign = crd("backups", "db.example.com", &json!({}));
    let system = crd("foos", "rbac.authorization.k8s.io", &labels);
    let own_only = std::slice::from_ref(&own);
    assert_eq!(judge("db.example.com", own_only, &control), Outcome::Pass);
    assert_eq!(
        judge("db.example.com", &[own.clone(), foreign], &control),
        Outcome::Fail
    );
    assert_eq!(judge("db.example.com", &[], &control), Outcome::Fail);
    assert_eq!(judge("*", own_only, &control), Outcome::Fail);
    assert_eq!(
        judge("rbac.authorization.k8s.io", &[system], &control),
        Outcome::Fail
    );
    let strict = NoWildcardVerbs {
        own_group_exception: false,
        ..control
    };
    assert_eq!(judge("db.example.com", own_only, &strict), Outcome::Fail);
}

#[test]
fn a_policy_can_allow_a_role() {
    let mut world = bound(role("app", json!({}), all("apps")));
    let control: NoWildcardVerbs =
        serde_json::from_value(json!({ "allowedRoles": [{ "name": "app" }] })).unwrap();
    assert_eq!(world.only(&control).reason, "AllowedRole");
    assert!(control.own_group_exception && control.check().is_ok());
    let inside: NoWildcardVerbs =
        serde_json::from_value(json!({ "allowedRoles": [{ "kind": "Role", "name": "app" }] }))
            .unwrap();
    assert!(inside.check().is_err());
}

#[test]
fn the_proposal_writes_the_verbs_out_and_tests_what_it_replaces() {
    let rules = json!([
        { "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] },
        { "verbs": ["use", "*"], "apiGroups": ["apps"], "resources": ["deployments"] },
    ]);
    let verdict = bound(role("app", json!({}), rules)).only(&NoWildcardVerbs::default());
    assert_eq!(verdict.remedy, None);
    let proposal = verdict.proposal.unwrap();
    let (start, patch) = proposal.split_once(" -p '").unwrap();
    assert_eq!(start, "kubectl patch --type=json");
    let (patch, end) = patch.split_once('\'').unwrap();
    assert_eq!(end, " clusterrole app");
    let patch: Value = serde_json::from_str(patch).unwrap();
    assert_eq!(
        patch[0],
        json!({ "op": "test", "path": "/rules/1/verbs", "value": ["use", "*"] })
    );
    assert_eq!(patch[1]["op"], "replace");
    assert_eq!(
        patch[1]["value"],
        json!([
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "use",
            "watch",
        ])
    );
}
