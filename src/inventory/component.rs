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
const FLAGS: [&str; 22] = [
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
    "listen-client-http-urls",
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

/// Those of them that are switches. Go's flags take no value for one from the next word.
const SWITCHES: [&str; 4] = [
    "auto-tls",
    "client-cert-auth",
    "peer-auto-tls",
    "peer-client-cert-auth",
];

/// Whether a control reads a flag.
pub fn reads(flag: &str) -> bool {
    FLAGS.contains(&flag)
}

/// The flag that an environment variable of etcd sets, as `ETCD_CERT_FILE` does `cert-file`, if a
/// control reads it.
pub fn of_variable(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("ETCD_")?;
    let mut flags = FLAGS.iter().copied();
    flags.find(|flag| {
        let spelt = flag.bytes().map(|letter| match letter {
            b'-' => b'_',
            letter => letter.to_ascii_uppercase(),
        });
        spelt.eq(name.bytes())
    })
}

/// The component that a pod of `kube-system` says to be. Whoever may create pods there owns the
/// control plane anyway.
pub fn name(meta: &Meta) -> Option<&str> {
    let name = meta.labels.get("component")?;
    (&*meta.namespace == "kube-system" && COMPONENTS.contains(&name)).then_some(name)
}

/// Reads flags as the components themselves do. Some distributions wrap the command in a shell.
/// For etcd `variables` count where no word sets the flag; of one whose value is not in the
/// manifest, it is as if it stood in a file.
pub fn flags<'a>(
    component: &str,
    words: impl Iterator<Item = &'a str>,
    variables: impl Iterator<Item = (&'static str, Option<&'a str>)>,
    interner: &mut Interner,
) -> Labels {
    let words: Vec<&str> = words.flat_map(str::split_whitespace).collect();
    let mut flags = Vec::new();
    for (flag, value) in variables.filter(|_| component == "etcd") {
        let (flag, value) = match value {
            Some(value) => (flag, value),
            None => ("config-file", "(environment)"),
        };
        flags.push((interner.string(flag), interner.string(value)));
    }
    for (at, word) in words.iter().enumerate() {
        // The flags of etcd may have one dash as well as two.
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        let (name, value) = flag.split_once('=').unwrap_or_else(|| {
            let next = words.get(at + 1).filter(|next| !next.starts_with('-'));
            let next = next.filter(|_| !SWITCHES.contains(&flag));
            (flag, next.copied().unwrap_or("true"))
        });
        if reads(name) {
            flags.push((interner.string(name), interner.string(value)));
        }
    }
    Labels::from_pairs(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Vec<(String, String)> {
        read_with(words, "etcd", &[])
    }

    fn read_with(
        words: &[&str],
        component: &str,
        variables: &[(&'static str, Option<&str>)],
    ) -> Vec<(String, String)> {
        let (words, variables) = (words.iter().copied(), variables.iter().copied());
        let flags = flags(component, words, variables, &mut Interner::default());
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
        // One dash does, and a switch takes no word.
        assert_eq!(read(&["etcd", "-cert-file=/a", "-auto-tls"]), both);
        assert_eq!(
            read(&["etcd", "--auto-tls", "false", "-cert-file", "/a"]),
            both
        );
        assert!(read(&["etcd", "--initial-cluster-token=x", "--", "cert-file"]).is_empty());
    }

    #[test]
    fn variables_of_etcd_are_flags_unless_a_word_says_otherwise() {
        assert_eq!(of_variable("ETCD_CERT_FILE"), Some("cert-file"));
        let strange = ["ETCD_NAME", "CERT_FILE", "ETCD_cert_file", "ETCD_CERT-FILE"];
        assert!(strange.iter().all(|name| of_variable(name).is_none()));
        let set = [("auto-tls", Some("true"))];
        let read = |words, component| read_with(words, component, &set);
        let on = |value: &str| vec![("auto-tls".to_owned(), value.to_owned())];
        assert_eq!(read(&["etcd"], "etcd"), on("true"));
        assert_eq!(read(&["etcd", "--auto-tls=false"], "etcd"), on("false"));
        assert!(read(&["kube-apiserver"], "kube-apiserver").is_empty());
        let hidden = read_with(&["etcd"], "etcd", &[("cert-file", None)]);
        assert_eq!(hidden[0].0, "config-file");
    }
}
