//! The chart's own manifests, judged by the program that it installs.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::Value;

use super::{EVERYTHING, NAMESPACE, rendered};
use crate::operator::program::output;

/// What fails of all controls with their defaults, as control and subject.
fn failing(values: &[&str]) -> BTreeSet<(String, String)> {
    failing_in(NAMESPACE, values)
}

/// The same in a namespace that need not be Probity's own, which some controls leave out.
fn failing_in(namespace: &str, values: &[&str]) -> BTreeSet<(String, String)> {
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    // As it is made before the release: the restricted level is enough for all of its pods.
    write!(
        file,
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n---\n{}",
        rendered(values).replace(NAMESPACE, namespace)
    )
    .unwrap();
    let file = file.path().display().to_string();
    let scan = output(&[
        "scan",
        "-f",
        &file,
        "-n",
        namespace,
        "--complete",
        "-o",
        "json",
    ]);
    let report: Value = serde_json::from_str(&scan.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", scan.stderr));
    let controls = report["controls"].as_array().unwrap();
    assert!(
        controls
            .iter()
            .all(|control| control["outcome"] != "Unknown"),
        "{report:#}"
    );
    let passing = controls
        .iter()
        .filter(|control| control["outcome"] == "Pass");
    assert!(passing.count() > 10, "nothing was judged");
    let findings = controls.iter().flat_map(|control| {
        let findings = control["findings"].as_array().into_iter().flatten();
        findings.map(move |finding| (control, finding))
    });
    let failed = findings.filter(|(_, finding)| finding["outcome"] == "Fail");
    let named = failed.map(|(control, finding)| {
        let subject = &finding["subject"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&control["id"]), text(&subject["name"]))
    });
    named.collect()
}

#[test]
fn the_chart_passes_the_baseline_that_it_brings() {
    assert_eq!(failing(&[]), BTreeSet::new());
}

#[test]
fn also_the_pod_of_helm_test_is_isolated_for_ingress() {
    let failing = failing_in("elsewhere", &[]);
    assert!(!failing.is_empty(), "nothing was judged as of a stranger");
    let open = failing.iter();
    let mut open = open.filter(|(control, _)| control == "net-pod-ingress-isolated");
    assert_eq!(open.next(), None);
}

/// `docs/threat-model.md` says why, and what to do about each.
#[test]
fn with_everything_switched_on_only_what_is_explained_fails() {
    let explained = [
        ("net-namespace-default-deny", "probity-probe"),
        ("rbac-escalation-paths", "probity"),
        ("rbac-token-request-restricted", "probity"),
        ("rbac-workload-create-restricted", "probity"),
    ];
    let explained = explained.map(|(control, subject)| (control.to_owned(), subject.to_owned()));
    assert_eq!(failing(&EVERYTHING), BTreeSet::from(explained));
}
