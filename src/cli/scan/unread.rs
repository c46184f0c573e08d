//! Documents that declare something and are not read: kinds that there are not, and fields of a wrong type. An API server refuses
//! them, so that what the others are judged by may not be what the cluster becomes.

use std::fmt;

use k8s_openapi::{
    api::{
        admissionregistration::v1 as admission, apps::v1 as apps, batch::v1 as batch,
        certificates::v1 as certificates, core::v1 as core, networking::v1 as networking,
        rbac::v1 as rbac, storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    kube_aggregator::pkg::apis::apiregistration::v1 as registration,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{fault, manifests::Place, unknown};
use crate::inventory::{Inventory, Kind};

/// A document that is not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Unread {
    pub(in crate::cli) place: Place,
    /// What it says that it is, such as `v1 Namespac`.
    pub(in crate::cli) what: String,
    pub(in crate::cli) why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, why } = self;
        write!(f, "{place}: {what} is not read: {why}")
    }
}

/// Kubernetes' own API groups, each with its kinds of all versions. Source: the API types of Kubernetes 1.37.
const BUILTIN: [(&str, &str); 21] = [
    (
        "",
        "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node \
         PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController \
         ResourceQuota Secret Service ServiceAccount",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding \
         MutatingWebhookConfiguration ValidatingAdmissionPolicy \
         ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    (
        "apps",
        "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    ),
    (
        "authentication.k8s.io",
        "SelfSubjectReview TokenRequest TokenReview",
    ),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview \
         SubjectAccessReview",
    ),
    ("autoscaling", "HorizontalPodAutoscaler Scale"),
    ("batch", "CronJob Job"),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest ClusterTrustBundle PodCertificateRequest",
    ),
    ("coordination.k8s.io", "Lease LeaseCandidate"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    (
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema PriorityLevelConfiguration",
    ),
    (
        "networking.k8s.io",
        "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
    ),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "Eviction PodDisruptionBudget"),
    (
        "rbac.authorization.k8s.io",
        "ClusterRole ClusterRoleBinding Role RoleBinding",
    ),
    (
        "resource.k8s.io",
        "DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate \
         ResourcePoolStatusRequest ResourceSlice",
    ),
    (
        "scheduling.k8s.io",
        "CompositePodGroup PodGroup PriorityClass Workload",
    ),
    (
        "storage.k8s.io",
        "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment \
         VolumeAttributesClass",
    ),
];

/// A kind that there is not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) why: String,
    /// The kind that was meant, if controls read it.
    pub(super) meant: Option<Kind>,
}

/// Why a kind that no control reads is none at all; `None` where it may be one. Of other people's groups nobody knows all kinds:
/// there only a name that is nearly one of those that are read is a mistake.
pub(super) fn stranger(version: &str, kind: &str) -> Option<Stranger> {
    let (group, of_group) = match version.split_once('/') {
        Some((group, _)) => (group, BUILTIN.iter().find(|(known, _)| *known == group)),
        None => ("", BUILTIN.first()),
    };
    if of_group.is_some_and(|(_, kinds)| kinds.split(' ').any(|known| known == kind)) {
        return None;
    }
    // The group of a CRD is a domain, which has a dot.
    let ours = of_group.is_some() || !group.contains('.');
    let builtin = BUILTIN
        .iter()
        .flat_map(|(group, kinds)| kinds.split(' ').map(move |kind| (*group, kind)));
    let read = Kind::ALL.iter().map(|kind| {
        let info = kind.info();
        (info.group, info.kind)
    });
    let meant = builtin.chain(read).filter_map(|(other, name)| {
        let far = distance(group, other) + distance(&kind.to_lowercase(), &name.to_lowercase());
        let near = if group == other {
            far <= (name.len() / 4).clamp(1, if ours { 2 } else { 1 })
        } else {
            // Groups of experiments are named after those that they may become: x-k8s.io beside k8s.io.
            name == kind && (ours || far <= 2 && !group.ends_with(".x-k8s.io"))
        };
        near.then_some((far, other, name))
    });
    let Some((_, other, name)) = meant.min() else {
        let why = match of_group {
            Some(_) if group.is_empty() => "Kubernetes' core group has no such kind".to_owned(),
            Some(_) => format!("Kubernetes' group {group} has no such kind"),
            None => "there is no such API group".to_owned(),
        };
        return ours.then_some(Stranger { why, meant: None });
    };
    let mut known = Kind::ALL.iter().copied();
    let meant = known.find(|known| known.info().group == other && known.info().kind == name);
    let hint = match meant {
        _ if other == group => name.to_owned(),
        Some(meant) => format!("{} {name}", meant.info().api_version()),
        None => format!("{name} of the group {other}"),
    };
    let why = format!("there is no such kind, did you mean {hint}?");
    Some(Stranger { why, meant })
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// What an object of a kind that is read says, as far as its types go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// All of it has a meaning.
    Well,
    /// This field there is not: an API server drops it, or refuses the object.
    Surplus(String),
    /// A field has a type that it can't have: its path, and what is wrong.
    Misfit(String),
}

/// Whether an object fits its kind.
pub(super) fn fit(kind: Kind, object: &Value) -> Fit {
    let plain = plain(object);
    let typed = typed(kind, &plain);
    if let Fit::Misfit(_) = typed {
        return typed;
    }
    // Kinds of other tools have no types here; and there is more to it than types.
    match projected(kind, object) {
        Err(why) => {
            let fails = |other: Value| projected(kind, &other).is_err_and(|other| other == why);
            Fit::Misfit(fault::at(object, &fails, &why))
        }
        Ok(()) => typed,
    }
}

/// Whether the decoder that controls read with reads an object.
fn projected(kind: Kind, object: &Value) -> Result<(), String> {
    let mut object = object.clone();
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    metadata["name"] = "a".into();
    metadata["namespace"] = "a".into();
    metadata["uid"] = "00000000-0000-4000-8000-000000000000".into();
    metadata["resourceVersion"] = "1".into();
    let mut scratch = Inventory::default();
    let page = json!({ "items": [object] }).to_string();
    let read = scratch.apply_page(kind, page.as_bytes());
    read.map_err(|error| error.to_string())?;
    match scratch.broken(kind, "a", "a") {
        // Where in the text that was made of it nobody wants to know.
        Some(broken) => Err(fault::without_position(&broken.reason).to_owned()),
        None => Ok(()),
    }
}

/// Whether an object has the types of Kubernetes' API.
fn typed(kind: Kind, object: &Value) -> Fit {
    match kind {
        Kind::Namespace => of::<core::Namespace>(object),
        Kind::Pod => of::<core::Pod>(object),
        Kind::Service => of::<core::Service>(object),
        Kind::ServiceAccount => of::<core::ServiceAccount>(object),
        Kind::Claim => of::<core::PersistentVolumeClaim>(object),
        Kind::Volume => of::<core::PersistentVolume>(object),
        Kind::ConfigMap => of::<core::ConfigMap>(object),
        Kind::Node => of::<core::Node>(object),
        Kind::StorageClass => of::<storage::StorageClass>(object),
        Kind::Deployment => of::<apps::Deployment>(object),
        Kind::StatefulSet => of::<apps::StatefulSet>(object),
        Kind::DaemonSet => of::<apps::DaemonSet>(object),
        Kind::ReplicaSet => of::<apps::ReplicaSet>(object),
        Kind::Job => of::<batch::Job>(object),
        Kind::CronJob => of::<batch::CronJob>(object),
        Kind::NetworkPolicy => of::<networking::NetworkPolicy>(object),
        Kind::Ingress => of::<networking::Ingress>(object),
        Kind::IngressClass => of::<networking::IngressClass>(object),
        Kind::Role => of::<rbac::Role>(object),
        Kind::ClusterRole => of::<rbac::ClusterRole>(object),
        Kind::RoleBinding => of::<rbac::RoleBinding>(object),
        Kind::ClusterRoleBinding => of::<rbac::ClusterRoleBinding>(object),
        Kind::Crd => of::<extensions::CustomResourceDefinition>(object),
        Kind::ValidatingWebhook => of::<admission::ValidatingWebhookConfiguration>(object),
        Kind::MutatingWebhook => of::<admission::MutatingWebhookConfiguration>(object),
        Kind::SigningRequest => of::<certificates::CertificateSigningRequest>(object),
        Kind::ApiService => of::<registration::APIService>(object),
        _ => Fit::Well,
    }
}

fn of<T: DeserializeOwned + Serialize>(object: &Value) -> Fit {
    match serde_json::from_value::<T>(object.clone()) {
        Err(error) => {
            let why = error.to_string();
            let fails = |other: Value| {
                let read = serde_json::from_value::<T>(other);
                read.is_err_and(|error| error.to_string() == why)
            };
            Fit::Misfit(fault::at(object, &fails, &why))
        }
        Ok(read) => {
            let read = serde_json::to_value(read).unwrap_or_default();
            unknown(object, &read).map_or(Fit::Well, Fit::Surplus)
        }
    }
}

/// Fields whose values are quantities, which may be written as numbers.
const QUANTITIES: [&str; 12] = [
    "requests",
    "limits",
    "capacity",
    "allocatable",
    "hard",
    "used",
    "min",
    "max",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
    "podFixed",
];

/// A quantity by itself.
const QUANTITY: [&str; 2] = ["sizeLimit", "divisor"];

/// An object as the API server understands it: what is null says nothing, and a quantity may be a number.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            let plain = said.map(|(name, value)| {
                let mut value = plain(value);
                if QUANTITY.contains(&&**name) {
                    value = quantity(value);
                } else if QUANTITIES.contains(&&**name)
                    && let Value::Object(values) = &mut value
                {
                    values
                        .values_mut()
                        .for_each(|value| *value = quantity(value.take()));
                }
                (name.clone(), value)
            });
            Value::Object(plain.collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn quantity(value: Value) -> Value {
    match value {
        Value::Number(number) => number.to_string().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_nearly_one_is_told_with_what_was_meant() {
        for (version, kind, hint) in [
            ("v1", "Namespac", "Namespace"),
            ("v1", "namespace", "Namespace"),
            ("v1", "Srevice", "Service"),
            ("v1", "Secrets", "Secret"),
            ("apps/v1", "Deploymnet", "Deployment"),
            ("app/v1", "Deployment", "apps/v1 Deployment"),
            ("v1", "Deployment", "apps/v1 Deployment"),
            (
                "extensions/v1beta1",
                "Ingress",
                "networking.k8s.io/v1 Ingress",
            ),
            ("networking.k8s.io/v1", "NetworkPolcy", "NetworkPolicy"),
            (
                "networking.k8.io/v1",
                "NetworkPolicy",
                "networking.k8s.io/v1 NetworkPolicy",
            ),
            ("cilium.io/v2", "CiliumNetworkPolcy", "CiliumNetworkPolicy"),
            (
                "v1",
                "PodDisruptionBudget",
                "PodDisruptionBudget of the group policy",
            ),
        ] {
            let found = stranger(version, kind).unwrap();
            let wanted = format!("there is no such kind, did you mean {hint}?");
            assert_eq!(found.why, wanted, "{version} {kind}");
        }
        let meant = stranger("v1", "Namespac").unwrap().meant;
        assert_eq!(meant, Some(Kind::Namespace));
        assert_eq!(stranger("v1", "Secrets").unwrap().meant, None);
        let none = stranger("policy/v1beta1", "PodSecurityPolicy").unwrap();
        assert_eq!(none.why, "Kubernetes' group policy has no such kind");
    }

    #[test]
    fn a_kind_that_may_be_one_is_no_mistake() {
        for (version, kind) in [
            ("v1", "Secret"),
            ("policy/v1", "PodDisruptionBudget"),
            ("example.com/v1", "Namespac"),
            ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
            ("gateway.networking.k8s.io/v1alpha2", "UDPRoute"),
            ("apps.kruise.io/v1alpha1", "StatefulSet"),
            ("velero.io/v1", "DownloadRequest"),
            ("longhorn.io/v1beta2", "Setting"),
            ("argoproj.io/v1alpha1", "Application"),
            ("kubeadm.k8s.io/v1beta4", "ClusterConfiguration"),
            ("scheduling.x-k8s.io/v1alpha1", "PodGroup"),
        ] {
            assert_eq!(stranger(version, kind), None, "{version} {kind}");
        }
    }

    #[test]
    fn every_builtin_kind_that_is_read_is_known_and_typed() {
        for kind in Kind::ALL.iter().filter(|kind| !kind.info().is_neighbour()) {
            let info = kind.info();
            let known = BUILTIN.iter().find(|(group, _)| *group == info.group);
            let mut kinds = known.unwrap().1.split(' ');
            assert!(kinds.any(|kind| kind == info.kind), "{}", info.kind);
            let bad = json!({ "metadata": { "name": "a", "labels": 7 } });
            assert!(
                matches!(typed(*kind, &bad), Fit::Misfit(_)),
                "{}",
                info.kind
            );
        }
    }

    #[test]
    fn a_field_of_a_wrong_type_is_named_with_its_path() {
        let deployment = |spec: &Value| {
            fit(
                Kind::Deployment,
                &json!({ "metadata": { "name": "a" }, "spec": spec }),
            )
        };
        let replicas = deployment(&json!({ "selector": {}, "replicas": "three" }));
        let Fit::Misfit(why) = replicas else {
            panic!("{replicas:?}");
        };
        assert!(
            why.starts_with("spec.replicas: invalid type: string \"three\", expected i32"),
            "{why}"
        );
        let containers = json!({ "template": { "spec": { "containers": [{ "name": "a" }, { "name": "b", "tty": "no" }] } } });
        let Fit::Misfit(why) = deployment(&containers) else {
            panic!();
        };
        assert!(
            why.starts_with("spec.template.spec.containers[1].tty: invalid type"),
            "{why}"
        );
        // Only our own decoder knows the types of other tools.
        let cilium = fit(
            Kind::CiliumNetworkPolicy,
            &json!({ "spec": { "ingress": "all" } }),
        );
        let Fit::Misfit(why) = cilium else {
            panic!("{cilium:?}");
        };
        assert!(why.starts_with("spec.ingress: invalid type"), "{why}");
    }

    #[test]
    fn what_an_api_server_takes_fits() {
        let pod = json!({
            "metadata": { "name": "a", "creationTimestamp": null, "labels": { "x": null } },
            "spec": {
                "containers": [{
                    "name": "a", "ports": null, "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
                    "livenessProbe": { "httpGet": { "port": "http" } },
                }],
                "volumes": [{ "name": "t", "emptyDir": { "sizeLimit": 5 } }],
            },
            "status": {},
        });
        assert_eq!(fit(Kind::Pod, &pod), Fit::Well);
        let mut typo = pod;
        typo["spec"]["hostNetwrok"] = true.into();
        assert_eq!(
            fit(Kind::Pod, &typo),
            Fit::Surplus("spec.hostNetwrok".to_owned())
        );
    }
}
