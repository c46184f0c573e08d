//! `enc-etcd-tls`

mod flags;

use std::collections::BTreeSet;

use crate::{controls::prelude::*, inventory::component::Component};

/// etcd is reached by TLS with client certificates, and so are its members among themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdTls {}

/// The label of nodes of k3s and RKE2 that run etcd inside their own process.
const EMBEDDED: &str = "node-role.kubernetes.io/etcd";

impl EtcdTls {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-etcd-tls",
        field: "encEtcdTls",
        title: "etcd is reached by TLS with client certificates only",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC6.7"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 2,
        reads: &[Kind::Pod, Kind::Node],
        subjects: &[Kind::Node],
        derives: &[],
        observes: &[Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "On each node whose static pods run etcd or kube-apiserver (label `component` in \
               `kube-system`): etcd has a certificate, a key and an authority for clients and for \
               peers, asks both for a certificate, makes none by itself, and listens for them by plain \
               HTTP on no address but the node's own loopback; the API server reaches every etcd \
               by https, with an authority and a client certificate.",
        why: "etcd holds the whole cluster and knows no users: whoever can talk to it can do \
              everything, and whoever can listen on the way reads it all.",
        fix: "Nothing is written to control planes. The message names the flags.",
        by_hand: "Set the flags that the message names in the manifests of etcd and kube-apiserver.",
        prevention: "None: static pods are made by the kubelet from files.",
        limits: "Flags of static pods are read, and etcd's environment variables; files are not. An etcd that no pod shows (external, \
                 managed, or inside the process of k3s or RKE2), or whose flags are in a file, is \
                 Unknown. k3s without etcd nodes stores in SQLite or through kine: not applicable. \
                 What `--listen-metrics-urls` opens serves metrics and health and no keys, and is \
                 not judged, nor is whether certificates are valid.",
    };
}

fn node(context: &Context<'_>, node: &str) -> Option<Verdict> {
    let components = components(context.inventory).filter(|c| &*c.node == node);
    let (mut etcd, mut seen) = (false, false);
    let mut faults = BTreeSet::new();
    let mut in_file = None;
    for component in components {
        seen = true;
        if component.flags.get("config-file").is_some() {
            in_file = Some(component.name.clone());
        } else if &*component.name == "etcd" {
            etcd = true;
            faults.extend(flags::of_etcd(&component.flags));
        } else {
            faults.extend(flags::of_api_server(&component.flags));
        }
    }
    if !seen {
        return None;
    }
    if !faults.is_empty() {
        let said: Vec<&str> = faults.iter().map(|fault| &*fault.what).collect();
        let verdict = Verdict::fail(Strength::Declared, "EtcdWithoutTls", said.join("; "));
        return Some(verdict.propose(flags::mend(&faults)));
    }
    if let Some(component) = in_file {
        let message =
            format!("the flags of {component} are in a file, or set by the node: neither is read");
        return Some(Verdict::unknown("FlagsInFile", message));
    }
    if !etcd {
        let message = "the API server reaches etcd by TLS; how its members talk can't be seen";
        return Some(Verdict::unknown("ExternalEtcd", message));
    }
    let message = "etcd is reached by TLS with client certificates, by its peers as well";
    Some(Verdict::pass(Strength::Declared, "EtcdTls", message))
}

/// The verdict where no pod shows etcd or an API server.
fn unseen(context: &Context<'_>) -> Verdict {
    let version = context.observed.api_servers.version.as_deref();
    let k3s = version.is_some_and(|version| version.contains("+k3s"));
    let mut nodes = context.inventory.tables.nodes.iter();
    if k3s && !nodes.any(|node| node.meta.labels.get(EMBEDDED).is_some()) {
        let message = "k3s without etcd nodes stores in SQLite, or elsewhere through kine";
        return Verdict::not_applicable("NoEtcd", message);
    }
    Verdict::unknown(
        "EtcdNotVisible",
        "no static pod shows etcd or an API server: the control plane is managed, or runs \
         outside pods",
    )
}

fn components(inventory: &Inventory) -> impl Iterator<Item = &Component> {
    let pods = inventory.tables.pods.in_namespace("kube-system");
    let running = pods.filter(|pod| !pod.spec.ended);
    running.filter_map(|pod| pod.spec.component())
}

impl Control for EtcdTls {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        let of_control_plane = change.kind == Kind::Pod && &*change.namespace == "kube-system";
        if of_control_plane || change.kind == Kind::Node {
            Touched::All
        } else {
            Touched::Nothing
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_some() {
            return;
        }
        let nodes = components(context.inventory).map(|component| component.node.clone());
        let nodes: BTreeSet<Sym> = nodes.collect();
        if nodes.is_empty() {
            found(Subject::named(SubjectKind::Cluster, "cluster"));
        }
        for node in nodes {
            found(Subject::object(Kind::Node, &Sym::from(""), &node));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match subject.kind {
            SubjectKind::Cluster => components(context.inventory)
                .next()
                .is_none()
                .then(|| unseen(context)),
            SubjectKind::Object(Kind::Node) => node(context, &subject.name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controls::testing::World;

    const ETCD: [&str; 10] = [
        "etcd",
        "--cert-file=/c",
        "--key-file=/k",
        "--trusted-ca-file=/a",
        "--client-cert-auth=true",
        "--peer-cert-file=/c",
        "--peer-key-file=/k",
        "--peer-trusted-ca-file=/a",
        "--peer-client-cert-auth=true",
        "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379",
    ];
    const SERVER: [&str; 5] = [
        "kube-apiserver",
        "--etcd-servers=https://127.0.0.1:2379",
        "--etcd-cafile=/a",
        "--etcd-certfile=/c",
        "--etcd-keyfile=/k",
    ];

    fn put(world: &mut World, component: &str, command: &[&str], args: &[&str]) {
        let pod = json!({
            "metadata": {
                "name": format!("{component}-cp-1"), "namespace": "kube-system",
                "labels": { "component": component },
            },
            "spec": {
                "nodeName": "cp-1",
                "containers": [{ "name": component, "command": command, "args": args }],
            },
        });
        world.put(Kind::Pod, pod);
    }

    fn kubeadm() -> World {
        let mut world = World::new();
        put(&mut world, "etcd", &ETCD, &[]);
        put(&mut world, "kube-apiserver", &SERVER, &[]);
        world
    }

    fn judged(world: &mut World) -> (Outcome, &'static str) {
        let verdict = world.only(&EtcdTls::default());
        (verdict.outcome, verdict.reason)
    }

    #[test]
    fn what_kubeadm_sets_up_passes() {
        let verdicts = kubeadm().judge(&EtcdTls::default());
        assert_eq!(verdicts["Node cp-1"].reason, "EtcdTls");
        assert_eq!(verdicts.len(), 1);
    }

    #[test]
    fn a_switch_that_is_off_is_named_as_it_is_written() {
        let mut world = kubeadm();
        let mut flags = ETCD;
        flags[4] = "--client-cert-auth=false";
        put(&mut world, "etcd", &flags, &[]);
        let verdict = world.only(&EtcdTls::default());
        assert_eq!(&*verdict.message, "etcd has --client-cert-auth=false");
        let mend = verdict.proposal.unwrap();
        assert!(mend.ends_with(": set --client-cert-auth=true"), "{mend}");
    }

    #[test]
    fn each_flag_counts() {
        for at in 1..ETCD.len() - 1 {
            let mut world = kubeadm();
            let mut flags = ETCD.to_vec();
            let gone = flags.remove(at).split('=').next().unwrap();
            put(&mut world, "etcd", &flags, &[]);
            let verdict = world.only(&EtcdTls::default());
            assert_eq!(verdict.outcome, Outcome::Fail, "{gone}");
            assert!(verdict.message.contains(gone), "{}", verdict.message);
        }
        for more in [
            "--auto-tls",
            "--peer-auto-tls=true",
            "--client-cert-auth=false",
            "--listen-client-urls=http://10.0.0.1:2379",
            "--listen-client-http-urls=http://10.0.0.1:2382",
            "--listen-peer-urls=http://[fd00::1]:2380",
        ] {
            let mut world = kubeadm();
            put(&mut world, "etcd", &ETCD, &[more]);
            assert_eq!(judged(&mut world).0, Outcome::Fail, "{more}");
        }
        for harmless in [
            "--auto-tls=false",
            "--listen-metrics-urls=http://0.0.0.0:2381",
            "--listen-client-urls=http://127.0.0.1:2379",
        ] {
            let mut world = kubeadm();
            put(&mut world, "etcd", &ETCD, &[harmless]);
            assert_eq!(judged(&mut world).0, Outcome::Pass, "{harmless}");
        }
    }

    #[test]
    fn flags_of_one_dash_and_environment_variables_count() {
        let mut world = World::new();
        let dashed: Vec<String> = ETCD[1..].iter().map(|flag| flag[1..].to_owned()).collect();
        let mut words = vec!["etcd"];
        words.extend(dashed.iter().map(String::as_str));
        put(&mut world, "etcd", &words, &[]);
        assert_eq!(judged(&mut world).0, Outcome::Pass);
        let set = ETCD[1..].iter().map(|flag| {
            let (name, value) = flag[2..].split_once('=').unwrap();
            let name = name.to_uppercase().replace('-', "_");
            json!({ "name": format!("ETCD_{name}"), "value": value })
        });
        let mut set: Vec<_> = set.collect();
        let mut by_variables = |set: &[serde_json::Value]| {
            let pod = json!({
                "metadata": {
                    "name": "etcd-cp-1", "namespace": "kube-system", "labels": { "component": "etcd" },
                },
                "spec": {
                    "nodeName": "cp-1",
                    "containers": [{ "name": "etcd", "command": ["etcd"], "env": set }],
                },
            });
            world.put(Kind::Pod, pod);
            judged(&mut world)
        };
        assert_eq!(by_variables(&set).0, Outcome::Pass);
        set[0]["value"] = "".into();
        assert_eq!(by_variables(&set).0, Outcome::Fail);
        set.remove(0);
        assert_eq!(by_variables(&set).0, Outcome::Fail);
        set.push(json!({ "name": "ETCD_CERT_FILE", "valueFrom": {} }));
        assert_eq!(by_variables(&set), (Outcome::Unknown, "FlagsInFile"));
    }

    #[test]
    fn every_address_of_etcd_is_https() {
        for (flag, wanted) in [
            ("--etcd-servers=https://a:2379,http://b:2379", Outcome::Fail),
            ("--etcd-servers=", Outcome::Fail),
            ("--etcd-certfile=", Outcome::Fail),
            (
                "--etcd-servers=https://a:2379,https://b:2379",
                Outcome::Pass,
            ),
            (
                "--etcd-servers-overrides=/events#https://a:2379;http://b:2379",
                Outcome::Fail,
            ),
            (
                "--etcd-servers-overrides=/events#https://a:2379;https://b:2379",
                Outcome::Pass,
            ),
        ] {
            let mut world = kubeadm();
            // RKE2 has everything in args.
            put(&mut world, "kube-apiserver", &[], &SERVER);
            assert_eq!(judged(&mut world).0, Outcome::Pass);
            put(&mut world, "kube-apiserver", &SERVER, &[flag]);
            assert_eq!(judged(&mut world).0, wanted, "{flag}");
        }
    }

    #[test]
    fn what_can_not_be_seen_is_unknown() {
        assert_eq!(
            judged(&mut World::new()),
            (Outcome::Unknown, "EtcdNotVisible")
        );
        let mut external = World::new();
        put(&mut external, "kube-apiserver", &SERVER, &[]);
        assert_eq!(judged(&mut external), (Outcome::Unknown, "ExternalEtcd"));
        let mut in_file = kubeadm();
        put(
            &mut in_file,
            "etcd",
            &["etcd", "--config-file=/etcd.yaml"],
            &[],
        );
        assert_eq!(judged(&mut in_file), (Outcome::Unknown, "FlagsInFile"));
    }

    #[test]
    fn k3s_without_etcd_nodes_has_no_etcd() {
        let mut world = World::new();
        world.observed.api_servers.version = Some("v1.37.2+k3s1".to_owned());
        assert_eq!(judged(&mut world), (Outcome::NotApplicable, "NoEtcd"));
        let node = json!({ "metadata": { "name": "a", "labels": { EMBEDDED: "true" } } });
        world.put(Kind::Node, node);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "EtcdNotVisible"));
    }

    #[test]
    fn only_pods_of_the_control_plane_count() {
        let mut world = kubeadm();
        let fake = json!({
            "metadata": {
                "name": "etcd", "namespace": "shop", "labels": { "component": "etcd" },
            },
            "spec": { "nodeName": "w-1", "containers": [{ "command": ["etcd"] }] },
        });
        world.put(Kind::Pod, fake);
        assert_eq!(judged(&mut world).0, Outcome::Pass);
    }
}
