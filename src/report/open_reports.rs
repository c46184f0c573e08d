//! A policy's status as a `ClusterReport` of `OpenReports`, for dashboards that read those.
//!
//! One report for each policy, made of what its status lists: so it is as bounded as the status is.
//! What is not listed there is in the summary all the same.

use serde_json::{Value, json};

use crate::{
    api::{ControlPolicyStatus, ControlStatus, Violation},
    controls::registry,
    inventory::{Kind, meta::MANAGED_BY, meta::MANAGER},
    verdict::{Outcome, Severity},
};

/// API group of the reports.
pub const GROUP: &str = "openreports.io";
/// Version of the reports.
pub const VERSION: &str = "v1alpha1";
/// Plural of the reports that are in no namespace.
pub const PLURAL: &str = "clusterreports";
/// Label with the name of the policy.
pub const POLICY_LABEL: &str = "probity.dev/policy";

/// The name of a policy's report.
pub fn name(policy: &str) -> String {
    format!("probity-{policy}")
}

/// The report of a policy. It goes when the policy, whose uid is given, is deleted.
pub fn report(policy: &str, uid: &str, status: &ControlPolicyStatus) -> Value {
    let subjects = &status.summary.subjects;
    let results: Vec<Value> = status.controls.iter().flat_map(results).collect();
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ClusterReport",
        "metadata": {
            "name": name(policy),
            "labels": { MANAGED_BY: MANAGER, POLICY_LABEL: policy },
            "ownerReferences": [{
                "apiVersion": format!("{}/{}", crate::api::GROUP, crate::api::VERSION),
                "kind": "ControlPolicy", "name": policy, "uid": uid,
            }],
        },
        "source": MANAGER,
        "summary": {
            "pass": subjects.pass,
            "fail": subjects.fail,
            "warn": subjects.unknown,
            "error": 0,
            "skip": subjects.excepted + subjects.not_applicable,
        },
        "results": results,
    })
}

/// What is said of one control: a result for each subject that its status lists, else one for all.
fn results(control: &ControlStatus) -> Vec<Value> {
    let family = registry::find(&control.id).map_or("", |known| known.info.family.as_str());
    let result = |outcome: Outcome, message: &str, since: i64| {
        json!({
            "source": MANAGER,
            "policy": control.id,
            "rule": control.id,
            "category": family,
            "severity": severity(control.severity),
            "result": word(outcome),
            "scored": true,
            "message": message,
            "timestamp": { "seconds": since, "nanos": 0 },
            "properties": { "verdict": outcome, "criteria": control.criteria.join(", ") },
        })
    };
    if control.violations.is_empty() {
        let message = format!("{} subjects", control.population);
        return vec![result(
            control.outcome,
            &message,
            control.since.0.as_second(),
        )];
    }
    let violations = control.violations.iter().map(|violation| {
        let since = violation.since.0.as_second();
        let mut result = result(violation.outcome, &violation.message, since);
        if let Some(resource) = resource(violation) {
            result["resources"] = json!([resource]);
        }
        result["properties"]["reason"] = violation.reason.clone().into();
        result["properties"]["strength"] = violation.strength.as_str().into();
        result
    });
    violations.collect()
}

/// The object that a violation is about; `None` where it is none, such as a user.
fn resource(violation: &Violation) -> Option<Value> {
    let kind = Kind::ALL.iter().find(|kind| {
        let info = kind.info();
        info.kind == violation.kind && info.is_namespaced() == violation.namespace.is_some()
    })?;
    let mut resource = json!({
        "apiVersion": kind.info().api_version(),
        "kind": violation.kind,
        "name": violation.name,
    });
    if let Some(namespace) = &violation.namespace {
        resource["namespace"] = namespace.clone().into();
    }
    Some(resource)
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Excepted | Outcome::NotApplicable => "skip",
        // Dashboards hide what is skipped; what nobody can tell must be seen.
        Outcome::Unknown => "warn",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
