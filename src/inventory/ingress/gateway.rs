//! Gateways and the routes that attach to them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::syms;
use crate::inventory::{
    Kind, Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, StrMap, WireMeta},
    selector::{Selector, WireSelector},
};

/// A Gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its class.
    pub class: Sym,
    /// Its listeners.
    pub listeners: Box<[Listener]>,
    /// From which namespaces sets may add listeners.
    pub sets_from: RoutesFrom,
    /// Where clients reach it, from its status.
    pub addresses: Box<[Sym]>,
}

/// A `ListenerSet`: listeners that are added to a Gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct ListenerSet {
    /// Namespace and name of the Gateway.
    pub gateway: (Sym, Sym),
    /// The listeners.
    pub listeners: Box<[Listener]>,
}

/// A listener of a Gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name.
    pub name: Sym,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP` or `UDP`.
    pub protocol: Sym,
    /// Port; 0 where the controller chooses one.
    pub port: u16,
    /// Host name; `None` means all.
    pub hostname: Option<Sym>,
    /// TLS mode and whether a certificate is named; `None` without a `tls` block.
    pub tls: Option<ListenerTls>,
    /// From which namespaces routes may attach.
    pub from: RoutesFrom,
    /// Kinds of routes that may; empty means all that fit the protocol.
    pub kinds: Box<[Sym]>,
}

/// The TLS block of a listener.
#[derive(Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// `Terminate` (the default) or `Passthrough`.
    pub passthrough: bool,
    /// Certificates named, by reference or by options that are known to name some.
    pub certificates: usize,
    /// Whether it has options of which it is not known what they say.
    pub unknown_options: bool,
}

/// Annotation of a Gateway on GKE with a certificate map of Certificate Manager.
pub const CERTIFICATE_MAP: &str = "networking.gke.io/certmap";
/// Annotation of a Gateway with the type of the Service that Istio makes for it.
pub const ISTIO_SERVICE_TYPE: &str = "networking.istio.io/service-type";

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

/// An `HTTPRoute`, a `GRPCRoute` or a `TLSRoute`: what they say alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// Gateways (and their listeners) that it attaches to.
    pub parents: Box<[Parent]>,
    /// Host names; empty means all of the listener.
    pub hostnames: Box<[Sym]>,
    /// Whether every rule is a redirect to https, which only an `HTTPRoute` can make.
    pub redirects_only: bool,
    /// Services that it leads to, by namespace and name.
    pub services: Box<[(Sym, Sym)]>,
}

/// What a route attaches to.
#[derive(Debug, PartialEq, Eq)]
pub struct Parent {
    /// `Gateway`, `ListenerSet` or `XListenerSet`.
    pub kind: Kind,
    /// Namespace of it.
    pub namespace: Sym,
    /// Name of it.
    pub name: Sym,
    /// One listener by name; `None` means all that match.
    pub section: Option<Sym>,
    /// Listeners on one port; `None` means all that match.
    pub port: Option<u16>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewaySpec<'a> {
    #[serde(borrow)]
    gateway_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    listeners: Option<Vec<WireListener<'a>>>,
    #[serde(borrow)]
    allowed_listeners: Option<AllowedListeners<'a>>,
}

#[derive(Debug, Deserialize)]
struct AllowedListeners<'a> {
    #[serde(borrow)]
    namespaces: Option<RouteNamespaces<'a>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSet<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: SetSpec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetSpec<'a> {
    #[serde(borrow)]
    parent_ref: ParentRef<'a>,
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
    port: Option<u16>,
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
    options: Option<StrMap<'a>>,
}

#[derive(Debug, Deserialize)]
struct AllowedRoutes<'a> {
    #[serde(borrow)]
    namespaces: Option<RouteNamespaces<'a>>,
    #[serde(borrow)]
    kinds: Option<Vec<RouteKind<'a>>>,
}

#[derive(Debug, Deserialize)]
struct RouteKind<'a> {
    #[serde(borrow)]
    kind: Str<'a>,
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

    fn keeps_annotation(key: &str) -> bool {
        crate::inventory::ours(key) || matches!(key, CERTIFICATE_MAP | ISTIO_SERVICE_TYPE)
    }

    fn project(wire: WireGateway<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let class = interner.string(spec.gateway_class_name.as_deref().unwrap_or_default());
        // Nobody may add any unless it says so (GEP-1713).
        let sets = spec.allowed_listeners.and_then(|sets| sets.namespaces);
        let addresses = wire.status.and_then(|status| status.addresses);
        let addresses = addresses.into_iter().flatten();
        let addresses = addresses.filter_map(|address| address.value);
        let gateway = Self {
            class,
            listeners: listeners(spec.listeners, interner)?,
            sets_from: namespaces_from(sets, "None", interner)?,
            addresses: addresses.map(|value| interner.string(&value)).collect(),
        };
        Ok((meta, gateway))
    }
}

impl Projection for ListenerSet {
    type Wire<'a> = WireSet<'a>;

    fn project(wire: WireSet<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let parent = wire.spec.parent_ref;
        let namespace = parent.namespace.as_deref();
        let namespace = namespace.map_or_else(|| meta.namespace.clone(), |ns| interner.string(ns));
        let set = Self {
            gateway: (namespace, interner.string(&parent.name)),
            listeners: listeners(wire.spec.listeners, interner)?,
        };
        Ok((meta, set))
    }
}

fn listeners(
    wire: Option<Vec<WireListener<'_>>>,
    interner: &mut Interner,
) -> Result<Box<[Listener]>, &'static str> {
    let listeners = wire.unwrap_or_default().into_iter();
    listeners.map(|one| listener(one, interner)).collect()
}

/// Namespaces that are named; those of `absent` where none are.
fn namespaces_from(
    namespaces: Option<RouteNamespaces<'_>>,
    absent: &'static str,
    interner: &mut Interner,
) -> Result<RoutesFrom, &'static str> {
    let (from, selector) = namespaces.map_or((None, None), |named| (named.from, named.selector));
    Ok(match from.as_deref().unwrap_or(absent) {
        "Same" => RoutesFrom::Same,
        "All" => RoutesFrom::All,
        "None" => RoutesFrom::None,
        "Selector" => RoutesFrom::Selector(selector.unwrap_or_default().project(interner)?),
        _ => return Err("namespaces.from has an unknown value"),
    })
}

fn listener(wire: WireListener<'_>, interner: &mut Interner) -> Result<Listener, &'static str> {
    let allowed = wire.allowed_routes;
    let (namespaces, kinds) = allowed.map_or((None, None), |a| (a.namespaces, a.kinds));
    let kinds = kinds.into_iter().flatten();
    let from = namespaces_from(namespaces, "Same", interner)?;
    Ok(Listener {
        name: interner.string(&wire.name),
        protocol: interner.string(&wire.protocol),
        port: wire.port.unwrap_or_default(),
        hostname: wire.hostname.map(|host| interner.string(&host)),
        tls: wire.tls.map(WireListenerTls::project),
        from,
        kinds: kinds.map(|kind| interner.string(&kind.kind)).collect(),
    })
}

/// What an option of a listener's TLS block says about certificates.
enum Says {
    /// It names some.
    Certificates,
    /// Nothing.
    Nothing,
    /// Its controller knows.
    Unknown,
}

/// Options as in the documentation of GKE's Gateway controller, and in Istio's
/// `pilot/pkg/config/kube/gateway/conversion.go`.
fn says(option: &str, value: &str) -> Says {
    match option {
        "networking.gke.io/pre-shared-certs" | "networking.gke.io/cert-manager-certs"
            if !value.trim().is_empty() =>
        {
            Says::Certificates
        }
        // The certificate of the mesh.
        "gateway.istio.io/tls-terminate-mode" if value == "ISTIO_MUTUAL" => Says::Certificates,
        "networking.gke.io/pre-shared-certs"
        | "networking.gke.io/cert-manager-certs"
        | "gateway.istio.io/tls-terminate-mode"
        | "gateway.istio.io/tls-cipher-suites" => Says::Nothing,
        _ => Says::Unknown,
    }
}

impl WireListenerTls<'_> {
    fn project(self) -> ListenerTls {
        let mut tls = ListenerTls {
            passthrough: self.mode.as_deref() == Some("Passthrough"),
            certificates: self.certificate_refs.map_or(0, |refs| refs.len()),
            unknown_options: false,
        };
        for (option, value) in self.options.iter().flat_map(|options| &options.0) {
            match says(option, value) {
                Says::Certificates => tls.certificates += 1,
                Says::Nothing => {}
                Says::Unknown => tls.unknown_options = true,
            }
        }
        tls
    }
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

/// The kind of what a route names as its parent, if it has listeners.
fn kind(parent: &ParentRef<'_>) -> Option<Kind> {
    let kinds = [Kind::Gateway, Kind::ListenerSet, Kind::XListenerSet];
    let named = parent.kind.as_deref().unwrap_or("Gateway");
    kinds.into_iter().find(|kind| kind.info().kind == named)
}

impl Projection for Route {
    type Wire<'a> = WireRoute<'a>;

    fn project(wire: WireRoute<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let rules = spec.rules.unwrap_or_default();
        let own = |namespace: Option<&Str<'_>>, interner: &mut Interner| {
            namespace.map_or_else(|| meta.namespace.clone(), |ns| interner.string(ns))
        };
        let parents = spec.parent_refs.unwrap_or_default();
        let known = parents.iter().filter_map(|p| Some((kind(p)?, p)));
        let parents = known.map(|(kind, parent)| Parent {
            kind,
            namespace: own(parent.namespace.as_ref(), interner),
            name: interner.string(&parent.name),
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
