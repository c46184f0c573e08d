//! Backups of all tools in one model: what there is to lose, what is scheduled for it, and what
//! there is to recover it from.
//!
//! ```text
//! claims, databases ─► coverage()  which plan covers it, and why the others don't
//!                   ─► newest(), oldest()  recovery points, each with its proof
//! plans             ─► runs()      what became of each run
//! ```
//!
//! [`Recovery`] holds no verdict, only indexes: which objects prove something about which claim,
//! so that a claim is judged by looking at its own backups and not at all of them.

pub mod coverage;
pub mod index;
mod keys;
pub mod location;
pub mod plan;
pub mod points;
pub mod site;
mod velero;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

pub use self::velero::{Server, in_namespaces, named_namespaces, server};
use self::{
    index::{Index, Named},
    keys::{Key, keys},
    plan::Plan,
};
use super::Analysis;
use crate::{
    controls::{Subject, SubjectKind},
    inventory::{
        Change, Inventory, Kind, Meta, Object, Sym, Table, Uid,
        cnpg::{self, Database},
        storage::Claim,
        velero::{BackupSpec, VolumeBackup},
        workload::{Choice, Pod},
    },
};

/// Annotation of a `CronJob` with the claims that it backs up, separated by commas.
pub const BACKS_UP: &str = "probity.dev/backs-up";

/// Label of a claim or database cluster with its backup class.
pub const CLASS: &str = "probity.dev/backup-class";

/// Label of a Job that verifies a restore, and of a Restore or database cluster that is a test, with
/// the backup class that is tested.
pub const RESTORE_TEST: &str = "probity.dev/restore-test";

/// A backup class as a subject.
pub fn class_subject(class: &str) -> Subject {
    Subject::named(SubjectKind::BackupClass, class)
}

/// What follows from a plan alone.
#[derive(Debug, PartialEq, Eq)]
struct Cadence {
    inactive: Option<String>,
    interval: Option<Duration>,
}

/// Backups that hold the same, by start and name.
type Series = BTreeSet<(Timestamp, Sym)>;

/// All that is known of backups.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(PartialEq))]
pub struct Recovery {
    index: Index<Key>,
    /// Velero Backups that are proven by a count alone, by namespace and what they hold, by time.
    counted: BTreeMap<(Sym, Arc<BackupSpec>), Series>,
    /// Where each of them stands in there.
    counted_at: BTreeMap<(Sym, Sym), (Arc<BackupSpec>, Timestamp)>,
    /// What follows from each plan's expression: it takes longer to work out than all else.
    plans: BTreeMap<Subject, Cadence>,
    affected: BTreeSet<Subject>,
    /// Whether something changed that may concern every claim.
    all: bool,
}

/// Something to lose.
#[derive(Debug, Clone, Copy)]
pub enum Protectable<'a> {
    /// A volume claim.
    Claim(&'a Object<Claim>),
    /// A database cluster, with all of its claims.
    Database(&'a Object<Database>),
}

impl<'a> Protectable<'a> {
    /// The one that a subject is.
    pub fn of(inventory: &'a Inventory, subject: &Subject) -> Option<Self> {
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        let tables = &inventory.tables;
        match subject.object_kind()? {
            Kind::Claim => tables.claims.get(namespace, name).map(Self::Claim),
            Kind::Database => tables.databases.get(namespace, name).map(Self::Database),
            _ => None,
        }
    }

    /// Its metadata.
    pub const fn meta(self) -> &'a Meta {
        match self {
            Self::Claim(claim) => &claim.meta,
            Self::Database(database) => &database.meta,
        }
    }

    /// Its kind.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Claim(_) => Kind::Claim,
            Self::Database(_) => Kind::Database,
        }
    }

    /// Its storage class.
    pub const fn class(self) -> Option<&'a Sym> {
        match self {
            Self::Claim(claim) => claim.spec.class.as_ref(),
            Self::Database(database) => database.spec.class.as_ref(),
        }
    }

    /// The database cluster that a claim is a part of: the cluster's own backups cover it.
    pub fn database(self, inventory: &'a Inventory) -> Option<&'a Object<Database>> {
        let Self::Claim(claim) = self else {
            return None;
        };
        let cluster = claim.meta.labels.get(cnpg::CLUSTER)?;
        inventory
            .tables
            .databases
            .get(&claim.meta.namespace, cluster)
    }

    /// Its backup class: what the label says, else its storage class.
    pub fn backup_class(self) -> &'a str {
        let labelled = self.meta().labels.get(CLASS);
        let class = labelled.or_else(|| self.class().map(|class| &**class));
        class.unwrap_or("none")
    }

    /// Whether it lives and ends with a pod.
    pub fn is_ephemeral(self) -> bool {
        let controller = self.meta().owners.controller.as_deref();
        controller.is_some_and(|controller| controller.starts_with("Pod/"))
    }
}

/// The claims that a `CronJob` says it backs up; `None` where it is no backup.
pub fn backs_up(meta: &Meta) -> Option<impl Iterator<Item = &str>> {
    let names = meta.annotations.get(BACKS_UP)?.split(',').map(str::trim);
    Some(names.filter(|name| !name.is_empty()))
}

impl Analysis for Recovery {
    const READS: &'static [Kind] = &[
        Kind::Namespace,
        Kind::Claim,
        Kind::Volume,
        Kind::Pod,
        Kind::StorageClass,
        Kind::ConfigMap,
        Kind::Deployment,
        Kind::CronJob,
        Kind::Job,
        Kind::VolumeSnapshot,
        Kind::SnapshotContent,
        Kind::SnapshotClass,
        Kind::VeleroSchedule,
        Kind::VeleroBackup,
        Kind::PodVolumeBackup,
        Kind::DataUpload,
        Kind::VeleroLocation,
        Kind::VeleroSnapshotLocation,
        Kind::Database,
        Kind::ScheduledBackup,
        Kind::DatabaseBackup,
        Kind::ObjectStore,
        Kind::RecurringJob,
        Kind::LonghornVolume,
        Kind::LonghornBackup,
        Kind::BackupTarget,
        Kind::K8upSchedule,
        Kind::K8upBackup,
        Kind::K8upSnapshot,
    ];

    fn note(&mut self, inventory: &Inventory, change: &Change) {
        let (kind, namespace, name) = (change.kind, &change.namespace, &change.name);
        let object = (kind, namespace.clone(), name.clone());
        let keys = keys(inventory, kind, namespace, name);
        let old = self.index.put(object, keys.clone());
        if plan::KINDS.contains(&kind) {
            self.note_plan(inventory, Subject::object(kind, namespace, name));
        }
        // Velero notes every now and then that a location is still available.
        if kind == Kind::VeleroLocation && old == keys {
            return;
        }
        for key in old.iter().chain(&keys) {
            self.affect(inventory, key);
        }
        match kind {
            Kind::Claim | Kind::Database => {
                self.affected.insert(Subject::object(kind, namespace, name));
            }
            Kind::VeleroBackup => self.note_backup(inventory, namespace, name),
            _ => {}
        }
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        affected.append(&mut self.affected);
        if std::mem::take(&mut self.all) {
            subjects(&inventory.tables.claims, Kind::Claim, None, affected);
            subjects(&inventory.tables.databases, Kind::Database, None, affected);
        }
    }
}

fn subjects<P>(
    table: &Table<P>,
    kind: Kind,
    namespace: Option<&str>,
    affected: &mut BTreeSet<Subject>,
) {
    table.within(namespace, |object| {
        affected.insert(Subject::of(kind, &object.meta));
    });
}

impl Recovery {
    /// Notes the subjects that something is proven about, or is no more.
    fn affect(&mut self, inventory: &Inventory, key: &Key) {
        let tables = &inventory.tables;
        match key {
            Key::Claim(namespace, name) | Key::Mounted(namespace, name) => {
                self.affected
                    .insert(Subject::object(Kind::Claim, namespace, name));
            }
            Key::Database(namespace, name) => {
                self.affected
                    .insert(Subject::object(Kind::Database, namespace, name));
            }
            Key::Runs(plan) => {
                self.affected.insert(plan.clone());
                // When the job began that succeeded last is when the point of its claims is of.
                let job = match plan.object_kind() {
                    Some(Kind::CronJob) => tables.cron_jobs.get(&plan.namespace, &plan.name),
                    _ => None,
                };
                let claims = job
                    .and_then(|job| backs_up(&job.meta))
                    .into_iter()
                    .flatten();
                let claims =
                    claims.map(|name| Subject::object(Kind::Claim, &plan.namespace, &name.into()));
                self.affected.extend(claims);
            }
            Key::Uid(_) | Key::Volume(_) => {
                let claims = self.index.objects(key);
                let claims = claims.filter(|(kind, ..)| *kind == Kind::Claim);
                let claims = claims.map(|(kind, ns, name)| Subject::object(*kind, ns, name));
                self.affected.extend(claims);
            }
            Key::Handle(_) => {
                let volumes = self.index.objects(key);
                let volumes = volumes.filter(|(kind, ..)| *kind == Kind::Volume);
                let volumes: Vec<_> = volumes.map(|(.., name)| name.clone()).collect();
                for volume in volumes {
                    self.affect(inventory, &Key::Volume(volume));
                }
            }
            Key::Content(_) => {
                let objects = self.index.objects(key);
                let snapshots = objects.filter(|(kind, ..)| *kind == Kind::VolumeSnapshot);
                let snapshots =
                    snapshots.filter_map(|(_, ns, name)| tables.volume_snapshots.get(ns, name));
                let claims = snapshots.filter_map(|snapshot| {
                    let claim = snapshot.spec.claim.as_ref()?;
                    Some(Subject::object(
                        Kind::Claim,
                        &snapshot.meta.namespace,
                        claim,
                    ))
                });
                self.affected.extend(claims);
            }
            Key::Namespace(namespace) => {
                let (claims, databases) = (&tables.claims, &tables.databases);
                subjects(claims, Kind::Claim, Some(namespace), &mut self.affected);
                subjects(
                    databases,
                    Kind::Database,
                    Some(namespace),
                    &mut self.affected,
                );
            }
            Key::Location(namespace, name) => {
                self.affected
                    .insert(Subject::object(Kind::VeleroLocation, namespace, name));
            }
            Key::Parts(..) => {}
            Key::All(_) => self.all = true,
        }
    }

    fn note_plan(&mut self, inventory: &Inventory, subject: Subject) {
        let cadence = Plan::of(inventory, self, &subject).map(|plan| Cadence {
            inactive: plan.inactive(),
            interval: plan.interval(),
        });
        match cadence {
            Some(cadence) => self.plans.insert(subject, cadence),
            None => self.plans.remove(&subject),
        };
    }

    /// Whether a plan starts backups; `Err` is why not.
    pub fn is_active(&self, plan: &Subject) -> Result<(), &str> {
        match self.plans.get(plan) {
            Some(Cadence { inactive: None, .. }) => Ok(()),
            Some(Cadence {
                inactive: Some(why),
                ..
            }) => Err(why),
            None => Err("it is no plan"),
        }
    }

    /// The longest time between two runs of a plan, where it is ever due.
    pub fn interval(&self, plan: &Subject) -> Option<Duration> {
        self.plans.get(plan)?.interval
    }

    /// Keeps the counted backups in order, and notes whom a Backup and its parts are about.
    fn note_backup(&mut self, inventory: &Inventory, namespace: &Sym, name: &Sym) {
        let parts = Key::Parts(namespace.clone(), name.clone());
        let parts: Vec<_> = self.index.objects(&parts).cloned().collect();
        for part in parts {
            for key in self.index.keys_of(&part).to_vec() {
                self.affect(inventory, &key);
            }
        }
        let place = (namespace.clone(), name.clone());
        if let Some((spec, started)) = self.counted_at.remove(&place) {
            let pattern = (namespace.clone(), spec);
            if let Some(backups) = self.counted.get_mut(&pattern) {
                backups.remove(&(started, name.clone()));
                if backups.is_empty() {
                    self.counted.remove(&pattern);
                }
            }
            self.affect_counted(inventory, &pattern.1);
        }
        let backup = inventory.tables.velero_backups.get(namespace, name);
        let Some(backup) = backup.filter(|backup| points::is_counted(&backup.spec)) else {
            return;
        };
        let (spec, Some(started)) = (&backup.spec.spec, backup.spec.started) else {
            return;
        };
        let pattern = (namespace.clone(), Arc::clone(spec));
        let backups = self.counted.entry(pattern).or_default();
        backups.insert((started, name.clone()));
        self.counted_at.insert(place, (Arc::clone(spec), started));
        self.affect_counted(inventory, spec);
    }

    fn affect_counted(&mut self, inventory: &Inventory, spec: &BackupSpec) {
        for claim in inventory.tables.claims.iter() {
            if velero::in_namespaces(&spec.namespaces, &claim.meta.namespace) {
                self.affected.insert(Subject::of(Kind::Claim, &claim.meta));
            }
        }
    }

    /// Whether a Velero Backup that has not expired lies in a location.
    pub fn is_filled(&self, inventory: &Inventory, now: Timestamp, location: &Meta) -> bool {
        let key = Key::Location(location.namespace.clone(), location.name.clone());
        let mut backups = self.index.objects(&key);
        backups.any(|(_, namespace, name)| {
            let backup = inventory.tables.velero_backups.get(namespace, name);
            backup.is_some_and(|backup| backup.spec.expires.is_none_or(|expires| expires > now))
        })
    }

    /// Whether a volume of Longhorn has backups.
    pub fn has_longhorn_backups(&self, volume: &Sym) -> bool {
        let mut objects = self.index.objects(&Key::Handle(volume.clone()));
        objects.any(|(kind, ..)| *kind == Kind::LonghornBackup)
    }

    /// The parts of a Velero Backup: kind, namespace and name of each.
    pub fn parts<'a>(&'a self, backup: &Meta) -> impl Iterator<Item = &'a Named> + use<'a> {
        let key = Key::Parts(backup.namespace.clone(), backup.name.clone());
        self.index.objects(&key)
    }

    /// The claim that a volume's part of a backup is of, where it is still there.
    pub fn claim_of<'a>(
        &self,
        inventory: &'a Inventory,
        part: &VolumeBackup,
    ) -> Option<&'a Object<Claim>> {
        let claims = &inventory.tables.claims;
        let Some(uid) = part.claim_uid.as_deref().and_then(Uid::parse) else {
            return claims.get(&part.claim_namespace, part.claim.as_deref()?);
        };
        let mut objects = self.index.objects(&Key::Uid(uid));
        let (_, namespace, name) = objects.find(|(kind, ..)| *kind == Kind::Claim)?;
        claims.get(namespace, name)
    }

    /// The runs of a plan, or the Jobs that verify a class: kind, namespace and name of each.
    pub fn runs<'a>(&'a self, plan: &Subject) -> impl Iterator<Item = &'a Named> + use<'a> {
        self.index.objects(&Key::Runs(plan.clone()))
    }

    /// The pods that mount a claim and have not ended.
    pub fn pods<'a>(
        &'a self,
        inventory: &'a Inventory,
        claim: &'a Meta,
    ) -> impl Iterator<Item = (&'a Object<Pod>, Choice)> {
        let key = Key::Mounted(claim.namespace.clone(), claim.name.clone());
        let pods = self.index.objects(&key);
        pods.filter_map(move |(_, namespace, name)| {
            let pod = inventory.tables.pods.get(namespace, name)?;
            let mut mounts = pod.spec.claims().iter();
            let mount = mounts.find(|mount| mount.claim == claim.name)?;
            (!pod.spec.ended).then_some((pod, mount.choice))
        })
    }
}

#[cfg(test)]
mod tests;
