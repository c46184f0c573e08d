//! Velero's resource policies: what is done with which volume, as a `ConfigMap` of its namespace
//! says in YAML.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::inventory::{
    meta::Labels,
    storage::{Claim, Volume},
    wire::bytes,
};

/// The policies of a `ConfigMap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    volumes: Vec<VolumePolicy>,
    /// Resources in namespaces that are held, and those that are not.
    pub included: Vec<String>,
    /// Resources in namespaces that are not held.
    pub excluded: Vec<String>,
    /// Whether there are filters that we don't evaluate.
    pub filters: bool,
}

/// What is done with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is left out.
    Skip,
    /// It is backed up as files, through the pod that mounts it.
    Files,
    /// It is snapshotted.
    Snapshot,
    /// Something that a plugin knows.
    Custom,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct VolumePolicy {
    conditions: Conditions,
    action: Action,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Conditions {
    capacity: Option<String>,
    storage_class: Vec<String>,
    nfs: Option<Nfs>,
    csi: Option<Csi>,
    volume_types: Vec<String>,
    pvc_labels: BTreeMap<String, String>,
    pvc_phase: Vec<String>,
    pvc_volume_mode: Option<String>,
    pvc_access_modes: Vec<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Nfs {
    server: String,
    path: String,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Csi {
    driver: String,
    volume_attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: String,
    #[serde(default)]
    volume_policies: Option<Vec<Entry>>,
    #[serde(default)]
    include_exclude_policy: Option<IncludeExclude>,
    #[serde(default)]
    namespaced_filter_policies: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    conditions: Conditions,
    action: WireAction,
}

#[derive(Debug, Deserialize)]
struct WireAction {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncludeExclude {
    included_namespace_scoped_resources: Vec<String>,
    excluded_namespace_scoped_resources: Vec<String>,
}

/// A volume as the conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Labels of the claim.
    pub labels: &'a Labels,
    /// The claim.
    pub claim: &'a Claim,
    /// The volume; `None` where it is not known.
    pub volume: Option<&'a Volume>,
}

/// A condition is about a volume that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKnown;

/// Whether a text may hold policies: only then it is read.
pub fn may_be(text: &str) -> bool {
    text.contains("volumePolicies")
        || text.contains("includeExcludePolicy")
        || text.contains("FilterPolic")
}

impl Policies {
    /// Reads the YAML; `Err` where Velero would refuse it too, and fail the backup.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let document: Document = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        if document.version != "v1" {
            return Err(format!("version {:?} is not v1", document.version));
        }
        let entries = document.volume_policies.into_iter().flatten();
        let volumes: Result<_, String> = entries.map(VolumePolicy::of).collect();
        let resources = document.include_exclude_policy.unwrap_or_default();
        Ok(Self {
            volumes: volumes?,
            included: resources.included_namespace_scoped_resources,
            excluded: resources.excluded_namespace_scoped_resources,
            filters: document.namespaced_filter_policies.is_some(),
        })
    }

    /// What is done with a volume: the first policy that matches decides. `Err` where a condition
    /// is about a volume that is not known.
    pub fn action(&self, seen: Seen<'_>) -> Result<Option<Action>, NotKnown> {
        for policy in &self.volumes {
            if policy.conditions.hold(seen)? {
                return Ok(Some(policy.action));
            }
        }
        Ok(None)
    }
}

impl VolumePolicy {
    fn of(entry: Entry) -> Result<Self, String> {
        let action = match entry.action.kind.as_str() {
            "skip" => Action::Skip,
            "fs-backup" => Action::Files,
            "snapshot" => Action::Snapshot,
            "custom" => Action::Custom,
            other => return Err(format!("{other:?} is no action")),
        };
        let conditions = entry.conditions;
        if conditions.capacity.is_some() && conditions.range().is_none() {
            return Err("a capacity is not written as \"low,high\"".to_owned());
        }
        Ok(Self { conditions, action })
    }
}

impl Conditions {
    /// Bounds of the size; zero means none.
    fn range(&self) -> Option<(u64, u64)> {
        let Some(text) = &self.capacity else {
            return Some((0, 0));
        };
        let (low, high) = text.split_once(',')?;
        let bound = |text: &str| match text.trim() {
            "" => Some(0),
            text => bytes(text),
        };
        Some((bound(low)?, bound(high)?))
    }

    fn hold(&self, seen: Seen<'_>) -> Result<bool, NotKnown> {
        let about_claim = self
            .pvc_labels
            .iter()
            .all(|(key, value)| seen.labels.get(key) == Some(value))
            && (self.pvc_phase.is_empty() || self.pvc_phase.iter().any(|phase| phase == "Bound"))
            && self.mode_holds(seen.claim);
        if !about_claim {
            return Ok(false);
        }
        let about_volume = self.capacity.is_some()
            || self.nfs.is_some()
            || self.csi.is_some()
            || !self.volume_types.is_empty()
            || !self.storage_class.is_empty();
        if !about_volume {
            return Ok(true);
        }
        Ok(self.volume_holds(seen.volume.ok_or(NotKnown)?))
    }

    fn mode_holds(&self, claim: &Claim) -> bool {
        let mode = if claim.block { "Block" } else { "Filesystem" };
        let wanted = &self.pvc_access_modes;
        let same = wanted.len() == claim.access.len()
            && wanted
                .iter()
                .all(|mode| claim.access.iter().any(|has| **has == **mode));
        self.pvc_volume_mode
            .as_deref()
            .is_none_or(|m| m.is_empty() || m == mode)
            && (wanted.is_empty() || same)
    }

    fn volume_holds(&self, volume: &Volume) -> bool {
        let class = |name: &String| volume.class.as_deref() == Some(name.as_str());
        let kind = |name: &String| *volume.source == **name;
        let (low, high) = self.range().unwrap_or_default();
        (low == 0 || low <= volume.capacity)
            && (high == 0 || volume.capacity <= high)
            && (self.storage_class.is_empty() || self.storage_class.iter().any(class))
            && (self.volume_types.is_empty() || self.volume_types.iter().any(kind))
            && self.nfs.as_ref().is_none_or(|nfs| nfs.holds(volume))
            && self.csi.as_ref().is_none_or(|csi| csi.holds(volume))
    }
}

impl Nfs {
    fn holds(&self, volume: &Volume) -> bool {
        let wanted = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let share = volume.nfs.as_ref();
        share.is_some_and(|(server, path)| wanted(&self.server, server) && wanted(&self.path, path))
    }
}

impl Csi {
    fn holds(&self, volume: &Volume) -> bool {
        let Some(driver) = &volume.driver else {
            return false;
        };
        let attribute = |(key, value): (&String, &String)| {
            volume.attributes.get(key).unwrap_or_default() == value
        };
        // Without a driver its attributes are not looked at.
        self.driver.is_empty()
            || (self.driver == **driver
                && (self.volume_attributes.is_empty() || !volume.attributes.is_empty())
                && self.volume_attributes.iter().all(attribute))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{controls::testing::World, inventory::Kind};

    /// The action for a claim of 10 GiB on an EBS volume of class `fast`.
    fn action(policies: &str) -> Result<Option<Action>, NotKnown> {
        let world = World::new()
            .with(
                Kind::Claim,
                json!({
                    "metadata": { "name": "data", "namespace": "shop", "labels": { "tier": "db" } },
                    "spec": { "accessModes": ["ReadWriteOnce"], "volumeName": "pv-1" },
                    "status": { "phase": "Bound" },
                }),
            )
            .with(
                Kind::Volume,
                json!({
                    "metadata": { "name": "pv-1" },
                    "spec": {
                        "capacity": { "storage": "10Gi" }, "storageClassName": "fast",
                        "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1",
                                 "volumeAttributes": { "type": "gp3" } },
                    },
                }),
            );
        let tables = &world.inventory.tables;
        let claim = tables.claims.get("shop", "data").unwrap();
        let volume = tables.volumes.get("", "pv-1").unwrap();
        Policies::parse(policies).unwrap().action(Seen {
            labels: &claim.meta.labels,
            claim: &claim.spec,
            volume: Some(&volume.spec),
        })
    }

    fn one(conditions: &str) -> Option<Action> {
        let yaml = format!(
            "version: v1\nvolumePolicies:\n- conditions: {conditions}\n  action: {{type: skip}}\n"
        );
        action(&yaml).unwrap()
    }

    #[test]
    fn conditions_hold_as_velero_reads_them() {
        for (conditions, holds) in [
            ("{}", true),
            ("{capacity: '5Gi,20Gi'}", true),
            ("{capacity: '11Gi,'}", false),
            ("{capacity: ',10Gi'}", true),
            ("{storageClass: [slow, fast]}", true),
            ("{storageClass: [slow]}", false),
            ("{csi: {}}", true),
            ("{csi: {driver: ebs.csi.aws.com}}", true),
            (
                "{csi: {driver: ebs.csi.aws.com, volumeAttributes: {type: gp2}}}",
                false,
            ),
            ("{nfs: {}}", false),
            ("{volumeTypes: [csi, nfs]}", true),
            ("{volumeTypes: [hostPath]}", false),
            ("{pvcLabels: {tier: db}}", true),
            ("{pvcLabels: {tier: web}}", false),
            ("{pvcPhase: [Pending]}", false),
            ("{pvcVolumeMode: Block}", false),
            ("{pvcAccessModes: [ReadWriteOnce]}", true),
            ("{pvcAccessModes: [ReadWriteOnce, ReadOnlyMany]}", false),
            ("{storageClass: [fast], nfs: {}}", false),
        ] {
            assert_eq!(one(conditions).is_some(), holds, "{conditions}");
        }
    }

    #[test]
    fn the_first_match_decides() {
        let yaml = "version: v1\nvolumePolicies:\n\
                    - conditions: {nfs: {}}\n  action: {type: skip}\n\
                    - conditions: {csi: {}}\n  action: {type: fs-backup}\n\
                    - conditions: {}\n  action: {type: snapshot}\n";
        assert_eq!(action(yaml), Ok(Some(Action::Files)));
    }

    #[test]
    fn what_velero_refuses_is_refused() {
        for yaml in [
            "version: v2\n",
            "volumePolicies: []\n",
            "version: v1\nvolumePolicies:\n- conditions: {size: 1}\n  action: {type: skip}\n",
            "version: v1\nvolumePolicies:\n- conditions: {}\n  action: {type: copy}\n",
            "version: v1\nvolumePolicies:\n- conditions: {capacity: 5Gi}\n  action: {type: skip}\n",
            "[",
        ] {
            assert!(Policies::parse(yaml).is_err(), "{yaml}");
        }
    }
}
