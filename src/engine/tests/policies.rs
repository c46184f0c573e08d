//! Policies, their statuses, and what can't be seen.

use super::super::judge::MOST_JUDGED;
use super::*;
use crate::{
    analysis::{Derived, failing},
    api::status::ModeInForce,
};

#[test]
fn a_kind_that_cannot_be_read_makes_everything_unknown() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.apply(Event::Availability(
        Kind::NetworkPolicy,
        Availability::Forbidden("no right to list".into()),
    ));
    drive.round();
    let status = drive.status();
    assert_eq!(status.controls[0].outcome, Outcome::Unknown);
    assert!(
        status.controls[0].violations[0]
            .message
            .contains("no right to list")
    );
    assert!(drive.actions.is_empty());
    assert_eq!(drive.count("gap"), 1);
}

#[test]
fn editing_a_policy_never_looks_like_a_fix() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    let narrower =
        json!({ "scope": { "exclude": ["shop"] }, "controls": { "netNamespaceDefaultDeny": {} } });
    drive.policy(2, narrower);
    let ended: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|t| t.3)
        .collect();
    assert_eq!(ended, [End::ScopeChanged]);
}

#[test]
fn a_converged_cluster_is_quiet() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, enforce());
    drive.wait(400);
    let (said, statuses) = (drive.said.len(), drive.statuses.len());
    drive.statuses.clear();
    for _ in 0..20 {
        drive.wait(60);
    }
    assert!(
        drive.statuses.is_empty() && statuses == 1,
        "no status is written"
    );
    assert!(drive.actions.is_empty());
    let beats = drive.said[said..]
        .iter()
        .all(|record| record.body.kind() == "heartbeat");
    assert!(beats, "only heartbeats are logged");
}

#[test]
fn a_status_stays_within_its_bound() {
    let mut drive = Drive::new();
    for n in 0..500 {
        drive.namespace(&format!("{}-{n}", "n".repeat(50)));
    }
    drive.policy(1, observe());
    let status = drive.status();
    assert_eq!(status.controls[0].violations.len(), 10);
    assert_eq!(status.controls[0].omitted, 490);
    assert!(serde_json::to_vec(&status).unwrap().len() <= 64 * 1024);
}

#[test]
fn a_suspended_policy_has_nothing_observed_that_writes() {
    let mut drive = Drive::new();
    let controls = json!({ "encSecretsAtRestActive": {}, "encCertificatesValid": {} });
    drive.policy(1, json!({ "controls": controls }));
    let canary = crate::controls::Observation::EncryptionCanary;
    assert!(drive.engine.needed_observations().contains(&canary));
    drive.policy(2, json!({ "controls": controls, "suspend": true }));
    assert!(!drive.engine.needed_observations().contains(&canary));
    assert!(
        drive
            .engine
            .parameters_of("enc-secrets-at-rest-active")
            .is_empty()
    );
}

#[test]
fn what_changes_need_not_wait_until_everything_is_judged() {
    let mut drive = Drive::new();
    for n in 0..=MOST_JUDGED {
        let name = json!({ "name": format!("n-{n}"), "uid": format!("00000000-0000-4000-8000-{n:012x}"),
            "resourceVersion": "1", "creationTimestamp": "2026-05-01T12:00:00Z" });
        let line = json!({ "type": "ADDED", "object": { "metadata": name } }).to_string();
        drive.apply(Event::Line(Kind::Namespace, line.into()));
    }
    let controls = json!({ "netNamespaceDefaultDeny": {}, "workloadPsaEnforced": {} });
    drive.policy(1, json!({ "controls": controls }));
    let judged = |drive: &Drive| {
        let instances = drive.engine.instances.values();
        instances.filter(|instance| instance.filled).count()
    };
    assert_eq!((judged(&drive), drive.engine.is_settled()), (1, false));
    assert_eq!(drive.engine.next_due(drive.now()), Some(drive.mono));
    drive.round();
    assert_eq!((judged(&drive), drive.engine.is_settled()), (2, true));
    let both = json!({ "netNamespaceDefaultDeny": { "directions": ["Ingress", "Egress"] } });
    drive.policy_named("strict", 1, json!({ "controls": both }));
    // All is judged again, one rule a round; a change of the last of them does not wait for it.
    drive.wait(601);
    assert!(!drive.engine.is_settled());
    let before = drive.transitions().len();
    drive.put(
        Kind::NetworkPolicy,
        json!({
            "metadata": { "name": "deny", "namespace": "n-7" },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
        }),
    );
    assert!(!drive.engine.is_settled());
    let told = drive.transitions().split_off(before);
    assert_eq!(
        told,
        [(FAIL, PASS, Why::Object, Some(End::FixedByOthers)); 2]
    );
}

#[test]
fn an_analysis_that_fails_makes_unknown_what_rests_on_it_and_nothing_else() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.put(
        Kind::Pod,
        json!({
            "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "web" }] },
        }),
    );
    let controls = json!({ "netNamespaceDefaultDeny": {}, "netPolicyDead": {} });
    drive.policy(1, json!({ "controls": controls }));
    let outcomes = |drive: &mut Drive| {
        let controls = drive.status().controls;
        controls.iter().map(|c| c.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&mut drive), [Outcome::Pass, Outcome::Pass]);
    failing::set(Some(Derived::Isolation));
    let other = json!({ "name": "other", "namespace": "shop" });
    drive.put(
        Kind::NetworkPolicy,
        json!({ "metadata": other, "spec": { "podSelector": {} } }),
    );
    assert_eq!(outcomes(&mut drive), [Outcome::Pass, Outcome::Unknown]);
    failing::set(None);
}

#[test]
fn suspended_time_is_a_gap_and_ends_deviations_as_suspended() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    let mut spec = observe();
    spec["suspend"] = json!(true);
    drive.policy(2, spec);
    let ended: Vec<_> = drive
        .transitions()
        .into_iter()
        .filter_map(|t| t.3)
        .collect();
    assert_eq!(ended, [End::PolicySuspended]);
    drive.wait(60);
    drive.policy(3, observe());
    assert_eq!(drive.count("gap"), 2);
}

#[test]
fn a_suspended_policy_is_judged_but_writes_nothing_and_says_nothing() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    let mut spec = enforce();
    spec["suspend"] = json!(true);
    drive.policy(1, spec);
    let before = drive.said.len();
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.status().controls[0].outcome, Outcome::Fail);
    drive.deny("shop");
    assert_eq!(drive.status().controls[0].outcome, Outcome::Pass);
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.said.len(), before, "no transitions");
    // What failed meanwhile was there before enforcement began again.
    drive.policy(2, enforce());
    assert!(drive.actions.is_empty());
    assert_eq!(drive.status().enforcement.unwrap().proposed_existing, 1);
    drive.deny("shop");
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    assert_eq!(drive.serve(), 1, "drift after it is put back");
}

/// A policy whose scope leaves a namespace out.
fn without(namespace: &str) -> Value {
    let mut spec = observe();
    spec["scope"] = json!({ "exclude": [namespace] });
    spec
}

#[test]
fn what_an_edit_ends_is_not_kept_for_whoever_is_no_subject_any_more() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    drive.policy(2, without("shop"));
    let instances = drive.engine.instances.values();
    let inherited: Vec<usize> = instances.map(|it| it.inherited.len()).collect();
    assert_eq!(inherited, [0]);
}

#[test]
fn the_log_remembers_what_an_edit_ended_until_something_else_begins() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, observe());
    drive.policy(2, without("shop"));
    assert_eq!(drive.memory().left_by_edits(), 1);
    // The next edit has nothing to do with it.
    drive.policy(3, without("elsewhere"));
    assert_eq!(drive.memory().left_by_edits(), 0);
    drive.policy(4, {
        let mut spec = observe();
        let labels = json!({ "matchLabels": { "tier": "front" } });
        spec["scope"] = json!({ "namespaceSelector": labels });
        spec
    });
    assert_eq!(drive.memory().left_by_edits(), 1);
    // The namespace fails again, and this time it is no edit's doing.
    let labels = json!({ "tier": "front" });
    let meta = json!({ "name": "shop", "labels": labels });
    drive.put(Kind::Namespace, json!({ "metadata": meta }));
    let last = drive.transitions().pop();
    assert_eq!(last.map(|said| (said.1, said.2)), Some((FAIL, Why::Object)));
    assert_eq!(drive.memory().left_by_edits(), 0);
}

/// Status, reason and message of the condition `Ready`.
fn ready(drive: &mut Drive) -> (String, String, String) {
    let mut conditions = drive.status().conditions.into_iter();
    let ready = conditions.find(|it| it.type_ == "Ready").unwrap();
    (ready.status, ready.reason, ready.message)
}

#[test]
fn a_selector_that_no_label_can_satisfy_makes_a_policy_invalid() {
    let bad = json!({ "matchLabels": { "a b": "c d" } });
    let fields = [
        (
            "scope.namespaceSelector",
            json!({ "scope": { "namespaceSelector": bad } }),
        ),
        ("enforceSelector", json!({ "enforceSelector": bad })),
    ];
    for (field, part) in fields {
        let mut drive = Drive::new();
        drive.namespace("shop");
        let mut spec = observe();
        merge(&mut spec, &part);
        drive.policy(1, spec);
        let (status, reason, message) = ready(&mut drive);
        assert_eq!((&*status, &*reason), ("False", "InvalidSpec"));
        let begin = format!("spec.{field} can't be used: \"a b\" is no key of a label: ");
        assert!(message.starts_with(&begin), "{message}");
        assert!(drive.status().controls.is_empty());
    }
}

#[test]
fn a_control_with_a_selector_that_no_label_can_satisfy_is_told_and_the_others_go_on() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    let bad = json!({ "exemptSelector": { "matchLabels": { "a": "b c" } } });
    let controls = json!({ "netPodIngressIsolated": bad, "netNamespaceDefaultDeny": {} });
    drive.policy(1, json!({ "controls": controls }));
    let (status, reason, message) = ready(&mut drive);
    assert_eq!((&*status, &*reason), ("False", "InvalidSpec"));
    let begin = "spec.controls.netPodIngressIsolated: exemptSelector can't be used: \"b c\" is no value of a label";
    assert!(message.starts_with(begin), "{message}");
    let ids: Vec<_> = drive
        .status()
        .controls
        .into_iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(ids, ["net-namespace-default-deny"]);
}

/// `Ready` of a policy that is watched, with this message.
fn watching(message: &str) -> (String, String, String) {
    ("True".into(), "Watching".into(), message.into())
}

/// A policy with this scope and these controls.
fn scoped(scope: &Value, controls: &Value) -> Value {
    json!({ "scope": scope, "controls": controls })
}

#[test]
fn a_scope_that_covers_nothing_is_told_until_it_does() {
    let controls = json!({ "netNamespaceDefaultDeny": {} });
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, scoped(&json!({ "include": ["nosuch"] }), &controls));
    let nothing = watching(
        "the scope covers no namespace; spec.scope.include names 1 namespace that is not there: nosuch",
    );
    assert_eq!(ready(&mut drive), nothing);
    drive.namespace("nosuch");
    assert_eq!(ready(&mut drive), watching(""));
    drive.delete(Kind::Namespace, "", "nosuch");
    assert_eq!(ready(&mut drive), nothing);
    let labels = json!({ "namespaceSelector": { "matchLabels": { "tier": "front" } } });
    drive.policy(2, scoped(&labels, &controls));
    assert_eq!(ready(&mut drive), watching("the scope covers no namespace"));
    let meta = json!({ "name": "shop", "labels": { "tier": "front" } });
    drive.put(Kind::Namespace, json!({ "metadata": meta }));
    assert_eq!(ready(&mut drive), watching(""));
}

#[test]
fn names_that_a_scope_includes_in_vain_are_told_as_far_as_there_is_room() {
    let controls = json!({ "netNamespaceDefaultDeny": {} });
    let mut names = vec!["shop".to_owned()];
    names.extend((0..7).map(|n| format!("n-{n}")));
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, scoped(&json!({ "include": names }), &controls));
    assert_eq!(
        ready(&mut drive),
        watching(
            "spec.scope.include names 7 namespaces that are not there: n-0, n-1, n-2, n-3, n-4 and 2 more"
        )
    );
    // Who looks at the whole cluster covers it, whatever the scope says.
    let controls = json!({ "rbacNoWildcardVerbs": {} });
    drive.policy(2, scoped(&json!({ "include": names }), &controls));
    assert_eq!(ready(&mut drive), watching(""));
}

fn condition<'a>(status: &'a ControlPolicyStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|known| known.type_ == kind);
    found.map(|known| (&*known.status, &*known.reason)).unwrap()
}

#[test]
fn a_policy_none_of_whose_controls_can_be_read_is_not_compliant() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    let bad = json!({ "exemptSelector": { "matchLabels": { "a": "b c" } } });
    drive.policy(1, json!({ "controls": { "netPodIngressIsolated": bad } }));
    let status = drive.status();
    assert_eq!(condition(&status, "Ready"), ("False", "InvalidSpec"));
    assert_eq!(
        condition(&status, "Compliant"),
        ("Unknown", "NothingJudged")
    );
}

#[test]
fn a_policy_that_found_nothing_to_judge_says_so() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.policy(1, json!({ "scope": { "include": ["elsewhere"] }, "controls": { "netNamespaceDefaultDeny": {} } }));
    let status = drive.status();
    assert_eq!(status.summary.passing, "0/0");
    assert_eq!(condition(&status, "Compliant"), ("True", "NoSubjects"));
    drive.deny("shop");
    drive.policy(2, observe());
    let status = drive.status();
    assert_eq!(condition(&status, "Compliant"), ("True", "ControlsPassing"));
}

#[test]
fn the_mode_of_a_policy_is_that_of_its_controls() {
    let controls = |first: &str, second: &str| {
        json!({
            "mode": "Observe",
            "controls": {
                "netNamespaceDefaultDeny": { "mode": first }, "backupScheduleActive": { "mode": second },
            },
        })
    };
    let mut drive = Drive::new();
    for (generation, first, second, wanted) in [
        (1, "Observe", "Observe", ModeInForce::Observe),
        (2, "Enforce", "Observe", ModeInForce::Mixed),
        (3, "Enforce", "Enforce", ModeInForce::Enforce),
    ] {
        drive.policy(generation, controls(first, second));
        assert_eq!(drive.status().mode, Some(wanted), "{first} {second}");
    }
}
