//! What became of Velero's restores.

use jiff::Timestamp;
use serde::Deserialize;

use super::{REASON_LIMIT, WireProgress};
use crate::inventory::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, StrMap, WireMeta},
    wire::{sym, syms, time},
};

/// A Velero Restore.
#[derive(Debug, PartialEq, Eq)]
pub struct Restore {
    /// The Backup that it restores.
    pub backup: Option<Sym>,
    /// Or the Schedule whose newest Backup it restores.
    pub schedule: Option<Sym>,
    /// Old and new names of namespaces.
    pub mapping: Box<[(Sym, Sym)]>,
    /// Namespaces that it restores; empty means all.
    pub included: Box<[Sym]>,
    /// Whether volumes are left out.
    pub without_volumes: bool,
    /// Phase, such as `Completed`.
    pub phase: Option<Sym>,
    /// Start.
    pub started: Option<Timestamp>,
    /// End.
    pub completed: Option<Timestamp>,
    /// Warnings.
    pub warnings: u64,
    /// Errors.
    pub errors: u64,
    /// Objects restored, once it has ended.
    pub items: u64,
    /// Why Velero refused it or gave up, cut short.
    pub failure: Option<Sym>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRestore<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireRestoreSpec<'a>>,
    #[serde(borrow)]
    status: Option<WireRestoreStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRestoreSpec<'a> {
    #[serde(borrow)]
    backup_name: Option<Str<'a>>,
    #[serde(borrow)]
    schedule_name: Option<Str<'a>>,
    #[serde(borrow)]
    namespace_mapping: Option<StrMap<'a>>,
    #[serde(borrow)]
    included_namespaces: Option<Vec<Str<'a>>>,
    #[serde(rename = "restorePVs")]
    restore_pvs: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRestoreStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(borrow)]
    start_timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    completion_timestamp: Option<Str<'a>>,
    warnings: Option<u64>,
    errors: Option<u64>,
    #[serde(borrow)]
    failure_reason: Option<Str<'a>>,
    #[serde(borrow)]
    validation_errors: Option<Vec<Str<'a>>>,
    progress: Option<WireProgress>,
}

impl Projection for Restore {
    type Wire<'a> = WireRestore<'a>;

    fn project(wire: WireRestore<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let completed = time(status.completion_timestamp.as_ref());
        let errors = status.validation_errors.iter().flatten();
        let failure = status.failure_reason.as_deref();
        let failure = failure.or_else(|| errors.map(|error| &**error).next());
        let mapping = spec.namespace_mapping.unwrap_or_default().0;
        let restore = Self {
            backup: sym(spec.backup_name.as_ref(), interner),
            schedule: sym(spec.schedule_name.as_ref(), interner),
            mapping: mapping
                .iter()
                .map(|(old, new)| (interner.string(old), interner.string(new)))
                .collect(),
            included: syms(spec.included_namespaces, interner),
            without_volumes: spec.restore_pvs == Some(false),
            phase: sym(status.phase.as_ref(), interner),
            started: time(status.start_timestamp.as_ref()),
            completed,
            warnings: status.warnings.unwrap_or_default(),
            errors: status.errors.unwrap_or_default(),
            items: status
                .progress
                .filter(|_| completed.is_some())
                .and_then(|progress| progress.items_restored)
                .unwrap_or_default(),
            failure: failure.map(|text| {
                let end = text.floor_char_boundary(REASON_LIMIT);
                interner.string(&text[..end])
            }),
        };
        Ok((meta, restore))
    }
}
