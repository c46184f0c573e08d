//! What is known of storage drivers: which parameter has them encrypt, and what they do without.
//!
//! Sources are the drivers' own code, named beside each; where a provider encrypts whatever is said, its documentation.

use serde_json::{Value, json};

use crate::inventory::meta::Labels;

/// What a driver's parameters prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Volumes are encrypted, as the parameters say.
    Encrypted,
    /// Volumes are encrypted by the provider, whatever the parameters say.
    ByProvider,
    /// Volumes are not encrypted, as the parameters say; why.
    Not(String),
    /// The parameters don't say that volumes are encrypted, which means that they are not; what
    /// is missing.
    Silent(String),
    /// Nobody can tell from here; why.
    NotSeen(String),
    /// Whether this driver encrypts never shows; why.
    NeverSeen(String),
}

/// How a driver is told to encrypt.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// A parameter must be exactly this, or absent where a key is named, which encrypts by itself
    /// (`CreateDisk` of aws-ebs-csi-driver); else the account's default decides, which is not seen.
    Exactly(&'static str, &'static str),
    /// One of these parameters is true, as this driver reads it; otherwise it does not encrypt.
    Switch(&'static [&'static str], Words),
    /// Nodes must get a Secret to publish the volume with.
    NodeSecret,
    /// Always: the provider encrypts.
    Always,
    /// Not by anything that a parameter shows.
    Never(&'static str),
}

/// What a driver takes for true.
#[derive(Debug, Clone, Copy)]
enum Words {
    /// What Go's `ParseBool` does.
    Go,
    /// `true` alone.
    True,
    /// `yes`, `true` and `1`, in any case of letters.
    Yes,
}

impl Words {
    fn are_true(self, value: &str) -> bool {
        match self {
            Self::Go => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            Self::True => value == "true",
            Self::Yes => matches!(&*value.to_ascii_lowercase(), "yes" | "true" | "1"),
        }
    }
}

/// How a driver reads the names of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// In any case of letters.
    AnyCase,
    /// As they are written here: others mean nothing to it.
    AsWritten,
}
use Names::{AnyCase, AsWritten};

/// A driver.
#[derive(Debug)]
struct Driver {
    /// Its name, or what its name ends with: some are named after the namespace that they run in.
    name: &'static str,
    names: Names,
    told: Told,
    /// The parameter that names a key of the customer's own, as its driver spells it; the one that
    /// has it encrypt where the key is the customer's in any case.
    key: Option<&'static str>,
}

const LUKS: &str = "linodebs.csi.linode.com/luks-encrypted";
const LINSTOR: &str = "linstor.csi.linbit.com/encryption";
const IBM_BLOCK: &str = "vpc.block.csi.ibm.io";
const EBS: Told = Told::Exactly("encrypted", "true");
const FILE_SYSTEM: Told =
    Told::Never("whether the file system is encrypted is its own setting, which is not seen");

#[rustfmt::skip]
const DRIVERS: [Driver; 33] = [
    // `CreateVolume` in kubernetes-sigs/aws-ebs-csi-driver, `pkg/driver/controller.go`: names in any case, `isTrue` is
    // `true` alone. A key encrypts, whatever `encrypted` says (`createVolumeHelper` in `pkg/cloud/cloud.go`).
    driver("ebs.csi.aws.com", AnyCase, EBS, Some("kmsKeyId")),
    driver("ebs.csi.eks.amazonaws.com", AnyCase, EBS, Some("kmsKeyId")),
    driver("efs.csi.aws.com", AsWritten, FILE_SYSTEM, None),
    // Each of these file systems is encrypted, whoever made it. `volumeParamsKmsKeyId` in aws-fsx-csi-driver,
    // `pkg/driver/controller.go`; aws-fsx-openzfs-csi-driver, `docs/parameters.md`.
    driver("fsx.csi.aws.com", AsWritten, Told::Always, Some("kmsKeyId")),
    driver("fsx.openzfs.csi.aws.com", AsWritten, Told::Always, Some("KmsKey")),
    driver("s3.csi.aws.com", AsWritten, Told::Always, None),
    driver("gcsfuse.csi.storage.gke.io", AsWritten, Told::Always, None),
    // oracle/oci-cloud-controller-manager, `pkg/csi/driver`: `bv_controller.go`, `fss_controller.go` and
    // `lustre_params.go`; without a key, Oracle's own is taken.
    driver("blockvolume.csi.oraclecloud.com", AsWritten, Told::Always, Some("kms-key-id")),
    driver("fss.csi.oraclecloud.com", AsWritten, Told::Always, Some("kmsKeyOcid")),
    driver("lustre.csi.oraclecloud.com", AsWritten, Told::Always, Some("kmsKeyId")),
    // linode/linode-blockstorage-csi-driver, `internal/driver/controllerserver_helper.go`: Linode encrypts with a key of
    // its own where the first says so; with LUKS the key is the customer's.
    driver(
        "linodebs.csi.linode.com",
        AsWritten,
        Told::Switch(&["linodebs.csi.linode.com/encrypted", LUKS], Words::True),
        Some(LUKS),
    ),
    driver("nasplugin.csi.alibabacloud.com", AsWritten, FILE_SYSTEM, None),
    // `ExtractParameters` in kubernetes-sigs/gcp-compute-persistent-disk-csi-driver, `pkg/parameters`.
    driver("pd.csi.storage.gke.io", AnyCase, Told::Always, Some("disk-encryption-kms-key")),
    // kubernetes-sigs/gcp-filestore-csi-driver, `pkg/csi_driver/controller.go`.
    driver("filestore.csi.storage.gke.io", AnyCase, Told::Always, Some("instance-encryption-kms-key")),
    // kubernetes-sigs/azuredisk-csi-driver, `pkg/azureutils/azure_disk_utils.go`.
    driver("disk.csi.azure.com", AnyCase, Told::Always, Some("diskEncryptionSetID")),
    driver("file.csi.azure.com", AnyCase, Told::Always, None),
    driver("blob.csi.azure.com", AnyCase, Told::Always, None),
    driver("dobs.csi.digitalocean.com", AsWritten, Told::Always, None),
    // `ParseEncryptionOpts` in ceph/ceph-csi, `internal/rbd/encryption.go`; `internal/cephfs/store/volumeoptions.go`.
    driver("rbd.csi.ceph.com", AsWritten, Told::Switch(&["encrypted"], Words::Go), Some("encryptionKMSID")),
    driver("cephfs.csi.ceph.com", AsWritten, Told::Switch(&["encrypted"], Words::Go), Some("encryptionKMSID")),
    // longhorn/longhorn-manager, `csi/util.go`.
    driver("driver.longhorn.io", AsWritten, Told::Switch(&["encrypted"], Words::Go), Some("encrypted")),
    // `SpecSecure` in libopenstorage/openstorage, `api/spec/spec_handler.go`.
    driver("pxd.portworx.com", AsWritten, Told::Switch(&["secure"], Words::Go), Some("secure")),
    // piraeusdatastore/linstor-csi, `pkg/volume/parameter.go`: with its prefix or without.
    driver(
        "linstor.csi.linbit.com",
        AnyCase,
        Told::Switch(&[LINSTOR, "encryption"], Words::Go),
        Some(LINSTOR),
    ),
    // `getDiskVolumeOptions` in kubernetes-sigs/alibaba-cloud-csi-driver, `pkg/disk/utils.go`.
    driver(
        "diskplugin.csi.alibabacloud.com",
        AsWritten,
        Told::Switch(&["encrypted"], Words::Yes),
        Some("kmsKeyId"),
    ),
    // `parseCreateVolumeParams` in scaleway/scaleway-csi, `pkg/driver/helpers.go`.
    driver("csi.scaleway.com", AnyCase, Told::Switch(&["encrypted"], Words::Go), Some("encrypted")),
    // `NodePublishVolume` in hetznercloud/csi-driver, `internal/driver/node.go`: it stages nothing.
    driver("csi.hetzner.cloud", AsWritten, Told::NodeSecret, None),
    // `getVolumeParameters` in kubernetes-sigs/ibm-vpc-block-csi-driver, `pkg/ibmcsidriver/controller_helper.go`.
    driver(IBM_BLOCK, AsWritten, Told::Always, Some("encryptionKey")),
    driver(
        "csi.vsphere.vmware.com",
        AnyCase,
        Told::Never("whether it encrypts is up to its storage policy, which is not seen"),
        None,
    ),
    driver(
        "cinder.csi.openstack.org",
        AsWritten,
        Told::Never("whether it encrypts is up to its volume type, which is not seen"),
        None,
    ),
    driver("awsElasticBlockStore", AnyCase, EBS, Some("kmsKeyId")),
    driver("gcePersistentDisk", AnyCase, Told::Always, Some("disk-encryption-kms-key")),
    driver("azureDisk", AnyCase, Told::Always, Some("diskEncryptionSetID")),
    driver("azureFile", AnyCase, Told::Always, None),
];

const fn driver(name: &'static str, names: Names, told: Told, key: Option<&'static str>) -> Driver {
    Driver {
        name,
        names,
        told,
        key,
    }
}

/// The CSI drivers that took over from in-tree provisioners and kinds of volume.
const MIGRATED: [(&str, &str); 9] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("awsElasticBlockStore", "ebs.csi.aws.com"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("gcePersistentDisk", "pd.csi.storage.gke.io"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("azureDisk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("azureFile", "file.csi.azure.com"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
];

/// Whether two names are of one driver, in-tree or not.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let today = |name| {
        let mut migrated = MIGRATED.iter();
        let found = migrated.find(|(old, _)| *old == name);
        found.map_or(name, |(_, driver)| *driver)
    };
    today(a) == today(b)
}

/// The names that in-tree provisioners have in classes.
const IN_TREE: [(&str, &str); 4] = [
    ("kubernetes.io/aws-ebs", "awsElasticBlockStore"),
    ("kubernetes.io/gce-pd", "gcePersistentDisk"),
    ("kubernetes.io/azure-disk", "azureDisk"),
    ("kubernetes.io/azure-file", "azureFile"),
];

fn find(name: &str) -> Option<&'static Driver> {
    let in_tree = IN_TREE.iter().find(|(class, _)| *class == name);
    let name = in_tree.map_or(name, |(_, source)| *source);
    DRIVERS.iter().find(|driver| {
        let prefix = name.strip_suffix(driver.name);
        prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    })
}

fn names_key(key: Option<&str>) -> bool {
    key.is_some_and(|key| !key.is_empty())
}

/// What parameters prove about the volumes of a driver; `None` where the driver is not known.
pub(super) fn proof(
    name: &str,
    parameters: &Labels,
    node_secret: bool,
    own_key: bool,
) -> Option<Proof> {
    let driver = find(name)?;
    let proof = driver.proof(name, parameters, node_secret, own_key);
    Some(proof.unwrap_or_else(Proof::NotSeen))
}

impl Driver {
    /// What parameters prove; `Err` is why nobody can tell from them.
    fn proof(
        &self,
        name: &str,
        parameters: &Labels,
        node_secret: bool,
        own_key: bool,
    ) -> Result<Proof, String> {
        let get = |key: &str| self.parameter(parameters, key);
        let proof = match self.told {
            Told::Exactly(key, wanted) => match get(key)? {
                Some(value) if value == wanted => Proof::Encrypted,
                Some(value) => Proof::Not(format!("{key} is {value:?}, not {wanted:?}")),
                None if names_key(self.key.map(&get).transpose()?.flatten()) => Proof::Encrypted,
                None => Proof::NotSeen(format!(
                    "{key} is not set, so that the account's own default decides, which is not seen"
                )),
            },
            Told::Switch(keys, words) => {
                let mut set = Vec::new();
                for key in keys {
                    set.extend(get(key)?.map(|value| (key, value)));
                }
                if set.iter().any(|(_, value)| words.are_true(value)) {
                    Proof::Encrypted
                } else if let Some((key, value)) = set.first() {
                    Proof::Not(format!("{key} is {value:?}"))
                } else {
                    Proof::Silent(format!("{} is not set", keys.join(" or ")))
                }
            }
            Told::NodeSecret if node_secret => Proof::Encrypted,
            Told::NodeSecret => Proof::Silent("no Secret is named to open volumes with".to_owned()),
            Told::Always => Proof::ByProvider,
            Told::Never(why) => return Ok(in_transit(name, parameters, why)),
        };
        let good = matches!(proof, Proof::Encrypted | Proof::ByProvider);
        if !good || !own_key || matches!(self.told, Told::NodeSecret) {
            return Ok(proof);
        }
        let Some(key) = self.key else {
            let why = "whose key it is encrypted with is not seen";
            return Ok(Proof::NotSeen(why.to_owned()));
        };
        Ok(match get(key)? {
            Some(value) if self.is_own_key(key, value, parameters) => Proof::Encrypted,
            _ => Proof::Silent(format!("{key} names no key of your own")),
        })
    }

    /// A parameter, by the name that the driver reads. One that reads names in any case goes through a map of Go, in no
    /// order: where a name is there twice, chance decides which value counts, and `Err` says so.
    fn parameter<'p>(&self, parameters: &'p Labels, key: &str) -> Result<Option<&'p str>, String> {
        let pairs = parameters.iter().filter(|(known, _)| match self.names {
            AnyCase => known.eq_ignore_ascii_case(key),
            AsWritten => *known == key,
        });
        let mut values = pairs.map(|(_, value)| value);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(format!(
                "{key} is there more than once, in small and capital letters and with other \
                 values: chance decides which of them its driver takes"
            ));
        }
        Ok(first)
    }

    /// Whether a value of the parameter for keys of the customer's own means that there is one.
    fn is_own_key(&self, key: &str, value: &str, parameters: &Labels) -> bool {
        match self.told {
            Told::Switch(keys, words) if keys.contains(&key) => words.are_true(value),
            // The key is dropped where encryption is said to be off.
            _ if self.name == IBM_BLOCK && parameters.get("encrypted") == Some("false") => false,
            _ => !value.is_empty(),
        }
    }
}

/// The driver that makes such volumes today, and the parameters with which it encrypts them, by a
/// key of the customer's own where that is asked for; `None` where no parameter does.
pub(super) fn encrypting(name: &str, own_key: bool) -> Option<(&str, Value)> {
    let mut migrated = MIGRATED.iter();
    let name = migrated
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, driver)| *driver);
    let driver = find(name)?;
    let mut parameters = match driver.told {
        Told::Exactly(key, wanted) => json!({ key: wanted }),
        Told::Switch(keys, _) => {
            let own = driver.key.filter(|key| own_key && keys.contains(key));
            let key = own.or_else(|| keys.first().copied())?;
            json!({ key: "true" })
        }
        Told::NodeSecret => json!({
            "csi.storage.k8s.io/node-publish-secret-name": "SECRET",
            "csi.storage.k8s.io/node-publish-secret-namespace": "NAMESPACE",
        }),
        // The provider encrypts, by a key of its own that no parameter replaces.
        Told::Always if own_key && driver.key.is_none() => return None,
        Told::Always => json!({}),
        Told::Never(_) => return None,
    };
    // Where the switch is what shows the customer's key, it keeps its value.
    let key = driver.key.filter(|key| parameters.get(key).is_none());
    if let Some(key) = key.filter(|_| own_key) {
        // This driver reads its values as JSON.
        let is_json = driver.name == "fsx.openzfs.csi.aws.com";
        parameters[key] = if is_json { "\"KEY\"" } else { "KEY" }.into();
    }
    Some((name, parameters))
}

/// The name of a class that encrypts, after its driver: names of drivers may hold what names of
/// classes may not.
pub(super) fn class_name(driver: &str) -> String {
    let driver = driver.to_ascii_lowercase();
    let parts = driver.split('.').map(|part| {
        let part = part.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        part.trim_matches('-').to_owned()
    });
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    format!("{}-encrypted", parts.join("."))
}

/// EFS is reached over the network: that much a volume does show.
fn in_transit(name: &str, attributes: &Labels, why: &str) -> Proof {
    let mut pairs = attributes.iter();
    let plain = pairs.any(|(key, value)| {
        key.eq_ignore_ascii_case("encryptInTransit") && value.eq_ignore_ascii_case("false")
    });
    if name.ends_with("efs.csi.aws.com") && plain {
        return Proof::Not("encryptInTransit is \"false\"".to_owned());
    }
    Proof::NeverSeen(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proposed_passes() {
        let old = MIGRATED.iter().map(|(name, _)| *name);
        for name in DRIVERS.iter().map(|driver| driver.name).chain(old) {
            for own_key in [false, true] {
                let Some((driver, proposed)) = encrypting(name, own_key) else {
                    continue;
                };
                let pairs = proposed.as_object().unwrap().iter();
                let parameters: Labels = pairs
                    .map(|(key, value)| (&**key, value.as_str().unwrap()))
                    .collect();
                let secret = super::super::names_secret(&parameters);
                let proof = proof(driver, &parameters, secret, own_key);
                assert!(
                    matches!(proof, Some(Proof::Encrypted | Proof::ByProvider)),
                    "{driver} {own_key} {proposed}: {proof:?}"
                );
            }
        }
    }

    #[test]
    fn a_switch_keeps_its_value_and_a_key_its_spelling() {
        for (name, wanted) in [
            ("driver.longhorn.io", json!({ "encrypted": "true" })),
            (
                "linodebs.csi.linode.com",
                json!({ "linodebs.csi.linode.com/luks-encrypted": "true" }),
            ),
            ("fsx.openzfs.csi.aws.com", json!({ "KmsKey": "\"KEY\"" })),
            (
                "rook-ceph.rbd.csi.ceph.com",
                json!({ "encrypted": "true", "encryptionKMSID": "KEY" }),
            ),
            (
                "diskplugin.csi.alibabacloud.com",
                json!({ "encrypted": "true", "kmsKeyId": "KEY" }),
            ),
            (
                "disk.csi.azure.com",
                json!({ "diskEncryptionSetID": "KEY" }),
            ),
        ] {
            assert_eq!(encrypting(name, true), Some((name, wanted)));
        }
        assert_eq!(encrypting("file.csi.azure.com", true), None);
    }

    #[test]
    fn a_class_is_named_after_its_driver() {
        for (driver, wanted) in [
            ("driver.longhorn.io", "driver.longhorn.io-encrypted"),
            (
                "Rook_Ceph/x..rbd.csi.ceph.com",
                "rook-ceph-x.rbd.csi.ceph.com-encrypted",
            ),
        ] {
            assert_eq!(class_name(driver), wanted);
        }
    }
}
