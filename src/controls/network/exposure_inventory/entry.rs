//! Entry points: who can reach them, as far as the cluster shows.

use std::collections::BTreeSet;

use super::{ExposureInventory, InternalAnnotation};
use crate::{
    analysis::{addresses::Addresses, listeners},
    controls::{prelude::*, workloads},
    inventory::{
        core::{INTERNAL_ANNOTATIONS, Outside, Says},
        ingress::{Gateway, ISTIO_SERVICE_TYPE, Ingress, Listener},
    },
};

/// Annotations by which Ingress controllers make an entry point internal: `buildLoadBalancerScheme` of
/// aws-load-balancer-controller, `UsePrivateIP` in Azure/application-gateway-kubernetes-ingress, `pkg/annotations`, and
/// `GceL7ILBIngressClass` in kubernetes/ingress-gce, `pkg/annotations`.
const INTERNAL_INGRESS: [(&str, Says); 3] = [
    (
        "alb.ingress.kubernetes.io/scheme",
        Says::Word(&["internal"]),
    ),
    ("appgw.ingress.kubernetes.io/use-private-ip", Says::True),
    ("kubernetes.io/ingress.class", Says::Word(&["gce-internal"])),
];

/// Annotations that count only where a newer one, which decides, is absent
/// (`buildLoadBalancerSchemeViaAnnotation` of aws-load-balancer-controller,
/// `GetLoadBalancerAnnotationType` of cloud-provider-gcp, `AnnotationRequest.Get` of
/// cloud-provider-alibaba-cloud).
const OLDER: [(&str, &str); 3] = [
    (
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
    ),
    (
        "cloud.google.com/load-balancer-type",
        "networking.gke.io/load-balancer-type",
    ),
    (
        "service.beta.kubernetes.io/alicloud-loadbalancer-address-type",
        "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type",
    ),
];

/// Which of its two kinds of load balancers Oracle's cloud makes: each heeds an annotation of its own
/// (`getLoadBalancerType` and `isInternalLB` of oci-cloud-controller-manager).
const OCI_TYPE: &str = "oci.oraclecloud.com/load-balancer-type";

/// With it, Scaleway's cloud takes a load balancer as somebody else made it, and heeds no `private`
/// (`docs/loadbalancer-annotations.md` of scaleway-cloud-controller-manager).
const SCALEWAY_FOREIGN: &str = "service.beta.kubernetes.io/scw-loadbalancer-externally-managed";

/// Classes of load balancers that go before what annotations say (`hasLoadBalancerClass` in
/// kubernetes/cloud-provider-gcp, `providers/gce`).
const EXTERNAL_CLASSES: [&str; 2] = [
    "networking.gke.io/l4-regional-external",
    "networking.gke.io/l4-regional-external-legacy",
];

/// Classes of Istio, which makes the Service of a Gateway of the type that an annotation says.
const ISTIO_CLASSES: [&str; 3] = ["istio", "istio-waypoint", "istio-east-west"];

/// Classes that are internal by their definition, or unless an annotation says otherwise: of Gateways, of Ingresses and of
/// load balancers (`RegionalInternalLoadBalancerClass` in kubernetes/ingress-gce, `pkg/l4/annotations`).
const INTERNAL_CLASSES: [&str; 7] = [
    "istio-waypoint",
    "gce-internal",
    "gke-l7-rilb",
    "gke-l7-rilb-mc",
    "gke-l7-cross-regional-internal-managed-mc",
    "networking.gke.io/l4-regional-internal",
    "networking.gke.io/l4-regional-internal-legacy",
];

/// An entry point.
pub(super) struct Entry<'a> {
    pub(super) meta: &'a Meta,
    pub(super) reach: Reach,
    /// What it is, in words.
    pub(super) what: String,
    /// Ports that it opens.
    pub(super) ports: Vec<u16>,
}

/// Who can reach an entry point.
pub(super) enum Reach {
    /// Only the inside.
    Internal,
    /// Whoever reaches the nodes.
    Node,
    /// The public, by a load balancer of its own.
    Balancer,
    /// The public, by a proxy.
    Http,
    /// Whoever reaches addresses that its author chose.
    ExternalIps,
    /// It is a part of a Gateway.
    ByGateway(String),
}

impl<'a> Entry<'a> {
    /// The entry point that `subject` is.
    pub(super) fn of(
        context: &Context<'a>,
        subject: &Subject,
        control: &ExposureInventory,
    ) -> Option<Self> {
        let (inventory, internal) = (context.inventory, &*control.internal_classes);
        let tables = &inventory.tables;
        let (namespace, name) = (subject.object_namespace(), &*subject.name);
        match subject.object_kind()? {
            Kind::Service => {
                let object = tables.services.get(namespace, name)?;
                let outside = object.spec.outside.as_deref()?;
                Some(service(&object.meta, outside, control))
            }
            Kind::Ingress => {
                let object = tables.ingresses.get(namespace, name)?;
                Some(ingress(&object.meta, &object.spec, internal))
            }
            Kind::Gateway => {
                let object = tables.gateways.get(namespace, name)?;
                let added = listeners::added(inventory, object);
                Some(gateway(&object.meta, &object.spec, added, internal))
            }
            _ => {
                let held = workloads::find(inventory, subject)?;
                let ports = host_ports(context, subject);
                (!ports.is_empty()).then(|| Entry {
                    meta: held.meta,
                    reach: Reach::Node,
                    what: format!(
                        "each node that runs it opens a hostPort for {}",
                        words(&ports)
                    ),
                    ports,
                })
            }
        }
    }
}

/// The ports of their nodes that the pods of a workload open: by its template, or by live pods.
pub(super) fn host_ports(context: &Context<'_>, subject: &Subject) -> Vec<u16> {
    let held = workloads::find(context.inventory, subject);
    let own = held.iter().map(|held| held.template);
    let looks = own.chain(context.analyses.on_node().pods(subject));
    let ports = looks.flat_map(|look| look.ports.iter());
    let ports = ports.filter(|port| port.host).map(|port| port.number);
    let ports: BTreeSet<_> = ports.collect();
    ports.into_iter().collect()
}

fn is_internal(class: Option<&str>, internal: &[String]) -> bool {
    class.is_some_and(|class| {
        INTERNAL_CLASSES.contains(&class) || internal.iter().any(|known| known == class)
    })
}

/// Whether one of these annotations is said, and no other one goes before it.
fn has_annotation(meta: &Meta, known: &[(&str, Says)]) -> bool {
    let is_said = |key: &str, says: Says| {
        let found = meta.annotations.get(key);
        found.is_some_and(|value| says.is_said(value))
    };
    let mut known = known.iter();
    known.any(|(key, says)| is_said(key, *says) && !overruled(meta, key))
}

/// Whether an annotation is not heeded because of another one, whoever lists it.
fn overruled(meta: &Meta, key: &str) -> bool {
    let get = |key: &str| meta.annotations.get(key);
    match key {
        "service.beta.kubernetes.io/oci-load-balancer-internal" => is_network_balancer(meta),
        "oci-network-load-balancer.oraclecloud.com/internal" => !is_network_balancer(meta),
        "service.beta.kubernetes.io/scw-loadbalancer-private" => {
            get(SCALEWAY_FOREIGN).is_some_and(|value| Says::True.is_said(value))
        }
        _ => {
            let mut older = OLDER.iter().filter(|(older, _)| *older == key);
            older.any(|(_, newer)| get(newer).is_some())
        }
    }
}

fn is_network_balancer(meta: &Meta) -> bool {
    let kind = meta.annotations.get(OCI_TYPE);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("nlb"))
}

fn service<'a>(meta: &'a Meta, outside: &Outside, control: &ExposureInventory) -> Entry<'a> {
    let ports = outside.ports.to_vec();
    let at = words(&ports);
    let kind = &*outside.kind;
    let entry = |reach, what| Entry {
        meta,
        reach,
        what,
        ports: ports.clone(),
    };
    let owner = meta.owners.controller.as_deref();
    if let Some(gateway) = owner.filter(|owner| owner.starts_with("Gateway/")) {
        return entry(Reach::ByGateway(gateway.replace('/', " ")), String::new());
    }
    if outside.external_ips {
        let what = format!("spec.externalIPs catches traffic for addresses of its choice at {at}");
        return entry(Reach::ExternalIps, what);
    }
    if kind == "NodePort" {
        return entry(Reach::Node, format!("every node opens a port for {at}"));
    }
    let nodes = if outside.node_ports {
        " (every node opens a port for it as well)"
    } else {
        ""
    };
    let class = outside.class.as_deref();
    let mut own = control.internal_annotations.iter();
    let by_cloud = || {
        let external = class.is_some_and(|class| EXTERNAL_CLASSES.contains(&class));
        !external && has_annotation(meta, &INTERNAL_ANNOTATIONS)
    };
    let by_policy = |own: &InternalAnnotation| {
        let found = meta.annotations.get(&own.key);
        found.is_some_and(|found| found.eq_ignore_ascii_case(&own.value))
            && !overruled(meta, &own.key)
    };
    if is_internal(class, &control.internal_classes) || by_cloud() || own.any(by_policy) {
        let what = format!("an internal load balancer leads to {at}{nodes}");
        return entry(Reach::Internal, what);
    }
    let mut sources = Addresses::default();
    outside
        .sources
        .iter()
        .for_each(|source| sources.add(*source));
    if !outside.sources.is_empty() && !outside.bad_source && !sources.is_internet() {
        let what = format!("a load balancer lets limited sources reach {at}{nodes}");
        return entry(Reach::Internal, what);
    }
    entry(
        Reach::Balancer,
        format!("a load balancer lets the public reach {at}{nodes}"),
    )
}

fn ingress<'a>(meta: &'a Meta, ingress: &Ingress, internal: &[String]) -> Entry<'a> {
    let class = ingress.class.as_deref();
    let hosts: Vec<_> = ingress
        .hosts
        .iter()
        .map(|host| &**host)
        .filter(|h| !h.is_empty())
        .collect();
    let hosts = if hosts.is_empty() {
        "every host name".to_owned()
    } else {
        hosts.into_iter().take(3).collect::<Vec<_>>().join(", ")
    };
    let inside = is_internal(class, internal) || has_annotation(meta, &INTERNAL_INGRESS);
    let (reach, who) = if inside {
        (Reach::Internal, "the inside")
    } else {
        (Reach::Http, "the public")
    };
    let class = class.map_or(String::new(), |class| format!(" of class {class}"));
    Entry {
        meta,
        reach,
        what: format!("an Ingress{class} lets {who} reach {hosts}"),
        // Those that nearly every controller serves it at; the Ingress itself names none.
        ports: vec![80, 443],
    }
}

fn gateway<'a>(
    meta: &'a Meta,
    gateway: &'a Gateway,
    added: impl Iterator<Item = &'a Listener>,
    internal: &[String],
) -> Entry<'a> {
    let listeners = gateway.listeners.iter().chain(added);
    let mut ports: Vec<u16> = listeners.map(|listener| listener.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let listed = internal.iter().any(|known| **known == *gateway.class);
    let by_istio = ISTIO_CLASSES.contains(&&*gateway.class) && !listed;
    let service = meta.annotations.get(ISTIO_SERVICE_TYPE);
    let service = service.filter(|kind| by_istio && !kind.is_empty());
    let (reach, who) = match service {
        Some("ClusterIP") => (Reach::Internal, "the inside"),
        Some("NodePort") => (Reach::Node, "whoever reaches the nodes"),
        None if is_internal(Some(&gateway.class), internal) => (Reach::Internal, "the inside"),
        _ => (Reach::Http, "the public"),
    };
    let (class, at) = (&gateway.class, words(&ports));
    Entry {
        meta,
        reach,
        what: format!("a Gateway of class {class} lets {who} reach {at}"),
        ports,
    }
}

fn words(ports: &[u16]) -> String {
    let shown: Vec<_> = ports.iter().take(8).map(u16::to_string).collect();
    match shown.as_slice() {
        [] => "no port".to_owned(),
        [port] => format!("port {port}"),
        ports => format!("ports {}", ports.join(", ")),
    }
}
