use serde_json::Value;

use super::*;
use crate::{controls::testing::World, verdict::Outcome};

const CLEAN: &str = r#"{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
    "containers":[{"name":"a","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}"#;
const PLAIN: &str = r#"{"containers":[{"name":"a"}]}"#;
const PRIVILEGED: &str = r#"{"containers":[{"name":"a","securityContext":{"privileged":true}}]}"#;

fn namespace(enforce: Option<&str>, version: Option<&str>) -> Value {
    let mut labels = json!({ "team": "a" });
    for (key, value) in [(PSA_ENFORCE, enforce), (PSA_ENFORCE_VERSION, version)] {
        if let Some(value) = value {
            labels[key] = json!(value);
        }
    }
    json!({ "metadata": { "name": "shop", "labels": labels } })
}

fn world(enforce: Option<&str>, version: Option<&str>) -> World {
    World::new().with(Kind::Namespace, namespace(enforce, version))
}

fn holder(kind: Kind, pod: &str) -> Value {
    let pod: Value = pod.parse().unwrap();
    let template = json!({ "template": { "spec": pod } });
    let spec = match kind {
        Kind::Pod => pod,
        Kind::CronJob => json!({ "schedule": "@daily", "jobTemplate": { "spec": template } }),
        _ => json!({ "replicas": 0, "template": template["template"] }),
    };
    json!({ "metadata": { "name": "web", "namespace": "shop" }, "spec": spec })
}

fn control(level: Level, min: Option<&str>) -> PsaEnforced {
    PsaEnforced {
        level,
        min_version: min.map(str::to_owned),
    }
}

#[test]
fn the_labels_decide() {
    let (baseline, restricted) = (Level::Baseline, Level::Restricted);
    for (enforce, version, level, min, reason) in [
        (None, None, baseline, None, "NotEnforced"),
        (Some("privileged"), None, baseline, None, "LevelTooLow"),
        (Some("baseline"), None, baseline, None, "Enforced"),
        (Some("restricted"), None, baseline, None, "Enforced"),
        (Some("baseline"), None, restricted, None, "LevelTooLow"),
        (Some("Baseline"), None, baseline, None, "InvalidLevel"),
        (Some(""), None, baseline, None, "InvalidLevel"),
        (
            Some("baseline"),
            Some("latest"),
            baseline,
            Some("v1.30"),
            "Enforced",
        ),
        (Some("baseline"), None, baseline, Some("v1.30"), "Enforced"),
        (
            Some("baseline"),
            Some("v1.30"),
            baseline,
            Some("v1.30"),
            "Enforced",
        ),
        (
            Some("baseline"),
            Some("v1.9"),
            baseline,
            Some("v1.30"),
            "VersionTooOld",
        ),
        (Some("baseline"), Some("v1.9"), baseline, None, "Enforced"),
        (
            Some("baseline"),
            Some("1.30"),
            baseline,
            None,
            "InvalidVersion",
        ),
        (
            Some("baseline"),
            Some("v1.030"),
            baseline,
            None,
            "InvalidVersion",
        ),
        (
            Some("baseline"),
            Some("v1.+3"),
            baseline,
            None,
            "InvalidVersion",
        ),
        (Some("baseline"), Some(""), baseline, None, "InvalidVersion"),
    ] {
        let verdict = world(enforce, version).only(&control(level, min));
        assert_eq!(verdict.reason, reason, "{enforce:?} {version:?}");
    }
}

#[test]
fn a_namespace_whose_templates_meet_the_level_is_labelled() {
    for (pod, level) in [(PLAIN, Level::Baseline), (CLEAN, Level::Restricted)] {
        let control = control(level, None);
        let mut world = world(None, None).with(Kind::Deployment, holder(Kind::Deployment, pod));
        let verdict = world.only(&control);
        let Some(Remedy::Set { patch, path, .. }) = verdict.remedy.as_deref() else {
            panic!("{verdict:?}");
        };
        let labels = json!({ PSA_ENFORCE: level.as_str() });
        assert_eq!(
            (patch, *path),
            (&json!({ "metadata": { "labels": labels } }), 0)
        );
        assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    }
}

#[test]
fn any_template_that_breaks_the_level_makes_it_a_proposal() {
    for kind in workloads::KINDS {
        for (pod, level) in [(PRIVILEGED, Level::Baseline), (PLAIN, Level::Restricted)] {
            let control = control(level, None);
            let verdict = world(None, None)
                .with(kind, holder(kind, pod))
                .only(&control);
            assert_eq!(verdict.remedy, None, "{kind:?}");
            let proposal = verdict.proposal.unwrap();
            let named = format!("{} web (container a", kind.info().kind);
            assert!(proposal.contains(&named), "{proposal}");
            let warn = format!("pod-security.kubernetes.io/warn={}", level.as_str());
            assert!(proposal.contains(&warn), "{proposal}");
        }
    }
}

#[test]
fn what_cannot_be_decoded_might_be_refused() {
    let mut world = world(None, None);
    let bad =
        r#"{"type":"ADDED","object":{"metadata":{"name":"bad","namespace":"shop"},"spec":7}}"#;
    let applied = world.inventory.apply_line(Kind::Deployment, bad.as_bytes());
    assert!(applied.is_ok());
    assert_eq!(world.only(&PsaEnforced::default()).remedy, None);
}

#[test]
fn an_ended_pod_is_no_offender() {
    let mut pod = holder(Kind::Pod, PRIVILEGED);
    pod["status"] = json!({ "phase": "Succeeded" });
    let mut world = world(None, None).with(Kind::Pod, pod);
    assert!(world.only(&PsaEnforced::default()).remedy.is_some());
}

#[test]
fn a_weakened_label_comes_back_as_it_was() {
    let control = PsaEnforced::default();
    let mut world = world(Some("restricted"), Some("v1.30"));
    world.judge(&control);
    world.put(
        Kind::Namespace,
        namespace(Some("privileged"), Some("v1.30")),
    );
    let verdict = world.only(&control);
    let Some(Remedy::PutBack { patch, .. }) = verdict.remedy.as_deref() else {
        panic!("{verdict:?}");
    };
    assert_eq!(patch["metadata"]["labels"][PSA_ENFORCE], "restricted");
    assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    let meta = world.inventory.meta(Kind::Namespace, "", "shop").unwrap();
    assert_eq!(meta.labels.get(PSA_ENFORCE), Some("restricted"));
    assert_eq!(meta.labels.get("team"), Some("a"));
}

#[test]
fn what_was_kept_counts_only_for_the_same_namespace_and_if_nothing_breaks() {
    let control = PsaEnforced::default();
    let weakened = |change: fn(&mut World)| {
        let mut world = world(Some("restricted"), None);
        world.judge(&control);
        let mut weak = namespace(None, None);
        weak["metadata"]["uid"] = world
            .inventory
            .meta(Kind::Namespace, "", "shop")
            .unwrap()
            .uid
            .to_string()
            .into();
        world.put(Kind::Namespace, weak);
        change(&mut world);
        match world.only(&control).remedy.as_deref() {
            Some(Remedy::PutBack { .. }) => "PutBack",
            Some(Remedy::Set { patch, .. })
                if patch["metadata"]["labels"][PSA_ENFORCE] == "baseline" =>
            {
                "Set"
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(weakened(|_| ()), "PutBack");
    // Meanwhile there are pods that restricted would refuse: the wanted level is still safe.
    assert_eq!(
        weakened(|world| world.put(Kind::Pod, holder(Kind::Pod, PLAIN))),
        "Set"
    );
    assert_eq!(
        weakened(|world| {
            let mut other = namespace(None, None);
            other["metadata"]["uid"] = json!("00000000-0000-4000-9000-000000000000");
            world.put(Kind::Namespace, other);
        }),
        "Set"
    );
}

#[test]
fn an_old_version_is_lifted_and_a_wrong_level_with_it() {
    let control = control(Level::Baseline, Some("v1.30"));
    let mut world = world(Some("privileged"), Some("v1.9"));
    assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    let meta = world.inventory.meta(Kind::Namespace, "", "shop").unwrap();
    assert_eq!(meta.labels.get(PSA_ENFORCE), Some("baseline"));
    assert_eq!(meta.labels.get(PSA_ENFORCE_VERSION), Some("latest"));
}

#[test]
fn a_weakened_version_comes_back_as_it_was() {
    let control = control(Level::Baseline, Some("v1.30"));
    for kept in [None, Some("v1.31"), Some("latest")] {
        let mut world = world(Some("baseline"), kept);
        world.judge(&control);
        world.put(Kind::Namespace, namespace(Some("baseline"), Some("v1.9")));
        let verdict = world.only(&control);
        let Some(Remedy::PutBack { patch, path, .. }) = verdict.remedy.as_deref() else {
            panic!("{verdict:?}");
        };
        let labels = json!({ PSA_ENFORCE_VERSION: kept });
        assert_eq!(
            (patch, *path),
            (&json!({ "metadata": { "labels": labels } }), 1)
        );
        assert_eq!(world.mend(&control)["Namespace shop"].0, Outcome::Pass);
    }
}

#[test]
fn a_bad_parameter_is_named() {
    assert!(control(Level::Baseline, Some("v1.30")).check().is_ok());
    assert!(control(Level::Baseline, Some("1.30")).check().is_err());
}

#[test]
fn a_newer_version_of_a_stricter_level_is_checked_against_that_level() {
    let control = control(Level::Baseline, Some("v1.30"));
    let mut world =
        world(Some("restricted"), Some("v1.9")).with(Kind::Pod, holder(Kind::Pod, PLAIN));
    let verdict = world.only(&control);
    assert_eq!(verdict.remedy, None);
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains("restricted would refuse pods of: Pod web"),
        "{proposal}"
    );
}
