//! Single facts of an account, each in a history of its own.

use super::*;
use crate::evidence::{
    SubjectRef,
    body::{
        ControlCounts, Excluded, Heartbeat, Kept as Said, ObjectChange, PolicyChange, Population,
        Scope, Scoped,
    },
    words::{Change, Step},
};
use crate::verdict::Outcome;

pub(super) const RESTORE: &str = "backup-restore-test-current";

pub(super) fn term() -> Body {
    body::Term {
        holder: "h".into(),
        epoch: 1,
        predecessor: None,
        before: None,
    }
    .into()
}

pub(super) fn policy(controls: &serde_json::Value) -> Body {
    PolicyChange {
        policy: "soc2".into(),
        uid: "p".into(),
        generation: 1,
        change: Change::Created,
        who: None,
        old_hash: None,
        new_hash: None,
        spec: Some(json!({ "scope": {}, "controls": controls }).into()),
        enforcing_since: std::collections::BTreeMap::new(),
        limits_release: None,
    }
    .into()
}

pub(super) fn beat(control: &'static str, count: u64) -> Body {
    Heartbeat {
        subjects: count,
        by_outcome: body::Counts::default(),
        controls: vec![ControlCounts {
            policy: "soc2".into(),
            control: control.into(),
            by_outcome: [(Outcome::Pass, count)].into(),
        }],
        table_digest: String::new(),
        kinds: Vec::new(),
    }
    .into()
}

/// A step of an object with which people take part.
pub(super) fn object(kind: &'static str, name: &str, step: Step) -> ObjectChange {
    ObjectChange {
        kind: kind.into(),
        namespace: None,
        name: name.into(),
        uid: "u".into(),
        generation: 1,
        step,
        who: Some("alice".to_owned()),
        old_hash: None,
        new_hash: None,
        spec: None,
        decision: None,
        all_rows: None,
        reason: None,
        expires: None,
    }
}

pub(super) fn class(name: &str) -> SubjectRef {
    SubjectRef {
        group: "probity.dev".into(),
        kind: "BackupClass".into(),
        namespace: None,
        name: name.into(),
        uid: "".into(),
    }
}

pub(super) fn joined(control: &'static str, name: &str) -> Body {
    Population {
        policies: vec!["soc2".into()],
        control: control.into(),
        joined: vec![class(name)],
        left: Vec::new(),
    }
    .into()
}

/// A restore test, as its control keeps it.
pub(super) fn restored(name: &str, day: i64) -> Body {
    Said {
        control: RESTORE.into(),
        subject: class(name),
        field: "kept".to_owned(),
        value: json!({ "value": { "ended": minute(day * 24 * 60).to_string() } }).into(),
    }
    .into()
}

#[test]
fn what_would_be_missing_is_known_while_there_is_time() {
    let entries = log(vec![
        (0, term()),
        (
            0,
            policy(&json!({ "backupRestoreTestCurrent": { "maxAge": "92d" } })),
        ),
        (1, joined(RESTORE, "gold")),
        (1, joined(RESTORE, "silver")),
        (1, restored("gold", 1)),
        (2, restored("silver", 90)),
        (24 * 60 * 60, beat(RESTORE, 2)),
    ]);
    // From 2026-03-01 to 2026-06-09, in its second month.
    let frame = frame(0, 100);
    let (summary, _) = account(&frame, &entries, minute(24 * 60 * 60));
    let due = &summary.controls[0].due;
    assert_eq!(due.len(), 1, "the other class was restored later: {due:?}");
    assert_eq!(due[0].what, "BackupClass gold");
    assert_eq!(due[0].last, Some(minute(24 * 60)));
    assert_eq!(due[0].by, minute(93 * 24 * 60));
    assert!(!due[0].overdue);
    assert!(!summary.over);
}

#[test]
fn no_occurrence_is_not_operated_is_not_operated_at_all() {
    let on = json!({ "backupRestoreTestCurrent": {}, "netHostNetwork": {}, "encIngressTls": {} });
    let entries = log(vec![
        (0, term()),
        (0, policy(&on)),
        (0, joined("net-host-network", "shop")),
        (1, beat(RESTORE, 0)),
        (2, beat(RESTORE, 0)),
        (3, beat("net-host-network", 1)),
        (4, beat("net-host-network", 1)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(10));
    let operated: Vec<_> = summary
        .controls
        .iter()
        .map(|operation| (&*operation.control, operation.operated))
        .collect();
    assert_eq!(
        operated,
        [
            (RESTORE, Operated::NoOccurrence),
            ("enc-ingress-tls", Operated::NotOperated),
            ("net-host-network", Operated::Operated),
        ]
    );
}

#[test]
fn a_heartbeat_that_counts_otherwise_is_told() {
    let entries = log(vec![
        (0, term()),
        (0, policy(&json!({ "netHostNetwork": {} }))),
        (0, joined("net-host-network", "shop")),
        (1, beat("net-host-network", 1)),
        (2, beat("net-host-network", 7)),
        (3, beat("net-host-network", 7)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(10));
    assert_eq!(
        summary.controls[0].reconciliation,
        Reconciliation {
            compared: 3,
            differing: 2,
            first: Some(Difference {
                at: minute(2),
                known: 1,
                counted: 7
            }),
        }
    );
}

#[test]
fn gaps_say_why() {
    let control = "net-host-network";
    let entries = log(vec![
        (60, term()),
        (60, policy(&json!({ "netHostNetwork": {} }))),
        (60, beat(control, 0)),
        (
            61,
            body::Stop {
                reason: "SIGTERM".into(),
            }
            .into(),
        ),
        (90, term()),
        (90, beat(control, 0)),
        (91, beat(control, 0)),
        (200, beat(control, 0)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(10_000));
    let gaps = &summary.controls[0].gaps;
    let told: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.from, gap.to, gap.causes.join("; ")))
        .collect();
    assert_eq!(
        told,
        [
            (minute(0), minute(60), "the log had not begun".to_owned()),
            (
                minute(61),
                minute(90),
                "nobody led after a stop in good order".to_owned()
            ),
            (
                minute(91),
                minute(24 * 60),
                "the log ends; no heartbeat lists the control".to_owned()
            ),
        ]
    );
    assert_eq!(summary.warnings.len(), 2, "{:?}", summary.warnings);
}

#[test]
fn a_clock_that_is_set_back_is_told_and_moves_nothing_back() {
    let entries = log(vec![
        (10, term()),
        (10, policy(&json!({ "netHostNetwork": {} }))),
        (10, beat("net-host-network", 0)),
        (5, beat("net-host-network", 0)),
        (11, beat("net-host-network", 0)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(11));
    assert_eq!(
        summary.clock_steps,
        [ClockStep {
            entry: EntryId { log: 1, seq: 3 },
            seconds: 300,
            direction: Direction::Back,
        }]
    );
    assert_eq!(summary.controls[0].coverage.observed, minutes(1));
}

#[test]
fn an_empty_log_and_a_foreign_policy_are_told() {
    let (summary, _) = account(&frame(0, 0), &[], minute(0));
    assert!(summary.warnings[0].contains("the log is empty"));
    let mut other = frame(0, 0);
    other.policies = vec!["pci".into()];
    let entries = log(vec![
        (0, term()),
        (0, policy(&json!({ "netHostNetwork": {} }))),
    ]);
    let (summary, _) = account(&other, &entries, minute(0));
    assert!(summary.controls.is_empty());
    assert!(
        summary.warnings[0].contains("no policy of this name: pci"),
        "{:?}",
        summary.warnings
    );
}

#[test]
fn namespaces_out_of_scope_are_told_with_their_times() {
    let scope = |names: &[&'static str]| {
        let excluded = names.iter().map(|name| Excluded {
            namespace: (*name).into(),
            reason: "listed in spec.scope.exclude".into(),
        });
        Scope {
            policies: vec!["soc2".into()],
            control: "net-host-network".into(),
            rule_version: Some(1),
            params_hash: Some("p".to_owned()),
            scope_hash: "s".to_owned(),
            included: 3,
            excluded: excluded.collect(),
            also: vec![Scoped {
                control: "net-no-allow-all".into(),
                rule_version: Some(1),
                params_hash: Some("q".to_owned()),
            }],
        }
    };
    let entries = log(vec![
        (0, term()),
        (1, scope(&["a", "b"]).into()),
        (9, scope(&["b", "c"]).into()),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(10));
    let told: Vec<_> = summary.controls[0]
        .excluded
        .iter()
        .map(|excluded| (&*excluded.namespace, excluded.from, excluded.to))
        .collect();
    assert_eq!(
        summary.controls[1].excluded, summary.controls[0].excluded,
        "the list is said once for both"
    );
    assert_eq!(
        told,
        [
            ("a", minute(1), Some(minute(9))),
            ("b", minute(1), None),
            ("c", minute(9), None)
        ]
    );
}

#[test]
fn changes_of_a_period_that_has_begun_are_told() {
    let change = |at: i64, step, start: &str, end: &str| {
        let spec = json!({ "start": start, "end": end, "timeZone": "UTC" });
        let said = ObjectChange {
            spec: Some(spec.into()),
            ..object("AuditPeriod", "test", step)
        };
        (at, Body::Period(said))
    };
    let day = 24 * 60;
    let entries = log(vec![
        change(10, Step::Created, "2026-03-02", "2026-03-31"),
        change(20, Step::Changed, "2026-03-03", "2026-03-31"),
        change(3 * day, Step::Changed, "2026-03-03", "2026-03-10"),
        change(4 * day, Step::Changed, "2026-03-09", "2026-03-10"),
    ]);
    // As the last version has it, the period begins after all of these.
    let (summary, _) = account(&frame(8, 9), &entries, minute(30 * day));
    let told: Vec<_> = summary
        .period_changes
        .iter()
        .map(|step| (step.at, &*step.what))
        .collect();
    assert_eq!(
        told,
        [
            (minute(3 * day), "end 2026-03-31 → 2026-03-10"),
            (minute(4 * day), "start 2026-03-03 → 2026-03-09"),
        ],
        "by one of its versions it had begun"
    );
}

#[test]
fn an_attestation_counts_once_it_is_approved() {
    let step = |at: i64, step, spec: Option<serde_json::Value>| {
        let said = ObjectChange {
            spec: spec.map(Into::into),
            expires: Some(minute(100_000)),
            ..object("Attestation", "board", step)
        };
        (at, Body::Attestation(said))
    };
    let asked = step(
        1,
        Step::Created,
        Some(json!({ "control": "attest-governance" })),
    );
    let attested =
        |entries: Vec<(i64, Body)>| account(&frame(0, 0), &log(entries), minute(10)).0.attested;
    assert!(attested(vec![asked.clone()]).is_empty());
    let approved = step(2, Step::Approved, None);
    assert_eq!(
        attested(vec![asked.clone(), approved.clone()]),
        ["attest-governance"]
    );
    assert!(attested(vec![asked, approved, step(3, Step::Deleted, None)]).is_empty());
}
