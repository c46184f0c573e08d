use serde_json::{Value, json};

use super::*;
use crate::{
    analysis::{certificates::Certificate, tls::TlsVersion},
    controls::testing::World,
    engine::Served,
};

fn control() -> IngressTls {
    IngressTls {
        handshake: true,
        require_redirect: false,
        ..IngressTls::default()
    }
}

/// A certificate for these names, valid for ages.
fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Certificate::read(made.cert.der()).unwrap()
}

fn shown(names: &[&str]) -> Shown {
    Shown {
        version: TlsVersion::V1_3,
        oldest: Some(TlsVersion::V1_2),
        chain: vec![certificate(names)],
        distrust: None,
    }
}

fn target(name: &str) -> Target {
    Target {
        host: "192.0.2.1".to_owned(),
        port: 443,
        name: name.to_owned(),
    }
}

/// A shop with TLS at an address.
fn shop(host: &str, status: &Value) -> World {
    let object = json!({
        "metadata": { "name": "shop", "namespace": "web" },
        "spec": {
            "rules": [{ "host": host }],
            "tls": [{ "hosts": [host], "secretName": "shop-tls" }],
        },
        "status": status,
    });
    World::new().namespace("web").with(Kind::Ingress, object)
}

fn address() -> Value {
    json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } })
}

fn served(world: &mut World, seen: &[(Target, Result<Shown, String>)]) {
    world.observed.served = Some(Served {
        at: world.now,
        shown: seen.iter().cloned().collect(),
    });
}

fn judged(seen: Result<Shown, String>) -> (Outcome, &'static str) {
    let mut world = shop("shop.example", &address());
    served(&mut world, &[(target("shop.example"), seen)]);
    let verdict = world.only(&control());
    (verdict.outcome, verdict.reason)
}

#[test]
fn what_is_served_decides() {
    use Outcome::{Fail, Pass, Unknown};
    let good = || shown(&["shop.example"]);
    assert_eq!(judged(Ok(good())), (Pass, "TlsServed"));
    assert_eq!(
        judged(Ok(shown(&["*.example", "x.test"]))),
        (Fail, "ServedForOtherHosts")
    );
    assert_eq!(
        judged(Ok(shown(&["fake.local"]))),
        (Fail, "ServedForOtherHosts")
    );
    let untrusted = Shown {
        distrust: Some("no".to_owned()),
        ..good()
    };
    assert_eq!(judged(Ok(untrusted)), (Fail, "ServedNotTrusted"));
    let old = Shown {
        oldest: Some(TlsVersion::V1_0),
        ..good()
    };
    assert_eq!(judged(Ok(old)), (Fail, "OldTlsTaken"));
    let two = vec![
        certificate(&["shop.example"]),
        certificate(&["other.example"]),
    ];
    assert_eq!(
        judged(Ok(Shown {
            chain: two,
            ..good()
        }))
        .0,
        Pass
    );
    assert_eq!(
        judged(Err("refused".to_owned())),
        (Unknown, "HandshakeFailed")
    );
}

#[test]
fn an_expired_certificate_fails_when_it_ends() {
    let mut good = shown(&["shop.example"]);
    let mut world = shop("shop.example", &address());
    good.chain[0].member.not_after = world.now.as_second() + 60;
    served(&mut world, &[(target("shop.example"), Ok(good))]);
    let verdict = world.only(&control());
    assert_eq!(verdict.strength, Strength::Operating);
    world.now = verdict.recheck_at.unwrap();
    assert_eq!(world.only(&control()).reason, "CertificateExpired");
}

#[test]
fn without_a_handshake_it_is_not_known() {
    let mut world = shop("shop.example", &address());
    assert_eq!(world.only(&control()).reason, "HandshakeNotTriedYet");
    served(&mut world, &[]);
    assert_eq!(world.only(&control()).reason, "HandshakeNotTriedYet");
    served(
        &mut world,
        &[(target("shop.example"), Ok(shown(&["shop.example"])))],
    );
    world.now = world.only(&control()).recheck_at.unwrap();
    assert_eq!(world.only(&control()).reason, "HandshakeTooOld");
    let mut nowhere = shop("shop.example", &Value::Null);
    let verdict = nowhere.only(&control());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "NothingToConnectTo")
    );
}

#[test]
fn without_the_parameter_nothing_changes() {
    let declared = IngressTls {
        handshake: false,
        ..control()
    };
    let mut world = shop("shop.example", &address());
    assert_eq!(world.only(&declared).reason, "TlsDeclared");
}

#[test]
fn a_wildcard_is_asked_for_by_one_name() {
    let world = shop("*.shop.example", &address());
    let targets = handshake_targets(&world.inventory);
    assert_eq!(targets, [target("probity-check.shop.example")].into());
}

#[test]
fn every_address_must_serve_well() {
    let status = json!({ "loadBalancer": { "ingress": [
        { "ip": "192.0.2.1" }, { "hostname": "lb.example" }, { "ip": "192.0.2.3" },
    ] } });
    let mut world = shop("shop.example", &status);
    let second = Target {
        host: "lb.example".to_owned(),
        ..target("shop.example")
    };
    let good = Ok(shown(&["shop.example"]));
    served(
        &mut world,
        &[
            (target("shop.example"), good.clone()),
            (second.clone(), good.clone()),
        ],
    );
    assert_eq!(world.only(&control()).reason, "TlsServed");
    let bad = Ok(shown(&["other.example"]));
    served(&mut world, &[(target("shop.example"), good), (second, bad)]);
    assert_eq!(world.only(&control()).reason, "ServedForOtherHosts");
}

#[test]
fn listeners_are_asked_for_their_host_or_for_those_of_their_routes() {
    let gateway = |hostname: Value| {
        json!({
            "metadata": { "name": "edge", "namespace": "web" },
            "spec": { "listeners": [{
                "name": "https", "protocol": "HTTPS", "port": 8443, "hostname": hostname,
                "tls": { "certificateRefs": [{ "name": "c" }] },
            }] },
            "status": { "addresses": [{ "value": "192.0.2.1" }] },
        })
    };
    let route = json!({
        "metadata": { "name": "shop", "namespace": "web" },
        "spec": { "parentRefs": [{ "name": "edge" }], "hostnames": ["shop.example"] },
    });
    let wanted = |name: &str| Target {
        port: 8443,
        ..target(name)
    };
    let mut world = World::new().namespace("web");
    world.put(Kind::Gateway, gateway(json!("edge.example")));
    assert_eq!(
        handshake_targets(&world.inventory),
        [wanted("edge.example")].into()
    );
    world.put(Kind::Gateway, gateway(Value::Null));
    assert_eq!(world.only(&control()).reason, "NothingToConnectTo");
    world.put(Kind::HttpRoute, route);
    assert_eq!(
        handshake_targets(&world.inventory),
        [wanted("shop.example")].into()
    );
    let good = Ok(shown(&["shop.example"]));
    served(&mut world, &[(wanted("shop.example"), good)]);
    assert_eq!(world.only(&control()).reason, "TlsServed");
}
