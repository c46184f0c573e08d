//! The network probe: two short-lived pods, a policy that denies what they do, and what comes of
//! it.
//!
//! ```text
//!   client ──dials every second──► server      the client is Ready while it gets through
//!
//!   no policy: Ready ─► deny ingress: not Ready ─► gone: Ready ─► deny egress: not Ready ─► gone: Ready
//! ```
//!
//! The pods run this very program ([`crate::cli`], `probe`), and the kubelet says whether the
//! client gets through: its readiness is one dial. So no right on logs or exec is needed.
//!
//! Rights, all in the namespace of the probe: `create` on pods and network policies, and `get` and
//! `delete` on the ones named here. Whatever was left over by a crash is deleted before a run;
//! pods end by themselves in any case.

mod objects;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};

use self::objects::{CLIENT, DENY, Denied, SERVER};
use crate::engine::{NetworkProbe, Route};

/// For every call.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks at a pod.
const PAUSE: Duration = Duration::from_millis(500);
/// Until a deleted pod is gone.
const END: Duration = Duration::from_mins(1);

/// What to do in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Namespace of the probe.
    pub namespace: String,
    /// Image that holds this program.
    pub image: String,
    /// Path of this program in the image.
    pub program: String,
    /// Until a policy has to be in effect.
    pub timeout: Duration,
    /// Until a pod has to run: scheduled, its image pulled, started.
    pub patience: Duration,
    /// Labels of nodes, each set of which is probed; empty means any node.
    pub node_selectors: Vec<BTreeMap<String, String>>,
    /// Whether to probe between two nodes as well as on one.
    pub two_nodes: bool,
}

/// Where the two pods run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placing {
    OneNode,
    TwoNodes,
}

impl ProbeConfig {
    /// The routes to probe, by name.
    fn routes(&self) -> Vec<(String, Placing, BTreeMap<String, String>)> {
        let any = [BTreeMap::new()];
        let selectors = if self.node_selectors.is_empty() {
            &any[..]
        } else {
            &self.node_selectors
        };
        let placings = [
            (Placing::OneNode, "on one node"),
            (Placing::TwoNodes, "between two nodes"),
        ];
        let placings = placings
            .into_iter()
            .filter(|(p, _)| self.two_nodes || *p == Placing::OneNode);
        let routes = placings.flat_map(|(placing, words)| {
            selectors.iter().map(move |selector| {
                let labels = selector.iter().map(|(key, value)| format!("{key}={value}"));
                let labels: Vec<_> = labels.collect();
                let name = if labels.is_empty() {
                    words.to_owned()
                } else {
                    format!("{words} ({})", labels.join(","))
                };
                (name, placing, selector.clone())
            })
        });
        routes.collect()
    }
}

/// Probes every route, one after the other, and leaves nothing behind.
pub async fn run(client: &Client, config: &ProbeConfig) -> NetworkProbe {
    let probe = Probe {
        pods: Api::namespaced(client.clone(), &config.namespace),
        policies: Api::namespaced(client.clone(), &config.namespace),
        config,
    };
    let mut routes = BTreeMap::new();
    for (name, placing, selector) in config.routes() {
        let found = match probe.clean().await {
            Ok(()) => probe.route(placing, &selector).await,
            Err(why) => Err(why),
        };
        let cleaned = probe.clean().await;
        let found = match (found, cleaned) {
            (Ok(_), Err(why)) => Route::Unclear(why),
            (found, _) => found.unwrap_or_else(Route::Unclear),
        };
        routes.insert(name.into(), found);
    }
    NetworkProbe {
        at: Timestamp::now(),
        routes,
    }
}

/// A run.
struct Probe<'a> {
    pods: Api<Pod>,
    policies: Api<NetworkPolicy>,
    config: &'a ProbeConfig,
}

impl Probe<'_> {
    async fn route(
        &self,
        placing: Placing,
        selector: &BTreeMap<String, String>,
    ) -> Result<Route, String> {
        let server = objects::server(self.config, selector)?;
        create(&self.pods, &server).await?;
        let server = self
            .until(SERVER, self.config.patience, "run", |pod| {
                is_ready(pod) == Some(true)
            })
            .await?;
        let address = server.status.and_then(|status| status.pod_ip);
        let address = address.ok_or("the server runs without an address")?;
        let dialer = objects::client(self.config, placing, selector, &address)?;
        create(&self.pods, &dialer).await?;
        let open = "reach the server without any policy";
        self.until(CLIENT, self.config.patience, open, |pod| {
            is_ready(pod) == Some(true)
        })
        .await?;
        for denied in [Denied::Ingress, Denied::Egress] {
            if !self.denies(denied).await? {
                let seconds = self.config.timeout.as_secs();
                return Ok(Route::NotEnforced(format!(
                    "the client still reaches the server {seconds} s after a policy denied \
                     {denied}",
                )));
            }
        }
        Ok(Route::Enforced)
    }

    /// Whether a policy stops the client, and its end lets it through again: else something else
    /// stopped it, and nobody can tell.
    async fn denies(&self, denied: Denied) -> Result<bool, String> {
        create(&self.policies, &objects::deny(denied)?).await?;
        let timeout = self.config.timeout;
        let shut = |pod: &Pod| is_ready(pod) == Some(false);
        let stopped = self.wait(CLIENT, timeout, shut).await?.is_ok();
        remove(&self.policies, DENY).await?;
        if stopped {
            let open = format!("reach the server after the policy that denied {denied} was gone");
            self.until(CLIENT, timeout, &open, |pod| is_ready(pod) == Some(true))
                .await?;
        }
        Ok(stopped)
    }

    /// Waits until a pod is as `wanted`; `Err` says that it did not do what it was to.
    async fn until(
        &self,
        name: &str,
        time: Duration,
        what: &str,
        wanted: impl Fn(&Pod) -> bool,
    ) -> Result<Pod, String> {
        self.wait(name, time, wanted).await?.map_err(|pod| {
            let why = pod.as_ref().and_then(objects::why_waiting);
            let why = why.map_or(String::new(), |why| format!(" ({why})"));
            format!("pod {name} did not {what} within {} s{why}", time.as_secs())
        })
    }

    /// Waits until a pod is as `wanted`. `Ok(Err(…))` is how it was last, in time.
    async fn wait(
        &self,
        name: &str,
        time: Duration,
        wanted: impl Fn(&Pod) -> bool,
    ) -> Result<Result<Pod, Option<Pod>>, String> {
        let deadline = tokio::time::Instant::now() + time;
        let mut last = None;
        loop {
            let pod = within("get pods", self.pods.get(name)).await?;
            if objects::has_ended(&pod) {
                return Err(format!("pod {name} has ended before its time"));
            }
            if wanted(&pod) {
                return Ok(Ok(pod));
            }
            last = Some(pod).or(last);
            if tokio::time::Instant::now() >= deadline {
                return Ok(Err(last));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes what a run makes, and waits until it is gone.
    async fn clean(&self) -> Result<(), String> {
        remove(&self.policies, DENY).await?;
        for name in [CLIENT, SERVER] {
            remove(&self.pods, name).await?;
        }
        let deadline = tokio::time::Instant::now() + END;
        for name in [CLIENT, SERVER] {
            while within("get pods", self.pods.get_opt(name)).await?.is_some() {
                if tokio::time::Instant::now() >= deadline {
                    return Err(format!("pod {name} is deleted and does not go"));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

/// What the kubelet says of a pod; `None` where it has said nothing, or can say nothing.
fn is_ready(pod: &Pod) -> Option<bool> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") || status.reason.as_deref() == Some("NodeLost") {
        return None;
    }
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready")?;
    match ready.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

async fn create<K>(api: &Api<K>, object: &K) -> Result<(), String>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    within("create", api.create(&PostParams::default(), object)).await?;
    Ok(())
}

/// Deletes one object, if it is there.
async fn remove<K>(api: &Api<K>, name: &str) -> Result<(), String>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let deleting = async {
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    };
    within("delete", deleting).await
}

/// A call with its deadline; what went wrong in a sentence that says what to do.
async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => Err(format!(
            "the API server forbids it: set networkProbe.enabled in the chart ({})",
            status.message
        )),
        Ok(Err(kube::Error::Api(status))) => Err(format!("{what}: {}", status.message)),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: the API server does not answer")),
    }
}
