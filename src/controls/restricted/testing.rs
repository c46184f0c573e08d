//! Fixtures for controls about what identities hold.

use serde_json::{Value, json};

use crate::{
    analysis::rbac_defaults::tests::fresh_cluster,
    controls::{Control, Verdict, testing::World},
    inventory::Kind,
    verdict::Outcome,
};

/// What is to be said of the identity that holds a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls) enum Expect {
    Pass,
    Fail,
    /// It is a cluster administrator, which another control judges.
    Admin,
}

/// A rule out of `verbs group resources names`, each of them separated by commas.
pub(in crate::controls) fn rule(text: &str) -> Value {
    let mut parts = text.split(' ');
    let mut list = || -> Vec<&str> {
        parts
            .next()
            .map_or(vec![], |part| part.split(',').collect())
    };
    let (verbs, groups, resources, names) = (list(), list(), list(), list());
    json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names })
}

/// A subject of a binding out of `Kind name` or `ServiceAccount namespace/name`.
pub(in crate::controls) fn holder(subject: &str) -> Value {
    let (kind, name) = subject.split_once(' ').unwrap();
    match name.split_once('/') {
        Some((namespace, name)) if kind == "ServiceAccount" => {
            json!({ "kind": kind, "namespace": namespace, "name": name })
        }
        _ => json!({ "kind": kind, "name": name }),
    }
}

/// Puts a role with rules, and a binding of it to `subjects`, in a namespace or the whole cluster.
pub(in crate::controls) fn grant(
    world: &mut World,
    place: &str,
    name: &str,
    rules: &[&str],
    subjects: &[&str],
) {
    let rules: Vec<Value> = rules.iter().map(|text| rule(text)).collect();
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": name }, "rules": rules }),
    );
    bind(world, place, name, name, subjects);
}

/// Puts a binding of a `ClusterRole`, in a namespace or the whole cluster.
pub(in crate::controls) fn bind(
    world: &mut World,
    place: &str,
    name: &str,
    role: &str,
    subjects: &[&str],
) {
    let subjects: Vec<Value> = subjects.iter().map(|subject| holder(subject)).collect();
    let mut binding = json!({
        "metadata": { "name": name },
        "roleRef": { "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    });
    if place.is_empty() {
        world.put(Kind::ClusterRoleBinding, binding);
    } else {
        binding["metadata"]["namespace"] = json!(place);
        world.put(Kind::RoleBinding, binding);
    }
}

/// Gives `subject` one rule.
pub(in crate::controls) fn give(world: &mut World, place: &str, rule: &str, subject: &str) {
    grant(world, place, "given", &[rule], &[subject]);
}

/// The verdict on one identity.
pub(in crate::controls) fn verdict_on(
    world: &mut World,
    control: &dyn Control,
    subject: &str,
) -> Verdict {
    let mut verdicts = world.judge(control);
    let known: Vec<String> = verdicts.keys().cloned().collect();
    verdicts
        .remove(subject)
        .unwrap_or_else(|| panic!("{subject} is none of {known:?}"))
}

/// Checks what is said of a user who holds rules in a namespace or, where it is empty, in the
/// whole cluster.
pub(in crate::controls) fn check_all(
    control: &dyn Control,
    place: &str,
    rules: &[&str],
    expect: Expect,
) {
    let mut world = World::new();
    world.observed.server_minor = Some(37);
    world.put(Kind::Namespace, json!({ "metadata": { "name": "shop" } }));
    grant(&mut world, place, "given", rules, &["User dev"]);
    let verdict = verdict_on(&mut world, control, "User dev");
    let outcome = match expect {
        Expect::Pass => Outcome::Pass,
        Expect::Fail => Outcome::Fail,
        Expect::Admin => Outcome::NotApplicable,
    };
    assert_eq!(
        verdict.outcome, outcome,
        "{rules:?} in {place:?}: {verdict:?}"
    );
}

/// As [`check_all`], with one rule.
pub(in crate::controls) fn check(control: &dyn Control, place: &str, rule: &str, expect: Expect) {
    check_all(control, place, &[rule], expect);
}

/// Checks what is said of who holds a right, as this rule says it, in ways that are not judged:
/// nothing of a cluster administrator, and not for sure by what looks like Kubernetes' own on a
/// server version without pins.
pub(in crate::controls) fn check_not_judged(control: &dyn Control, text: &str) {
    let id = control.info().id;
    let mut world = fresh_cluster(37);
    bind(&mut world, "", "boss", "cluster-admin", &["User boss"]);
    let verdict = verdict_on(&mut world, control, "User boss");
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "HoldsClusterAdmin"),
        "{id}"
    );
    let mark = json!({ "kubernetes.io/bootstrapping": "rbac-defaults" });
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": "system:new" }, "rules": [rule(text)] }),
    );
    world.put(
        Kind::ClusterRoleBinding,
        json!({
            "metadata": { "name": "system:new", "labels": mark },
            "roleRef": { "kind": "ClusterRole", "name": "system:new" },
            "subjects": [holder("User new")],
        }),
    );
    for (minor, outcome, reason) in [
        (37, Outcome::Fail, None),
        (99, Outcome::Unknown, Some("ServerVersionNotPinned")),
    ] {
        world.observed.server_minor = Some(minor);
        let verdict = verdict_on(&mut world, control, "User new");
        assert_eq!(verdict.outcome, outcome, "{id} at {minor}");
        assert!(
            reason.is_none_or(|reason| verdict.reason == reason),
            "{id} at {minor}"
        );
    }
}

/// Checks that nothing is said of a cluster with nothing but what Kubernetes creates.
pub(in crate::controls) fn check_fresh_cluster(control: &dyn Control) {
    for minor in [33, 34, 35, 36, 37] {
        let outcomes = fresh_cluster(minor).outcomes(control);
        assert!(outcomes.is_empty(), "{minor}: {outcomes:?}");
    }
}
