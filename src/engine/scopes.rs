//! Which namespaces policies leave out: what the log is told, so that a population can be seen to be complete, and what the
//! status of a policy says whose scope covers less than somebody may think.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Engine, Now, instance::Instance, policies::Policy};
use crate::{
    controls::Scope,
    evidence::body::{self, Body, Excluded, Name, Scoped, Word},
    inventory::{Inventory, Kind, Sym},
    words::{either, many},
};

/// So many of the names that a scope includes in vain are listed.
const MOST_NAMES: usize = 5;

impl Engine {
    /// Says which namespaces are out of scope where that is news, with the definition in force. Once a minute at most: it is
    /// asked with the heartbeat.
    pub(super) fn say_scopes(&mut self) {
        if !std::mem::take(&mut self.scopes_changed) {
            return;
        }
        // Most controls of a policy leave out the same: the list is said once.
        let mut said: BTreeMap<Same, body::Scope> = BTreeMap::new();
        for instance in self
            .instances
            .values_mut()
            .filter(|instance| instance.introduced)
        {
            let (included, excluded) = namespaces(instance, &self.inventory);
            if instance.scope_said.as_ref() == Some(&(included, excluded.clone())) {
                continue;
            }
            instance.scope_said = Some((included, excluded.clone()));
            instance.defined.clone_from(&instance.policies);
            let names = excluded.iter();
            let names = names.map(|out| (out.namespace.clone(), out.reason.clone()));
            let same = (
                instance.policies.clone(),
                instance.key.scope_hash.to_string(),
                names.collect(),
            );
            let (control, rule_version) = (
                instance.key.control.into(),
                Some(instance.info.rule_version),
            );
            let params_hash = Some(instance.key.params_hash.to_string());
            match said.entry(same) {
                Entry::Occupied(known) => known.into_mut().also.push(Scoped {
                    control,
                    rule_version,
                    params_hash,
                }),
                Entry::Vacant(new) => {
                    new.insert(body::Scope {
                        policies: instance.policies.clone(),
                        control,
                        rule_version,
                        params_hash,
                        scope_hash: instance.key.scope_hash.to_string(),
                        included,
                        excluded,
                        also: Vec::new(),
                    });
                }
            }
        }
        for scope in said.into_values() {
            self.say(Body::Scope(scope));
        }
    }

    /// Notes what the scope of each policy covers in vain, where that may have changed. Once a round, as namespaces may come in
    /// thousands.
    pub(super) fn note_coverage(&mut self, now: Now) {
        if !std::mem::take(&mut self.coverage_changed) {
            return;
        }
        let policies = self.policies.iter();
        let noted: Vec<(Sym, Option<String>)> = policies
            .filter_map(|(name, policy)| {
                let note = self.uncovered_by(policy);
                (note != policy.uncovered).then(|| (name.clone(), note))
            })
            .collect();
        for (name, note) in noted {
            if let Some(policy) = self.policies.get_mut(&name) {
                policy.uncovered = note;
            }
            self.status_soon(&name, now);
        }
    }

    /// What the scope of a policy covers in vain, as far as one of its controls looks at it.
    fn uncovered_by(&self, policy: &Policy) -> Option<String> {
        // Before the first list is complete nobody knows which namespaces there are.
        if !self.inventory.freshness.ever_synced(Kind::Namespace) {
            return None;
        }
        let mut instances = policy
            .controls
            .iter()
            .filter_map(|control| self.instances.get(&control.instance));
        let scoped = instances.find(|instance| instance.info.is_scoped())?;
        uncovered(&scoped.scope, &self.inventory)
    }
}

/// What a scope names and is not there, or that it covers no namespace.
fn uncovered(scope: &Scope, inventory: &Inventory) -> Option<String> {
    let is_there = |name: &str| {
        inventory.meta(Kind::Namespace, "", name).is_some()
            || inventory.broken(Kind::Namespace, "", name).is_some()
    };
    let (there, missing): (Vec<&str>, Vec<&str>) = scope
        .include
        .iter()
        .map(String::as_str)
        .partition(|name| is_there(name));
    let covers = |name: &str| scope.covers(inventory, name);
    let covered = if scope.include.is_empty() {
        let mut whole = inventory.tables.namespaces.iter();
        let broken = inventory.broken_names(Kind::Namespace);
        whole.any(|namespace| covers(&namespace.meta.name))
            || broken.iter().any(|(_, name)| covers(name))
    } else {
        there.iter().any(|name| covers(name))
    };
    let nothing = (!covered).then(|| "the scope covers no namespace".to_owned());
    let notes: Vec<String> = nothing.into_iter().chain(in_vain(&missing)).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// That a scope includes these names in vain.
fn in_vain(missing: &[&str]) -> Option<String> {
    let count = missing.len();
    let listed = missing.get(..MOST_NAMES).unwrap_or(missing).join(", ");
    let more = match count.saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (names, are) = (many(count, "namespace"), either(count, "is", "are"));
    (count > 0)
        .then(|| format!("spec.scope.include names {names} that {are} not there: {listed}{more}"))
}

/// Policies, hash of the scope and the namespaces that are left out, with reasons.
type Same = (Vec<Name>, String, Vec<(Name, Word)>);

/// How many namespaces an instance covers, and which it doesn't.
fn namespaces(instance: &Instance, inventory: &Inventory) -> (u64, Vec<Excluded>) {
    let mut included = 0;
    let mut excluded = Vec::new();
    for name in inventory
        .all_as_added(Kind::Namespace)
        .map(|change| change.name)
    {
        let reason = instance
            .info
            .is_scoped()
            .then(|| instance.scope.exclusion(inventory, &name))
            .flatten();
        match reason {
            Some(reason) => excluded.push(Excluded {
                namespace: name,
                reason: reason.into(),
            }),
            None => included += 1,
        }
    }
    (included, excluded)
}
