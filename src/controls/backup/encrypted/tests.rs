use serde_json::{Value, json};

use super::*;
use crate::controls::{
    backup::fixtures::{database, location},
    testing::World,
};

#[test]
fn locations_of_velero_show_how_they_encrypt() {
    let strict = Encrypted {
        require_customer_key: true,
    };
    let usual = Encrypted::default();
    let aws = |config: Value| json!({ "spec": { "config": config } });
    let of = |provider: &str| json!({ "spec": { "provider": provider } });
    let azure = |uri: &str| json!({ "spec": { "provider": "azure", "config": { "storageAccountURI": uri } } });
    for (control, change, wanted) in [
        (&usual, json!({}), "ProviderKey"),
        (&strict, json!({}), "NoCustomerKey"),
        (&usual, of("velero.io/aws"), "ProviderKey"),
        (
            &usual,
            aws(json!({ "serverSideEncryption": "AES256" })),
            "ProviderKey",
        ),
        (&strict, aws(json!({ "kmsKeyId": "k" })), "CustomerKey"),
        (
            &strict,
            aws(json!({ "customerKeyEncryptionFile": "/k" })),
            "CustomerKey",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "https://s3.eu-west-1.amazonaws.com" })),
            "ProviderKey",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "https://minio.example.com" })),
            "NotEncrypted",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "https://amazonaws.com.example.com" })),
            "NotEncrypted",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "https://minio.example.com", "serverSideEncryption": "AES256" })),
            "EncryptionNotShown",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "https://minio.example.com", "kmsKeyId": "k" })),
            "CustomerKey",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "http://minio.example.com", "kmsKeyId": "k" })),
            "PlainTransport",
        ),
        (
            &usual,
            aws(json!({ "s3Url": "HTTP://minio:9000" })),
            "PlainTransport",
        ),
        (
            &usual,
            aws(json!({ "kmsKeyId": "k", "insecureSkipTLSVerify": "true" })),
            "CustomerKey",
        ),
        (&usual, of("gcp"), "ProviderKey"),
        (&usual, of("azure"), "ProviderKey"),
        (&strict, of("azure"), "KeyNotSeen"),
        (
            &usual,
            azure("http://a.blob.core.windows.net"),
            "PlainTransport",
        ),
        (
            &strict,
            azure("HTTP://a.blob.core.windows.net"),
            "PlainTransport",
        ),
        (
            &usual,
            azure("https://a.blob.core.windows.net"),
            "ProviderKey",
        ),
        (
            &usual,
            azure("https://a.z01.blob.storage.azure.net"),
            "ProviderKey",
        ),
        (
            &usual,
            azure("https://azurite.example.com"),
            "EncryptionNotShown",
        ),
        (&usual, of("example.com/tape"), "ProviderNotKnown"),
        (
            &usual,
            json!({ "spec": { "default": false }, "metadata": { "name": "x" } }),
            "NotInUse",
        ),
    ] {
        let mut world = World::new().with(Kind::VeleroLocation, location(&change));
        assert_eq!(world.only(control).reason, wanted, "{change}");
    }
}

#[test]
fn stores_of_barman_ask_for_both_kinds_of_files() {
    let control = Encrypted::default();
    let minio = "https://minio.example.com";
    for (store, wanted) in [
        (json!({ "destinationPath": "s3://pg/" }), "ProviderKey"),
        (json!({ "destinationPath": "gs://pg/" }), "ProviderKey"),
        (
            json!({ "destinationPath": "https://acc.blob.core.windows.net/pg" }),
            "ProviderKey",
        ),
        (
            json!({ "destinationPath": "s3://pg/", "endpointURL": minio }),
            "NotEncrypted",
        ),
        (
            json!({ "destinationPath": "s3://pg/", "endpointURL": minio,
                    "data": { "encryption": "AES256" } }),
            "EncryptedInPart",
        ),
        (
            json!({ "destinationPath": "s3://pg/", "endpointURL": minio,
                    "data": { "encryption": "AES256" }, "wal": { "encryption": "AES256" } }),
            "EncryptionNotShown",
        ),
        (
            json!({ "destinationPath": "s3://pg/", "endpointURL": "http://minio:9000",
                    "data": { "encryption": "AES256" }, "wal": { "encryption": "AES256" } }),
            "PlainTransport",
        ),
    ] {
        let object = json!({ "metadata": { "name": "store", "namespace": "shop" },
                             "spec": { "configuration": store } });
        let mut world = World::new().with(Kind::ObjectStore, object);
        assert_eq!(world.only(&control).reason, "NotInUse", "{store}");
        world.put(Kind::Database, with_plugin());
        assert_eq!(world.only(&control).reason, wanted, "{store}");
        let cluster = database(&json!({ "spec": { "backup": null } }));
        let mut cluster = cluster;
        cluster["spec"]["backup"] = json!({ "barmanObjectStore": store });
        let mut world = World::new().with(Kind::Database, cluster);
        assert_eq!(world.only(&control).reason, wanted, "{store}");
    }
}

/// A database cluster that is backed up to the `ObjectStore` of its namespace by the plugin.
fn with_plugin() -> Value {
    let mut cluster = database(&json!({ "spec": { "backup": null } }));
    cluster["spec"]["plugins"] = json!([{
        "name": "barman-cloud.cloudnative-pg.io",
        "parameters": { "barmanObjectName": "store" },
    }]);
    cluster
}

#[test]
fn longhorn_encrypts_only_what_is_encrypted() {
    let home = |name: &str| json!({ "name": name, "namespace": "longhorn-system" });
    let target =
        |url: &str| json!({ "metadata": home("default"), "spec": { "backupTargetURL": url } });
    let control = Encrypted::default();
    let mut world = World::new().with(Kind::BackupTarget, target(""));
    assert_eq!(world.only(&control).reason, "NotInUse");
    world.put(Kind::BackupTarget, target("nfs://nas:/b"));
    let volume =
        |encrypted: bool| json!({ "metadata": home("v1"), "spec": { "encrypted": encrypted } });
    world.put(Kind::LonghornVolume, volume(false));
    assert_eq!(world.only(&control).reason, "NotInUse", "it has no backups");
    let backup = json!({ "metadata": home("b1"), "status": { "volumeName": "v1" } });
    world.put(Kind::LonghornBackup, backup);
    assert_eq!(world.only(&control).reason, "VolumesNotEncrypted");
    world.put(Kind::LonghornVolume, volume(true));
    assert_eq!(world.only(&control).reason, "VolumesEncrypted");
}

#[test]
fn restic_encrypts_with_a_password_that_is_named() {
    for (backend, wanted) in [
        (
            json!({ "repoPasswordSecretRef": { "name": "p" }, "s3": {} }),
            "ResticPassword",
        ),
        (json!({ "s3": { "bucket": "b" } }), "PasswordNotNamed"),
        (
            json!({ "repoPasswordSecretRef": { "name": "p" },
                    "s3": { "endpoint": "http://minio:9000" } }),
            "PlainTransport",
        ),
    ] {
        let schedule = json!({
            "metadata": { "name": "daily", "namespace": "shop" },
            "spec": { "backend": backend, "backup": { "schedule": "@daily" } },
        });
        let mut world = World::new().with(Kind::K8upSchedule, schedule);
        assert_eq!(
            world.only(&Encrypted::default()).reason,
            wanted,
            "{backend}"
        );
    }
}
