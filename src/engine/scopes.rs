//! Which namespaces policies leave out: what the log is told, so that a population can be seen to be complete.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Engine, instance::Instance};
use crate::{
    evidence::body::{self, Body, Excluded, Name, Scoped, Word},
    inventory::{Inventory, Kind},
};

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
