//! Snapshots of volumes.

use jiff::Timestamp;
use serde::Deserialize;

use super::DEFAULT_CLASS;
use crate::inventory::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
    wire::{sym, time},
};

/// A CSI `VolumeSnapshot`.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeSnapshot {
    /// The claim that it is a copy of.
    pub claim: Option<Sym>,
    /// Its class.
    pub class: Option<Sym>,
    /// The `VolumeSnapshotContent` behind it.
    pub content: Option<Sym>,
    /// Whether it can be restored from.
    pub ready: bool,
    /// The moment that it shows.
    pub taken: Option<Timestamp>,
}

/// A CSI `VolumeSnapshotContent`.
#[derive(Debug, PartialEq, Eq)]
pub struct SnapshotContent {
    /// CSI driver.
    pub driver: Option<Sym>,
    /// Whether the snapshot stays when the object is deleted.
    pub retain: bool,
}

/// A CSI `VolumeSnapshotClass`.
#[derive(Debug, PartialEq, Eq)]
pub struct SnapshotClass {
    /// CSI driver.
    pub driver: Option<Sym>,
    /// Whether snapshots stay when their objects are deleted.
    pub retain: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSnapshot<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<SnapshotSpec<'a>>,
    #[serde(borrow)]
    status: Option<SnapshotStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotSpec<'a> {
    #[serde(borrow)]
    source: Option<SnapshotSource<'a>>,
    #[serde(borrow)]
    volume_snapshot_class_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotSource<'a> {
    #[serde(borrow)]
    persistent_volume_claim_name: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotStatus<'a> {
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    creation_time: Option<Str<'a>>,
    #[serde(borrow)]
    bound_volume_snapshot_content_name: Option<Str<'a>>,
}

impl Projection for VolumeSnapshot {
    type Wire<'a> = WireSnapshot<'a>;

    fn project(wire: WireSnapshot<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let claim = spec
            .source
            .and_then(|source| source.persistent_volume_claim_name);
        let status = wire.status.unwrap_or_default();
        let content = status.bound_volume_snapshot_content_name;
        let snapshot = Self {
            claim: claim.map(|claim| interner.string(&claim)),
            class: sym(spec.volume_snapshot_class_name.as_ref(), interner),
            content: sym(content.as_ref(), interner),
            ready: status.ready_to_use == Some(true),
            taken: time(status.creation_time.as_ref()),
        };
        Ok((meta, snapshot))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireContent<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<ContentSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentSpec<'a> {
    #[serde(borrow)]
    driver: Option<Str<'a>>,
    #[serde(borrow)]
    deletion_policy: Option<Str<'a>>,
}

impl Projection for SnapshotContent {
    type Wire<'a> = WireContent<'a>;

    fn project(wire: WireContent<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let content = Self {
            driver: sym(spec.driver.as_ref(), interner),
            retain: spec.deletion_policy.as_deref() == Some("Retain"),
        };
        Ok((meta, content))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireSnapshotClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    driver: Option<Str<'a>>,
    #[serde(borrow)]
    deletion_policy: Option<Str<'a>>,
}

impl Projection for SnapshotClass {
    type Wire<'a> = WireSnapshotClass<'a>;

    fn keeps_annotation(key: &str) -> bool {
        crate::inventory::ours(key) || key == DEFAULT_CLASS
    }

    fn project(wire: WireSnapshotClass<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let class = Self {
            driver: sym(wire.driver.as_ref(), interner),
            retain: wire.deletion_policy.as_deref() == Some("Retain"),
        };
        Ok((meta, class))
    }
}
