//! What failed already when a policy first looked, told from what failed later.

use super::*;
use crate::engine::{Finding, NetworkProbe, Route};

const UNKNOWN: Option<Outcome> = Some(Outcome::Unknown);

/// How many deviations of the policy are open, by origin.
fn open(drive: &Drive) -> (u64, u64) {
    let (mut baseline, mut new) = (0, 0);
    for series in drive.engine.series("soc2") {
        let count = |origin| {
            series
                .deviations
                .get(&origin)
                .map_or(0, |(count, _)| *count)
        };
        baseline += count(Origin::Baseline);
        new += count(Origin::New);
    }
    (baseline, new)
}

fn probing() -> Value {
    json!({ "controls": { "netPolicyEnforced": { "run": true } } })
}

/// The network probe finds that policies are enforced, or that they are not.
fn probe(drive: &mut Drive, enforced: bool) {
    let route = if enforced {
        Route::Enforced
    } else {
        Route::NotEnforced("under deny".to_owned())
    };
    let run = NetworkProbe {
        at: drive.wall,
        routes: [("same node".into(), route)].into(),
    };
    drive.apply(Event::Found(Finding::NetworkProbe(run)));
    drive.round();
}

#[test]
fn what_failed_at_first_sight_is_a_baseline_also_after_a_restart() {
    let mut drive = Drive::new();
    drive.namespace("bare");
    drive.policy(1, observe());
    assert_eq!(open(&drive), (1, 0));
    drive.namespace("late");
    assert_eq!(open(&drive), (1, 1), "what comes later, and fails, is new");
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("bare");
    again.namespace("late");
    again.policy(1, observe());
    again.lead(2);
    assert_eq!(open(&again), (1, 1));
}

#[test]
fn an_edited_policy_makes_no_baseline_of_what_is_new_also_after_a_restart() {
    let mut drive = Drive::new();
    drive.namespace("bare");
    drive.policy(1, observe());
    drive.namespace("late");
    let since = oldest(&drive);
    let mut edited = observe();
    edited["scope"] = json!({ "exclude": ["elsewhere"] });
    drive.policy(2, edited.clone());
    assert_eq!(open(&drive), (1, 1));
    assert_eq!(oldest(&drive), since);
    let mut again = Drive::with_memory(drive.memory());
    again.namespace("bare");
    again.namespace("late");
    again.policy(2, edited);
    again.lead(2);
    assert_eq!(open(&again), (1, 1));
    assert_eq!(oldest(&again), since);
}

/// Since when the policy has deviations that are new.
fn oldest(drive: &Drive) -> Option<Timestamp> {
    let mut series = drive.engine.series("soc2").into_iter();
    series.find_map(|series| series.deviations.get(&Origin::New).map(|(_, since)| *since))
}

#[test]
fn what_is_seen_for_the_first_time_after_a_while_is_a_baseline_too() {
    let mut drive = Drive::new();
    drive.policy(1, probing());
    probe(&mut drive, false);
    assert_eq!(open(&drive), (1, 0));
    let seen = [
        (None, UNKNOWN, Why::Policy, None),
        (UNKNOWN, FAIL, Why::Visibility, None),
    ];
    assert_eq!(drive.transitions(), seen);
    probe(&mut drive, true);
    assert_eq!(open(&drive), (0, 0));
    probe(&mut drive, false);
    assert_eq!(open(&drive), (0, 1), "it has passed before");
}

#[test]
fn what_is_not_seen_yet_after_a_restart_has_not_ended() {
    let mut drive = Drive::new();
    drive.policy(1, probing());
    probe(&mut drive, false);
    let mut again = Drive::with_memory(drive.memory());
    again.policy(1, probing());
    again.lead(2);
    assert_eq!(again.transitions(), [(FAIL, UNKNOWN, Why::Object, None)]);
    assert_eq!(open(&again), (1, 0), "what can't be seen is still open");
    let mut third = Drive::with_memory(again.memory_after(&drive));
    third.policy(1, probing());
    third.lead(3);
    probe(&mut third, false);
    assert_eq!(open(&third), (1, 0), "it is the same deviation");
    probe(&mut third, true);
    assert_eq!(open(&third), (0, 0));
}
