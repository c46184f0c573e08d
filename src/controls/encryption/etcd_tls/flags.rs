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

/// Flags of the API server that name where it reaches etcd.
const SERVERS: [&str; 2] = ["etcd-servers", "etcd-servers-overrides"];
/// What makes the certificate of a pair of flags, where kubeadm set the cluster up.
const PHASES: [(&str, [&str; 2]); 3] = [
    ("etcd-server", ["cert-file", "key-file"]),
    ("etcd-peer", ["peer-cert-file", "peer-key-file"]),
    ("apiserver-etcd-client", ["etcd-certfile", "etcd-keyfile"]),
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
    /// Write https in place of http in this flag.
    Https(&'static str),
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
        faults.extend(urls.filter(|url| is_plain(url)).map(|url| {
            let what = format!("etcd listens on {url} (--{flag})");
            Fault::new(what, Mend::Https(flag))
        }));
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
    let [servers, other_servers] = SERVERS;
    let urls = flags.get(servers).unwrap_or_default();
    if urls.is_empty() {
        let what = "the API server names no --etcd-servers".to_owned();
        return vec![Fault::new(what, Mend::ByHand)];
    }
    // Overrides are written as group/resource#URL;URL, and separated by commas as well.
    let overrides = flags.get(other_servers).unwrap_or_default();
    let overrides = overrides
        .split(',')
        .filter_map(|one| Some(one.split_once('#')?.1));
    let overrides = overrides.flat_map(|urls| urls.split(';'));
    let urls = urls.split(',').map(|url| (servers, url));
    let urls = urls.chain(overrides.map(|url| (other_servers, url)));
    let plain = urls.filter(|(_, url)| !url.starts_with("https://"));
    let plain = plain.map(|(flag, url)| {
        let what = format!("the API server reaches etcd by {url}");
        Fault::new(what, Mend::Https(flag))
    });
    let unset = API_SERVER
        .into_iter()
        .filter_map(|(flag, value)| unset("the API server", flags, flag, value));
    plain.chain(unset).collect()
}

/// What to do on the node, in the places that kubeadm knows, and in this order.
pub(super) fn mend(faults: &BTreeSet<Fault>) -> String {
    let mends: BTreeSet<&Mend> = faults.iter().map(|fault| &fault.mend).collect();
    let mut steps = Vec::new();
    steps.extend(certificates(&mends));
    if mends.contains(&Mend::Https("listen-peer-urls")) {
        // Members find each other by what the cluster has on record, not by the flag.
        steps.push(
            "tell the other members where this one will be: etcdctl member update MEMBER \
             --peer-urls=https://ADDRESS:2380"
                .to_owned(),
        );
    }
    for (file, found) in [
        ("etcd.yaml", changes(&mends, &LISTEN, &NOT_TRUE, &ETCD)),
        (
            "kube-apiserver.yaml",
            changes(&mends, &SERVERS, &[], &API_SERVER),
        ),
    ] {
        if !found.is_empty() {
            let found = found.join(", ");
            steps.push(format!("in /etc/kubernetes/manifests/{file}: {found}"));
        }
    }
    if mends.contains(&Mend::ByHand) {
        steps.push("name etcd's addresses to the API server with --etcd-servers".to_owned());
    }
    format!("on this node: {}", steps.join("; "))
}

/// How certificates are made that no flag names. Without the cluster's own configuration they
/// would be for other names than these.
fn certificates(mends: &BTreeSet<&Mend>) -> Option<String> {
    let is_set = |flag| {
        let mut mends = mends.iter();
        mends.any(|mend| matches!(mend, Mend::Set(set, _) if *set == flag))
    };
    let phases = PHASES
        .iter()
        .filter(|(_, flags)| flags.iter().any(|flag| is_set(*flag)))
        .map(|(phase, _)| format!("kubeadm init phase certs {phase} --config FILE"));
    let phases: Vec<String> = phases.collect();
    (!phases.is_empty()).then(|| {
        format!(
            "where certificates are missing, have etcd's authority issue them, as kubeadm does with the \
             configuration that the cluster was made by: {}",
            phases.join(" && ")
        )
    })
}

/// What to change in one manifest; nothing is said of flags that are as they should be.
fn changes(
    mends: &BTreeSet<&Mend>,
    urls: &[&'static str],
    switches: &[&'static str],
    needed: &[(&'static str, &'static str)],
) -> Vec<String> {
    let named = |flags: &[&'static str], mend: fn(&'static str) -> Mend| {
        let flags = flags.iter().filter(|flag| mends.contains(&mend(flag)));
        let flags: Vec<String> = flags.map(|flag| format!("--{flag}")).collect();
        (!flags.is_empty()).then(|| flags.join(" and "))
    };
    let https = named(urls, Mend::Https)
        .map(|flags| format!("write https:// in place of http:// in {flags}"));
    let removed = named(switches, Mend::Remove).map(|flags| format!("take {flags} away"));
    // In the order of the lists, which is how people write them.
    let set = needed
        .iter()
        .filter(|(flag, value)| mends.contains(&Mend::Set(flag, value)))
        .map(|(flag, value)| format!("--{flag}={value}"));
    let set: Vec<String> = set.collect();
    let set = (!set.is_empty()).then(|| format!("set {}", set.join(" ")));
    [https, removed, set].into_iter().flatten().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(flags: &[(&str, &str)]) -> Labels {
        flags.iter().copied().collect()
    }

    #[test]
    fn only_the_flags_that_are_wrong_are_named() {
        let mut etcd = ETCD.to_vec();
        etcd.push(("listen-client-urls", "http://10.0.0.1:2379"));
        etcd.push(("listen-metrics-urls", "http://127.0.0.1:2381"));
        let faults = of_etcd(&flags(&etcd)).into_iter().collect();
        assert_eq!(
            mend(&faults),
            "on this node: in /etc/kubernetes/manifests/etcd.yaml: write https:// in place of http:// in \
             --listen-client-urls"
        );
        let mut server = API_SERVER.to_vec();
        server.push(("etcd-servers", "https://a:2379"));
        server.push(("etcd-servers-overrides", "/events#http://b:2379"));
        let faults = of_api_server(&flags(&server)).into_iter().collect();
        assert_eq!(
            mend(&faults),
            "on this node: in /etc/kubernetes/manifests/kube-apiserver.yaml: write https:// in place of \
             http:// in --etcd-servers-overrides"
        );
    }

    #[test]
    fn peers_hear_of_an_address_before_it_is_one() {
        let mut etcd = ETCD.to_vec();
        etcd.push(("listen-peer-urls", "http://10.0.0.1:2380"));
        let faults = of_etcd(&flags(&etcd)).into_iter().collect();
        let mend = mend(&faults);
        let (update, flag) = (
            mend.find("etcdctl member update"),
            mend.find("--listen-peer-urls"),
        );
        assert!(update.is_some() && update < flag, "{mend}");
        assert!(!mend.contains("kubeadm"), "{mend}");
    }

    #[test]
    fn only_what_is_missing_is_issued_and_by_the_clusters_configuration() {
        let etcd: Vec<_> = ETCD
            .into_iter()
            .filter(|(flag, _)| *flag != "peer-key-file")
            .collect();
        let faults = of_etcd(&flags(&etcd)).into_iter().collect();
        let mend = mend(&faults);
        assert!(
            mend.contains("kubeadm init phase certs etcd-peer --config FILE; "),
            "{mend}"
        );
        assert_eq!(mend.matches("kubeadm init").count(), 1, "{mend}");
        assert!(
            mend.ends_with("set --peer-key-file=/etc/kubernetes/pki/etcd/peer.key"),
            "{mend}"
        );
    }
}
