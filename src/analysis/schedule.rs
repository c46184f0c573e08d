//! When a cron expression is due, as the programs that run it read it.
//!
//! ```text
//! "CRON_TZ=Europe/Berlin 30 2 * * 1-5" ─► zone + sets of minutes, hours, days …
//!                                          ├─► next_after(t): in absolute time, clock changes included
//!                                          └─► worst_interval(): the longest gap, without clock changes
//! ```

mod parse;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};

/// Which program reads the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `robfig/cron` v3: Kubernetes, and Velero up to 1.18.2. Where both day fields are
    /// restricted, either suffices.
    Robfig,
    /// `robfig/cron` v1 with a field for the second before the others: `CloudNativePG`. The day of
    /// the week may be left out, and a star with a step doesn't restrict a day field.
    Seconds,
    /// `netresearch/go-cron`: Velero from 1.18.3 on. Both day fields must match, 7 is Sunday,
    /// and ranges may wrap around.
    Netresearch,
}

/// A cron expression that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Only on demand.
    Never,
    /// So long after the last run; whole seconds.
    Every(Duration),
    /// At these times.
    At(Fields),
}

/// One bit per value of each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    /// The first second of a minute that is due; others of that minute don't matter to anyone.
    second: u8,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Bit 0 is Sunday.
    weekdays: u64,
    /// Whether one of the two day fields suffices.
    either_day: bool,
    /// Whether what is due in an hour that the clock skips is run in the hour after it.
    catches_up: bool,
}

/// Like `robfig/cron`, we give up on an expression that is not due within so many years.
const YEARS: i16 = 5;
/// Weekdays and leap years repeat after 28 years; seven more hold the gap that spans their end.
const CYCLE: (i16, i16) = (2001, 2035);

impl Schedule {
    /// Reads an expression. The zone counts where the expression has none of its own; without
    /// either, times are UTC. `Err` is a sentence.
    pub fn parse(text: &str, zone: Option<&str>, dialect: Dialect) -> Result<Self, String> {
        let (own, expression) = parse::split_zone(text)?;
        let zone = parse::zone(own.or(zone).unwrap_or("UTC"))?;
        let mut rule = parse::rule(expression, dialect)?;
        // Where no clock changes, both dialects do the same.
        if let Rule::At(fields) = &mut rule
            && zone.to_fixed_offset().is_ok()
        {
            fields.catches_up = false;
        }
        Ok(Self { rule, zone })
    }

    /// The first due time after `t`. An hour that the clock repeats is run twice; one that it skips
    /// is not run, or, by `netresearch/go-cron`, is run in the hour after it unless the hour before
    /// it is due too.
    pub fn next_after(&self, t: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Never => None,
            Rule::Every(period) => Timestamp::from_second(t.as_second())
                .ok()?
                .checked_add(*period)
                .ok(),
            Rule::At(fields) => {
                let second = Duration::from_secs(u64::from(fields.second));
                let found = fields.next_after(t.checked_sub(second).ok()?, &self.zone)?;
                found.checked_add(second).ok()
            }
        }
    }

    /// The longest time between two due times that follow each other, without clock changes.
    /// `None` where there are no two within a generation.
    pub fn worst_interval(&self) -> Option<Duration> {
        match &self.rule {
            Rule::Never => None,
            Rule::Every(period) => Some(*period),
            Rule::At(fields) => fields.worst_interval(),
        }
    }
}

impl Fields {
    /// Between two changes of the clock, local time runs evenly: so each such segment is searched
    /// in local time, and what is found counts if it lies in the segment.
    fn next_after(&self, t: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let minute = t.as_second().div_euclid(60).checked_add(1)?;
        let mut from = Timestamp::from_second(minute.checked_mul(60)?).ok()?;
        let last = Date::new(zone.to_datetime(from).year().checked_add(YEARS)?, 12, 31).ok()?;
        // Between the two, the clock may have changed.
        if let Some(found) = self.caught_up(zone.to_offset(t), from, zone) {
            return Some(found);
        }
        loop {
            let offset = zone.to_offset(from);
            let until = zone.following(from).next().map(|next| next.timestamp());
            let end = until.map_or(last, |until| offset.to_datetime(until).date().min(last));
            if let Some(found) = self.next_local(offset.to_datetime(from), end) {
                let found = offset.to_timestamp(found).ok()?;
                if until.is_none_or(|until| found < until) {
                    return Some(found);
                }
            }
            from = until.filter(|_| end < last)?;
            if let Some(found) = self.caught_up(offset, from, zone) {
                return Some(found);
            }
        }
    }

    /// What is due in the hour that the clock skips at `from`, where that is made up for.
    fn caught_up(&self, before: Offset, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let offset = zone.to_offset(from);
        let start = offset.to_datetime(from);
        let hour = start.hour();
        let skips = offset.seconds() - before.seconds() == 3600 && hour >= 2;
        let due = skips
            && has(self.hours, hour - 1)
            && !has(self.hours, hour - 2)
            && !has(self.hours, hour);
        if !(self.catches_up && due && self.holds(start.date())) {
            return None;
        }
        let minute = (0..60).find(|minute| has(self.minutes, *minute))?;
        offset
            .to_timestamp(start.date().at(hour, minute, 0, 0))
            .ok()
    }

    /// The first local time from `from` on, up to the day `last`.
    fn next_local(&self, from: DateTime, last: Date) -> Option<DateTime> {
        let (mut day, mut hour, mut minute) = (from.date(), from.hour(), from.minute());
        while day <= last {
            if self.holds(day)
                && let Some((hour, minute)) = self.first_in_day(hour, minute)
            {
                return Some(day.at(hour, minute, 0, 0));
            }
            (hour, minute) = (0, 0);
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// Hour and minute of the first due time of a day, from the given ones on.
    fn first_in_day(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        let first = |from: i8| (from..60).find(|m| has(self.minutes, *m));
        let this = has(self.hours, hour).then(|| first(minute)).flatten();
        if let Some(minute) = this {
            return Some((hour, minute));
        }
        let later = (hour + 1..24).find(|h| has(self.hours, *h))?;
        Some((later, first(0)?))
    }

    /// Whether the day is one of its days.
    fn holds(&self, day: Date) -> bool {
        let by_date = has(self.days, day.day());
        let by_weekday = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        let by_day = if self.either_day {
            by_date || by_weekday
        } else {
            by_date && by_weekday
        };
        by_day && has(self.months, day.month())
    }

    fn worst_interval(&self) -> Option<Duration> {
        let hours = (0..24).filter(|hour| has(self.hours, *hour));
        let minutes: Vec<u64> = hours
            .flat_map(|hour| {
                (0..60_u64).map(move |minute| (u64::from(hour.unsigned_abs()), minute))
            })
            .filter(|(_, minute)| self.minutes >> minute & 1 == 1)
            .map(|(hour, minute)| hour * 60 + minute)
            .collect();
        let (first, last) = (minutes.first()?, minutes.last()?);
        let within = minutes.windows(2).map(|pair| pair[1] - pair[0]).max();
        let between = self.worst_days()? * 24 * 60 - last + first;
        Some(Duration::from_secs(
            60 * between.max(within.unwrap_or_default()),
        ))
    }

    /// The longest distance between two of its days that follow each other.
    fn worst_days(&self) -> Option<u64> {
        let first = Date::constant(CYCLE.0, 1, 1);
        let (mut worst, mut previous) = (None, None);
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok())
            .take_while(|day| day.year() <= CYCLE.1);
        for (number, day) in (0_u64..).zip(days) {
            if self.holds(day)
                && let Some(previous) = previous.replace(number)
            {
                worst = worst.max(Some(number - previous));
            }
        }
        worst
    }
}

const fn has(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}
