//! What the controls of encryption do and see as parts of the operator.

use serde_json::{Value, json};

use super::program::Replica;
use super::world::turn;

const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

fn control<'a>(status: &'a Value, id: &str) -> &'a Value {
    let controls = status["controls"].as_array().into_iter().flatten();
    let mut controls = controls.filter(|control| control["id"] == id);
    controls.next().unwrap_or(&Value::Null)
}

#[test]
fn the_default_marker_of_a_class_that_encrypts_comes_back() {
    let world = turn();
    let name = world.name("sealed");
    world.create(
        CLASSES,
        &json!({
            "metadata": { "name": name, "annotations": { DEFAULT: "true" } },
            "provisioner": "rbd.csi.ceph.com", "parameters": { "encrypted": "true" },
        }),
    );
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "mode": "Enforce", "controls": { "encPersistentVolumes": {} },
    }));
    let status = world.settled(&policy);
    let found = control(&status, "enc-persistent-volumes");
    assert_eq!(found["outcome"], "Pass", "{status:#}");
    let path = format!("{CLASSES}/{name}");
    let marked = |class: &Value| class["metadata"]["annotations"][DEFAULT] == "true";
    world.patch(
        &path,
        &json!({ "metadata": { "annotations": { DEFAULT: "false" } } }),
    );
    world.becomes(&path, marked);
    world.status(&policy, "a put-back", |status| {
        status["enforcement"]["written"] == 1
    });
    assert!(program.stop().success());
    world.delete(&path);
}

#[test]
fn api_servers_are_looked_at_and_judged() {
    let world = turn();
    let server = [
        "config",
        "view",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ];
    let url = world.cluster.kubectl_ok(&server, None);
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({ "controls": {
        "encSecretsAtRestActive": { "endpoints": [url.trim()] },
        "encApiserverTlsProfile": {}, "encKmsHealthyAndRotated": {},
        "encSecretsProviderStrength": {},
    } }));
    let status = world.status(&policy, "judged API servers", |status| {
        control(status, "enc-apiserver-tls-profile")["outcome"] == "Pass"
            && control(status, "enc-secrets-at-rest-active")["outcome"] == "Fail"
            && control(status, "enc-secrets-provider-strength")["outcome"] == "NotApplicable"
    });
    let kms = control(&status, "enc-kms-healthy-and-rotated");
    assert_eq!(kms["outcome"], "NotApplicable", "{status:#}");
    assert!(program.stop().success());
}
