//! Logs of every version of the format that was ever written, kept in the repository: each build must still verify and
//! report them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::operator::program::output;

fn kept() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/formats");
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    logs.sort();
    logs
}

#[test]
fn every_log_that_was_kept_still_verifies() {
    let logs = kept();
    let current = format!("v{}", probity::evidence::entry::VERSION);
    assert!(logs.iter().any(|log| log.ends_with(&current)), "{logs:?}");
    for log in logs {
        let path = |name: &str| log.join(name).display().to_string();
        let (data, key, anchor) = (path("data"), path("key"), path("anchor"));
        let checked = output(&[
            "verify", &data, "--key", &key, "--anchor", &anchor, "--json",
        ]);
        let report: Value = serde_json::from_str(&checked.stdout).unwrap();
        assert_eq!(checked.code, Some(0), "{report:#}");
        assert_eq!(report["logs"][0]["anchored"], report["logs"][0]["size"]);
        // With another key it does not.
        let other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(output(&["verify", &data, "--key", other]).code, Some(1));
    }
}

#[test]
fn every_log_that_was_kept_still_gives_the_numbers_that_it_gave() {
    for log in kept() {
        let path = |name: &str| log.join(name).display().to_string();
        let printed = output(&["log", "--json", "--data-dir", &path("data")]);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(path("expected.json")).unwrap()).unwrap();
        let mut counted = json!({});
        for line in printed.stdout.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let kind = entry["type"].as_str().unwrap();
            counted[kind] = json!(counted[kind].as_u64().unwrap_or(0) + 1);
        }
        assert_eq!(counted, expected["entries"], "{}", log.display());

        let period = output(&[
            "period",
            &path("period.yaml"),
            "--log",
            &path("data"),
            "--json",
        ]);
        assert_eq!(period.code, Some(0), "{}", period.stderr);
        let summary: Value = serde_json::from_str(&period.stdout).unwrap();
        let control = &summary["controls"][0];
        let numbers = &expected["numbers"];
        for (field, value) in numbers.as_object().unwrap() {
            assert_eq!(control.pointer(field), Some(value), "{field}: {control:#}");
        }
    }
}
