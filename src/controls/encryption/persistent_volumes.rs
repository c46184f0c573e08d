//! `enc-persistent-volumes`

mod default_class;
mod drivers;
#[cfg(test)]
mod tests;

use self::drivers::{Proof, class_name, encrypting, is_same, proof};
use crate::{
    controls::{prelude::*, restricted::command},
    inventory::{
        longhorn::DRIVER as LONGHORN,
        meta::Labels,
        selector::check_labels,
        storage::{PROVISIONED_BY, StorageClass, Volume},
    },
};

/// Volumes are encrypted where they lie, and the class of claims that name none encrypts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersistentVolumes {
    /// What to say of volumes of drivers that are not known, or that never show whether they
    /// encrypt.
    #[serde(default)]
    pub unknown_driver: UnknownDriver,

    /// Whether the key must be one of your own, where the driver can be told.
    #[serde(default)]
    pub require_customer_key: bool,

    /// Labels of nodes of whose disks somebody has attested that they are encrypted: volumes that
    /// lie on such nodes alone pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub node_disk_encryption_attested: Vec<NodeLabel>,
}

/// A label of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLabel {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// Its value.
    #[schemars(length(max = 63))]
    pub value: String,
}

/// What to say of volumes of drivers that are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnknownDriver {
    /// Nobody can tell from here: attest it.
    #[default]
    Unknown,
    /// What can't be shown does not count.
    Fail,
}

impl PersistentVolumes {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-persistent-volumes",
        field: "encPersistentVolumes",
        title: "Volumes are encrypted where they lie",
        family: Family::Encryption,
        criteria: &["CC6.1", "C1.1", "A1.2"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 3,
        reads: &[
            Kind::Namespace,
            Kind::Volume,
            Kind::StorageClass,
            Kind::LonghornVolume,
            Kind::Node,
        ],
        subjects: &[Kind::Volume, Kind::StorageClass],
        derives: &[],
        observes: &[],
        writes: &[Write::patch(Kind::StorageClass)],
        scope: ScopeUse::InRule,
        what: "Each PersistentVolume of a claim in scope, and each without a claim, is encrypted \
               as far as its driver and the parameters of its class (or its own attributes) show: \
               a table knows the drivers of AWS, Google, Azure, Ceph, Longhorn and others. The \
               cluster has one default StorageClass, and that one encrypts.",
        why: "Disks are copied, snapshotted, replaced and thrown away, and everything that the \
              applications know lies on them.",
        fix: "The default marker of an encrypted StorageClass is put back if it was there when the \
              control last passed and no other class carries one. Volumes are never touched: \
              encrypting them means moving the data.",
        by_hand: "Create a StorageClass whose parameters encrypt, make it the default, and move the \
                  data to volumes of it. Attest disks of nodes by `nodeDiskEncryptionAttested`.",
        prevention: "A ValidatingAdmissionPolicy can require the parameter of StorageClasses, and \
                     limit the classes that claims name.",
        limits: "What a provider encrypts by itself passes on the strength of its own word: its \
                 audit report belongs to the evidence. EBS without the parameter and without a key is \
                 Unknown, because the account's default is not visible here. A class that is younger \
                 than the volume is another one, and one whose provisioner the volume doesn't carry \
                 in `pv.kubernetes.io/provisioned-by` did not make it: then only the volume's own \
                 attributes count. Parameters are read as their driver reads them: one that most write as \
                 `encrypted` means nothing as `Encrypted` where the driver heeds the case. Rook can \
                 encrypt the disks beneath Ceph, which is not seen. ephemeral volumes and emptyDir \
                 lie on the disks of nodes and are not judged.",
    };

    fn volume(&self, context: &Context<'_>, object: &Object<Volume>) -> Verdict {
        let inventory = context.inventory;
        let driver = driver(&object.spec);
        if driver == LONGHORN
            && let Some(handle) = &object.spec.handle
            && let Some(longhorn) = named_longhorn(inventory, handle)
        {
            let proof = if longhorn {
                Proof::Encrypted
            } else {
                Proof::Not("Longhorn's volume is not encrypted".to_owned())
            };
            return self.verdict(&proof, driver);
        }
        if self.lies_on_attested_nodes(inventory, &object.spec) {
            let message = "it lies on nodes of whose disks encryption was attested";
            return Verdict::pass(Strength::Attested, "NodeDisksAttested", message);
        }
        let found = self.proof_of(inventory, object);
        found.map_or_else(
            || self.not_known(driver),
            |proof| self.verdict(&proof, driver),
        )
    }

    /// What its class proves, if that is the one it was made by, else what it shows itself.
    fn proof_of(&self, inventory: &Inventory, object: &Object<Volume>) -> Option<Proof> {
        let (driver, spec) = (driver(&object.spec), &object.spec);
        let own_key = self.require_customer_key;
        let own = proof(driver, &spec.attributes, spec.node_secret, own_key)?;
        if matches!(own, Proof::Encrypted | Proof::Not(_)) {
            return Some(own);
        }
        let class = spec.class.as_ref();
        let class = class.and_then(|name| inventory.tables.storage_classes.get("", name));
        // Parameters never change, but a class may be made anew under the same name; and a volume
        // that was written by hand may name any class.
        let class = class.filter(|class| class.meta.created <= object.meta.created);
        let class = class.filter(|class| is_made_by(object, class));
        let Some(class) = class else {
            return Some(match own {
                Proof::Silent(_) => Proof::NotSeen(
                    "its own attributes say nothing, and it was not made by the driver of the class \
                     that it names, or that class is gone: whoever made it knows"
                        .to_owned(),
                ),
                other => other,
            });
        };
        proof(driver, &class.spec.parameters, spec.node_secret, own_key)
    }

    fn class(&self, object: &Object<StorageClass>) -> Verdict {
        let spec = &object.spec;
        let provisioner = spec.provisioner.as_deref().unwrap_or_default();
        let node_secret = names_secret(&spec.parameters);
        let own_key = self.require_customer_key;
        let proof = proof(provisioner, &spec.parameters, node_secret, own_key);
        proof.map_or_else(
            || self.not_known(provisioner),
            |proof| self.verdict(&proof, provisioner),
        )
    }

    fn verdict(&self, proof: &Proof, driver: &str) -> Verdict {
        match proof {
            Proof::Encrypted => Verdict::pass(
                Strength::Declared,
                "VolumeEncrypted",
                "its driver was told to encrypt",
            ),
            Proof::ByProvider => Verdict::pass(
                Strength::Declared,
                "EncryptedByProvider",
                "its provider encrypts all volumes, as its own audit report has to show",
            ),
            Proof::Not(why) | Proof::Silent(why) => {
                Verdict::fail(Strength::Declared, "VolumeNotEncrypted", why.clone())
                    .propose(self.encrypting_class(driver))
            }
            Proof::NotSeen(why) => Verdict::unknown("EncryptionNotVisible", why.clone()),
            Proof::NeverSeen(why) => self.never_seen(why.clone()),
        }
    }

    /// What to move the data to: neither parameters of a class nor the volumes of one can be changed.
    fn encrypting_class(&self, driver: &str) -> String {
        let Some((driver, parameters)) = encrypting(driver, self.require_customer_key) else {
            return "move the data to a volume of a driver whose parameters show that it encrypts"
                .to_owned();
        };
        let class = serde_json::json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": class_name(driver) },
            "provisioner": driver, "parameters": parameters,
        });
        format!(
            "move the data to volumes of a class that encrypts: {}",
            command::apply(&class)
        )
    }

    fn not_known(&self, driver: &str) -> Verdict {
        self.never_seen(if driver.is_empty() {
            "its source is of no kind that is known, nor is whether that encrypts".to_owned()
        } else {
            format!("whether {driver} encrypts is not known")
        })
    }

    fn never_seen(&self, why: String) -> Verdict {
        match self.unknown_driver {
            UnknownDriver::Unknown => Verdict::unknown("EncryptionNotVisible", why),
            UnknownDriver::Fail => Verdict::fail(Strength::Declared, "EncryptionNotVisible", why)
                .propose(
                    "Use a driver whose parameters show that it encrypts, or attest the disks of \
                     the nodes.",
                ),
        }
    }

    /// Whether a volume of a node lies on attested disks only: on those that it names, or on any.
    fn lies_on_attested_nodes(&self, inventory: &Inventory, volume: &Volume) -> bool {
        let on_node = matches!(driver(volume), "hostPath" | "local") || !volume.nodes.is_empty();
        if !on_node || self.node_disk_encryption_attested.is_empty() {
            return false;
        }
        let attested = |labels: &Labels| {
            let mut wanted = self.node_disk_encryption_attested.iter();
            wanted.any(|label| labels.get(&label.key) == Some(&label.value))
        };
        let nodes = &inventory.tables.nodes;
        let hostname = |labels: &Labels| labels.get("kubernetes.io/hostname").map(str::to_owned);
        if volume.nodes.is_empty() {
            return !nodes.is_empty() && nodes.iter().all(|node| attested(&node.meta.labels));
        }
        volume.nodes.iter().all(|name| {
            let mut all = nodes.iter();
            let node = all.find(|node| {
                node.meta.name == *name || hostname(&node.meta.labels).as_deref() == Some(name)
            });
            node.is_some_and(|node| attested(&node.meta.labels))
        })
    }
}

/// What to look a volume up by: its driver, or the kind of volume where it has none.
fn driver(volume: &Volume) -> &str {
    volume.driver.as_deref().unwrap_or(&volume.source)
}

/// Whether a class made a volume: its driver made it, as the provisioner of the class.
fn is_made_by(volume: &Object<Volume>, class: &Object<StorageClass>) -> bool {
    let provisioner = class.spec.provisioner.as_deref().unwrap_or_default();
    let by = volume.meta.annotations.get(PROVISIONED_BY);
    by.is_some_and(|by| is_same(by, provisioner)) && is_same(driver(&volume.spec), provisioner)
}

/// Whether Longhorn's own volume is encrypted; `None` where there is none of that name.
fn named_longhorn(inventory: &Inventory, handle: &str) -> Option<bool> {
    let volumes = &inventory.tables.longhorn_volumes;
    // Longhorn runs in this namespace nearly everywhere: most are found without a search.
    let usual = volumes.get("longhorn-system", handle);
    let named = || volumes.iter().find(|volume| &*volume.meta.name == handle);
    Some(usual.or_else(named)?.spec.encrypted)
}

/// Whether a class names a Secret for nodes to publish its volumes with.
fn names_secret(parameters: &Labels) -> bool {
    let name = parameters.get("csi.storage.k8s.io/node-publish-secret-name");
    name.is_some_and(|name| !name.is_empty())
}

impl Control for PersistentVolumes {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let attested = self.node_disk_encryption_attested.iter();
        let pairs = attested.map(|label| (&*label.key, &*label.value));
        check_labels(pairs)
            .map_err(|why| format!("nodeDiskEncryptionAttested can't be used: {why}"))
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::Volume => Touched::Subject(Subject::object(
                change.kind,
                &change.namespace,
                &change.name,
            )),
            _ => Touched::All,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_some() {
            return;
        }
        let tables = &context.inventory.tables;
        let volumes = tables.volumes.iter();
        for volume in volumes.filter(|volume| covers(context, &volume.spec)) {
            found(Subject::of(Kind::Volume, &volume.meta));
        }
        default_class::population(context.inventory, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let tables = &context.inventory.tables;
        match subject.kind {
            SubjectKind::Object(Kind::Volume) => {
                let volume = tables.volumes.get("", &subject.name)?;
                covers(context, &volume.spec).then(|| self.volume(context, volume))
            }
            SubjectKind::Object(Kind::StorageClass) => {
                let class = tables.storage_classes.get("", &subject.name)?;
                default_class::is_marked(class).then(|| self.class(class))
            }
            SubjectKind::Cluster => default_class::judge(self, context),
            _ => None,
        }
    }
}

/// Whether a volume is one of a claim in scope, or of none.
fn covers(context: &Context<'_>, volume: &Volume) -> bool {
    let namespace = volume.claimed_in.as_deref();
    namespace.is_none_or(|namespace| context.covers(namespace))
}
