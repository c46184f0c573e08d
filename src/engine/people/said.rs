//! What people say, in the form in which controls read it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    api::{Decision, PeopleKind},
    inventory::Sym,
};

/// What people say, as far as controls read it. `None`: it has not been read yet.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct PeopleSaid {
    /// Exceptions that ask to work without approval.
    pub emergencies: Option<Vec<Emergency>>,
    /// Attestations.
    pub attestations: Option<Vec<Attested>>,
    /// Access reviews.
    pub reviews: Option<Vec<Reviewed>>,
}

/// An exception that asked to work without approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Emergency {
    /// Its kind.
    pub kind: PeopleKind,
    /// Its namespace; empty where it is in none.
    pub namespace: Sym,
    /// Its name.
    pub name: Sym,
    /// When it was created.
    pub created: Timestamp,
    /// Who asked.
    pub by: String,
    /// What was decided.
    pub decision: Option<Decision>,
}

/// An attestation.
#[derive(Debug, Clone, PartialEq)]
pub struct Attested {
    /// Its name.
    pub name: Sym,
    /// The control that it is about.
    pub control: String,
    /// When it was created.
    pub created: Timestamp,
    /// Until when it counts.
    pub valid_until: Timestamp,
    /// Who said it.
    pub by: String,
    /// Who approved it, if somebody did whose approval counts; else why it does not count.
    pub approved_by: Result<String, String>,
    /// How many documents it names.
    pub evidence: usize,
}

/// An access review.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    /// Its name.
    pub name: Sym,
    /// What it is a review of.
    pub area: Area,
    /// The namespaces of that area; none for the cluster.
    pub namespaces: BTreeSet<Sym>,
    /// Which part of the listing.
    pub part: u32,
    /// When it must be done.
    pub due: Timestamp,
    /// When the listing was frozen, and how many rows all parts had then.
    pub frozen: Option<(Timestamp, usize)>,
    /// What was decided, if it counts; else why it does not.
    pub decided: Result<Decided, String>,
}

impl Reviewed {
    /// Whether it is about the bindings of a namespace, or of the cluster where that is empty.
    pub fn covers(&self, namespace: &str) -> bool {
        if namespace.is_empty() {
            self.area == Area::Cluster
        } else {
            self.namespaces.contains(namespace)
        }
    }
}

/// Whose rights a review is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The bindings of the cluster.
    Cluster,
    /// The bindings of a namespace.
    Namespace(Sym),
    /// The bindings of all namespaces of an owner.
    Owner(Sym),
}

/// The decisions of a review.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Who decided.
    pub by: String,
    /// When that was first seen.
    pub at: Timestamp,
    /// Rows that are to be revoked and are still there.
    pub remaining: usize,
}
