//! The policies by goal, as the API server takes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use probity::api::ControlPolicy;
use probity::controls::{Family, REGISTRY};
use serde_json::Value;

use crate::operator::world::World;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies")
}

/// The policies, by the names of their files.
fn all() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| !path.ends_with("kustomization.yaml"));
    let mut read: Vec<_> = files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    read.sort();
    read
}

#[test]
fn the_api_server_takes_every_policy() {
    let world = World::start();
    let strict = [
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "-o",
        "name",
    ];
    for (name, _) in all() {
        let file = folder().join(&name).display().to_string();
        let args = [&strict[..], &["-f", &file]].concat();
        let said = world.cluster.kubectl_ok(&args, None);
        let wanted = name.trim_end_matches(".yaml");
        assert_eq!(said.trim(), format!("controlpolicy.probity.dev/{wanted}"));
    }
    let folder = folder().display().to_string();
    let kustomized = [&strict[..], &["-k", &folder]].concat();
    let said = world.cluster.kubectl_ok(&kustomized, None);
    // All but the baseline, which holds the same controls, and the one that enforces.
    assert_eq!(said.lines().count(), all().len() - 2, "{said}");
}

#[test]
fn each_policy_explains_itself_and_every_family_has_a_goal() {
    let mut served = BTreeSet::new();
    for (name, text) in all() {
        if name == "soc2-baseline.yaml" {
            continue;
        }
        assert!(text.starts_with("# Goal: "), "{name}");
        let policy: ControlPolicy = serde_saphyr::from_str(&text).unwrap();
        for registered in REGISTRY {
            if let Some(enabled) = (registered.enabled)(&policy.spec.controls) {
                enabled.control.check().unwrap();
                served.insert(registered.info.family);
            }
        }
        let enforces = name.ends_with("-enforced.yaml");
        let spec: Value = serde_json::to_value(&policy.spec).unwrap();
        assert_eq!(spec["mode"] == "Enforce", enforces, "{name}");
    }
    assert_eq!(
        served,
        BTreeSet::from(Family::ALL),
        "a family without a goal"
    );
}
