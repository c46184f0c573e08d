use serde_json::{Value, json};

use super::*;
use crate::{
    analysis::rbac_defaults::tests::fresh_cluster,
    controls::{
        backup::fixtures::{location, server, with},
        restricted::{
            IdentityKind,
            allowed::tests::allowed,
            testing::{bind, give, verdict_on},
        },
        testing::World,
    },
    verdict::Outcome,
};

fn control() -> DeletionRestricted {
    DeletionRestricted::default()
}

/// A cluster in which every backup tool is installed; Velero in `velero`, Longhorn in `longhorn`.
fn world() -> World {
    let mut world = fresh_cluster(37).namespace("velero").namespace("shop");
    for (thing, _) in DeletionRestricted::RIGHTS {
        world.put(
            Kind::Crd,
            json!({
                "metadata": { "name": crd(*thing) },
                "spec": { "group": thing.group(), "names": { "plural": thing.resource() } },
            }),
        );
    }
    world.put(Kind::VeleroLocation, location(&json!({})));
    let target = json!({
        "metadata": { "name": "default", "namespace": "longhorn" },
        "spec": { "backupTargetURL": "s3://b@eu/", "credentialSecret": "s3" },
    });
    world.put(Kind::BackupTarget, target);
    world
}

fn reason(world: &mut World, place: &str, rule: &str) -> &'static str {
    give(world, place, rule, "User dev");
    let verdict = verdict_on(world, &control(), "User dev");
    let kind = if place.is_empty() {
        Kind::ClusterRoleBinding
    } else {
        Kind::RoleBinding
    };
    world.delete(kind, place, "given");
    verdict.reason
}

const FREE: &str = "RightNotHeld";
const CAUGHT: &str = "BackupsDeletable";

#[test]
fn every_way_to_delete_a_backup_counts() {
    let mut world = world();
    for (rule, wanted) in [
        ("delete velero.io backups", CAUGHT),
        ("deletecollection velero.io backups", CAUGHT),
        ("delete velero.io backups nightly-1", CAUGHT),
        // Its expiry is a field that the clean-up goes by.
        ("patch velero.io backups", CAUGHT),
        ("update velero.io backups", CAUGHT),
        ("create velero.io deletebackuprequests", CAUGHT),
        ("create velero.io *", CAUGHT),
        ("delete snapshot.storage.k8s.io volumesnapshots", CAUGHT),
        (
            "delete snapshot.storage.k8s.io volumesnapshotcontents",
            CAUGHT,
        ),
        ("delete postgresql.cnpg.io backups", CAUGHT),
        ("delete longhorn.io backups", CAUGHT),
        ("delete longhorn.io backupvolumes", CAUGHT),
        ("delete k8up.io snapshots", CAUGHT),
        ("delete * backups", CAUGHT),
        ("create,get,list,watch velero.io backups", FREE),
        ("get,list,delete velero.io deletebackuprequests", FREE),
        ("create velero.io restores", FREE),
        ("create,patch snapshot.storage.k8s.io volumesnapshots", FREE),
        ("patch postgresql.cnpg.io backups", FREE),
        ("delete velero.io backups/status", FREE),
        ("delete  backups", FREE),
    ] {
        assert_eq!(reason(&mut world, "", rule), wanted, "{rule}");
    }
}

#[test]
fn credentials_of_locations_count_and_other_secrets_do_not() {
    let mut world = world();
    let store = |namespace: &str, secret: &str| {
        json!({
            "metadata": { "name": "store", "namespace": namespace },
            "spec": { "configuration": {
                "destinationPath": "s3://b/",
                "s3Credentials": { "secretAccessKey": { "name": secret, "key": "k" } },
            } },
        })
    };
    world.put(Kind::ObjectStore, store("pg", "barman"));
    let key = |name: &str| json!({ "name": name, "key": "k" });
    world.put(
        Kind::K8upSchedule,
        json!({
            "metadata": { "name": "daily", "namespace": "files" },
            "spec": {
                "backend": {
                    "repoPasswordSecretRef": key("password"),
                    "envFrom": [{ "secretRef": { "name": "variables" } }],
                    "rest": { "url": "https://r/", "userSecretRef": key("user"),
                              "passwordSecretReg": key("rest") },
                },
                "backup": { "schedule": "@daily", "backend": { "s3": {
                    "bucket": "b", "accessKeyIDSecretRef": key("id"),
                    "secretAccessKeySecretRef": key("s3-key"),
                } } },
            },
        }),
    );
    for (place, rule, wanted) in [
        ("", "get  secrets", CAUGHT),
        ("", "list  secrets cloud-credentials", CAUGHT),
        ("", "patch  secrets", CAUGHT),
        ("", "deletecollection  secrets", CAUGHT),
        ("", "update  secrets", FREE),
        ("", "get  secrets web-tls", FREE),
        ("velero", "watch  secrets", CAUGHT),
        ("velero", "get  secrets cloud-credentials", CAUGHT),
        ("velero", "get  secrets other", FREE),
        ("longhorn", "get  secrets s3", CAUGHT),
        ("pg", "get  secrets barman", CAUGHT),
        ("pg", "get  secrets pg-app", FREE),
        ("files", "get  secrets s3-key", CAUGHT),
        ("files", "get  secrets rest", CAUGHT),
        ("files", "get  secrets variables", CAUGHT),
        // Neither opens the place alone.
        ("files", "get  secrets password", FREE),
        ("files", "get  secrets id", FREE),
        ("pg", "create,update,delete  secrets", FREE),
        ("shop", "get,list,watch  secrets", FREE),
    ] {
        assert_eq!(
            reason(&mut world, place, rule),
            wanted,
            "{rule} in {place:?}"
        );
    }
    // A location with a credential of its own.
    let own = location(&json!({ "spec": { "credential": { "name": "own", "key": "k" } } }));
    world.put(Kind::VeleroLocation, own);
    assert_eq!(reason(&mut world, "velero", "get  secrets own"), CAUGHT);
    let before = "get  secrets cloud-credentials";
    assert_eq!(reason(&mut world, "velero", before), FREE);
}

#[test]
fn a_right_counts_where_backups_of_its_kind_can_be() {
    let mut world = world();
    for (place, rule, wanted) in [
        ("velero", "delete velero.io backups", CAUGHT),
        ("shop", "delete velero.io backups", FREE),
        ("shop", "create velero.io deletebackuprequests", FREE),
        ("longhorn", "delete longhorn.io backups", CAUGHT),
        ("shop", "delete longhorn.io backups", FREE),
        ("shop", "delete postgresql.cnpg.io backups", CAUGHT),
        ("shop", "delete k8up.io snapshots", CAUGHT),
        (
            "shop",
            "delete snapshot.storage.k8s.io volumesnapshots",
            CAUGHT,
        ),
        // Contents are of the cluster: a RoleBinding gives nothing on them.
        (
            "shop",
            "delete snapshot.storage.k8s.io volumesnapshotcontents",
            FREE,
        ),
    ] {
        assert_eq!(reason(&mut world, place, rule), wanted, "{rule} in {place}");
    }
    world.delete(Kind::Crd, "", "backups.postgresql.cnpg.io");
    assert_eq!(
        reason(&mut world, "", "delete postgresql.cnpg.io backups"),
        FREE
    );
}

#[test]
fn without_a_backup_tool_there_is_no_subject() {
    let mut world = fresh_cluster(37);
    give(&mut world, "", "delete velero.io backups", "User dev");
    assert!(world.outcomes(&control()).is_empty());
}

#[test]
fn a_cluster_with_nothing_but_kubernetes_and_tools_has_no_subject() {
    assert!(world().outcomes(&control()).is_empty());
    // What this version creates is known: on another, nobody can tell.
    let mut world = world();
    world.observed.server_minor = Some(99);
    assert_eq!(
        world.outcomes(&control())["ServiceAccount kube-system/namespace-controller"],
        (Outcome::Unknown, "ServerVersionNotPinned")
    );
}

#[test]
fn a_tool_may_delete_its_own_and_nothing_else() {
    let pod = |container: &str, words: &[&str]| {
        json!({ "spec": { "template": { "spec": {
            "serviceAccountName": "tool",
            "containers": [{ "name": container, "command": words }],
        } } } })
    };
    let velero = server(&[]);
    let account = json!({ "spec": { "template": { "spec": { "serviceAccountName": "tool" } } } });
    let velero = with(velero, &account);
    let snapshots = "delete snapshot.storage.k8s.io volumesnapshotcontents";
    for (tool, own, foreign) in [
        (
            velero,
            "create velero.io deletebackuprequests",
            "delete k8up.io snapshots",
        ),
        (
            pod("manager", &["/manager", "controller"]),
            "delete postgresql.cnpg.io backups",
            "delete velero.io backups",
        ),
        (
            pod("longhorn-manager", &["longhorn-manager", "-d", "daemon"]),
            "get  secrets",
            "delete postgresql.cnpg.io backups",
        ),
        (
            pod("k8up-operator", &["k8up", "operator"]),
            "delete k8up.io snapshots",
            "delete longhorn.io backupvolumes",
        ),
        (pod("csi-snapshotter", &[]), snapshots, "get  secrets"),
        (
            pod("snapshot-controller", &[]),
            snapshots,
            "delete velero.io backups",
        ),
        // Many operators are called manager.
        (
            pod("manager", &["/manager", "--leader-elect"]),
            "get  pods",
            snapshots,
        ),
    ] {
        let meta = json!({ "metadata": { "name": "tool", "namespace": "tools" } });
        let tool = with(tool, &meta);
        let mut world = world().with(Kind::Deployment, tool.clone());
        let account = "ServiceAccount tools/tool";
        for (rule, wanted) in [(own, FREE), (foreign, CAUGHT)] {
            give(&mut world, "", rule, account);
            let verdict = verdict_on(&mut world, &control(), account);
            assert_eq!(verdict.reason, wanted, "{rule} by {tool}");
        }
        // Another account of that namespace is not the tool.
        give(&mut world, "", own, "ServiceAccount tools/other");
        let verdict = verdict_on(&mut world, &control(), "ServiceAccount tools/other");
        let wanted = if own == "get  pods" { FREE } else { CAUGHT };
        assert_eq!(verdict.reason, wanted, "{own} beside {tool}");
    }
}

#[test]
fn what_is_allowed_stays_and_the_rest_is_deleted() {
    let mut world = world();
    give(&mut world, "", "delete velero.io backups", "User dev");
    bind(&mut world, "", "both", "given", &["User olga", "User eve"]);
    bind(&mut world, "", "boss", "cluster-admin", &["User boss"]);
    let control = DeletionRestricted {
        allowed_subjects: vec![allowed(IdentityKind::User, None, "olga")],
        ..control()
    };
    let verdict = verdict_on(&mut world, &control, "User dev");
    assert_eq!(
        verdict.message,
        "may delete backups.velero.io in every namespace by ClusterRoleBinding given \
         (ClusterRole given)"
    );
    let outcomes = world.mend(&control);
    assert_eq!(outcomes.get("User dev"), None, "its binding went");
    assert_eq!(outcomes["User olga"], (Outcome::Pass, "AllowedSubject"));
    assert_eq!(outcomes["User eve"], (Outcome::Fail, CAUGHT));
    assert_eq!(
        outcomes["User boss"],
        (Outcome::NotApplicable, "HoldsClusterAdmin")
    );
}

#[test]
fn listed_classes_retain_their_snapshots() {
    let control = DeletionRestricted {
        retained_classes: vec!["ebs".to_owned()],
        ..control()
    };
    let class = |name: &str, policy: &str| -> Value {
        json!({ "metadata": { "name": name }, "driver": "d", "deletionPolicy": policy })
    };
    let mut world = world().with(Kind::SnapshotClass, class("scratch", "Delete"));
    let subject = "VolumeSnapshotClass ebs";
    for (policy, wanted) in [
        (None, (Outcome::Unknown, "NoSuchClass")),
        (Some("Retain"), (Outcome::Pass, "SnapshotsRetained")),
        (
            Some("Delete"),
            (Outcome::Fail, "SnapshotsGoWithTheirObject"),
        ),
    ] {
        if let Some(policy) = policy {
            world.put(Kind::SnapshotClass, class("ebs", policy));
        }
        let outcomes = world.outcomes(&control);
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        assert_eq!(outcomes[subject], wanted);
    }
}

#[test]
fn a_tool_whose_definitions_are_not_there_counts_by_its_objects() {
    let mut world = fresh_cluster(37).namespace("velero").namespace("shop");
    let rule = "delete velero.io backups";
    give(&mut world, "velero", rule, "User dev");
    assert!(!world.outcomes(&control()).contains_key("User dev"));
    world.put(Kind::VeleroLocation, location(&json!({})));
    assert_eq!(
        verdict_on(&mut world, &control(), "User dev").reason,
        CAUGHT
    );
}
