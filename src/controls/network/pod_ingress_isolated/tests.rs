use serde_json::{Value, json};

use super::*;
use crate::controls::{
    Kept,
    network::fixtures::{
        annotated_live_pod, calico, cilium, deployment, ingress, live, live_pod, policy, shop, tier,
    },
    testing::World,
};

fn only(world: &mut World) -> Verdict {
    world.only(&PodIngressIsolated::default())
}

fn reason(mut world: World) -> &'static str {
    only(&mut world).reason
}

fn web() -> Value {
    json!({ "matchLabels": { "app": "web" } })
}

#[test]
fn a_policy_that_selects_the_template_isolates_it() {
    for (spec, isolated) in [
        (json!({ "podSelector": {} }), true),
        (json!({ "podSelector": web() }), true),
        // What it allows is another control's business.
        (json!({ "podSelector": web(), "ingress": [{}] }), true),
        (
            json!({ "podSelector": web(), "policyTypes": ["Egress"] }),
            false,
        ),
        (json!({ "podSelector": web(), "egress": [{}] }), true),
        (
            json!({ "podSelector": { "matchLabels": { "app": "db" } } }),
            false,
        ),
        (
            json!({ "podSelector": { "matchExpressions": [
                { "key": "app", "operator": "NotIn", "values": ["db"] }] } }),
            true,
        ),
    ] {
        let world = shop().with(Kind::NetworkPolicy, policy("p", &spec));
        let expected = if isolated {
            "Isolated"
        } else {
            "WorkloadNotIsolated"
        };
        assert_eq!(reason(world), expected, "{spec}");
    }
}

#[test]
fn the_failure_names_a_witness() {
    let verdict = only(&mut shop());
    assert_eq!(verdict.outcome, Outcome::Fail);
    assert_eq!(
        verdict.message,
        "any source reaches every port of its pods: no policy of namespace shop selects pods \
         labelled app=web for Ingress"
    );
    let proposal = verdict.proposal.unwrap();
    assert!(
        proposal.contains(
            r#""ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":8080,"protocol":"TCP"}]}]"#
        ),
        "{proposal}"
    );
}

#[test]
fn a_live_pod_that_lost_its_label_is_found() {
    let mut world = shop().with(Kind::NetworkPolicy, ingress(&json!([])));
    live(
        &mut world,
        &json!({ "app": "web", "pod-template-hash": "1" }),
    );
    assert_eq!(only(&mut world).reason, "Isolated");
    live(&mut world, &json!({ "pod-template-hash": "1", "x": "y" }));
    let verdict = only(&mut world);
    assert_eq!(verdict.reason, "LivePodsNotIsolated");
    assert!(
        verdict.message.contains("labelled x=y"),
        "{}",
        verdict.message
    );
    world.delete(Kind::Pod, "shop", "web-1-x");
    assert_eq!(only(&mut world).reason, "Isolated");
}

#[test]
fn a_policy_for_one_pod_is_not_judged_by_the_template() {
    let pod = json!({ "matchLabels": { "statefulset.kubernetes.io/pod-name": "web-0" } });
    let one = policy("one", &json!({ "podSelector": pod }));
    let mut world = shop().with(Kind::NetworkPolicy, one);
    let verdict = only(&mut world);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Unknown, "PoliciesNotJudged")
    );
    world.put(Kind::NetworkPolicy, ingress(&json!([])));
    assert_eq!(only(&mut world).reason, "Isolated");
}

#[test]
fn the_nodes_network_and_exempt_pods_are_not_judged() {
    let host = deployment(&json!({ "hostNetwork": true }));
    assert_eq!(reason(shop().with(Kind::Deployment, host)), "HostNetwork");
    let exempt = PodIngressIsolated {
        exempt_selector: Some(LabelSelector::parse(web()).unwrap()),
        ..PodIngressIsolated::default()
    };
    let verdict = shop().only(&exempt);
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::NotApplicable, "ExemptBySelector")
    );
}

#[test]
fn tiers_leave_pods_open_from_outside() {
    let deny = json!([{ "action": "Deny", "from": [{ "namespaces": {} }] }]);
    for kind in ["Admin", "Baseline"] {
        let tier = tier("deny", kind, &deny, &json!([]));
        let mut world = shop().with(Kind::ClusterNetworkPolicy, tier);
        let verdict = only(&mut world);
        assert_eq!(verdict.outcome, Outcome::Fail);
        assert!(
            verdict.message.ends_with(
                "(ClusterNetworkPolicy deny denies only other pods, nothing from outside the \
                 cluster)"
            ),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn cilium_isolates_by_a_section_that_is_not_empty() {
    let asked = json!({ "enableDefaultDeny": { "ingress": true } });
    let off = json!({ "ingress": [{}], "enableDefaultDeny": { "ingress": false } });
    for (extra, reason) in [
        (json!({ "ingress": [{}] }), "Isolated"),
        (
            json!({ "ingressDeny": [{ "fromEntities": ["world"] }] }),
            "Isolated",
        ),
        (json!({ "ingress": [] }), "WorkloadNotIsolated"),
        (json!({ "egress": [{}] }), "WorkloadNotIsolated"),
        (off, "WorkloadNotIsolated"),
        (asked, "PoliciesNotJudged"),
    ] {
        let world = shop().with(Kind::CiliumNetworkPolicy, cilium(&extra));
        assert_eq!(self::reason(world), reason, "{extra}");
    }
    let mut everywhere = cilium(&json!({ "ingress": [{}] }));
    everywhere["metadata"]["namespace"] = json!(null);
    let everywhere = |key: &str, value: &str| {
        let mut policy = everywhere.clone();
        policy["spec"]["endpointSelector"] = json!({ "matchLabels": { key: value } });
        policy
    };
    let space = "k8s:io.kubernetes.pod.namespace";
    for (policy, reason) in [
        (everywhere("app", "web"), "Isolated"),
        (everywhere(space, "shop"), "Isolated"),
        (everywhere(space, "ops"), "WorkloadNotIsolated"),
        (everywhere("reserved:init", ""), "PoliciesNotJudged"),
    ] {
        let shown = policy.to_string();
        let world = shop().with(Kind::CiliumClusterwideNetworkPolicy, policy);
        assert_eq!(self::reason(world), reason, "{shown}");
    }
}

#[test]
fn calico_may_isolate() {
    let mut world = shop().with(Kind::CalicoGlobalNetworkPolicy, calico());
    assert_eq!(only(&mut world).outcome, Outcome::Unknown);
    world.put(Kind::NetworkPolicy, ingress(&json!([])));
    assert_eq!(only(&mut world).outcome, Outcome::Pass);
}

#[test]
fn a_policy_that_passed_comes_back() {
    let control = PodIngressIsolated::default();
    let mut world = shop().with(Kind::NetworkPolicy, ingress(&json!([])));
    live(&mut world, &json!({ "app": "web" }));
    only(&mut world);
    world.delete(Kind::NetworkPolicy, "shop", "in");
    let verdict = only(&mut world);
    let Some(Remedy::Create {
        manifest, consent, ..
    }) = verdict.remedy.as_deref()
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(manifest["metadata"]["name"], "in");
    assert_eq!(manifest["spec"]["podSelector"], web());
    assert_eq!(*consent, Consent::IfPassedBefore);
    let outcomes = world.mend(&control);
    assert_eq!(outcomes["Deployment shop/web"].0, Outcome::Pass);

    // Weakened so that it selects something else.
    let other = json!({ "podSelector": { "matchLabels": { "app": "db" } } });
    world.put(Kind::NetworkPolicy, policy("in", &other));
    let verdict = only(&mut world);
    assert!(
        matches!(verdict.remedy.as_deref(), Some(Remedy::PutBack { .. })),
        "{verdict:?}"
    );
    assert_eq!(world.mend(&control)["Deployment shop/web"].0, Outcome::Pass);
}

#[test]
fn the_default_deny_is_what_is_kept() {
    let mut world = shop()
        .with(Kind::NetworkPolicy, ingress(&json!([{}])))
        .with(
            Kind::NetworkPolicy,
            policy("zz", &json!({ "podSelector": {} })),
        );
    let kept: std::sync::Arc<Kept> = only(&mut world).keep.unwrap();
    assert_eq!(kept.value[0]["name"], "zz");
}

#[test]
fn nothing_is_created_without_consent() {
    let mut world = shop();
    // No pod runs: nothing can be hurt.
    let verdict = only(&mut world);
    assert!(matches!(
        verdict.remedy.as_deref(),
        Some(Remedy::Create {
            consent: Consent::Given,
            ..
        })
    ));
    live(&mut world, &json!({ "app": "web" }));
    assert_eq!(only(&mut world).remedy, None);
    let accepting = PodIngressIsolated {
        accept_default_deny: true,
        ..PodIngressIsolated::default()
    };
    assert!(world.only(&accepting).remedy.is_some());
    let labels = json!({ "probity.dev/default-deny": "accepted" });
    let accepted = crate::controls::network::fixtures::namespace("shop", &labels);
    world.put(Kind::Namespace, accepted);
    let outcomes = world.mend(&PodIngressIsolated::default());
    assert_eq!(outcomes["Deployment shop/web"].0, Outcome::Pass);
}

#[test]
fn a_job_of_a_manifest_has_the_labels_that_the_server_gives_it() {
    for (label, manual, reason) in [
        ("job-name", false, "Isolated"),
        ("batch.kubernetes.io/job-name", false, "Isolated"),
        ("job-name", true, "WorkloadNotIsolated"),
        ("app", false, "WorkloadNotIsolated"),
    ] {
        let job = json!({
            "metadata": { "name": "j", "namespace": "shop" },
            "spec": { "manualSelector": manual, "template": { "spec": {} } },
        });
        let spec = json!({ "podSelector": { "matchLabels": { label: "j" } } });
        let mut world = shop()
            .with(Kind::Job, job)
            .with(Kind::NetworkPolicy, policy("p", &spec));
        let outcomes = world.outcomes(&PodIngressIsolated::default());
        assert_eq!(outcomes["Job shop/j"].1, reason, "{label} {manual}");
    }
}

#[test]
fn only_policies_of_the_engines_that_are_named_count() {
    use super::super::isolated::Engine::{Calico, Cilium, ClusterNetworkPolicy, NetworkPolicy};
    let cilium = json!({
        "metadata": { "name": "c", "namespace": "shop" },
        "spec": { "endpointSelector": {}, "ingress": [{}] },
    });
    let mut world = shop().with(Kind::CiliumNetworkPolicy, cilium);
    live(&mut world, &json!({ "app": "web" }));
    for (engines, reason) in [
        (vec![], "Isolated"),
        (vec![Cilium], "Isolated"),
        (vec![NetworkPolicy, Cilium], "Isolated"),
        (vec![NetworkPolicy], "WorkloadNotIsolated"),
        (
            vec![NetworkPolicy, ClusterNetworkPolicy, Calico],
            "WorkloadNotIsolated",
        ),
    ] {
        let control = PodIngressIsolated {
            engines: engines.clone(),
            accept_default_deny: true,
            ..PodIngressIsolated::default()
        };
        let verdict = world.only(&control);
        assert_eq!(verdict.reason, reason, "{engines:?}");
        let helps = verdict.outcome == Outcome::Fail && engines.contains(&NetworkPolicy);
        assert_eq!(verdict.remedy.is_some(), helps, "{engines:?}");
    }
    // Live pods with other labels are judged by the same engines.
    let web = json!({ "podSelector": { "matchLabels": { "app": "web" } } });
    world.put(Kind::NetworkPolicy, policy("p", &web));
    live(&mut world, &json!({ "app": "web", "debug": "1" }));
    let control = PodIngressIsolated {
        engines: vec![NetworkPolicy],
        ..PodIngressIsolated::default()
    };
    assert_eq!(world.only(&control).reason, "Isolated");
    live(&mut world, &json!({ "app": "other" }));
    assert_eq!(world.only(&control).reason, "LivePodsNotIsolated");
    assert_eq!(only(&mut world).reason, "Isolated");
}

#[test]
fn pods_of_a_cron_job_have_the_labels_of_some_job() {
    let selector = |operator: &str, values: &Value| {
        json!({ "podSelector": { "matchExpressions": [
            { "key": "batch.kubernetes.io/job-name", "operator": operator, "values": values },
        ] } })
    };
    for (spec, reason) in [
        (selector("Exists", &json!([])), "Isolated"),
        (selector("NotIn", &json!(["j"])), "Isolated"),
        (selector("DoesNotExist", &json!([])), "WorkloadNotIsolated"),
        // Each job has a name of its own.
        (selector("In", &json!(["j"])), "WorkloadNotIsolated"),
    ] {
        let job = json!({
            "metadata": { "name": "j", "namespace": "shop" },
            "spec": { "schedule": "@daily", "jobTemplate": { "spec": { "template": {
                "metadata": { "labels": { "app": "j" } }, "spec": {},
            } } } },
        });
        let mut world = shop()
            .with(Kind::CronJob, job)
            .with(Kind::NetworkPolicy, policy("p", &spec));
        let verdict = world.judge(&PodIngressIsolated::default());
        let verdict = &verdict["CronJob shop/j"];
        assert_eq!(verdict.reason, reason, "{spec}");
        let proposal = verdict.proposal.as_deref().unwrap_or_default();
        assert!(!proposal.contains("job-name"), "{proposal}");
    }
}

#[test]
fn proxies_of_istio_isolate_where_a_policy_accepts_that() {
    let allow = |extra: Value| {
        let mut spec = json!({ "rules": [{ "from": [{ "source": { "namespaces": ["a"] } }] }] });
        crate::controls::testing::merge(&mut spec, &extra);
        spec
    };
    let accepting = || PodIngressIsolated {
        accept_mesh_authz: true,
        ..PodIngressIsolated::default()
    };
    for (namespace, spec, proxied, reason) in [
        ("shop", allow(json!({})), true, "MeshAuthorizes"),
        ("istio-system", allow(json!({})), true, "MeshAuthorizes"),
        // Allows nothing at all.
        ("shop", json!({}), true, "MeshAuthorizes"),
        (
            "shop",
            allow(json!({ "selector": { "matchLabels": { "app": "web" } } })),
            true,
            "MeshAuthorizes",
        ),
        (
            "shop",
            allow(json!({ "selector": { "matchLabels": { "app": "api" } } })),
            true,
            "WorkloadNotIsolated",
        ),
        (
            "shop",
            allow(json!({ "action": "DENY" })),
            true,
            "WorkloadNotIsolated",
        ),
        (
            "shop",
            allow(json!({ "rules": [{}] })),
            true,
            "WorkloadNotIsolated",
        ),
        (
            "shop",
            allow(json!({ "targetRefs": [{ "kind": "Gateway", "name": "g" }] })),
            true,
            "WorkloadNotIsolated",
        ),
        ("other", allow(json!({})), true, "WorkloadNotIsolated"),
        ("shop", allow(json!({})), false, "WorkloadNotIsolated"),
    ] {
        let shown = spec.to_string();
        let policy = json!({ "metadata": { "name": "p", "namespace": namespace }, "spec": spec });
        let mut world = shop().with(Kind::IstioAuthorization, policy);
        let container = if proxied { "istio-proxy" } else { "web" };
        let spec = json!({ "containers": [{ "name": container }] });
        live_pod(&mut world, &json!({ "app": "web" }), &spec);
        let verdict = world.only(&accepting());
        assert_eq!(verdict.reason, reason, "{namespace} {shown} {proxied}");
        assert_eq!(only(&mut world).reason, "WorkloadNotIsolated");
    }
    // Nobody runs a proxy where no pod runs.
    let policy = json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": {} });
    let mut world = shop().with(Kind::IstioAuthorization, policy);
    assert_eq!(world.only(&accepting()).reason, "WorkloadNotIsolated");
}

#[test]
fn what_proxies_of_linkerd_authorize_is_not_judged_where_it_may_be_little() {
    const INBOUND: &str = "config.linkerd.io/default-inbound-policy";
    let accepting = PodIngressIsolated {
        accept_mesh_authz: true,
        ..PodIngressIsolated::default()
    };
    let policy = |policy: &str| json!({ INBOUND: policy });
    let (open, unclear) = ("WorkloadNotIsolated", "MeshAuthorizationNotJudged");
    for (of_namespace, of_pod, container, reason) in [
        (Value::Null, Value::Null, "linkerd-proxy", unclear),
        (policy("deny"), Value::Null, "linkerd-proxy", unclear),
        (policy("deny"), Value::Null, "web", open),
        (policy("audit"), Value::Null, "linkerd-proxy", open),
        (
            policy("all-authenticated"),
            Value::Null,
            "linkerd-proxy",
            open,
        ),
        (
            policy("all-authenticated"),
            policy("deny"),
            "linkerd-proxy",
            unclear,
        ),
        (
            policy("deny"),
            policy("all-unauthenticated"),
            "linkerd-proxy",
            open,
        ),
        // Proof lets in whoever has some, whatever no policy allows.
        (
            Value::Null,
            policy("all-authenticated"),
            "linkerd-proxy",
            open,
        ),
        (
            policy("deny"),
            policy("cluster-authenticated"),
            "linkerd-proxy",
            open,
        ),
    ] {
        let mut world = shop();
        let meta = json!({ "name": "shop", "annotations": of_namespace });
        world.put(Kind::Namespace, json!({ "metadata": meta }));
        let spec = json!({ "containers": [{ "name": container }] });
        annotated_live_pod(&mut world, &json!({ "app": "web" }), &of_pod, &spec);
        let verdict = world.only(&accepting);
        assert_eq!(
            verdict.reason, reason,
            "{of_namespace} {of_pod} {container}"
        );
        assert_eq!(only(&mut world).reason, open);
    }
}
