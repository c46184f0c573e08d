//! Snapshots of etcd, as k3s and RKE2 show them.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
    wire::{sym, time},
};

/// An `ETCDSnapshotFile`.
#[derive(Debug, PartialEq, Eq)]
pub struct EtcdSnapshotFile {
    /// Where it lies, such as `s3://…` or `file://…`.
    pub location: Option<Sym>,
    /// When it was taken.
    pub taken: Option<Timestamp>,
    /// Whether it can be restored.
    pub ready: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireFile<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<FileSpec<'a>>,
    #[serde(borrow)]
    status: Option<FileStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct FileSpec<'a> {
    #[serde(borrow)]
    location: Option<Str<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileStatus<'a> {
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    creation_time: Option<Str<'a>>,
}

impl Projection for EtcdSnapshotFile {
    type Wire<'a> = WireFile<'a>;

    fn project(wire: WireFile<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let (spec, status) = (
            wire.spec.unwrap_or_default(),
            wire.status.unwrap_or_default(),
        );
        let file = Self {
            location: sym(spec.location.as_ref(), interner),
            taken: time(status.creation_time.as_ref()),
            ready: status.ready_to_use == Some(true),
        };
        Ok((meta, file))
    }
}
