//! Effective RBAC: who holds what, through which binding and role.
//!
//! ```text
//! Role, ClusterRole ─► powers (own rules, and those of roles that it aggregates)
//!        ▲
//! RoleBinding, ClusterRoleBinding ─► identities: User, Group, ServiceAccount
//! ```
//!
//! Groups stay groups: who is in one is not visible, but for the groups that service accounts and
//! authenticated users are in by definition. Aggregated roles count with what their sources would
//! add, because nobody has to do anything more to get it.

pub(in crate::analysis) mod keyed;
pub mod listing;
pub mod power;
mod query;
pub mod request;
pub mod spot;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::keyed::Keyed;
pub use self::{
    power::{Power, Powers, Thing, Verbs},
    request::{Request, Target},
};
use super::{
    Analysis,
    rbac::{self, accounts_of},
    rbac_defaults::BOOTSTRAPPING,
};
use crate::{
    controls::{Subject, SubjectKind},
    inventory::{
        Change, Inventory, Kind, Object, Sym,
        rbac::{Binding, Role},
    },
};

/// Namespace (empty for the cluster's) and name.
type Name = (Sym, Sym);

/// Who holds what.
#[derive(Debug, Default)]
pub struct Rights {
    roles: Keyed<Name, RoleEntry>,
    bindings: Keyed<Name, Bound>,
    identities: Keyed<Subject, Identity>,
    /// Cluster roles that aggregate others.
    aggregates: BTreeSet<Sym>,
    pending: BTreeSet<(Kind, Sym, Sym)>,
    /// How often it was settled with something to do.
    epoch: u64,
    /// The identities about which the last of these said something else.
    changed: BTreeSet<Subject>,
    /// The roles about which it did.
    changed_roles: BTreeSet<Name>,
    /// Whether the last of these was the first: it spoke about everyone and everything.
    first: bool,
    /// Whether all that there is has to be taken in.
    all: bool,
}

/// What was said otherwise when the rights were last settled with something to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last<'a> {
    /// How often that was.
    pub(super) epoch: u64,
    /// About whom.
    pub(super) identities: &'a BTreeSet<Subject>,
    /// Roles, by namespace and name, that allow or aggregate something else, or are there or not.
    pub(super) roles: &'a BTreeSet<Name>,
    /// Whether it was about everyone and everything: then neither is listed.
    pub(super) all: bool,
}

/// A role that exists, or that a binding refers to.
#[derive(Debug, Default)]
struct RoleEntry {
    exists: bool,
    powers: Powers,
    /// The roles that it aggregates.
    sources: Box<[Sym]>,
    bindings: BTreeSet<u32>,
}

/// A binding as it was last seen.
#[derive(Debug)]
struct Bound {
    role: u32,
    identities: Box<[u32]>,
    /// Whether it carries the label of Kubernetes' own.
    marked: bool,
}

#[derive(Debug, Default)]
struct Identity {
    bindings: Vec<u32>,
    /// Things of which it holds a power, wherever.
    things: u64,
}

/// A binding through which an identity holds something.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// Kind of the binding.
    pub kind: Kind,
    /// Its namespace, to which it is limited; empty for a `ClusterRoleBinding`.
    pub namespace: &'a Sym,
    /// Its name.
    pub name: &'a Sym,
    /// Namespace of the role; empty for a `ClusterRole`.
    pub role_namespace: &'a Sym,
    /// Name of the role.
    pub role: &'a Sym,
    /// What the role can do.
    pub powers: &'a Powers,
    /// Whether the binding carries the label of Kubernetes' own.
    pub marked: bool,
}

impl Grant<'_> {
    /// Whether it gives everything everywhere.
    pub fn is_cluster_admin(&self) -> bool {
        self.namespace.is_empty() && self.powers.everything
    }

    /// Kind of the role.
    pub fn role_kind(&self) -> Kind {
        role_kind(self.role_namespace)
    }

    /// Whether its powers on a thing count where it gives them.
    pub fn reaches(&self, thing: Thing) -> bool {
        self.namespace.is_empty() || !thing.is_cluster_scoped()
    }
}

fn role_kind(namespace: &str) -> Kind {
    if namespace.is_empty() {
        Kind::ClusterRole
    } else {
        Kind::Role
    }
}

fn binding_kind(namespace: &str) -> Kind {
    if namespace.is_empty() {
        Kind::ClusterRoleBinding
    } else {
        Kind::RoleBinding
    }
}

/// The groups that an identity is in by definition.
pub fn groups(subject: &Subject) -> impl Iterator<Item = Subject> + use<> {
    let group = |name: &str| Subject::named(SubjectKind::Group, name);
    let names = match subject.kind {
        SubjectKind::Object(Kind::ServiceAccount) => vec![
            group(&format!("system:serviceaccounts:{}", subject.namespace)),
            group("system:serviceaccounts"),
            group("system:authenticated"),
        ],
        SubjectKind::User if *subject.name == *"system:anonymous" => {
            vec![group("system:unauthenticated")]
        }
        SubjectKind::User => vec![group("system:authenticated")],
        SubjectKind::Group if accounts_of(subject).is_some() => {
            vec![
                group("system:serviceaccounts"),
                group("system:authenticated"),
            ]
        }
        SubjectKind::Group if *subject.name == *"system:serviceaccounts" => {
            vec![group("system:authenticated")]
        }
        _ => Vec::new(),
    };
    names.into_iter()
}

impl Analysis for Rights {
    const READS: &'static [Kind] = &[
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
    ];

    fn note(&mut self, _: &Inventory, change: &Change) {
        let name = (change.kind, change.namespace.clone(), change.name.clone());
        self.pending.insert(name);
    }

    fn note_all(&mut self, _: &Inventory) {
        self.all = true;
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        if std::mem::take(&mut self.all) {
            self.take_all(inventory);
            return;
        }
        if self.pending.is_empty() {
            return;
        }
        self.first = false;
        self.changed_roles.clear();
        let mut touched = Vec::new();
        let mut bindings = Vec::new();
        let mut cluster_roles = false;
        for (kind, namespace, name) in std::mem::take(&mut self.pending) {
            match kind {
                Kind::Role => self.set_role(inventory, &(namespace, name), &mut touched),
                Kind::ClusterRole => {
                    cluster_roles = true;
                    self.set_role(inventory, &(namespace, name), &mut touched);
                }
                _ => bindings.push((namespace, name)),
            }
        }
        if cluster_roles {
            self.aggregate(inventory, &mut touched);
        }
        for name in bindings {
            self.set_binding(inventory, &name, &mut touched);
        }
        self.epoch += 1;
        touched.sort_unstable();
        touched.dedup();
        let touched = touched.into_iter();
        self.changed = touched.filter_map(|number| self.refresh(number)).collect();
        affected.extend(self.changed.iter().cloned());
    }
}

impl Rights {
    /// Takes in all that there is, into what knows nothing yet. That nobody was told of any of it
    /// before is all that there is to tell.
    fn take_all(&mut self, inventory: &Inventory) {
        let tables = &inventory.tables;
        let mut touched = Vec::new();
        for object in tables.roles.iter().chain(tables.cluster_roles.iter()) {
            let name = (object.meta.namespace.clone(), object.meta.name.clone());
            self.put_role(&name, Some(object), &mut touched);
        }
        self.aggregate(inventory, &mut touched);
        let bindings = tables.role_bindings.iter();
        for object in bindings.chain(tables.cluster_role_bindings.iter()) {
            self.put_binding(object, &mut touched);
        }
        self.pending.clear();
        self.changed_roles.clear();
        self.epoch += 1;
        self.first = true;
        for number in 0..u32::try_from(self.identities.bound()).unwrap_or(u32::MAX) {
            self.refresh(number);
        }
    }

    /// Takes in a role as it now is; aggregates follow when all roles are known.
    fn set_role(&mut self, inventory: &Inventory, name: &Name, touched: &mut Vec<u32>) {
        self.put_role(name, role(inventory, name), touched);
    }

    fn put_role(&mut self, name: &Name, object: Option<&Object<Role>>, touched: &mut Vec<u32>) {
        if object.is_some_and(|object| object.spec.aggregates.is_some()) {
            if self.aggregates.insert(name.1.clone()) {
                self.changed_roles.insert(name.clone());
            }
            return;
        }
        if name.0.is_empty() && self.aggregates.remove(&name.1) {
            self.changed_roles.insert(name.clone());
        }
        let powers = object.map(|object| Powers::of(object.spec.rules.iter()));
        self.put_powers(name, powers, Box::default(), touched);
    }

    fn put_powers(
        &mut self,
        name: &Name,
        powers: Option<Powers>,
        sources: Box<[Sym]>,
        touched: &mut Vec<u32>,
    ) {
        let number = self.roles.enter(name, RoleEntry::default);
        let Some(entry) = self.roles.at_mut(number) else {
            return;
        };
        let exists = powers.is_some();
        let powers = powers.unwrap_or_default();
        let other = entry.powers != powers || entry.exists != exists;
        if other || entry.sources != sources {
            self.changed_roles.insert(name.clone());
        }
        if other {
            let bound = entry.bindings.iter();
            let bound = bound.filter_map(|binding| self.bindings.at(*binding));
            touched.extend(bound.flat_map(|(_, bound)| bound.identities.iter().copied()));
        }
        let unused = !exists && entry.bindings.is_empty();
        entry.exists = exists;
        entry.powers = powers;
        entry.sources = sources;
        if unused {
            self.roles.remove(name);
        }
    }

    /// Works out what aggregated roles hold: any role may be a source of any of them.
    fn aggregate(&mut self, inventory: &Inventory, touched: &mut Vec<u32>) {
        for name in self.aggregates.clone() {
            let name = (Sym::default(), name);
            let Some(object) = role(inventory, &name) else {
                continue;
            };
            let sources: Vec<&Object<Role>> = rbac::sources(inventory, object).collect();
            let roles = std::iter::once(object).chain(sources.iter().copied());
            let powers = Powers::of(roles.flat_map(|role| role.spec.rules.iter()));
            let sources = sources.iter().map(|role| role.meta.name.clone()).collect();
            self.put_powers(&name, Some(powers), sources, touched);
        }
    }

    /// Takes in a binding as it now is.
    fn set_binding(&mut self, inventory: &Inventory, name: &Name, touched: &mut Vec<u32>) {
        self.drop_binding(name, touched);
        let kind = binding_kind(&name.0);
        let tables = &inventory.tables;
        let table = match kind {
            Kind::RoleBinding => &tables.role_bindings,
            _ => &tables.cluster_role_bindings,
        };
        if let Some(object) = table.get(&name.0, &name.1) {
            self.put_binding(object, touched);
        }
    }

    /// Takes in a binding that is not known.
    fn put_binding(&mut self, object: &Object<Binding>, touched: &mut Vec<u32>) {
        let name = &(object.meta.namespace.clone(), object.meta.name.clone());
        let spec = &object.spec;
        let home = if *spec.role_kind == *"Role" {
            name.0.clone()
        } else {
            Sym::default()
        };
        let role = (home, spec.role.clone());
        let role = self.roles.enter(&role, RoleEntry::default);
        let holders = spec.subjects.iter();
        let mut identities: Vec<u32> = holders
            .filter_map(|holder| rbac::identity_in(&name.0, holder))
            .map(|subject| self.identities.enter(&subject, Identity::default))
            .collect();
        identities.sort_unstable();
        identities.dedup();
        let labels = &object.meta.labels;
        let bound = Bound {
            role,
            identities: identities.as_slice().into(),
            marked: labels.get(BOOTSTRAPPING) == Some("rbac-defaults"),
        };
        let number = self.bindings.enter(name, || bound);
        if let Some(entry) = self.roles.at_mut(role) {
            entry.bindings.insert(number);
        }
        for identity in identities {
            if let Some(identity) = self.identities.at_mut(identity) {
                identity.bindings.push(number);
            }
            touched.push(identity);
        }
    }

    fn drop_binding(&mut self, name: &Name, touched: &mut Vec<u32>) {
        let Some(number) = self.bindings.number(name) else {
            return;
        };
        let Some(bound) = self.bindings.remove(name) else {
            return;
        };
        for identity in &bound.identities {
            touched.push(*identity);
            if let Some(identity) = self.identities.at_mut(*identity) {
                identity.bindings.retain(|binding| *binding != number);
            }
        }
        if let Some(entry) = self.roles.at_mut(bound.role) {
            entry.bindings.remove(&number);
            if !entry.exists && entry.bindings.is_empty() {
                let key = self.roles.at(bound.role).map(|(key, _)| key.clone());
                key.and_then(|key| self.roles.remove(&key));
            }
        }
    }

    /// Brings an identity up to date; who is in no binding any more is forgotten.
    fn refresh(&mut self, number: u32) -> Option<Subject> {
        let (subject, identity) = self.identities.at(number)?;
        let subject = subject.clone();
        if identity.bindings.is_empty() {
            self.identities.remove(&subject);
            return Some(subject);
        }
        let mut bindings = identity.bindings.clone();
        // By name, so that what is said first does not depend on what came first.
        bindings.sort_by_key(|binding| self.bindings.at(*binding).map(|(key, _)| key));
        bindings.dedup();
        let things = bindings.iter().filter_map(|binding| self.grant(*binding));
        let things = things.fold(0, |all, grant| all | grant.powers.things());
        let identity = self.identities.at_mut(number)?;
        identity.bindings = bindings;
        identity.things = things;
        Some(subject)
    }

    fn grant(&self, binding: u32) -> Option<Grant<'_>> {
        let ((namespace, name), bound) = self.bindings.at(binding)?;
        let ((role_namespace, role), entry) = self.roles.at(bound.role)?;
        Some(Grant {
            kind: binding_kind(namespace),
            namespace,
            name,
            role_namespace,
            role,
            powers: &entry.powers,
            marked: bound.marked,
        })
    }
}

fn role<'a>(inventory: &'a Inventory, (namespace, name): &Name) -> Option<&'a Object<Role>> {
    let tables = &inventory.tables;
    if namespace.is_empty() {
        tables.cluster_roles.get("", name)
    } else {
        tables.roles.get(namespace, name)
    }
}
