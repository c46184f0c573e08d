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
pub mod escalation;
pub mod exposition;
pub mod exposure;
pub mod isolation;
pub mod listeners;
pub mod meshed;
pub mod network;
pub mod on_node;
pub mod programs;
pub mod rbac;
pub mod rbac_defaults;
pub mod rights;
pub mod schedule;
pub mod tls;
pub mod webhooks;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    controls::Subject,
    inventory::{Change, Inventory, Kind},
};

/// Something that is worked out from many objects, and kept up to date.
pub trait Analysis: Debug + Default {
    /// Kinds that it reads, and those of the analyses that it rests on.
    const READS: &'static [Kind];

    /// Analyses that it rests on: declared before it, and settled before it.
    const RESTS_ON: &'static [Derived] = &[];

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

    /// Takes in what the analyses that it rests on now say. It is asked before each `settle`.
    fn consult(&mut self, inventory: &Inventory, others: &Analyses) {
        let _ = (inventory, others);
    }

    /// Works out what has changed, and names the subjects about which it now says something else.
    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>);
}

/// Makes an analysis that rests on no other out of all that the inventory holds.
pub fn from_scratch<A: Analysis>(inventory: &Inventory) -> A {
    made_on(inventory, &Analyses::default())
}

/// Makes an analysis out of all that the inventory holds, and of those that it rests on.
fn made_on<A: Analysis>(inventory: &Inventory, others: &Analyses) -> A {
    let mut analysis = A::default();
    analysis.note_all(inventory);
    analysis.consult(inventory, others);
    analysis.settle(inventory, &mut BTreeSet::new());
    analysis
}

/// What `work` for an analysis returns; `None` where it panics. An analysis that fails is given
/// up, and the controls that rest on it are `Unknown`: one must not stop the others.
fn guarded<T>(derived: Derived, work: impl FnOnce() -> T) -> Option<T> {
    let work = || {
        #[cfg(test)]
        failing::maybe(derived);
        #[cfg(not(test))]
        let _ = derived;
        work()
    };
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Analyses that fail in a test.
#[cfg(test)]
pub(crate) mod failing {
    use std::cell::Cell;

    use super::Derived;

    thread_local! {
        static FAILING: Cell<Option<Derived>> = const { Cell::new(None) };
    }

    /// From now on, in this thread, the analysis panics at whatever it has to do.
    pub(crate) fn set(derived: Option<Derived>) {
        FAILING.set(derived);
    }

    pub(super) fn maybe(derived: Derived) {
        assert_ne!(FAILING.get(), Some(derived), "the test has it fail");
    }
}

/// Analyses, and all that they rest on.
fn with_foundations(wanted: &BTreeSet<Derived>) -> BTreeSet<Derived> {
    let mut all = BTreeSet::new();
    let mut open: Vec<Derived> = wanted.iter().copied().collect();
    while let Some(derived) = open.pop() {
        if all.insert(derived) {
            open.extend(derived.rests_on());
        }
    }
    all
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

            /// Analyses that it rests on.
            const fn rests_on(self) -> &'static [Self] {
                match self {
                    $(Self::$name => <$analysis as Analysis>::RESTS_ON,)*
                }
            }
        }

        /// The analyses that some control needs.
        #[derive(Debug, Default)]
        pub struct Analyses {
            $($field: Option<Box<$analysis>>,)*
            /// Those that failed since they were last asked about.
            lost: BTreeSet<Derived>,
        }

        impl Analyses {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                ///
                /// Where no control that is switched on declares that it needs it, or where it
                /// failed: the control that asks for it is `Unknown`.
                #[allow(clippy::expect_used, reason = "an empty analysis would be taken for a fact")]
                pub fn $field(&self) -> &$analysis {
                    self.$field.as_ref().expect("a control declares the analyses that it reads")
                }
            )*

            /// Whether an analysis is there.
            pub fn has(&self, derived: Derived) -> bool {
                match derived {
                    $(Derived::$name => self.$field.is_some(),)*
                }
            }

            /// Makes the analyses that are needed and not there, and drops those that nobody
            /// needs.
            pub fn need(&mut self, wanted: &BTreeSet<Derived>, inventory: &Inventory) {
                let wanted = with_foundations(wanted);
                $(
                    if !wanted.contains(&Derived::$name) {
                        self.$field = None;
                    } else if self.$field.is_none() {
                        self.$field = guarded(Derived::$name, || Box::new(made_on(inventory, self)));
                    }
                )*
            }

            /// Those that failed since this was last asked.
            pub fn take_lost(&mut self) -> BTreeSet<Derived> {
                std::mem::take(&mut self.lost)
            }

            /// Takes note of a change that the inventory already holds.
            pub fn note(&mut self, inventory: &Inventory, change: &Change) {
                $(
                    if let Some(analysis) = &mut self.$field
                        && <$analysis as Analysis>::READS.contains(&change.kind)
                    {
                        if guarded(Derived::$name, || analysis.note(inventory, change)).is_none() {
                            self.$field = None;
                            self.lost.insert(Derived::$name);
                        }
                    }
                )*
            }

            /// Works out what has changed, and tells `affected` about it. Analyses whose kinds
            /// can't be used wait until they can.
            pub fn settle(
                &mut self,
                inventory: &Inventory,
                affected: &mut dyn FnMut(Derived, BTreeSet<Subject>),
            ) {
                $(
                    if inventory.freshness.all_usable(<$analysis as Analysis>::READS)
                        && let Some(mut analysis) = self.$field.take()
                    {
                        let mut subjects = BTreeSet::new();
                        let settled = guarded(Derived::$name, || {
                            analysis.consult(inventory, self);
                            analysis.settle(inventory, &mut subjects);
                            analysis
                        });
                        if settled.is_none() {
                            self.lost.insert(Derived::$name);
                        }
                        self.$field = settled;
                        if !subjects.is_empty() {
                            affected(Derived::$name, subjects);
                        }
                    }
                )*
            }
        }
    };
}

analyses! {
    /// Who holds what, through which binding and role.
    Rights rights: rights::Rights;
    /// Who can become cluster administrator, by which steps.
    Escalation escalation: escalation::Escalation;
    /// Which workloads' pods are in a service mesh.
    Meshed meshed: meshed::Meshed;
    /// Which live pods use the network of their node, or a port of it.
    OnNode on_node: on_node::OnNode;
    /// What network policies isolate, and which of them select nothing.
    Isolation isolation: isolation::Isolation;
    /// Which service accounts run a program that controls trust.
    Programs programs: programs::Programs;
    /// What there is to lose, what is scheduled for it, and what there is to recover it from.
    Recovery recovery: backup::Recovery;
}
