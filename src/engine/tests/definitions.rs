//! What the log holds of the definition of a control: all of it, but not with every transition.

use super::*;

/// Version of the rule, hash of the parameters, hash of the scope.
type Definition = [Option<String>; 3];

/// Reads the log as those do who have nothing else. Returns of each transition whether it says the definition itself, and the
/// definition that then was known of the policy's control.
fn read(drive: &Drive) -> Vec<(bool, Definition)> {
    let mut known = Definition::default();
    let mut read = Vec::new();
    for body in drive.bodies() {
        match body {
            Body::Transition(said) if said.to.is_some() => {
                let version = said.rule_version.map(|version| version.to_string());
                let itself = version.is_some();
                if itself {
                    known = [version, said.params_hash.clone(), said.scope_hash.clone()];
                }
                read.push((itself, known.clone()));
            }
            Body::Scope(said) => {
                let version = said.rule_version.map(|version| version.to_string());
                known = [
                    version,
                    said.params_hash.clone(),
                    Some(said.scope_hash.clone()),
                ];
            }
            // Whoever leads next has another log.
            Body::Term(_) => known = Definition::default(),
            _ => {}
        }
    }
    read
}

/// What is so.
fn now(drive: &Drive) -> Definition {
    let instance = drive.engine.instances.values().next().unwrap();
    [
        Some(instance.info.rule_version.to_string()),
        Some(instance.key.params_hash.to_string()),
        Some(instance.key.scope_hash.to_string()),
    ]
}

/// Twice there and gone.
fn drift(drive: &mut Drive) {
    for _ in 0..2 {
        drive.delete(Kind::NetworkPolicy, "shop", "deny");
        drive.deny("shop");
    }
}

#[test]
fn a_definition_is_known_to_every_transition_and_said_with_few() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    let mut due = Vec::new();
    let mut said = 0;
    let mut check = |drive: &Drive| {
        let read = read(drive);
        due.resize(read.len(), now(drive));
        let known: Vec<&Definition> = read.iter().map(|(_, known)| known).collect();
        assert_eq!(known, due.iter().collect::<Vec<_>>());
        let itself = read.iter().filter(|(itself, _)| *itself).count();
        assert!(itself <= said + 1, "once each time: {read:?}");
        said = itself;
        read.len()
    };
    drift(&mut drive);
    assert_eq!(check(&drive), 4);
    let other = json!({ "controls": { "netNamespaceDefaultDeny": { "directions": ["Ingress", "Egress"] } } });
    for (generation, spec) in [(2, other), (3, observe())] {
        drive.policy(generation, spec);
        drift(&mut drive);
        check(&drive);
    }
    drive.apply(Event::Following);
    drift(&mut drive);
    drive.lead(2);
    drift(&mut drive);
    assert!(check(&drive) >= 12);
    assert!(said >= 1);
}

#[test]
fn a_policy_that_comes_back_to_a_definition_says_it_again() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    // The other policy keeps the first definition in use.
    drive.policy_named("other", 1, observe());
    drive.policy(1, observe());
    drift(&mut drive);
    let other = json!({ "controls": { "netNamespaceDefaultDeny": { "directions": ["Egress"] } } });
    drive.policy(2, other);
    drift(&mut drive);
    drive.policy(3, observe());
    let before = drive.transitions().len();
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    let said: Vec<&body::Transition> = drive
        .bodies()
        .filter_map(|body| match body {
            Body::Transition(said) => Some(said),
            _ => None,
        })
        .collect();
    let policies: Vec<Sym> = vec!["other".into(), "soc2".into()];
    let first = said[before..].iter().find(|said| said.policies == policies);
    assert!(first.unwrap().rule_version.is_some());
}

#[test]
fn a_deviation_has_a_time_of_its_own_only_if_it_did_not_open_now() {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.deny("shop");
    drive.policy(1, observe());
    drive.delete(Kind::NetworkPolicy, "shop", "deny");
    let began = drive.wall;
    drive.wait(30);
    drive.deny("shop");
    let opened: Vec<_> = drive
        .said
        .iter()
        .filter_map(|record| match &record.body {
            Body::Transition(said) => Some((record.time, said.opened)),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(began, None), (drive.wall, Some(began))]);
}
