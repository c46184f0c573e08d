//! Where the Barman plugin writes to, and what it says can be recovered from there.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    super::{
        Projected, Projection,
        intern::{Interner, Sym},
        meta::{ManagedFields, Str, WireMeta},
        wire::{sym, time},
    },
    Store, WireStore,
};

/// A bucket that the Barman plugin writes to.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectStore {
    /// Where.
    pub store: Store,
    /// How long backups are kept, such as `30d`.
    pub retention: Option<Sym>,
    /// By server: first point that can be recovered, and the last successful backup.
    pub windows: Box<[Window]>,
}

/// What can be recovered of one server.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// The server.
    pub server: Sym,
    /// The first point.
    pub first: Option<Timestamp>,
    /// The last successful backup.
    pub last: Option<Timestamp>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireObjectStore<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: Option<ObjectStoreSpec<'a>>,
    #[serde(borrow)]
    status: Option<ObjectStoreStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectStoreSpec<'a> {
    #[serde(borrow)]
    configuration: Option<WireStore<'a>>,
    #[serde(borrow)]
    retention_policy: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectStoreStatus<'a> {
    #[serde(borrow)]
    server_recovery_window: Option<std::collections::BTreeMap<Str<'a>, WireWindow<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireWindow<'a> {
    #[serde(borrow)]
    first_recoverability_point: Option<Str<'a>>,
    #[serde(borrow)]
    last_successful_backup_time: Option<Str<'a>>,
}

impl Projection for ObjectStore {
    type Wire<'a> = WireObjectStore<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&["f:spec", "f:retentionPolicy"]];

    fn project(wire: WireObjectStore<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let windows = wire.status.and_then(|status| status.server_recovery_window);
        let windows = windows.iter().flatten().map(|(server, window)| Window {
            server: interner.string(server),
            first: time(window.first_recoverability_point.as_ref()),
            last: time(window.last_successful_backup_time.as_ref()),
        });
        let windows = windows.collect();
        let store = Self {
            store: spec.configuration.unwrap_or_default().project(interner),
            retention: sym(spec.retention_policy.as_ref(), interner),
            windows,
        };
        Ok((meta, store))
    }
}
