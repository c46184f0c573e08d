//! Which policies share an instance, and which instances share a rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Engine, Now,
    instance::{Instance, Key},
    policies::{Policy, PolicyControl},
    rule::{Rule, RuleId, RuleKey},
};
use crate::{
    controls::{Control, Info, Scope, ScopeUse},
    evidence::words::End,
    inventory::{Kind, Sym},
};

impl Engine {
    /// The instance for a key, shared with other policies where there is one.
    pub(super) fn instance(
        &mut self,
        key: Key,
        control: Arc<dyn Control>,
        scope: &Arc<Scope>,
        policy: &Sym,
        now: Now,
    ) -> u32 {
        let id = if let Some(id) = self.keys.get(&key) {
            *id
        } else {
            self.last_id += 1;
            let id = self.last_id;
            let info = control.info();
            let rule = self.rule(&key, control, scope);
            self.uncertain.insert(rule);
            self.keys.insert(key.clone(), id);
            let mut instance = Instance::new(key, rule, info, Arc::clone(scope), now.wall);
            if let Some(rule) = self.rules.get_mut(&rule) {
                rule.instances.push(id);
                rule.fresh.push(id);
                if rule.blind.is_some() {
                    instance.sight = rule.sight();
                }
            }
            self.instances.insert(id, instance);
            id
        };
        if let Some(instance) = self.instances.get_mut(&id)
            && !instance.policies.contains(policy)
        {
            instance.policies.push(policy.clone());
            instance.policies.sort();
            if instance.introduced {
                self.newcomers.push((id, policy.clone()));
            }
        }
        id
    }

    /// The rule that an instance looks through, shared with other instances where there is one.
    fn rule(&mut self, key: &Key, control: Arc<dyn Control>, scope: &Arc<Scope>) -> RuleId {
        let info = control.info();
        let in_rule = info.scope == ScopeUse::InRule;
        let key = RuleKey {
            control: key.control,
            params_hash: key.params_hash.clone(),
            scope_hash: in_rule.then(|| key.scope_hash.clone()),
        };
        if let Some(id) = self.rule_ids.get(&key) {
            return *id;
        }
        self.last_id += 1;
        let id = RuleId(self.last_id);
        for kind in Self::needed_by(info) {
            self.readers.entry(kind).or_default().insert(id);
        }
        let rule = Rule::new(key.clone(), control, Arc::clone(scope));
        self.rule_ids.insert(key, id);
        self.rules.insert(id, rule);
        id
    }

    /// Gives up the instances that a policy no longer uses.
    pub(super) fn release_instances(&mut self, name: &Sym, old: &Policy) {
        let uses: Vec<u32> = self
            .policies
            .get(name)
            .map(|policy| {
                policy
                    .controls
                    .iter()
                    .map(|control| control.instance)
                    .collect()
            })
            .unwrap_or_default();
        let end = match self.policies.get(name) {
            None => End::PolicyDeleted,
            Some(policy) if policy.spec.suspend => End::PolicySuspended,
            Some(_) => End::DefinitionChanged,
        };
        for control in &old.controls {
            if uses.contains(&control.instance) {
                continue;
            }
            let scope_only = self.policies.get(name).is_some_and(|policy| {
                let same = policy.control(control.id).map(|c| c.instance);
                let params = |id: u32| self.instances.get(&id).map(|i| i.key.params_hash.clone());
                same.is_some_and(|id| params(id) == params(control.instance))
            });
            let end = match end {
                End::DefinitionChanged if scope_only => End::ScopeChanged,
                end => end,
            };
            self.bequeath(control, name);
            self.close_for(control.instance, name, end);
            self.drop_member(control.instance, name);
        }
    }

    /// Tells the instance in which a policy has this control now what was open in the one before.
    fn bequeath(&mut self, control: &PolicyControl, name: &Sym) {
        let policy = self.policies.get(name);
        let heir = policy.and_then(|policy| policy.control(control.id));
        let Some(heir) = heir.map(|heir| heir.instance) else {
            return;
        };
        // What happens while it is suspended is held against nobody.
        let old = self.instances.get(&control.instance);
        let Some(old) = old.filter(|old| !old.key.suspended) else {
            return;
        };
        let open = old.rows.iter().filter_map(|(subject, row)| {
            let deviation = row.deviation.as_ref()?;
            Some((subject.clone(), deviation.first()))
        });
        let open: BTreeMap<_, _> = open.collect();
        // One that is filled already has its own, of another policy.
        if let Some(heir) = self
            .instances
            .get_mut(&heir)
            .filter(|heir| !heir.filled && !heir.key.suspended)
        {
            heir.inherited.extend(open);
        }
    }

    fn drop_member(&mut self, id: u32, name: &Sym) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        instance.policies.retain(|policy| policy != name);
        // Until it comes back, something else may be its definition.
        instance.defined.retain(|policy| policy != name);
        if instance.policies.is_empty()
            && let Some(instance) = self.instances.remove(&id)
        {
            self.keys.remove(&instance.key);
            self.drop_view(instance.rule, id);
        }
    }

    /// Takes an instance from its rule, and drops the rule with its last one.
    fn drop_view(&mut self, rule: RuleId, instance: u32) {
        let Some(views) = self.rules.get_mut(&rule).map(|rule| &mut rule.instances) else {
            return;
        };
        views.retain(|id| *id != instance);
        if !views.is_empty() {
            return;
        }
        if let Some(gone) = self.rules.remove(&rule) {
            self.rule_ids.remove(&gone.key);
        }
        self.timers.forget(rule);
        for readers in self.readers.values_mut() {
            readers.remove(&rule);
        }
        self.readers.retain(|_, readers| !readers.is_empty());
    }

    /// Kinds that a control makes us watch.
    fn needed_by(info: &Info) -> Vec<Kind> {
        // Scope, the pause and the end of a namespace are read for every control.
        let kinds: BTreeSet<Kind> = info.inputs().chain([Kind::Namespace]).collect();
        kinds.into_iter().collect()
    }
}
