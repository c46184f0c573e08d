#![allow(
    clippy::needless_pass_by_value,
    reason = "literals read better without a borrow each"
)]

mod clouds;

use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

const NGINX: &str = "k8s.io/ingress-nginx";
const SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/ssl-redirect";

fn class(name: &str, controller: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "controller": controller } })
}

fn named(name: &str, hosts: &[&str], tls: Value) -> Value {
    let rules: Vec<_> = hosts.iter().map(|host| json!({ "host": host })).collect();
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "ingressClassName": "main", "rules": rules, "tls": tls },
    })
}

fn ingress(hosts: &[&str], tls: Value) -> Value {
    named("web", hosts, tls)
}

fn annotated(mut ingress: Value, annotations: Value) -> Value {
    ingress["metadata"]["annotations"] = annotations;
    ingress
}

fn served_by(controller: &str) -> World {
    World::new()
        .namespace("shop")
        .with(Kind::IngressClass, class("main", controller))
}

fn world() -> World {
    served_by(NGINX)
}

fn verdict(mut world: World, ingress: Value) -> Verdict {
    world.put(Kind::Ingress, ingress);
    world.only(&IngressTls::default())
}

fn reason(world: World, ingress: Value) -> &'static str {
    verdict(world, ingress).reason
}

fn certificate(names: &[&str], ready: &str) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "secretName": "web-tls", "dnsNames": names },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    })
}

fn tls(hosts: &[&str]) -> Value {
    json!([{ "hosts": hosts, "secretName": "web-tls" }])
}

#[test]
fn every_host_must_be_covered() {
    for (hosts, tls, wanted) in [
        (&["a.example"][..], tls(&["a.example"]), "TlsDeclared"),
        (&["a.example"], json!(null), "HostWithoutTls"),
        (
            &["a.example", "b.example"],
            tls(&["a.example"]),
            "HostWithoutTls",
        ),
        (&["a.b.example"], tls(&["*.b.example"]), "TlsDeclared"),
        (&["a.a.b.example"], tls(&["*.b.example"]), "HostWithoutTls"),
        (&["b.example"], tls(&["*.b.example"]), "HostWithoutTls"),
        (&["*.b.example"], tls(&["*.b.example"]), "TlsDeclared"),
        (&["*.b.example"], tls(&["a.b.example"]), "HostWithoutTls"),
        // A block without hosts serves whatever its certificate says to everybody.
        (
            &["a.example"],
            json!([{ "secretName": "web-tls" }]),
            "TlsDeclared",
        ),
        (
            &["a.example"],
            json!([{ "hosts": ["a.example"] }]),
            "TlsWithoutSecret",
        ),
        // An empty name is none.
        (
            &["a.example"],
            json!([{ "hosts": ["a.example"], "secretName": "" }]),
            "TlsWithoutSecret",
        ),
        (&[""], json!(null), "HostWithoutTls"),
        (&[""], tls(&["a.example"]), "HostWithoutTls"),
        (&[""], json!([{ "secretName": "web-tls" }]), "TlsDeclared"),
        (&[], json!(null), "OnlyDefaultBackend"),
        (&[], tls(&["a.example"]), "OnlyDefaultBackend"),
    ] {
        assert_eq!(
            reason(world(), ingress(hosts, tls.clone())),
            wanted,
            "{hosts:?} {tls}"
        );
    }
}

#[test]
fn the_message_says_that_the_certificate_was_not_seen() {
    let verdict = verdict(world(), ingress(&["a.example"], tls(&["a.example"])));
    assert_eq!(verdict.strength, Strength::Declared);
    assert!(verdict.message.contains("not seen"), "{}", verdict.message);
}

#[test]
fn a_default_certificate_counts_where_the_policy_says_so() {
    let control = IngressTls {
        default_certificate_classes: vec!["main".to_owned()],
        ..Default::default()
    };
    let mut world = world().with(
        Kind::Ingress,
        ingress(&["a.example"], json!([{ "hosts": ["a.example"] }])),
    );
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
}

#[test]
fn tls_of_one_class_counts_together_for_a_shared_host() {
    let lone = ingress(&["a.example"], json!(null));
    let with = |other: Value| {
        let mut world = world().with(Kind::IngressClass, class("other", NGINX));
        world.put(Kind::Ingress, lone.clone());
        world.put(Kind::Ingress, other);
        world.outcomes(&IngressTls::default())["Ingress shop/web"].0
    };
    assert_eq!(
        with(named("b", &["a.example"], tls(&["a.example"]))),
        Outcome::Pass
    );
    // A block for a host that its Ingress doesn't serve does nothing.
    assert_eq!(
        with(named("b", &["b.example"], tls(&["a.example"]))),
        Outcome::Fail
    );
    let mut elsewhere = named("b", &["a.example"], tls(&["a.example"]));
    elsewhere["spec"]["ingressClassName"] = json!("other");
    assert_eq!(with(elsewhere), Outcome::Fail);
}

#[test]
fn a_certificate_of_the_secret_must_be_ready_and_hold_the_host() {
    for (names, ready, wanted) in [
        (&["a.example"][..], "True", "TlsDeclared"),
        (&["*.example"], "True", "TlsDeclared"),
        (&["a.example"], "False", "CertificateNotReady"),
        (&["b.example"], "True", "CertificateForOtherHosts"),
    ] {
        let world = world().with(Kind::Certificate, certificate(names, ready));
        assert_eq!(
            reason(world, ingress(&["a.example"], tls(&["a.example"]))),
            wanted
        );
    }
}

#[test]
fn redirects_depend_on_the_class() {
    let contour = "projectcontour.io/contour/contour";
    let traefik = "traefik.io/ingress-controller";
    let haproxy = "haproxy.org/ingress-controller/haproxy";
    let jcm = "haproxy-ingress.github.io/controller";
    for (controller, annotations, wanted) in [
        (NGINX, json!({ SSL_REDIRECT: "true" }), "TlsDeclared"),
        (NGINX, json!({ SSL_REDIRECT: "false" }), NO_REDIRECT),
        (NGINX, json!({ SSL_REDIRECT: "F" }), NO_REDIRECT),
        (
            NGINX,
            json!({ SSL_REDIRECT: "false", "nginx.ingress.kubernetes.io/force-ssl-redirect": "true" }),
            "TlsDeclared",
        ),
        (contour, json!({}), NO_REDIRECT),
        (
            contour,
            json!({ "ingress.kubernetes.io/force-ssl-redirect": "true" }),
            "TlsDeclared",
        ),
        (
            contour,
            json!({ "kubernetes.io/ingress.allow-http": "false" }),
            "TlsDeclared",
        ),
        (haproxy, json!({}), "TlsDeclared"),
        (
            haproxy,
            json!({ "haproxy.org/ssl-redirect": "false" }),
            NO_REDIRECT,
        ),
        (jcm, json!({}), "TlsDeclared"),
        (
            jcm,
            json!({ "haproxy-ingress.github.io/ssl-redirect": "false" }),
            NO_REDIRECT,
        ),
        (traefik, json!({}), "RedirectNotVisible"),
        (
            traefik,
            json!({ "traefik.ingress.kubernetes.io/router.entrypoints": "websecure" }),
            "TlsDeclared",
        ),
        (
            traefik,
            json!({ "traefik.ingress.kubernetes.io/router.entrypoints": "web,websecure" }),
            "RedirectNotVisible",
        ),
        ("example.com/own", json!({}), "RedirectNotVisible"),
    ] {
        let object = annotated(
            ingress(&["a.example"], tls(&["a.example"])),
            annotations.clone(),
        );
        assert_eq!(
            reason(served_by(controller), object),
            wanted,
            "{controller} {annotations}"
        );
    }
    let lax = IngressTls {
        require_redirect: false,
        ..Default::default()
    };
    let mut world = served_by("example.com/own");
    world.put(Kind::Ingress, ingress(&["a.example"], tls(&["a.example"])));
    assert_eq!(world.only(&lax).outcome, Outcome::Pass);
}

#[test]
fn a_default_backend_serves_every_other_host() {
    let all = json!([{ "secretName": "web-tls" }]);
    for (controller, tls, wanted) in [
        (
            "projectcontour.io/contour/contour",
            tls(&["a.example"]),
            "HostWithoutTls",
        ),
        (
            "haproxy-ingress.github.io/controller",
            tls(&["a.example"]),
            "HostWithoutTls",
        ),
        ("haproxy-ingress.github.io/controller", all, "TlsDeclared"),
        // These serve it for their own hosts, or not at all.
        (NGINX, tls(&["a.example"]), "TlsDeclared"),
        (
            "nginx.org/ingress-controller",
            tls(&["a.example"]),
            "TlsDeclared",
        ),
    ] {
        let mut object = ingress(&["a.example"], tls.clone());
        object["spec"]["defaultBackend"] = json!({ "service": { "name": "web" } });
        assert_eq!(
            reason(served_by(controller), object),
            wanted,
            "{controller} {tls}"
        );
    }
}

#[test]
fn a_redirect_of_one_is_that_of_its_group() {
    let group = "alb.ingress.kubernetes.io/group.name";
    let ports = r#"[{"HTTP":80},{"HTTPS":443}]"#;
    let ports = |more: Value| {
        let mut all = json!({ "alb.ingress.kubernetes.io/listen-ports": ports });
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let redirect = "alb.ingress.kubernetes.io/ssl-redirect";
    for (own, other, wanted) in [
        (
            json!({ group: "g" }),
            json!({ group: "g", redirect: "443" }),
            "TlsDeclared",
        ),
        (
            json!({ group: "g" }),
            json!({ group: "h", redirect: "443" }),
            NO_REDIRECT,
        ),
        (json!({ group: "g" }), json!({ group: "g" }), NO_REDIRECT),
        (json!({}), json!({ redirect: "443" }), NO_REDIRECT),
    ] {
        let mut world = served_by("ingress.k8s.aws/alb");
        let web = annotated(ingress(&["a.example"], json!(null)), ports(own.clone()));
        let sibling = annotated(
            named("b", &["b.example"], json!(null)),
            ports(other.clone()),
        );
        world.put(Kind::Ingress, web);
        world.put(Kind::Ingress, sibling);
        let outcomes = world.outcomes(&IngressTls::default());
        assert_eq!(outcomes["Ingress shop/web"].1, wanted, "{own} {other}");
    }
}

#[test]
fn parameters_of_a_class_are_not_read() {
    let mut with = class("main", "ingress.k8s.aws/alb");
    with["spec"]["parameters"] =
        json!({ "apiGroup": "elbv2.k8s.aws", "kind": "IngressClassParams", "name": "p" });
    let world = || {
        World::new()
            .namespace("shop")
            .with(Kind::IngressClass, with.clone())
    };
    let bare = ingress(&["a.example"], json!(null));
    assert_eq!(reason(world(), bare.clone()), "CertificateNotVisible");
    let both = json!({
        "alb.ingress.kubernetes.io/listen-ports": r#"[{"HTTP":80},{"HTTPS":443}]"#,
    });
    assert_eq!(reason(world(), annotated(bare, both)), "RedirectNotVisible");
}

#[test]
fn tls_may_end_behind_or_before() {
    let through = json!({ "nginx.ingress.kubernetes.io/ssl-passthrough": "true" });
    let object = annotated(ingress(&["a.example"], json!(null)), through.clone());
    assert_eq!(reason(world(), object), "Passthrough");
    // Without a host there is no name by which it could be handed through.
    let object = annotated(ingress(&[""], json!(null)), through);
    assert_eq!(reason(world(), object), "HostWithoutTls");
    let control = IngressTls {
        controllers_terminating_upstream: vec!["main".to_owned()],
        ..Default::default()
    };
    let mut world = world().with(Kind::Ingress, ingress(&["a.example"], json!(null)));
    assert_eq!(world.only(&control).reason, "TerminatedUpstream");
}

#[test]
fn a_class_is_found_by_annotation_and_by_default() {
    let mut object = ingress(&["a.example"], tls(&["a.example"]));
    object["spec"]["ingressClassName"] = json!(null);
    assert_eq!(reason(world(), object.clone()), "RedirectNotVisible");
    let by_annotation = annotated(
        object.clone(),
        json!({ "kubernetes.io/ingress.class": "main" }),
    );
    assert_eq!(reason(world(), by_annotation), "TlsDeclared");
    let mut default = class("main", NGINX);
    default["metadata"]["annotations"] =
        json!({ "ingressclass.kubernetes.io/is-default-class": "true" });
    let mut world = world();
    world.put(Kind::IngressClass, default);
    assert_eq!(reason(world, object), "TlsDeclared");
}

#[test]
fn some_may_stay_plain() {
    let mut solver = ingress(&["a.example"], json!(null));
    solver["metadata"]["labels"] = json!({ "acme.cert-manager.io/http01-solver": "true" });
    assert_eq!(reason(world(), solver), "AcmeSolver");
    let control = IngressTls {
        allow_http_hosts: vec!["*.old.example".to_owned()],
        ..Default::default()
    };
    let mut world = world().with(Kind::Ingress, ingress(&["a.old.example"], json!(null)));
    assert_eq!(world.only(&control).outcome, Outcome::NotApplicable);
    world.put(
        Kind::Ingress,
        ingress(&["a.old.example", "b.example"], tls(&["b.example"])),
    );
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
}

#[test]
fn an_ingress_that_never_passed_gets_a_ready_patch() {
    let mut world = world().with(Kind::Certificate, certificate(&["a.example"], "True"));
    world.put(Kind::Ingress, ingress(&["a.example"], json!(null)));
    let verdict = world.only(&IngressTls::default());
    assert_eq!(verdict.remedy, None);
    let proposal = verdict.proposal.unwrap();
    let wanted = r#"-p '{"spec":{"tls":[{"hosts":["a.example"],"secretName":"web-tls"}]}}'"#;
    assert!(proposal.ends_with(wanted), "{proposal}");
}

/// The patch that puts `now` back to what `before` had.
fn patch(before: Value, now: Value) -> Option<Value> {
    let control = IngressTls::default();
    let mut world = world().with(Kind::Ingress, before);
    assert_eq!(world.only(&control).outcome, Outcome::Pass);
    world.put(Kind::Ingress, now);
    let verdict = world.only(&control);
    let remedy = verdict.remedy?;
    assert_eq!(
        world.mend(&control)["Ingress shop/web"].0,
        Outcome::Pass,
        "{remedy:?}"
    );
    match *remedy {
        Remedy::PutBack { patch, .. } => Some(patch),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_that_was_removed_comes_back() {
    let before = ingress(&["a.example"], tls(&["a.example"]));
    let now = ingress(&["a.example"], json!(null));
    assert_eq!(
        patch(before, now),
        Some(json!({ "spec": { "tls": tls(&["a.example"]) } }))
    );
}

#[test]
fn newer_blocks_stay_and_hosts_without_rule_stay_away() {
    let before = ingress(
        &["a.example", "b.example"],
        tls(&["a.example", "b.example"]),
    );
    let newer = json!([{ "hosts": ["c.example"], "secretName": "new" }]);
    let now = ingress(&["a.example", "c.example"], newer.clone());
    let wanted = json!({ "spec": { "tls": [newer[0], tls(&["a.example"])[0]] } });
    assert_eq!(patch(before, now), Some(wanted));
}

#[test]
fn a_block_that_lost_its_secret_is_replaced() {
    let before = ingress(&["a.example"], tls(&["a.example"]));
    let now = ingress(&["a.example"], json!([{ "hosts": ["a.example"] }]));
    assert_eq!(
        patch(before, now),
        Some(json!({ "spec": { "tls": tls(&["a.example"]) } }))
    );
}

#[test]
fn a_weakened_redirect_is_put_back_to_what_it_was() {
    let good = ingress(&["a.example"], tls(&["a.example"]));
    let weak = annotated(good.clone(), json!({ SSL_REDIRECT: "false" }));
    let wanted = json!({ "metadata": { "annotations": { SSL_REDIRECT: null } } });
    assert_eq!(patch(good.clone(), weak.clone()), Some(wanted));
    let explicit = annotated(good, json!({ SSL_REDIRECT: "true" }));
    let wanted = json!({ "metadata": { "annotations": { SSL_REDIRECT: "true" } } });
    assert_eq!(patch(explicit, weak), Some(wanted));
}

#[test]
fn every_annotation_that_is_put_back_has_its_path() {
    use crate::inventory::Projection;
    for controller in [
        class::Controller::IngressNginx,
        class::Controller::HaproxyTech,
        class::Controller::HaproxyIngress,
        class::Controller::Contour,
        class::Controller::Alb,
        class::Controller::Gke,
    ] {
        for key in class::redirect_keys(controller) {
            let field = format!("f:{key}");
            assert!(
                Ingress::OWNED_PATHS
                    .iter()
                    .any(|path| path.last() == Some(&&*field)),
                "{key}"
            );
        }
    }
    assert!(Ingress::OWNED_PATHS.len() <= 8);
}

#[test]
fn both_weakened_are_put_back_one_after_the_other() {
    let before = ingress(&["a.example"], tls(&["a.example"]));
    let weak = ingress(&["a.example"], json!(null));
    assert!(patch(before, annotated(weak, json!({ SSL_REDIRECT: "false" }))).is_some());
}

#[test]
fn another_object_of_that_name_is_not_touched() {
    let control = IngressTls::default();
    let mut world = world().with(Kind::Ingress, ingress(&["a.example"], tls(&["a.example"])));
    world.only(&control);
    world.delete(Kind::Ingress, "shop", "web");
    world.put(Kind::Ingress, ingress(&["a.example"], json!(null)));
    assert_eq!(world.only(&control).remedy, None);
}
