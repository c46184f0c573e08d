//! The Pod Security Standards.
//!
//! They are judged while decoding, so that no security context has to be kept. Source of the
//! rules: `k8s.io/pod-security-admission/policy`, as of 1.37; the samples beside this file are
//! its own fixtures.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Container, Labels, Str, WirePodSpec};
use crate::analysis::meshed::{INBOUND, INJECT, ISTIO_INJECT};

/// Prefix of the annotations that named an `AppArmor` profile before there was a field.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Whether a pod annotation matters to a rule.
pub fn keeps_pod_annotation(key: &str) -> bool {
    key.starts_with(APP_ARMOR) || matches!(key, INBOUND | INJECT | ISTIO_INJECT)
}

/// Security context of a pod or a container; each has some of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext<'a> {
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
    windows_options: Option<Windows>,
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

impl Profile<'_> {
    fn is_confined(&self) -> bool {
        matches!(self.kind.as_deref(), Some("RuntimeDefault" | "Localhost"))
    }
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
struct Windows {
    host_process: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Sysctl<'a> {
    #[serde(borrow)]
    name: Str<'a>,
}

/// Hooks of a container's life.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle<'a> {
    #[serde(borrow)]
    post_start: Option<Probe<'a>>,
    #[serde(borrow)]
    pre_stop: Option<Probe<'a>>,
}

/// A probe or hook: where the kubelet connects to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe<'a> {
    #[serde(borrow)]
    http_get: Option<Action<'a>>,
    #[serde(borrow)]
    tcp_socket: Option<Action<'a>>,
}

#[derive(Debug, Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    host: Option<Str<'a>>,
}

impl Probe<'_> {
    fn names_a_host(&self) -> bool {
        let actions = self.http_get.iter().chain(&self.tcp_socket);
        actions
            .filter_map(|action| action.host.as_deref())
            .any(|host| !host.is_empty())
    }
}

/// A volume: its name, its kind (the key beside the name), the claim behind it, and whether it
/// holds a token for the API server.
#[derive(Debug, Default)]
pub(super) struct Volume<'a> {
    name: Option<Str<'a>>,
    kind: Option<Str<'a>>,
    claim: Option<Str<'a>>,
    api_token: bool,
}

#[derive(Debug, Deserialize)]
struct Projected<'a> {
    #[serde(borrow)]
    sources: Option<Vec<ProjectedSource<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource<'a> {
    #[serde(borrow)]
    claim_name: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProjectedSource<'a> {
    #[serde(borrow)]
    service_account_token: Option<ProjectedToken<'a>>,
}

#[derive(Debug, Deserialize)]
struct ProjectedToken<'a> {
    #[serde(borrow)]
    audience: Option<Str<'a>>,
}

impl Volume<'_> {
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(super) const fn is_api_token(&self) -> bool {
        self.api_token
    }

    /// The claim that it names.
    pub(super) fn named_claim(&self) -> Option<&str> {
        let names = self.kind.as_deref() == Some("persistentVolumeClaim");
        self.claim.as_deref().filter(|_| names)
    }

    /// The claim behind it; one that is made together with the pod is named after both.
    pub(super) fn claim(&self, pod: &str) -> Option<Cow<'_, str>> {
        match self.kind.as_deref()? {
            "persistentVolumeClaim" => self.claim.as_deref().map(Cow::Borrowed),
            "ephemeral" => Some(Cow::Owned(format!("{pod}-{}", self.name()))),
            _ => None,
        }
    }
}

impl Projected<'_> {
    /// Whether the API server takes its token: one for another audience proves nothing there.
    fn is_api_token(&self) -> bool {
        let sources = self.sources.iter().flatten();
        let mut tokens = sources.filter_map(|source| source.service_account_token.as_ref());
        tokens.any(|token| token.audience.as_deref().is_none_or(str::is_empty))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Volume<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a volume")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut volume = Volume::default();
                while let Some(key) = map.next_key::<Str<'de>>()? {
                    if &*key == "name" {
                        volume.name = map.next_value()?;
                    } else if &*key == "projected" {
                        if let Some(projected) = map.next_value::<Option<Projected<'de>>>()? {
                            volume.api_token = projected.is_api_token();
                            volume.kind = Some(key);
                        }
                    } else if &*key == "persistentVolumeClaim" {
                        if let Some(source) = map.next_value::<Option<ClaimSource<'de>>>()? {
                            volume.claim = source.claim_name;
                            volume.kind = Some(key);
                        }
                    } else if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        volume.kind = Some(key);
                    }
                }
                Ok(volume)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl WirePodSpec<'_> {
    /// What breaks the `baseline` level.
    pub(super) fn breaks_baseline(&self, annotations: &Labels) -> Option<String> {
        for (set, what) in [
            (self.host_network, "hostNetwork"),
            (self.host_pid, "hostPID"),
            (self.host_ipc, "hostIPC"),
        ] {
            if set == Some(true) {
                return Some(format!("{what} is true"));
            }
        }
        if self.volume_kinds().any(|kind| kind == "hostPath") {
            return Some("a volume is a hostPath".to_owned());
        }
        let unmasked = !self.in_user_namespace();
        let pod = self.security_context.as_ref();
        if let Some(why) = pod.and_then(|context| context.breaks_baseline(unmasked)) {
            return Some(format!("the pod {why}"));
        }
        let container = self
            .all_containers()
            .find_map(|container| container.breaks_baseline(unmasked));
        container.or_else(|| unconfined(annotations))
    }

    /// What breaks the `restricted` level beyond `baseline`.
    pub(super) fn breaks_restricted(&self) -> Option<String> {
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
        if let Some(kind) = self.volume_kinds().find(|kind| !VOLUMES.contains(kind)) {
            return Some(format!("a volume is a {kind}"));
        }
        let none = SecurityContext::default();
        let pod = self.security_context.as_ref().unwrap_or(&none);
        let users = !self.in_user_namespace();
        if users && pod.run_as_user == Some(0) {
            return Some("the pod runs as user 0".to_owned());
        }
        // Even where every container says true by itself.
        if users && pod.run_as_non_root == Some(false) {
            return Some("the pod sets runAsNonRoot: false".to_owned());
        }
        let windows = self.os.as_ref().and_then(|os| os.name.as_deref()) == Some("windows");
        self.all_containers().find_map(|container| {
            let own = container.security_context.as_ref().unwrap_or(&none);
            let why = users
                .then(|| own.runs_as_root(pod))
                .flatten()
                .or_else(|| own.breaks_restricted(pod, windows))?;
            let name = container.name.as_deref().unwrap_or_default();
            Some(format!("container {name} {why}"))
        })
    }

    /// Whether root in the pod is nobody on the node, which relaxes some rules since 1.35.
    fn in_user_namespace(&self) -> bool {
        self.host_users == Some(false)
    }

    fn volume_kinds(&self) -> impl Iterator<Item = &str> {
        let volumes = self.volumes.iter().flatten();
        volumes.filter_map(|volume| volume.kind.as_deref())
    }
}

impl Container<'_> {
    fn breaks_baseline(&self, unmasked: bool) -> Option<String> {
        let name = self.name.as_deref().unwrap_or_default();
        let mut ports = self.ports.iter().flatten();
        if ports.any(|port| port.host_port.is_some_and(|port| port != 0)) {
            return Some(format!("container {name} has a hostPort"));
        }
        let probes = [
            &self.liveness_probe,
            &self.readiness_probe,
            &self.startup_probe,
        ];
        let hooks = self.lifecycle.iter();
        let hooks = hooks.flat_map(|hooks| [&hooks.post_start, &hooks.pre_stop]);
        if probes
            .into_iter()
            .chain(hooks)
            .flatten()
            .any(Probe::names_a_host)
        {
            return Some(format!("container {name} has a probe or hook with a host"));
        }
        let why = self.security_context.as_ref()?.breaks_baseline(unmasked)?;
        Some(format!("container {name} {why}"))
    }
}

impl SecurityContext<'_> {
    /// `unmasked` says whether the rule about `/proc` applies.
    fn breaks_baseline(&self, unmasked: bool) -> Option<String> {
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
        if self.privileged == Some(true) {
            return Some("is privileged".to_owned());
        }
        let windows = self.windows_options.as_ref();
        if windows.is_some_and(|windows| windows.host_process == Some(true)) {
            return Some("is a Windows HostProcess".to_owned());
        }
        let added = self.capabilities.iter();
        let mut added = added.flat_map(|c| c.add.iter().flatten()).map(|c| &**c);
        if let Some(capability) = added.find(|c| !CAPABILITIES.contains(c)) {
            return Some(format!("adds capability {capability}"));
        }
        if unmasked && self.unmasks_proc() {
            return Some("unmasks /proc".to_owned());
        }
        for (profile, what) in [
            (&self.seccomp_profile, "seccomp"),
            (&self.app_armor_profile, "AppArmor"),
        ] {
            if let Some(profile) = profile.as_ref().filter(|profile| !profile.is_confined()) {
                let kind = profile.kind.as_deref().unwrap_or("without type");
                return Some(format!("has {what} {kind}"));
            }
        }
        if self.se_linux_options.as_ref().is_some_and(SeLinux::is_own) {
            return Some("sets its own SELinux options".to_owned());
        }
        let mut sysctls = self.sysctls.iter().flatten().map(|sysctl| &*sysctl.name);
        sysctls
            .find(|name| !SYSCTLS.contains(name))
            .map(|name| format!("sets sysctl {name}"))
    }

    fn unmasks_proc(&self) -> bool {
        let mount = self.proc_mount.as_deref();
        mount.is_some_and(|mount| mount != "Default")
    }

    fn runs_as_root(&self, pod: &Self) -> Option<&'static str> {
        if self.run_as_user == Some(0) {
            return Some("runs as user 0");
        }
        (self.run_as_non_root.or(pod.run_as_non_root) != Some(true))
            .then_some("does not set runAsNonRoot: true")
    }

    fn breaks_restricted(&self, pod: &Self, windows: bool) -> Option<&'static str> {
        if self.unmasks_proc() {
            return Some("unmasks /proc"); // also where baseline allows it
        }
        if windows {
            return None; // the rules below are about Linux fields
        }
        if self.allow_privilege_escalation != Some(false) {
            return Some("does not set allowPrivilegeEscalation: false");
        }
        let seccomp = self.seccomp_profile.as_ref();
        let seccomp = seccomp.or(pod.seccomp_profile.as_ref());
        if !seccomp.is_some_and(Profile::is_confined) {
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

const SYSCTLS: [&str; 14] = [
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
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

impl SeLinux<'_> {
    fn is_own(&self) -> bool {
        const TYPES: [&str; 5] = [
            "",
            "container_t",
            "container_init_t",
            "container_kvm_t",
            "container_engine_t",
        ];
        let set = |field: &Option<Str<'_>>| field.as_deref().is_some_and(|v| !v.is_empty());
        !TYPES.contains(&self.kind.as_deref().unwrap_or_default())
            || set(&self.user)
            || set(&self.role)
    }
}

/// The annotation that takes a container's `AppArmor` profile away.
fn unconfined(annotations: &Labels) -> Option<String> {
    annotations.iter().find_map(|(key, value)| {
        let container = key.strip_prefix(APP_ARMOR)?;
        let confined =
            value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        (!confined).then(|| format!("container {container} has AppArmor {value}"))
    })
}

#[cfg(test)]
mod tests;
