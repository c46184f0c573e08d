//! Reads times as they stand in entries. A log has millions of them, and they all look alike.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;

/// Reads a time such as `2026-01-31T09:05:00.123Z`; `None` for what looks otherwise, or is none.
pub(super) fn utc(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (whole, fraction) = bytes.split_at_checked(19)?;
    let digits = |from: usize, to: usize| number(whole.get(from..to)?);
    let marks = [4, 7, 10, 13, 16].map(|at| whole.get(at).copied());
    (marks == [b'-', b'-', b'T', b':', b':'].map(Some)).then_some(())?;
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    // Leap seconds, and whatever is no date, are for a reader that knows them.
    (hour < 24 && minute < 60 && second < 60).then_some(())?;
    let seconds = days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    Timestamp::new(seconds, nanoseconds(fraction)?).ok()
}

/// Days from 1970 to a date, if there is such a date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    /// Days of a year before each month; without the 29th of February.
    const BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let at = usize::try_from(month - 1).ok()?;
    let (before, next) = (*BEFORE.get(at)?, *BEFORE.get(at + 1)?);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap = i64::from(is_leap(year));
    let longer = if month == 2 { leap } else { 0 };
    (1..=next - before + longer).contains(&day).then_some(())?;
    let passed = if month > 2 { leap } else { 0 };
    // Leap days of the years before this one, since the year 0, which is one.
    let leaps = |before: i64| (before + 3) / 4 - (before + 99) / 100 + (before + 399) / 400;
    Some(365 * (year - 1970) + leaps(year) - leaps(1970) + before + passed + day - 1)
}

/// What follows the seconds: a fraction or none, and the mark of UTC.
fn nanoseconds(text: &[u8]) -> Option<i32> {
    let text = text.strip_suffix(b"Z")?;
    if text.is_empty() {
        return Some(0);
    }
    let digits = text
        .strip_prefix(b".")
        .filter(|digits| (1..=9).contains(&digits.len()))?;
    let missing = 9 - u32::try_from(digits.len()).ok()?;
    i32::try_from(number(digits)? * 10_i64.pow(missing)).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_day_of_the_calendar_is_the_one_that_it_is() {
        let mut day = jiff::civil::date(0, 1, 1);
        let last = jiff::civil::date(9999, 12, 30);
        while day < last {
            let text = format!("{day}T23:59:59Z");
            assert_eq!(utc(&text), text.parse().ok(), "{text}");
            day = day.tomorrow().unwrap();
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:0\u{e9}Z",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_it_was_written(second in 0..253_402_207_200_i64, nano in 0..1_000_000_000_i32, cut in 0..10_u32) {
            let nano = nano - nano % 10_i32.pow(cut.min(9));
            let time = Timestamp::new(second, nano).unwrap();
            prop_assert_eq!(utc(&time.to_string()), Some(time));
        }

        /// Never anything else than what a reader of all such times makes of it.
        #[test]
        fn what_is_read_is_what_others_read(text in "[0-9]{4}-[0-3][0-9]-[0-9]{2}T[0-2][0-9]:[0-9]{2}:[0-6][0-9](\\.[0-9]{0,10})?Z?") {
            if let Some(time) = utc(&text) {
                prop_assert_eq!(text.parse().ok(), Some(time));
            }
        }
    }
}
