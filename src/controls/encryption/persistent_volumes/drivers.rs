//! What is known of storage drivers: which parameter has them encrypt, and what they do without.
//!
//! Sources: the drivers' own documentation of their `StorageClass` parameters.

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
    /// A parameter is true, as Go reads it; otherwise it does not encrypt.
    True(&'static str),
    /// Nodes must get a Secret to open the volume with.
    NodeSecret,
    /// Always: the provider encrypts.
    Always,
    /// Not by anything that a parameter shows.
    Never(&'static str),
}

/// A driver.
#[derive(Debug)]
struct Driver {
    /// Its name, or what its name ends with: some are named after the namespace that they run in.
    name: &'static str,
    told: Told,
    /// The parameter that names a key of the customer's own, as its driver spells it; the one that
    /// has it encrypt where the key is the customer's in any case.
    key: Option<&'static str>,
}

const DRIVERS: [Driver; 32] = [
    // A key encrypts, whatever `encrypted` says (`CreateDisk` in aws-ebs-csi-driver, `pkg/cloud`).
    driver(
        "ebs.csi.aws.com",
        Told::Exactly("encrypted", "true"),
        Some("kmsKeyId"),
    ),
    driver(
        "ebs.csi.eks.amazonaws.com",
        Told::Exactly("encrypted", "true"),
        Some("kmsKeyId"),
    ),
    driver(
        "efs.csi.aws.com",
        Told::Never("whether the file system is encrypted is its own setting, which is not seen"),
        None,
    ),
    // Each of these file systems is encrypted, whoever made it.
    driver("fsx.csi.aws.com", Told::Always, Some("kmsKeyId")),
    driver("fsx.openzfs.csi.aws.com", Told::Always, Some("KmsKeyId")),
    driver("s3.csi.aws.com", Told::Always, None),
    driver("gcsfuse.csi.storage.gke.io", Told::Always, None),
    driver(
        "blockvolume.csi.oraclecloud.com",
        Told::Always,
        Some("kms-key-id"),
    ),
    driver("fss.csi.oraclecloud.com", Told::Always, Some("kmsKeyOcid")),
    driver(
        "linodebs.csi.linode.com",
        Told::True("linodebs.csi.linode.com/luks-encrypted"),
        Some("linodebs.csi.linode.com/luks-encrypted"),
    ),
    driver(
        "nasplugin.csi.alibabacloud.com",
        Told::Never("whether the file system is encrypted is its own setting, which is not seen"),
        None,
    ),
    driver(
        "pd.csi.storage.gke.io",
        Told::Always,
        Some("disk-encryption-kms-key"),
    ),
    driver(
        "filestore.csi.storage.gke.io",
        Told::Always,
        Some("instance-encryption-kms-key"),
    ),
    driver(
        "disk.csi.azure.com",
        Told::Always,
        Some("diskEncryptionSetID"),
    ),
    driver("file.csi.azure.com", Told::Always, None),
    driver("blob.csi.azure.com", Told::Always, None),
    driver("dobs.csi.digitalocean.com", Told::Always, None),
    driver(
        "rbd.csi.ceph.com",
        Told::True("encrypted"),
        Some("encryptionKMSID"),
    ),
    driver(
        "cephfs.csi.ceph.com",
        Told::True("encrypted"),
        Some("encryptionKMSID"),
    ),
    driver(
        "driver.longhorn.io",
        Told::True("encrypted"),
        Some("encrypted"),
    ),
    driver("pxd.portworx.com", Told::True("secure"), Some("secure")),
    driver(
        "linstor.csi.linbit.com",
        Told::True("linstor.csi.linbit.com/encryption"),
        Some("linstor.csi.linbit.com/encryption"),
    ),
    driver(
        "diskplugin.csi.alibabacloud.com",
        Told::True("encrypted"),
        Some("kmsKeyId"),
    ),
    driver(
        "csi.scaleway.com",
        Told::True("encrypted"),
        Some("encrypted"),
    ),
    driver("csi.hetzner.cloud", Told::NodeSecret, None),
    driver("vpc.block.csi.ibm.io", Told::Always, Some("encryptionKey")),
    driver(
        "csi.vsphere.vmware.com",
        Told::Never("whether it encrypts is up to its storage policy, which is not seen"),
        None,
    ),
    driver(
        "cinder.csi.openstack.org",
        Told::Never("whether it encrypts is up to its volume type, which is not seen"),
        None,
    ),
    driver(
        "awsElasticBlockStore",
        Told::Exactly("encrypted", "true"),
        Some("kmsKeyId"),
    ),
    driver(
        "gcePersistentDisk",
        Told::Always,
        Some("disk-encryption-kms-key"),
    ),
    driver("azureDisk", Told::Always, Some("diskEncryptionSetID")),
    driver("azureFile", Told::Always, None),
];

const fn driver(name: &'static str, told: Told, key: Option<&'static str>) -> Driver {
    Driver { name, told, key }
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
    let get = |key: &str| {
        let mut pairs = parameters.iter();
        let pair = pairs.find(|(known, _)| known.eq_ignore_ascii_case(key));
        pair.map(|(_, value)| value)
    };
    let proof = match driver.told {
        Told::Exactly(key, wanted) => match get(key) {
            Some(value) if value == wanted => Proof::Encrypted,
            Some(value) => Proof::Not(format!("{key} is {value:?}, not {wanted:?}")),
            None if names_key(driver.key.and_then(&get)) => Proof::Encrypted,
            None => Proof::NotSeen(format!(
                "{key} is not set, so that the account's own default decides, which is not seen"
            )),
        },
        Told::True(key) => match get(key) {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Proof::Encrypted,
            Some(value) => Proof::Not(format!("{key} is {value:?}")),
            None => Proof::Silent(format!("{key} is not set")),
        },
        Told::NodeSecret if node_secret => Proof::Encrypted,
        Told::NodeSecret => Proof::Silent("no Secret is named to open volumes with".to_owned()),
        Told::Always => Proof::ByProvider,
        Told::Never(why) => return Some(in_transit(name, parameters, why)),
    };
    let good = matches!(proof, Proof::Encrypted | Proof::ByProvider);
    if !good || !own_key || matches!(driver.told, Told::NodeSecret) {
        return Some(proof);
    }
    Some(match driver.key.map(|key| (key, get(key))) {
        Some((_, Some(value))) if !value.is_empty() => Proof::Encrypted,
        Some((key, _)) => Proof::Silent(format!("{key} names no key of your own")),
        None => Proof::NotSeen("whose key it is encrypted with is not seen".to_owned()),
    })
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
        Told::True(key) => json!({ key: "true" }),
        Told::NodeSecret => json!({
            "csi.storage.k8s.io/node-stage-secret-name": "SECRET",
            "csi.storage.k8s.io/node-stage-secret-namespace": "NAMESPACE",
        }),
        // The provider encrypts, by a key of its own that no parameter replaces.
        Told::Always if own_key && driver.key.is_none() => return None,
        Told::Always => json!({}),
        Told::Never(_) => return None,
    };
    // Where the switch is what shows the customer's key, it keeps its value.
    let key = driver.key.filter(|key| parameters.get(key).is_none());
    if let Some(key) = key.filter(|_| own_key) {
        parameters[key] = "KEY".into();
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
