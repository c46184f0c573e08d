//! What Velero's backups hold, and by which means they hold a volume.
//!
//! As in `pkg/backup`, `internal/volumehelper` and `pkg/util/csi` of Velero 1.18.

mod glob;

use std::{borrow::Cow, collections::BTreeSet};

use self::glob::glob;
use super::{Recovery, coverage::Covers, location};
use crate::inventory::{
    Inventory, Object, Sym,
    storage::{Claim, DEFAULT_CLASS, VELERO_CLASS, Volume},
    template::BackupTool,
    velero::{
        BackupSpec, EXCLUDE, Filter,
        policy::{Action, NotKnown, Policies, Seen},
    },
    workload::Choice,
};

/// Velero's server, as its Deployment starts it.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a>(&'a [Sym]);

/// Velero's server of a namespace, where its Deployment is there.
pub fn server<'a>(inventory: &'a Inventory, namespace: &'a str) -> Option<Server<'a>> {
    let mut deployments = inventory.tables.deployments.in_namespace(namespace);
    deployments.find_map(
        |deployment| match deployment.spec.template.backup_tool.as_deref() {
            Some(BackupTool::Velero(arguments)) => Some(Server(arguments)),
            _ => None,
        },
    )
}

impl<'a> Server<'a> {
    /// The value of a flag, as `--flag=value` or `--flag value`; empty for a bare flag.
    fn flag(self, name: &str) -> Option<&'a str> {
        let mut found = None;
        let mut words = self.0.iter().map(|word| &**word).peekable();
        while let Some(word) = words.next() {
            let Some(rest) = word.strip_prefix("--").and_then(|w| w.strip_prefix(name)) else {
                continue;
            };
            if let Some(value) = rest.strip_prefix('=') {
                found = Some(value);
            } else if rest.is_empty() {
                let next = words.peek().filter(|next| !next.starts_with('-'));
                found = Some(next.copied().unwrap_or_default());
            }
        }
        found
    }

    fn switch(self, name: &str) -> bool {
        // A switch takes no separate value.
        let value = self.flag(name);
        value.is_some_and(|value| !matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0"))
    }

    /// Whether volumes are backed up as files where a backup doesn't say.
    pub fn as_files(self) -> bool {
        self.switch("default-volumes-to-fs-backup") || self.switch("default-volumes-to-restic")
    }

    /// Whether snapshots are moved where a backup doesn't say.
    pub fn moves_data(self) -> bool {
        self.switch("default-snapshot-move-data")
    }

    /// Whether CSI snapshots are taken at all.
    pub fn snapshots_csi(self) -> bool {
        let features = self.flag("features").unwrap_or_default();
        features
            .split(',')
            .any(|feature| feature.trim() == "EnableCSI")
    }

    /// The location where a backup names none.
    pub fn location(self) -> Option<&'a str> {
        self.flag("default-backup-storage-location")
    }

    /// How long backups are kept where they don't say.
    pub fn ttl(self) -> Option<std::time::Duration> {
        let flag = self.flag("default-backup-ttl")?;
        crate::inventory::wire::go_duration(flag).filter(|ttl| !ttl.is_zero())
    }
}

/// The only namespaces of which a backup can hold anything, in order, where it names them all;
/// `None` where it holds all or has patterns.
pub fn named_namespaces(filter: &Filter) -> Option<BTreeSet<&str>> {
    let names = filter.included.iter().map(|name| &**name);
    let literal = |name: &&str| !name.contains(['*', '?', '[']);
    (!filter.included.is_empty() && names.clone().all(|name| literal(&name)))
        .then(|| names.collect())
}

/// Whether a filter of namespaces lets one through.
pub fn in_namespaces(filter: &Filter, namespace: &str) -> bool {
    covers(&filter.included, &filter.excluded, namespace)
}

/// Whether a list of included and one of excluded names cover a name, as Velero reads them. What
/// Velero refuses as a pattern includes nothing and excludes everything.
fn covers<S: AsRef<str>>(included: &[S], excluded: &[S], name: &str) -> bool {
    let holds = |list: &[S], doubt| {
        let mut patterns = list.iter().map(AsRef::as_ref);
        patterns.any(|pattern| glob(pattern, name).unwrap_or(doubt))
    };
    (included.is_empty() || holds(included, false)) && !holds(excluded, true)
}

/// Names by which backups may call a resource.
const CLAIMS: [&str; 4] = [
    "persistentvolumeclaims",
    "persistentvolumeclaim",
    "pvc",
    "pvcs",
];
const VOLUMES: [&str; 4] = ["persistentvolumes", "persistentvolume", "pv", "pvs"];
const PODS: [&str; 3] = ["pods", "pod", "po"];

/// Whether filters of resources let one through.
fn holds_resource(filter: &Filter, names: &[&str]) -> bool {
    let any = |list: &[Sym]| {
        list.iter().any(|name| {
            let name = name
                .split_once('.')
                .map_or(&**name, |(resource, _)| resource);
            name == "*" || names.iter().any(|known| known.eq_ignore_ascii_case(name))
        })
    };
    (filter.included.is_empty() || any(&filter.included)) && !any(&filter.excluded)
}

fn holds_namespaced(spec: &BackupSpec, names: &[&str]) -> bool {
    holds_resource(&spec.resources, names) && holds_resource(&spec.namespaced, names)
}

/// Whether a backup's labels let an object through.
fn labels_match(spec: &BackupSpec, labels: &crate::inventory::meta::Labels) -> bool {
    spec.labels
        .as_ref()
        .is_none_or(|selector| selector.matches(labels))
        && (spec.any_labels.is_empty() || spec.any_labels.iter().any(|s| s.matches(labels)))
}

fn is_excluded(labels: &crate::inventory::meta::Labels) -> bool {
    labels.get(EXCLUDE) == Some("true")
}

/// Means by which no snapshot is made.
const AS_FILES: &str = "as files";
const AS_FILES_BY_POLICY: &str = "as files, by its resource policies";

/// A claim and what is known of its volume.
struct Look<'a> {
    inventory: &'a Inventory,
    recovery: &'a Recovery,
    namespace: &'a str,
    spec: &'a BackupSpec,
    claim: &'a Object<Claim>,
    volume: Option<&'a Object<Volume>>,
}

/// Whether a counted backup that holds the namespace holds a snapshot of the claim too, as far as
/// its selection and the claim's volume tell.
pub(super) fn counts(
    inventory: &Inventory,
    recovery: &Recovery,
    namespace: &str,
    spec: &BackupSpec,
    claim: &Object<Claim>,
) -> bool {
    let look = Look::new(inventory, recovery, namespace, spec, claim);
    spec.snapshot_volumes != Some(false)
        && look.selected().is_ok()
        && !matches!(
            look.action(),
            Ok(Some(Action::Skip | Action::Files | Action::Custom)) | Err(_)
        )
        && look.may_be_snapshotted()
}

/// Whether the backups of a template hold a claim's volume. `namespace` is Velero's own.
pub(super) fn judge(
    inventory: &Inventory,
    recovery: &Recovery,
    namespace: &str,
    spec: &BackupSpec,
    claim: &Object<Claim>,
) -> Covers {
    let look = Look::new(inventory, recovery, namespace, spec, claim);
    if let Err(why) = look.in_namespace() {
        return why;
    }
    let location = match location::of(inventory, namespace, spec.location.as_deref()) {
        Ok(location) => location,
        Err(why) => return Covers::LocationUnusable(why),
    };
    if let Err(why) = location::writable(location) {
        return Covers::LocationUnusable(why);
    }
    if let Err(why) = look.selected() {
        return why;
    }
    look.volume_data()
}

impl<'a> Look<'a> {
    fn new(
        inventory: &'a Inventory,
        recovery: &'a Recovery,
        namespace: &'a str,
        spec: &'a BackupSpec,
        claim: &'a Object<Claim>,
    ) -> Self {
        let volume = claim.spec.volume.as_deref();
        Self {
            inventory,
            recovery,
            namespace,
            spec,
            claim,
            volume: volume.and_then(|name| inventory.tables.volumes.get("", name)),
        }
    }

    fn in_namespace(&self) -> Result<(), Covers> {
        let namespace = &*self.claim.meta.namespace;
        if !in_namespaces(&self.spec.namespaces, namespace) {
            return Err(Covers::No);
        }
        let meta = self.inventory.tables.namespaces.get("", namespace);
        if meta.is_some_and(|namespace| is_excluded(&namespace.meta.labels)) {
            let why = format!("namespace {namespace} has the label {EXCLUDE}=true");
            return Err(Covers::LeftOut(why));
        }
        Ok(())
    }

    /// Whether the claim itself is among what is backed up.
    fn selected(&self) -> Result<(), Covers> {
        self.in_namespace()?;
        let out = |why: &str| Err(Covers::LeftOut(why.to_owned()));
        if is_excluded(&self.claim.meta.labels) {
            return out("the claim has the label velero.io/exclude-from-backup=true");
        }
        if !holds_namespaced(self.spec, &CLAIMS) {
            return out("its resources leave claims out");
        }
        if let Some(Ok(policies)) = self.policies() {
            let named = |list: &[String]| {
                list.iter()
                    .any(|name| CLAIMS.contains(&&*name.to_lowercase()))
            };
            let included = policies.included.is_empty() || named(&policies.included);
            if !included || named(&policies.excluded) {
                return out("its resource policies leave claims out");
            }
        }
        // A pod that is backed up takes its claims along, whatever their labels.
        let pods = || self.recovery.pods(self.inventory, &self.claim.meta);
        let along = || pods().any(|(pod, _)| self.holds_pod(&pod.meta.labels));
        if !labels_match(self.spec, &self.claim.meta.labels) && !along() {
            return out("its label selector leaves the claim out");
        }
        Ok(())
    }

    fn holds_pod(&self, labels: &crate::inventory::meta::Labels) -> bool {
        holds_namespaced(self.spec, &PODS)
            && labels_match(self.spec, labels)
            && !is_excluded(labels)
    }

    /// The resource policies, where the backup has any.
    fn policies(&self) -> Option<Result<&'a Policies, Cow<'static, str>>> {
        let name = self.spec.policy.as_deref()?;
        let map = self.inventory.tables.config_maps.get(self.namespace, name);
        Some(match map.map(|map| map.spec.policies.as_deref()) {
            Some(Some(Ok(policies))) => Ok(policies),
            Some(Some(Err(error))) => Err(error.clone().into()),
            Some(None) | None => Err("it holds no resource policies, or is not there".into()),
        })
    }

    /// What the resource policies do with the volume.
    fn action(&self) -> Result<Option<Action>, Covers> {
        let name = self.spec.policy.as_deref().unwrap_or_default();
        match self.policies() {
            None => Ok(None),
            Some(Err(error)) => Err(Covers::LeftOut(format!(
                "the ConfigMap {}/{name} of its resource policies can't be used: {error}",
                self.namespace
            ))),
            Some(Ok(policies)) if policies.filters => Err(Covers::Unclear(format!(
                "its resource policies {}/{name} filter by namespace, which Probity doesn't read",
                self.namespace
            ))),
            Some(Ok(policies)) => policies
                .action(Seen {
                    labels: &self.claim.meta.labels,
                    claim: &self.claim.spec,
                    volume: self.volume.map(|volume| &volume.spec),
                })
                .map_err(|NotKnown| {
                    Covers::Unclear("the volume behind the claim is not known".into())
                }),
        }
    }

    /// By which means the data of the volume is backed up.
    fn volume_data(&self) -> Covers {
        let action = match self.action() {
            Ok(action) => action,
            Err(why) => return why,
        };
        match action {
            Some(Action::Skip) => Covers::LeftOut("its resource policies skip the volume".into()),
            Some(Action::Custom) => {
                Covers::Unclear("a plugin handles the volume, by its resource policies".into())
            }
            Some(Action::Files) => match self.mounted_by_held_pod() {
                Ok(()) => Covers::Yes(AS_FILES_BY_POLICY),
                Err(why) => why,
            },
            Some(Action::Snapshot) => self.snapshot(),
            None => self.legacy(),
        }
    }

    /// Whether a snapshot may be what the backup holds of the volume: others may be all that it
    /// counted.
    fn may_be_snapshotted(&self) -> bool {
        match self.volume_data() {
            Covers::Yes(AS_FILES | AS_FILES_BY_POLICY) | Covers::LeftOut(_) => false,
            Covers::ManifestsOnly(_) => self.volume.is_none(),
            _ => true,
        }
    }

    fn mounted_by_held_pod(&self) -> Result<(), Covers> {
        let mut pods = self.recovery.pods(self.inventory, &self.claim.meta);
        let held = pods.any(|(pod, _)| self.holds_pod(&pod.meta.labels));
        let why = "a backup as files needs a running pod that mounts the claim and is backed up \
                   itself";
        if held {
            Ok(())
        } else {
            Err(Covers::ManifestsOnly(why.into()))
        }
    }

    /// Opt-in or opt-out by pods, else a snapshot.
    fn legacy(&self) -> Covers {
        let server = server(self.inventory, self.namespace);
        let default = || server.is_some_and(Server::as_files);
        let as_files = self.spec.as_files.unwrap_or_else(default);
        let mut pods = self.recovery.pods(self.inventory, &self.claim.meta);
        let chosen = pods.find(|(_, choice)| match choice {
            Choice::In => true,
            Choice::Out => false,
            Choice::None => as_files,
        });
        match chosen {
            Some((pod, _)) if self.holds_pod(&pod.meta.labels) => Covers::Yes(AS_FILES),
            // It is taken for backed up as files, so no snapshot is made either.
            Some(_) => {
                Covers::LeftOut("it leaves out the pod through which the claim is read".into())
            }
            None if self.spec.snapshot_volumes == Some(false) => {
                let mut pods = self.recovery.pods(self.inventory, &self.claim.meta);
                let why = match (as_files, pods.next().is_some()) {
                    (true, true) => {
                        "the annotations of each running pod that mounts the claim leave it out, and it makes \
                         no snapshots"
                    }
                    (true, false) => "no running pod mounts the claim, and it makes no snapshots",
                    (false, _) => "it makes no snapshots, and no pod asks for a backup as files",
                };
                Covers::ManifestsOnly(why.into())
            }
            None => self.snapshot(),
        }
    }

    /// Whether the volume can be snapshotted.
    fn snapshot(&self) -> Covers {
        let tables = &self.inventory.tables;
        let mut places = tables
            .velero_snapshot_locations
            .in_namespace(self.namespace);
        // A provider snapshots volumes, a CSI driver claims: both must be among the resources.
        let native = places.next().is_some() && self.holds_volumes() && !self.is_left_to_csi();
        let source = self.volume.map_or("", |volume| &*volume.spec.source);
        if matches!(source, "nfs" | "hostPath" | "local") {
            let why = format!("a volume of type {source} can't be snapshotted");
            return Covers::ManifestsOnly(why);
        }
        let Some(driver) = self.driver() else {
            return match (native, tables.snapshot_classes.is_empty()) {
                (true, _) => Covers::Yes("by a snapshot of its provider"),
                (false, true) => Covers::ManifestsOnly(
                    "there is neither a VolumeSnapshotClass nor a VolumeSnapshotLocation".into(),
                ),
                (false, false) => Covers::Unclear("the driver of the volume is not known".into()),
            };
        };
        match self.snapshot_class(driver) {
            Ok(()) => Covers::Yes("by snapshots"),
            Err(_) if native => Covers::Yes("by a snapshot of its provider"),
            Err(why) => Covers::ManifestsOnly(why),
        }
    }

    /// Whether Velero leaves the volume to CSI: with that feature no provider snapshots a volume of
    /// a CSI driver (`takePVSnapshot`).
    fn is_left_to_csi(&self) -> bool {
        let off = server(self.inventory, self.namespace).is_some_and(|s| !s.snapshots_csi());
        let csi = self
            .volume
            .is_some_and(|volume| volume.spec.driver.is_some());
        csi && !off
    }

    /// Whether the volumes of claims are backed up with them, and this one is not left out by its
    /// label (`itemInclusionChecks`).
    fn holds_volumes(&self) -> bool {
        let left_out = self
            .volume
            .is_some_and(|volume| is_excluded(&volume.meta.labels));
        !left_out
            && self.spec.include_cluster != Some(false)
            && holds_resource(&self.spec.resources, &VOLUMES)
            && holds_resource(&self.spec.cluster, &VOLUMES)
    }

    /// The CSI driver, else what provisions volumes of the class.
    fn driver(&self) -> Option<&'a str> {
        if let Some(volume) = self.volume {
            return volume.spec.driver.as_deref();
        }
        let class = self.claim.spec.class.as_deref()?;
        let class = self.inventory.tables.storage_classes.get("", class)?;
        class.spec.provisioner.as_deref()
    }

    /// The snapshot class that Velero takes: the claim's, the one that is labelled or marked, or
    /// the only one. `Err` is why there is none.
    fn snapshot_class(&self, driver: &str) -> Result<(), String> {
        if server(self.inventory, self.namespace).is_some_and(|server| !server.snapshots_csi()) {
            return Err("Velero's server runs without the feature EnableCSI".into());
        }
        let classes = self.inventory.tables.snapshot_classes.iter();
        let classes = classes.filter(|class| class.spec.driver.as_deref() == Some(driver));
        let classes: Vec<_> = classes.collect();
        if let Some(name) = self.claim.meta.annotations.get(VELERO_CLASS) {
            let there = classes
                .iter()
                .any(|class| class.meta.name.eq_ignore_ascii_case(name));
            let why = || format!("driver {driver} has no VolumeSnapshotClass {name}");
            return there.then_some(()).ok_or_else(why);
        }
        let marked = classes.iter().any(|class| {
            class.meta.labels.get(VELERO_CLASS).is_some()
                || class.meta.annotations.get(DEFAULT_CLASS).is_some()
        });
        match classes.len() {
            0 => Err(format!("driver {driver} has no VolumeSnapshotClass")),
            1 => Ok(()),
            _ if marked => Ok(()),
            _ => Err(format!(
                "driver {driver} has several VolumeSnapshotClasses, and none is marked"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
