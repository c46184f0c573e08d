//! What every cluster has by itself: Kubernetes' own roles, bindings and accounts.
//!
//! They are put in as far as no file holds them, because rights lead to them: whoever may run pods
//! in `kube-system` acts as the accounts there. They are not judged, nobody asked about them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Declared;
use crate::{
    analysis::rbac_defaults::{self, BOOTSTRAPPING},
    engine::{CILIUM_CONFIG, Cilium},
    inventory::Kind,
};

const RBAC: [Kind; 4] = [
    Kind::Role,
    Kind::ClusterRole,
    Kind::RoleBinding,
    Kind::ClusterRoleBinding,
];

impl Declared {
    /// The minor version of the API server: that of its pod, where the files hold it. Else the
    /// newest that is pinned; but none where they hold what looks like Kubernetes' own, which that
    /// would be compared with.
    pub(super) fn find_minor(&self) -> Option<u32> {
        let pods = self.objects.get(&Kind::Pod).into_iter().flatten();
        let servers = pods.filter(|((namespace, _), pod)| {
            namespace == "kube-system" && pod["metadata"]["labels"]["component"] == "kube-apiserver"
        });
        // While they are upgraded, the newest has made its roles already.
        let seen = servers.filter_map(|(_, pod)| minor_of(pod)).max();
        let all = RBAC.iter().filter_map(|kind| self.objects.get(kind));
        let mut all = all.flat_map(BTreeMap::values);
        let marked = |object: &Value| !object["metadata"]["labels"][BOOTSTRAPPING].is_null();
        seen.or_else(|| rbac_defaults::newest().filter(|_| !all.any(marked)))
    }

    /// What Cilium's configuration says: without it, a cluster whose files are all there has none.
    pub(super) fn cilium(&self, complete: bool) -> Cilium {
        let name = ("kube-system".to_owned(), CILIUM_CONFIG.to_owned());
        let configs = self.objects.get(&Kind::ConfigMap);
        match configs.and_then(|configs| configs.get(&name)) {
            Some(config) => Cilium::configured(|key| config["data"][key].as_str()),
            None if complete => Cilium::NotThere,
            None => Cilium::NotSeen(
                "no file holds ConfigMap kube-system/cilium-config: add it, or say --complete \
                 where there is none"
                    .to_owned(),
            ),
        }
    }

    /// Puts in what the API server creates by itself, and its accounts.
    pub(super) fn add_own(&mut self) {
        let mut own = rbac_defaults::manifests(self.minor);
        if own.is_empty() {
            own = rbac_defaults::manifests(rbac_defaults::newest());
        }
        for (kind, object) in own {
            let text = |at: &Value| at.as_str().unwrap_or_default().to_owned();
            for subject in object["subjects"].as_array().into_iter().flatten() {
                if subject["kind"] == "ServiceAccount" {
                    let (namespace, name) = (text(&subject["namespace"]), text(&subject["name"]));
                    self.name(Kind::ServiceAccount, &namespace, &name);
                }
            }
            let metadata = &object["metadata"];
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            if !self.has(kind, &namespace, &name) {
                self.put(kind, namespace, name, object);
            }
        }
    }
}

/// The minor version in the tag of an API server's image, as in `…/kube-apiserver:v1.34.1`.
fn minor_of(pod: &Value) -> Option<u32> {
    let images = pod["spec"]["containers"].as_array()?.iter();
    let mut images = images.filter_map(|container| container["image"].as_str());
    images.find_map(|image| {
        let image = image.split('@').next()?;
        let (_, tag) = image.rsplit_once(':')?;
        let minor = tag.trim_start_matches('v').strip_prefix("1.")?;
        minor.split(['.', '-', '+', '_']).next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_is_in_the_tag() {
        for (image, minor) in [
            ("registry.k8s.io/kube-apiserver:v1.34.1", Some(34)),
            ("host:5000/kube-apiserver:v1.33.0-eks.1@sha256:ab", Some(33)),
            (
                "rancher/hardened-kubernetes:v1.35.2-rke2r1-build1",
                Some(35),
            ),
            ("host:5000/kube-apiserver", None),
            ("kube-apiserver@sha256:1.34", None),
            ("kube-apiserver:latest", None),
        ] {
            let pod = json!({ "spec": { "containers": [{ "image": image }] } });
            assert_eq!(minor_of(&pod), minor, "{image}");
        }
    }
}
