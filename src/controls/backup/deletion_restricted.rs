//! `backup-deletion-restricted`

use std::borrow::Cow;

use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::{
        prelude::*,
        restricted::{self, AllowedSubject, Held, Restricted},
    },
    inventory::{Effect, Table, template::BackupTool},
};

/// Only listed identities and the backup tools themselves can delete backups, or read the
/// credentials of the places that they lie in.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionRestricted {
    /// Identities that may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// `VolumeSnapshotClass`es whose `deletionPolicy` must be `Retain`, so that a snapshot
    /// outlives its object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub retained_classes: Vec<String>,
}

impl DeletionRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-deletion-restricted",
        field: "backupDeletionRestricted",
        title: "Only listed identities and the backup tools can delete backups",
        family: Family::Backup,
        criteria: &["CC6.1", "A1.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 4,
        reads: &[
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::Crd,
            Kind::VeleroLocation,
            Kind::ObjectStore,
            Kind::Database,
            Kind::BackupTarget,
            Kind::SnapshotClass,
            Kind::K8upSchedule,
        ],
        subjects: &[Kind::ServiceAccount, Kind::SnapshotClass],
        derives: &[Derived::Rights, Derived::Programs],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `delete` or `deletecollection` on backups of Velero, CloudNativePG or \
               Longhorn, on Longhorn's backup volumes, on snapshots of K8up, or on \
               VolumeSnapshots and their contents; `update` or `patch` on Velero's backups, whose \
               expiry is a field; `create` on DeleteBackupRequests; or `get`, `list`, `watch`, \
               `patch` or `deletecollection`, all of which show it, on a Secret with the \
               credentials of a backup location. The account that a tool's \
               own workload runs as may do so with what is that tool's. Each \
               VolumeSnapshotClass in `retainedClasses` has `deletionPolicy: Retain`.",
        why: "Who means to extort, or to hide something, deletes the backups first. With the \
              credentials of the bucket that takes no right in the cluster.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed. Classes \
              are left as they are.",
        by_hand: "Take these verbs out of the role; keep credentials of locations in a namespace \
                  in which nobody may read Secrets; list whom you trust with both in \
                  `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy can refuse to DELETE backups that are younger \
                     than their retention, but for the account by which the tool itself cleans \
                     up: Velero does that with a DeleteBackupRequest of its own.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. Where no backup tool is \
                 installed there is no subject. A limit to names of backups is none: it names \
                 backups. Rights in one namespace on backups of Velero and Longhorn count where a \
                 backup location of theirs is. Tools are known by the programs and containers \
                 that they run, so that whoever may create workloads can pass an account off as a \
                 tool's; accounts that run no workload of their own, such as K8up's \
                 `pod-executor`, are to be listed. A Velero location without a credential of its \
                 own counts with Secret `cloud-credentials`; Secrets that K8up's own Backups \
                 name, rather than its Schedules, are not known. A tool's account may read the credentials of another tool. \
                 Deleting a location, a schedule or a bucket is not seen here. \
                 Holders of cluster-admin are NotApplicable: rbac-cluster-admin-allowlist judges \
                 them. Grants by other authorizers are not visible.",
    };
}

const DELETE: Verbs = Verbs::DELETE.or(Verbs::DELETE_ALL);

/// The Secret that Velero takes for a location that names none.
const VELERO_SECRET: &str = "cloud-credentials";

/// Name of the CRD of a thing that is a backup.
fn crd(thing: Thing) -> String {
    format!("{}.{}", thing.resource(), thing.group())
}

/// Whether backups of this kind can exist. A dump may hold objects of a tool without their
/// definitions: those that say where its backups go tell as well.
fn is_served(inventory: &Inventory, thing: Thing) -> bool {
    let tables = &inventory.tables;
    let used = match thing {
        Thing::VeleroBackups | Thing::DeleteBackupRequests => !tables.velero_locations.is_empty(),
        Thing::VolumeSnapshots | Thing::SnapshotContents => !tables.snapshot_classes.is_empty(),
        Thing::DatabaseBackups => !tables.databases.is_empty(),
        Thing::LonghornBackups | Thing::LonghornBackupVolumes => !tables.backup_targets.is_empty(),
        Thing::K8upSnapshots => !tables.k8up_schedules.is_empty(),
        _ => false,
    };
    used || tables.crds.get("", &crd(thing)).is_some()
}

/// The objects of a namespace, or all of them where it is empty.
fn rows<'a, P>(
    table: &'a Table<P>,
    namespace: &'a str,
) -> Box<dyn Iterator<Item = &'a Object<P>> + 'a> {
    if namespace.is_empty() {
        Box::new(table.iter())
    } else {
        Box::new(table.in_namespace(namespace))
    }
}

/// Namespace and name of each Secret with credentials of a backup location.
fn credentials<'a>(
    inventory: &'a Inventory,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let tables = &inventory.tables;
    let velero = rows(&tables.velero_locations, namespace).map(|location| {
        let own = location.spec.credential.as_deref();
        (&*location.meta.namespace, own.unwrap_or(VELERO_SECRET))
    });
    let stores = rows(&tables.object_stores, namespace)
        .filter_map(|store| Some((&*store.meta.namespace, &**store.spec.store.secret.as_ref()?)));
    let databases = rows(&tables.databases, namespace).filter_map(|database| {
        let secret = database.spec.store.as_ref()?.secret.as_ref()?;
        Some((&*database.meta.namespace, &**secret))
    });
    let targets = rows(&tables.backup_targets, namespace)
        .filter_map(|target| Some((&*target.meta.namespace, &**target.spec.credential.as_ref()?)));
    let schedules = rows(&tables.k8up_schedules, namespace).flat_map(|schedule| {
        let secrets = schedule.spec.credentials.iter();
        secrets.map(|secret| (&*schedule.meta.namespace, &**secret))
    });
    velero
        .chain(targets)
        .chain(stores)
        .chain(databases)
        .chain(schedules)
}

/// Whether backups of this kind may lie in a namespace: some tools keep theirs in their own.
fn is_home(inventory: &Inventory, thing: Thing, namespace: &str) -> bool {
    let tables = &inventory.tables;
    match thing {
        _ if namespace.is_empty() => true,
        Thing::VeleroBackups | Thing::DeleteBackupRequests => tables
            .velero_locations
            .in_namespace(namespace)
            .next()
            .is_some(),
        Thing::LonghornBackups | Thing::LonghornBackupVolumes => tables
            .backup_targets
            .in_namespace(namespace)
            .next()
            .is_some(),
        _ => true,
    }
}

/// Whether what an account runs as is the tool that a thing is of.
fn is_tool_of(context: &Context<'_>, subject: &Subject, thing: Thing) -> bool {
    let mut programs = context.analyses.programs().of(subject);
    programs.any(|template| {
        let Some(tool) = template.backup_tool.as_deref() else {
            return false;
        };
        match thing {
            Thing::VeleroBackups | Thing::DeleteBackupRequests => {
                matches!(tool, BackupTool::Velero(_))
            }
            Thing::DatabaseBackups => *tool == BackupTool::CloudNativePg,
            Thing::LonghornBackups | Thing::LonghornBackupVolumes => *tool == BackupTool::Longhorn,
            Thing::K8upSnapshots => matches!(tool, BackupTool::K8up { .. }),
            // Nothing but a snapshotter has to do with snapshots alone.
            Thing::Secrets => *tool != BackupTool::Snapshots,
            _ => true,
        }
    })
}

impl Restricted for DeletionRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (
            Thing::VeleroBackups,
            DELETE.or(Verbs::UPDATE).or(Verbs::PATCH),
        ),
        (Thing::DeleteBackupRequests, Verbs::CREATE),
        (Thing::VolumeSnapshots, DELETE),
        (Thing::SnapshotContents, DELETE),
        (Thing::DatabaseBackups, DELETE),
        (Thing::LonghornBackups, DELETE),
        (Thing::LonghornBackupVolumes, DELETE),
        (Thing::K8upSnapshots, DELETE),
        (Thing::Secrets, Verbs::SHOWN),
    ];
    const REASON: &'static str = "BackupsDeletable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn changed(&self, change: &Change) -> Touched {
        let backups = || Self::RIGHTS.iter().any(|(t, _)| *change.name == *crd(*t));
        match change.kind {
            // The first one of all tells that there are snapshots.
            Kind::SnapshotClass if change.effect == Effect::Modified => Touched::Subject(
                Subject::object(Kind::SnapshotClass, &"".into(), &change.name),
            ),
            Kind::Crd if !backups() => Touched::Nothing,
            // A location or a kind of backup may have come or gone.
            _ => Touched::All,
        }
    }

    fn applies(&self, inventory: &Inventory) -> bool {
        let mut things = Self::RIGHTS.iter().map(|(thing, _)| *thing);
        things.any(|thing| is_served(inventory, thing))
    }

    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let inventory = context.inventory;
        let namespace = &**held.grant.namespace;
        let place = if held.thing == Thing::Secrets {
            let named = |name: &str| {
                held.names.is_empty() || held.names.iter().any(|listed| **listed == *name)
            };
            let mut secrets = credentials(inventory, namespace);
            let (home, name) = secrets.find(|(_, name)| named(name))?;
            let place = held.place();
            Cow::Owned(format!(
                "{place}, among them {home}/{name} with the credentials of a backup location"
            ))
        } else if is_served(inventory, held.thing) && is_home(inventory, held.thing, namespace) {
            held.place()
        } else {
            return None;
        };
        (!is_tool_of(context, subject, held.thing)).then_some(place)
    }

    fn beside(&self, _: &Context<'_>, found: &mut dyn FnMut(Subject)) {
        for class in &self.retained_classes {
            found(Subject::object(
                Kind::SnapshotClass,
                &"".into(),
                &class.as_str().into(),
            ));
        }
    }

    fn would_judge(&self, subject: &Subject) -> bool {
        let mut listed = self.retained_classes.iter();
        subject.object_kind() != Some(Kind::SnapshotClass)
            || listed.any(|class| **class == *subject.name)
    }

    fn judge_beside(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if subject.object_kind() != Some(Kind::SnapshotClass)
            || !Restricted::would_judge(self, subject)
        {
            return None;
        }
        let classes = &context.inventory.tables.snapshot_classes;
        Some(match classes.get("", &subject.name) {
            None => Verdict::unknown(
                "NoSuchClass",
                "the policy names a VolumeSnapshotClass that does not exist",
            ),
            Some(class) if class.spec.retain => {
                Verdict::pass(Strength::Declared, "SnapshotsRetained", "")
            }
            Some(_) => Verdict::fail(
                Strength::Declared,
                "SnapshotsGoWithTheirObject",
                "whoever deletes a VolumeSnapshot of this class deletes the snapshot",
            )
            .propose("give the class deletionPolicy: Retain; snapshots that exist keep theirs"),
        })
    }
}

#[cfg(test)]
mod tests;
