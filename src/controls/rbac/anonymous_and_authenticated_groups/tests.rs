use serde_json::{Value, json};

use super::*;
use crate::{
    analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
    controls::testing::World,
    verdict::Outcome,
};

fn group(name: &str) -> Value {
    json!({ "kind": "Group", "name": name })
}

fn binding(name: &str, role: &str, subjects: &[Value]) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}

fn judge(object: Value) -> Verdict {
    let mut world = fresh_cluster(37);
    world.put(Kind::ClusterRoleBinding, object);
    world.only(&AnonymousAndAuthenticatedGroups::default())
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
    for minor in [33, 34, 35, 36, 37] {
        let mut world = fresh_cluster(minor);
        assert!(
            world
                .outcomes(&AnonymousAndAuthenticatedGroups::default())
                .is_empty()
        );
    }
}

#[test]
fn every_custom_grant_to_everybody_fails_even_of_a_harmless_role() {
    for subject in [
        json!({ "kind": "User", "name": "system:anonymous" }),
        group("system:unauthenticated"),
        group("system:authenticated"),
        group("system:serviceaccounts"),
    ] {
        for role in ["cluster-admin", "view", "system:discovery", "missing"] {
            let verdict = judge(binding("x", role, std::slice::from_ref(&subject)));
            assert_eq!(verdict.reason, "GrantToEverybody", "{subject} {role}");
            assert!(matches!(
                verdict.remedy.as_deref(),
                Some(Remedy::Delete { .. })
            ));
            let command = verdict.proposal.as_deref();
            assert_eq!(command, Some("kubectl delete clusterrolebinding x"));
        }
    }
}

#[test]
fn others_are_none_of_its_business() {
    let mut world = fresh_cluster(37);
    for (name, subject) in [
        ("a", group("system:serviceaccounts:shop")),
        (
            "b",
            json!({ "kind": "User", "name": "system:authenticated" }),
        ),
        ("c", group("system:masters")),
    ] {
        world.put(Kind::ClusterRoleBinding, binding(name, "view", &[subject]));
    }
    assert!(
        world
            .outcomes(&AnonymousAndAuthenticatedGroups::default())
            .is_empty()
    );
}

#[test]
fn a_group_added_to_kubernetes_own_binding_is_taken_out_by_hand() {
    // What clusters from before 1.14 had, and what their upgrades left in place.
    let subjects = [
        group("system:authenticated"),
        group("system:unauthenticated"),
    ];
    let mut object = binding("system:discovery", "system:discovery", &subjects);
    object["metadata"]["labels"] = json!({ BOOTSTRAPPING: "rbac-defaults" });
    let verdict = judge(object);
    assert_eq!(
        verdict.message,
        "gives ClusterRole system:discovery to system:unauthenticated"
    );
    assert!(verdict.remedy.is_none());
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains(r#"{"op":"remove","path":"/subjects/1"}"#),
        "{proposal}"
    );
}

#[test]
fn a_name_without_the_label_or_a_label_without_the_name_is_custom() {
    let mut spoofed = binding("everyone", "view", &[group("system:authenticated")]);
    spoofed["metadata"]["labels"] = json!({ BOOTSTRAPPING: "rbac-defaults" });
    let verdict = judge(spoofed);
    // It fails; that it wears the label only keeps us from deleting it.
    assert_eq!((verdict.outcome, verdict.remedy), (Outcome::Fail, None));
    let bare = binding(
        "system:basic-user",
        "system:basic-user",
        &[group("system:authenticated")],
    );
    assert_eq!(judge(bare).outcome, Outcome::Fail);
}

#[test]
fn a_binding_that_names_others_too_is_not_deleted() {
    let subjects = [
        json!({ "kind": "User", "name": "alice" }),
        group("system:authenticated"),
    ];
    let verdict = judge(binding("x", "view", &subjects));
    assert_eq!((verdict.outcome, verdict.remedy), (Outcome::Fail, None));
}

#[test]
fn a_default_role_that_gives_more_than_it_should_fails() {
    let widened = |name: &str, rule: Value| {
        let mut world = fresh_cluster(37);
        let meta = json!({ "name": name, "labels": { BOOTSTRAPPING: "rbac-defaults" } });
        world.put(
            Kind::ClusterRole,
            json!({ "metadata": meta, "rules": [rule] }),
        );
        world.judge(&AnonymousAndAuthenticatedGroups::default())
    };
    let secrets = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"] });
    let verdicts = widened("system:public-info-viewer", secrets);
    let verdict = &verdicts["ClusterRoleBinding system:public-info-viewer"];
    assert_eq!(verdict.reason, "DefaultRoleWidened");
    assert!(
        verdict.message.ends_with("beyond its default: get secrets"),
        "{verdict:?}"
    );
    assert_eq!((verdicts.len(), &verdict.remedy), (1, &None));
    // What upgrades left behind is no finding.
    let former = json!({ "verbs": ["get"], "nonResourceURLs": ["/swagger.json", "/api"] });
    assert!(widened("system:discovery", former).is_empty());
    let former = json!({ "verbs": ["post"], "nonResourceURLs": ["/swagger.json"] });
    assert_eq!(widened("system:discovery", former).len(), 1);
}

#[test]
fn an_unknown_version_is_not_trusted() {
    let mut world = fresh_cluster(37);
    world.observed.server_minor = None;
    world.put(
        Kind::ClusterRoleBinding,
        binding("x", "view", &[group("system:authenticated")]),
    );
    let outcomes = world.outcomes(&AnonymousAndAuthenticatedGroups::default());
    assert_eq!(outcomes.len(), 6);
    for (name, outcome) in outcomes {
        let expected = if name == "ClusterRoleBinding x" {
            (Outcome::Fail, "GrantToEverybody")
        } else {
            (Outcome::Unknown, "ServerVersionNotPinned")
        };
        assert_eq!(outcome, expected, "{name}");
    }
}

/// kubeadm's Role with this list of names, and its binding.
fn kubeadm(names: &Value) -> World {
    const NAME: &str = "kubeadm:bootstrap-signer-clusterinfo";
    let meta = json!({ "name": NAME, "namespace": "kube-public" });
    let rule = json!({
        "verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": names,
    });
    let anonymous = json!({ "kind": "User", "name": "system:anonymous" });
    fresh_cluster(37)
        .with(Kind::Role, json!({ "metadata": meta, "rules": [rule] }))
        .with(Kind::RoleBinding, json!({
            "metadata": meta, "roleRef": { "kind": "Role", "name": NAME }, "subjects": [anonymous],
        }))
}

#[test]
fn anonymous_callers_may_read_the_one_config_map_of_kubeadm() {
    let control = AnonymousAndAuthenticatedGroups::default();
    let mut world = kubeadm(&json!(["cluster-info"]));
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
    assert_eq!(kubeadm(&json!([])).only(&control).outcome, Outcome::Fail);
    let strict = AnonymousAndAuthenticatedGroups {
        presets: Vec::new(),
        ..control
    };
    assert_eq!(world.only(&strict).outcome, Outcome::Fail);
}

#[test]
fn a_policy_can_accept_a_grant_that_matches_in_everything() {
    let entry: AllowedGrant = serde_json::from_value(json!({
        "binding": "x", "role": "view", "subject": "system:authenticated",
    }))
    .unwrap();
    let control = AnonymousAndAuthenticatedGroups {
        extra_allowed: vec![entry],
        ..Default::default()
    };
    for (name, role, subject, outcome) in [
        ("x", "view", "system:authenticated", Outcome::Pass),
        ("y", "view", "system:authenticated", Outcome::Fail),
        ("x", "edit", "system:authenticated", Outcome::Fail),
        ("x", "view", "system:unauthenticated", Outcome::Fail),
    ] {
        let mut world = fresh_cluster(37);
        world.put(
            Kind::ClusterRoleBinding,
            binding(name, role, &[group(subject)]),
        );
        assert_eq!(world.only(&control).outcome, outcome);
    }
}

#[test]
fn deleting_what_may_be_deleted_leaves_nothing_to_mend() {
    let mut world = fresh_cluster(37);
    world.put(
        Kind::ClusterRoleBinding,
        binding("x", "view", &[group("system:authenticated")]),
    );
    assert!(
        world
            .mend(&AnonymousAndAuthenticatedGroups::default())
            .is_empty()
    );
}
