//! Every query of every panel, run by the real Prometheus that scraped the real operator while drift happened.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::dashboards::{Query, queries, variables};
use super::prometheus::{Prometheus, number};
use crate::operator::program::{Program, Replica};
use crate::operator::world::{World, eventually, network_policies};

/// Labels that may be on a series. What is not here could grow without bound.
const LABELS: [&str; 18] = [
    "control",
    "criteria",
    "criterion",
    "family",
    "severity",
    "policy",
    "outcome",
    "owner",
    "origin",
    "how",
    "result",
    "kind",
    "queue",
    "target",
    "verb",
    "le",
    "period",
    "state",
];

/// Series that one query may give: controls, or kinds, of two clusters.
const MOST: usize = 200;

fn rules() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity/files/rules.yaml")
}

/// A policy of several families, part of which is enforced: what failed before, what drifts, what can't be known.
fn policy(world: &World, namespaces: &[&str]) -> String {
    world.policy(&json!({
        "mode": "Enforce", "scope": { "include": namespaces },
        "controls": {
            "netNamespaceDefaultDeny": {},
            "netNoAllowAll": { "mode": "Observe" },
            "netPolicyEnforced": {},
            "encApiserverTlsProfile": {},
            "rbacClusterAdminAllowlist": {},
            "attestGovernance": {},
        },
    }))
}

/// A query with values for Grafana's variables.
fn filled(expr: &str, cluster: &str, policy: &str) -> String {
    [
        ("$__range_s", "600"),
        ("$__range", "600s"),
        ("$__rate_interval", "20s"),
        ("$cluster", cluster),
        ("$policy", policy),
        ("$period", ".*"),
        ("$family", ".*"),
        ("$control", "net-namespace-default-deny"),
    ]
    .iter()
    .fold(expr.to_owned(), |expr, (name, value)| {
        expr.replace(name, value)
    })
}

/// Runs a query as Grafana would, until it gives series.
fn run(prometheus: &Prometheus, query: &Query, cluster: &str, policy: &str) {
    let expr = filled(&query.expr, cluster, policy);
    assert!(!expr.contains('$'), "{}: {expr}", query.place);
    eventually(&query.place, || {
        let found = if query.instant {
            prometheus.now(&expr)
        } else {
            prometheus.range(&expr)
        };
        let found = found.unwrap_or_else(|error| panic!("{}: {expr}: {error}", query.place));
        let real = found.iter().any(|series| !only_nan(series));
        assert!(
            found.len() <= MOST,
            "{}: {} series of {expr}",
            query.place,
            found.len()
        );
        if real {
            Ok(())
        } else {
            Err(format!("no series of {expr}: {found:?}"))
        }
    });
}

fn only_nan(series: &Value) -> bool {
    let one = std::slice::from_ref(&series["value"]);
    let values = series["values"].as_array().map_or(one, Vec::as_slice);
    values.iter().all(|value| value[1] == "NaN")
}

/// Label names of all series.
fn labels(text: &str) -> BTreeSet<&str> {
    let series = text.lines().filter_map(|line| line.split_once('{'));
    let labels = series.filter_map(|(_, rest)| rest.rsplit_once('}'));
    labels
        .flat_map(|(labels, _)| labels.split("\","))
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name)
        .collect()
}

/// A workload that a policy isolates.
fn workload(world: &World, namespace: &str) {
    let labels = json!({ "app": "web" });
    let pod = json!({ "containers": [{ "name": "web", "image": "web" }] });
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    world.create(&path, &deployment);
}

fn drift(world: &World, path: &str, open: &str) {
    world.delete(path);
    world.appears(path);
    // Nobody puts this back: it stays a deviation that is not part of the baseline.
    let everybody = json!({
        "metadata": { "name": "open" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] },
    });
    world.create(&network_policies(open), &everybody);
}

/// Path of all audit periods.
const PERIODS: &str = "/apis/probity.dev/v1alpha1/auditperiods";

/// A period that began today and goes on for long: its status comes with its metrics.
fn audit_period(world: &World, policy: &str) {
    let today = jiff::Timestamp::now().to_string()[..10].to_owned();
    let period = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": "h1" },
        "spec": { "start": today, "end": "2199-06-30", "timeZone": "UTC", "policies": [policy] },
    });
    world.create(PERIODS, &period);
    world.becomes(&format!("{PERIODS}/h1"), |period| {
        period["status"]["observed"]["controls"].is_array()
    });
}

#[test]
fn every_query_of_every_panel_gives_series() {
    let world = World::start();
    let (namespace, path) = world.denying_namespace();
    let bare = world.namespace("bare");
    workload(&world, &namespace);
    let policy = policy(&world, &[&namespace, &bare]);
    let replica = Replica::new(&world).with_args(&["--verify-every=5"]);
    let mut leader = replica.start();
    leader.ready();
    leader.metric_becomes("leader", &[], 1.0);
    let mut follower = replica.beside("probity-1").start();
    follower.ready();
    let (first, second) = (leader.address(), follower.address());
    let targets = [
        (first.as_str(), Some("here")),
        (second.as_str(), Some("here")),
        // The same, as if from a cluster whose Prometheus says nothing of clusters.
        (first.as_str(), None),
    ];
    let prometheus = Prometheus::start(&targets, &rules());
    eventually("scrapes", || match prometheus.value("count(up == 1)") {
        Ok(count) if count > 2.5 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    world.status(&policy, "judged policy", |status| {
        let summary = &status["summary"]["controls"];
        summary["fail"] == 2 && summary["pass"] == 2
    });
    drift(&world, &path, &namespace);
    audit_period(&world, &policy);
    for query in queries() {
        run(&prometheus, &query, ".*", ".*");
        run(&prometheus, &query, "here", &policy);
    }
    variables_offer_what_there_is(&prometheus, &policy);
    numbers_are_those_of_the_status(&world, &prometheus, &policy);
    rules_are_evaluated(&prometheus);
    labels_are_from_closed_sets(&leader);
    assert!(!follower.metrics().contains("probity_period_ready{"));
    world.delete(&format!("{PERIODS}/h1"));
    eventually("a period that is gone from the metrics", || {
        let metrics = leader.metrics();
        if metrics.contains("period=\"h1\"") {
            Err("it is still there".to_owned())
        } else {
            Ok(())
        }
    });
    assert!(follower.stop().success() && leader.stop().success());
}

/// Joins count nothing twice: with two replicas and two clusters the dashboard says what the status does.
fn numbers_are_those_of_the_status(world: &World, prometheus: &Prometheus, policy: &str) {
    let all = queries();
    for (title, outcome) in [
        ("Failing controls", "Fail"),
        ("Unknown controls", "Unknown"),
    ] {
        let query = all
            .iter()
            .find(|query| query.place.contains(title))
            .unwrap();
        let expr = filled(&query.expr, "here", policy);
        eventually(title, || {
            let path = format!("/apis/probity.dev/v1alpha1/controlpolicies/{policy}");
            let status = world.get(&path).unwrap();
            let controls = status["status"]["controls"].as_array().unwrap().iter();
            let wanted = controls
                .filter(|control| control["outcome"] == outcome)
                .count();
            let found = prometheus.value(&expr)?;
            if (found - f64::from(u32::try_from(wanted).unwrap())).abs() < 0.1 {
                Ok(())
            } else {
                Err(format!("{found} in the dashboard, {wanted} in the status"))
            }
        });
    }
}

/// Every variable has values, and a family narrows the controls to its own.
fn variables_offer_what_there_is(prometheus: &Prometheus, policy: &str) {
    let all = variables();
    for query in &all {
        run(prometheus, query, "here", policy);
    }
    let controls = all.iter().find(|query| query.place.contains("\"control\""));
    let controls = &controls.unwrap().expr;
    let offered = |family: &str| {
        let expr = controls.replace("$family", family);
        let found = prometheus.now(&filled(&expr, "here", policy)).unwrap();
        let names = found.iter().map(|series| &series["metric"]["control"]);
        let names: BTreeSet<String> = names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names.len(), found.len(), "each once: {found:?}");
        names
    };
    let network = [
        "net-namespace-default-deny",
        "net-no-allow-all",
        "net-policy-enforced",
    ];
    assert_eq!(offered("network"), network.map(str::to_owned).into());
    assert_eq!(offered(".*").len(), 6);
}

/// What failed before is listed and pages nobody; what failed afterwards is what alerts are about.
fn rules_are_evaluated(prometheus: &Prometheus) {
    let groups = prometheus.rules().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    let pending = |control: &str| {
        format!(
            r#"count(ALERTS{{alertname="ProbityComplianceLost", control="{control}", cluster="here"}}) or vector(0)"#
        )
    };
    let open = |control: &str, origin: &str| {
        format!(
            r#"sum(probity_deviations_open{{control="{control}", origin="{origin}", cluster="here"}})"#
        )
    };
    let equals = |query: &str, wanted: f64| {
        eventually(query, || match prometheus.value(query) {
            Ok(found) if (found - wanted).abs() < 0.1 => Ok(()),
            other => Err(format!("{other:?}, not {wanted}")),
        });
    };
    equals(&open("net-namespace-default-deny", "Baseline"), 1.0);
    equals(&pending("net-namespace-default-deny"), 0.0);
    equals(&open("net-no-allow-all", "New"), 1.0);
    equals(&pending("net-no-allow-all"), 1.0);
    let satisfied = r#"policy:probity_controls_satisfied:ratio{cluster="here"}"#;
    let shares = prometheus.now(satisfied).unwrap();
    assert!(shares.len() == 1 && number(&shares[0]) < 1.0, "{shares:?}");
}

fn labels_are_from_closed_sets(program: &Program) {
    let text = program.metrics();
    let closed = BTreeSet::from(LABELS);
    let found = labels(&text);
    let open: Vec<_> = found.difference(&closed).collect();
    assert!(open.is_empty(), "{open:?}");
    assert!(found.contains("control") && text.contains("probity_control_info"));
}
