//! Entry points for HTTP: Ingresses, Gateways and what belongs to them.

mod certificate;
mod gateway;

use serde::{Deserialize, de::IgnoredAny};

pub(super) use self::certificate::Condition;
pub use self::{
    certificate::Certificate,
    gateway::{
        CERTIFICATE_MAP, Gateway, ISTIO_SERVICE_TYPE, Listener, ListenerSet, ListenerTls, Parent,
        Route, RoutesFrom,
    },
};
use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    wire::sym,
};

/// An Ingress.
#[derive(Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Its class, from the spec or the older annotation.
    pub class: Option<Sym>,
    /// Hosts of the rules; empty where a rule has none.
    pub hosts: Box<[Sym]>,
    /// Whether it has a backend for requests that no rule is for.
    pub default_backend: bool,
    /// TLS blocks.
    pub tls: Box<[Tls]>,
    /// Services that it leads to.
    pub services: Box<[Sym]>,
    /// Where clients reach it, from its status.
    pub addresses: Box<[Sym]>,
}

/// A TLS block of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tls {
    /// Hosts; empty means whatever the certificate says.
    pub hosts: Box<[Sym]>,
    /// Name of the certificate's Secret; an empty one is none.
    pub secret: Option<Sym>,
}

/// An `IngressClass`.
#[derive(Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// The controller that serves it, such as `k8s.io/ingress-nginx`.
    pub controller: Sym,
    /// Whether it refers to an object with parameters.
    pub parameters: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireIngress<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: Option<IngressSpec<'a>>,
    #[serde(borrow)]
    status: Option<IngressStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IngressStatus<'a> {
    #[serde(borrow)]
    load_balancer: Option<Balancer<'a>>,
}

#[derive(Debug, Deserialize)]
struct Balancer<'a> {
    #[serde(borrow)]
    ingress: Option<Vec<Entrance<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Entrance<'a> {
    #[serde(borrow)]
    ip: Option<Str<'a>>,
    #[serde(borrow)]
    hostname: Option<Str<'a>>,
}

impl IngressStatus<'_> {
    fn addresses(self) -> impl Iterator<Item = String> {
        let entrances = self.load_balancer.and_then(|balancer| balancer.ingress);
        let entrances = entrances.into_iter().flatten();
        let named = entrances.filter_map(|entrance| entrance.ip.or(entrance.hostname));
        named.map(|address| address.0.into_owned())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IngressSpec<'a> {
    #[serde(borrow)]
    ingress_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    default_backend: Option<Backend<'a>>,
    #[serde(borrow)]
    rules: Option<Vec<IngressRule<'a>>>,
    #[serde(borrow)]
    tls: Option<Vec<WireTls<'a>>>,
}

#[derive(Debug, Deserialize)]
struct IngressRule<'a> {
    #[serde(borrow)]
    host: Option<Str<'a>>,
    #[serde(borrow)]
    http: Option<Paths<'a>>,
}

#[derive(Debug, Deserialize)]
struct Paths<'a> {
    #[serde(borrow)]
    paths: Option<Vec<Path<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Path<'a> {
    #[serde(borrow)]
    backend: Option<Backend<'a>>,
}

#[derive(Debug, Deserialize)]
struct Backend<'a> {
    #[serde(borrow)]
    service: Option<Named<'a>>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Str<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTls<'a> {
    #[serde(borrow)]
    hosts: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    secret_name: Option<Str<'a>>,
}

fn syms(list: Option<Vec<Str<'_>>>, interner: &mut Interner) -> Box<[Sym]> {
    let list = list.unwrap_or_default();
    list.iter().map(|text| interner.string(text)).collect()
}

/// The path of an annotation in `fieldsV1`.
macro_rules! annotation {
    ($key:literal) => {
        &["f:metadata", "f:annotations", concat!("f:", $key)]
    };
}

impl Projection for Ingress {
    type Wire<'a> = WireIngress<'a>;
    // The TLS blocks first, then the annotations by which controllers redirect plain HTTP.
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[
        &["f:spec", "f:tls"],
        annotation!("nginx.ingress.kubernetes.io/ssl-redirect"),
        annotation!("nginx.ingress.kubernetes.io/force-ssl-redirect"),
        annotation!("haproxy.org/ssl-redirect"),
        annotation!("haproxy-ingress.github.io/ssl-redirect"),
        annotation!("ingress.kubernetes.io/force-ssl-redirect"),
        annotation!("alb.ingress.kubernetes.io/ssl-redirect"),
        annotation!("kubernetes.io/ingress.allow-http"),
    ];

    // Controllers take redirects and certificates by annotation; last-applied is a copy of the spec.
    fn keeps_annotation(key: &str) -> bool {
        key != "kubectl.kubernetes.io/last-applied-configuration"
    }

    fn project(wire: WireIngress<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let rules = spec.rules.unwrap_or_default();
        let class = spec.ingress_class_name.as_deref();
        let class = class.or_else(|| meta.annotations.get("kubernetes.io/ingress.class"));
        let paths = rules.iter().filter_map(|rule| rule.http.as_ref());
        let backends = paths
            .flat_map(|http| http.paths.iter().flatten())
            .filter_map(|path| path.backend.as_ref())
            .chain(spec.default_backend.as_ref());
        let mut services: Vec<Sym> = backends
            .filter_map(|backend| backend.service.as_ref())
            .map(|service| interner.string(&service.name))
            .collect();
        services.sort();
        services.dedup();
        let ingress = Self {
            class: class.map(|class| interner.string(class)),
            hosts: rules
                .iter()
                .map(|rule| interner.string(rule.host.as_deref().unwrap_or_default()))
                .collect(),
            default_backend: spec.default_backend.is_some(),
            tls: spec
                .tls
                .into_iter()
                .flatten()
                .map(|tls| Tls {
                    hosts: syms(tls.hosts, interner),
                    secret: sym(tls.secret_name.as_ref(), interner),
                })
                .collect(),
            services: services.into(),
            addresses: wire
                .status
                .into_iter()
                .flat_map(IngressStatus::addresses)
                .map(|address| interner.string(&address))
                .collect(),
        };
        Ok((meta, ingress))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<ClassSpec<'a>>,
}

#[derive(Debug, Deserialize)]
struct ClassSpec<'a> {
    #[serde(borrow)]
    controller: Option<Str<'a>>,
    parameters: Option<IgnoredAny>,
}

impl Projection for IngressClass {
    type Wire<'a> = WireClass<'a>;

    fn keeps_annotation(key: &str) -> bool {
        key == "ingressclass.kubernetes.io/is-default-class" || super::ours(key)
    }

    fn project(wire: WireClass<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let (controller, parameters) = wire
            .spec
            .map_or((None, None), |spec| (spec.controller, spec.parameters));
        let class = Self {
            controller: interner.string(controller.as_deref().unwrap_or_default()),
            parameters: parameters.is_some(),
        };
        Ok((meta, class))
    }
}
