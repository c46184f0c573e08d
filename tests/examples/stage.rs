//! A control plane with an example cluster in it, and the operator as the chart installs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};

use probity::cluster::client;
use serde_json::{Value, json};
use tokio::{
    runtime::Builder,
    sync::oneshot::{self, Sender},
};

use super::expected::{self, Finding};
use crate::{
    harness::{ApiServer, Cluster, Options, crds},
    operator::{
        chart::release_manifest,
        probe::{Node, play},
        program::{Program, Replica},
        world::eventually,
    },
};

const NAMESPACE: &str = "probity-system";
/// A secret of the shop, which the second API server stores as it is.
const SECRET: &str = "stored-by-the-second";
const NEIGHBOURS: [&str; 7] = [
    "velero",
    "velero-data",
    "cert-manager",
    "snapshot",
    "network-policy",
    "gateway-api",
    "istio",
];

/// How API servers are configured: each by a file of the examples, and an argument.
#[derive(Clone, Copy)]
pub(super) struct Servers(&'static [(&'static str, &'static str)]);

impl Servers {
    /// One that is as it should be.
    pub(super) const fn good() -> Self {
        Self(&[("good", "--tls-min-version=VersionTLS12")])
    }

    /// Two that are not.
    pub(super) const fn bad() -> Self {
        Self(&[
            ("first", "--tls-min-version=VersionTLS12"),
            ("second", "--tls-min-version=VersionTLS11"),
        ])
    }
}

fn configuration(name: &str) -> String {
    fs::read_to_string(expected::folder().join(format!("api-servers/{name}.yaml"))).unwrap()
}

fn options((name, argument): (&str, &str)) -> Options {
    Options {
        encryption_config: Some(configuration(name)),
        apiserver_args: vec![argument.to_owned()],
        kwok_nodes: 2,
        ..Options::default()
    }
}

/// The control plane, and the operator once it runs.
pub(super) struct Stage {
    // Dropped from the top: clients before servers.
    network: Option<Network>,
    cluster: Cluster,
    second: Option<ApiServer>,
    operator: Option<(Replica, Program)>,
}

impl Stage {
    /// Starts the API servers, with the kinds of all neighbours.
    pub(super) fn start(servers: Servers) -> Self {
        let cluster = Cluster::start(options(servers.0[0])).unwrap();
        let second = servers.0.get(1).map(|second| {
            let second = cluster.another_apiserver(&options(*second)).unwrap();
            answers(&cluster, &second);
            second
        });
        for neighbour in NEIGHBOURS {
            let folder = crds(neighbour).unwrap();
            let folder = folder.display().to_string();
            cluster.kubectl_ok(&["apply", "--server-side", "-f", &folder], None);
        }
        cluster.serves_crds();
        Self {
            network: None,
            cluster,
            second,
            operator: None,
        }
    }

    /// Applies an example, installs the chart, and runs the operator with what the chart grants. The
    /// network between the pods of its probe is played.
    pub(super) fn run(&mut self, example: &str, network: Node) {
        self.apply(example);
        let bound = "--for=jsonpath={.status.phase}=Bound";
        let bound = ["wait", "pvc", "--all", "-A", bound];
        self.cluster.kubectl_ok(&bound, None);
        let done = ["wait", "job", "--all", "-A", "--for=condition=Complete"];
        self.cluster.kubectl_ok(&done, None);
        let kubeconfig = self.install();
        self.cluster.serves_crds();
        self.apply(&format!("{example}-people"));
        self.store_and_read();
        self.apply("policy");
        let admin = self.cluster.kubeconfig().to_owned();
        self.network = Some(Network::play(admin, network));
        let replica = Replica::with("probity-0", NAMESPACE.to_owned(), kubeconfig);
        let replica = replica.with_args(&["--probe-namespace=probity-probe", "--probe-image=p"]);
        let replica = replica.with_args(
            &release_manifest(&self.cluster, NAMESPACE)
                .each_ref()
                .map(|arg| &**arg),
        );
        let program = replica.start();
        self.operator = Some((replica, program));
    }

    /// The control plane.
    pub(super) const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn apply(&self, what: &str) {
        let servers: Vec<String> = self.addresses().into_keys().collect();
        let servers: Vec<String> = servers.iter().map(|at| format!("https://{at}")).collect();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .arg(expected::folder().join("apply.sh"))
            .arg(what)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("PATH", format!("{}:{path}", self.cluster.bin().display()))
            .env("API_SERVERS", servers.join(","));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "apply.sh {what}: {said}");
    }

    /// Installs the chart, and returns a kubeconfig of its service account.
    fn install(&self) -> PathBuf {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/probity");
        let mut args = vec!["install", "probity", chart, "--create-namespace"];
        args.extend(["--namespace", NAMESPACE]);
        for value in [
            "replicas=0",
            "networkProbe.enabled=true",
            // By a tag, nobody could tell what runs.
            "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "velero.readRepositoryPassword=true",
        ] {
            args.extend(["--set", value]);
        }
        self.cluster.helm_ok(&args);
        let token = ["create", "token", "probity", "--namespace", NAMESPACE];
        let token = self.cluster.kubectl_ok(&token, None);
        self.cluster.kubeconfig_for_token(token.trim()).unwrap()
    }

    /// Has the second server store a secret, and the first read it.
    fn store_and_read(&self) {
        let Some(second) = &self.second else { return };
        let kubeconfig = format!("--kubeconfig={}", second.kubeconfig().display());
        let create = ["create", "secret", "generic", SECRET, "--namespace=shop"];
        let create = [&create[..], &["--from-literal=a=b", &kubeconfig]].concat();
        self.cluster.kubectl_ok(&create, None);
        self.read(self.cluster.apiserver());
    }

    fn read(&self, server: &ApiServer) {
        let kubeconfig = format!("--kubeconfig={}", server.kubeconfig().display());
        let get = ["get", "secret", SECRET, "--namespace=shop", &kubeconfig];
        self.cluster.kubectl_ok(&get, None);
    }

    /// Gives the second server another configuration, and has the operator look again.
    pub(super) fn reconfigure_second(&self, name: &str) {
        let second = self.second.as_ref().unwrap();
        fs::write(second.encryption_config(), configuration(name)).unwrap();
        second.begin_restart().unwrap();
        answers(&self.cluster, second);
        self.read(second);
        // Other parameters have it look at once.
        let look = json!({ "encSecretsAtRestActive": { "interval": "5h" } });
        let look = json!({ "spec": { "controls": look } }).to_string();
        let patch = [
            "patch",
            "controlpolicy",
            "example",
            "--type=merge",
            "-p",
            &look,
        ];
        self.cluster.kubectl_ok(&patch, None);
    }

    /// What the examples call each API server, by address.
    fn addresses(&self) -> BTreeMap<String, &'static str> {
        let address = |url: &str| url.trim_start_matches("https://").to_owned();
        let first = address(self.cluster.apiserver().url());
        let mut all = BTreeMap::from([(first, "first")]);
        if let Some(second) = &self.second {
            all.insert(address(second.url()), "second");
        }
        all
    }

    /// The worst outcome of each control, as the policy's status says.
    pub(super) fn outcomes(&self) -> BTreeMap<String, String> {
        let policy = ["get", "controlpolicy", "example", "-o", "json"];
        let policy: Value = serde_json::from_str(&self.cluster.kubectl_ok(&policy, None)).unwrap();
        let controls = policy["status"]["controls"].as_array();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let controls = controls.into_iter().flatten();
        controls
            .map(|control| (text(&control["id"]), text(&control["outcome"])))
            .collect()
    }

    /// What the evidence log said of each subject, in order; nothing once it has left.
    fn verdicts(&self) -> Vec<(Finding, Option<String>)> {
        let (replica, _) = self.operator.as_ref().unwrap();
        let mut said = Vec::new();
        for entry in replica.log() {
            match entry["type"].as_str() {
                Some("transition") => {
                    let outcome = entry["to"].as_str().map(str::to_owned);
                    said.push((self.finding(&entry, &entry["subject"]), outcome));
                }
                Some("population") => {
                    let left = entry["left"].as_array().into_iter().flatten();
                    said.extend(left.map(|subject| (self.finding(&entry, subject), None)));
                }
                _ => {}
            }
        }
        said
    }

    fn finding(&self, entry: &Value, subject: &Value) -> Finding {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&subject["name"]);
        let names = self.addresses();
        let name = names.get(&name).map_or(name, |name| (*name).to_owned());
        let name = match subject["namespace"].as_str() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        };
        Finding {
            control: text(&entry["control"]),
            subject: format!("{} {name}", text(&subject["kind"])),
        }
    }

    /// What has an outcome now.
    pub(super) fn now(&self, outcome: &str) -> BTreeSet<Finding> {
        let now: BTreeMap<Finding, Option<String>> = self.verdicts().into_iter().collect();
        having(now, outcome)
    }

    /// What ever had an outcome.
    pub(super) fn ever(&self, outcome: &str) -> BTreeSet<Finding> {
        having(self.verdicts(), outcome)
    }

    /// The log as people read it, without what passes, for the reader of a failed test.
    pub(super) fn log(&self) -> String {
        let (replica, program) = self.operator.as_ref().unwrap();
        let text = replica.log_text();
        let lines = text.lines().filter(|line| line.contains(" transition "));
        let lines: Vec<&str> = lines.collect();
        format!("{}\n{}", lines.join("\n"), program.tail())
    }

    /// Stops the operator, in order.
    pub(super) fn stop(self) {
        let (_, program) = self.operator.unwrap();
        assert!(program.stop().success());
    }
}

fn having(
    verdicts: impl IntoIterator<Item = (Finding, Option<String>)>,
    outcome: &str,
) -> BTreeSet<Finding> {
    let such = verdicts
        .into_iter()
        .filter(|(_, to)| to.as_deref() == Some(outcome));
    such.map(|(finding, _)| finding).collect()
}

/// A network that heeds policies or doesn't, on a thread of its own.
struct Network {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    fn play(kubeconfig: PathBuf, node: Node) -> Self {
        let (stop, stopped) = oneshot::channel();
        let play = move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let connection = client::connect(Some(&kubeconfig), None).unwrap();
                tokio::select! {
                    () = play(&connection.client, node) => {}
                    _ = stopped => {}
                }
            });
        };
        Self {
            stop: Some(stop),
            thread: Some(thread::spawn(play)),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Where it panicked it has said so, and the probe says what came of it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Waits until a server answers; its KMS need not.
fn answers(cluster: &Cluster, server: &ApiServer) {
    let kubeconfig = format!("--kubeconfig={}", server.kubeconfig().display());
    let path = "/readyz?exclude=kms-providers";
    eventually("API server", || {
        let output = cluster.kubectl(&["get", "--raw", path, &kubeconfig]);
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{said}\n{}", server.service().tail()))
    });
}
