//! Certificates that lie outside of the cluster, or that a controller has issued.

use super::*;

#[test]
fn clouds_take_certificates_by_annotation() {
    let alb = "ingress.k8s.aws/alb";
    let arn = "alb.ingress.kubernetes.io/certificate-arn";
    let ports = "alb.ingress.kubernetes.io/listen-ports";
    let both = r#"[{"HTTP":80},{"HTTPS":443}]"#;
    let gke = "networking.gke.io/managed-certificates";
    let app = "appgw.ingress.kubernetes.io/appgw-ssl-certificate";
    for (controller, annotations, wanted) in [
        (alb, json!({ arn: "arn:x" }), "TlsDeclared"),
        (alb, json!({}), "HostWithoutTls"),
        (alb, json!({ arn: "arn:x", ports: both }), NO_REDIRECT),
        (
            alb,
            json!({ arn: "arn:x", ports: r#"[{"HTTP":80}]"# }),
            "HostWithoutTls",
        ),
        (
            alb,
            json!({ arn: "arn:x", ports: both, "alb.ingress.kubernetes.io/ssl-redirect": "443" }),
            "TlsDeclared",
        ),
        (
            "networking.gke.io/ingress-controller",
            json!({ gke: "cert", "kubernetes.io/ingress.allow-http": "false" }),
            "TlsDeclared",
        ),
        (
            "networking.gke.io/ingress-controller",
            json!({ gke: "cert" }),
            NO_REDIRECT,
        ),
        (
            "networking.gke.io/ingress-controller",
            json!({ gke: "cert", "networking.gke.io/v1beta1.FrontendConfig": "f" }),
            "RedirectNotVisible",
        ),
        // Of an Ingress, nobody reads the map that a Gateway may name.
        (
            "networking.gke.io/ingress-controller",
            json!({ "networking.gke.io/certmap": "m", "kubernetes.io/ingress.allow-http": "false" }),
            "HostWithoutTls",
        ),
        (
            "azure/application-gateway",
            json!({ app: "cert", "appgw.ingress.kubernetes.io/ssl-redirect": "true" }),
            "TlsDeclared",
        ),
        (
            "traefik.io/ingress-controller",
            json!({ "traefik.ingress.kubernetes.io/router.tls.certresolver": "le" }),
            "TlsDeclared",
        ),
        (
            "traefik.io/ingress-controller",
            json!({ "traefik.ingress.kubernetes.io/router.tls": "true" }),
            "HostWithoutTls",
        ),
        // The annotation of another controller means nothing.
        (NGINX, json!({ arn: "arn:x" }), "HostWithoutTls"),
    ] {
        let object = annotated(ingress(&["a.example"], json!(null)), annotations.clone());
        assert_eq!(
            reason(served_by(controller), object),
            wanted,
            "{controller} {annotations}"
        );
    }
}

#[test]
fn gke_manages_no_certificates_for_the_inside() {
    for (class, annotation, wanted) in [
        (
            "gce",
            "networking.gke.io/managed-certificates",
            "TlsDeclared",
        ),
        (
            "gce",
            "ingress.gcp.kubernetes.io/pre-shared-cert",
            "TlsDeclared",
        ),
        (
            "gce-internal",
            "networking.gke.io/managed-certificates",
            "HostWithoutTls",
        ),
        (
            "gce-internal",
            "ingress.gcp.kubernetes.io/pre-shared-cert",
            "TlsDeclared",
        ),
    ] {
        let annotations = json!({
            "kubernetes.io/ingress.class": class, annotation: "c",
            "kubernetes.io/ingress.allow-http": "false",
        });
        let mut object = annotated(ingress(&["a.example"], json!(null)), annotations);
        object["spec"]["ingressClassName"] = Value::Null;
        assert_eq!(reason(World::new(), object), wanted, "{class} {annotation}");
    }
}

#[test]
fn haproxys_controller_reads_annotations_by_three_prefixes() {
    for prefix in ["haproxy.org", "haproxy.com", "ingress.kubernetes.io"] {
        let through = json!({ format!("{prefix}/ssl-passthrough"): "true" });
        let object = annotated(ingress(&["a.example"], json!(null)), through);
        let world = served_by("haproxy.org/ingress-controller/haproxy");
        assert_eq!(reason(world, object), "Passthrough", "{prefix}");
    }
}
