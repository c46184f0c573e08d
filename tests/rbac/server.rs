//! A control plane of its own for these tests, and requests to it as whoever one is.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, Request};
use kube::Client;
use probity::analysis::{Analyses, Derived};
use probity::inventory::{Availability, Inventory, Kind};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Cluster, Options};

/// Path of the objects of cluster scope.
pub(crate) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A running control plane and a client.
pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    pub(crate) runtime: Runtime,
    pub(crate) admin: Client,
}

/// The answer to a request: the object, or the status code.
pub(crate) type Answer = Result<Value, u16>;

impl Server {
    /// Starts one with a controller manager, which aggregates roles and makes accounts.
    pub(crate) fn start() -> Self {
        let cluster = Cluster::start(Options {
            scheduler: false,
            ..Options::default()
        })
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let admin = runtime.block_on(cluster.client()).unwrap();
        Self {
            cluster,
            runtime,
            admin,
        }
    }

    /// Sends a request as administrator, which must succeed.
    pub(crate) fn must(&self, method: Method, path: &str, body: &Value) -> Value {
        self.runtime
            .block_on(send(&self.admin, method, path, body, &[]))
            .unwrap_or_else(|code| panic!("{path}: {code}: {body}"))
    }

    /// The objects of these kinds and the analyses of them, as they are now.
    pub(crate) fn load(&self) -> (Inventory, Analyses) {
        let mut inventory = Inventory::default();
        let kinds = Derived::ALL.iter().flat_map(|derived| derived.reads());
        let kinds: BTreeSet<Kind> = kinds.copied().collect();
        for kind in kinds {
            let info = kind.info();
            let path = if info.group.is_empty() {
                format!("/api/{}/{}", info.version, info.plural)
            } else {
                format!("/apis/{}/{}/{}", info.group, info.version, info.plural)
            };
            let get = send(&self.admin, Method::GET, &path, &Value::Null, &[]);
            if let Ok(list) = self.runtime.block_on(get) {
                inventory.begin_list(kind);
                let page = list.to_string();
                inventory.apply_page(kind, page.as_bytes()).unwrap();
                inventory.end_list(kind);
            }
            inventory
                .freshness
                .set(kind, Availability::Synced, Duration::ZERO);
        }
        let mut analyses = Analyses::default();
        analyses.need(&Derived::ALL.iter().copied().collect(), &inventory);
        (inventory, analyses)
    }

    /// Waits until the controller has filled every aggregated role.
    pub(crate) fn aggregated(&self) {
        for _ in 0..120 {
            let (inventory, analyses) = self.load();
            let roles = inventory.tables.cluster_roles.iter();
            let lags = roles.filter(|role| {
                let (none, name) = ("".into(), &role.meta.name);
                let mut wanted = analyses.rights().rules(&inventory, &none, name);
                wanted.any(|rule| !role.spec.rules.contains(rule))
            });
            if lags.count() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("the controller has not filled the aggregated roles");
    }
}

/// Sends a request with further headers.
pub(crate) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let kind = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    match client.request(request.body(bytes).unwrap()).await {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// A role of the cluster.
pub(crate) fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name }, "rules": rules,
    })
}

/// A binding of a cluster role; of one namespace where that is given.
pub(crate) fn binding(
    name: &str,
    role: &str,
    subjects: &Value,
    namespace: &str,
) -> (String, Value) {
    let (kind, path) = if namespace.is_empty() {
        ("ClusterRoleBinding", format!("{RBAC}/clusterrolebindings"))
    } else {
        let path = format!("{RBAC}/namespaces/{namespace}/rolebindings");
        ("RoleBinding", path)
    };
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    });
    (path, object)
}
