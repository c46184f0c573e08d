use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

fn service(spec: &Value, meta: &Value) -> Value {
    let mut object = json!({ "metadata": { "name": "web", "namespace": "shop" }, "spec": spec });
    object["spec"]["ports"] = json!([{ "port": 443 }, { "port": 80 }]);
    for (key, value) in meta.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    object
}

fn judge(kind: Kind, object: Value, control: &ExposureInventory) -> Verdict {
    World::new()
        .namespace("shop")
        .with(kind, object)
        .only(control)
}

fn of_service(spec: &Value, meta: &Value) -> Verdict {
    judge(
        Kind::Service,
        service(spec, meta),
        &ExposureInventory::default(),
    )
}

fn approved(how: &str) -> Value {
    json!({ "labels": { LABEL: how }, "annotations": { REASON: "the shop" } })
}

fn balancer() -> Value {
    json!({ "type": "LoadBalancer" })
}

#[test]
fn only_entry_points_are_subjects() {
    let mut world = World::new().namespace("shop").with(
        Kind::Service,
        service(&json!({ "type": "ClusterIP" }), &json!({})),
    );
    assert!(world.judge(&ExposureInventory::default()).is_empty());
}

#[test]
fn what_the_public_reaches_is_approved() {
    let none = json!({});
    let ports = json!({ "type": "NodePort" });
    let external = json!({ "type": "ClusterIP", "externalIPs": ["10.0.0.1"] });
    for (spec, meta, reason) in [
        (balancer(), none.clone(), "PublicNotApproved"),
        (balancer(), approved("approved-public"), "ApprovedPublic"),
        (
            balancer(),
            approved("approved-internal"),
            "LoadBalancerWithoutSourceRanges",
        ),
        (
            balancer(),
            json!({ "labels": { LABEL: "approved-public" } }),
            "ApprovalWithoutReason",
        ),
        (
            balancer(),
            json!({ "labels": { LABEL: "yes" } }),
            "PublicNotApproved",
        ),
        (ports.clone(), none.clone(), "NodePortNotApproved"),
        (
            ports.clone(),
            approved("approved-internal"),
            "ApprovedInternal",
        ),
        (ports, approved("approved-public"), "ApprovedPublic"),
        (external.clone(), none, "ExternalIPs"),
        (external, approved("approved-public"), "ExternalIPs"),
    ] {
        let verdict = of_service(&spec, &meta);
        assert_eq!(verdict.reason, reason, "{spec} {meta}: {}", verdict.message);
    }
}

#[test]
fn the_placeholder_of_the_proposed_command_is_no_reason() {
    let meta = |reason: &str| {
        let annotations = json!({ REASON: reason });
        json!({ "labels": { LABEL: "approved-public" }, "annotations": annotations })
    };
    let unknown = of_service(&balancer(), &json!({}));
    let command = format!("'{REASON}={PLACEHOLDER}'");
    assert!(unknown.proposal.unwrap().contains(&command), "{command}");
    for (reason, is) in [
        (PLACEHOLDER.to_owned(), "ApprovalWithoutReason"),
        (format!(" {PLACEHOLDER} "), "ApprovalWithoutReason"),
        ("the shop".to_owned(), "ApprovedPublic"),
    ] {
        let verdict = of_service(&balancer(), &meta(&reason));
        assert_eq!(verdict.reason, is, "{reason}: {}", verdict.message);
    }
}

#[test]
fn what_goes_inside_loses_its_source_ranges() {
    let ranges = json!(["0.0.0.0/0"]);
    let spec = json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ranges });
    let proposal = of_service(&spec, &json!({})).proposal.unwrap();
    let patch = json!({ "spec": { "type": "ClusterIP", "loadBalancerSourceRanges": null } });
    assert!(proposal.contains(&patch.to_string()), "{proposal}");
}

#[test]
fn source_ranges_and_clouds_make_a_balancer_internal() {
    let ranges =
        |ranges: &[&str]| json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ranges });
    let annotation = |key: &str, value: &str| json!({ "annotations": { key: value } });
    let azure = "service.beta.kubernetes.io/azure-load-balancer-internal";
    for (spec, meta, outcome) in [
        (ranges(&["203.0.113.0/24"]), json!({}), Outcome::Pass),
        (
            ranges(&["10.0.0.0/8", "192.168.0.0/16"]),
            json!({}),
            Outcome::Pass,
        ),
        (ranges(&["0.0.0.0/0"]), json!({}), Outcome::Fail),
        (
            ranges(&["0.0.0.0/1", "128.0.0.0/1"]),
            json!({}),
            Outcome::Fail,
        ),
        (ranges(&["office"]), json!({}), Outcome::Fail),
        (balancer(), annotation(azure, "true"), Outcome::Pass),
        (balancer(), annotation(azure, "false"), Outcome::Fail),
        (
            balancer(),
            annotation("networking.gke.io/load-balancer-type", "Internal"),
            Outcome::Pass,
        ),
        (
            balancer(),
            annotation(
                "service.beta.kubernetes.io/aws-load-balancer-scheme",
                "internet-facing",
            ),
            Outcome::Fail,
        ),
        // The newer annotation decides.
        (
            balancer(),
            json!({ "annotations": {
                "service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
                "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
            } }),
            Outcome::Fail,
        ),
        (
            balancer(),
            annotation(
                "service.beta.kubernetes.io/aws-load-balancer-internal",
                "true",
            ),
            Outcome::Pass,
        ),
        (
            balancer(),
            json!({ "annotations": {
                "networking.gke.io/load-balancer-type": "External",
                "cloud.google.com/load-balancer-type": "Internal",
            } }),
            Outcome::Fail,
        ),
    ] {
        let verdict = of_service(&spec, &meta);
        assert_eq!(
            verdict.outcome, outcome,
            "{spec} {meta}: {}",
            verdict.message
        );
    }
}

#[test]
fn each_cloud_reads_its_annotations_in_its_own_words() {
    let oracle = "service.beta.kubernetes.io/oci-load-balancer-internal";
    let network = "oci-network-load-balancer.oraclecloud.com/internal";
    let kind = "oci.oraclecloud.com/load-balancer-type";
    let alibaba = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
    let alicloud = "service.beta.kubernetes.io/alicloud-loadbalancer-address-type";
    let scaleway = "service.beta.kubernetes.io/scw-loadbalancer-private";
    let foreign = "service.beta.kubernetes.io/scw-loadbalancer-externally-managed";
    let amazon = "service.beta.kubernetes.io/aws-load-balancer-internal";
    let scheme = "service.beta.kubernetes.io/aws-load-balancer-scheme";
    let azure = "service.beta.kubernetes.io/azure-load-balancer-internal";
    let ocean = "service.beta.kubernetes.io/do-loadbalancer-network";
    let says_true = |key: &str| InternalAnnotation {
        key: key.to_owned(),
        value: "true".to_owned(),
    };
    // A policy that lists what a cloud knows has it heed no more than before.
    let listing = ExposureInventory {
        internal_annotations: [oracle, network, scaleway, amazon].map(says_true).to_vec(),
        ..ExposureInventory::default()
    };
    for (annotations, outcome) in [
        (json!({ oracle: "T" }), Outcome::Pass),
        (json!({ oracle: "yes" }), Outcome::Fail),
        (json!({ oracle: "true", kind: "NLB" }), Outcome::Fail),
        (json!({ network: "true" }), Outcome::Fail),
        (json!({ network: "true", kind: "nlb" }), Outcome::Pass),
        (json!({ alicloud: "intranet" }), Outcome::Pass),
        (
            json!({ alicloud: "intranet", alibaba: "internet" }),
            Outcome::Fail,
        ),
        (json!({ scaleway: "1" }), Outcome::Pass),
        (json!({ scaleway: "true", foreign: "true" }), Outcome::Fail),
        (json!({ amazon: "0.0.0.0/0" }), Outcome::Pass),
        (json!({ amazon: "False" }), Outcome::Fail),
        (
            json!({ amazon: "true", scheme: "internet-facing" }),
            Outcome::Fail,
        ),
        (json!({ azure: "True" }), Outcome::Fail),
        (json!({ ocean: "INTERNAL" }), Outcome::Pass),
    ] {
        for control in [&ExposureInventory::default(), &listing] {
            let object = service(&balancer(), &json!({ "annotations": annotations }));
            let verdict = judge(Kind::Service, object, control);
            let message = verdict.message;
            assert_eq!(verdict.outcome, outcome, "{annotations}: {message}");
        }
    }
}

#[test]
fn the_class_of_a_balancer_goes_before_its_annotations() {
    let of_class = |class: &str, meta: &Value| {
        let spec = json!({ "type": "LoadBalancer", "loadBalancerClass": class });
        of_service(&spec, meta).outcome
    };
    let internal = json!({ "annotations": { "networking.gke.io/load-balancer-type": "Internal" } });
    for (class, meta, outcome) in [
        (
            "networking.gke.io/l4-regional-internal",
            json!({}),
            Outcome::Pass,
        ),
        (
            "networking.gke.io/l4-regional-external",
            internal.clone(),
            Outcome::Fail,
        ),
        ("other.example/class", internal, Outcome::Pass),
    ] {
        assert_eq!(of_class(class, &meta), outcome, "{class}");
    }
}

#[test]
fn a_balancer_opens_ports_on_nodes_too() {
    let without = json!({ "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false });
    let message = |spec: &Value| of_service(spec, &json!({})).message;
    assert_eq!(
        message(&balancer()),
        "a load balancer lets the public reach ports 443, 80 (every node opens a port for it as \
         well), and nobody has approved it"
    );
    assert!(!message(&without).contains("every node"));
}

#[test]
fn istio_makes_the_service_that_an_annotation_asks_for() {
    for (class, service, reason) in [
        ("istio-waypoint", None, "Internal"),
        ("istio-waypoint", Some("LoadBalancer"), "PublicNotApproved"),
        ("istio", Some("ClusterIP"), "Internal"),
        ("istio", Some("NodePort"), "NodePortNotApproved"),
        ("istio", None, "PublicNotApproved"),
        // Nobody else reads it.
        ("nginx", Some("ClusterIP"), "PublicNotApproved"),
    ] {
        let listener = json!({ "name": "mesh", "protocol": "HBONE", "port": 15008 });
        let object = json!({
            "metadata": { "name": "gw", "namespace": "shop",
                "annotations": { "networking.istio.io/service-type": service } },
            "spec": { "gatewayClassName": class, "listeners": [listener] },
        });
        let verdict = judge(Kind::Gateway, object, &ExposureInventory::default());
        assert_eq!(verdict.reason, reason, "{class} {service:?}");
    }
}

#[test]
fn a_host_port_on_loopback_is_no_entry_point() {
    for (address, subjects) in [("127.0.0.1", 0), ("::1", 0), ("0.0.0.0", 1), ("", 1)] {
        let port = json!({ "containerPort": 80, "hostPort": 80, "hostIP": address });
        let pod = json!({ "containers": [{ "name": "c", "ports": [port] }] });
        let mut world = World::new().namespace("shop").with(
            Kind::Deployment,
            json!({
                "metadata": { "name": "web", "namespace": "shop" },
                "spec": { "template": { "spec": pod } },
            }),
        );
        let found = world.judge(&ExposureInventory::default()).len();
        assert_eq!(found, subjects, "{address}");
    }
}

#[test]
fn parameters_list_what_is_approved() {
    let entry = |port: Option<u16>, kind: Option<&str>| ApprovedEntry {
        namespace: "shop".into(),
        name: "web".into(),
        kind: kind.map(str::to_owned),
        port,
        reason: None,
    };
    for (approved, outcome) in [
        (vec![entry(None, None)], Outcome::Pass),
        (vec![entry(None, Some("Service"))], Outcome::Pass),
        (vec![entry(None, Some("Gateway"))], Outcome::Fail),
        // Each port that is open has to be listed.
        (vec![entry(Some(443), None)], Outcome::Fail),
        (
            vec![entry(Some(443), None), entry(Some(80), None)],
            Outcome::Pass,
        ),
    ] {
        let control = ExposureInventory {
            approved,
            ..ExposureInventory::default()
        };
        let verdict = judge(Kind::Service, service(&balancer(), &json!({})), &control);
        assert_eq!(verdict.outcome, outcome, "{control:?}");
    }
    let lax = ExposureInventory {
        require_source_ranges: false,
        ..ExposureInventory::default()
    };
    let internal = service(&balancer(), &approved("approved-internal"));
    assert_eq!(
        judge(Kind::Service, internal, &lax).reason,
        "ApprovedInternal"
    );
}

#[test]
fn an_ingress_is_served_at_80_and_443() {
    let ingress = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "ingressClassName": "nginx", "rules": [{ "host": "shop.example" }] },
    });
    let entry = |port| ApprovedEntry {
        namespace: "shop".into(),
        name: "web".into(),
        kind: Some("Ingress".into()),
        port: Some(port),
        reason: None,
    };
    for (ports, outcome) in [(&[443][..], Outcome::Fail), (&[80, 443], Outcome::Pass)] {
        let control = ExposureInventory {
            approved: ports.iter().map(|port| entry(*port)).collect(),
            ..ExposureInventory::default()
        };
        let verdict = judge(Kind::Ingress, ingress.clone(), &control);
        assert_eq!(verdict.outcome, outcome, "{ports:?}");
    }
}

#[test]
fn ingresses_and_gateways_are_entry_points() {
    let ingress = |class: &str, annotations: &Value| {
        json!({
            "metadata": { "name": "web", "namespace": "shop", "annotations": annotations },
            "spec": { "ingressClassName": class, "rules": [{ "host": "shop.example" }] },
        })
    };
    let gateway = |class: &str| {
        json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "gatewayClassName": class, "listeners": [
                { "name": "a", "protocol": "HTTPS", "port": 443 }] },
        })
    };
    let alb = json!({ "alb.ingress.kubernetes.io/scheme": "internal" });
    let control = ExposureInventory {
        internal_classes: vec!["inside".into()],
        ..ExposureInventory::default()
    };
    for (kind, object, outcome) in [
        (Kind::Ingress, ingress("nginx", &json!({})), Outcome::Fail),
        (Kind::Ingress, ingress("alb", &alb), Outcome::Pass),
        (Kind::Ingress, ingress("inside", &json!({})), Outcome::Pass),
        (Kind::Gateway, gateway("istio"), Outcome::Fail),
        (Kind::Gateway, gateway("gke-l7-rilb"), Outcome::Pass),
        (Kind::Gateway, gateway("inside"), Outcome::Pass),
    ] {
        let shown = object.to_string();
        let verdict = judge(kind, object, &control);
        assert_eq!(verdict.outcome, outcome, "{shown}: {}", verdict.message);
    }
}

#[test]
fn what_a_gateway_made_is_judged_by_the_gateway() {
    let owner = json!({ "ownerReferences": [
        { "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "gw",
          "controller": true }] });
    let verdict = of_service(&balancer(), &owner);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "PartOfGateway")
    );
}

#[test]
fn a_host_port_is_an_entry_point() {
    let ports = json!([{ "containerPort": 80, "hostPort": 8080 }]);
    let pod = json!({ "containers": [{ "name": "c", "ports": ports }] });
    let mut object = json!({
        "metadata": { "name": "web", "namespace": "shop" }, "spec": { "template": { "spec": pod } },
    });
    let control = ExposureInventory::default();
    let verdict = judge(Kind::DaemonSet, object.clone(), &control);
    assert_eq!(verdict.reason, "NodePortNotApproved");
    object["metadata"]["labels"] = approved("approved-internal")["labels"].clone();
    object["metadata"]["annotations"] = approved("")["annotations"].clone();
    assert_eq!(
        judge(Kind::DaemonSet, object, &control).outcome,
        Outcome::Pass
    );
}

#[test]
fn a_policy_may_name_an_annotation_that_makes_load_balancers_internal() {
    let balancer = |value: &str| {
        let object = json!({
            "metadata": {
                "name": "lb", "namespace": "shop",
                "annotations": { "lb.example.com/visibility": value },
            },
            "spec": { "type": "LoadBalancer", "ports": [{ "port": 443 }] },
        });
        World::new().namespace("shop").with(Kind::Service, object)
    };
    let control = ExposureInventory {
        internal_annotations: vec![InternalAnnotation {
            key: "lb.example.com/visibility".to_owned(),
            value: "private".to_owned(),
        }],
        ..ExposureInventory::default()
    };
    assert_eq!(balancer("Private").only(&control).reason, "Internal");
    let public = balancer("public").only(&control);
    assert_eq!(public.reason, "PublicNotApproved");
    let unnamed = balancer("private").only(&ExposureInventory::default());
    assert_eq!(unnamed.reason, "PublicNotApproved");
}
