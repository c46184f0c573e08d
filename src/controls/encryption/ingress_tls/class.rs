//! What is known of the controllers that serve Ingresses: who takes certificates from where, and
//! who redirects when.

use std::cmp::Reverse;

use serde_json::Value;

use crate::inventory::{Inventory, Object, ingress::Ingress, meta::Labels};

/// An implementation of Ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    IngressNginx,
    F5Nginx,
    Traefik,
    HaproxyTech,
    HaproxyIngress,
    Contour,
    Alb,
    Gke,
    AppGateway,
    Unknown,
}

/// The class that serves an Ingress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class<'a> {
    /// Its name; `None` where the Ingress names none and the cluster has no default.
    pub(super) name: Option<&'a str>,
    pub(super) controller: Controller,
    /// Whether its class refers to parameters, which are not read.
    parameters: bool,
}

impl<'a> Class<'a> {
    /// The class of an Ingress, the cluster's default where it names none.
    pub(super) fn of(inventory: &'a Inventory, ingress: &'a Ingress) -> Self {
        let name = ingress.class.as_deref().or_else(|| default(inventory));
        let class = name.and_then(|name| inventory.tables.ingress_classes.get("", name));
        let controller = match (class, name) {
            (Some(class), _) => controller(&class.spec.controller),
            // These controllers are chosen by annotation, without any IngressClass.
            (None, Some("alb")) => Controller::Alb,
            (None, Some("gce" | "gce-internal")) => Controller::Gke,
            (None, Some("azure/application-gateway")) => Controller::AppGateway,
            (None, _) => Controller::Unknown,
        };
        Self {
            name,
            controller,
            parameters: class.is_some_and(|class| class.spec.parameters),
        }
    }

    /// Whether its parameters may name certificates (`IngressClassParams.spec.certificateArn`).
    pub(super) fn may_certify(self) -> bool {
        self.controller == Controller::Alb && self.parameters
    }
}

/// The hosts that an Ingress serves; an empty one is every other host. A default backend serves
/// those, also beside rules; only these controllers take it for a fallback within its hosts
/// (`createServers` of ingress-nginx; `generateNginxCfg` in nginx/kubernetes-ingress,
/// `internal/configs/ingress.go`, which gives each host without a rule for `/` one), or ignore it
/// (`loadConfigurationFromIngresses` in traefik/traefik, `pkg/provider/kubernetes/ingress`, which
/// reads it where there are no rules).
pub(super) fn served<'a>(class: Class<'_>, ingress: &'a Ingress) -> Vec<&'a str> {
    let mut hosts: Vec<&str> = ingress.hosts.iter().map(|host| &**host).collect();
    let by_rules_only = matches!(
        class.controller,
        Controller::IngressNginx | Controller::F5Nginx | Controller::Traefik
    );
    let others = ingress.default_backend && !hosts.is_empty() && !by_rules_only;
    if others && !hosts.contains(&"") {
        hosts.push("");
    }
    hosts
}

/// The default class: of several, the newest, as the API server chooses.
fn default(inventory: &Inventory) -> Option<&str> {
    let classes = inventory.tables.ingress_classes.iter();
    classes
        .filter(|class| {
            let mark = "ingressclass.kubernetes.io/is-default-class";
            class.meta.annotations.get(mark) == Some("true")
        })
        .max_by_key(|class| (class.meta.created, Reverse(&class.meta.name)))
        .map(|class| &*class.meta.name)
}

/// The implementation behind `IngressClass.spec.controller`, by the names in their code: `DefaultControllerName` of
/// kubernetes/ingress-nginx, `IngressControllerName` of nginx/kubernetes-ingress, `traefikDefaultIngressClassController` of
/// traefik/traefik, `controllerName` in jcmoraisjr/haproxy-ingress (`pkg/controller/config`), `CONTROLLER` of
/// haproxytech/kubernetes-ingress (`pkg/store`), `IngressClassControllerALB` of aws-load-balancer-controller,
/// `DefaultIngressClassController` of Azure/application-gateway-kubernetes-ingress.
fn controller(name: &str) -> Controller {
    match name {
        "k8s.io/ingress-nginx" => Controller::IngressNginx,
        // AKS runs it for its add-on (Azure/aks-app-routing-operator, `pkg/manifests`).
        _ if name.starts_with("webapprouting.kubernetes.azure.com/nginx") => {
            Controller::IngressNginx
        }
        "nginx.org/ingress-controller" => Controller::F5Nginx,
        "traefik.io/ingress-controller" => Controller::Traefik,
        "haproxy-ingress.github.io/controller" => Controller::HaproxyIngress,
        "ingress.k8s.aws/alb" | "eks.amazonaws.com/alb" => Controller::Alb,
        "azure/application-gateway" => Controller::AppGateway,
        "networking.gke.io/ingress-controller" => Controller::Gke,
        _ if name.starts_with("haproxy.org/ingress-controller") => Controller::HaproxyTech,
        _ if name.starts_with("projectcontour.io/") => Controller::Contour,
        _ => Controller::Unknown,
    }
}

/// Whether the controller takes its certificates for all hosts from somewhere that the
/// annotations name, outside the cluster.
pub(super) fn certified(class: Class<'_>, annotations: &Labels) -> bool {
    let has = |key| annotations.get(key).is_some_and(|value| !value.is_empty());
    match class.controller {
        // With an HTTPS listener and no certificate named, it finds one by the hosts.
        Controller::Alb => match alb_ports(annotations) {
            None => has("alb.ingress.kubernetes.io/certificate-arn"),
            Some(ports) => ports.is_ok_and(|ports| ports.https),
        },
        Controller::AppGateway => has("appgw.ingress.kubernetes.io/appgw-ssl-certificate"),
        // It has one issued for the hosts of each rule.
        Controller::Traefik => has(RESOLVER),
        // Google manages none for the inside.
        Controller::Gke if class.name == Some("gce-internal") => has(PRE_SHARED),
        Controller::Gke => gke_certified(has),
        // GKE serves Ingresses that name no class at all.
        Controller::Unknown if class.name.is_none() => gke_certified(has),
        _ => false,
    }
}

/// Several of these may be there at once, and the certificates of all are served; none goes before
/// another (GKE's guide "Use multiple SSL certificates in HTTPS load balancing with Ingress"). The
/// certificate map that Gateways may name is not read of an Ingress (`pkg/annotations/ingress.go` of
/// kubernetes/ingress-gce).
fn gke_certified(has: impl Fn(&'static str) -> bool) -> bool {
    has("networking.gke.io/managed-certificates") || has(PRE_SHARED)
}

/// Annotation with the names of certificates that somebody put into the project.
const PRE_SHARED: &str = "ingress.gcp.kubernetes.io/pre-shared-cert";

/// Whether the controller hands TLS through to the pods.
pub(super) fn passthrough(class: Class<'_>, annotations: &Labels) -> bool {
    let keys: &[&str] = match class.controller {
        Controller::IngressNginx => &["nginx.ingress.kubernetes.io/ssl-passthrough"],
        Controller::HaproxyTech => &[
            "haproxy.org/ssl-passthrough",
            "haproxy.com/ssl-passthrough",
            "ingress.kubernetes.io/ssl-passthrough",
        ],
        Controller::HaproxyIngress => &[
            "haproxy-ingress.github.io/ssl-passthrough",
            "ingress.kubernetes.io/ssl-passthrough",
        ],
        _ => &[],
    };
    keys.iter()
        .any(|key| switch(annotations, key) == Some(true))
}

/// What becomes of a plain HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It is redirected, or nothing listens for it.
    Proven,
    /// It is served. The annotation and value that would change that.
    Absent(&'static str, &'static str),
    /// It depends on something that we don't read.
    NotVisible(&'static str),
}

/// What becomes of a plain HTTP request to a host with TLS.
pub(super) fn redirect(
    inventory: &Inventory,
    class: Class<'_>,
    object: &Object<Ingress>,
) -> Redirect {
    let annotations = &object.meta.annotations;
    let own_tls = !object.spec.tls.is_empty();
    let keys = switches(class.controller);
    let set = keys.iter().find_map(|key| switch(annotations, key));
    let proven = match class.controller {
        Controller::IngressNginx => {
            let force = "nginx.ingress.kubernetes.io/force-ssl-redirect";
            set != Some(false) || switch(annotations, force) == Some(true)
        }
        Controller::F5Nginx | Controller::HaproxyIngress => set != Some(false),
        // Redirects by itself only where this very Ingress has a TLS block.
        Controller::HaproxyTech => set.unwrap_or(own_tls),
        Controller::Contour => set == Some(true) || switch(annotations, ALLOW_HTTP) == Some(false),
        Controller::AppGateway => set == Some(true),
        Controller::Alb => return alb_of_group(inventory, class, object),
        Controller::Gke => return gke(annotations),
        Controller::Traefik => return traefik(annotations),
        Controller::Unknown => {
            return Redirect::NotVisible(
                "how the controller of its class treats plain HTTP is not known",
            );
        }
    };
    match keys.first() {
        Some(key) if !proven => Redirect::Absent(key, "true"),
        _ => Redirect::Proven,
    }
}

/// The annotations that switch redirects on or off: the first that is set counts. Sources: `sslRedirectAnnotation` in
/// kubernetes/ingress-nginx (`internal/ingress/annotations/rewrite`) and nginx/kubernetes-ingress (`internal/k8s`),
/// `annotationsPrefixes` in haproxytech/kubernetes-ingress (`pkg/annotations/validators`), `AnnPrefix` in
/// jcmoraisjr/haproxy-ingress (`pkg/controller/config`), projectcontour/contour (`internal/annotation`), `SslRedirectKey` in
/// Azure/application-gateway-kubernetes-ingress (`pkg/annotations`).
const fn switches(controller: Controller) -> &'static [&'static str] {
    match controller {
        Controller::IngressNginx => &["nginx.ingress.kubernetes.io/ssl-redirect"],
        Controller::F5Nginx => &[
            "nginx.org/ssl-redirect",
            "ingress.kubernetes.io/ssl-redirect",
        ],
        Controller::HaproxyTech => &[
            "haproxy.org/ssl-redirect",
            "haproxy.com/ssl-redirect",
            "ingress.kubernetes.io/ssl-redirect",
        ],
        Controller::HaproxyIngress => &[
            "haproxy-ingress.github.io/ssl-redirect",
            "ingress.kubernetes.io/ssl-redirect",
        ],
        Controller::Contour => &["ingress.kubernetes.io/force-ssl-redirect"],
        Controller::AppGateway => &["appgw.ingress.kubernetes.io/ssl-redirect"],
        Controller::Traefik | Controller::Alb | Controller::Gke | Controller::Unknown => &[],
    }
}

const ALLOW_HTTP: &str = "kubernetes.io/ingress.allow-http";

/// Annotations by which a controller redirects, and that can be put back.
pub(super) const fn redirect_keys(controller: Controller) -> &'static [&'static str] {
    match controller {
        Controller::IngressNginx => &[
            "nginx.ingress.kubernetes.io/ssl-redirect",
            "nginx.ingress.kubernetes.io/force-ssl-redirect",
        ],
        Controller::HaproxyTech => &["haproxy.org/ssl-redirect"],
        Controller::HaproxyIngress => &["haproxy-ingress.github.io/ssl-redirect"],
        Controller::Contour => &["ingress.kubernetes.io/force-ssl-redirect", ALLOW_HTTP],
        Controller::Alb => &["alb.ingress.kubernetes.io/ssl-redirect"],
        Controller::Gke => &[ALLOW_HTTP],
        Controller::F5Nginx
        | Controller::Traefik
        | Controller::AppGateway
        | Controller::Unknown => &[],
    }
}

fn gke(annotations: &Labels) -> Redirect {
    if switch(annotations, ALLOW_HTTP) == Some(false) {
        return Redirect::Proven;
    }
    match annotations.get("networking.gke.io/v1beta1.FrontendConfig") {
        Some(_) => Redirect::NotVisible("its FrontendConfig says whether HTTP is redirected"),
        None => Redirect::Absent(ALLOW_HTTP, "false"),
    }
}

/// Annotation that names who issues certificates for a router of Traefik; with it, as with
/// `router.tls`, the router is for TLS only (`loadRouter` in traefik/traefik,
/// `pkg/provider/kubernetes/ingress`).
const RESOLVER: &str = "traefik.ingress.kubernetes.io/router.tls.certresolver";

fn traefik(annotations: &Labels) -> Redirect {
    // A router that is TLS only, or bound to entry points that are, answers no plain HTTP.
    let resolved = annotations
        .get(RESOLVER)
        .is_some_and(|name| !name.is_empty());
    if resolved || switch(annotations, "traefik.ingress.kubernetes.io/router.tls") == Some(true) {
        return Redirect::Proven;
    }
    let points = annotations.get("traefik.ingress.kubernetes.io/router.entrypoints");
    if points.is_some_and(|points| points.split(',').all(|point| point.trim() == "websecure")) {
        return Redirect::Proven;
    }
    Redirect::NotVisible("Traefik redirects by entry point or middleware, which are not read")
}

const ALB_REDIRECT: &str = "alb.ingress.kubernetes.io/ssl-redirect";

/// Ingresses of one group share a load balancer: a redirect that one of them asks for is that of
/// all (`buildSSLRedirectConfig` of aws-load-balancer-controller).
fn alb_of_group(inventory: &Inventory, class: Class<'_>, object: &Object<Ingress>) -> Redirect {
    let annotations = &object.meta.annotations;
    let own = alb(annotations);
    if !matches!(own, Redirect::Absent(..)) {
        return own;
    }
    let group = |labels: &Labels| {
        let group = labels.get("alb.ingress.kubernetes.io/group.name");
        group.filter(|group| !group.is_empty()).map(str::to_owned)
    };
    let wanted = group(annotations);
    let mut others = inventory.tables.ingresses.iter();
    let shared = others.any(|other| {
        group(&other.meta.annotations) == wanted
            && other.meta.annotations.get(ALB_REDIRECT).is_some()
            && !other.meta.deleting
            && Class::of(inventory, &other.spec).controller == Controller::Alb
    });
    if shared && wanted.is_some() {
        Redirect::Proven
    } else if class.parameters {
        Redirect::NotVisible("the IngressClassParams of its class may redirect, and are not read")
    } else {
        own
    }
}

fn alb(annotations: &Labels) -> Redirect {
    if annotations.get(ALB_REDIRECT).is_some() {
        return Redirect::Proven;
    }
    match alb_ports(annotations) {
        // A named certificate without ports means 443 alone.
        None => Redirect::Proven,
        Some(Ok(ports)) if !ports.http => Redirect::Proven,
        Some(Ok(_))
            if annotations
                .get("alb.ingress.kubernetes.io/actions.ssl-redirect")
                .is_none() =>
        {
            Redirect::Absent("alb.ingress.kubernetes.io/ssl-redirect", "443")
        }
        Some(_) => Redirect::NotVisible("its load balancer's actions decide about plain HTTP"),
    }
}

/// Which protocols an ALB listens for.
struct Ports {
    http: bool,
    https: bool,
}

/// The ALB's listeners, where the annotation names them; `Err` where it can't be read.
fn alb_ports(annotations: &Labels) -> Option<Result<Ports, ()>> {
    let text = annotations.get("alb.ingress.kubernetes.io/listen-ports")?;
    let Ok(Value::Array(listeners)) = text.parse::<Value>() else {
        return Some(Err(()));
    };
    let has = |protocol| listeners.iter().any(|l| l.get(protocol).is_some());
    Some(Ok(Ports {
        http: has("HTTP"),
        https: has("HTTPS"),
    }))
}

/// A switch, read as Go's `ParseBool` does: what it can't read counts as not set.
fn switch(annotations: &Labels, key: &str) -> Option<bool> {
    match annotations.get(key)? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether an Ingress is the temporary one of an ACME challenge.
pub(super) fn is_solver(labels: &Labels) -> bool {
    labels.get("acme.cert-manager.io/http01-solver").is_some()
}

/// Whether a TLS block of this class covers hosts that it doesn't name.
pub(super) fn tls_is_for_all(class: Class<'_>, object: &Object<Ingress>) -> bool {
    // On GKE a certificate belongs to the whole load balancer.
    class.controller == Controller::Gke && object.spec.tls.iter().any(|tls| tls.secret.is_some())
}
