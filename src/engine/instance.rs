//! A rule through a scope: what it says about the subjects that some policies cover.
//!
//! Policies that ask the same of the same namespaces share an instance.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    plan::Standing,
    rule::{RuleId, Sight},
};
use crate::{
    controls::{Info, Scope, Subject, Verdict},
    evidence::{
        body::Excluded,
        words::{Cause, End},
    },
    inventory::{Inventory, Sym},
    verdict::{Counts, Outcome},
};

/// What tells instances apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) control: &'static str,
    pub(super) params_hash: Sym,
    pub(super) scope_hash: Sym,
    /// Whether the policies are suspended: they are judged apart, and the log hears nothing of it.
    pub(super) suspended: bool,
}

/// A subject of an instance that does not simply pass, or has nothing to be judged.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) verdict: Arc<Verdict>,
    pub(super) since: Timestamp,
    pub(super) deviation: Option<Deviation>,
    /// Where it stands with regard to its remedy, for each policy; `Quiet` where absent. There are
    /// hardly ever more than two: a map would take ten times the memory.
    pub(super) standings: Vec<(Sym, Standing)>,
    /// When the bytes arrived that led to this outcome, on the monotonic clock.
    pub(super) noticed: std::time::Duration,
    /// Whether it has been unknown ever since the policy first looked.
    pub(super) unseen: bool,
}

impl Row {
    /// Where it stands with regard to its remedy, for one policy.
    pub(super) fn standing(&self, policy: &str) -> &Standing {
        let mut standings = self.standings.iter();
        let known = standings.find(|(of, _)| **of == *policy);
        known.map_or(&Standing::Quiet, |(_, standing)| standing)
    }

    /// Notes where it stands for one policy. Returns whether that is news.
    pub(super) fn stand(&mut self, policy: &Sym, standing: Standing) -> bool {
        let news = *self.standing(policy) != standing;
        if news {
            self.standings.retain(|(of, _)| of != policy);
            self.standings.reserve_exact(1);
            self.standings.push((policy.clone(), standing));
        }
        news
    }
}

/// Whether an outcome has a [`Row`].
pub(super) const fn has_row(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Fail | Outcome::Excepted | Outcome::Unknown => true,
        Outcome::Pass | Outcome::NotApplicable => false,
    }
}

/// The interval in which a subject fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deviation {
    pub(super) id: String,
    pub(super) opened: Timestamp,
    pub(super) cause: Cause,
    /// Whether we have put it right: the next `Pass` is our doing.
    pub(super) mended: bool,
    /// Why and when it opened under another definition, where the policy was edited while it was
    /// open: to whoever is told of it, it is still that one.
    pub(super) before: Option<(Cause, Timestamp)>,
}

impl Deviation {
    /// Why and when it first opened, whatever was edited since.
    pub(super) fn first(&self) -> (Cause, Timestamp) {
        self.before.unwrap_or((self.cause, self.opened))
    }
}

/// A rule through a scope.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) key: Key,
    pub(super) rule: RuleId,
    pub(super) info: &'static Info,
    pub(super) scope: Arc<Scope>,
    /// Names of the policies that share it.
    pub(super) policies: Vec<Sym>,
    /// Subjects that fail, are excepted or can't be judged. Of the many others the rule's table
    /// says all there is.
    pub(super) rows: BTreeMap<Subject, Row>,
    /// Those namespaces in scope that have subjects.
    covered: BTreeSet<Sym>,
    pub(super) counts: Counts,
    /// Deviations that were open in the instance that a policy left for this one.
    pub(super) inherited: BTreeMap<Subject, (Cause, Timestamp)>,
    /// Whether its rule can see: a copy, for those who only look at instances.
    pub(super) sight: Sight,
    /// Whether it holds all that its rule said.
    pub(super) filled: bool,
    /// Whether the log of this term holds what is in the table.
    pub(super) introduced: bool,
    /// The policies of which the log of this term holds its definition.
    pub(super) defined: Vec<Sym>,
    /// The namespaces out of scope, as this term has told the log.
    pub(super) scope_said: Option<(u64, Vec<Excluded>)>,
    pub(super) outcome_since: Timestamp,
    pub(super) last_outcome: Option<Outcome>,
    pub(super) last_drift: Option<Drift>,
}

/// The last drift: something that passed and fails, because an object or the time has changed.
#[derive(Debug)]
pub(super) struct Drift {
    pub(super) at: Timestamp,
    /// Id of the deviation that it began.
    pub(super) deviation: String,
    /// How that ended; `None` while it is open.
    pub(super) ended: Option<End>,
}

impl Instance {
    /// Takes note of the end of a deviation, if the last drift began it.
    pub(super) fn end_drift(&mut self, deviation: &Deviation, end: End) {
        if let Some(drift) = &mut self.last_drift
            && drift.deviation == deviation.id
        {
            drift.ended = Some(end);
        }
    }

    /// Makes the table of rows anew. Rows that came one by one, in order, have left every node of it half empty.
    pub(super) fn pack(&mut self) {
        self.rows = std::mem::take(&mut self.rows).into_iter().collect();
    }

    pub(super) fn new(
        key: Key,
        rule: RuleId,
        info: &'static Info,
        scope: Arc<Scope>,
        now: Timestamp,
    ) -> Self {
        Self {
            key,
            rule,
            info,
            scope,
            policies: Vec::new(),
            rows: BTreeMap::new(),
            covered: BTreeSet::new(),
            counts: Counts::default(),
            inherited: BTreeMap::new(),
            sight: Sight::Unsettled,
            filled: false,
            introduced: false,
            defined: Vec::new(),
            scope_said: None,
            outcome_since: now,
            last_outcome: None,
            last_drift: None,
        }
    }

    /// Outcome of the control as a whole.
    pub(super) fn outcome(&self) -> Outcome {
        match self.sight {
            Sight::Clear => self.counts.combined(),
            Sight::Unsettled | Sight::Panicked | Sight::Blind(..) => Outcome::Unknown,
        }
    }

    /// Subjects by outcome: all of them `Unknown` while nothing can be judged.
    pub(super) fn visible_counts(&self) -> Counts {
        match self.sight {
            Sight::Blind(..) => Counts::all(Outcome::Unknown, self.counts.total()),
            Sight::Unsettled | Sight::Clear | Sight::Panicked => self.counts,
        }
    }

    /// Whether a subject that the rule's table holds is one of this instance's.
    pub(super) fn holds(&self, subject: &Subject) -> bool {
        !self.info.is_scoped()
            || subject.namespace.is_empty()
            || self.covered.contains(&subject.namespace)
    }

    /// How many namespaces in scope have subjects.
    #[cfg(test)]
    pub(super) fn namespaces(&self) -> usize {
        self.covered.len()
    }

    /// Notes whether a namespace is in scope now, and has subjects.
    pub(super) fn note_scope(&mut self, inventory: &Inventory, namespace: &Sym, populated: bool) {
        if !self.info.is_scoped() || namespace.is_empty() {
            return;
        }
        if !populated || !self.scope.covers(inventory, namespace) {
            self.covered.remove(namespace);
        } else if !self.covered.contains(namespace) {
            self.covered.insert(namespace.clone());
        }
    }

    /// Whether a subject is in scope.
    pub(super) fn covers(&self, inventory: &Inventory, subject: &Subject) -> bool {
        !self.info.is_scoped()
            || subject.namespace.is_empty()
            || self.scope.covers(inventory, &subject.namespace)
    }
}
