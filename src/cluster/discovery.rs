//! Which kinds this API server serves.

use std::collections::BTreeMap;

use kube::client::APIGroupDiscoveryList;

use super::client::{CallError, deadline, within};
use super::watch::Resource;

/// What the server serves, by group and plural.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    resources: BTreeMap<String, BTreeMap<String, ServedResource>>,
    failed: Vec<String>,
}

/// One kind that the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedResource {
    /// The version that the server prefers among those that have this kind.
    pub version: String,
    /// The kind, such as `NetworkPolicy`; empty if the server doesn't say.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it can be listed and watched.
    pub watchable: bool,
}

impl Served {
    /// The version in which `group` (empty for the core group) serves `plural`.
    pub fn has(&self, group: &str, plural: &str) -> Option<&str> {
        self.get(group, plural).map(|found| found.version.as_str())
    }

    /// What is known of `plural` in `group`.
    pub fn get(&self, group: &str, plural: &str) -> Option<&ServedResource> {
        self.resources.get(group)?.get(plural)
    }

    /// The resource to watch, if it is served and can be watched.
    pub fn resource(&self, group: &str, plural: &str) -> Option<Resource> {
        let found = self.get(group, plural).filter(|found| found.watchable)?;
        Some(Resource {
            group: group.to_owned().into(),
            version: found.version.clone().into(),
            plural: plural.to_owned().into(),
            namespaced: found.namespaced,
        })
    }

    /// Groups (`group/version`) whose own server didn't answer. What they serve is unknown, not absent.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Whether nothing can be said about kinds of `group`, because its server didn't answer for some version.
    pub fn is_unknown(&self, group: &str) -> bool {
        self.failed
            .iter()
            .any(|failed| failed.rsplit_once('/').map_or("", |(name, _)| name) == group)
    }

    fn add(&mut self, list: APIGroupDiscoveryList) {
        for group in list.items {
            let name = group
                .metadata
                .and_then(|metadata| metadata.name)
                .unwrap_or_default();
            for version in group.versions {
                let served = version.version.unwrap_or_default();
                if version.freshness.as_deref() == Some("Stale") {
                    self.failed.push(format!("{name}/{served}"));
                }
                let known = self.resources.entry(name.clone()).or_default();
                for resource in version.resources {
                    let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
                    let found = ServedResource {
                        version: served.clone(),
                        kind: resource
                            .response_kind
                            .and_then(|kind| kind.kind)
                            .unwrap_or_default(),
                        namespaced: resource.scope.as_deref() == Some("Namespaced"),
                        watchable: can("list") && can("watch"),
                    };
                    // Versions come in the server's order of preference: the first one stays.
                    known
                        .entry(resource.resource.unwrap_or_default())
                        .or_insert(found);
                }
            }
        }
    }
}

/// Asks the server for everything it serves: two requests, by aggregated discovery.
///
/// A group whose own server is down is reported by [`Served::failed`] and doesn't fail the rest.
pub async fn served(client: kube::Client) -> Result<Served, CallError> {
    let core = within(deadline::READ, client.list_core_api_versions_aggregated());
    let groups = within(deadline::READ, client.list_api_groups_aggregated());
    let (core, groups) = futures::future::try_join(core, groups).await?;
    let mut served = Served::default();
    served.add(core);
    served.add(groups);
    if served.has("", "namespaces").is_none() {
        // An answer in another format decodes as an empty one. Nobody must take that for "nothing is served".
        return Err(CallError::Other {
            message: "the server doesn't offer aggregated discovery".into(),
        });
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = r#"{"kind": "APIGroupDiscoveryList", "metadata": {}, "items": [
        {"metadata": {"name": "velero.io", "creationTimestamp": null}, "versions": [
            {"version": "v2alpha1", "freshness": "Current", "resources": [
                {"resource": "datauploads", "scope": "Namespaced", "verbs": ["list", "watch"],
                 "responseKind": {"group": "velero.io", "version": "v2alpha1", "kind": "DataUpload"}}]},
            {"version": "v1", "freshness": "Current", "resources": [
                {"resource": "datauploads", "scope": "Namespaced", "verbs": ["list", "watch"]},
                {"resource": "schedules", "scope": "Namespaced", "verbs": ["list", "watch"]}]}]},
        {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]}]}"#;
    const CORE: &str = r#"{"items": [{"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
        {"resource": "namespaces", "scope": "Cluster", "verbs": ["get", "list", "watch"]},
        {"resource": "bindings", "scope": "Namespaced", "verbs": ["create"]}]}]}]}"#;

    #[test]
    fn the_preferred_version_that_has_a_kind_is_found_and_a_dead_group_is_reported() {
        let mut served = Served::default();
        served.add(serde_json::from_str(CORE).unwrap());
        served.add(serde_json::from_str(GROUPS).unwrap());

        assert_eq!(served.has("velero.io", "datauploads"), Some("v2alpha1"));
        assert_eq!(served.has("velero.io", "schedules"), Some("v1"));
        assert_eq!(served.has("velero.io", "backups"), None);
        assert_eq!(served.has("metrics.k8s.io", "pods"), None);
        assert_eq!(served.failed(), ["metrics.k8s.io/v1beta1"]);
        assert!(served.is_unknown("metrics.k8s.io") && !served.is_unknown("velero.io"));
        assert_eq!(
            served.resource("", "namespaces"),
            Some(Resource::new("", "v1", "namespaces", false))
        );
        assert_eq!(served.resource("", "bindings"), None);
    }
}
