//! Which live pods use the network of their node, or a port of it, by the workload that they
//! belong to: kept up to date. They are few, and nothing is kept of the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Analysis;
use crate::{
    controls::{Subject, workloads},
    inventory::{Change, Inventory, Kind, Object, Sym, template::Template, workload::Pod},
};

/// See the module.
#[derive(Debug, Default)]
pub struct OnNode {
    pods: BTreeMap<(Sym, Sym), Known>,
    workloads: BTreeMap<Subject, BTreeMap<Sym, Arc<Template>>>,
    changed: BTreeSet<(Sym, Sym)>,
    /// Namespaces in which a pod may belong to another workload now.
    rewired: BTreeSet<Sym>,
}

/// The workload that a pod belongs to, and what the pod looks like.
type Known = (Subject, Arc<Template>);

impl OnNode {
    /// What the live pods of a workload look like that use the network of their node, or a port
    /// of it, by the name of the pod. A pod that is a workload by itself is not listed.
    pub fn pods(&self, workload: &Subject) -> impl Iterator<Item = &Template> {
        let pods = self.workloads.get(workload).into_iter();
        pods.flat_map(BTreeMap::values).map(|look| &**look)
    }

    fn put(&mut self, key: (Sym, Sym), now: Option<Known>, affected: &mut BTreeSet<Subject>) {
        let before = match &now {
            Some(now) => self.pods.insert(key.clone(), now.clone()),
            None => self.pods.remove(&key),
        };
        if before == now {
            return;
        }
        if let Some((workload, _)) = before {
            if let Some(pods) = self.workloads.get_mut(&workload) {
                pods.remove(&key.1);
                if pods.is_empty() {
                    self.workloads.remove(&workload);
                }
            }
            affected.insert(workload);
        }
        if let Some((workload, look)) = now {
            affected.insert(workload.clone());
            self.workloads
                .entry(workload)
                .or_default()
                .insert(key.1, look);
        }
    }
}

/// What there is to know of a pod.
fn known(inventory: &Inventory, pod: &Object<Pod>) -> Option<Known> {
    if pod.spec.ended || !pod.spec.template.uses_node() {
        return None;
    }
    let owner = pod.meta.owners.controller.as_deref()?;
    let workload = workloads::root(inventory, &pod.meta.namespace, owner)?;
    Some((workload, Arc::clone(&pod.spec.template)))
}

impl Analysis for OnNode {
    const READS: &'static [Kind] = &[Kind::Pod, Kind::ReplicaSet, Kind::Job];

    fn note(&mut self, _: &Inventory, change: &Change) {
        if change.kind == Kind::Pod {
            let key = (change.namespace.clone(), change.name.clone());
            self.changed.insert(key);
        } else {
            self.rewired.insert(change.namespace.clone());
        }
    }

    fn note_all(&mut self, inventory: &Inventory) {
        let pods = inventory.tables.pods.iter();
        let pods = pods.filter(|pod| pod.spec.template.uses_node());
        self.changed
            .extend(pods.map(|pod| (pod.meta.namespace.clone(), pod.meta.name.clone())));
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        for namespace in std::mem::take(&mut self.rewired) {
            let known = self.pods.range((namespace.clone(), Sym::default())..);
            let known = known.take_while(|((home, _), _)| *home == namespace);
            self.changed.extend(known.map(|(key, _)| key.clone()));
        }
        for key in std::mem::take(&mut self.changed) {
            let pod = inventory.tables.pods.get(&key.0, &key.1);
            let now = pod.and_then(|pod| known(inventory, pod));
            self.put(key, now, affected);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        analysis::{Derived, from_scratch},
        controls::testing::World,
    };

    fn apply(world: &mut World, (kind, name, how): (usize, u8, u8)) {
        let kind = [Kind::Pod, Kind::Pod, Kind::ReplicaSet, Kind::Job][kind];
        let name = format!("x{name}");
        if how == 0 {
            if world.inventory.meta(kind, "a", &name).is_some() {
                world.delete(kind, "a", &name);
            }
            return;
        }
        let owner = match (kind, how % 4) {
            (Kind::Pod, 0) => Some(("apps/v1", "ReplicaSet", "x0")),
            (Kind::Pod, 1) => Some(("batch/v1", "Job", "x1")),
            (Kind::Pod, 2) => Some(("example.com/v1", "Thing", "t")),
            (Kind::ReplicaSet, 0 | 1) => Some(("apps/v1", "Deployment", "d")),
            (Kind::Job, 1) => Some(("batch/v1", "CronJob", "c")),
            _ => None,
        };
        let owners = owner.map(|(api, kind, name)| {
            json!([{ "apiVersion": api, "kind": kind, "name": name, "controller": true }])
        });
        let ports = json!([{ "containerPort": 80, "hostPort": if how > 5 { 80 } else { 0 } }]);
        let phase = if how == 7 { "Failed" } else { "Running" };
        let spec = json!({
            "hostNetwork": how == 5, "containers": [{ "name": "c", "ports": ports }],
        });
        world.put(
            kind,
            json!({
                "metadata": { "name": name, "namespace": "a", "ownerReferences": owners },
                "spec": spec, "status": { "phase": phase },
            }),
        );
    }

    proptest! {
        #[test]
        fn kept_up_to_date_it_is_as_if_made_anew(
            steps in prop::collection::vec((0..4_usize, 0..3_u8, 0..10_u8), 1..40),
        ) {
            let mut world = World::new();
            world.analyses.need(&[Derived::OnNode].into(), &world.inventory);
            for step in steps {
                let before = world.analyses.on_node().workloads.clone();
                apply(&mut world, step);
                let mut affected = BTreeSet::new();
                world.analyses.settle(&world.inventory, &mut |_, subjects| affected = subjects);
                let after = &world.analyses.on_node().workloads;
                let anew: OnNode = from_scratch(&world.inventory);
                prop_assert_eq!(after, &anew.workloads);
                let all = before.keys().chain(after.keys());
                let changed = all.filter(|workload| before.get(workload) != after.get(workload));
                prop_assert_eq!(affected, changed.cloned().collect::<BTreeSet<_>>());
            }
        }
    }
}
