//! The writes of a drill, and what becomes of them.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::{ActionResult, Engine, Failure, FailureKind, Now, digest},
    run::{End, Run},
};
use crate::{
    evidence::{
        body::{Body, Intent, SubjectRef},
        words,
    },
    inventory::{Sym, Uid},
};

/// After a failure of the clean-up it is tried again; the wait doubles from the first to the second.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// Name of what bounds a sandbox.
pub(super) use crate::controls::backup::drill::{BOUNDS as QUOTA, PRIORITIES};

/// Where a drill writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Plural name of the resource.
    pub plural: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Namespace; empty where cluster-scoped.
    pub namespace: Sym,
    /// Name.
    pub name: Sym,
}

impl Spot {
    pub(super) fn namespace(name: &str) -> Self {
        Self {
            group: "",
            version: "v1",
            plural: "namespaces",
            kind: "Namespace",
            namespace: "".into(),
            name: name.into(),
        }
    }

    pub(super) fn quota(namespace: Sym, name: &str) -> Self {
        Self {
            group: "",
            version: "v1",
            plural: "resourcequotas",
            kind: "ResourceQuota",
            namespace,
            name: name.into(),
        }
    }

    pub(super) fn limits(namespace: Sym) -> Self {
        Self {
            group: "",
            version: "v1",
            plural: "limitranges",
            kind: "LimitRange",
            namespace,
            name: QUOTA.into(),
        }
    }

    pub(super) fn deny(namespace: Sym) -> Self {
        Self {
            group: "networking.k8s.io",
            version: "v1",
            plural: "networkpolicies",
            kind: "NetworkPolicy",
            namespace,
            name: QUOTA.into(),
        }
    }

    pub(super) fn restore(namespace: Sym, name: Sym) -> Self {
        Self {
            group: "velero.io",
            version: "v1",
            plural: "restores",
            kind: "Restore",
            namespace,
            name,
        }
    }

    fn subject(&self, uid: Option<Uid>) -> SubjectRef {
        SubjectRef {
            group: self.group.into(),
            kind: self.kind.into(),
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.clone()),
            name: self.name.clone(),
            uid: uid.map_or_else(|| "".into(), |uid| uid.to_string().into()),
        }
    }
}

/// What a drill does to an object that is its own.
#[derive(Debug, Clone, PartialEq)]
pub enum DrillCall {
    /// Creates it; fails where it exists.
    Create(Value),
    /// Merges a patch (RFC 7396) into the one of this uid and version.
    Merge(Value, Uid, u64),
    /// Deletes the one of this uid.
    Delete(Uid),
}

impl DrillCall {
    const fn action(&self) -> words::Action {
        match self {
            Self::Create(_) => words::Action::Create,
            Self::Merge(..) => words::Action::Set,
            Self::Delete(_) => words::Action::Delete,
        }
    }

    const fn uid(&self) -> Option<Uid> {
        match self {
            Self::Create(_) => None,
            Self::Merge(_, uid, _) | Self::Delete(uid) => Some(*uid),
        }
    }

    fn content(&self) -> Option<&Value> {
        match self {
            Self::Create(content) | Self::Merge(content, ..) => Some(content),
            Self::Delete(_) => None,
        }
    }
}

/// A write of a drill. Its intent must be durable before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct DrillWrite {
    /// Ties the result to the write; unique in a log.
    pub id: u64,
    /// Where.
    pub spot: Spot,
    /// What.
    pub call: DrillCall,
}

/// A write under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: u64,
    pub(super) target: SubjectRef,
    creates: bool,
    records: bool,
}

impl Engine {
    /// Announces a write, and has it sent.
    pub(super) fn send_drill(&mut self, run: &mut Run, (spot, call): (Spot, DrillCall), now: Now) {
        let id = self.next_action_id(now);
        let target = spot.subject(call.uid());
        let content = call.content();
        let hashed = serde_json::json!([spot.kind, spot.namespace, spot.name, content]);
        let undo = match &call {
            DrillCall::Create(_) => Some(format!("kubectl delete {} {}", spot.plural, spot.name)),
            DrillCall::Merge(..) | DrillCall::Delete(_) => None,
        };
        self.say(Body::Intent(Intent {
            id,
            action: call.action(),
            policies: run.policies.clone(),
            control: super::CONTROL.into(),
            target: target.clone(),
            content_hash: digest(&hashed),
            before: None,
            after: content.cloned().map(Into::into),
            undo,
        }));
        for policy in &run.policies {
            let budget = self.budgets.entry(policy.clone()).or_default();
            budget.spend(now.mono);
        }
        run.flight = Some(Flight {
            id,
            target,
            creates: matches!(call, DrillCall::Create(_)),
            records: matches!(call, DrillCall::Merge(..)),
        });
        self.out.drills.push(DrillWrite { id, spot, call });
    }

    /// Takes in what became of a write.
    pub(in crate::engine) fn drill_answered(&mut self, id: u64, result: ActionResult, now: Now) {
        let Some(mut run) = self.drills.run.take() else {
            return;
        };
        let Some(flight) = run.flight.take() else {
            self.drills.run = Some(run);
            return;
        };
        match result {
            ActionResult::Failed(failure) => {
                self.finish(id, word(failure.kind), &failure.message, None);
                run.failed(&flight, &failure, now);
            }
            ActionResult::Written(version) => {
                self.finish(id, words::ActionResult::Applied, "", version);
                run.made += usize::from(flight.creates);
                // The watch shows what this one did before the next look at the same object.
                if !flight.creates {
                    run.again_at = now.mono + WAIT.0;
                }
            }
            ActionResult::Accepted(_) | ActionResult::Archived(_) => {}
        }
        self.drills.run = Some(run);
    }
}

impl Run {
    /// A write failed: what was being built is given up, what was being cleaned up is tried again.
    fn failed(&mut self, flight: &Flight, failure: &Failure, now: Now) {
        if self.end.is_none() {
            let said = explain(flight, failure);
            self.end = Some(End::broken_off(said, now));
            return;
        }
        let refused = matches!(failure.kind, FailureKind::Forbidden | FailureKind::Rejected);
        self.unrecorded |= flight.records && refused;
        let wait = WAIT
            .0
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.again_at = now.mono + wait.min(WAIT.1);
    }
}

/// Why a drill could not go on, and what to do.
fn explain(flight: &Flight, failure: &Failure) -> String {
    let what = format!("{} {}", flight.target.kind, flight.target.name);
    match failure.kind {
        FailureKind::Forbidden => format!(
            "the API server forbids to create {what}: set drill.enabled in the chart ({})",
            failure.message
        ),
        FailureKind::Superseded => format!("{what} is there already, and is not the drill's"),
        _ => format!("{what} could not be created: {}", failure.message),
    }
}

const fn word(kind: FailureKind) -> words::ActionResult {
    match kind {
        FailureKind::Superseded => words::ActionResult::Superseded,
        FailureKind::Forbidden | FailureKind::Rejected => words::ActionResult::Rejected,
        FailureKind::Transient | FailureKind::Log => words::ActionResult::Failed,
        FailureKind::Ambiguous => words::ActionResult::Unresolved,
    }
}
