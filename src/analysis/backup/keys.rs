//! What objects are about, so that a change of one names whom it concerns.

use super::{RESTORE_TEST, backs_up, class_subject, location, points};
use crate::{
    controls::Subject,
    inventory::{
        Inventory, Kind, Sym, Uid, cnpg,
        velero::{SCHEDULE, VolumeBackup},
    },
};

/// What backups prove things about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The claim with this uid.
    Uid(Uid),
    /// The claim with this namespace and name.
    Claim(Sym, Sym),
    /// The pods that mount the claim with this namespace and name.
    Mounted(Sym, Sym),
    /// The database cluster with this namespace and name.
    Database(Sym, Sym),
    /// The volume with this name.
    Volume(Sym),
    /// The volume that a CSI driver calls so.
    Handle(Sym),
    /// The parts of the Velero Backup with this namespace and name.
    Parts(Sym, Sym),
    /// The `VolumeSnapshotContent` with this name.
    Content(Sym),
    /// The runs of a plan.
    Runs(Subject),
    /// The Velero Backups in the location with this namespace and name.
    Location(Sym, Sym),
    /// Everything in this namespace.
    Namespace(Sym),
    /// Everything; what the object says in short, where it has more to say than matters here.
    All(Sym),
}

/// What an object proves something about.
pub(super) fn keys(inventory: &Inventory, kind: Kind, namespace: &Sym, name: &Sym) -> Vec<Key> {
    if inventory.meta(kind, namespace, name).is_none() {
        return Vec::new(); // gone, or not to be understood
    }
    settings(inventory, kind, namespace, name)
        .unwrap_or_else(|| proofs(inventory, kind, namespace, name))
}

/// Whom a setting concerns; `None` for what is no setting. What changes rarely concerns all.
fn settings(inventory: &Inventory, kind: Kind, namespace: &Sym, name: &Sym) -> Option<Vec<Key>> {
    let tables = &inventory.tables;
    let all = || Key::All("".into());
    let key = match kind {
        Kind::VeleroSchedule
        | Kind::VeleroSnapshotLocation
        | Kind::SnapshotClass
        | Kind::StorageClass
        | Kind::RecurringJob
        | Kind::BackupTarget => Some(all()),
        Kind::VeleroLocation => {
            let location = tables.velero_locations.get(namespace, name);
            location.map(|location| Key::All(location::in_short(&location.spec)))
        }
        Kind::Deployment => {
            let deployment = tables.deployments.get(namespace, name);
            let tool = deployment.and_then(|d| d.spec.template.backup_tool.as_ref());
            tool.map(|_| all())
        }
        Kind::ConfigMap => {
            let map = tables.config_maps.get(namespace, name);
            map.and_then(|map| map.spec.policies.as_ref())
                .map(|_| all())
        }
        Kind::Namespace => Some(Key::Namespace(name.clone())),
        Kind::ScheduledBackup | Kind::ObjectStore | Kind::K8upSchedule => {
            Some(Key::Namespace(namespace.clone()))
        }
        _ => return None,
    };
    Some(key.into_iter().collect())
}

/// What a backup, or what it is of, is about.
fn proofs(inventory: &Inventory, kind: Kind, namespace: &Sym, name: &Sym) -> Vec<Key> {
    let tables = &inventory.tables;
    let claim = |claim: &str| Key::Claim(namespace.clone(), claim.into());
    let runs = |kind, name: &str| Key::Runs(Subject::object(kind, namespace, &name.into()));
    let mut keys = Vec::new();
    match kind {
        Kind::LonghornVolume => keys.push(Key::Handle(name.clone())),
        Kind::SnapshotContent => keys.push(Key::Content(name.clone())),
        Kind::Pod => {
            let pod = tables.pods.get(namespace, name);
            let claims = pod.iter().flat_map(|pod| pod.spec.claims().iter());
            keys.extend(claims.map(|mount| Key::Mounted(namespace.clone(), mount.claim.clone())));
        }
        Kind::Claim => {
            let claim = tables.claims.get(namespace, name);
            keys.extend(claim.map(|claim| Key::Uid(claim.meta.uid)));
            let volume = claim.and_then(|claim| claim.spec.volume.clone());
            keys.extend(volume.map(Key::Volume));
        }
        Kind::Volume => {
            let volume = tables.volumes.get(namespace, name);
            keys.extend(volume.and_then(|volume| volume.spec.handle.clone().map(Key::Handle)));
            keys.push(Key::Volume(name.clone()));
        }
        Kind::CronJob => {
            let job = tables.cron_jobs.get(namespace, name);
            let claims = job.and_then(|job| backs_up(&job.meta));
            keys.extend(claims.into_iter().flatten().map(claim));
        }
        Kind::Job => {
            let Some(job) = tables.jobs.get(namespace, name) else {
                return keys;
            };
            let controller = job.meta.owners.controller.as_deref();
            let cron_job = controller.and_then(|owner| owner.strip_prefix("CronJob/"));
            keys.extend(cron_job.map(|name| runs(Kind::CronJob, name)));
            let tested = job.meta.labels.get(RESTORE_TEST);
            keys.extend(tested.map(|class| Key::Runs(class_subject(class))));
        }
        Kind::VolumeSnapshot => {
            let snapshot = tables.volume_snapshots.get(namespace, name);
            let snapshot = snapshot.map(|snapshot| &snapshot.spec);
            keys.extend(snapshot.and_then(|s| s.claim.as_deref().map(claim)));
            keys.extend(snapshot.and_then(|s| s.content.clone().map(Key::Content)));
        }
        Kind::PodVolumeBackup | Kind::DataUpload => {
            let volume = points::volume_backup(inventory, kind, namespace, name);
            keys.extend(
                volume
                    .into_iter()
                    .flat_map(|volume| of_volume(namespace, &volume.spec)),
            );
        }
        Kind::VeleroBackup => {
            let backup = tables.velero_backups.get(namespace, name);
            let schedule = backup.and_then(|backup| backup.meta.labels.get(SCHEDULE));
            keys.extend(schedule.map(|schedule| runs(Kind::VeleroSchedule, schedule)));
            let location = backup.and_then(|backup| backup.spec.spec.location.clone());
            keys.extend(location.map(|name| Key::Location(namespace.clone(), name)));
        }
        Kind::DatabaseBackup => {
            let Some(backup) = tables.database_backups.get(namespace, name) else {
                return keys;
            };
            keys.push(Key::Database(
                namespace.clone(),
                backup.spec.cluster.clone(),
            ));
            let schedule = backup.meta.labels.get(cnpg::SCHEDULED);
            keys.extend(schedule.map(|schedule| runs(Kind::ScheduledBackup, schedule)));
        }
        Kind::LonghornBackup => {
            let backup = tables.longhorn_backups.get(namespace, name);
            keys.extend(backup.and_then(|backup| backup.spec.volume.clone().map(Key::Handle)));
        }
        Kind::K8upSnapshot => {
            let snapshot = tables.k8up_snapshots.get(namespace, name);
            keys.extend(
                snapshot
                    .iter()
                    .flat_map(|snapshot| snapshot.spec.claims().map(claim)),
            );
        }
        Kind::K8upBackup => {
            let backup = tables.k8up_backups.get(namespace, name);
            let owner = backup.and_then(|backup| backup.meta.owners.controller.as_deref());
            let schedule = owner.and_then(|owner| owner.strip_prefix("Schedule/"));
            keys.extend(schedule.map(|schedule| runs(Kind::K8upSchedule, schedule)));
        }
        _ => {}
    }
    keys
}

/// The claim that a volume's part of a backup is of, and that backup.
fn of_volume(namespace: &Sym, volume: &VolumeBackup) -> impl Iterator<Item = Key> {
    let uid = volume.claim_uid.as_deref().and_then(Uid::parse);
    let by_name = volume.claim.clone();
    let by_name = by_name.map(|claim| Key::Claim(volume.claim_namespace.clone(), claim));
    let backup = volume.backup.clone();
    let backup = backup.map(|backup| Key::Parts(namespace.clone(), backup));
    // By uid, and by name only where it tells no uid.
    uid.map(Key::Uid).or(by_name).into_iter().chain(backup)
}
