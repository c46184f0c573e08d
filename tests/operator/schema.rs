//! What the API server says of policies, and what a policy's status may grow to.

use serde_json::json;

use super::program::Replica;
use super::world::{World, eventually, turn};

#[test]
fn kubectl_explains_every_parameter() {
    let world = turn();
    let field = "ctlp.spec.controls.netNamespaceDefaultDeny";
    // kubectl asks anew which kinds there are only when it is about to get some.
    world.cluster.kubectl_ok(&["get", "ctlp"], None);
    let said = world.cluster.kubectl_ok(&["explain", field], None);
    for wanted in [
        "KIND:       ControlPolicy",
        "Every namespace denies traffic that no policy allows",
        "CC6.6",
        "directions",
        "Directions that must be denied by default",
        "acceptDefaultDeny",
        "enum: Observe, Enforce",
        "mode",
        "severity",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
    let undocumented = said.contains("<no description>");
    assert!(!undocumented, "{said}");
}

/// What kubectl says to a policy that the server refuses.
fn refused(world: &World, spec: &str) -> String {
    let policy = format!(
        r#"{{ "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
        "metadata": {{ "name": "refused" }}, "spec": {spec} }}"#
    );
    let file = world.cluster.folder().join("refused.json");
    std::fs::write(&file, policy).unwrap();
    let file = file.display().to_string();
    let output = world.cluster.kubectl(&["apply", "-f", &file]);
    assert!(!output.status.success(), "accepted: {spec}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_a_policy_gets_wrong_is_refused_with_the_field_and_what_to_write() {
    let world = turn();
    let with = |parameters: &str| {
        format!(r#"{{ "controls": {{ "netNamespaceDefaultDeny": {parameters} }} }}"#)
    };
    let deny = r#""controls": { "netNamespaceDefaultDeny": {} }"#;
    let cases = [
        (with(r#"{ "direction": ["Ingress"] }"#), "direction"),
        (with(r#"{ "directions": "Ingress" }"#), "directions"),
        (
            with(r#"{ "directions": ["Inward"] }"#),
            r#"supported values: "Ingress", "Egress""#,
        ),
        (
            with(r#"{ "directions": [] }"#),
            "should have at least 1 items",
        ),
        // A key without a value is no control that is switched on.
        (with("null"), "at least 1 properties"),
        (
            r#"{ "controls": { "netNamespaceDefaultDenny": {} } }"#.to_owned(),
            "netNamespaceDefaultDenny",
        ),
        (r#"{ "controls": {} }"#.to_owned(), "spec.controls"),
        ("{}".to_owned(), "spec.controls"),
        (
            format!(r#"{{ "mode": "enforce", {deny} }}"#),
            r#"supported values: "Observe", "Enforce""#,
        ),
        (
            format!(r#"{{ "limits": {{ "writesPerMinute": 0 }}, {deny} }}"#),
            "spec.limits.writesPerMinute",
        ),
        (
            format!(r#"{{ "scope": {{ "include": ["a"], "exclude": ["a"] }}, {deny} }}"#),
            "name it in only one of",
        ),
        (
            format!(
                r#"{{ "enforceSelector": {{ "matchExpressions": [{{ "key": "a", "operator": "In" }}] }}, {deny} }}"#
            ),
            "name at least one, or use Exists or DoesNotExist",
        ),
        (
            r#"{ "controls": { "backupRpoMet": { "defaultRpo": "1 day" } } }"#.to_owned(),
            "defaultRpo",
        ),
    ];
    for (spec, wanted) in cases {
        let said = refused(&world, &spec);
        assert!(said.contains(wanted), "{wanted} is not in: {said}\n{spec}");
    }
}

#[test]
fn a_status_lists_ten_violations_and_counts_the_others() {
    let world = turn();
    // Twice as many as are listed, with the longest names there are.
    let names: Vec<String> = (0..20)
        .map(|_| {
            let name = world.name("failing");
            format!("{name}-{}", "x".repeat(62 - name.len()))
        })
        .collect();
    for name in &names {
        world.create(
            "/api/v1/namespaces",
            &json!({ "metadata": { "name": name } }),
        );
    }
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "scope": { "include": names },
        "controls": {
            "netNamespaceDefaultDeny": {}, "workloadPsaEnforced": {},
            "rbacClusterAdminAllowlist": {}, "rbacNoWildcardVerbs": {},
        },
    }));
    let status = world.status(&policy, "forty failures", |status| {
        status["summary"]["failing"].as_i64() >= Some(40)
    });
    for id in ["net-namespace-default-deny", "workload-psa-enforced"] {
        let mut controls = status["controls"].as_array().unwrap().iter();
        let control = controls.find(|control| control["id"] == id).unwrap();
        assert_eq!(control["violations"].as_array().unwrap().len(), 10);
        assert_eq!(control["omitted"], 10);
    }
    assert!(status.to_string().len() <= 64 * 1024);
    program.metric_becomes(
        "subjects",
        &[
            ("policy", &policy),
            ("outcome", "Fail"),
            ("control", "workload-psa-enforced"),
        ],
        20.0,
    );
    assert!(program.stop().success());
}

#[test]
fn with_an_older_crd_a_status_lacks_the_newest_fields_and_no_more() {
    let world = World::start();
    let path =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/controlpolicies.probity.dev";
    let mut crd = world.get(path).unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let fields = crd.pointer_mut(status).unwrap().as_object_mut().unwrap();
    assert!(fields.remove("summary").is_some());
    let controls = &mut fields["controls"]["items"];
    let known = controls["properties"].as_object_mut().unwrap();
    assert!(known.remove("lastDriftEnded").is_some());
    if let Some(required) = controls["required"].as_array_mut() {
        required.retain(|field| field != "lastDriftEnded");
    }
    let versions = json!({ "spec": { "versions": crd["spec"]["versions"] } });
    world.patch(path, &versions);
    eventually("the older schema", || {
        let explained = world.cluster.kubectl(&["explain", "ctlp.status.summary"]);
        let known = explained.status.success();
        if known {
            Err("summary is still known".to_owned())
        } else {
            Ok(())
        }
    });
    let namespace = world.namespace("old");
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Observe", &namespace);
    let status = world.status(&policy, "a status", |status| {
        status["controls"][0]["outcome"] == "Fail"
    });
    assert!(
        status["summary"].is_null(),
        "the server knows no such field: {status:#}"
    );
    assert!(program.stop().success());
}

#[test]
fn a_period_that_is_none_is_refused_with_what_to_write() {
    let world = turn();
    let apply = |name: &str, spec: &str| {
        let period = format!(
            r#"{{ "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod",
            "metadata": {{ "name": "{name}" }}, "spec": {spec} }}"#
        );
        let file = world.cluster.folder().join("period.json");
        std::fs::write(&file, period).unwrap();
        let file = file.display().to_string();
        let output = world.cluster.kubectl(&["apply", "-f", &file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let spec = |start: &str, end: &str, zone: &str| {
        format!(r#"{{ "start": "{start}", "end": "{end}", "timeZone": "{zone}" }}"#)
    };
    for (spec, because) in [
        (spec("2026-06-30", "2026-01-01", "UTC"), "exchange spec.start and spec.end"),
        (spec("2026-02-30", "2026-03-01", "UTC"), "must be dates such as"),
        (spec("2026-01-01", "2026-06-30", "Vienna"), "Vienna"),
        (spec("2026-1-1", "2026-06-30", "UTC"), "spec.start"),
        (r#"{ "start": "2026-01-01", "end": "2026-06-30" }"#.to_owned(), "spec.timeZone"),
        (
            r#"{ "start": "2026-01-01", "end": "2026-06-30", "timeZone": "UTC", "criteria": ["CC10.1"] }"#.to_owned(),
            "spec.criteria",
        ),
    ] {
        let (accepted, said) = apply("refused", &spec);
        assert!(!accepted && said.contains(because), "{spec}: {said}");
    }
    let whole = r#"{ "start": "2026-01-01", "end": "2026-06-30", "timeZone": "Europe/Vienna",
        "criteria": ["CC6.1", "A1.2"], "policies": ["soc2"], "controlMatrix": [
        { "id": "LA-03", "wording": "Traffic is encrypted", "controls": ["enc-ingress-tls"] }] }"#;
    let (accepted, said) = apply("h1", whole);
    assert!(accepted, "{said}");
}
