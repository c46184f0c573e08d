//! Breaking things with kubectl, and watching them come back.

use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::harness::{Cluster, Result};
use crate::operator::Operator;
use crate::say::{bad, good, say};

/// What is not back by then is lost.
const DEADLINE: Duration = Duration::from_secs(15);

/// The controls that see what is broken here.
pub(crate) const CONTROLS: [&str; 4] = [
    "net-namespace-default-deny",
    "rbac-cluster-admin-allowlist",
    "enc-ingress-tls",
    "backup-schedule-active",
];

/// Something to break.
struct Break {
    family: &'static str,
    /// The arguments of kubectl.
    command: &'static [&'static str],
    /// Group, version, kind and plural of the object.
    kind: (&'static str, &'static str, &'static str, &'static str),
    namespace: Option<&'static str>,
    name: &'static str,
    /// What Probity does about it.
    mended: &'static str,
    /// What to know about the time.
    note: &'static str,
}

const BREAKS: [Break; 4] = [
    Break {
        family: "network",
        command: &["delete", "networkpolicy", "default-deny", "-n", "shop"],
        kind: (
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
        ),
        namespace: Some("shop"),
        name: "default-deny",
        mended: "back",
        note: "",
    },
    Break {
        family: "rbac",
        command: &[
            "create",
            "clusterrolebinding",
            "oops",
            "--clusterrole=cluster-admin",
            "--user=stranger",
        ],
        kind: (
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
        ),
        namespace: None,
        name: "oops",
        mended: "removed",
        note: "a new binding is deleted no sooner than 2 s after its creationTimestamp, which is in \
               whole seconds: whoever made it may still be at it",
    },
    Break {
        family: "encryption",
        command: &[
            "patch",
            "ingress",
            "web",
            "-n",
            "shop",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/spec/tls"}]"#,
        ],
        kind: ("networking.k8s.io", "v1", "Ingress", "ingresses"),
        namespace: Some("shop"),
        name: "web",
        mended: "back",
        note: "",
    },
    Break {
        family: "backup",
        command: &[
            "patch",
            "schedules.velero.io",
            "nightly",
            "-n",
            "velero",
            "--type=merge",
            "-p",
            r#"{"spec":{"paused":true}}"#,
        ],
        kind: ("velero.io", "v1", "Schedule", "schedules"),
        namespace: Some("velero"),
        name: "nightly",
        mended: "back",
        note: "",
    },
];

/// Breaks one thing after the other; returns what was not put back.
pub(crate) fn run(cluster: &Cluster, operator: &Operator) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    say(
        "(measured by a watch, from the event that shows it broken to the one that shows it whole)",
    );
    for thing in &BREAKS {
        operator.check()?;
        let command: Vec<_> = thing.command.iter().map(|word| quoted(word)).collect();
        let command = format!("kubectl {}", command.join(" "));
        say(&format!("\n  {:<10}  {command}", thing.family));
        match thing.measure(cluster) {
            Ok(time) => {
                let back = format!("{} after {}", thing.mended, time_of(time));
                say(&format!("  {:<10}  {}", "", good(&back)));
                if !thing.note.is_empty() {
                    say(&format!("  {:<10}  ({})", "", thing.note));
                }
            }
            Err(error) => {
                say(&format!("  {:<10}  {}", "", bad(&error)));
                lost.push(thing.family.to_owned());
            }
        }
    }
    if !lost.is_empty() {
        say(&format!("\n{}", operator.tail()));
    }
    Ok(lost)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    if word.contains(['"', '{', '[']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

fn time_of(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

impl Break {
    /// Breaks it; returns how long it was broken.
    fn measure(&self, cluster: &Cluster) -> Result<Duration> {
        let seen = self.watch(cluster.kubeconfig());
        let whole = seen.next(Instant::now() + DEADLINE)?.state;
        cluster.kubectl_ok(self.command, None);
        let deadline = Instant::now() + DEADLINE;
        let broken = loop {
            let next = seen.next(deadline)?;
            if next.state != whole {
                break next.at;
            }
        };
        loop {
            let next = seen.next(deadline).map_err(|error| {
                if error == LATE {
                    format!("not put back within {DEADLINE:?}")
                } else {
                    error
                }
            })?;
            if next.state == whole {
                return Ok(next.at.duration_since(broken));
            }
        }
    }

    /// Watches the object from a thread of its own, so that nothing delays the clock.
    fn watch(&self, kubeconfig: &Path) -> Watch {
        let (group, version, kind, plural) = self.kind;
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let (namespace, name) = (self.namespace, self.name);
        let kubeconfig = kubeconfig.to_owned();
        let (sender, states) = channel();
        let follow = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let failed = match runtime {
                Ok(runtime) => {
                    runtime.block_on(follow(&kubeconfig, &resource, namespace, name, &sender))
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = failed {
                // It is told to nobody once the measurement is over.
                let _ = sender.send(Err(error));
            }
        };
        thread::spawn(follow);
        Watch { states }
    }
}

/// What the object is like from a moment on; absent where there is none.
struct Seen {
    at: Instant,
    state: Option<Value>,
}

/// The states of an object, the first of which is the one at the start.
struct Watch {
    states: Receiver<Result<Seen>>,
}

const LATE: &str = "nothing happened";

impl Watch {
    fn next(&self, deadline: Instant) -> Result<Seen> {
        let wait = deadline.saturating_duration_since(Instant::now());
        self.states
            .recv_timeout(wait)
            .map_err(|_| LATE.to_owned())?
    }
}

/// Sends each state of an object until nobody wants it any more.
async fn follow(
    kubeconfig: &Path,
    resource: &ApiResource,
    namespace: Option<&str>,
    name: &str,
    sender: &Sender<Result<Seen>>,
) -> Result<()> {
    let text = |e: &dyn std::fmt::Display| format!("watching {name}: {e}");
    let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(|e| text(&e))?;
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = kube::Client::try_from(config.map_err(|e| text(&e))?).map_err(|e| text(&e))?;
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let field = format!("metadata.name={name}");
    let list = api
        .list(&kube::api::ListParams::default().fields(&field))
        .await;
    let list = list.map_err(|e| text(&e))?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().fields(&field);
    // Opened before the object is broken.
    let events = api.watch(&params, &version).await.map_err(|e| text(&e))?;
    let mut events = pin!(events);
    let mut state = list.items.into_iter().next().as_ref().map(content);
    loop {
        let at = Instant::now();
        if sender.send(Ok(Seen { at, state })).is_err() {
            return Ok(());
        }
        state = match events.next().await {
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                Some(content(&object))
            }
            Some(Ok(WatchEvent::Deleted(_))) => None,
            Some(Ok(WatchEvent::Bookmark(_))) => return Err(text(&"unexpected bookmark")),
            Some(Ok(WatchEvent::Error(error))) => return Err(text(&error.message)),
            Some(Err(error)) => return Err(text(&error)),
            None => return Err(text(&"the watch ended")),
        };
    }
}

/// What must come back.
fn content(object: &DynamicObject) -> Value {
    object.data["spec"].clone()
}
