use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

mod defaults;

fn control() -> PersistentVolumes {
    PersistentVolumes::default()
}

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

fn class(name: &str, provisioner: &str, parameters: &Value, default: bool) -> Value {
    let annotations = if default {
        json!({ DEFAULT: "true" })
    } else {
        Value::Null
    };
    json!({
        "metadata": {
            "name": name, "annotations": annotations, "creationTimestamp": "2026-04-01T00:00:00Z",
        },
        "provisioner": provisioner, "parameters": parameters,
    })
}

fn volume(source: &Value) -> Value {
    let mut spec = json!({
        "storageClassName": "fast", "claimRef": { "namespace": "shop", "name": "data" },
    });
    spec.as_object_mut()
        .unwrap()
        .extend(source.as_object().unwrap().clone());
    json!({ "metadata": { "name": "pv" }, "spec": spec })
}

fn csi(driver: &str, attributes: &Value) -> Value {
    json!({ "csi": { "driver": driver, "volumeHandle": "h", "volumeAttributes": attributes } })
}

fn world() -> World {
    World::new().namespace("shop")
}

/// The name of a source as provisioners of classes have it.
fn provisioner(source: &Value) -> String {
    let driver = source["csi"]["driver"].as_str();
    let in_tree = source.get("awsElasticBlockStore").is_some();
    let other = if in_tree {
        "kubernetes.io/aws-ebs"
    } else {
        "x"
    };
    driver.unwrap_or(other).to_owned()
}

/// A volume that the provisioner of its class made.
fn made(source: &Value) -> Value {
    let mut made = volume(source);
    made["metadata"]["annotations"] = json!({ PROVISIONED_BY: provisioner(source) });
    made
}

/// What is said of a volume whose class has these parameters.
fn judged_by(
    control: &PersistentVolumes,
    source: &Value,
    parameters: &Value,
) -> (Outcome, &'static str) {
    let mut world = world();
    let by = provisioner(source);
    world.put(Kind::StorageClass, class("fast", &by, parameters, false));
    world.put(Kind::Volume, made(source));
    let verdicts = world.judge(control);
    let verdict = &verdicts["PersistentVolume pv"];
    (verdict.outcome, verdict.reason)
}

const YES: (Outcome, &str) = (Outcome::Pass, "VolumeEncrypted");
const PROVIDER: (Outcome, &str) = (Outcome::Pass, "EncryptedByProvider");
const NO: (Outcome, &str) = (Outcome::Fail, "VolumeNotEncrypted");
const HIDDEN: (Outcome, &str) = (Outcome::Unknown, "EncryptionNotVisible");

#[test]
fn each_driver_is_read_as_it_reads_itself() {
    let none = json!({});
    for (driver, parameters, wanted) in [
        ("ebs.csi.aws.com", json!({ "encrypted": "true" }), YES),
        ("ebs.csi.aws.com", json!({ "Encrypted": "true" }), YES),
        ("ebs.csi.aws.com", json!({ "encrypted": "True" }), NO),
        ("ebs.csi.aws.com", json!({ "encrypted": "false" }), NO),
        ("ebs.csi.aws.com", none.clone(), HIDDEN),
        // A key has it encrypt whatever else is said, or not said.
        ("ebs.csi.aws.com", json!({ "kmsKeyId": "k" }), YES),
        ("ebs.csi.aws.com", json!({ "kmsKeyId": "" }), HIDDEN),
        // Of two values chance takes one.
        (
            "ebs.csi.aws.com",
            json!({ "ENCRYPTED": "true", "encrypted": "false" }),
            HIDDEN,
        ),
        (
            "ebs.csi.aws.com",
            json!({ "ENCRYPTED": "true", "encrypted": "true" }),
            YES,
        ),
        ("pd.csi.storage.gke.io", none.clone(), PROVIDER),
        ("disk.csi.azure.com", none.clone(), PROVIDER),
        (
            "rook-ceph.rbd.csi.ceph.com",
            json!({ "encrypted": "true" }),
            YES,
        ),
        ("rbd.csi.ceph.com", json!({ "encrypted": "1" }), YES),
        ("rook-ceph.cephfs.csi.ceph.com", none.clone(), NO),
        ("driver.longhorn.io", json!({ "encrypted": "true" }), YES),
        ("driver.longhorn.io", none.clone(), NO),
        ("efs.csi.aws.com", none.clone(), HIDDEN),
        ("fsx.csi.aws.com", none.clone(), PROVIDER),
        ("blockvolume.csi.oraclecloud.com", none.clone(), PROVIDER),
        (
            "linodebs.csi.linode.com",
            json!({ "linodebs.csi.linode.com/luks-encrypted": "true" }),
            YES,
        ),
        ("linodebs.csi.linode.com", none.clone(), NO),
        (
            "linodebs.csi.linode.com",
            json!({ "linodebs.csi.linode.com/encrypted": "true" }),
            YES,
        ),
        (
            "linodebs.csi.linode.com",
            json!({ "linodebs.csi.linode.com/encrypted": "1" }),
            NO,
        ),
        // Only some drivers read names in any case.
        ("driver.longhorn.io", json!({ "Encrypted": "true" }), NO),
        ("csi.scaleway.com", json!({ "Encrypted": "true" }), YES),
        // Each has its own words for yes.
        (
            "diskplugin.csi.alibabacloud.com",
            json!({ "encrypted": "Yes" }),
            YES,
        ),
        (
            "diskplugin.csi.alibabacloud.com",
            json!({ "encrypted": "t" }),
            NO,
        ),
        ("linstor.csi.linbit.com", json!({ "encryption": "t" }), YES),
        (
            "linstor.csi.linbit.com",
            json!({ "linstor.csi.linbit.com/Encryption": "true" }),
            YES,
        ),
        ("lustre.csi.oraclecloud.com", none.clone(), PROVIDER),
        ("nasplugin.csi.alibabacloud.com", none.clone(), HIDDEN),
        ("csi.hetzner.cloud", none.clone(), NO),
        ("csi.vsphere.vmware.com", none.clone(), HIDDEN),
        (
            "evilebs.csi.aws.com",
            json!({ "encrypted": "true" }),
            HIDDEN,
        ),
        ("csi.example.com", json!({ "encrypted": "true" }), HIDDEN),
    ] {
        let found = judged_by(&control(), &csi(driver, &none), &parameters);
        assert_eq!(found, wanted, "{driver} {parameters}");
    }
}

#[test]
fn volumes_of_nodes_and_of_the_network_show_nothing() {
    for source in ["hostPath", "local", "nfs", "iscsi"] {
        let source = json!({ source: { "path": "/x", "server": "s" } });
        assert_eq!(
            judged_by(&control(), &source, &json!({})),
            HIDDEN,
            "{source}"
        );
        let strict = PersistentVolumes {
            unknown_driver: UnknownDriver::Fail,
            ..control()
        };
        assert_eq!(judged_by(&strict, &source, &json!({})).0, Outcome::Fail);
    }
    let ebs = json!({ "awsElasticBlockStore": { "volumeID": "v" } });
    assert_eq!(
        judged_by(&control(), &ebs, &json!({ "encrypted": "true" })),
        YES
    );
}

#[test]
fn what_the_volume_shows_itself_counts() {
    let none = json!({});
    let told = json!({ "encrypted": "true" });
    assert_eq!(
        judged_by(&control(), &csi("rbd.csi.ceph.com", &told), &none),
        YES
    );
    let plain = json!({ "encryptInTransit": "false" });
    assert_eq!(
        judged_by(&control(), &csi("efs.csi.aws.com", &plain), &none),
        NO
    );
    let opened = json!({ "csi": {
        "driver": "csi.hetzner.cloud", "nodePublishSecretRef": { "name": "k", "namespace": "n" },
    } });
    assert_eq!(judged_by(&control(), &opened, &none), YES);
    // This driver stages nothing, and so never sees such a Secret.
    let staged = json!({ "csi": {
        "driver": "csi.hetzner.cloud", "nodeStageSecretRef": { "name": "k", "namespace": "n" },
    } });
    assert_eq!(judged_by(&control(), &staged, &none).0, Outcome::Fail);
}

#[test]
fn a_class_that_is_gone_or_younger_proves_nothing() {
    let source = csi("rbd.csi.ceph.com", &json!({}));
    let mut world = world();
    world.put(Kind::Volume, made(&source));
    assert_eq!(world.only(&control()).reason, "EncryptionNotVisible");
    let mut younger = class(
        "fast",
        "rbd.csi.ceph.com",
        &json!({ "encrypted": "true" }),
        false,
    );
    younger["metadata"]["creationTimestamp"] = json!("2026-05-20T00:00:00Z");
    world.put(Kind::StorageClass, younger);
    let verdicts = world.judge(&control());
    assert_eq!(
        verdicts["PersistentVolume pv"].reason,
        "EncryptionNotVisible"
    );
}

#[test]
fn a_class_proves_nothing_of_volumes_that_it_did_not_make() {
    let told = json!({ "encrypted": "true" });
    let ebs = csi("ebs.csi.aws.com", &json!({}));
    for (class_of, by, wanted) in [
        ("ebs.csi.aws.com", Some("ebs.csi.aws.com"), YES),
        // In-tree classes whose volumes the CSI driver makes.
        ("kubernetes.io/aws-ebs", Some("kubernetes.io/aws-ebs"), YES),
        ("kubernetes.io/aws-ebs", Some("ebs.csi.aws.com"), YES),
        // Written by hand.
        ("ebs.csi.aws.com", None, HIDDEN),
        ("rook-ceph.rbd.csi.ceph.com", None, HIDDEN),
        (
            "rook-ceph.rbd.csi.ceph.com",
            Some("ebs.csi.aws.com"),
            HIDDEN,
        ),
        (
            "rook-ceph.rbd.csi.ceph.com",
            Some("rook-ceph.rbd.csi.ceph.com"),
            HIDDEN,
        ),
    ] {
        let mut world = world();
        world.put(Kind::StorageClass, class("fast", class_of, &told, false));
        let mut object = volume(&ebs);
        object["metadata"]["annotations"] = json!({ PROVISIONED_BY: by });
        world.put(Kind::Volume, object);
        let verdict = &world.judge(&control())["PersistentVolume pv"];
        assert_eq!(
            (verdict.outcome, verdict.reason),
            wanted,
            "{class_of} {by:?}"
        );
    }
}

#[test]
fn a_key_of_ones_own_can_be_asked_for() {
    let control = PersistentVolumes {
        require_customer_key: true,
        ..control()
    };
    let none = json!({});
    for (driver, parameters, wanted) in [
        ("ebs.csi.aws.com", json!({ "encrypted": "true" }), NO),
        (
            "ebs.csi.aws.com",
            json!({ "encrypted": "true", "kmsKeyId": "k" }),
            YES,
        ),
        (
            "linodebs.csi.linode.com",
            json!({ "linodebs.csi.linode.com/encrypted": "true" }),
            NO,
        ),
        (
            "linodebs.csi.linode.com",
            json!({
                "linodebs.csi.linode.com/encrypted": "true",
                "linodebs.csi.linode.com/luks-encrypted": "false",
            }),
            NO,
        ),
        ("vpc.block.csi.ibm.io", json!({ "encryptionKey": "k" }), YES),
        (
            "vpc.block.csi.ibm.io",
            json!({ "encryptionKey": "k", "encrypted": "false" }),
            NO,
        ),
        ("fsx.openzfs.csi.aws.com", json!({ "KmsKey": "\"k\"" }), YES),
        ("pd.csi.storage.gke.io", none.clone(), NO),
        (
            "pd.csi.storage.gke.io",
            json!({ "disk-encryption-kms-key": "k" }),
            YES,
        ),
        (
            "disk.csi.azure.com",
            json!({ "diskEncryptionSetID": "k" }),
            YES,
        ),
        ("file.csi.azure.com", none.clone(), HIDDEN),
        ("driver.longhorn.io", json!({ "encrypted": "true" }), YES),
    ] {
        let found = judged_by(&control, &csi(driver, &none), &parameters);
        assert_eq!(found, wanted, "{driver} {parameters}");
    }
}

#[test]
fn longhorns_own_volume_decides() {
    for (encrypted, wanted) in [(true, YES), (false, NO)] {
        let mut world = world();
        world.put(
            Kind::LonghornVolume,
            json!({
                "metadata": { "name": "h", "namespace": "longhorn-system" },
                "spec": { "encrypted": encrypted },
            }),
        );
        world.put(
            Kind::Volume,
            volume(&csi("driver.longhorn.io", &json!({ "encrypted": "true" }))),
        );
        let verdict = world.only(&control());
        assert_eq!((verdict.outcome, verdict.reason), wanted);
    }
}

#[test]
fn disks_of_nodes_can_be_attested() {
    let control = PersistentVolumes {
        node_disk_encryption_attested: vec![NodeLabel {
            key: "disk".to_owned(),
            value: "luks".to_owned(),
        }],
        ..control()
    };
    let node = |name: &str, disk: &str| json!({ "metadata": { "name": name, "labels": { "disk": disk } } });
    let on = |nodes: &[&str]| {
        json!({
            "local": { "path": "/x" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [{
                "key": "kubernetes.io/hostname", "operator": "In", "values": nodes,
            }] }] } },
        })
    };
    let anywhere = json!({ "hostPath": { "path": "/x" } });
    for (source, wanted) in [
        (on(&["a"]), Outcome::Pass),
        (on(&["b"]), Outcome::Unknown),
        (on(&["a", "b"]), Outcome::Unknown),
        (on(&["gone"]), Outcome::Unknown),
        (anywhere.clone(), Outcome::Unknown),
        (
            json!({ "nfs": { "server": "s", "path": "/x" } }),
            Outcome::Unknown,
        ),
    ] {
        let mut world = world();
        world.put(Kind::Node, node("a", "luks"));
        world.put(Kind::Node, node("b", "plain"));
        world.put(Kind::Volume, volume(&source));
        let verdict = world.only(&control);
        assert_eq!(verdict.outcome, wanted, "{source}");
    }
    let mut world = world();
    world.put(Kind::Node, node("a", "luks"));
    world.put(Kind::Volume, volume(&anywhere));
    let verdict = world.only(&control);
    assert_eq!(verdict.strength, Strength::Attested);
}

#[test]
fn volumes_of_claims_out_of_scope_are_none() {
    let mut world = World::new().namespace("kube-system");
    let mut object = volume(&csi("rbd.csi.ceph.com", &json!({})));
    object["spec"]["claimRef"]["namespace"] = json!("kube-system");
    world.put(Kind::Volume, object.clone());
    assert!(world.judge(&control()).is_empty());
    object["spec"]["claimRef"] = Value::Null;
    world.put(Kind::Volume, object);
    assert_eq!(world.judge(&control()).len(), 1);
}

#[test]
fn a_volume_of_an_unknown_source_is_told_so() {
    let mut world = world();
    let source = json!({ "portworxVolume": { "volumeID": "v" } });
    world.put(Kind::Volume, volume(&source));
    let verdict = &world.judge(&control())["PersistentVolume pv"];
    assert_eq!(verdict.reason, "EncryptionNotVisible");
    assert!(
        verdict.message.starts_with("its source is of no kind"),
        "{}",
        verdict.message
    );
}
