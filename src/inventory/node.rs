//! Nodes.

use serde::Deserialize;

use super::{Projected, Projection, intern::Interner, meta::WireMeta};

/// A node: its labels are what controls read.
#[derive(Debug, PartialEq, Eq)]
pub struct Node;

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireNode<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
}

impl Projection for Node {
    type Wire<'a> = WireNode<'a>;

    fn project(wire: WireNode<'_>, interner: &mut Interner) -> Projected<Self> {
        Ok((Self::meta(wire.metadata, interner)?, Self))
    }
}
