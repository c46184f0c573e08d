//! Audit periods, driven without a cluster: the log is read elsewhere, and what it says comes back as an event.

use std::collections::BTreeMap;

use super::*;
use crate::{
    api::{ObservedPeriod, ObservedPeriodControl},
    engine::PeriodTold,
    period::{ControlStanding, Operated, Standing},
};

fn period(name: &str, generation: i64, spec: &Value) -> Value {
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod",
        "metadata": { "name": name, "uid": format!("u-{name}"), "generation": generation,
            "creationTimestamp": "2026-06-01T12:00:00Z",
            "managedFields": [{ "manager": "kubectl-create", "operation": "Update" }] },
        "spec": spec,
    })
}

fn days(start: &str, end: &str) -> Value {
    json!({ "start": start, "end": end, "timeZone": "UTC" })
}

/// What the log might say of every period.
fn told(deviations: i64) -> Standing {
    Standing {
        observed: ObservedPeriod {
            operated: Some("1/1".to_owned()),
            deviations,
            controls: vec![ObservedPeriodControl::default()],
            ..ObservedPeriod::default()
        },
        logs: Vec::new(),
        controls: vec![ControlStanding {
            observed: ObservedPeriodControl {
                id: "net-host-network".to_owned(),
                policy: "base".to_owned(),
                ..ObservedPeriodControl::default()
            },
            operated: Operated::Operated,
            coverage: 0.5,
            due: BTreeMap::new(),
        }],
        log_begins: None,
        elsewhere: None,
        empty: None,
    }
}

/// Reads the log for all periods, as the operator does.
fn read(drive: &mut Drive, standing: &Result<Standing, String>) {
    let asked = drive.engine.periods().into_iter();
    let told: BTreeMap<_, _> = asked
        .map(|asked| {
            let told = PeriodTold {
                uid: asked.uid,
                generation: asked.generation,
                standing: standing.clone().map(Box::new),
            };
            (asked.key, told)
        })
        .collect();
    drive.apply(Event::Periods(told));
    drive.round();
    drive.wait(2);
}

/// What is last written about a period.
fn said(drive: &Drive, name: &str) -> Value {
    let mut remarks = drive.remarks.iter();
    let last = remarks.rfind(|remark| *remark.key.name == *name);
    last.map_or(Value::Null, |remark| remark.observed.clone())
}

fn condition(observed: &Value, kind: &str) -> (String, String, String) {
    let conditions = observed["conditions"].as_array().unwrap();
    let found = conditions
        .iter()
        .find(|found| found["type"] == kind)
        .unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("status"), text("reason"), text("message"))
}

fn period_steps(drive: &Drive) -> Vec<(Step, Option<String>)> {
    let said = drive.bodies().filter_map(|body| match body {
        Body::Period(said) => Some((said.step, said.who.clone())),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_period_is_logged_when_it_is_made_changed_and_deleted() {
    let mut drive = Drive::new();
    put(
        &mut drive,
        &period("h1", 1, &days("2026-01-01", "2026-06-30")),
    );
    put(
        &mut drive,
        &period("h1", 1, &days("2026-01-01", "2026-06-30")),
    );
    put(
        &mut drive,
        &period("h1", 2, &days("2026-01-01", "2026-05-31")),
    );
    drive.apply(Event::PeopleGone(
        PeopleKind::Period,
        String::new(),
        "h1".into(),
    ));
    drive.round();
    let who = Some("kubectl-create".to_owned());
    assert_eq!(
        period_steps(&drive),
        [
            (Step::Created, who.clone()),
            (Step::Changed, who),
            (Step::Deleted, None)
        ]
    );
}

#[test]
fn its_status_says_what_the_log_says_and_is_quiet_while_that_is_the_same() {
    let mut drive = Drive::new();
    let mut object = period("h1", 1, &days("2026-01-01", "2026-12-31"));
    put(&mut drive, &object);
    drive.wait(5);
    assert_eq!(said(&drive, "h1"), Value::Null, "nothing is known yet");
    read(&mut drive, &Ok(told(3)));
    let observed = said(&drive, "h1");
    assert_eq!(
        (&observed["deviations"], &observed["observedGeneration"]),
        (&json!(3), &json!(1))
    );
    let ready = |observed: &Value| condition(observed, "Ready");
    assert_eq!(
        (&*ready(&observed).0, &*ready(&observed).1),
        ("True", "UnderWay")
    );
    object["status"] = json!({ "observed": observed });
    put(&mut drive, &object);
    let written = drive.remarks.len();
    for _ in 0..20 {
        read(&mut drive, &Ok(told(3)));
        drive.wait(600);
    }
    assert_eq!(drive.remarks.len(), written, "nothing has changed");
    read(&mut drive, &Ok(told(4)));
    assert_eq!(said(&drive, "h1")["deviations"], 4);
    // A log that can't be read is told of, and what was known stays.
    read(&mut drive, &Err("entry 7 is damaged".to_owned()));
    let observed = said(&drive, "h1");
    assert_eq!(
        ready(&observed),
        (
            "False".into(),
            "LogUnreadable".into(),
            "entry 7 is damaged".into()
        )
    );
    assert_eq!(observed["deviations"], 3, "as the status has it");
    // What is about another version says nothing of this one.
    object["metadata"]["generation"] = json!(2);
    object["spec"]["end"] = json!("2026-11-30");
    let written = drive.remarks.len();
    put(&mut drive, &object);
    drive.wait(5);
    assert_eq!(drive.remarks.len(), written);
}

#[test]
fn it_begins_by_itself() {
    let mut drive = Drive::new();
    put(
        &mut drive,
        &period("h2", 1, &days("2026-06-02", "2026-12-31")),
    );
    read(&mut drive, &Ok(told(0)));
    assert_eq!(condition(&said(&drive, "h2"), "Ready").1, "NotBegun");
    drive.wait(12 * HOUR);
    drive.wait(2);
    assert_eq!(condition(&said(&drive, "h2"), "Ready").1, "UnderWay");
}

#[test]
fn two_that_overlap_name_each_other_until_one_is_gone() {
    let mut drive = Drive::new();
    put(
        &mut drive,
        &period("h1", 1, &days("2026-01-01", "2026-06-30")),
    );
    put(
        &mut drive,
        &period("q3", 1, &days("2026-07-01", "2026-09-30")),
    );
    read(&mut drive, &Ok(told(0)));
    let overlaps = |drive: &Drive, name: &str| condition(&said(drive, name), "Overlaps");
    assert_eq!(
        overlaps(&drive, "h1").0,
        "False",
        "the days are next to each other"
    );
    put(
        &mut drive,
        &period("q2", 1, &days("2026-04-01", "2026-07-01")),
    );
    read(&mut drive, &Ok(told(0)));
    for name in ["h1", "q3"] {
        let (status, reason, message) = overlaps(&drive, name);
        assert_eq!((&*status, &*reason), ("True", "SharesDays"));
        assert!(
            message.contains("q2 (2026-04-01 to 2026-07-01)"),
            "{message}"
        );
    }
    // Of other policies it is another examination.
    let mut other = period("q2", 2, &days("2026-04-01", "2026-07-01"));
    other["spec"]["policies"] = json!(["pci"]);
    put(&mut drive, &other);
    read(&mut drive, &Ok(told(0)));
    assert_eq!(overlaps(&drive, "h1").0, "True", "h1 is about all policies");
    drive.apply(Event::PeopleGone(
        PeopleKind::Period,
        String::new(),
        "q2".into(),
    ));
    drive.round();
    drive.wait(2);
    assert_eq!(overlaps(&drive, "h1").0, "False");
}

#[test]
fn what_is_wrong_with_a_period_is_one_condition_each() {
    let mut drive = Drive::new();
    put(
        &mut drive,
        &period("bad", 1, &days("2026-02-30", "2026-06-30")),
    );
    drive.wait(2);
    let (status, reason, message) = condition(&said(&drive, "bad"), "Ready");
    assert_eq!((&*status, &*reason), ("False", "InvalidSpec"));
    assert!(message.contains("2026-02-30"), "{message}");
    put(
        &mut drive,
        &period("h1", 1, &days("2026-01-01", "2026-06-30")),
    );
    let standing = Standing {
        log_begins: Some("2026-03-01T00:00:00Z".parse().unwrap()),
        elsewhere: Some("another replica led".to_owned()),
        empty: Some("no policy was in force: there is nothing to report".to_owned()),
        ..told(0)
    };
    read(&mut drive, &Ok(standing));
    let observed = said(&drive, "h1");
    let (status, _, message) = condition(&observed, "StartsBeforeLog");
    assert_eq!(status, "True");
    assert!(message.contains("2026-03-01T00:00:00Z"), "{message}");
    assert_eq!(condition(&observed, "Empty").0, "True");
    let led = condition(&observed, "LedElsewhere");
    assert_eq!((&*led.0, &*led.2), ("True", "another replica led"));
    assert_eq!(
        condition(&observed, "Ready").0,
        "True",
        "it is judged all the same"
    );
}
