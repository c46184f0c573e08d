//! What is proposed: it reaches no further than the finding.

use super::*;

fn proposed(world: &mut World) -> String {
    world.only(&control()).proposal.unwrap().to_string()
}

const STRICT_HERE: &str =
    r#"-p '{"spec":{"mtls":{"mode":"STRICT"}}}' peerauthentications.security.istio.io -n shop "#;

#[test]
fn a_policy_of_the_whole_mesh_is_left_alone() {
    let mut world = in_istio();
    peer(&mut world, "istio-system", "default", &mode("PERMISSIVE"));
    let mend = proposed(&mut world);
    let created =
        "once all clients of all workloads of namespace shop are in the mesh: kubectl apply";
    assert!(mend.starts_with(created), "{mend}");
    for part in ["name: default\n", "namespace: shop\n", "mode: STRICT\n"] {
        assert!(mend.contains(part), "{mend}");
    }
    // A name that another policy has is not taken from it.
    let other = json!({ "selector": { "matchLabels": { "app": "other" } } });
    peer(&mut world, "shop", "default", &other);
    let mend = proposed(&mut world);
    assert!(mend.contains("name: strict\n"), "{mend}");
    // Beside an older one a new one counts for nothing.
    peer(&mut world, "shop", "silent", &json!({}));
    let mend = proposed(&mut world);
    assert!(mend.ends_with(&format!("{STRICT_HERE}silent")), "{mend}");
    peer(&mut world, "shop", "web", &of_web(&json!({})));
    let mend = proposed(&mut world);
    assert!(
        mend.starts_with("once all clients of the workload are"),
        "{mend}"
    );
    assert!(mend.ends_with(&format!("{STRICT_HERE}web")), "{mend}");
}

#[test]
fn a_policy_of_the_namespace_is_made_strict() {
    let mut world = in_istio();
    peer(&mut world, "istio-system", "default", &mode("STRICT"));
    peer(&mut world, "shop", "default", &mode("DISABLE"));
    let mend = proposed(&mut world);
    assert!(mend.ends_with(&format!("{STRICT_HERE}default")), "{mend}");
}

#[test]
fn what_a_template_says_is_changed_in_the_template() {
    let annotate = "kubectl annotate --overwrite namespace shop \
                    config.linkerd.io/default-inbound-policy=all-authenticated\n";
    let restart = "kubectl rollout restart deployment -n shop web";
    let proxied = ["linkerd-proxy", "web"];
    let mut world = world(&json!({}), &[]);
    pod(&mut world, "web-1-a", &proxied, &Value::Null);
    let mend = proposed(&mut world);
    assert!(
        mend.starts_with("once all clients are in the mesh"),
        "{mend}"
    );
    assert!(mend.contains(annotate) && mend.ends_with(restart), "{mend}");
    let open = json!({ "config.linkerd.io/default-inbound-policy": "all-unauthenticated" });
    world.put(
        Kind::Deployment,
        json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "template": { "metadata": { "annotations": open } } },
        }),
    );
    pod(&mut world, "web-1-a", &proxied, &open);
    let mend = proposed(&mut world);
    assert!(
        mend.starts_with("once all clients are in the mesh"),
        "{mend}"
    );
    assert!(mend.ends_with("deployment -n shop web"), "{mend}");
    assert!(
        mend.contains(r#"{"spec":{"template":{"metadata":"#),
        "{mend}"
    );
    assert!(!mend.contains("kubectl annotate"), "{mend}");
}

#[test]
fn nothing_is_deleted_that_nobody_makes_again() {
    let pods = json!({ "containers": [{ "name": "web" }] });
    let template = json!({ "template": { "spec": pods } });
    let scheduled = json!({ "schedule": "@daily", "jobTemplate": { "spec": template } });
    for (kind, spec, wanted) in [
        (Kind::Pod, &pods, "nothing makes it again once it is gone"),
        (Kind::Job, &template, "nothing else makes its pods again"),
        (
            Kind::CronJob,
            &scheduled,
            "wait: its next pods will be made so",
        ),
    ] {
        let mut world = World::new().namespace("shop");
        world.observed.cilium = Some(Cilium::NotThere);
        world.put(
            kind,
            json!({ "metadata": { "name": "web", "namespace": "shop" }, "spec": spec }),
        );
        let mend = proposed(&mut world);
        assert!(mend.ends_with(wanted), "{mend}");
        assert!(!mend.contains("kubectl delete"), "{mend}");
    }
}
