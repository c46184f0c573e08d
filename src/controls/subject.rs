//! What a control judges.

use std::{cmp::Ordering, fmt};

use crate::api::PeopleKind;
use crate::guardrails::GuardKind;
use crate::inventory::{Inventory, Kind, Meta, Sym, Table};

/// A subject by kind, namespace and name. Ordered by namespace first, so that the subjects of one
/// namespace are neighbours in every table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Namespace that the subject belongs to; empty where it belongs to none. A Namespace
    /// belongs to itself.
    pub namespace: Sym,
    /// What it is.
    pub kind: SubjectKind,
    /// Name.
    pub name: Sym,
}

impl Ord for Subject {
    fn cmp(&self, other: &Self) -> Ordering {
        // Neighbours in a table mostly share their namespace: its address tells that they do.
        let namespaces = if Sym::ptr_eq(&self.namespace, &other.namespace) {
            Ordering::Equal
        } else {
            self.namespace.cmp(&other.namespace)
        };
        namespaces
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// An object of the cluster.
    Object(Kind),
    /// A user, known only by name.
    User,
    /// A group, known only by name.
    Group,
    /// One replica of the API server.
    ApiServer,
    /// A listener of a Gateway, named `gateway/listener`, or of a set that adds some to one, named
    /// `listenerset/set/listener`.
    Listener,
    /// A class of volumes that are backed up alike.
    BackupClass,
    /// The password of a backup repository, by the name of its Secret.
    RepositoryPassword,
    /// All objects of a resource as they lie in storage, named as in `widgets.example.com`.
    Resource,
    /// The cluster as a whole.
    Cluster,
    /// An object with which people take part.
    People(PeopleKind),
    /// A ControlPolicy.
    Policy,
    /// What keeps Probity itself in its place.
    Guard(GuardKind),
}

impl Subject {
    /// An object.
    pub fn object(kind: Kind, namespace: &Sym, name: &Sym) -> Self {
        let belongs = if kind == Kind::Namespace {
            name
        } else {
            namespace
        };
        Self {
            namespace: belongs.clone(),
            kind: SubjectKind::Object(kind),
            name: name.clone(),
        }
    }

    /// The object with this metadata.
    pub fn of(kind: Kind, meta: &Meta) -> Self {
        Self::object(kind, &meta.namespace, &meta.name)
    }

    /// A namespace.
    pub fn namespace(name: &Sym) -> Self {
        Self::object(Kind::Namespace, name, name)
    }

    /// A subject outside namespaces that is no object.
    pub fn named(kind: SubjectKind, name: impl Into<Sym>) -> Self {
        Self {
            namespace: Sym::default(),
            kind,
            name: name.into(),
        }
    }

    /// The kind of object, where it is one.
    pub const fn object_kind(&self) -> Option<Kind> {
        match self.kind {
            SubjectKind::Object(kind) => Some(kind),
            _ => None,
        }
    }

    /// The namespace that the object lies in: empty for a Namespace itself.
    pub fn object_namespace(&self) -> &str {
        match self.kind {
            SubjectKind::Object(Kind::Namespace) => "",
            _ => &self.namespace,
        }
    }

    /// API group of its kind.
    pub const fn group(&self) -> &'static str {
        match self.kind {
            SubjectKind::Object(kind) => kind.info().group,
            SubjectKind::User | SubjectKind::Group => "rbac.authorization.k8s.io",
            SubjectKind::People(_) | SubjectKind::Policy => crate::api::GROUP,
            SubjectKind::Guard(kind) => kind.group(),
            SubjectKind::Listener => "gateway.networking.k8s.io",
            SubjectKind::ApiServer
            | SubjectKind::BackupClass
            | SubjectKind::RepositoryPassword
            | SubjectKind::Resource
            | SubjectKind::Cluster => "",
        }
    }

    /// Name of its kind.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            SubjectKind::Object(kind) => kind.info().kind,
            SubjectKind::User => "User",
            SubjectKind::Group => "Group",
            SubjectKind::ApiServer => "APIServer",
            SubjectKind::Listener => "Listener",
            SubjectKind::BackupClass => "BackupClass",
            SubjectKind::RepositoryPassword => "Secret",
            SubjectKind::Resource => "Resource",
            SubjectKind::Cluster => "Cluster",
            SubjectKind::People(kind) => kind.kind(),
            SubjectKind::Policy => "ControlPolicy",
            SubjectKind::Guard(kind) => kind.name(),
        }
    }
}

/// Calls `found` with each object of a namespaced kind in `namespace`, or with all of them: the
/// population of most controls.
pub fn objects<P>(
    kind: Kind,
    table: &Table<P>,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    table.within(namespace, |object| found(Subject::of(kind, &object.meta)));
}

/// Calls `found` with the namespace of this name, or with every one.
pub fn namespaces(inventory: &Inventory, namespace: Option<&str>, found: &mut dyn FnMut(Subject)) {
    let table = &inventory.tables.namespaces;
    match namespace {
        Some(name) => {
            if let Some(object) = table.get("", name) {
                found(Subject::namespace(&object.meta.name));
            }
        }
        None => objects(Kind::Namespace, table, None, found),
    }
}

impl fmt::Display for Subject {
    /// `Kind namespace/name`, as people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, namespace) = (self.kind_name(), self.object_namespace());
        if namespace.is_empty() {
            write!(f, "{kind} {}", self.name)
        } else {
            write!(f, "{kind} {namespace}/{}", self.name)
        }
    }
}
