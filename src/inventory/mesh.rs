//! Service meshes and encrypting networks: Istio, Linkerd and Calico.

mod authorization;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::authorization::IstioAuthorization;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Labels, ManagedFields, Str, StrMap, WireMeta},
    selector::{Selector, WireSelector},
};

/// How Istio takes connections from other pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MtlsMode {
    /// As what is above says.
    #[default]
    Unset,
    /// In the clear.
    Disable,
    /// In the clear, or encrypted.
    Permissive,
    /// Encrypted, from pods that prove who they are.
    Strict,
}

impl MtlsMode {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Disable => "DISABLE",
            Self::Permissive => "PERMISSIVE",
            Self::Strict => "STRICT",
        }
    }
}

/// A `PeerAuthentication` of Istio.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// Labels of the pods that it is about; `None` for all.
    pub selector: Option<Labels>,
    /// The mode.
    pub mode: MtlsMode,
    /// Ports that differ.
    pub ports: Box<[(u16, MtlsMode)]>,
}

/// A `DestinationRule` of Istio.
#[derive(Debug, PartialEq, Eq)]
pub struct DestinationRule {
    /// The host that it is about, as it was written.
    pub host: Sym,
    /// Whether some traffic to the host is sent in the clear.
    pub disables_tls: bool,
}

/// Whom a Linkerd Server lets in where no policy says otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkerdServer {
    /// The pods; `None` where it is about something else.
    pub pods: Option<Selector>,
    /// The port, by number or name.
    pub port: Sym,
    /// Whether everybody is let in, proven or not.
    pub lets_anybody_in: bool,
}

/// An `AuthorizationPolicy` of Linkerd.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkerdAuthorization {
    /// The Server that it is about; `None` for all of the namespace.
    pub server: Option<Sym>,
    /// Whether it asks for proof: a mesh identity or a service account.
    pub authenticates: bool,
}

/// A `FelixConfiguration` of Calico.
#[derive(Debug, PartialEq, Eq)]
pub struct FelixConfiguration {
    /// Whether traffic between nodes is encrypted; `None` where it does not say.
    pub wireguard: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Mtls<'a> {
    #[serde(borrow)]
    mode: Option<Str<'a>>,
}

fn mode(mtls: Option<&Mtls<'_>>) -> Result<MtlsMode, &'static str> {
    match mtls.and_then(|mtls| mtls.mode.as_deref()) {
        None | Some("" | "UNSET") => Ok(MtlsMode::Unset),
        Some("DISABLE") => Ok(MtlsMode::Disable),
        Some("PERMISSIVE") => Ok(MtlsMode::Permissive),
        Some("STRICT") => Ok(MtlsMode::Strict),
        Some(_) => Err("mtls.mode has an unknown value"),
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WirePeer<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: Option<PeerSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerSpec<'a> {
    #[serde(borrow)]
    selector: Option<PeerSelector<'a>>,
    #[serde(borrow)]
    mtls: Option<Mtls<'a>>,
    #[serde(borrow)]
    port_level_mtls: Option<std::collections::BTreeMap<Str<'a>, Mtls<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerSelector<'a> {
    #[serde(borrow)]
    match_labels: Option<StrMap<'a>>,
}

impl Projection for PeerAuthentication {
    type Wire<'a> = WirePeer<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] =
        &[&["f:spec", "f:mtls"], &["f:spec", "f:portLevelMtls"]];

    fn project(wire: WirePeer<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let labels = spec.selector.and_then(|selector| selector.match_labels);
        let labels = labels.filter(|labels| !labels.0.is_empty());
        let ports = spec.port_level_mtls.unwrap_or_default().into_iter();
        let ports = ports.map(|(port, mtls)| {
            let port = port.parse().map_err(|_| "portLevelMtls names no port")?;
            Ok((port, mode(Some(&mtls))?))
        });
        let mut ports = ports.collect::<Result<Vec<_>, &'static str>>()?;
        ports.sort_unstable();
        let peer = Self {
            selector: labels.map(|map| Labels::project(Some(map), interner, |_| true)),
            mode: mode(spec.mtls.as_ref())?,
            ports: ports.into(),
        };
        Ok((meta, peer))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireRule<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: RuleSpec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleSpec<'a> {
    #[serde(borrow)]
    host: Str<'a>,
    #[serde(borrow)]
    traffic_policy: Option<Traffic<'a>>,
    #[serde(borrow)]
    subsets: Option<Vec<Subset<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subset<'a> {
    #[serde(borrow)]
    traffic_policy: Option<Traffic<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Traffic<'a> {
    #[serde(borrow)]
    tls: Option<Mtls<'a>>,
    #[serde(borrow)]
    port_level_settings: Option<Vec<PortTraffic<'a>>>,
}

#[derive(Debug, Deserialize)]
struct PortTraffic<'a> {
    #[serde(borrow)]
    tls: Option<Mtls<'a>>,
}

impl Traffic<'_> {
    fn disables_tls(&self) -> bool {
        let ports = self.port_level_settings.iter().flatten();
        let ports = ports.filter_map(|port| port.tls.as_ref());
        let mut all = self.tls.iter().chain(ports);
        all.any(|tls| tls.mode.as_deref() == Some("DISABLE"))
    }
}

impl Projection for DestinationRule {
    type Wire<'a> = WireRule<'a>;

    fn project(wire: WireRule<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let subsets = wire.spec.subsets.iter().flatten();
        let subsets = subsets.filter_map(|subset| subset.traffic_policy.as_ref());
        let mut policies = wire.spec.traffic_policy.iter().chain(subsets);
        let rule = Self {
            host: interner.string(&wire.spec.host),
            disables_tls: policies.any(Traffic::disables_tls),
        };
        Ok((meta, rule))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireServer<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: ServerSpec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerSpec<'a> {
    #[serde(borrow)]
    pod_selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    port: Option<&'a RawValue>,
    #[serde(borrow)]
    access_policy: Option<Str<'a>>,
}

impl Projection for LinkerdServer {
    type Wire<'a> = WireServer<'a>;

    fn project(wire: WireServer<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let pods = wire.spec.pod_selector.map(|pods| pods.project(interner));
        let port = wire
            .spec
            .port
            .map_or("", |port| port.get().trim_matches('"'));
        let access = wire.spec.access_policy.as_deref().unwrap_or("deny");
        let server = Self {
            pods: pods.transpose()?,
            port: interner.string(port),
            lets_anybody_in: !authenticates(access),
        };
        Ok((meta, server))
    }
}

/// Whether a label or annotation of pods asks for Istio's proxy or against it; `None` leaves it to
/// their namespace. Source: `injectRequired` in istio/istio, `pkg/kube/inject/inject.go`.
pub fn asks_istio(inject: &str) -> Option<bool> {
    match &*inject.to_ascii_lowercase() {
        "" => None,
        "y" | "yes" | "true" | "on" => Some(true),
        _ => Some(false),
    }
}

/// Whether an annotation asks for Linkerd's proxy.
pub fn asks(inject: &str) -> bool {
    matches!(inject, "enabled" | "ingress")
}

/// Whether a default of Linkerd lets only those in who prove who they are.
pub fn authenticates(policy: &str) -> bool {
    matches!(
        policy,
        "deny" | "all-authenticated" | "cluster-authenticated"
    )
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireAuthorization<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: AuthorizationSpec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationSpec<'a> {
    #[serde(borrow)]
    target_ref: Option<Reference<'a>>,
    #[serde(borrow)]
    required_authentication_refs: Option<Vec<Reference<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
}

impl Projection for LinkerdAuthorization {
    type Wire<'a> = WireAuthorization<'a>;

    fn project(wire: WireAuthorization<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let target = wire.spec.target_ref;
        let server = target.filter(|target| target.kind.as_deref() == Some("Server"));
        let server = server.and_then(|server| server.name);
        let mut required = wire.spec.required_authentication_refs.iter().flatten();
        let proof = ["MeshTLSAuthentication", "ServiceAccount"];
        let authorization = Self {
            server: server.map(|name| interner.string(&name)),
            authenticates: required
                .any(|by| by.kind.as_deref().is_some_and(|kind| proof.contains(&kind))),
        };
        Ok((meta, authorization))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireFelix<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    spec: Option<FelixSpec>,
}

#[derive(Debug, Deserialize)]
struct FelixSpec {
    #[serde(rename = "wireguardEnabled")]
    wireguard: Option<bool>,
    #[serde(rename = "wireguardEnabledV6")]
    wireguard_v6: Option<bool>,
}

impl Projection for FelixConfiguration {
    type Wire<'a> = WireFelix<'a>;

    fn project(wire: WireFelix<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let wireguard = wire
            .spec
            .and_then(|spec| match (spec.wireguard, spec.wireguard_v6) {
                (None, None) => None,
                (four, six) => Some(four == Some(true) || six == Some(true)),
            });
        Ok((meta, Self { wireguard }))
    }
}
