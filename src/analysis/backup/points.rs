//! Recovery points, each with its proof.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{Key, Protectable, Recovery, location, plan, velero};
use crate::{
    controls::Subject,
    inventory::{
        Inventory, Kind, Meta, Object, Sym, cnpg,
        storage::Claim,
        velero::{Backup, VolumeBackup},
    },
    verdict::Strength,
};

/// A state of a claim or database that can be restored.
#[derive(Debug, Clone)]
pub struct Point<'a> {
    /// The moment whose state it holds.
    pub at: Timestamp,
    /// When it will be gone.
    pub expires: Option<Timestamp>,
    /// What proves it.
    pub source: Source<'a>,
}

/// What proves a recovery point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source<'a> {
    /// An object about this very claim or database.
    Object(Kind, &'a Meta),
    /// A backup all of whose snapshots succeeded, however many claims they were of.
    Counted(&'a Meta),
    /// A `CronJob` that says that it backs the claim up.
    CronJob(&'a Meta),
    /// What an `ObjectStore` says about a database.
    Window(&'a Meta),
}

impl Source<'_> {
    /// What it is worth.
    pub const fn strength(&self) -> Strength {
        match self {
            Self::Object(..) | Self::Window(_) => Strength::Effective,
            Self::Counted(_) | Self::CronJob(_) => Strength::Declared,
        }
    }

    /// Whether it lies beside the volume, in the same storage system.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Object(Kind::VolumeSnapshot, _))
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, meta, note) = match self {
            Self::Object(kind, meta) => (kind.info().kind, meta, ""),
            Self::Counted(meta) => ("Backup", meta, " (all of its snapshots succeeded)"),
            Self::CronJob(meta) => ("CronJob", meta, ""),
            Self::Window(meta) => ("ObjectStore", meta, ""),
        };
        write!(f, "{kind} {}/{}{note}", meta.namespace, meta.name)
    }
}

/// How far the clock of a storage system may be ahead of ours.
const SKEW: Duration = Duration::from_mins(5);

/// From which end points are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Oldest,
    Newest,
}

/// Whether a Velero Backup is proven by its count of snapshots alone.
pub(super) fn is_counted(backup: &Backup) -> bool {
    backup.phase.as_deref() == Some("Completed")
        && backup.snapshots_attempted > 0
        && backup.snapshots_completed == backup.snapshots_attempted
}

/// Whether something can still be restored from a Velero Backup.
pub fn is_usable(inventory: &Inventory, backup: &Object<Backup>, now: Timestamp) -> bool {
    // What failed in a PartiallyFailed one failed for other volumes.
    let phase = backup.spec.phase.as_deref();
    let expired = backup.spec.expires.is_some_and(|expires| expires <= now);
    matches!(phase, Some("Completed" | "PartiallyFailed"))
        && !expired
        && !backup.meta.deleting
        && location::readable(inventory, &backup.meta.namespace, &backup.spec.spec).is_ok()
}

impl Recovery {
    /// The newest recovery point.
    pub fn newest<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        what: Protectable<'a>,
    ) -> Option<Point<'a>> {
        // Of equal ones the first: it has the better proof.
        self.points(inventory, now, what, End::Newest)
            .reduce(|best, point| if point.at > best.at { point } else { best })
    }

    /// The oldest recovery point.
    pub fn oldest<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        what: Protectable<'a>,
    ) -> Option<Point<'a>> {
        self.points(inventory, now, what, End::Oldest)
            .reduce(|best, point| if point.at < best.at { point } else { best })
    }

    /// The newest recovery point that `wanted` takes of those that are proven for it alone. The
    /// counted ones are left out: looking for one among them would mean to look at all.
    pub fn newest_proven_where<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        what: Protectable<'a>,
        wanted: impl Fn(&Point<'a>) -> bool,
    ) -> Option<Point<'a>> {
        self.proven(inventory, now, what)
            .filter(wanted)
            .reduce(|best, point| if point.at > best.at { point } else { best })
    }

    /// Recovery points: all that are proven for it alone, and of those that are counted the ones
    /// at the given end of each series.
    fn points<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        what: Protectable<'a>,
        end: End,
    ) -> impl Iterator<Item = Point<'a>> {
        let counted = match what {
            Protectable::Claim(claim) => self.counted_points(inventory, now, claim, end),
            Protectable::Database(_) => Vec::new(),
        };
        self.proven(inventory, now, what).chain(counted)
    }

    /// Recovery points that are proven for it alone.
    fn proven<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        what: Protectable<'a>,
    ) -> impl Iterator<Item = Point<'a>> {
        let mut keys = Vec::new();
        let meta = what.meta();
        match what {
            Protectable::Claim(claim) => {
                keys.push(Key::Uid(meta.uid));
                keys.push(Key::Claim(meta.namespace.clone(), meta.name.clone()));
                let volume = claim.spec.volume.as_deref();
                let volume = volume.and_then(|name| inventory.tables.volumes.get("", name));
                keys.extend(volume.and_then(|v| v.spec.handle.clone().map(Key::Handle)));
            }
            Protectable::Database(_) => {
                keys.push(Key::Database(meta.namespace.clone(), meta.name.clone()));
            }
        }
        let proofs = keys.into_iter().flat_map(|key| self.index.objects(&key));
        let proofs = proofs.filter_map(move |(kind, namespace, name)| {
            proof(inventory, self, now, *kind, namespace, name)
        });
        // What is older was of another claim of that name.
        let (oldest, youngest) = (meta.created_at(), plan::later(now, SKEW));
        proofs
            .chain(windows(inventory, what))
            .filter(move |point| point.at >= oldest && point.at <= youngest)
    }

    /// The last, or first, usable one of each series of counted backups that hold the claim.
    fn counted_points<'a>(
        &'a self,
        inventory: &'a Inventory,
        now: Timestamp,
        claim: &'a Object<Claim>,
        end: End,
    ) -> Vec<Point<'a>> {
        let oldest = (claim.meta.created_at(), Sym::from(""));
        let youngest = (plan::later(now, SKEW), Sym::from(""));
        let series = self.counted.iter().filter(|((_, spec), _)| {
            velero::in_namespaces(&spec.namespaces, &claim.meta.namespace)
        });
        let series = series.filter_map(|((namespace, spec), backups)| {
            if !velero::counts(inventory, self, namespace, spec, claim) {
                return None;
            }
            let usable = |(at, name): &(Timestamp, Sym)| {
                let backup = inventory.tables.velero_backups.get(namespace, name)?;
                is_usable(inventory, backup, now).then_some(Point {
                    at: *at,
                    expires: backup.spec.expires,
                    source: Source::Counted(&backup.meta),
                })
            };
            // One that is dated in the future must not hide those before it.
            let mut young = backups.range(&oldest..&youngest);
            match end {
                End::Newest => young.rev().find_map(usable),
                End::Oldest => young.find_map(usable),
            }
        });
        series.collect()
    }
}

/// A volume's part of a backup, of either kind.
pub fn volume_backup<'a>(
    inventory: &'a Inventory,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Option<&'a Object<VolumeBackup>> {
    let tables = &inventory.tables;
    match kind {
        Kind::DataUpload => tables.data_uploads.get(namespace, name),
        _ => tables.pod_volume_backups.get(namespace, name),
    }
}

/// The recovery point that an object proves.
fn proof<'a>(
    inventory: &'a Inventory,
    recovery: &Recovery,
    now: Timestamp,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Option<Point<'a>> {
    let tables = &inventory.tables;
    let of = |at, meta: &'a Meta| {
        (!meta.deleting).then_some(Point {
            at,
            expires: None,
            source: Source::Object(kind, meta),
        })
    };
    match kind {
        Kind::PodVolumeBackup | Kind::DataUpload => {
            let volume = volume_backup(inventory, kind, namespace, name)?;
            let backup = volume.spec.backup.as_deref()?;
            let backup = tables.velero_backups.get(namespace, backup)?;
            let usable = volume.spec.completed && is_usable(inventory, backup, now);
            let point = of(backup.spec.started?, &volume.meta).filter(|_| usable)?;
            Some(Point {
                expires: backup.spec.expires,
                ..point
            })
        }
        Kind::VolumeSnapshot => {
            let snapshot = tables.volume_snapshots.get(namespace, name)?;
            let spec = &snapshot.spec;
            let content = spec.content.as_deref();
            // Without what is behind it, nothing is left to restore.
            let there = content.is_none_or(|name| tables.snapshot_contents.get("", name).is_some());
            of(spec.taken?, &snapshot.meta).filter(|_| spec.ready && there)
        }
        Kind::CronJob => {
            let job = tables.cron_jobs.get(namespace, name)?;
            Some(Point {
                at: last_success_began(
                    inventory,
                    recovery,
                    namespace,
                    name,
                    job.spec.last_success?,
                ),
                expires: None,
                source: Source::CronJob(&job.meta),
            })
        }
        Kind::DatabaseBackup => {
            let backup = tables.database_backups.get(namespace, name)?;
            let done = backup.spec.phase.as_deref() == Some("completed");
            of(backup.spec.started?, &backup.meta).filter(|_| done)
        }
        Kind::LonghornBackup => {
            let backup = tables.longhorn_backups.get(namespace, name)?;
            let target = backup.spec.target.as_deref().unwrap_or("default");
            let target = tables.backup_targets.get(namespace, target);
            let done = backup.spec.state.as_deref() == Some("Completed");
            let there = target.is_none_or(|target| target.spec.available);
            of(backup.spec.taken?, &backup.meta).filter(|_| done && there)
        }
        Kind::K8upSnapshot => {
            let snapshot = tables.k8up_snapshots.get(namespace, name)?;
            of(snapshot.spec.date?, &snapshot.meta)
        }
        _ => None,
    }
}

/// When the job began that was the last to succeed: its end less what it took, where it is known.
fn last_success_began(
    inventory: &Inventory,
    recovery: &Recovery,
    namespace: &str,
    cron_job: &str,
    ended: Timestamp,
) -> Timestamp {
    let cron_job = Subject::object(Kind::CronJob, &namespace.into(), &cron_job.into());
    let jobs = recovery.runs(&cron_job);
    let mut jobs = jobs.filter_map(|(_, ns, name)| inventory.tables.jobs.get(ns, name));
    let last = jobs.find(|job| job.spec.ended == Some(ended));
    last.and_then(|job| job.spec.started).unwrap_or(ended)
}

/// What the object store of a database's plugin says about it.
fn windows<'a>(inventory: &'a Inventory, what: Protectable<'a>) -> impl Iterator<Item = Point<'a>> {
    let database = match what {
        Protectable::Database(database) => Some(database),
        Protectable::Claim(_) => None,
    };
    let plugins = database.into_iter().flat_map(|database| {
        let plugins = database.spec.plugins.iter();
        let plugins = plugins.filter(|plugin| *plugin.name == *cnpg::BARMAN_PLUGIN);
        plugins.map(move |plugin| (database, plugin))
    });
    plugins.flat_map(move |(database, plugin)| {
        let name = plugin.object_store.as_deref().unwrap_or_default();
        let store = inventory
            .tables
            .object_stores
            .get(&database.meta.namespace, name);
        let server = plugin.server.as_ref().unwrap_or(&database.meta.name);
        let windows = store.into_iter().flat_map(move |store| {
            let windows = store.spec.windows.iter();
            windows.map(move |window| (store, window))
        });
        let windows = windows.filter(move |(_, window)| window.server == *server);
        windows.flat_map(|(store, window)| {
            [window.first, window.last]
                .into_iter()
                .flatten()
                .map(|at| Point {
                    at,
                    expires: None,
                    source: Source::Window(&store.meta),
                })
        })
    })
}

impl Source<'_> {
    /// The place that it lies in, as `namespace/name` of the object that describes it.
    pub fn location(&self, inventory: &Inventory) -> Option<String> {
        let tables = &inventory.tables;
        let (namespace, name) = match self {
            Self::Window(meta) => (&meta.namespace, meta.name.clone()),
            Self::Object(kind @ (Kind::PodVolumeBackup | Kind::DataUpload), meta) => {
                let part = volume_backup(inventory, *kind, &meta.namespace, &meta.name)?;
                let backup = part.spec.backup.as_deref()?;
                let backup = tables.velero_backups.get(&meta.namespace, backup)?;
                (&meta.namespace, backup.spec.spec.location.clone()?)
            }
            _ => return None,
        };
        Some(format!("{namespace}/{name}"))
    }
}
