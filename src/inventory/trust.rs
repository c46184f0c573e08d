//! Whom the API server calls, and whose certificates it trusts for that: admission webhooks and
//! aggregated APIs. And whether Prometheus checks those of what it scrapes.

use k8s_openapi::ByteString;
use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
};
use crate::analysis::certificates::{Bundle, read_bundle};

/// A `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration`.
#[derive(Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// Its webhooks.
    pub hooks: Box<[Hook]>,
}

/// A webhook.
#[derive(Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name.
    pub name: Sym,
    /// Its address, where it is given as a URL rather than as a Service.
    pub url: Option<Sym>,
    /// The namespace of the Service that serves it, where it is one.
    pub namespace: Option<Sym>,
    /// The authorities that its certificate is checked against; empty means those of the API
    /// server's own system.
    pub bundle: Bundle,
}

/// An `APIService`.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiService {
    /// The Service that serves it, as `namespace/name`; `None` for what the API server serves by
    /// itself.
    pub service: Option<Sym>,
    /// Whether the certificate of the Service is not checked.
    pub insecure: bool,
    /// The authorities that its certificate is checked against.
    pub bundle: Bundle,
}

/// A `ServiceMonitor` or `PodMonitor` of the Prometheus operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Whether one of its scrapes checks no certificate.
    pub insecure: bool,
}

/// Annotations by which tools are asked to fill a bundle in.
const INJECTORS: [&str; 4] = [
    "cert-manager.io/inject-apiserver-ca",
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "service.beta.openshift.io/inject-cabundle",
];

/// Whether an annotation asks a tool to fill a bundle in.
pub fn is_injector(key: &str) -> bool {
    INJECTORS.contains(&key)
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireWebhooks<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    webhooks: Option<Vec<WireHook<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHook<'a> {
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    client_config: Option<ClientConfig<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig<'a> {
    #[serde(borrow)]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    service: Option<ServiceReference<'a>>,
    ca_bundle: Option<ByteString>,
}

fn bundle(pem: Option<ByteString>) -> Bundle {
    pem.map_or(Bundle::Empty, |pem| read_bundle(&pem.0))
}

impl Projection for Webhooks {
    type Wire<'a> = WireWebhooks<'a>;

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || is_injector(key)
    }

    fn project(wire: WireWebhooks<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let hooks = wire.webhooks.into_iter().flatten().map(|hook| {
            let client = hook.client_config.unwrap_or_default();
            Hook {
                name: interner.string(&hook.name),
                url: client.url.map(|url| interner.string(&url)),
                namespace: client
                    .service
                    .and_then(|service| service.namespace)
                    .map(|namespace| interner.string(&namespace)),
                bundle: bundle(client.ca_bundle),
            }
        });
        let hooks = hooks.collect();
        Ok((meta, Self { hooks }))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireApiService<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<ApiServiceSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiServiceSpec<'a> {
    #[serde(borrow)]
    service: Option<ServiceReference<'a>>,
    #[serde(rename = "insecureSkipTLSVerify")]
    insecure: Option<bool>,
    ca_bundle: Option<ByteString>,
}

#[derive(Debug, Deserialize)]
struct ServiceReference<'a> {
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
}

impl Projection for ApiService {
    type Wire<'a> = WireApiService<'a>;

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || is_injector(key)
    }

    fn project(wire: WireApiService<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let service = spec.service.map(|service| {
            let namespace = service.namespace.unwrap_or_default();
            let name = service.name.unwrap_or_default();
            interner.string(&format!("{}/{}", &*namespace, &*name))
        });
        let api = Self {
            service,
            insecure: spec.insecure == Some(true),
            bundle: bundle(spec.ca_bundle),
        };
        Ok((meta, api))
    }
}

/// The object on the wire. The two kinds call their endpoints differently (prometheus-operator,
/// `pkg/apis/monitoring/v1`).
#[derive(Debug, Deserialize)]
pub struct WireMonitor<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    spec: Option<MonitorSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MonitorSpec {
    endpoints: Option<Vec<Endpoint>>,
    pod_metrics_endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    tls_config: Option<TlsConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsConfig {
    insecure_skip_verify: Option<bool>,
}

impl Projection for Monitor {
    type Wire<'a> = WireMonitor<'a>;

    fn project(wire: WireMonitor<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let lists = [spec.endpoints, spec.pod_metrics_endpoints];
        let mut endpoints = lists.into_iter().flatten().flatten();
        let insecure = endpoints.any(|endpoint| {
            let tls = endpoint.tls_config;
            tls.is_some_and(|tls| tls.insecure_skip_verify == Some(true))
        });
        Ok((meta, Self { insecure }))
    }
}
