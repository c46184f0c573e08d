//! A cluster with the chart, and people in it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Cluster, Options};
use crate::operator::program::{self, Replica};
use crate::operator::world::eventually;

/// Where the chart is installed.
pub(crate) const NAMESPACE: &str = "probity-system";
/// A user that deploys, by the chart's values.
pub(crate) const DEPLOYER: &str = "deployer";
/// A user that several people can be, by the chart's values.
pub(crate) const SHARED: &str = "everybody";

/// A cluster with the chart, and people in it.
pub(crate) struct People {
    pub(crate) cluster: Cluster,
    counter: AtomicU32,
}

impl People {
    /// Installs the chart. Nobody has any right yet.
    pub(crate) fn start() -> Self {
        let options = Options {
            controller_manager: true,
            scheduler: false,
            ..Options::default()
        };
        let cluster = Cluster::start(options).unwrap();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity");
        let values = format!("decisions.deployers={{{DEPLOYER}}}");
        let shared = format!("decisions.sharedAccounts={{{SHARED}}}");
        let mut install = vec!["install", "probity", chart.to_str().unwrap()];
        install.extend(["--namespace", NAMESPACE, "--create-namespace"]);
        install.extend(["--set", "replicas=0", "--set", &values, "--set", &shared]);
        cluster.helm_ok(&install);
        cluster.serves_crds();
        let people = Self {
            cluster,
            counter: AtomicU32::new(0),
        };
        people.wait_for_admission();
        people
    }

    /// New admission policies are heeded within seconds.
    fn wait_for_admission(&self) {
        let mut object = exception("probe", "default");
        object["spec"]["requestedBy"] = json!("somebody else");
        let admin = self.cluster.kubeconfig().to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        eventually("admission policies", || {
            let output = self.kubectl_as(&admin, &["create", "--dry-run=server"], Some(&object));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if said.contains("write your own name") {
                Ok(())
            } else {
                Err(format!("{namespace}: {said}"))
            }
        });
    }

    /// A user with the chart's roles of these names, in the whole cluster.
    pub(crate) fn user(&self, name: &str, roles: &[&str]) -> PathBuf {
        for role in roles {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            let binding = format!("{name}-{number}");
            let role = format!("--clusterrole={role}");
            let user = format!("--user={name}");
            self.cluster.kubectl_ok(
                &["create", "clusterrolebinding", &binding, &role, &user],
                None,
            );
        }
        self.cluster.kubeconfig_for(name, &[]).unwrap()
    }

    /// A service account that may do everything.
    pub(crate) fn account(&self, namespace: &str, name: &str) -> PathBuf {
        if namespace != NAMESPACE {
            self.cluster
                .kubectl_ok(&["create", "serviceaccount", name, "-n", namespace], None);
            let account = format!("--serviceaccount={namespace}:{name}");
            let bind = [
                "create",
                "clusterrolebinding",
                name,
                "--clusterrole=cluster-admin",
            ];
            self.cluster
                .kubectl_ok(&[&bind[..], &[&account]].concat(), None);
        }
        let token = self
            .cluster
            .kubectl_ok(&["create", "token", name, "-n", namespace], None);
        self.cluster.kubeconfig_for_token(token.trim()).unwrap()
    }

    /// Runs kubectl as somebody, with an object in a file.
    pub(crate) fn kubectl_as(&self, who: &Path, args: &[&str], object: Option<&Value>) -> Output {
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        args.push(format!("--kubeconfig={}", who.display()));
        if let Some(object) = object {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            let file = self.cluster.folder().join(format!("object-{number}.json"));
            std::fs::write(&file, object.to_string()).unwrap();
            args.push(format!("--filename={}", file.display()));
        }
        self.cluster
            .kubectl(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Somebody creates an object.
    #[track_caller]
    pub(crate) fn create(&self, who: &Path, object: &Value) {
        accepted(&self.kubectl_as(who, &["create"], Some(object)));
    }

    /// What somebody hears who tries to create an object and may not.
    #[track_caller]
    pub(crate) fn create_refused(&self, who: &Path, object: &Value, because: &str) {
        refused(&self.kubectl_as(who, &["create"], Some(object)), because);
    }

    /// Merges into an object, or into its status.
    pub(crate) fn patch(&self, who: &Path, place: &Place<'_>, change: &Value) -> Output {
        let change = change.to_string();
        let mut args = vec!["patch", place.kind, place.name, "-n", place.namespace];
        args.extend(["--type=merge", "-p", &change]);
        if place.status {
            args.push("--subresource=status");
        }
        self.kubectl_as(who, &args, None)
    }

    /// What is there.
    pub(crate) fn get(&self, place: &Place<'_>) -> Value {
        let args = [
            "get",
            place.kind,
            place.name,
            "-n",
            place.namespace,
            "-o",
            "json",
        ];
        serde_json::from_str(&self.cluster.kubectl_ok(&args, None)).unwrap()
    }

    /// Waits until an object is as wanted.
    pub(crate) fn becomes(&self, place: &Place<'_>, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(place.name, || {
            let object = self.get(place);
            if wanted(&object) {
                Ok(object)
            } else {
                Err(format!("{object:#}"))
            }
        })
    }

    /// Runs a command of the program as somebody.
    #[allow(clippy::unused_self, reason = "it runs against this cluster")]
    pub(crate) fn probity(&self, who: &Path, args: &[&str]) -> program::Output {
        let kubeconfig = format!("--kubeconfig={}", who.display());
        program::output(&[args, &[&kubeconfig]].concat())
    }

    /// The operator, with the rights of the chart.
    pub(crate) fn operator(&self) -> Replica {
        let kubeconfig = self.account(NAMESPACE, "probity");
        Replica::with("probity-0", NAMESPACE.to_owned(), kubeconfig)
    }
}

/// Where an object is.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) status: bool,
}

impl Place<'_> {
    /// Its status.
    pub(crate) const fn status(self) -> Self {
        Self {
            status: true,
            ..self
        }
    }
}

/// A `ControlException` of this name.
pub(crate) const fn named<'a>(namespace: &'a str, name: &'a str) -> Place<'a> {
    Place {
        kind: "controlexception",
        namespace,
        name,
        status: false,
    }
}

#[track_caller]
pub(crate) fn accepted(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[track_caller]
pub(crate) fn refused(output: &Output, because: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was accepted");
    assert!(said.contains(because), "{because} is not in: {said}");
}

/// A time so many days from now, as objects have it.
pub(crate) fn in_days(days: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_hours(24 * days);
    format!("{at:.0}")
}

/// An exception of the default deny for its namespace, asked for by `alice`.
pub(crate) fn exception(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "ControlException",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "control": "net-namespace-default-deny", "kind": "AcceptedRisk",
            "subjects": [{ "kind": "Namespace", "name": namespace }],
            "reason": "it is being rebuilt", "ticket": "OPS-1",
            "expiresAt": in_days(30), "requestedBy": "alice",
        },
    })
}

/// A decision by somebody.
pub(crate) fn decision(by: &str, verdict: &str) -> Value {
    json!({ "status": { "decision": { "verdict": verdict, "by": by, "generation": 1 } } })
}
