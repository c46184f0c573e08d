//! A policy's status as reports of `OpenReports` or of `wgpolicyk8s.io`, for dashboards that read those.
//!
//! What its status lists of objects in a namespace is in a report there, and the rest in one for the cluster: so they are as
//! bounded as the status is. What is not listed is in the cluster's summary all the same, so that all summaries together
//! are the policy's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{ControlPolicyStatus, ControlStatus, Reports, Violation},
    controls::registry,
    inventory::{Kind, meta::MANAGED_BY, meta::MANAGER},
    verdict::{Outcome, Severity},
    words::many,
};

/// Label with the name of the policy, by which its reports are found.
pub const POLICY_LABEL: &str = "probity.dev/policy";
/// Namespaces in which a policy has a report; what concerns further ones is in the report of the cluster.
const MOST_NAMESPACES: usize = 100;
/// The longest value of a label.
const LONGEST_LABEL: usize = 63;

/// An API in which reports are written.
#[derive(Debug, PartialEq, Eq)]
pub struct Flavor {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind and plural of the reports of a cluster.
    pub cluster: (&'static str, &'static str),
    /// Kind and plural of the reports of a namespace.
    pub namespaced: (&'static str, &'static str),
    /// Whether a report says who made it, and not only its results.
    has_source: bool,
}

/// All flavors.
pub static FLAVORS: [Flavor; 2] = [
    Flavor {
        group: "openreports.io",
        version: "v1alpha1",
        cluster: ("ClusterReport", "clusterreports"),
        namespaced: ("Report", "reports"),
        has_source: true,
    },
    Flavor {
        group: "wgpolicyk8s.io",
        version: "v1alpha2",
        cluster: ("ClusterPolicyReport", "clusterpolicyreports"),
        namespaced: ("PolicyReport", "policyreports"),
        has_source: false,
    },
];

impl Flavor {
    /// The one that a policy asks for, if it does.
    pub fn of(reports: Reports) -> Option<&'static Self> {
        let [open, wg_policy] = &FLAVORS;
        match reports {
            Reports::None => None,
            Reports::OpenReports => Some(open),
            Reports::PolicyReports => Some(wg_policy),
        }
    }
}

/// The name of a policy's reports.
pub fn name(policy: &str) -> String {
    format!("probity-{policy}")
}

/// The value of [`POLICY_LABEL`] on the reports of a policy. Names may be longer than labels.
pub fn label<'a>(policy: &'a str, uid: &'a str) -> &'a str {
    if policy.len() > LONGEST_LABEL {
        uid
    } else {
        policy
    }
}

/// The reports of a policy.
#[derive(Debug, Clone)]
pub struct Reported {
    policy: String,
    uid: String,
    /// Results that no report of a namespace holds.
    rest: Vec<Value>,
    namespaces: BTreeMap<String, Vec<Value>>,
    /// Subjects by result, wherever they are.
    total: Counts,
}

impl Reported {
    /// What is to be reported of a policy's status. All of it goes when the policy, whose uid is given, is deleted.
    pub fn new(policy: &str, uid: &str, status: &ControlPolicyStatus) -> Self {
        let subjects = &status.summary.subjects;
        let mut reported = Self {
            policy: policy.to_owned(),
            uid: uid.to_owned(),
            rest: Vec::new(),
            namespaces: BTreeMap::new(),
            total: Counts {
                pass: subjects.pass,
                fail: subjects.fail,
                warn: subjects.unknown,
                skip: subjects.excepted + subjects.not_applicable,
            },
        };
        for (namespace, result) in status.controls.iter().flat_map(results) {
            let namespaces = &mut reported.namespaces;
            match namespace {
                Some(namespace)
                    if namespaces.len() < MOST_NAMESPACES
                        || namespaces.contains_key(&namespace) =>
                {
                    namespaces.entry(namespace).or_default().push(result);
                }
                _ => reported.rest.push(result),
            }
        }
        reported
    }

    /// The namespaces that have a report.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(String::as_str)
    }

    /// Takes into the cluster's report what a namespace has no report for, because it can't be written.
    pub fn keep_out_of(&mut self, namespace: &str) {
        self.rest
            .extend(self.namespaces.remove(namespace).unwrap_or_default());
    }

    /// The report of a namespace.
    pub fn of_namespace(&self, flavor: &Flavor, namespace: &str) -> Value {
        let results = self.namespaces.get(namespace);
        let results = results.map_or(&[][..], Vec::as_slice);
        let mut report = self.report(flavor, flavor.namespaced.0, Counts::of(results), results);
        report["metadata"]["namespace"] = namespace.into();
        report
    }

    /// The report of the cluster. Its summary counts what is in no report of a namespace.
    pub fn of_cluster(&self, flavor: &Flavor) -> Value {
        let mut counts = self.total;
        for results in self.namespaces.values() {
            counts.take_off(Counts::of(results));
        }
        self.report(flavor, flavor.cluster.0, counts, &self.rest)
    }

    fn report(&self, flavor: &Flavor, kind: &str, counts: Counts, results: &[Value]) -> Value {
        let mut report = json!({
            "apiVersion": format!("{}/{}", flavor.group, flavor.version),
            "kind": kind,
            "metadata": {
                "name": name(&self.policy),
                "labels": { MANAGED_BY: MANAGER, POLICY_LABEL: label(&self.policy, &self.uid) },
                "ownerReferences": [{
                    "apiVersion": format!("{}/{}", crate::api::GROUP, crate::api::VERSION),
                    "kind": "ControlPolicy", "name": self.policy, "uid": self.uid,
                }],
            },
            "summary": counts.json(),
            "results": results,
        });
        if flavor.has_source {
            report["source"] = MANAGER.into();
        }
        report
    }
}

/// Subjects by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    pass: i64,
    fail: i64,
    warn: i64,
    skip: i64,
}

impl Counts {
    fn of(results: &[Value]) -> Self {
        let count = |word: &str| {
            let with = results.iter().filter(|result| result["result"] == word);
            i64::try_from(with.count()).unwrap_or(i64::MAX)
        };
        Self {
            pass: count("pass"),
            fail: count("fail"),
            warn: count("warn"),
            skip: count("skip"),
        }
    }

    fn take_off(&mut self, other: Self) {
        let Self {
            pass,
            fail,
            warn,
            skip,
        } = other;
        self.pass -= pass;
        self.fail -= fail;
        self.warn -= warn;
        self.skip -= skip;
    }

    fn json(self) -> Value {
        let Self {
            pass,
            fail,
            warn,
            skip,
        } = self;
        json!({ "pass": pass, "fail": fail, "warn": warn, "error": 0, "skip": skip })
    }
}

/// What is said of one control: a result for each subject that its status lists, with its namespace, else one for all.
fn results(control: &ControlStatus) -> Vec<(Option<String>, Value)> {
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
        let message = many(control.population, "subject");
        let since = control.since.0.as_second();
        return vec![(None, result(control.outcome, &message, since))];
    }
    let violations = control.violations.iter().map(|violation| {
        let since = violation.since.0.as_second();
        let mut result = result(violation.outcome, &violation.message, since);
        if let Some(resource) = resource(violation) {
            result["resources"] = json!([resource]);
        }
        result["properties"]["reason"] = violation.reason.clone().into();
        result["properties"]["strength"] = violation.strength.as_str().into();
        (violation.namespace.clone(), result)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::status::OutcomeCounts;

    fn violation(namespace: Option<&str>, outcome: Outcome) -> Violation {
        serde_json::from_value(json!({
            "kind": "Pod", "namespace": namespace, "name": "web", "outcome": outcome,
            "strength": "Declared", "reason": "Because", "message": "It is so.",
            "since": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn control(violations: Vec<Violation>) -> ControlStatus {
        let mut control: ControlStatus = serde_json::from_value(json!({
            "id": "net-host-network", "severity": "High", "outcome": "Fail", "population": 1,
            "since": "2026-01-01T00:00:00Z", "criteria": ["CC6.6"], "mode": "Observe",
            "subjects": OutcomeCounts::default(),
        }))
        .unwrap();
        control.violations = violations;
        control
    }

    fn status(controls: Vec<ControlStatus>, subjects: OutcomeCounts) -> ControlPolicyStatus {
        let mut status = ControlPolicyStatus {
            controls,
            ..Default::default()
        };
        status.summary.subjects = subjects;
        status
    }

    fn listed() -> impl Strategy<Value = Vec<(Option<u8>, Outcome)>> {
        let outcome = prop::sample::select(vec![Outcome::Fail, Outcome::Unknown]);
        prop::collection::vec((prop::option::of(0..130_u8), outcome), 0..200)
    }

    proptest! {
        /// Whatever is listed, and whatever namespaces can't be written to: nothing is lost, nothing is there twice, and
        /// all summaries together are the policy's.
        #[test]
        fn all_reports_together_say_what_the_status_says(
            listed in listed(), pass in 0..9_i64, unlisted in 0..9_i64,
            refused in prop::collection::btree_set(0..130_u8, 0..20),
        ) {
            let count = |wanted| listed.iter().filter(|(_, outcome)| *outcome == wanted).count();
            let subjects = OutcomeCounts {
                pass,
                fail: i64::try_from(count(Outcome::Fail)).unwrap() + unlisted,
                unknown: i64::try_from(count(Outcome::Unknown)).unwrap(),
                excepted: 1,
                not_applicable: 2,
            };
            let violations = listed.iter().map(|(namespace, outcome)| {
                let namespace = namespace.map(|n| format!("ns-{n}"));
                violation(namespace.as_deref(), *outcome)
            });
            let status = status(vec![control(violations.collect())], subjects.clone());
            let mut reported = Reported::new("p", "u", &status);
            for namespace in refused {
                reported.keep_out_of(&format!("ns-{namespace}"));
            }
            prop_assert!(reported.namespaces().count() <= MOST_NAMESPACES);
            for flavor in &FLAVORS {
                let of = |namespace: &str| reported.of_namespace(flavor, namespace);
                let mut reports: Vec<Value> = reported.namespaces().map(of).collect();
                reports.push(reported.of_cluster(flavor));
                let sum = |key: &str| -> i64 {
                    reports.iter().map(|report| report["summary"][key].as_i64().unwrap()).sum()
                };
                prop_assert_eq!(sum("pass"), pass);
                prop_assert_eq!(sum("fail"), subjects.fail);
                prop_assert_eq!(sum("warn"), subjects.unknown);
                prop_assert_eq!(sum("skip"), 3);
                let results = |report: &Value| report["results"].as_array().unwrap().len();
                let results: usize = reports.iter().map(results).sum();
                prop_assert_eq!(results, listed.len().max(1));
            }
        }
    }

    #[test]
    fn what_is_in_a_namespace_is_reported_there_and_the_rest_for_the_cluster() {
        let of = |namespace: Option<&str>| violation(namespace, Outcome::Fail);
        let fail = OutcomeCounts {
            fail: 2,
            ..Default::default()
        };
        let status = status(vec![control(vec![of(Some("shop")), of(None)])], fail);
        let reported = Reported::new("p", "u", &status);
        let [open, wg_policy] = &FLAVORS;
        let shop = reported.of_namespace(open, "shop");
        assert_eq!(
            (&shop["kind"], &shop["source"]),
            (&json!("Report"), &json!("probity"))
        );
        assert_eq!(shop["metadata"]["namespace"], "shop");
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web" });
        assert_eq!(shop["results"][0]["resources"], json!([pod]));
        assert_eq!(shop["summary"]["fail"], 1);
        let cluster = reported.of_cluster(wg_policy);
        assert_eq!(cluster["apiVersion"], "wgpolicyk8s.io/v1alpha2");
        assert_eq!(cluster["kind"], "ClusterPolicyReport");
        assert_eq!(
            (cluster["summary"]["fail"].as_i64(), cluster.get("source")),
            (Some(1), None)
        );
        assert!(cluster["metadata"].get("namespace").is_none());
    }

    #[test]
    fn a_policy_with_a_name_longer_than_labels_is_found_by_its_uid() {
        let long = "p".repeat(64);
        assert_eq!(label(&long, "some-uid"), "some-uid");
        assert_eq!(label(&long[1..], "some-uid"), &long[1..]);
    }
}
