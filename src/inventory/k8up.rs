//! K8up: schedules, their runs, and the snapshots in their repositories.
//!
//! Fields as in `k8up.io/v1`, K8up 2.13.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    selector::{Selector, WireSelector},
    wire::{WireCondition, sym, syms, time},
};

/// A schedule: what is done with the claims of its namespace.
#[derive(Debug, PartialEq, Eq)]
pub struct K8upSchedule {
    /// Cron expression of backups; `None` where it makes none.
    pub cron: Option<Sym>,
    /// The expression that K8up made of a random one.
    pub effective: Option<Sym>,
    /// Labels of which claims need one set; empty means all claims.
    pub selectors: Box<[Selector]>,
    /// Where backups go.
    pub backend: Option<Arc<Backend>>,
    /// What is kept of them; `None` where nothing is ever removed.
    pub keep: Option<Keep>,
    /// Secrets of its namespace with what opens the place that backups go to.
    pub credentials: Box<[Sym]>,
}

/// Where backups go.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// `s3`, `gcs`, `local` and so on.
    pub kind: Option<Sym>,
    /// Address of an S3-compatible service.
    pub endpoint: Option<Sym>,
    /// Bucket or container.
    pub bucket: Option<Sym>,
    /// Whether the password of the repository is named: without it, one of the operator is taken.
    pub password: bool,
}

/// How many snapshots are kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The last so many.
    pub last: u32,
    /// The last of each hour, for so many.
    pub hourly: u32,
    /// The last of each day, for so many.
    pub daily: u32,
    /// The last of each week, for so many.
    pub weekly: u32,
    /// The last of each month, for so many.
    pub monthly: u32,
    /// The last of each year, for so many.
    pub yearly: u32,
}

/// A run: a Backup or a Restore.
#[derive(Debug, PartialEq, Eq)]
pub struct K8upRun {
    /// Whether it succeeded; `None` where it has not ended.
    pub succeeded: Option<bool>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The snapshot that it restores.
    pub snapshot: Option<Sym>,
    /// The claim that it restores to.
    pub claim: Option<Sym>,
}

/// A snapshot in a repository.
#[derive(Debug, PartialEq, Eq)]
pub struct K8upSnapshot {
    /// The moment that it shows.
    pub date: Option<Timestamp>,
    /// What it holds, such as `/data/CLAIM`.
    pub paths: Box<[Sym]>,
    /// Where it lies, such as `s3:https://host/bucket`.
    pub repository: Option<Sym>,
}

impl K8upSnapshot {
    /// The claims of its namespace that it holds.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .filter_map(|path| path.strip_prefix("/data/"))
            .filter(|name| !name.contains('/'))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSchedule<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: Option<ScheduleSpec<'a>>,
    #[serde(borrow)]
    status: Option<ScheduleStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct ScheduleSpec<'a> {
    #[serde(borrow)]
    backend: Option<WireBackend<'a>>,
    #[serde(borrow)]
    backup: Option<BackupPart<'a>>,
    prune: Option<PrunePart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackupPart<'a> {
    #[serde(borrow)]
    schedule: Option<Str<'a>>,
    #[serde(borrow)]
    label_selectors: Option<Vec<WireSelector<'a>>>,
    #[serde(borrow)]
    backend: Option<WireBackend<'a>>,
}

#[derive(Debug, Deserialize)]
struct PrunePart {
    retention: Option<WireKeep>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireKeep {
    #[serde(rename = "keepLast")]
    last: u32,
    #[serde(rename = "keepHourly")]
    hourly: u32,
    #[serde(rename = "keepDaily")]
    daily: u32,
    #[serde(rename = "keepWeekly")]
    weekly: u32,
    #[serde(rename = "keepMonthly")]
    monthly: u32,
    #[serde(rename = "keepYearly")]
    yearly: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleStatus<'a> {
    #[serde(borrow)]
    effective_schedules: Option<Vec<Effective<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Effective<'a> {
    #[serde(borrow)]
    job_type: Option<Str<'a>>,
    #[serde(borrow)]
    generated_schedule: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBackend<'a> {
    repo_password_secret_ref: Option<IgnoredAny>,
    #[serde(borrow)]
    env_from: Option<Vec<Variables<'a>>>,
    local: Option<IgnoredAny>,
    #[serde(borrow)]
    s3: Option<Bucket<'a>>,
    #[serde(borrow)]
    gcs: Option<Bucket<'a>>,
    #[serde(borrow)]
    azure: Option<Bucket<'a>>,
    #[serde(borrow)]
    swift: Option<Bucket<'a>>,
    #[serde(borrow)]
    b2: Option<Bucket<'a>>,
    #[serde(borrow)]
    rest: Option<Bucket<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Bucket<'a> {
    #[serde(borrow, alias = "url")]
    endpoint: Option<Str<'a>>,
    #[serde(borrow, rename = "bucket", alias = "container")]
    name: Option<Str<'a>>,
    #[serde(
        borrow,
        alias = "secretAccessKeySecretRef",
        alias = "accessTokenSecretRef",
        alias = "accountKeySecretRef",
        alias = "passwordSecretReg"
    )]
    secret: Option<SecretRef<'a>>,
}

#[derive(Debug, Deserialize)]
struct SecretRef<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variables<'a> {
    #[serde(borrow)]
    secret_ref: Option<SecretRef<'a>>,
}

impl WireBackend<'_> {
    /// The Secrets with what opens the place: keys, tokens, or the variables of its runs.
    fn credentials(&self) -> impl Iterator<Item = &str> {
        let buckets = [
            &self.s3,
            &self.gcs,
            &self.azure,
            &self.swift,
            &self.b2,
            &self.rest,
        ];
        let own = buckets.into_iter().flatten();
        let own = own.filter_map(|bucket| bucket.secret.as_ref());
        let variables = self.env_from.iter().flatten();
        let variables = variables.filter_map(|from| from.secret_ref.as_ref());
        own.chain(variables)
            .filter_map(|secret| secret.name.as_deref())
    }

    fn project(self, interner: &mut Interner) -> Backend {
        let buckets = [
            ("s3", self.s3),
            ("gcs", self.gcs),
            ("azure", self.azure),
            ("swift", self.swift),
            ("b2", self.b2),
            ("rest", self.rest),
            ("local", self.local.map(|_| Bucket::default())),
        ];
        let found = buckets
            .into_iter()
            .find_map(|(kind, bucket)| Some((kind, bucket?)));
        let (kind, bucket) = found.map_or((None, Bucket::default()), |(k, b)| (Some(k), b));
        Backend {
            kind: kind.map(|kind| interner.string(kind)),
            endpoint: sym(bucket.endpoint.as_ref(), interner),
            bucket: sym(bucket.name.as_ref(), interner),
            password: self.repo_password_secret_ref.is_some(),
        }
    }
}

impl Projection for K8upSchedule {
    type Wire<'a> = WireSchedule<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[
        &["f:spec", "f:backup", "f:schedule"],
        &["f:spec", "f:prune", "f:retention"],
    ];

    fn project(wire: WireSchedule<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let (cron, selectors, own) = match spec.backup {
            Some(part) => (part.schedule, part.label_selectors, part.backend),
            None => (None, None, None),
        };
        let effective = wire.status.and_then(|status| status.effective_schedules);
        let effective = effective.into_iter().flatten();
        let mut effective = effective.filter(|entry| entry.job_type.as_deref() == Some("backup"));
        let selectors: Result<_, _> = selectors
            .into_iter()
            .flatten()
            .map(|selector| selector.project(interner))
            .collect();
        let backends = own.iter().chain(&spec.backend);
        let credentials = backends.flat_map(WireBackend::credentials);
        let credentials = credentials.map(|name| interner.string(name)).collect();
        let backend = own
            .or(spec.backend)
            .map(|backend| backend.project(interner));
        let keep = spec.prune.map(|prune| prune.retention.unwrap_or_default());
        let schedule = Self {
            cron: sym(cron.as_ref(), interner),
            effective: effective
                .next()
                .and_then(|entry| sym(entry.generated_schedule.as_ref(), interner)),
            selectors: selectors?,
            backend: backend.map(Arc::new),
            keep: keep.map(|keep| Keep {
                last: keep.last,
                hourly: keep.hourly,
                daily: keep.daily,
                weekly: keep.weekly,
                monthly: keep.monthly,
                yearly: keep.yearly,
            }),
            credentials,
        };
        Ok((meta, schedule))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRun<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<RunSpec<'a>>,
    #[serde(borrow)]
    status: Option<RunStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunSpec<'a> {
    #[serde(borrow)]
    snapshot: Option<Str<'a>>,
    #[serde(borrow)]
    restore_method: Option<RestoreMethod<'a>>,
}

#[derive(Debug, Deserialize)]
struct RestoreMethod<'a> {
    #[serde(borrow)]
    folder: Option<Folder<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Folder<'a> {
    #[serde(borrow)]
    claim_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct RunStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<WireCondition<'a>>>,
}

impl Projection for K8upRun {
    type Wire<'a> = WireRun<'a>;

    fn project(wire: WireRun<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let conditions = wire.status.and_then(|status| status.conditions);
        let mut conditions = conditions.iter().flatten();
        let done = conditions.find(|condition| {
            condition.kind.as_deref() == Some("Completed")
                && condition.status.as_deref() == Some("True")
        });
        let folder = spec.restore_method.and_then(|method| method.folder);
        let run = Self {
            succeeded: done.map(|done| done.reason.as_deref() == Some("Succeeded")),
            ended: time(done.and_then(|done| done.last_transition_time.as_ref())),
            snapshot: sym(spec.snapshot.as_ref(), interner),
            claim: sym(
                folder.and_then(|folder| folder.claim_name).as_ref(),
                interner,
            ),
        };
        Ok((meta, run))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSnapshot<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<SnapshotSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct SnapshotSpec<'a> {
    #[serde(borrow)]
    date: Option<Str<'a>>,
    #[serde(borrow)]
    paths: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    repository: Option<Str<'a>>,
}

impl Projection for K8upSnapshot {
    type Wire<'a> = WireSnapshot<'a>;

    fn project(wire: WireSnapshot<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let snapshot = Self {
            date: time(spec.date.as_ref()),
            paths: syms(spec.paths, interner),
            repository: sym(spec.repository.as_ref(), interner),
        };
        Ok((meta, snapshot))
    }
}
