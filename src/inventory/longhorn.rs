//! Longhorn: recurring jobs, volumes, backups and where those lie.
//!
//! Fields as in `longhorn.io/v1beta2`, Longhorn 1.10.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    wire::{sym, syms, time},
};

/// What the labels begin with by which a volume names its jobs.
pub const JOB: &str = "recurring-job.longhorn.io/";
/// What the labels begin with by which a volume names its groups of jobs.
pub const GROUP: &str = "recurring-job-group.longhorn.io/";
/// The CSI driver.
pub const DRIVER: &str = "driver.longhorn.io";

/// A recurring job.
#[derive(Debug, PartialEq, Eq)]
pub struct RecurringJob {
    /// Cron expression.
    pub cron: Sym,
    /// `backup`, `snapshot` and others.
    pub task: Sym,
    /// Groups of volumes that it is done for.
    pub groups: Box<[Sym]>,
    /// How many backups of a volume it keeps.
    pub retain: Option<u32>,
}

impl RecurringJob {
    /// Whether it makes backups rather than snapshots beside the volume.
    pub fn backs_up(&self) -> bool {
        matches!(&*self.task, "backup" | "backup-force-create")
    }
}

/// A volume of Longhorn, named as its driver's handle.
#[derive(Debug, PartialEq, Eq)]
pub struct LonghornVolume {
    /// Whether it is encrypted, and its backups with it.
    pub encrypted: bool,
    /// Where its backups go.
    pub target: Option<Sym>,
}

/// A backup of a volume of Longhorn.
#[derive(Debug, PartialEq, Eq)]
pub struct LonghornBackup {
    /// The volume.
    pub volume: Option<Sym>,
    /// Where it lies.
    pub target: Option<Sym>,
    /// `Completed`, `Error` and so on.
    pub state: Option<Sym>,
    /// The moment that it shows.
    pub taken: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<Sym>,
}

/// Where backups lie.
#[derive(Debug, PartialEq, Eq)]
pub struct BackupTarget {
    /// Its address, such as `s3://bucket@region/`; never credentials.
    pub url: Option<Sym>,
    /// Secret with the credentials.
    pub credential: Option<Sym>,
    /// Whether it can be reached.
    pub available: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRecurringJob<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: JobSpec<'a>,
}

#[derive(Debug, Deserialize)]
struct JobSpec<'a> {
    #[serde(borrow)]
    cron: Option<Str<'a>>,
    #[serde(borrow)]
    task: Option<Str<'a>>,
    #[serde(borrow)]
    groups: Option<Vec<Str<'a>>>,
    retain: Option<u32>,
}

impl Projection for RecurringJob {
    type Wire<'a> = WireRecurringJob<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] =
        &[&["f:spec", "f:cron"], &["f:spec", "f:retain"]];

    fn project(wire: WireRecurringJob<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec;
        let job = Self {
            cron: interner.string(spec.cron.as_deref().unwrap_or_default()),
            task: interner.string(spec.task.as_deref().unwrap_or_default()),
            groups: syms(spec.groups, interner),
            retain: spec.retain,
        };
        Ok((meta, job))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireLonghornVolume<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<VolumeSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec<'a> {
    encrypted: Option<bool>,
    #[serde(borrow)]
    backup_target_name: Option<Str<'a>>,
}

impl Projection for LonghornVolume {
    type Wire<'a> = WireLonghornVolume<'a>;

    fn keeps_label(key: &str) -> bool {
        super::ours(key) || key.starts_with(JOB) || key.starts_with(GROUP)
    }

    fn project(wire: WireLonghornVolume<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let volume = Self {
            encrypted: spec.encrypted == Some(true),
            target: sym(spec.backup_target_name.as_ref(), interner),
        };
        Ok((meta, volume))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireLonghornBackup<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    status: Option<BackupStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackupStatus<'a> {
    #[serde(borrow)]
    state: Option<Str<'a>>,
    #[serde(borrow)]
    volume_name: Option<Str<'a>>,
    #[serde(borrow)]
    backup_target_name: Option<Str<'a>>,
    #[serde(borrow)]
    snapshot_created_at: Option<Str<'a>>,
    #[serde(borrow)]
    backup_created_at: Option<Str<'a>>,
    #[serde(borrow)]
    error: Option<Str<'a>>,
}

impl Projection for LonghornBackup {
    type Wire<'a> = WireLonghornBackup<'a>;

    fn keeps_label(key: &str) -> bool {
        matches!(key, "backup-volume" | "backup-target")
    }

    fn project(wire: WireLonghornBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.unwrap_or_default();
        let mut named = |told: Option<&Str<'_>>, label: &str| {
            let label = meta.labels.get(label);
            sym(told, interner).or_else(|| label.map(|label| interner.string(label)))
        };
        let volume = named(status.volume_name.as_ref(), "backup-volume");
        let target = named(status.backup_target_name.as_ref(), "backup-target");
        let taken = status.snapshot_created_at.as_ref();
        let backup = Self {
            volume,
            target,
            state: sym(status.state.as_ref(), interner),
            taken: time(
                taken
                    .filter(|text| !text.is_empty())
                    .or(status.backup_created_at.as_ref()),
            ),
            error: sym(status.error.as_ref(), interner),
        };
        Ok((meta, backup))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireTarget<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<TargetSpec<'a>>,
    status: Option<TargetStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetSpec<'a> {
    #[serde(borrow, rename = "backupTargetURL")]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    credential_secret: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct TargetStatus {
    available: Option<bool>,
}

impl Projection for BackupTarget {
    type Wire<'a> = WireTarget<'a>;

    fn project(wire: WireTarget<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let target = Self {
            url: sym(spec.url.as_ref(), interner),
            credential: sym(spec.credential_secret.as_ref(), interner),
            available: wire.status.and_then(|status| status.available) == Some(true),
        };
        Ok((meta, target))
    }
}
