//! Small kinds of which few fields are read: Services and CRDs.

use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Labels, Str, StrMap, WireMeta},
    network_policy::IntOrString,
};

/// A Service.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Labels of the pods that it leads to; `None` without a selector.
    pub selector: Option<Labels>,
    /// Whether it is reachable from outside: `LoadBalancer`, `NodePort` or external addresses.
    pub exposed: bool,
    /// Ports of the pods that it leads to.
    pub targets: Box<[Target]>,
}

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

    fn project(wire: WireService<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let selector = spec.selector.filter(|selector| !selector.0.is_empty());
        let external = spec.external_ips.is_some_and(|ips| !ips.is_empty());
        let service = Self {
            exposed: external || matches!(spec.kind.as_deref(), Some("LoadBalancer" | "NodePort")),
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
