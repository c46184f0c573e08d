//! Workloads as subjects: what makes pods, judged by the template it makes them from.
//!
//! Deployments, `StatefulSets`, `DaemonSets` and `CronJobs` always are workloads. A Job, a
//! `ReplicaSet` or a Pod is one only where no other workload that we watch controls it: pods of a
//! custom resource, and replica sets of one, are not lost. Pods that have ended are none.

use std::sync::Arc;

use super::{Subject, subject::objects};
use crate::inventory::{Inventory, Kind, Meta, Object, Sym, Table, template::Template, workload};

/// Kinds that hold a pod template.
pub const KINDS: [Kind; 7] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Job,
    Kind::ReplicaSet,
    Kind::Pod,
];

/// A kind whose objects hold a pod template that somebody may still make pods from.
trait Templated {
    fn template(&self) -> Option<&Arc<Template>>;
}

impl Templated for workload::Workload {
    fn template(&self) -> Option<&Arc<Template>> {
        Some(&self.template)
    }
}

impl Templated for workload::Job {
    fn template(&self) -> Option<&Arc<Template>> {
        Some(&self.template)
    }
}

impl Templated for workload::CronJob {
    fn template(&self) -> Option<&Arc<Template>> {
        Some(&self.template)
    }
}

impl Templated for workload::Pod {
    fn template(&self) -> Option<&Arc<Template>> {
        (!self.ended).then_some(&self.template)
    }
}

/// A pod template of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Kind of the object that holds it.
    pub kind: Kind,
    /// Metadata of that object.
    pub meta: &'a Meta,
    /// The template.
    pub template: &'a Template,
}

impl Held<'_> {
    /// Whether the object is a workload, rather than a part of another one.
    fn is_workload(&self) -> bool {
        !matches!(self.kind, Kind::Job | Kind::ReplicaSet | Kind::Pod) || !self.meta.is_part()
    }
}

/// Calls `found` with every workload in `namespace`, or in all of them where it is `None`.
pub fn each(inventory: &Inventory, namespace: Option<&str>, found: &mut dyn FnMut(Subject)) {
    let tables = &inventory.tables;
    objects(Kind::Deployment, &tables.deployments, namespace, found);
    objects(Kind::StatefulSet, &tables.stateful_sets, namespace, found);
    objects(Kind::DaemonSet, &tables.daemon_sets, namespace, found);
    objects(Kind::CronJob, &tables.cron_jobs, namespace, found);
    let mut whole = |kind, meta: &Meta| found(Subject::of(kind, meta));
    let (jobs, sets) = (&tables.jobs, &tables.replica_sets);
    jobs.loose(namespace)
        .for_each(|o| whole(Kind::Job, &o.meta));
    sets.loose(namespace)
        .for_each(|o| whole(Kind::ReplicaSet, &o.meta));
    let pods = tables.pods.loose(namespace).filter(|pod| !pod.spec.ended);
    pods.for_each(|pod| whole(Kind::Pod, &pod.meta));
}

/// The template of `subject`, if it (still) is a workload.
pub fn find<'a>(inventory: &'a Inventory, subject: &Subject) -> Option<Held<'a>> {
    let tables = &inventory.tables;
    let kind = subject.object_kind()?;
    let (namespace, name) = (subject.object_namespace(), &*subject.name);
    let held = match kind {
        Kind::Deployment => held(kind, tables.deployments.get(namespace, name)?),
        Kind::StatefulSet => held(kind, tables.stateful_sets.get(namespace, name)?),
        Kind::DaemonSet => held(kind, tables.daemon_sets.get(namespace, name)?),
        Kind::CronJob => held(kind, tables.cron_jobs.get(namespace, name)?),
        Kind::Job => held(kind, tables.jobs.get(namespace, name)?),
        Kind::ReplicaSet => held(kind, tables.replica_sets.get(namespace, name)?),
        Kind::Pod => held(kind, tables.pods.get(namespace, name)?),
        _ => None,
    };
    held.filter(Held::is_workload)
}

/// The workload to which what `owner` (as `Kind/name`) controls belongs: the owner, or the one
/// above it. `None` where that is of no kind of ours.
pub fn root(inventory: &Inventory, namespace: &Sym, owner: &str) -> Option<Subject> {
    let named = |owner: &str| {
        let (kind, name) = owner.split_once('/')?;
        let kind = KINDS.into_iter().find(|known| known.info().kind == kind)?;
        Some((kind, Sym::from(name)))
    };
    let (kind, name) = named(owner)?;
    let above = match kind {
        Kind::ReplicaSet | Kind::Job => inventory.meta(kind, namespace, &name),
        _ => None,
    };
    let above = above.and_then(|meta| named(meta.owners.controller.as_deref()?));
    let (kind, name) = above.unwrap_or((kind, name));
    Some(Subject::object(kind, namespace, &name))
}

/// Calls `found` with every template, parts of workloads and live pods included.
pub fn templates<'a>(
    inventory: &'a Inventory,
    namespace: Option<&'a str>,
    found: &mut dyn FnMut(Held<'a>),
) {
    let tables = &inventory.tables;
    scan(Kind::Deployment, &tables.deployments, namespace, found);
    scan(Kind::StatefulSet, &tables.stateful_sets, namespace, found);
    scan(Kind::DaemonSet, &tables.daemon_sets, namespace, found);
    scan(Kind::CronJob, &tables.cron_jobs, namespace, found);
    scan(Kind::Job, &tables.jobs, namespace, found);
    scan(Kind::ReplicaSet, &tables.replica_sets, namespace, found);
    scan(Kind::Pod, &tables.pods, namespace, found);
}

fn scan<'a, P: Templated>(
    kind: Kind,
    table: &'a Table<P>,
    namespace: Option<&'a str>,
    found: &mut dyn FnMut(Held<'a>),
) {
    let each = |object| held(kind, object);
    match namespace {
        Some(namespace) => table
            .in_namespace(namespace)
            .filter_map(each)
            .for_each(found),
        None => table.iter().filter_map(each).for_each(found),
    }
}

fn held<P: Templated>(kind: Kind, object: &Object<P>) -> Option<Held<'_>> {
    Some(Held {
        kind,
        meta: &object.meta,
        template: object.spec.template()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::testing::World;

    fn object(name: &str, api: &str, owner: &str) -> Value {
        let mut object = json!({
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "schedule": "@daily" },
        });
        if !owner.is_empty() {
            object["metadata"]["ownerReferences"] = json!([
                { "apiVersion": api, "kind": owner, "name": "o", "controller": true },
            ]);
        }
        object
    }

    fn subjects(world: &World) -> Vec<String> {
        let mut subjects = Vec::new();
        each(&world.inventory, Some("shop"), &mut |subject| {
            assert!(find(&world.inventory, &subject).is_some());
            subjects.push(subject.to_string());
        });
        subjects
    }

    #[test]
    fn a_part_of_another_workload_is_none() {
        for (kind, api, owner, workload) in [
            (Kind::Deployment, "", "", true),
            (
                Kind::StatefulSet,
                "monitoring.coreos.com/v1",
                "Prometheus",
                true,
            ),
            (Kind::ReplicaSet, "apps/v1", "Deployment", false),
            (Kind::ReplicaSet, "argoproj.io/v1alpha1", "Rollout", true),
            (Kind::ReplicaSet, "", "", true),
            (Kind::Job, "batch/v1", "CronJob", false),
            (Kind::Job, "", "", true),
            (Kind::Pod, "apps/v1", "StatefulSet", false),
            (Kind::Pod, "apps.kruise.io/v1beta1", "StatefulSet", true),
            (Kind::Pod, "v1", "Node", true),
            (Kind::Pod, "", "", true),
            (Kind::CronJob, "", "", true),
        ] {
            let world = World::new().with(kind, object("a", api, owner));
            let expected = if workload {
                vec![format!("{} shop/a", kind.info().kind)]
            } else {
                Vec::new()
            };
            assert_eq!(subjects(&world), expected, "{kind:?} of {api} {owner}");
        }
    }

    #[test]
    fn what_changes_hands_is_a_workload_or_none() {
        for kind in [Kind::Pod, Kind::Job, Kind::ReplicaSet] {
            let mut world = World::new();
            let expected = vec![format!("{} shop/a", kind.info().kind)];
            for _ in 0..2 {
                world.put(kind, object("a", "", ""));
                assert_eq!(subjects(&world), expected);
                world.put(kind, object("a", "apps/v1", "Deployment"));
                assert!(subjects(&world).is_empty(), "{kind:?} is a part");
            }
            world.put(kind, object("a", "", ""));
            world.delete(kind, "shop", "a");
            assert!(subjects(&world).is_empty(), "{kind:?} is gone");
        }
    }

    #[test]
    fn an_ended_pod_is_no_workload() {
        let mut pod = object("a", "", "");
        pod["status"] = json!({ "phase": "Failed" });
        assert!(subjects(&World::new().with(Kind::Pod, pod)).is_empty());
    }
}
