//! Velero: schedules, backups, restores, and where backups lie.
//!
//! Fields as in `velero.io/v1` and `v2alpha1`, Velero 1.18.

mod location;
pub mod policy;
mod restore;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::{
    location::{Location, Repository, SnapshotLocation},
    restore::Restore,
};
use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    selector::{Selector, WireSelector},
    wire::{WireRef, go_duration, sym, syms, time},
};

/// Label with the name of the Schedule that a Backup is of.
pub const SCHEDULE: &str = "velero.io/schedule-name";
/// Label of what no backup holds, with the value `true`.
pub const EXCLUDE: &str = "velero.io/exclude-from-backup";

/// A Velero Schedule.
#[derive(Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Cron expression.
    pub cron: Sym,
    /// Whether it is paused.
    pub paused: bool,
    /// `New`, `Enabled` or `FailedValidation`.
    pub phase: Option<Sym>,
    /// When it last started a backup.
    pub last_backup: Option<Timestamp>,
    /// When a run was last skipped on request: the next one is counted from there.
    pub last_skipped: Option<Timestamp>,
    /// What its backups hold.
    pub template: Arc<BackupSpec>,
    /// The template as it was written, as JSON: what a Backup that is made of it holds.
    pub written: Sym,
}

/// What a backup holds, and where it goes.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupSpec {
    /// Namespaces; empty means all.
    pub namespaces: Filter,
    /// Resources of both scopes; empty means all.
    pub resources: Filter,
    /// Resources in namespaces, by the newer fields; empty means all.
    pub namespaced: Filter,
    /// Resources outside namespaces, by the newer fields.
    pub cluster: Filter,
    /// Whether resources outside namespaces are held.
    pub include_cluster: Option<bool>,
    /// Labels that all must have.
    pub labels: Option<Selector>,
    /// Of these one must match.
    pub any_labels: Box<[Selector]>,
    /// Whether volumes are snapshotted.
    pub snapshot_volumes: Option<bool>,
    /// Whether volumes are backed up as files unless a pod opts out.
    pub as_files: Option<bool>,
    /// Whether snapshots are moved to the location.
    pub move_data: Option<bool>,
    /// How long it is kept; zero counts as absent.
    pub ttl: Option<Duration>,
    /// Where it is stored.
    pub location: Option<Sym>,
    /// `ConfigMap` with policies by volume.
    pub policy: Option<Sym>,
}

/// What is included, and what of that is not.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    /// Included; empty means all.
    pub included: Box<[Sym]>,
    /// Excluded.
    pub excluded: Box<[Sym]>,
}

impl Filter {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        self.included.is_empty() && self.excluded.is_empty()
    }
}

/// A Velero Backup.
#[derive(Debug, PartialEq, Eq)]
pub struct Backup {
    /// Phase, such as `Completed` or `PartiallyFailed`.
    pub phase: Option<Sym>,
    /// Start: the recovery point's time.
    pub started: Option<Timestamp>,
    /// End.
    pub completed: Option<Timestamp>,
    /// When it is deleted.
    pub expires: Option<Timestamp>,
    /// What it holds.
    pub spec: Arc<BackupSpec>,
    /// Volume snapshots tried, native and CSI.
    pub snapshots_attempted: u64,
    /// Volume snapshots that succeeded, native and CSI.
    pub snapshots_completed: u64,
    /// Why it failed, cut short.
    pub failure: Option<Sym>,
}

/// What became of one volume in a backup: a `PodVolumeBackup` or a `DataUpload`.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeBackup {
    /// Name of the Backup that it is a part of.
    pub backup: Option<Sym>,
    /// Namespace of the claim.
    pub claim_namespace: Sym,
    /// Name of the claim, where the object tells.
    pub claim: Option<Sym>,
    /// Uid of the claim, where the object tells.
    pub claim_uid: Option<Sym>,
    /// Where it is stored.
    pub location: Option<Sym>,
    /// Whether it is `Completed`.
    pub completed: bool,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Size, once it is completed.
    pub bytes: u64,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSchedule<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: WireScheduleSpec<'a>,
    #[serde(borrow)]
    status: Option<WireScheduleStatus<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireScheduleSpec<'a> {
    #[serde(borrow)]
    schedule: Str<'a>,
    paused: Option<bool>,
    #[serde(borrow)]
    template: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireScheduleStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    last_backup: Option<Str<'a>>,
    #[serde(borrow)]
    last_skipped: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBackupSpec<'a> {
    #[serde(borrow)]
    included_namespaces: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    excluded_namespaces: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    included_resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    excluded_resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    included_namespace_scoped_resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    excluded_namespace_scoped_resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    included_cluster_scoped_resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    excluded_cluster_scoped_resources: Option<Vec<Str<'a>>>,
    include_cluster_resources: Option<bool>,
    #[serde(borrow)]
    label_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    or_label_selectors: Option<Vec<WireSelector<'a>>>,
    snapshot_volumes: Option<bool>,
    default_volumes_to_fs_backup: Option<bool>,
    default_volumes_to_restic: Option<bool>,
    snapshot_move_data: Option<bool>,
    #[serde(borrow)]
    ttl: Option<Str<'a>>,
    #[serde(borrow)]
    storage_location: Option<Str<'a>>,
    #[serde(borrow)]
    resource_policy: Option<WireRef<'a>>,
}

impl WireBackupSpec<'_> {
    fn project(self, interner: &mut Interner) -> Result<Arc<BackupSpec>, &'static str> {
        let mut filter = |included, excluded| Filter {
            included: syms(included, interner),
            excluded: syms(excluded, interner),
        };
        let namespaces = filter(self.included_namespaces, self.excluded_namespaces);
        let resources = filter(self.included_resources, self.excluded_resources);
        let in_namespaces = filter(
            self.included_namespace_scoped_resources,
            self.excluded_namespace_scoped_resources,
        );
        let cluster = filter(
            self.included_cluster_scoped_resources,
            self.excluded_cluster_scoped_resources,
        );
        let labels = self.label_selector.map(|labels| labels.project(interner));
        let any = self.or_label_selectors.into_iter().flatten();
        let any: Result<Vec<_>, _> = any.map(|labels| labels.project(interner)).collect();
        let policy = self.resource_policy.as_ref();
        let spec = BackupSpec {
            namespaces,
            resources,
            namespaced: in_namespaces,
            cluster,
            include_cluster: self.include_cluster_resources,
            labels: labels.transpose()?,
            any_labels: any?.into(),
            snapshot_volumes: self.snapshot_volumes,
            as_files: self
                .default_volumes_to_fs_backup
                .or(self.default_volumes_to_restic),
            move_data: self.snapshot_move_data,
            ttl: self
                .ttl
                .and_then(|ttl| go_duration(&ttl))
                .filter(|ttl| !ttl.is_zero()),
            location: sym(self.storage_location.as_ref(), interner),
            policy: sym(policy.and_then(|policy| policy.name.as_ref()), interner),
        };
        Ok(interner.backup_spec(spec))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireBackup<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireBackupSpec<'a>>,
    #[serde(borrow)]
    status: Option<WireBackupStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBackupStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    start_timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    completion_timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    expiration: Option<Str<'a>>,
    volume_snapshots_attempted: Option<u64>,
    volume_snapshots_completed: Option<u64>,
    csi_volume_snapshots_attempted: Option<u64>,
    csi_volume_snapshots_completed: Option<u64>,
    #[serde(borrow)]
    failure_reason: Option<Str<'a>>,
    #[serde(borrow)]
    validation_errors: Option<Vec<Str<'a>>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireVolumeBackup<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireVolumeSpec<'a>>,
    #[serde(borrow)]
    status: Option<WireVolumeStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVolumeSpec<'a> {
    #[serde(borrow)]
    pod: Option<WireRef<'a>>,
    #[serde(borrow, rename = "sourcePVC")]
    source_pvc: Option<Str<'a>>,
    #[serde(borrow)]
    source_namespace: Option<Str<'a>>,
    #[serde(borrow)]
    backup_storage_location: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVolumeStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    start_timestamp: Option<Str<'a>>,
    progress: Option<WireProgress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProgress {
    total_bytes: Option<i64>,
    items_restored: Option<u64>,
}

impl Projection for Schedule {
    type Wire<'a> = WireSchedule<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[
        &["f:spec", "f:paused"],
        &["f:spec", "f:schedule"],
        &["f:spec", "f:template", "f:ttl"],
    ];

    fn project(wire: WireSchedule<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let written = wire.spec.template.map_or("{}", RawValue::get);
        let template: WireBackupSpec<'_> =
            serde_json::from_str(written).map_err(|_| "spec.template can't be read")?;
        let schedule = Self {
            cron: interner.string(&wire.spec.schedule),
            paused: wire.spec.paused == Some(true),
            phase: phase.map(|phase| interner.string(phase)),
            last_backup: time(status.and_then(|status| status.last_backup.as_ref())),
            last_skipped: time(status.and_then(|status| status.last_skipped.as_ref())),
            template: template.project(interner)?,
            written: interner.string(written),
        };
        Ok((meta, schedule))
    }
}

/// Reasons for failures are kept up to so many bytes: some hold a whole stack of errors.
const REASON_LIMIT: usize = 200;

impl Projection for Backup {
    type Wire<'a> = WireBackup<'a>;

    // Each backup has annotations of its own: they would be shared by nobody.
    fn keeps_label(key: &str) -> bool {
        super::ours(key) || key == SCHEDULE
    }

    fn project(wire: WireBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.unwrap_or_default();
        let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
        let failure = status.failure_reason.as_deref();
        let errors = status.validation_errors.iter().flatten();
        let failure = failure.or_else(|| errors.map(|error| &**error).next());
        let backup = Self {
            phase: status.phase.as_deref().map(|phase| interner.string(phase)),
            started: time(status.start_timestamp.as_ref()),
            completed: time(status.completion_timestamp.as_ref()),
            expires: time(status.expiration.as_ref()),
            spec: wire.spec.unwrap_or_default().project(interner)?,
            snapshots_attempted: sum(
                status.volume_snapshots_attempted,
                status.csi_volume_snapshots_attempted,
            ),
            snapshots_completed: sum(
                status.volume_snapshots_completed,
                status.csi_volume_snapshots_completed,
            ),
            failure: failure.map(|text| {
                let end = text.floor_char_boundary(REASON_LIMIT);
                interner.string(&text[..end])
            }),
        };
        Ok((meta, backup))
    }
}

impl Projection for VolumeBackup {
    type Wire<'a> = WireVolumeBackup<'a>;

    // What they say is projected; each would have a label set of its own.
    fn keeps_label(key: &str) -> bool {
        matches!(key, "velero.io/backup-name" | "velero.io/pvc-uid")
    }

    fn project(wire: WireVolumeBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let mut meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let pod_namespace = spec.pod.and_then(|pod| pod.namespace);
        let namespace = spec.source_namespace.or(pod_namespace).unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let completed = status.phase.as_deref() == Some("Completed");
        let label = |key: &str, interner: &mut Interner| {
            meta.labels.get(key).map(|value| interner.string(value))
        };
        let volume = Self {
            backup: label("velero.io/backup-name", interner),
            claim_uid: label("velero.io/pvc-uid", interner),
            claim_namespace: interner.string(&namespace),
            claim: spec.source_pvc.map(|claim| interner.string(&claim)),
            location: sym(spec.backup_storage_location.as_ref(), interner),
            completed,
            started: time(status.start_timestamp.as_ref()),
            // While it runs, it changes every few seconds.
            bytes: status
                .progress
                .filter(|_| completed)
                .and_then(|progress| u64::try_from(progress.total_bytes?).ok())
                .unwrap_or_default(),
        };
        meta.labels = interner.labels(super::meta::Labels::default());
        Ok((meta, volume))
    }
}
