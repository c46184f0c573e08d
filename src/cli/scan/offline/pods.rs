//! The pods that controllers of the files are to run, as far as they mount claims; and those that nobody can tell of.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Declared;
use crate::{
    cli::scan::report::Finding,
    controls::{Control, network::PolicyDead},
    inventory::Kind,
    verdict::Outcome,
};

/// Pods of one controller at most: more tell nothing else.
const MOST: u64 = 16;

/// So deep are fields looked at in objects that no control reads.
const DEPTH: u32 = 8;

/// Whether somebody may make pods of an object that no control reads: it says how many, or of which image.
pub(super) fn may_make_some(object: &Value) -> bool {
    fn says(value: &Value, depth: u32) -> bool {
        const FIELDS: [&str; 5] = ["containers", "image", "nodeSets", "podTemplate", "replicas"];
        match value {
            _ if depth == 0 => false,
            Value::Object(fields) => fields
                .iter()
                .any(|(name, value)| FIELDS.contains(&&**name) || says(value, depth - 1)),
            Value::Array(items) => items.iter().any(|item| says(item, depth - 1)),
            _ => false,
        }
    }
    says(&object["spec"], DEPTH)
}

/// The namespace that an object of a kind says, if any, and what it is called.
pub(super) fn maker(kind: &str, metadata: &Value) -> (String, String) {
    let name = metadata["name"].as_str().unwrap_or_default();
    match metadata["namespace"].as_str().unwrap_or_default() {
        "" => (String::new(), format!("{kind} {name}")),
        inside => (inside.to_owned(), format!("{kind} {inside}/{name}")),
    }
}

/// Whether a role lets somebody make pods, or what makes some.
fn lets_make_some(role: &Value) -> bool {
    const MADE: [&str; 8] = [
        "*",
        "cronjobs",
        "daemonsets",
        "deployments",
        "jobs",
        "pods",
        "replicasets",
        "statefulsets",
    ];
    let has = |list: &Value, wanted: &[&str]| {
        let mut words = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        words.any(|word| wanted.contains(&word))
    };
    let mut rules = role["rules"].as_array().into_iter().flatten();
    rules.any(|rule| has(&rule["verbs"], &["*", "create"]) && has(&rule["resources"], &MADE))
}

impl Declared {
    /// Why a failure for want of pods may be none: operators make some that no file shows, of objects of their own or because
    /// a role of the namespace lets them. Where files show pods as a cluster runs them, those are all.
    pub(in crate::cli::scan) fn pods_to_come(
        &self,
        finding: &Finding,
        control: &dyn Control,
    ) -> Option<String> {
        if finding.outcome != Outcome::Fail || !control.wants_pods() {
            return None;
        }
        let mut pods = self.objects.get(&Kind::Pod).into_iter().flatten();
        if pods.any(|(_, pod)| pod["status"]["phase"].is_string()) {
            return None;
        }
        let inside = &*finding.subject.namespace;
        // One without a namespace may be of a kind that lies in none, which no file tells: its pods may be anywhere.
        let near = self.makers.get(inside).or_else(|| self.makers.get(""));
        let peer = finding.reason == PolicyDead::PEER;
        let anywhere = self.makers.values().next().filter(|_| peer);
        if let Some(maker) = near.or(anywhere) {
            return Some(format!("no file shows the pods that are made of {maker}"));
        }
        let mut roles = self.objects.get(&Kind::Role).into_iter().flatten();
        let ((_, name), _) = roles.find(|((namespace, name), role)| {
            namespace == inside && lets_make_some(role) && self.is_held_by_a_program(inside, name)
        })?;
        Some(format!(
            "no file shows the pods that Role {inside}/{name} lets somebody make"
        ))
    }

    /// Whether a service account holds a role: what people may make is nothing that the files are to bring.
    fn is_held_by_a_program(&self, inside: &str, role: &str) -> bool {
        let bindings = self.objects.get(&Kind::RoleBinding).into_iter().flatten();
        let mut bindings = bindings.filter(|((namespace, _), _)| namespace == inside);
        bindings.any(|(_, binding)| {
            let of = &binding["roleRef"];
            let mut subjects = binding["subjects"].as_array().into_iter().flatten();
            of["kind"] == "Role"
                && of["name"] == role
                && subjects.any(|subject| subject["kind"] == "ServiceAccount")
        })
    }

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
