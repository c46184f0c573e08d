#![allow(
    clippy::needless_pass_by_value,
    reason = "literals read better without a borrow each"
)]

use serde_json::{Value, json};

use super::*;
use crate::{controls::testing::World, verdict::Outcome};

#[test]
fn wildcards_of_gateways_span_labels() {
    for (a, b, wanted) in [
        ("a.example", "a.example", true),
        ("a.example", "b.example", false),
        ("*.example", "a.example", true),
        ("a.b.example", "*.example", true),
        ("*.example", "example", false),
        ("*.b.example", "*.example", true),
        ("*.b.example", "*.c.example", false),
    ] {
        assert_eq!(intersects(a, b), wanted, "{a} {b}");
    }
}

fn gateway(listener: Value) -> Value {
    json!({
        "metadata": { "name": "edge", "namespace": "shop" },
        "spec": { "gatewayClassName": "x", "listeners": [listener] },
    })
}

fn http() -> Value {
    json!({ "name": "l", "protocol": "HTTP", "port": 80 })
}

fn route(parent: Value, rule: Value) -> Value {
    json!({
        "metadata": { "name": "r", "namespace": "shop" },
        "spec": { "parentRefs": [parent], "rules": [rule] },
    })
}

fn to_edge() -> Value {
    json!({ "name": "edge", "namespace": "shop" })
}

fn redirect(scheme: &str) -> Value {
    json!({ "filters": [{ "type": "RequestRedirect", "requestRedirect": { "scheme": scheme } }] })
}

fn listener(listener: Value, routes: &[Value]) -> (Outcome, &'static str) {
    let mut world = World::new().namespace("shop").namespace("other");
    world.put(Kind::Gateway, gateway(listener));
    for route in routes {
        world.put(Kind::HttpRoute, route.clone());
    }
    let outcomes = world.outcomes(&IngressTls::default());
    assert_eq!(outcomes.len(), 1);
    outcomes["Listener shop/edge/l"]
}

#[test]
fn gke_takes_certificates_from_a_map() {
    let https = |protocol: &str| json!({ "name": "l", "protocol": protocol, "port": 443 });
    for (class, protocol, map, wanted) in [
        (
            "gke-l7-global-external-managed",
            "HTTPS",
            "m",
            "TlsDeclared",
        ),
        ("gke-l7-gxlb", "HTTPS", "", "ListenerWithoutCertificate"),
        ("gke-l7-gxlb", "TLS", "m", "ListenerWithoutCertificate"),
        ("edge", "HTTPS", "m", "CertificateNotVisible"),
    ] {
        let mut object = gateway(https(protocol));
        object["spec"]["gatewayClassName"] = json!(class);
        object["metadata"]["annotations"] = json!({ "networking.gke.io/certmap": map });
        let mut world = World::new().namespace("shop").with(Kind::Gateway, object);
        let verdict = world.only(&IngressTls::default());
        assert_eq!(verdict.reason, wanted, "{class} {protocol} {map:?}");
    }
}

#[test]
fn listeners_end_tls_or_hand_it_through() {
    let options = |key: &str, value: &str| json!({ "options": { key: value } });
    for (protocol, tls, wanted) in [
        (
            "HTTPS",
            json!({ "certificateRefs": [{ "name": "c" }] }),
            "TlsDeclared",
        ),
        (
            "HTTPS",
            json!({ "certificateRefs": [] }),
            "ListenerWithoutCertificate",
        ),
        ("HTTPS", json!(null), "ListenerWithoutCertificate"),
        // Options name certificates if they are known to.
        (
            "HTTPS",
            options("example.com/min-tls", "1.2"),
            "CertificateNotVisible",
        ),
        (
            "HTTPS",
            options("networking.gke.io/pre-shared-certs", "a"),
            "TlsDeclared",
        ),
        (
            "HTTPS",
            options("networking.gke.io/pre-shared-certs", ""),
            "ListenerWithoutCertificate",
        ),
        (
            "HTTPS",
            options("gateway.istio.io/tls-terminate-mode", "ISTIO_MUTUAL"),
            "TlsDeclared",
        ),
        (
            "HTTPS",
            options("gateway.istio.io/tls-terminate-mode", "SIMPLE"),
            "ListenerWithoutCertificate",
        ),
        ("HBONE", json!(null), "MutualTls"),
        ("TLS", json!({ "mode": "Passthrough" }), "Passthrough"),
        ("TCP", json!(null), "NotHttp"),
        ("example.com/own", json!(null), "ProtocolNotKnown"),
    ] {
        let spec = json!({ "name": "l", "protocol": protocol, "port": 443, "tls": tls });
        assert_eq!(listener(spec, &[]).1, wanted, "{protocol} {tls}");
    }
}

#[test]
fn plain_listeners_only_redirect() {
    let mut solver = route(to_edge(), json!({}));
    solver["metadata"]["labels"] = json!({ "acme.cert-manager.io/http01-solver": "true" });
    for (routes, wanted) in [
        (&[][..], "NoRoutes"),
        (&[route(to_edge(), redirect("https"))], "RedirectsOnly"),
        (&[route(to_edge(), redirect("http"))], "PlainHttpRoute"),
        (
            &[route(
                to_edge(),
                json!({ "backendRefs": [{ "name": "web" }] }),
            )],
            "PlainHttpRoute",
        ),
        (&[solver], "RedirectsOnly"),
        (&[route(json!({ "name": "other" }), json!({}))], "NoRoutes"),
        (
            &[route(
                json!({ "name": "edge", "sectionName": "https" }),
                json!({}),
            )],
            "NoRoutes",
        ),
        (
            &[route(
                json!({ "name": "edge", "sectionName": "l" }),
                json!({}),
            )],
            "PlainHttpRoute",
        ),
        (
            &[route(json!({ "name": "edge", "port": 8080 }), json!({}))],
            "NoRoutes",
        ),
        (
            &[route(
                json!({ "name": "edge", "kind": "Service" }),
                json!({}),
            )],
            "NoRoutes",
        ),
    ] {
        assert_eq!(listener(http(), routes).1, wanted, "{routes:?}");
    }
}

#[test]
fn namespaces_and_host_names_decide_what_attaches() {
    let with = |from: Value| {
        let mut listener = http();
        listener["allowedRoutes"] = json!({ "namespaces": from });
        listener
    };
    let mut other = route(to_edge(), json!({}));
    other["metadata"]["namespace"] = json!("other");
    let label = |name| json!({ "matchLabels": { "kubernetes.io/metadata.name": name } });
    for (from, wanted) in [
        (json!({}), "NoRoutes"),
        (json!({ "from": "Same" }), "NoRoutes"),
        (json!({ "from": "None" }), "NoRoutes"),
        (json!({ "from": "All" }), "PlainHttpRoute"),
        (
            json!({ "from": "Selector", "selector": label("shop") }),
            "NoRoutes",
        ),
        (
            json!({ "from": "Selector", "selector": {} }),
            "PlainHttpRoute",
        ),
    ] {
        assert_eq!(
            listener(with(from.clone()), &[other.clone()]).1,
            wanted,
            "{from}"
        );
    }
    let mut narrow = http();
    narrow["hostname"] = json!("*.a.example");
    let mut route = route(to_edge(), json!({}));
    route["spec"]["hostnames"] = json!(["b.example"]);
    assert_eq!(listener(narrow.clone(), &[route.clone()]).1, "NoRoutes");
    route["spec"]["hostnames"] = json!(["b.example", "x.y.a.example"]);
    assert_eq!(listener(narrow, &[route]).1, "PlainHttpRoute");
}

#[test]
fn a_route_that_cannot_be_read_is_not_a_redirect() {
    let mut broken = route(to_edge(), json!({}));
    broken["spec"]["rules"] = json!("nonsense");
    assert_eq!(
        listener(http(), &[broken]),
        (Outcome::Unknown, "RouteNotReadable")
    );
}

#[test]
fn routes_of_grpc_count_like_those_of_http() {
    let judge = |listener: Value, route: Value| {
        let mut world = World::new().namespace("shop");
        world.put(Kind::Gateway, gateway(listener));
        world.put(Kind::GrpcRoute, route);
        world.only(&IngressTls::default())
    };
    let serving = || route(to_edge(), json!({ "backendRefs": [{ "name": "web" }] }));
    let verdict = judge(http(), serving());
    assert_eq!(verdict.reason, "PlainHttpRoute");
    assert_eq!(verdict.message, "plain HTTP is served by GRPCRoute shop/r");
    let elsewhere = route(json!({ "name": "other" }), json!({}));
    assert_eq!(judge(http(), elsewhere).reason, "NoRoutes");
    // A listener may take some kinds only.
    for (kinds, reason) in [
        (json!([{ "kind": "HTTPRoute" }]), "NoRoutes"),
        (
            json!([{ "kind": "HTTPRoute" }, { "kind": "GRPCRoute" }]),
            "PlainHttpRoute",
        ),
        (json!([]), "PlainHttpRoute"),
    ] {
        let mut listener = http();
        listener["allowedRoutes"] = json!({ "kinds": kinds });
        assert_eq!(judge(listener, serving()).reason, reason, "{kinds}");
    }
    let broken = json!({
        "metadata": { "name": "r", "namespace": "shop" }, "spec": { "parentRefs": 7 },
    });
    assert_eq!(judge(http(), broken).reason, "RouteNotReadable");
}

/// A set of one listener for a Gateway that lets sets in from these namespaces, and its routes.
fn set(kind: Kind, from: &str, listener: Value, routes: &[Value]) -> (Outcome, &'static str) {
    let mut edge = gateway(json!({ "name": "l", "protocol": "HTTP", "port": 80 }));
    edge["spec"]["allowedListeners"] = json!({ "namespaces": { "from": from } });
    if from.is_empty() {
        edge["spec"]["allowedListeners"] = Value::Null;
    }
    let mut world = World::new().namespace("shop").namespace("other");
    world.put(Kind::Gateway, edge);
    let object = json!({
        "metadata": { "name": "more", "namespace": "other" },
        "spec": { "parentRef": to_edge(), "listeners": [listener] },
    });
    world.put(kind, object);
    for route in routes {
        world.put(Kind::HttpRoute, route.clone());
    }
    let outcomes = world.outcomes(&IngressTls::default());
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes["Listener shop/edge/l"].1, "NoRoutes");
    let name = kind.info().kind.to_ascii_lowercase();
    outcomes[&format!("Listener other/{name}/more/l")]
}

#[test]
fn listeners_that_a_set_adds_are_judged_where_the_gateway_takes_them() {
    use Outcome::{Fail, NotApplicable, Pass};
    let https = |tls: Value| json!({ "name": "l", "protocol": "HTTPS", "port": 443, "tls": tls });
    let certificate = || https(json!({ "certificateRefs": [{ "name": "c" }] }));
    for kind in [Kind::ListenerSet, Kind::XListenerSet] {
        let judged = |from, listener| set(kind, from, listener, &[]);
        assert_eq!(judged("All", certificate()), (Pass, "TlsDeclared"));
        assert_eq!(
            judged("All", https(Value::Null)),
            (Fail, "ListenerWithoutCertificate")
        );
        // By default a Gateway takes none.
        for from in ["Same", "None", ""] {
            let left = (NotApplicable, "SetNotAttached");
            assert_eq!(judged(from, https(Value::Null)), left, "{from}");
        }
        // Its routes name the set; those that name the Gateway attach to the Gateway alone.
        let named = kind.info().kind;
        let parent = json!({ "kind": named, "name": "more", "namespace": "other" });
        let open = json!({ "name": "l", "protocol": "HTTP", "port": 80,
            "allowedRoutes": { "namespaces": { "from": "All" } } });
        let plain = set(
            kind,
            "All",
            open.clone(),
            &[route(parent.clone(), json!({}))],
        );
        assert_eq!(plain, (Fail, "PlainHttpRoute"));
        let redirecting = [route(parent, redirect("https"))];
        assert_eq!(
            set(kind, "All", open, &redirecting),
            (Pass, "RedirectsOnly")
        );
    }
}
