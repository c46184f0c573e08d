//! Entry points for HTTP: Ingresses, Gateways and what belongs to them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    selector::{Selector, WireSelector},
};

/// An Ingress.
#[derive(Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Its class, from the spec or the older annotation.
    pub class: Option<Sym>,
    /// Hosts of the rules; empty where a rule has none.
    pub hosts: Box<[Sym]>,
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
    /// Name of the certificate's Secret.
    pub secret: Option<Sym>,
}

/// An `IngressClass`.
#[derive(Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// The controller that serves it, such as `k8s.io/ingress-nginx`.
    pub controller: Sym,
}

/// A Gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its class.
    pub class: Sym,
    /// Its listeners.
    pub listeners: Box<[Listener]>,
    /// Where clients reach it, from its status.
    pub addresses: Box<[Sym]>,
}

/// A listener of a Gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name.
    pub name: Sym,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP` or `UDP`.
    pub protocol: Sym,
    /// Port.
    pub port: u16,
    /// Host name; `None` means all.
    pub hostname: Option<Sym>,
    /// TLS mode and whether a certificate is named; `None` without a `tls` block.
    pub tls: Option<ListenerTls>,
    /// From which namespaces routes may attach.
    pub from: RoutesFrom,
}

/// The TLS block of a listener.
#[derive(Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// `Terminate` (the default) or `Passthrough`.
    pub passthrough: bool,
    /// Certificates named, or options that name one for the controller.
    pub certificates: usize,
}

/// From which namespaces routes may attach to a listener.
#[derive(Debug, PartialEq, Eq)]
pub enum RoutesFrom {
    /// The Gateway's own.
    Same,
    /// All.
    All,
    /// Those with these labels.
    Selector(Selector),
    /// None.
    None,
}

/// An `HTTPRoute`.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpRoute {
    /// Gateways (and their listeners) that it attaches to.
    pub parents: Box<[Parent]>,
    /// Host names; empty means all of the listener.
    pub hostnames: Box<[Sym]>,
    /// Whether every rule is a redirect to https.
    pub redirects_only: bool,
    /// Services that it leads to, by namespace and name.
    pub services: Box<[(Sym, Sym)]>,
}

/// What a route attaches to.
#[derive(Debug, PartialEq, Eq)]
pub struct Parent {
    /// Namespace of the Gateway.
    pub namespace: Sym,
    /// Name of the Gateway.
    pub gateway: Sym,
    /// One listener by name; `None` means all that match.
    pub section: Option<Sym>,
    /// Listeners on one port; `None` means all that match.
    pub port: Option<u16>,
}

/// A cert-manager Certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Name of the Secret that it fills.
    pub secret: Sym,
    /// Names in the certificate.
    pub dns_names: Box<[Sym]>,
    /// Whether condition `Ready` is `True`.
    pub ready: bool,
    /// Since when condition `Ready` says what it says.
    pub ready_since: Option<Timestamp>,
    /// When the certificate begins.
    pub not_before: Option<Timestamp>,
    /// When the certificate ends.
    pub not_after: Option<Timestamp>,
    /// When cert-manager renews it.
    pub renewal: Option<Timestamp>,
    /// Attempts to issue it that failed since the last that did not.
    pub failed_attempts: u32,
    /// How long each certificate is to be valid, in seconds, where the spec says.
    pub duration: Option<i64>,
    /// Bits of its RSA key, where the spec says.
    pub rsa_bits: Option<u32>,
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
            tls: spec
                .tls
                .into_iter()
                .flatten()
                .map(|tls| Tls {
                    hosts: syms(tls.hosts, interner),
                    secret: tls.secret_name.map(|name| interner.string(&name)),
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
}

impl Projection for IngressClass {
    type Wire<'a> = WireClass<'a>;

    fn keeps_annotation(key: &str) -> bool {
        key == "ingressclass.kubernetes.io/is-default-class" || super::ours(key)
    }

    fn project(wire: WireClass<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let controller = wire
            .spec
            .and_then(|spec| spec.controller)
            .unwrap_or_default();
        let controller = interner.string(&controller);
        Ok((meta, Self { controller }))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireGateway<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<GatewaySpec<'a>>,
    #[serde(borrow)]
    status: Option<GatewayStatus<'a>>,
}

#[derive(Debug, Deserialize)]
struct GatewayStatus<'a> {
    #[serde(borrow)]
    addresses: Option<Vec<GatewayAddress<'a>>>,
}

#[derive(Debug, Deserialize)]
struct GatewayAddress<'a> {
    #[serde(borrow)]
    value: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewaySpec<'a> {
    #[serde(borrow)]
    gateway_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    listeners: Option<Vec<WireListener<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireListener<'a> {
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    protocol: Str<'a>,
    port: u16,
    #[serde(borrow)]
    hostname: Option<Str<'a>>,
    #[serde(borrow)]
    tls: Option<WireListenerTls<'a>>,
    #[serde(borrow)]
    allowed_routes: Option<AllowedRoutes<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireListenerTls<'a> {
    #[serde(borrow)]
    mode: Option<Str<'a>>,
    #[serde(borrow)]
    certificate_refs: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    options: Option<super::meta::StrMap<'a>>,
}

#[derive(Debug, Deserialize)]
struct AllowedRoutes<'a> {
    #[serde(borrow)]
    namespaces: Option<RouteNamespaces<'a>>,
}

#[derive(Debug, Deserialize)]
struct RouteNamespaces<'a> {
    #[serde(borrow)]
    from: Option<Str<'a>>,
    #[serde(borrow)]
    selector: Option<WireSelector<'a>>,
}

impl Projection for Gateway {
    type Wire<'a> = WireGateway<'a>;

    fn project(wire: WireGateway<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let (class, listeners) = wire.spec.map_or((None, None), |spec| {
            (spec.gateway_class_name, spec.listeners)
        });
        let class = interner.string(class.as_deref().unwrap_or_default());
        let listeners = listeners
            .unwrap_or_default()
            .into_iter()
            .map(|l| listener(l, interner));
        let listeners = listeners.collect::<Result<_, _>>()?;
        let addresses = wire.status.and_then(|status| status.addresses);
        let addresses = addresses.into_iter().flatten();
        let addresses = addresses.filter_map(|address| address.value);
        let gateway = Self {
            class,
            listeners,
            addresses: addresses.map(|value| interner.string(&value)).collect(),
        };
        Ok((meta, gateway))
    }
}

fn listener(wire: WireListener<'_>, interner: &mut Interner) -> Result<Listener, &'static str> {
    let namespaces = wire.allowed_routes.and_then(|routes| routes.namespaces);
    let from = match namespaces {
        None => RoutesFrom::Same,
        Some(RouteNamespaces { from, selector }) => match from.as_deref().unwrap_or("Same") {
            "Same" => RoutesFrom::Same,
            "All" => RoutesFrom::All,
            "None" => RoutesFrom::None,
            "Selector" => RoutesFrom::Selector(selector.unwrap_or_default().project(interner)?),
            _ => return Err("allowedRoutes.namespaces.from has an unknown value"),
        },
    };
    Ok(Listener {
        name: interner.string(&wire.name),
        protocol: interner.string(&wire.protocol),
        port: wire.port,
        hostname: wire.hostname.map(|host| interner.string(&host)),
        tls: wire.tls.map(|tls| ListenerTls {
            passthrough: tls.mode.as_deref() == Some("Passthrough"),
            certificates: tls.certificate_refs.map_or(0, |refs| refs.len())
                + tls.options.map_or(0, |options| options.0.len()),
        }),
        from,
    })
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRoute<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<RouteSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteSpec<'a> {
    #[serde(borrow)]
    parent_refs: Option<Vec<ParentRef<'a>>>,
    #[serde(borrow)]
    hostnames: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    rules: Option<Vec<RouteRule<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ParentRef<'a> {
    #[serde(borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    section_name: Option<Str<'a>>,
    port: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteRule<'a> {
    #[serde(borrow)]
    filters: Option<Vec<Filter<'a>>>,
    #[serde(borrow)]
    backend_refs: Option<Vec<BackendRef<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow)]
    request_redirect: Option<Redirect<'a>>,
}

#[derive(Debug, Deserialize)]
struct Redirect<'a> {
    #[serde(borrow)]
    scheme: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct BackendRef<'a> {
    #[serde(borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    name: Str<'a>,
}

impl RouteRule<'_> {
    fn redirects(&self) -> bool {
        let filters = self.filters.iter().flatten();
        let mut redirects = filters.filter_map(|filter| filter.request_redirect.as_ref());
        redirects.any(|redirect| redirect.scheme.as_deref() == Some("https"))
    }
}

impl Projection for HttpRoute {
    type Wire<'a> = WireRoute<'a>;

    fn project(wire: WireRoute<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let rules = spec.rules.unwrap_or_default();
        let own = |namespace: Option<&Str<'_>>, interner: &mut Interner| {
            namespace.map_or_else(|| meta.namespace.clone(), |ns| interner.string(ns))
        };
        let parents = spec.parent_refs.unwrap_or_default();
        let gateways = parents
            .iter()
            .filter(|p| p.kind.as_deref().is_none_or(|k| k == "Gateway"));
        let parents = gateways.map(|parent| Parent {
            namespace: own(parent.namespace.as_ref(), interner),
            gateway: interner.string(&parent.name),
            section: parent
                .section_name
                .as_deref()
                .map(|name| interner.string(name)),
            port: parent.port,
        });
        let parents = parents.collect();
        let backends = rules
            .iter()
            .flat_map(|rule| rule.backend_refs.iter().flatten());
        let services = backends.filter(|b| b.kind.as_deref().is_none_or(|k| k == "Service"));
        let services = services.map(|b| {
            (
                own(b.namespace.as_ref(), interner),
                interner.string(&b.name),
            )
        });
        let route = Self {
            services: services.collect(),
            parents,
            hostnames: syms(spec.hostnames, interner),
            redirects_only: !rules.is_empty() && rules.iter().all(RouteRule::redirects),
        };
        Ok((meta, route))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireCertificate<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: CertificateSpec<'a>,
    #[serde(borrow)]
    status: Option<CertificateStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateSpec<'a> {
    #[serde(borrow)]
    secret_name: Str<'a>,
    #[serde(borrow)]
    dns_names: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    common_name: Option<Str<'a>>,
    #[serde(borrow)]
    duration: Option<Str<'a>>,
    #[serde(borrow)]
    private_key: Option<PrivateKey<'a>>,
}

#[derive(Debug, Deserialize)]
struct PrivateKey<'a> {
    #[serde(borrow)]
    algorithm: Option<Str<'a>>,
    size: Option<u32>,
}

impl PrivateKey<'_> {
    /// Bits of the key where it is one of RSA, which it is by default.
    fn rsa_bits(&self) -> Option<u32> {
        let algorithm = self.algorithm.as_deref().unwrap_or("RSA");
        (algorithm == "RSA").then_some(self.size).flatten()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
    #[serde(borrow)]
    not_before: Option<Str<'a>>,
    #[serde(borrow)]
    not_after: Option<Str<'a>>,
    #[serde(borrow)]
    renewal_time: Option<Str<'a>>,
    failed_issuance_attempts: Option<u32>,
}

/// A condition of a status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow)]
    pub(super) last_transition_time: Option<Str<'a>>,
}

impl Projection for Certificate {
    type Wire<'a> = WireCertificate<'a>;

    fn project(wire: WireCertificate<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let mut names = wire.spec.dns_names.unwrap_or_default();
        names.extend(wire.spec.common_name);
        let status = wire.status.as_ref();
        let mut conditions = status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ready = conditions.find(|condition| &*condition.kind == "Ready");
        let time = |text: Option<&Str<'_>>| text.and_then(|text| text.parse().ok());
        let duration = wire.spec.duration;
        let duration = duration.and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let key = wire.spec.private_key.as_ref();
        let certificate = Self {
            secret: interner.string(&wire.spec.secret_name),
            dns_names: syms(Some(names), interner),
            ready: ready.is_some_and(|condition| &*condition.status == "True"),
            ready_since: time(ready.and_then(|condition| condition.last_transition_time.as_ref())),
            not_before: time(status.and_then(|status| status.not_before.as_ref())),
            not_after: time(status.and_then(|status| status.not_after.as_ref())),
            renewal: time(status.and_then(|status| status.renewal_time.as_ref())),
            failed_attempts: status
                .and_then(|status| status.failed_issuance_attempts)
                .unwrap_or_default(),
            duration: duration.map(|duration| duration.as_secs()),
            rsa_bits: key.and_then(PrivateKey::rsa_bits),
        };
        Ok((meta, certificate))
    }
}
