//! Where Velero's backups lie.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;

use crate::inventory::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Labels, Str, StrMap, WireMeta},
    wire::{go_duration, sym, time},
};

/// A `BackupStorageLocation`.
#[derive(Debug, PartialEq, Eq)]
pub struct Location {
    /// Who stores it, such as `aws`.
    pub provider: Sym,
    /// Bucket.
    pub bucket: Option<Sym>,
    /// The provider's settings, such as `region` and `s3Url`; never credentials.
    pub config: Arc<Labels>,
    /// Secret with the credentials, in the same namespace.
    pub credential: Option<Sym>,
    /// Whether it is taken where none is named.
    pub default: bool,
    /// Whether nothing is written to it.
    pub read_only: bool,
    /// How often Velero looks whether it can be reached; zero: never.
    pub validated_every: Option<Duration>,
    /// `Available` or `Unavailable`.
    pub phase: Option<Sym>,
    /// When Velero last looked, rounded down to ten minutes.
    pub validated: Option<Timestamp>,
    /// What Velero says about it.
    pub message: Option<Sym>,
}

/// Velero notes every minute that a location is available: that must not be a change each time.
const ROUND: Duration = Duration::from_mins(10);

/// A `VolumeSnapshotLocation`.
#[derive(Debug, PartialEq, Eq)]
pub struct SnapshotLocation {
    /// Who snapshots, such as `aws`.
    pub provider: Option<Sym>,
}

/// A `BackupRepository`: the file-level backups of one namespace in one location.
#[derive(Debug, PartialEq, Eq)]
pub struct Repository {
    /// The location.
    pub location: Option<Sym>,
    /// `kopia` or `restic`.
    pub program: Option<Sym>,
    /// `New`, `Ready` or `NotReady`.
    pub phase: Option<Sym>,
    /// How often it is to be maintained.
    pub maintained_every: Option<Duration>,
    /// When it last was.
    pub maintained: Option<Timestamp>,
    /// Whether the newest attempt failed.
    pub maintenance_failed: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireLocation<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireSpec<'a>>,
    #[serde(borrow)]
    status: Option<WireStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec<'a> {
    #[serde(borrow)]
    provider: Option<Str<'a>>,
    #[serde(borrow)]
    object_storage: Option<WireBucket<'a>>,
    #[serde(borrow)]
    config: Option<StrMap<'a>>,
    #[serde(borrow)]
    credential: Option<WireSecret<'a>>,
    default: Option<bool>,
    #[serde(borrow)]
    access_mode: Option<Str<'a>>,
    #[serde(borrow)]
    validation_frequency: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireBucket<'a> {
    #[serde(borrow)]
    bucket: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireSecret<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    last_validation_time: Option<Str<'a>>,
    #[serde(borrow)]
    message: Option<Str<'a>>,
}

impl Projection for Location {
    type Wire<'a> = WireLocation<'a>;

    fn project(wire: WireLocation<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let bucket = spec.object_storage.and_then(|storage| storage.bucket);
        let credential = spec.credential.and_then(|secret| secret.name);
        let config = Labels::project(spec.config, interner, |_| true);
        let frequency = spec.validation_frequency;
        let location = Self {
            provider: interner.string(spec.provider.as_deref().unwrap_or_default()),
            bucket: sym(bucket.as_ref(), interner),
            config: interner.labels(config),
            credential: sym(credential.as_ref(), interner),
            default: spec.default == Some(true),
            read_only: spec.access_mode.as_deref() == Some("ReadOnly"),
            validated_every: frequency.and_then(|text| go_duration(&text)),
            phase: sym(status.phase.as_ref(), interner),
            validated: time(status.last_validation_time.as_ref()).and_then(round),
            message: sym(status.message.as_ref(), interner),
        };
        Ok((meta, location))
    }
}

fn round(time: Timestamp) -> Option<Timestamp> {
    let (second, round) = (time.as_second(), ROUND.as_secs().cast_signed());
    Timestamp::from_second(second - second.rem_euclid(round)).ok()
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSnapshotLocation<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireSpec<'a>>,
}

impl Projection for SnapshotLocation {
    type Wire<'a> = WireSnapshotLocation<'a>;

    fn project(wire: WireSnapshotLocation<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let provider = wire.spec.and_then(|spec| spec.provider);
        let provider = sym(provider.as_ref(), interner);
        Ok((meta, Self { provider }))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRepository<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireRepositorySpec<'a>>,
    #[serde(borrow)]
    status: Option<WireRepositoryStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRepositorySpec<'a> {
    #[serde(borrow)]
    backup_storage_location: Option<Str<'a>>,
    #[serde(borrow)]
    repository_type: Option<Str<'a>>,
    #[serde(borrow)]
    maintenance_frequency: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRepositoryStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    last_maintenance_time: Option<Str<'a>>,
    #[serde(borrow)]
    recent_maintenance: Option<Vec<WireMaintenance<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMaintenance<'a> {
    #[serde(borrow)]
    result: Option<Str<'a>>,
    #[serde(borrow)]
    start_timestamp: Option<Str<'a>>,
}

impl Projection for Repository {
    type Wire<'a> = WireRepository<'a>;

    fn project(wire: WireRepository<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let attempts = status.recent_maintenance.iter().flatten();
        let newest = attempts.max_by_key(|attempt| time(attempt.start_timestamp.as_ref()));
        let repository = Self {
            location: sym(spec.backup_storage_location.as_ref(), interner),
            program: sym(spec.repository_type.as_ref(), interner),
            phase: sym(status.phase.as_ref(), interner),
            maintained_every: spec
                .maintenance_frequency
                .and_then(|text| go_duration(&text))
                .filter(|every| !every.is_zero()),
            maintained: time(status.last_maintenance_time.as_ref()),
            maintenance_failed: newest.is_some_and(|a| a.result.as_deref() == Some("Failed")),
        };
        Ok((meta, repository))
    }
}
