//! The account against an oracle that holds every entry and counts by brute force.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::evidence::{Body, Entry, body, words};

mod clocks;
mod dues;
mod history;
mod living;
mod oracle;
mod soak;
mod stories;

/// Midnight before the first entry of all tests.
const ZERO: &str = "2026-03-01T00:00:00Z";

fn minute(minute: i64) -> Timestamp {
    ZERO.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// The entries of a log, numbered.
fn log(said: Vec<(i64, Body)>) -> Vec<Entry> {
    let entries = said.into_iter().enumerate();
    entries
        .map(|(seq, (at, body))| Entry {
            v: 1,
            seq: seq as u64,
            time: minute(at),
            body,
        })
        .collect()
}

#[test]
fn what_retention_has_removed_is_counted_though_some_of_it_is_carried() {
    let pruned = body::Pruned {
        before: 512,
        until: minute(0),
        rule: "400 days".to_owned(),
        carried: None,
    };
    let frame = Frame::new("day", "2026-03-01", "2026-03-01", "UTC").unwrap();
    let mut account = Account::new(frame);
    for entry in log(vec![(0, pruned.into())]) {
        account.take(&entry, &mut Kept::default());
    }
    let summary = account.finish(minute(60 * 25), &mut Kept::default());
    assert_eq!(summary.log.removed, 512);
}

/// An account of a day of which the log says this.
fn account_of(day: &str, said: Vec<(i64, Body)>) -> Account {
    let mut account = Account::new(Frame::new("day", day, day, "UTC").unwrap());
    for entry in log(said) {
        account.take(&entry, &mut Kept::default());
    }
    account
}

fn stop() -> Body {
    let reason = "SIGTERM".into();
    body::Stop { reason }.into()
}

#[test]
fn a_period_that_has_not_begun_is_not_judged() {
    let account = account_of("2030-01-01", vec![(0, stop())]);
    let summary = account.finish(minute(60), &mut Kept::default());
    assert!(summary.is_ahead());
    assert_eq!(summary.warnings.len(), 1);
    assert!(summary.warnings[0].contains("has not begun"));
    let account = account_of("2026-03-01", vec![(0, stop()), (9, stop())]);
    let summary = account.finish(minute(60), &mut Kept::default());
    assert!(!summary.is_ahead() && !summary.warnings.join("").contains("not begun"));
}

#[test]
fn nobody_is_said_to_have_led_before_the_first_term() {
    let term = |epoch| -> Body {
        body::Term {
            holder: "probity-0".into(),
            epoch,
            predecessor: None,
            before: None,
        }
        .into()
    };
    let said = vec![(0, stop()), (2, term(1)), (9, term(2))];
    let account = account_of("2026-03-01", said);
    let why: Vec<&str> = account
        .interruptions
        .iter()
        .map(|cause| cause.why.as_str())
        .collect();
    assert!(why[0].starts_with("before the first heartbeat"), "{why:?}");
    assert!(why[1].contains("had ended without a word"), "{why:?}");
}

/// Keeps all that it is given.
#[derive(Debug, Default)]
struct Kept {
    deviations: Vec<Deviation>,
    members: Vec<Member>,
    gaps: Vec<Unobserved>,
    remedies: u64,
}

impl Sink for Kept {
    fn deviation(&mut self, deviation: &Deviation) {
        self.deviations.push(deviation.clone());
    }
    fn member(&mut self, member: &Member) {
        self.members.push(member.clone());
    }
    fn gap(&mut self, _: &body::Name, _: &body::Name, gap: &Unobserved) {
        self.gaps.push(gap.clone());
    }
    fn remedy(&mut self, _: Timestamp, _: &body::Intent, _: Timestamp, _: &body::ActionOutcome) {
        self.remedies += 1;
    }
}

fn account(frame: &Frame, entries: &[Entry], now: Timestamp) -> (Summary, Kept) {
    let mut sink = Kept::default();
    let mut account = Account::new(frame.clone());
    for entry in entries {
        account.take(entry, &mut sink);
    }
    (account.finish(now, &mut sink), sink)
}

fn check(frame: &Frame, entries: &[Entry]) -> Result<(), TestCaseError> {
    let (summary, kept) = account(frame, entries, frame.to);
    let oracle = oracle::Oracle::new(entries, frame);
    let keys = oracle.keys();
    let told: Vec<_> = summary
        .controls
        .iter()
        .map(|o| (o.policy.to_string(), o.control.to_string()))
        .collect();
    let mut sorted = told.clone();
    sorted.sort();
    prop_assert_eq!(sorted, keys.clone());
    let mut expected_deviations = 0;
    for operation in &summary.controls {
        let key = (operation.policy.to_string(), operation.control.to_string());
        let expected = oracle.whole(&key);
        prop_assert_eq!(
            &operation.numbers,
            &expected.numbers,
            "the period of {:?}",
            key
        );
        prop_assert_eq!(
            operation.coverage.observed,
            expected.observed,
            "coverage of {:?}",
            key
        );
        let gaps: SignedDuration = kept_gaps(operation)
            .iter()
            .map(|gap| gap.to.duration_since(gap.from))
            .fold(SignedDuration::ZERO, |a, b| a + b);
        prop_assert_eq!(
            gaps + expected.observed,
            operation.coverage.of,
            "gaps are what was not observed"
        );
        let moved = &operation.numbers.population;
        prop_assert_eq!(moved.opening + moved.added - moved.removed, moved.closing);
        let parts = oracle.parts(&key);
        let told: Vec<_> = operation.segments.iter().map(|s| (s.from, s.to)).collect();
        let windows: Vec<_> = parts.iter().map(|(from, to, _)| (*from, *to)).collect();
        prop_assert_eq!(told, windows, "segments of {:?}", key);
        for (segment, (_, _, expected)) in operation.segments.iter().zip(&parts) {
            prop_assert_eq!(
                &segment.numbers,
                &expected.numbers,
                "segment {} of {:?}",
                segment.from,
                key
            );
            prop_assert_eq!(segment.coverage.observed, expected.observed);
        }
        expected_deviations += expected.numbers.deviations.times.count;
    }
    prop_assert_eq!(
        kept.deviations.len() as u64,
        expected_deviations,
        "each deviation is handed over once"
    );
    Ok(())
}

fn kept_gaps(operation: &Operation) -> &[Unobserved] {
    assert_eq!(
        operation.gap_count,
        operation.gaps.len() as u64,
        "few enough to be listed"
    );
    &operation.gaps
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn days_come_to_the_numbers_of_the_oracle(
        steps in history::steps(80, 40),
        from in 0i64..2, days in 0i64..3,
    ) {
        let entries = log(history::play(&steps));
        check(&frame(from, from + days), &entries)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
    #[test]
    fn months_come_to_the_numbers_of_the_oracle(steps in history::steps(400, 400), days in 20i64..100) {
        let entries = log(history::play(&steps));
        check(&frame(5, 5 + days), &entries)?;
    }
}

/// From one day of the tests to another.
fn frame(from: i64, to: i64) -> Frame {
    let day = |day: i64| minute(day * 24 * 60).to_string()[..10].to_owned();
    Frame::new("test", &day(from), &day(to), "UTC").unwrap()
}
