//! The flags of etcd and of the API server by which etcd is reached.

use std::collections::BTreeSet;

use crate::inventory::meta::Labels;

/// Flags of etcd that must be set, or true where that is the value, with what kubeadm gives them: paths of etcd's Pod.
const ETCD: [(&str, &str); 8] = [
    ("cert-file", "/etc/kubernetes/pki/etcd/server.crt"),
    ("key-file", "/etc/kubernetes/pki/etcd/server.key"),
    ("trusted-ca-file", "/etc/kubernetes/pki/etcd/ca.crt"),
    ("client-cert-auth", "true"),
    ("peer-cert-file", "/etc/kubernetes/pki/etcd/peer.crt"),
    ("peer-key-file", "/etc/kubernetes/pki/etcd/peer.key"),
    ("peer-trusted-ca-file", "/etc/kubernetes/pki/etcd/ca.crt"),
    ("peer-client-cert-auth", "true"),
];
/// Flags of etcd that must not be true: certificates that it makes for itself prove nothing.
const NOT_TRUE: [&str; 2] = ["auto-tls", "peer-auto-tls"];
/// Flags of etcd that name where it listens.
const LISTEN: [&str; 3] = [
    "listen-client-urls",
    "listen-client-http-urls",
    "listen-peer-urls",
];
/// Flags of the API server that must be set, with what kubeadm gives them.
const API_SERVER: [(&str, &str); 3] = [
    ("etcd-cafile", "/etc/kubernetes/pki/etcd/ca.crt"),
    (
        "etcd-certfile",
        "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    ),
    (
        "etcd-keyfile",
        "/etc/kubernetes/pki/apiserver-etcd-client.key",
    ),
];

/// What is wrong with a flag.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) what: String,
    mend: Mend,
}

/// How it is mended.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mend {
    /// Give this flag this value.
    Set(&'static str, &'static str),
    /// Take it away.
    Remove(&'static str),
    /// Write https in place of http.
    Https,
    /// Nobody knows here what to write.
    ByHand,
}

impl Fault {
    fn new(what: String, mend: Mend) -> Self {
        Self { what, mend }
    }
}

/// What is wrong with the flags of etcd.
pub(super) fn of_etcd(flags: &Labels) -> Vec<Fault> {
    let mut faults: Vec<Fault> = ETCD
        .into_iter()
        .filter_map(|(flag, value)| unset("etcd", flags, flag, value))
        .collect();
    for flag in NOT_TRUE {
        if flags.get(flag).is_some_and(parse_bool) {
            faults.push(Fault::new(format!("etcd has --{flag}"), Mend::Remove(flag)));
        }
    }
    for flag in LISTEN {
        let urls = flags.get(flag).unwrap_or_default().split(',');
        faults.extend(
            urls.filter(|url| is_plain(url))
                .map(|url| Fault::new(format!("etcd listens on {url} (--{flag})"), Mend::Https)),
        );
    }
    faults
}

/// What is wrong with a flag that has to be set.
fn unset(who: &str, flags: &Labels, flag: &'static str, value: &'static str) -> Option<Fault> {
    let found = flags.get(flag).filter(|found| !found.is_empty());
    let what = match found {
        None => format!("{who} has no --{flag}"),
        Some(found) if value == "true" && !parse_bool(found) => {
            format!("{who} has --{flag}={found}")
        }
        Some(_) => return None,
    };
    Some(Fault::new(what, Mend::Set(flag, value)))
}

/// What is wrong with the flags of an API server.
pub(super) fn of_api_server(flags: &Labels) -> Vec<Fault> {
    let urls = flags.get("etcd-servers").unwrap_or_default();
    if urls.is_empty() {
        let what = "the API server names no --etcd-servers".to_owned();
        return vec![Fault::new(what, Mend::ByHand)];
    }
    // Overrides are written as group/resource#URL;URL, and separated by commas as well.
    let overrides = flags.get("etcd-servers-overrides").unwrap_or_default();
    let overrides = overrides
        .split(',')
        .filter_map(|one| Some(one.split_once('#')?.1));
    let overrides = overrides.flat_map(|urls| urls.split(';'));
    let urls = urls.split(',').chain(overrides);
    let plain = urls.filter(|url| !url.starts_with("https://")).map(|url| {
        let what = format!("the API server reaches etcd by {url}");
        Fault::new(what, Mend::Https)
    });
    let unset = API_SERVER
        .into_iter()
        .filter_map(|(flag, value)| unset("the API server", flags, flag, value));
    plain.chain(unset).collect()
}

/// What to write into the manifests, in the places that kubeadm knows.
pub(super) fn mend(faults: &BTreeSet<Fault>) -> String {
    let has = |wanted: &dyn Fn(&Mend) -> bool| faults.iter().any(|fault| wanted(&fault.mend));
    let is_set = |flag: &str| has(&|mend| matches!(mend, Mend::Set(set, _) if *set == flag));
    let mut steps = Vec::new();
    if has(&|mend| *mend == Mend::Https) {
        steps.push("write https:// in place of http://".to_owned());
    }
    let removed: Vec<String> = NOT_TRUE
        .iter()
        .filter(|flag| has(&|mend| *mend == Mend::Remove(flag)))
        .map(|flag| format!("--{flag}"))
        .collect();
    if !removed.is_empty() {
        steps.push(format!("take {} away", removed.join(" and ")));
    }
    // In the order of the lists, which is how people write them.
    let set: Vec<String> = ETCD
        .iter()
        .chain(&API_SERVER)
        .filter(|(flag, _)| is_set(flag))
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
    if !set.is_empty() {
        steps.push(format!("set {}", set.join(" ")));
    }
    if has(&|mend| *mend == Mend::ByHand) {
        steps.push("name etcd's addresses with --etcd-servers".to_owned());
    }
    format!(
        "on this node, in etcd.yaml and kube-apiserver.yaml of /etc/kubernetes/manifests: {}; kubeadm makes what \
         is not there: kubeadm init phase certs all",
        steps.join(", ")
    )
}

/// A switch, as Go's flags read it.
fn parse_bool(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Whether a URL is plain HTTP that others than the node itself can reach.
fn is_plain(url: &str) -> bool {
    let Some(rest) = url.trim().strip_prefix("http://") else {
        return false;
    };
    let host = match rest.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => rest.split([':', '/']).next().unwrap_or_default(),
    };
    let address: Result<std::net::IpAddr, _> = host.parse();
    !(host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}
