//! Components of the control plane that run as static pods: their flags are in the open.

use super::{
    intern::{Interner, Sym},
    meta::{Labels, Meta},
};

/// A component of the control plane, as its pod runs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Component {
    /// `kube-apiserver` or `etcd`.
    pub name: Sym,
    /// The node that it runs on.
    pub node: Sym,
    /// Its flags, names without dashes: those that a control reads.
    pub flags: Labels,
}

/// Components whose flags are kept.
const COMPONENTS: [&str; 2] = ["etcd", "kube-apiserver"];

/// Flags that a control reads. None of them holds a secret.
const FLAGS: [&str; 21] = [
    "auto-tls",
    "cert-file",
    "client-cert-auth",
    "config-file",
    "encryption-provider-config",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "etcd-servers",
    "etcd-servers-overrides",
    "key-file",
    "listen-client-urls",
    "listen-peer-urls",
    "peer-auto-tls",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-key-file",
    "peer-trusted-ca-file",
    "tls-cipher-suites",
    "tls-min-version",
    "trusted-ca-file",
];

/// The component that a pod of `kube-system` says to be. Whoever may create pods there owns the
/// control plane anyway.
pub fn name(meta: &Meta) -> Option<&str> {
    let name = meta.labels.get("component")?;
    (&*meta.namespace == "kube-system" && COMPONENTS.contains(&name)).then_some(name)
}

/// Reads flags as the components themselves do. Some distributions wrap the command in a shell.
pub fn flags<'a>(words: impl Iterator<Item = &'a str>, interner: &mut Interner) -> Labels {
    let words: Vec<&str> = words.flat_map(str::split_whitespace).collect();
    let mut flags = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix("--") else {
            continue;
        };
        let (name, value) = flag.split_once('=').unwrap_or_else(|| {
            let next = words.get(at + 1).filter(|next| !next.starts_with('-'));
            (flag, next.copied().unwrap_or("true"))
        });
        if FLAGS.contains(&name) {
            flags.push((interner.string(name), interner.string(value)));
        }
    }
    Labels::from_pairs(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Vec<(String, String)> {
        let flags = flags(words.iter().copied(), &mut Interner::default());
        let pairs = flags.iter();
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn flags_are_read_in_every_form() {
        let wanted = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let both = wanted(&[("auto-tls", "true"), ("cert-file", "/a")]);
        assert_eq!(read(&["etcd", "--auto-tls", "--cert-file=/a"]), both);
        assert_eq!(
            read(&["etcd", "--cert-file", "/a", "--auto-tls=true"]),
            both
        );
        assert_eq!(
            read(&["sh", "-c", "exec etcd --auto-tls --cert-file /a"]),
            both
        );
        // The last one counts.
        assert_eq!(
            read(&["etcd", "--auto-tls=true", "--auto-tls=false"]),
            wanted(&[("auto-tls", "false")])
        );
        assert!(read(&["etcd", "--initial-cluster-token=x", "--", "cert-file"]).is_empty());
    }
}
