//! Plans: what starts backups by itself, in the terms of every tool.

use std::time::Duration;

use jiff::Timestamp;

use super::{Recovery, backs_up};
use crate::{
    analysis::schedule::{Dialect, Schedule},
    controls::Subject,
    inventory::{Inventory, Kind, Meta},
};

/// Kinds of objects that are, or may be, plans.
pub const KINDS: [Kind; 5] = [
    Kind::VeleroSchedule,
    Kind::CronJob,
    Kind::ScheduledBackup,
    Kind::RecurringJob,
    Kind::K8upSchedule,
];

/// What schedules of all tools have in common.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub meta: &'a Meta,
    /// Cron expression.
    pub cron: &'a str,
    /// The field of the expression, in `spec`.
    pub cron_field: &'static [&'static str],
    /// Time zone beside the expression.
    pub zone: Option<&'a str>,
    /// The field that stops it, and whether it does; not every tool has one.
    pub stop: Option<(&'static str, bool)>,
    /// `None` where its tool has not looked at it. Tools that don't tell accept everything.
    pub accepted: Option<Result<(), &'a str>>,
    /// The last run; its creation where there was none; `None` where the tool doesn't tell.
    pub last: Option<Timestamp>,
}

/// `start` and `span` later; the end of time where that is beyond it.
pub fn later(start: Timestamp, span: Duration) -> Timestamp {
    start.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// `start` and `span` earlier; the beginning of time where that is before it.
pub fn earlier(start: Timestamp, span: Duration) -> Timestamp {
    start.checked_sub(span).unwrap_or(Timestamp::MIN)
}

impl<'a> Plan<'a> {
    /// The plan that an object is; `None` where it is none.
    pub fn of(inventory: &'a Inventory, recovery: &Recovery, subject: &Subject) -> Option<Self> {
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        let tables = &inventory.tables;
        match subject.object_kind()? {
            Kind::VeleroSchedule => {
                let object = tables.velero_schedules.get(namespace, name)?;
                let schedule = &object.spec;
                let last = schedule.last_backup.max(schedule.last_skipped);
                Some(Self {
                    stop: Some(("paused", schedule.paused)),
                    accepted: match schedule.phase.as_deref() {
                        None | Some("" | "New") => None,
                        Some("Enabled") => Some(Ok(())),
                        Some(other) => Some(Err(other)),
                    },
                    last: last.or_else(|| Some(object.meta.created_at())),
                    ..Self::new(Kind::VeleroSchedule, &object.meta, &schedule.cron)
                })
            }
            Kind::CronJob => {
                let object = tables.cron_jobs.get(namespace, name)?;
                let _names = backs_up(&object.meta)?;
                let last = object.spec.last_schedule;
                Some(Self {
                    zone: object.spec.time_zone.as_deref(),
                    stop: Some(("suspend", object.spec.suspended)),
                    last: last.or_else(|| Some(object.meta.created_at())),
                    ..Self::new(Kind::CronJob, &object.meta, &object.spec.schedule)
                })
            }
            Kind::ScheduledBackup => {
                let object = tables.scheduled_backups.get(namespace, name)?;
                Some(Self {
                    stop: Some(("suspend", object.spec.suspended)),
                    last: object.spec.last.or_else(|| Some(object.meta.created_at())),
                    ..Self::new(Kind::ScheduledBackup, &object.meta, &object.spec.cron)
                })
            }
            Kind::RecurringJob => {
                let object = tables.recurring_jobs.get(namespace, name)?;
                object.spec.backs_up().then(|| Self {
                    cron_field: &["cron"],
                    ..Self::new(Kind::RecurringJob, &object.meta, &object.spec.cron)
                })
            }
            Kind::K8upSchedule => {
                let object = tables.k8up_schedules.get(namespace, name)?;
                let cron = object.spec.cron.as_deref()?;
                let effective = object.spec.effective.as_deref();
                let runs = recovery
                    .runs(subject)
                    .filter_map(|(kind, namespace, name)| {
                        Some(inventory.meta(*kind, namespace, name)?.created_at())
                    });
                Some(Self {
                    cron_field: &["backup", "schedule"],
                    last: runs.max().or_else(|| Some(object.meta.created_at())),
                    ..Self::new(
                        Kind::K8upSchedule,
                        &object.meta,
                        derandomised(cron, effective),
                    )
                })
            }
            _ => None,
        }
    }

    fn new(kind: Kind, meta: &'a Meta, cron: &'a str) -> Self {
        Self {
            kind,
            meta,
            cron,
            cron_field: &["schedule"],
            zone: None,
            stop: None,
            accepted: Some(Ok(())),
            last: None,
        }
    }

    /// Calls `found` with each plan in `namespace`, or with all of them.
    pub fn each(inventory: &Inventory, namespace: Option<&str>, found: &mut dyn FnMut(Subject)) {
        let tables = &inventory.tables;
        tables.velero_schedules.within(namespace, |object| {
            found(Subject::of(Kind::VeleroSchedule, &object.meta));
        });
        tables.cron_jobs.within(namespace, |object| {
            if backs_up(&object.meta).is_some() {
                found(Subject::of(Kind::CronJob, &object.meta));
            }
        });
        tables.scheduled_backups.within(namespace, |object| {
            found(Subject::of(Kind::ScheduledBackup, &object.meta));
        });
        tables.recurring_jobs.within(namespace, |object| {
            if object.spec.backs_up() {
                found(Subject::of(Kind::RecurringJob, &object.meta));
            }
        });
        tables.k8up_schedules.within(namespace, |object| {
            if object.spec.cron.is_some() {
                found(Subject::of(Kind::K8upSchedule, &object.meta));
            }
        });
    }

    /// As a subject.
    pub fn subject(&self) -> Subject {
        Subject::of(self.kind, self.meta)
    }

    /// The expression as each program reads it that may run it, without repetition.
    pub fn readings(&self) -> Result<Vec<Schedule>, String> {
        let read = |dialect| Schedule::parse(self.cron, self.zone, dialect);
        let dialect = match self.kind {
            Kind::VeleroSchedule => {
                return match (read(Dialect::Robfig), read(Dialect::Netresearch)) {
                    (Ok(old), Ok(new)) if old == new => Ok(vec![old]),
                    (Ok(old), Ok(new)) => Ok(vec![old, new]),
                    (Err(error), Err(_)) => Err(error),
                    (Err(error), Ok(_)) => Err(format!("Velero before 1.18.3 refuses it: {error}")),
                    (Ok(_), Err(error)) => {
                        Err(format!("Velero from 1.18.3 on refuses it: {error}"))
                    }
                };
            }
            Kind::ScheduledBackup => Dialect::Seconds,
            _ => Dialect::Robfig,
        };
        read(dialect).map(|reading| vec![reading])
    }

    /// The longest time between two runs, by the worse reading; `None` where it is never due.
    pub fn interval(&self) -> Option<Duration> {
        let intervals = self.readings().ok()?;
        let intervals: Option<Vec<_>> = intervals.iter().map(Schedule::worst_interval).collect();
        intervals?.into_iter().max()
    }

    /// Why it starts no backups, if it doesn't.
    pub fn inactive(&self) -> Option<String> {
        if let Some((field, true)) = self.stop {
            return Some(format!("spec.{field} is true"));
        }
        if let Some(Err(phase)) = self.accepted {
            return Some(format!("its phase is {phase}"));
        }
        let readings = match self.readings() {
            Ok(readings) => readings,
            Err(error) => return Some(format!("its cron expression can't be used: {error}")),
        };
        let never = readings
            .iter()
            .any(|reading| reading.worst_interval().is_none());
        never.then(|| "it is never due".to_owned())
    }
}

/// K8up makes an expression out of `@daily-random` and its like.
fn derandomised<'a>(cron: &'a str, effective: Option<&'a str>) -> &'a str {
    match cron.strip_suffix("-random") {
        Some(plain) if cron.starts_with('@') => effective.unwrap_or(plain),
        _ => cron,
    }
}
