//! Which namespaces policies leave out: what the log is told, so that a population can be seen to be complete.

use super::{Engine, instance::Instance};
use crate::{
    evidence::body::{self, Body, Excluded},
    inventory::{Inventory, Kind},
};

impl Engine {
    /// Says which namespaces are out of scope where that is news, with the definition in force. Once a minute at most: it is
    /// asked with the heartbeat.
    pub(super) fn say_scopes(&mut self) {
        if !std::mem::take(&mut self.scopes_changed) {
            return;
        }
        let mut said = Vec::new();
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
            said.push(body::Scope {
                policies: instance.policies.clone(),
                control: instance.key.control.into(),
                rule_version: Some(instance.info.rule_version),
                params_hash: Some(instance.key.params_hash.to_string()),
                scope_hash: instance.key.scope_hash.to_string(),
                included,
                excluded,
            });
        }
        for scope in said {
            self.say(Body::Scope(scope));
        }
    }
}

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
