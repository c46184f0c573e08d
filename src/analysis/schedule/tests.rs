use proptest::prelude::*;

use super::*;
use Dialect::{Netresearch, Robfig};

fn parse(text: &str, dialect: Dialect) -> Schedule {
    Schedule::parse(text, None, dialect).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn interval(text: &str, dialect: Dialect) -> Option<u64> {
    parse(text, dialect).worst_interval().map(|d| d.as_secs())
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[test]
fn the_next_due_time_is_strictly_later() {
    for (text, from, next) in [
        ("0 1 * * *", "2026-06-01T01:00:00Z", "2026-06-02T01:00:00Z"),
        (
            "0 1 * * *",
            "2026-06-01T00:59:59.5Z",
            "2026-06-01T01:00:00Z",
        ),
        ("@hourly", "2026-06-01T12:00:00Z", "2026-06-01T13:00:00Z"),
        ("@daily", "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"),
        ("@weekly", "2026-06-01T12:00:00Z", "2026-06-07T00:00:00Z"),
        ("@monthly", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("@yearly", "2026-06-01T12:00:00Z", "2027-01-01T00:00:00Z"),
        (
            "@every 1h30m",
            "2026-06-01T12:00:00.7Z",
            "2026-06-01T13:30:00Z",
        ),
        (
            "5/20 * * * *",
            "2026-06-01T12:26:00Z",
            "2026-06-01T12:45:00Z",
        ),
        (
            "0 0 29 feb ?",
            "2026-06-01T12:00:00Z",
            "2028-02-29T00:00:00Z",
        ),
        (
            "0 9 * * MON-fri",
            "2026-06-05T09:00:00Z",
            "2026-06-08T09:00:00Z",
        ),
    ] {
        let found = parse(text, Robfig).next_after(at(from));
        assert_eq!(found, Some(at(next)), "{text} after {from}");
    }
}

#[test]
fn what_is_never_due_is_found_out() {
    for text in ["0 0 30 2 *", ", * * * *"] {
        let never = parse(text, Robfig);
        assert_eq!(never.next_after(at("2026-06-01T00:00:00Z")), None, "{text}");
        assert_eq!(never.worst_interval(), None, "{text}");
    }
}

#[test]
fn an_hour_that_the_clock_skips_is_not_run_and_one_that_it_repeats_is_run_twice() {
    let berlin = parse("CRON_TZ=Europe/Berlin 30 2 * * *", Robfig);
    let mut due =
        std::iter::successors(Some(at("2026-03-27T12:00:00Z")), |t| berlin.next_after(*t));
    let spring: Vec<_> = due.by_ref().skip(1).take(2).collect();
    assert_eq!(
        spring,
        [at("2026-03-28T01:30:00Z"), at("2026-03-30T00:30:00Z")]
    );
    let twice = berlin.next_after(at("2026-10-25T00:30:00Z"));
    assert_eq!(twice, Some(at("2026-10-25T01:30:00Z")));
}

#[test]
fn the_zone_of_the_expression_goes_before_the_argument() {
    let due = |text, zone| {
        let schedule = Schedule::parse(text, zone, Robfig).unwrap();
        schedule.next_after(at("2026-01-01T12:00:00Z")).unwrap()
    };
    assert_eq!(
        due("0 1 * * *", Some("Asia/Tokyo")),
        at("2026-01-01T16:00:00Z")
    );
    let own = due("TZ=Asia/Kolkata 0 1 * * *", Some("Asia/Tokyo"));
    assert_eq!(own, at("2026-01-01T19:30:00Z"));
}

#[test]
fn the_dialects_differ_where_both_days_are_restricted() {
    for (text, robfig, netresearch) in [
        ("0 1 * * *", Some(DAY), Some(DAY)),
        ("0 1 1 * 1", Some(7 * DAY), Some(427 * DAY)),
        ("0 1 */2 * 1", Some(2 * DAY), Some(21 * DAY)),
        ("0 1 * * 1-5", Some(3 * DAY), Some(3 * DAY)),
        ("0 1,13 * * *", Some(12 * HOUR), Some(12 * HOUR)),
        (
            "*/7 9-17 * * *",
            Some(15 * HOUR + 4 * 60),
            Some(15 * HOUR + 4 * 60),
        ),
        ("0 0 29 2 *", Some(1461 * DAY), Some(1461 * DAY)),
        ("0 0 1 * *", Some(31 * DAY), Some(31 * DAY)),
        ("@every 36h", Some(36 * HOUR), Some(36 * HOUR)),
        ("@every 1.5s", Some(1), Some(1)),
    ] {
        assert_eq!(interval(text, Robfig), robfig, "{text}");
        assert_eq!(interval(text, Netresearch), netresearch, "{text}");
    }
}

#[test]
fn seven_and_ranges_that_wrap_are_for_one_dialect_only() {
    for text in ["0 1 * * 7", "0 22-2 * * *", "0 1 * * fri-mon", "@manual"] {
        assert!(Schedule::parse(text, None, Robfig).is_err(), "{text}");
        assert!(Schedule::parse(text, None, Netresearch).is_ok(), "{text}");
    }
    assert_eq!(parse("0 1 * * 7", Netresearch), parse("0 1 * * 0", Robfig));
    assert_eq!(
        parse("0 1 * * fri-mon", Netresearch),
        parse("0 1 * * 0,1,5,6", Robfig)
    );
    for text in ["*/60 * * * *", "@every 10ms"] {
        assert!(Schedule::parse(text, None, Robfig).is_ok(), "{text}");
        assert!(Schedule::parse(text, None, Netresearch).is_err(), "{text}");
    }
}

#[test]
fn errors_are_sentences() {
    for (text, error) in [
        ("", "five fields are expected, 0 are there"),
        ("0 0 1 * * *", "five fields are expected, 6 are there"),
        (
            "60 * * * *",
            "\"60\" in the field \"minute\": values are 0 to 59",
        ),
        (
            "5-1 * * * *",
            "\"5-1\" in the field \"minute\": the range ends before it begins",
        ),
        (
            "*/0 * * * *",
            "\"*/0\" in the field \"minute\": the step is zero",
        ),
        (
            "0 0 L * *",
            "\"L\" in the field \"day of the month\": \"L\" is no day of the month",
        ),
        (
            "1-2-3 * * * *",
            "\"1-2-3\" in the field \"minute\": more than one hyphen",
        ),
        (
            "1/2/3 * * * *",
            "\"1/2/3\" in the field \"minute\": more than one slash",
        ),
        ("@never", "\"@never\" is not known"),
        ("TZ=UTC", "nothing follows the time zone"),
        (
            "TZ=europe/berlin * * * * *",
            "there is no time zone \"europe/berlin\"",
        ),
        (
            "@every soon",
            "\"soon\" is no duration: write hours, minutes and seconds as in 1h30m",
        ),
    ] {
        let found = Schedule::parse(text, None, Robfig);
        assert_eq!(found, Err(error.to_owned()), "{text}");
    }
}

/// What `robfig/cron` 3.0.1 and `netresearch/go-cron` 0.15.0 themselves answered to random
/// expressions: expression, start, and the next due time of each (0: never; ERR: refused).
#[test]
fn both_libraries_agree_with_us() {
    for line in include_str!("answers.txt").lines() {
        let [text, start, robfig, netresearch] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let start = Timestamp::from_second(start.parse().unwrap()).unwrap();
        for (dialect, answer) in [(Robfig, robfig), (Netresearch, netresearch)] {
            let found = match Schedule::parse(text, None, dialect) {
                Err(_) => "ERR".to_owned(),
                Ok(schedule) => schedule
                    .next_after(start)
                    .map_or_else(|| "0".to_owned(), |t| t.as_second().to_string()),
            };
            assert_eq!(found, answer, "{dialect:?}: {line}");
        }
    }
}

/// A field of an expression, with the values that it means.
fn field(min: u32, max: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let part = (min..=max, min..=max, 1..6_u32).prop_map(|(a, b, step)| {
        let (low, high) = (a.min(b), a.max(b));
        let values = (low..=high).step_by(step as usize).collect::<Vec<_>>();
        (format!("{low}-{high}/{step}"), values)
    });
    let list = prop::collection::vec(part, 1..3).prop_map(|parts| {
        let text: Vec<_> = parts.iter().map(|(text, _)| text.clone()).collect();
        (
            text.join(","),
            parts.into_iter().flat_map(|(_, v)| v).collect(),
        )
    });
    prop_oneof![Just(("*".to_owned(), (min..=max).collect())), list]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_next_due_time_is_what_a_scan_of_all_minutes_finds(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 31), weekday in field(0, 6),
        either in any::<bool>(),
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu",
        ]),
        // From 2017 on: Sao Paulo still skipped midnight.
        start in 1_483_228_800_i64..1_800_000_000,
    ) {
        let dialect = if either { Robfig } else { Netresearch };
        let text = format!("{} {} {} * {}", minute.0, hour.0, day.0, weekday.0);
        let Ok(schedule) = Schedule::parse(&text, Some(zone), dialect) else { return Ok(()) };
        let start = Timestamp::from_second(start).unwrap();
        let zone = parse::zone(zone).unwrap();
        let or = either && day.0 != "*" && weekday.0 != "*";
        let holds = |value: i8, of: &[u32]| of.iter().any(|v| i8::try_from(*v) == Ok(value));
        let due = |t: &Timestamp| {
            let local = zone.to_datetime(*t);
            let by_date = holds(local.day(), &day.1);
            let by_weekday = holds(local.weekday().to_sunday_zero_offset(), &weekday.1);
            (if or { by_date || by_weekday } else { by_date && by_weekday })
                && holds(local.hour(), &hour.1)
                && holds(local.minute(), &minute.1)
        };
        let first = start.as_second().div_euclid(60) + 1;
        let mut minutes = (first..first + 15 * 24 * 60)
            .map(|minute| Timestamp::from_second(minute * 60).unwrap());
        let found = schedule.next_after(start);
        match minutes.find(due) {
            Some(scanned) => prop_assert_eq!(found, Some(scanned), "{}", text),
            None => prop_assert!(found.is_none_or(|t| t.as_second() >= (first + 15 * 24 * 60) * 60)),
        }
    }

    #[test]
    fn no_gap_between_due_times_is_longer_than_the_worst(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12),
        weekday in field(0, 6),
        start in 978_307_200_i64..2_000_000_000,
    ) {
        let text = format!("{} {} {} {} {}", minute.0, hour.0, day.0, month.0, weekday.0);
        let schedule = parse(&text, Robfig);
        let mut due = vec![Timestamp::from_second(start).unwrap()];
        due.extend(std::iter::successors(schedule.next_after(due[0]), |t| schedule.next_after(*t)).take(200));
        let worst = schedule.worst_interval().map(|d| d.as_secs());
        for pair in due[1..].windows(2) {
            let gap = u64::try_from(pair[1].as_second() - pair[0].as_second()).unwrap();
            prop_assert!(Some(gap) <= worst, "{text}");
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_answered(text in "\\PC{0,40}", numbers in "[0-9*/,@a-z -]{0,40}") {
        for text in [text, numbers] {
            for dialect in [Robfig, Netresearch] {
                if let Ok(schedule) = Schedule::parse(&text, None, dialect) {
                    let _ = (schedule.worst_interval(), schedule.next_after(Timestamp::UNIX_EPOCH));
                }
            }
        }
    }
}

#[test]
fn an_hour_that_the_clock_skips_is_made_up_for_by_the_newer_velero_only() {
    let next = |text: &str, dialect, after: &str| {
        let schedule = Schedule::parse(text, Some("Europe/Berlin"), dialect).unwrap();
        schedule.next_after(at(after)).unwrap()
    };
    // From two to three o'clock of the 29th of March 2026 there was nothing.
    let eve = "2026-03-28T12:00:00Z";
    for (text, dialect, due) in [
        ("30 2 * * *", Robfig, "2026-03-30T00:30:00Z"),
        ("30 2 * * *", Netresearch, "2026-03-29T01:30:00Z"),
        ("30 2,3 * * *", Netresearch, "2026-03-29T01:30:00Z"),
        ("30 1,2 * * *", Netresearch, "2026-03-29T00:30:00Z"),
    ] {
        assert_eq!(next(text, dialect, eve), at(due), "{text} {dialect:?}");
    }
    let just_before = "2026-03-29T00:59:30Z";
    assert_eq!(
        next("30 2 * * *", Netresearch, just_before),
        at("2026-03-29T01:30:00Z")
    );
}

#[test]
fn expressions_of_databases_begin_with_the_second() {
    use Dialect::Seconds;
    let next = |text: &str| {
        let schedule = Schedule::parse(text, None, Seconds).unwrap();
        schedule.next_after(at("2026-06-01T12:00:00Z")).unwrap()
    };
    for (text, due) in [
        ("0 0 1 * * *", "2026-06-02T01:00:00Z"),
        ("30 0 1 * * *", "2026-06-02T01:00:30Z"),
        ("0 0 * * *", "2026-06-01T13:00:00Z"),
        ("@weekly", "2026-06-07T00:00:00Z"),
    ] {
        assert_eq!(next(text), at(due), "{text}");
    }
    assert_eq!(interval("0 0 * * *", Seconds), Some(HOUR));
    for text in ["0 1 * *", "0 0 0 1 * * *", "60 0 1 * * *"] {
        assert!(Schedule::parse(text, None, Seconds).is_err(), "{text}");
    }
}
