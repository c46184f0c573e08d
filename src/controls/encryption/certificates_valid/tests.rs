use serde_json::{Value, json};

use super::*;
use crate::controls::testing::World;

fn control() -> CertificatesValid {
    CertificatesValid::default()
}

/// A Certificate of 90 days with this status.
fn certificate(status: &Value) -> World {
    let object = json!({
        "metadata": { "name": "shop", "namespace": "web" },
        "spec": { "secretName": "shop-tls", "dnsNames": ["shop.example"] },
        "status": status,
    });
    World::new().with(Kind::Certificate, object)
}

fn ready(is: &str, since: &str, not_after: &str, renewal: &str) -> Value {
    json!({
        "conditions": [
            { "type": "Issuing", "status": "True" },
            { "type": "Ready", "status": is, "lastTransitionTime": since },
        ],
        "notBefore": "2026-04-01T00:00:00Z", "notAfter": not_after, "renewalTime": renewal,
    })
}

/// It is noon of the first of June 2026.
const SINCE: &str = "2026-05-01T00:00:00Z";

fn judged(status: &Value) -> (Outcome, &'static str) {
    let verdict = certificate(status).only(&control());
    (verdict.outcome, verdict.reason)
}

#[test]
fn a_certificate_is_judged_by_its_status() {
    use Outcome::{Fail, Pass, Unknown};
    let july = "2026-07-20T00:00:00Z";
    let renewal = "2026-06-20T00:00:00Z";
    for (status, wanted) in [
        (
            ready("True", SINCE, july, renewal),
            (Pass, "CertificateValid"),
        ),
        // A renewal may take as long as the grace.
        (
            ready("True", SINCE, july, "2026-05-31T12:00:00Z"),
            (Pass, "CertificateValid"),
        ),
        (
            ready("True", SINCE, july, "2026-05-31T11:59:59Z"),
            (Fail, "RenewalOverdue"),
        ),
        (
            ready("True", SINCE, "2026-06-15T12:00:00Z", renewal),
            (Fail, "CertificateEndsSoon"),
        ),
        (
            ready("True", SINCE, "2026-06-15T12:00:01Z", renewal),
            (Pass, "CertificateValid"),
        ),
        (
            ready("True", SINCE, "2026-06-01T12:00:00Z", renewal),
            (Fail, "CertificateExpired"),
        ),
        (
            ready("False", "2026-05-31T12:00:00Z", july, renewal),
            (Unknown, "NotReadyYet"),
        ),
        (
            ready("False", "2026-05-31T11:59:59Z", july, renewal),
            (Fail, "CertificateNotReady"),
        ),
        // Not even an end: created a month ago, and never issued.
        (Value::Null, (Fail, "CertificateNotReady")),
        (
            json!({ "conditions": [{ "type": "Ready", "status": "True" }] }),
            (Unknown, "EndNotKnown"),
        ),
    ] {
        assert_eq!(judged(&status), wanted, "{status}");
    }
}

#[test]
fn short_lived_certificates_need_a_sixth_of_their_time() {
    // 24 hours: 4 must remain, and 4 is the grace.
    let status = |not_after: &str, renewal: &str| {
        json!({
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": SINCE }],
            "notBefore": not_after.replace("-02T", "-01T"), "notAfter": not_after,
            "renewalTime": renewal,
        })
    };
    let late = "2026-06-02T08:00:00Z";
    assert_eq!(
        judged(&status("2026-06-02T03:00:00Z", late)).1,
        "CertificateValid"
    );
    let mut world = certificate(&status("2026-06-02T03:00:00Z", late));
    world.now = "2026-06-01T23:00:00Z".parse().unwrap();
    assert_eq!(world.only(&control()).reason, "CertificateEndsSoon");
    assert_eq!(
        judged(&status("2026-06-02T03:00:00Z", "2026-06-01T08:00:00Z")).1,
        "CertificateValid"
    );
    assert_eq!(
        judged(&status("2026-06-02T03:00:00Z", "2026-06-01T07:59:59Z")).1,
        "RenewalOverdue"
    );
}

#[test]
fn the_verdict_turns_when_it_says_so() {
    let renewal = "2026-06-20T00:00:00Z";
    let mut world = certificate(&ready("True", SINCE, "2026-07-20T00:00:00Z", renewal));
    let verdict = world.only(&control());
    world.now = verdict.recheck_at.unwrap();
    assert_eq!(world.only(&control()).reason, "RenewalOverdue");
    let mut world = certificate(&ready("False", "2026-06-01T11:00:00Z", "", ""));
    world.now = world.only(&control()).recheck_at.unwrap();
    assert_eq!(world.only(&control()).reason, "CertificateNotReady");
}

#[test]
fn attempts_that_failed_and_the_way_out_are_told() {
    let mut status = ready("False", SINCE, "2026-07-20T00:00:00Z", "");
    status["failedIssuanceAttempts"] = json!(3);
    let verdict = certificate(&status).only(&control());
    assert!(
        verdict.message.contains("3 attempts"),
        "{}",
        verdict.message
    );
    let proposal = verdict.proposal.unwrap();
    assert!(proposal.contains("cmctl renew -n web shop"), "{proposal}");
}

#[test]
fn a_weak_key_is_not_asked_for() {
    let object = |key: Value| {
        json!({
            "metadata": { "name": "shop", "namespace": "web" },
            "spec": { "secretName": "shop-tls", "privateKey": key },
            "status": ready("True", SINCE, "2026-07-20T00:00:00Z", "2026-06-20T00:00:00Z"),
        })
    };
    let reason = |key| {
        let mut world = World::new().with(Kind::Certificate, object(key));
        world.only(&control()).reason
    };
    assert_eq!(reason(json!({ "size": 1024 })), "WeakKey");
    assert_eq!(
        reason(json!({ "algorithm": "RSA", "size": 2048 })),
        "CertificateValid"
    );
    assert_eq!(
        reason(json!({ "algorithm": "ECDSA", "size": 256 })),
        "CertificateValid"
    );
    assert_eq!(reason(Value::Null), "CertificateValid");
}

/// Valid for a century, of a key of 1024 bits.
const WEAK: &str = include_str!("../samples/weak.pem");
/// Valid for a century.
const STRONG: &str = include_str!("../samples/strong.pem");

fn webhook(bundles: &[&str], annotations: &Value) -> World {
    let hooks = bundles.iter().enumerate().map(|(i, pem)| {
        let bundle = k8s_openapi::ByteString(pem.as_bytes().to_vec());
        let mut hook = json!({ "name": format!("h{i}.example"), "clientConfig": {} });
        hook["clientConfig"]["service"] = json!({ "namespace": "guard", "name": "guard" });
        if !pem.is_empty() {
            hook["clientConfig"]["caBundle"] = json!(bundle);
        }
        hook
    });
    let hooks: Vec<Value> = hooks.collect();
    let object = json!({
        "metadata": { "name": "guard", "annotations": annotations },
        "webhooks": hooks,
    });
    let mut world = World::new().with(Kind::ValidatingWebhook, object);
    // The samples were made later than the world.
    world.now = "2027-06-01T12:00:00Z".parse().unwrap();
    world
}

#[test]
fn a_bundle_is_judged_by_its_best_member() {
    let both = format!("{WEAK}{STRONG}");
    for (pem, wanted) in [
        (STRONG, "BundleValid"),
        (WEAK, "BundleWeak"),
        (&both, "BundleValid"),
        ("junk", "BundleUndecodable"),
        ("", "SystemAuthorities"),
    ] {
        let verdict = webhook(&[pem], &Value::Null).only(&control());
        assert_eq!(verdict.reason, wanted, "{pem}");
    }
}

#[test]
fn the_worst_webhook_of_a_configuration_decides() {
    let mut world = webhook(&[STRONG, WEAK, STRONG], &Value::Null);
    let verdict = world.only(&control());
    assert_eq!(verdict.reason, "BundleWeak");
    assert!(
        verdict.message.contains("h1.example"),
        "{}",
        verdict.message
    );
    assert_eq!(
        webhook(&[], &Value::Null).only(&control()).reason,
        "NoWebhooks"
    );
}

#[test]
fn a_bundle_ends_when_it_ends() {
    let mut world = webhook(&[STRONG], &Value::Null);
    let soon = world.only(&control()).recheck_at.unwrap();
    world.now = soon;
    let verdict = world.only(&control());
    assert_eq!(verdict.reason, "BundleEndsSoon");
    world.now = verdict.recheck_at.unwrap();
    assert_eq!(world.only(&control()).reason, "BundleExpired");
    world.now = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(world.only(&control()).reason, "BundleNotYetValid");
}

#[test]
fn an_injector_has_the_grace_to_fill_a_bundle_in() {
    let injected = json!({ "cert-manager.io/inject-ca-from": "guard/guard" });
    // Manifests often hold a line break in the place of what is to be filled in.
    for bundle in ["", "\n"] {
        let mut world = webhook(&[bundle], &injected);
        // Created on the first of May 2026 at noon.
        world.now = "2026-05-02T11:59:59Z".parse().unwrap();
        let verdict = world.only(&control());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "BundleNotInjectedYet")
        );
        world.now = verdict.recheck_at.unwrap();
        assert_eq!(world.only(&control()).reason, "BundleNotInjected");
    }
    // Nobody fills it in: the API server can't read it.
    let mut world = webhook(&["\n"], &Value::Null);
    assert_eq!(world.only(&control()).reason, "BundleUndecodable");
}

#[test]
fn a_bundle_that_is_emptied_has_the_grace_from_when_that_is_seen() {
    let injected = json!({ "cert-manager.io/inject-ca-from": "guard/guard" });
    let object = |annotations: &Value| {
        json!({
            "metadata": { "name": "guard", "annotations": annotations },
            "webhooks": [{ "name": "a.guard.example", "clientConfig": { "caBundle": "" } }],
        })
    };
    let mut world = World::new().with(Kind::ValidatingWebhook, object(&json!({})));
    assert_eq!(world.only(&control()).reason, "SystemAuthorities");
    world.put(Kind::ValidatingWebhook, object(&injected));
    let verdict = world.only(&control());
    assert_eq!(verdict.reason, "BundleNotInjectedYet");
    let end = "2026-06-02T12:00:00Z".parse().unwrap();
    assert_eq!(verdict.recheck_at, Some(end));
    world.now = "2026-06-02T11:00:00Z".parse().unwrap();
    assert_eq!(world.only(&control()).recheck_at, Some(end));
    world.now = end;
    assert_eq!(world.only(&control()).reason, "BundleNotInjected");
    assert_eq!(world.only(&control()).reason, "BundleNotInjected");
}

#[test]
fn only_aggregated_apis_have_a_bundle() {
    let api = |spec: Value| {
        let object = json!({ "metadata": { "name": "v1.x.example" }, "spec": spec });
        World::new()
            .with(Kind::ApiService, object)
            .judge(&control())
    };
    assert!(api(json!({})).is_empty());
    let service = json!({ "namespace": "a", "name": "b" });
    let verdicts = api(json!({ "service": service, "insecureSkipTLSVerify": true }));
    assert_eq!(verdicts["APIService v1.x.example"].reason, "TlsNotVerified");
    let verdicts = api(json!({ "service": service, "caBundle": "anVuaw==" }));
    assert_eq!(
        verdicts["APIService v1.x.example"].reason,
        "BundleUndecodable"
    );
}
