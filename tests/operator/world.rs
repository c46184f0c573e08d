//! A cluster in which the operator may run, and objects in it as JSON.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http::{Method, Request};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};

use crate::harness::{Cluster, Options};

/// Everything happens within seconds, on a busy machine within tens of them.
const DEADLINE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
/// One request: a stopped server never answers.
const ATTEMPT: Duration = Duration::from_secs(15);

/// Path of all policies.
pub(crate) const POLICIES: &str = "/apis/probity.dev/v1alpha1/controlpolicies";
/// Path of all bindings of cluster roles.
pub(crate) const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// Every write by a member of `system:masters`, as which operators of these tests run.
const AUDIT: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:masters']
  verbs: [create, update, patch, delete, deletecollection]
";

/// A control plane that knows `ControlPolicy`.
pub(crate) struct World {
    /// The control plane.
    pub(crate) cluster: Cluster,
    runtime: Handle,
    client: Client,
    counter: AtomicU32,
}

/// The shared world, for one test at a time: each operator heeds all policies of its cluster.
pub(crate) struct Turn {
    world: &'static World,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for a turn in the shared world. What the tests before left there that is seen from
/// everywhere is gone.
pub(crate) fn turn() -> Turn {
    static WORLD: OnceLock<World> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind that matters.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let world = WORLD.get_or_init(World::start);
    world.tidy();
    Turn { world, _turn: turn }
}

impl Deref for Turn {
    type Target = World;

    fn deref(&self) -> &World {
        self.world
    }
}

impl World {
    /// Starts a control plane and installs our CRD.
    pub(crate) fn start() -> Self {
        Self::start_with(Options {
            audit_policy: Some(AUDIT.to_owned()),
            controller_manager: false,
            scheduler: false,
            ..Options::default()
        })
    }

    /// Starts a control plane of one's own.
    pub(crate) fn start_with(options: Options) -> Self {
        let cluster = Cluster::start(options).unwrap();
        let runtime = runtime();
        let client = runtime.block_on(cluster.client()).unwrap();
        let crds = super::program::output(&["crds"]);
        cluster.kubectl_ok(&["apply", "--server-side", "-f", "-"], Some(&crds.stdout));
        cluster.serves_crds();
        let counter = AtomicU32::new(0);
        Self {
            cluster,
            runtime,
            client,
            counter,
        }
    }

    /// Takes away what would be seen from everywhere: policies, bindings of cluster roles that
    /// no server made, and namespaces that can't end, because no controller runs that ends them.
    fn tidy(&self) {
        self.delete(POLICIES);
        let ours = "labelSelector=!kubernetes.io/bootstrapping";
        self.delete(&format!("{BINDINGS}?{ours}"));
        for namespace in self.list("/api/v1/namespaces") {
            if namespace["metadata"]["deletionTimestamp"].is_string() {
                self.end_namespace(namespace);
            }
        }
    }

    /// What the namespace controller does at last.
    fn end_namespace(&self, mut namespace: Value) {
        let name = namespace["metadata"]["name"].as_str().unwrap();
        let path = format!("/api/v1/namespaces/{name}/finalize");
        namespace["spec"]["finalizers"] = json!([]);
        self.request(&self.client, Method::PUT, &path, &namespace);
    }

    /// A name that nothing in this world has.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// A kubeconfig of a user of this name who may do everything.
    pub(crate) fn administrator(&self, user: &str) -> std::path::PathBuf {
        self.cluster
            .kubeconfig_for(user, &["system:masters"])
            .unwrap()
    }

    /// Sends a request and returns the answer, or nothing where the object is not there.
    fn request(&self, client: &Client, method: Method, path: &str, body: &Value) -> Option<Value> {
        // As a person does with kubectl: another field manager would own what it writes.
        self.request_as("kubectl-test", client, method, path, body)
    }

    fn request_as(
        &self,
        manager: &str,
        client: &Client,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<Value> {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let reads = method == Method::GET;
        let uri = if reads {
            path.to_owned()
        } else {
            let joint = if path.contains('?') { '&' } else { '?' };
            format!("{path}{joint}fieldManager={manager}")
        };
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = Request::builder()
            .method(method)
            .uri(&uri)
            .header("content-type", kind);
        let request = request.body(bytes).unwrap();
        let answer = async { tokio::time::timeout(ATTEMPT, client.request(request)).await };
        match self.runtime.block_on(answer) {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => None,
            Ok(Err(error)) => panic!("{uri}: {error}"),
            Err(late) => panic!("{uri}: no answer: {late}"),
        }
    }

    /// The object or list at a path, if it is there.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.request(&self.client, Method::GET, path, &Value::Null)
    }

    /// The objects at a path.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object among those at a path.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        self.request(&self.client, Method::POST, path, object)
            .unwrap()
    }

    /// Merges into the object at a path.
    pub(crate) fn patch(&self, path: &str, change: &Value) -> Value {
        self.request(&self.client, Method::PATCH, path, change)
            .unwrap()
    }

    /// Creates an object as another field manager than a person.
    pub(crate) fn create_as(&self, manager: &str, path: &str, object: &Value) -> Value {
        self.request_as(manager, &self.client, Method::POST, path, object)
            .unwrap()
    }

    /// Merges into an object as another field manager than a person.
    pub(crate) fn patch_as(&self, manager: &str, path: &str, change: &Value) -> Value {
        self.request_as(manager, &self.client, Method::PATCH, path, change)
            .unwrap()
    }

    /// Deletes what is at a path.
    pub(crate) fn delete(&self, path: &str) {
        self.request(&self.client, Method::DELETE, path, &Value::Null);
    }

    /// Deletes what is at a path through another server of this cluster.
    pub(crate) fn delete_through(&self, server: &crate::harness::ApiServer, path: &str) {
        let client = self.runtime.block_on(server.client()).unwrap();
        self.request(&client, Method::DELETE, path, &Value::Null);
    }

    /// A new namespace.
    pub(crate) fn namespace(&self, prefix: &str) -> String {
        let name = self.name(prefix);
        self.create(
            "/api/v1/namespaces",
            &json!({ "metadata": { "name": name } }),
        );
        name
    }

    /// A new namespace with a network policy `deny`, and the path of the latter.
    pub(crate) fn denying_namespace(&self) -> (String, String) {
        let namespace = self.namespace("shop");
        let path = network_policies(&namespace);
        self.create(&path, &deny());
        (namespace, format!("{path}/deny"))
    }

    /// A new policy, whose name is returned.
    pub(crate) fn policy(&self, spec: &Value) -> String {
        let name = self.name("policy");
        let policy = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
            "metadata": { "name": name }, "spec": spec,
        });
        self.create(POLICIES, &policy);
        name
    }

    /// A new policy that has just the default deny in one namespace.
    pub(crate) fn default_deny(&self, mode: &str, namespace: &str) -> String {
        self.policy(&json!({
            "mode": mode, "scope": { "include": [namespace] },
            "controls": { "netNamespaceDefaultDeny": {} },
        }))
    }

    /// The status of a policy as soon as it is about the current generation and is as wanted.
    pub(crate) fn status(
        &self,
        policy: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(what, || {
            let policy = self
                .get(&format!("{POLICIES}/{policy}"))
                .unwrap_or_default();
            let status = &policy["status"];
            let current = status["observedGeneration"] == policy["metadata"]["generation"];
            if current && wanted(status) {
                Ok(status.clone())
            } else {
                Err(format!("{status:#}"))
            }
        })
    }

    /// The status of a policy as soon as all of its controls are judged.
    pub(crate) fn settled(&self, policy: &str) -> Value {
        self.status(policy, "a judged policy", |status| {
            status["controls"]
                .as_array()
                .is_some_and(|controls| !controls.is_empty())
                && status["summary"]["controls"]["unknown"] == 0
        })
    }

    /// Waits for an Event with a reason, in a namespace, about an object of a name. Those about
    /// what is in no namespace are in `default`.
    pub(crate) fn event(&self, namespace: &str, name: &str, reason: &str) -> Value {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        eventually(reason, || {
            let events = self.list(&path);
            let mut events = events
                .into_iter()
                .filter(|event| event["regarding"]["name"] == name);
            events
                .find(|event| event["reason"] == reason)
                .ok_or_else(|| format!("no such Event about {name}"))
        })
    }

    /// Waits until an object is there.
    pub(crate) fn appears(&self, path: &str) -> Value {
        eventually(path, || {
            self.get(path).ok_or_else(|| "it is not there".to_owned())
        })
    }

    /// Waits until an object is as wanted.
    pub(crate) fn becomes(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(path, || match self.get(path) {
            Some(object) if wanted(&object) => Ok(object),
            other => Err(format!("it is {other:?}")),
        })
    }
}

/// A runtime that is driven also between requests, so that connections notice their end. Its thread
/// ends with the process.
fn runtime() -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

/// Path of the network policies of a namespace.
pub(crate) fn network_policies(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
}

/// Path of the cron jobs of a namespace.
pub(crate) fn cron_jobs(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/cronjobs")
}

/// A policy that denies both directions.
pub(crate) fn deny() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "deny" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
    })
}

/// Path of a namespace.
pub(crate) fn namespace_path(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

/// A cron job that runs hourly, and by its annotation makes backups.
pub(crate) fn backup_job(name: &str, suspended: bool) -> Value {
    let template = json!({
        "restartPolicy": "Never", "containers": [{ "name": "backup", "image": "backup" }],
    });
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": name, "annotations": { "probity.dev/backs-up": "data" } },
        "spec": {
            "schedule": "0 * * * *", "suspend": suspended,
            "jobTemplate": { "spec": { "template": { "spec": template } } },
        },
    })
}

/// A binding of cluster-admin to a user.
pub(crate) fn admin_binding(name: &str, user: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
    })
}

/// Creation times have whole seconds: waits until what comes now is younger than an object.
pub(crate) fn after_the_second_of(object: &Value) {
    let created: Timestamp = object["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    eventually("later second", || {
        let now = Timestamp::now();
        if now.as_second() > created.as_second() {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
}

/// The condition of a type in a status.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|one| one["type"] == kind));
    found.unwrap_or(&Value::Null)
}

/// Tries until it works out, and fails the test with the last reason when time is up.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(why) => assert!(started.elapsed() < DEADLINE, "no {what}: {why}"),
        }
        thread::sleep(PAUSE);
    }
}
