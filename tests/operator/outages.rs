//! The API server goes away, and comes back.

use super::program::Replica;
use super::world::World;

#[test]
fn drift_during_an_outage_is_put_back_after_it() {
    let world = World::start();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    let other = world.cluster.second_apiserver().unwrap();

    world.cluster.pause_apiserver().unwrap();
    program.metric_becomes("leader", &[], 0.0);
    world.delete_through(&other, &path);
    world.cluster.resume_apiserver().unwrap();
    world.appears(&path);
    world.status(&policy, "a passing policy", |status| {
        status["summary"]["passing"] == "1/1"
    });

    world.cluster.apiserver().kill();
    program.metric_becomes("leader", &[], 0.0);
    world.delete_through(&other, &path);
    world.cluster.restart_apiserver().unwrap();
    world.appears(&path);
    world.status(&policy, "a passing policy", |status| {
        status["summary"]["passing"] == "1/1"
            && status["controls"][0]["lastDriftEnded"] == "PutBack"
    });
    assert!(program.stop().success());
    assert_eq!(replica.said("intent").len(), 2);
}
