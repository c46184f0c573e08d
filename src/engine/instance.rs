//! A control with its parameters on a scope, and its column of the verdict table.
//!
//! Policies that ask the same of the same namespaces share an instance: a change is judged once,
//! however many policies care.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Observed, plan::Standing};
use crate::{
    analysis::{Analyses, Derived},
    controls::{Context, Control, Kept, Scope, ScopeUse, Subject, SubjectKind, Touched, Verdict},
    evidence::words::{Cause, End},
    inventory::{Change, Inventory, Kind, Sym},
    verdict::{Counts, Outcome},
};

/// What tells instances apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) control: &'static str,
    pub(super) params_hash: Sym,
    pub(super) scope_hash: Sym,
}

/// One subject of an instance.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) verdict: Verdict,
    pub(super) since: Timestamp,
    pub(super) deviation: Option<Deviation>,
    pub(super) kept: Option<Kept>,
    pub(super) standing: Standing,
    /// When the bytes arrived that led to this outcome, on the monotonic clock.
    pub(super) noticed: std::time::Duration,
}

/// The interval in which a subject fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deviation {
    pub(super) id: String,
    pub(super) opened: Timestamp,
    pub(super) cause: Cause,
    /// Whether we have put it right: the next `Pass` is our doing.
    pub(super) mended: bool,
}

/// What must be judged again, and why.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) all: Option<Cause>,
    pub(super) namespaces: BTreeMap<Sym, Cause>,
    pub(super) subjects: BTreeMap<Subject, Cause>,
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

/// What judging a subject changed.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) subject: Subject,
    pub(super) cause: Cause,
    /// `None` where the subject left the population.
    pub(super) verdict: Option<Verdict>,
    /// Why it left.
    pub(super) left: Option<End>,
}

/// What an instance can see.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) analyses: &'a Analyses,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
}

/// A control with its parameters on a scope.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) key: Key,
    pub(super) control: Arc<dyn Control>,
    pub(super) scope: Arc<Scope>,
    /// Names of the policies that share it.
    pub(super) policies: Vec<Sym>,
    pub(super) rows: BTreeMap<Subject, Row>,
    pub(super) counts: Counts,
    pub(super) dirty: Dirty,
    /// Why nothing can be judged, and since when.
    pub(super) blind: Option<(String, Timestamp)>,
    /// Whether the population was ever complete.
    pub(super) settled: bool,
    /// Whether the control panicked when it was last asked for its population: then nobody knows
    /// who is missing.
    panicked: bool,
    /// Whether the log of this term holds what is in the table.
    pub(super) introduced: bool,
    pub(super) outcome_since: Timestamp,
    pub(super) last_outcome: Option<Outcome>,
    pub(super) last_drift: Option<(Timestamp, Option<End>)>,
}

impl Instance {
    pub(super) fn new(
        key: Key,
        control: Arc<dyn Control>,
        scope: Arc<Scope>,
        now: Timestamp,
    ) -> Self {
        let mut dirty = Dirty::default();
        dirty.mark(Touched::All, Cause::Policy);
        Self {
            key,
            control,
            scope,
            policies: Vec::new(),
            rows: BTreeMap::new(),
            counts: Counts::default(),
            dirty,
            blind: None,
            settled: false,
            panicked: false,
            introduced: false,
            outcome_since: now,
            last_outcome: None,
            last_drift: None,
        }
    }

    /// Notes what a change makes uncertain.
    pub(super) fn touch(&mut self, change: &Change) {
        let info = self.control.info();
        if info.is_scoped() && change.kind == Kind::Namespace {
            // Its labels decide whether the namespace is in scope at all.
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

    /// The first kind that it reads and that can't be used, as a sentence.
    pub(super) fn blinded_by(&self, inventory: &Inventory) -> Option<String> {
        let info = self.control.info();
        // The scope rests on namespaces even where the rule doesn't.
        let namespaces = info.is_scoped().then_some(Kind::Namespace);
        info.inputs().chain(namespaces).find_map(|kind| {
            let availability = inventory.freshness.of(kind);
            (!availability.is_usable()).then(|| availability.explain(kind))
        })
    }

    /// Outcome of the control as a whole.
    pub(super) fn outcome(&self) -> Outcome {
        if self.blind.is_some() || !self.settled || self.panicked {
            Outcome::Unknown
        } else {
            self.counts.combined()
        }
    }

    /// Subjects by outcome: all of them `Unknown` while nothing can be judged.
    pub(super) fn visible_counts(&self) -> Counts {
        if self.blind.is_none() {
            return self.counts;
        }
        let mut counts = Counts::default();
        for _ in 0..self.counts.total() {
            counts.add(Outcome::Unknown);
        }
        counts
    }

    /// Judges what is dirty.
    pub(super) fn evaluate(&mut self, view: View<'_>) -> Vec<Judged> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut work: BTreeMap<Subject, Cause> = BTreeMap::new();
        if let Some(cause) = dirty.all {
            self.panicked = !self.enumerate(view, None, cause, &mut work);
        } else {
            for (namespace, cause) in dirty.namespaces {
                self.panicked |= !self.enumerate(view, Some(&namespace), cause, &mut work);
            }
            for (subject, cause) in dirty.subjects {
                work.entry(subject).or_insert(cause);
            }
        }
        work.into_iter()
            .map(|(subject, cause)| self.judge(view, subject, cause))
            .collect()
    }

    /// Adds the population of one namespace or of all, and the rows that may have left it.
    /// `false` where the control panicked: then the population is not known.
    fn enumerate(
        &self,
        view: View<'_>,
        namespace: Option<&Sym>,
        cause: Cause,
        work: &mut BTreeMap<Subject, Cause>,
    ) -> bool {
        // A panic here leaves the known rows to be judged, each of which then reports it.
        let ask = AssertUnwindSafe(|| {
            let mut found = Vec::new();
            let context = self.context(view, None);
            let name = namespace.map(|name| &**name);
            self.control
                .population(&context, name, &mut |subject| found.push(subject));
            found
        });
        let found = catch_unwind(ask);
        let complete = found.is_ok();
        for subject in found.unwrap_or_default() {
            work.entry(subject).or_insert(cause);
        }
        let known: Vec<Subject> = match namespace {
            None => self.rows.keys().cloned().collect(),
            Some(namespace) => self.rows_in(namespace).map(|(s, _)| s.clone()).collect(),
        };
        for subject in known {
            work.entry(subject).or_insert(cause);
        }
        for kind in self.control.info().subjects {
            for (ns, name) in view.inventory.broken_names(*kind) {
                let subject = Subject::object(*kind, &ns, &name);
                if namespace.is_none_or(|namespace| subject.namespace == *namespace) {
                    work.entry(subject).or_insert(cause);
                }
            }
        }
        complete
    }

    /// The rows of one namespace.
    pub(super) fn rows_in(&self, namespace: &Sym) -> impl Iterator<Item = (&Subject, &Row)> {
        let first = Subject {
            namespace: namespace.clone(),
            kind: SubjectKind::Object(Kind::ALL[0]),
            name: "".into(),
        };
        let namespace = namespace.clone();
        self.rows
            .range(first..)
            .take_while(move |(subject, _)| subject.namespace == namespace)
    }

    fn judge(&self, view: View<'_>, subject: Subject, cause: Cause) -> Judged {
        let left = |end| (None, Some(end));
        let (verdict, left) = if self.covers(view.inventory, &subject) {
            let kept = self.rows.get(&subject).and_then(|row| row.kept.as_ref());
            match self.verdict(view, &subject, kept) {
                Some(verdict) => (Some(verdict), None),
                None => left(End::SubjectGone),
            }
        } else {
            let exists = subject
                .object_kind()
                .is_none_or(|kind| exists(view.inventory, kind, &subject));
            left(if exists {
                End::ScopeChanged
            } else {
                End::SubjectGone
            })
        };
        Judged {
            subject,
            cause,
            verdict,
            left,
        }
    }

    fn covers(&self, inventory: &Inventory, subject: &Subject) -> bool {
        !self.control.info().is_scoped()
            || subject.namespace.is_empty()
            || self.scope.covers(inventory, &subject.namespace)
    }

    /// The verdict on one subject; a panic of the control is that control's `Unknown`.
    pub(super) fn verdict(
        &self,
        view: View<'_>,
        subject: &Subject,
        kept: Option<&Kept>,
    ) -> Option<Verdict> {
        if let Some(verdict) = self.undecodable(view.inventory, subject) {
            return Some(verdict);
        }
        let context = self.context(view, kept);
        let judge = AssertUnwindSafe(|| self.control.judge(&context, subject));
        catch_unwind(judge).unwrap_or_else(|_| {
            Some(Verdict::unknown(
                "ControlPanicked",
                "the control failed on this subject; please report it with the operator's log",
            ))
        })
    }

    fn context<'a>(&'a self, view: View<'a>, kept: Option<&'a Kept>) -> Context<'a> {
        Context {
            inventory: view.inventory,
            analyses: view.analyses,
            observed: view.observed,
            now: view.now,
            own_namespace: &self.scope.own,
            scope: (self.control.info().scope == ScopeUse::InRule).then_some(&*self.scope),
            kept,
        }
    }

    /// `Unknown` for an object that can't be decoded, and for a subject beside which lies one
    /// that the rule reads: nobody can tell what it would have changed.
    fn undecodable(&self, inventory: &Inventory, subject: &Subject) -> Option<Verdict> {
        if let Some(kind) = subject.object_kind()
            && let Some(broken) = inventory.broken(kind, subject.object_namespace(), &subject.name)
        {
            let message = format!("the object can't be decoded: {}", broken.reason);
            return Some(Verdict::unknown("Undecodable", message));
        }
        let info = self.control.info();
        let inputs = info.inputs().filter(|kind| !info.subjects.contains(kind));
        let mut broken = inputs.flat_map(|kind| {
            let names = inventory.broken_names(kind).into_iter();
            names.map(move |name| (kind, name))
        });
        broken
            .find(|(_, (namespace, _))| namespace.is_empty() || *namespace == subject.namespace)
            .map(|(kind, (namespace, name))| {
                let object = Subject::object(kind, &namespace, &name);
                let message = format!("{object}, which the rule reads, can't be decoded");
                Verdict::unknown("InputUndecodable", message)
            })
    }

    /// Whether any member enforces is not its business: it only says who shares it.
    pub(super) fn names(&self) -> Vec<Sym> {
        self.policies.clone()
    }
}

fn exists(inventory: &Inventory, kind: Kind, subject: &Subject) -> bool {
    inventory
        .meta(kind, subject.object_namespace(), &subject.name)
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{Info, network::NamespaceDefaultDeny},
        inventory::Effect,
    };

    /// A control that fails whatever it is asked.
    #[derive(Debug)]
    struct Panicking;

    impl Control for Panicking {
        fn info(&self) -> &'static Info {
            &NamespaceDefaultDeny::INFO
        }

        fn touched(&self, _: &Change) -> Touched {
            panic!("touched")
        }

        fn population(&self, _: &Context<'_>, _: Option<&str>, _: &mut dyn FnMut(Subject)) {
            panic!("population")
        }

        fn judge(&self, _: &Context<'_>, _: &Subject) -> Option<Verdict> {
            panic!("judge")
        }
    }

    #[test]
    fn a_control_that_panics_is_unknown_and_not_an_empty_population() {
        let key = Key {
            control: "panicking",
            params_hash: "".into(),
            scope_hash: "".into(),
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut instance = Instance::new(key, Arc::new(Panicking), Arc::default(), now);
        let (inventory, observed) = (Inventory::default(), Observed::default());
        let view = View {
            inventory: &inventory,
            analyses: &Analyses::default(),
            observed: &observed,
            now,
        };
        instance.evaluate(view);
        instance.settled = true;
        assert_eq!(instance.outcome(), Outcome::Unknown);
        instance.touch(&Change {
            kind: Kind::Pod,
            namespace: "shop".into(),
            name: "web".into(),
            effect: Effect::Added,
            manager: None,
        });
        assert_eq!(instance.dirty.all, Some(Cause::Object));
    }
}
