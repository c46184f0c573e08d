use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

/// A world with a namespace of team `a`, and this policy of the cluster, or of that namespace.
fn world(kind: Kind, spec: &Value) -> World {
    let labels = json!({ "team": "a" });
    let space = json!({ "metadata": { "name": "shop", "labels": labels } });
    let mut meta = json!({ "name": "default.p" });
    if kind.info().is_namespaced() {
        meta["namespace"] = json!("shop");
    }
    World::new()
        .with(Kind::Namespace, space)
        .with(kind, json!({ "metadata": meta, "spec": spec }))
}

fn template(world: &mut World) -> std::sync::Arc<Template> {
    let labels = json!({ "app": "web" });
    let template = json!({ "metadata": { "labels": labels }, "spec": {} });
    let meta = json!({ "name": "web", "namespace": "shop" });
    world.put(
        Kind::Deployment,
        json!({ "metadata": meta, "spec": { "template": template } }),
    );
    let deployments = &world.inventory.tables.deployments;
    std::sync::Arc::clone(&deployments.get("shop", "web").unwrap().spec.template)
}

/// Whether the policy isolates for ingress, and what is doubted: whether it does, opens, denies.
fn ingress(kind: Kind, spec: &Value) -> (bool, Option<(bool, bool, bool)>) {
    let mut world = world(kind, spec);
    let template = template(&mut world);
    let applying = Applying::gather(&world.inventory, "shop", &template, Direction::Ingress);
    let doubt = applying.doubts.first();
    let doubt = doubt.map(|doubt| (doubt.isolates, doubt.opens, doubt.denies));
    (applying.is_isolated(), doubt)
}

#[test]
fn a_policy_of_the_default_tier_isolates_whom_it_selects() {
    let yes = (true, None);
    let no = (false, None);
    for kind in KINDS {
        for (selector, wanted) in [
            ("", yes),
            ("all()", yes),
            ("app == 'web'", yes),
            ("app == 'api'", no),
            ("projectcalico.org/namespace == 'shop'", yes),
            (
                "projectcalico.org/namespace not in {'shop', 'kube-system'}",
                no,
            ),
            ("projectcalico.org/orchestrator == 'k8s'", yes),
            ("projectcalico.org/serviceaccount == 'default'", yes),
            ("pcns.team == 'a'", yes),
            ("pcns.team == 'b'", no),
            ("has(host-endpoint)", no),
        ] {
            let found = ingress(kind, &json!({ "selector": selector, "types": ["Ingress"] }));
            assert_eq!(found, wanted, "{kind:?} {selector}");
        }
    }
}

#[test]
fn a_policy_of_the_cluster_selects_namespaces_by_their_labels() {
    for kind in [
        Kind::CalicoGlobalNetworkPolicy,
        Kind::CalicoV3GlobalNetworkPolicy,
    ] {
        for (selector, wanted) in [
            ("team == 'a'", true),
            ("team == 'b'", false),
            ("projectcalico.org/name == 'shop'", true),
            ("kubernetes.io/metadata.name != 'shop'", false),
            ("global()", false),
        ] {
            let spec = json!({ "namespaceSelector": selector });
            assert_eq!(ingress(kind, &spec), (wanted, None), "{selector}");
        }
    }
}

#[test]
fn what_can_not_be_worked_out_is_doubted() {
    let kind = Kind::CalicoGlobalNetworkPolicy;
    let allow = json!([{ "action": "Allow", "source": { "selector": "all()" } }]);
    for (spec, wanted) in [
        (
            json!({ "ingress": allow }),
            (true, Some((false, true, false))),
        ),
        (
            json!({ "ingress": [{ "action": "Deny" }] }),
            (true, Some((false, false, true))),
        ),
        (
            json!({ "tier": "security" }),
            (false, Some((true, false, true))),
        ),
        (
            json!({ "tier": "security", "ingress": allow }),
            (false, Some((true, true, true))),
        ),
        (
            json!({ "selector": "pcsa.a == 'b'" }),
            (false, Some((true, false, true))),
        ),
        (
            json!({ "serviceAccountSelector": "all()" }),
            (false, Some((true, false, true))),
        ),
        // What does not concern these pods, or this direction, raises no doubt.
        (
            json!({ "tier": "security", "selector": "app == 'api'" }),
            (false, None),
        ),
        (json!({ "types": ["Egress"] }), (false, None)),
        (
            json!({ "preDNAT": true, "applyOnForward": true }),
            (false, None),
        ),
        (
            json!({ "doNotTrack": true, "applyOnForward": true }),
            (false, None),
        ),
    ] {
        assert_eq!(ingress(kind, &spec), wanted, "{spec}");
    }
}

#[test]
fn what_calico_serves_and_keeps_counts_once() {
    let spec = json!({ "ingress": [{ "action": "Allow", "source": { "nets": ["10.0.0.0/8"] } }] });
    let mut world = world(Kind::CalicoNetworkPolicy, &spec);
    let meta = json!({ "name": "default.p", "namespace": "shop" });
    world.put(
        Kind::CalicoV3NetworkPolicy,
        json!({ "metadata": meta, "spec": spec }),
    );
    let template = template(&mut world);
    let applying = Applying::gather(&world.inventory, "shop", &template, Direction::Ingress);
    assert_eq!((applying.isolating.len(), applying.grants.len()), (1, 1));
}
