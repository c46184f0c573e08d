//! Pod templates: what a workload's pods look like, and which Pod Security level they meet.
//!
//! The Pod Security Standards are judged while decoding, so that no security context has to be
//! kept. Source of the rules: `k8s.io/pod-security-admission/policy`, as of 1.37.

use std::sync::Arc;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    intern::{Interner, Sym},
    meta::{Labels, Str, StrMap},
};

/// A pod template, or the template-like part of a live pod.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Template {
    /// Labels of the pods.
    pub labels: Arc<Labels>,
    /// Whether the pods share the node's network: network policies say nothing about them.
    pub host_network: bool,
    /// Declared ports of all containers.
    pub ports: Box<[Port]>,
    /// What breaks the `baseline` level, or `None` where it is met.
    pub breaks_baseline: Option<Sym>,
    /// What breaks the `restricted` level beyond `baseline`, or `None` where it is met.
    pub breaks_restricted: Option<Sym>,
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
    /// Whether the port is also opened on the node.
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

/// Whether a pod label says something about the workload.
pub fn keeps_pod_label(key: &str) -> bool {
    !POD_ONLY_LABELS.contains(&key)
}

/// A pod template on the wire.
#[derive(Debug, Deserialize)]
pub struct WireTemplate<'a> {
    #[serde(borrow)]
    metadata: Option<WireTemplateMeta<'a>>,
    #[serde(borrow)]
    spec: Option<WirePodSpec<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireTemplateMeta<'a> {
    #[serde(borrow)]
    labels: Option<StrMap<'a>>,
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
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort<'a> {
    container_port: Option<u16>,
    host_port: Option<u16>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    protocol: Option<Str<'a>>,
}

/// Security context of a pod or a container; each has some of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext<'a> {
    privileged: Option<bool>,
    allow_privilege_escalation: Option<bool>,
    run_as_non_root: Option<bool>,
    run_as_user: Option<i64>,
    #[serde(borrow)]
    proc_mount: Option<Str<'a>>,
    #[serde(borrow)]
    capabilities: Option<Capabilities<'a>>,
    #[serde(borrow)]
    seccomp_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    app_armor_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    se_linux_options: Option<SeLinux<'a>>,
    #[serde(borrow)]
    windows_options: Option<Windows<'a>>,
    #[serde(borrow)]
    sysctls: Option<Vec<Sysctl<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
struct Capabilities<'a> {
    #[serde(borrow)]
    add: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    drop: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Profile<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct SeLinux<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    user: Option<Str<'a>>,
    #[serde(borrow)]
    role: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Windows<'a> {
    host_process: Option<bool>,
    #[serde(borrow, default)]
    #[expect(dead_code, reason = "ties the lifetime; the name itself is not judged")]
    run_as_user_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct Sysctl<'a> {
    #[serde(borrow)]
    name: Str<'a>,
}

/// The kind of a volume: the key beside its name.
#[derive(Debug)]
struct Volume<'a>(Option<Str<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Option<Str<'de>>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a volume")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kind = None;
                while let Some(key) = map.next_key::<Str<'de>>()? {
                    if &*key == "name" {
                        map.next_value::<IgnoredAny>()?;
                    } else if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        kind = Some(key);
                    }
                }
                Ok(kind)
            }
        }
        deserializer.deserialize_map(Keys).map(Volume)
    }
}

impl WireTemplate<'_> {
    /// The shared projection.
    pub fn project(self, interner: &mut Interner) -> Arc<Template> {
        let labels = self.metadata.and_then(|metadata| metadata.labels);
        let labels = Labels::project(labels, interner, keeps_pod_label);
        let labels = interner.labels(labels);
        self.spec.unwrap_or_default().project(labels, interner)
    }
}

impl WirePodSpec<'_> {
    /// The shared projection of a pod with `labels`.
    pub fn project(self, labels: Arc<Labels>, interner: &mut Interner) -> Arc<Template> {
        let mut ports = Vec::new();
        for port in self.all_containers().flat_map(|c| c.ports.iter().flatten()) {
            ports.push(Port {
                number: port.container_port.unwrap_or_default(),
                name: port.name.as_deref().map(|name| interner.string(name)),
                protocol: interner.string(port.protocol.as_deref().unwrap_or("TCP")),
                host: port.host_port.is_some_and(|port| port != 0),
            });
        }
        let template = Template {
            labels,
            host_network: self.host_network == Some(true),
            ports: ports.into(),
            breaks_baseline: self.breaks_baseline().map(|why| interner.string(&why)),
            breaks_restricted: self.breaks_restricted().map(|why| interner.string(&why)),
        };
        interner.template(template)
    }

    fn all_containers(&self) -> impl Iterator<Item = &Container<'_>> {
        let init = self.init_containers.iter().flatten();
        let ephemeral = self.ephemeral_containers.iter().flatten();
        init.chain(self.containers.iter().flatten())
            .chain(ephemeral)
    }

    fn breaks_baseline(&self) -> Option<String> {
        for (set, what) in [
            (self.host_network, "hostNetwork"),
            (self.host_pid, "hostPID"),
            (self.host_ipc, "hostIPC"),
        ] {
            if set == Some(true) {
                return Some(format!("{what} is true"));
            }
        }
        let volumes = self.volumes.iter().flatten();
        if volumes
            .filter_map(|v| v.0.as_deref())
            .any(|kind| kind == "hostPath")
        {
            return Some("a volume is a hostPath".to_owned());
        }
        if let Some(why) = self
            .security_context
            .as_ref()
            .and_then(SecurityContext::breaks_baseline)
        {
            return Some(format!("the pod {why}"));
        }
        self.all_containers().find_map(|container| {
            let name = container.name.as_deref().unwrap_or_default();
            if container
                .ports
                .iter()
                .flatten()
                .any(|p| p.host_port.is_some_and(|p| p != 0))
            {
                return Some(format!("container {name} has a hostPort"));
            }
            let why = container.security_context.as_ref()?.breaks_baseline()?;
            Some(format!("container {name} {why}"))
        })
    }

    fn breaks_restricted(&self) -> Option<String> {
        const VOLUMES: [&str; 9] = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "image",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        let volumes = self.volumes.iter().flatten();
        if let Some(kind) = volumes
            .filter_map(|v| v.0.as_deref())
            .find(|k| !VOLUMES.contains(k))
        {
            return Some(format!("a volume is a {kind}"));
        }
        let none = SecurityContext::default();
        let pod = self.security_context.as_ref().unwrap_or(&none);
        if pod.run_as_user == Some(0) {
            return Some("the pod runs as user 0".to_owned());
        }
        let windows = self.os.as_ref().and_then(|os| os.name.as_deref()) == Some("windows");
        self.all_containers().find_map(|container| {
            let own = container.security_context.as_ref().unwrap_or(&none);
            let why = own.breaks_restricted(pod, windows)?;
            let name = container.name.as_deref().unwrap_or_default();
            Some(format!("container {name} {why}"))
        })
    }
}

impl SecurityContext<'_> {
    fn breaks_baseline(&self) -> Option<String> {
        const CAPABILITIES: [&str; 13] = [
            "AUDIT_WRITE",
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "MKNOD",
            "NET_BIND_SERVICE",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYS_CHROOT",
        ];
        const SELINUX: [&str; 5] = [
            "",
            "container_t",
            "container_init_t",
            "container_kvm_t",
            "container_engine_t",
        ];
        const SYSCTLS: [&str; 10] = [
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        ];
        if self.privileged == Some(true) {
            return Some("is privileged".to_owned());
        }
        if self
            .windows_options
            .as_ref()
            .is_some_and(|w| w.host_process == Some(true))
        {
            return Some("is a Windows HostProcess".to_owned());
        }
        let added = self
            .capabilities
            .iter()
            .flat_map(|c| c.add.iter().flatten());
        if let Some(capability) = added.map(|c| &**c).find(|c| !CAPABILITIES.contains(c)) {
            return Some(format!("adds capability {capability}"));
        }
        if self
            .proc_mount
            .as_deref()
            .is_some_and(|mount| mount != "Default")
        {
            return Some("unmasks /proc".to_owned());
        }
        if is(self.seccomp_profile.as_ref(), "Unconfined") {
            return Some("has seccomp Unconfined".to_owned());
        }
        if is(self.app_armor_profile.as_ref(), "Unconfined") {
            return Some("has AppArmor Unconfined".to_owned());
        }
        if let Some(selinux) = &self.se_linux_options {
            let own = |field: &Option<Str<'_>>| field.as_deref().is_some_and(|v| !v.is_empty());
            let kind = selinux.kind.as_deref().unwrap_or_default();
            if !SELINUX.contains(&kind) || own(&selinux.user) || own(&selinux.role) {
                return Some("sets its own SELinux options".to_owned());
            }
        }
        let mut sysctls = self.sysctls.iter().flatten().map(|s| &*s.name);
        sysctls
            .find(|name| !SYSCTLS.contains(name))
            .map(|name| format!("sets sysctl {name}"))
    }

    fn breaks_restricted(&self, pod: &Self, windows: bool) -> Option<&'static str> {
        if self.run_as_user == Some(0) {
            return Some("runs as user 0");
        }
        if self.run_as_non_root.or(pod.run_as_non_root) != Some(true) {
            return Some("does not set runAsNonRoot: true");
        }
        if windows {
            return None; // the rules below are about Linux fields
        }
        if self.allow_privilege_escalation != Some(false) {
            return Some("does not set allowPrivilegeEscalation: false");
        }
        let seccomp = self
            .seccomp_profile
            .as_ref()
            .or(pod.seccomp_profile.as_ref());
        if !is(seccomp, "RuntimeDefault") && !is(seccomp, "Localhost") {
            return Some("has no seccomp profile");
        }
        let none = Capabilities::default();
        let capabilities = self.capabilities.as_ref().unwrap_or(&none);
        if !capabilities.drop.iter().flatten().any(|c| &**c == "ALL") {
            return Some("does not drop ALL capabilities");
        }
        let mut added = capabilities.add.iter().flatten();
        added
            .any(|c| &**c != "NET_BIND_SERVICE")
            .then_some("adds capabilities")
    }
}

fn is(profile: Option<&Profile<'_>>, kind: &str) -> bool {
    profile.and_then(|p| p.kind.as_deref()) == Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(spec: &str) -> Arc<Template> {
        let json = format!(r#"{{"metadata":{{"labels":{{"app":"a"}}}},"spec":{spec}}}"#);
        serde_json::from_str::<WireTemplate<'_>>(&json)
            .unwrap()
            .project(&mut Interner::default())
    }

    #[test]
    fn a_plain_pod_meets_baseline_but_not_restricted() {
        let template = template(r#"{"containers":[{"name":"a"}]}"#);
        assert_eq!(template.breaks_baseline, None);
        assert_eq!(
            template.breaks_restricted.as_deref(),
            Some("container a does not set runAsNonRoot: true")
        );
    }

    #[test]
    fn a_hardened_pod_meets_restricted() {
        let template = template(
            r#"{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
                "volumes":[{"name":"v","emptyDir":{}}],
                "containers":[{"name":"a","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}"#,
        );
        assert_eq!(
            (
                template.breaks_baseline.as_deref(),
                template.breaks_restricted.as_deref()
            ),
            (None, None)
        );
    }

    #[test]
    fn each_host_access_breaks_baseline() {
        for (spec, why) in [
            (r#"{"hostNetwork":true}"#, "hostNetwork is true"),
            (r#"{"hostPID":true}"#, "hostPID is true"),
            (
                r#"{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#,
                "a volume is a hostPath",
            ),
            (
                r#"{"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":1}]}]}"#,
                "container a has a hostPort",
            ),
            (
                r#"{"initContainers":[{"name":"i","securityContext":{"privileged":true}}]}"#,
                "container i is privileged",
            ),
            (
                r#"{"ephemeralContainers":[{"name":"e","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}"#,
                "container e adds capability SYS_ADMIN",
            ),
            (
                r#"{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}"#,
                "the pod has seccomp Unconfined",
            ),
        ] {
            assert_eq!(template(spec).breaks_baseline.as_deref(), Some(why));
        }
    }
}
