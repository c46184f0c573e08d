//! Workloads in the mesh of Linkerd.

use super::*;

fn linkerd(annotations: &Value, pod_annotations: &Value) -> World {
    let mut world = world(&json!({}), &[]);
    world.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop", "annotations": annotations } }),
    );
    pod(
        &mut world,
        "web-1-a",
        &["linkerd-proxy", "web"],
        pod_annotations,
    );
    world
}

fn inbound(policy: &str) -> Value {
    json!({ "config.linkerd.io/default-inbound-policy": policy })
}

const PROVEN: (Outcome, &str) = (Outcome::Pass, "LinkerdAuthenticated");
const OPEN: (Outcome, &str) = (Outcome::Fail, "LinkerdNotAuthenticated");

#[test]
fn linkerd_asks_for_proof_as_pod_or_namespace_say() {
    for (namespace, pod, wanted) in [
        (inbound("all-authenticated"), Value::Null, PROVEN),
        (inbound("cluster-authenticated"), Value::Null, PROVEN),
        (inbound("deny"), Value::Null, PROVEN),
        (inbound("all-unauthenticated"), Value::Null, OPEN),
        (inbound("audit"), Value::Null, OPEN),
        (Value::Null, Value::Null, OPEN),
        (Value::Null, inbound("all-authenticated"), PROVEN),
        (
            inbound("all-authenticated"),
            inbound("all-unauthenticated"),
            OPEN,
        ),
    ] {
        let mut world = linkerd(&namespace, &pod);
        assert_eq!(judged(&mut world), wanted, "{namespace} {pod}");
    }
}

#[test]
fn servers_of_linkerd_decide_about_their_port() {
    let server = |port: Value, access: Value| {
        json!({
            "metadata": { "name": "http", "namespace": "shop" },
            "spec": {
                "podSelector": { "matchLabels": { "app": "web" } }, "port": port,
                "accessPolicy": access,
            },
        })
    };
    let authorization = |by: &str| {
        json!({
            "metadata": { "name": "a", "namespace": "shop" },
            "spec": {
                "targetRef": { "kind": "Server", "name": "http" },
                "requiredAuthenticationRefs": [{ "kind": by, "name": "x" }],
            },
        })
    };
    let mesh = authorization("MeshTLSAuthentication");
    let network = authorization("NetworkAuthentication");
    for (default, server, authorization, wanted) in [
        (
            // It may listen on ports that no Server names.
            "all-unauthenticated",
            server(json!(8080), Value::Null),
            Some(&mesh),
            OPEN,
        ),
        (
            "all-unauthenticated",
            server(json!("http"), Value::Null),
            Some(&mesh),
            OPEN,
        ),
        (
            "all-unauthenticated",
            server(json!("http"), Value::Null),
            Some(&network),
            OPEN,
        ),
        (
            "all-unauthenticated",
            server(json!(9999), Value::Null),
            Some(&mesh),
            OPEN,
        ),
        (
            "all-authenticated",
            server(json!(8080), json!("all-unauthenticated")),
            None,
            OPEN,
        ),
        (
            "all-authenticated",
            server(json!(8080), Value::Null),
            Some(&network),
            OPEN,
        ),
        (
            "all-authenticated",
            server(json!(8080), Value::Null),
            None,
            PROVEN,
        ),
    ] {
        let mut world = linkerd(&inbound(default), &Value::Null);
        world.put(Kind::LinkerdServer, server.clone());
        if let Some(authorization) = authorization {
            world.put(Kind::LinkerdAuthorization, authorization.clone());
        }
        assert_eq!(
            judged(&mut world),
            wanted,
            "{default} {server} {authorization:?}"
        );
    }
}

#[test]
fn without_pods_the_annotations_that_ask_for_the_proxy_count() {
    const OUTSIDE: (Outcome, &str) = (Outcome::Fail, "PodTrafficNotEncrypted");
    let inject = |asked: &str, policy: &str| {
        json!({
            "linkerd.io/inject": asked, "config.linkerd.io/default-inbound-policy": policy,
        })
    };
    let proven = "all-authenticated";
    for (namespace, template, wanted) in [
        (inject("enabled", proven), Value::Null, PROVEN),
        (inject("ingress", proven), Value::Null, PROVEN),
        (inject("disabled", proven), Value::Null, OUTSIDE),
        (inbound(proven), Value::Null, OUTSIDE),
        (Value::Null, inject("enabled", proven), PROVEN),
        (
            inject("enabled", proven),
            json!({ "linkerd.io/inject": "disabled" }),
            OUTSIDE,
        ),
        (
            inject("enabled", proven),
            inbound("all-unauthenticated"),
            OPEN,
        ),
        (json!({ "linkerd.io/inject": "enabled" }), Value::Null, OPEN),
    ] {
        let mut world = world(&json!({}), &[]);
        world.put(
            Kind::Namespace,
            json!({ "metadata": { "name": "shop", "annotations": namespace } }),
        );
        let pods = json!({
            "metadata": { "labels": { "app": "web" }, "annotations": template },
            "spec": { "containers": [{ "name": "web" }] },
        });
        world.put(
            Kind::Deployment,
            json!({
                "metadata": { "name": "web", "namespace": "shop" }, "spec": { "template": pods },
            }),
        );
        assert_eq!(judged(&mut world), wanted, "{namespace} {template}");
    }
}
