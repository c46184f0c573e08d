//! Restore drills: what a policy asks for, what is created for one, and what comes back.
//!
//! A drill restores the newest complete Velero Backup of one namespace into a sandbox: a namespace
//! of its own with a quota, without network, and with an end. What runs it is the engine
//! ([`crate::engine`]); here is what it asks of Velero and how its result is read.

mod objects;
mod result;

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    objects::{BOUNDS, Owner, PRIORITIES, defaults, deny, namespace, priorities, quota, restore},
    result::{CameBack, DrillResult, Progress, Share, progress},
};
use crate::{
    analysis::backup::{in_namespaces, points::is_usable},
    api::Period,
    inventory::{
        Inventory, Meta, Object,
        meta::{MANAGED_BY, MANAGER},
        velero::Backup,
    },
};

/// Label of everything that a drill creates, with the drill's id.
pub const DRILL: &str = "probity.dev/restore-drill";
/// Annotation of a sandbox with the namespace whose backup is restored into it.
pub const SOURCE: &str = "probity.dev/restore-drill-of";
/// Annotation of a sandbox with the time at which it has to be gone.
pub const EXPIRES: &str = "probity.dev/restore-drill-ends";
/// Annotation of a drill's Restore with its [`DrillResult`]. Without it the Restore shows nothing.
pub const RESULT: &str = "probity.dev/restore-drill-result";

/// Whether a drill made an object.
pub fn is_drill(meta: &Meta) -> bool {
    meta.labels.get(DRILL).is_some() && meta.labels.get(MANAGED_BY) == Some(MANAGER)
}

/// A restore drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// Namespaces whose newest complete Velero Backup is restored into the sandbox, one at a time.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,

    /// How often each of them is restored.
    #[serde(default = "month")]
    pub every: Period,

    /// Take only Backups in this storage location. Absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_location: Option<String>,

    /// How long the sandbox may live. What has not come back by then has failed.
    #[serde(default = "four_hours")]
    pub ttl: Period,

    /// Which volumes come back.
    #[serde(default)]
    pub volumes: DrillVolumes,

    /// How many pods may be in the sandbox. With 0 no pod is restored; with more, pods come back
    /// with the Secrets, `ConfigMaps` and accounts that they need, and run, without network.
    #[serde(default)]
    pub pods: u16,

    /// How much storage the claims in the sandbox may ask for together.
    #[serde(default = "storage")]
    #[schemars(regex(pattern = r"^[0-9]{1,12}([KMGTP]i?)?$"), length(max = 15))]
    pub storage: String,

    /// How many cores the pods in the sandbox may have together.
    #[serde(default = "cpu")]
    #[schemars(regex(pattern = r"^[0-9]{1,6}m?$"), length(max = 7))]
    pub cpu: String,

    /// How much memory they may have together.
    #[serde(default = "memory")]
    #[schemars(regex(pattern = r"^[0-9]{1,12}([KMGT]i?)?$"), length(max = 15))]
    pub memory: String,

    /// The only priority class that they may have, such as the cluster's default one. Absent means
    /// none: a pod of a drill must not drive out others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class: Option<String>,

    /// Pod Security level of the sandbox.
    #[serde(default)]
    pub pod_security: DrillLevel,
}

/// Which volumes a drill restores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrillVolumes {
    /// Those that were backed up as CSI snapshots, moved or not. Nothing outside the sandbox is
    /// created but by the storage driver.
    #[default]
    Snapshots,
    /// All, which lets Velero create the persistent volumes of restored claims. Volumes that were
    /// backed up as files need `pods` too.
    All,
}

/// Pod Security level of a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrillLevel {
    /// `baseline`.
    #[default]
    Baseline,
    /// `restricted`.
    Restricted,
}

impl DrillLevel {
    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

fn month() -> Period {
    Period::days(30)
}

fn four_hours() -> Period {
    Period::hours(4)
}

fn storage() -> String {
    "100Gi".to_owned()
}

fn cpu() -> String {
    "4".to_owned()
}

fn memory() -> String {
    "8Gi".to_owned()
}

/// Shortest and longest life of a sandbox.
const TTL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(7 * 24));

impl Drill {
    /// What is wrong with the parameters that the API server can't see.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.every.duration() < Duration::from_hours(1) {
            return Err(format!("drill.every is {}: write 1h or more", self.every));
        }
        let ttl = self.ttl.duration();
        if !(TTL.0..=TTL.1).contains(&ttl) {
            return Err(format!("drill.ttl is {}: write 30s to 7d", self.ttl));
        }
        if ttl > self.every.duration() {
            return Err("drill.ttl is longer than drill.every: write a shorter ttl".to_owned());
        }
        Ok(())
    }

    /// The newest complete Backup of a namespace that can be restored. `Err` is why there is none.
    pub fn backup<'a>(
        &self,
        inventory: &'a Inventory,
        namespace: &str,
        now: Timestamp,
    ) -> Result<&'a Object<Backup>, String> {
        let wanted = self.storage_location.as_deref();
        let backups = inventory.tables.velero_backups.iter().filter(|backup| {
            let spec = &backup.spec.spec;
            backup.spec.phase.as_deref() == Some("Completed")
                && in_namespaces(&spec.namespaces, namespace)
                && wanted.is_none_or(|wanted| spec.location.as_deref() == Some(wanted))
                && is_usable(inventory, backup, now)
        });
        backups
            .max_by_key(|backup| (backup.spec.started, backup.meta.name.clone()))
            .ok_or_else(|| {
                let at = wanted.map_or_else(String::new, |at| format!(" in location {at}"));
                format!("no complete Velero Backup of namespace {namespace}{at} can be restored")
            })
    }
}
