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
pub(crate) mod prelude;
pub mod rbac;
pub mod registry;
pub mod remedy;
pub mod restricted;
pub mod scope;
pub mod subject;
#[cfg(test)]
pub mod testing;
pub mod workload;
pub mod workloads;

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};

pub use self::{
    registry::REGISTRY,
    remedy::{Consent, Kept, Remedy, Target},
    scope::Scope,
    subject::{Subject, SubjectKind},
};
use crate::{
    analysis::{Analyses, Derived},
    inventory::{Change, Effect, Inventory, Kind, Sym},
    verdict::{Outcome, Severity, Strength},
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

/// Something beside objects that a control reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observation {
    /// The canary Secret and the counters of each API server.
    EncryptionCanary,
    /// What each API server tells of itself: metrics, flags, health of KMS providers, TLS.
    ApiServerFacts,
    /// What entry points show to TLS clients, where a policy asks for it.
    TlsHandshakes,
    /// Cilium's configuration.
    CiliumConfig,
    /// Who has left the organisation, where a policy names a list.
    LeaverList,
    /// Two pods, and a policy between them.
    NetworkProbe,
    /// Whether the password of Velero's repositories is the built-in one.
    RepositoryPassword,
    /// A Velero Restore into a sandbox, where a policy asks for it. The engine runs it.
    RestoreDrill,
    /// Exceptions that work without approval.
    Exceptions,
    /// What people attest.
    Attestations,
    /// What people decided about rights.
    AccessReviews,
    /// The last change of each policy, exception and attestation, by the log.
    Changes,
    /// How much of each audit period was observed, by the log.
    AuditPeriods,
    /// The time by the API server.
    ServerClock,
    /// A check of the evidence log.
    SelfAudit,
    /// What may be read.
    OwnRights,
    /// Our own CRDs, policies, rights and image.
    Guardrails,
    /// What the API server says about a few rights.
    AccessChecks,
}

impl Observation {
    /// Whether making it writes something, if only for a moment.
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::EncryptionCanary | Self::NetworkProbe | Self::RestoreDrill
        )
    }

    /// Name in the chart.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EncryptionCanary => "EncryptionCanary",
            Self::ApiServerFacts => "ApiServerFacts",
            Self::TlsHandshakes => "TlsHandshakes",
            Self::CiliumConfig => "CiliumConfig",
            Self::LeaverList => "LeaverList",
            Self::NetworkProbe => "NetworkProbe",
            Self::RepositoryPassword => "RepositoryPassword",
            Self::RestoreDrill => "RestoreDrill",
            Self::Exceptions => "Exceptions",
            Self::Attestations => "Attestations",
            Self::AccessReviews => "AccessReviews",
            Self::Changes => "Changes",
            Self::AuditPeriods => "AuditPeriods",
            Self::ServerClock => "ServerClock",
            Self::SelfAudit => "SelfAudit",
            Self::OwnRights => "OwnRights",
            Self::Guardrails => "Guardrails",
            Self::AccessChecks => "AccessChecks",
        }
    }

    /// What it reads and writes, for the pages of controls.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::EncryptionCanary => {
                "Writes and reads its own Secret `probity-canary`, reads the counters of the API \
                 servers (`/metrics`) and their addresses."
            }
            Self::ApiServerFacts => {
                "Reads `/metrics`, `/flagz` and `/readyz/kms-provider…` of each API server, and \
                 begins TLS handshakes with it. Reads the static pods of those that don't show \
                 their flags, kubeadm's ConfigMap `kubeadm-config`, and OpenShift's APIServer \
                 `cluster`."
            }
            Self::TlsHandshakes => {
                "Where a policy sets `handshake`, begins TLS handshakes with the addresses of \
                 Ingresses and Gateways."
            }
            Self::CiliumConfig => "Reads the ConfigMap `cilium-config` in `kube-system`.",
            Self::LeaverList => {
                "Where a policy sets `leaversConfigMap`, reads that ConfigMap every minute; of the \
                 names in it only those are shown that a binding names."
            }
            Self::NetworkProbe => {
                "Creates, reads and deletes two pods and a network policy of its own, in a \
                 namespace of its own, where the policy sets `run` and the chart \
                 `networkProbe.enabled`."
            }
            Self::RepositoryPassword => {
                "Reads the Secret `velero-repo-credentials` in Velero's namespace, where the chart \
                 sets `velero.readRepositoryPassword`; compares it in memory and keeps whether it \
                 is the built-in one."
            }
            Self::RestoreDrill => {
                "Where the policy sets `drill` and the chart `drill.enabled`: creates and deletes a \
                 namespace of its own with quotas, defaults for containers and a network policy, and creates, annotates and \
                 deletes its own Velero Restores."
            }
            Self::Exceptions => "Reads the ControlExceptions and ClusterControlExceptions.",
            Self::Attestations => "Reads the Attestations.",
            Self::AccessReviews => "Reads the AccessReviews, and freezes what they list.",
            Self::Changes => {
                "Reads the ControlPolicies, ControlExceptions, ClusterControlExceptions and Attestations, and the \
                 evidence log."
            }
            Self::AuditPeriods => "Reads the AuditPeriods, and the evidence log.",
            Self::ServerClock => "Reads `/version`, for the time of the answer.",
            Self::SelfAudit => "Reads the evidence log.",
            Self::OwnRights => "Takes note of what the API server refuses to its watches.",
            Self::AccessChecks => {
                "Where the chart sets `accessChecks.enabled`, asks the API server once a day, by \
                 eighteen `SubjectAccessReview`s, what strangers may do."
            }
            Self::Guardrails => {
                "Reads, by name and once a minute, Probity's own CRDs, ValidatingAdmissionPolicies, roles, \
                 their bindings, and StatefulSet."
            }
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

/// A verdict on one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What was found.
    pub outcome: Outcome,
    /// What it rests on.
    pub strength: Strength,
    /// The fact that was found, in `PascalCase`, such as `NamespaceWithoutDefaultDeny`.
    pub reason: &'static str,
    /// The fact in a sentence, for people.
    pub message: Cow<'static, str>,
    /// When the verdict may change by itself.
    pub recheck_at: Option<Timestamp>,
    /// What would make the subject pass.
    pub remedy: Option<Box<Remedy>>,
    /// What to tell a person to do, where no remedy can be carried out.
    pub proposal: Option<Cow<'static, str>>,
    /// What to record at this `Pass`, so that it can be put back.
    pub keep: Option<Arc<Kept>>,
    /// Who accepts the failure. The engine says so, no control.
    pub accepted: Option<Box<Acceptance>>,
}

/// The exception that accepts a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Its kind, namespace and name, for people.
    pub by: String,
    /// Whether somebody approved it; nobody has where the glass was broken.
    pub approved: bool,
}

impl Verdict {
    /// A verdict without remedy.
    pub fn new(
        outcome: Outcome,
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            outcome,
            strength,
            reason,
            message: message.into(),
            recheck_at: None,
            remedy: None,
            proposal: None,
            keep: None,
            accepted: None,
        }
    }

    /// The rule holds.
    pub fn pass(
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Outcome::Pass, strength, reason, message)
    }

    /// The rule does not hold.
    pub fn fail(
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Outcome::Fail, strength, reason, message)
    }

    /// Nobody can tell.
    pub fn unknown(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Unknown, Strength::Declared, reason, message)
    }

    /// The rule has nothing to say.
    pub fn not_applicable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::NotApplicable, Strength::Declared, reason, message)
    }

    /// With a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(Box::new(remedy));
        self
    }

    /// With words for a person.
    #[must_use]
    pub fn propose(mut self, proposal: impl Into<Cow<'static, str>>) -> Self {
        self.proposal = Some(proposal.into());
        self
    }

    /// With a value to record.
    #[must_use]
    pub fn keeping(mut self, kept: Kept) -> Self {
        self.keep = Some(Arc::new(kept));
        self
    }

    /// To be judged again at `at` even if nothing changes.
    #[must_use]
    pub const fn recheck(mut self, at: Timestamp) -> Self {
        self.recheck_at = Some(at);
        self
    }
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
