//! The example clusters, each on a control plane of its own: in the one that is done right nothing
//! fails, and in the other every control fails exactly where its files say so.

mod expected;
mod fixes;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use probity::controls::REGISTRY;

use self::stage::{Servers, Stage};
use crate::operator::{probe::Node, world::eventually};

#[test]
fn in_the_cluster_that_is_done_right_nothing_fails() {
    let mut stage = Stage::start(Servers::good());
    stage.run("good", Node::Enforces);
    let wanted = expected::not_passing();
    eventually("judgement of the good cluster", || {
        let outcomes = stage.outcomes();
        let others = outcomes
            .into_iter()
            .filter(|(_, outcome)| outcome != "Pass");
        let others: BTreeMap<String, String> = others.collect();
        if others == wanted && stage.outcomes().len() == REGISTRY.len() {
            Ok(())
        } else {
            Err(format!("{others:#?}, not {wanted:#?}\n{}", stage.log()))
        }
    });
    // Not even for a moment.
    let failed = stage.ever("Fail");
    assert!(failed.is_empty(), "{failed:#?}\n{}", stage.log());
    stage.stop();
}

#[test]
fn in_the_other_cluster_every_control_fails_just_where_it_says_so() {
    let mut stage = Stage::start(Servers::bad());
    stage.run("bad", Node::EnforcesNothing);
    fails_just(&stage, "second");
    fixes::are_taken(stage.cluster());
    stage.reconfigure_second("second-later");
    fails_just(&stage, "second-later");
    stage.stop();
}

/// Waits until what is planted fails, and nothing else.
fn fails_just(stage: &Stage, second: &str) {
    let wanted = expected::planted(second);
    eventually("end of false alarms and missed findings", || {
        let failing = stage.now("Fail");
        let unknown = stage.now("Unknown");
        if failing == wanted && unknown.is_empty() {
            return Ok(());
        }
        let missed: BTreeSet<_> = wanted.difference(&failing).collect();
        let false_alarms: BTreeSet<_> = failing.difference(&wanted).collect();
        let log = stage.log();
        Err(format!(
            "missed: {missed:#?}\nfalse alarms: {false_alarms:#?}\nunknown: {unknown:#?}\n{log}"
        ))
    });
}

#[test]
fn each_control_has_a_finding_planted_for_it() {
    let planted = ["second", "second-later"].map(expected::planted);
    let planted: BTreeSet<&str> = planted
        .iter()
        .flatten()
        .map(|finding| finding.control.as_str())
        .collect();
    // What no file of a cluster can show has tests of its own.
    let others = expected::not_plantable();
    let all = REGISTRY.iter().map(|one| one.info.id);
    let all: BTreeSet<&str> = all.filter(|id| !others.contains(*id)).collect();
    assert_eq!(planted, all);
}
