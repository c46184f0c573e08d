//! What people type at a terminal, against a real API server where it touches one.

mod argocd;
mod examples;
mod exits;
mod live;
mod manners;
mod rights;

use std::path::Path;

use serde_json::Value;

use crate::operator::program::{Output, output};

/// Runs a command against a cluster.
fn against(kubeconfig: &Path, args: &[&str]) -> Output {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    output(&[args, &[&*kubeconfig]].concat())
}

/// Runs a command that must end with a code, and returns what it printed.
fn printed(kubeconfig: &Path, args: &[&str], code: i32) -> String {
    let output = against(kubeconfig, args);
    let said = format!("{args:?}\n{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, Some(code), "{said}");
    output.stdout
}

/// A control, a subject, and what is said of it.
type Found = (String, String, String);

/// What a scan found: control, subject, outcome of all that does not simply pass; and the outcome of
/// each control.
fn found(report: &str) -> (Vec<Found>, Vec<(String, String)>) {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut subjects, mut controls) = (Vec::new(), Vec::new());
    for control in report["controls"].as_array().unwrap() {
        controls.push((text(&control["id"]), text(&control["outcome"])));
        for finding in control["findings"].as_array().unwrap() {
            let subject = &finding["subject"];
            let name = ["kind", "namespace", "name"].map(|part| text(&subject[part]));
            subjects.push((
                text(&control["id"]),
                name.join("/"),
                text(&finding["outcome"]),
            ));
        }
    }
    subjects.sort();
    (subjects, controls)
}
