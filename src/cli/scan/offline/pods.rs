//! The pods that controllers of the files are to run, as far as they mount claims.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Declared;
use crate::inventory::Kind;

/// Pods of one controller at most: more tell nothing else.
const MOST: u64 = 16;

impl Declared {
    /// Whether some controller mounts a claim.
    pub(in crate::cli::scan) fn mounts_claims(&self) -> bool {
        !self.pods_to_be().is_empty()
    }

    /// Each pod that mounts a claim, of every controller that is to have some.
    pub(super) fn pods_to_be(&self) -> Vec<Value> {
        let kinds = [
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::ReplicaSet,
        ];
        let tables = kinds.iter().filter_map(|kind| self.objects.get(kind));
        let all = tables.flat_map(|table| table.iter());
        let pods = all.flat_map(|((namespace, name), object)| pods_of(namespace, name, object));
        pods.collect()
    }
}

fn pods_of(namespace: &str, name: &str, object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let template = &spec["template"];
    let labelled = template["metadata"].is_object() || template["metadata"].is_null();
    if !template["spec"].is_object() || !labelled {
        return Vec::new(); // of no template nothing is made; its object can't be decoded
    }
    let replicas = spec["replicas"].as_u64().unwrap_or(1).min(MOST);
    let claims = spec["volumeClaimTemplates"].as_array();
    let claims: Vec<&str> = claims
        .into_iter()
        .flatten()
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .collect();
    let pods = (0..replicas).map(|ordinal| {
        let pod = format!("{name}-{ordinal}");
        let mut made = template.clone();
        let volumes = &mut made["spec"]["volumes"];
        if !volumes.is_array() {
            *volumes = json!([]);
        }
        for claim in &claims {
            let named = format!("{claim}-{pod}");
            let volume = json!({ "name": claim, "persistentVolumeClaim": { "claimName": named } });
            if let Some(volumes) = volumes.as_array_mut() {
                volumes.push(volume);
            }
        }
        let uid = Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            format!("pods/{namespace}/{pod}").as_bytes(),
        );
        let metadata = &mut made["metadata"];
        metadata["name"] = pod.into();
        metadata["namespace"] = namespace.into();
        metadata["uid"] = uid.to_string().into();
        metadata["resourceVersion"] = "1".into();
        made["status"] = json!({ "phase": "Running" });
        made
    });
    pods.filter(|pod| {
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.any(|volume| volume["persistentVolumeClaim"].is_object())
    })
    .collect()
}
