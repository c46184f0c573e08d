//! Small kinds of which few fields are read: Services and CRDs.

use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Labels, Str, StrMap, WireMeta},
    network_policy::{Cidr, IntOrString},
};

/// A Service.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Labels of the pods that it leads to; `None` without a selector.
    pub selector: Option<Labels>,
    /// What makes it reachable from outside; `None` where nothing does.
    pub outside: Option<Box<Outside>>,
    /// Ports of the pods that it leads to.
    pub targets: Box<[Target]>,
}

/// What makes a Service reachable from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its type: `LoadBalancer`, `NodePort`, or another with external addresses.
    pub kind: Sym,
    /// Whether it has external addresses.
    pub external_ips: bool,
    /// Class of the load balancer.
    pub class: Option<Sym>,
    /// Addresses that the load balancer lets in; empty means all.
    pub sources: Box<[Cidr]>,
    /// Whether one of them can't be read.
    pub bad_source: bool,
    /// Whether a load balancer opens a port on each node as well.
    pub node_ports: bool,
    /// Ports of the Service.
    pub ports: Box<[u16]>,
}

/// What an annotation has to say, so that its cloud takes it.
#[derive(Debug, Clone, Copy)]
pub enum Says {
    /// One of these words.
    Word(&'static [&'static str]),
    /// What Go's `ParseBool` takes for true.
    True,
    /// Anything but what Go's `ParseBool` takes for false.
    NotFalse,
}

impl Says {
    /// Whether `value` says it.
    pub fn is_said(self, value: &str) -> bool {
        match self {
            Self::Word(words) => words.contains(&value),
            Self::True => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            Self::NotFalse => !matches!(value, "" | "0" | "f" | "F" | "false" | "FALSE" | "False"),
        }
    }
}

/// Annotations by which clouds make the load balancer of a Service an internal one, each as the code of its cloud reads it.
#[rustfmt::skip]
pub const INTERNAL_ANNOTATIONS: [(&str, Says); 15] = [
    // `EnsureLoadBalancer` in kubernetes/cloud-provider-aws, `pkg/providers/v1/aws.go`: whatever is not `false`;
    // `buildLoadBalancerSchemeLegacyAnnotation` in aws-load-balancer-controller: a Go bool.
    ("service.beta.kubernetes.io/aws-load-balancer-internal", Says::NotFalse),
    // `buildLoadBalancerSchemeViaAnnotation` in aws-load-balancer-controller, `pkg/service/model_build_load_balancer.go`.
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", Says::Word(&["internal"])),
    // `GetLoadBalancerAnnotationType` in kubernetes/cloud-provider-gcp, `providers/gce/gce_annotations.go`.
    ("networking.gke.io/load-balancer-type", Says::Word(&["Internal", "internal"])),
    ("cloud.google.com/load-balancer-type", Says::Word(&["Internal", "internal"])),
    // `requiresInternalLoadBalancer` in cloud-provider-azure, `pkg/provider/azure_loadbalancer.go`.
    ("service.beta.kubernetes.io/azure-load-balancer-internal", Says::Word(&["true"])),
    // `getBoolFromServiceAnnotation` in cloud-provider-openstack, `pkg/openstack/loadbalancer.go`.
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", Says::Word(&["true"])),
    // `isInternalLB` in oracle/oci-cloud-controller-manager, `pkg/cloudprovider/providers/oci/load_balancer_spec.go`.
    ("service.beta.kubernetes.io/oci-load-balancer-internal", Says::True),
    ("oci-network-load-balancer.oraclecloud.com/internal", Says::True),
    // kubernetes/website, `docs/concepts/services-networking/service.md`, "Internal load balancer".
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", Says::Word(&["private"])),
    // `AnnotationRequest.Get` in cloud-provider-alibaba-cloud, `pkg/controller/service/reconcile/annotation`.
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", Says::Word(&["intranet"])),
    ("service.beta.kubernetes.io/alicloud-loadbalancer-address-type", Says::Word(&["intranet"])),
    // `getNetwork` in digitalocean-cloud-controller-manager, `cloud-controller-manager/do/loadbalancers.go`.
    ("service.beta.kubernetes.io/do-loadbalancer-network", Says::Word(&["INTERNAL"])),
    // `LBDisablePublicNetwork` in hcloud-cloud-controller-manager, `internal/annotation/load_balancer.go`.
    ("load-balancer.hetzner.cloud/disable-public-network", Says::True),
    // `svcPrivate` in scaleway-cloud-controller-manager, `scaleway/loadbalancers_annotations.go`.
    ("service.beta.kubernetes.io/scw-loadbalancer-private", Says::True),
    // kubernetes/website, as above: Tencent's takes the subnet that the load balancer lies in.
    ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", Says::NotFalse),
];

/// The whole object once more, as kubectl last sent it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A port of the pods that a Service leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// By number.
    Number(u16),
    /// By name.
    Name(Sym),
}

/// A `CustomResourceDefinition`.
#[derive(Debug, PartialEq, Eq)]
pub struct Crd {
    /// Its API group.
    pub group: Sym,
    /// Plural name of its resource.
    pub plural: Sym,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireService<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<ServiceSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    selector: Option<StrMap<'a>>,
    #[serde(borrow, rename = "externalIPs")]
    external_ips: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    ports: Option<Vec<ServicePort<'a>>>,
    #[serde(borrow)]
    load_balancer_class: Option<Str<'a>>,
    #[serde(borrow)]
    load_balancer_source_ranges: Option<Vec<Str<'a>>>,
    allocate_load_balancer_node_ports: Option<bool>,
}

impl ServiceSpec<'_> {
    fn outside(&self, interner: &mut Interner) -> Option<Box<Outside>> {
        let kind = self.kind.as_deref().unwrap_or("ClusterIP");
        let external_ips = self
            .external_ips
            .as_ref()
            .is_some_and(|ips| !ips.is_empty());
        if !external_ips && !matches!(kind, "LoadBalancer" | "NodePort") {
            return None;
        }
        let sources = self.load_balancer_source_ranges.iter().flatten();
        let sources: Vec<_> = sources.map(|source| Cidr::parse(source.trim())).collect();
        let ports = self.ports.iter().flatten();
        Some(Box::new(Outside {
            kind: interner.string(kind),
            external_ips,
            class: self
                .load_balancer_class
                .as_deref()
                .map(|class| interner.string(class)),
            bad_source: sources.iter().any(Option::is_none),
            sources: sources.into_iter().flatten().collect(),
            node_ports: kind == "NodePort"
                || (kind == "LoadBalancer"
                    && self.allocate_load_balancer_node_ports != Some(false)),
            ports: ports.map(|port| port.port).collect(),
        }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort<'a> {
    port: u16,
    #[serde(borrow)]
    target_port: Option<IntOrString<'a>>,
}

impl Projection for Service {
    type Wire<'a> = WireService<'a>;

    fn keeps_label(key: &str) -> bool {
        super::ours(key)
    }

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || INTERNAL_ANNOTATIONS.iter().any(|(known, _)| *known == key)
    }

    fn project(wire: WireService<'_>, interner: &mut Interner) -> Projected<Self> {
        let kind = wire.spec.as_ref().and_then(|spec| spec.kind.as_deref());
        // There are few load balancers, and policies may name annotations of theirs.
        let keeps = match kind {
            Some("LoadBalancer") => |key: &str| key != LAST_APPLIED,
            _ => Self::keeps_annotation,
        };
        let meta = wire
            .metadata
            .project(interner, Self::OWNED_PATHS, Self::keeps_label, keeps)?;
        let spec = wire.spec.unwrap_or_default();
        let outside = spec.outside(interner);
        let selector = spec.selector.filter(|selector| !selector.0.is_empty());
        let service = Self {
            outside,
            selector: selector.map(|map| Labels::project(Some(map), interner, |_| true)),
            targets: spec
                .ports
                .into_iter()
                .flatten()
                .map(|port| match port.target_port {
                    None | Some(IntOrString::Int(0)) => Target::Number(port.port),
                    Some(IntOrString::Int(number)) => Target::Number(number),
                    Some(IntOrString::String(name)) => Target::Name(interner.string(&name)),
                })
                .collect(),
        };
        Ok((meta, service))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireCrd<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: CrdSpec<'a>,
}

#[derive(Debug, Deserialize)]
struct CrdSpec<'a> {
    #[serde(borrow)]
    group: Str<'a>,
    #[serde(borrow)]
    names: CrdNames<'a>,
}

#[derive(Debug, Deserialize)]
struct CrdNames<'a> {
    #[serde(borrow)]
    plural: Str<'a>,
}

impl Projection for Crd {
    type Wire<'a> = WireCrd<'a>;

    fn project(wire: WireCrd<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let crd = Self {
            group: interner.string(&wire.spec.group),
            plural: interner.string(&wire.spec.names.plural),
        };
        Ok((meta, crd))
    }
}
