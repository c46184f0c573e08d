//! What an account of a period finds in what the engine says.

use super::*;
use crate::period::{Account, Frame, NumbersOnly, Operated, Operation};

impl Drive {
    /// So many minutes, a look every half.
    fn minutes(&mut self, count: u64) {
        for _ in 0..count * 2 {
            self.wait(30);
        }
    }

    /// The account of the day on which the tests play.
    fn operations(&self, before: &[Record]) -> Vec<Operation> {
        let frame = Frame::new("day", "2026-06-01", "2026-06-01", "UTC").unwrap();
        let mut account = Account::new(frame);
        let records = before.iter().chain(&self.said);
        for (seq, record) in (0..).zip(records) {
            let (time, body) = (record.time, record.body.clone());
            account.take(
                &Entry {
                    v: 1,
                    seq,
                    time,
                    body,
                },
                &mut NumbersOnly,
            );
        }
        account.finish(self.wall, &mut NumbersOnly).controls
    }
}

/// What an account must find whatever happened: the same subjects as heartbeats count.
fn reconciles(operations: &[Operation]) {
    for operation in operations {
        let said = &operation.reconciliation;
        assert!(said.compared > 0, "{}", operation.control);
        assert_eq!(said.first, None, "{}", operation.control);
    }
}

#[test]
fn populations_agree_with_heartbeats_through_edits_and_suspensions() {
    let mut drive = Drive::new();
    for name in ["bare", "other", "shop"] {
        drive.namespace(name);
    }
    drive.deny("shop");
    drive.policy(1, observe());
    drive.minutes(5);
    let narrower =
        json!({ "scope": { "exclude": ["other"] }, "controls": { "netNamespaceDefaultDeny": {} } });
    drive.policy(2, narrower);
    drive.minutes(5);
    let suspended = json!({ "suspend": true, "controls": { "netNamespaceDefaultDeny": {} } });
    drive.policy(3, suspended);
    drive.minutes(5);
    drive.policy(4, observe());
    drive.minutes(5);
    drive.delete(Kind::Namespace, "", "bare");
    drive.minutes(5);
    let operations = drive.operations(&[]);
    reconciles(&operations);
    let ours = &operations[0];
    assert_eq!(ours.operated, Operated::Operated);
    let counts: Vec<_> = ours
        .segments
        .iter()
        .map(|segment| {
            let numbers = &segment.numbers;
            (
                numbers.population.closing,
                numbers.deviations.times.count,
                numbers.deviations.open,
            )
        })
        .collect();
    // `bare` and `other` fail; when `other` is left out, only `bare` does, and it goes in the end.
    assert_eq!(
        counts,
        [(3, 2, 2), (2, 1, 1), (2, 2, 1)],
        "{:?}",
        ours.segments
    );
    assert_eq!(ours.numbers.population.closing, 2);
    let observed = ours.coverage.observed.as_mins();
    assert!(
        (18..=20).contains(&observed),
        "all but the suspension: {observed} min"
    );
}

#[test]
fn an_account_goes_on_over_a_restart() {
    let mut drive = Drive::new();
    drive.namespace("bare");
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    drive.minutes(5);
    let mut again = Drive::with_memory(drive.memory());
    again.wall = drive.wall + SignedDuration::from_mins(20);
    again.namespace("bare");
    again.namespace("shop");
    again.policy(1, observe());
    again.lead(2);
    again.minutes(5);
    let operations = again.operations(&drive.said);
    reconciles(&operations);
    let ours = &operations[0];
    assert_eq!(
        ours.segments.len(),
        1,
        "its definition is what it was: {:?}",
        ours.segments
    );
    assert_eq!(ours.numbers.population.closing, 2);
    // One failed when first seen, the other one drifted while nobody looked.
    assert_eq!(ours.numbers.deviations.times.count, 2);
    assert_eq!(ours.numbers.deviations.before_observation, 1);
    assert_eq!(ours.numbers.deviations.drift, 1);
    let noticed = ours.numbers.detection.longest.as_mins();
    assert!(
        (20..=22).contains(&noticed),
        "it may have begun when nobody looked: {noticed} min"
    );
}

#[test]
fn the_log_tells_which_namespaces_are_left_out_and_whenever_that_changes() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.namespace("kube-system");
    drive.policy(1, observe());
    drive.minutes(3);
    drive.namespace("probity-system");
    drive.minutes(3);
    let scopes: Vec<_> = drive
        .bodies()
        .filter_map(|body| match body {
            Body::Scope(said) => Some((
                said.included,
                said.excluded
                    .iter()
                    .map(|out| (&*out.namespace, &*out.reason))
                    .collect::<Vec<_>>(),
            )),
            _ => None,
        })
        .collect();
    let system = ("kube-system", "a system namespace");
    assert_eq!(
        scopes,
        [
            (1, vec![system]),
            (1, vec![system, ("probity-system", "a system namespace")])
        ]
    );
}
