//! What network policies together let through, by the semantics of their APIs.
//!
//! ```text
//! Admin tier ─ Accept, Deny ─► decided
//!     │ Pass, or no rule matches
//!     ▼
//! policies of the namespace (NetworkPolicy, Cilium, Calico): does one isolate the pods?
//!     │ no                     └─ yes ─► the union of what they allow, and nothing else
//!     ▼
//! Baseline tier ─ Accept, Deny ─► decided; else allowed
//! ```
//!
//! [`Applying`] collects what applies to the pods of a template in one direction; its
//! [`Segment`]s say what it comes to, by port. What can't be judged is a [`Doubt`], never a guess.

mod calico;
mod gather;
mod segment;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    calico::{KINDS as CALICO, global as calico_globals},
    gather::{Isolated, isolation},
    segment::{Everyone, Segment, Who, addresses},
};
pub use crate::inventory::network_policy::PROTOCOLS;
use crate::inventory::{
    Kind, Meta,
    network_policy::{Peer, Rule},
    tiers::Act,
};

/// A direction of traffic, seen from the pods that a policy selects.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Direction {
    /// Towards the pods.
    Ingress,
    /// From the pods.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// As `policyTypes` call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

/// A policy of whatever kind.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub meta: &'a Meta,
}

/// A rule that lets something through, and the policy that it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The policy.
    pub policy: Policy<'a>,
    /// The rule.
    pub rule: &'a Rule,
}

/// A rule of a tier, and the policy that it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The policy.
    pub policy: Policy<'a>,
    /// What it does.
    pub act: Act,
    /// With what.
    pub rule: &'a Rule,
}

/// All that applies to the pods of a template in one direction.
#[derive(Debug)]
pub struct Applying<'a> {
    /// The direction.
    pub direction: Direction,
    /// Namespace of the pods.
    pub namespace: &'a str,
    /// Policies that isolate the pods: nothing passes but what is allowed.
    pub isolating: Vec<Policy<'a>>,
    /// What policies of the namespace, Cilium's and Calico's, allow.
    pub grants: Vec<Grant<'a>>,
    /// Blocks that Cilium denies, whatever is allowed, on every port.
    pub denied: Vec<&'a Peer>,
    /// Rules of the Admin tier, in order.
    pub admin: Vec<Step<'a>>,
    /// Rules of the Baseline tier, in order.
    pub baseline: Vec<Step<'a>>,
    /// What could not be judged.
    pub doubts: Vec<Doubt>,
}

/// Something that may apply and can't be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Kind of policy that it is about.
    pub kind: Kind,
    /// What it is, in words.
    pub what: String,
    /// Whether it may isolate the pods.
    pub isolates: bool,
    /// Whether it may let more through.
    pub opens: bool,
    /// Whether it may stop what others let through.
    pub denies: bool,
}

impl Applying<'_> {
    /// What is left of it where policies of other kinds are not enforced.
    #[must_use]
    pub fn only(mut self, enforced: impl Fn(Kind) -> bool) -> Self {
        self.isolating.retain(|policy| enforced(policy.kind));
        self.grants.retain(|grant| enforced(grant.policy.kind));
        self.denied.retain(|_| enforced(Kind::CiliumNetworkPolicy));
        self.admin.retain(|step| enforced(step.policy.kind));
        self.baseline.retain(|step| enforced(step.policy.kind));
        self.doubts.retain(|doubt| enforced(doubt.kind));
        self
    }

    /// Whether a policy isolates the pods.
    pub fn is_isolated(&self) -> bool {
        !self.isolating.is_empty()
    }

    /// The first doubt of one kind, in words.
    pub fn doubt(&self, which: impl Fn(&Doubt) -> bool) -> Option<&str> {
        self.doubts
            .iter()
            .find(|doubt| which(doubt))
            .map(|doubt| &*doubt.what)
    }
}

#[cfg(test)]
mod tests;
