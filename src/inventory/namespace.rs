//! Namespaces.

use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::Interner,
    meta::{ManagedFields, WireMeta},
};
use crate::analysis::meshed::{INBOUND, INJECT};

/// A namespace: its labels are what controls read.
#[derive(Debug, PartialEq, Eq)]
pub struct Namespace;

/// Label that Pod Security admission enforces.
pub const PSA_ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Label that says by which version's rules Pod Security admission enforces.
pub const PSA_ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct Wire<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
}

impl Projection for Namespace {
    type Wire<'a> = Wire<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[
        &[
            "f:metadata",
            "f:labels",
            "f:pod-security.kubernetes.io/enforce",
        ],
        &[
            "f:metadata",
            "f:labels",
            "f:pod-security.kubernetes.io/enforce-version",
        ],
    ];

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || matches!(key, INBOUND | INJECT)
    }

    fn project(wire: Wire<'_>, interner: &mut Interner) -> Projected<Self> {
        Ok((Self::meta(wire.metadata, interner)?, Self))
    }
}
