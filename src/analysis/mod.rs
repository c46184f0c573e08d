//! What follows from many objects together: pure functions over the inventory, and [`Analyses`]
//! that are kept up to date as objects change.
//!
//! ```text
//! Change ─► note()    marks what becomes uncertain             (cheap, once for each change)
//!           settle()  works it out ─► subjects about which it now says something else
//!                     └─► Control::affected() ─► which subjects of the control to judge again
//! ```
//!
//! An analysis rests on the inventory alone: what it says is the same in whatever order the
//! changes came, and the same as if it had been made anew.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod addresses;
pub mod apiserver;
pub mod backup;
pub mod canary;
pub mod certificates;
pub mod exposition;
pub mod exposure;
pub mod isolation;
pub mod meshed;
pub mod network;
pub mod rbac;
pub mod rbac_defaults;
pub mod schedule;
pub mod tls;

use std::{collections::BTreeSet, fmt::Debug};

use crate::{
    controls::Subject,
    inventory::{Change, Inventory, Kind},
};

/// Something that is worked out from many objects, and kept up to date.
pub trait Analysis: Debug + Default {
    /// Kinds that it reads.
    const READS: &'static [Kind];

    /// Takes note of a change that the inventory already holds. It works nothing out yet.
    fn note(&mut self, inventory: &Inventory, change: &Change);

    /// Takes note of all that the inventory holds.
    fn note_all(&mut self, inventory: &Inventory) {
        for kind in Self::READS {
            for change in inventory.all_as_added(*kind) {
                self.note(inventory, &change);
            }
        }
    }

    /// Works out what has changed, and names the subjects about which it now says something else.
    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>);
}

/// Makes an analysis out of all that the inventory holds.
pub fn from_scratch<A: Analysis>(inventory: &Inventory) -> A {
    let mut analysis = A::default();
    analysis.note_all(inventory);
    analysis.settle(inventory, &mut BTreeSet::new());
    analysis
}

/// Declares [`Derived`] and [`Analyses`]: one line for each analysis.
macro_rules! analyses {
    ($($(#[$doc:meta])* $name:ident $field:ident: $analysis:ty;)*) => {
        /// An analysis that a control may rest on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Derived {
            $($(#[$doc])* $name,)*
        }

        impl Derived {
            /// Every analysis.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Kinds that it reads.
            pub const fn reads(self) -> &'static [Kind] {
                match self {
                    $(Self::$name => <$analysis as Analysis>::READS,)*
                }
            }
        }

        /// The analyses that some control needs.
        #[derive(Debug, Default)]
        pub struct Analyses {
            $($field: Option<Box<$analysis>>,)*
        }

        impl Analyses {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                ///
                /// Where no control that is switched on declares that it needs it: that is a
                /// control's mistake, and makes it `Unknown`.
                #[allow(clippy::expect_used, reason = "an empty analysis would be taken for a fact")]
                pub fn $field(&self) -> &$analysis {
                    self.$field.as_ref().expect("a control declares the analyses that it reads")
                }
            )*

            /// Makes the analyses that are needed and not there, and drops those that nobody
            /// needs.
            pub fn need(&mut self, wanted: &BTreeSet<Derived>, inventory: &Inventory) {
                $(
                    if !wanted.contains(&Derived::$name) {
                        self.$field = None;
                    } else if self.$field.is_none() {
                        self.$field = Some(Box::new(from_scratch(inventory)));
                    }
                )*
                let _ = (wanted, inventory);
            }

            /// Takes note of a change that the inventory already holds.
            pub fn note(&mut self, inventory: &Inventory, change: &Change) {
                $(
                    if let Some(analysis) = &mut self.$field
                        && <$analysis as Analysis>::READS.contains(&change.kind)
                    {
                        analysis.note(inventory, change);
                    }
                )*
                let _ = (inventory, change);
            }

            /// Works out what has changed, and tells `affected` about it. Analyses whose kinds
            /// can't be used wait until they can.
            pub fn settle(
                &mut self,
                inventory: &Inventory,
                affected: &mut dyn FnMut(Derived, BTreeSet<Subject>),
            ) {
                $(
                    if let Some(analysis) = &mut self.$field
                        && inventory.freshness.all_usable(<$analysis as Analysis>::READS)
                    {
                        let mut subjects = BTreeSet::new();
                        analysis.settle(inventory, &mut subjects);
                        if !subjects.is_empty() {
                            affected(Derived::$name, subjects);
                        }
                    }
                )*
                let _ = (inventory, affected);
            }
        }
    };
}

analyses! {
    /// Which workloads' pods are in a service mesh.
    Meshed meshed: meshed::Meshed;
    /// What network policies isolate, and which of them select nothing.
    Isolation isolation: isolation::Isolation;
    /// What there is to lose, what is scheduled for it, and what there is to recover it from.
    Recovery recovery: backup::Recovery;
}
