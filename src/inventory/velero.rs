//! Velero: schedules, backups and the proofs that a volume was backed up.
//!
//! Fields as in `velero.io/v1` and `v2alpha1`, Velero 1.18.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
};

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
    /// Namespaces that its backups hold; empty means all.
    pub included: Box<[Sym]>,
    /// Namespaces that its backups leave out.
    pub excluded: Box<[Sym]>,
}

/// A Velero Backup.
#[derive(Debug, PartialEq, Eq)]
pub struct Backup {
    /// Phase, such as `Completed` or `PartiallyFailed`.
    pub phase: Option<Sym>,
    /// Start: the recovery point's time.
    pub started: Option<Timestamp>,
    /// When it is deleted.
    pub expires: Option<Timestamp>,
    /// Namespaces that it holds; empty means all.
    pub included: Box<[Sym]>,
    /// Namespaces that it leaves out.
    pub excluded: Box<[Sym]>,
    /// Volume snapshots tried, native and CSI.
    pub snapshots_attempted: u64,
    /// Volume snapshots that succeeded, native and CSI.
    pub snapshots_completed: u64,
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
    /// Whether it is `Completed`.
    pub completed: bool,
    /// When it started.
    pub started: Option<Timestamp>,
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
    template: Option<WireBackupSpec<'a>>,
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
    expiration: Option<Str<'a>>,
    volume_snapshots_attempted: Option<u64>,
    volume_snapshots_completed: Option<u64>,
    csi_volume_snapshots_attempted: Option<u64>,
    csi_volume_snapshots_completed: Option<u64>,
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
    pod: Option<WirePodRef<'a>>,
    #[serde(borrow, rename = "sourcePVC")]
    source_pvc: Option<Str<'a>>,
    #[serde(borrow)]
    source_namespace: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct WirePodRef<'a> {
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVolumeStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    start_timestamp: Option<Str<'a>>,
}

fn time(text: Option<&Str<'_>>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

fn syms(list: Option<Vec<Str<'_>>>, interner: &mut Interner) -> Box<[Sym]> {
    let list = list.unwrap_or_default();
    list.iter().map(|text| interner.string(text)).collect()
}

impl Projection for Schedule {
    type Wire<'a> = WireSchedule<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&["f:spec", "f:paused"]];

    fn project(wire: WireSchedule<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let template = wire.spec.template.unwrap_or_default();
        let schedule = Self {
            cron: interner.string(&wire.spec.schedule),
            paused: wire.spec.paused == Some(true),
            phase: phase.map(|phase| interner.string(phase)),
            last_backup: time(status.and_then(|status| status.last_backup.as_ref())),
            last_skipped: time(status.and_then(|status| status.last_skipped.as_ref())),
            included: syms(template.included_namespaces, interner),
            excluded: syms(template.excluded_namespaces, interner),
        };
        Ok((meta, schedule))
    }
}

impl Projection for Backup {
    type Wire<'a> = WireBackup<'a>;

    fn project(wire: WireBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.unwrap_or_default();
        let spec = wire.spec.unwrap_or_default();
        let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
        let backup = Self {
            phase: status.phase.as_deref().map(|phase| interner.string(phase)),
            started: time(status.start_timestamp.as_ref()),
            expires: time(status.expiration.as_ref()),
            included: syms(spec.included_namespaces, interner),
            excluded: syms(spec.excluded_namespaces, interner),
            snapshots_attempted: sum(
                status.volume_snapshots_attempted,
                status.csi_volume_snapshots_attempted,
            ),
            snapshots_completed: sum(
                status.volume_snapshots_completed,
                status.csi_volume_snapshots_completed,
            ),
        };
        Ok((meta, backup))
    }
}

impl Projection for VolumeBackup {
    type Wire<'a> = WireVolumeBackup<'a>;

    fn project(wire: WireVolumeBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let pod_namespace = spec.pod.and_then(|pod| pod.namespace);
        let namespace = spec.source_namespace.or(pod_namespace).unwrap_or_default();
        let status = wire.status.as_ref();
        let label = |key: &str, interner: &mut Interner| {
            meta.labels.get(key).map(|value| interner.string(value))
        };
        let volume = Self {
            backup: label("velero.io/backup-name", interner),
            claim_uid: label("velero.io/pvc-uid", interner),
            claim_namespace: interner.string(&namespace),
            claim: spec.source_pvc.map(|claim| interner.string(&claim)),
            completed: status.and_then(|s| s.phase.as_deref()) == Some("Completed"),
            started: time(status.and_then(|s| s.start_timestamp.as_ref())),
        };
        Ok((meta, volume))
    }
}
