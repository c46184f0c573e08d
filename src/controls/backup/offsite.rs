//! `backup-offsite`

use std::collections::BTreeMap;

use super::{
    classes::{members, population},
    common::PROTECTABLE,
};
use crate::{
    analysis::{
        Derived,
        backup::{
            Protectable,
            points::Point,
            site::{Site, of_point},
        },
    },
    controls::prelude::*,
};

/// Each backup class has a recovery point outside the cluster.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offsite {
    /// Whether it must lie in another region than `clusterRegion`.
    #[serde(default)]
    pub require_other_region: bool,

    /// The region of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster_region: Option<String>,

    /// Regions of locations whose objects don't tell, by `namespace/name` of the location.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub region_of_location: BTreeMap<String, String>,
}

/// How far a member of a class comes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Best {
    Nothing,
    Inside(String),
    SameRegion(String),
    Unclear(String),
    Outside(String),
}

impl Offsite {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-offsite",
        field: "backupOffsite",
        title: "Each backup class has a recovery point outside the cluster",
        family: Family::Backup,
        criteria: &["A1.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[
            Kind::Claim,
            Kind::Database,
            Kind::VeleroLocation,
            Kind::ObjectStore,
            Kind::BackupTarget,
            Kind::Namespace,
        ],
        subjects: &[],
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::InRule,
        what: "For each backup class (label `probity.dev/backup-class` of a claim or database \
               cluster, else its storage class) at least one member has a recovery point that lies \
               outside the cluster: in an object store that is no Service of the cluster, or where \
               a CronJob's annotation `probity.dev/offsite` says. Snapshots of CSI and of \
               providers lie beside the volume and don't count.",
        why: "A snapshot dies with the storage system, and a bucket inside the cluster with the \
              cluster.",
        fix: "Nothing is written.",
        by_hand: "Move snapshots to an object store (`snapshotMoveData: true`), back up as files, \
                  or use a location outside the cluster.",
        prevention: "None: where a bucket is, admission can't tell.",
        limits: "One point of one member suffices for its class. A host that ends with .svc or .cluster.local, or is a single word, \
                 is inside; a private address is Unknown. A region is that of the location's \
                 configuration or of `regionOfLocation`; without `requireOtherRegion` regions \
                 aren't compared, and a bucket in the region of the cluster passes: whether that \
                 suffices is for management to state. Replication of snapshots by the storage \
                 system isn't seen. Exempt claims are left out.",
    };

    fn best(&self, context: &Context<'_>, what: Protectable<'_>) -> Best {
        let recovery = context.analyses.recovery();
        let site = |point: &Point<'_>| self.judge_point(context, point);
        // The newest of the best kind: most have one outside, and one look suffices. Snapshots
        // that are only counted never lie outside.
        let outside = |point: &Point<'_>| matches!(site(point), Best::Outside(_));
        let (inventory, now) = (context.inventory, context.now);
        let found = recovery
            .newest_proven_where(inventory, now, what, outside)
            .or_else(|| {
                let unclear = |point: &Point<'_>| matches!(site(point), Best::Unclear(_));
                recovery.newest_proven_where(inventory, now, what, unclear)
            })
            .or_else(|| recovery.newest(inventory, now, what));
        found.map_or(Best::Nothing, |point| site(&point))
    }

    fn judge_point(&self, context: &Context<'_>, point: &Point<'_>) -> Best {
        let source = &point.source;
        let region = match of_point(context.inventory, point) {
            Site::Inside(why) => return Best::Inside(why),
            Site::Unclear(why) => return Best::Unclear(why),
            Site::Outside(region) => region,
        };
        if !self.require_other_region {
            return Best::Outside(format!("{source} of {}", point.at));
        }
        let mut told = self.region_of_location.iter();
        let place = source.location(context.inventory);
        let told = told.find(|(name, _)| place.as_deref() == Some(name));
        let region = told.map(|(_, region)| region.clone()).or(region);
        match region {
            None => Best::Unclear(format!("the region of {source} is not known")),
            Some(region) if Some(&region) == self.cluster_region.as_ref() => Best::SameRegion(
                format!("{source} lies in region {region}, as the cluster does"),
            ),
            Some(region) => Best::Outside(format!("{source} of {}, in {region}", point.at)),
        }
    }

    fn judge_class(&self, context: &Context<'_>, members: &[Protectable<'_>]) -> Verdict {
        let mut best = Best::Nothing;
        for member in members {
            best = best.max(self.best(context, *member));
            if matches!(best, Best::Outside(_)) {
                break; // one suffices
            }
        }
        let effective = Strength::Effective;
        let all = members.len();
        match best {
            Best::Outside(example) => {
                let message = format!("of {all} claims and clusters one is {example}");
                Verdict::pass(effective, "OffsitePoint", message)
            }
            Best::Unclear(why) => Verdict::unknown("SiteNotKnown", why),
            Best::SameRegion(why) => Verdict::fail(effective, "SameRegion", why),
            Best::Inside(why) => Verdict::fail(effective, "OnlyInside", why),
            Best::Nothing => {
                let message = format!("none of {all} has any recovery point");
                Verdict::fail(effective, "NoRecoveryPoint", message)
            }
        }
    }
}

impl Control for Offsite {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.require_other_region && self.cluster_region.is_none() {
            return Err("requireOtherRegion needs clusterRegion: name the cluster's region".into());
        }
        Ok(())
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match subject.object_kind() {
            Some(kind) if PROTECTABLE.contains(&kind) => Touched::All,
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        population(context, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if subject.kind != SubjectKind::BackupClass {
            return None;
        }
        let members = members(context, &subject.name);
        (!members.is_empty()).then(|| self.judge_class(context, &members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::{
        backup::fixtures::{UID, backup, claim, location, world},
        testing::World,
    };

    fn part() -> Value {
        json!({
            "metadata": {
                "name": "part", "namespace": "velero",
                "labels": { "velero.io/backup-name": "nightly-1", "velero.io/pvc-uid": UID },
            },
            "status": { "phase": "Completed" },
        })
    }

    /// A backup as files in a location like this.
    fn files(change: &Value) -> World {
        world()
            .with(Kind::VeleroLocation, location(change))
            .with(Kind::VeleroBackup, backup(&json!({})))
            .with(Kind::PodVolumeBackup, part())
    }

    fn reason(world: &mut World, control: &Offsite) -> &'static str {
        let verdicts = world.judge(control);
        verdicts["BackupClass fast"].reason
    }

    #[test]
    fn a_location_outside_suffices_and_one_inside_does_not() {
        let usual = Offsite::default();
        let at = |url: &str| json!({ "spec": { "config": { "s3Url": url } } });
        for (change, wanted) in [
            (json!({}), "OffsitePoint"),
            (at("http://minio.velero.svc:9000"), "OnlyInside"),
            (at("http://minio:9000"), "OnlyInside"),
            (at("http://10.1.2.3:9000"), "SiteNotKnown"),
            (at("https://s3.example.com"), "OffsitePoint"),
        ] {
            assert_eq!(reason(&mut files(&change), &usual), wanted, "{change}");
        }
    }

    #[test]
    fn snapshots_alone_fail_even_without_any_location() {
        let snapshot = json!({
            "metadata": { "name": "snap", "namespace": "shop" },
            "spec": { "source": { "persistentVolumeClaimName": "data" } },
            "status": { "readyToUse": true, "creationTime": "2026-06-01T06:00:00Z" },
        });
        let usual = Offsite::default();
        let mut world = world().with(Kind::VolumeSnapshot, snapshot);
        world.delete(Kind::VeleroLocation, "velero", "default");
        assert_eq!(reason(&mut world, &usual), "OnlyInside");
        // Snapshots that Velero counts lie beside the volume, whatever its location.
        let counted = json!({ "status": {
            "csiVolumeSnapshotsAttempted": 1, "csiVolumeSnapshotsCompleted": 1,
        } });
        world.put(Kind::VeleroLocation, location(&json!({})));
        world.put(Kind::VeleroBackup, backup(&counted));
        assert_eq!(reason(&mut world, &usual), "OnlyInside");
        world.put(Kind::PodVolumeBackup, part());
        assert_eq!(
            reason(&mut world, &usual),
            "OffsitePoint",
            "one of them moved"
        );
    }

    #[test]
    fn without_any_point_a_class_fails() {
        assert_eq!(reason(&mut world(), &Offsite::default()), "NoRecoveryPoint");
    }

    #[test]
    fn another_region_may_be_required() {
        let control = |cluster: &str, told: &[(&str, &str)]| Offsite {
            require_other_region: true,
            cluster_region: Some(cluster.into()),
            region_of_location: told
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        };
        for (control, change, wanted) in [
            (control("eu-west-1", &[]), json!({}), "SameRegion"),
            (control("eu-north-1", &[]), json!({}), "OffsitePoint"),
            (
                control("eu-west-1", &[("velero/default", "eu-north-1")]),
                json!({}),
                "OffsitePoint",
            ),
            (
                control("eu-west-1", &[]),
                json!({ "spec": { "config": { "region": null } } }),
                "SiteNotKnown",
            ),
        ] {
            assert_eq!(
                reason(&mut files(&change), &control),
                wanted,
                "{control:?} {change}"
            );
        }
        let unsaid = Offsite {
            require_other_region: true,
            ..Offsite::default()
        };
        assert!(unsaid.check().is_err());
    }

    #[test]
    fn classes_are_by_label_else_by_storage_class_and_hold_what_is_in_scope() {
        let mut world = files(&json!({}));
        let other = |name: &str, namespace: &str, class: &str| {
            claim(&json!({ "metadata": {
                "name": name, "namespace": namespace, "uid": null,
                "labels": { "probity.dev/backup-class": class },
            } }))
        };
        world.put(Kind::Claim, other("logs", "shop", "silver"));
        world.put(Kind::Claim, other("etcd", "kube-system", "system"));
        let outcomes = world.outcomes(&Offsite::default());
        let reasons: Vec<_> = outcomes
            .iter()
            .map(|(s, (_, r))| (s.as_str(), *r))
            .collect();
        assert_eq!(
            reasons,
            [
                ("BackupClass fast", "OffsitePoint"),
                ("BackupClass silver", "NoRecoveryPoint")
            ]
        );
    }

    #[test]
    fn a_cron_jobs_place_is_what_it_says() {
        let job = |annotations: Value| {
            json!({
                "metadata": { "name": "dump", "namespace": "shop", "annotations": annotations },
                "spec": { "schedule": "@daily" },
                "status": { "lastSuccessfulTime": "2026-06-01T01:00:00Z" },
            })
        };
        let names = json!({ "probity.dev/backs-up": "data" });
        let mut world = world().with(Kind::CronJob, job(names.clone()));
        assert_eq!(reason(&mut world, &Offsite::default()), "SiteNotKnown");
        let mut placed = names;
        placed["probity.dev/offsite"] = json!("s3 of another account");
        world.put(Kind::CronJob, job(placed));
        assert_eq!(reason(&mut world, &Offsite::default()), "OffsitePoint");
    }
}
