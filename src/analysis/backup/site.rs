//! Whether what is stored at an address outlives the cluster.

use super::points::{Point, Source};
use crate::inventory::{
    Inventory, Kind, Meta,
    cnpg::{BARMAN_PLUGIN, Store},
    velero::Location,
};

/// Where a recovery point lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// Outside the cluster; in this region, where that is known.
    Outside(Option<String>),
    /// In the cluster, or in its storage system: why.
    Inside(String),
    /// Nobody can tell: why.
    Unclear(String),
}

/// Whether a host is one of the cluster: a Service's name, or an address that only it can reach.
fn is_inside(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let service = |suffix: &str| host.ends_with(suffix) || host.contains(&format!("{suffix}."));
    service(".svc")
        || host.ends_with(".cluster.local")
        || host == "localhost"
        || host.starts_with("127.")
        // A name without a dot is looked up in the namespace.
        || !host.contains(['.', ':'])
}

/// The host of a URL.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    match rest.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    }
}

/// Whether an address is private: then it may be the cluster's own, or a neighbour's.
fn is_private(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|ip| match ip {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    })
}

fn of_endpoint(endpoint: Option<&str>, region: Option<&str>) -> Site {
    let Some(endpoint) = endpoint else {
        return Site::Outside(region.map(ToOwned::to_owned));
    };
    let host = host(endpoint);
    if is_inside(host) {
        return Site::Inside(format!("{host} is a service of the cluster itself"));
    }
    if is_private(host) {
        return Site::Unclear(format!(
            "{host} is a private address: it may be the cluster's own"
        ));
    }
    Site::Outside(region.map(ToOwned::to_owned))
}

/// Where a location of Velero is.
pub fn of_location(location: &Location) -> Site {
    let set = |key: &str| location.config.get(key).filter(|value| !value.is_empty());
    of_endpoint(set("s3Url"), set("region"))
}

/// Where a store of Barman is.
fn of_store(store: &Store) -> Site {
    if store
        .destination
        .as_deref()
        .is_some_and(|path| path.starts_with("file:"))
    {
        return Site::Inside("it is a path in the pod".into());
    }
    of_endpoint(store.endpoint.as_deref(), None)
}

/// Where a recovery point lies.
pub fn of_point(inventory: &Inventory, point: &Point<'_>) -> Site {
    match point.source {
        Source::Counted(meta) => Site::Inside(format!(
            "Backup {}/{} is made of snapshots beside the volumes",
            meta.namespace, meta.name
        )),
        Source::CronJob(meta) => match meta.annotations.get(OFFSITE) {
            Some(place) if !place.trim().is_empty() => Site::Outside(None),
            _ => Site::Unclear(format!(
                "where CronJob {} writes to is not known: annotation {OFFSITE} may say so",
                meta.name
            )),
        },
        Source::Window(meta) => {
            let store = inventory
                .tables
                .object_stores
                .get(&meta.namespace, &meta.name);
            store.map_or_else(unknown, |store| of_store(&store.spec.store))
        }
        Source::Object(kind, meta) => of_object(inventory, kind, meta),
    }
}

/// Annotation of a `CronJob` that backs up, with the place outside the cluster that it writes to.
pub const OFFSITE: &str = "probity.dev/offsite";

fn unknown() -> Site {
    Site::Unclear("its location is not known".into())
}

fn of_object(inventory: &Inventory, kind: Kind, meta: &Meta) -> Site {
    let tables = &inventory.tables;
    let (namespace, name) = (&*meta.namespace, &*meta.name);
    match kind {
        Kind::VolumeSnapshot => Site::Inside(format!(
            "VolumeSnapshot {namespace}/{name} lies beside the volume"
        )),
        Kind::PodVolumeBackup | Kind::DataUpload => {
            let part = super::points::volume_backup(inventory, kind, namespace, name);
            let backup = part.and_then(|part| part.spec.backup.as_deref());
            let backup = backup.and_then(|name| tables.velero_backups.get(namespace, name));
            let location = backup.and_then(|backup| backup.spec.spec.location.as_deref());
            let location = location.and_then(|name| tables.velero_locations.get(namespace, name));
            location.map_or_else(unknown, |location| of_location(&location.spec))
        }
        Kind::DatabaseBackup => {
            let Some(backup) = tables.database_backups.get(namespace, name) else {
                return unknown();
            };
            if *backup.spec.method == *"volumeSnapshot" {
                return Site::Inside(format!("Backup {namespace}/{name} is a snapshot"));
            }
            let database = tables.databases.get(namespace, &backup.spec.cluster);
            let database = database.map(|database| &database.spec);
            let plugin = database.and_then(|database| {
                let mut plugins = database.plugins.iter();
                plugins
                    .find(|plugin| *plugin.name == *BARMAN_PLUGIN)?
                    .object_store
                    .as_deref()
            });
            let store = plugin.and_then(|name| tables.object_stores.get(namespace, name));
            let own = database.and_then(|database| database.store.as_ref());
            let plugin = *backup.spec.method == *"plugin";
            let store = if plugin {
                store.map(|store| &store.spec.store)
            } else {
                own
            };
            store.map_or_else(unknown, of_store)
        }
        Kind::LonghornBackup => {
            let backup = tables.longhorn_backups.get(namespace, name);
            let target = backup.and_then(|backup| backup.spec.target.as_deref());
            let target = tables
                .backup_targets
                .get(namespace, target.unwrap_or("default"));
            match target.and_then(|target| target.spec.url.as_deref()) {
                None => unknown(),
                Some(url) if url.starts_with("s3:") => Site::Unclear(
                    "the address of its S3 service is in the Secret of the backup target".into(),
                ),
                Some(url) => of_endpoint(Some(url), None),
            }
        }
        Kind::K8upSnapshot => {
            let snapshot = tables.k8up_snapshots.get(namespace, name);
            match snapshot.and_then(|snapshot| snapshot.spec.repository.as_deref()) {
                None => unknown(),
                Some(path) if path.starts_with('/') => Site::Inside("it is a path in a pod".into()),
                // Such as s3:https://host/bucket, rest:http://host/.
                Some(repository) => match repository.split_once(':') {
                    Some((_, url)) if url.contains("://") => of_endpoint(Some(url), None),
                    Some(("s3", url)) => of_endpoint(Some(url), None),
                    _ => Site::Outside(None),
                },
            }
        }
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_out_of_urls() {
        for (url, wanted) in [
            ("http://minio.velero.svc:9000", "minio.velero.svc"),
            ("https://user@s3.example.com/bucket?x", "s3.example.com"),
            ("nfs://10.0.0.1:/export", "10.0.0.1"),
            ("https://[fd00::1]:9000/", "fd00::1"),
            ("s3.example.com/bucket", "s3.example.com"),
        ] {
            assert_eq!(host(url), wanted, "{url}");
        }
    }

    #[test]
    fn a_service_of_the_cluster_is_inside() {
        for (endpoint, inside) in [
            ("http://minio.velero.svc:9000", true),
            ("http://minio.velero.svc.cluster.local.", true),
            ("http://minio:9000", true),
            ("http://minio.velero.svc.example.internal", true),
            ("https://s3.eu-west-1.amazonaws.com", false),
            ("https://svc.example.com", false),
        ] {
            let site = of_endpoint(Some(endpoint), None);
            assert_eq!(matches!(site, Site::Inside(_)), inside, "{endpoint}");
        }
        let private = of_endpoint(Some("http://10.0.0.5:9000"), None);
        assert!(matches!(private, Site::Unclear(_)));
    }
}
