use serde_json::json;

use super::*;
use crate::{
    evidence::{
        body::{ControlCounts, SubjectRef, Term},
        words::{End, Step},
    },
    verdict::{Counts, Severity, Strength},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn term(epoch: u64) -> Body {
    Body::Term(Term {
        holder: "p".into(),
        epoch,
        predecessor: None,
        before: None,
    })
}

fn web() -> SubjectRef {
    SubjectRef {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
        uid: "u-1".into(),
    }
}

fn joined() -> Body {
    Body::Population(Population {
        policies: vec!["soc2".into()],
        control: "c-1".into(),
        joined: vec![web()],
        left: Vec::new(),
    })
}

fn turned(from: Option<Outcome>, to: Outcome, deviation: &str, ended: Option<End>) -> Body {
    Body::Transition(Transition {
        policies: vec!["soc2".into()],
        control: "c-1".into(),
        rule_version: None,
        params_hash: None,
        scope_hash: None,
        subject: web(),
        owner: None,
        from,
        to: Some(to),
        strength: Strength::Declared,
        reason: "R".into(),
        message: String::new(),
        severity: Severity::High,
        cause: if from.is_none() {
            Cause::Policy
        } else {
            Cause::Object
        },
        ended,
        opened: None,
        deviation: Some(deviation.to_owned()),
        accepted: None,
    })
}

fn beat(outcome: Outcome) -> Body {
    let by_outcome = Counts::all(outcome, 1);
    Body::Heartbeat(Heartbeat {
        subjects: 1,
        by_outcome,
        controls: vec![ControlCounts {
            policy: "soc2".into(),
            control: "c-1".into(),
            by_outcome,
        }],
        table_digest: String::new(),
        kinds: Vec::new(),
    })
}

/// What is joined of these, but for terms, heartbeats and what says nothing.
fn told(said: Vec<(usize, Body)>) -> Vec<Body> {
    let mut joiner = Joiner::default();
    let mut told = Vec::new();
    for (second, (source, body)) in (0..).zip(said) {
        let entry = Entry {
            v: 2,
            seq: 1,
            time: at(second),
            body,
        };
        told.extend(
            joiner
                .take(source, entry)
                .into_iter()
                .map(|entry| entry.body),
        );
    }
    let dull =
        |body: &Body| matches!(body, Body::Term(_) | Body::Heartbeat(_)) || *body == nothing();
    told.retain(|body| !dull(body));
    told
}

const FAIL: Option<Outcome> = Some(Outcome::Fail);
const PASS: Option<Outcome> = Some(Outcome::Pass);

/// From, to, deviation and end of a transition.
type Turn<'a> = (Option<Outcome>, Option<Outcome>, &'a str, Option<End>);

fn turns(told: &[Body]) -> Vec<Turn<'_>> {
    let turns = told.iter().filter_map(|body| match body {
        Body::Transition(said) => Some((
            said.from,
            said.to,
            said.deviation.as_deref().unwrap_or_default(),
            said.ended,
        )),
        _ => None,
    });
    turns.collect()
}

#[test]
fn what_goes_on_failing_under_another_leader_is_one_deviation() {
    let told = told(vec![
        (0, term(1)),
        (0, joined()),
        (0, turned(PASS, Outcome::Fail, "x", None)),
        (0, beat(Outcome::Fail)),
        (1, term(2)),
        (1, turned(None, Outcome::Fail, "y", None)),
        (1, joined()),
        (1, beat(Outcome::Fail)),
        (1, turned(FAIL, Outcome::Pass, "y", Some(End::PutBack))),
    ]);
    assert_eq!(
        turns(&told),
        [
            (PASS, FAIL, "x", None),
            (FAIL, FAIL, "x", None),
            (FAIL, PASS, "x", Some(End::PutBack)),
        ]
    );
    let moves = told
        .iter()
        .filter(|body| matches!(body, Body::Population(_)));
    assert_eq!(moves.count(), 1, "it joined once");
}

#[test]
fn what_one_log_has_known_all_along_ends_what_another_opened() {
    let told = told(vec![
        (0, term(1)),
        (0, joined()),
        (0, beat(Outcome::Pass)),
        (1, term(2)),
        (1, turned(None, Outcome::Fail, "y", None)),
        (1, joined()),
        (1, beat(Outcome::Fail)),
        // It passes again when the first one leads again, to which that is nothing new.
        (0, term(3)),
        (0, beat(Outcome::Pass)),
    ]);
    assert_eq!(
        turns(&told),
        [
            (PASS, FAIL, "y", None),
            (FAIL, PASS, "y", Some(End::FixedByOthers)),
        ]
    );
    let Body::Transition(first) = &told[1] else {
        panic!("{told:?}")
    };
    assert_eq!(first.cause, Cause::Object, "it drifted: it had passed");
}

#[test]
fn who_left_while_another_led_has_left() {
    let mut left = joined();
    if let Body::Population(said) = &mut left {
        (said.joined, said.left) = (Vec::new(), vec![web()]);
    }
    let mut empty = beat(Outcome::Pass);
    if let Body::Heartbeat(said) = &mut empty {
        said.controls[0].by_outcome = Counts::default();
    }
    let told = told(vec![
        (0, term(1)),
        (0, joined()),
        (0, beat(Outcome::Pass)),
        (1, term(2)),
        (1, empty),
        // The first one says so when it leads again: everybody knows.
        (0, term(3)),
        (0, left.clone()),
    ]);
    assert_eq!(told, [joined(), left]);
}

#[test]
fn a_policy_is_created_once() {
    let said = |change, hash: &str, old: Option<&str>| {
        Body::PolicyChange(PolicyChange {
            policy: "soc2".into(),
            uid: "p-1".into(),
            generation: 1,
            change,
            who: None,
            old_hash: old.map(str::to_owned),
            new_hash: Some(hash.to_owned()),
            spec: Some(json!({ "controls": {} }).into()),
            enforcing_since: BTreeMap::new(),
            limits_release: None,
        })
    };
    let created = |hash| said(Change::Created, hash, None);
    let told = told(vec![
        (0, term(1)),
        (0, created("a")),
        (1, term(2)),
        (1, created("b")),
        (0, term(3)),
        (0, said(Change::Updated, "b", Some("a"))),
    ]);
    assert_eq!(told, [created("a"), said(Change::Updated, "b", Some("a"))]);
}

#[test]
fn what_was_deleted_while_nobody_led_is_gone() {
    let exception = |step, hash: Option<&str>| {
        Body::Exception(ObjectChange {
            kind: "ControlException".into(),
            namespace: Some("shop".into()),
            name: "e".into(),
            uid: "e-1".into(),
            generation: 1,
            step,
            who: None,
            old_hash: (step == Step::Deleted).then(|| "a".to_owned()),
            new_hash: hash.map(str::to_owned),
            spec: None,
            decision: None,
            all_rows: None,
            reason: None,
            expires: None,
        })
    };
    let created = exception(Step::Created, Some("a"));
    let said = vec![
        (0, term(1)),
        (0, created.clone()),
        (1, term(2)),
        (1, created.clone()),
        (1, beat(Outcome::Pass)),
    ];
    assert_eq!(told(said).len(), 1, "it is told once");
    let said = vec![
        (0, term(1)),
        (0, created.clone()),
        (1, term(2)),
        (1, beat(Outcome::Pass)),
    ];
    assert_eq!(told(said), [created, exception(Step::Deleted, None)]);
}

#[test]
fn what_a_replica_did_not_see_while_another_led_is_no_gap() {
    let gap = |scope: &str, from: i64, to: Option<i64>| {
        Body::Gap(Gap {
            scope: scope.to_owned(),
            from: at(from),
            to: to.map(at),
            cause: "why".to_owned(),
        })
    };
    let told = told(vec![
        (0, term(1)),
        (0, gap("Pod", 1, None)),
        (1, term(2)),
        (1, beat(Outcome::Pass)),
        (0, term(3)),
        // Since second 1 it has said nothing; at second 3 the other one did.
        (0, gap("all", 1, Some(5))),
    ]);
    assert_eq!(
        told,
        [
            gap("Pod", 1, None),
            gap("Pod", 1, Some(2)),
            gap("Pod", 4, None),
            gap("all", 3, Some(5)),
        ]
    );
}

#[test]
fn an_encryption_configuration_is_new_once() {
    let config = |from: Option<&str>, to: &str| {
        Body::EncryptionConfig(EncryptionConfig {
            server: "https://10.0.0.1".into(),
            from: from.map(str::to_owned),
            to: to.to_owned(),
            since: at(0),
        })
    };
    let told = told(vec![
        (0, term(1)),
        (0, config(None, "a")),
        (1, term(2)),
        (1, config(None, "a")),
        (1, config(Some("a"), "b")),
        (0, term(3)),
        (0, config(Some("a"), "b")),
        (0, config(Some("b"), "a")),
    ]);
    assert_eq!(
        told,
        [
            config(None, "a"),
            config(Some("a"), "b"),
            config(Some("b"), "a")
        ]
    );
}
