use serde_json::Value;

use super::*;
use crate::controls::testing::World;

/// Namespaces `shop` and `ops`, and a Deployment that serves 8080 (named `web`) in `shop`.
fn world() -> World {
    let named = |name| {
        let labels = json!({ "kubernetes.io/metadata.name": name, "team": name });
        json!({ "metadata": { "name": name, "labels": labels } })
    };
    World::new()
        .with(Kind::Namespace, named("shop"))
        .with(Kind::Namespace, named("ops"))
        .with(Kind::Deployment, deployment(&json!({})))
}

fn deployment(extra: &Value) -> Value {
    let mut container = json!({
        "name": "c", "ports": [{ "name": "web", "containerPort": 8080, "protocol": "TCP" }],
    });
    if let Some(port) = extra.get("hostPort") {
        container["ports"][0]["hostPort"] = port.clone();
    }
    let mut pod = json!({ "containers": [container] });
    if let Some(host) = extra.get("hostNetwork") {
        pod["hostNetwork"] = host.clone();
    }
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": pod });
    json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "replicas": 0, "template": template },
    })
}

fn policy(name: &str, ingress: &Value) -> Value {
    let spec = json!({
        "podSelector": { "matchLabels": { "app": "web" } },
        "policyTypes": ["Ingress"], "ingress": ingress,
    });
    json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

fn open(ingress: &Value) -> World {
    world().with(Kind::NetworkPolicy, policy("open", ingress))
}

fn judge(ingress: &Value) -> Verdict {
    open(ingress).only(&NoAllowAll::default())
}

fn service(kind: &str, target: &Value) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "type": kind, "selector": { "app": "web" },
                  "ports": [{ "port": 80, "targetPort": target }] },
    })
}

#[test]
fn sources_are_judged_by_what_they_mean() {
    let block = |cidr: &str| json!({ "ipBlock": { "cidr": cidr } });
    let names = |operator: &str, values: &[&str]| {
        let key = "kubernetes.io/metadata.name";
        json!({ "namespaceSelector": { "matchExpressions": [
            { "key": key, "operator": operator, "values": values },
        ] } })
    };
    for (from, reason) in [
        (json!([]), "AllowAll"),
        (json!([{ "namespaceSelector": {} }]), "AllowAll"),
        (json!([names("Exists", &[])]), "AllowAll"),
        (json!([names("In", &["shop", "ops"])]), "AllowAll"),
        (
            json!([names("In", &["shop"]), names("NotIn", &["shop"])]),
            "AllowAll",
        ),
        (
            json!([{ "podSelector": {} }, names("NotIn", &["shop"])]),
            "AllowAll",
        ),
        (
            json!([{ "namespaceSelector": {}, "podSelector": {} }]),
            "AllowAll",
        ),
        (
            json!([{ "namespaceSelector": {}, "podSelector": { "matchExpressions": [
                { "key": "x", "operator": "DoesNotExist" }] } }]),
            "AllowAll",
        ),
        (json!([block("0.0.0.0/0")]), "AllowAll"),
        (json!([block("::ffff:0:0/96")]), "AllowAll"),
        (json!([block("64:ff9b::/96")]), "AllowAll"),
        (json!([block("0.0.0.0/1")]), "AllowAll"),
        (
            json!([block("0.0.0.0/3"), block("128.0.0.0/3")]),
            "AllowAll",
        ),
        (json!([block("::/0")]), "AllowAll"),
        (
            json!([{ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] } }]),
            "AllowAll",
        ),
        (
            json!([{ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["0.0.0.0/1", "128.0.0.0/2"] } }]),
            "NoAllowAll",
        ),
        (json!([block("10.0.0.0/8")]), "NoAllowAll"),
        (json!([{ "podSelector": {} }]), "NoAllowAll"),
        (json!([names("In", &["ops"])]), "NoAllowAll"),
        (
            json!([{ "namespaceSelector": {}, "podSelector": { "matchLabels": { "a": "b" } } }]),
            "NoAllowAll",
        ),
    ] {
        assert_eq!(judge(&json!([{ "from": from }])).reason, reason, "{from}");
    }
}

#[test]
fn ports_limit_only_where_they_are_declared() {
    let cluster = json!([{ "namespaceSelector": {} }]);
    for (ports, reason) in [
        (json!([{ "port": 8080 }]), "NoAllowAll"),
        (json!([{ "port": "web" }]), "NoAllowAll"),
        (json!([{ "port": "gone" }]), "NoAllowAll"),
        (json!([{ "port": 9090 }]), "NoAllowAll"), // a Service's target
        (
            json!([{ "port": 8080 }, { "port": 22 }]),
            "AllowAllOnUndeclaredPorts",
        ),
        (
            json!([{ "port": 8080, "protocol": "UDP" }]),
            "AllowAllOnUndeclaredPorts",
        ),
        (
            json!([{ "port": 1, "endPort": 65535 }]),
            "AllowAllOnUndeclaredPorts",
        ),
        (json!([{ "protocol": "TCP" }]), "AllowAllOnUndeclaredPorts"),
        (
            json!([{ "protocol": "TCP" }, { "protocol": "UDP" }, { "protocol": "SCTP" }]),
            "AllowAll",
        ),
    ] {
        let mut world = open(&json!([{ "from": cluster, "ports": ports }]))
            .with(Kind::Service, service("ClusterIP", &json!(9090)));
        let verdict = world.only(&NoAllowAll::default());
        assert_eq!(verdict.reason, reason, "{ports}: {}", verdict.message);
    }
}

#[test]
fn anywhere_is_for_exposed_workloads() {
    let rules = json!([{ "ports": [{ "port": 8080 }] }]);
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let ingress = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "defaultBackend": backend },
    });
    let route = json!({
        "metadata": { "name": "web", "namespace": "ops" },
        "spec": { "parentRefs": [{ "name": "gw" }],
                  "rules": [{ "backendRefs": [{ "name": "web", "namespace": "shop" }] }] },
    });
    let gateway = json!({ "metadata": { "name": "gw", "namespace": "ops" }, "spec": {} });
    let inside = || service("ClusterIP", &json!("web"));
    let host_port = deployment(&json!({ "hostPort": 80 }));
    for (objects, passes) in [
        (vec![], false),
        (vec![(Kind::Service, inside())], false),
        (
            vec![(Kind::Service, service("LoadBalancer", &json!("web")))],
            true,
        ),
        (
            vec![(Kind::Service, service("NodePort", &json!(8080)))],
            true,
        ),
        (
            vec![(Kind::Service, inside()), (Kind::Ingress, ingress.clone())],
            true,
        ),
        (vec![(Kind::Ingress, ingress)], false),
        (
            vec![(Kind::Service, inside()), (Kind::HttpRoute, route.clone())],
            false,
        ),
        (
            vec![
                (Kind::Service, inside()),
                (Kind::HttpRoute, route.clone()),
                (Kind::Gateway, gateway.clone()),
            ],
            true,
        ),
        (
            vec![
                (Kind::Service, inside()),
                (Kind::GrpcRoute, route.clone()),
                (Kind::Gateway, gateway.clone()),
            ],
            true,
        ),
        (
            vec![
                (Kind::Service, inside()),
                (Kind::TlsRoute, route.clone()),
                (Kind::Gateway, gateway),
            ],
            true,
        ),
        (
            vec![(Kind::Service, inside()), (Kind::TlsRoute, route)],
            false,
        ),
        (vec![(Kind::Deployment, host_port)], true),
    ] {
        let mut world = open(&rules);
        let shown = format!("{objects:?}");
        for (kind, object) in objects {
            world.put(kind, object);
        }
        let reason = if passes {
            "NoAllowAll"
        } else {
            "AllowAnywhere"
        };
        assert_eq!(world.only(&NoAllowAll::default()).reason, reason, "{shown}");
        let strict = NoAllowAll {
            allow_for_exposed: false,
        };
        assert_eq!(world.only(&strict).reason, "AllowAnywhere", "{shown}");
    }
}

#[test]
fn the_guilty_policy_and_a_witness_are_named() {
    let everyone = json!([{ "from": [{ "namespaceSelector": {} }] }]);
    let verdict = open(&everyone)
        .with(Kind::NetworkPolicy, policy("deny", &json!([])))
        .with(
            Kind::NetworkPolicy,
            policy("web", &json!([{ "ports": [{ "port": 8080 }] }])),
        )
        .with(Kind::Service, service("LoadBalancer", &json!("web")))
        .only(&NoAllowAll::default());
    assert_eq!(
        verdict.message,
        "NetworkPolicy shop/open lets all pods of all namespaces reach every port"
    );
    assert!(verdict.remedy.is_none());
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains(r#"{"ports":[{"port":8080,"protocol":"TCP"}]}"#),
        "{proposal}"
    );
}

#[test]
fn policies_add_up() {
    let half = |cidr: &str| json!([{ "from": [{ "ipBlock": { "cidr": cidr } }] }]);
    let verdict = world()
        .with(Kind::NetworkPolicy, policy("low", &half("16.0.0.0/4")))
        .with(Kind::NetworkPolicy, policy("high", &half("32.0.0.0/3")))
        .with(Kind::NetworkPolicy, policy("other", &half("10.0.0.0/8")))
        .only(&NoAllowAll::default());
    assert_eq!(verdict.reason, "NoAllowAll");
    let verdict = world()
        .with(Kind::NetworkPolicy, policy("low", &half("0.0.0.0/3")))
        .with(Kind::NetworkPolicy, policy("high", &half("32.0.0.0/3")))
        .with(Kind::NetworkPolicy, policy("other", &half("10.0.0.0/8")))
        .only(&NoAllowAll::default());
    assert_eq!(
        verdict.message,
        "NetworkPolicies shop/high and shop/low let a quarter or more of the public addresses \
         reach every port"
    );
    assert!(
        verdict
            .proposal
            .unwrap()
            .contains(r#""from":[{"podSelector":{}}]"#)
    );
}

#[test]
fn what_nothing_isolates_is_found_elsewhere() {
    assert_eq!(world().only(&NoAllowAll::default()).reason, "NotIsolated");
    let egress = json!({ "podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}] });
    let other = json!({ "podSelector": { "matchLabels": { "app": "db" } }, "ingress": [{}] });
    for spec in [egress, other] {
        let object = json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": spec });
        let mut world = world().with(Kind::NetworkPolicy, object);
        assert_eq!(world.only(&NoAllowAll::default()).reason, "NotIsolated");
    }
}

#[test]
fn the_nodes_network_is_not_judged() {
    let host = deployment(&json!({ "hostNetwork": true }));
    let mut world = open(&json!([{}])).with(Kind::Deployment, host);
    assert_eq!(world.only(&NoAllowAll::default()).reason, "HostNetwork");
}

#[test]
fn a_policy_that_cannot_be_read_might_allow_all() {
    let bad =
        r#"{"type":"ADDED","object":{"metadata":{"name":"bad","namespace":"shop"},"spec":7}}"#;
    for (rules, reason) in [(json!([]), "PolicyNotReadable"), (json!([{}]), "AllowAll")] {
        let mut world = open(&rules);
        let applied = world
            .inventory
            .apply_line(Kind::NetworkPolicy, bad.as_bytes());
        assert!(applied.is_ok());
        assert_eq!(world.only(&NoAllowAll::default()).reason, reason);
    }
}

#[test]
fn a_custom_resources_pods_are_subjects() {
    let pod = json!({
        "metadata": { "name": "db-0", "namespace": "shop", "labels": { "app": "web" },
            "ownerReferences": [
                { "apiVersion": "example.com/v1", "kind": "Database", "name": "db", "controller": true },
            ] },
        "spec": { "containers": [{ "name": "c" }] },
    });
    let mut world = open(&json!([{}])).with(Kind::Pod, pod);
    let outcomes = world.outcomes(&NoAllowAll::default());
    let subjects: Vec<_> = outcomes
        .iter()
        .map(|(s, (_, reason))| (s.as_str(), *reason))
        .collect();
    assert_eq!(
        subjects,
        [
            ("Deployment shop/web", "AllowAll"),
            ("Pod shop/db-0", "AllowAll")
        ]
    );
}

#[test]
fn the_administrators_tier_opens_and_closes() {
    use crate::controls::network::fixtures::tier;

    let rule = |act: &str| json!([{ "action": act, "from": [{ "namespaces": {} }] }]);
    let judge = |rules: &Value, tiers: &[(&str, &str)]| {
        let mut world = open(rules);
        for (kind, act) in tiers {
            let tier = tier(act, kind, &rule(act), &json!([]));
            world.put(Kind::ClusterNetworkPolicy, tier);
        }
        world.only(&NoAllowAll::default())
    };
    let closed = json!([]);
    let cluster = json!([{ "from": [{ "namespaceSelector": {} }] }]);
    let verdict = judge(&closed, &[("Admin", "Accept")]);
    assert_eq!(
        verdict.message,
        "ClusterNetworkPolicy Accept lets all pods of all namespaces reach every port"
    );
    for (rules, tiers, reason) in [
        (&closed, ("Baseline", "Accept"), "NoAllowAll"),
        (&cluster, ("Admin", "Deny"), "NoAllowAll"),
        (&cluster, ("Baseline", "Deny"), "AllowAll"),
        (&cluster, ("Admin", "Pass"), "AllowAll"),
        // The tier knows no sources outside of the cluster.
        (&json!([{}]), ("Admin", "Deny"), "AllowAll"),
    ] {
        let verdict = judge(rules, &[tiers]);
        assert_eq!(
            verdict.reason, reason,
            "{rules} {tiers:?}: {}",
            verdict.message
        );
    }
}

#[test]
fn what_only_cilium_and_calico_can_judge_is_unknown() {
    use crate::controls::network::fixtures::{calico, cilium};

    let judge = |kind: Kind, object: Value, rules: &Value| {
        open(rules).with(kind, object).only(&NoAllowAll::default())
    };
    let cnp = Kind::CiliumNetworkPolicy;
    let everyone = json!({ "ingress": [{ "fromEntities": ["all"] }] });
    let unclear =
        json!({ "ingress": [{ "fromEndpoints": [{ "matchLabels": { "reserved:x": "" } }] }] });
    let denying = json!({ "ingressDeny": [{ "fromEntities": ["world"] }] });
    for (kind, object, rules, outcome) in [
        (cnp, cilium(&everyone), json!([]), Outcome::Fail),
        (cnp, cilium(&unclear), json!([]), Outcome::Unknown),
        (cnp, cilium(&denying), json!([{}]), Outcome::Unknown),
        (cnp, cilium(&denying), json!([]), Outcome::Pass),
        (
            Kind::CalicoGlobalNetworkPolicy,
            calico(),
            json!([]),
            Outcome::Unknown,
        ),
        (
            Kind::CalicoGlobalNetworkPolicy,
            calico(),
            json!([{}]),
            Outcome::Unknown,
        ),
    ] {
        let verdict = judge(kind, object.clone(), &rules);
        assert_eq!(
            verdict.outcome, outcome,
            "{object} {rules}: {}",
            verdict.message
        );
    }
}
