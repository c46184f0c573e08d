//! What the status of a period says while it goes on.

use super::{
    history,
    stories::{beat, joined, policy, term},
    *,
};
use crate::api::ObservedPeriod;

const CONTROL: &str = "net-host-network";

fn standing(frame: &Frame, entries: &[Entry], now: Timestamp) -> Standing {
    let mut standings = Standings::new(frame.from);
    let mut account = Account::new(frame.clone());
    for entry in entries {
        account.take(entry, &mut standings);
    }
    let summary = account.finish(now, &mut standings);
    standings.standing(&summary)
}

fn beats(from: i64, to: i64, count: u64) -> Vec<(i64, Body)> {
    (from..to).map(|at| (at, beat(CONTROL, count))).collect()
}

#[test]
fn it_says_the_same_again_and_again_while_nothing_happens() {
    let frame = frame(0, 30);
    let mut said = vec![
        (0, term()),
        (0, policy(&json!({ "netHostNetwork": {} }))),
        (0, joined(CONTROL, "shop")),
    ];
    said.extend(beats(1, 100, 1));
    // A gap of 20 minutes, and heartbeats again.
    said.extend(beats(120, 200, 1));
    let first = standing(&frame, &log(said.clone()), minute(200));
    said.extend(beats(200, 400, 1));
    let second = standing(&frame, &log(said.clone()), minute(401));
    assert_eq!(first, second);
    let control = &first.observed.controls[0];
    assert_eq!((control.gaps, control.unobserved_seconds), (2, 22 * 60));
    assert_eq!(control.unobserved_since, None);
    let share = 1.0 - 22.0 / (31.0 * 24.0 * 60.0);
    assert_eq!(control.coverage, format!("{share:.6}"));
    // Nobody looks any more: since when, and not for how long.
    let blind = body::Gap {
        scope: "all".to_owned(),
        from: minute(400),
        to: None,
        cause: "forbidden".to_owned(),
    };
    said.push((400, blind.into()));
    said.push((500, term()));
    let third = standing(&frame, &log(said.clone()), minute(500));
    said.push((900, term()));
    assert_eq!(standing(&frame, &log(said), minute(900)), third);
    let control = &third.observed.controls[0];
    let since = control.unobserved_since.as_ref().unwrap().0;
    assert_eq!((since, control.unobserved_seconds), (minute(399), 22 * 60));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn when_it_is_over_it_says_what_the_pack_does(steps in history::steps(80, 40), days in 0i64..3) {
        let entries = log(history::play(&steps));
        let frame = frame(0, days);
        let (summary, kept) = account(&frame, &entries, frame.to);
        let ObservedPeriod { over, deviations, open, controls, .. } =
            standing(&frame, &entries, frame.to).observed;
        prop_assert!(over);
        prop_assert_eq!(deviations, i64::try_from(kept.deviations.len()).unwrap());
        let sum = |of: fn(&Operation) -> u64| summary.controls.iter().map(of).sum::<u64>();
        prop_assert_eq!(open, i64::try_from(sum(|of| of.numbers.deviations.open)).unwrap());
        for operation in &summary.controls {
            let told = controls.iter().find(|told| {
                *told.id == *operation.control && *told.policy == *operation.policy
            });
            let told = told.unwrap();
            let times = &operation.numbers.deviations.times;
            prop_assert_eq!(told.total_seconds, times.total.as_secs());
            prop_assert_eq!(told.longest_seconds, times.longest.as_secs());
            prop_assert_eq!(&told.coverage, &format!("{:.6}", operation.coverage.ratio()));
        }
    }

    #[test]
    fn reading_on_comes_to_the_same_as_reading_anew(steps in history::steps(60, 40), cut in 0usize..200) {
        let entries = log(history::play(&steps));
        let cut = cut.min(entries.len());
        let frame = frame(0, 1);
        let mut standings = Standings::new(frame.from);
        let mut account = Account::new(frame.clone());
        for entry in &entries[..cut] {
            account.take(entry, &mut standings);
        }
        // What is told meanwhile leaves no trace.
        let mut meanwhile = standings.clone();
        account.clone().finish(minute(0), &mut meanwhile);
        for entry in &entries[cut..] {
            account.take(entry, &mut standings);
        }
        let summary = account.finish(frame.to, &mut standings);
        prop_assert_eq!(standings.standing(&summary), standing(&frame, &entries, frame.to));
    }
}

#[test]
fn it_fits_into_etcd_however_many_controls_there_are() {
    let frame = frame(0, 0);
    let mut said = vec![(0, term())];
    for number in 0..600 {
        let Body::Heartbeat(mut heartbeat) = beat(CONTROL, 1) else {
            unreachable!()
        };
        let name = format!("{number}-{}", "x".repeat(200));
        heartbeat.controls[0].policy = (*name).into();
        said.push((1, Body::Heartbeat(heartbeat)));
    }
    let observed = standing(&frame, &log(said), minute(2)).observed;
    let size = serde_json::to_vec(&observed).unwrap().len();
    assert!(size < 60 * 1024, "{size}");
    assert!(!observed.controls.is_empty());
    assert_eq!(
        i64::try_from(observed.controls.len()).unwrap() + observed.omitted,
        600
    );
}

#[test]
fn what_is_wrong_with_it_is_said_once_each() {
    let frame = frame(1, 3);
    let early = standing(&frame, &log(vec![(0, term())]), minute(10));
    assert_eq!(
        (early.log_begins, early.empty),
        (None, None),
        "it has not begun"
    );
    let late = standing(
        &frame,
        &log(vec![(3000, term()), (3001, term())]),
        minute(3001),
    );
    assert_eq!(late.log_begins, Some(minute(3000)));
    assert!(late.empty.unwrap().contains("no policy was in force"));
}

#[test]
fn what_another_replica_led_is_named_and_not_counted() {
    let begins = |at, epoch, predecessor: Option<&str>| {
        let said = body::Term {
            holder: "probity-1".into(),
            epoch,
            predecessor: predecessor.map(str::to_owned),
            before: None,
        };
        (at, said.into())
    };
    let frame = frame(0, 30);
    let on = policy(&json!({ "netHostNetwork": {} }));
    let mut said = vec![begins(60, 2, Some("probity-0_0f")), (60, on)];
    said.extend(beats(61, 90, 1));
    // The same replica again, after a restart: nothing is missing.
    said.push(begins(95, 3, Some("probity-1_0e")));
    said.extend(beats(96, 120, 1));
    said.push(begins(200, 6, Some("probity-0_0d")));
    said.extend(beats(201, 220, 1));
    let entries = log(said);
    let (summary, _) = account(&frame, &entries, minute(220));
    let led = |led: &Elsewhere| (led.from, led.to, led.first, led.last, led.replica.clone());
    let other = Some("probity-0".to_owned());
    assert_eq!(
        summary.elsewhere.iter().map(led).collect::<Vec<_>>(),
        [
            (None, minute(60), 1, 1, other.clone()),
            (Some(minute(119)), minute(200), 4, 5, other)
        ]
    );
    let gaps: Vec<_> = summary.controls[0]
        .gaps
        .iter()
        .map(|gap| gap.causes.join("|"))
        .collect();
    assert!(
        gaps[0].contains("term 1") && !gaps[1].contains("not here"),
        "{gaps:?}"
    );
    assert!(
        gaps[2].contains("probity-0") && gaps[2].contains("terms 4 to 5"),
        "{gaps:?}"
    );
    let named = summary
        .warnings
        .iter()
        .filter(|said| said.contains("counts for nothing here"));
    assert_eq!(named.count(), 2, "{:?}", summary.warnings);
    let told = standing(&frame, &entries, minute(220)).elsewhere.unwrap();
    assert!(
        told.starts_with("another replica led, at last probity-0"),
        "{told}"
    );
    let unknown = Elsewhere {
        replica: None,
        ..summary.elsewhere[0].clone()
    };
    assert_eq!(
        unknown.in_words(),
        "another replica led, or a log of this one was lost: nothing is here of term 1"
    );
}
