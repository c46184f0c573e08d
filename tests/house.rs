//! Rules of the house: the pure core, licences, duplicates, and what files may say.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs")
}

#[test]
fn a_clock_call_in_the_pure_core_fails_the_lint() {
    let target = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "clippy",
            "--quiet",
            "--manifest-path",
            "tests/purity/Cargo.toml",
        ])
        .env("CLIPPY_CONF_DIR", root())
        .env("CARGO_TARGET_DIR", target.path())
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("the pure core takes time as an argument"),
        "{said}"
    );
    assert!(
        said.contains("src/lib.rs:17"),
        "only the engine's call is wrong: {said}"
    );
    assert!(!said.contains("src/lib.rs:7"), "{said}");
}

#[test]
fn every_pure_module_asks_for_the_bans() {
    for module in [
        "analysis/mod.rs",
        "controls/mod.rs",
        "engine/mod.rs",
        "inventory/mod.rs",
        "period/mod.rs",
        "report/mod.rs",
        "evidence/body.rs",
        "evidence/entry.rs",
    ] {
        let text = fs::read_to_string(root().join("src").join(module)).unwrap();
        assert!(
            text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"),
            "src/{module} must deny clippy's disallowed methods and types"
        );
    }
}

/// The strings of an array of `deny.toml`; comments and commas are passed over.
fn listed(array: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let start = text
        .find(&format!("{array} = ["))
        .expect("the array is there");
    let rest = &text[start..];
    let end = rest.find("\n]").unwrap_or(rest.len());
    let lines = rest[..end].lines().skip(1);
    lines
        .filter_map(|line| Some(line.trim().split('"').nth(1)?.to_owned()))
        .collect()
}

fn packages() -> Vec<Value> {
    let output = cargo(&["metadata", "--format-version", "1", "--locked"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be satisfied: every `AND` part by one of its `OR` parts.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|license| allowed.iter().any(|known| known == license.trim()))
    })
}

#[test]
fn every_licence_is_allowed() {
    let allowed = listed("allow");
    for package in packages() {
        let license = package["license"].as_str().unwrap_or("none");
        let name = &package["name"];
        assert!(
            satisfied(license, &allowed),
            "{name} has licence {license}: see deny.toml"
        );
    }
    assert!(!satisfied("GPL-3.0", &allowed));
}

#[test]
fn no_dependency_is_there_twice_without_a_reason() {
    let skipped = listed("skip");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let text = |field: &str| package[field].as_str().unwrap().to_owned();
        versions
            .entry(text("name"))
            .or_default()
            .push(text("version"));
    }
    for (name, versions) in &versions {
        let excused = skipped.contains(name);
        assert!(
            versions.len() == 1 || excused,
            "{name} is there as {versions:?}: see deny.toml"
        );
        assert!(
            versions.len() > 1 || !excused,
            "{name} is there once: take it out of deny.toml"
        );
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_leaves_nothing_unfinished() {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    assert!(found.len() > 50);
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        // Tests stand beside the file that says what they are about.
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(
            is_test || text.starts_with("//!"),
            "{} begins without //!",
            path.display()
        );
        for mark in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("todo", "!("),
        ] {
            assert!(!text.contains(mark), "{} holds {mark}", path.display());
        }
    }
}
