use jiff::ToSpan;
use serde_json::{Value, json};

use super::*;
use crate::controls::{
    network::fixtures::{ingress, live, policy, shop},
    testing::World,
};

fn later(world: &mut World, hours: i64) {
    world.now = world.now.checked_add(hours.hours()).unwrap();
}

fn selecting(app: &str) -> Value {
    policy(
        "p",
        &json!({ "podSelector": { "matchLabels": { "app": app } } }),
    )
}

#[test]
fn a_template_at_zero_replicas_is_selected() {
    let mut world = shop().with(Kind::NetworkPolicy, selecting("web"));
    assert_eq!(world.only(&PolicyDead::default()).outcome, Outcome::Pass);
}

#[test]
fn a_policy_fails_once_it_has_selected_nothing_for_the_grace() {
    let control = PolicyDead::default();
    let mut world = shop().with(Kind::NetworkPolicy, selecting("gone"));
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "InGrace")
    );
    assert_eq!(
        verdict.recheck_at.unwrap().to_string(),
        "2026-06-08T12:00:00Z"
    );
    later(&mut world, 7 * 24 - 1);
    let again = world.only(&control);
    assert_eq!(
        again.recheck_at, verdict.recheck_at,
        "the grace does not begin anew"
    );
    later(&mut world, 1);
    let verdict = world.only(&control);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Fail, "PolicySelectsNothing")
    );
    assert_eq!(
        verdict.message,
        "its podSelector selects no pod and no template in namespace shop"
    );
    later(&mut world, 1);
    assert_eq!(world.only(&control).outcome, Outcome::Fail, "it stays one");
    // Alive again, and gone again: a new grace.
    live(&mut world, &json!({ "app": "gone" }));
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
    world.delete(Kind::Pod, "shop", "web-1-x");
    assert_eq!(world.only(&control).reason, "InGrace");
}

#[test]
fn peers_are_judged_too() {
    let control = PolicyDead {
        grace: Period::seconds(0),
    };
    let gone = json!({ "matchLabels": { "app": "gone" } });
    let all = json!({ "matchLabels": { "app": "web" } });
    for (peer, reason) in [
        (json!({ "podSelector": {} }), "SelectsSomething"),
        (json!({ "podSelector": all }), "SelectsSomething"),
        (json!({ "podSelector": gone }), "PeerSelectsNothing"),
        (json!({ "namespaceSelector": {} }), "SelectsSomething"),
        (json!({ "namespaceSelector": gone }), "PeerSelectsNothing"),
        (
            json!({ "namespaceSelector": {}, "podSelector": gone }),
            "PeerSelectsNothing",
        ),
        (
            json!({ "ipBlock": { "cidr": "10.0.0.0/8" } }),
            "SelectsSomething",
        ),
    ] {
        let mut world = shop().with(Kind::NetworkPolicy, ingress(&json!([{ "from": [peer] }])));
        let verdict = world.only(&control);
        assert_eq!(verdict.reason, reason, "{peer}: {}", verdict.message);
    }
}

#[test]
fn an_empty_pod_selector_is_never_dead() {
    let mut world = World::new().namespace("shop");
    world.put(
        Kind::NetworkPolicy,
        policy("p", &json!({ "podSelector": {} })),
    );
    assert_eq!(world.only(&PolicyDead::default()).outcome, Outcome::Pass);
}

#[test]
fn pods_that_have_ended_are_none() {
    let control = PolicyDead {
        grace: Period::seconds(0),
    };
    let pod = json!({
        "metadata": { "name": "job", "namespace": "shop", "labels": { "app": "job" } },
        "spec": {}, "status": { "phase": "Succeeded" },
    });
    let mut world = shop()
        .with(Kind::NetworkPolicy, selecting("job"))
        .with(Kind::Pod, pod);
    assert_eq!(world.only(&control).outcome, Outcome::Fail);
}
