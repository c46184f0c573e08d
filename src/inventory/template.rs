//! Pod templates: what a workload's pods look like, and which Pod Security level they meet.

mod pod_security;

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

pub use self::pod_security::keeps_pod_annotation;
use self::pod_security::{Lifecycle, Probe, SecurityContext, Volume};
use super::{
    component,
    intern::{Interner, Sym},
    mesh::{asks, asks_istio, authenticates},
    meta::{Labels, Str, StrMap},
    wire::go_bool,
};
use crate::analysis::meshed::{INBOUND, INJECT, ISTIO_INJECT};

/// A pod template, or the template-like part of a live pod.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Template {
    /// Labels of the pods.
    pub labels: Arc<Labels>,
    /// Whether the pods share the node's network: network policies say nothing about them.
    pub host_network: bool,
    /// The service account that the pods run as.
    pub service_account: Option<Sym>,
    /// Declared ports of all containers.
    pub ports: Box<[Port]>,
    /// Whether the token of the account is mounted; `None` leaves it to the account.
    pub automount: Option<bool>,
    /// Whether a token for the API server is mounted whatever is said about automounting.
    pub projects_token: bool,
    /// Whether a container provisions volumes for a CSI driver.
    pub provisions: bool,
    /// What breaks the `baseline` level, or `None` where it is met.
    pub breaks_baseline: Option<Sym>,
    /// What breaks the `restricted` level beyond `baseline`, or `None` where it is met.
    pub breaks_restricted: Option<Sym>,
    /// The proxy of a service mesh that the pods run.
    pub proxy: Proxy,
    /// What its annotations ask of Linkerd.
    pub linkerd: Linkerd,
    /// Whether its annotation asks for Istio's proxy or against it; a label comes before that.
    pub istio: Option<bool>,
    /// The server of a backup tool, if it is one.
    pub backup_tool: Option<Box<BackupTool>>,
}

/// What annotations ask of Linkerd; `None` where they say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Linkerd {
    /// Whether for a proxy.
    pub inject: Option<bool>,
    /// Whether for one that takes proven clients only.
    pub authenticates: Option<bool>,
}

/// The proxy of a service mesh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proxy {
    /// None.
    #[default]
    None,
    /// Istio's.
    Istio,
    /// Linkerd's.
    Linkerd,
}

/// The server of a backup tool: what it does where its objects leave a choice open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackupTool {
    /// Velero, with its arguments.
    Velero(Box<[Sym]>),
    /// K8up.
    K8up {
        /// Whether it leaves claims out that don't ask for a backup.
        skip_without_annotation: bool,
    },
    /// Longhorn's manager.
    Longhorn,
    /// The operator of `CloudNativePG`.
    CloudNativePg,
    /// What makes and deletes the snapshots behind `VolumeSnapshot`s.
    Snapshots,
}

impl Template {
    /// Name of the service account of the pods.
    pub fn account(&self) -> &str {
        self.service_account.as_deref().unwrap_or("default")
    }

    /// Whether policies and Services see the same in pods of both: labels, ports, the network
    /// that they are in and the account that they run as.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.host_network == other.host_network
            && self.ports == other.ports
            && self.account() == other.account()
    }

    /// Whether the pods use the network of their node, or a port of it.
    pub fn uses_node(&self) -> bool {
        self.host_network || self.ports.iter().any(|port| port.host)
    }
}

/// A declared container port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Port number.
    pub number: u16,
    /// Name, which a network policy or a Service may refer to.
    pub name: Option<Sym>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Sym,
    /// Whether the port is also opened on the node, for others than the node itself.
    pub host: bool,
}

/// Labels that only tell pods of one workload apart. Pods keep none of them, or every pod of a
/// `StatefulSet` would have a label set of its own.
const POD_ONLY_LABELS: [&str; 6] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
];

/// Whether pods carry the label, if at all, without saying anything about the workload: it is
/// kept of no pod, and a selector that speaks of it can't be judged.
pub fn is_pod_only_label(key: &str) -> bool {
    POD_ONLY_LABELS.contains(&key)
}

/// Whether a pod label says something about the workload.
pub fn keeps_pod_label(key: &str) -> bool {
    !is_pod_only_label(key)
}

/// A pod template on the wire.
#[derive(Debug, Deserialize)]
pub struct WireTemplate<'a> {
    #[serde(borrow)]
    metadata: Option<WireTemplateMeta<'a>>,
    #[serde(borrow)]
    spec: Option<WirePodSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct WireTemplateMeta<'a> {
    #[serde(borrow)]
    labels: Option<StrMap<'a>>,
    #[serde(borrow)]
    annotations: Option<StrMap<'a>>,
}

/// A pod spec on the wire: the fields that a control or a Pod Security rule reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WirePodSpec<'a> {
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    host_ipc: Option<bool>,
    host_network: Option<bool>,
    host_users: Option<bool>,
    #[serde(borrow)]
    node_name: Option<Str<'a>>,
    #[serde(borrow)]
    service_account_name: Option<Str<'a>>,
    #[serde(borrow)]
    os: Option<WireOs<'a>>,
    #[serde(borrow)]
    security_context: Option<SecurityContext<'a>>,
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    ephemeral_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    volumes: Option<Vec<Volume<'a>>>,
    /// Its name before there were any others; the server keeps both alike.
    #[serde(borrow)]
    service_account: Option<Str<'a>>,
    automount_service_account_token: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct WireOs<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    ports: Option<Vec<WirePort<'a>>>,
    #[serde(borrow)]
    security_context: Option<SecurityContext<'a>>,
    #[serde(borrow)]
    liveness_probe: Option<Probe<'a>>,
    #[serde(borrow)]
    readiness_probe: Option<Probe<'a>>,
    #[serde(borrow)]
    startup_probe: Option<Probe<'a>>,
    #[serde(borrow)]
    lifecycle: Option<Lifecycle<'a>>,
    #[serde(borrow)]
    command: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    args: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    env: Option<Variables<'a>>,
}

/// The environment variables that are read, as far as they are set: one of K8up, and those that are
/// flags of etcd. The values of all others, which may be secret, are not even held while an object
/// is decoded.
#[derive(Debug, Default)]
struct Variables<'a> {
    skip: Option<Str<'a>>,
    /// Flags, with their values; none where only a running pod knows it.
    flags: Vec<(&'static str, Option<Str<'a>>)>,
}

/// By which K8up leaves claims out that don't ask for a backup.
const SKIP: &str = "BACKUP_SKIP_WITHOUT_ANNOTATION";

#[derive(Deserialize)]
struct EnvVar<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    value: Option<Str<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Variables<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Variables::default())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Variables<'a> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of environment variables")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(EnvVar { name, value }) = list.next_element()? {
            if name.as_deref() == Some(SKIP) {
                self.skip = value; // the last one counts
            } else if let Some(flag) = name.as_deref().and_then(component::of_variable) {
                self.flags.push((flag, value));
            }
        }
        Ok(self)
    }
}

impl Container<'_> {
    /// The server of a backup tool, by the program that runs: images are renamed by mirrors.
    fn backup_tool(&self, interner: &mut Interner) -> Option<BackupTool> {
        let command = self.command.iter().chain(&self.args).flatten();
        let words: Vec<&str> = command.map(|word| &**word).collect();
        let program = words.first().and_then(|word| word.rsplit('/').next());
        let name = self.name.as_deref();
        match (program, name) {
            (Some("velero"), _) => return velero(&words[1..], interner),
            (_, Some("velero")) => return velero(&words, interner),
            (Some("longhorn-manager"), _) => return Some(BackupTool::Longhorn),
            // Many operators are called manager; only this one's first word is that.
            (Some("manager"), _) if words.get(1) == Some(&"controller") => {
                return Some(BackupTool::CloudNativePg);
            }
            (_, Some("snapshot-controller" | "csi-snapshotter")) => {
                return Some(BackupTool::Snapshots);
            }
            _ => {}
        }
        let skip = self.env.as_ref().and_then(|env| env.skip.as_deref());
        let k8up = words.contains(&"operator") && matches!(name, Some("k8up" | "k8up-operator"));
        let skip_without_annotation = skip.and_then(go_bool) == Some(true);
        (k8up || skip.is_some()).then_some(BackupTool::K8up {
            skip_without_annotation,
        })
    }
}

/// Velero, if these words after its name start the server.
fn velero(words: &[&str], interner: &mut Interner) -> Option<BackupTool> {
    let (first, arguments) = words.split_first()?;
    let arguments = arguments.iter().map(|word| interner.string(word));
    (*first == "server").then(|| BackupTool::Velero(arguments.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort<'a> {
    container_port: Option<u16>,
    host_port: Option<u16>,
    #[serde(borrow, rename = "hostIP")]
    host_ip: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
}

impl WirePort<'_> {
    /// Whether the node opens it for others.
    fn is_on_node(&self) -> bool {
        let address = self.host_ip.as_ref().and_then(|ip| ip.parse().ok());
        let loopback = address.is_some_and(|address: IpAddr| address.is_loopback());
        self.host_port.is_some_and(|port| port != 0) && !loopback
    }
}

impl WireTemplate<'_> {
    /// Gives the pods a label, unless they have it.
    pub fn add_label(&mut self, key: &'static str, value: &str) {
        let labels = &mut self.metadata.get_or_insert_default().labels;
        let labels = &mut labels.get_or_insert_default().0;
        if labels.iter().all(|(known, _)| known != key) {
            labels.push((key.into(), value.to_owned().into()));
        }
    }

    /// The claims that it names; one that is made together with a pod has no name before.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        let volumes = self
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten());
        volumes.filter_map(Volume::named_claim)
    }

    /// The shared projection.
    pub fn project(self, interner: &mut Interner) -> Arc<Template> {
        let (labels, annotations) = self.metadata.map_or((None, None), |metadata| {
            (metadata.labels, metadata.annotations)
        });
        let labels = Labels::project(labels, interner, keeps_pod_label);
        let labels = interner.labels(labels);
        let annotations = Labels::project(annotations, interner, keeps_pod_annotation);
        let spec = self.spec.unwrap_or_default();
        spec.project(labels, &annotations, interner)
    }
}

impl WirePodSpec<'_> {
    /// The shared projection of a pod with `labels` and those of its annotations that
    /// [`keeps_pod_annotation`].
    pub fn project(
        self,
        labels: Arc<Labels>,
        annotations: &Labels,
        interner: &mut Interner,
    ) -> Arc<Template> {
        let host_network = self.host_network == Some(true);
        let mut ports = Vec::new();
        for port in self.all_containers().flat_map(|c| c.ports.iter().flatten()) {
            ports.push(Port {
                number: port.container_port.unwrap_or_default(),
                name: port.name.as_deref().map(|name| interner.string(name)),
                protocol: interner.string(port.protocol.as_deref().unwrap_or("TCP")),
                // In the node's network each port is one of the node: the server says so of pods,
                // not of templates.
                host: host_network || port.is_on_node(),
            });
        }
        let mut containers = self.containers.iter().flatten();
        let backup_tool = containers
            .find_map(|container| container.backup_tool(interner))
            .map(Box::new);
        let account = self.service_account_name.as_ref();
        let account = account.or(self.service_account.as_ref());
        let account = account.filter(|name| !name.is_empty());
        let provisions = |c: &Container<'_>| c.name.as_deref() == Some("csi-provisioner");
        let template = Template {
            automount: self.automount_service_account_token,
            projects_token: self.volumes.iter().flatten().any(Volume::is_api_token),
            provisions: self.all_containers().any(provisions),
            labels,
            backup_tool,
            host_network,
            service_account: account.map(|name| interner.string(name)),
            ports: ports.into(),
            proxy: self.proxy(),
            linkerd: Linkerd {
                inject: annotations.get(INJECT).map(asks),
                authenticates: annotations.get(INBOUND).map(authenticates),
            },
            istio: annotations.get(ISTIO_INJECT).and_then(asks_istio),
            breaks_baseline: self
                .breaks_baseline(annotations)
                .map(|why| interner.string(&why)),
            breaks_restricted: self.breaks_restricted().map(|why| interner.string(&why)),
        };
        interner.template(template)
    }

    /// The proxy that runs beside the pod's containers; as a native sidecar it is an init
    /// container.
    fn proxy(&self) -> Proxy {
        let names = self.all_containers().filter_map(|c| c.name.as_deref());
        let proxies = names.map(|name| match name {
            "istio-proxy" => Proxy::Istio,
            "linkerd-proxy" => Proxy::Linkerd,
            _ => Proxy::None,
        });
        proxies.max().unwrap_or_default()
    }

    /// The node that the pod runs on.
    pub(super) fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// The command of the first container, with its arguments.
    pub(super) fn command(&self) -> impl Iterator<Item = &str> {
        let first = self.containers.iter().flatten().take(1);
        let words = first.flat_map(|c| c.command.iter().chain(&c.args).flatten());
        words.map(|word| &**word)
    }

    /// The flags of etcd that the first container has as environment variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        let first = self.containers.iter().flatten().take(1);
        let all = first.flat_map(|c| c.env.iter().flat_map(|env| &env.flags));
        all.map(|(flag, value)| (*flag, value.as_deref()))
    }

    /// The claims among its volumes, as name of the volume and name of the claim; those that are
    /// made with the pod are named after it.
    pub fn claims(&self, pod: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let volumes = self.volumes.iter().flatten();
        volumes.filter_map(move |volume| Some((volume.name(), volume.claim(pod)?)))
    }

    fn all_containers(&self) -> impl Iterator<Item = &Container<'_>> {
        let init = self.init_containers.iter().flatten();
        let ephemeral = self.ephemeral_containers.iter().flatten();
        init.chain(self.containers.iter().flatten())
            .chain(ephemeral)
    }
}
