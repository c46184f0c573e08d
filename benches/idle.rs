//! A converged cluster, for a minute: what the operator does while there is nothing to do.

use std::{fs, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    Figure, Result,
    harness::{Cluster, Options},
    operator::{Probity, USER},
    stats,
};

const WATCHED: Duration = Duration::from_mins(1);
/// Until statuses are written and everything is at rest.
const SETTLING: Duration = Duration::from_secs(20);
const NAMESPACES: u32 = 10;
const MIB: f64 = 1024.0 * 1024.0;

/// Records who writes what.
const AUDIT: &str = r"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// Measures writes, processor time and memory.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let cluster = Cluster::start(Options {
        etcd_fsync: true,
        audit_policy: Some(AUDIT.to_owned()),
        kwok_nodes: 3,
        ..Options::default()
    })?;
    furnish(&cluster);
    let mut probity = Probity::start(&cluster, &policy().to_string())?;
    thread::sleep(SETTLING);
    let (writes, busy) = (writes(&cluster)?, stats::processor_time(probity.pid())?);
    thread::sleep(WATCHED);
    probity.check()?;
    let used = stats::processor_time(probity.pid())?.saturating_sub(busy);
    let written: Vec<String> = self::writes(&cluster)?.split_off(writes.len());
    let held = stats::resident(&probity.pid().to_string())?;
    Ok(figures(&written, used, held))
}

fn figures(written: &[String], used: Duration, held: u64) -> Vec<Figure> {
    let leases = written
        .iter()
        .filter(|what| what.ends_with("leases"))
        .count();
    let mut others: Vec<&str> = written
        .iter()
        .map(String::as_str)
        .filter(|what| !what.ends_with("leases"))
        .collect();
    others.dedup();
    let share = used.as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mebibytes = held as f64 / MIB;
    vec![
        Figure {
            what: "converged cluster, 60 s: writes",
            measured: format!(
                "{} of the lease, {} others {}",
                leases,
                written.len() - leases,
                others.join(", ")
            ),
            limit: "only the lease",
            kept: Some(others.is_empty()),
        },
        Figure {
            what: "converged cluster, 60 s: processor",
            measured: format!("{share:.2} % of a core"),
            limit: "< 1 % of a core",
            kept: Some(share < 1.0),
        },
        Figure {
            what: "resident memory on the demo cluster",
            measured: format!("{mebibytes:.1} MiB"),
            limit: "≤ 25 MiB",
            kept: Some(mebibytes <= 25.0),
        },
    ]
}

/// Namespaces with a default deny, each with pods of a deployment.
fn furnish(cluster: &Cluster) {
    let mut objects = Vec::new();
    for number in 0..NAMESPACES {
        let namespace = format!("team-{number}");
        objects.push(
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        );
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "deny", "namespace": namespace }, "spec": { "podSelector": {} },
        }));
        let labels = json!({ "app": "shop" });
        objects.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "shop", "namespace": namespace },
            "spec": { "replicas": 5, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "shop", "image": "registry.example.com/shop:1" }] } } },
        }));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&list.to_string()));
}

/// Every control; those that put back what was there enforce.
fn policy() -> Value {
    let controls: serde_json::Map<String, Value> = probity::controls::REGISTRY
        .iter()
        .map(|registered| (registered.info.field.to_owned(), json!({})))
        .collect();
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy", "metadata": { "name": "soc2" },
        "spec": { "mode": "Enforce", "controls": controls },
    })
}

/// What the operator has written so far: verb and resource, in order.
fn writes(cluster: &Cluster) -> Result<Vec<String>> {
    let log = fs::read_to_string(cluster.audit_log()).map_err(|error| error.to_string())?;
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = entries.filter(|entry| entry["user"]["username"] == USER);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(ours
        .map(|entry| {
            let what = word(&entry["objectRef"]["resource"]);
            let part = word(&entry["objectRef"]["subresource"]);
            let part = if part.is_empty() {
                part
            } else {
                format!("/{part}")
            };
            format!("{} {what}{part}", word(&entry["verb"]))
        })
        .collect())
}
