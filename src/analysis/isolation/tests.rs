//! Kept up to date, it says the same as made anew; and what it says.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{analysis::from_scratch, controls::testing::World};

/// A change of a small cluster.
#[derive(Debug, Clone)]
enum Step {
    Put(Kind, Value),
    Delete(Kind, String, String),
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["shop", "ops"])
}

fn labels() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({ "app": "web" }),
        json!({ "app": "db", "tier": "back" }),
        json!({ "tier": "back" }),
    ])
}

fn selector() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({ "matchLabels": { "app": "web" } }),
        json!({ "matchLabels": { "tier": "back" } }),
        json!({ "matchLabels": { "app": "gone" } }),
        json!({ "matchLabels": { "statefulset.kubernetes.io/pod-name": "db-0" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "DoesNotExist" }] }),
        json!({ "matchExpressions": [
            { "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ops"] }] }),
    ])
}

/// A `ReplicaSet` to which pods belong, of a Deployment or of none.
fn set() -> impl Strategy<Value = Step> {
    (namespace(), select(vec!["a", "b", ""])).prop_map(|(namespace, owner)| {
        let mut meta = json!({ "name": "o", "namespace": namespace });
        if !owner.is_empty() {
            meta["ownerReferences"] = json!([
                { "apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "controller": true },
            ]);
        }
        Step::Put(Kind::ReplicaSet, json!({ "metadata": meta, "spec": {} }))
    })
}

fn step() -> impl Strategy<Value = Step> {
    let name = || select(vec!["a", "b", "c"]);
    let meta = |name: &str, namespace: &str, labels: &Value| json!({ "name": name, "namespace": namespace, "labels": labels });
    let pod = (
        name(),
        namespace(),
        labels(),
        select(vec!["", "ReplicaSet", "Job"]),
        any::<bool>(),
    )
        .prop_map(move |(name, namespace, labels, owner, ended)| {
            let mut meta = meta(name, namespace, &labels);
            if !owner.is_empty() {
                meta["ownerReferences"] =
                    json!([{ "apiVersion": "v1", "kind": owner, "name": "o", "controller": true }]);
            }
            let phase = if ended { "Failed" } else { "Running" };
            let pod = json!({ "metadata": meta, "spec": {}, "status": { "phase": phase } });
            Step::Put(Kind::Pod, pod)
        });
    let deployment = (name(), namespace(), labels()).prop_map(|(name, namespace, labels)| {
        let meta = json!({ "name": name, "namespace": namespace });
        let template = json!({ "metadata": { "labels": labels } });
        let object = json!({ "metadata": meta, "spec": { "template": template } });
        Step::Put(Kind::Deployment, object)
    });
    let space = (namespace(), labels()).prop_map(|(name, mut labels)| {
        labels["kubernetes.io/metadata.name"] = json!(name);
        let object = json!({ "metadata": { "name": name, "labels": labels } });
        Step::Put(Kind::Namespace, object)
    });
    let peer = prop_oneof![
        selector().prop_map(|pods| json!({ "podSelector": pods })),
        selector().prop_map(|namespaces| json!({ "namespaceSelector": namespaces })),
        (selector(), selector()).prop_map(|(namespaces, pods)| {
            json!({ "namespaceSelector": namespaces, "podSelector": pods })
        }),
    ];
    let types = select(vec![
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
    ]);
    let policy = (name(), namespace(), selector(), types, vec(peer, 0..3)).prop_map(
        |(name, namespace, pods, types, from)| {
            let ingress = if from.is_empty() {
                json!([])
            } else {
                json!([{ "from": from }])
            };
            let spec = json!({ "podSelector": pods, "policyTypes": types, "ingress": ingress });
            let meta = json!({ "name": name, "namespace": namespace });
            Step::Put(
                Kind::NetworkPolicy,
                json!({ "metadata": meta, "spec": spec }),
            )
        },
    );
    let cilium = (name(), namespace(), selector()).prop_map(|(name, namespace, pods)| {
        let spec = json!({ "endpointSelector": pods, "ingress": [{}] });
        let meta = json!({ "name": name, "namespace": namespace });
        Step::Put(
            Kind::CiliumNetworkPolicy,
            json!({ "metadata": meta, "spec": spec }),
        )
    });
    let tier = (name(), selector()).prop_map(|(name, namespaces)| {
        let rule = json!({ "action": "Deny", "to": [{ "networks": ["0.0.0.0/0", "::/0"] }] });
        let subject = json!({ "namespaces": namespaces });
        let spec = json!({ "tier": "Admin", "priority": 1, "subject": subject, "egress": [rule] });
        Step::Put(
            Kind::ClusterNetworkPolicy,
            json!({ "metadata": { "name": name }, "spec": spec }),
        )
    });
    let kinds = vec![
        Kind::Pod,
        Kind::Pod,
        Kind::Deployment,
        Kind::NetworkPolicy,
        Kind::CiliumNetworkPolicy,
        Kind::ClusterNetworkPolicy,
        Kind::Namespace,
    ];
    let delete = (select(kinds), namespace(), name()).prop_map(|(kind, namespace, name)| {
        match (kind, kind.info().is_namespaced()) {
            (Kind::Namespace, _) => Step::Delete(kind, String::new(), namespace.to_owned()),
            (_, true) => Step::Delete(kind, namespace.to_owned(), name.to_owned()),
            (_, false) => Step::Delete(kind, String::new(), name.to_owned()),
        }
    });
    prop_oneof![
        4 => pod, 2 => deployment, 1 => set(), 2 => space, 4 => policy, 1 => cilium, 1 => tier, 4 => delete,
    ]
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Put(kind, object) => world.put(*kind, object.clone()),
        Step::Delete(kind, namespace, name) => {
            if world.inventory.meta(*kind, namespace, name).is_some() {
                world.delete(*kind, namespace, name);
            }
        }
    }
}

/// All that it says of the cluster, by the subject that it says it of.
fn said(isolation: &Isolation, inventory: &Inventory) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for namespace in ["shop", "ops"] {
        let mut pods = inventory.tables.pods.in_namespace(namespace);
        let empty = pods.all(|pod| pod.spec.ended);
        let strays = Direction::BOTH.map(|direction| {
            let strays = isolation.strays(namespace, direction);
            let mut strays: Vec<_> = strays.map(|stray| format!("{stray:?}")).collect();
            strays.sort();
            strays
        });
        let all = format!("{strays:?}, without pods: {empty}");
        said.insert(format!("Namespace {namespace}"), all);
    }
    crate::controls::workloads::each(inventory, None, &mut |workload| {
        let looks = isolation.looks(&workload);
        let labels: Vec<_> = looks
            .iter()
            .map(|look| format!("{:?}", look.labels))
            .collect();
        said.insert(workload.to_string(), labels.join(", "));
    });
    for policy in inventory.tables.network_policies.iter() {
        let meta = &policy.meta;
        let dead = isolation.dead(&meta.namespace, &meta.name);
        let subject = Subject::of(Kind::NetworkPolicy, meta);
        said.insert(subject.to_string(), format!("{dead:?}"));
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn kept_up_to_date_it_is_as_if_made_anew(
        steps in vec((step(), any::<bool>()), 1..40),
    ) {
        let mut world = World::new();
        let wanted = [crate::analysis::Derived::Isolation].into();
        world.analyses.need(&wanted, &world.inventory);
        let mut before = said(world.analyses.isolation(), &world.inventory);
        let mut affected = BTreeSet::new();
        for (step, settle) in &steps {
            take(&mut world, step);
            if !settle {
                continue; // several changes at once
            }
            world.analyses.settle(&world.inventory, &mut |_, subjects| {
                affected.extend(subjects.iter().map(ToString::to_string));
            });
            let kept = said(world.analyses.isolation(), &world.inventory);
            let anew: Isolation = from_scratch(&world.inventory);
            prop_assert_eq!(&kept, &said(&anew, &world.inventory));
            prop_assert_eq!(world.analyses.isolation().classes(), anew.classes());
            for (subject, said) in &kept {
                let turned = before.get(subject).is_some_and(|before| before != said);
                prop_assert!(!turned || affected.contains(subject), "{} turned unsaid", subject);
            }
            before = kept;
            affected.clear();
        }
    }
}

fn policy(name: &str, pods: &Value, from: &Value) -> Value {
    let spec = json!({ "podSelector": pods, "ingress": [{ "from": from }] });
    json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

fn isolation(world: &World) -> Isolation {
    from_scratch(&world.inventory)
}

#[test]
fn a_pod_of_a_known_class_only_counts() {
    let pod = |name: &str| {
        let labels = json!({ "app": "web" });
        json!({ "metadata": { "name": name, "namespace": "shop", "labels": labels }, "spec": {} })
    };
    let mut world = World::new().namespace("shop").with(Kind::Pod, pod("a"));
    let mut analysis = isolation(&world);
    world.put(Kind::Pod, pod("b"));
    let change = world.inventory.all_as_added(Kind::Pod).last().unwrap();
    analysis.note(&world.inventory, &change);
    let mut affected = BTreeSet::new();
    analysis.settle(&world.inventory, &mut affected);
    assert!(affected.is_empty(), "{affected:?}");
    assert_eq!(analysis.classes(), 1);
}

#[test]
fn what_is_selected_in_vain_is_named() {
    let web = json!({ "matchLabels": { "app": "web" } });
    let gone = json!({ "matchLabels": { "app": "gone" } });
    let ops = json!({ "matchLabels": { "kubernetes.io/metadata.name": "ops" } });
    let all = json!({ "podSelector": {} });
    for (pods, from, dead) in [
        (json!({}), json!([all]), None),
        (web.clone(), json!([all]), None),
        (gone.clone(), json!([all]), Some((true, vec![]))),
        (
            web.clone(),
            json!([{ "podSelector": gone }]),
            Some((false, vec!["podSelector (app=gone)"])),
        ),
        (
            web,
            json!([{ "namespaceSelector": ops }]),
            Some((
                false,
                vec!["namespaceSelector (kubernetes.io/metadata.name=ops)"],
            )),
        ),
    ] {
        let template = json!({ "metadata": { "labels": { "app": "web" } } });
        let meta = json!({ "name": "web", "namespace": "shop" });
        let world = World::new()
            .namespace("shop")
            .with(
                Kind::Deployment,
                json!({ "metadata": meta, "spec": { "replicas": 0, "template": template } }),
            )
            .with(Kind::NetworkPolicy, policy("p", &pods, &from));
        let isolation = isolation(&world);
        let found = isolation.dead(&"shop".into(), &"p".into()).map(|dead| {
            let peers = dead.peers.iter().map(ToString::to_string);
            (dead.itself, peers.collect::<Vec<_>>())
        });
        let dead = dead.map(|(itself, peers): (bool, Vec<&str>)| {
            (itself, peers.into_iter().map(str::to_owned).collect())
        });
        assert_eq!(found, dead, "{pods} {from}");
    }
}
