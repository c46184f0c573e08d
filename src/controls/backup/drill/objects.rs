//! What a drill creates: the sandbox, what bounds it, and the Restore.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{DRILL, Drill, DrillVolumes, EXPIRES, SOURCE};
use crate::inventory::{
    Sym, Uid,
    meta::{MANAGED_BY, MANAGER},
    namespace::PSA_ENFORCE,
};

/// Name of the quota, of the defaults and of the network policy in the sandbox.
pub const BOUNDS: &str = "restore-drill";
/// Name of the quota of pods with a priority.
pub const PRIORITIES: &str = "restore-drill-priorities";

/// What comes back without pods. Nothing in this list acts by itself: no Ingress that takes over
/// a host, no custom resource that another operator would act on, no policy that would open the
/// sandbox.
const DATA: [&str; 2] = [
    "persistentvolumeclaims",
    "volumesnapshots.snapshot.storage.k8s.io",
];
/// What pods need beside it.
const PODS: [&str; 4] = ["pods", "configmaps", "secrets", "serviceaccounts"];
/// The volumes of restored claims. Velero restores no others while namespaces are named.
const VOLUMES: &str = "persistentvolumes";

/// The sandbox.
pub fn namespace(drill: &Drill, name: &str, id: &str, source: &str, ends: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                MANAGED_BY: MANAGER, DRILL: id,
                PSA_ENFORCE: drill.pod_security.as_str(),
            },
            "annotations": { SOURCE: source, EXPIRES: ends.to_string() },
        },
    })
}

/// What the sandbox may use.
pub fn quota(drill: &Drill, id: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": BOUNDS, "labels": { MANAGED_BY: MANAGER, DRILL: id } },
        "spec": { "hard": {
            "pods": drill.pods.to_string(),
            "requests.storage": drill.storage,
            "requests.cpu": drill.cpu,
            "requests.memory": drill.memory,
            "limits.cpu": drill.cpu,
            "limits.memory": drill.memory,
            "services": "0",
        } },
    })
}

/// No pod comes with a priority, by which it would drive out others, but for the class that the
/// policy names.
pub fn priorities(drill: &Drill, id: &str) -> Value {
    let with_class = json!({ "scopeName": "PriorityClass", "operator": "Exists" });
    let mut which = vec![with_class];
    if let Some(class) = &drill.priority_class {
        which.push(json!({
            "scopeName": "PriorityClass", "operator": "NotIn", "values": [class],
        }));
    }
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": PRIORITIES, "labels": { MANAGED_BY: MANAGER, DRILL: id } },
        "spec": { "hard": { "pods": "0" }, "scopeSelector": { "matchExpressions": which } },
    })
}

/// What containers get that ask for nothing: a quota refuses those.
pub fn defaults(id: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": { "name": BOUNDS, "labels": { MANAGED_BY: MANAGER, DRILL: id } },
        "spec": { "limits": [{
            "type": "Container",
            "default": { "cpu": "500m", "memory": "512Mi" },
            "defaultRequest": { "cpu": "100m", "memory": "128Mi" },
        }] },
    })
}

/// What a drill's objects belong to until it is over, so that they go with the right to make them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of a `ClusterRole`.
    pub name: Sym,
    /// Its uid.
    pub uid: Uid,
}

impl Owner {
    /// As the field of metadata.
    pub fn references(&self) -> Value {
        json!([{
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": self.name,
            "uid": self.uid.to_string(),
        }])
    }
}

/// Nothing reaches the sandbox, and nothing in it reaches anything.
pub fn deny(id: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": BOUNDS, "labels": { MANAGED_BY: MANAGER, DRILL: id } },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
    })
}

/// The Restore of one namespace of a Backup into the sandbox.
pub fn restore(drill: &Drill, sandbox: &str, id: &str, source: &str, backup: &str) -> Value {
    let mut resources = DATA.to_vec();
    if drill.pods > 0 {
        resources.extend(PODS);
    }
    let mut spec = json!({
        "backupName": backup,
        "includedNamespaces": [source],
        "namespaceMapping": { source: sandbox },
        "restorePVs": true,
        "existingResourcePolicy": "none",
        "hooks": {},
        "itemOperationTimeout": format!("{}s", drill.ttl.duration().as_secs()),
    });
    match drill.volumes {
        DrillVolumes::Snapshots => spec["includeClusterResources"] = false.into(),
        DrillVolumes::All => resources.push(VOLUMES),
    }
    spec["includedResources"] = resources.into();
    json!({
        "apiVersion": "velero.io/v1",
        "kind": "Restore",
        "metadata": { "name": id, "labels": { MANAGED_BY: MANAGER, DRILL: id } },
        "spec": spec,
    })
}
