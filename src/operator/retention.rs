//! Removes entries that no audit period needs any more, if Probity was told to: looked at once a day.
//!
//! An entry is kept for so many days after the end of every period that covers it or comes after it, and for ever while no
//! period does. Periods that were deleted count like those that are there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, api::ListParams};
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::{
    api::{AuditPeriod, AuditPeriodSpec},
    cluster::client::{Connection, deadline, within},
    engine::Now,
    evidence::{
        Durable, Journal, Reader, Record,
        body::{Body, Pruned},
        prune,
    },
    period::Frame,
};

const DAILY: Duration = Duration::from_hours(24);

/// What may be removed, and where.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Days for which entries are kept after the end of a period.
    pub days: u16,
    /// The data folder.
    pub data: PathBuf,
    /// The folder of the log in it that is written.
    pub log: PathBuf,
    /// When to look first, after the start: other things are more urgent then.
    pub first: Duration,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Somebody looks, or removes.
    Away,
    /// It is being said what will be removed.
    Saying(Pruned, Durable),
    /// The checkpoint must cover so many entries before anything goes.
    Covering(Pruned, u64),
}

/// What a look has found, or a removal has done.
#[derive(Debug)]
pub(crate) enum Step {
    /// This can be removed. What an earlier start has said is said already.
    Found(Option<(Pruned, Said)>),
    /// It was removed.
    Removed(Pruned),
}

/// Whether the log says already that something is to be removed.
pub(crate) type Said = bool;

/// Keeps what must be kept.
#[derive(Debug)]
pub(super) struct Keeper {
    what: Option<Retention>,
    state: State,
    next: Duration,
}

impl Keeper {
    pub(super) fn new(what: Option<Retention>) -> Self {
        Self {
            next: what.as_ref().map_or(Duration::MAX, |what| what.first),
            what,
            state: State::Idle,
        }
    }

    /// Does what is due.
    pub(super) fn turn(
        &mut self,
        journal: &Journal,
        connection: &Connection,
        sender: &Sender<Input>,
        now: Now,
    ) {
        let Some(what) = &self.what else { return };
        match std::mem::take(&mut self.state) {
            State::Idle if now.mono >= self.next => {
                self.next = now.mono + DAILY;
                let (client, what, sender) =
                    (connection.client.clone(), what.clone(), sender.clone());
                tokio::spawn(async move {
                    let found = look(client, what, now.wall).await;
                    // The operator may be stopping.
                    let _ = sender.send(Input::Retained(found.map(Step::Found))).await;
                });
                self.state = State::Away;
            }
            State::Saying(pruned, durable) => {
                self.state = match durable.clone().now_or_never() {
                    None => State::Saying(pruned, durable),
                    Some(Ok(())) => State::Covering(pruned, journal.position()),
                    Some(Err(why)) => {
                        tracing::warn!(%why, "Nothing is removed: the log can't say so");
                        State::Idle
                    }
                };
            }
            State::Covering(pruned, size) => {
                let published = journal.published();
                if published.is_none_or(|head| head.checkpoint.size < size) {
                    self.state = State::Covering(pruned, size);
                    return;
                }
                let (client, what, sender) =
                    (connection.client.clone(), what.clone(), sender.clone());
                tokio::spawn(async move {
                    let done = remove(client, what, pruned, now.wall).await;
                    let _ = sender.send(Input::Retained(done.map(Step::Removed))).await;
                });
                self.state = State::Away;
            }
            waiting => self.state = waiting,
        }
    }

    /// Takes in what became of it.
    pub(super) fn came_back(
        &mut self,
        step: Result<Step, String>,
        journal: &mut Journal,
        now: Timestamp,
    ) {
        self.state = match step {
            Ok(Step::Found(Some((pruned, true)))) => State::Covering(pruned, 0),
            Ok(Step::Found(Some((pruned, false)))) => {
                let record = Record::new(now, pruned.clone());
                State::Saying(pruned, journal.append(vec![record]))
            }
            Ok(Step::Found(None)) => State::Idle,
            Ok(Step::Removed(pruned)) => {
                let (before, rule) = (pruned.before, pruned.rule);
                tracing::info!(
                    before,
                    rule,
                    "Entries that no audit period needs were removed"
                );
                State::Idle
            }
            Err(error) => {
                tracing::warn!(error, "No entries are removed");
                State::Idle
            }
        };
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| error.to_string())?
}

/// Removes what was said, unless a period that is there by now needs it: it may have been said long ago.
async fn remove(
    client: kube::Client,
    what: Retention,
    pruned: Pruned,
    now: Timestamp,
) -> Result<Pruned, String> {
    let there = periods(client).await?;
    blocking(move || {
        let until = horizon(&told(&what.data)?, &there, what.days, now)?;
        still_allows(until.as_ref(), &pruned)?;
        prune::carry_out(&what.log, &pruned).map_err(|error| error.to_string())?;
        Ok(pruned)
    })
    .await
}

/// Whether what was said is still not needed.
fn still_allows(until: Option<&(Timestamp, String)>, said: &Pruned) -> Result<(), String> {
    match until {
        Some((until, _)) if said.until <= *until => Ok(()),
        _ => Err(format!(
            "the log says that the entries before {} are removed, and an AuditPeriod needs entries before {} now",
            said.before, said.until
        )),
    }
}

/// The periods that there are.
async fn periods(client: kube::Client) -> Result<Vec<Named>, String> {
    let periods: Api<AuditPeriod> = Api::all(client);
    let there = within(deadline::READ, periods.list(&ListParams::default()))
        .await
        .map_err(|error| format!("the AuditPeriods can't be read: {error}"))?;
    let there = there.items.into_iter().map(|period| {
        let name = period.metadata.name.unwrap_or_default();
        (name, period.spec)
    });
    Ok(there.collect())
}

/// Finds what can be removed.
async fn look(
    client: kube::Client,
    what: Retention,
    now: Timestamp,
) -> Result<Option<(Pruned, Said)>, String> {
    let there = periods(client).await?;
    blocking(move || {
        let explain = |error: crate::evidence::LogError| error.to_string();
        if let Some(said) = prune::said(&what.log).map_err(explain)? {
            return Ok(Some((said, true)));
        }
        let Some((until, rule)) = horizon(&told(&what.data)?, &there, what.days, now)? else {
            return Ok(None);
        };
        let plan = prune::plan(&what.log, until, &rule).map_err(explain)?;
        Ok(plan.map(|plan| (plan, false)))
    })
    .await
}

/// A period, with its name.
type Named = (String, AuditPeriodSpec);

/// Each period that the log has ever told of, as it was at any time.
fn told(data: &Path) -> Result<Vec<Named>, String> {
    let mut periods = Vec::new();
    let mut reader = Reader::open(data).map_err(|error| error.to_string())?;
    while let Some(entry) = reader.next() {
        let entry = entry.map_err(|error| error.to_string())?;
        if let Body::Period(said) = entry.body
            && let Some(spec) = &said.spec
        {
            let explain = |error: &dyn std::fmt::Display| {
                format!(
                    "the AuditPeriod {} in entry {} can't be read: {error}",
                    said.name, entry.seq
                )
            };
            let spec = spec
                .load(reader.folder())
                .map_err(|error| explain(&error))?;
            let spec = serde_json::from_value(spec).map_err(|error| explain(&error))?;
            periods.push((said.name.to_string(), spec));
        }
    }
    Ok(periods)
}

/// Before when entries may be removed, and by which rule: the latest end of a period that is long enough ago, unless a period
/// that is not began before it.
///
/// Only a period that this log has told of lets anything go: a replica that never led has heard of none that was deleted.
fn horizon(
    told: &[Named],
    there: &[Named],
    days: u16,
    now: Timestamp,
) -> Result<Option<(Timestamp, String)>, String> {
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    let (mut over, mut needed): (Option<Frame>, Option<Timestamp>) = (None, None);
    let known = told.iter().map(|period| (period, true));
    let periods = known.chain(there.iter().map(|period| (period, false)));
    for ((name, spec), is_told) in periods {
        let AuditPeriodSpec {
            start,
            end,
            time_zone,
            ..
        } = spec;
        let frame = Frame::new(name, start, end, time_zone)
            .map_err(|error| format!("the AuditPeriod {name} can't be used: {error}"))?;
        if now.duration_since(frame.to) < kept {
            needed = Some(needed.map_or(frame.from, |from| from.min(frame.from)));
        } else if is_told && over.as_ref().is_none_or(|over| over.to < frame.to) {
            over = Some(frame);
        }
    }
    Ok(over.map(|over| {
        let until = needed.map_or(over.to, |needed| needed.min(over.to));
        (
            until,
            format!("{days} days after the end of AuditPeriod/{}", over.name),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(name: &str, start: &str, end: &str) -> (String, AuditPeriodSpec) {
        let spec = serde_json::json!({
            "start": start, "end": end, "timeZone": "UTC", "criteria": ["CC6.1"],
        });
        (name.to_owned(), serde_json::from_value(spec).unwrap())
    }

    fn until(periods: &[(String, AuditPeriodSpec)], now: &str) -> Option<String> {
        let now = format!("{now}T00:00:00Z").parse().unwrap();
        let found = horizon(periods, &[], 400, now).unwrap();
        found.map(|(until, rule)| format!("{until} {rule}"))
    }

    #[test]
    fn nothing_is_removed_while_a_period_needs_it() {
        let old = period("h1", "2024-01-01", "2024-06-30");
        let next = period("h2", "2024-07-01", "2024-12-31");
        let both = [old.clone(), next];
        let h1 = "2024-07-01T00:00:00Z 400 days after the end of AuditPeriod/h1";
        let h2 = "2025-01-01T00:00:00Z 400 days after the end of AuditPeriod/h2";
        assert_eq!(until(&[], "2030-01-01"), None);
        assert_eq!(until(&both, "2025-08-04"), None);
        assert_eq!(until(&both, "2025-08-05").as_deref(), Some(h1));
        assert_eq!(until(&both, "2026-02-04").as_deref(), Some(h1));
        assert_eq!(until(&both, "2026-02-05").as_deref(), Some(h2));
        // One that is longer than another, or was so once, keeps what is inside of it.
        let year = period("h1", "2024-03-01", "2025-02-28");
        let found = until(&[old.clone(), year], "2025-12-01").unwrap();
        assert!(found.starts_with("2024-03-01T00:00:00Z"), "{found}");
        // One that is yet to come keeps nothing of the time before it.
        let later = period("later", "2031-01-01", "2031-12-31");
        assert_eq!(until(&[old, later], "2026-02-05").as_deref(), Some(h1));
    }

    #[test]
    fn a_period_that_cannot_be_read_keeps_everything() {
        let mut odd = period("odd", "2024-01-01", "2024-06-30");
        odd.1.time_zone = "Nowhere/Town".to_owned();
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let told = period("h1", "2024-01-01", "2024-06-30");
        let odd = [odd];
        for (told, there) in [(&odd[..], &[][..]), (&[told], &odd)] {
            let wrong = horizon(told, there, 400, now).unwrap_err();
            assert!(wrong.contains("odd"), "{wrong}");
        }
    }

    #[test]
    fn a_log_that_never_told_of_a_period_keeps_everything() {
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let old = [period("h1", "2024-01-01", "2024-06-30")];
        assert_eq!(horizon(&[], &old, 400, now).unwrap(), None);
        assert!(horizon(&old, &[], 400, now).unwrap().is_some());
        // One that is not told of keeps what is inside of it nonetheless.
        let open = [period("open", "2024-03-01", "2029-12-31")];
        let (until, _) = horizon(&old, &open, 400, now).unwrap().unwrap();
        assert_eq!(until.to_string(), "2024-03-01T00:00:00Z");
    }

    #[test]
    fn what_was_said_long_ago_is_kept_when_a_new_period_needs_it() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let old = [period("h1", "2024-01-01", "2024-06-30")];
        let said = |until: &str| Pruned {
            before: 256,
            until: until.parse().unwrap(),
            rule: "400 days".to_owned(),
            carried: None,
        };
        let allows = |there: &[Named], until: &str| {
            still_allows(
                horizon(&old, there, 400, now).unwrap().as_ref(),
                &said(until),
            )
        };
        allows(&[], "2024-07-01T00:00:00Z").unwrap();
        let new = [period("new", "2024-04-01", "2026-03-31")];
        allows(&new, "2024-04-01T00:00:00Z").unwrap();
        let why = allows(&new, "2024-07-01T00:00:00Z").unwrap_err();
        assert!(why.contains("before 256"), "{why}");
        assert!(still_allows(None, &said("2024-01-01T00:00:00Z")).is_err());
    }
}
