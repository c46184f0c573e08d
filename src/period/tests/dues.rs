//! What has to happen before the end.

use super::{
    stories::{RESTORE, beat, class, joined, object, policy, restored, term},
    *,
};
use crate::{
    evidence::{
        SubjectRef,
        body::{ObjectChange, Population},
        words::Step,
    },
    verdict::Outcome,
};

const DAY: i64 = 24 * 60;
const REVIEWS: &str = "rbac-access-review-current";

fn due(entries: Vec<(i64, Body)>, days: i64, now: i64) -> Vec<(String, Option<i64>, i64, bool)> {
    let (summary, _) = account(&frame(0, days), &log(entries), minute(now));
    let day = |at: Timestamp| at.duration_since(minute(0)).as_mins() / DAY;
    summary.controls[0]
        .due
        .iter()
        .map(|due| {
            (
                due.what.clone(),
                due.last.map(day),
                day(due.by),
                due.overdue,
            )
        })
        .collect()
}

#[test]
fn what_happens_after_the_end_changes_nothing_of_it() {
    let on = policy(&json!({ "backupRestoreTestCurrent": { "maxAge": "10d" } }));
    let mut said = vec![
        (0, term()),
        (0, on),
        (1, joined(RESTORE, "gold")),
        (1, restored("gold", 1)),
    ];
    let at_the_end = due(said.clone(), 20, 40 * DAY);
    assert_eq!(
        at_the_end,
        [("BackupClass gold".to_owned(), Some(1), 11, true)]
    );
    said.extend([
        (25 * DAY, restored("gold", 25)),
        (26 * DAY, left("gold")),
        (27 * DAY, policy(&json!({}))),
    ]);
    assert_eq!(due(said, 20, 40 * DAY), at_the_end);
}

fn left(name: &str) -> Body {
    Population {
        policies: vec!["soc2".into()],
        control: RESTORE.into(),
        joined: Vec::new(),
        left: vec![class(name)],
    }
    .into()
}

fn attested(at: i64, step: Step, until: i64) -> (i64, Body) {
    let spec = json!({ "control": "attest-governance" });
    let said = ObjectChange {
        spec: (step == Step::Created).then(|| spec.into()),
        expires: Some(minute(until)),
        ..object("Attestation", "board", step)
    };
    (at, Body::Attestation(said))
}

#[test]
fn an_attestation_is_due_when_it_is_too_old_also_where_it_would_be_valid_for_longer() {
    let control = "attest-governance";
    let on = |age: &str| policy(&json!({ "attestGovernance": { "maxAge": age } }));
    let story = |age: &str, valid: i64| {
        let said = vec![
            (0, term()),
            (0, on(age)),
            (0, beat(control, 1)),
            attested(DAY, Step::Created, valid * DAY),
            attested(5 * DAY, Step::Approved, valid * DAY),
        ];
        due(said, 90, 10 * DAY)
    };
    let expected = |by| [("an approved attestation".to_owned(), Some(5), by, false)];
    assert_eq!(story("30d", 400), expected(31), "from when it was made");
    assert_eq!(story("365d", 60), expected(60));
    assert!(story("365d", 400).is_empty());
}

fn subject(kind: &str, name: &str) -> SubjectRef {
    SubjectRef {
        group: "".into(),
        kind: kind.into(),
        namespace: None,
        name: name.into(),
        uid: "".into(),
    }
}

/// The steps of a review whose listing is frozen one day and decided two days later.
fn review(name: &str, day: i64, spec: serde_json::Value, bindings: &[&str]) -> Vec<(i64, Body)> {
    let rows: Vec<_> = bindings
        .iter()
        .map(|binding| json!({ "binding": binding }))
        .collect();
    let step = |at: i64, step, spec: Option<serde_json::Value>, decision: serde_json::Value| {
        let said = ObjectChange {
            spec: spec.map(Into::into),
            decision: Some(decision.into()),
            ..object("AccessReview", name, step)
        };
        (at * DAY, Body::Review(said))
    };
    vec![
        step(day, Step::Created, Some(spec), json!(null)),
        step(day, Step::Frozen, None, rows.into()),
        step(day + 2, Step::Decided, None, json!({})),
    ]
}

#[test]
fn each_area_has_a_review_of_its_own_as_old_as_its_listing() {
    let members = Population {
        policies: vec!["soc2".into()],
        control: REVIEWS.into(),
        joined: vec![
            subject("Namespace", "shop"),
            subject("Namespace", "pay"),
            subject("Namespace", "ops"),
            subject("Cluster", "cluster"),
            subject("AccessReview", "open"),
        ],
        left: Vec::new(),
    };
    let mut said = vec![
        (0, term()),
        (
            0,
            policy(&json!({ "rbacAccessReviewCurrent": { "cadence": "20d", "grace": "10d" } })),
        ),
        (0, members.into()),
    ];
    said.extend(review(
        "a",
        10,
        json!({ "namespace": "shop" }),
        &["RoleBinding shop/edit"],
    ));
    said.extend(review(
        "b",
        20,
        json!({ "owner": "money" }),
        &["RoleBinding pay/view", "RoleBinding bank/x"],
    ));
    let mut open = review(
        "open",
        21,
        json!({ "due": minute(25 * DAY).to_string() }),
        &[],
    );
    open.pop();
    said.extend(open);
    said.push((30 * DAY, beat(REVIEWS, 5)));
    said.sort_by_key(|(at, _)| *at);
    assert_eq!(
        due(said, 80, 30 * DAY),
        [
            ("decisions in AccessReview open".to_owned(), None, 25, true),
            (
                "access review of Cluster cluster".to_owned(),
                None,
                81,
                false
            ),
            ("access review of Namespace ops".to_owned(), None, 81, false),
            (
                "access review of Namespace pay".to_owned(),
                Some(20),
                50,
                false
            ),
            (
                "access review of Namespace shop".to_owned(),
                Some(10),
                40,
                false
            ),
        ]
    );
}

/// What is due of the review of one namespace, every ten days, as of day 20.
fn review_due(reviews: Vec<(i64, Body)>) -> Vec<(String, Option<i64>, i64, bool)> {
    let members = Population {
        policies: vec!["soc2".into()],
        control: REVIEWS.into(),
        joined: vec![subject("Namespace", "shop")],
        left: Vec::new(),
    };
    let spec = json!({ "rbacAccessReviewCurrent": { "cadence": "20d", "grace": "10d" } });
    let mut said = vec![(0, term()), (0, policy(&spec)), (0, members.into())];
    said.extend(reviews);
    said.push((20 * DAY, beat(REVIEWS, 1)));
    said.sort_by_key(|(at, _)| *at);
    due(said, 80, 20 * DAY)
}

/// What is due where the namespace was last reviewed on this day.
fn reviewed(last: Option<i64>) -> Vec<(String, Option<i64>, i64, bool)> {
    let by = last.map_or(81, |last| last + 30);
    vec![(
        "access review of Namespace shop".to_owned(),
        last,
        by,
        false,
    )]
}

/// The same steps, with a listing of so many rows in all.
fn of_rows(mut steps: Vec<(i64, Body)>, rows: u64) -> Vec<(i64, Body)> {
    for (_, body) in &mut steps {
        if let Body::Review(said) = body
            && said.step == Step::Frozen
        {
            said.all_rows = Some(rows);
        }
    }
    steps
}

#[test]
fn a_listing_in_parts_is_reviewed_when_all_of_them_are() {
    let part = |name, day, part: u64| {
        let spec = json!({ "namespace": "shop", "part": part });
        review(name, day, spec, &["RoleBinding shop/edit"])
    };
    let first = of_rows(part("a", 3, 1), 1500);
    assert_eq!(review_due(first.clone()), reviewed(None));
    let second = of_rows(part("b", 5, 2), 1500);
    assert_eq!(review_due(second.clone()), reviewed(None));
    let both = [first.clone(), second].concat();
    assert_eq!(
        review_due(both.clone()),
        reviewed(Some(3)),
        "as old as its oldest part"
    );
    // Since then the rights have become so few that one part holds them.
    let fewer = [both, of_rows(part("c", 9, 1), 700)].concat();
    assert_eq!(review_due(fewer), reviewed(Some(9)));
    // Entries of earlier versions say nothing of the other parts: a full one is followed by another.
    let bindings = vec!["RoleBinding shop/edit"; 1000];
    let full = review("full", 3, json!({ "namespace": "shop" }), &bindings);
    assert_eq!(review_due(full.clone()), reviewed(None));
    let rest = [full, part("rest", 4, 2)].concat();
    assert_eq!(review_due(rest), reviewed(Some(3)));
}

#[test]
fn decisions_that_do_not_count_are_due_again() {
    let steps = |name, day| {
        review(
            name,
            day,
            json!({ "namespace": "shop" }),
            &["RoleBinding shop/edit"],
        )
    };
    let invalid = |name| {
        let said = ObjectChange {
            reason: Some(body::INVALID.into()),
            ..object("AccessReview", name, Step::Decided)
        };
        (15 * DAY, Body::Review(said))
    };
    let mut said = steps("a", 3);
    assert_eq!(review_due(said.clone()), reviewed(Some(3)));
    said.push(invalid("a"));
    assert_eq!(review_due(said.clone()), reviewed(None));
    // What was decided in an earlier review stands.
    said.extend(steps("before", 1));
    assert_eq!(review_due(said), reviewed(Some(1)));
}

#[test]
fn an_approval_that_does_not_count_is_due_again() {
    let on = policy(&json!({ "attestGovernance": { "maxAge": "30d" } }));
    let mut said = vec![
        (0, term()),
        (0, on),
        (0, beat("attest-governance", 1)),
        attested(DAY, Step::Created, 400 * DAY),
        attested(5 * DAY, Step::Approved, 400 * DAY),
    ];
    let expected = |last, by| [("an approved attestation".to_owned(), last, by, false)];
    assert_eq!(due(said.clone(), 90, 10 * DAY), expected(Some(5), 31));
    let (at, mut invalid) = attested(6 * DAY, Step::Approved, 400 * DAY);
    let Body::Attestation(change) = &mut invalid else {
        unreachable!()
    };
    change.reason = Some(body::INVALID.into());
    said.push((at, invalid));
    assert_eq!(due(said, 90, 10 * DAY), expected(None, 91));
}

#[test]
fn what_could_never_be_judged_has_not_operated() {
    let control = "net-host-network";
    let unknown = |count| {
        let Body::Heartbeat(mut said) = beat(control, count) else {
            unreachable!()
        };
        said.controls[0].by_outcome = [(Outcome::Unknown, count)].into();
        Body::Heartbeat(said)
    };
    let mut said = vec![
        (0, term()),
        (0, policy(&json!({ "netHostNetwork": {} }))),
        (0, joined(control, "shop")),
        (1, unknown(1)),
        (2, unknown(1)),
    ];
    let operated = |said: &[(i64, Body)]| {
        let (summary, _) = account(&frame(0, 0), &log(said.to_vec()), minute(9));
        summary.controls[0].operated
    };
    assert_eq!(operated(&said), Operated::NotJudged);
    said.push((3, beat(control, 1)));
    assert_eq!(operated(&said), Operated::Operated);
}
