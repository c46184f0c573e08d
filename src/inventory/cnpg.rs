//! `CloudNativePG`: database clusters, their scheduled backups, and where those lie.
//!
//! Fields as in `postgresql.cnpg.io/v1` 1.28 and `barmancloud.cnpg.io/v1` 0.15.

mod object_store;

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

pub use self::object_store::{ObjectStore, Window};
use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    wire::{WireCondition, WireRef, condition, sym, time},
};

/// Label of claims, pods and backups with the cluster that they belong to.
pub const CLUSTER: &str = "cnpg.io/cluster";
/// Label of a Backup with the `ScheduledBackup` that it is of.
pub const SCHEDULED: &str = "cnpg.io/scheduled-backup";
/// The plugin that writes backups to an `ObjectStore`.
pub const BARMAN_PLUGIN: &str = "barman-cloud.cloudnative-pg.io";

/// A database cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct Database {
    /// Where it is backed up to by itself.
    pub store: Option<Store>,
    /// Whether it says how its volumes are snapshotted.
    pub snapshots: bool,
    /// Plugins that are switched on.
    pub plugins: Box<[Plugin]>,
    /// How long backups are kept; deprecated.
    pub retention: Option<Sym>,
    /// Where it was recovered from.
    pub recovered: Option<Recovered>,
    /// Storage class of its volumes.
    pub class: Option<Sym>,
    /// Whether its instances are ready.
    pub ready: Option<bool>,
    /// When that began or ended.
    pub ready_since: Option<Timestamp>,
    /// Whether its log is archived without a gap.
    pub archiving: Option<bool>,
    /// Whether its last backup succeeded.
    pub last_backup: Option<bool>,
}

/// Where Barman writes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// Bucket and path, such as `s3://bucket/path`.
    pub destination: Option<Sym>,
    /// Address of an S3-compatible service.
    pub endpoint: Option<Sym>,
    /// Encryption of base backups, as asked of the service.
    pub data_encryption: Option<Sym>,
    /// Encryption of the log, as asked of the service.
    pub log_encryption: Option<Sym>,
    /// Whether credentials are by a Secret, and which.
    pub secret: Option<Sym>,
}

/// A plugin of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Name.
    pub name: Sym,
    /// The `ObjectStore` that it writes to.
    pub object_store: Option<Sym>,
    /// What it calls the cluster there.
    pub server: Option<Sym>,
    /// Whether it archives the log.
    pub archives: bool,
}

/// Where a cluster was recovered from.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovered {
    /// A Backup of the same namespace.
    pub backup: Option<Sym>,
    /// Or an entry of its `externalClusters`.
    pub source: Option<Sym>,
}

/// A scheduled backup.
#[derive(Debug, PartialEq, Eq)]
pub struct ScheduledBackup {
    /// Cron expression, which begins with the second.
    pub cron: Sym,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Name of the cluster.
    pub cluster: Sym,
    /// `barmanObjectStore`, `volumeSnapshot` or `plugin`.
    pub method: Sym,
    /// Name of the plugin.
    pub plugin: Option<Sym>,
    /// When it last started a backup.
    pub last: Option<Timestamp>,
}

/// A backup of a database cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct DatabaseBackup {
    /// Name of the cluster.
    pub cluster: Sym,
    /// `barmanObjectStore`, `volumeSnapshot` or `plugin`.
    pub method: Sym,
    /// `completed`, `failed` and so on.
    pub phase: Option<Sym>,
    /// Start: the recovery point's time.
    pub started: Option<Timestamp>,
    /// End.
    pub stopped: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<Sym>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireDatabase<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<DatabaseSpec<'a>>,
    #[serde(borrow)]
    status: Option<DatabaseStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DatabaseSpec<'a> {
    #[serde(borrow)]
    backup: Option<BackupConfig<'a>>,
    #[serde(borrow)]
    plugins: Option<Vec<WirePlugin<'a>>>,
    #[serde(borrow)]
    bootstrap: Option<Bootstrap<'a>>,
    #[serde(borrow)]
    storage: Option<WireStorage<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackupConfig<'a> {
    #[serde(borrow)]
    barman_object_store: Option<WireStore<'a>>,
    volume_snapshot: Option<IgnoredAny>,
    #[serde(borrow)]
    retention_policy: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStore<'a> {
    #[serde(borrow)]
    destination_path: Option<Str<'a>>,
    #[serde(borrow, rename = "endpointURL")]
    endpoint_url: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<WireEncryption<'a>>,
    #[serde(borrow)]
    wal: Option<WireEncryption<'a>>,
    #[serde(borrow)]
    s3_credentials: Option<S3Credentials<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireEncryption<'a> {
    #[serde(borrow)]
    encryption: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Credentials<'a> {
    #[serde(borrow)]
    secret_access_key: Option<WireRef<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePlugin<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    enabled: Option<bool>,
    #[serde(rename = "isWALArchiver")]
    is_wal_archiver: Option<bool>,
    #[serde(borrow)]
    parameters: Option<WireParameters<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireParameters<'a> {
    #[serde(borrow)]
    barman_object_name: Option<Str<'a>>,
    #[serde(borrow)]
    server_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct Bootstrap<'a> {
    #[serde(borrow)]
    recovery: Option<WireRecovery<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireRecovery<'a> {
    #[serde(borrow)]
    backup: Option<WireRef<'a>>,
    #[serde(borrow)]
    source: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStorage<'a> {
    #[serde(borrow)]
    storage_class: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct DatabaseStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<WireCondition<'a>>>,
}

impl WireStore<'_> {
    fn project(self, interner: &mut Interner) -> Store {
        let mut encryption = |part: Option<WireEncryption<'_>>| {
            sym(part.and_then(|part| part.encryption).as_ref(), interner)
        };
        let (data_encryption, log_encryption) = (encryption(self.data), encryption(self.wal));
        let key = self.s3_credentials.and_then(|keys| keys.secret_access_key);
        Store {
            destination: sym(self.destination_path.as_ref(), interner),
            endpoint: sym(self.endpoint_url.as_ref(), interner),
            data_encryption,
            log_encryption,
            secret: sym(key.and_then(|key| key.name).as_ref(), interner),
        }
    }
}

impl WirePlugin<'_> {
    fn project(self, interner: &mut Interner) -> Option<Plugin> {
        let parameters = self.parameters.unwrap_or_default();
        (self.enabled != Some(false)).then(|| Plugin {
            name: interner.string(self.name.as_deref().unwrap_or_default()),
            object_store: sym(parameters.barman_object_name.as_ref(), interner),
            server: sym(parameters.server_name.as_ref(), interner),
            archives: self.is_wal_archiver == Some(true),
        })
    }
}

impl Projection for Database {
    type Wire<'a> = WireDatabase<'a>;

    fn project(wire: WireDatabase<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let conditions = wire.status.unwrap_or_default().conditions;
        let conditions = conditions.as_deref();
        let (ready, archiving) = (
            condition(conditions, "Ready"),
            condition(conditions, "ContinuousArchiving"),
        );
        let last_backup = condition(conditions, "LastBackupSucceeded");
        let changed = |kind: &str| {
            let mut conditions = conditions.unwrap_or_default().iter();
            let condition = conditions.find(|c| c.kind.as_deref() == Some(kind))?;
            time(condition.last_transition_time.as_ref())
        };
        let ready_since = changed("Ready");
        let recovery = spec.bootstrap.and_then(|bootstrap| bootstrap.recovery);
        let storage = spec.storage.and_then(|storage| storage.storage_class);
        let (store, snapshots, retention) = match spec.backup {
            Some(backup) => (
                backup.barman_object_store,
                backup.volume_snapshot.is_some(),
                sym(backup.retention_policy.as_ref(), interner),
            ),
            None => (None, false, None),
        };
        let plugins = spec.plugins.into_iter().flatten();
        let database = Self {
            store: store.map(|store| store.project(interner)),
            snapshots,
            plugins: plugins
                .filter_map(|plugin| plugin.project(interner))
                .collect(),
            retention,
            recovered: recovery.map(|recovery| Recovered {
                backup: sym(
                    recovery.backup.and_then(|backup| backup.name).as_ref(),
                    interner,
                ),
                source: sym(recovery.source.as_ref(), interner),
            }),
            class: sym(storage.as_ref(), interner),
            ready,
            ready_since,
            archiving,
            last_backup,
        };
        Ok((meta, database))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireScheduled<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: ScheduledSpec<'a>,
    #[serde(borrow)]
    status: Option<ScheduledStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduledSpec<'a> {
    #[serde(borrow)]
    schedule: Str<'a>,
    suspend: Option<bool>,
    #[serde(borrow)]
    cluster: Option<WireRef<'a>>,
    #[serde(borrow)]
    method: Option<Str<'a>>,
    #[serde(borrow)]
    plugin_configuration: Option<WireRef<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduledStatus<'a> {
    #[serde(borrow)]
    last_schedule_time: Option<Str<'a>>,
}

/// What is done where no method is named.
const METHOD: &str = "barmanObjectStore";

fn name_of(reference: Option<WireRef<'_>>, interner: &mut Interner) -> Option<Sym> {
    sym(reference.and_then(|to| to.name).as_ref(), interner)
}

impl Projection for ScheduledBackup {
    type Wire<'a> = WireScheduled<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] =
        &[&["f:spec", "f:suspend"], &["f:spec", "f:schedule"]];

    fn project(wire: WireScheduled<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let (spec, status) = (wire.spec, wire.status);
        let scheduled = Self {
            cron: interner.string(&spec.schedule),
            suspended: spec.suspend == Some(true),
            cluster: name_of(spec.cluster, interner).unwrap_or_else(|| interner.string("")),
            method: interner.string(spec.method.as_deref().unwrap_or(METHOD)),
            plugin: name_of(spec.plugin_configuration, interner),
            last: time(status.and_then(|status| status.last_schedule_time).as_ref()),
        };
        Ok((meta, scheduled))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireDatabaseBackup<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<DatabaseBackupSpec<'a>>,
    #[serde(borrow)]
    status: Option<DatabaseBackupStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct DatabaseBackupSpec<'a> {
    #[serde(borrow)]
    cluster: Option<WireRef<'a>>,
    #[serde(borrow)]
    method: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DatabaseBackupStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    started_at: Option<Str<'a>>,
    #[serde(borrow)]
    stopped_at: Option<Str<'a>>,
    #[serde(borrow)]
    error: Option<Str<'a>>,
}

impl Projection for DatabaseBackup {
    type Wire<'a> = WireDatabaseBackup<'a>;

    fn keeps_label(key: &str) -> bool {
        key == SCHEDULED
    }

    fn project(wire: WireDatabaseBackup<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let (spec, status) = (
            wire.spec.unwrap_or_default(),
            wire.status.unwrap_or_default(),
        );
        let backup = Self {
            cluster: name_of(spec.cluster, interner).unwrap_or_else(|| interner.string("")),
            method: interner.string(spec.method.as_deref().unwrap_or(METHOD)),
            phase: sym(status.phase.as_ref(), interner),
            started: time(status.started_at.as_ref()),
            stopped: time(status.stopped_at.as_ref()),
            error: status.error.map(|error| {
                let end = error.floor_char_boundary(200);
                interner.string(&error[..end])
            }),
        };
        Ok((meta, backup))
    }
}
