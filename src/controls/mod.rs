//! Controls: one rule each, in one file each.
//!
//! A control is a struct of its parameters that implements [`Control`]. Its file holds, in this
//! order: the documentation ([`Info`]), the parameters, the rule, the remedy, the tests. Adding
//! one takes that file, one line in [`REGISTRY`] and one field in
//! [`Controls`](crate::api::Controls); a test catches what is missing.
//!
//! ```text
//! Change ─► touched() ─► which subjects ─► judge() ─► Verdict { outcome, reason, remedy … }
//! ```
//!
//! Controls are pure: they see the inventory and the time, and return a value.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod assurance;
pub mod attested;
pub mod backup;
pub mod encryption;
pub mod explain;
pub mod labels;
pub mod network;
mod observation;
pub(crate) mod prelude;
pub mod rbac;
pub mod registry;
pub mod remedy;
pub mod restricted;
pub mod scope;
pub mod subject;
#[cfg(test)]
pub mod testing;
mod verdict;
pub mod workload;
pub mod workloads;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

pub use self::{
    observation::Observation,
    registry::REGISTRY,
    remedy::{Consent, Kept, Remedy, Target},
    scope::Scope,
    subject::{Subject, SubjectKind},
    verdict::{Acceptance, Verdict},
};
use crate::{
    analysis::{Analyses, Derived},
    inventory::{Change, Effect, Inventory, Kind, Sym},
    verdict::{Severity, Strength},
};

/// What everyone needs to know of a control: documentation, chart rights and metrics come from it.
#[derive(Debug)]
pub struct Info {
    /// Id, such as `net-namespace-default-deny`.
    pub id: &'static str,
    /// The field of [`Controls`](crate::api::Controls), such as `netNamespaceDefaultDeny`.
    pub field: &'static str,
    /// One line: what holds when it passes.
    pub title: &'static str,
    /// Family.
    pub family: Family,
    /// Trust Services Criteria that it supports.
    pub criteria: &'static [&'static str],
    /// Severity of a failure, unless the policy says otherwise.
    pub severity: Severity,
    /// The strongest that its verdicts rest on.
    pub strength: Strength,
    /// Version of the rule. It rises whenever equal objects may get another verdict, so that a
    /// changed rule is never taken for drift.
    pub rule_version: u32,
    /// Kinds whose objects it reads.
    pub reads: &'static [Kind],
    /// Those of them that are its subjects.
    pub subjects: &'static [Kind],
    /// Analyses that it rests on; what they read, it reads.
    pub derives: &'static [Derived],
    /// Further things that it reads.
    pub observes: &'static [Observation],
    /// What its remedies write.
    pub writes: &'static [Write],
    /// How the policy's scope of namespaces applies.
    pub scope: ScopeUse,
    /// What it checks, in a paragraph.
    pub what: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What Enforce does, or what is proposed.
    pub fix: &'static str,
    /// What a person does to make a subject pass.
    pub by_hand: &'static str,
    /// Which native admission could keep it from failing, and how far.
    pub prevention: &'static str,
    /// What it can't see, and which choices it makes.
    pub limits: &'static str,
}

impl Info {
    /// Every kind that a verdict may rest on: what the rule reads and what its analyses do.
    pub fn inputs(&self) -> impl Iterator<Item = Kind> {
        let derived = self.derives.iter().flat_map(|derived| derived.reads());
        let all: BTreeSet<Kind> = self.reads.iter().chain(derived).copied().collect();
        all.into_iter()
    }

    /// Whether subjects outside the policy's scope are none of its subjects.
    pub const fn is_scoped(&self) -> bool {
        !matches!(self.scope, ScopeUse::Ignored)
    }
}

/// How the policy's scope of namespaces applies to a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeUse {
    /// Not at all: it judges the whole cluster.
    Ignored,
    /// A subject in a namespace out of scope is none; the rule itself doesn't look at the scope,
    /// so that policies with different scopes share its verdicts.
    BySubject,
    /// The rule itself asks what is in scope: a subject stands for many objects.
    InRule,
}

/// A family of controls. The chart grants write rights by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Encryption at rest and in transit.
    Encryption,
    /// Who may do what.
    Rbac,
    /// Which pods may talk.
    Network,
    /// Backup and recovery.
    Backup,
    /// Security of workloads.
    Workload,
    /// What people say of what no cluster shows.
    Attested,
    /// That the tool itself can be trusted.
    Assurance,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::Encryption,
        Self::Rbac,
        Self::Network,
        Self::Backup,
        Self::Workload,
        Self::Attested,
        Self::Assurance,
    ];

    /// Families whose controls can put something right; the others rest on what people do.
    pub const MENDING: [Self; 5] = [
        Self::Encryption,
        Self::Rbac,
        Self::Network,
        Self::Backup,
        Self::Workload,
    ];

    /// Name in the API, the chart's values, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Rbac => "rbac",
            Self::Network => "network",
            Self::Backup => "backup",
            Self::Workload => "workload",
            Self::Attested => "attested",
            Self::Assurance => "assurance",
        }
    }
}

/// A right that a remedy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// What is written.
    pub kind: Kind,
    /// `create`, `patch` or `delete`.
    pub verb: &'static str,
}

impl Write {
    /// Creates objects of a kind.
    pub const fn create(kind: Kind) -> Self {
        Self {
            kind,
            verb: "create",
        }
    }

    /// Changes fields of objects of a kind.
    pub const fn patch(kind: Kind) -> Self {
        Self {
            kind,
            verb: "patch",
        }
    }

    /// Deletes objects of a kind.
    pub const fn delete(kind: Kind) -> Self {
        Self {
            kind,
            verb: "delete",
        }
    }
}

/// What a control can see while it judges.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The cluster.
    pub inventory: &'a Inventory,
    /// What follows from many objects: those analyses that the control declares.
    pub analyses: &'a Analyses,
    /// What was observed beside objects.
    pub observed: &'a crate::engine::Observed,
    /// Wall clock.
    pub now: Timestamp,
    /// The namespace that Probity runs in; empty where that is not known.
    pub own_namespace: &'a str,
    /// Namespaces that the policy covers, for controls with [`ScopeUse::InRule`] only.
    pub scope: Option<&'a Scope>,
    /// What was recorded at the last `Pass` of this very subject, for a put-back.
    pub kept: Option<&'a Kept>,
    /// What was said of this subject last. It holds no facts, but since when a state is seen, in
    /// its `recheck_at`; a restart forgets it.
    pub before: Option<&'a Verdict>,
}

impl Context<'_> {
    /// Whether a namespace is in scope, for controls with [`ScopeUse::InRule`].
    pub fn covers(&self, namespace: &str) -> bool {
        let scope = self.scope;
        scope.is_none_or(|scope| scope.covers(self.inventory, namespace))
    }

    /// When a grace of this length ends: counted from when `reason` was first given, which is now
    /// unless it was given last.
    pub fn grace_ends(&self, reason: &str, grace: std::time::Duration) -> Timestamp {
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        let latest = self.now.saturating_add(grace).unwrap_or(Timestamp::MAX);
        let before = self.before.filter(|before| before.reason == reason);
        let ends = before.and_then(|before| before.recheck_at);
        // A grace that was shortened ends with the new one.
        ends.map_or(latest, |ends| ends.min(latest))
    }
}

/// Which subjects a change of one object makes uncertain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// None.
    Nothing,
    /// This one.
    Subject(Subject),
    /// All in this namespace.
    Namespace(Sym),
    /// All.
    All,
}

/// A control with its parameters.
pub trait Control: std::fmt::Debug + Send + Sync {
    /// What everyone needs to know of it.
    fn info(&self) -> &'static Info;

    /// What is wrong with the parameters that the API server can't see. `Err` is a sentence that
    /// says what to write instead.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Which subjects a change of one object makes uncertain. It is asked only about kinds in
    /// [`Info::reads`]. The default is right for every control, and slow for most.
    fn touched(&self, change: &Change) -> Touched {
        let _ = change;
        Touched::All
    }

    /// Which subjects become uncertain when an analysis that the control declares says something
    /// else about `subject`. It is asked only about [`Info::derives`].
    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        let _ = derived;
        Touched::Subject(subject.clone())
    }

    /// Which subjects become uncertain when something that the control observes was looked at
    /// again. It is asked only about [`Info::observes`].
    fn noticed(&self, observation: Observation) -> Touched {
        let _ = observation;
        Touched::All
    }

    /// Calls `found` with each subject in `namespace`, or with all of them where it is `None`.
    /// Subjects whose namespace is out of scope are dropped by the engine.
    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    );

    /// Whether an object that can't be decoded, of one of [`Info::subjects`], is a subject. All that
    /// is known of it is its name.
    fn would_judge(&self, subject: &Subject) -> bool {
        let _ = subject;
        true
    }

    /// Judges one subject; `None` where there is no such subject (any more).
    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict>;

    /// Whether a failure of `subject` for this reason stays one whatever further objects of `kind`
    /// there are. Manifests show only some: where this says no, a failure may be for want of those
    /// that nobody showed. The default is right for every control, and hides most.
    fn fails_whatever(&self, subject: &Subject, reason: &str, kind: Kind) -> bool {
        let _ = (subject, reason, kind);
        false
    }

    /// Whether its failures are for want of pods. Manifests don't show those that operators make of objects of their own.
    fn wants_pods(&self) -> bool {
        false
    }

    /// Whether `kind` is one of its subjects whose objects are judged each by itself, and bear on no
    /// other verdict.
    fn judges_apart(&self, kind: Kind) -> bool {
        let info = self.info();
        let derived = info.derives.iter().flat_map(|derived| derived.reads());
        if !info.subjects.contains(&kind) || derived.into_iter().any(|read| *read == kind) {
            return false;
        }
        let (namespace, name) = (Sym::from("some"), Sym::from("other"));
        let itself = Subject::object(kind, &namespace, &name);
        let change = Change {
            kind,
            namespace,
            name,
            effect: Effect::Added,
            manager: None,
        };
        self.touched(&change) == Touched::Subject(itself)
    }

    /// What the tool makes of the object that a [`Remedy::Start`] creates, when all goes well: the
    /// objects that there are then. The engine judges the subject among them, and writes only if
    /// it passes. `stored` is the object as the server would store it; the inventory holds it
    /// already. `Err` is a sentence that says why the subject is not helped.
    fn foresee(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        stored: &serde_json::Value,
    ) -> Result<Vec<(Kind, serde_json::Value)>, String> {
        let _ = (context, stored);
        Err(format!(
            "nobody knows what would become of it for {subject}"
        ))
    }
}
