//! The network probe on a real API server, with just the rights that the chart gives it. Nothing
//! runs on a node here: the test plays the kubelet, and writes the statuses that it would.

use std::{path::Path, time::Duration};

use futures::future::{Either, select};
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use probity::{
    cluster::network_probe::{self, ProbeConfig},
    engine::Route,
};
use serde_json::json;

use crate::harness::{Cluster, Options};

const RELEASE: &str = "probity-system";
const NAMESPACE: &str = "probity-probe";

/// What a node does about policies, and pods.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Node {
    Enforces,
    OnlyIngress,
    EnforcesNothing,
    /// What a policy once stopped stays stopped.
    Sticks,
    RunsNothing,
}

/// Plays the kubelet until the end.
pub(crate) async fn play(client: &Client, node: Node) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), NAMESPACE);
    let mut stuck = false;
    loop {
        let denied = policies.get_opt("network-probe-deny").await.unwrap();
        let types = denied.and_then(|policy| policy.spec?.policy_types);
        let ingress = types
            .as_ref()
            .is_some_and(|types| types.contains(&"Ingress".to_owned()));
        stuck |= types.is_some();
        let stopped = match node {
            Node::Enforces => types.is_some(),
            Node::OnlyIngress => ingress,
            Node::Sticks => stuck,
            Node::EnforcesNothing | Node::RunsNothing => false,
        };
        for pod in pods.list(&ListParams::default()).await.unwrap().items {
            let name = pod.metadata.name.unwrap();
            let reached = name == "network-probe-server" || !stopped;
            let ready = if reached { "True" } else { "False" };
            let status = json!({ "status": {
                "phase": "Running", "podIP": "10.9.8.7", "podIPs": [{ "ip": "10.9.8.7" }],
                "conditions": [{ "type": "Ready", "status": ready }],
            } });
            if node != Node::RunsNothing {
                // It may have been deleted meanwhile.
                let patch = Patch::Merge(&status);
                let _ = pods
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn config() -> ProbeConfig {
    ProbeConfig {
        namespace: NAMESPACE.to_owned(),
        image: "probity:test".to_owned(),
        program: "/probity".to_owned(),
        timeout: Duration::from_secs(2),
        patience: Duration::from_secs(4),
        node_selectors: Vec::new(),
        two_nodes: false,
    }
}

/// The only route of a run beside such a node, and that nothing is left behind.
async fn probe(operator: &Client, admin: &Client, node: Node) -> Route {
    let run = Box::pin(async {
        let run = network_probe::run(operator, &config()).await;
        run.routes.into_values().next().unwrap()
    });
    let route = match select(run, Box::pin(play(admin, node))).await {
        Either::Left((route, _)) => route,
        Either::Right(_) => unreachable!("the kubelet plays on"),
    };
    let pods: Api<Pod> = Api::namespaced(admin.clone(), NAMESPACE);
    let policies: Api<NetworkPolicy> = Api::namespaced(admin.clone(), NAMESPACE);
    assert!(
        pods.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        policies
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    route
}

fn helm(cluster: &Cluster, verb: &str, enabled: bool) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity");
    let enabled = format!("networkProbe.enabled={enabled}");
    let mut args = vec![
        verb,
        "probity",
        chart.to_str().unwrap(),
        "--namespace",
        RELEASE,
    ];
    args.extend(["--set", "replicas=0", "--set", &enabled]);
    if verb == "install" {
        args.push("--create-namespace");
    }
    cluster.helm_ok(&args);
}

#[test]
fn the_probe_tells_who_enforces_policies_and_leaves_nothing_behind() {
    let cluster = Cluster::start(Options::default()).unwrap();
    helm(&cluster, "install", true);
    let token = ["create", "token", "probity", "--namespace", RELEASE];
    let token = cluster.kubectl_ok(&token, None);
    let kubeconfig = cluster.kubeconfig_for_token(token.trim()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let operator = cluster.client_for(&kubeconfig).await.unwrap();
        let admin = cluster.client().await.unwrap();
        // As a crash leaves it.
        leave_over(&cluster);
        assert_eq!(
            probe(&operator, &admin, Node::Enforces).await,
            Route::Enforced
        );
        for (node, denied) in [
            (Node::OnlyIngress, "egress"),
            (Node::EnforcesNothing, "ingress"),
        ] {
            match probe(&operator, &admin, node).await {
                Route::NotEnforced(why) => assert!(why.contains(denied), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        for (node, words) in [
            (Node::Sticks, "was gone"),
            (Node::RunsNothing, "did not run"),
        ] {
            match probe(&operator, &admin, node).await {
                Route::Unclear(why) => assert!(why.contains(words), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        only_what_the_probe_makes(&cluster, &kubeconfig);
        helm(&cluster, "upgrade", false);
        let run = network_probe::run(&operator, &config()).await;
        match run.routes.values().next().unwrap() {
            Route::Unclear(why) => assert!(why.contains("networkProbe.enabled"), "{why}"),
            other => panic!("{other:?}"),
        }
    });
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: probity-probe}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: c
      image: x
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

fn leave_over(cluster: &Cluster) {
    let pod = POD.replace("NAME", "network-probe-client");
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&pod));
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: network-probe-deny, namespace: probity-probe}
spec: {podSelector: {}}
";
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(policy));
}

/// The chart's rights reach neither other pods nor other namespaces.
fn only_what_the_probe_makes(cluster: &Cluster, kubeconfig: &Path) {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let file = cluster.folder().join("pod.yaml");
    let tries = [
        POD.replace("NAME", "another"),
        POD.replace("NAME", "network-probe-client")
            .replace(NAMESPACE, "default"),
    ];
    for pod in tries {
        std::fs::write(&file, &pod).unwrap();
        let output = cluster.kubectl(&["create", &kubeconfig, "-f", file.to_str().unwrap()]);
        assert!(!output.status.success(), "{pod}");
    }
}
