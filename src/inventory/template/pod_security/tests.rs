use std::sync::Arc;

use super::super::{Template, WireTemplate};
use crate::inventory::Interner;

fn template(spec: &str) -> Arc<Template> {
    decode(&format!(r#"{{"spec":{spec}}}"#))
}

fn decode(json: &str) -> Arc<Template> {
    serde_json::from_str::<WireTemplate<'_>>(json)
        .unwrap()
        .project(&mut Interner::default())
}

/// The fixtures of `k8s.io/pod-security-admission` 0.37 (Apache-2.0), images left out: one
/// per line, `level expectation name template`.
const SAMPLES: &str = include_str!("../pod_security_samples.txt");

#[test]
fn kubernetes_own_fixtures_are_judged_alike() {
    let mut judged = 0;
    for line in SAMPLES.lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (level, expected, name, json) = (word(), word(), word(), word());
        let template = decode(json);
        let broken = match level {
            "baseline" => template.breaks_baseline.clone(),
            _ => template
                .breaks_baseline
                .clone()
                .or(template.breaks_restricted.clone()),
        };
        assert_eq!(
            broken.is_none(),
            expected == "pass",
            "{level} {name}: {broken:?}"
        );
        judged += 1;
    }
    assert!(judged > 100, "{judged}");
}

#[test]
fn a_plain_pod_meets_baseline_but_not_restricted() {
    let template = template(r#"{"containers":[{"name":"a"}]}"#);
    assert_eq!(template.breaks_baseline, None);
    assert_eq!(
        template.breaks_restricted.as_deref(),
        Some("container a does not set runAsNonRoot: true")
    );
}

#[test]
fn what_breaks_baseline_is_named() {
    for (spec, why) in [
        (r#"{"hostNetwork":true}"#, "hostNetwork is true"),
        (r#"{"hostPID":true}"#, "hostPID is true"),
        (
            r#"{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#,
            "a volume is a hostPath",
        ),
        (
            r#"{"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":1}]}]}"#,
            "container a has a hostPort",
        ),
        (
            r#"{"initContainers":[{"name":"i","securityContext":{"privileged":true}}]}"#,
            "container i is privileged",
        ),
        (
            r#"{"ephemeralContainers":[{"name":"e","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}"#,
            "container e adds capability SYS_ADMIN",
        ),
        (
            r#"{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}"#,
            "the pod has seccomp Unconfined",
        ),
        (
            r#"{"containers":[{"name":"a","livenessProbe":{"httpGet":{"host":"db","port":"web"}}}]}"#,
            "container a has a probe or hook with a host",
        ),
    ] {
        assert_eq!(template(spec).breaks_baseline.as_deref(), Some(why));
    }
}

#[test]
fn a_user_namespace_relaxes_the_rules_about_root_only() {
    let hardened = |extra: &str| {
        template(&format!(
            r#"{{"hostUsers":false,"securityContext":{{"runAsUser":0,"seccompProfile":{{"type":"RuntimeDefault"}}}},
                "containers":[{{"name":"a","securityContext":{{{extra}"allowPrivilegeEscalation":false,"capabilities":{{"drop":["ALL"]}}}}}}]}}"#
        ))
    };
    assert_eq!(hardened("").breaks_restricted, None);
    let unmasked = hardened(r#""procMount":"Unmasked","#);
    assert_eq!(unmasked.breaks_baseline, None);
    assert!(unmasked.breaks_restricted.is_some());
}
