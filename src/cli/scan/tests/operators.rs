//! Pods that no file shows, because operators are to make them.

use super::*;

#[test]
fn a_policy_for_pods_that_an_operator_makes_is_not_called_dead() {
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p, namespace: monitoring }
spec: { podSelector: { matchLabels: { app.kubernetes.io/name: prometheus } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: grafana, namespace: monitoring }
spec: { template: { metadata: { labels: { app: grafana } }, spec: {} } }
---
apiVersion: monitoring.coreos.com/v1
";
    let prometheus =
        "kind: Prometheus\nmetadata: { name: k8s, namespace: monitoring }\nspec: { replicas: 2 }";
    let rules = "kind: PrometheusRule\nmetadata: { name: k8s, namespace: monitoring }\nspec: { groups: [] }";
    let judged = |text: &str| {
        let report = scanned(&format!("{policy}{text}"), true);
        let mut controls = report.controls.into_iter();
        let control = controls.find(|control| control.info.id == "net-policy-dead");
        control.unwrap().findings.remove(0)
    };
    let role = |namespace: &str, verb: &str, holder: &str| {
        format!(
            "{rules}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n\
             metadata: {{ name: r, namespace: {namespace} }}\n\
             rules: [{{ apiGroups: [''], resources: [pods], verbs: [{verb}] }}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
             metadata: {{ name: b, namespace: {namespace} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: r }}\n\
             subjects: [{{ {holder}, name: someone }}]\n"
        )
    };
    let program = "kind: ServiceAccount, namespace: monitoring";
    let people = "apiGroup: rbac.authorization.k8s.io, kind: Group";
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: monitoring }\n\
               spec: { containers: [] }\nstatus: { phase: Running }\n";
    for (text, why) in [
        (prometheus, "are made of Prometheus monitoring/k8s"),
        (
            &role("monitoring", "create", program),
            "Role monitoring/r lets somebody make",
        ),
    ] {
        let (found, why) = (judged(text), format!("no file shows the pods that {why}"));
        assert_eq!((found.outcome, &*found.message), (Outcome::Unknown, &*why));
        let shown = judged(&format!("{text}\n{pod}"));
        assert_eq!(shown.outcome, Outcome::Fail, "they are all shown");
    }
    for text in [
        rules,
        &role("monitoring", "get", program),
        &role("other", "create", program),
        &role("monitoring", "create", people),
    ] {
        assert_eq!(judged(text).outcome, Outcome::Fail, "{text}");
    }
}

#[test]
fn pods_that_an_operator_makes_lie_where_its_object_does() {
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: shop }\n\
               spec: { template: { metadata: { labels: { app: web } }, spec: {} } }\n---\n";
    let judged = |spec: &str, metadata: &str| {
        let policy = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {{ name: p, namespace: shop }}\nspec: {spec}\n---\n"
        );
        let maker = format!(
            "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\n\
             metadata: {metadata}\nspec: {{ replicas: 2 }}\n"
        );
        let report = scanned(&format!("{web}{policy}{maker}"), true);
        let mut controls = report.controls.into_iter();
        let control = controls.find(|control| control.info.id == "net-policy-dead");
        control.unwrap().findings.remove(0)
    };
    let dead = "{ podSelector: { matchLabels: { app: wbe } } }";
    let peer = "{ podSelector: { matchLabels: { app: web } }, ingress: [{ from: [{ namespaceSelector: {}, \
                podSelector: { matchLabels: { app.kubernetes.io/name: prometheus } } }] }] }";
    let elsewhere = "{ name: k8s, namespace: monitoring }";
    for (spec, metadata, made_of) in [
        (dead, elsewhere, None),
        (
            dead,
            "{ name: k8s, namespace: shop }",
            Some("Prometheus shop/k8s"),
        ),
        // Its kind may be one whose objects lie in no namespace.
        (dead, "{ name: k8s }", Some("Prometheus k8s")),
        // Peers may be of another namespace than their policy.
        (peer, elsewhere, Some("Prometheus monitoring/k8s")),
    ] {
        let found = judged(spec, metadata);
        let wanted = made_of.map_or(Outcome::Fail, |_| Outcome::Unknown);
        assert_eq!(found.outcome, wanted, "{spec} {metadata}");
        if let Some(maker) = made_of {
            let why = format!("no file shows the pods that are made of {maker}");
            assert_eq!(found.message, why, "{spec} {metadata}");
        }
    }
}
