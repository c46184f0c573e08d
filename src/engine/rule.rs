//! A control with its parameters, and what it says of every subject.
//!
//! A change is judged once, however many policies ask and whichever namespaces each of them
//! covers: [`Instance`](super::instance::Instance)s are views of a rule through a scope.

mod judging;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

pub(super) use self::judging::Judged;
use super::{Observed, people::Exceptions};
use crate::{
    analysis::{Analyses, Derived},
    controls::{Control, Kept, Scope, Subject, SubjectKind, Touched, Verdict},
    evidence::{
        body::{Body, Gap},
        words::Cause,
    },
    inventory::{Change, Inventory, Kind, Sym},
};

/// Names a rule as long as the engine runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleId(pub(super) u32);

/// What tells rules apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleKey {
    pub(super) control: &'static str,
    pub(super) params_hash: Sym,
    /// Only for controls whose rule itself reads the scope.
    pub(super) scope_hash: Option<Sym>,
}

/// What must be judged again, and why.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) all: Option<Cause>,
    pub(super) namespaces: BTreeMap<Sym, Cause>,
    pub(super) subjects: BTreeMap<Subject, Cause>,
    /// Namespaces that may have entered or left somebody's scope.
    pub(super) scopes: BTreeSet<Sym>,
}

impl Dirty {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.namespaces.is_empty() && self.subjects.is_empty()
    }

    pub(super) fn mark(&mut self, touched: Touched, cause: Cause) {
        match touched {
            Touched::Nothing => {}
            Touched::All => {
                self.all.get_or_insert(cause);
            }
            Touched::Namespace(namespace) => {
                self.namespaces.entry(namespace).or_insert(cause);
            }
            Touched::Subject(subject) => {
                self.subjects.entry(subject).or_insert(cause);
            }
        }
    }
}

/// What a rule can see.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) analyses: &'a Analyses,
    pub(super) observed: &'a Observed,
    pub(super) exceptions: &'a Exceptions,
    pub(super) now: Timestamp,
}

/// What a rule says of one subject.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) verdict: Arc<Verdict>,
    /// What was recorded at its last `Pass`.
    pub(super) kept: Option<Arc<Kept>>,
}

/// Whether a rule can see all that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// It has not judged yet.
    Unsettled,
    /// It has judged its whole population.
    Clear,
    /// It panicked when it was last asked for its population: nobody knows who is missing.
    Panicked,
    /// Nothing can be judged, for this reason and since this time.
    Blind(String, Timestamp),
}

/// A control with its parameters.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) key: RuleKey,
    pub(super) control: Arc<dyn Control>,
    scope: Arc<Scope>,
    /// Every kind that a verdict rests on.
    inputs: Vec<Kind>,
    /// Those of them that are no subjects.
    beside: Vec<Kind>,
    /// The instances that look through it.
    pub(super) instances: Vec<u32>,
    /// Those of them that don't hold its table yet.
    pub(super) fresh: Vec<u32>,
    pub(super) table: BTreeMap<Subject, Said>,
    /// The last few verdicts that said nothing of their own: most subjects share one.
    common: Vec<Arc<Verdict>>,
    pub(super) dirty: Dirty,
    /// Whether the population was ever complete.
    pub(super) settled: bool,
    panicked: bool,
    pub(super) blind: Option<(String, Timestamp)>,
}

impl Rule {
    pub(super) fn new(key: RuleKey, control: Arc<dyn Control>, scope: Arc<Scope>) -> Self {
        let info = control.info();
        // The scope rests on namespaces even where the rule doesn't.
        let namespaces = info.is_scoped().then_some(Kind::Namespace);
        let inputs: BTreeSet<Kind> = info.inputs().chain(namespaces).collect();
        let beside = info.inputs().filter(|kind| !info.subjects.contains(kind));
        let mut dirty = Dirty::default();
        dirty.mark(Touched::All, Cause::Policy);
        Self {
            beside: beside.collect(),
            inputs: inputs.into_iter().collect(),
            key,
            scope,
            control,
            instances: Vec::new(),
            fresh: Vec::new(),
            table: BTreeMap::new(),
            common: Vec::new(),
            dirty,
            settled: false,
            panicked: false,
            blind: None,
        }
    }

    /// Notes what a change makes uncertain.
    pub(super) fn touch(&mut self, change: &Change) {
        let info = self.control.info();
        if info.is_scoped() && change.kind == Kind::Namespace {
            // Its labels decide whether the namespace is in scope at all.
            self.dirty.scopes.insert(change.name.clone());
            self.dirty
                .mark(Touched::Namespace(change.name.clone()), Cause::Object);
        }
        if info.reads.contains(&change.kind) {
            // A panic here must not end the loop: judging everything again is always right.
            let ask = AssertUnwindSafe(|| self.control.touched(change));
            let touched = catch_unwind(ask).unwrap_or(Touched::All);
            self.dirty.mark(touched, Cause::Object);
            if info.subjects.contains(&change.kind) {
                let subject = Subject::object(change.kind, &change.namespace, &change.name);
                self.dirty.mark(Touched::Subject(subject), Cause::Object);
            }
        }
    }

    /// Notes what an analysis now says otherwise.
    pub(super) fn affect(&mut self, derived: Derived, subjects: &BTreeSet<Subject>) {
        if !self.control.info().derives.contains(&derived) {
            return;
        }
        for subject in subjects {
            let ask = AssertUnwindSafe(|| self.control.affected(derived, subject));
            let touched = catch_unwind(ask).unwrap_or(Touched::All);
            self.dirty.mark(touched, Cause::Object);
        }
    }

    /// Takes out that everything is to be judged, if what changed can be judged before that.
    pub(super) fn put_off(&mut self) -> Option<Cause> {
        let dirty = &self.dirty;
        let changed = !(dirty.subjects.is_empty() && dirty.namespaces.is_empty());
        // A part of a population must not be taken for all of it.
        let complete = self.settled && self.fresh.is_empty() && self.blind.is_none();
        self.dirty.all.take_if(|_| changed && complete)
    }

    /// The first kind that it reads and that can't be used, as a sentence.
    pub(super) fn blinded_by(&self, inventory: &Inventory) -> Option<String> {
        self.inputs.iter().find_map(|kind| {
            let availability = inventory.freshness.of(*kind);
            (!availability.is_usable()).then(|| availability.explain(*kind))
        })
    }

    /// What was recorded at the last `Pass` of a subject.
    pub(super) fn kept(&self, subject: &Subject) -> Option<&Kept> {
        self.table.get(subject)?.kept.as_deref()
    }

    /// The time in which it could not be judged, as far as it is known.
    pub(super) fn gap(&self, from: Timestamp, to: Option<Timestamp>, cause: String) -> Body {
        Body::Gap(Gap {
            scope: self.key.control.to_owned(),
            from,
            to,
            cause,
        })
    }

    pub(super) fn sight(&self) -> Sight {
        match &self.blind {
            Some((why, since)) => Sight::Blind(why.clone(), *since),
            None if !self.settled => Sight::Unsettled,
            None if self.panicked => Sight::Panicked,
            None => Sight::Clear,
        }
    }
}

/// The rows of one namespace.
pub(super) fn in_namespace<'a, V>(
    rows: &'a BTreeMap<Subject, V>,
    namespace: &Sym,
) -> impl Iterator<Item = (&'a Subject, &'a V)> {
    let first = Subject {
        namespace: namespace.clone(),
        kind: SubjectKind::Object(Kind::ALL[0]),
        name: "".into(),
    };
    let namespace = namespace.clone();
    rows.range(first..)
        .take_while(move |(subject, _)| subject.namespace == namespace)
}

#[cfg(test)]
mod tests;
