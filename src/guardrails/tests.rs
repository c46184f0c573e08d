use serde_json::{Value, json};

use super::*;

const IMAGE: &str =
    "probity@sha256:0000000000000000000000000000000000000000000000000000000000000000";
const DIGEST: &str = "0123456789abcdef";

fn text() -> String {
    format!(
        "name: probity\nnamespace: probity-system\nversion: 0.1.0\nimage: {IMAGE}\n\
         ---\n\
         kind: ClusterRole\nmetadata: {{name: probity}}\n\
         rules: [{{apiGroups: [''], resources: [pods], verbs: [get]}}]\n\
         ---\n\
         kind: Namespace\nmetadata: {{name: probity-probe}}\n\
         ---\n\
         kind: Role\nmetadata: {{name: probity-cilium, namespace: kube-system}}\nrules: []\n\
         ---\n\
         kind: ValidatingAdmissionPolicy\nmetadata: {{name: probity-expiry}}\n\
         spec:\n  failurePolicy: Fail\n  matchConstraints: {{resourceRules: [{{resources: [a]}}]}}\n\
         ---\n"
    )
}

fn manifest() -> Manifest {
    Manifest::parse(&text(), DIGEST).unwrap()
}

fn named(kind: GuardKind, name: &str) -> Guard {
    let manifest = manifest();
    let mut guards = manifest.guards();
    let found = guards.find(|guard| guard.kind == kind && guard.name == name);
    found.unwrap().clone()
}

fn policy() -> Value {
    json!({
        "metadata": { "managedFields": [
            { "manager": "helm", "time": "2026-06-01T10:00:00Z" },
            { "manager": "kubectl-edit", "time": "2026-06-01T11:00:00Z" },
            { "manager": "kube-apiserver", "time": "2026-06-01T12:00:00Z", "subresource": "status" },
        ]},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{ "resources": ["a"], "scope": "*" }],
            },
        },
    })
}

#[test]
fn the_manifest_names_what_the_chart_renders_and_the_build_adds_its_crds() {
    let manifest = manifest();
    let guards: Vec<&Guard> = manifest.guards().collect();
    assert_eq!(guards[0].kind, GuardKind::StatefulSet);
    assert_eq!(guards.len(), 4 + api::definitions().len());
    assert_eq!(
        named(GuardKind::Role, "probity-cilium").namespace,
        "kube-system"
    );
    let off: Vec<String> = manifest
        .switched_off()
        .map(|(guard, _)| guard.name)
        .collect();
    assert_eq!(
        off,
        [
            "probity-decisions",
            "probity-own-writes",
            "probity-requests"
        ]
    );
    for bad in ["", "kind: ClusterRole", "{"] {
        assert!(Manifest::parse(bad, DIGEST).is_err(), "{bad}");
    }
}

#[test]
fn what_an_api_server_fills_in_is_no_difference_and_all_else_is() {
    let (manifest, guard) = (
        manifest(),
        named(GuardKind::ValidatingAdmissionPolicy, "probity-expiry"),
    );
    assert_eq!(manifest.compare(&guard, Some(&policy())), Seen::Intact);
    assert_eq!(manifest.compare(&guard, None), Seen::Gone);
    for (pointer, value, path) in [
        ("/spec/failurePolicy", json!("Ignore"), "spec.failurePolicy"),
        (
            "/spec/matchConstraints/namespaceSelector",
            json!({ "matchLabels": { "a": "b" } }),
            "spec.matchConstraints.namespaceSelector",
        ),
        (
            "/spec/matchConstraints/resourceRules/0/scope",
            json!("Namespaced"),
            "spec.matchConstraints.resourceRules[0].scope",
        ),
        (
            "/spec/matchConstraints/resourceRules",
            json!([]),
            "spec.matchConstraints.resourceRules",
        ),
        (
            "/spec/matchConditions",
            json!([{ "expression": "false" }]),
            "spec.matchConditions",
        ),
    ] {
        let mut found = policy();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        found.pointer_mut(parent).unwrap()[field] = value;
        let at = "2026-06-01T11:00:00Z".parse().ok();
        let differs = Seen::Differs {
            path: path.to_owned(),
            writer: Some(("kubectl-edit".to_owned(), at)),
        };
        assert_eq!(manifest.compare(&guard, Some(&found)), differs);
    }
}

#[test]
fn every_field_of_every_crd_counts() {
    let manifest = manifest();
    let mut tried = 0;
    for guard in manifest.guards() {
        if guard.kind != GuardKind::CustomResourceDefinition {
            continue;
        }
        let whole = manifest.expected[guard].clone();
        let mut stored = whole.clone();
        let kind = whole["spec"]["names"]["kind"].as_str().unwrap();
        stored["spec"]["names"]["listKind"] = json!(format!("{kind}List"));
        stored["spec"]["conversion"] = json!({ "strategy": "None" });
        assert_eq!(manifest.compare(guard, Some(&stored)), Seen::Intact);
        for pointer in pointers(&whole["spec"]) {
            let mut weaker = whole.clone();
            let spec = &mut weaker["spec"];
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            match spec.pointer_mut(parent).unwrap() {
                Value::Object(fields) => fields.remove(field).map(|_| ()),
                Value::Array(items) => field.parse().ok().map(|at: usize| drop(items.remove(at))),
                _ => None,
            }
            .unwrap();
            assert!(
                manifest.compare(guard, Some(&weaker)).is_broken(),
                "{} without {pointer}",
                guard.name
            );
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// Every value in a value but texts for people, of which there are too many.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != "description");
            fields.map(|(name, value)| (name.clone(), value)).collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (name, child) in children {
        // No name in a schema has a slash but labels and formats; RFC 6901 escapes it.
        let name = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let deeper = pointers(child);
        all.extend(deeper.into_iter().map(|rest| format!("{name}{rest}")));
        if !name.contains('~') {
            all.push(name);
        }
    }
    all
}

#[test]
fn a_role_that_is_wider_or_becomes_part_of_another_is_different() {
    let (manifest, guard) = (manifest(), named(GuardKind::ClusterRole, "probity"));
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }]);
    let role =
        |labels: Value, rules: Value| json!({ "metadata": { "labels": labels }, "rules": rules });
    let of = |found: &Value| manifest.compare(&guard, Some(found)).is_broken();
    assert!(!of(&role(json!({ "team": "a" }), rules.clone())));
    let aggregated = json!({ "rbac.authorization.k8s.io/aggregate-to-edit": "true" });
    assert!(of(&role(aggregated, rules.clone())));
    let wider = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "create"] }]);
    assert!(of(&role(json!({}), wider)));
    let mut by_others = role(json!({}), rules);
    by_others["aggregationRule"] = json!({ "clusterRoleSelectors": [] });
    assert!(of(&by_others));
}

#[test]
fn another_image_or_a_container_beside_ours_is_different_and_another_release_is_an_upgrade() {
    let (manifest, guard) = (manifest(), named(GuardKind::StatefulSet, "probity"));
    let workload = |containers: Value, map: &str| {
        let volumes = json!([{ "name": "release", "configMap": { "name": map } }]);
        let pod = json!({ "containers": containers, "volumes": volumes });
        json!({ "spec": { "template": { "spec": pod } } })
    };
    let ours = json!([{ "name": "probity", "image": IMAGE, "args": ["run"] }]);
    let same = workload(ours.clone(), "probity-manifest-01234567");
    assert_eq!(manifest.compare(&guard, Some(&same)), Seen::Intact);
    assert!(!manifest.is_upgraded(&same));
    assert!(manifest.is_upgraded(&workload(ours, "probity-manifest-89abcdef")));
    for containers in [
        json!([{ "name": "probity", "image": "probity:evil" }]),
        json!([{ "name": "probity", "image": IMAGE }, { "name": "beside", "image": "b" }]),
    ] {
        let found = workload(containers, "probity-manifest-01234567");
        assert!(manifest.compare(&guard, Some(&found)).is_broken());
    }
    let tagged = Manifest::parse(&text().replace(IMAGE, "probity:0.1.0"), DIGEST).unwrap();
    let found = workload(
        json!([{ "name": "probity", "image": "probity:0.1.0" }]),
        "probity-manifest-01234567",
    );
    assert_eq!(
        tagged.compare(&guard, Some(&found)),
        Seen::NotPinned("probity:0.1.0".to_owned())
    );
}
