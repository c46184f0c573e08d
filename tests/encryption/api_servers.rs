//! What real API servers tell of themselves.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use probity::analysis::apiserver::{
    ApiServers, Direction, IDENTITY, KmsHealth, Looks, Operation, Reading, Replica,
};
use probity::analysis::tls::TlsVersion;
use probity::cluster::{api_servers, client, servers::Which};
use tokio::runtime::{Builder, Runtime};

use crate::harness::{Cluster, Options};

const SECRETBOX: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox:
          keys: [{ name: key1, secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY= }]
      - identity: {}
";
const IDENTITY_FIRST: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - identity: {}
      - secretbox:
          keys: [{ name: key1, secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY= }]
";

struct Servers {
    cluster: Cluster,
    runtime: Runtime,
}

impl Servers {
    fn start(config: Option<&str>, controller_manager: bool) -> Self {
        let reload = "--encryption-provider-config-automatic-reload=true";
        let cluster = Cluster::start(Options {
            encryption_config: config.map(str::to_owned),
            apiserver_args: config.map(|_| reload.to_owned()).into_iter().collect(),
            controller_manager,
            scheduler: false,
            ..Options::default()
        });
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            cluster: cluster.unwrap(),
            runtime: runtime.unwrap(),
        }
    }

    fn look(&self, endpoints: &[&str]) -> Looks {
        let which = Which {
            endpoints: endpoints.iter().map(|url| (*url).to_owned()).collect(),
            most: 9,
        };
        self.runtime.block_on(async {
            let connection = client::connect(Some(self.cluster.kubeconfig()), None).unwrap();
            api_servers::look(&connection.client, &connection.config, &which, true).await
        })
    }

    /// Looks until something is seen.
    fn until<T>(&self, what: &str, mut seen: impl FnMut(&Looks) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let looks = self.look(&[]);
            if let Some(found) = seen(&looks) {
                return found;
            }
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(150), "{what}: {looks:#?}");
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn configure(&self, config: &str) {
        let file = self.cluster.apiserver().encryption_config();
        fs::write(file, config).unwrap();
    }

    fn secret(&self, name: &str) {
        let args = ["create", "secret", "generic", name, "--from-literal=a=b"];
        self.cluster.kubectl_ok(&args, None);
    }
}

fn reading(looks: &Looks) -> &Reading {
    let look = looks.replicas.values().next().unwrap();
    look.metrics.as_ref().unwrap()
}

fn count(reading: &Reading, direction: Direction, prefix: &str) -> Option<f64> {
    let operation = Operation {
        resource: "secrets".to_owned(),
        direction,
        prefix: prefix.to_owned(),
    };
    reading.operations.get(&operation).copied()
}

#[test]
fn each_server_tells_of_itself() {
    let servers = Servers::start(Some(SECRETBOX), false);
    servers.secret("one");
    let second = servers.cluster.second_apiserver().unwrap();
    let first = servers.look(&[]).replicas.into_keys().next().unwrap();
    let looks = servers.look(&[&format!("https://{first}"), second.url()]);
    assert!(looks.all_known);
    assert_eq!(looks.replicas.len(), 2);
    assert!(looks.version.as_ref().unwrap().starts_with("v1."));
    let mut hashes = BTreeMap::new();
    for (address, look) in &looks.replicas {
        let reading = look.metrics.as_ref().unwrap();
        let start = reading.start.unwrap();
        let age = Timestamp::now().duration_since(start).as_secs();
        assert!((0..3600).contains(&age), "{age}");
        hashes.insert(reading.config.clone().unwrap(), address);
        let flags = look.flags.as_ref().unwrap();
        assert!(flags.values["encryption-provider-config"].ends_with("encryption.yaml"));
        assert!(flags.values.contains_key("tls-min-version"));
        // With automatic reload the check is there, and has nothing to complain about.
        assert_eq!(look.kms, KmsHealth::Healthy);
        let shown = look.tls.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(shown.version, TlsVersion::V1_3);
        assert_eq!(shown.oldest, Some(TlsVersion::V1_2));
        assert!(shown.chain[0].holds("kubernetes.default.svc"));
    }
    assert_eq!(hashes.len(), 1, "both have the same file");
    let stored = |address: &str| {
        let reading = looks.replicas[address].metrics.as_ref().unwrap();
        count(reading, Direction::ToStorage, "k8s:enc:secretbox:v1:")
    };
    assert!(stored(&first).unwrap() >= 1.0);
    assert!(!looks.replicas[&first].metrics.as_ref().unwrap().old);
}

#[test]
fn without_encryption_nothing_is_counted_and_no_kms_is_checked() {
    let servers = Servers::start(None, false);
    servers.secret("one");
    let looks = servers.look(&[]);
    assert!(!looks.all_known, "no slice lists the server");
    let reading = reading(&looks);
    assert!(reading.operations.is_empty(), "{reading:?}");
    assert_eq!(reading.config, None);
    let look = looks.replicas.values().next().unwrap();
    assert_eq!(look.kms, KmsHealth::None);
}

/// Plaintext that is left from before is counted when it is read, and no more after a migration.
#[test]
fn a_migration_ends_what_is_read_as_it_is() {
    let servers = Servers::start(Some(IDENTITY_FIRST), true);
    servers.secret("old");
    let looks = servers.look(&[]);
    let before = reading(&looks);
    assert!(
        count(before, Direction::ToStorage, "").unwrap() >= 1.0,
        "{before:?}"
    );
    let hash = before.config.clone().unwrap();
    let mut history = ApiServers::default();
    history.take(looks);
    servers.configure(SECRETBOX);
    let changed = servers.until("the new configuration", |looks| {
        (reading(looks).config.as_ref() != Some(&hash)).then(|| looks.clone())
    });
    assert!(reading(&changed).reloaded.is_some());
    history.take(changed);
    let replica =
        |history: &ApiServers| -> Replica { history.replicas.values().next().unwrap().clone() };
    let changes = replica(&history).config_changes().to_vec();
    assert_eq!(changes.len(), 1);
    let plain = Operation {
        resource: "secrets".to_owned(),
        direction: Direction::FromStorage,
        prefix: IDENTITY.to_owned(),
    };
    servers.cluster.kubectl_ok(&["get", "secret", "old"], None);
    history.take(servers.look(&[]));
    let seen = replica(&history).rose_after(&plain, changes[0].at);
    assert!(seen.is_some(), "{:#?}", replica(&history));
    let migration = "
apiVersion: storagemigration.k8s.io/v1
kind: StorageVersionMigration
metadata: { name: secrets }
spec: { resource: { group: '', resource: secrets } }
";
    servers
        .cluster
        .kubectl_ok(&["create", "-f", "-"], Some(migration));
    let done = [
        "wait",
        "--for=condition=Succeeded",
        "svm/secrets",
        "--timeout=120s",
    ];
    let done = done.map(|word| word.replace("svm/", "storageversionmigration/"));
    let done: Vec<&str> = done.iter().map(String::as_str).collect();
    servers.cluster.kubectl_ok(&done, None);
    history.take(servers.look(&[]));
    let migrated = Timestamp::now();
    servers.cluster.kubectl_ok(&["get", "secret", "old"], None);
    history.take(servers.look(&[]));
    assert_eq!(replica(&history).rose_after(&plain, migrated), None);
    let sealed = reading_of(&replica(&history), "k8s:enc:secretbox:v1:");
    assert!(sealed >= 1.0);
}

fn reading_of(replica: &Replica, prefix: &str) -> f64 {
    let (_, reading) = replica.reading.as_ref().unwrap();
    count(reading, Direction::FromStorage, prefix).unwrap_or_default()
}
