//! What is known of the cluster: small projections of objects, and how fresh they are.
//!
//! ```text
//! raw watch line ─► wire struct (borrows, lenient) ─► projection (shared values) ─► Table
//!                        └─ can't be decoded ─► Broken: stays a subject, verdict Unknown
//! ```
//!
//! No IO and no clock: bytes and times come in as arguments. A relist is a *generation*: objects
//! that it does not confirm are swept when it is complete, so that a missed delete is found
//! without a second copy of the kind.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod calico;
pub mod cilium;
pub mod cnpg;
pub mod component;
pub mod config_map;
pub mod core;
pub mod entropy;
pub mod etcd;
pub mod freshness;
mod inbox;
pub mod ingress;
pub mod intern;
pub mod k8up;
pub mod kind;
pub mod longhorn;
pub mod mesh;
pub mod meta;
pub mod migration;
pub mod namespace;
pub mod network_policy;
pub mod node;
mod overlay;
pub mod rbac;
pub mod selector;
pub mod signing;
pub mod storage;
pub mod table;
pub mod template;
pub mod tiers;
pub mod trust;
pub mod velero;
pub mod wire;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

pub use self::{
    freshness::{Availability, Freshness},
    intern::{Interner, Sym},
    kind::{Kind, KindInfo, Tables},
    meta::{Meta, Uid},
    table::{Broken, Held, Object, Table},
};
use self::{
    inbox::Inbox,
    kind::{with_table, with_table_ref},
    meta::{Managers, WireMeta},
};

/// A projected object, or what is wrong with it.
pub type Projected<P> = Result<(Meta, P), &'static str>;

/// Fields of one kind that remedies may put back: a bit each in [`meta::Manager`].
pub const MOST_PATHS: usize = 8;

/// A kind's projection: the fields that controls read.
pub trait Projection: Sized + PartialEq {
    /// The object on the wire. Borrows from the input; fields that nobody reads are skipped.
    type Wire<'a>: Deserialize<'a>;

    /// Fields that a remedy may put back, as paths in `fieldsV1`: at most [`MOST_PATHS`].
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[];

    /// Whether workloads make objects of this kind, as they make pods.
    const MADE: bool = false;

    /// Which labels are kept.
    fn keeps_label(_: &str) -> bool {
        true
    }

    /// Which annotations are kept.
    fn keeps_annotation(key: &str) -> bool {
        ours(key)
    }

    /// Makes the projection.
    fn project(wire: Self::Wire<'_>, interner: &mut Interner) -> Projected<Self>;

    /// Projects the metadata with this kind's choices.
    fn meta<F: Managers>(
        wire: WireMeta<'_, F>,
        interner: &mut Interner,
    ) -> Result<Meta, &'static str> {
        wire.project(
            interner,
            Self::OWNED_PATHS,
            Self::keeps_label,
            Self::keeps_annotation,
        )
    }
}

/// Whether a label or annotation key is one of ours.
pub fn ours(key: &str) -> bool {
    key.starts_with("probity.dev/")
}

/// What happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty where cluster-scoped.
    pub namespace: Sym,
    /// Its name.
    pub name: Sym,
    /// What happened.
    pub effect: Effect,
    /// The last field manager that changed it, where the kind keeps managers.
    pub manager: Option<Sym>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is new to us.
    Added,
    /// A field that a control reads is different.
    Modified,
    /// It is gone.
    Removed,
}

/// A line of a watch, or an item of a list, that can't be understood at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an event of kind {} has no readable name: {reason}", kind.info().kind)]
pub struct Unreadable {
    /// Kind that was watched.
    pub kind: Kind,
    /// What is wrong.
    pub reason: String,
    /// What came before it on the same page, and is held all the same.
    pub taken: Vec<Change>,
}

/// All that is known of the cluster.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Objects, by kind.
    pub tables: Tables,
    /// Shared values.
    pub interner: Interner,
    /// How fresh each kind is.
    pub freshness: Freshness,
    /// Kinds of which an object was ever held: a CRD that then vanishes was in use.
    peopled: BTreeSet<Kind>,
    /// Kinds that are being listed, with the names seen so far.
    listing: BTreeMap<Kind, BTreeSet<(Sym, Sym)>>,
}

impl Inventory {
    /// Begins a relist: what it does not confirm is swept at its end.
    pub fn begin_list(&mut self, kind: Kind) {
        self.listing.insert(kind, BTreeSet::new());
    }

    /// Takes in one page of a list, as the server sent it.
    pub fn apply_page(&mut self, kind: Kind, page: &[u8]) -> Result<Vec<Change>, Unreadable> {
        let mut inbox = Inbox {
            kind,
            interner: &mut self.interner,
            seen: self.listing.get_mut(&kind),
            changes: Vec::new(),
        };
        let read = with_table!(self.tables, kind, table => inbox.page(table, page));
        let changes = inbox.changes;
        self.taken(kind, changes, read)
    }

    /// Takes in one line of a watch: `ADDED`, `MODIFIED` or `DELETED`. Others change nothing.
    pub fn apply_line(&mut self, kind: Kind, line: &[u8]) -> Result<Vec<Change>, Unreadable> {
        let mut inbox = Inbox {
            kind,
            interner: &mut self.interner,
            seen: self.listing.get_mut(&kind),
            changes: Vec::new(),
        };
        let read = with_table!(self.tables, kind, table => inbox.line(table, line));
        let changes = inbox.changes;
        self.taken(kind, changes, read)
    }

    fn taken(
        &mut self,
        kind: Kind,
        changes: Vec<Change>,
        read: Result<(), Unreadable>,
    ) -> Result<Vec<Change>, Unreadable> {
        if !changes.is_empty() {
            self.peopled.insert(kind);
        }
        if let Err(error) = read {
            // Who else there is will never be known of this list.
            self.listing.remove(&kind);
            let taken = changes;
            return Err(Unreadable { taken, ..error });
        }
        Ok(changes)
    }

    /// Ends a relist: objects that it did not name are gone. `None` where it was never begun, or
    /// where something in it could not be read: then it is not complete.
    pub fn end_list(&mut self, kind: Kind) -> Option<Vec<Change>> {
        let seen = self.listing.remove(&kind)?;
        Some(self.remove_where(kind, |name| !seen.contains(name)))
    }

    /// Forgets a kind, because nobody needs it any more or because its CRD vanished.
    pub fn forget(&mut self, kind: Kind) -> Vec<Change> {
        self.listing.remove(&kind);
        self.remove_where(kind, |_| true)
    }

    /// What it means that the server does not serve a kind: a neighbour that was never in use is
    /// simply not there.
    pub fn missing(&self, kind: Kind) -> Availability {
        if !kind.info().is_neighbour() {
            Availability::Broken("the API server does not serve it".to_owned())
        } else if self.peopled.contains(&kind) {
            Availability::Vanished
        } else {
            Availability::Absent
        }
    }

    /// Takes one object out, as an anti-entropy list found it gone.
    pub fn remove(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<Change> {
        let taken = with_table!(self.tables, kind, table => table.take(namespace, name).is_some());
        taken.then(|| removed(kind, namespace.into(), name.into()))
    }

    fn remove_where(&mut self, kind: Kind, gone: impl Fn(&(Sym, Sym)) -> bool) -> Vec<Change> {
        let mut names = with_table_ref!(self.tables, kind, table => table.names());
        names.retain(gone);
        names
            .into_iter()
            .filter_map(|(namespace, name)| self.remove(kind, &namespace, &name))
            .collect()
    }

    /// Objects of a kind, broken ones included.
    pub fn count(&self, kind: Kind) -> usize {
        with_table_ref!(self.tables, kind, table => table.len())
    }

    /// A change for each object of a kind, as if it were new.
    pub fn all_as_added(&self, kind: Kind) -> impl Iterator<Item = Change> + use<> {
        let names = with_table_ref!(self.tables, kind, table => table.names());
        names.into_iter().map(move |(namespace, name)| Change {
            effect: Effect::Added,
            ..removed(kind, namespace, name)
        })
    }

    /// Metadata of one object.
    pub fn meta(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Meta> {
        with_table_ref!(self.tables, kind, table => table.get(namespace, name).map(|o| &o.meta))
    }

    /// Why one object could not be decoded, if so.
    pub fn broken(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Broken> {
        with_table_ref!(self.tables, kind, table => table.broken_at(namespace, name))
    }

    /// Names of the objects of a kind that could not be decoded.
    pub fn broken_names(&self, kind: Kind) -> Vec<(Sym, Sym)> {
        with_table_ref!(self.tables, kind, table => {
            table.broken().map(|((namespace, name), _)| (namespace.into(), name.into())).collect()
        })
    }

    /// Uid and resource version of every whole object of a kind: what anti-entropy compares.
    pub fn versions(&self, kind: Kind) -> BTreeMap<(Sym, Sym), (Uid, u64)> {
        with_table_ref!(self.tables, kind, table => {
            let row = |meta: &Meta| {
                ((meta.namespace.clone(), meta.name.clone()), (meta.uid, meta.rv))
            };
            table.iter().map(|object| row(&object.meta)).collect()
        })
    }
}

fn removed(kind: Kind, namespace: Sym, name: Sym) -> Change {
    Change {
        kind,
        namespace,
        name,
        effect: Effect::Removed,
        manager: None,
    }
}

#[cfg(test)]
mod tests;
