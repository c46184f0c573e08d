//! A control with its parameters, and what it says of every subject.
//!
//! A change is judged once, however many policies ask and whichever namespaces each of them
//! covers: [`Instance`](super::instance::Instance)s are views of a rule through a scope.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Observed, people::Exceptions};
use crate::{
    analysis::{Analyses, Derived},
    controls::{Context, Control, Kept, Scope, ScopeUse, Subject, SubjectKind, Touched, Verdict},
    evidence::{
        body::{Body, Gap},
        words::Cause,
    },
    inventory::{Change, Inventory, Kind, Sym},
    verdict::Outcome,
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

/// Verdicts that are looked through for an equal one.
const MOST_COMMON: usize = 8;

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

/// What judging a subject brought.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) subject: Subject,
    pub(super) cause: Cause,
    /// What was said of it before; `None` where it is new.
    pub(super) before: Option<Arc<Verdict>>,
    /// `None` where there is no such subject (any more).
    pub(super) verdict: Option<Arc<Verdict>>,
    /// Whether anything differs from before, or who covers it may.
    pub(super) news: bool,
}

impl Judged {
    /// Whether an instance has nothing to do about it. A failure that stays one is planned anew:
    /// what may be done about it may have changed.
    fn is_quiet(&self) -> bool {
        !self.news
            && self
                .verdict
                .as_ref()
                .is_none_or(|verdict| verdict.outcome != Outcome::Fail)
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

    /// Judges what is dirty; returns how many subjects that were, and what instances have to do
    /// something about.
    pub(super) fn judge_dirty(&mut self, view: View<'_>) -> (usize, Vec<Judged>) {
        if self.dirty.is_empty() {
            return (0, Vec::new());
        }
        let dirty = std::mem::take(&mut self.dirty);
        let mut work = dirty.subjects;
        if let Some(cause) = dirty.all {
            self.panicked = !self.enumerate(view, None, cause, &mut work);
        } else {
            for (namespace, cause) in dirty.namespaces {
                self.panicked |= !self.enumerate(view, Some(&namespace), cause, &mut work);
            }
        }
        self.settled = true;
        let (count, rows) = (work.len(), self.table.len());
        let judged = work.into_iter().map(|(subject, cause)| {
            let moved = dirty.scopes.contains(&subject.namespace);
            self.judge(view, subject, cause, moved)
        });
        let judged = judged.filter(|judged| !judged.is_quiet()).collect();
        if self.table.len() > rows * 2 {
            // Rows that came one by one, in order, leave every node of the tree half empty.
            self.table = std::mem::take(&mut self.table).into_iter().collect();
        }
        (count, judged)
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
        let mut known = |subject: &Subject| {
            if !work.contains_key(subject) {
                work.insert(subject.clone(), cause);
            }
        };
        match namespace {
            None => self.table.keys().for_each(&mut known),
            Some(namespace) => in_namespace(&self.table, namespace).for_each(|(s, _)| known(s)),
        }
        for kind in self.control.info().subjects {
            for (ns, name) in view.inventory.broken_names(*kind) {
                let subject = Subject::object(*kind, &ns, &name);
                if namespace.is_none_or(|namespace| subject.namespace == *namespace) {
                    known(&subject);
                }
            }
        }
        complete
    }

    fn judge(&mut self, view: View<'_>, subject: Subject, cause: Cause, moved: bool) -> Judged {
        let said = self.table.get(&subject);
        let kept = said.and_then(|said| said.kept.clone());
        let before = said.map(|said| Arc::clone(&said.verdict));
        let verdict = self
            .verdict(view, &subject, kept.as_deref())
            .map(|verdict| {
                view.exceptions
                    .consider(self.key.control, &subject, view.inventory, verdict)
            });
        let (verdict, news) = match (verdict, &before) {
            (None, _) => (None, self.table.remove(&subject).is_some()),
            (Some(verdict), Some(before)) if **before == verdict => {
                (Some(Arc::clone(before)), false)
            }
            (Some(verdict), _) => {
                let kept = match verdict.outcome {
                    Outcome::Pass => verdict.keep.clone(),
                    // The last passing value outlives the failure.
                    _ => kept,
                };
                let verdict = self.share(verdict);
                let said = Said {
                    verdict: Arc::clone(&verdict),
                    kept,
                };
                self.table.insert(subject.clone(), said);
                (Some(verdict), true)
            }
        };
        Judged {
            subject,
            cause,
            before,
            verdict,
            news: news || moved,
        }
    }

    /// A verdict, shared with equal ones where it says nothing of its own.
    fn share(&mut self, verdict: Verdict) -> Arc<Verdict> {
        let own = verdict.remedy.is_some()
            || verdict.keep.is_some()
            || verdict.proposal.is_some()
            || verdict.recheck_at.is_some();
        if own {
            return Arc::new(verdict);
        }
        if let Some(common) = self.common.iter().find(|common| ***common == verdict) {
            return Arc::clone(common);
        }
        let verdict = Arc::new(verdict);
        if self.common.len() == MOST_COMMON {
            self.common.remove(0);
        }
        self.common.push(Arc::clone(&verdict));
        verdict
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
        let context = Context {
            before: self.table.get(subject).map(|said| &*said.verdict),
            ..self.context(view, kept)
        };
        let judge = AssertUnwindSafe(|| self.control.judge(&context, subject));
        catch_unwind(judge).unwrap_or_else(|_| {
            Some(Verdict::unknown(
                "ControlPanicked",
                "the control failed on this subject; please report it with the operator's log",
            ))
        })
    }

    /// What a tool makes of the object that starts a run of it; a panic of the control is that
    /// nobody knows.
    pub(super) fn foresee(
        &self,
        view: View<'_>,
        subject: &Subject,
        stored: &serde_json::Value,
    ) -> Result<Vec<(Kind, serde_json::Value)>, String> {
        let context = self.context(view, None);
        let ask = AssertUnwindSafe(|| self.control.foresee(&context, subject, stored));
        catch_unwind(ask).unwrap_or_else(|_| Err("the control failed on this subject".to_owned()))
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
            before: None,
        }
    }

    /// `Unknown` for an object that can't be decoded, and for a subject beside which lies one
    /// that the rule reads: nobody can tell what it would have changed.
    fn undecodable(&self, inventory: &Inventory, subject: &Subject) -> Option<Verdict> {
        if let Some(kind) = subject.object_kind()
            && self.control.would_judge(subject)
            && let Some(broken) = inventory.broken(kind, subject.object_namespace(), &subject.name)
        {
            let message = format!("the object can't be decoded: {}", broken.reason);
            return Some(Verdict::unknown("Undecodable", message));
        }
        let mut broken = self.beside.iter().flat_map(|kind| {
            let names = inventory.broken_names(*kind).into_iter();
            names.map(move |name| (*kind, name))
        });
        broken
            .find(|(_, (namespace, _))| namespace.is_empty() || *namespace == subject.namespace)
            .map(|(kind, (namespace, name))| {
                let object = Subject::object(kind, &namespace, &name);
                let message = format!("{object}, which the rule reads, can't be decoded");
                Verdict::unknown("InputUndecodable", message)
            })
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
