//! What is asked about rights.

use std::collections::BTreeSet;

use super::{Grant, Identity, Last, Power, Powers, Request, Rights, Verbs, groups, role};
use crate::{
    controls::Subject,
    inventory::{Inventory, Sym, rbac::Rule},
};

impl Rights {
    /// What was said otherwise the last time.
    pub(in crate::analysis) const fn last(&self) -> Last<'_> {
        Last {
            epoch: self.epoch,
            identities: &self.changed,
            roles: &self.changed_roles,
            all: self.first,
        }
    }

    /// Everyone whom a binding names, in no order that means anything.
    pub(in crate::analysis) fn everyone(&self) -> impl Iterator<Item = &Subject> {
        self.identities.unordered().map(|(_, subject, _)| subject)
    }

    /// Everyone whom a binding names, in order.
    pub fn identities(&self) -> impl Iterator<Item = &Subject> {
        self.identities.iter().map(|(_, subject, _)| subject)
    }

    /// Everyone whom a binding names, with the bindings that do.
    pub fn identities_with_grants(
        &self,
    ) -> impl Iterator<Item = (&Subject, impl Iterator<Item = Grant<'_>>)> {
        let all = self.identities.iter();
        all.map(|(_, subject, identity)| (subject, self.grants_of(identity)))
    }

    /// Everyone whom a binding names, with the things of which they hold a power.
    pub fn identities_with_things(&self) -> impl Iterator<Item = (&Subject, u64)> {
        let all = self.identities.iter();
        all.map(|(_, subject, identity)| (subject, identity.things))
    }

    /// Things of which an identity itself holds a power, by whatever binding.
    pub fn things(&self, subject: &Subject) -> u64 {
        self.identities.get(subject).map_or(0, |known| known.things)
    }

    /// The bindings that name an identity, by namespace and name: those of the cluster first.
    pub fn grants(&self, subject: &Subject) -> impl Iterator<Item = Grant<'_>> + use<'_> {
        let known = self.identities.get(subject).into_iter();
        known.flat_map(|identity| self.grants_of(identity))
    }

    fn grants_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = Grant<'a>> {
        let bindings = identity.bindings.iter();
        bindings.filter_map(|binding| self.grant(*binding))
    }

    /// Whether a binding names an identity.
    pub(in crate::analysis) fn names(&self, subject: &Subject) -> bool {
        self.identities.number(subject).is_some()
    }

    /// What an identity holds: the things of which it holds a power, and the bindings.
    pub(in crate::analysis) fn holdings(&self, subject: &Subject) -> (u64, Vec<Grant<'_>>) {
        let known = self.identities.get(subject);
        known.map_or((0, Vec::new()), |identity| {
            (identity.things, self.grants_of(identity).collect())
        })
    }

    /// Those of an identity and of the groups that it is in by definition.
    pub fn effective_grants(&self, subject: &Subject) -> impl Iterator<Item = Grant<'_>> + use<'_> {
        let groups = groups(subject).flat_map(|group| self.grants(&group));
        self.grants(subject).chain(groups)
    }

    /// What a role can do; `None` where there is no such role.
    pub fn role(&self, namespace: &Sym, name: &Sym) -> Option<&Powers> {
        let entry = self.roles.get(&(namespace.clone(), name.clone()))?;
        entry.exists.then_some(&entry.powers)
    }

    /// The roles of a namespace that exist, or of the cluster where it is empty.
    pub fn roles_in<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Sym, &'a Powers)> {
        let all = self.roles.iter();
        all.filter(move |(_, (home, _), entry)| **home == *namespace && entry.exists)
            .map(|(_, (_, name), entry)| (name, &entry.powers))
    }

    /// The roles that a role aggregates.
    pub(in crate::analysis) fn sources(&self, namespace: &Sym, name: &Sym) -> &[Sym] {
        let entry = self.roles.get(&(namespace.clone(), name.clone()));
        entry.map_or(&[], |entry| &entry.sources)
    }

    /// The aggregated roles of the cluster.
    pub const fn aggregates(&self) -> &BTreeSet<Sym> {
        &self.aggregates
    }

    /// Whether an identity in scope of a grant may patch an object of a thing: with it, a rule
    /// that names what may be created lets server-side apply create it.
    pub fn patches(&self, subject: &Subject, within: &Grant<'_>, power: &Power) -> bool {
        self.effective_grants(subject).any(|grant| {
            let wide = grant.namespace.is_empty() || grant.namespace == within.namespace;
            wide && grant.powers.on(power.thing).any(|other| {
                let shared = || power.names.iter().any(|name| other.is_for(name));
                other.verbs.has(Verbs::PATCH) && (other.names.is_empty() || shared())
            })
        })
    }

    /// The rules of a role, those of its sources included.
    pub fn rules<'a>(
        &self,
        inventory: &'a Inventory,
        namespace: &Sym,
        name: &Sym,
    ) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let key = (namespace.clone(), name.clone());
        let sources = self.roles.get(&key).map(|entry| entry.sources.clone());
        let sources = sources.unwrap_or_default().into_iter();
        let sources = sources.filter_map(|name| role(inventory, &(Sym::default(), name)));
        let own = role(inventory, &key);
        let all = own.into_iter().chain(sources);
        all.flat_map(|role| role.spec.rules.iter())
    }

    /// Through which binding `user`, who is in `groups` too, may do something, if at all.
    pub fn allows(
        &self,
        inventory: &Inventory,
        user: &Subject,
        groups: &[Subject],
        request: &Request<'_>,
    ) -> Option<Grant<'_>> {
        let namespace = request.namespace();
        let implied = self::groups(user);
        let holders: Vec<Subject> = std::iter::once(user.clone())
            .chain(groups.iter().cloned())
            .chain(implied)
            .collect();
        holders.iter().find_map(|holder| {
            self.grants(holder).find(|grant| {
                (grant.namespace.is_empty() || **grant.namespace == *namespace)
                    && self
                        .rules(inventory, grant.role_namespace, grant.role)
                        .any(|rule| request.is_in(rule))
            })
        })
    }

    /// Everyone who may do something, by a binding that names them.
    pub fn holders(&self, inventory: &Inventory, request: &Request<'_>) -> BTreeSet<&Subject> {
        let namespace = request.namespace();
        let mut found = BTreeSet::new();
        for (_, (home, name), entry) in self.roles.iter() {
            let mut rules = self.rules(inventory, home, name);
            if !rules.any(|rule| request.is_in(rule)) {
                continue;
            }
            for binding in &entry.bindings {
                let Some(((scope, _), bound)) = self.bindings.at(*binding) else {
                    continue;
                };
                if scope.is_empty() || **scope == *namespace {
                    let numbers = bound.identities.iter();
                    found.extend(numbers.filter_map(|n| Some(self.identities.at(*n)?.0)));
                }
            }
        }
        found
    }
}
