//! How long a plan says that its backups are kept.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use crate::{
    analysis::backup::{Protectable, Recovery, Server, plan::Plan, server},
    api::period::parse_duration,
    controls::backup::common::say,
    inventory::{
        Inventory, Kind, Meta,
        cnpg::{BARMAN_PLUGIN, Database},
        k8up::Keep,
    },
};

/// Annotation of a `CronJob` with how long it keeps its backups, such as `30d`.
pub(super) const RETENTION: &str = "probity.dev/retention";

/// How long backups are kept, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    /// Nothing says.
    NotSaid,
    /// For so long.
    AtLeast(Duration),
    /// Nothing removes them.
    Forever,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSaid => f.write_str("an unknown time"),
            Self::AtLeast(span) => f.write_str(&say(*span)),
            Self::Forever => f.write_str("ever"),
        }
    }
}

/// What a plan declares, and where.
pub(super) struct Retention<'a> {
    pub(super) kept: Kept,
    /// The field that may be put back.
    pub(super) field: Option<Field<'a>>,
}

/// The field that says how long.
pub(super) struct Field<'a> {
    pub(super) kind: Kind,
    pub(super) meta: &'a Meta,
    /// Which of the kind's fields that may be put back.
    pub(super) path: usize,
    /// What the field is in `spec`, as a merge patch.
    spec: Value,
}

impl Field<'_> {
    /// What to record.
    pub(super) fn keep(&self) -> Value {
        json!({ "spec": self.spec })
    }
}

impl Retention<'_> {
    const fn of(kept: Kept) -> Self {
        Self { kept, field: None }
    }

    /// What a person can write instead.
    pub(super) fn proposal(&self, minimum: Duration) -> String {
        let hours = minimum.as_secs().div_ceil(3600);
        match &self.field {
            Some(field) if field.kind == Kind::VeleroSchedule => format!(
                "kubectl patch schedules.velero.io {} --namespace {} --type merge --patch '{}'",
                field.meta.name,
                field.meta.namespace,
                json!({ "spec": { "template": { "ttl": format!("{hours}h0m0s") } } })
            ),
            Some(field) => format!(
                "raise the retention of {} {}/{} to {}",
                field.kind.info().kind,
                field.meta.namespace,
                field.meta.name,
                say(minimum)
            ),
            None => format!("raise the retention to {}", say(minimum)),
        }
    }
}

/// Velero's own default.
const VELERO: Duration = Duration::from_hours(720);

/// What a plan declares for a claim or database that it covers.
pub(super) fn declared<'a>(
    inventory: &'a Inventory,
    recovery: &Recovery,
    plan: &Plan<'a>,
    what: Protectable<'a>,
) -> Option<Retention<'a>> {
    let (namespace, name) = (&*plan.meta.namespace, &*plan.meta.name);
    let tables = &inventory.tables;
    let field = |path, spec| {
        Some(Field {
            kind: plan.kind,
            meta: plan.meta,
            path,
            spec,
        })
    };
    Some(match plan.kind {
        Kind::VeleroSchedule => {
            let ttl = tables
                .velero_schedules
                .get(namespace, name)?
                .spec
                .template
                .ttl;
            let default = || server(inventory, namespace).and_then(Server::ttl);
            let written = ttl.map_or(Value::Null, |ttl| json!(go(ttl)));
            Retention {
                kept: Kept::AtLeast(ttl.or_else(default).unwrap_or(VELERO)),
                field: field(2, json!({ "template": { "ttl": written } })),
            }
        }
        Kind::RecurringJob => {
            let retain = tables.recurring_jobs.get(namespace, name)?.spec.retain;
            let interval = recovery.interval(&plan.subject())?;
            // Longhorn keeps one where nothing is said.
            let number = retain.unwrap_or(1);
            Retention {
                kept: Kept::AtLeast(interval.saturating_mul(number)),
                field: field(1, json!({ "retain": retain })),
            }
        }
        Kind::K8upSchedule => {
            let schedule = &tables.k8up_schedules.get(namespace, name)?.spec;
            Retention {
                kept: of_keep(schedule.keep, recovery.interval(&plan.subject())?),
                field: schedule
                    .keep
                    .and_then(|keep| field(1, json!({ "prune": { "retention": counts(keep) } }))),
            }
        }
        Kind::ScheduledBackup => {
            let scheduled = &tables.scheduled_backups.get(namespace, name)?.spec;
            let Protectable::Database(database) = what else {
                return None;
            };
            match &*scheduled.method {
                "plugin" => of_plugin(inventory, namespace, &database.spec),
                "barmanObjectStore" => Retention::of(of_policy(database.spec.retention.as_deref())),
                _ => Retention::of(Kept::Forever),
            }
        }
        Kind::CronJob => {
            let said = plan.meta.annotations.get(RETENTION);
            let said = said.and_then(|text| parse_duration(text).ok());
            Retention::of(said.map_or(Kept::NotSaid, Kept::AtLeast))
        }
        _ => return None,
    })
}

/// What the object store of a database's plugin declares.
fn of_plugin<'a>(inventory: &'a Inventory, namespace: &str, database: &Database) -> Retention<'a> {
    let mut plugins = database.plugins.iter();
    let store = plugins
        .find(|plugin| *plugin.name == *BARMAN_PLUGIN)
        .and_then(|plugin| plugin.object_store.as_deref())
        .and_then(|name| inventory.tables.object_stores.get(namespace, name));
    let Some(store) = store else {
        return Retention::of(Kept::NotSaid);
    };
    let policy = store.spec.retention.as_deref();
    Retention {
        kept: of_policy(policy),
        field: Some(Field {
            kind: Kind::ObjectStore,
            meta: &store.meta,
            path: 0,
            spec: json!({ "retentionPolicy": policy }),
        }),
    }
}

/// A policy of Barman, such as `30d`, `4w` or `6m` (months); without one nothing is removed.
fn of_policy(policy: Option<&str>) -> Kept {
    let Some(policy) = policy else {
        return Kept::Forever;
    };
    let days = |days: u64| {
        let number = policy.get(..policy.len() - 1)?;
        Some(Duration::from_secs(
            number.parse::<u64>().ok()?.checked_mul(days * 86_400)?,
        ))
    };
    let span = match policy.as_bytes().last() {
        Some(b'd') => days(1),
        Some(b'w') => days(7),
        Some(b'm') => days(30),
        _ => None,
    };
    span.map_or(Kept::NotSaid, Kept::AtLeast)
}

/// The longest of restic's rules; without any rule nothing is removed.
fn of_keep(keep: Option<Keep>, interval: Duration) -> Kept {
    let Some(keep) = keep.filter(|keep| *keep != Keep::default()) else {
        return Kept::Forever;
    };
    let day = Duration::from_hours(24);
    let rules = [
        (keep.last, interval),
        (keep.hourly, interval.max(Duration::from_hours(1))),
        (keep.daily, interval.max(day)),
        (keep.weekly, interval.max(day * 7)),
        (keep.monthly, interval.max(day * 30)),
        (keep.yearly, interval.max(day * 365)),
    ];
    let longest = rules
        .into_iter()
        .map(|(number, span)| span.saturating_mul(number))
        .max();
    Kept::AtLeast(longest.unwrap_or_default())
}

/// K8up's fields; a rule that is off is removed.
fn counts(keep: Keep) -> Value {
    let count = |number: u32| {
        if number == 0 {
            Value::Null
        } else {
            json!(number)
        }
    };
    json!({
        "keepLast": count(keep.last),
        "keepHourly": count(keep.hourly),
        "keepDaily": count(keep.daily),
        "keepWeekly": count(keep.weekly),
        "keepMonthly": count(keep.monthly),
        "keepYearly": count(keep.yearly),
    })
}

/// As Go writes durations.
fn go(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_policies_become_times() {
        let days = |days: u64| Kept::AtLeast(Duration::from_hours(24 * days));
        assert_eq!(of_policy(Some("30d")), days(30));
        assert_eq!(of_policy(Some("4w")), days(28));
        assert_eq!(of_policy(Some("6m")), days(180));
        assert_eq!(of_policy(Some("30")), Kept::NotSaid);
        assert_eq!(of_policy(None), Kept::Forever);
        let day = Duration::from_hours(24);
        assert_eq!(of_keep(None, day), Kept::Forever);
        assert_eq!(of_keep(Some(Keep::default()), day), Kept::Forever);
        let keep = Keep {
            last: 5,
            daily: 14,
            weekly: 3,
            ..Keep::default()
        };
        assert_eq!(of_keep(Some(keep), day), days(21));
        let last = Keep {
            last: 5,
            ..Keep::default()
        };
        assert_eq!(of_keep(Some(last), day), days(5));
        assert_eq!(go(Duration::from_secs(2_592_061)), "720h1m1s");
    }
}
