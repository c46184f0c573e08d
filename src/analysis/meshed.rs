//! Which workloads' pods are in a service mesh: seen by the proxies that they really run, not by
//! the labels that ask for one.

use std::collections::{BTreeMap, BTreeSet};

use super::Analysis;
use crate::{
    controls::{Subject, workloads},
    inventory::{
        Change, Inventory, Kind, Object, Sym, mesh::authenticates, template::Proxy, workload::Pod,
    },
};

/// The annotation of pods whose traffic goes through Istio's proxy of their node.
pub const AMBIENT: &str = "ambient.istio.io/redirection";
/// The annotation that says whom a pod of Linkerd, or those of a namespace, let in.
pub const INBOUND: &str = "config.linkerd.io/default-inbound-policy";

/// The annotation of pods, or of a namespace, that asks for Linkerd's proxy.
pub const INJECT: &str = "linkerd.io/inject";

/// The label of pods that asks for Istio's proxy or against it, and the annotation that did before
/// there was a label.
pub const ISTIO_INJECT: &str = "sidecar.istio.io/inject";

/// How many pods of a workload are in which mesh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pods {
    /// Pods that have not ended, without those on the node's own network.
    pub all: u32,
    /// Those with Istio's proxy beside them.
    pub istio: u32,
    /// Those whose traffic goes through Istio's proxy of their node.
    pub ambient: u32,
    /// Those with Linkerd's proxy.
    pub linkerd: u32,
    /// Those of Linkerd that say themselves that they ask for proof.
    pub authenticating: u32,
    /// Those of these that say themselves that they let in nobody whom no policy allows, proven or not.
    pub denying: u32,
    /// Those of Linkerd that say themselves that they let anybody in.
    pub open: u32,
}

/// Which workloads' pods are in a service mesh.
#[derive(Debug, Default)]
pub struct Meshed {
    namespaces: BTreeMap<Sym, BTreeMap<Subject, Pods>>,
    uncertain: BTreeSet<Sym>,
}

impl Meshed {
    /// The pods of a workload.
    pub fn pods(&self, workload: &Subject) -> Pods {
        let namespace = self.namespaces.get(&workload.namespace);
        let pods = namespace.and_then(|workloads| workloads.get(workload));
        pods.copied().unwrap_or_default()
    }
}

impl Analysis for Meshed {
    const READS: &'static [Kind] = &[Kind::Pod, Kind::ReplicaSet, Kind::Job];

    fn note(&mut self, _: &Inventory, change: &Change) {
        self.uncertain.insert(change.namespace.clone());
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        for namespace in std::mem::take(&mut self.uncertain) {
            let now = count(inventory, &namespace);
            let before = self.namespaces.remove(&namespace).unwrap_or_default();
            let differs = |(subject, pods): (&Subject, &Pods), other: &BTreeMap<Subject, Pods>| {
                (other.get(subject) != Some(pods)).then(|| subject.clone())
            };
            affected.extend(before.iter().filter_map(|row| differs(row, &now)));
            affected.extend(now.iter().filter_map(|row| differs(row, &before)));
            if !now.is_empty() {
                self.namespaces.insert(namespace, now);
            }
        }
    }
}

fn count(inventory: &Inventory, namespace: &str) -> BTreeMap<Subject, Pods> {
    let mut workloads: BTreeMap<Subject, Pods> = BTreeMap::new();
    let mut direct: BTreeMap<&str, Subject> = BTreeMap::new();
    for pod in inventory.tables.pods.in_namespace(namespace) {
        if pod.spec.ended || pod.spec.template.host_network {
            continue;
        }
        let controller = pod.meta.owners.controller.as_deref();
        let subject = match controller {
            // Most pods share their controller with the one before.
            Some(controller) => direct
                .entry(controller)
                .or_insert_with(|| workload(inventory, pod))
                .clone(),
            None => Subject::of(Kind::Pod, &pod.meta),
        };
        // A controller that is no workload of Kubernetes: each of its pods is one by itself.
        let subject = if subject.object_kind() == Some(Kind::Pod) {
            Subject::of(Kind::Pod, &pod.meta)
        } else {
            subject
        };
        add(workloads.entry(subject).or_default(), pod);
    }
    workloads
}

fn add(pods: &mut Pods, pod: &Object<Pod>) {
    pods.all += 1;
    match pod.spec.template.proxy {
        Proxy::Istio => pods.istio += 1,
        Proxy::Linkerd => {
            pods.linkerd += 1;
            match pod.meta.annotations.get(INBOUND) {
                Some(policy) if authenticates(policy) => {
                    pods.authenticating += 1;
                    pods.denying += u32::from(policy == "deny");
                }
                Some(_) => pods.open += 1,
                None => {}
            }
        }
        Proxy::None if pod.meta.annotations.get(AMBIENT) == Some("enabled") => pods.ambient += 1,
        Proxy::None => {}
    }
}

/// The workload that a pod belongs to.
fn workload(inventory: &Inventory, pod: &Object<Pod>) -> Subject {
    let controller = pod.meta.owners.controller.as_deref();
    let root = controller.and_then(|owner| workloads::root(inventory, &pod.meta.namespace, owner));
    root.unwrap_or_else(|| Subject::of(Kind::Pod, &pod.meta))
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

    /// Changes: which object of a few, and in which of a few ways.
    fn steps() -> impl Strategy<Value = Vec<(u8, u8)>> {
        prop::collection::vec((0..12_u8, 0..5_u8), 1..40)
    }

    fn apply(world: &mut World, (which, how): (u8, u8)) {
        let namespace = if which.is_multiple_of(2) { "a" } else { "b" };
        let name = format!("x{}", which % 3);
        let kind = [Kind::Pod, Kind::ReplicaSet, Kind::Job][usize::from(which / 4)];
        if how == 0 {
            if world.inventory.meta(kind, namespace, &name).is_some() {
                world.delete(kind, namespace, &name);
            }
            return;
        }
        let owner = match (kind, how) {
            (Kind::Pod, 1) => Some(("apps/v1", "ReplicaSet", "x0")),
            (Kind::Pod, 2) => Some(("batch/v1", "Job", "x1")),
            (Kind::Pod, 3) => Some(("example.com/v1", "Thing", "t")),
            (Kind::ReplicaSet, 1 | 2) => Some(("apps/v1", "Deployment", "d")),
            (Kind::Job, 1) => Some(("batch/v1", "CronJob", "c")),
            _ => None,
        };
        let owners = owner.map(|(api, kind, name)| {
            json!([{ "apiVersion": api, "kind": kind, "name": name, "controller": true }])
        });
        let sidecar = if how % 2 == 0 { "istio-proxy" } else { "app" };
        world.put(
            kind,
            json!({
                "metadata": { "name": name, "namespace": namespace, "ownerReferences": owners },
                "spec": { "containers": [{ "name": sidecar }] },
            }),
        );
    }

    fn rows(meshed: &Meshed) -> BTreeMap<Subject, Pods> {
        meshed.namespaces.values().flat_map(Clone::clone).collect()
    }

    proptest! {
        #[test]
        fn what_is_kept_up_to_date_is_what_would_be_made_anew(steps in steps()) {
            let mut world = World::new();
            world.analyses.need(&[Derived::Meshed].into(), &world.inventory);
            for step in steps {
                let before = rows(world.analyses.meshed());
                apply(&mut world, step);
                let mut affected = BTreeSet::new();
                world.analyses.settle(&world.inventory, &mut |_, subjects| affected = subjects);
                let after = rows(world.analyses.meshed());
                let anew: Meshed = from_scratch(&world.inventory);
                prop_assert_eq!(&after, &rows(&anew));
                let all: BTreeSet<&Subject> = before.keys().chain(after.keys()).collect();
                let changed = all.into_iter().filter(|s| before.get(s) != after.get(s));
                prop_assert_eq!(affected, changed.cloned().collect::<BTreeSet<_>>());
            }
        }
    }
}
