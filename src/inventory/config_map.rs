//! `ConfigMap`s: only what backups read of them is kept, which of nearly all is nothing.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{StrMap, WireMeta},
    velero::policy::{Policies, may_be},
};

/// A `ConfigMap`.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// Velero's resource policies, or why they can't be read.
    pub policies: Option<Box<Result<Policies, String>>>,
    /// Snapshots of etcd, as k3s and RKE2 list them.
    pub etcd_snapshots: Box<[EtcdSnapshot]>,
}

/// A snapshot of etcd.
#[derive(Debug, PartialEq, Eq)]
pub struct EtcdSnapshot {
    /// When it was taken.
    pub taken: Option<Timestamp>,
    /// Where it lies, such as `s3://…` or `file://…`.
    pub location: Option<Sym>,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireConfigMap<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    data: Option<StrMap<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    location: Option<String>,
    created_at: Option<String>,
    status: Option<String>,
}

/// Names of the lists of etcd's snapshots, in `kube-system`.
const LISTS: [&str; 2] = ["k3s-etcd-snapshots", "rke2-etcd-snapshots"];

impl Projection for ConfigMap {
    type Wire<'a> = WireConfigMap<'a>;

    fn keeps_label(_: &str) -> bool {
        false
    }

    fn project(wire: WireConfigMap<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let values = wire.data.unwrap_or_default().0;
        let listed = *meta.namespace == *"kube-system" && LISTS.contains(&&*meta.name);
        let snapshots = values.iter().filter(|_| listed);
        let snapshots = snapshots.filter_map(|(_, json)| serde_json::from_str::<Listed>(json).ok());
        let etcd_snapshots = snapshots
            .map(|listed| EtcdSnapshot {
                taken: listed.created_at.and_then(|text| text.parse().ok()),
                location: listed.location.map(|location| interner.string(&location)),
                succeeded: listed.status.as_deref() == Some("successful"),
            })
            .collect();
        let policies = match &values[..] {
            [(_, text)] if may_be(text) => Some(Box::new(Policies::parse(text))),
            // Velero takes no ConfigMap with more than one key.
            many if many.iter().any(|(_, text)| may_be(text)) => {
                Some(Box::new(Err("it has more than one key".to_owned())))
            }
            _ => None,
        };
        let map = Self {
            policies,
            etcd_snapshots,
        };
        Ok((meta, map))
    }
}
