//! Storage migrations: Kubernetes writes every object of a resource anew, as it would store it now.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    ingress::Condition,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
};

/// A `StorageVersionMigration`.
#[derive(Debug, PartialEq, Eq)]
pub struct Migration {
    /// API group of what it migrates.
    pub group: Sym,
    /// Resource that it migrates.
    pub resource: Sym,
    /// How far it is.
    pub stage: Stage,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has not ended.
    Open,
    /// Everything is written anew; when it was done, where that is told.
    Succeeded(Option<Timestamp>),
    /// It has given up.
    Failed,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireMigration<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    resource: Resource<'a>,
}

#[derive(Debug, Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    group: Option<Str<'a>>,
    #[serde(borrow)]
    resource: Str<'a>,
}

#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
}

impl Status<'_> {
    fn stage(&self) -> Stage {
        let conditions = self.conditions.iter().flatten();
        let holds = |kind: &str| {
            let mut conditions = conditions.clone();
            conditions.find(|c| &*c.kind == kind && &*c.status == "True")
        };
        if let Some(succeeded) = holds("Succeeded") {
            let time = succeeded.last_transition_time.as_ref();
            return Stage::Succeeded(time.and_then(|text| text.parse().ok()));
        }
        if holds("Failed").is_some() {
            Stage::Failed
        } else {
            Stage::Open
        }
    }
}

impl Projection for Migration {
    type Wire<'a> = WireMigration<'a>;

    fn project(wire: WireMigration<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let resource = wire.spec.resource;
        let migration = Self {
            group: interner.string(resource.group.as_deref().unwrap_or_default()),
            resource: interner.string(&resource.resource),
            stage: wire.status.map_or(Stage::Open, |status| status.stage()),
        };
        Ok((meta, migration))
    }
}
