use jiff::SignedDuration;

use super::*;
use crate::{
    controls::{Control, REGISTRY, testing::World},
    verdict::Outcome,
};

const ID: &str = "attest-incident-register";

fn attested(name: &str, age_days: i64, approved: Result<&str, &str>) -> Attested {
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let created = now - SignedDuration::from_hours(24 * age_days);
    Attested {
        name: name.into(),
        control: ID.to_owned(),
        created,
        valid_until: created + SignedDuration::from_hours(24 * 60),
        by: "alice".to_owned(),
        approved_by: approved.map(str::to_owned).map_err(str::to_owned),
        evidence: 2,
    }
}

fn verdict(attestations: Option<Vec<Attested>>) -> Verdict {
    let mut world = World::new();
    world.observed.people.attestations = attestations;
    world.only(&IncidentRegister::default())
}

#[test]
fn an_attestation_counts_until_it_is_too_old_or_says_that_it_ends() {
    let approved = Ok("bob");
    let mut short = attested("short", 1, approved);
    short.valid_until = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut other = attested("other", 1, approved);
    other.control = "attest-vendor-review".to_owned();
    for (attestations, outcome, reason) in [
        (vec![], Outcome::Fail, "NotAttested"),
        (vec![other], Outcome::Fail, "NotAttested"),
        (vec![attested("a", 23, approved)], Outcome::Pass, "Attested"),
        (
            vec![attested("a", 24, approved)],
            Outcome::Pass,
            "AttestationEndsSoon",
        ),
        (
            vec![attested("a", 31, approved)],
            Outcome::Fail,
            "AttestationExpired",
        ),
        (vec![short.clone()], Outcome::Fail, "AttestationExpired"),
        (
            vec![short, attested("a", 3, approved)],
            Outcome::Pass,
            "Attested",
        ),
        (
            vec![attested("a", 3, Err("nobody approved it"))],
            Outcome::Fail,
            "AttestationUnapproved",
        ),
    ] {
        let verdict = verdict(Some(attestations.clone()));
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (outcome, reason),
            "{attestations:?}"
        );
        assert_eq!(verdict.strength, Strength::Attested);
    }
    assert_eq!(verdict(None).outcome, Outcome::Unknown);
}

#[test]
fn it_is_judged_again_on_the_second_at_which_it_says_something_else() {
    let counts = verdict(Some(vec![attested("a", 0, Ok("bob"))]));
    assert_eq!(
        counts.recheck_at,
        Some("2026-06-25T12:00:00Z".parse().unwrap())
    );
    let reminds = verdict(Some(vec![attested("a", 25, Ok("bob"))]));
    assert_eq!(
        reminds.recheck_at,
        Some("2026-06-07T12:00:00Z".parse().unwrap())
    );
    assert!(
        reminds.message.contains("the next one is due"),
        "{}",
        reminds.message
    );
}

#[test]
fn there_are_fourteen_of_one_shape_each_with_its_own_cadence() {
    let all: Vec<_> = REGISTRY
        .iter()
        .filter(|registered| registered.info.family == crate::controls::Family::Attested)
        .collect();
    assert_eq!(all.len(), 14);
    for registered in all {
        let info = registered.info;
        let switched = serde_json::json!({ info.field: {} });
        let enabled = (registered.enabled)(&serde_json::from_value(switched).unwrap()).unwrap();
        let age = enabled.parameters["maxAge"].as_str().unwrap();
        assert!(
            info.what.contains(age),
            "{} says another age than {age}",
            info.id
        );
        enabled.control.check().unwrap();
        let mut world = World::new();
        let mut one = attested("a", 1, Ok("bob"));
        one.control = info.id.to_owned();
        world.observed.people.attestations = Some(vec![one]);
        assert_eq!(
            world.only(&*enabled.control).outcome,
            Outcome::Pass,
            "{}",
            info.id
        );
    }
}

#[test]
fn a_reminder_that_never_ends_is_refused() {
    let always = IncidentRegister {
        max_age: Period::days(7),
        remind_before: Period::days(7),
    };
    assert!(always.check().unwrap_err().contains("remindBefore"));
}
