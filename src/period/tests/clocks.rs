//! Clocks that jump.

use super::{
    stories::{beat, joined, policy, term},
    *,
};

const CONTROL: &str = "net-host-network";

fn on() -> Body {
    policy(&json!({ "netHostNetwork": {} }))
}

#[test]
fn a_clock_that_runs_ahead_for_a_while_neither_ends_the_period_nor_hides_it() {
    let years = 10 * 365 * 24 * 60;
    let asleep = body::Gap {
        scope: "all".to_owned(),
        from: minute(2),
        to: Some(minute(years)),
        cause: "the process did not run".to_owned(),
    };
    let entries = log(vec![
        (0, term()),
        (0, on()),
        (1, beat(CONTROL, 0)),
        (2, beat(CONTROL, 0)),
        // It is minute 3 to 5.
        (years, asleep.into()),
        (years, beat(CONTROL, 0)),
        (years + 1, joined(CONTROL, "shop")),
        (years + 2, beat(CONTROL, 1)),
        (5, beat(CONTROL, 1)),
        (6, beat(CONTROL, 1)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(6));
    let control = &summary.controls[0];
    assert_eq!(control.coverage.observed, minutes(5), "{control:?}");
    assert_eq!(control.numbers.population.closing, 1);
    assert_eq!(
        summary.clock_steps,
        [ClockStep {
            entry: EntryId { log: 1, seq: 4 },
            seconds: (years - 2) * 60,
            direction: Direction::Ahead,
        }]
    );
    assert!(!summary.over && summary.until == minute(6));
}

#[test]
fn an_outage_is_no_clock_that_runs_ahead() {
    let week = 7 * 24 * 60;
    let mut said = vec![(0, term()), (0, on()), (1, beat(CONTROL, 0))];
    said.extend((0..1200).map(|at| (week + at, beat(CONTROL, 0))));
    // By a minute it is set back, as it happens.
    said.push((week + 1198, beat(CONTROL, 0)));
    said.push((week + 1200, beat(CONTROL, 0)));
    let (summary, _) = account(&frame(0, 30), &log(said), minute(week + 1200));
    assert_eq!(summary.controls[0].coverage.observed, minutes(1200));
    assert_eq!(summary.clock_step_count, 1);
    assert_eq!(summary.until, minute(week + 1200));
}

#[test]
fn what_follows_a_long_pause_counts_also_where_the_log_ends_soon_after() {
    let later = 3 * 60;
    let entries = log(vec![
        (0, term()),
        (0, on()),
        (1, beat(CONTROL, 0)),
        (later, beat(CONTROL, 0)),
        (later + 1, beat(CONTROL, 0)),
    ]);
    let (summary, _) = account(&frame(0, 0), &entries, minute(later + 1));
    assert_eq!(summary.controls[0].coverage.observed, minutes(1));
    assert!(summary.clock_steps.is_empty());
}

#[test]
fn a_clock_that_is_set_again_and_again_fills_no_memory() {
    let mut said = vec![(0, term()), (0, on())];
    for _ in 0..300 {
        said.push((30, beat(CONTROL, 0)));
        said.push((20, beat(CONTROL, 0)));
        said.push((21, beat(CONTROL, 0)));
    }
    let (summary, _) = account(&frame(0, 0), &log(said), minute(30));
    assert_eq!(
        (summary.clock_steps.len(), summary.clock_step_count),
        (100, 300)
    );
}

#[test]
fn entries_are_named_with_the_log_that_numbers_them() {
    let began = |origin: &str| {
        Body::Epoch(body::Epoch {
            origin: origin.to_owned(),
            key: "k".to_owned(),
            cause: "Lost".into(),
            before: None,
            planned: false,
        })
    };
    let mut entries = log(vec![(0, began("one")), (0, term()), (1, on())]);
    entries.extend(log(vec![(2, began("two")), (3, term()), (4, on())]));
    let (summary, _) = account(&frame(0, 0), &entries, minute(9));
    let named: Vec<_> = summary
        .policy_changes
        .iter()
        .map(|step| step.entry.to_string())
        .collect();
    assert_eq!(named, ["1/2", "2/2"]);
    let parts: Vec<_> = summary
        .parts
        .iter()
        .map(|part| (part.log, part.first, part.last))
        .collect();
    assert_eq!(parts, [(1, 0, 2), (2, 0, 2)]);
}
