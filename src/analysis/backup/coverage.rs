//! Which plan covers a claim or database, and why the others don't.

use super::{Key, Protectable, Recovery, backs_up, velero};
use crate::{
    controls::Subject,
    inventory::{
        Inventory, Kind, Object,
        cnpg::{BARMAN_PLUGIN, Database, ScheduledBackup},
        k8up::K8upSchedule,
        longhorn::{DRIVER, GROUP, JOB, LonghornVolume, RecurringJob},
        storage::{Claim, K8UP_BACKUP, Volume},
        template::BackupTool,
        velero::Backup,
        wire::go_bool,
    },
};

/// What a plan does for a claim or database, by how near it comes to covering it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// It has nothing to do with it.
    No,
    /// It would hold it, but for a choice that somebody made.
    LeftOut(String),
    /// It holds the manifests, and not the data.
    ManifestsOnly(String),
    /// It would hold it, but has nowhere to write to.
    LocationUnusable(String),
    /// It would hold it, but starts no backups.
    Inactive(String),
    /// Nobody can tell.
    Unclear(String),
    /// It backs it up, by the means named.
    Yes(&'static str),
}

impl Recovery {
    /// What each plan that has to do with it does for a claim or database.
    pub fn coverage<'a>(
        &'a self,
        inventory: &'a Inventory,
        what: Protectable<'a>,
    ) -> impl Iterator<Item = (Subject, Covers)> {
        let covers = self.candidates(inventory, what).into_iter();
        let covers = covers.filter(|(_, covers)| *covers != Covers::No);
        covers.map(move |(subject, covers)| {
            let covers = match (self.is_active(&subject), covers) {
                (Err(why), Covers::Yes(_) | Covers::Unclear(_)) => Covers::Inactive(why.to_owned()),
                (_, covers) => covers,
            };
            (subject, covers)
        })
    }

    /// What a Velero Backup does for a claim, once it has run.
    pub fn backup_covers(
        &self,
        inventory: &Inventory,
        backup: &Object<Backup>,
        claim: &Object<Claim>,
    ) -> Covers {
        let spec = &backup.spec.spec;
        velero::judge(inventory, self, &backup.meta.namespace, spec, claim)
    }

    /// Whether a plan is meant to hold the data of a claim, whether or not it can right now. Plans
    /// that name what they back up are not asked.
    pub fn is_meant_for(
        &self,
        inventory: &Inventory,
        plan: &Subject,
        claim: &Object<Claim>,
    ) -> bool {
        let tables = &inventory.tables;
        let (namespace, name) = (&*plan.namespace, &*plan.name);
        let covers = match plan.object_kind() {
            Some(Kind::VeleroSchedule) => {
                let schedule = tables.velero_schedules.get(namespace, name);
                let template = schedule.map(|schedule| &schedule.spec.template);
                template.map(|template| velero::judge(inventory, self, namespace, template, claim))
            }
            Some(Kind::K8upSchedule) if *claim.meta.namespace == *namespace => {
                let schedule = tables.k8up_schedules.get(namespace, name);
                schedule.map(|schedule| k8up_covers(inventory, schedule, claim))
            }
            Some(Kind::RecurringJob) => {
                let mut jobs = self.longhorn(inventory, claim).into_iter();
                jobs.find_map(|(job, covers)| (job == *plan).then_some(covers))
            }
            _ => None,
        };
        matches!(
            covers,
            Some(Covers::Yes(_) | Covers::Unclear(_) | Covers::LocationUnusable(_))
        )
    }

    fn candidates(&self, inventory: &Inventory, what: Protectable<'_>) -> Vec<(Subject, Covers)> {
        let tables = &inventory.tables;
        let namespace = &*what.meta().namespace;
        let mut found = Vec::new();
        match what {
            Protectable::Database(database) => {
                for scheduled in tables.scheduled_backups.in_namespace(namespace) {
                    if scheduled.spec.cluster == database.meta.name {
                        let subject = Subject::of(Kind::ScheduledBackup, &scheduled.meta);
                        found.push((subject, database_covers(inventory, scheduled, database)));
                    }
                }
            }
            Protectable::Claim(claim) => {
                for schedule in tables.velero_schedules.iter() {
                    let template = &schedule.spec.template;
                    // Nearly all that don't cover it don't hold its namespace.
                    if velero::in_namespaces(&template.namespaces, namespace) {
                        let home = &schedule.meta.namespace;
                        let covers = velero::judge(inventory, self, home, template, claim);
                        found.push((Subject::of(Kind::VeleroSchedule, &schedule.meta), covers));
                    }
                }
                for job in tables.cron_jobs.in_namespace(namespace) {
                    let mut names = backs_up(&job.meta).into_iter().flatten();
                    if names.any(|name| *name == *claim.meta.name) {
                        let subject = Subject::of(Kind::CronJob, &job.meta);
                        found.push((subject, Covers::Yes("by its own word")));
                    }
                }
                for schedule in tables.k8up_schedules.in_namespace(namespace) {
                    let subject = Subject::of(Kind::K8upSchedule, &schedule.meta);
                    found.push((subject, k8up_covers(inventory, schedule, claim)));
                }
                found.extend(self.longhorn(inventory, claim));
            }
        }
        found
    }
}

/// Whether the method of a scheduled backup is one that the cluster is set up for.
fn database_covers(
    inventory: &Inventory,
    scheduled: &Object<ScheduledBackup>,
    database: &Object<Database>,
) -> Covers {
    let out = |why: &str| Covers::LocationUnusable(why.to_owned());
    match &*scheduled.spec.method {
        "barmanObjectStore" if database.spec.store.is_some() => Covers::Yes("with Barman"),
        "barmanObjectStore" => out("the cluster has no spec.backup.barmanObjectStore"),
        "volumeSnapshot" if database.spec.snapshots => Covers::Yes("by snapshots"),
        "volumeSnapshot" => out("the cluster has no spec.backup.volumeSnapshot"),
        "plugin" => {
            let wanted = scheduled.spec.plugin.as_deref().unwrap_or_default();
            let mut plugins = database.spec.plugins.iter();
            let Some(plugin) = plugins.find(|plugin| *plugin.name == *wanted) else {
                return out("the cluster doesn't switch on the plugin that it names");
            };
            let store = plugin.object_store.as_deref().unwrap_or_default();
            let stores = &inventory.tables.object_stores;
            let there = stores.get(&database.meta.namespace, store).is_some();
            if wanted == BARMAN_PLUGIN && !there {
                return Covers::LocationUnusable(format!("there is no ObjectStore {store:?}"));
            }
            Covers::Yes("through a plugin")
        }
        other => Covers::Unclear(format!("its method {other:?} is not known")),
    }
}

/// Whether a schedule of K8up takes a claim of its namespace.
fn k8up_covers(
    inventory: &Inventory,
    schedule: &Object<K8upSchedule>,
    claim: &Object<Claim>,
) -> Covers {
    let spec = &schedule.spec;
    if spec.cron.is_none() {
        return Covers::No;
    }
    let out = |why: &str| Covers::LeftOut(why.to_owned());
    let mut selectors = spec.selectors.iter();
    if !spec.selectors.is_empty() && !selectors.any(|s| s.matches(&claim.meta.labels)) {
        return out("its label selectors leave the claim out");
    }
    if spec.backend.is_none() {
        let why = "it names no backend: K8up takes that of its operator, which Probity doesn't see";
        return Covers::Unclear(why.into());
    }
    match claim.meta.annotations.get(K8UP_BACKUP) {
        Some(said) if go_bool(said) == Some(true) => return Covers::Yes("as files"),
        Some(_) => return out("the claim has the annotation k8up.io/backup: false"),
        None => {}
    }
    let deployments = inventory.tables.deployments.iter();
    let mut tools = deployments.filter_map(|d| d.spec.template.backup_tool.as_deref());
    let strict = BackupTool::K8up {
        skip_without_annotation: true,
    };
    if tools.any(|tool| *tool == strict) {
        return out("K8up leaves out claims without the annotation k8up.io/backup");
    }
    let mut modes = claim.spec.access.iter();
    if !claim.spec.access.is_empty()
        && modes.all(|m| !matches!(&**m, "ReadWriteOnce" | "ReadWriteMany"))
    {
        return out(
            "K8up leaves out claims of its access mode without the annotation k8up.io/backup",
        );
    }
    Covers::Yes("as files")
}

impl Recovery {
    /// What the recurring jobs of Longhorn do for a claim.
    fn longhorn(&self, inventory: &Inventory, claim: &Object<Claim>) -> Vec<(Subject, Covers)> {
        let tables = &inventory.tables;
        let volume = claim.spec.volume.as_deref();
        let volume = volume.and_then(|name| tables.volumes.get("", name));
        let volume = volume.filter(|volume| volume.spec.driver.as_deref() == Some(DRIVER));
        let Some(volume) = volume.and_then(|v| self.longhorn_volume(inventory, v)) else {
            return Vec::new();
        };
        let jobs = tables.recurring_jobs.in_namespace(&volume.meta.namespace);
        let jobs = jobs.filter(|job| job.spec.backs_up() && is_done_for(job, volume));
        jobs.map(|job| {
            let target = volume.spec.target.as_deref().unwrap_or("default");
            let target = tables.backup_targets.get(&volume.meta.namespace, target);
            let covers = match target {
                Some(target) if target.spec.available => Covers::Yes("to its backup target"),
                Some(target) => {
                    let why = format!("backup target {} can't be reached", target.meta.name);
                    Covers::LocationUnusable(why)
                }
                None => Covers::LocationUnusable("its backup target is not there".into()),
            };
            (Subject::of(Kind::RecurringJob, &job.meta), covers)
        })
        .collect()
    }

    /// What Longhorn knows of a volume of its driver.
    pub fn longhorn_volume<'a>(
        &self,
        inventory: &'a Inventory,
        volume: &Object<Volume>,
    ) -> Option<&'a Object<LonghornVolume>> {
        let key = Key::Handle(volume.spec.handle.clone()?);
        let mut objects = self.index.objects(&key);
        let (_, namespace, name) = objects.find(|(kind, ..)| *kind == Kind::LonghornVolume)?;
        inventory.tables.longhorn_volumes.get(namespace, name)
    }
}

/// Whether a volume names a job or one of its groups; one that names none is of group `default`.
fn is_done_for(job: &Object<RecurringJob>, volume: &Object<LonghornVolume>) -> bool {
    let labels = &volume.meta.labels;
    let names =
        |prefix: &str, name: &str| labels.get(&format!("{prefix}{name}")) == Some("enabled");
    let mut groups = job.spec.groups.iter();
    let names_any = labels.iter().any(|(key, value)| {
        let rest = key.strip_prefix(JOB);
        let job = rest.is_some_and(|rest| !matches!(rest, "source"));
        (job || key.starts_with(GROUP)) && value == "enabled"
    });
    names(JOB, &job.meta.name)
        || groups.any(|group| names(GROUP, group) || (!names_any && **group == *"default"))
}
