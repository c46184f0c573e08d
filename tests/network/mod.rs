//! The network analysis against two independent judges on random clusters: a naive evaluator
//! written from the documentation of the APIs, and the simulator of cyclonus.
//!
//! Each run has a seed, which it prints; `PROBITY_SEED` repeats it. A difference is shrunk to the
//! smallest cluster that still shows it.

mod analysis;
mod cyclonus;
mod generate;
mod naive;

use std::{cell::Cell, time::SystemTime};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use self::generate::{Cluster, Flavour};

/// Connections that a run judges at least.
const CONNECTIONS: usize = 5_000;

#[allow(clippy::print_stderr, reason = "a seed is of use only to who reads it")]
fn say(words: &str) {
    eprintln!("{words}");
}

/// Judges every connection of random clusters by the analysis and by `oracle`.
fn compare(name: &str, flavour: Flavour, mut oracle: impl FnMut(&Cluster) -> Vec<bool>) {
    let seed = std::env::var("PROBITY_SEED").ok();
    let seed: u64 = match seed.map(|seed| seed.parse()) {
        Some(seed) => seed.expect("PROBITY_SEED is a number"),
        None => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
    };
    say(&format!("{name}: PROBITY_SEED={seed}"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 160,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let (judged, denied) = (Cell::new(0), Cell::new(0));
    let oracle = std::cell::RefCell::new(&mut oracle);
    TestRunner::new_with_rng(config, rng)
        .run(&generate::cluster(flavour), |cluster| {
            let connections = cluster.connections();
            let found = analysis::judge(&cluster, &connections);
            let expected = (oracle.borrow_mut())(&cluster);
            assert_eq!(expected.len(), connections.len());
            for ((connection, found), expected) in connections.iter().zip(&found).zip(&expected) {
                if found != expected {
                    let connection = cluster.words(connection);
                    return Err(TestCaseError::fail(format!(
                        "{connection}: the analysis says {found}, {name} {expected}"
                    )));
                }
            }
            judged.set(judged.get() + found.len());
            denied.set(denied.get() + found.iter().filter(|allowed| !**allowed).count());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("PROBITY_SEED={seed}: {error}"));
    let (judged, denied) = (judged.get(), denied.get());
    say(&format!(
        "{name}: {judged} connections, {denied} of them denied, no difference"
    ));
    assert!(judged >= CONNECTIONS, "{judged}");
    // Neither answer is rare: agreement by saying the same of everything would prove nothing.
    assert!(
        denied * 10 > judged && (judged - denied) * 10 > judged,
        "{denied} of {judged}"
    );
}

#[test]
fn the_analysis_agrees_with_a_naive_reading_of_the_documentation() {
    compare("naive", Flavour::Everything, |cluster| {
        let connections = cluster.connections();
        connections
            .iter()
            .map(|c| naive::allows(cluster, c))
            .collect()
    });
}

#[test]
fn the_analysis_agrees_with_cyclonus() {
    let mut simulator = cyclonus::Simulator::start();
    compare("cyclonus", Flavour::Cyclonus, |cluster| {
        simulator.judge(cluster)
    });
}
