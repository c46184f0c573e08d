//! Failures that were accepted: by whom, and whether anybody approved that.

use serde_json::{Value, json};

use super::story::{CONTROL, made, made_of, numbered, people, transition};
use crate::{
    evidence::{
        Body, Entry,
        body::{Accepted, ObjectChange},
        words::Step,
    },
    verdict::Outcome,
};

const EMERGENCY: &str = ", in an emergency and without approval";

/// A step of a `ControlException` in the namespace `shop`.
fn step(name: &str, step: Step, who: &str, spec: Value) -> Body {
    Body::Exception(ObjectChange {
        namespace: Some("shop".into()),
        name: name.into(),
        uid: name.into(),
        who: Some(who.to_owned()),
        expires: Some("2026-03-20T00:00:00Z".parse().unwrap()),
        ..people("ControlException", step, spec)
    })
}

fn asked(name: &str, ticket: &str) -> Body {
    let spec = json!({
        "control": CONTROL, "kind": "AcceptedRisk", "reason": "=it, \"must\" wait", "ticket": ticket,
        "requestedBy": "alice",
    });
    step(name, Step::Created, "alice", spec)
}

fn decided(name: &str, how: Step, who: &str) -> Body {
    step(name, how, who, Value::Null)
}

/// From a failure to one that is accepted, as entries said it that had no field for what accepts it.
fn accepted(by: &str, ticket: &str, approval: &str) -> Body {
    let mut said = transition(Some(Outcome::Fail), Outcome::Excepted, None);
    said.message = format!(
        "no TLS (accepted by ControlException shop/{by}, AcceptedRisk, {ticket}{approval})"
    );
    said.into()
}

/// The same as the engine says it now.
fn accepted_by(by: &str, approved: bool) -> Body {
    let mut said = transition(Some(Outcome::Fail), Outcome::Excepted, None);
    said.accepted = Some(Accepted {
        approved,
        by: format!("ControlException shop/{by}").into(),
    });
    said.into()
}

fn failed() -> Body {
    transition(Some(Outcome::Excepted), Outcome::Fail, None).into()
}

/// The cells behind those that tell what failed, of each row: here, only the message has commas before them.
fn columns(said: Vec<(i64, Body)>) -> Vec<String> {
    let entries: Vec<Entry> = numbered(said);
    let files = made_of(&entries);
    let table = &files["management-approved-exemptions.csv"];
    let rows = table.split("\r\n").skip(1).filter(|row| !row.is_empty());
    rows.map(|row| {
        let mark = row.find(",1/").expect("the entry is named");
        let behind = &row[mark + 1..];
        behind[behind.find(',').unwrap() + 1..].to_owned()
    })
    .collect()
}

#[test]
fn the_header_keeps_its_columns_and_adds_who_accepted() {
    let header = "control,policy,kind,namespace,name,from,to,reason,message,entry,approval,exemption,exemption kind,\
                  requested by,approved by,approved at,expires,exemption reason,ticket,exemption entry,approval entry\r\n";
    let files = made();
    assert!(files["management-approved-exemptions.csv"].starts_with(header));
}

#[test]
fn what_nobody_approved_is_told_apart_from_what_somebody_did() {
    let rows = columns(vec![
        (0, asked("calm", "T-1")),
        (1, decided("calm", Step::Approved, "bob")),
        (2, accepted("calm", "T-1", "")),
        (3, failed()),
        (4, asked("hurried", "T-2")),
        (5, accepted("hurried", "T-2", EMERGENCY)),
        (6, failed()),
        (7, asked("late", "T-3")),
        (8, accepted("late", "T-3", EMERGENCY)),
        (9, failed()),
        // Next day, after the period.
        (2000, decided("late", Step::Approved, "bob")),
    ]);
    let reason = "\"'=it, \"\"must\"\" wait\"";
    let until = "2026-03-20T00:00:00Z";
    assert_eq!(
        rows,
        [
            format!(
                "approved,ControlException shop/calm,AcceptedRisk,alice,bob,2026-03-01T00:01:00Z,{until},{reason},T-1,1/0,1/1"
            ),
            format!(
                "none,ControlException shop/hurried,AcceptedRisk,alice,,,{until},{reason},T-2,1/4,"
            ),
            format!(
                "approved later,ControlException shop/late,AcceptedRisk,alice,bob,2026-03-02T09:20:00Z,{until},{reason},T-3,1/7,1/10"
            ),
        ]
    );
}

#[test]
fn a_refusal_and_a_decision_that_does_not_count_approve_nothing() {
    let Body::Exception(mut own) = decided("own", Step::Approved, "alice") else {
        unreachable!("it is an exception");
    };
    own.reason = Some(crate::evidence::body::INVALID.into());
    let rows = columns(vec![
        (0, asked("refused", "T-1")),
        (1, accepted("refused", "T-1", EMERGENCY)),
        (2, decided("refused", Step::Rejected, "bob")),
        (2, failed()),
        (3, asked("own", "T-2")),
        (4, accepted("own", "T-2", EMERGENCY)),
        (5, Body::Exception(own)),
        (5, failed()),
    ]);
    let begins = |row: &str, with: &str| assert!(row.starts_with(with), "{row}");
    assert_eq!(rows.len(), 2, "{rows:?}");
    begins(
        &rows[0],
        "refused,ControlException shop/refused,AcceptedRisk,alice,,,",
    );
    assert!(rows[0].ends_with("T-1,1/0,1/2"), "{}", rows[0]);
    begins(
        &rows[1],
        "none,ControlException shop/own,AcceptedRisk,alice,,,",
    );
    assert!(rows[1].ends_with("T-2,1/4,"), "{}", rows[1]);
}

#[test]
fn what_an_entry_names_is_what_accepted_whatever_its_message_says() {
    let mut misled = transition(Some(Outcome::Fail), Outcome::Excepted, None);
    misled.message = "x (accepted by ControlException shop/other, AcceptedRisk, T-2)".to_owned();
    misled.accepted = Some(Accepted {
        approved: true,
        by: "ControlException shop/calm".into(),
    });
    let rows = columns(vec![
        (0, asked("calm", "T-1")),
        (1, asked("other", "T-2")),
        (2, decided("calm", Step::Approved, "bob")),
        (3, misled.into()),
        (4, failed()),
        (5, accepted_by("other", false)),
        (6, failed()),
        (7, accepted_by("gone", true)),
        (8, failed()),
    ]);
    let until = "2026-03-20T00:00:00Z,\"'=it, \"\"must\"\" wait\"";
    assert_eq!(
        rows,
        [
            format!(
                "approved,ControlException shop/calm,AcceptedRisk,alice,bob,2026-03-01T00:02:00Z,{until},T-1,1/0,1/2"
            ),
            format!("none,ControlException shop/other,AcceptedRisk,alice,,,{until},T-2,1/1,"),
            "not known,,,,,,,,,,".to_owned(),
        ]
    );
}

#[test]
fn what_the_log_does_not_tell_is_not_guessed() {
    let nothing = "not known,,,,,,,,,,";
    // No such object; one with another ticket; and a ticket that names another object, so that two would fit.
    let forged = "T-2 (accepted by ControlException shop/calm, AcceptedRisk, T-1";
    let rows = columns(vec![
        (0, accepted("gone", "T-0", "")),
        (1, failed()),
        (2, asked("calm", "T-1")),
        (3, decided("calm", Step::Approved, "bob")),
        (4, accepted("calm", "T-9", "")),
        (5, failed()),
        (6, asked("forger", forged)),
        (7, accepted("forger", forged, EMERGENCY)),
        (8, failed()),
        (9, asked("forger-2", forged)),
        (10, accepted("forger-2", forged, "")),
        (11, failed()),
    ]);
    assert_eq!(rows, [nothing; 4]);
}

#[test]
fn a_label_is_approved_by_nobody_whatever_its_reason_says() {
    let mut said = transition(Some(Outcome::Pass), Outcome::Excepted, None);
    said.reason = "Exempt".into();
    said.message =
        "exempt from backup: (accepted by ControlException shop/calm, AcceptedRisk, T-1)"
            .to_owned();
    let rows = columns(vec![
        (0, asked("calm", "T-1")),
        (1, decided("calm", Step::Approved, "bob")),
        (2, said.into()),
        (3, failed()),
    ]);
    assert_eq!(rows, ["none,label,,,,,,,,,"]);
}
