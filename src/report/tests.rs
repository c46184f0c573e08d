//! Whole packs, in memory.
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the names are ours"
)]

use std::{collections::BTreeMap, sync::Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::story::{Memory, made, pack};
use super::*;

mod exemptions;
mod story;

/// What a schema of others says against a document.
fn errors(schema: &str, document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect()
}

#[test]
fn oscal_is_what_nist_says_it_is() {
    let files = made();
    let complete = include_str!("../../tests/schemas/oscal_complete_schema-1.2.2.json");
    let results: Value = serde_json::from_str(&files["oscal/assessment-results.json"]).unwrap();
    assert_eq!(errors(complete, &results), Vec::<String>::new());
    let older = include_str!("../../tests/schemas/oscal_assessment-results_schema-1.2.1.json");
    assert_eq!(errors(older, &results), Vec::<String>::new());
    let plan: Value = serde_json::from_str(&files["oscal/assessment-plan.json"]).unwrap();
    assert_eq!(errors(complete, &plan), Vec::<String>::new());
    let result = &results["assessment-results"]["results"][0];
    assert_eq!(result["observations"].as_array().unwrap().len(), 2);
    assert_eq!(result["risks"][0]["status"], "closed");
    let mut broken = results.clone();
    broken["assessment-results"]["results"][0]["observations"][0]["methods"] = json!([]);
    assert!(
        !errors(complete, &broken).is_empty(),
        "the schema would find a fault"
    );
}

#[test]
fn ocsf_findings_are_of_their_class() {
    let files = made();
    let schema = include_str!("../../tests/schemas/ocsf-1.8.0-compliance_finding.schema.json");
    let lines: Vec<Value> = files["ocsf/findings.jsonl"]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.len(),
        3,
        "one deviation opened and closed, one is open"
    );
    for line in &lines {
        assert_eq!(errors(schema, line), Vec::<String>::new());
    }
    let mut broken = lines[0].clone();
    broken.as_object_mut().unwrap().remove("compliance");
    assert!(
        !errors(schema, &broken).is_empty(),
        "the schema would find a fault"
    );
}

#[test]
fn sums_and_statement_cover_every_file() {
    let files = made();
    let sums: BTreeMap<&str, &str> = files["SHA256SUMS"]
        .lines()
        .map(|line| {
            line.split_once("  ")
                .map(|(sum, name)| (name, sum))
                .unwrap()
        })
        .collect();
    for (name, content) in files.iter().filter(|(name, _)| *name != "SHA256SUMS") {
        assert_eq!(
            sums.get(&**name).copied(),
            Some(&*crate::engine::hex(&Sha256::digest(content))),
            "{name}"
        );
    }
    assert_eq!(
        sums.len() + 1,
        files.len(),
        "nothing else is in the pack: {:?}",
        files.keys()
    );
    let statement: Value = serde_json::from_str(&files["attestation.intoto.json"]).unwrap();
    assert_eq!(
        statement["subject"].as_array().unwrap().len(),
        sums.len() - 1
    );
    assert_eq!(
        statement["predicate"]["deviations"],
        json!({ "all": 2, "open": 1 })
    );
}

#[test]
fn equal_logs_make_equal_packs() {
    assert_eq!(made(), made());
}

#[test]
fn tables_hold_what_happened_and_run_nothing() {
    let files = made();
    let deviations: Vec<&str> = files["deviations.csv"].split("\r\n").collect();
    assert_eq!(
        deviations.len(),
        4,
        "a header, two deviations, the end: {deviations:?}"
    );
    assert!(
        deviations[1].contains("\"'=cmd|' /C calc'!A0"),
        "{}",
        deviations[1]
    );
    assert!(
        deviations[1].contains("\"'+a hurried change\",,reviewed,bob"),
        "{}",
        deviations[1]
    );
    assert!(files["attestations.csv"].contains("\"'-said\""));
    for (name, content) in files.iter().filter(|(name, _)| name.ends_with(".csv")) {
        let bad = content
            .lines()
            .flat_map(|line| line.split(','))
            .find(|cell| {
                cell.trim_start_matches('"')
                    .starts_with(['=', '+', '-', '@'])
            });
        assert_eq!(bad, None, "{name}");
    }
    assert!(files["control-matrix.csv"].contains("no policy had switched it on"));
    assert!(files["gaps.csv"].contains("forbidden"));
    let configured = "EncryptionConfiguration,,https://10.0.0.1:6443,Updated,,sha256:aa,sha256:bb";
    assert!(files["changes.csv"].contains(configured));
    assert!(
        files["not-observable.csv"].contains("provider of the control plane or storage (CSOC)")
    );
    assert!(files["management-approved-exemptions.csv"].contains("2026-03-01T00:51:00Z"));
}

#[test]
fn pages_need_nothing_else_and_run_nothing() {
    let files = made();
    let pages: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".html"))
        .collect();
    assert_eq!(pages.len(), 3, "the index and two controls");
    for (name, page) in pages {
        for bad in [
            "<script",
            "javascript:",
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            "\u{202e}",
        ] {
            assert!(!page.contains(bad), "{name} holds {bad}");
        }
        assert!(
            page.contains("lang=\"en\"")
                && page.contains("prefers-color-scheme: dark")
                && page.contains("@media print")
        );
        assert!(
            page.contains("Results of management&#x27;s automated evaluation")
                || page.contains("Results of management's automated evaluation"),
            "{name}"
        );
    }
    let control = &files["controls/enc-ingress-tls--soc2.html"];
    assert!(
        control.contains("role=\"img\"")
            && control.contains("class=\"failing\"")
            && control.contains("class=\"remedy\"")
    );
    assert!(
        control.contains("host &lt;b&gt;shop.example&lt;&#x2f;b&gt;"),
        "names are escaped"
    );
    assert!(
        control.contains("a hurried change"),
        "management's response is printed"
    );
}

#[test]
fn no_conclusion_is_drawn_for_the_auditor() {
    for (name, content) in made() {
        let text = content.to_lowercase();
        for bad in [
            "compliant",
            "certified",
            "in compliance",
            "passes soc 2",
            "we certify",
        ] {
            assert!(!text.contains(bad), "{name} says {bad}");
        }
        // What a ControlException grants is an exemption here; its kind is named only where objects are listed.
        let says = text
            .replace("controlexception", "")
            .replace("call an exception", "")
            .replace("call exceptions", "");
        let says = says
            .replace("an exception.\n", "")
            .replace("an\n               exception", "");
        assert!(
            name == "changes.csv" || !says.contains("management-approved exception"),
            "{name}"
        );
    }
    assert!(made()["README.txt"].contains("Results of management's automated evaluation"));
}

#[test]
fn a_full_disk_at_any_place_is_an_error() {
    let folder = Memory::default();
    pack(&folder).unwrap();
    let size: usize = folder.files.lock().unwrap().values().map(Vec::len).sum();
    for part in 0..60 {
        let room = size * part / 61;
        let full = Memory {
            room: Some(Arc::new(Mutex::new(room))),
            ..Memory::default()
        };
        let error = pack(&full).expect_err("there is no room");
        assert!(matches!(error, ReportError::File { .. }), "{error}");
    }
}
