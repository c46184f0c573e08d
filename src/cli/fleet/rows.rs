//! Which entries of verified logs are in no file of the index, or in two.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::evidence::{
    LogError,
    index::{self, Signed, Span},
};

/// The uid of the cluster whose log it is; empty where the origin names none.
pub(super) fn cluster_of(origin: &str) -> &str {
    origin.split('/').nth(1).unwrap_or_default()
}

/// What is to be told of rows.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What is wrong.
    pub(super) problems: Vec<String>,
    /// What isn't, and is to be known.
    pub(super) remarks: Vec<String>,
}

/// Entries of which there is no row, and entries of which there are two.
///
/// # Errors
///
/// If an entry can't be read whose time says whether its row is due.
pub(super) fn missing(logs: &BTreeMap<String, Signed>, spans: &[Span]) -> Result<Told, LogError> {
    let ends = last_times(logs)?;
    let mut told = Told::default();
    for (origin, log) in logs {
        let mut ours: Vec<&Span> = spans.iter().filter(|span| span.origin == *origin).collect();
        ours.sort_unstable_by_key(|span| span.first);
        let mut end = log.first;
        for span in ours {
            if span.end <= end && end == log.first {
                continue; // of entries that retention has removed
            }
            let first = span.first.max(log.first);
            if first > end {
                told.problems.push(format!(
                    "{origin}: entries {end} to {} are in no file",
                    first - 1
                ));
            } else if first < end {
                told.problems.push(format!(
                    "{origin}: entries {first} to {} are in two files",
                    end - 1
                ));
            }
            end = end.max(span.end);
        }
        if end < log.size {
            let last = log.size - 1;
            let time = index::time_of(&log.dir, origin, end)?;
            let until = ends.get(cluster_of(origin)).copied();
            if time
                .zip(until)
                .is_some_and(|(time, until)| is_over(time, until))
            {
                told.problems.push(format!(
                    "{origin}: entries {end} to {last} are in no file, though the day of the first of them is over"
                ));
            } else {
                told.remarks.push(format!(
                    "{origin}: entries {end} to {last} are in no file yet: a day's file is written when the day is over"
                ));
            }
        }
    }
    Ok(told)
}

/// When the last entry was written, by cluster: of all its logs, because one may end on a day on which another goes on.
fn last_times(logs: &BTreeMap<String, Signed>) -> Result<BTreeMap<&str, Timestamp>, LogError> {
    let mut ends = BTreeMap::new();
    for (origin, log) in logs {
        let last = log.size.saturating_sub(1);
        if let Some(time) = index::time_of(&log.dir, origin, last)? {
            let end = ends.entry(cluster_of(origin)).or_insert(time);
            *end = time.max(*end);
        }
    }
    Ok(ends)
}

/// Whether the day of an entry was long over when the last one was written: files are written within an hour.
fn is_over(time: Timestamp, last: Timestamp) -> bool {
    let in_time = last.saturating_sub(SignedDuration::from_hours(2));
    let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    day(time) < day(in_time.unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_two_hours_into_the_next_one() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        for (last, over) in [
            ("2026-01-01T23:59:59Z", false),
            ("2026-01-02T01:59:59Z", false),
            ("2026-01-02T02:00:00Z", true),
            ("2026-03-01T00:00:00Z", true),
        ] {
            assert_eq!(is_over(time("2026-01-01T12:00:00Z"), time(last)), over);
        }
    }

    #[test]
    fn entries_in_no_file_or_in_two_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = |first| Signed {
            dir: folder.path().to_owned(),
            first,
            size: 30,
        };
        let logs = BTreeMap::from([("o".to_owned(), log(0))]);
        let span = |first, end| Span {
            origin: "o".to_owned(),
            first,
            end,
        };
        let spans = [span(20, 25), span(0, 10), span(24, 26)];
        let told = missing(&logs, &spans).unwrap();
        assert_eq!(
            told.problems,
            [
                "o: entries 10 to 19 are in no file",
                "o: entries 24 to 24 are in two files"
            ]
        );
        assert!(told.remarks[0].contains("26 to 29"));
        // What retention has removed is missed by nobody, also where a file has a part of it.
        let logs = BTreeMap::from([("o".to_owned(), log(12))]);
        let spans = [span(0, 5), span(5, 20), span(20, 30)];
        let told = missing(&logs, &spans).unwrap();
        assert_eq!(told.problems, [] as [String; 0]);
    }
}
