//! The API server goes away, and comes back.

use jiff::Timestamp;

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

#[test]
fn the_time_without_a_leader_is_a_gap_between_its_terms() {
    let world = World::start();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    let stopped = Timestamp::now();
    world.cluster.pause_apiserver().unwrap();
    program.metric_becomes("leader", &[], 0.0);
    let resumed = Timestamp::now();
    world.cluster.resume_apiserver().unwrap();
    program.metric_becomes("leader", &[], 1.0);
    world.delete(&path);
    world.appears(&path);
    assert!(program.stop().success());
    assert_eq!(replica.said("term").len(), 2);
    let gaps = replica.said("gap");
    let [gap] = &gaps[..] else {
        panic!("{gaps:#?}")
    };
    let time = |field: &str| gap[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(gap["scope"], "all");
    assert!(time("from") <= resumed, "{gap:#}");
    assert!(time("to") >= resumed, "{gap:#}");
    // It begins with the last that was known, not with the start of the program.
    assert!(
        time("from") >= stopped - std::time::Duration::from_mins(1),
        "{gap:#}"
    );
}
