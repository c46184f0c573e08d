//! Storage: volumes, claims, classes and snapshots.

mod snapshot;

use std::sync::Arc;

use serde::{Deserialize, de::IgnoredAny};

pub use self::snapshot::{SnapshotClass, SnapshotContent, VolumeSnapshot};
use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Labels, ManagedFields, Str, StrMap, WireMeta},
    wire::{WireRef, bytes, sym, syms},
};

/// A `PersistentVolumeClaim`.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its storage class.
    pub class: Option<Sym>,
    /// Whether it is bound to a volume; none where nothing says so, as in a file.
    pub bound: Option<bool>,
    /// The volume.
    pub volume: Option<Sym>,
    /// Access modes, such as `ReadWriteOnce`.
    pub access: Box<[Sym]>,
    /// Whether it is a raw device.
    pub block: bool,
    /// Whether it was made out of a snapshot.
    pub restored: bool,
}

/// A `PersistentVolume`.
#[derive(Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where it comes from: `csi`, `nfs`, `hostPath` and so on.
    pub source: Sym,
    /// CSI driver.
    pub driver: Option<Sym>,
    /// Its name for the driver.
    pub handle: Option<Sym>,
    /// What the driver knows of it.
    pub attributes: Arc<Labels>,
    /// Server and path of an NFS share.
    pub nfs: Option<(Sym, Sym)>,
    /// Its storage class.
    pub class: Option<Sym>,
    /// Size in bytes.
    pub capacity: u64,
    /// Namespace of the claim that it belongs to.
    pub claimed_in: Option<Sym>,
    /// Whether nodes get a Secret to publish it with.
    pub node_secret: bool,
    /// Names of the nodes that it lies on; empty means any.
    pub nodes: Box<[Sym]>,
}

/// Annotation of a volume that a provisioner made, with the provisioner of its class. Volumes that
/// somebody wrote by hand have none.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// A `StorageClass`.
#[derive(Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// What makes its volumes.
    pub provisioner: Option<Sym>,
    /// What it tells the driver.
    pub parameters: Arc<Labels>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    volume_name: Option<Str<'a>>,
    #[serde(borrow)]
    access_modes: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    volume_mode: Option<Str<'a>>,
    #[serde(borrow)]
    data_source: Option<WireRef<'a>>,
    #[serde(borrow)]
    data_source_ref: Option<WireRef<'a>>,
}

#[derive(Debug, Deserialize)]
struct ClaimStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
}

/// Annotation of a claim that asks K8up for a backup, or for none.
pub const K8UP_BACKUP: &str = "k8up.io/backup";
/// Annotation of a claim with the snapshot class that Velero takes for it.
pub const VELERO_CLASS: &str = "velero.io/csi-volumesnapshot-class";
/// Annotation of the snapshot class that is taken where none is named.
pub const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

impl Projection for Claim {
    type Wire<'a> = WireClaim<'a>;

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || matches!(key, K8UP_BACKUP | VELERO_CLASS)
    }

    fn project(wire: WireClaim<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let phase = wire.status.and_then(|status| status.phase);
        let sources = [&spec.data_source, &spec.data_source_ref];
        let restored = sources.into_iter().flatten();
        let mut kinds = restored.map(|source| source.kind.as_deref());
        let claim = Self {
            restored: kinds.any(|kind| kind == Some("VolumeSnapshot")),
            class: spec.storage_class_name.map(|class| interner.string(&class)),
            bound: phase.map(|phase| &*phase == "Bound"),
            volume: sym(spec.volume_name.as_ref(), interner),
            access: syms(spec.access_modes, interner),
            block: spec.volume_mode.as_deref() == Some("Block"),
        };
        Ok((meta, claim))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireVolume<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<VolumeSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    capacity: Option<Capacity<'a>>,
    #[serde(borrow)]
    claim_ref: Option<ClaimRef<'a>>,
    #[serde(borrow)]
    node_affinity: Option<Affinity<'a>>,
    #[serde(borrow)]
    csi: Option<CsiSource<'a>>,
    #[serde(borrow)]
    nfs: Option<NfsSource<'a>>,
    host_path: Option<IgnoredAny>,
    local: Option<IgnoredAny>,
    aws_elastic_block_store: Option<IgnoredAny>,
    azure_disk: Option<IgnoredAny>,
    azure_file: Option<IgnoredAny>,
    gce_persistent_disk: Option<IgnoredAny>,
    vsphere_volume: Option<IgnoredAny>,
    cinder: Option<IgnoredAny>,
    cephfs: Option<IgnoredAny>,
    rbd: Option<IgnoredAny>,
    iscsi: Option<IgnoredAny>,
    fc: Option<IgnoredAny>,
    glusterfs: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Capacity<'a> {
    #[serde(borrow)]
    storage: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CsiSource<'a> {
    #[serde(borrow)]
    driver: Option<Str<'a>>,
    #[serde(borrow)]
    volume_handle: Option<Str<'a>>,
    #[serde(borrow)]
    volume_attributes: Option<StrMap<'a>>,
    node_publish_secret_ref: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct ClaimRef<'a> {
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct Affinity<'a> {
    #[serde(borrow)]
    required: Option<Terms<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terms<'a> {
    #[serde(borrow)]
    node_selector_terms: Option<Vec<Term<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term<'a> {
    #[serde(borrow)]
    match_expressions: Option<Vec<Requirement<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Requirement<'a> {
    #[serde(borrow)]
    key: Str<'a>,
    #[serde(borrow)]
    operator: Str<'a>,
    #[serde(borrow)]
    values: Option<Vec<Str<'a>>>,
}

impl Affinity<'_> {
    /// The nodes that a volume lies on, where every term names them by host name.
    fn nodes(self, interner: &mut Interner) -> Box<[Sym]> {
        let terms = self.required.and_then(|terms| terms.node_selector_terms);
        let mut nodes = Vec::new();
        for term in terms.into_iter().flatten() {
            let mut by = term.match_expressions.into_iter().flatten();
            let by = by.find(|by| &*by.key == "kubernetes.io/hostname" && &*by.operator == "In");
            let Some(names) = by.and_then(|by| by.values) else {
                return Box::default();
            };
            nodes.extend(names.iter().map(|name| interner.string(name)));
        }
        nodes.into()
    }
}

#[derive(Debug, Deserialize)]
struct NfsSource<'a> {
    #[serde(borrow)]
    server: Option<Str<'a>>,
    #[serde(borrow)]
    path: Option<Str<'a>>,
}

impl VolumeSpec<'_> {
    /// The source by its key.
    fn source(&self) -> &'static str {
        let sources = [
            (self.csi.is_some(), "csi"),
            (self.nfs.is_some(), "nfs"),
            (self.host_path.is_some(), "hostPath"),
            (self.local.is_some(), "local"),
            (
                self.aws_elastic_block_store.is_some(),
                "awsElasticBlockStore",
            ),
            (self.azure_disk.is_some(), "azureDisk"),
            (self.azure_file.is_some(), "azureFile"),
            (self.gce_persistent_disk.is_some(), "gcePersistentDisk"),
            (self.vsphere_volume.is_some(), "vsphereVolume"),
            (self.cinder.is_some(), "cinder"),
            (self.cephfs.is_some(), "cephfs"),
            (self.rbd.is_some(), "rbd"),
            (self.iscsi.is_some(), "iscsi"),
            (self.fc.is_some(), "fc"),
            (self.glusterfs.is_some(), "glusterfs"),
        ];
        let found = sources.into_iter().find(|(is, _)| *is);
        found.map_or("", |(_, name)| name)
    }
}

impl Projection for Volume {
    type Wire<'a> = WireVolume<'a>;

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || key == PROVISIONED_BY
    }

    fn project(wire: WireVolume<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let capacity = spec.capacity.as_ref();
        let source = interner.string(spec.source());
        let csi = spec.csi.as_ref();
        let node_secret = csi.is_some_and(|csi| csi.node_publish_secret_ref.is_some());
        let claimed_in = spec.claim_ref.and_then(|claim| claim.namespace);
        let (driver, handle, attributes) = match spec.csi {
            Some(csi) => (
                sym(csi.driver.as_ref(), interner),
                sym(csi.volume_handle.as_ref(), interner),
                csi.volume_attributes,
            ),
            None => (None, None, None),
        };
        let attributes = Labels::project(attributes, interner, |_| true);
        let text = |text: Option<Str<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
        let volume = Self {
            claimed_in: sym(claimed_in.as_ref(), interner),
            node_secret,
            nodes: spec
                .node_affinity
                .map(|affinity| affinity.nodes(interner))
                .unwrap_or_default(),
            source,
            driver,
            handle,
            attributes: interner.labels(attributes),
            nfs: spec.nfs.map(|nfs| {
                let (server, path) = (text(nfs.server), text(nfs.path));
                (interner.string(&server), interner.string(&path))
            }),
            class: sym(spec.storage_class_name.as_ref(), interner),
            capacity: capacity
                .and_then(|capacity| bytes(capacity.storage.as_ref()?))
                .unwrap_or_default(),
        };
        Ok((meta, volume))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireStorageClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    provisioner: Option<Str<'a>>,
    #[serde(borrow)]
    parameters: Option<StrMap<'a>>,
}

/// Annotations of the class that claims get which name none; the older one still counts.
pub const DEFAULT_STORAGE_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

impl Projection for StorageClass {
    type Wire<'a> = WireStorageClass<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&[
        "f:metadata",
        "f:annotations",
        "f:storageclass.kubernetes.io/is-default-class",
    ]];

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key) || DEFAULT_STORAGE_CLASS.contains(&key)
    }

    fn project(wire: WireStorageClass<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let parameters = wire.parameters.unwrap_or_default().0.into_iter();
        let parameters =
            parameters.map(|(key, value)| (interner.string(&key), interner.string(&value)));
        let parameters = Labels::from_pairs(parameters.collect());
        let class = Self {
            provisioner: sym(wire.provisioner.as_ref(), interner),
            parameters: interner.labels(parameters),
        };
        Ok((meta, class))
    }
}
