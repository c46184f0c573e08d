//! What objects of a cluster declare of its API servers, where those don't tell their flags: the `ConfigMap` of kubeadm, mirrors
//! of static pods, `OpenShift`'s own object.

use std::collections::BTreeMap;
use std::fs;

use probity::analysis::apiserver::{FlagSource, Flags};
use probity::cluster::{api_servers, client, servers::Which};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::harness::{Cluster, Options};
use crate::operator::program::output;

const POLICY: &str = "
apiVersion: probity.dev/v1alpha1
kind: ControlPolicy
metadata: { name: declared }
spec: { controls: { encSecretsProviderStrength: {}, encEtcdTls: {} } }
";
const CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: apiservers.config.openshift.io }
spec:
  group: config.openshift.io
  scope: Cluster
  names: { kind: APIServer, listKind: APIServerList, plural: apiservers, singular: apiserver }
  versions:
  - name: v1
    served: true
    storage: true
    schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
";

struct Declared(Cluster);

impl Declared {
    /// A cluster whose API server has no `/flagz`.
    fn start() -> Self {
        let cluster = Cluster::start(Options {
            apiserver_args: vec!["--feature-gates=ComponentFlagz=false".to_owned()],
            controller_manager: false,
            scheduler: false,
            ..Options::default()
        });
        let declared = Self(cluster.unwrap());
        fs::write(declared.0.folder().join("policy.yaml"), POLICY).unwrap();
        declared
    }

    /// The flags of the API server.
    fn flags(&self) -> Option<Flags> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let which = Which {
            endpoints: Vec::new(),
            most: 9,
        };
        let looks = runtime.block_on(async {
            let connection = client::connect(Some(self.0.kubeconfig()), None).unwrap();
            api_servers::look(&connection.client, &connection.config, &which, false).await
        });
        looks.replicas.into_values().next()?.flags.ok()
    }

    /// What a scan says of each control, by the kind of its subject: the reason, or how many it does not apply to.
    fn scanned(&self) -> BTreeMap<String, String> {
        let kubeconfig = format!("--kubeconfig={}", self.0.kubeconfig().display());
        let policy = self.0.folder().join("policy.yaml");
        let policy = policy.display().to_string();
        let scan = output(&["scan", "-p", &policy, "-o", "json", &kubeconfig]);
        let report: Value = serde_json::from_str(&scan.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", scan.stdout, scan.stderr));
        let mut said = BTreeMap::new();
        for control in report["controls"].as_array().unwrap() {
            let idle = &control["subjects"]["NotApplicable"];
            said.insert(
                format!("{} idle", control["id"].as_str().unwrap()),
                idle.to_string(),
            );
            for finding in control["findings"].as_array().unwrap() {
                let id = control["id"].as_str().unwrap();
                let kind = finding["subject"]["kind"].as_str().unwrap();
                let reason = finding["reason"].as_str().unwrap();
                said.insert(format!("{id} {kind}"), reason.to_owned());
            }
        }
        said
    }

    fn apply(&self, object: &Value) {
        let args = ["apply", "-f", "-"];
        self.0.kubectl_ok(&args, Some(&object.to_string()));
    }

    /// The mirror of a static pod, as its kubelet makes it.
    fn mirror(&self, component: &str, command: &[&str]) {
        let name = format!("{component}-cp");
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "kube-system",
                "labels": { "component": component, "tier": "control-plane" },
                "annotations": {
                    "kubernetes.io/config.mirror": "a", "kubernetes.io/config.hash": "a",
                    "kubernetes.io/config.source": "file",
                },
            },
            "spec": {
                "nodeName": "cp", "hostNetwork": true,
                "containers": [{ "name": component, "image": "i", "command": command }],
            },
        }));
        let status = json!({ "status": { "phase": "Running", "hostIP": "127.0.0.1",
            "hostIPs": [{ "ip": "127.0.0.1" }] } });
        let patch = status.to_string();
        let args = [
            "-n",
            "kube-system",
            "patch",
            "pod",
            &name,
            "--subresource=status",
        ];
        let args = [&args[..], &["--type=merge", "-p", &patch]].concat();
        self.0.kubectl_ok(&args, None);
    }

    fn openshift(&self, encryption: &str) {
        self.apply(&json!({
            "apiVersion": "config.openshift.io/v1", "kind": "APIServer",
            "metadata": { "name": "cluster" }, "spec": { "encryption": { "type": encryption } },
        }));
    }
}

#[test]
fn what_is_declared_of_api_servers_is_found_and_the_nearest_to_them_counts() {
    const STRENGTH: &str = "enc-secrets-provider-strength APIServer";
    const IDLE: &str = "enc-secrets-provider-strength idle";
    let declared = Declared::start();
    let reason = |key: &str| declared.scanned().remove(key).unwrap_or_default();
    assert_eq!(declared.flags(), None);
    let said = declared.scanned();
    assert_eq!(said[STRENGTH], "EncryptionNotSeen", "{said:?}");
    assert_eq!(said[IDLE], "0");
    assert_eq!(said["enc-etcd-tls Cluster"], "EtcdNotVisible", "{said:?}");

    let config = "apiServer:\n  extraArgs:\n  - name: tls-min-version\n    value: VersionTLS13\n";
    declared.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "kubeadm-config", "namespace": "kube-system" },
        "data": { "ClusterConfiguration": config },
    }));
    let flags = declared.flags().unwrap();
    assert_eq!(flags.source, FlagSource::Kubeadm);
    assert_eq!(flags.values["tls-min-version"], "VersionTLS13");
    // A hand may have added what encrypts.
    assert_eq!(reason(STRENGTH), "EncryptionNotSeen");

    let server = [
        "kube-apiserver",
        "--etcd-servers=https://127.0.0.1:2379",
        "--etcd-cafile=/ca",
        "--etcd-certfile=/c",
        "--etcd-keyfile=/k",
    ];
    declared.mirror("kube-apiserver", &server);
    assert_eq!(declared.flags().unwrap().source, FlagSource::StaticPod);
    let said = declared.scanned();
    assert_eq!(said[IDLE], "1", "nothing is encrypted: {said:?}");
    assert_eq!(said.get(STRENGTH), None);
    assert_eq!(said["enc-etcd-tls Node"], "ExternalEtcd", "{said:?}");
    let plain = ["etcd", "--listen-client-urls=http://127.0.0.1:2379"];
    declared.mirror("etcd", &plain);
    assert_eq!(reason("enc-etcd-tls Node"), "EtcdWithoutTls");

    declared.0.kubectl_ok(&["apply", "-f", "-"], Some(CRD));
    let crd = "crd/apiservers.config.openshift.io";
    let wait = ["wait", "--for=condition=Established", "--timeout=30s", crd];
    declared.0.kubectl_ok(&wait, None);
    declared.openshift("aescbc");
    assert_eq!(reason(STRENGTH), "ProviderNotAccepted");
    declared.openshift("aesgcm");
    assert_eq!(reason(STRENGTH), "EncryptionNotSeen");
    declared.openshift("identity");
    assert_eq!(reason(IDLE), "1");
}
