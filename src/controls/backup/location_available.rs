//! `backup-location-available`

use std::time::Duration;

use serde_json::json;

use super::common::{beyond, later, say, touched_places};
use crate::{
    analysis::{
        Derived,
        backup::{
            Protectable,
            location::{Use, in_use},
        },
    },
    api::Period,
    controls::{prelude::*, restricted::command},
    inventory::{
        cnpg::Database,
        longhorn::BackupTarget,
        velero::{Location, Repository},
    },
};

/// Every place that backups are written to, or lie in, can be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationAvailable {
    /// How long ago Velero may have looked at a location; at least 15 minutes.
    #[serde(default = "two_hours")]
    pub freshness: Period,

    /// Backup classes whose databases must be recoverable to any moment: their log is archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub pitr_required: Vec<String>,
}

fn two_hours() -> Period {
    Period::hours(2)
}

impl Default for LocationAvailable {
    fn default() -> Self {
        Self {
            freshness: two_hours(),
            pitr_required: Vec::new(),
        }
    }
}

/// Velero looks at a new location within a minute, and initialises a repository within an hour.
const GRACE: Duration = Duration::from_hours(1);
/// The time of a look is known to ten minutes only.
const SHORTEST_FRESHNESS: Duration = Duration::from_mins(15);
/// Without a frequency of its own, a repository is maintained this often at least.
const MAINTAINED: Duration = Duration::from_hours(24);
/// How many times its frequency a repository's maintenance may be late.
const LATE: u32 = 3;

const SUBJECTS: &[Kind] = &[
    Kind::VeleroLocation,
    Kind::VeleroRepository,
    Kind::Database,
    Kind::BackupTarget,
];

impl LocationAvailable {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-location-available",
        field: "backupLocationAvailable",
        title: "Every backup location in use can be reached and written to",
        family: Family::Backup,
        criteria: &["A1.2", "CC7.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::VeleroLocation,
            Kind::VeleroRepository,
            Kind::VeleroSchedule,
            Kind::Database,
            Kind::BackupTarget,
        ],
        subjects: SUBJECTS,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "A BackupStorageLocation that an active Schedule writes to, that is the default, or \
               that holds a Backup which has not expired, is Available, was looked at by Velero \
               within `freshness`, and is not read-only where a Schedule writes to it. Each \
               BackupRepository in such a location is Ready and is maintained: the newest attempt \
               did not fail, and the last success is no older than three times its frequency. \
               Longhorn's BackupTargets are available. CloudNativePG Clusters that are backed up \
               have no failing condition ContinuousArchiving or LastBackupSucceeded; those of a \
               class in `pitrRequired` archive their log.",
        why: "A bucket whose credentials expired takes no backups, and gives none back.",
        fix: "Nothing is written. The message says what the tool reports.",
        by_hand: "Read what the tool says (`velero backup-location get`, `kubectl describe`), and \
                  mend credentials, bucket or network.",
        prevention: "None: a location is lost outside the cluster.",
        limits: "Read-only locations for recovery are fine as long as no active Schedule writes to \
                 them. A location that is never looked at (`validationFrequency: 0`) is Unknown. \
                 The time of Velero's look is known to ten minutes, rounded down. What a tool \
                 reports is taken for it: nothing is written or read. A database without any \
                 backup is not applicable here and fails `backup-coverage`.",
    };

    fn judge_location(&self, context: &Context<'_>, location: &Object<Location>) -> Verdict {
        let (meta, spec) = (&location.meta, &location.spec);
        let recovery = context.analyses.recovery();
        let Some(used) = in_use(context.inventory, recovery, context.now, location) else {
            let message = "no active schedule writes to it, it is not the default, and it holds no \
                           backup";
            return Verdict::not_applicable("NotInUse", message);
        };
        if spec.read_only && used == Use::Written {
            let message = "an active schedule writes to it, and its accessMode is ReadOnly";
            return Verdict::fail(Strength::Declared, "LocationReadOnly", message);
        }
        let said = spec.message.as_deref().unwrap_or("Velero says no more");
        match spec.phase.as_deref() {
            Some("Available") => {}
            Some(phase) => {
                let message = format!("its phase is {phase}: {said}");
                return Verdict::fail(Strength::Effective, "LocationUnavailable", message);
            }
            None => {
                return grace(context.now, meta, || {
                    (
                        "LocationIgnored",
                        "Velero never looked at it: is it running?".into(),
                    )
                });
            }
        }
        if spec.validated_every.is_some_and(|every| every.is_zero()) {
            let message = "its validationFrequency is 0: nobody looks whether it can be reached";
            return Verdict::unknown("NotValidated", message);
        }
        let Some(validated) = spec.validated else {
            return Verdict::unknown("NotValidated", "when Velero last looked at it is not known");
        };
        let until = later(validated, self.freshness.duration());
        if context.now > until {
            let message = format!("Velero last looked at it at about {validated}: is it running?");
            return Verdict::fail(Strength::Effective, "ValidationStale", message);
        }
        let message = "Velero reaches it";
        Verdict::pass(Strength::Effective, "LocationAvailable", message).recheck(beyond(until))
    }

    fn judge_database(&self, database: &Object<Database>) -> Verdict {
        let spec = &database.spec;
        let class = Protectable::Database(database).backup_class();
        let fail =
            |reason, message: &str| Verdict::fail(Strength::Effective, reason, message.to_owned());
        match (spec.archiving, spec.last_backup) {
            (Some(false), _) => fail(
                "ArchivingFails",
                "condition ContinuousArchiving is False: what is written now can't be recovered",
            ),
            (_, Some(false)) => fail("LastBackupFailed", "condition LastBackupSucceeded is False"),
            (archiving, _)
                if archiving.is_none() && self.pitr_required.iter().any(|c| c == class) =>
            {
                let message = format!(
                    "its log is not archived, and class {class} must be recoverable to any moment"
                );
                Verdict::fail(Strength::Effective, "LogNotArchived", message)
            }
            (None, None) => {
                let message = "the cluster is not backed up: backup-coverage judges that";
                Verdict::not_applicable("NotBackedUp", message)
            }
            _ => Verdict::pass(
                Strength::Effective,
                "LocationAvailable",
                "its backups succeed",
            ),
        }
    }
}

fn judge_target(target: &Object<BackupTarget>) -> Verdict {
    match (&target.spec.url, target.spec.available) {
        (None, _) => Verdict::not_applicable("NotInUse", "it has no address"),
        (Some(url), false) => {
            let message = format!("Longhorn can't reach {url}");
            Verdict::fail(Strength::Effective, "LocationUnavailable", message)
        }
        (Some(_), true) => Verdict::pass(
            Strength::Effective,
            "LocationAvailable",
            "Longhorn reaches it",
        ),
    }
}

fn judge_repository(context: &Context<'_>, repository: &Object<Repository>) -> Verdict {
    let (meta, spec) = (&repository.meta, &repository.spec);
    let locations = &context.inventory.tables.velero_locations;
    let location = spec.location.as_deref().unwrap_or_default();
    let recovery = context.analyses.recovery();
    let location = locations.get(&meta.namespace, location);
    let used = location.and_then(|at| in_use(context.inventory, recovery, context.now, at));
    if used.is_none() {
        return Verdict::not_applicable("NotInUse", "its location is not in use");
    }
    match spec.phase.as_deref() {
        Some("Ready") => {}
        None | Some("New") => {
            return grace(context.now, meta, || {
                ("RepositoryNotReady", "Velero has not initialised it".into())
            });
        }
        Some(phase) => {
            let message = format!("its phase is {phase}");
            return Verdict::fail(Strength::Effective, "RepositoryNotReady", message);
        }
    }
    if spec.maintenance_failed {
        let message = "its newest maintenance failed";
        return Verdict::fail(Strength::Effective, "MaintenanceFailed", message);
    }
    let every = spec.maintained_every.unwrap_or(MAINTAINED).max(MAINTAINED);
    let last = spec.maintained.unwrap_or_else(|| meta.created_at());
    let until = later(last, every.saturating_mul(LATE));
    if context.now > until {
        let message = format!(
            "it was last maintained at {last}, and is to be every {}",
            say(every)
        );
        return Verdict::fail(Strength::Effective, "MaintenanceStale", message);
    }
    let message = "it is ready and maintained";
    Verdict::pass(Strength::Effective, "RepositoryReady", message).recheck(beyond(until))
}

/// What to do about a location that fails: what its tool says of it is where the cause is.
fn mend(kind: Kind, namespace: &str, name: &str, reason: &str) -> String {
    if reason == "LocationReadOnly" {
        let writable = json!({ "spec": { "accessMode": "ReadWrite" } });
        return command::set(kind, namespace, name, &writable);
    }
    let log = match kind {
        Kind::VeleroLocation | Kind::VeleroRepository => {
            format!(", as `kubectl logs -n {namespace} deployment/velero` does")
        }
        _ => String::new(),
    };
    format!(
        "mend credentials, bucket or network; which of them, its conditions and events tell{log}: {}",
        command::describe(kind, namespace, name)
    )
}

/// A failure, unless the object is new.
fn grace(now: Timestamp, meta: &Meta, failure: impl Fn() -> (&'static str, String)) -> Verdict {
    let until = later(meta.created_at(), GRACE);
    if now <= until {
        return Verdict::not_applicable("InGrace", "it is new").recheck(beyond(until));
    }
    let (reason, message) = failure();
    Verdict::fail(Strength::Effective, reason, message)
}

impl Control for LocationAvailable {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.freshness.duration() < SHORTEST_FRESHNESS {
            return Err("freshness is too short: write 15m or more".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        touched_places(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match subject.object_kind() {
            Some(Kind::VeleroLocation) => Touched::Namespace(subject.namespace.clone()),
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let tables = &context.inventory.tables;
        subject::objects(
            Kind::VeleroLocation,
            &tables.velero_locations,
            namespace,
            found,
        );
        subject::objects(
            Kind::VeleroRepository,
            &tables.velero_repositories,
            namespace,
            found,
        );
        subject::objects(Kind::Database, &tables.databases, namespace, found);
        subject::objects(Kind::BackupTarget, &tables.backup_targets, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let tables = &context.inventory.tables;
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        let kind = subject.object_kind()?;
        let verdict = match kind {
            Kind::VeleroLocation => {
                self.judge_location(context, tables.velero_locations.get(namespace, name)?)
            }
            Kind::VeleroRepository => {
                judge_repository(context, tables.velero_repositories.get(namespace, name)?)
            }
            Kind::Database => self.judge_database(tables.databases.get(namespace, name)?),
            Kind::BackupTarget => judge_target(tables.backup_targets.get(namespace, name)?),
            _ => return None,
        };
        Some(verdict.propose_if_failing(|failed| mend(kind, namespace, name, failed.reason)))
    }
}

#[cfg(test)]
mod tests;
