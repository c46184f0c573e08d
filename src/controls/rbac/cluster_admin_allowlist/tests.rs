use serde_json::{Value, json};

use super::{
    super::{IdentityKind, allowed::tests::allowed},
    *,
};
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    verdict::Outcome,
};

fn user(name: &str) -> Value {
    json!({ "kind": "User", "name": name })
}

fn group(name: &str) -> Value {
    json!({ "kind": "Group", "name": name })
}

fn account(namespace: &str, name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
}

fn to(role: &str, name: &str, subjects: &[Value]) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}

fn binding(name: &str, subjects: &[Value]) -> Value {
    to("cluster-admin", name, subjects)
}

fn with(bindings: &[(&str, &[Value])]) -> World {
    let mut world = fresh_cluster(37);
    world.scope.own = "probity-system".to_owned();
    for (name, subjects) in bindings {
        world.put(Kind::ClusterRoleBinding, binding(name, subjects));
    }
    world
}

/// A cluster in which a listed person is cluster-admin, and the control that lists her.
fn manned(bindings: &[(&str, &[Value])]) -> (World, ClusterAdminAllowlist) {
    let mut world = with(bindings);
    world.put(Kind::ClusterRoleBinding, binding("ops", &[user("olga")]));
    let control = ClusterAdminAllowlist {
        allowed_subjects: vec![allowed(IdentityKind::User, None, "olga")],
        ..Default::default()
    };
    (world, control)
}

fn deletes(verdict: &Verdict) -> Option<&str> {
    let remedy = verdict.remedy.as_deref()?;
    assert!(matches!(remedy, Remedy::Delete { .. }), "{remedy:?}");
    Some(&remedy.target().name)
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_failing_subject() {
    for minor in [33, 34, 35, 36, 37] {
        let outcomes = fresh_cluster(minor).outcomes(&ClusterAdminAllowlist::default());
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes["Cluster cluster"].0, Outcome::Pass);
    }
}

#[test]
fn an_unknown_version_fails_nothing_of_kubernetes_and_trusts_nobody_more() {
    let mut world = with(&[("x", &[user("eve")])]);
    world.observed.server_minor = Some(99);
    let outcomes = world.outcomes(&ClusterAdminAllowlist::default());
    let failing = outcomes.iter().filter(|(_, (o, _))| *o != Outcome::Pass);
    assert_eq!(
        failing.map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["User eve"]
    );
    assert_eq!(
        outcomes["Group system:masters"].1,
        "ClusterAdminOfThePlatform"
    );
}

#[test]
fn whoever_is_not_listed_fails_whatever_the_role_is_called() {
    let star = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    let mut world = with(&[]);
    let named = |name: &str, label: &str| json!({ "metadata": { "name": name, "labels": { "to": label } } });
    let mut harmless = named("harmless", "x");
    harmless["rules"] = star;
    world.put(Kind::ClusterRole, harmless);
    // Aggregates that the controller has not filled yet, one through the other.
    for (name, label, from) in [("middle", "top", "x"), ("top", "none", "top")] {
        let mut role = named(name, label);
        let selector = json!({ "matchLabels": { "to": from } });
        role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
        world.put(Kind::ClusterRole, role);
    }
    for role in ["harmless", "middle", "top", "view"] {
        let subjects = [user(&format!("by-{role}"))];
        world.put(Kind::ClusterRoleBinding, to(role, role, &subjects));
    }
    let outcomes = world.outcomes(&ClusterAdminAllowlist::default());
    for role in ["harmless", "middle", "top"] {
        let outcome = outcomes[&format!("User by-{role}")];
        assert_eq!(outcome, (Outcome::Fail, "ClusterAdminNotAllowed"), "{role}");
    }
    assert_eq!(outcomes["User by-view"], (Outcome::Pass, "NotClusterAdmin"));
}

#[test]
fn everyone_whom_a_custom_binding_names_is_judged() {
    let mut world = with(&[]);
    let mut in_shop = binding("local", &[user("dev"), account("ci", "bot")]);
    in_shop["metadata"]["namespace"] = json!("shop");
    world.put(Kind::RoleBinding, in_shop);
    let outcomes = world.outcomes(&ClusterAdminAllowlist::default());
    // cluster-admin by a RoleBinding ends at the namespace.
    assert_eq!(outcomes["User dev"], (Outcome::Pass, "NotClusterAdmin"));
    assert_eq!(outcomes["ServiceAccount ci/bot"].0, Outcome::Pass);
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn a_subject_added_to_kubernetes_own_binding_is_judged_and_taken_out_by_hand() {
    let mut world = with(&[]);
    let mut default = binding("cluster-admin", &[group("system:masters"), user("eve")]);
    default["metadata"]["labels"] = json!({ BOOTSTRAPPING: "rbac-defaults" });
    world.put(Kind::ClusterRoleBinding, default);
    let verdicts = world.judge(&ClusterAdminAllowlist::default());
    assert!(!verdicts.contains_key("Group system:masters"));
    let verdict = &verdicts["User eve"];
    assert_eq!((verdict.outcome, deletes(verdict)), (Outcome::Fail, None));
    let proposal = verdict.proposal.as_deref().unwrap();
    assert!(proposal.contains("patch --type=json"), "{proposal}");
    assert!(proposal.contains(r#""path":"/subjects/1""#), "{proposal}");
}

#[test]
fn a_default_role_that_was_widened_makes_its_default_subjects_fail() {
    let mut world = with(&[]);
    let rules = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    let labels = json!({ BOOTSTRAPPING: "rbac-defaults" });
    let meta = json!({ "name": "system:basic-user", "labels": labels });
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": meta, "rules": rules }),
    );
    let verdicts = world.judge(&ClusterAdminAllowlist::default());
    let verdict = &verdicts["Group system:authenticated"];
    assert_eq!((verdict.outcome, deletes(verdict)), (Outcome::Fail, None));
    assert_eq!(
        verdict.proposal.as_deref(),
        Some("kubectl edit clusterrole system:basic-user")
    );
}

#[test]
fn a_preset_needs_the_name_and_the_subject() {
    let control = |presets: &[Preset]| ClusterAdminAllowlist {
        presets: presets.to_vec(),
        ..Default::default()
    };
    let kubeadm = "kubeadm:cluster-admins";
    for (preset, name, subject, outcome) in [
        (Preset::Kubeadm, kubeadm, group(kubeadm), Outcome::Pass),
        (Preset::Kubeadm, "mine", group(kubeadm), Outcome::Fail),
        (Preset::Kubeadm, kubeadm, group("mine"), Outcome::Fail),
        (Preset::Eks, kubeadm, group(kubeadm), Outcome::Fail),
        (
            Preset::Eks,
            "eks:addon-cluster-admin",
            user("eks:addon-manager"),
            Outcome::Pass,
        ),
        (
            Preset::Eks,
            "eks:mine",
            user("eks:addon-manager"),
            Outcome::Fail,
        ),
        (
            Preset::Openshift,
            "cluster-admin-0",
            user("eve"),
            Outcome::Fail,
        ),
        (
            Preset::Openshift,
            "cluster-admins",
            user("system:admin"),
            Outcome::Pass,
        ),
    ] {
        let mut world = with(&[(name, &[subject])]);
        let verdicts = world.judge(&control(&[preset]));
        let verdict = verdicts.iter().find(|(name, _)| *name != "Cluster cluster");
        assert_eq!(verdict.unwrap().1.outcome, outcome, "{preset:?} {name}");
    }
}

#[test]
fn a_user_name_that_spells_an_account_is_that_account() {
    let (mut world, mut control) = manned(&[("x", &[user("system:serviceaccount:argocd:argo")])]);
    let name = "ServiceAccount argocd/argo";
    assert_eq!(world.outcomes(&control)[name].0, Outcome::Fail);
    let entry = allowed(IdentityKind::ServiceAccount, Some("argocd"), "argo");
    control.allowed_subjects.push(entry);
    assert_eq!(
        world.outcomes(&control)[name],
        (Outcome::Pass, "AllowedSubject")
    );
}

#[test]
fn a_group_of_accounts_is_one_finding_that_counts_them() {
    let (mut world, control) = manned(&[("x", &[group("system:serviceaccounts:ci")])]);
    for name in ["a", "b"] {
        let meta = json!({ "name": name, "namespace": "ci" });
        world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
    }
    let verdicts = world.judge(&control);
    let verdict = &verdicts["Group system:serviceaccounts:ci"];
    assert!(
        verdict.message.ends_with("2 service accounts of ci get it"),
        "{verdict:?}"
    );
}

#[test]
fn a_binding_of_strangers_only_is_deleted() {
    let (mut world, control) = manned(&[
        ("strangers", &[user("eve"), account("ci", "bot")]),
        ("mixed", &[user("mallory"), user("olga")]),
    ]);
    let verdicts = world.judge(&control);
    assert_eq!(deletes(&verdicts["User eve"]), Some("strangers"));
    let commands = verdicts["User eve"].proposal.as_deref();
    assert_eq!(
        commands,
        Some("kubectl delete clusterrolebinding strangers")
    );
    assert_eq!(deletes(&verdicts["User mallory"]), None);
    world.delete(Kind::ClusterRoleBinding, "", "mixed");
    let verdicts = world.judge(&control);
    world.carry_out(verdicts["User eve"].remedy.as_ref().unwrap());
    let outcomes = world.outcomes(&control);
    assert!(!outcomes.contains_key("User eve"), "{outcomes:?}");
}

#[test]
fn some_bindings_are_never_deleted() {
    let marked = |labels: Value| {
        let mut object = binding("x", &[user("eve")]);
        object["metadata"]["labels"] = labels;
        object
    };
    for object in [
        binding("x", &[user("eve"), group("system:masters")]),
        binding("x", &[user("eve"), account("probity-system", "probity")]),
        binding(
            "x",
            &[
                user("eve"),
                user("system:serviceaccount:probity-system:probity"),
            ],
        ),
        marked(json!({ BOOTSTRAPPING: "rbac-defaults" })),
        marked(json!({ "app.kubernetes.io/managed-by": "probity" })),
        marked(json!({
            "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "probity" })),
    ] {
        let (mut world, control) = manned(&[]);
        world.put(Kind::ClusterRoleBinding, object.clone());
        let verdict = &world.judge(&control)["User eve"];
        assert_eq!(
            (verdict.outcome, deletes(verdict)),
            (Outcome::Fail, None),
            "{object}"
        );
        assert!(verdict.proposal.is_some());
    }
}

#[test]
fn the_last_grant_to_a_person_is_not_deleted() {
    // Nobody is listed: of two strangers the older one stays, also if both are judged at once.
    let mut world = with(&[]);
    let control = ClusterAdminAllowlist::default();
    for (name, who, created) in [("a", "new", "2026-05-02"), ("b", "old", "2026-05-01")] {
        let mut object = binding(name, &[user(who)]);
        object["metadata"]["creationTimestamp"] = json!(format!("{created}T00:00:00Z"));
        world.put(Kind::ClusterRoleBinding, object);
    }
    world.put(
        Kind::ClusterRoleBinding,
        binding("bot", &[account("ci", "bot")]),
    );
    let verdicts = world.judge(&control);
    assert_eq!(deletes(&verdicts["User new"]), Some("a"));
    assert_eq!(deletes(&verdicts["User old"]), None);
    let proposal = verdicts["User old"].proposal.as_deref().unwrap();
    assert!(
        proposal.starts_with("this may be the last grant to a person"),
        "{proposal}"
    );
    assert_eq!(deletes(&verdicts["ServiceAccount ci/bot"]), Some("bot"));
    let left = world.mend(&control);
    assert_eq!(left["User old"].0, Outcome::Fail);
    assert_eq!(left.len(), 2);
}

#[test]
fn an_allowance_ends_when_its_review_is_overdue() {
    let (mut world, mut control) = manned(&[]);
    control.allowed_subjects[0].review_by = Some("2026-06-01".to_owned());
    let verdict = world.judge(&control).remove("User olga").unwrap();
    assert_eq!(verdict.outcome, Outcome::Pass);
    world.now = verdict.recheck_at.unwrap();
    let verdict = world.judge(&control).remove("User olga").unwrap();
    assert_eq!((verdict.reason, deletes(&verdict)), ("ReviewOverdue", None));
}

#[test]
fn too_many_people_are_a_finding_on_the_cluster() {
    let (mut world, mut control) = manned(&[("bots", &[account("ci", "bot")])]);
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        let outcome = world.outcomes(&control)["Cluster cluster"];
        assert_eq!(outcome, (Outcome::Pass, "FewHumanAdministrators"), "{i}");
        control
            .allowed_subjects
            .push(allowed(IdentityKind::Group, None, name));
        world.put(Kind::ClusterRoleBinding, binding(name, &[group(name)]));
    }
    let outcome = world.outcomes(&control)["Cluster cluster"];
    assert_eq!(outcome, (Outcome::Fail, "TooManyHumanAdministrators"));
}

#[test]
fn what_the_api_server_allows_beside_bindings_is_told() {
    use crate::{
        analysis::rights::spot,
        engine::{AccessAnswer, AccessLook},
    };
    let few = (Outcome::Pass, "FewHumanAdministrators");
    let secrets = "probity:nobody list secrets";
    let everything = "probity:nobody * *";
    for (allowed, expected, trouble, wanted) in [
        ("", false, None, few),
        (secrets, false, None, (Outcome::Unknown, "RightsBesideRbac")),
        (
            everything,
            false,
            None,
            (Outcome::Fail, "ClusterAdminBesideRbac"),
        ),
        // What a binding gives is judged by the binding.
        (everything, true, None, few),
        (everything, false, Some("busy"), few),
    ] {
        let allowed = |question: &spot::Question| question.to_string() == allowed;
        let answers = spot::questions().map(|question| AccessAnswer {
            question,
            expected: expected && allowed(&question),
            allowed: trouble.map_or(Ok(allowed(&question)), |why| Err(why.to_owned())),
        });
        let mut world = fresh_cluster(37);
        world.observed.access = Some(AccessLook {
            at: world.now,
            answers: answers.collect(),
        });
        let outcomes = world.outcomes(&ClusterAdminAllowlist::default());
        assert_eq!(outcomes["Cluster cluster"], wanted);
    }
}
