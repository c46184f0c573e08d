//! What the controls of backups share: objectives, exemptions, and commands for people.

use std::time::Duration;

use jiff::Timestamp;

pub(super) use crate::analysis::backup::plan::later;
use crate::{
    analysis::backup::Protectable,
    api::{Period, period::parse_duration},
    controls::{Context, Subject, Touched, Verdict, subject},
    inventory::{
        Change, Inventory, Kind, Meta, Object,
        cnpg::{Database, ObjectStore},
    },
    verdict::{Outcome, Strength},
};

/// Annotation of a claim, namespace or storage class with its recovery point objective.
pub(super) const RPO: &str = "probity.dev/rpo";
/// Label of a claim that needs no backup, with the value `exempt`.
pub(super) const BACKUP: &str = "probity.dev/backup";
/// Annotation that says why a claim needs none.
pub(super) const REASON: &str = "probity.dev/backup-exempt-reason";

/// Kinds whose objects may be lost.
pub(super) const PROTECTABLE: &[Kind] = &[Kind::Claim, Kind::Database];

pub(super) fn day() -> Period {
    Period::hours(24)
}

pub(super) const fn yes() -> bool {
    true
}

/// Calls `found` with each claim and database cluster in `namespace`, or with all of them.
pub(super) fn protectables(
    inventory: &Inventory,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    let tables = &inventory.tables;
    tables.claims.within(namespace, |claim| {
        found(Subject::of(Kind::Claim, &claim.meta));
    });
    tables.databases.within(namespace, |database| {
        found(Subject::of(Kind::Database, &database.meta));
    });
}

/// Which claims and database clusters a change of their objective or exemption touches.
pub(super) fn touched(change: &Change) -> Touched {
    let (kind, namespace, name) = (change.kind, &change.namespace, &change.name);
    match kind {
        Kind::Claim | Kind::Database => Touched::Subject(Subject::object(kind, namespace, name)),
        Kind::Namespace => Touched::Namespace(name.clone()),
        _ => Touched::All,
    }
}

/// Calls `found` with each place in `namespace` that backups may lie in.
pub(super) fn places(
    inventory: &Inventory,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    let tables = &inventory.tables;
    let locations = &tables.velero_locations;
    subject::objects(Kind::VeleroLocation, locations, namespace, found);
    subject::objects(Kind::ObjectStore, &tables.object_stores, namespace, found);
    subject::objects(Kind::BackupTarget, &tables.backup_targets, namespace, found);
    tables.databases.within(namespace, |database| {
        if database.spec.store.is_some() {
            found(Subject::of(Kind::Database, &database.meta));
        }
    });
}

/// Whether an `ObjectStore` is in use: a database cluster names it, or something can be recovered
/// from it.
pub(super) fn is_used(inventory: &Inventory, store: &Object<ObjectStore>) -> bool {
    let mut databases = inventory
        .tables
        .databases
        .in_namespace(&store.meta.namespace);
    let names = |database: &Object<Database>| {
        let mut plugins = database.spec.plugins.iter();
        plugins.any(|plugin| plugin.object_store.as_ref() == Some(&store.meta.name))
    };
    !store.spec.windows.is_empty() || databases.any(names)
}

/// Which places a change touches.
pub(super) fn touched_places(change: &Change) -> Touched {
    let (kind, namespace, name) = (change.kind, &change.namespace, &change.name);
    match kind {
        // Whether one of that namespace is in use.
        Kind::VeleroSchedule | Kind::LonghornVolume | Kind::VeleroLocation | Kind::Database => {
            Touched::Namespace(namespace.clone())
        }
        _ => Touched::Subject(Subject::object(kind, namespace, name)),
    }
}

/// The subject itself, where it is of one of these kinds.
pub(super) fn affected(kinds: &[Kind], subject: &Subject) -> Touched {
    match subject.object_kind() {
        Some(kind) if kinds.contains(&kind) => Touched::Subject(subject.clone()),
        _ => Touched::Nothing,
    }
}

/// The verdict on what has nothing to lose, or of which that is not known, or whose loss is accepted; else whether it is
/// labelled exempt without a reason.
pub(super) fn exempt(
    context: &Context<'_>,
    what: Protectable<'_>,
    allowed: bool,
) -> Result<bool, Verdict> {
    let meta = what.meta();
    if let Protectable::Claim(claim) = what {
        if claim.spec.bound == Some(false) {
            let message = "the claim is not bound to a volume: there is nothing to back up";
            return Err(Verdict::not_applicable("NotBound", message));
        }
        if what.is_ephemeral() {
            let message = "the claim is made with its pod and ends with it";
            return Err(Verdict::not_applicable("Ephemeral", message));
        }
        if let Some(database) = what.database(context.inventory) {
            let message = format!(
                "the claim is a part of the database cluster {}, which is judged itself",
                database.meta.name
            );
            return Err(Verdict::not_applicable("PartOfDatabase", message));
        }
    }
    if !allowed || meta.labels.get(BACKUP) != Some("exempt") {
        return binding_is_said(what).map(|()| false);
    }
    let reason = meta.annotations.get(REASON).unwrap_or_default().trim();
    if reason.is_empty() {
        return binding_is_said(what).map(|()| true);
    }
    let message = format!("exempt from backup: {reason}");
    let declared = Strength::Declared;
    Err(Verdict::new(Outcome::Excepted, declared, "Exempt", message))
}

/// The verdict on a claim of which nothing says whether it has a volume: an API server always does, a file seldom.
fn binding_is_said(what: Protectable<'_>) -> Result<(), Verdict> {
    match what {
        Protectable::Claim(claim) if claim.spec.bound.is_none() => {
            let message = "nothing says whether the claim is bound to a volume; the cluster in which it is used does";
            Err(Verdict::unknown("BindingNotSaid", message))
        }
        _ => Ok(()),
    }
}

/// Whether something has data that needs a backup; `None` where nobody can tell.
pub(super) fn needs_backup(context: &Context<'_>, what: Protectable<'_>) -> Option<bool> {
    match exempt(context, what, true) {
        Ok(_) => Some(true),
        Err(verdict) if verdict.outcome == Outcome::Unknown => None,
        Err(_) => Some(false),
    }
}

/// A failure of something that is labelled exempt without a reason says so first.
pub(super) fn without_reason(mut verdict: Verdict, labelled: bool) -> Verdict {
    if labelled && verdict.outcome == Outcome::Fail {
        verdict.reason = "ExemptWithoutReason";
        verdict.message = format!(
            "it is labelled exempt, but annotation {REASON} gives no reason; {}",
            verdict.message
        )
        .into();
    }
    verdict
}

/// The command that exempts a claim or database cluster.
pub(super) fn exempt_command(what: Protectable<'_>) -> String {
    let info = what.kind().info();
    let (namespace, name) = (&what.meta().namespace, &what.meta().name);
    let kind = match what.kind() {
        Kind::Claim => "persistentvolumeclaim".to_owned(),
        _ => format!("{}.{}", info.plural, info.group),
    };
    format!(
        "kubectl annotate {kind} {name} --namespace {namespace} {REASON}='…' && kubectl label \
         {kind} {name} --namespace {namespace} {BACKUP}=exempt"
    )
}

/// The most that a backup may take beyond the objective, so that a daily run is late only when
/// it is late.
const MOST_ALLOWED: Duration = Duration::from_hours(2);

/// How old a recovery point may be.
pub(super) fn allowed(rpo: Duration) -> Duration {
    rpo.saturating_add(MOST_ALLOWED.min(rpo / 4))
}

/// The moment from which on something has lasted longer than until `end`.
pub(super) fn beyond(end: Timestamp) -> Timestamp {
    later(end, Duration::from_secs(1))
}

/// The recovery point objective of a claim or database cluster: its own, else that of its
/// namespace, else of its storage class. `Err` is a sentence about one that can't be read.
pub(super) fn objective(
    inventory: &Inventory,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<Duration>, String> {
    let tables = &inventory.tables;
    let class = match kind {
        Kind::Database => tables
            .databases
            .get(namespace, name)
            .and_then(|d| d.spec.class.as_deref()),
        _ => tables
            .claims
            .get(namespace, name)
            .and_then(|c| c.spec.class.as_deref()),
    };
    let places = [
        (kind, namespace, name),
        (Kind::Namespace, "", namespace),
        (Kind::StorageClass, "", class.unwrap_or_default()),
    ];
    let nearest = places.into_iter().find_map(|(kind, namespace, name)| {
        let meta = inventory.meta(kind, namespace, name)?;
        Some((kind, name, meta.annotations.get(RPO)?))
    });
    let Some((kind, name, text)) = nearest else {
        return Ok(None);
    };
    let kind = kind.info().kind;
    parse_duration(text)
        .map(Some)
        .map_err(|error| format!("annotation {RPO} of {kind} {name}: {error}"))
}

/// A duration as people say it: `26h`, `7d`, `1h30m`.
pub(super) fn say(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds >= 2 * 86_400 && seconds.is_multiple_of(86_400) {
        return format!("{}d", seconds / 86_400);
    }
    let parts = [
        (seconds / 3600, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let mut parts = parts.iter().filter(|(count, _)| *count > 0).peekable();
    if parts.peek().is_none() {
        return "0s".into();
    }
    let parts = parts.map(|(count, unit)| format!("{count}{unit}"));
    parts.collect::<Vec<_>>().concat()
}

/// The command that starts a run of a plan now.
pub(super) fn run_now(kind: Kind, meta: &Meta) -> String {
    let (namespace, name) = (&meta.namespace, &meta.name);
    match kind {
        Kind::CronJob => {
            format!("kubectl create job --from=cronjob/{name} --namespace {namespace} {name}-now")
        }
        Kind::VeleroSchedule => {
            format!("velero backup create --from-schedule {name} --namespace {namespace}")
        }
        Kind::ScheduledBackup => format!(
            "kubectl cnpg backup --namespace {namespace} CLUSTER, with the method of \
             ScheduledBackup {name}"
        ),
        _ => {
            let info = kind.info();
            format!("start a run of {} {namespace}/{name} now", info.kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_briefly() {
        for (seconds, said) in [
            (0, "0s"),
            (93_600, "26h"),
            (604_800, "7d"),
            (5400, "1h30m"),
            (86_400, "24h"),
            (61, "1m1s"),
        ] {
            assert_eq!(say(Duration::from_secs(seconds)), said);
        }
    }
}
