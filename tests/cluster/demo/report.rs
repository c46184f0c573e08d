//! What the operator says about it all: the policy's status, metrics, and the evidence log.

use std::process::Command;

use serde_json::Value;

use crate::breaks::CONTROLS;
use crate::harness::{Cluster, Result};
use crate::operator::Operator;
use crate::say::{bad, good, say, step};

/// Lines of the evidence log that are shown.
const LOG_LINES: usize = 24;
/// Entries that are shown: what was found, and what was done about it.
const LOG_TYPES: [&str; 3] = ["transition", "intent", "outcome"];
/// Violations of a control that are shown.
const VIOLATIONS: usize = 2;
/// Series that are shown as they are.
const METRICS: [&str; 5] = [
    "probity_drift_total",
    "probity_remediation_total",
    "probity_drift_revert_seconds_sum",
    "probity_drift_revert_seconds_count",
    "probity_evidence_entries_total",
];

/// The policy as the API server has it.
pub(crate) fn policy(cluster: &Cluster) -> Result<Value> {
    let list = cluster.kubectl_ok(&["get", "controlpolicies", "-o", "json"], None);
    let list: Value = serde_json::from_str(&list).map_err(|e| e.to_string())?;
    Ok(list["items"][0].clone())
}

/// Prints everything.
pub(crate) fn print(cluster: &Cluster, operator: &Operator) -> Result<()> {
    // Statuses are written about once a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    step("kubectl get ctlp");
    say(cluster.kubectl_ok(&["get", "ctlp"], None).trim_end());
    step("Its status");
    status(&policy(cluster)?["status"]);
    step("Metrics");
    metrics(operator)?;
    step("probity log (what was found, and what was done about it)");
    log(operator)
}

fn status(status: &Value) {
    let controls = status["controls"].as_array().map_or(&[][..], Vec::as_slice);
    let quiet = |control: &&Value| {
        let good = ["Pass", "NotApplicable"].map(Value::from);
        control["lastDrift"].is_null() && good.contains(&control["outcome"])
    };
    for control in controls.iter().filter(|control| !quiet(control)) {
        let text = |field: &str| control[field].as_str().unwrap_or_default();
        let outcome = format!("{:<13}", text("outcome"));
        let outcome = match text("outcome") {
            "Pass" => good(&outcome),
            "Fail" | "Unknown" => bad(&outcome),
            _ => outcome,
        };
        let subjects = &control["subjects"];
        let counts = format!("{} of {} pass", subjects["pass"], control["population"]);
        let drift = match (text("lastDrift"), text("lastDriftEnded")) {
            ("", _) => String::new(),
            (at, ended) => format!("  drift at {at}: {ended}"),
        };
        say(format!("{:<40} {outcome} {counts}{drift}", text("id")).trim_end());
        let violations = control["violations"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for violation in violations.iter().take(VIOLATIONS) {
            let text = |field: &str| violation[field].as_str().unwrap_or_default();
            say(&format!(
                "    {} {}/{}: {}",
                text("kind"),
                text("namespace"),
                text("name"),
                text("message")
            ));
        }
        let omitted = control["omitted"].as_u64().unwrap_or_default();
        let more = violations.len().saturating_sub(VIOLATIONS) as u64 + omitted;
        if more > 0 {
            say(&format!("    and {more} more"));
        }
    }
    let quiet = controls.iter().filter(quiet).count();
    say(&format!("{quiet} other controls pass or do not apply"));
    let written = &status["enforcement"]["written"];
    let log = status["evidence"]["log"].as_str().unwrap_or_default();
    let seq = &status["evidence"]["seq"];
    say(&format!(
        "{written} remedies carried out; evidence up to entry {seq} of log {log}"
    ));
}

fn metrics(operator: &Operator) -> Result<()> {
    let text = operator.get("/metrics")?;
    let wanted = text.lines().filter(|line| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let broken = |id: &&str| line.contains(&format!("control=\"{id}\""));
        let outcome = name == "probity_control_outcome" && line.ends_with(" 1");
        outcome && CONTROLS.iter().any(broken) || METRICS.contains(&name)
    });
    for line in wanted {
        say(line);
    }
    say(&format!(
        "memory of the process (VmRSS): {}",
        operator.memory()?
    ));
    Ok(())
}

fn log(operator: &Operator) -> Result<()> {
    let output = Command::new(operator.program())
        .arg("log")
        .arg("--data-dir")
        .arg(operator.data_dir())
        .output()
        .map_err(|e| format!("probity log: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "probity log: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let entries = text.lines().filter(|line| {
        let kind = line.split_whitespace().nth(2);
        kind.is_some_and(|kind| LOG_TYPES.contains(&kind))
    });
    let entries: Vec<&str> = entries.collect();
    for line in &entries[entries.len().saturating_sub(LOG_LINES)..] {
        say(line);
    }
    Ok(())
}
