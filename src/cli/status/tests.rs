use serde_json::json;

use super::*;
use crate::api::{Mode, status::ModeInForce};

fn policy() -> ControlPolicy {
    let violation = |namespace: &str, name: &str| {
        json!({
            "kind": "Deployment", "namespace": namespace, "name": name, "outcome": "Fail",
            "strength": "Effective", "reason": "WorkloadNotIsolated", "message": "any pod reaches it",
            "since": "2026-01-01T00:00:00Z",
        })
    };
    let counts = json!({ "pass": 1, "fail": 12, "excepted": 0, "notApplicable": 0, "unknown": 0 });
    let control = |id: &str, criteria: &[&str], outcome: &str| {
        json!({
            "id": id, "criteria": criteria, "outcome": outcome, "severity": "High",
            "mode": "Observe", "population": 13, "subjects": counts,
            "since": "2026-01-01T00:00:00Z",
        })
    };
    let mut failing = control("net-pod-ingress-isolated", &["CC6.6", "CC6.1"], "Fail");
    failing["violations"] = json!([violation("shop", "web"), violation("other", "api")]);
    failing["omitted"] = 10.into();
    let policy = json!({
        "metadata": { "name": "base", "generation": 3 },
        "spec": { "controls": {} },
        "status": {
            "observedGeneration": 3,
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "R", "message": "no rights",
                  "lastTransitionTime": "2026-01-01T00:00:00Z" },
                { "type": "Compliant", "status": "False", "reason": "R", "message": "m",
                  "lastTransitionTime": "2026-01-01T00:00:00Z" },
            ],
            "summary": { "passing": "1/2", "failing": 12, "controls": counts, "subjects": counts },
            "controls": [failing, control("rbac-exec-restricted", &["CC6.1"], "Pass")],
        },
    });
    serde_json::from_value(policy).unwrap()
}

#[test]
fn a_criterion_is_as_bad_as_the_worst_of_its_controls() {
    let view = view(&policy());
    let criteria: Vec<(&str, Outcome, usize, usize)> = view
        .criteria
        .iter()
        .map(|c| (&*c.id, c.outcome, c.passing, c.controls))
        .collect();
    assert_eq!(
        criteria,
        [
            ("CC6.1", Outcome::Fail, 1, 2),
            ("CC6.6", Outcome::Fail, 0, 1)
        ]
    );
}

#[test]
fn what_is_not_as_it_should_be_is_noted() {
    let mut policy = policy();
    assert_eq!(view(&policy).notes, ["Ready is False: no rights"]);
    policy.metadata.generation = Some(4);
    assert!(view(&policy).notes[0].contains("version before"));
    policy.status = None;
    let unjudged = view(&policy);
    assert!(unjudged.notes[0].contains("does the operator run?"));
    assert_eq!(unjudged.compliant, None);
    let said = table::render(&[unjudged], &[], Timestamp::now(), Style::plain(None));
    assert!(said.contains("does the operator run?\n"), "{said}");
}

#[test]
fn a_policy_with_nothing_to_judge_is_not_shown_as_one_that_holds() {
    let mut policy = policy();
    let status = policy.status.as_mut().unwrap();
    status.controls.clear();
    status.summary.passing = "0/0".to_owned();
    status.summary.failing = 0;
    for condition in &mut status.conditions {
        condition.status = "True".to_owned();
    }
    let said = table::render(&[view(&policy)], &[], Timestamp::now(), Style::plain(None));
    assert!(
        said.contains("Observe: compliant, nothing to judge, 0 subjects fail\n"),
        "{said}"
    );
}

#[test]
fn a_policy_of_which_some_controls_enforce_says_so() {
    let mut policy = policy();
    let status = policy.status.as_mut().unwrap();
    status.mode = Some(ModeInForce::Mixed);
    status.controls[0].mode = Mode::Enforce;
    let view = view(&policy);
    assert_eq!(view.mode, "Mixed");
    let said = table::render(&[view], &[], Timestamp::now(), Style::plain(None));
    let wanted = "Mixed, 1 of 2 controls enforces: not compliant,";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_namespace_is_shown_alone() {
    let mut view = view(&policy());
    only_in(&mut view, "shop");
    let names: Vec<&str> = view.controls[0]
        .violations
        .iter()
        .map(|v| &*v.name)
        .collect();
    assert_eq!(names, ["web"]);
    // What the status omits may be in it; what is listed whole is not.
    only_in(&mut view, "elsewhere");
    assert_eq!(view.controls.len(), 1);
    view.controls[0].omitted = 0;
    let mut blind = view.clone();
    only_in(&mut view, "elsewhere");
    assert_eq!(view.controls, []);
    let unread = self::view(&policy()).controls[0].violations[0].clone();
    blind.controls[0].violations = vec![ViolationView {
        kind: "Cluster".to_owned(),
        namespace: None,
        reason: INPUT_UNAVAILABLE.to_owned(),
        ..unread
    }];
    only_in(&mut blind, "elsewhere");
    assert_eq!(blind.controls.len(), 1);
}

#[test]
fn the_table_says_since_when_and_fits_forty_columns() {
    let now = "2026-01-03T00:00:00Z".parse().unwrap();
    let views = [view(&policy())];
    let wide = table::render(&views, &[], now, Style::plain(None));
    for said in [
        "Observe: not compliant, 1 of 2 controls passes, 12 subjects fail",
        "CC6.1 1/2",
        "FAIL    net-pod-ingress-isolated High, for 2d",
        "✗ Deployment shop/web WorkloadNotIsolated for 2d",
        "and 10 more: see --all",
        "Note: Ready is False: no rights.",
    ] {
        assert!(wide.contains(said), "{said}:\n{wide}");
    }
    let narrow = table::render(&views, &[], now, Style::plain(Some(40)));
    let others = narrow
        .lines()
        .filter(|line| !line.contains("net-pod-ingress"));
    assert!(
        others.map(|line| line.chars().count()).max() <= Some(40),
        "{narrow}"
    );
    assert!(table::render(&[], &[], now, Style::plain(None)).contains("probity baseline"));
}
