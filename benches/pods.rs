//! 100,000 pods through the real decoder into the inventory.
//!
//! Memory is what the kernel says that a process of its own has grown by: that includes what the
//! allocator wastes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use probity::inventory::{Inventory, Kind};
use serde_json::{Value, json};

use crate::{Figure, Result, stats};

/// Argument with which this program measures and prints two numbers.
pub(crate) const CHILD: &str = "hold-pods";

const PODS: u32 = 100_000;
const NAMESPACES: u32 = 200;
const DEPLOYMENTS: u32 = 500;

/// Runs the child and reads its numbers.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .arg(CHILD)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [held, micros, size] = numbers[..] else {
        return Err(format!("the child said: {said}"));
    };
    Ok(vec![
        Figure {
            what: "100,000 pods in the inventory: memory",
            measured: format!("{held:.0} bytes each"),
            limit: "≤ 250 bytes each",
            kept: Some(held <= 250.0),
        },
        Figure {
            what: "100,000 pods through the decoder: time",
            measured: format!("{micros:.1} µs each ({size:.0} bytes of JSON)"),
            limit: "≤ 12 µs each",
            kept: Some(micros <= 12.0),
        },
    ])
}

/// Holds the pods; returns bytes and microseconds for each, and bytes of JSON.
pub(crate) fn child() -> Result<String> {
    let templates: Vec<Vec<String>> = (0..DEPLOYMENTS).map(template).collect();
    let mut inventory = Inventory::default();
    // The median, so that other programs on this machine don't count.
    let mut samples = vec![Duration::MAX; PODS as usize + 1];
    let mut free = samples.iter_mut();
    let (mut line, mut bytes) = (String::new(), 0);
    let mut add = |number: u32, inventory: &mut Inventory| {
        fill(&mut line, &templates, number);
        bytes += line.len();
        let began = Instant::now();
        let result = inventory.apply_line(Kind::Pod, line.as_bytes());
        if let Some(sample) = free.next() {
            *sample = began.elapsed();
        }
        result.map_err(|error| error.to_string())
    };
    add(PODS, &mut inventory)?;
    let before = stats::resident("self")?;
    for number in 0..PODS {
        add(number, &mut inventory)?;
    }
    let held = stats::resident("self")? - before;
    if inventory.count(Kind::Pod) != PODS as usize + 1
        || !inventory.broken_names(Kind::Pod).is_empty()
    {
        return Err("not all pods were taken in".to_owned());
    }
    samples.sort_unstable();
    let median = samples.get(samples.len() / 2).copied().unwrap_or_default();
    let each = f64::from(PODS);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (held, size) = (held as f64 / each, bytes as f64 / each);
    Ok(format!("{held} {} {size}", median.as_secs_f64() * 1e6))
}

/// Writes the watch line of one pod.
fn fill(line: &mut String, templates: &[Vec<String>], number: u32) {
    use std::fmt::Write as _;
    line.clear();
    let Some(template) = templates.get((number % DEPLOYMENTS) as usize) else {
        return;
    };
    for part in template {
        // Writing to a string does not fail.
        let _ = match part.as_str() {
            "NAME" => write!(line, "{:05x}", number.wrapping_mul(2_654_435_761) >> 12),
            "NUMBER" => write!(line, "{number}"),
            "HEX" => write!(line, "{number:012x}"),
            "NODE" => write!(line, "{}", number % 1000),
            literal => line.write_str(literal),
        };
    }
}

/// The watch line of a deployment's pods: literal parts, and names of what differs.
fn template(deployment: u32) -> Vec<String> {
    let line = json!({ "type": "ADDED", "object": pod(deployment) });
    line.to_string().split('@').map(str::to_owned).collect()
}

fn pod(deployment: u32) -> Value {
    let name = format!("service-{deployment:03}");
    let labels = json!({
        "app.kubernetes.io/name": name, "app.kubernetes.io/component": "backend",
        "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d9c6f5b8",
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{name}-7d9c6f5b8-@NAME@@NUMBER@"),
            "generateName": format!("{name}-7d9c6f5b8-"),
            "namespace": format!("team-{}", deployment % NAMESPACES),
            "uid": "6f1b2c3d-0000-4000-8000-@HEX@",
            "resourceVersion": "1@NUMBER@",
            "creationTimestamp": "2026-05-01T12:00:00Z",
            "labels": labels,
            "annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-04-30T09:00:00Z",
                "prometheus.io/scrape": "true", "prometheus.io/port": "8080",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-7d9c6f5b8"),
                "uid": "0a1b2c3d-1111-4222-8333-444455556666", "controller": true, "blockOwnerDeletion": true,
            }],
            "managedFields": managers(),
        },
        "spec": spec(&name),
        "status": status(&name),
    })
}

fn managers() -> Value {
    let container = json!({
        ".": {}, "f:env": { ".": {}, "k:{\"name\":\"MODE\"}": { ".": {}, "f:name": {}, "f:value": {} } },
        "f:image": {}, "f:imagePullPolicy": {}, "f:name": {},
        "f:livenessProbe": { ".": {}, "f:failureThreshold": {}, "f:httpGet": { ".": {}, "f:path": {}, "f:port": {}, "f:scheme": {} },
            "f:initialDelaySeconds": {}, "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {} },
        "f:readinessProbe": { ".": {}, "f:failureThreshold": {}, "f:httpGet": { ".": {}, "f:path": {}, "f:port": {}, "f:scheme": {} },
            "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {} },
        "f:ports": { ".": {}, "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {}, "f:name": {}, "f:protocol": {} } },
        "f:resources": { ".": {}, "f:limits": { ".": {}, "f:memory": {} }, "f:requests": { ".": {}, "f:cpu": {}, "f:memory": {} } },
        "f:securityContext": { ".": {}, "f:allowPrivilegeEscalation": {}, "f:capabilities": { ".": {}, "f:drop": {} },
            "f:readOnlyRootFilesystem": {} },
        "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {},
        "f:volumeMounts": { ".": {}, "k:{\"mountPath\":\"/tmp\"}": { ".": {}, "f:mountPath": {}, "f:name": {} } },
    });
    let condition = json!({ ".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {} });
    json!([
        { "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "kube-controller-manager", "operation": "Update",
          "time": "2026-05-01T12:00:00Z", "fieldsV1": {
            "f:metadata": { "f:annotations": { ".": {}, "f:prometheus.io/port": {}, "f:prometheus.io/scrape": {} },
                "f:generateName": {}, "f:labels": { ".": {}, "f:app.kubernetes.io/name": {}, "f:pod-template-hash": {} },
                "f:ownerReferences": { ".": {}, "k:{\"uid\":\"0a1b2c3d-1111-4222-8333-444455556666\"}": {} } },
            "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": container, "k:{\"name\":\"proxy\"}": container },
                "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {},
                "f:securityContext": { ".": {}, "f:runAsNonRoot": {}, "f:seccompProfile": { ".": {}, "f:type": {} } },
                "f:serviceAccountName": {}, "f:terminationGracePeriodSeconds": {} } } },
        { "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "kubelet", "operation": "Update", "subresource": "status",
          "time": "2026-05-01T12:00:09Z", "fieldsV1": { "f:status": {
            "f:conditions": { "k:{\"type\":\"ContainersReady\"}": condition, "k:{\"type\":\"Initialized\"}": condition,
                "k:{\"type\":\"Ready\"}": condition },
            "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {},
            "f:podIPs": { ".": {}, "k:{\"ip\":\"10.1.2.3\"}": { ".": {}, "f:ip": {} } }, "f:startTime": {} } } },
    ])
}

fn spec(name: &str) -> Value {
    let probe = json!({ "httpGet": { "path": "/healthz", "port": "http", "scheme": "HTTP" }, "initialDelaySeconds": 5,
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 });
    let container = |container: &str, image: &str| {
        json!({
            "name": container, "image": image, "imagePullPolicy": "IfNotPresent",
            "env": [{ "name": "MODE", "value": "production" },
                { "name": "POD_NAME", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } }],
            "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
            "resources": { "limits": { "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "256Mi" } },
            "livenessProbe": probe, "readinessProbe": probe,
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true },
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" },
                { "name": "kube-api-access-x2v7k", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }],
        })
    };
    json!({
        "containers": [container("main", &format!("registry.example.com/shop/{name}:1.24.3")),
            container("proxy", "registry.example.com/mesh/proxy:1.9.0")],
        "volumes": [{ "name": "tmp", "emptyDir": {} }, { "name": "kube-api-access-x2v7k", "projected": { "defaultMode": 420,
            "sources": [{ "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } }] } }],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": name, "serviceAccount": name, "nodeName": "node-@NODE@", "enableServiceLinks": true,
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "schedulerName": "default-scheduler", "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
        "tolerations": [
            { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }],
    })
}

fn status(name: &str) -> Value {
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-05-01T12:00:09Z" });
    let container = |container: &str| {
        json!({
            "name": container, "ready": true, "started": true, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-05-01T12:00:05Z" } }, "lastState": {},
            "image": format!("registry.example.com/shop/{name}:1.24.3"),
            "imageID": "registry.example.com/shop/image@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".replace('@', "/"),
            "containerID": "containerd://2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        })
    };
    json!({
        "phase": "Running", "hostIP": "10.0.0.7", "podIP": "10.1.2.3", "podIPs": [{ "ip": "10.1.2.3" }],
        "startTime": "2026-05-01T12:00:01Z", "qosClass": "Burstable",
        "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady"), condition("PodScheduled")],
        "containerStatuses": [container("main"), container("proxy")],
    })
}
