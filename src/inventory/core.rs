//! Small kinds of which few fields are read: Services, volume claims, storage classes and CRDs.

use jiff::Timestamp;
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

/// A `PersistentVolumeClaim`.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its storage class.
    pub class: Option<Sym>,
    /// Whether it is bound to a volume.
    pub bound: bool,
}

/// A `StorageClass`: its annotations are what controls read.
#[derive(Debug, PartialEq, Eq)]
pub struct StorageClass;

/// A CSI `VolumeSnapshot`.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeSnapshot {
    /// The claim that it is a copy of.
    pub claim: Option<Sym>,
    /// Whether it can be restored from.
    pub ready: bool,
    /// The moment that it shows.
    pub taken: Option<Timestamp>,
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
pub struct WireClaim<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<ClaimSpec<'a>>,
    #[serde(borrow)]
    status: Option<ClaimStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct ClaimStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
}

impl Projection for Claim {
    type Wire<'a> = WireClaim<'a>;

    fn project(wire: WireClaim<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let class = wire.spec.and_then(|spec| spec.storage_class_name);
        let phase = wire.status.and_then(|status| status.phase);
        let claim = Self {
            class: class.map(|class| interner.string(&class)),
            bound: phase.as_deref() == Some("Bound"),
        };
        Ok((meta, claim))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireNamed<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
}

impl Projection for StorageClass {
    type Wire<'a> = WireNamed<'a>;

    fn project(wire: WireNamed<'_>, interner: &mut Interner) -> Projected<Self> {
        Ok((Self::meta(wire.metadata, interner)?, Self))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSnapshot<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<SnapshotSpec<'a>>,
    #[serde(borrow)]
    status: Option<SnapshotStatus<'a>>,
}

#[derive(Debug, Deserialize)]
struct SnapshotSpec<'a> {
    #[serde(borrow)]
    source: Option<SnapshotSource<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotSource<'a> {
    #[serde(borrow)]
    persistent_volume_claim_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotStatus<'a> {
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    creation_time: Option<Str<'a>>,
}

impl Projection for VolumeSnapshot {
    type Wire<'a> = WireSnapshot<'a>;

    fn project(wire: WireSnapshot<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let source = wire.spec.and_then(|spec| spec.source);
        let claim = source.and_then(|source| source.persistent_volume_claim_name);
        let status = wire.status.as_ref();
        let snapshot = Self {
            claim: claim.map(|claim| interner.string(&claim)),
            ready: status.is_some_and(|status| status.ready_to_use == Some(true)),
            taken: status
                .and_then(|status| status.creation_time.as_ref())
                .and_then(|text| text.parse().ok()),
        };
        Ok((meta, snapshot))
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
