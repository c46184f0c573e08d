//! Recovery points of a claim, each with its proof.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::named;
use crate::{
    controls::backup::common::{covers, later},
    inventory::{
        Inventory, Kind, Meta, Object,
        core::Claim,
        velero::{Backup, VolumeBackup},
    },
    verdict::Strength,
};

/// A state of a claim that can be restored.
#[derive(Debug)]
pub(super) struct Point<'a> {
    /// The moment whose state it holds.
    pub(super) at: Timestamp,
    /// When it will be gone.
    pub(super) expires: Option<Timestamp>,
    /// What proves it.
    pub(super) source: Source<'a>,
}

/// What proves a recovery point.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// An object about this very claim: a volume's part of a backup, or a snapshot.
    Object(Kind, &'a Meta),
    /// A backup all of whose snapshots succeeded, however many claims they were of.
    Counted(&'a Meta),
    /// A `CronJob` that says that it backs the claim up.
    CronJob(&'a Meta),
}

impl Source<'_> {
    pub(super) const fn strength(&self) -> Strength {
        match self {
            Self::Object(..) => Strength::Effective,
            Self::Counted(_) | Self::CronJob(_) => Strength::Declared,
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, meta, note) = match self {
            Self::Object(kind, meta) => (kind.info().kind, meta, ""),
            Self::Counted(meta) => ("Backup", meta, " (all of its snapshots succeeded)"),
            Self::CronJob(meta) => ("CronJob", meta, ""),
        };
        write!(f, "{kind} {}/{}{note}", meta.namespace, meta.name)
    }
}

/// How far the clock of a storage system may be ahead of ours.
const SKEW: Duration = Duration::from_mins(5);

/// The newest recovery point of a claim.
pub(super) fn newest<'a>(
    inventory: &'a Inventory,
    now: Timestamp,
    claim: &'a Object<Claim>,
) -> Option<Point<'a>> {
    let (oldest, youngest) = (claim.meta.created_at(), later(now, SKEW));
    volumes(inventory, now, claim)
        .chain(counted(inventory, now, claim))
        .chain(snapshots(inventory, claim))
        .chain(jobs(inventory, claim))
        // What is older was of another claim of that name.
        .filter(|point| point.at >= oldest && point.at <= youngest)
        // Of equal ones the first: it has the better proof.
        .reduce(|best, point| if point.at > best.at { point } else { best })
}

/// Whether something can still be restored from a backup.
fn is_usable(backup: &Object<Backup>, phases: &[&str], now: Timestamp) -> bool {
    let phase = backup.spec.phase.as_deref().unwrap_or_default();
    let expired = backup.spec.expires.is_some_and(|expires| expires <= now);
    phases.contains(&phase) && !expired && !backup.meta.deleting
}

fn volumes<'a>(
    inventory: &'a Inventory,
    now: Timestamp,
    claim: &'a Object<Claim>,
) -> impl Iterator<Item = Point<'a>> {
    let tables = &inventory.tables;
    let files = tables.pod_volume_backups.iter();
    let uploads = tables.data_uploads.iter();
    let files = files.map(|volume| (Kind::PodVolumeBackup, volume));
    let uploads = uploads.map(|volume| (Kind::DataUpload, volume));
    let uid = claim.meta.uid.to_string();
    let proofs = files.chain(uploads).filter(move |(_, volume)| {
        volume.spec.completed && !volume.meta.deleting && is_of(&volume.spec, claim, &uid)
    });
    proofs.filter_map(move |(kind, volume)| {
        let name = volume.spec.backup.as_deref()?;
        let backup = tables.velero_backups.get(&volume.meta.namespace, name)?;
        // What failed in it failed for other volumes.
        let usable = is_usable(backup, &["Completed", "PartiallyFailed"], now);
        usable.then_some(Point {
            at: backup.spec.started?,
            expires: backup.spec.expires,
            source: Source::Object(kind, &volume.meta),
        })
    })
}

/// Whether a volume's backup is of this claim: by uid, and by name only where it tells no uid.
fn is_of(volume: &VolumeBackup, claim: &Object<Claim>, uid: &str) -> bool {
    match &volume.claim_uid {
        Some(told) => **told == *uid,
        None => {
            volume.claim.as_ref() == Some(&claim.meta.name)
                && volume.claim_namespace == claim.meta.namespace
        }
    }
}

fn counted<'a>(
    inventory: &'a Inventory,
    now: Timestamp,
    claim: &'a Object<Claim>,
) -> impl Iterator<Item = Point<'a>> {
    let backups = inventory.tables.velero_backups.iter();
    backups.filter_map(move |backup| {
        let (spec, namespace) = (&backup.spec, &claim.meta.namespace);
        let all =
            spec.snapshots_attempted > 0 && spec.snapshots_completed == spec.snapshots_attempted;
        let proves = all
            && is_usable(backup, &["Completed"], now)
            && covers(&spec.included, &spec.excluded, namespace);
        proves.then_some(Point {
            at: spec.started?,
            expires: spec.expires,
            source: Source::Counted(&backup.meta),
        })
    })
}

fn snapshots<'a>(
    inventory: &'a Inventory,
    claim: &'a Object<Claim>,
) -> impl Iterator<Item = Point<'a>> {
    let snapshots = &inventory.tables.volume_snapshots;
    let snapshots = snapshots.in_namespace(&claim.meta.namespace);
    snapshots.filter_map(|snapshot| {
        let spec = &snapshot.spec;
        let of = spec.claim.as_ref() == Some(&claim.meta.name);
        (of && spec.ready && !snapshot.meta.deleting).then_some(Point {
            at: spec.taken?,
            expires: None,
            source: Source::Object(Kind::VolumeSnapshot, &snapshot.meta),
        })
    })
}

fn jobs<'a>(inventory: &'a Inventory, claim: &'a Object<Claim>) -> impl Iterator<Item = Point<'a>> {
    let jobs = &inventory.tables.cron_jobs;
    let jobs = jobs.in_namespace(&claim.meta.namespace);
    jobs.filter(|job| named(job, claim)).filter_map(|job| {
        Some(Point {
            at: job.spec.last_success?,
            expires: None,
            source: Source::CronJob(&job.meta),
        })
    })
}
