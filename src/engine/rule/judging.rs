//! Judging: what is dirty, one by one or all in one go.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Rule, Said, View, in_namespace};
use crate::{
    controls::{Context, ScopeUse, Subject, Verdict},
    evidence::words::Cause,
    inventory::{Inventory, Kind, Sym},
    verdict::Outcome,
};

/// Verdicts that are looked through for an equal one.
const MOST_COMMON: usize = 8;

/// What judging a subject brought.
#[derive(Debug)]
pub(in crate::engine) struct Judged {
    pub(in crate::engine) subject: Subject,
    pub(in crate::engine) cause: Cause,
    /// What was said of it before; `None` where it is new.
    pub(in crate::engine) before: Option<Arc<Verdict>>,
    /// `None` where there is no such subject (any more).
    pub(in crate::engine) verdict: Option<Arc<Verdict>>,
    /// Whether anything differs from before, or who covers it may.
    pub(in crate::engine) news: bool,
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

/// What is judged together.
struct Pass<'a> {
    view: View<'a>,
    /// Namespaces that may have entered or left somebody's scope.
    scopes: BTreeSet<Sym>,
    /// Subjects of which nothing was said yet, and what is.
    fresh: Vec<(Subject, Said)>,
    /// Subjects of which there is nothing to say any more.
    gone: Vec<Subject>,
}

impl Rule {
    /// Judges what is dirty; returns how many subjects that were, and what instances have to do
    /// something about.
    pub(in crate::engine) fn judge_dirty(&mut self, view: View<'_>) -> (usize, Vec<Judged>) {
        if self.dirty.is_empty() {
            return (0, Vec::new());
        }
        let dirty = std::mem::take(&mut self.dirty);
        let whole = dirty.all.is_some();
        let mut work: Vec<(Subject, Cause)> = dirty.subjects.into_iter().collect();
        if let Some(cause) = dirty.all {
            self.panicked = !self.enumerate(view, None, cause, &mut work);
        } else {
            for (namespace, cause) in dirty.namespaces {
                self.panicked |= !self.enumerate(view, Some(&namespace), cause, &mut work);
            }
        }
        // Of several causes the first one counts.
        work.sort_by(|(one, _), (other, _)| one.cmp(other));
        work.dedup_by(|(later, _), (first, _)| later == first);
        self.settled = true;
        let count = work.len();
        let mut pass = Pass {
            view,
            scopes: dirty.scopes,
            fresh: Vec::new(),
            gone: Vec::new(),
        };
        let mut table = std::mem::take(&mut self.table);
        let judged: Vec<Judged> = if whole {
            // Every row is among the work, and both have the same order: none is looked up.
            let mut rows = table.iter_mut().peekable();
            let work = work.into_iter().map(|(subject, cause)| {
                let row = rows.next_if(|(known, _)| **known == subject);
                self.judge(&mut pass, subject, cause, row.map(|(_, said)| said))
            });
            work.flatten().collect()
        } else {
            let work = work.into_iter().map(|(subject, cause)| {
                let said = table.get_mut(&subject);
                self.judge(&mut pass, subject, cause, said)
            });
            work.flatten().collect()
        };
        for subject in pass.gone {
            table.remove(&subject);
        }
        if whole && !pass.fresh.is_empty() {
            // Rows that come one by one, in order, leave every node of the tree half empty.
            table.append(&mut pass.fresh.into_iter().collect());
        } else {
            table.extend(pass.fresh);
        }
        self.table = table;
        (count, judged)
    }

    /// Adds the population of one namespace or of all, and the rows that may have left it.
    /// `false` where the control panicked: then the population is not known.
    fn enumerate(
        &self,
        view: View<'_>,
        namespace: Option<&Sym>,
        cause: Cause,
        work: &mut Vec<(Subject, Cause)>,
    ) -> bool {
        // A panic here leaves the known rows to be judged, each of which then reports it.
        let ask = AssertUnwindSafe(|| {
            let mut found = Vec::new();
            let context = self.context(view, None);
            let name = namespace.map(|name| &**name);
            self.control
                .population(&context, name, &mut |subject| found.push((subject, cause)));
            found
        });
        let found = catch_unwind(ask);
        let complete = found.is_ok();
        work.extend(found.unwrap_or_default());
        let mut known = |subject: &Subject| work.push((subject.clone(), cause));
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

    /// Judges one subject, of which this was said until now. `None` where no instance has
    /// anything to do about it.
    fn judge(
        &mut self,
        pass: &mut Pass<'_>,
        subject: Subject,
        cause: Cause,
        said: Option<&mut Said>,
    ) -> Option<Judged> {
        let (view, control) = (pass.view, self.key.control);
        let verdict = self.verdict(view, &subject, said.as_deref());
        let consider = |verdict| {
            let exceptions = view.exceptions;
            exceptions.consider(control, &subject, view.inventory, verdict)
        };
        let verdict = verdict.map(consider);
        let before = said.as_ref().map(|said| Arc::clone(&said.verdict));
        let (verdict, news) = match (verdict, said) {
            (None, None) => (None, false),
            (None, Some(_)) => {
                pass.gone.push(subject.clone());
                (None, true)
            }
            (Some(verdict), Some(said)) if *said.verdict == verdict => {
                (Some(Arc::clone(&said.verdict)), false)
            }
            (Some(verdict), said) => {
                let verdict = self.share(verdict);
                let passes = verdict.outcome == Outcome::Pass;
                let kept = verdict.keep.clone();
                if let Some(said) = said {
                    said.verdict = Arc::clone(&verdict);
                    if passes {
                        // The last passing value outlives the failure.
                        said.kept = kept;
                    }
                } else {
                    let said = Said {
                        verdict: Arc::clone(&verdict),
                        kept: kept.filter(|_| passes),
                    };
                    pass.fresh.push((subject.clone(), said));
                }
                (Some(verdict), true)
            }
        };
        let judged = Judged {
            cause,
            before,
            verdict,
            news: news || pass.scopes.contains(&subject.namespace),
            subject,
        };
        (!judged.is_quiet()).then_some(judged)
    }

    /// A verdict, shared with equal ones where it says nothing of its own. What is kept of a
    /// subject is often what is kept of its neighbour too.
    fn share(&mut self, verdict: Verdict) -> Arc<Verdict> {
        let own =
            verdict.remedy.is_some() || verdict.proposal.is_some() || verdict.recheck_at.is_some();
        if own {
            return Arc::new(verdict.fitted());
        }
        let mut common = self.common.iter().rev();
        if let Some(common) = common.find(|common| ***common == verdict) {
            return Arc::clone(common);
        }
        let verdict = Arc::new(verdict.fitted());
        if self.common.len() == MOST_COMMON {
            self.common.remove(0);
        }
        self.common.push(Arc::clone(&verdict));
        verdict
    }

    /// The verdict on one subject, of which this was said until now; a panic of the control is
    /// that control's `Unknown`.
    pub(in crate::engine) fn verdict(
        &self,
        view: View<'_>,
        subject: &Subject,
        said: Option<&Said>,
    ) -> Option<Verdict> {
        if let Some(verdict) = self.undecodable(view.inventory, subject) {
            return Some(verdict);
        }
        let context = self.context(view, said);
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
    pub(in crate::engine) fn foresee(
        &self,
        view: View<'_>,
        subject: &Subject,
        stored: &serde_json::Value,
    ) -> Result<Vec<(Kind, serde_json::Value)>, String> {
        let context = self.context(view, None);
        let ask = AssertUnwindSafe(|| self.control.foresee(&context, subject, stored));
        catch_unwind(ask).unwrap_or_else(|_| Err("the control failed on this subject".to_owned()))
    }

    fn context<'a>(&'a self, view: View<'a>, said: Option<&'a Said>) -> Context<'a> {
        Context {
            inventory: view.inventory,
            analyses: view.analyses,
            observed: view.observed,
            now: view.now,
            own_namespace: &self.scope.own,
            scope: (self.control.info().scope == ScopeUse::InRule).then_some(&*self.scope),
            kept: said.and_then(|said| said.kept.as_deref()),
            before: said.map(|said| &*said.verdict),
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
