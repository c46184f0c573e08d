//! The chart, judged by the real helm, the real API server, and what API servers of other versions say of their types.

mod lifecycle;
mod policies;
mod scan;
mod schemas;
mod values;

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::harness::{Group, ensure};

/// Namespace of the release.
const NAMESPACE: &str = "probity-system";

/// Switches everything on that is off by default and touches what is rendered.
const EVERYTHING: [&str; 26] = [
    "accessChecks.enabled=true",
    "rbac.scannerRole=true",
    "replicas=2",
    "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "enforcement.encryption=true",
    "enforcement.rbac=true",
    "enforcement.network=true",
    "enforcement.backup=true",
    "enforcement.workload=true",
    "networkProbe.enabled=true",
    "drill.enabled=true",
    "velero.readRepositoryPassword=true",
    "serviceMonitor.enabled=true",
    "serviceMonitor.labels.release=prometheus",
    "prometheusRule.enabled=true",
    "dashboards.enabled=true",
    "dashboards.annotations.grafana_folder=Probity",
    "openReports.enabled=true",
    "policyReports.enabled=true",
    "openTelemetry.endpoint=http://collector.monitoring:4318",
    "openTelemetry.headersSecret=collector-headers",
    "openTelemetry.caSecret=collector-ca",
    "hostUsers=false",
    "signingKey.existingSecret=probity-key",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring",
    "priorityClassName=system-cluster-critical",
];

fn chart() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("charts/probity").display().to_string()
}

/// Helm without a cluster.
fn helm(args: &[&str]) -> Output {
    let program = ensure(Group::Helm).unwrap().join("helm");
    let home = tempfile::tempdir().unwrap();
    Command::new(program)
        .args(args)
        .env("HOME", home.path())
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap()
}

/// What the chart renders with these values set, and the values that helm was given.
fn template(values: &[&str]) -> Output {
    let chart = chart();
    let mut args = vec!["template", "probity", &chart, "--namespace", NAMESPACE];
    for value in values {
        args.extend(["--set", value]);
    }
    helm(&args)
}

/// The same, where it must work.
fn rendered(values: &[&str]) -> String {
    let output = template(values);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}
